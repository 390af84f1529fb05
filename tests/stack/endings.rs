//! The end of `run` and of `rollback` when something else than the run's duration ends them.

use snapback::model::run::RunStatus;

use super::fake::{FakeAws, Rollback, Running, eventually, experiment_file, last_line};

const LEFT: &str =
    "the reaper restores this run within about 2 minutes; to restore it immediately: snapback rollback r";

/// Follows a run until its execution has this status.
fn ended(aws: &FakeAws, name: &str, more: &[&str], status: &'static str) -> Running {
    let file = experiment_file(name);
    let running = aws.begin(&[&["run", file.to_str().unwrap(), "--name", "r"], more].concat());
    eventually(|| !aws.calls("DescribeExecution").is_empty(), || "the run is followed".to_owned());
    aws.with(|state| state.execution = status);
    running
}

#[test]
fn a_stopped_execution_leaves_its_run_to_the_reaper() {
    for (status, how) in [("ABORTED", "it was stopped"), ("TIMED_OUT", "it timed out")] {
        let aws = FakeAws::start();
        let mut running = ended(&aws, status, &[], status);
        assert_eq!(running.code(), 7, "{}", running.shown());
        running.wait_for(&format!("snapback: the run's execution was ended from outside: {how}\n"), 1);
        running.wait_for("run r: not over yet: running", 1);
        running.wait_for(LEFT, 1);
    }
}

#[test]
fn a_restored_run_without_its_execution_only_has_to_be_closed() {
    let aws = FakeAws::start();
    aws.with(|state| (state.run, state.target) = (RunStatus::Stopping, "restored"));
    let mut running = ended(&aws, "restored", &[], "ABORTED");
    assert_eq!(running.code(), 7, "{}", running.shown());
    running.wait_for("everything is restored; the reaper closes the run within about 2 minutes", 1);
    assert!(!running.shown().contains(LEFT), "{}", running.shown());
}

#[test]
fn an_execution_that_ended_before_its_run_has_changed_nothing() {
    let aws = FakeAws::start();
    aws.with(|state| state.recorded = false);
    let mut running = ended(&aws, "unrecorded", &[], "ABORTED");
    assert_eq!(running.code(), 1, "{}", running.shown());
    running.wait_for("the execution of r ended before the run began; nothing was changed", 1);
}

#[test]
fn a_detached_run_is_not_left_without_its_execution() {
    let aws = FakeAws::start();
    aws.with(|state| (state.run, state.target) = (RunStatus::Pending, "armed"));
    let mut running = ended(&aws, "detached-stopped", &["--detach"], "ABORTED");
    assert_eq!(running.code(), 7, "{}", running.shown());
    running.wait_for(LEFT, 1);
}

#[test]
fn a_stopped_execution_is_no_part_of_the_json() {
    let aws = FakeAws::start();
    aws.with(|state| state.execution = "ABORTED");
    let file = experiment_file("stopped-json");
    let (code, out, err) = aws.snapback(&["run", file.to_str().unwrap(), "--name", "r", "--json"]);
    let report = last_line(&out);
    assert_eq!((code, &report["outcome"]), (7, &"unfinished".into()), "{err}");
    assert!(err.contains(LEFT), "{err}");
}

#[test]
fn a_denied_rollback_ends_immediately_with_the_missing_right() {
    let aws = FakeAws::start();
    aws.with(|state| state.rollback = Rollback::Denied);
    let began = std::time::Instant::now();
    let (code, out, err) = aws.snapback(&["rollback", "r"]);
    assert_eq!(code, 6, "{out}{err}");
    assert!(err.contains("access denied: lambda:PutFunctionConcurrency"), "{err}");
    assert!(err.contains("once the cause is removed, to restore immediately: snapback rollback r"), "{err}");
    assert!(began.elapsed().as_secs() < 60, "a denied right does not return by waiting");
}
