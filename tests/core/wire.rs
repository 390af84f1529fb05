//! The samples of the chaos handler's wire format: what the control plane can write and what it cannot.
//!
//! `tests/handler/test_wire.py` reads the same samples with the handlers for Python and Node.js.

use serde_json::Value;
use snapback::model::invocation::{EventCondition, HandlerConfig, HandlerOrder};

fn samples() -> Value {
    serde_json::from_str(include_str!("../wire/handler.json")).unwrap()
}

#[test]
fn orders_are_read_as_both_handlers_read_them() {
    let samples = samples();
    for sample in samples["orders"].as_array().unwrap() {
        let (name, text) = (&sample["name"], sample["text"].as_str().unwrap());
        let read = HandlerConfig::parse(text);
        assert_eq!(read.is_err(), sample["refused"] == true, "{name}: {read:?}");
        let Ok(config) = read else { continue };
        let kinds: Vec<&str> = config.faults.iter().map(HandlerOrder::name).collect();
        let expected: Vec<&str> = sample["kinds"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!((&kinds, config.ignored.len() as u64), (&expected, sample["ignored"].as_u64().unwrap()), "{name}");
        // Written and read again, they are the same.
        let again = HandlerConfig::parse(&config.to_text());
        assert_eq!(again, Ok(HandlerConfig { ignored: Vec::new(), ..config }), "{name}");
    }
}

#[test]
fn every_condition_of_the_samples_is_one() {
    let samples = samples();
    for sample in samples["conditions"].as_array().unwrap() {
        let read = serde_json::from_value::<EventCondition>(sample["condition"].clone());
        assert!(read.is_ok(), "{sample}: {read:?}");
    }
}
