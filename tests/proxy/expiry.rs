//! Faults end at their time, in every state of an invocation.

use std::time::Duration;

use super::support::{Api, STREAM, Stage, acknowledge, post};

#[test]
fn a_delay_ends_when_the_faults_expire() {
    let mut stage =
        Stage::at(Api::new(), "", r#"[{"latency":{"delayMs":900000}},{"error":{}}]"#, Duration::from_millis(1700));
    let (mut client, mut api) = stage.invoke("a-1");
    // The error would follow the delay, but the faults have expired at its end.
    assert_eq!(client.message().json()["n"], 1);
    let (fault, delay, _) = stage.metric();
    assert!(fault == "latency" && delay <= 1700, "{fault} {delay}");
    client.send(post("a-1", "response", "{}"));
    api.expect(post("a-1", "response", "{}"));
}

#[test]
fn expired_faults_are_not_injected() {
    let stage =
        Stage::at(Api::new(), "", r#"[{"latency":{"delayMs":900000}},{"error":{"when":"after"}}]"#, Duration::ZERO);
    let (mut client, mut api) = stage.deliver("a-1");
    client.send(post("a-1", "response", "{}"));
    api.expect(post("a-1", "response", "{}"));
}

#[test]
fn a_fault_triggered_before_the_expiry_is_not_injected_after() {
    let stage = Stage::at(
        Api::new(),
        "",
        r#"[{"error":{"when":"after"}},{"latency":{"delayMs":60000,"when":"after"}}]"#,
        Duration::from_millis(1500),
    );
    let (mut client, mut api) = stage.deliver("a-1");
    std::thread::sleep(Duration::from_millis(1700));
    client.send(post("a-1", "response", "{}"));
    api.expect(post("a-1", "response", "{}"));
}

#[test]
fn the_disk_is_freed_when_the_faults_expire() {
    let stage = Stage::at(Api::new(), "", r#"[{"disk":{"megabytes":1}}]"#, Duration::from_millis(1500));
    let (_client, _api) = stage.deliver("a-1");
    assert_eq!(stage.unnamed_files().len(), 1);
    std::thread::sleep(Duration::from_millis(1700));
    assert_eq!(stage.unnamed_files(), []);
}

#[test]
fn a_stream_in_progress_passes_when_the_faults_expire() {
    for faults in [r#"[{"corrupt":{"replace":"x"}}]"#, r#"[{"error":{"when":"after"}}]"#] {
        let stage = Stage::at(Api::new(), "", faults, Duration::from_millis(1500));
        let (mut client, mut api) = stage.deliver("a-1");
        let (begin, end) = STREAM.split_at(STREAM.find("3\r\ndef").unwrap());
        client.send(begin);
        std::thread::sleep(Duration::from_millis(1700));
        api.expect(begin);
        client.send(end);
        api.expect(end);
        acknowledge(&mut client, &mut api);
    }
}
