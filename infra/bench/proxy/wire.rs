//! The part of HTTP/1.1 that the two ends of the measurement need: one message at a time, each with a known length.

use std::io::{self, Read, Write};
use std::net::TcpStream;

/// Room for a head and for one read of a body: large, so that the ends add few system calls, and small enough for the
/// processor's cache.
const ROOM: usize = 256 * 1024;
/// The path of invocations.
pub const INVOCATION: &str = "/2018-06-01/runtime/invocation";
/// The header with the invocation's id.
pub const REQUEST_ID: &str = "Lambda-Runtime-Aws-Request-Id";
/// The position of an id's last group, its number. The ends count invocations there, so that every id differs.
/// Otherwise a proxy that keeps something for each id forever would not be detected.
const NUMBER: usize = 24;
/// An id without its number.
pub const ID: &str = "8476a536-e9f4-11e8-9739-000000000000";

/// One connection and the buffer for its messages.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Wraps a connected stream.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; ROOM] })
    }

    /// Sends a whole message.
    pub fn send(&mut self, message: &[u8]) -> io::Result<()> {
        self.stream.write_all(message)
    }

    /// Reads one whole message and returns its head; the body is only counted. `None` if the other end has closed.
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
        let mut left = (end + body).checked_sub(filled).ok_or_else(|| wrong("more than one message in one read"))?;
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
    /// Returns whether the start line begins with this text.
    pub fn starts_with(&self, start: &str) -> bool {
        self.0.starts_with(start.as_bytes())
    }

    /// Returns a header's value. Names are compared in any case, because proxies may change the case.
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.0.split(|byte| *byte == b'\n').find_map(|line| {
            let (found, value) = line.split_at_checked(name.len())?;
            let value = value.strip_prefix(b":")?;
            found.eq_ignore_ascii_case(name.as_bytes()).then(|| str::from_utf8(value).ok().map(str::trim))?
        })
    }

    /// Returns the length of the body.
    pub fn length(&self) -> io::Result<usize> {
        match self.header("Content-Length") {
            Some(length) => length.parse().map_err(|_| wrong("a length that is no number")),
            None if self.header("Transfer-Encoding").is_some() => Err(wrong("a body without its length")),
            None => Ok(0),
        }
    }
}

/// Writes an invocation's number into the id at `at`.
pub fn number(message: &mut [u8], at: usize, number: u64) -> io::Result<()> {
    write!(&mut message[at + NUMBER..at + ID.len()], "{number:012x}")
}

/// Returns the position of the id in a message that was built with one.
pub fn place_of_id(head: &str) -> io::Result<usize> {
    head.find(ID).ok_or_else(|| wrong("a head without an id"))
}

/// Returns the error for something that the two ends do not expect.
pub fn wrong(what: &str) -> io::Error {
    io::Error::other(format!("unexpected: {what}"))
}
