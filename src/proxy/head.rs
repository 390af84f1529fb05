//! The heads of requests and answers: only what the proxy has to know, and where it stands.

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::buffer::MAX_HEAD;
use super::framing::Framing;
use super::route::{Route, route};

/// Lambda's own requests and answers have about ten.
const MAX_HEADERS: usize = 256;

/// Why a connection's bytes are not understood. From there on they pass as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unrecognized {
    /// It is not HTTP/1.
    Protocol,
    /// A head is longer than may be waited for.
    LongHead,
    /// A head has more headers than are looked at.
    ManyHeaders,
    /// Where a body ends cannot be read.
    Framing,
    /// The Runtime API has switched to another protocol: 101.
    Switched,
    /// An answer's head has ended in the middle.
    Ended,
}

impl fmt::Display for Unrecognized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol => f.write_str("it does not speak HTTP/1.1"),
            Self::LongHead => write!(f, "a head is longer than {MAX_HEAD} bytes"),
            Self::ManyHeaders => write!(f, "a head has more than {MAX_HEADERS} headers"),
            Self::Framing => f.write_str("the length of a body cannot be read"),
            Self::Switched => f.write_str("it was switched to another protocol"),
            Self::Ended => f.write_str("the head of an answer has ended in the middle"),
        }
    }
}

impl From<httparse::Error> for Unrecognized {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => Self::ManyHeaders,
            _ => Self::Protocol,
        }
    }
}

/// A request's head, at the beginning of a buffer.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Its bytes, with the empty line.
    pub(crate) length: usize,
    /// What it asks for.
    pub(crate) route: Route,
    /// Where its path is in the head.
    pub(crate) path: Range<usize>,
    /// Its body.
    pub(crate) framing: Framing,
    /// Whether the connection may serve another one.
    pub(crate) keep: bool,
    /// `Expect: 100-continue`: the body comes when it is asked for.
    pub(crate) expects: bool,
    /// `HEAD`: the answer has no body, whatever it says.
    pub(crate) is_head: bool,
    /// `GET`: whoever asks so may wait for long, and take an event.
    pub(crate) is_poll: bool,
}

/// An answer's head, at the beginning of a buffer.
#[derive(Clone, Debug)]
pub(crate) struct ResponseHead {
    pub(crate) length: usize,
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    pub(crate) keep: bool,
}

impl Request {
    /// Reads a head; `None` where it is not whole.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, Unrecognized> {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        let httparse::Status::Complete(length) = request.parse_with_uninit_headers(bytes, &mut headers)? else {
            return Ok(None);
        };
        let (Some(method), Some(path), Some(version)) = (request.method, request.path, request.version) else {
            return Err(Unrecognized::Protocol);
        };
        // What follows is not this protocol. An `Upgrade` is only an offer: the answer tells.
        if method == "CONNECT" {
            return Err(Unrecognized::Protocol);
        }
        let start = path.as_ptr().addr() - bytes.as_ptr().addr();
        Ok(Some(Self {
            length,
            route: route(method, path),
            path: start..start + path.len(),
            framing: framing(request.headers, Framing::NONE)?,
            keep: keeps(request.headers, version),
            expects: header(request.headers, "expect").is_some(),
            is_head: method == "HEAD",
            is_poll: method == "GET",
        }))
    }
}

impl ResponseHead {
    /// Reads a head; `None` where it is not whole.
    pub(crate) fn parse(bytes: &[u8], to_head: bool) -> Result<Option<Self>, Unrecognized> {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut answer = httparse::Response::new(&mut []);
        let parsed =
            httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut answer, bytes, &mut headers);
        let httparse::Status::Complete(length) = parsed? else { return Ok(None) };
        let (Some(status), Some(version)) = (answer.code, answer.version) else { return Err(Unrecognized::Protocol) };
        let bodiless = to_head || status < 200 || status == 204 || status == 304;
        let framing = if bodiless { Framing::NONE } else { framing(answer.headers, Framing::UntilClose)? };
        let keep = keeps(answer.headers, version) && framing != Framing::UntilClose;
        Ok(Some(Self { length, status, framing, keep }))
    }
}

/// The value of one header of a head, by its name in any case; `None`, too, where it is not text.
pub(crate) fn value_of<'b>(head: &'b [u8], name: &str) -> Option<&'b str> {
    let (_, value) = lines(head).find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))?;
    std::str::from_utf8(value).ok()
}

/// The headers of a whole head, one by one, or the trailers behind the line of the last chunk.
pub(crate) fn lines(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    without_empty_lines(head).split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

/// A head from its first line on: empty lines may come before it (RFC 9112, section 2.2).
pub(crate) fn without_empty_lines(head: &[u8]) -> &[u8] {
    let first = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    &head[first.unwrap_or(head.len())..]
}

fn header<'h>(headers: &[httparse::Header<'h>], name: &str) -> Option<&'h [u8]> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// `without` is that of a message whose headers say nothing about it.
fn framing(headers: &[httparse::Header<'_>], without: Framing) -> Result<Framing, Unrecognized> {
    if let Some(coding) = header(headers, "transfer-encoding") {
        let last = coding.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
        return if last.eq_ignore_ascii_case(b"chunked") { Ok(Framing::chunked()) } else { Err(Unrecognized::Framing) };
    }
    let mut lengths = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("content-length"));
    let Some(first) = lengths.next() else { return Ok(without) };
    let length = std::str::from_utf8(first.value).ok().and_then(|length| length.trim().parse().ok());
    // Lengths that contradict each other are none.
    let length = length.filter(|_| lengths.all(|other| other.value == first.value));
    length.map(Framing::Length).ok_or(Unrecognized::Framing)
}

/// Whether the connection stays open behind this message (RFC 9112, section 9.3).
fn keeps(headers: &[httparse::Header<'_>], version: u8) -> bool {
    let said = |word: &str| {
        header(headers, "connection").is_some_and(|value| {
            value.split(|byte| *byte == b',').any(|each| each.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        })
    };
    if version == 0 { said("keep-alive") } else { !said("close") }
}
