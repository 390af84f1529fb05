//! Heads that are long, unusual or not HTTP/1.1: they keep their faults, or the log reports that they have none.

use super::support::{ACCEPTED, NEXT, Stage, acknowledge, event, next_invocation, post, with_header};

#[test]
fn faults_apply_to_and_after_an_error_with_a_long_cause() {
    let stage = Stage::new(r#"[{"error":{"when":"after"}}]"#);
    let (mut client, mut api) = stage.deliver("a-1");
    for (id, length) in [("a-1", 70 << 10), ("a-2", (1 << 20) - 1), ("a-3", 10)] {
        let cause = format!("Lambda-Runtime-Function-XRay-Error-Cause: {}", "c".repeat(length));
        client.send(with_header(&post(id, "error", "{}"), &cause));
        assert_eq!(api.message().json()["errorType"], "InjectedError", "{id}");
        next_invocation(&mut client, &mut api, if id == "a-1" { "a-2" } else { "a-3" });
    }
    assert_eq!(stage.log_after_kill(), "");
}

#[test]
fn faults_apply_where_an_upgrade_is_offered() {
    let stage = Stage::new(r#"[{"error":{"when":"after"}}]"#);
    // The headers that java.net.http sends.
    let offer = |message: &str| {
        with_header(message, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB")
    };
    let (mut client, mut api) = stage.connected(&offer(NEXT));
    api.send(event("a-1", "{}"));
    client.message();
    client.send(offer(&post("a-1", "response", "{}")));
    assert!(api.message().line().contains("/a-1/error"));
    assert_eq!(stage.log_after_kill(), "");
}

#[test]
fn a_connection_without_faults_is_logged_once() {
    let logged = |request: &str, response: &str| {
        let stage = Stage::new(r#"[{"error":{"when":"after"}}]"#);
        for _ in 0..2 {
            let (mut client, mut api) = stage.connected(request);
            api.send(response);
            client.expect(response);
        }
        stage.log_after_kill()
    };
    let switched = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    let many = "X-A: b\r\n".repeat(300);
    for (request, response, why) in [
        (NEXT, switched, "it has switched to another protocol"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", "it is not HTTP/1.1"),
        ("CONNECT a:1 HTTP/1.1\r\n\r\n", "", "it is not HTTP/1.1"),
        (&with_header(NEXT, &many), "", "more than 256 headers"),
        (&with_header(NEXT, "Transfer-Encoding: gzip"), "", "the end of a body cannot be found"),
    ] {
        let log = logged(request, response);
        assert!(log.contains(why) && log.contains("passes unchanged, without faults"), "{request}: {log:?}");
        assert_eq!(log.lines().count(), 1, "{log}");
    }
    assert_eq!(logged(NEXT, ACCEPTED), "");
}

#[test]
fn a_header_that_is_not_text_hides_no_other() {
    let stage = Stage::new(r#"[{"corrupt":{"replace":"x"}}]"#);
    let (mut client, mut api) = stage.connected(NEXT);
    let odd = |message: String| {
        let bytes = message.into_bytes();
        let end = bytes.windows(2).position(|two| two == b"\r\n").unwrap() + 2;
        [&bytes[..end], b"X-Odd: caf\xe9\r\n", &bytes[end..]].concat()
    };
    let event = odd(event("a-1", "{}"));
    api.send(&event);
    client.expect(&event);
    client.send(odd(post("a-1", "response", "{}")));
    api.expect(odd(post("a-1", "response", "x")).as_slice().strip_suffix(b"Content-Length: 1\r\n\r\nx").unwrap());
    api.expect("Content-Length: 1\r\n\r\nx");
}

#[test]
fn a_request_after_an_empty_line_has_its_fault() {
    let stage = Stage::new(r#"[{"corrupt":{"replace":"x"}}]"#);
    let (mut client, mut api) = stage.deliver("a-1");
    client.send(format!("\r\n{}", post("a-1", "response", "{}")));
    api.expect(post("a-1", "response", "x"));
    acknowledge(&mut client, &mut api);
}

#[test]
fn a_head_with_bare_line_feeds_stays_one_request() {
    let stage = Stage::new(r#"[{"corrupt":{"replace":"x"}}]"#);
    let (mut client, mut api) = stage.deliver("a-1");
    client.send(post("a-1", "response", "hello").replace("\r\n", "\n"));
    api.expect(post("a-1", "response", "x"));
    acknowledge(&mut client, &mut api);
    client.send(NEXT);
    api.expect(NEXT);
}
