//! A pipe that moves bytes from one socket to another without leaving the kernel.

use std::io::{self, PipeReader, PipeWriter};

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::process::{enlarge_pipe, splice};

/// The bytes still to come from which on a body goes through the pipe; shorter ones are faster to read and write. (The
/// inputs of a fuzzer are short.)
const MIN_SPLICED: u64 = if cfg!(fuzzing) { 8 } else { 128 * 1024 };
/// Bytes that the pipe can hold: the most that an unprivileged process may ask for (/proc/sys/fs/pipe-max-size). The
/// pipe takes no memory for them; it references the memory of the sender.
const PIPE_SIZE: i32 = 1024 * 1024;

/// A pipe, opened at its first use.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    ends: Ends,
    /// Bytes that were taken from one socket and not yet written to the other. They come before the bytes in the
    /// buffer.
    filled: usize,
}

#[derive(Debug, Default)]
enum Ends {
    #[default]
    Unused,
    Open(PipeReader, PipeWriter),
    /// No descriptor was left, or the kernel does not support it. Bodies go through the buffer.
    Unavailable,
}

impl Ends {
    fn open() -> Self {
        let Ok((reader, writer)) = io::pipe() else { return Self::Unavailable };
        enlarge_pipe(&writer, PIPE_SIZE);
        Self::Open(reader, writer)
    }
}

impl Pipe {
    /// Takes up to `most` bytes from a socket and returns their number, 0 at the end of the stream. `None` means that
    /// they have to be read, because they are few or there is no pipe. Cancel-safe. The pipe must be empty: a full one
    /// cannot be told from a socket without bytes.
    pub(crate) async fn fill(&mut self, source: &TcpStream, most: u64) -> io::Result<Option<u64>> {
        if most < MIN_SPLICED {
            return Ok(None);
        }
        if let Ends::Unused = self.ends {
            self.ends = Ends::open();
        }
        let Ends::Open(_, writer) = &self.ends else { return Ok(None) };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        match source.async_io(Interest::READABLE, || splice(source, writer, most)).await {
            Ok(count) => {
                self.filled += count;
                Ok(Some(count as u64))
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                self.ends = Ends::Unavailable;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes all bytes of the pipe to a socket. Cancel-safe: bytes that were not written stay. After an error, the
    /// pipe is empty.
    pub(crate) async fn drain(&mut self, sink: &TcpStream) -> io::Result<()> {
        while self.filled > 0 {
            let Ends::Open(reader, _) = &self.ends else { return Ok(()) };
            match sink.async_io(Interest::WRITABLE, || splice(reader, sink, self.filled)).await {
                Ok(count @ 1..) => self.filled -= count,
                other => {
                    *self = Self::default();
                    return Err(other.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into()));
                }
            }
        }
        Ok(())
    }
}
