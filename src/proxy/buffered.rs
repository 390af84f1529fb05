//! A whole message in memory, so that its body can be examined or replaced.

use std::borrow::Cow;

use super::framing::Framing;
use super::head::Unrecognized;
use super::source::{Source, TransferError};

/// The most bytes of a payload that are kept in memory: Lambda's limit of 6 MB
/// (lambda/latest/dg/gettingstarted-limits), and a reserve, because the page does not say what counts.
pub(super) const MAX_BUFFERED: usize = 6 * 1024 * 1024 + 128 * 1024;
/// The most bytes of a message that are kept in memory, head and chunk framing included.
const MAX_FRAMED: usize = 2 * MAX_BUFFERED;

/// A message that was read completely, or up to the limits.
#[derive(Debug)]
pub(super) struct BufferedMessage {
    head: usize,
    bytes: Vec<u8>,
    chunked: bool,
    /// Bytes of the payload that were read.
    payload: usize,
    /// The part of the body that was not read yet; done when the message is complete.
    framing: Framing,
    /// Why reading stopped before the end of the message.
    stop: Option<TransferError>,
}

impl BufferedMessage {
    /// Takes the head of a message out of the source's buffer.
    pub(super) fn new(source: &mut Source, head: usize, framing: Framing) -> Self {
        let bytes = source.buffer.filled().get(..head).unwrap_or_default().to_vec();
        source.buffer.consume(head);
        Self { head, bytes, chunked: matches!(framing, Framing::Chunked(_)), payload: 0, framing, stop: None }
    }

    /// Reads until the message is complete, reaches a limit or breaks off. Cancel-safe: a second call continues.
    pub(super) async fn read(&mut self, source: &mut Source) {
        while !self.framing.is_done() && self.payload < MAX_BUFFERED && self.bytes.len() < MAX_FRAMED {
            if source.buffer.is_empty() && !matches!(source.fill().await, Ok(1..)) {
                match self.framing {
                    Framing::UntilClose => self.framing = Framing::NONE,
                    _ => self.stop = Some(TransferError::Source),
                }
                return;
            }
            let Ok((count, payload)) = self.framing.take_payload(source.buffer.filled()) else {
                // The end of the body cannot be found, so the rest passes until the connection closes.
                (self.framing, self.stop) =
                    (Framing::UntilClose, Some(TransferError::Unrecognized(Unrecognized::Framing)));
                return;
            };
            self.payload += payload;
            self.bytes.extend_from_slice(&source.buffer.filled()[..count]);
            source.buffer.consume(count);
        }
    }

    pub(super) fn head(&self) -> &[u8] {
        &self.bytes[..self.head]
    }

    /// Returns the head and the part of the body that was read, unchanged.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the part of the body that was not read.
    pub(super) fn rest(self) -> Framing {
        self.framing
    }

    pub(super) fn stop(&self) -> Option<TransferError> {
        self.stop
    }

    /// Returns the body without its framing, and the trailers after it; `None` if the message is incomplete.
    pub(super) fn body(&self) -> Option<(Cow<'_, [u8]>, &[u8])> {
        let body = &self.bytes[self.head..];
        let framing = if self.chunked { Framing::chunked() } else { Framing::UntilClose };
        self.framing.is_done().then(|| framing.decode(body).ok()).flatten()
    }
}
