//! The schema that `snapback schema` prints describes every experiment in `events/`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use snapback::model::experiment::Experiment;

pub fn experiments() -> Vec<(PathBuf, Value)> {
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("events");
    let files = std::fs::read_dir(events).unwrap().map(|entry| entry.unwrap().path());
    let parsed = files.map(|path| (path.clone(), serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()));
    parsed.filter(|(_, value): &(_, Value)| value.get("faults").is_some()).collect()
}

#[test]
fn every_experiment_of_the_samples_validates() {
    let schema = serde_json::to_value(schemars::schema_for!(Experiment)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let experiments = experiments();
    assert!(experiments.len() >= 8, "the samples are there");
    for (path, experiment) in experiments {
        let errors: Vec<String> = validator.iter_errors(&experiment).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

#[test]
fn the_schema_refuses_what_the_types_refuse() {
    let schema = serde_json::to_value(schemars::schema_for!(Experiment)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let good = json!({
        "name": "a", "targets": [{ "function": "f" }], "faults": [{ "reservedConcurrency": { "limit": 0 } }], "duration": "PT5M"
    });
    assert!(validator.is_valid(&good));
    for (pointer, wrong) in [
        ("/faults/0", json!({ "reservedConcurency": { "limit": 0 } })),
        ("/faults/0/reservedConcurrency/limit", json!(-1)),
        ("/faults/0/reservedConcurrency/limit", json!(1e9)),
        ("/targets/0", json!({ "functions": "f" })),
        ("/duration", json!(300)),
        ("/duration", json!("5 minutes")),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = wrong.clone();
        assert!(!validator.is_valid(&bad), "{pointer}: {wrong}");
    }
}
