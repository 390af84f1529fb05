//! Each fault, standalone: what the runtime sees, what the Runtime API sees, and what is said about it.

use std::time::{Duration, Instant};

use serde_json::json;

use super::support::{ACCEPTED, Api, NEXT, Peer, Stage, event, event_until, post, with_header};

/// The runtime asks for an event, and the Runtime API has one.
fn invoke(stage: &Stage, id: &str) -> (Peer, Peer) {
    let (client, mut api) = stage.connected(NEXT);
    api.send(event(id, r#"{"path":"/config","n":1}"#));
    (client, api)
}

/// The same, and the runtime gets it.
fn deliver(stage: &Stage, id: &str) -> (Peer, Peer) {
    let (mut client, api) = invoke(stage, id);
    assert_eq!(client.message().json()["n"], 1);
    (client, api)
}

/// The runtime's answer was taken, and it asks for the next event and gets it.
fn acknowledge_and_go_on(client: &mut Peer, api: &mut Peer, next: &str) {
    api.send(ACCEPTED);
    client.expect(ACCEPTED);
    client.send(NEXT);
    api.expect(NEXT);
    api.send(event(next, "{}"));
    client.message();
}

#[test]
fn latency_keeps_the_event_back_by_what_it_says() {
    let mut stage = Stage::new(r#"[{"latency":{"delayMs":150}}]"#);
    let began = Instant::now();
    deliver(&stage, "a-1");
    assert!(began.elapsed() >= Duration::from_millis(150));
    assert_eq!(stage.metric(), ("latency".into(), 150, "a-1".into()));
}

#[test]
fn latency_after_the_handler_keeps_its_answer_back() {
    let mut stage = Stage::new(r#"[{"latency":{"minMs":150,"maxMs":160,"when":"after"}}]"#);
    let (mut client, mut api) = deliver(&stage, "a-1");
    let began = Instant::now();
    client.send(post("a-1", "response", "{}"));
    api.expect(post("a-1", "response", "{}"));
    assert!(began.elapsed() >= Duration::from_millis(150));
    let (fault, delay, id) = stage.metric();
    assert_eq!((fault.as_str(), id.as_str()), ("latency", "a-1"));
    assert!((150..=160).contains(&delay), "{delay}");
    // The next answer is that of another invocation.
    api.send(ACCEPTED);
    client.expect(ACCEPTED);
    client.send(post("other", "response", "{}"));
    api.expect(post("other", "response", "{}"));
}

#[test]
fn a_connection_that_is_closed_during_a_delay_is_replaced() {
    let stage = Stage::new(r#"[{"latency":{"delayMs":300,"when":"after"}}]"#);
    let (mut client, api) = deliver(&stage, "a-1");
    client.send(post("a-1", "response", "{}"));
    std::thread::sleep(Duration::from_millis(50));
    api.close();
    let mut api = stage.api.accept();
    api.expect(post("a-1", "response", "{}"));
    api.send(ACCEPTED);
    client.expect(ACCEPTED);
}

#[test]
fn a_delay_does_not_outlast_the_faults() {
    let mut stage =
        Stage::at(Api::new(), "", r#"[{"latency":{"delayMs":900000}},{"error":{}}]"#, Duration::from_millis(1700));
    let (mut client, mut api) = invoke(&stage, "a-1");
    // The error would come behind the delay; by then, everything passes.
    assert_eq!(client.message().json()["n"], 1);
    let (fault, delay, _) = stage.metric();
    assert!(fault == "latency" && delay <= 1700, "{fault} {delay}");
    client.send(post("a-1", "response", "{}"));
    api.expect(post("a-1", "response", "{}"));
}

#[test]
fn when_their_time_is_over_no_fault_is_injected() {
    let stage =
        Stage::at(Api::new(), "", r#"[{"latency":{"delayMs":900000}},{"error":{"when":"after"}}]"#, Duration::ZERO);
    let (mut client, mut api) = deliver(&stage, "a-1");
    client.send(post("a-1", "response", "{}"));
    api.expect(post("a-1", "response", "{}"));
}

#[test]
fn what_was_due_when_the_event_came_is_void_when_the_time_is_over() {
    let stage = Stage::at(
        Api::new(),
        "",
        r#"[{"error":{"when":"after"}},{"latency":{"delayMs":60000,"when":"after"}}]"#,
        Duration::from_millis(1500),
    );
    let (mut client, mut api) = deliver(&stage, "a-1");
    std::thread::sleep(Duration::from_millis(1700));
    client.send(post("a-1", "response", "{}"));
    api.expect(post("a-1", "response", "{}"));
}

#[test]
fn a_timeout_leaves_the_handler_its_buffer() {
    let mut stage = Stage::new(r#"[{"invocationTimeout":{"bufferMs":500}}]"#);
    let (mut client, mut api) = stage.connected(NEXT);
    let deadline = super::support::milliseconds() + 900;
    api.send(event_until("a-1", "{}", Duration::from_millis(900)));
    client.message();
    assert!(super::support::milliseconds() >= deadline - 500);
    let (fault, delay, _) = stage.metric();
    assert!(fault == "invocationTimeout" && delay <= 400, "{fault} {delay}");
}

#[test]
fn an_error_takes_the_handlers_place_and_the_next_event_comes_on_the_same_request() {
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
fn an_error_after_the_handler_replaces_its_answer() {
    let stage = Stage::new(r#"[{"error":{"when":"after"}},{"corrupt":{"mangle":true}}]"#);
    for kind in ["response", "error"] {
        let (mut client, mut api) = deliver(&stage, "a-1");
        client.send(post("a-1", kind, "{\"fine\":true}"));
        let error = api.message();
        assert_eq!(error.line(), "POST /2018-06-01/runtime/invocation/a-1/error HTTP/1.1");
        assert_eq!(error.json()["errorType"], "InjectedError");
        api.send(ACCEPTED);
        client.expect(ACCEPTED);
    }
}

#[test]
fn an_error_with_a_long_cause_has_its_fault_and_so_has_the_next_invocation() {
    let stage = Stage::new(r#"[{"error":{"when":"after"}}]"#);
    let (mut client, mut api) = deliver(&stage, "a-1");
    for (id, length) in [("a-1", 70 << 10), ("a-2", (1 << 20) - 1), ("a-3", 10)] {
        let cause = format!("Lambda-Runtime-Function-XRay-Error-Cause: {}", "c".repeat(length));
        client.send(with_header(&post(id, "error", "{}"), &cause));
        assert_eq!(api.message().json()["errorType"], "InjectedError", "{id}");
        acknowledge_and_go_on(&mut client, &mut api, if id == "a-1" { "a-2" } else { "a-3" });
    }
    assert_eq!(stage.last_words(), "");
}

#[test]
fn an_offered_upgrade_has_its_faults() {
    let stage = Stage::new(r#"[{"error":{"when":"after"}}]"#);
    // As java.net.http asks.
    let offer = |message: &str| {
        with_header(message, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB")
    };
    let (mut client, mut api) = stage.connected(&offer(NEXT));
    api.send(event("a-1", "{}"));
    client.message();
    client.send(offer(&post("a-1", "response", "{}")));
    assert!(api.message().line().contains("/a-1/error"));
    assert_eq!(stage.last_words(), "");
}

#[test]
fn a_connection_without_faults_is_said_once() {
    let says = |request: &str, answer: &str| {
        let stage = Stage::new(r#"[{"error":{"when":"after"}}]"#);
        for _ in 0..2 {
            let (mut client, mut api) = stage.connected(request);
            api.send(answer);
            client.expect(answer);
        }
        stage.last_words()
    };
    let switched = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    let many = "X-A: b\r\n".repeat(300);
    for (request, answer, why) in [
        (NEXT, switched, "it was switched to another protocol"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", "it does not speak HTTP/1.1"),
        ("CONNECT a:1 HTTP/1.1\r\n\r\n", "", "it does not speak HTTP/1.1"),
        (&with_header(NEXT, &many), "", "more than 256 headers"),
        (&with_header(NEXT, "Transfer-Encoding: gzip"), "", "the length of a body cannot be read"),
    ] {
        let said = says(request, answer);
        assert!(said.contains(why) && said.contains("no faults are injected on it"), "{request}: {said:?}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert_eq!(says(NEXT, ACCEPTED), "");
}

#[test]
fn the_id_of_an_invocation_is_in_the_answers_that_take_the_handlers_place() {
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
fn the_id_of_an_invocation_stays_in_the_answers_that_are_replaced() {
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
        let answer = api.message();
        assert_eq!(answer.header("lambda-runtime-invocation-id"), Some("b9f0c7d2-nonce-1"), "{fault}");
        assert_ne!(answer.body, body.as_bytes());
    }
}

#[test]
fn a_late_answer_to_a_retried_request_has_not_its_fault() {
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
fn unanswered_invocations_do_not_end_the_faults_of_later_ones() {
    let stage = Stage::new(r#"[{"corrupt":{"replace":"x"}}]"#);
    let (mut client, mut api) = deliver(&stage, "a-0");
    for number in 1..=1030 {
        client.send(NEXT);
        api.expect(NEXT);
        api.send(event(&format!("a-{number}"), "{}"));
        client.message();
    }
    client.send(post("a-1030", "response", "{}"));
    assert_eq!(api.message().body, b"x");
    acknowledge_and_go_on(&mut client, &mut api, "b-1");
    client.send(post("a-0", "response", "{}"));
    assert_eq!(api.message().body, b"{}");
    let said = stage.last_words();
    assert!(said.contains("more invocations at once") && said.lines().count() == 1, "{said}");
}

#[test]
fn an_event_that_never_arrived_leaves_nothing_behind() {
    let stage = Stage::new(r#"[{"disk":{"megabytes":1}},{"corrupt":{"replace":"x"}}]"#);
    let (client, mut api) = stage.connected(NEXT);
    let half = event("a-1", &"x".repeat(1000));
    api.send(&half[..half.len() - 100]);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(unnamed(&stage).len(), 1);
    client.close();
    api.expect_end();
    assert_eq!(unnamed(&stage), []);
    let (mut client, mut api) = stage.connected(&post("a-1", "response", "{}"));
    api.send(ACCEPTED);
    client.expect(ACCEPTED);
}

#[test]
fn no_delay_takes_no_time() {
    let mut stage = Stage::new(r#"[{"latency":{"delayMs":0}},{"latency":{"delayMs":0,"when":"after"}}]"#);
    let (mut client, mut api) = deliver(&stage, "a-0");
    let began = Instant::now();
    for number in 0..1000 {
        client.send(post(&format!("a-{number}"), "response", "{}"));
        api.message();
        (0..2).for_each(|_| assert_eq!(stage.metric().1, 0));
        acknowledge_and_go_on(&mut client, &mut api, &format!("a-{}", number + 1));
    }
    // Two timers, of which each takes a millisecond at least, would be two seconds.
    assert!(began.elapsed() < Duration::from_millis(1900), "{:?}", began.elapsed());
}

#[test]
fn a_response_takes_the_handlers_place() {
    let mut stage = Stage::new(r#"[{"response":{"statusCode":503,"headers":{"retry-after":"1"},"body":"busy"}}]"#);
    let (_client, mut api) = invoke(&stage, "a-1");
    let response = api.message();
    assert_eq!(response.line(), "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1");
    let wanted =
        json!({ "statusCode": 503, "headers": { "retry-after": "1" }, "body": "busy", "isBase64Encoded": false });
    assert_eq!(response.json(), wanted);
    assert_eq!(stage.metric(), ("response".into(), 0, "a-1".into()));
}

#[test]
fn a_response_after_the_handler_replaces_what_it_names() {
    let stage = Stage::new(r#"[{"response":{"statusCode":404,"when":"after"}}]"#);
    let (mut client, mut api) = deliver(&stage, "a-1");
    client.send(post("a-1", "response", r#"{"statusCode":200,"body":"own"}"#));
    let response = api.message();
    assert_eq!(response.json(), json!({ "statusCode": 404, "body": "own" }));
    assert_eq!(response.header("x-own"), Some("kept"));
    api.send(ACCEPTED);
    client.expect(ACCEPTED);
    // A handler that has failed has no answer.
    let (mut client, mut api) = deliver(&stage, "a-2");
    client.send(post("a-2", "error", "{}"));
    api.expect(post("a-2", "error", "{}"));
}

const STREAM: &str = "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nHost: x\r\nX-Own: kept\r\n\
    Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: application/octet-stream\r\n\
    Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\nX-Sum: 7\r\n\r\n";

#[test]
fn a_streamed_answer_that_is_replaced_is_a_stream_no_more() {
    let stage = Stage::new(r#"[{"response":{"statusCode":404,"when":"after"}}]"#);
    let (mut client, mut api) = deliver(&stage, "a-1");
    client.send(STREAM);
    let response = api.message();
    assert_eq!(response.json()["statusCode"], 404);
    for gone in ["lambda-runtime-function-response-mode", "trailer", "transfer-encoding"] {
        assert_eq!(response.header(gone), None, "{gone}");
    }
    assert_eq!((response.header("content-type"), response.header("x-own")), (Some("application/json"), Some("kept")));
    api.send(ACCEPTED);
    client.expect(ACCEPTED);
}

#[test]
fn a_streamed_answer_that_is_damaged_stays_a_stream() {
    let stage = Stage::new(r#"[{"corrupt":{"truncateBytes":4}}]"#);
    let (mut client, mut api) = deliver(&stage, "a-1");
    client.send(STREAM);
    let kept = STREAM.split("Transfer-Encoding").next().unwrap();
    api.expect(format!("{kept}Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"));
    api.send(ACCEPTED);
    client.expect(ACCEPTED);
}

#[test]
fn an_answer_that_must_be_asked_for_is_asked_for() {
    let stage = Stage::new(r#"[{"corrupt":{"replace":"no"}}]"#);
    let (mut client, mut api) = deliver(&stage, "a-1");
    client.send("POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    client.expect("HTTP/1.1 100 Continue\r\n\r\n");
    client.send("yes");
    let response = api.message();
    assert_eq!((response.body.as_slice(), response.header("expect")), (&b"no"[..], None));
}

#[test]
fn corrupt_damages_the_body_of_an_http_answer() {
    let mut stage = Stage::new(r#"[{"corrupt":{"mangle":true}}]"#);
    let (mut client, mut api) = deliver(&stage, "a-1");
    client.send(post("a-1", "response", r#"{"statusCode":200,"body":"{\"total\":12}"}"#));
    assert_eq!(api.message().json(), json!({ "statusCode": 200, "body": "{\"total\":-13}" }));
    assert_eq!(stage.metric(), ("corrupt".into(), 0, "a-1".into()));
}

#[test]
fn what_is_too_long_to_be_held_passes_undamaged_or_is_replaced_as_a_whole() {
    let body = "x".repeat(7 * 1024 * 1024);
    let answer = post("a-1", "response", &body);
    let stage = Stage::new(r#"[{"corrupt":{"mangle":true}}]"#);
    let (mut client, mut api) = deliver(&stage, "a-1");
    std::thread::scope(|scope| {
        scope.spawn(|| client.send(&answer));
        api.expect(&answer);
    });
    api.send(ACCEPTED);
    client.expect(ACCEPTED);
    let stage = Stage::new(r#"[{"response":{"raw":"short","when":"after"}}]"#);
    let (mut client, mut api) = deliver(&stage, "a-1");
    client.send(&answer);
    assert_eq!(api.message().body, b"short");
    api.send(ACCEPTED);
    client.expect(ACCEPTED);
}

#[test]
fn what_frames_small_chunks_does_not_count_as_payload() {
    let count = 6_000_000 / 40;
    let chunks = "28\r\n0123456789012345678901234567890123456789\r\n".repeat(count);
    let head = "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let stage = Stage::new(r#"[{"corrupt":{"truncateBytes":5999999}}]"#);
    let (mut client, mut api) = deliver(&stage, "a-1");
    client.send(format!("{head}{chunks}0\r\n\r\n"));
    assert_eq!(api.message().body.len(), 5_999_999);
    // More than twice as much for framing than for payload is held by nobody.
    let (mut client, mut api) = deliver(&stage, "a-2");
    let chunks = "1\r\nx\r\n".repeat(2_500_000);
    let answer = format!("{}{chunks}0\r\n\r\n", head.replace("a-1", "a-2"));
    std::thread::scope(|scope| {
        scope.spawn(|| client.send(&answer));
        api.expect(&answer);
    });
}

#[test]
fn a_path_of_the_upstream_goes_before_paths_of_our_own_too() {
    let long = "x".repeat(7 * 1024 * 1024);
    let wanted = |kind: &str| format!("POST /.rt/f/2018-06-01/runtime/invocation/a-1/{kind} HTTP/1.1");
    for (faults, answer, kind) in [
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
                if let Some(answer) = answer {
                    client.message();
                    client.send(post("a-1", "response", answer));
                }
            });
            assert_eq!(api.message().line(), wanted(kind), "{faults}");
        });
    }
}

#[test]
fn disk_takes_space_until_the_answer_comes_and_has_no_name() {
    let mut stage = Stage::new(r#"[{"disk":{"megabytes":3}}]"#);
    let (mut client, mut api) = deliver(&stage, "a-1");
    assert_eq!(stage.metric(), ("disk".into(), 0, "a-1".into()));
    assert_eq!(unnamed(&stage), [(true, 3 << 20)]);
    client.send(post("a-1", "response", "{}"));
    api.expect(post("a-1", "response", "{}"));
    assert_eq!(unnamed(&stage), []);
}

#[test]
fn disk_is_freed_when_the_time_is_over() {
    let stage = Stage::at(Api::new(), "", r#"[{"disk":{"megabytes":1}}]"#, Duration::from_millis(1500));
    let (_client, _api) = deliver(&stage, "a-1");
    assert_eq!(unnamed(&stage).len(), 1);
    std::thread::sleep(Duration::from_millis(1700));
    assert_eq!(unnamed(&stage), []);
}

/// The proxy's files in /tmp: whether each has no name, and its bytes on the disk.
fn unnamed(stage: &Stage) -> Vec<(bool, u64)> {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(format!("/proc/{}/fd", stage.proxy.id())).unwrap();
    let open = entries.filter_map(|entry| {
        let path = entry.unwrap().path();
        let target = std::fs::read_link(&path).ok()?;
        target.starts_with("/tmp/").then(|| std::fs::metadata(&path).unwrap())
    });
    open.map(|file| (file.nlink() == 0, file.blocks() * 512)).collect()
}

#[test]
fn several_invocations_at_once_keep_their_own_faults() {
    let stage = Stage::new(r#"[{"response":{"raw":"late","when":"after","match":[{"path":"n","equals":2}]}}]"#);
    let (mut one, mut api_one) = stage.connected(NEXT);
    let (mut two, mut api_two) = stage.connected(NEXT);
    api_two.send(event("a-2", r#"{"n":2}"#));
    two.message();
    api_one.send(event("a-1", r#"{"n":1}"#));
    one.message();
    // Each answer comes over the other connection.
    one.send(post("a-2", "response", "{}"));
    assert_eq!(api_one.message().body, b"late");
    two.send(post("a-1", "response", "{}"));
    api_two.expect(post("a-1", "response", "{}"));
}

#[test]
fn a_delayed_invocation_delays_no_other() {
    let stage = Stage::new(r#"[{"latency":{"delayMs":5000,"match":[{"path":"slow","exists":true}]}}]"#);
    on_one_processor(&stage);
    let (mut slow, mut api_slow) = stage.connected(NEXT);
    api_slow.send(event("a-1", r#"{"slow":1}"#));
    let began = Instant::now();
    for id in ["a-2", "a-3", "a-4"] {
        let (mut client, mut api) = stage.connected(NEXT);
        api.send(event(id, "{}"));
        client.message();
        client.send(post(id, "response", "{}"));
        api.expect(post(id, "response", "{}"));
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    slow.message();
    assert!(began.elapsed() >= Duration::from_secs(4));
}

/// The proxy has one thread; this takes care that the machine cannot make up for a thread that waits.
fn on_one_processor(stage: &Stage) {
    let pid = stage.proxy.id();
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count();
    assert_eq!(tasks, 1, "threads");
    let _ = std::process::Command::new("taskset").args(["-pc", "0", &pid.to_string()]).output();
}

#[test]
fn a_qualifier_is_that_of_the_invoked_arn() {
    let stage = Stage::new(
        r#"[{"error":{"type":"Of.Live","qualifier":"live"}},{"error":{"type":"Of.Latest","qualifier":"$LATEST"}}]"#,
    );
    let (_client, mut api) = invoke(&stage, "a-1");
    assert_eq!(api.message().json()["errorType"], "Of.Live");
}

#[test]
fn a_seed_makes_the_same_sequence_again() {
    let sequence = || {
        let stage = Stage::new(r#"[{"error":{"percentage":50,"when":"after"}}]"#);
        let (mut client, mut api) = deliver(&stage, "a-0");
        let mut failed = Vec::new();
        for number in 0..24 {
            client.send(post(&format!("a-{number}"), "response", "{}"));
            failed.push(api.message().line().contains("/error"));
            acknowledge_and_go_on(&mut client, &mut api, &format!("a-{}", number + 1));
        }
        failed
    };
    let failed = sequence();
    assert_eq!(failed, sequence());
    assert!(failed.contains(&true) && failed.contains(&false), "{failed:?}");
}

#[test]
fn conditions_see_a_chunked_event_too() {
    let stage = Stage::new(r#"[{"error":{"match":[{"path":"a.1","equals":2}]}}]"#);
    let (_client, mut api) = stage.connected(NEXT);
    api.send("HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a-1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n6\r\n[1,2]}\r\n0\r\n\r\n");
    assert!(api.message().line().contains("/a-1/error"));
}

#[test]
fn conditions_see_an_event_of_any_size_that_may_be_held() {
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
fn a_delay_adds_to_an_error() {
    let mut stage = Stage::new(r#"[{"error":{}},{"latency":{"delayMs":100}},{"disk":{"megabytes":1}}]"#);
    let began = Instant::now();
    let (_client, mut api) = invoke(&stage, "a-1");
    assert!(api.message().line().contains("/a-1/error"));
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert_eq!((stage.metric().0, stage.metric().0), ("latency".into(), "error".into()));
}

#[test]
fn a_stream_that_is_under_way_when_the_time_is_over_goes_on_as_it_came() {
    for faults in [r#"[{"corrupt":{"replace":"x"}}]"#, r#"[{"error":{"when":"after"}}]"#] {
        let stage = Stage::at(Api::new(), "", faults, Duration::from_millis(1500));
        let (mut client, mut api) = deliver(&stage, "a-1");
        let (begin, end) = STREAM.split_at(STREAM.find("3\r\ndef").unwrap());
        client.send(begin);
        std::thread::sleep(Duration::from_millis(1700));
        api.expect(begin);
        client.send(end);
        api.expect(end);
        api.send(ACCEPTED);
        client.expect(ACCEPTED);
    }
}

const FAILED_STREAM: &str = "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nHost: x\r\n\
    Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\
    Trailer: Lambda-Runtime-Function-Error-Type\r\n\r\n\
    3\r\nabc\r\n0\r\nLambda-Runtime-Function-Error-Type: Midway\r\n\r\n";

#[test]
fn a_stream_that_has_failed_midway_stays_a_failure() {
    for faults in [r#"[{"corrupt":{"replace":"x"}}]"#, r#"[{"response":{"statusCode":404,"when":"after"}}]"#] {
        let stage = Stage::new(faults);
        let (mut client, mut api) = deliver(&stage, "a-1");
        client.send(FAILED_STREAM);
        api.expect(FAILED_STREAM);
    }
}

#[test]
fn the_head_of_a_streamed_http_answer_is_changed_without_its_body() {
    let stage = Stage::new(r#"[{"response":{"headers":{"retry-after":"1"},"when":"after"}}]"#);
    let (mut client, mut api) = deliver(&stage, "a-1");
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

#[test]
fn an_early_refusal_of_a_changed_answer_arrives() {
    for megabytes in [6, 7] {
        let stage = Stage::new(r#"[{"corrupt":{"mangle":true}}]"#);
        let (mut client, mut api) = deliver(&stage, "a-1");
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

#[test]
fn each_fault_has_a_line_of_its_own() {
    let mut stage = Stage::new(
        r#"[{"latency":{"delayMs":1,"when":"after"}},{"disk":{"megabytes":1}},{"latency":{"delayMs":2,"when":"after"}},{"disk":{"megabytes":2}}]"#,
    );
    let (mut client, mut api) = deliver(&stage, "a-1");
    assert_eq!(unnamed(&stage), [(true, 3 << 20)]);
    client.send(post("a-1", "response", "{}"));
    api.expect(post("a-1", "response", "{}"));
    let lines: Vec<_> = (0..4).map(|_| stage.metric()).map(|(fault, delay, _)| (fault, delay)).collect();
    let wanted = [("disk", 0), ("disk", 0), ("latency", 1), ("latency", 2)];
    assert_eq!(lines, wanted.map(|(fault, delay)| (fault.to_owned(), delay)));
}

#[test]
fn damage_that_changes_nothing_is_none() {
    let mut stage = Stage::new(
        r#"[{"corrupt":{"truncateBytes":100}},{"latency":{"delayMs":1,"match":[{"path":"n","equals":2}]}}]"#,
    );
    let (mut client, mut api) = deliver(&stage, "a-1");
    let answer = post("a-1", "response", r#"{ "statusCode" : 204 }"#);
    client.send(&answer);
    api.expect(&answer);
    api.send(ACCEPTED);
    client.expect(ACCEPTED);
    client.send(NEXT);
    api.expect(NEXT);
    api.send(event("a-2", r#"{"n":2}"#));
    client.message();
    assert_eq!(stage.metric(), ("latency".into(), 1, "a-2".into()), "the first line");
}

#[test]
fn a_head_that_is_no_text_hides_nothing() {
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
fn an_event_that_ends_with_its_connection_ends_for_the_runtime_too() {
    let stage = Stage::new(r#"[{"latency":{"delayMs":1,"match":[{"path":"n","equals":1}]}}]"#);
    let (mut client, mut api) = stage.connected(NEXT);
    let event = "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a-1\r\n\r\n{\"n\":1}";
    api.send(event);
    api.close();
    client.expect(event);
    client.expect_end();
}

#[test]
fn memory_does_not_grow_with_invocations_that_have_a_fault() {
    let mut stage = Stage::new(
        r#"[{"disk":{"megabytes":1}},{"latency":{"delayMs":0,"when":"after"}},{"corrupt":{"truncateBytes":1}}]"#,
    );
    let (mut client, mut api) = deliver(&stage, "a-0");
    let mut resident = Vec::new();
    for number in 0..3000 {
        if number % 1000 == 999 {
            resident.push(resident_kilobytes(&stage));
        }
        client.send(post(&format!("a-{number}"), "response", "{}"));
        assert_eq!(api.message().body, b"{");
        (0..3).for_each(|_| drop(stage.metric()));
        acknowledge_and_go_on(&mut client, &mut api, &format!("a-{}", number + 1));
    }
    // A few hundred bytes for each would be more than this.
    assert!(resident[2] < resident[0] + 256, "{resident:?}");
}

fn resident_kilobytes(stage: &Stage) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stage.proxy.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
