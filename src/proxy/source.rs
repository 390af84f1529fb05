//! One direction of a connection: what one side sends, on its way to the other.

use std::io;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::buffer::Buffer;
use super::framing::Framing;
use super::head::Unrecognized;
use super::pipe::Pipe;

/// Why a message does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransferError {
    /// The side that sends it is closed.
    Source,
    /// The side that gets it is closed.
    Sink,
    /// Where it ends cannot be known.
    Unrecognized(Unrecognized),
}

/// What one side sends.
#[derive(Debug)]
pub(crate) struct Source {
    reader: OwnedReadHalf,
    pub(crate) buffer: Buffer,
    pipe: Pipe,
}

impl Source {
    pub(crate) fn new(reader: OwnedReadHalf) -> Self {
        Self { reader, buffer: Buffer::new(), pipe: Pipe::default() }
    }

    /// Reads once into the buffer and returns the byte count, 0 at the end of the stream. Cancel-safe. Must not be called
    /// on a full buffer.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.fill(&mut self.reader).await
    }

    /// The head at the beginning of the buffer, where it stays; `None` where more of it has to be read.
    pub(crate) fn head<T>(
        &mut self,
        parse: impl FnOnce(&[u8]) -> Result<Option<T>, Unrecognized>,
    ) -> Result<Option<T>, Unrecognized> {
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let head = parse(self.buffer.filled())?;
        if head.is_none() && !self.buffer.make_room() {
            return Err(Unrecognized::LongHead);
        }
        Ok(head)
    }

    /// Passes a message on: `lead` bytes that stand in the buffer already, usually its head, and the body behind them.
    /// A byte leaves buffer and pipe only after it was written, so dropping the future loses and repeats nothing. What
    /// the other side does not take any more is forgotten.
    pub(crate) async fn forward(
        &mut self,
        writer: &mut OwnedWriteHalf,
        lead: usize,
        framing: &mut Framing,
    ) -> Result<(), TransferError> {
        self.pipe.drain(writer.as_ref()).await.map_err(|_| TransferError::Sink)?;
        let mut ready = lead + take(framing, &self.buffer.filled()[lead..])?;
        loop {
            self.write(writer, ready).await?;
            if framing.is_done() {
                return Ok(());
            }
            if self.buffer.is_empty() && !self.splice(writer, framing).await? && !self.refill(framing).await? {
                return Ok(());
            }
            ready = take(framing, self.buffer.filled())?;
        }
    }

    /// Reads the rest of a message and forgets it.
    pub(crate) async fn discard(&mut self, framing: &mut Framing) -> Result<(), TransferError> {
        loop {
            let count = take(framing, self.buffer.filled())?;
            self.buffer.consume(count);
            if framing.is_done() || !self.refill(framing).await? {
                return Ok(());
            }
        }
    }

    /// Returns when this side has closed the connection. What it sends before that is kept for later.
    pub(crate) async fn closed(&mut self) {
        while !self.buffer.is_full() {
            match self.fill().await {
                Ok(1..) => {}
                _ => return,
            }
        }
        std::future::pending().await
    }

    async fn write(&mut self, writer: &mut OwnedWriteHalf, mut ready: usize) -> Result<(), TransferError> {
        while ready > 0 {
            match writer.write(&self.buffer.filled()[..ready]).await {
                Ok(count @ 1..) => {
                    self.buffer.consume(count);
                    ready -= count;
                }
                _ => {
                    self.buffer.consume(ready);
                    return Err(TransferError::Sink);
                }
            }
        }
        Ok(())
    }

    /// Passes as much of a long body on as there is, inside the kernel. Returns false where it has to be read.
    async fn splice(&mut self, writer: &OwnedWriteHalf, framing: &mut Framing) -> Result<bool, TransferError> {
        match self.pipe.fill(self.reader.as_ref(), framing.unseen()).await {
            Ok(Some(0)) | Err(_) => return Err(TransferError::Source),
            Ok(Some(count)) => framing.skip(count),
            Ok(None) => return Ok(false),
        }
        self.pipe.drain(writer.as_ref()).await.map_err(|_| TransferError::Sink)?;
        Ok(true)
    }

    /// Reads more of a body. Returns false where it ends with the stream.
    async fn refill(&mut self, framing: &Framing) -> Result<bool, TransferError> {
        match self.fill().await {
            Ok(1..) => Ok(true),
            Ok(0) if *framing == Framing::UntilClose => Ok(false),
            _ => Err(TransferError::Source),
        }
    }
}

fn take(framing: &mut Framing, bytes: &[u8]) -> Result<usize, TransferError> {
    framing.take(bytes).map_err(|_| TransferError::Unrecognized(Unrecognized::Framing))
}
