//! HTTP/1.1 as far as the two ends of the measurement need it: one message at a time, each with a known length.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Room for a head and for what one read of a body takes: large, so that the ends add as few system calls as they can,
/// and small enough to stay in the processor's cache.
const ROOM: usize = 256 * 1024;
/// What leads to an invocation.
pub const INVOCATION: &str = "/2018-06-01/runtime/invocation";
/// The header with the invocation's id.
pub const REQUEST_ID: &str = "Lambda-Runtime-Aws-Request-Id";
/// Where an id's last group, its number, begins: the ends count invocations there, so that no two have the same id. A
/// proxy that keeps something for each id forever would otherwise not be found out.
const NUMBER: usize = 24;
/// An id, before it is numbered.
pub const ID: &str = "8476a536-e9f4-11e8-9739-000000000000";

/// One connection and the buffer that its messages are read into.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Takes over a connected stream.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; ROOM] })
    }

    /// Sends a whole message.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.stream.write_all(message)
    }

    /// Reads one whole message: its head comes back, its body is only counted. `None` if the other end has closed.
    pub fn receive(&mut self) -> io::Result<Option<Head<'_>>> {
        let mut filled = 0;
        let end = loop {
            match self.stream.read(&mut self.buffer[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
            if let Some(end) = self.buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let body = Head(&self.buffer[..end]).length()?;
        let mut left = (end + body).checked_sub(filled).ok_or_else(|| wrong("more than one message at once"))?;
        while left > 0 {
            let room = left.min(ROOM - end);
            match self.stream.read(&mut self.buffer[end..end + room])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => left -= count,
            }
        }
        Ok(Some(Head(&self.buffer[..end])))
    }
}

/// The start line and the headers of a message.
pub struct Head<'a>(&'a [u8]);

impl<'a> Head<'a> {
    /// Whether the start line begins so.
    pub fn starts_with(&self, start: &str) -> bool {
        self.0.starts_with(start.as_bytes())
    }

    /// A header's value; names are compared without regard to case, for proxies may change it.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.0.split(|byte| *byte == b'\n').find_map(|line| {
            let (found, value) = line.split_at_checked(name.len())?;
            let value = value.strip_prefix(b":")?;
            found.eq_ignore_ascii_case(name.as_bytes()).then(|| str::from_utf8(value).ok().map(str::trim))?
        })
    }

    /// The length of the body.
    pub fn length(&self) -> io::Result<usize> {
        match self.header("Content-Length") {
            Some(length) => length.parse().map_err(|_| wrong("a length that is no number")),
            None if self.header("Transfer-Encoding").is_some() => Err(wrong("a body without its length")),
            None => Ok(0),
        }
    }
}

/// Writes an invocation's number into an id that stands at `at`.
pub fn number(message: &mut [u8], at: usize, number: u64) -> io::Result<()> {
    write!(&mut message[at + NUMBER..at + ID.len()], "{number:012x}")
}

/// Where an id stands in a message that was built with one.
pub fn place_of_id(head: &str) -> io::Result<usize> {
    head.find(ID).ok_or_else(|| wrong("a head without an id"))
}

/// What must not come up between the two ends.
pub fn wrong(what: &str) -> io::Error {
    io::Error::other(format!("unexpected: {what}"))
}
