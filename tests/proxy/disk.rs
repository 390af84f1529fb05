//! `disk` faults: space in /tmp is taken while an invocation runs, and no longer.

use std::time::Duration;

use super::support::{NEXT, Stage, acknowledge, event, post};

#[test]
fn disk_takes_space_without_a_name_until_the_result() {
    let mut stage = Stage::new(r#"[{"disk":{"megabytes":3}}]"#);
    let (mut client, mut api) = stage.deliver("a-1");
    assert_eq!(stage.metric(), ("disk".into(), 0, "a-1".into()));
    assert_eq!(stage.unnamed_files(), [(true, 3 << 20)]);
    client.send(post("a-1", "response", "{}"));
    api.expect(post("a-1", "response", "{}"));
    assert_eq!(stage.unnamed_files(), []);
}

#[test]
fn an_event_that_never_arrives_leaves_nothing_pending() {
    let stage = Stage::new(r#"[{"disk":{"megabytes":1}},{"corrupt":{"replace":"x"}}]"#);
    let (client, mut api) = stage.connected(NEXT);
    let half = event("a-1", &"x".repeat(1000));
    api.send(&half[..half.len() - 100]);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(stage.unnamed_files().len(), 1);
    client.close();
    api.expect_end();
    assert_eq!(stage.unnamed_files(), []);
    let (mut client, mut api) = stage.connected(&post("a-1", "response", "{}"));
    acknowledge(&mut client, &mut api);
}

#[test]
fn each_fault_has_its_own_metric() {
    let mut stage = Stage::new(
        r#"[{"latency":{"delayMs":1,"when":"after"}},{"disk":{"megabytes":1}},{"latency":{"delayMs":2,"when":"after"}},{"disk":{"megabytes":2}}]"#,
    );
    let (mut client, mut api) = stage.deliver("a-1");
    assert_eq!(stage.unnamed_files(), [(true, 3 << 20)]);
    client.send(post("a-1", "response", "{}"));
    api.expect(post("a-1", "response", "{}"));
    let lines: Vec<_> = (0..4).map(|_| stage.metric()).map(|(fault, delay, _)| (fault, delay)).collect();
    let wanted = [("disk", 0), ("disk", 0), ("latency", 1), ("latency", 2)];
    assert_eq!(lines, wanted.map(|(fault, delay)| (fault.to_owned(), delay)));
}
