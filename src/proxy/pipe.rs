//! A pipe through which bytes go from one socket to another without leaving the kernel.

use std::io::{self, PipeReader, PipeWriter};

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::process::{enlarge_pipe, splice};

/// A body of which at least so many bytes are still to come goes through the pipe. What is shorter is sooner read and
/// written. (What a fuzzer writes is short.)
const MIN_SPLICED: u64 = if cfg!(fuzzing) { 8 } else { 128 * 1024 };
/// Bytes that a pipe may hold: as many as it may have without privileges (/proc/sys/fs/pipe-max-size). It holds no memory
/// of its own, only references to what the sender has sent.
const PIPE_SIZE: i32 = 1024 * 1024;

/// A pipe, made when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    ends: Ends,
    /// Bytes that were taken from one socket and not yet given to the other. They came before those in the buffer.
    filled: usize,
}

#[derive(Debug, Default)]
enum Ends {
    #[default]
    Unused,
    Open(PipeReader, PipeWriter),
    /// No descriptor was left, or the kernel does not do it: bodies go through the buffer.
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
    /// Takes up to `most` bytes from a socket and returns their number, 0 at the end of the stream. `None` means that they
    /// have to be read: they are few, or there is no pipe. Cancel-safe. The pipe must be empty, for a full one looks like
    /// a socket with nothing to read.
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

    /// Gives everything to a socket. Cancel-safe: what was not given stays. After an error, nothing stays.
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
