//! The payloads that faults make: pure.

use serde_json::{Map, Value, json};

use crate::model::invocation::{Corrupt, CorruptFault, ErrorFault, ResponseFault};

/// A payload that stands between an HTTP answer's head and its body in a streamed answer
/// (lambda/latest/dg/response-streaming: the head is JSON, eight zero bytes follow).
const PRELUDE_END: [u8; 8] = [0; 8];

/// The content type of a streamed answer with such a head.
pub(crate) const HTTP_INTEGRATION: &str = "application/vnd.awslambda.http-integration-response";

/// An error, as runtimes report one (lambda/latest/dg/runtimes-api).
pub(crate) fn error(error_type: &str, message: &str) -> Vec<u8> {
    json!({ "errorMessage": message, "errorType": error_type, "stackTrace": [] }).to_string().into_bytes()
}

/// The same of a fault.
pub(crate) fn of_error(fault: &ErrorFault) -> Vec<u8> {
    error(&fault.error_type, &fault.message)
}

/// An answer in the handler's place.
pub(crate) fn of_response(fault: &ResponseFault) -> Vec<u8> {
    if let Some(raw) = &fault.raw {
        return raw.clone().into_bytes();
    }
    let mut answer = json!({ "statusCode": 200, "headers": {}, "body": "", "isBase64Encoded": false });
    if let Value::Object(answer) = &mut answer {
        put(answer, fault);
    }
    answer.to_string().into_bytes()
}

/// The handler's answer with some parts replaced; one that is no HTTP answer is replaced as a whole.
pub(crate) fn merged(own: &[u8], fault: &ResponseFault) -> Vec<u8> {
    match serde_json::from_slice(own) {
        Ok(Value::Object(mut answer)) if fault.raw.is_none() && is_http(&answer) => {
            put(&mut answer, fault);
            Value::Object(answer).to_string().into_bytes()
        }
        _ => of_response(fault),
    }
}

/// The same of a streamed answer whose head is to change, and its body not; `None` where that cannot be.
pub(crate) fn merged_head(own: &[u8], fault: &ResponseFault) -> Option<Vec<u8>> {
    let end = own.windows(PRELUDE_END.len()).position(|bytes| bytes == PRELUDE_END)?;
    let (head, body) = own.split_at(end);
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(head) else { return None };
    if fault.raw.is_some() || fault.body.is_some() {
        return None;
    }
    put(&mut answer, fault);
    Some([Value::Object(answer).to_string().as_bytes(), body].concat())
}

fn put(answer: &mut Map<String, Value>, fault: &ResponseFault) {
    if let Some(status) = fault.status_code {
        answer.insert("statusCode".to_owned(), status.get().into());
    }
    if let Some(body) = &fault.body {
        answer.insert("body".to_owned(), body.as_str().into());
        answer.insert("isBase64Encoded".to_owned(), false.into());
    }
    if !fault.headers.is_empty() {
        // Names differ in case only where somebody wrote them so: ours takes the place of theirs.
        let headers = answer.entry("headers").or_insert_with(|| json!({}));
        if !headers.is_object() {
            *headers = json!({});
        }
        if let Value::Object(headers) = headers {
            headers.retain(|name, _| !fault.headers.keys().any(|ours| ours.eq_ignore_ascii_case(name)));
            headers.extend(fault.headers.iter().map(|(name, value)| (name.clone(), value.as_str().into())));
        }
    }
}

fn is_http(answer: &Map<String, Value>) -> bool {
    answer.contains_key("statusCode")
}

/// Damages an answer. Of an HTTP answer, only the body; of a streamed one, only what follows its head.
pub(crate) fn corrupted(own: &[u8], fault: &CorruptFault) -> Vec<u8> {
    let Some(how) = fault.how() else { return own.to_vec() };
    let Ok(Value::Object(answer)) = serde_json::from_slice(own) else { return damage(own, how) };
    if !is_http(&answer) {
        return damage(own, how);
    }
    let mut damaged = answer.clone();
    damage_http(&mut damaged, how);
    // What is as it was stays as it was written.
    if damaged == answer { own.to_vec() } else { Value::Object(damaged).to_string().into_bytes() }
}

/// The same of a streamed answer, whose head, if it has one, stays whole.
pub(crate) fn corrupted_stream(own: &[u8], has_head: bool, fault: &CorruptFault) -> Vec<u8> {
    let end = own.windows(PRELUDE_END.len()).position(|bytes| bytes == PRELUDE_END).map(|at| at + PRELUDE_END.len());
    let (head, body) = own.split_at(end.filter(|_| has_head).unwrap_or(0));
    let body = fault.how().map_or_else(|| body.to_vec(), |how| damage(body, how));
    [head, &body].concat()
}

fn damage_http(answer: &mut Map<String, Value>, how: Corrupt<'_>) {
    if !answer.contains_key("body") && !matches!(how, Corrupt::Replace(_)) {
        return;
    }
    let encoded = answer.get("isBase64Encoded") == Some(&Value::Bool(true));
    let body = answer.get("body").and_then(Value::as_str).unwrap_or_default();
    let damaged = match how {
        // Whoever sends it decodes it first: groups of four characters stay whole.
        Corrupt::Truncate(bytes) if encoded => cut(body, bytes.div_ceil(3) * 4).to_owned(),
        Corrupt::Mangle if encoded => cut(body, body.len() / 8 * 4).to_owned(),
        how => String::from_utf8_lossy(&damage(body.as_bytes(), how)).into_owned(),
    };
    if let Corrupt::Replace(_) = how {
        answer.insert("isBase64Encoded".to_owned(), false.into());
    }
    answer.insert("body".to_owned(), damaged.into());
}

/// At most so many bytes, and no half character.
fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn damage(body: &[u8], how: Corrupt<'_>) -> Vec<u8> {
    match how {
        Corrupt::Replace(text) => text.as_bytes().to_vec(),
        Corrupt::Truncate(bytes) => match std::str::from_utf8(body) {
            Ok(text) => cut(text, bytes).as_bytes().to_vec(),
            Err(_) => body[..bytes.min(body.len())].to_vec(),
        },
        Corrupt::Mangle => match serde_json::from_slice::<Value>(body) {
            Ok(mut value) => {
                mangle(&mut value);
                value.to_string().into_bytes()
            }
            Err(_) => {
                body.iter().enumerate().map(|(at, byte)| if at % 8 == 0 { !byte & 0x7f } else { *byte }).collect()
            }
        },
    }
}

/// What can be read stays readable, and says something else: lists and names stay, text loses its second half and
/// gets an end that shows it, numbers change their sign, truth is turned.
fn mangle(value: &mut Value) {
    match value {
        Value::Null => *value = Value::String("\u{fffd}".to_owned()),
        Value::Bool(flag) => *flag = !*flag,
        Value::Number(number) => {
            *value = number.as_i64().map_or_else(
                || number.as_f64().and_then(|number| serde_json::Number::from_f64(-number)).into(),
                |number| (-1_i64).saturating_sub(number).into(),
            );
        }
        Value::String(text) => *text = format!("{}\u{fffd}", cut(text, text.len() / 2)),
        Value::Array(list) => list.iter_mut().for_each(mangle),
        Value::Object(object) => object.values_mut().for_each(mangle),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(text: &str) -> ResponseFault {
        serde_json::from_str(text).unwrap_or_else(|error| unreachable!("{text}: {error}"))
    }

    fn corrupt(text: &str, own: &str) -> String {
        let fault = serde_json::from_str(text).unwrap_or_else(|error| unreachable!("{text}: {error}"));
        String::from_utf8_lossy(&corrupted(own.as_bytes(), &fault)).into_owned()
    }

    fn json(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap_or_else(|error| unreachable!("{}: {error}", bytes.escape_ascii()))
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
        let own = br#"{"statusCode":200,"headers":{"Content-Type":"text/html","a":"b"},"body":"aGk=","isBase64Encoded":true}"#;
        let merged = |fault: &str| json(&merged(own, &response(fault)));
        let status = merged(r#"{"statusCode":404,"when":"after"}"#);
        assert_eq!(
            (&status["statusCode"], &status["body"], &status["isBase64Encoded"]),
            (&json!(404), &json!("aGk="), &json!(true))
        );
        let typed = merged(r#"{"headers":{"content-type":"x/y"},"body":"no","when":"after"}"#);
        assert_eq!(typed["headers"], json!({ "a": "b", "content-type": "x/y" }));
        assert_eq!((&typed["body"], &typed["isBase64Encoded"]), (&json!("no"), &json!(false)));
        assert_eq!(json(&super::merged(b"[1]", &response(r#"{"statusCode":404}"#)))["statusCode"], 404);
        assert_eq!(super::merged(own, &response(r#"{"raw":"x"}"#)), b"x");
    }

    #[test]
    fn of_an_http_answer_only_the_body_is_damaged() {
        let own = r#"{"body":"{\"total\":12,\"paid\":true}","statusCode":200}"#;
        for (fault, wanted) in [
            (r#"{"truncateBytes":4}"#, r#"{"body":"{\"to","statusCode":200}"#),
            (r#"{"replace":"{}"}"#, r#"{"body":"{}","isBase64Encoded":false,"statusCode":200}"#),
            (r#"{"mangle":true}"#, r#"{"body":"{\"paid\":false,\"total\":-13}","statusCode":200}"#),
        ] {
            assert_eq!(corrupt(fault, own), wanted, "{fault}");
        }
    }

    #[test]
    fn what_has_no_body_has_none_to_damage() {
        assert_eq!(corrupt(r#"{"mangle":true}"#, r#"{"statusCode":204}"#), r#"{"statusCode":204}"#);
        assert_eq!(json(corrupt(r#"{"replace":"x"}"#, r#"{"statusCode":204}"#).as_bytes())["body"], "x");
    }

    #[test]
    fn the_head_of_a_stream_is_changed_without_its_body() {
        let own = b"{\"statusCode\":201,\"headers\":{\"a\":\"b\"}}\0\0\0\0\0\0\0\0body";
        let changed = merged_head(own, &response(r#"{"headers":{"c":"d"},"when":"after"}"#)).unwrap_or_default();
        assert_eq!(changed, b"{\"headers\":{\"a\":\"b\",\"c\":\"d\"},\"statusCode\":201}\0\0\0\0\0\0\0\0body");
        for fault in [r#"{"statusCode":200,"body":"x"}"#, r#"{"raw":"x"}"#] {
            assert_eq!(merged_head(own, &response(fault)), None);
        }
        assert_eq!(merged_head(b"no head", &response(r#"{"statusCode":200}"#)), None);
    }

    #[test]
    fn an_encoded_body_can_still_be_decoded() {
        let own = r#"{"body":"aGVsbG8gd29ybGQh","isBase64Encoded":true,"statusCode":200}"#;
        for (fault, body) in [(r#"{"truncateBytes":4}"#, "aGVsbG8g"), (r#"{"mangle":true}"#, "aGVsbG8g")] {
            assert_eq!(json(corrupt(fault, own).as_bytes())["body"], body, "{fault}");
        }
    }

    #[test]
    fn other_answers_are_damaged_as_a_whole() {
        assert_eq!(
            corrupt(r#"{"mangle":true}"#, r#"{"a":[1,"text",null,false,1.5]}"#),
            "{\"a\":[-2,\"te\u{fffd}\",\"\u{fffd}\",true,-1.5]}"
        );
        assert_eq!(corrupt(r#"{"truncateBytes":3}"#, "[1,2,3]"), "[1,");
        assert_eq!(corrupt(r#"{"truncateBytes":2}"#, "aé"), "a");
        assert_ne!(corrupt(r#"{"mangle":true}"#, "no JSON"), "no JSON");
    }

    #[test]
    fn the_head_of_a_stream_stays_whole() {
        let fault = serde_json::from_str(r#"{"replace":"x"}"#).unwrap_or_else(|_| unreachable!());
        let own = b"{\"statusCode\":200}\0\0\0\0\0\0\0\0body";
        assert_eq!(corrupted_stream(own, true, &fault), b"{\"statusCode\":200}\0\0\0\0\0\0\0\0x");
        assert_eq!(corrupted_stream(own, false, &fault), b"x");
    }
}
