//! One side of a connection: the socket to the runtime, or the one to the Runtime API.

use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::process::limit_send_buffer;
use super::source::Source;

/// Bytes of a socket's send buffer; the kernel doubles the number. All sockets are on one machine, so a larger buffer
/// would not be faster: the proxy moves a large body while it is still in the processor's cache, and takes less of the
/// function's memory.
const SEND_BUFFER: i32 = 128 * 1024;

/// One side of a connection.
#[derive(Debug)]
pub(super) struct Side {
    /// What this side sends.
    pub(super) source: Source,
    /// Where this side receives what the other one sends.
    pub(super) writer: OwnedWriteHalf,
}

impl From<TcpStream> for Side {
    fn from(stream: TcpStream) -> Self {
        limit_send_buffer(&stream, SEND_BUFFER);
        let (reader, writer) = stream.into_split();
        Self { source: Source::new(reader), writer }
    }
}
