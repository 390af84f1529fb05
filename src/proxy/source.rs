//! What one side of a connection sends: its socket, and the bytes that were read from it and not yet passed on.

use std::io;

use tokio::net::tcp::OwnedReadHalf;

use super::buffer::Buffer;
use super::framing::Framing;
use super::head::Unrecognized;
use super::pipe::Pipe;

/// Why a message was not passed on completely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TransferError {
    /// The sending side has closed its connection.
    Source,
    /// The receiving side has closed its connection.
    Sink,
    /// The end of the message cannot be found.
    Unrecognized(Unrecognized),
}

/// What one side sends.
#[derive(Debug)]
pub(crate) struct Source {
    pub(super) reader: OwnedReadHalf,
    pub(crate) buffer: Buffer,
    pub(super) pipe: Pipe,
}

impl Source {
    pub(crate) fn new(reader: OwnedReadHalf) -> Self {
        Self { reader, buffer: Buffer::new(), pipe: Pipe::default() }
    }

    /// Reads once into the buffer and returns the byte count, 0 at the end of the stream. Cancel-safe. Must not be
    /// called on a full buffer.
    pub(crate) async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.fill(&mut self.reader).await
    }

    /// Reads more of a body. Returns false if the body ends with the stream.
    pub(super) async fn refill(&mut self, framing: &Framing) -> Result<bool, TransferError> {
        match self.fill().await {
            Ok(1..) => Ok(true),
            Ok(0) if *framing == Framing::UntilClose => Ok(false),
            _ => Err(TransferError::Source),
        }
    }

    /// Parses the head at the beginning of the buffer and leaves it there. Returns `None` if more of it has to be read.
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

    /// Reads the rest of a body and drops it.
    pub(crate) async fn discard(&mut self, framing: &mut Framing) -> Result<(), TransferError> {
        loop {
            let count = take(framing, self.buffer.filled())?;
            self.buffer.consume(count);
            if framing.is_done() || !self.refill(framing).await? {
                return Ok(());
            }
        }
    }

    /// Returns when this side has closed its connection. Bytes that it sends before that stay in the buffer.
    pub(crate) async fn closed(&mut self) {
        while !self.buffer.is_full() {
            match self.fill().await {
                Ok(1..) => {}
                _ => return,
            }
        }
        std::future::pending().await
    }
}

/// Returns how many of these bytes, the next ones of the stream, belong to the body.
pub(super) fn take(framing: &mut Framing, bytes: &[u8]) -> Result<usize, TransferError> {
    framing.take(bytes).map_err(|_| TransferError::Unrecognized(Unrecognized::Framing))
}
