//! `snapback schedule`, with schedules that start runs in the lab under the role of the template.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::lab::{Lab, eventually, experiment};

const TIMEOUT: &str = "timeout: {timeout: PT7S}";
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// Long enough to add and change the schedules that start together, on a busy machine.
const LEAD: i64 = 40;

/// All cases share one lab. The schedules start at one time, on functions of their own.
#[test]
fn schedules_start_runs_and_show_what_was_missed() {
    let lab = Lab::start();
    bad_input_is_refused_and_adds_nothing(&lab);
    let time = later(LEAD);
    let before = ["lab-search", "lab-stock", "lab-payment"].map(|function| (function, lab.function(function)));
    // A paused schedule, and the same one resumed.
    for name in ["paused", "resumed"] {
        add(&lab, name, &experiment(name, "lab-payment", "PT5S", TIMEOUT), &time);
        assert_eq!(changed(&lab, &["schedule", "pause", name]), format!("schedule {name}: paused\n"));
    }
    assert_eq!(changed(&lab, &["schedule", "pause", "paused"]), "schedule paused: paused already\n");
    assert_eq!(changed(&lab, &["schedule", "resume", "resumed"]), "schedule resumed: on\n");
    add(&lab, "nightly", &experiment("nightly", "lab-search", "PT5S", TIMEOUT), &time);
    for name in ["one", "two"] {
        add(&lab, name, &experiment(name, "lab-stock", "PT20S", TIMEOUT), &time);
    }
    add(&lab, "refused", &experiment("refused", "absent", "PT5S", TIMEOUT), &time);
    schedules_are_listed_and_replaced(&lab);
    a_scheduled_run_tells_who_started_it(&lab);
    two_schedules_of_one_target_run_once(&lab);
    a_refused_start_is_seen_and_alarms(&lab);
    wait_for_start(&lab, "resumed", &["noSteadyState"]);
    assert_eq!(shown(&lab, "paused")["starts"], json!([]));
    for (function, configuration) in before {
        assert_eq!(lab.function(function), configuration);
    }
    a_start_that_fails_is_a_dead_letter(&lab);
    schedules_are_removed(&lab);
}

/// The time in UTC that is this many seconds away, as `--at` takes it.
fn later(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + seconds).unwrap();
    time.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

fn add(lab: &Lab, name: &str, file: &std::path::Path, time: &str) {
    changed(lab, &["schedule", "add", name, file.to_str().unwrap(), "--at", time]);
}

/// Runs a command that must succeed, and returns its output.
fn changed(lab: &Lab, arguments: &[&str]) -> String {
    let (code, out, err) = lab.snapback(arguments);
    assert_eq!(code, 0, "{arguments:?}: {out}{err}");
    out
}

fn shown(lab: &Lab, name: &str) -> Value {
    serde_json::from_str(&changed(lab, &["schedule", "show", name, "--json"])).unwrap()
}

/// Waits until a schedule's only start has one of these results, and returns it.
fn wait_for_start(lab: &Lab, name: &str, results: &[&str]) -> Value {
    eventually(&format!("a start of {name} ended as {results:?}"), POLL_INTERVAL, || {
        let starts = shown(lab, name)["starts"].clone();
        // The lab delivers each start twice.
        assert!(starts.as_array().unwrap().len() < 2, "{starts}");
        let start = starts.get(0)?.clone();
        let result = start["result"].as_str().unwrap().to_owned();
        assert!(result == "running" || results.contains(&result.as_str()), "{start}");
        results.contains(&result.as_str()).then_some(start)
    })
}

fn names(lab: &Lab) -> Vec<String> {
    let listed: Value = serde_json::from_str(&changed(lab, &["schedule", "list", "--json"])).unwrap();
    let schedules = listed["schedules"].as_array().unwrap();
    schedules.iter().map(|schedule| schedule["name"].as_str().unwrap().to_owned()).collect()
}

fn bad_input_is_refused_and_adds_nothing(lab: &Lab) {
    let good = experiment("scheduled", "lab-search", "PT5S", TIMEOUT);
    let bad = experiment("unscheduled", "lab-search", "PT5S", "timeout: {timeout: 7}");
    let not_json = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("not-json.json");
    std::fs::write(&not_json, "{\"name\": ").unwrap();
    let (good, bad, not_json) = (good.to_str().unwrap(), bad.to_str().unwrap(), not_json.to_str().unwrap());
    for (name, file, options, expected) in [
        ("n", bad, &["--rate", "7 days"][..], "faults[0].timeout.timeout: "),
        ("n", not_json, &["--rate", "7 days"], "not-json.json:1:1: a bracket or brace is not closed"),
        ("n_1", good, &["--rate", "7 days"], "write 1 to 40 letters, digits and -"),
        ("n", good, &[], "one of --rate RATE, --cron FIELDS and --at TIME is missing"),
        ("n", good, &["--rate", "weekly"], "write a number and minutes, hours or days, such as `7 days`"),
        ("n", good, &["--cron", "0 9 * * *"], "has 5 fields; write six: minutes, hours"),
        ("n", good, &["--at", "2020-01-01T00:00:00"], "--at 2020-01-01T00:00:00 in UTC has passed; write a later time"),
        ("n", good, &["--cron", "0 9 ? * * *", "--time-zone", "Mars/Base"], "`Mars/Base` is not a time zone"),
        ("n", good, &["--rate", "7 days", "--window", "2000"], "write 1 to 1440 minutes"),
        ("n", good, &["--rate", "7 days", "--end", "2020-01-01T00:00:00Z"], "has passed; write a later time"),
    ] {
        let (code, out, err) = lab.snapback(&[&["schedule", "add", name, file], options].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{options:?}: {err}");
        assert!(err.contains(expected), "{options:?}: {err}");
    }
    assert_eq!(changed(lab, &["schedule", "list"]), "there are no schedules\n");
    for action in ["show", "pause", "resume", "remove"] {
        let (code, _, err) = lab.snapback(&["schedule", action, "absent"]);
        assert_eq!(code, 2, "{action}: {err}");
        assert!(err.contains("there is no schedule absent; see snapback schedule list --stack "), "{action}: {err}");
    }
}

/// The others were added from YAML, this one is from JSON.
fn schedules_are_listed_and_replaced(lab: &Lab) {
    let json = "events/demo-1-concurrency.json";
    let weekly = ["schedule", "add", "weekly", json, "--rate", "7 days"];
    let added = changed(lab, &weekly);
    assert!(added.starts_with("weekly: on; rate(7 days) in UTC, from "), "{added}");
    let (code, _, err) = lab.snapback(&weekly);
    assert!(code == 2 && err.contains("the schedule weekly exists; to replace it, use --replace"), "{code}: {err}");
    changed(lab, &["schedule", "pause", "weekly"]);
    let cron = ["--cron", "0 9 ? * MON *", "--time-zone", "Europe/Berlin", "--window", "15", "--replace"];
    let replaced = changed(lab, &[&["schedule", "add", "weekly", json], &cron[..]].concat());
    let expected = "weekly: paused; cron(0 9 ? * MON *) in Europe/Berlin, within 15 min\n";
    assert!(replaced.starts_with(expected), "{replaced}");
    assert_eq!(names(lab), ["nightly", "one", "paused", "refused", "resumed", "two", "weekly"]);
    let listed = changed(lab, &["schedule", "list"]);
    assert!(listed.contains(expected) && listed.contains("\n  experiment nightly\n"), "{listed}");
}

fn a_scheduled_run_tells_who_started_it(lab: &Lab) {
    let start = wait_for_start(lab, "nightly", &["noSteadyState"]);
    let run = start["run"].as_str().unwrap();
    let report: Value = serde_json::from_str(&changed(lab, &["report", run, "--json"])).unwrap();
    assert_eq!(report["startedBy"]["via"], "schedule", "{report}");
    let caller = report["startedBy"]["caller"].as_str().unwrap();
    assert!(caller.starts_with("arn:aws:scheduler:") && caller.ends_with(":schedule/snapback/nightly"), "{caller}");
}

/// One gets the target's lock. The other one is refused, or fails to lock it if both were prepared at the same time.
fn two_schedules_of_one_target_run_once(lab: &Lab) {
    let results = ["noSteadyState", "refused", "failed"];
    let mut starts = ["one", "two"].map(|name| wait_for_start(lab, name, &results));
    starts.sort_by_key(|start| start["result"] != "noSteadyState");
    assert_eq!(starts[0]["result"], "noSteadyState");
    let reason = starts[1]["reason"].as_str().unwrap();
    assert!(reason.contains("lab-stock") && reason.contains(starts[0]["run"].as_str().unwrap()), "{reason}");
}

fn a_refused_start_is_seen_and_alarms(lab: &Lab) {
    let start = wait_for_start(lab, "refused", &["refused"]);
    assert!(start["reason"].as_str().unwrap().contains("absent"), "{start}");
    let listed = changed(lab, &["schedule", "list"]);
    assert!(listed.contains(": refused; run refused_"), "{listed}");
    wait_for_alarm(lab, "snapback-missed-runs");
    let dimensions = ["Name=Stack,Value=snapback", "Name=Schedule,Value=refused"];
    let metrics = ["cloudwatch", "list-metrics", "--metric-name", "MissedRuns", "--dimensions"];
    let metrics = lab.aws(&[&metrics[..], &dimensions].concat());
    assert_eq!(metrics["Metrics"].as_array().unwrap().len(), 1, "{metrics}");
}

fn a_start_that_fails_is_a_dead_letter(lab: &Lab) {
    let described = lab.aws(&["cloudformation", "describe-stacks", "--stack-name", lab.stack()]);
    let outputs = described["Stacks"][0]["Outputs"].as_array().unwrap();
    let role = outputs.iter().find(|output| output["OutputKey"] == "ScheduleRoleArn").unwrap();
    let role = role["OutputValue"].as_str().unwrap().rsplit('/').next().unwrap();
    // The role may no longer start anything.
    let policy = json!({ "Version": "2012-10-17", "Statement": [
        { "Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "*" }
    ] });
    let put = ["iam", "put-role-policy", "--role-name", role, "--policy-name", "schedule", "--policy-document"];
    lab.aws(&[&put[..], &[&policy.to_string()]].concat());
    add(lab, "denied", &experiment("denied", "lab-search", "PT5S", TIMEOUT), &later(10));
    wait_for_alarm(lab, "snapback-dead-letters");
    let url = lab.aws(&["sqs", "get-queue-url", "--queue-name", "snapback-dead-letters"]);
    let received = lab.aws(&["sqs", "receive-message", "--queue-url", url["QueueUrl"].as_str().unwrap()]);
    let body = received["Messages"][0]["Body"].as_str().unwrap();
    assert!(body.contains("\"Name\":\"denied_"), "{body}");
    assert_eq!(shown(lab, "denied")["starts"], json!([]));
}

fn wait_for_alarm(lab: &Lab, name: &str) {
    eventually(&format!("{name} is on"), POLL_INTERVAL, || {
        // The emulator evaluates alarms only when a metric is put.
        let clock = ["--namespace", "Lab/Clock", "--metric-name", "ticks", "--value", "1"];
        lab.aws(&[&["cloudwatch", "put-metric-data"], &clock[..]].concat());
        let described = lab.aws(&["cloudwatch", "describe-alarms", "--alarm-names", name]);
        (described["MetricAlarms"][0]["StateValue"] == "ALARM").then_some(())
    });
}

fn schedules_are_removed(lab: &Lab) {
    for name in names(lab) {
        assert_eq!(changed(lab, &["schedule", "remove", &name]), format!("schedule {name}: removed\n"));
    }
    assert_eq!(changed(lab, &["schedule", "list"]), "there are no schedules\n");
}
