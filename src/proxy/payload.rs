//! The payloads of `error` and `response` faults: pure.

use serde_json::json;

use crate::model::invocation::{ErrorFault, ResponseFault};

use super::http_payload::{Part, http, is_object, last, object, prelude, with};

/// Encodes an error as runtimes report one (lambda/latest/dg/runtimes-api).
pub(crate) fn error(error_type: &str, message: &str) -> Vec<u8> {
    json!({ "errorMessage": message, "errorType": error_type, "stackTrace": [] }).to_string().into_bytes()
}

/// Encodes the payload of an `error` fault.
pub(crate) fn of_error(fault: &ErrorFault) -> Vec<u8> {
    error(&fault.error_type, &fault.message)
}

/// Encodes the payload of a `response` fault that replaces the handler or its whole response.
pub(crate) fn of_response(fault: &ResponseFault) -> Vec<u8> {
    let raw = fault.raw.clone();
    let whole = || put(r#"{"statusCode":200,"headers":{},"body":"","isBase64Encoded":false}"#, fault);
    raw.unwrap_or_else(whole).into_bytes()
}

/// Replaces the parts of the handler's response that a `response` fault gives. A response that is not in HTTP form is
/// replaced as a whole.
pub(crate) fn merged(own: &[u8], fault: &ResponseFault) -> Vec<u8> {
    match http(own).filter(|_| fault.raw.is_none()) {
        Some(response) => put(response, fault).into_bytes(),
        None => of_response(fault),
    }
}

/// Replaces parts of a stream's head and keeps its body. Returns `None` if the fault changes more than the head.
pub(crate) fn merged_head(own: &[u8], fault: &ResponseFault) -> Option<Vec<u8>> {
    let end = prelude(own)?;
    let (head, body) = own.split_at(end);
    let head = object(head).filter(|_| fault.raw.is_none() && fault.body.is_none())?;
    Some([put(head, fault).as_bytes(), body].concat())
}

fn put(response: &str, fault: &ResponseFault) -> String {
    with(response, &parts(response, fault), Part::write)
}

/// Returns the parts that a fault gives, by their names at the top level of the response.
///
/// Headers are written wherever the response has its own. API Gateway merges `headers` and `multiValueHeaders`, and
/// prefers the latter (apigateway/latest/developerguide/set-up-lambda-proxy-integrations); a load balancer reads one of
/// the two, depending on its setting (elasticloadbalancing/latest/application/lambda-functions).
fn parts<'f>(response: &str, fault: &'f ResponseFault) -> Vec<(&'static str, Part<'f>)> {
    let mut parts = Vec::new();
    if let Some(status) = fault.status_code {
        parts.push(("statusCode", Part::Json(status.get().to_string())));
    }
    if let Some(body) = &fault.body {
        parts.extend([("body", Part::Text(body)), ("isBase64Encoded", Part::Json("false".to_owned()))]);
    }
    let has = |name| last(response, name).is_some_and(is_object);
    if !fault.headers.is_empty() && has("multiValueHeaders") {
        parts.push(("multiValueHeaders", Part::HeaderLists(&fault.headers)));
    }
    if !fault.headers.is_empty() && (has("headers") || !has("multiValueHeaders")) {
        parts.push(("headers", Part::Headers(&fault.headers)));
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn response(text: &str) -> ResponseFault {
        serde_json::from_str(text).unwrap_or_else(|error| unreachable!("{text}: {error}"))
    }

    fn json(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap_or_else(|error| unreachable!("{}: {error}", bytes.escape_ascii()))
    }

    #[test]
    fn an_error_has_the_form_that_runtimes_report() {
        let fault = serde_json::from_str(r#"{"type":"Db.Down","message":"no \"rows\""}"#);
        let error = of_error(&fault.unwrap_or_else(|error| unreachable!("{error}")));
        let wanted = json!({ "errorType": "Db.Down", "errorMessage": "no \"rows\"", "stackTrace": [] });
        assert_eq!(json(&error), wanted);
    }

    #[test]
    fn a_response_is_complete_or_raw() {
        let whole = of_response(&response(r#"{"statusCode":503,"headers":{"retry-after":"1"},"body":"busy"}"#));
        let wanted =
            json!({ "statusCode": 503, "headers": { "retry-after": "1" }, "body": "busy", "isBase64Encoded": false });
        assert_eq!(json(&whole), wanted);
        assert_eq!(of_response(&response(r#"{"raw":"[1]"}"#)), b"[1]");
    }

    #[test]
    fn only_given_parts_are_replaced() {
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
    fn a_response_not_in_http_form_is_replaced_as_a_whole() {
        for own in ["[1]", "{}", "", "\"statusCode\"", r#"{"statusCode":200}x"#, r#"{"a":{"statusCode":1}}"#] {
            let merged = merged(own.as_bytes(), &response(r#"{"statusCode":404,"when":"after"}"#));
            assert_eq!(json(&merged)["body"], "", "{own}");
        }
    }

    #[test]
    fn headers_are_replaced_in_any_case_wherever_there_are_some() {
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
            let response = |rest: &str| format!(r#"{{"statusCode":200,{rest}}}"#);
            assert_eq!(String::from_utf8(merged(response(own).as_bytes(), &fault)), Ok(response(wanted)));
        }
    }

    #[test]
    fn the_head_of_a_stream_changes_without_its_body() {
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
}
