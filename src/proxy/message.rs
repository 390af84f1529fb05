//! The requests that the proxy makes itself: pure.

use std::borrow::Cow;

use super::head::{lines, value_of};
use super::payload;
use super::upstream::Upstream;
use super::verdict::After;

/// Of a streamed answer (lambda/latest/dg/runtimes-custom).
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";
/// Of an error, and behind a stream that has failed midway.
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";

/// A request to the Runtime API, with header lines of its own.
pub(super) fn post(upstream: &Upstream, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {}/2018-06-01/runtime/{path} HTTP/1.1\r\nHost: {}\r\n{headers}\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        upstream.prefix(),
        upstream.authority(),
        body.len(),
    );
    [head.as_bytes(), body].concat()
}

/// An answer to an invocation in the runtime's place: `response` or `error`, the latter with the error's type.
pub(super) fn own_answer(upstream: &Upstream, id: &str, error_type: Option<&str>, body: &[u8]) -> Vec<u8> {
    let kind = if error_type.is_some() { "error" } else { "response" };
    let error = error_type.map_or_else(String::new, |name| format!("Lambda-Runtime-Function-Error-Type: {name}\r\n"));
    post(upstream, &format!("invocation/{id}/{kind}"), &error, body)
}

/// Whether these trailers say that the handler has failed when its answer had begun.
pub(super) fn has_failed(trailers: &[u8]) -> bool {
    value_of(trailers, ERROR_TYPE).is_some()
}

/// The runtime's own answer with another body, and the names of the faults that made a difference.
pub(super) fn changed(head: &[u8], prefix: &str, own: &[u8], after: &After<'_>) -> (Vec<u8>, Vec<&'static str>) {
    let mut streamed = value_of(head, RESPONSE_MODE).is_some_and(|mode| mode.eq_ignore_ascii_case("streaming"));
    let typed = value_of(head, "content-type").unwrap_or_default();
    let has_head = streamed && typed.eq_ignore_ascii_case(payload::HTTP_INTEGRATION);
    let mut body = Cow::Borrowed(own);
    let mut injected = Vec::new();
    for fault in &after.responses {
        injected.push("response");
        let merged = if has_head && streamed { payload::merged_head(&body, fault) } else { None };
        streamed &= merged.is_some();
        body = merged.unwrap_or_else(|| payload::merged(&body, fault)).into();
    }
    for fault in &after.corruptions {
        let damaged = match streamed {
            true => payload::corrupted_stream(&body, has_head, fault),
            false => payload::corrupted(&body, fault),
        };
        if let Some(damaged) = damaged {
            injected.push("corrupt");
            body = damaged.into();
        }
    }
    let mut changed = changed_head(head, prefix, streamed, body.len());
    match streamed {
        true => changed.extend(one_chunk(&body)),
        false => changed.extend_from_slice(&body),
    }
    (changed, injected)
}

/// The head of the runtime's own answer, for another body. No trailers follow it. What was a stream and is none any more
/// is JSON.
fn changed_head(head: &[u8], prefix: &str, streamed: bool, length: usize) -> Vec<u8> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let space = line.iter().position(|byte| *byte == b' ').map_or(0, |at| at + 1);
    let mut changed = [&line[..space], prefix.as_bytes(), &line[space..], b"\r\n"].concat();
    let was_streamed = value_of(head, RESPONSE_MODE).is_some() && !streamed;
    for (name, value) in lines(head) {
        let is = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other.as_bytes()));
        let of_stream = was_streamed && is(&[RESPONSE_MODE, "content-type"]);
        if !of_stream && !is(&["content-length", "transfer-encoding", "trailer", "te", "expect"]) {
            changed.extend([name, b": ", value, b"\r\n"].concat());
        }
    }
    if was_streamed {
        changed.extend(b"Content-Type: application/json\r\n");
    }
    match streamed {
        true => changed.extend(b"Transfer-Encoding: chunked\r\n\r\n"),
        false => changed.extend(format!("Content-Length: {length}\r\n\r\n").into_bytes()),
    }
    changed
}

fn one_chunk(body: &[u8]) -> Vec<u8> {
    match body.is_empty() {
        // An empty chunk would be the last one.
        true => b"0\r\n\r\n".to_vec(),
        false => [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_keeps_what_is_no_text() {
        let head = b"POST /a HTTP/1.1\r\nX-Own: caf\xe9\r\nContent-Length: 2\r\n\r\n";
        let wanted = b"POST /p/a HTTP/1.1\r\nX-Own: caf\xe9\r\nContent-Length: 9\r\n\r\n";
        assert_eq!(changed_head(head, "/p", false, 9), wanted);
        assert_eq!(one_chunk(b""), b"0\r\n\r\n");
    }
}
