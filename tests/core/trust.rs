//! What the undo relies on: a record without the function's lock changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::json;
use snapback::model::function::{Slot, Tags};
use snapback::model::names::{FunctionArn, Handler, RunId, VariableName};
use snapback::model::run::{EndReason, Lock, RunStatus, TargetRecord, TargetStatus};
use snapback::model::secret::Secret;
use snapback::model::snapshot::Change;
use snapback::plan::rendering::Outcome;
use snapback::ports::Clock;
use snapback::steps::reap::reap;
use snapback::steps::report::{ReportOutcome, report};
use snapback::steps::restore::RestoreOutcome;
use snapback::testing::samples::{self, function_arn, world};
use snapback::testing::{SimWorld, State};

use super::support::{Machine, block_on, budget, mutating, observation, reap_for, roll_back_by_user, target_of};

/// Writes what an attacker would write into the table to have a function changed: a run that is stopping, and a target
/// whose "original" is the wanted value.
fn forge(world: &SimWorld, function: &str) -> RunId {
    let (id, arn) = (samples::run_id("forged"), function_arn(function));
    let mut run = snapback::model::marker::stopped_marker(&id, &EndReason::UserRequest.into(), world.now());
    run.status = RunStatus::Stopping;
    run.unread = Some("its experiment was written by another release".to_owned());
    run.functions = vec![arn.clone()];
    let mut target = TargetRecord::new(id.clone(), arn.clone());
    target.status = TargetStatus::Injected;
    target.changes = vec![
        Change::Handler {
            original: Handler::try_from("evil.handler").unwrap(),
            injected: Handler::try_from("app.handler").unwrap(),
        },
        Change::Variable {
            name: VariableName::try_from("NODE_OPTIONS").unwrap(),
            original: Slot::Present(Secret::new("--import=data:text/javascript,...")),
            injected: Slot::Absent,
        },
    ];
    world.with(|state| {
        state.runs.insert(id.clone(), run);
        state.targets.insert((id.clone(), arn), target);
        state.active.push(id.clone());
        state.dead_executions.push(String::new());
    });
    id
}

/// Runs the reaper for eight minutes, and a rollback. Asserts that nothing is written and that each tick counts the failure.
fn assert_refused(world: &SimWorld, function: &str, id: &RunId, error: &str) {
    let before = observation(world, function);
    for _ in 0..8 {
        world.advance(Duration::from_secs(60));
        let (tick, _) = block_on(reap(world, budget(world, Duration::from_secs(55))));
        assert_eq!(tick.failed_restores, 1, "FailedRestores alarms");
    }
    let rolled_back = block_on(roll_back_by_user(world, id, Duration::from_secs(120))).unwrap();
    let failure = rolled_back.targets[0].1.as_ref().unwrap_err();
    assert_eq!(failure.name(), error, "{failure}");
    assert_eq!(observation(world, function), before);
    assert_eq!(mutating(world), Vec::<String>::new());
    let kept = target_of(world, id, function);
    assert!(kept.restore_error.unwrap().contains("forged or damaged"), "the report names the reason");
    assert_eq!(kept.status, TargetStatus::Injected, "no restore was begun");
}

#[test]
fn a_forged_record_changes_nothing_and_is_an_error() {
    let world = world(&["payments"]);
    world.with(|state| {
        let payments = state.functions.get_mut(&function_arn("payments")).unwrap();
        payments.edit(|seen| seen.tags = Tags::Known(BTreeMap::new()));
    });
    let id = forge(&world, "payments");
    assert_refused(&world, "payments", &id, "NotLocked");
}

#[test]
fn a_forged_record_cannot_use_another_runs_lock() {
    let world = world(&["payments"]);
    let id = forge(&world, "payments");
    let lock = Lock { run: Some(samples::run_id("another")), generation: 1, released_at: None };
    world.with(|state| state.locks.insert(function_arn("payments"), lock));
    assert_refused(&world, "payments", &id, "NotLocked");
}

#[test]
fn no_restore_writes_to_snapbacks_own_functions() {
    // Not even with a forged lock.
    for own in ["snapback-reaper", "snapback-restore", "snapback-inject"] {
        let world = world(&[own]);
        let id = forge(&world, own);
        let lock = Lock { run: Some(id.clone()), generation: 1, released_at: None };
        world.with(|state| state.locks.insert(function_arn(own), lock));
        assert_refused(&world, own, &id, "OwnFunction");
    }
}

/// A run that has injected, whose execution was stopped, and whose target's record is then damaged.
fn damaged(damage: impl FnOnce(&mut State, &(RunId, FunctionArn))) -> (SimWorld, RunId) {
    let world = world(&["checkout", "payment"]);
    let experiment = samples::experiment(&["checkout", "payment"], &[("timeout", json!({ "timeout": "PT1S" }))]);
    let machine = Machine::new(&world, "run-1", experiment);
    block_on(machine.start()).unwrap();
    machine.kill();
    let id = machine.run.clone();
    world.with(|state| damage(state, &(id.clone(), function_arn("checkout"))));
    world.advance(Duration::from_secs(600));
    (world, id)
}

/// Asserts that the damaged target stays open, locked and named, that its run has failed, and that the other target is
/// restored.
fn assert_open(world: &SimWorld, id: &RunId, error: &str, why: &str) {
    for _ in 0..8 {
        world.advance(Duration::from_secs(60));
        let (tick, _) = block_on(reap(world, budget(world, Duration::from_secs(55))));
        assert_eq!(tick.failed_restores, 1, "FailedRestores alarms");
    }
    assert_eq!(target_of(world, id, "payment").status, TargetStatus::Restored);
    assert_eq!(observation(world, "payment").timeout, 10);
    let rolled_back = block_on(roll_back_by_user(world, id, Duration::from_secs(120))).unwrap();
    let failures: Vec<_> = rolled_back.targets.iter().filter_map(|(_, result)| result.as_ref().err()).collect();
    assert_eq!(failures.iter().map(|error| error.name()).collect::<Vec<_>>(), [error]);
    let ReportOutcome::Closed(view) = block_on(report(world, id)).unwrap() else { panic!("it is closed") };
    assert_eq!((view.status, view.outcome), (RunStatus::Failed, Outcome::RestoreFailed));
    let checkout = view.targets.iter().find(|target| target.function == "checkout").expect("the report lists it");
    let told = checkout.restore_error.as_deref().unwrap_or_default();
    assert!(!checkout.status.is_final() && told.contains("checkout") && told.contains(why), "{checkout:?}");
    world.with(|state| {
        assert_eq!(state.locks[&function_arn("checkout")].run.as_ref(), Some(id), "it stays locked");
        assert_eq!(state.active, std::slice::from_ref(id), "it stays active");
    });
}

#[test]
fn a_missing_target_record_of_a_locked_function_is_an_error() {
    let (world, id) = damaged(|state, key| drop(state.targets.remove(key)));
    assert_open(&world, &id, "NoTargetRecord", "its target record is missing");
    // After the function was restored by hand and its lock deleted, nothing is left to restore.
    world.with(|state| drop(state.locks.remove(&function_arn("checkout"))));
    reap_for(&world, 1);
    world.with(|state| assert_eq!(state.active, Vec::<RunId>::new()));
}

#[test]
fn an_unreadable_target_record_stays_open_and_blocks_no_other() {
    let (world, id) = damaged(|state, key| assert!(state.unreadable_targets.insert(key.clone())));
    assert_open(&world, &id, "LedgerUnusable", "its record cannot be read");
    world.with(|state| state.unreadable_targets.clear());
    reap_for(&world, 1);
    assert_eq!(target_of(&world, &id, "checkout").status, TargetStatus::Restored);
    assert_eq!(observation(&world, "checkout").timeout, 10);
}

#[test]
fn a_run_stopped_before_its_targets_were_written_is_untouched() {
    let world = world(&["checkout"]);
    let id = samples::run_id("run-1");
    let mut run = snapback::model::marker::stopped_marker(&id, &EndReason::UserRequest.into(), world.now());
    (run.status, run.functions) = (RunStatus::Stopping, vec![function_arn("checkout")]);
    world.with(|state| {
        state.runs.insert(id.clone(), run);
        state.active.push(id.clone());
        // Another run has the function.
        let lock = Lock { run: Some(samples::run_id("another")), generation: 1, released_at: None };
        state.locks.insert(function_arn("checkout"), lock);
    });
    let rolled_back = block_on(roll_back_by_user(&world, &id, Duration::from_secs(120))).unwrap();
    assert_eq!(rolled_back.targets[0].1, Ok(RestoreOutcome::Ended(TargetStatus::Untouched)));
    let ReportOutcome::Closed(view) = block_on(report(&world, &id)).unwrap() else { panic!("it is closed") };
    assert_eq!((view.status, view.targets.len()), (RunStatus::Stopped, 0));
}

#[test]
fn a_target_that_is_tagged_as_snapbacks_own_names_the_tag() {
    let world = world(&["checkout"]);
    let before = observation(&world, "checkout");
    let experiment = samples::experiment(&["checkout"], &[("timeout", json!({ "timeout": "PT1S" }))]);
    let machine = Machine::new(&world, "run-1", experiment);
    block_on(machine.start()).unwrap();
    let tag = |tags: Tags| {
        world.with(|state| state.functions.get_mut(&function_arn("checkout")).unwrap().edit(|seen| seen.tags = tags));
    };
    tag(Tags::Known(BTreeMap::from([("snapback".to_owned(), "control-plane".to_owned())])));
    let ended = block_on(machine.end(None));
    assert_eq!(ended.failure.unwrap().name(), "OwnFunction");
    let why = target_of(&world, &machine.run, "checkout").restore_error.unwrap();
    assert!(why.contains("its tag snapback=control-plane") && why.contains("remove that tag"), "{why}");
    assert_eq!(observation(&world, "checkout").timeout, 1, "nothing was written");
    machine.kill();
    tag(before.tags.clone());
    reap_for(&world, 1);
    assert_eq!(observation(&world, "checkout"), before);
}
