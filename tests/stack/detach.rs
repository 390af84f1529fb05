//! `run --detach`, which leaves a run once its faults are in place, and `rollback --prevent-start`: what another tool drives.

use serde_json::{Value, json};
use snapback::model::run::RunStatus;

use super::fake::{FakeAws, Running, eventually, experiment_file, last_line};

/// Starts a run that is detached, and whose faults are not in place yet.
fn starting(aws: &FakeAws, name: &str, more: &[&str]) -> Running {
    aws.with(|state| (state.run, state.target) = (RunStatus::Pending, "armed"));
    let file = experiment_file(name);
    let mut running = aws.begin(&[&["run", file.to_str().unwrap(), "--name", "r", "--detach"], more].concat());
    let polled = || aws.calls("DescribeExecution").len() > 1;
    eventually(polled, || "the run is followed".to_owned());
    assert!(running.is_running(), "{}", running.shown());
    running
}

#[test]
fn a_detached_run_is_left_once_its_faults_are_in_place() {
    let aws = FakeAws::start();
    let mut running = starting(&aws, "detached", &[]);
    aws.with(|state| (state.run, state.target) = (RunStatus::Running, "injected"));
    assert_eq!(running.code(), 0, "{}", running.shown());
    running
        .wait_for("the run continues without this command; see snapback status r; to end it: snapback rollback r", 1);
    assert_eq!(aws.calls("Invoke"), Vec::<String>::new());
}

#[test]
fn a_detached_run_prints_its_report_as_json() {
    let aws = FakeAws::start();
    let file = experiment_file("detached-json");
    let (code, out, err) = aws.snapback(&["run", file.to_str().unwrap(), "--name", "r", "--detach", "--json"]);
    assert_eq!(code, 0, "{err}");
    let report = last_line(&out);
    assert_eq!((&report["runId"], &report["outcome"]), (&"r".into(), &"unfinished".into()), "{out}");
    assert_eq!(report["targets"][0]["status"], "injected", "{out}");
}

#[test]
fn a_detached_run_that_ends_before_its_faults_is_reported() {
    let aws = FakeAws::start();
    let mut running = starting(&aws, "detached-late", &[]);
    aws.with(|state| (state.run, state.target, state.execution) = (RunStatus::Stopped, "restored", "SUCCEEDED"));
    assert_eq!(running.code(), 4, "{}", running.shown());
    running.wait_for("run r: ended early: ", 1);
}

#[test]
fn a_signal_before_the_faults_rolls_a_detached_run_back() {
    for signal in ["INT", "TERM"] {
        let aws = FakeAws::start();
        let mut running = starting(&aws, &format!("detached-{signal}"), &["--json"]);
        running.signal(signal);
        assert_eq!(running.code(), 4, "{signal}: {}", running.shown());
        assert_eq!(aws.rollbacks(), [json!({ "stop": "r" })], "{signal}");
    }
}

#[test]
fn a_rollback_can_prevent_the_start_of_its_run() {
    let aws = FakeAws::start();
    assert_eq!(aws.snapback(&["rollback", "r", "--prevent-start"]).0, 0);
    assert_eq!(aws.rollbacks(), [json!({ "stop": "r" })]);
}

/// The execution of an earlier release fails, although the run has not.
#[test]
fn a_prevented_start_has_ended_early_and_needs_another_name() {
    let file = experiment_file("prevented");
    for (execution, failure) in [("SUCCEEDED", None), ("FAILED", Some(("RunFailed", "everything is restored")))] {
        let aws = FakeAws::start();
        aws.with(|state| (state.prevented, state.execution, state.failure) = (true, execution, failure));
        let (code, out, err) = aws.snapback(&["run", file.to_str().unwrap(), "--name", "r", "--json"]);
        assert_eq!(code, 4, "{out}{err}");
        let note = "a rollback has prevented the start of r; to start the experiment, use another --name";
        assert!(err.contains(note), "{err}");
        let report = last_line(&out);
        assert_eq!((&report["status"], &report["outcome"]), (&"stopped".into(), &"endedEarly".into()), "{out}");
        assert_eq!((&report["experiment"], &report["startedBy"]["via"]), (&"a test".into(), &"command line".into()));
        let (code, out, err) = aws.snapback(&["report", "r"]);
        let line = "run r: ended early: stopped by a user; nothing was injected, so there is nothing to restore";
        assert!(code == 4 && out.starts_with(line), "{code}: {out}{err}");
    }
}

#[test]
fn a_refused_start_differs_from_one_without_a_response() {
    let aws = FakeAws::start();
    let file = experiment_file("detached-refused");
    for (status, error, expected, says) in [
        (
            400,
            "NotStarted",
            2,
            "the name r belongs to an earlier run; choose another --name; to see that run: snapback report r",
        ),
        (502, "StartUnknown", 1, "see snapback status r; to end it: snapback rollback r --prevent-start"),
    ] {
        aws.with(|state| state.start_status = status);
        let (code, out, err) = aws.snapback(&["run", file.to_str().unwrap(), "--name", "r", "--detach", "--json"]);
        let failure: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, failure["error"].as_str()), (expected, Some(error)), "{out}{err}");
        assert!(failure["cause"].as_str().unwrap().contains(says), "{out}");
    }
}
