//! The samples in `events/`: each one matches its name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use snapback::model::catalog::FAULT_CATALOG;
use snapback::model::experiment::Experiment;
use snapback::model::fault::Fault;
use snapback::model::input::read_experiment;
use snapback::testing::samples;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("events")
}

/// Every sample, by file name.
fn events() -> BTreeMap<String, Value> {
    let mut events = BTreeMap::new();
    let files = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.extension().is_some_and(|extension| extension == "json")) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&path).unwrap();
        let value = serde_json::from_str(&text).unwrap_or_else(|wrong| panic!("events/{name}: {wrong}"));
        events.insert(name, value);
    }
    events
}

fn experiment(event: &Value) -> Option<Experiment> {
    event.get("faults").map(|_| read_experiment(event).unwrap_or_else(|wrong| panic!("{event}: {wrong}")))
}

#[test]
fn every_experiment_can_be_read_and_stored() {
    let experiments: Vec<(String, Experiment)> =
        events().iter().filter_map(|(name, event)| Some((name.clone(), experiment(event)?))).collect();
    assert!(experiments.len() >= 8, "{}", experiments.len());
    for (name, experiment) in experiments {
        // The ledger stores the experiment and returns it unchanged.
        let stored = serde_json::to_value(&experiment).unwrap();
        assert_eq!(read_experiment(&stored).as_ref(), Ok(&experiment), "events/{name}");
    }
}

#[test]
fn every_sample_is_an_experiment_or_an_accepted_event() {
    for (name, event) in events() {
        let kinds = [
            experiment(&event).is_some(),
            event["detail-type"] == "CloudWatch Alarm State Change",
            event["detail-type"] == "Scheduled Event",
            event["runId"].is_string(),
            event["all"] == true,
            event["stop"].is_string(),
            event["lever"].is_object(),
            event["alarmData"].is_object(),
            event["Records"].is_array(),
            // Not accepted, but sent; tests/core/notices.rs compares these.
            event["source"] == "snapback",
            event["$schema"].is_string(),
            // Records of the ledger's stream.
            event[0]["dynamodb"].is_object(),
        ];
        assert_eq!(kinds.iter().filter(|kind| **kind).count(), 1, "events/{name}");
    }
}

#[test]
fn each_row_of_the_catalog_has_a_sample_with_its_fault() {
    let events = events();
    for row in FAULT_CATALOG {
        let event = events.get(row.sample).unwrap_or_else(|| panic!("events/{} is missing", row.sample));
        let experiment = experiment(event).unwrap_or_else(|| panic!("events/{}: not an experiment", row.sample));
        assert!(experiment.faults.iter().any(|fault| fault.name() == row.name), "events/{}", row.sample);
        assert!(
            row.sentence.ends_with('.') && row.actions.iter().all(|action| action.starts_with("lambda:")),
            "{}",
            row.name
        );
    }
}

#[test]
fn the_catalog_has_each_fault_once_and_no_other() {
    let mut rows: Vec<&str> = FAULT_CATALOG.iter().map(|row| row.name).collect();
    let mut names: Vec<&str> = samples::faults().iter().map(|(name, _)| *name).collect();
    rows.sort_unstable();
    names.sort_unstable();
    assert_eq!(rows, names);
    for (name, settings) in samples::faults() {
        let fault: Fault = serde_json::from_value(json!({ name: settings })).unwrap();
        assert_eq!(fault.name(), name);
        // The message about an unknown fault lists the known ones, which are those of the catalog.
        let unknown = read_experiment(&samples::experiment(&["checkout"], &[("qwertyuiop", json!({}))])).unwrap_err();
        assert!(unknown.problem.contains(name), "{unknown}");
    }
}

#[test]
fn the_alarm_events_have_the_form_of_cloudwatchs() {
    // AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge
    let events = events();
    for (name, configuration) in [("alarm-metric.json", "metrics"), ("alarm-composite.json", "alarmRule")] {
        let event = &events[name];
        assert_eq!((&event["source"], &event["version"]), (&json!("aws.cloudwatch"), &json!("0")), "{name}");
        let alarm = event["detail"]["alarmName"].as_str().unwrap();
        assert_eq!(event["resources"], json!([samples::alarm_arn(alarm)]), "{name}");
        assert_eq!((&event["account"], &event["region"]), (&json!("123456789012"), &json!("eu-west-1")), "{name}");
        assert_eq!(event["detail"]["state"]["value"], "ALARM", "{name}");
        assert_eq!(event["detail"]["previousState"]["value"], "OK", "{name}");
        assert!(!event["detail"]["configuration"][configuration].is_null(), "{name}");
        for state in ["state", "previousState"] {
            let state = &event["detail"][state];
            assert!(state["reason"].is_string() && state["timestamp"].is_string(), "{name}");
            // A text that contains JSON.
            let data: Value = serde_json::from_str(state["reasonData"].as_str().unwrap()).unwrap();
            assert!(data.is_object(), "{name}");
        }
    }
}

#[test]
fn direct_calls_and_sns_messages_name_the_same_alarm() {
    let events = events();
    let arn = samples::alarm_arn("checkout-errors");
    // AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda
    let action = &events["alarm-action.json"];
    assert_eq!((&action["source"], &action["alarmArn"]), (&json!("aws.cloudwatch"), &json!(arn)));
    assert_eq!(action["alarmData"]["alarmName"], "checkout-errors");
    assert_eq!(action["alarmData"]["state"]["value"], "ALARM");
    // lambda/latest/dg/with-sns: the message is a text that contains JSON.
    let record = &events["alarm-sns.json"]["Records"][0];
    assert_eq!(record["EventSource"], "aws:sns");
    let message: Value = serde_json::from_str(record["Sns"]["Message"].as_str().unwrap()).unwrap();
    assert_eq!((&message["AlarmArn"], &message["AlarmName"]), (&json!(arn), &json!("checkout-errors")));
    assert_eq!((&message["NewStateValue"], &message["OldStateValue"]), (&json!("ALARM"), &json!("OK")));
}
