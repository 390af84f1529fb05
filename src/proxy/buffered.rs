//! A message in memory, so that it can be looked into or changed.

use std::borrow::Cow;

use super::framing::Framing;
use super::head::Unrecognized;
use super::source::{Source, TransferError};

/// Bytes of a payload that are held at once: Lambda's own limit of 6 MB (lambda/latest/dg/gettingstarted-limits), and some
/// room, for it is not said what counts.
pub(super) const MAX_BUFFERED: usize = 6 * 1024 * 1024 + 128 * 1024;
/// Bytes of the same as it came, with its head and what frames its chunks.
const MAX_FRAMED: usize = 2 * MAX_BUFFERED;

/// A message that was read in full, or as far as may be held.
#[derive(Debug)]
pub(super) struct BufferedMessage {
    head: usize,
    bytes: Vec<u8>,
    chunked: bool,
    /// Bytes of its payload that were read.
    payload: usize,
    /// What of its body is still to come; done where it is whole.
    framing: Framing,
    /// Why it does not go on, where it broke off.
    stop: Option<TransferError>,
}

impl BufferedMessage {
    /// Takes a message's head out of the buffer.
    pub(super) fn new(source: &mut Source, head: usize, framing: Framing) -> Self {
        let bytes = source.buffer.filled().get(..head).unwrap_or_default().to_vec();
        source.buffer.consume(head);
        Self { head, bytes, chunked: matches!(framing, Framing::Chunked(_)), payload: 0, framing, stop: None }
    }

    /// Reads on until it is whole, or more than may be held, or breaks off. May be given up and begun again.
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
                // Where it ends cannot be known: it goes on as it comes.
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

    /// What was read, head and body, as it came.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is still to come.
    pub(super) fn rest(self) -> Framing {
        self.framing
    }

    pub(super) fn stop(&self) -> Option<TransferError> {
        self.stop
    }

    /// The body without its framing, and what stands behind it; `None` where it is not all here.
    pub(super) fn body(&self) -> Option<(Cow<'_, [u8]>, &[u8])> {
        let body = &self.bytes[self.head..];
        let framing = if self.chunked { Framing::chunked() } else { Framing::UntilClose };
        self.framing.is_done().then(|| framing.decode(body).ok()).flatten()
    }
}
