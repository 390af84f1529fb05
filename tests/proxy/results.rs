//! Faults after the handler: changes to its result, of any size and in any framing.

use serde_json::json;

use super::support::{NEXT, Stage, acknowledge, event, next_invocation, pass, post, with_header};

#[test]
fn an_error_after_the_handler_replaces_its_result() {
    let stage = Stage::new(r#"[{"error":{"when":"after"}},{"corrupt":{"mangle":true}}]"#);
    for kind in ["response", "error"] {
        let (mut client, mut api) = stage.deliver("a-1");
        client.send(post("a-1", kind, "{\"fine\":true}"));
        let error = api.message();
        assert_eq!(error.line(), "POST /2018-06-01/runtime/invocation/a-1/error HTTP/1.1");
        assert_eq!(error.json()["errorType"], "InjectedError");
        acknowledge(&mut client, &mut api);
    }
}

#[test]
fn a_response_after_the_handler_replaces_its_given_parts() {
    let stage = Stage::new(r#"[{"response":{"statusCode":404,"when":"after"}}]"#);
    let (mut client, mut api) = stage.deliver("a-1");
    client.send(post("a-1", "response", r#"{"statusCode":200,"body":"own"}"#));
    let response = api.message();
    assert_eq!(response.json(), json!({ "statusCode": 404, "body": "own" }));
    assert_eq!(response.header("x-own"), Some("kept"));
    acknowledge(&mut client, &mut api);
    // A failed handler has no response to change.
    let (mut client, mut api) = stage.deliver("a-2");
    client.send(post("a-2", "error", "{}"));
    api.expect(post("a-2", "error", "{}"));
}

#[test]
fn corrupt_damages_the_body_of_an_http_response() {
    let mut stage = Stage::new(r#"[{"corrupt":{"mangle":true}}]"#);
    let (mut client, mut api) = stage.deliver("a-1");
    client.send(post("a-1", "response", r#"{"statusCode":200,"body":"{\"total\":12}"}"#));
    assert_eq!(api.message().json(), json!({ "statusCode": 200, "body": "{\"total\":-13}" }));
    assert_eq!(stage.metric(), ("corrupt".into(), 0, "a-1".into()));
}

#[test]
fn damage_without_a_difference_is_not_reported() {
    let mut stage = Stage::new(
        r#"[{"corrupt":{"truncateBytes":100}},{"latency":{"delayMs":1,"match":[{"path":"n","equals":2}]}}]"#,
    );
    let (mut client, mut api) = stage.deliver("a-1");
    let response = post("a-1", "response", r#"{ "statusCode" : 204 }"#);
    client.send(&response);
    api.expect(&response);
    acknowledge(&mut client, &mut api);
    client.send(NEXT);
    api.expect(NEXT);
    api.send(event("a-2", r#"{"n":2}"#));
    client.message();
    assert_eq!(stage.metric(), ("latency".into(), 1, "a-2".into()), "there is no metric before it");
}

#[test]
fn a_replaced_result_keeps_the_id_of_its_invocation() {
    let too_long = "x".repeat(7 << 20);
    for (fault, body) in [
        (r#"{"error":{"when":"after"}}"#, "{}"),
        (r#"{"response":{"raw":"no","when":"after"}}"#, "{}"),
        (r#"{"response":{"raw":"no","when":"after"}}"#, &too_long),
        (r#"{"corrupt":{"replace":"x"}}"#, "{}"),
    ] {
        let stage = Stage::new(&format!("[{fault}]"));
        let id = "Lambda-Runtime-Invocation-Id: b9f0c7d2-nonce-1";
        let (mut client, mut api) = stage.connected(NEXT);
        api.send(with_header(&event("a-1", "{}"), id));
        client.message();
        client.send(with_header(&post("a-1", "response", body), id));
        let result = api.message();
        assert_eq!(result.header("lambda-runtime-invocation-id"), Some("b9f0c7d2-nonce-1"), "{fault}");
        assert_ne!(result.body, body.as_bytes());
    }
}

#[test]
fn a_late_result_of_a_retried_request_has_no_fault() {
    let stage = Stage::new(r#"[{"corrupt":{"replace":"x"}}]"#);
    let (mut client, mut api) = stage.connected(NEXT);
    api.send(with_header(&event("a-1", "{}"), "Lambda-Runtime-Invocation-Id: second"));
    client.message();
    let late = with_header(&post("a-1", "response", "{}"), "Lambda-Runtime-Invocation-Id: first");
    client.send(&late);
    api.expect(&late);
    api.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    assert!(client.message().line().contains("400"));
    client.send(with_header(&post("a-1", "response", "{}"), "Lambda-Runtime-Invocation-Id: second"));
    assert_eq!(api.message().body, b"x");
}

#[test]
fn invocations_without_a_result_do_not_block_later_faults() {
    let stage = Stage::new(r#"[{"corrupt":{"replace":"x"}}]"#);
    let (mut client, mut api) = stage.deliver("a-0");
    for number in 1..=1030 {
        client.send(NEXT);
        api.expect(NEXT);
        api.send(event(&format!("a-{number}"), "{}"));
        client.message();
    }
    client.send(post("a-1030", "response", "{}"));
    assert_eq!(api.message().body, b"x");
    next_invocation(&mut client, &mut api, "b-1");
    client.send(post("a-0", "response", "{}"));
    assert_eq!(api.message().body, b"{}");
    let log = stage.log_after_kill();
    assert!(log.contains("too many invocations without a result") && log.lines().count() == 1, "{log}");
}

#[test]
fn a_body_that_waits_for_100_continue_is_changed() {
    let stage = Stage::new(r#"[{"corrupt":{"replace":"no"}}]"#);
    let (mut client, mut api) = stage.deliver("a-1");
    client.send("POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    client.expect("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("yes");
    let response = api.message();
    assert_eq!((response.body.as_slice(), response.header("expect")), (&b"no"[..], None));
}

#[test]
fn an_oversized_response_passes_or_is_replaced_as_a_whole() {
    let body = "x".repeat(7 * 1024 * 1024);
    let response = post("a-1", "response", &body);
    let stage = Stage::new(r#"[{"corrupt":{"mangle":true}}]"#);
    let (mut client, mut api) = stage.deliver("a-1");
    pass(&mut client, &mut api, &response);
    acknowledge(&mut client, &mut api);
    let stage = Stage::new(r#"[{"response":{"raw":"short","when":"after"}}]"#);
    let (mut client, mut api) = stage.deliver("a-1");
    client.send(&response);
    assert_eq!(api.message().body, b"short");
    acknowledge(&mut client, &mut api);
}

#[test]
fn chunk_framing_does_not_count_as_payload() {
    let count = 6_000_000 / 40;
    let chunks = "28\r\n0123456789012345678901234567890123456789\r\n".repeat(count);
    let head = "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let stage = Stage::new(r#"[{"corrupt":{"truncateBytes":5999999}}]"#);
    let (mut client, mut api) = stage.deliver("a-1");
    client.send(format!("{head}{chunks}0\r\n\r\n"));
    assert_eq!(api.message().body.len(), 5_999_999);
    // A response with so much framing exceeds the limit of the buffer, and passes.
    let (mut client, mut api) = stage.deliver("a-2");
    let chunks = "1\r\nx\r\n".repeat(2_500_000);
    let response = format!("{}{chunks}0\r\n\r\n", head.replace("a-1", "a-2"));
    pass(&mut client, &mut api, &response);
}

#[test]
fn an_early_refusal_of_a_changed_result_arrives() {
    for megabytes in [6, 7] {
        let stage = Stage::new(r#"[{"corrupt":{"mangle":true}}]"#);
        let (mut client, mut api) = stage.deliver("a-1");
        let refusal = "HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig";
        std::thread::scope(|scope| {
            scope.spawn(|| {
                api.expect("POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\n");
                api.send(refusal);
                api.close();
            });
            client.send(post("a-1", "response", &"x".repeat(megabytes << 20)));
            client.expect(refusal);
        });
    }
}
