//! A buffer of fixed size between two sockets.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes. Eight of the largest heads fit in, and bodies go through it in few reads and writes: a byte is written from
/// where it was read to. Pages that no read has reached cost no memory.
pub(super) const SIZE: usize = 64 * 1024;

/// What was read and not yet passed on.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    pub(crate) fn new() -> Self {
        Self { bytes: vec![0; SIZE].into_boxed_slice(), start: 0, end: 0 }
    }

    /// What is waiting.
    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub(crate) fn is_full(&self) -> bool {
        self.end - self.start == self.bytes.len()
    }

    /// Forgets the first `count` bytes: they were passed on.
    pub(crate) fn consume(&mut self, count: usize) {
        self.start = (self.start + count).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Reads once; 0 is the end of the stream. Must not be called while it is full. A read that is given up has read
    /// nothing.
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
