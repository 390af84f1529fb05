//! Connections that close, break, wait or are replaced.

use std::time::Duration;

use super::support::{NEXT, PATIENCE, Stage, acknowledge, event, post};

/// Long enough for an unwanted request to arrive.
const A_WHILE: Duration = Duration::from_millis(150);

#[test]
fn a_poll_waits_without_a_timeout() {
    let stage = Stage::new("");
    let (mut client, mut api) = stage.connected(NEXT);
    // No timer of the proxy ends the poll in this time. A test cannot show that there is no timer at all.
    client.expect_silence(Duration::from_secs(3));
    let event = event("a-1", "{}");
    api.send(&event);
    client.expect(&event);
}

#[test]
fn an_incomplete_response_is_incomplete_for_the_runtime() {
    let conditional = r#"[{"error":{"match":[{"path":"a","exists":true}]}}]"#;
    for faults in ["", r#"[{"error":{"percentage":0}}]"#, conditional] {
        let stage = Stage::new(faults);
        for length in [10, 60, event("a-1", "{\"a\":1}").len() - 2] {
            let (mut client, mut api) = stage.connected(NEXT);
            let event = event("a-1", "{\"a\":1}");
            api.send(&event[..length]);
            api.close();
            client.expect(&event[..length]);
            client.expect_end();
        }
        let (mut client, api) = stage.connected(NEXT);
        api.close();
        client.expect_end();
    }
}

#[test]
fn an_incomplete_result_is_not_completed() {
    for body in ["Content-Length: 9\r\n\r\n{}", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"] {
        let stage = Stage::new(r#"[{"corrupt":{"replace":"x"}}]"#);
        let (mut client, mut api) = stage.deliver("a-1");
        client.send(format!("POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\n{body}"));
        client.close();
        api.expect_end();
    }
}

#[test]
fn a_result_with_an_unknown_end_passes_unchanged() {
    let stage = Stage::new(r#"[{"corrupt":{"replace":"x"}}]"#);
    let (mut client, mut api) = stage.deliver("a-1");
    let odd = "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n";
    client.send(odd);
    api.expect(odd);
    api.send("HTTP/1.1 400 Bad Request\r\n\r\n");
    client.expect("HTTP/1.1 400 Bad Request\r\n\r\n");
}

#[test]
fn a_response_without_a_length_ends_with_its_connection() {
    let stage = Stage::new("");
    let (mut client, mut api) = stage.connected(NEXT);
    api.send("HTTP/1.1 200 OK\r\n\r\nall of it");
    api.close();
    client.expect("HTTP/1.1 200 OK\r\n\r\nall of it");
    client.expect_end();
}

#[test]
fn the_poll_of_a_dead_runtime_takes_no_event() {
    for faults in ["", r#"[{"latency":{"delayMs":60000}}]"#] {
        let stage = Stage::new(faults);
        let (client, mut api) = stage.connected(NEXT);
        client.close();
        api.expect_end();
    }
}

#[test]
fn a_runtime_that_dies_during_a_delay_closes_the_connection() {
    let stage = Stage::new(r#"[{"latency":{"delayMs":60000}}]"#);
    let (client, mut api) = stage.connected(NEXT);
    api.send(event("a-1", "{}"));
    std::thread::sleep(A_WHILE);
    client.close();
    api.expect_end();
}

#[test]
fn an_incomplete_request_is_not_completed() {
    let stage = Stage::new("");
    let (client, mut api) =
        stage.connected("POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf");
    client.close();
    api.expect_end();
}

#[test]
fn a_connection_closed_while_frozen_is_replaced_before_use() {
    let stage = Stage::new("");
    let (mut client, api) = stage.deliver("a-1");
    // While the proxy is frozen, the Runtime API closes its idle connection, and the runtime sends a request on its
    // own.
    freeze(&stage, true);
    api.close();
    client.send(post("a-1", "response", "{}"));
    freeze(&stage, false);
    let mut api = stage.api.accept();
    api.expect(post("a-1", "response", "{}"));
    acknowledge(&mut client, &mut api);
}

fn freeze(stage: &Stage, frozen: bool) {
    let signal = if frozen { "-STOP" } else { "-CONT" };
    let done = std::process::Command::new("kill").args([signal, &stage.proxy.id().to_string()]).status().unwrap();
    assert!(done.success());
    std::thread::sleep(Duration::from_millis(20));
}

#[test]
fn no_result_is_ever_sent_twice() {
    for faults in ["", r#"[{"response":{"statusCode":404,"when":"after"}}]"#] {
        let stage = Stage::new(faults);
        let (mut client, mut api) = stage.deliver("a-1");
        client.send(post("a-1", "response", "{}"));
        assert!(api.message().line().starts_with("POST "));
        api.close();
        client.expect_end();
        assert!(stage.api.try_accept(A_WHILE).is_none(), "the result was sent again");
    }
}

#[test]
fn a_result_in_the_handlers_place_is_not_sent_twice() {
    let stage = Stage::new(r#"[{"error":{}}]"#);
    let (mut client, mut api) = stage.connected(NEXT);
    api.send(event("a-1", "{}"));
    assert!(api.message().line().ends_with("/a-1/error HTTP/1.1"));
    api.close();
    client.expect_end();
    assert!(stage.api.try_accept(A_WHILE).is_none(), "the result was sent again");
}

#[test]
fn an_unreachable_runtime_api_closes_the_connection() {
    let api = super::support::Api::new();
    let mut stage = Stage::at(api, "", "", PATIENCE);
    stage.api = super::support::Api::new();
    let mut client = stage.client();
    client.send(NEXT);
    client.expect_end();
}

#[test]
fn a_response_before_the_end_of_its_request_arrives() {
    let stage = Stage::new("");
    let body = "x".repeat(6 * 1024 * 1024);
    let request = post("a-1", "response", &body);
    let refusal = "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig";
    let mut client = stage.client();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut api = stage.api.accept();
            api.expect(&request.as_bytes()[..1000]);
            api.send(refusal);
            api.close();
        });
        client.send(&request);
        client.expect(refusal);
        client.expect_end();
    });
}

#[test]
fn an_early_response_keeps_the_connection_usable() {
    let stage = Stage::new("");
    let request = post("a-1", "response", &"x".repeat(6 << 20));
    let refusal = "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\n\r\nbig";
    let (mut client, mut api) = stage.connected(&request[..1000]);
    api.send(refusal);
    client.expect(refusal);
    std::thread::scope(|scope| {
        scope.spawn(|| api.expect(&request[1000..]));
        client.send(&request[1000..]);
    });
    client.send(NEXT);
    api.expect(NEXT);
    acknowledge(&mut client, &mut api);
}

#[test]
fn a_refused_request_is_read_exactly_to_its_end() {
    let stage = Stage::new("");
    let request = post("a-1", "response", &"x".repeat(6 << 20));
    let refusal = "HTTP/1.1 413 Payload Too Large\r\nContent-Length: 3\r\n\r\nbig";
    let (mut client, mut api) = stage.connected(&request[..100_000]);
    api.send(refusal);
    client.expect(refusal);
    // The Runtime API does not read the rest.
    api.close();
    client.send(&request[100_000..]);
    client.send(NEXT);
    let mut api = stage.api.accept();
    api.expect(NEXT);
    acknowledge(&mut client, &mut api);
}

#[test]
fn a_half_closed_client_still_gets_its_response() {
    for faults in ["", r#"[{"latency":{"delayMs":200,"when":"after"}}]"#, r#"[{"error":{"when":"after"}}]"#] {
        let stage = Stage::new(faults);
        let (mut client, mut api) = stage.deliver("a-1");
        client.send(post("a-1", "response", "{}"));
        client.0.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
        assert!(api.message().line().contains("/a-1/"), "{faults}");
        api.expect_silence(A_WHILE);
        acknowledge(&mut client, &mut api);
        client.expect_end();
    }
}

#[test]
fn connection_close_passes_in_both_directions() {
    let stage = Stage::new("");
    let (mut client, mut api) = stage.connected(&NEXT.replace("User-Agent: a-runtime", "Connection: close"));
    acknowledge(&mut client, &mut api);
    client.expect_end();
    api.expect_end();
    let (mut client, mut api) = stage.connected(NEXT);
    let last = "HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    api.send(last);
    client.expect(last);
    client.expect_end();
}
