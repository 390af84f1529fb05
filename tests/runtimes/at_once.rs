//! Several invocations at once through one environment, as on Lambda Managed Instances.

use serde_json::json;

use super::launch::{Kind, Launch};
use super::runtime_api::{Event, RuntimeApi};

#[test]
fn a_fault_in_one_invocation_is_not_in_another() {
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
    let answers = others.map(|name| api.answer(name));
    for name in delayed {
        let last = api.answer(name);
        assert_eq!(last.message.json(), json!({ "is": name }));
        assert!(answers.iter().all(|answer| answer.at < last.at), "no other one waits for {name}");
    }
    assert_eq!(answers[0].message.json(), json!({ "is": "plain" }));
    assert!(answers[1].is("POST", "invocation/wrong/error"), "{}", answers[1].message.start);
    assert_eq!(answers[2].message.text(), "garbage");
    assert_eq!(answers[3].message.json(), json!({ "is": "plain-too" }));
    running.stop();
}
