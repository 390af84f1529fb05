//! The heads of requests and responses: what the proxy has to know of them, and where in the head it is.

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::Range;

use super::buffer::MAX_HEAD;
use super::framing::Framing;
use super::route::{Route, route};

/// The most headers of a head. Lambda's own requests and responses have about ten.
const MAX_HEADERS: usize = 256;

/// Why the bytes of a connection are not recognized. From there on, they pass unparsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unrecognized {
    /// The bytes are not HTTP/1.
    Protocol,
    /// A head exceeds [`MAX_HEAD`].
    LongHead,
    /// A head has more than [`MAX_HEADERS`].
    ManyHeaders,
    /// The end of a body cannot be found.
    Framing,
    /// The Runtime API has switched to another protocol (status 101).
    Switched,
    /// The connection has ended in the middle of a response head.
    Ended,
}

impl fmt::Display for Unrecognized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol => f.write_str("it is not HTTP/1.1"),
            Self::LongHead => write!(f, "a head has more than {MAX_HEAD} bytes"),
            Self::ManyHeaders => write!(f, "a head has more than {MAX_HEADERS} headers"),
            Self::Framing => f.write_str("the end of a body cannot be found"),
            Self::Switched => f.write_str("it has switched to another protocol"),
            Self::Ended => f.write_str("the head of a response is incomplete"),
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

/// The head of a request at the beginning of a buffer.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Bytes of the head, including the empty line.
    pub(crate) length: usize,
    /// What the request is for.
    pub(crate) route: Route,
    /// The position of the path in the head.
    pub(crate) path: Range<usize>,
    /// The body.
    pub(crate) framing: Framing,
    /// Whether the connection can serve another request.
    pub(crate) keep: bool,
    /// `Expect: 100-continue`: the client sends the body only after an interim response.
    pub(crate) expects: bool,
    /// `HEAD`: the response has no body, regardless of its headers.
    pub(crate) is_head: bool,
    /// `GET`: the request may wait for long, and take an event.
    pub(crate) is_poll: bool,
}

/// The head of a response at the beginning of a buffer.
#[derive(Clone, Debug)]
pub(crate) struct ResponseHead {
    pub(crate) length: usize,
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    pub(crate) keep: bool,
}

impl Request {
    /// Parses a head; `None` if it is incomplete.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Self>, Unrecognized> {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut []);
        let httparse::Status::Complete(length) = request.parse_with_uninit_headers(bytes, &mut headers)? else {
            return Ok(None);
        };
        let (Some(method), Some(path), Some(version)) = (request.method, request.path, request.version) else {
            return Err(Unrecognized::Protocol);
        };
        // The bytes after it are another protocol. An `Upgrade` is only an offer; the response decides.
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
    /// Parses the head of a response; `None` if it is incomplete. `to_head` tells that the request was a `HEAD`.
    pub(crate) fn parse(bytes: &[u8], to_head: bool) -> Result<Option<Self>, Unrecognized> {
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut []);
        let parsed =
            httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, bytes, &mut headers);
        let httparse::Status::Complete(length) = parsed? else { return Ok(None) };
        let (Some(status), Some(version)) = (response.code, response.version) else {
            return Err(Unrecognized::Protocol);
        };
        let has_no_body = to_head || status < 200 || status == 204 || status == 304;
        let framing = if has_no_body { Framing::NONE } else { framing(response.headers, Framing::UntilClose)? };
        let keep = keeps(response.headers, version) && framing != Framing::UntilClose;
        Ok(Some(Self { length, status, framing, keep }))
    }
}

/// Returns the value of a header by its name in any case; `None` also if the value is not text.
pub(crate) fn value_of<'b>(head: &'b [u8], name: &str) -> Option<&'b str> {
    let (_, value) = lines(head).find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))?;
    std::str::from_utf8(value).ok()
}

/// Returns the headers of a complete head, or the trailers after the line of the last chunk.
pub(crate) fn lines(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    without_empty_lines(head).split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

/// Returns a head without the empty lines before it (RFC 9112, section 2.2).
pub(crate) fn without_empty_lines(head: &[u8]) -> &[u8] {
    let first = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    &head[first.unwrap_or(head.len())..]
}

fn header<'h>(headers: &[httparse::Header<'h>], name: &str) -> Option<&'h [u8]> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// Returns the framing that the headers give, or `default` if they give none.
fn framing(headers: &[httparse::Header<'_>], default: Framing) -> Result<Framing, Unrecognized> {
    if let Some(coding) = header(headers, "transfer-encoding") {
        let last = coding.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
        return if last.eq_ignore_ascii_case(b"chunked") { Ok(Framing::chunked()) } else { Err(Unrecognized::Framing) };
    }
    let mut lengths = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("content-length"));
    let Some(first) = lengths.next() else { return Ok(default) };
    let length = std::str::from_utf8(first.value).ok().and_then(|length| length.trim().parse().ok());
    // Contradictory lengths are no length.
    let length = length.filter(|_| lengths.all(|other| other.value == first.value));
    length.map(Framing::Length).ok_or(Unrecognized::Framing)
}

/// Whether the connection stays open after this message (RFC 9112, section 9.3).
fn keeps(headers: &[httparse::Header<'_>], version: u8) -> bool {
    let has = |word: &str| {
        header(headers, "connection").is_some_and(|value| {
            value.split(|byte| *byte == b',').any(|each| each.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        })
    };
    if version == 0 { has("keep-alive") } else { !has("close") }
}
