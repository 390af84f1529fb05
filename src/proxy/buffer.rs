//! The buffer between two sockets: bytes that were read and not yet passed on.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes of an empty buffer, and so the most that one read takes. Most heads and many bodies fit into it as a whole.
/// Pages that no read has reached take no memory.
pub(super) const SIZE: usize = 64 * 1024;
/// The longest head in bytes that the buffer grows for. Lambda's clients report the cause of an error in a header of up
/// to 1 MB, `Lambda-Runtime-Function-XRay-Error-Cause` (AWS's clients for Java and Ruby have that limit; no page has
/// it). The rest is for the other headers.
pub(super) const MAX_HEAD: usize = 1024 * 1024 + 128 * 1024;

/// Bytes that were read and not yet passed on.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; SIZE], start: 0, end: 0 }
    }

    /// Returns the bytes that were not passed on yet.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn is_full(&self) -> bool {
        self.end - self.start == self.bytes.len()
    }

    /// Grows a full buffer, so that more of an incomplete head can be read. Returns false if the head is too long.
    pub(crate) fn make_room(&mut self) -> bool {
        if !self.is_full() {
            return true;
        }
        let size = self.bytes.len();
        if size < MAX_HEAD {
            self.bytes.resize(MAX_HEAD.min(size * 2), 0);
        }
        size < MAX_HEAD
    }

    /// Removes the first `count` bytes, which were passed on. A buffer that has grown shrinks as soon as it is empty.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            if self.bytes.len() > SIZE {
                self.bytes.truncate(SIZE);
                self.bytes.shrink_to_fit();
            }
        }
    }

    /// Reads once and returns the byte count, 0 at the end of the stream. Cancel-safe. Must not be called on a full
    /// buffer.
    pub(crate) async fn fill(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        if self.end == self.bytes.len() {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let count = reader.read(&mut self.bytes[self.end..]).await?;
        self.end += count;
        Ok(count)
    }
}
