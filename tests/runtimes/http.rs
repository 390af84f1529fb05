//! The part of HTTP/1.1 that a Runtime API needs. Messages are kept as they were sent, so that tests compare exact
//! bytes.

use std::io::{self, BufRead, Read, Write};
use std::time::Instant;

use serde_json::Value;

/// A request or a response, as it was sent.
#[derive(Clone, Debug)]
pub struct Message {
    /// The request line or the status line.
    pub start: String,
    /// The headers in their order and spelling.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The trailers after a chunked body.
    pub trailers: Vec<(String, String)>,
    /// The time at which each chunk of the body had arrived.
    pub parts: Vec<Instant>,
}

impl Message {
    pub fn header(&self, name: &str) -> Option<&str> {
        value_of(&self.headers, name)
    }

    pub fn trailer(&self, name: &str) -> Option<&str> {
        value_of(&self.trailers, name)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

fn value_of<'a>(lines: &'a [(String, String)], name: &str) -> Option<&'a str> {
    lines.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Reads one message; `None` if the stream ends before it. `proceed` is called if the client waits for 100 Continue.
pub fn read(reader: &mut impl BufRead, proceed: impl FnOnce() -> io::Result<()>) -> io::Result<Option<Message>> {
    let start = line(reader)?;
    if start.is_empty() {
        return Ok(None);
    }
    let mut message =
        Message { start, headers: lines(reader)?, body: Vec::new(), trailers: Vec::new(), parts: Vec::new() };
    if message.header("expect").is_some() {
        proceed()?;
    }
    if message.header("transfer-encoding").is_some() {
        read_chunks(reader, &mut message)?;
    } else if let Some(length) = message.header("content-length") {
        message.body = vec![0; length.parse().map_err(io::Error::other)?];
        reader.read_exact(&mut message.body)?;
    }
    Ok(Some(message))
}

fn read_chunks(reader: &mut impl BufRead, message: &mut Message) -> io::Result<()> {
    loop {
        let length = usize::from_str_radix(line(reader)?.trim(), 16).map_err(io::Error::other)?;
        if length == 0 {
            message.trailers = lines(reader)?;
            return Ok(());
        }
        reader.by_ref().take(length as u64).read_to_end(&mut message.body)?;
        message.parts.push(Instant::now());
        line(reader)?;
    }
}

fn lines(reader: &mut impl BufRead) -> io::Result<Vec<(String, String)>> {
    let mut lines = Vec::new();
    loop {
        let line = line(reader)?;
        let Some((name, value)) = line.split_once(':') else { return Ok(lines) };
        lines.push((name.to_owned(), value.trim().to_owned()));
    }
}

fn line(reader: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// Writes a message with a `Content-Length`.
pub fn write(writer: &mut impl Write, start: &str, headers: &[(String, String)], body: &[u8]) -> io::Result<()> {
    let mut message = format!("{start}\r\n");
    for (name, value) in headers {
        message.push_str(&format!("{name}: {value}\r\n"));
    }
    message.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
    writer.write_all(&[message.as_bytes(), body].concat())
}
