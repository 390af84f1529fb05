//! The requests that the proxy sends itself: pure.

use std::borrow::Cow;

use super::damage;
use super::head::{lines, value_of, without_empty_lines};
use super::http_payload::HTTP_INTEGRATION;
use super::payload;
use super::upstream::Upstream;
use super::verdict::ResultChanges;

/// The header of a streamed response (lambda/latest/dg/runtimes-custom).
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";
/// The header of an error, and the trailer of a stream that has failed midway.
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";

/// The header that distinguishes two invocations of one request, of which the first has timed out. The Runtime API
/// sends it with an event, and refuses a result with another one (awslambdaric 4.0.2; lambda/latest/dg/runtimes-api
/// does not have it).
pub(super) const INVOCATION_ID: &str = "lambda-runtime-invocation-id";

/// What identifies an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InvocationKey {
    pub(super) request: String,
    /// Its id, if the Runtime API sends one.
    pub(super) invocation: Option<String>,
}

impl InvocationKey {
    /// Builds the key from the id of a request, and the head of its event or of its result.
    pub(super) fn new(request: &str, head: &[u8]) -> Self {
        Self { request: request.to_owned(), invocation: value_of(head, INVOCATION_ID).map(str::to_owned) }
    }
}

/// Builds a request to the Runtime API with additional header lines.
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

/// Builds the request that posts a result in the runtime's place: an error if there is an error type, otherwise a
/// response.
pub(super) fn result_request(
    upstream: &Upstream,
    key: &InvocationKey,
    error_type: Option<&str>,
    body: &[u8],
) -> Vec<u8> {
    let kind = if error_type.is_some() { "error" } else { "response" };
    let mut headers = String::new();
    for (name, value) in [
        ("Lambda-Runtime-Function-Error-Type", error_type),
        ("Lambda-Runtime-Invocation-Id", key.invocation.as_deref()),
    ] {
        if let Some(value) = value {
            headers.extend([name, ": ", value, "\r\n"]);
        }
    }
    post(upstream, &format!("invocation/{}/{kind}", key.request), &headers, body)
}

/// Whether these trailers report that the handler failed after its response had begun.
pub(super) fn has_failed(trailers: &[u8]) -> bool {
    value_of(trailers, ERROR_TYPE).is_some()
}

/// Changes the body of the runtime's own response. Returns the request that posts it, and the names of the faults that
/// made a difference.
pub(super) fn changed(
    head: &[u8],
    prefix: &str,
    own: &[u8],
    result_changes: &ResultChanges<'_>,
) -> (Vec<u8>, Vec<&'static str>) {
    let mut streamed = value_of(head, RESPONSE_MODE).is_some_and(|mode| mode.eq_ignore_ascii_case("streaming"));
    let typed = value_of(head, "content-type").unwrap_or_default();
    let has_head = streamed && typed.eq_ignore_ascii_case(HTTP_INTEGRATION);
    let mut body = Cow::Borrowed(own);
    let mut injected = Vec::new();
    for fault in &result_changes.responses {
        injected.push("response");
        let merged = if has_head && streamed { payload::merged_head(&body, fault) } else { None };
        streamed &= merged.is_some();
        body = merged.unwrap_or_else(|| payload::merged(&body, fault)).into();
    }
    for fault in &result_changes.corruptions {
        let damaged = match streamed {
            true => damage::corrupted_stream(&body, has_head, fault),
            false => damage::corrupted(&body, fault),
        };
        if let Some(damaged) = damaged {
            injected.push("corrupt");
            body = damaged.into();
        }
    }
    let mut changed = changed_head(head, prefix, streamed, body.len());
    // Reserve exactly: a vector that grows by appending can take twice the size.
    changed.reserve_exact(body.len() + CHUNK_FRAMING);
    match streamed {
        true => push_chunk(&mut changed, &body),
        false => changed.extend_from_slice(&body),
    }
    (changed, injected)
}

/// Changes the head of the runtime's own response for another body, which has no trailers. A stream that becomes an
/// ordinary response becomes JSON.
fn changed_head(head: &[u8], prefix: &str, streamed: bool, length: usize) -> Vec<u8> {
    let line = without_empty_lines(head).split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
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

/// Bytes that one chunk and the last chunk add to the data: at most 16 digits of the size, one 0, and five line ends.
const CHUNK_FRAMING: usize = 27;

/// Writes a body as one chunk and the last chunk. An empty body is only the last chunk.
fn push_chunk(out: &mut Vec<u8>, body: &[u8]) {
    if !body.is_empty() {
        out.extend(format!("{:x}\r\n", body.len()).into_bytes());
        out.extend_from_slice(body);
        out.extend(b"\r\n");
    }
    out.extend(b"0\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_head_keeps_bytes_that_are_not_text() {
        let head = b"POST /a HTTP/1.1\r\nX-Own: caf\xe9\r\nContent-Length: 2\r\n\r\n";
        let wanted = b"POST /p/a HTTP/1.1\r\nX-Own: caf\xe9\r\nContent-Length: 9\r\n\r\n";
        assert_eq!(changed_head(head, "/p", false, 9), wanted);
    }

    #[test]
    fn a_result_in_the_runtimes_place_names_its_invocation() {
        let upstream = |at| Upstream::parse(at).unwrap_or_else(|why| unreachable!("{why}"));
        let key = InvocationKey::new("r-1", b"HTTP/1.1 200 OK\r\nLambda-Runtime-Invocation-Id: i-1\r\n\r\n");
        let error = result_request(&upstream("http://api:9001/p"), &key, Some("Db.Down"), b"{}");
        let wanted = "POST /p/2018-06-01/runtime/invocation/r-1/error HTTP/1.1\r\nHost: api:9001\r\n\
            Lambda-Runtime-Function-Error-Type: Db.Down\r\nLambda-Runtime-Invocation-Id: i-1\r\n\
            Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(String::from_utf8_lossy(&error), wanted);
        let key = InvocationKey::new("r-2", b"HTTP/1.1 200 OK\r\n\r\n");
        let response = result_request(&upstream("api:9001"), &key, None, b"[]");
        let wanted = "POST /2018-06-01/runtime/invocation/r-2/response HTTP/1.1\r\nHost: api:9001\r\n\
            Content-Type: application/json\r\nContent-Length: 2\r\n\r\n[]";
        assert_eq!(String::from_utf8_lossy(&response), wanted);
    }

    use crate::model::invocation::{CorruptFault, ResponseFault};

    fn response(text: &str) -> ResponseFault {
        serde_json::from_str(text).unwrap_or_else(|error| unreachable!("{text}: {error}"))
    }

    fn corrupt(text: &str) -> CorruptFault {
        serde_json::from_str(text).unwrap_or_else(|error| unreachable!("{text}: {error}"))
    }

    /// Returns the response after the faults, as text, and the injected faults.
    fn change(head: &str, own: &str, responses: &[ResponseFault], corruptions: &[CorruptFault]) -> (String, String) {
        let result_changes = ResultChanges {
            responses: responses.iter().collect(),
            corruptions: corruptions.iter().collect(),
            ..ResultChanges::default()
        };
        let (changed, injected) = changed(head.as_bytes(), "", own.as_bytes(), &result_changes);
        (String::from_utf8_lossy(&changed).into_owned(), injected.join(" "))
    }

    const PLAIN: &str = "POST /a HTTP/1.1\r\nContent-Length: 9\r\n\r\n";
    const STREAM: &str = "POST /a HTTP/1.1\r\nLambda-Runtime-Function-Response-Mode: Streaming\r\n\
        Content-Type: text/x\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n";
    const HTTP_STREAM: &str = "POST /a HTTP/1.1\r\nlambda-runtime-function-response-mode: streaming\r\n\
        Content-Type: application/vnd.awslambda.HTTP-integration-response\r\nTransfer-Encoding: chunked\r\n\r\n";

    #[test]
    fn each_fault_changes_the_output_of_the_previous_one() {
        let faults = [response(r#"{"statusCode":404,"when":"after"}"#), response(r#"{"body":"four","when":"after"}"#)];
        let damage =
            [corrupt(r#"{"truncateBytes":2}"#), corrupt(r#"{"truncateBytes":9}"#), corrupt(r#"{"replace":"x"}"#)];
        let (changed, injected) = change(PLAIN, r#"{"statusCode":200}"#, &faults, &damage);
        let wanted = r#"{"statusCode":404,"body":"x","isBase64Encoded":false}"#;
        assert_eq!(changed, format!("POST /a HTTP/1.1\r\nContent-Length: {}\r\n\r\n{wanted}", wanted.len()));
        assert_eq!(injected, "response response corrupt corrupt");
        assert_eq!(change(PLAIN, "[]", &[], &[corrupt(r#"{"mangle":true}"#)]).1, "");
    }

    #[test]
    fn a_damaged_stream_stays_a_stream() {
        let (changed, injected) = change(STREAM, "abc", &[], &[corrupt(r#"{"truncateBytes":2}"#)]);
        let wanted = "POST /a HTTP/1.1\r\nLambda-Runtime-Function-Response-Mode: Streaming\r\n\
            Content-Type: text/x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
        assert_eq!((changed.as_str(), injected.as_str()), (wanted, "corrupt"));
        // A stream of another type has no head to keep.
        let with_head = "{}\0\0\0\0\0\0\0\0b";
        let of_type = |head| change(head, with_head, &[], &[corrupt(r#"{"replace":""}"#)]).0;
        assert!(of_type(STREAM).ends_with("\r\n\r\n0\r\n\r\n"), "{}", of_type(STREAM));
        assert!(
            of_type(HTTP_STREAM).ends_with("\r\n\r\na\r\n{}\0\0\0\0\0\0\0\0\r\n0\r\n\r\n"),
            "{}",
            of_type(HTTP_STREAM)
        );
    }

    #[test]
    fn a_stream_with_a_replaced_body_is_no_longer_a_stream() {
        let own = "{\"statusCode\":200}\0\0\0\0\0\0\0\0body";
        let body = r#"{"statusCode":404,"headers":{},"body":"x","isBase64Encoded":false}"#;
        let wanted = format!(
            "POST /a HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let faults = [response(r#"{"statusCode":404,"body":"x","when":"after"}"#)];
        for head in [STREAM, HTTP_STREAM] {
            assert_eq!(change(head, own, &faults, &[]), (wanted.clone(), "response".to_owned()), "{head}");
        }
        // The faults after that change an ordinary response.
        let again = [faults[0].clone(), response(r#"{"statusCode":500,"when":"after"}"#)];
        let (changed, _) = change(HTTP_STREAM, own, &again, &[corrupt(r#"{"replace":"y"}"#)]);
        let body = r#"{"statusCode":500,"headers":{},"body":"y","isBase64Encoded":false}"#;
        assert!(changed.ends_with(&format!("\r\n\r\n{body}")) && !changed.contains("chunked"), "{changed}");
    }

    #[test]
    fn the_head_of_a_streamed_http_response_can_change_alone() {
        let faults = [response(r#"{"statusCode":404,"when":"after"}"#)];
        let (changed, _) = change(HTTP_STREAM, "{\"statusCode\":200}\0\0\0\0\0\0\0\0body", &faults, &[]);
        let wanted = "\r\n\r\n1e\r\n{\"statusCode\":404}\0\0\0\0\0\0\0\0body\r\n0\r\n\r\n";
        assert!(changed.ends_with(wanted) && changed.contains("integration-response"), "{changed}");
    }

    #[test]
    fn zero_bytes_end_no_head_in_a_stream_of_another_type() {
        let faults = [response(r#"{"statusCode":404,"when":"after"}"#)];
        let (changed, _) = change(STREAM, "{\"statusCode\":200}\0\0\0\0\0\0\0\0body", &faults, &[]);
        let body = r#"{"statusCode":404,"headers":{},"body":"","isBase64Encoded":false}"#;
        assert!(changed.ends_with(&format!("\r\n\r\n{body}")) && !changed.contains("chunked"), "{changed}");
    }

    #[test]
    fn a_changed_response_takes_no_more_memory_than_its_size() {
        let fault = corrupt(r#"{"truncateBytes":100000}"#);
        let result_changes = ResultChanges { corruptions: vec![&fault], ..ResultChanges::default() };
        let (changed, _) = changed(STREAM.as_bytes(), "", &[b'x'; 200_000], &result_changes);
        assert!((100_000..101_000).contains(&changed.capacity()), "{}", changed.capacity());
    }

    #[test]
    fn a_trailer_reports_that_a_stream_has_failed() {
        assert!(has_failed(b"\r\n0\r\nlambda-runtime-function-error-type: Midway\r\n\r\n"));
        assert!(!has_failed(b"\r\n0\r\nLambda-Runtime-Function-Error-Body: x\r\n\r\n") && !has_failed(b""));
    }

    #[test]
    fn a_changed_head_keeps_its_headers_for_any_line_ends() {
        let wanted = b"POST /a HTTP/1.1\r\nX-Own: 1\r\nContent-Length: 9\r\n\r\n";
        for head in [
            &b"POST /a HTTP/1.1\nX-Own: 1\nContent-Length: 2\n\n"[..],
            b"POST /a HTTP/1.1\nX-Own:1\r\nTransfer-Encoding: chunked\n\r\n",
            b"\r\n\nPOST /a HTTP/1.1\r\nX-Own: \t1 \r\nTrailer: X-Sum\n\r\n",
        ] {
            assert_eq!(changed_head(head, "", false, 9), wanted, "{}", head.escape_ascii());
        }
    }

    proptest::proptest! {
        #[test]
        fn a_changed_head_is_one_head_with_the_same_headers(
            names in proptest::collection::vec("X-[A-Za-z0-9]{1,8}", 0..6),
            values in proptest::collection::vec("[ -~]{0,12}", 6),
            ends in proptest::collection::vec(proptest::bool::ANY, 9),
        ) {
            let end = |at: usize| if ends[at] { "\r\n" } else { "\n" };
            let mut head = format!("{}POST /a HTTP/1.1{}", if ends[8] { "\r\n" } else { "" }, end(7));
            let own: Vec<_> = names.iter().zip(&values).map(|(name, value)| (name.as_str(), value.trim())).collect();
            for (at, (name, value)) in own.iter().enumerate() {
                head.push_str(&format!("{name}: {value}{}", end(at)));
            }
            head.push_str(end(6));
            let changed = changed_head(head.as_bytes(), "/p", false, 3);
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut request = httparse::Request::new(&mut headers);
            proptest::prop_assert_eq!(request.parse(&changed), Ok(httparse::Status::Complete(changed.len())));
            proptest::prop_assert_eq!((request.method, request.path), (Some("POST"), Some("/p/a")));
            let now: Vec<_> = request.headers.iter().map(|h| (h.name, std::str::from_utf8(h.value).unwrap_or_default())).collect();
            let wanted: Vec<_> = own.into_iter().chain([("Content-Length", "3")]).collect();
            proptest::prop_assert_eq!(now, wanted);
        }
    }
}
