//! Delays: how long events and results are held, and what other invocations notice of it.

use std::time::{Duration, Instant};

use super::support::{NEXT, Stage, acknowledge, event, event_until, milliseconds, next_invocation, post};

#[test]
fn latency_delays_the_event() {
    let mut stage = Stage::new(r#"[{"latency":{"delayMs":150}}]"#);
    let began = Instant::now();
    stage.deliver("a-1");
    assert!(began.elapsed() >= Duration::from_millis(150));
    assert_eq!(stage.metric(), ("latency".into(), 150, "a-1".into()));
}

#[test]
fn latency_after_the_handler_delays_its_result() {
    let mut stage = Stage::new(r#"[{"latency":{"minMs":150,"maxMs":160,"when":"after"}}]"#);
    let (mut client, mut api) = stage.deliver("a-1");
    let began = Instant::now();
    client.send(post("a-1", "response", "{}"));
    api.expect(post("a-1", "response", "{}"));
    assert!(began.elapsed() >= Duration::from_millis(150));
    let (fault, delay, id) = stage.metric();
    assert_eq!((fault.as_str(), id.as_str()), ("latency", "a-1"));
    assert!((150..=160).contains(&delay), "{delay}");
    // A result of another invocation is not delayed.
    acknowledge(&mut client, &mut api);
    client.send(post("other", "response", "{}"));
    api.expect(post("other", "response", "{}"));
}

#[test]
fn a_connection_closed_during_a_delay_is_replaced() {
    let stage = Stage::new(r#"[{"latency":{"delayMs":300,"when":"after"}}]"#);
    let (mut client, api) = stage.deliver("a-1");
    client.send(post("a-1", "response", "{}"));
    std::thread::sleep(Duration::from_millis(50));
    api.close();
    let mut api = stage.api.accept();
    api.expect(post("a-1", "response", "{}"));
    acknowledge(&mut client, &mut api);
}

#[test]
fn a_timeout_leaves_the_handler_its_buffer() {
    let mut stage = Stage::new(r#"[{"invocationTimeout":{"bufferMs":500}}]"#);
    let (mut client, mut api) = stage.connected(NEXT);
    let deadline = milliseconds() + 900;
    api.send(event_until("a-1", "{}", Duration::from_millis(900)));
    client.message();
    assert!(milliseconds() >= deadline - 500);
    let (fault, delay, _) = stage.metric();
    assert!(fault == "invocationTimeout" && delay <= 400, "{fault} {delay}");
}

#[test]
fn a_delay_adds_to_an_error() {
    let mut stage = Stage::new(r#"[{"error":{}},{"latency":{"delayMs":100}},{"disk":{"megabytes":1}}]"#);
    let began = Instant::now();
    let (_client, mut api) = stage.invoke("a-1");
    assert!(api.message().line().contains("/a-1/error"));
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert_eq!((stage.metric().0, stage.metric().0), ("latency".into(), "error".into()));
}

#[test]
fn a_delay_of_zero_takes_no_time() {
    let mut stage = Stage::new(r#"[{"latency":{"delayMs":0}},{"latency":{"delayMs":0,"when":"after"}}]"#);
    let (mut client, mut api) = stage.deliver("a-0");
    let began = Instant::now();
    for number in 0..1000 {
        client.send(post(&format!("a-{number}"), "response", "{}"));
        api.message();
        (0..2).for_each(|_| assert_eq!(stage.metric().1, 0));
        next_invocation(&mut client, &mut api, &format!("a-{}", number + 1));
    }
    // Two timers for each invocation, of at least a millisecond each, would take two seconds.
    assert!(began.elapsed() < Duration::from_millis(1900), "{:?}", began.elapsed());
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

/// Checks that the proxy has one thread, and binds it to one processor, so that no other one can compensate for a
/// blocked thread.
fn on_one_processor(stage: &Stage) {
    let pid = stage.proxy.id();
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().count();
    assert_eq!(tasks, 1, "threads");
    let _ = std::process::Command::new("taskset").args(["-pc", "0", &pid.to_string()]).output();
}
