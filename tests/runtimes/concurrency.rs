//! Concurrent invocations in one environment, as on Lambda Managed Instances.

use serde_json::json;

use super::launch::{Kind, Launch};
use super::runtime_api::{Event, RuntimeApi};

#[test]
fn concurrent_invocations_have_only_their_own_faults() {
    let api = RuntimeApi::start();
    let only = |name: &str| json!([{ "path": "is", "equals": name }]);
    let faults = json!([
        { "latency": { "delayMs": 3_000, "match": only("slow") } },
        { "latency": { "delayMs": 3_000, "when": "after", "match": only("late") } },
        { "error": { "when": "after", "match": only("wrong") } },
        { "corrupt": { "replace": "garbage", "match": only("damaged") } },
    ]);
    let running = Launch::faulty(Kind::Rust, faults).variable("AWS_LAMBDA_MAX_CONCURRENCY", "4").start(&api);
    let event = |name: &str| Event::new(name, &json!({ "is": name }));
    let delayed = ["slow", "late"];
    let others = ["plain", "wrong", "damaged", "plain-too"];
    for name in delayed.iter().chain(&others) {
        api.offer(event(name));
    }
    let results = others.map(|name| api.result(name));
    for name in delayed {
        let last = api.result(name);
        assert_eq!(last.message.json(), json!({ "is": name }));
        assert!(results.iter().all(|result| result.at < last.at), "another invocation waited for {name}");
    }
    assert_eq!(results[0].message.json(), json!({ "is": "plain" }));
    assert!(results[1].is("POST", "invocation/wrong/error"), "{}", results[1].message.start);
    assert_eq!(results[2].message.text(), "garbage");
    assert_eq!(results[3].message.json(), json!({ "is": "plain-too" }));
    running.stop();
}
