//! Faults in the handler's place, and which invocations have a fault.

use std::time::Duration;

use serde_json::json;

use super::support::{ACCEPTED, Api, NEXT, Stage, event, next_invocation, post, with_header};

#[test]
fn after_an_error_the_same_poll_gets_the_next_event() {
    let mut stage =
        Stage::new(r#"[{"error":{"type":"Db.Down","message":"no \"rows\"","match":[{"path":"bad","exists":true}]}}]"#);
    let (mut client, mut api) = stage.connected(NEXT);
    api.send(event("a-1", r#"{"bad":1}"#));
    let error = api.message();
    assert_eq!(error.line(), "POST /2018-06-01/runtime/invocation/a-1/error HTTP/1.1");
    assert_eq!(error.header("lambda-runtime-function-error-type"), Some("Db.Down"));
    assert_eq!(error.json(), json!({ "errorType": "Db.Down", "errorMessage": "no \"rows\"", "stackTrace": [] }));
    api.send(ACCEPTED);
    api.expect(NEXT);
    let good = event("a-2", r#"{"good":1}"#);
    api.send(&good);
    client.expect(&good);
    assert_eq!(stage.metric(), ("error".into(), 0, "a-1".into()));
}

#[test]
fn a_response_takes_the_handlers_place() {
    let mut stage = Stage::new(r#"[{"response":{"statusCode":503,"headers":{"retry-after":"1"},"body":"busy"}}]"#);
    let (_client, mut api) = stage.invoke("a-1");
    let response = api.message();
    assert_eq!(response.line(), "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1");
    let wanted =
        json!({ "statusCode": 503, "headers": { "retry-after": "1" }, "body": "busy", "isBase64Encoded": false });
    assert_eq!(response.json(), wanted);
    assert_eq!(stage.metric(), ("response".into(), 0, "a-1".into()));
}

#[test]
fn a_result_in_the_handlers_place_has_the_invocation_id() {
    for fault in [r#"{"error":{}}"#, r#"{"response":{"statusCode":503}}"#] {
        let stage = Stage::new(&format!("[{fault}]"));
        let (_client, mut api) = stage.connected(NEXT);
        api.send(with_header(&event("a-1", "{}"), "Lambda-Runtime-Invocation-Id: b9f0c7d2-nonce-1"));
        assert_eq!(api.message().header("lambda-runtime-invocation-id"), Some("b9f0c7d2-nonce-1"), "{fault}");
        api.send(ACCEPTED);
        api.expect(NEXT);
        api.send(event("a-2", "{}"));
        assert_eq!(api.message().header("lambda-runtime-invocation-id"), None, "{fault}");
    }
}

#[test]
fn the_prefix_of_the_upstream_is_in_injected_requests() {
    let long = "x".repeat(7 * 1024 * 1024);
    let wanted = |kind: &str| format!("POST /.rt/f/2018-06-01/runtime/invocation/a-1/{kind} HTTP/1.1");
    for (faults, response, kind) in [
        (r#"[{"error":{}}]"#, None, "error"),
        (r#"[{"error":{"when":"after"}}]"#, Some("{}"), "error"),
        (r#"[{"response":{"statusCode":404,"when":"after"}}]"#, Some("{}"), "response"),
        (r#"[{"corrupt":{"mangle":true}}]"#, Some(long.as_str()), "response"),
    ] {
        let stage = Stage::at(Api::new(), "/.rt/f", faults, Duration::from_secs(60));
        let mut client = stage.client();
        client.send(NEXT);
        let mut api = stage.api.accept();
        assert_eq!(api.message().line(), "GET /.rt/f/2018-06-01/runtime/invocation/next HTTP/1.1");
        api.send(event("a-1", "{}"));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if let Some(response) = response {
                    client.message();
                    client.send(post("a-1", "response", response));
                }
            });
            assert_eq!(api.message().line(), wanted(kind), "{faults}");
        });
    }
}

#[test]
fn concurrent_invocations_keep_their_own_faults() {
    let stage = Stage::new(r#"[{"response":{"raw":"late","when":"after","match":[{"path":"n","equals":2}]}}]"#);
    let (mut one, mut api_one) = stage.connected(NEXT);
    let (mut two, mut api_two) = stage.connected(NEXT);
    api_two.send(event("a-2", r#"{"n":2}"#));
    two.message();
    api_one.send(event("a-1", r#"{"n":1}"#));
    one.message();
    // Each result comes over the other connection.
    one.send(post("a-2", "response", "{}"));
    assert_eq!(api_one.message().body, b"late");
    two.send(post("a-1", "response", "{}"));
    api_two.expect(post("a-1", "response", "{}"));
}

#[test]
fn a_qualifier_selects_by_the_invoked_arn() {
    let stage = Stage::new(
        r#"[{"error":{"type":"Of.Live","qualifier":"live"}},{"error":{"type":"Of.Latest","qualifier":"$LATEST"}}]"#,
    );
    let (_client, mut api) = stage.invoke("a-1");
    assert_eq!(api.message().json()["errorType"], "Of.Live");
}

#[test]
fn a_seed_repeats_its_sequence() {
    let sequence = || {
        let stage = Stage::new(r#"[{"error":{"percentage":50,"when":"after"}}]"#);
        let (mut client, mut api) = stage.deliver("a-0");
        let mut failed = Vec::new();
        for number in 0..24 {
            client.send(post(&format!("a-{number}"), "response", "{}"));
            failed.push(api.message().line().contains("/error"));
            next_invocation(&mut client, &mut api, &format!("a-{}", number + 1));
        }
        failed
    };
    let failed = sequence();
    assert_eq!(failed, sequence());
    assert!(failed.contains(&true) && failed.contains(&false), "{failed:?}");
}
