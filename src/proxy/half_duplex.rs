//! One direction of a connection: passes a message from the side that sends it to the side that receives it.

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;

use super::framing::Framing;
use super::source::{Source, TransferError, take};

/// One direction of a connection, and the part of its current message that was not passed on yet.
#[derive(Debug)]
pub(super) struct HalfDuplex<'c> {
    /// The sending side: its socket, its buffer, and its pipe. Bytes in the pipe come before those in the buffer.
    pub(super) source: &'c mut Source,
    /// The socket of the receiving side.
    pub(super) writer: &'c mut OwnedWriteHalf,
    /// The number of bytes at the beginning of the buffer that come before the body, usually the head.
    pub(super) lead: usize,
    /// The part of the body that was not passed on yet.
    pub(super) framing: Framing,
}

impl<'c> HalfDuplex<'c> {
    /// Joins a source with a writer, without a message.
    pub(super) fn new(source: &'c mut Source, writer: &'c mut OwnedWriteHalf) -> Self {
        Self { source, writer, lead: 0, framing: Framing::NONE }
    }

    /// Passes the message on: `lead` bytes of the buffer, then the body. Bytes that the receiving side refuses are
    /// dropped.
    ///
    /// A byte leaves buffer and pipe only after it was written, so dropping the future loses and repeats nothing. The
    /// rest of the message then has to pass unparsed ([`drain`](Self::drain)): `lead` and `framing` no longer describe
    /// the buffer.
    pub(super) async fn forward(&mut self) -> Result<(), TransferError> {
        // An earlier future that was dropped can have left bytes in the pipe.
        self.source.pipe.drain(self.writer.as_ref()).await.map_err(|_| TransferError::Sink)?;
        let lead = self.lead;
        // The number of bytes in the buffer that belong to the message.
        let mut ready = lead + take(&mut self.framing, &self.source.buffer.filled()[lead..])?;
        loop {
            self.write(ready).await?;
            if self.framing.is_done() {
                return Ok(());
            }
            if self.source.buffer.is_empty() && !self.splice().await? && !self.source.refill(&self.framing).await? {
                // The sender has closed the stream, which is the end of a body without a length.
                return Ok(());
            }
            ready = take(&mut self.framing, self.source.buffer.filled())?;
        }
    }

    /// Reads the rest of the body and drops it.
    pub(super) async fn discard(&mut self) -> Result<(), TransferError> {
        self.source.discard(&mut self.framing).await
    }

    /// Writes the first `ready` bytes of the buffer.
    async fn write(&mut self, mut ready: usize) -> Result<(), TransferError> {
        let buffer = &mut self.source.buffer;
        while ready > 0 {
            match self.writer.write(&buffer.filled()[..ready]).await {
                Ok(count @ 1..) => {
                    buffer.consume(count);
                    ready -= count;
                }
                // The receiving side is closed, so nothing can be written to it any more.
                _ => {
                    buffer.consume(ready);
                    return Err(TransferError::Sink);
                }
            }
        }
        Ok(())
    }

    /// Passes on the part of a long body that has arrived, without copying it out of the kernel. Returns false if the
    /// body has to go through the buffer instead.
    async fn splice(&mut self) -> Result<bool, TransferError> {
        let Source { reader, pipe, .. } = &mut *self.source;
        match pipe.fill(reader.as_ref(), self.framing.unseen()).await {
            // The stream ends before the body does.
            Ok(Some(0)) | Err(_) => return Err(TransferError::Source),
            Ok(Some(count)) => self.framing.skip(count),
            Ok(None) => return Ok(false),
        }
        pipe.drain(self.writer.as_ref()).await.map_err(|_| TransferError::Sink)?;
        Ok(true)
    }
}
