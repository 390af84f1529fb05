//! Faults on streamed responses.

use super::support::{STREAM, Stage, acknowledge};

#[test]
fn a_replaced_stream_is_no_longer_a_stream() {
    let stage = Stage::new(r#"[{"response":{"statusCode":404,"when":"after"}}]"#);
    let (mut client, mut api) = stage.deliver("a-1");
    client.send(STREAM);
    let response = api.message();
    assert_eq!(response.json()["statusCode"], 404);
    for removed in ["lambda-runtime-function-response-mode", "trailer", "transfer-encoding"] {
        assert_eq!(response.header(removed), None, "{removed}");
    }
    assert_eq!((response.header("content-type"), response.header("x-own")), (Some("application/json"), Some("kept")));
    acknowledge(&mut client, &mut api);
}

#[test]
fn a_damaged_stream_stays_a_stream() {
    let stage = Stage::new(r#"[{"corrupt":{"truncateBytes":4}}]"#);
    let (mut client, mut api) = stage.deliver("a-1");
    client.send(STREAM);
    let kept = STREAM.split("Transfer-Encoding").next().unwrap();
    api.expect(format!("{kept}Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"));
    acknowledge(&mut client, &mut api);
}

const FAILED_STREAM: &str = "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nHost: x\r\n\
    Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\
    Trailer: Lambda-Runtime-Function-Error-Type\r\n\r\n\
    3\r\nabc\r\n0\r\nLambda-Runtime-Function-Error-Type: Midway\r\n\r\n";

#[test]
fn a_stream_that_fails_midway_stays_a_failure() {
    for faults in [r#"[{"corrupt":{"replace":"x"}}]"#, r#"[{"response":{"statusCode":404,"when":"after"}}]"#] {
        let stage = Stage::new(faults);
        let (mut client, mut api) = stage.deliver("a-1");
        client.send(FAILED_STREAM);
        api.expect(FAILED_STREAM);
    }
}

#[test]
fn the_head_of_a_streamed_http_response_changes_alone() {
    let stage = Stage::new(r#"[{"response":{"headers":{"retry-after":"1"},"when":"after"}}]"#);
    let (mut client, mut api) = stage.deliver("a-1");
    let stream = |head: &str| {
        let body = format!("{head}\0\0\0\0\0\0\0\0body");
        format!(
            "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nHost: x\r\n\
             Lambda-Runtime-Function-Response-Mode: streaming\r\n\
             Content-Type: application/vnd.awslambda.http-integration-response\r\nTransfer-Encoding: chunked\r\n\r\n\
             {:x}\r\n{body}\r\n0\r\n\r\n",
            body.len()
        )
    };
    client.send(stream(r#"{"statusCode":201}"#));
    api.expect(stream(r#"{"statusCode":201,"headers":{"retry-after":"1"}}"#));
}
