//! The checks of a run that a pipeline lists: its outcome, each condition of the steady state, and each restore.

use serde_json::{Value, json};
use snapback::model::run::RunStatus;
use snapback::plan::checks::{Check, CheckResult, Subject, checks};
use snapback::plan::rendering::{Outcome, report_view};
use snapback::testing::samples::{faults, function_arn, world};
use snapback::testing::{CallFailure, SimWorld};

use super::support::{Machine, block_on, reap_for, run_of, target_of};

const METRIC: &str = "Errors";

fn experiment() -> Value {
    let mut experiment = snapback::testing::samples::experiment(&["checkout"], &faults()[4..5]);
    let metric = json!({ "namespace": "AWS/Lambda", "name": METRIC, "statistic": "Sum", "period": "PT1M" });
    experiment["steadyState"] = json!([{ "alarm": "latency" }, { "metric": metric, "below": 5 }]);
    experiment
}

/// Starts a run, lets `end` end it, and returns its outcome and its checks.
fn checked(end: impl FnOnce(&SimWorld, &Machine<'_>)) -> (Outcome, Vec<Check>) {
    let world = world(&["checkout"]);
    world.with(|state| state.alarms.insert("latency".into(), false));
    let machine = Machine::new(&world, "run-1", experiment());
    block_on(machine.start()).unwrap();
    end(&world, &machine);
    let run = run_of(&world, &machine.run);
    let view = report_view(&run, &[target_of(&world, &machine.run, "checkout")]);
    let checks = checks(&run, &view);
    let subjects: Vec<String> = checks.iter().map(|check| check.subject.to_string()).collect();
    assert_eq!(subjects[..2], ["run", "steady state: alarm latency not in ALARM"]);
    assert!(subjects[2].contains(METRIC) && subjects[3] == "restore: checkout", "{subjects:?}");
    let passed = checks[0].result == CheckResult::Passed;
    assert_eq!(passed, matches!(view.outcome, Outcome::Held | Outcome::NoSteadyState), "{:?}", view.outcome);
    (view.outcome, checks)
}

fn to_the_end(_: &SimWorld, machine: &Machine<'_>) {
    block_on(async {
        machine.observe().await.unwrap();
        machine.end(None).await
    });
}

fn failed(check: &Check) -> &str {
    match &check.result {
        CheckResult::Failed(why) => why,
        other => panic!("{}: {other:?}", check.subject),
    }
}

#[test]
fn each_check_of_a_run_that_held_has_passed() {
    let (outcome, checks) = checked(to_the_end);
    assert_eq!(outcome, Outcome::Held);
    assert!(checks.iter().all(|check| check.result == CheckResult::Passed), "{checks:?}");
}

#[test]
fn a_deviation_fails_its_own_condition_only() {
    let (outcome, checks) = checked(|world, machine| {
        world.with(|state| state.alarms.insert("latency".into(), true));
        to_the_end(world, machine);
    });
    assert_eq!(outcome, Outcome::EndedEarly);
    assert_eq!(failed(&checks[1]), "during the run: alarm latency is in ALARM");
    assert_eq!((&checks[2].result, &checks[3].result), (&CheckResult::Passed, &CheckResult::Passed));
    let why = "ended early: the steady state deviated: alarm latency is in ALARM; restored exactly";
    assert_eq!(failed(&checks[0]), why);
}

#[test]
fn a_condition_that_does_not_hold_again_fails() {
    let (_, checks) = checked(|world, machine| {
        block_on(machine.observe()).unwrap();
        world.with(|state| state.alarms.remove("latency"));
        block_on(machine.end(None));
    });
    assert_eq!(failed(&checks[1]), "after the restore: there is no alarm latency");
    assert_eq!(failed(&checks[0]), "deviated after the restore; restored exactly, at the end of its duration");
}

#[test]
fn drift_fails_the_restore_of_its_target() {
    let (outcome, checks) = checked(|world, machine| {
        let function = function_arn("checkout");
        world.with(|state| state.functions.get_mut(&function).unwrap().edit(|seen| seen.timeout = 77));
        to_the_end(world, machine);
    });
    assert_eq!(outcome, Outcome::Drifted);
    assert!(failed(&checks[3]).starts_with("drift of timeout: "), "{checks:?}");
    let why = "changed outside the run; restored, apart from fields or faults that were changed during the run";
    assert_eq!(failed(&checks[0]), why);
}

#[test]
fn conditions_are_not_checked_before_the_restore() {
    let (outcome, checks) = checked(|world, machine| {
        let denied = ("UpdateFunctionConfiguration", CallFailure::Denied);
        world.with(|state| state.call_failures = vec![denied; 50]);
        machine.kill();
        reap_for(world, 2);
        assert_eq!(run_of(world, &machine.run).status, RunStatus::Failed);
    });
    assert_eq!(outcome, Outcome::RestoreFailed);
    assert!(failed(&checks[3]).starts_with("NOT restored yet: "), "{checks:?}");
    assert!(matches!(checks[1].result, CheckResult::Skipped(_)), "{checks:?}");
    assert_eq!(checks[0].subject, Subject::Run);
    assert!(failed(&checks[0]).starts_with("NOT restored yet; the reaper tries again every minute; "), "{checks:?}");
}
