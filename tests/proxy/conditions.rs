//! Conditions on events of any size and framing.

use super::support::{NEXT, Stage, event};

#[test]
fn conditions_apply_to_a_chunked_event() {
    let stage = Stage::new(r#"[{"error":{"match":[{"path":"a.1","equals":2}]}}]"#);
    let (_client, mut api) = stage.connected(NEXT);
    api.send("HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a-1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n6\r\n[1,2]}\r\n0\r\n\r\n");
    assert!(api.message().line().contains("/a-1/error"));
}

#[test]
fn conditions_apply_to_events_up_to_the_buffer_limit() {
    let stage = Stage::new(r#"[{"error":{"match":[{"path":"last","equals":1}]}}]"#);
    for (length, is_met) in [(100, true), (64 * 1024, true), (6 * 1024 * 1024, true), (8 * 1024 * 1024, false)] {
        let (mut client, mut api) = stage.connected(NEXT);
        let event = event("a-1", &format!(r#"{{"first":"{}","last":1}}"#, "x".repeat(length)));
        std::thread::scope(|scope| {
            let sender = &mut api;
            scope.spawn(|| sender.send(&event));
            if !is_met {
                client.expect(&event);
            }
        });
        if is_met {
            assert!(api.message().line().contains("/a-1/error"), "{length}");
        }
    }
}

#[test]
fn an_event_that_ends_with_its_connection_passes_whole() {
    let stage = Stage::new(r#"[{"latency":{"delayMs":1,"match":[{"path":"n","equals":1}]}}]"#);
    let (mut client, mut api) = stage.connected(NEXT);
    let event = "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a-1\r\n\r\n{\"n\":1}";
    api.send(event);
    api.close();
    client.expect(event);
    client.expect_end();
}
