//! The payloads that faults make: pure.
//!
//! A handler's answer is never built in memory. Its top level is read as names and slices, what a fault names is written
//! anew, and all else is copied as it is written: the result is one more payload's size, whatever the payload is.

use std::collections::BTreeMap;

use serde_json::json;

use crate::model::invocation::{Corrupt, CorruptFault, ErrorFault, ResponseFault};

use super::json::{self, Member, ObjectWriter, Piece, Sink, characters, is_text, members, pieces, push_text};

/// The bytes between an HTTP answer's head and its body in a streamed answer
/// (lambda/latest/dg/response-streaming: the head is JSON, eight zero bytes follow).
const PRELUDE_END: [u8; 8] = [0; 8];

/// The content type of a streamed answer with such a head.
pub(crate) const HTTP_INTEGRATION: &str = "application/vnd.awslambda.http-integration-response";

/// Encodes an error as runtimes report one (lambda/latest/dg/runtimes-api).
pub(crate) fn error(error_type: &str, message: &str) -> Vec<u8> {
    json!({ "errorMessage": message, "errorType": error_type, "stackTrace": [] }).to_string().into_bytes()
}

/// Encodes the payload of an `error` fault.
pub(crate) fn of_error(fault: &ErrorFault) -> Vec<u8> {
    error(&fault.error_type, &fault.message)
}

/// Encodes the payload of a `response` fault that replaces the handler or its whole answer.
pub(crate) fn of_response(fault: &ResponseFault) -> Vec<u8> {
    let raw = fault.raw.clone();
    let whole = || put(r#"{"statusCode":200,"headers":{},"body":"","isBase64Encoded":false}"#, fault);
    raw.unwrap_or_else(whole).into_bytes()
}

/// Replaces the parts of the handler's answer that a `response` fault gives. An answer that is not in HTTP's form is
/// replaced as a whole.
pub(crate) fn merged(own: &[u8], fault: &ResponseFault) -> Vec<u8> {
    match http(own).filter(|_| fault.raw.is_none()) {
        Some(answer) => put(answer, fault).into_bytes(),
        None => of_response(fault),
    }
}

/// Replaces parts of a streamed answer's head and keeps its body; `None` where the fault asks for more than that.
pub(crate) fn merged_head(own: &[u8], fault: &ResponseFault) -> Option<Vec<u8>> {
    let end = prelude(own)?;
    let (head, body) = own.split_at(end);
    let head = object(head).filter(|_| fault.raw.is_none() && fault.body.is_none())?;
    Some([put(head, fault).as_bytes(), body].concat())
}

/// Where a streamed answer's head ends.
fn prelude(own: &[u8]) -> Option<usize> {
    own.windows(PRELUDE_END.len()).position(|bytes| bytes == PRELUDE_END)
}

fn object(payload: &[u8]) -> Option<&str> {
    json::valid(payload).filter(|json| is_object(json))
}

fn is_object(json: &str) -> bool {
    json.trim_ascii_start().starts_with('{')
}

/// The answer, where it is in the form that API Gateway, function URLs and load balancers take.
fn http(own: &[u8]) -> Option<&str> {
    object(own).filter(|answer| last(answer, "statusCode").is_some())
}

/// The value that counts where an object has a name more than once.
fn last<'j>(object: &'j str, name: &str) -> Option<&'j str> {
    members(object).filter(|member| member.is(name)).last().map(|member| member.value)
}

/// A part of an HTTP answer that a fault gives.
enum Part<'f> {
    Json(String),
    Text(&'f str),
    Headers(&'f BTreeMap<String, String>),
    HeaderLists(&'f BTreeMap<String, String>),
}

impl Part<'_> {
    /// Writes it in the place of what the answer has there.
    fn write(&self, own: &str, out: &mut String) {
        match self {
            Self::Json(json) => out.push_str(json),
            Self::Text(text) => push_text(out, text),
            Self::Headers(headers) => put_headers(headers, own, out, push_text),
            Self::HeaderLists(headers) => put_headers(headers, own, out, |out, value| {
                out.push('[');
                push_text(out, value);
                out.push(']');
            }),
        }
    }
}

fn put(answer: &str, fault: &ResponseFault) -> String {
    with(answer, &parts(answer, fault), Part::write)
}

/// What a fault gives, by its name at the top level of the answer.
///
/// Headers go wherever the answer has its own. API Gateway merges `headers` and `multiValueHeaders`, and takes the latter
/// for what is in both (apigateway/latest/developerguide/set-up-lambda-proxy-integrations); a load balancer reads one of
/// the two, as it is set (elasticloadbalancing/latest/application/lambda-functions).
fn parts<'f>(answer: &str, fault: &'f ResponseFault) -> Vec<(&'static str, Part<'f>)> {
    let mut parts = Vec::new();
    if let Some(status) = fault.status_code {
        parts.push(("statusCode", Part::Json(status.get().to_string())));
    }
    if let Some(body) = &fault.body {
        parts.extend([("body", Part::Text(body)), ("isBase64Encoded", Part::Json("false".to_owned()))]);
    }
    let has = |name| last(answer, name).is_some_and(is_object);
    if !fault.headers.is_empty() && has("multiValueHeaders") {
        parts.push(("multiValueHeaders", Part::HeaderLists(&fault.headers)));
    }
    if !fault.headers.is_empty() && (has("headers") || !has("multiValueHeaders")) {
        parts.push(("headers", Part::Headers(&fault.headers)));
    }
    parts
}

/// Writes headers of an answer, ours in the place of those with the same name in any case.
fn put_headers(ours: &BTreeMap<String, String>, own: &str, out: &mut String, push: impl Fn(&mut String, &str)) {
    let own = if is_object(own) { own } else { "{}" };
    let mut headers = ObjectWriter::like(own, out);
    let is_ours = |member: &Member<'_>| ours.keys().any(|name| member.is_header(name));
    members(own).filter(|member| !is_ours(member)).for_each(|member| headers.keep(&member));
    ours.iter().for_each(|(name, value)| push(headers.add(name), value));
    headers.end();
}

/// Copies an object with other values for these names. They are added where there are none, with nothing for the old value.
fn with<T>(object: &str, given: &[(&str, T)], mut write: impl FnMut(&T, &str, &mut String)) -> String {
    // Most of what changes becomes a little longer.
    let mut out = String::with_capacity(object.len() + object.len() / 8);
    let mut writer = ObjectWriter::like(object, &mut out);
    let mut absent: Vec<&(&str, T)> = given.iter().collect();
    for member in members(object) {
        match given.iter().find(|(name, _)| member.is(name)) {
            Some((name, value)) => {
                absent.retain(|(other, _)| other != name);
                write(value, member.value, writer.replace(&member));
            }
            None => writer.keep(&member),
        }
    }
    absent.into_iter().for_each(|(name, value)| write(value, "", writer.add(name)));
    writer.end();
    out
}

/// Damages an answer; `None` where that makes no difference. Of an HTTP answer, only the body is damaged.
pub(crate) fn corrupted(own: &[u8], fault: &CorruptFault) -> Option<Vec<u8>> {
    let how = fault.how()?;
    http(own).map_or_else(|| damage(own, how), |answer| damage_http(answer, how).map(String::into_bytes))
}

/// Damages a streamed answer; `None` where that makes no difference. Its head, if it has one, stays whole.
pub(crate) fn corrupted_stream(own: &[u8], has_head: bool, fault: &CorruptFault) -> Option<Vec<u8>> {
    let end = prelude(own).filter(|_| has_head).map_or(0, |end| end + PRELUDE_END.len());
    let (head, body) = own.split_at(end);
    let mut damaged = damage(body, fault.how()?)?;
    damaged.splice(0..0, head.iter().copied());
    Some(damaged)
}

fn damage_http(answer: &str, how: Corrupt<'_>) -> Option<String> {
    let (body, encoded) = (last(answer, "body"), last(answer, "isBase64Encoded") == Some("true"));
    if let Corrupt::Replace(text) = how {
        let is_same = !encoded && body.is_some_and(|body| is_text(body) && characters(body).eq(text.chars()));
        let parts = [("body", Part::Text(text)), ("isBase64Encoded", Part::Json("false".to_owned()))];
        return (!is_same).then(|| with(answer, &parts, Part::write));
    }
    body?;
    let mut differs = false;
    let damaged = with(answer, &[("body", ())], |(), body, out| differs |= damage_body(body, encoded, how, out));
    differs.then_some(damaged)
}

/// Damages the body of an HTTP answer, and says whether that made a difference.
fn damage_body(body: &str, encoded: bool, how: Corrupt<'_>, out: &mut String) -> bool {
    if !is_text(body) {
        // Not in the form that it should have: there is text to damage within it, or none.
        return match how {
            Corrupt::Mangle if body != "null" => mangle(body, &mut Sink::Plain(out)),
            _ => {
                out.push_str(body);
                false
            }
        };
    }
    let text = json::text(body);
    let kept = match how {
        // Whoever sends it decodes it first: groups of four characters stay whole.
        Corrupt::Truncate(bytes) if encoded => Some(bytes.div_ceil(3) * 4),
        Corrupt::Mangle if encoded => Some(text.len() / 8 * 4),
        Corrupt::Truncate(bytes) => Some(bytes),
        _ => None,
    };
    out.push('"');
    let differs = match kept.map(|bytes| cut(&text, bytes)) {
        Some(kept) => {
            Sink::Escaped(out).push_str(kept);
            kept.len() < text.len()
        }
        None => mangle_text(&text, &mut Sink::Escaped(out)),
    };
    out.push('"');
    differs
}

/// The beginning of a text, at most so many bytes of it, without half a character at its end.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

fn damage(body: &[u8], how: Corrupt<'_>) -> Option<Vec<u8>> {
    match (how, std::str::from_utf8(body)) {
        (Corrupt::Replace(text), _) => (text.as_bytes() != body).then(|| text.as_bytes().to_vec()),
        (Corrupt::Truncate(bytes), Ok(text)) if bytes < body.len() => Some(cut(text, bytes).as_bytes().to_vec()),
        (Corrupt::Truncate(bytes), _) => body.get(..bytes).filter(|kept| kept.len() < body.len()).map(<[u8]>::to_vec),
        (Corrupt::Mangle, Ok(text)) => {
            let mut out = String::with_capacity(text.len() + text.len() / 8);
            mangle_text(text, &mut Sink::Plain(&mut out)).then(|| out.into_bytes())
        }
        (Corrupt::Mangle, Err(_)) => {
            let flip = |(at, byte): (usize, &u8)| if at % 8 == 0 { !byte & 0x7f } else { *byte };
            Some(body.iter().enumerate().map(flip).collect())
        }
    }
}

/// Mangles JSON, or any other text, and says whether that made a difference.
fn mangle_text(text: &str, out: &mut Sink<'_>) -> bool {
    match json::valid(text.as_bytes()) {
        Some(json) => mangle(json, out),
        None => garble(text, out),
    }
}

/// Turns every eighth character into another one.
fn garble(text: &str, out: &mut Sink<'_>) -> bool {
    let mut differs = false;
    for (at, own) in text.chars().enumerate() {
        let other = match u8::try_from(own) {
            Ok(byte) if at % 8 == 0 && own.is_ascii() => char::from(!byte & 0x7f),
            _ if at % 8 == 0 => char::REPLACEMENT_CHARACTER,
            _ => own,
        };
        differs |= other != own;
        out.push(other);
    }
    differs
}

/// Keeps JSON readable and makes it say something else: lists and names stay, a text loses its second half and gets an
/// end that shows it, a number changes its sign, `true` becomes `false`.
fn mangle(json: &str, out: &mut Sink<'_>) -> bool {
    let mut differs = false;
    for piece in pieces(json) {
        match piece {
            Piece::Form(form) => out.push_str(form),
            Piece::Scalar(scalar) if is_text(scalar) => differs |= mangle_string(scalar, out),
            Piece::Scalar(scalar) => {
                differs = true;
                match scalar {
                    "null" => out.push_str("\"\u{fffd}\""),
                    "true" => out.push_str("false"),
                    "false" => out.push_str("true"),
                    number => out.push_str(&other_number(number)),
                }
            }
        }
    }
    differs
}

fn mangle_string(text: &str, out: &mut Sink<'_>) -> bool {
    let half = characters(text).map(char::len_utf8).sum::<usize>() / 2;
    let ends = characters(text).scan(0, |end, character| {
        *end += character.len_utf8();
        Some(*end)
    });
    let kept = ends.take_while(|end| *end <= half).count();
    let mangled = characters(text).take(kept).chain([char::REPLACEMENT_CHARACTER]);
    out.push_json(mangled.clone());
    !mangled.eq(characters(text))
}

fn other_number(number: &str) -> String {
    match (number.parse::<i64>(), number.parse::<f64>(), number.strip_prefix('-')) {
        (Ok(number), _, _) => (!number).to_string(),
        // Another sign makes no other number of it.
        (_, Ok(0.0), _) => "-1".to_owned(),
        (_, _, Some(positive)) => positive.to_owned(),
        _ => format!("-{number}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn response(text: &str) -> ResponseFault {
        serde_json::from_str(text).unwrap_or_else(|error| unreachable!("{text}: {error}"))
    }

    fn corrupt(text: &str, own: &str) -> String {
        let fault = serde_json::from_str(text).unwrap_or_else(|error| unreachable!("{text}: {error}"));
        let damaged = corrupted(own.as_bytes(), &fault);
        damaged.map_or_else(|| "the same".to_owned(), |damaged| String::from_utf8_lossy(&damaged).into_owned())
    }

    fn json(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap_or_else(|error| unreachable!("{}: {error}", bytes.escape_ascii()))
    }

    #[test]
    fn an_error_is_what_a_runtime_reports() {
        let fault = serde_json::from_str(r#"{"type":"Db.Down","message":"no \"rows\""}"#);
        let error = of_error(&fault.unwrap_or_else(|error| unreachable!("{error}")));
        let wanted = json!({ "errorType": "Db.Down", "errorMessage": "no \"rows\"", "stackTrace": [] });
        assert_eq!(json(&error), wanted);
    }

    #[test]
    fn an_answer_is_whole_or_raw() {
        let whole = of_response(&response(r#"{"statusCode":503,"headers":{"retry-after":"1"},"body":"busy"}"#));
        let wanted =
            json!({ "statusCode": 503, "headers": { "retry-after": "1" }, "body": "busy", "isBase64Encoded": false });
        assert_eq!(json(&whole), wanted);
        assert_eq!(of_response(&response(r#"{"raw":"[1]"}"#)), b"[1]");
    }

    #[test]
    fn only_what_is_given_is_replaced() {
        let own = br#"{ "z": [1.50, 1e999, "\ud83d"], "statusCode" :200,"headers":{"Content-Type":"text/html","a":"b"},"body":"aGk=","isBase64Encoded":true }"#;
        let merged = |fault: &str| String::from_utf8(super::merged(own, &response(fault))).unwrap_or_default();
        assert_eq!(
            merged(r#"{"statusCode":404,"when":"after"}"#),
            r#"{ "z": [1.50, 1e999, "\ud83d"], "statusCode" :404,"headers":{"Content-Type":"text/html","a":"b"},"body":"aGk=","isBase64Encoded":true }"#
        );
        assert_eq!(
            merged(r#"{"headers":{"content-type":"x/y"},"body":"n\"o","when":"after"}"#),
            r#"{ "z": [1.50, 1e999, "\ud83d"], "statusCode" :200,"headers":{"a":"b","content-type":"x/y"},"body":"n\"o","isBase64Encoded":false }"#
        );
        assert_eq!(merged(r#"{"raw":"x"}"#), "x");
    }

    #[test]
    fn an_answer_that_is_not_of_http_is_replaced_as_a_whole() {
        for own in ["[1]", "{}", "", "\"statusCode\"", r#"{"statusCode":200}x"#, r#"{"a":{"statusCode":1}}"#] {
            let merged = merged(own.as_bytes(), &response(r#"{"statusCode":404,"when":"after"}"#));
            assert_eq!(json(&merged)["body"], "", "{own}");
        }
    }

    #[test]
    fn headers_are_replaced_in_every_case_wherever_the_answer_has_headers() {
        let fault = response(r#"{"headers":{"retry-after":"120"},"when":"after"}"#);
        for (own, wanted) in [
            (
                r#""multiValueHeaders":{"A":["b"],"Retry-After":["1"]}"#,
                r#""multiValueHeaders":{"A":["b"],"retry-after":["120"]}"#,
            ),
            (
                r#""headers":{"RETRY-AFTER":"1"},"multiValueHeaders":{"Retry-After":["1","2"]}"#,
                r#""headers":{"retry-after":"120"},"multiValueHeaders":{"retry-after":["120"]}"#,
            ),
            (
                r#""headers":null,"multiValueHeaders":{ "Retry-After":[] , "a":[] }"#,
                r#""headers":null,"multiValueHeaders":{ "a":[],"retry-after":["120"] }"#,
            ),
            (r#""multiValueHeaders":null"#, r#""multiValueHeaders":null,"headers":{"retry-after":"120"}"#),
            (r#""headers":[],"a":1"#, r#""headers":{"retry-after":"120"},"a":1"#),
            (
                r#""headers":{"\u0052etry-after":"1"},"headers":{"retry-After":"2"}"#,
                r#""headers":{"retry-after":"120"},"headers":{"retry-after":"120"}"#,
            ),
        ] {
            let answer = |rest: &str| format!(r#"{{"statusCode":200,{rest}}}"#);
            assert_eq!(String::from_utf8(merged(answer(own).as_bytes(), &fault)), Ok(answer(wanted)));
        }
    }

    #[test]
    fn of_an_http_answer_only_the_body_is_damaged() {
        let own = r#"{"statusCode":200, "body":"{\"total\":12,\"paid\":true}"}"#;
        for (fault, wanted) in [
            (r#"{"truncateBytes":4}"#, r#"{"statusCode":200, "body":"{\"to"}"#),
            (r#"{"replace":"{}"}"#, r#"{"statusCode":200, "body":"{}","isBase64Encoded":false}"#),
            (r#"{"mangle":true}"#, r#"{"statusCode":200, "body":"{\"total\":-13,\"paid\":false}"}"#),
        ] {
            assert_eq!(corrupt(fault, own), wanted, "{fault}");
        }
        let nested = r#"{"statusCode":200,"body":"[\"a\\\"b\\\"c\\n\"]"}"#;
        assert_eq!(
            corrupt(r#"{"mangle":true}"#, nested),
            "{\"statusCode\":200,\"body\":\"[\\\"a\\\\\\\"b\u{fffd}\\\"]\"}"
        );
    }

    #[test]
    fn what_has_no_body_has_none_to_damage() {
        for own in [r#"{"statusCode":204}"#, r#"{"statusCode":204,"body":null}"#, r#"{"statusCode":200,"body":""}"#] {
            assert_eq!(corrupt(r#"{"mangle":true}"#, own), "the same");
            assert_eq!(corrupt(r#"{"truncateBytes":0}"#, own), "the same");
            assert_eq!(json(corrupt(r#"{"replace":"x"}"#, own).as_bytes())["body"], "x");
        }
        let own = r#"{"statusCode":200,"body":{"a":[1]}}"#;
        assert_eq!(corrupt(r#"{"mangle":true}"#, own), r#"{"statusCode":200,"body":{"a":[-2]}}"#);
        assert_eq!(corrupt(r#"{"truncateBytes":1}"#, own), "the same");
    }

    #[test]
    fn damage_that_changes_nothing_is_none() {
        for (fault, own) in [
            (r#"{"truncateBytes":4}"#, "aé1"),
            (r#"{"truncateBytes":2}"#, r#"{ "statusCode":200,"body":"ab"}"#),
            (r#"{"truncateBytes":4}"#, r#"{"statusCode":200,"body":"aGVsbG8h","isBase64Encoded":true}"#),
            (r#"{"replace":"a\n"}"#, r#"{"statusCode":200,"body":"\u0061\n"}"#),
            (r#"{"replace":"x"}"#, "x"),
            (r#"{"mangle":true}"#, "[{}]"),
            (r#"{"mangle":true}"#, "\"\u{fffd}\""),
            (r#"{"mangle":true}"#, ""),
        ] {
            assert_eq!(corrupt(fault, own), "the same", "{fault} {own}");
        }
        let encoded = r#"{"statusCode":200,"body":"x","isBase64Encoded":true}"#;
        assert_eq!(corrupt(r#"{"replace":"x"}"#, encoded), r#"{"statusCode":200,"body":"x","isBase64Encoded":false}"#);
    }

    #[test]
    fn the_head_of_a_stream_is_changed_without_its_body() {
        let own = b"{\"statusCode\":201,\"headers\":{\"a\":\"b\"}}\0\0\0\0\0\0\0\0body";
        let changed = merged_head(own, &response(r#"{"headers":{"c":"d"},"when":"after"}"#)).unwrap_or_default();
        assert_eq!(changed, b"{\"statusCode\":201,\"headers\":{\"a\":\"b\",\"c\":\"d\"}}\0\0\0\0\0\0\0\0body");
        for fault in [r#"{"statusCode":200,"body":"x"}"#, r#"{"raw":"x"}"#] {
            assert_eq!(merged_head(own, &response(fault)), None);
        }
        assert_eq!(merged_head(b"no head", &response(r#"{"statusCode":200}"#)), None);
        assert_eq!(merged_head(b"[]\0\0\0\0\0\0\0\0", &response(r#"{"statusCode":200}"#)), None);
        let changed = merged_head(b"{}\0\0\0\0\0\0\0\0", &response(r#"{"statusCode":200}"#)).unwrap_or_default();
        assert_eq!(changed, b"{\"statusCode\":200}\0\0\0\0\0\0\0\0");
    }

    #[test]
    fn an_encoded_body_can_still_be_decoded() {
        let own = r#"{"body":"aGVsbG8gd29ybGQh","isBase64Encoded":true,"statusCode":200}"#;
        for (fault, body) in [
            (r#"{"truncateBytes":3}"#, "aGVs"),
            (r#"{"truncateBytes":4}"#, "aGVsbG8g"),
            (r#"{"mangle":true}"#, "aGVsbG8g"),
        ] {
            assert_eq!(json(corrupt(fault, own).as_bytes())["body"], body, "{fault}");
        }
    }

    #[test]
    fn other_answers_are_damaged_as_a_whole() {
        assert_eq!(
            corrupt(
                r#"{"mangle":true}"#,
                "{ \"a\" :[1,\"text\",null,false,1.50, -2e400, -0.0,\"\", 18446744073709551616] }"
            ),
            "{ \"a\" :[-2,\"te\u{fffd}\",\"\u{fffd}\",true,-1.50, 2e400, -1,\"\u{fffd}\", -18446744073709551616] }"
        );
        assert_eq!(corrupt(r#"{"truncateBytes":3}"#, "[1,2,3]"), "[1,");
        assert_eq!(corrupt(r#"{"truncateBytes":2}"#, "aé"), "a");
        assert_eq!(corrupt(r#"{"mangle":true}"#, "no JSON,éé"), "\u{11}o JSON,\u{fffd}é");
        assert_eq!(
            (corrupt(r#"{"mangle":true}"#, "x"), corrupt(r#"{"mangle":true}"#, "\u{fffd}")),
            ("\u{7}".into(), "the same".into())
        );
        let truncate = serde_json::from_str(r#"{"truncateBytes":2}"#).unwrap_or_else(|_| unreachable!());
        let mangle = serde_json::from_str(r#"{"mangle":true}"#).unwrap_or_else(|_| unreachable!());
        let binary = b"\xff1234567\x018";
        assert_eq!(corrupted(binary, &truncate), Some(b"\xff1".to_vec()));
        assert_eq!(corrupted(b"\xff1", &truncate), None);
        assert_eq!(corrupted(binary, &mangle), Some(b"\x001234567\x7e8".to_vec()));
    }

    #[test]
    fn the_head_of_a_stream_stays_whole() {
        let fault = serde_json::from_str(r#"{"replace":"x"}"#).unwrap_or_else(|_| unreachable!());
        let own = b"{\"statusCode\":200}\0\0\0\0\0\0\0\0body";
        let damaged = |own, has_head| corrupted_stream(own, has_head, &fault).unwrap_or_default();
        assert_eq!(damaged(own, true), b"{\"statusCode\":200}\0\0\0\0\0\0\0\0x");
        assert_eq!(damaged(own, false), b"x");
        assert_eq!(corrupted_stream(b"\0\0\0\0\0\0\0\0x", true, &fault), None);
    }

    use proptest::prelude::*;

    /// JSON with white space and spellings that a serializer would not choose.
    fn value() -> impl Strategy<Value = String> {
        let scalar = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?",
            r#""([a-z :,{}\[\]é]|\\["\\/bfnrt]|\\u[0-9a-f]{4}){0,9}""#,
        ];
        scalar.prop_recursive(4, 32, 4, |inner| {
            let list = proptest::collection::vec(inner.clone(), 0..4);
            let object = proptest::collection::vec((r#""([a-z:]|\\u00[2-7][0-9]){0,3}""#, inner), 0..4);
            prop_oneof![
                ("[ \n]?", list)
                    .prop_map(|(space, list)| format!("[{space}{}{space}]", list.join(&format!("{space},")))),
                ("[ \t]?", object).prop_map(|(space, members)| {
                    let members: Vec<_> =
                        members.iter().map(|(name, value)| format!("{name}{space}:{space}{value}")).collect();
                    format!("{{{space}{}{space}}}", members.join(&format!("{space},{space}")))
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_a_fault_does_not_name_stays_byte_by_byte(
            before in value(), between in value(), behind in value(), space in "[ \r\n\t]{0,2}",
        ) {
            let answer = |status: &str, body: &str| format!(
                "{space}{{\"a\":{before}{space},{space}\"statusCode\":{status},\"b\"{space}:{between},\"body\":\"{body}\",\"c\":{behind}{space}}}{space}"
            );
            let own = answer("200", "text");
            let status = merged(own.as_bytes(), &response(r#"{"statusCode":404,"when":"after"}"#));
            prop_assert_eq!(String::from_utf8(status), Ok(answer("404", "text")));
            prop_assert_eq!(corrupt(r#"{"truncateBytes":2}"#, &own), answer("200", "te"));
        }

        #[test]
        fn mangling_keeps_form_and_names(own in value()) {
            let mangled = corrupt(r#"{"mangle":true}"#, &own);
            let form = |json: &str| pieces(json).map(|piece| match piece {
                Piece::Form(form) => form.to_owned(),
                Piece::Scalar(_) => "?".to_owned(),
            }).collect::<String>();
            let has_scalars = pieces(&own).any(|piece| matches!(piece, Piece::Scalar(_)));
            prop_assert!(mangled != own);
            if mangled != "the same" {
                prop_assert_eq!(form(&mangled), form(&own));
                prop_assert!(json::valid(mangled.as_bytes()).is_some());
            }
            prop_assert!(has_scalars || mangled == "the same");
        }

        #[test]
        fn any_answer_can_be_damaged_and_replaced(
            bytes in proptest::collection::vec(any::<u8>(), 0..64), text in r#"[\[\]{}",:a0\\u-]{0,24}"#, json in value(), size in 0..9_u32,
        ) {
            let faults = [r#"{"mangle":true}"#.to_owned(), r#"{"replace":"é\""}"#.to_owned(), format!(r#"{{"truncateBytes":{size}}}"#)];
            let merge = response(r#"{"statusCode":404,"headers":{"a\"":"b\n"},"body":"\\","when":"after"}"#);
            for own in [bytes, text.into_bytes(), format!(r#"{{"statusCode":{json},"body":{json},"headers":{json}}}"#).into_bytes()] {
                let is_http = http(&own).is_some();
                for fault in &faults {
                    let fault: CorruptFault = serde_json::from_str(fault).unwrap_or_else(|error| unreachable!("{error}"));
                    let damaged = corrupted(&own, &fault);
                    prop_assert!(!is_http || damaged.as_ref().is_none_or(|damaged| http(damaged).is_some()));
                    prop_assert!(damaged.is_none_or(|damaged| damaged != own));
                    corrupted_stream(&own, true, &fault);
                }
                let whole = super::merged(&own, &merge);
                prop_assert_eq!(last(http(&whole).unwrap_or_default(), "statusCode"), Some("404"));
                prop_assert_eq!(last(http(&whole).unwrap_or_default(), "body"), Some(r#""\\""#));
            }
        }
    }
}
