//! Whom the undo believes: a record alone changes no function.

use std::collections::BTreeMap;

use snapback::model::function::{Slot, Tags};
use snapback::model::names::{Handler, RunId, VariableName};
use snapback::model::run::{EndReason, Lock, RunStatus, TargetRecord, TargetStatus};
use snapback::model::secret::Secret;
use snapback::model::snapshot::Change;
use snapback::ports::Clock;
use snapback::steps::reap::reap;
use snapback::steps::rollback::roll_back;
use snapback::testing::SimWorld;
use snapback::testing::samples::{self, function_arn, world};

use super::support::{block_on, budget, mutating, picture, target_of};

/// What somebody writes into the table who wants a function changed: a run that is stopping, and a target whose
/// "original" is what he wants.
fn forge(world: &SimWorld, function: &str) -> RunId {
    let (id, arn) = (samples::run_id("forged"), function_arn(function));
    let mut run = snapback::ports::stopped_marker(&id, &EndReason::UserRequest, world.now());
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

/// Eight minutes of the reaper, and a rollback: nothing is written, and each tick counts the failure for the alarm.
fn assert_refused(world: &SimWorld, function: &str, id: &RunId, error: &str) {
    let before = picture(world, function);
    for _ in 0..8 {
        world.pass(60);
        let (tick, _) = block_on(reap(world, budget(world, 55)));
        assert_eq!(tick.failed_restores, 1, "FailedRestores alarms");
    }
    let rolled_back = block_on(roll_back(world, id, &EndReason::UserRequest, budget(world, 120))).unwrap();
    let failure = rolled_back.targets[0].1.as_ref().unwrap_err();
    assert_eq!(failure.name(), error, "{failure}");
    assert_eq!(picture(world, function), before);
    assert_eq!(mutating(world), Vec::<String>::new());
    let kept = target_of(world, id, function);
    assert!(kept.restore_error.unwrap().contains("forged or damaged"), "the report names it");
    assert_eq!(kept.status, TargetStatus::Injected, "nothing was begun");
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
fn a_lock_of_another_run_is_not_the_forgers() {
    let world = world(&["payments"]);
    let id = forge(&world, "payments");
    let lock = Lock { run: Some(samples::run_id("another")), generation: 1, released_at: None };
    world.with(|state| state.locks.insert(function_arn("payments"), lock));
    assert_refused(&world, "payments", &id, "NotLocked");
}

#[test]
fn no_restore_writes_to_snapbacks_own_functions() {
    // With a forged lock, too.
    for own in ["snapback-reaper", "snapback-restore", "snapback-inject"] {
        let world = world(&[own]);
        let id = forge(&world, own);
        let lock = Lock { run: Some(id.clone()), generation: 1, released_at: None };
        world.with(|state| state.locks.insert(function_arn(own), lock));
        assert_refused(&world, own, &id, "OwnFunction");
    }
}
