//! The heads of requests and answers: only what the proxy has to know, and where it stands.

use std::ops::Range;

use super::framing::Framing;
use super::route::{Route, route};

/// Lambda's own requests and answers have about ten.
const MAX_HEADERS: usize = 100;

/// What the beginning of a stream holds.
#[derive(Debug)]
pub(crate) enum Parsed<T> {
    /// A whole head.
    Whole(T),
    /// The beginning of one.
    Partial,
    /// Nothing that we understand.
    Strange,
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
pub(crate) struct Answer {
    pub(crate) length: usize,
    pub(crate) status: u16,
    pub(crate) framing: Framing,
    pub(crate) keep: bool,
}

impl Request {
    pub(crate) fn parse(bytes: &[u8]) -> Parsed<Self> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let length = match request.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Parsed::Partial,
            Err(_) => return Parsed::Strange,
        };
        let (Some(method), Some(path), Some(version)) = (request.method, request.path, request.version) else {
            return Parsed::Strange;
        };
        // Whatever the client speaks behind these, it is not this protocol.
        if method == "CONNECT" || header(request.headers, "upgrade").is_some() {
            return Parsed::Strange;
        }
        let Some(framing) = framing(request.headers, Framing::NONE) else { return Parsed::Strange };
        let start = path.as_ptr().addr() - bytes.as_ptr().addr();
        Parsed::Whole(Self {
            length,
            route: route(method, path),
            path: start..start + path.len(),
            framing,
            keep: keeps(request.headers, version),
            expects: header(request.headers, "expect").is_some(),
            is_head: method == "HEAD",
            is_poll: method == "GET",
        })
    }
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8], to_head: bool) -> Parsed<Self> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut answer = httparse::Response::new(&mut headers);
        let length = match answer.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Parsed::Partial,
            Err(_) => return Parsed::Strange,
        };
        let (Some(status), Some(version)) = (answer.code, answer.version) else { return Parsed::Strange };
        let bodiless = to_head || status < 200 || status == 204 || status == 304;
        let framing = if bodiless { Some(Framing::NONE) } else { framing(answer.headers, Framing::UntilClose) };
        let Some(framing) = framing else { return Parsed::Strange };
        let keep = keeps(answer.headers, version) && framing != Framing::UntilClose;
        Parsed::Whole(Self { length, status, framing, keep })
    }
}

/// The value of one header of a head, by its name in any case; `None`, too, where it is not text.
pub(crate) fn value_of<'b>(head: &'b [u8], name: &str) -> Option<&'b str> {
    let (_, value) = lines(head).find(|(key, _)| key.eq_ignore_ascii_case(name.as_bytes()))?;
    std::str::from_utf8(value).ok()
}

/// The headers of a whole head, one by one, or the trailers behind the line of the last chunk.
pub(crate) fn lines(head: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    head.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

fn header<'h>(headers: &[httparse::Header<'h>], name: &str) -> Option<&'h [u8]> {
    headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

/// `None` where the lengths contradict each other.
fn framing(headers: &[httparse::Header<'_>], without: Framing) -> Option<Framing> {
    if let Some(coding) = header(headers, "transfer-encoding") {
        let last = coding.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
        return last.eq_ignore_ascii_case(b"chunked").then(Framing::chunked);
    }
    let mut lengths = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("content-length"));
    let Some(first) = lengths.next() else { return Some(without) };
    let length = std::str::from_utf8(first.value).ok()?.trim().parse().ok()?;
    lengths.all(|other| other.value == first.value).then_some(Framing::Length(length))
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
