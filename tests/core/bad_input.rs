//! Bad experiments: each is refused with one exact message, before any call is made.

use serde_json::{Value, json};
use snapback::model::findings::find_errors;
use snapback::model::input::read_experiment;
use snapback::steps::error::StepError;
use snapback::steps::prepare::{Request, prepare};
use snapback::testing::samples::{SECRET, run_id, settings, world};

use self::secrets::SECRETS;
use super::support::block_on;

#[path = "bad_input/conditions.rs"]
mod conditions;
#[path = "bad_input/configuration.rs"]
mod configuration;
#[path = "bad_input/dependencies.rs"]
mod dependencies;
#[path = "bad_input/experiment.rs"]
mod experiment;
#[path = "bad_input/faults.rs"]
mod faults;
#[path = "bad_input/invocations.rs"]
mod invocations;
#[path = "bad_input/secrets.rs"]
mod secrets;
#[path = "bad_input/several.rs"]
mod several;
#[path = "bad_input/targets.rs"]
mod targets;

/// Where the good experiment is spoiled (a JSON pointer), the value that goes there, and the whole message.
type Row = (&'static str, fn() -> Value, &'static str);

/// Every bad experiment, by subject.
const CORPUS: &[&[Row]] = &[
    experiment::WHOLE,
    experiment::STARTED_BY,
    experiment::UNKNOWN_FIELDS,
    experiment::NAMES,
    experiment::DURATIONS,
    targets::TARGETS,
    faults::FORM,
    faults::NUMBERS,
    faults::CLAIMS,
    configuration::HANDLERS_AND_LAYERS,
    configuration::VARIABLES,
    configuration::MAPPINGS,
    invocations::INVOCATIONS,
    dependencies::DEPENDENCIES,
    conditions::STOP_CONDITIONS,
    conditions::STEADY_STATE,
];

/// A good experiment, which each row of the corpus spoils in one place.
fn good() -> Value {
    json!({
        "name": "a test",
        "targets": [{ "function": "checkout" }],
        "faults": [{ "reservedConcurrency": { "limit": 0 } }],
        "duration": "PT5M",
        "stopConditions": [{ "alarm": "errors" }]
    })
}

const LAYER: &str = "arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1";
const MAPPING: &str = "11111111-2222-3333-4444-555555555555";

/// A layer version of the name that `LAYER` has.
fn layer(version: u32) -> String {
    format!("arn:aws:lambda:eu-west-1:123456789012:layer:chaos:{version}")
}

fn metric() -> Value {
    json!({ "namespace": "AWS/Lambda", "name": "Errors", "statistic": "Sum", "period": "PT1M" })
}

/// A steady state of one metric that has another value in one field.
fn with(key: &str, value: Value) -> Value {
    let mut metric = metric();
    metric[key] = value;
    json!([{ "metric": metric, "below": 5 }])
}

fn spoiled(pointer: &str, value: Value) -> Value {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return value };
    let mut experiment = good();
    match experiment.pointer_mut(parent).expect("the corpus points into the experiment") {
        Value::Object(fields) => drop(fields.insert(key.to_owned(), value)),
        other => panic!("{pointer} points into {other}"),
    }
    experiment
}

#[test]
fn every_bad_experiment_is_refused_before_any_call() {
    assert_eq!(read_experiment(&good()).err(), None);
    let mut wrong = Vec::new();
    for (pointer, value, expected) in CORPUS.iter().copied().flatten() {
        let value = value();
        let got = refuse(spoiled(pointer, value.clone()));
        if got != *expected {
            wrong.push(format!("{} {}\n    {got}", shown(pointer), shown(&value.to_string())));
        }
    }
    assert!(wrong.is_empty(), "{} other messages:\n{}", wrong.len(), wrong.join("\n"));
}

/// The search for all errors has the same messages as the reader, which stops at the first.
#[test]
fn the_errors_that_are_found_include_the_first_one() {
    assert_eq!(find_errors(&good()), []);
    let mut wrong = Vec::new();
    for (pointer, value, expected) in CORPUS.iter().copied().flatten() {
        let found = find_errors(&spoiled(pointer, value()));
        let messages: Vec<String> = found.iter().map(|finding| finding.error.to_string()).collect();
        if !messages.iter().any(|message| message == expected) {
            wrong.push(format!("{} {expected}\n    {messages:#?}", shown(pointer)));
        }
    }
    assert!(wrong.is_empty(), "{} other messages:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_long_name_or_value_is_shortened_in_the_message() {
    let got = refuse(spoiled(&format!("/{}", "x".repeat(5_000)), json!(1)));
    let field = "x".repeat(60);
    assert_eq!(
        got,
        format!(
            "`{field}...` is not a known field; write one of name, targets, faults, duration, startWithin, \
             stopConditions, steadyState, recovery, seed, startedBy"
        )
    );
    let got = refuse(spoiled("/steadyState", with("name", json!("決".repeat(256)))));
    let name = "決".repeat(60);
    assert_eq!(
        got,
        format!("steadyState[0]: has a metric with the name `{name}...`; write 1 to 255 printable characters")
    );
}

#[test]
fn no_message_shows_the_value_of_a_variable() {
    let mut wrong = Vec::new();
    for (faults, expected) in SECRETS {
        let faults = faults();
        let got = refuse(spoiled("/faults", faults.clone()));
        let found: Vec<_> =
            find_errors(&spoiled("/faults", faults.clone())).into_iter().map(|found| found.error).collect();
        assert!(!got.contains("hunter2") && !format!("{found:?}").contains("hunter2"), "{got}\n{found:?}");
        if got != *expected {
            wrong.push(format!("{faults}\n    {got}"));
        }
    }
    assert!(wrong.is_empty(), "{} other messages:\n{}", wrong.len(), wrong.join("\n"));
}

/// Returns the message with which `prepare` refuses, and asserts that it has made no call.
fn refuse(experiment: Value) -> String {
    let world = world(&["checkout"]);
    let request = Request { run: run_id("run-1"), execution_arn: "execution-1".into(), experiment };
    let error = block_on(prepare(&world, &settings(), &request)).expect_err("a bad experiment was taken");
    assert!(matches!(error, StepError::InvalidInput(_)), "{error:?}");
    world.with(|state| assert_eq!(state.calls, Vec::<String>::new(), "{error}"));
    assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    error.to_string()
}

fn shown(text: &str) -> &str {
    text.get(..100).unwrap_or(text)
}
