//! The reaper finds damage in the ledger, reports it, and restores anyway.

use std::time::Duration;

use futures_util::future::join;
use serde_json::{Value, json};
use snapback::model::names::RunId;
use snapback::model::run::{EndReason, RunStatus, TargetStatus};
use snapback::ports::Clock;
use snapback::steps::OVERDUE_GRACE;
use snapback::steps::reap::{Tick, reap};
use snapback::steps::rollback::roll_back_all;
use snapback::steps::steady_state::checked_by;
use snapback::testing::SimWorld;
use snapback::testing::network::CrashPoint;
use snapback::testing::samples::{self, faults, world};

use super::support::{
    Machine, assert_nothing_is_active, block_on, budget, give_way, observation, roll_back_by_user, run_of, target_of,
};

fn tick(world: &SimWorld) -> (Tick, Option<&'static str>) {
    world.advance(Duration::from_secs(60));
    let (tick, error) = block_on(reap(world, budget(world, Duration::from_secs(55))));
    (tick, error.map(|error| error.name()))
}

/// A run that has injected, whose execution was stopped, and whose record was deleted.
fn without_record(world: &SimWorld, fault: (&'static str, Value)) -> RunId {
    let machine = Machine::new(world, "run-1", samples::experiment(&["checkout"], &[fault]));
    block_on(machine.start()).unwrap();
    machine.kill();
    world.with(|state| state.runs.remove(&machine.run));
    machine.run
}

#[test]
fn a_run_without_a_record_is_an_error_and_is_restored() {
    for fault in faults() {
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let run = without_record(&world, fault.clone());
        let (first, error) = tick(&world);
        assert_eq!((first.unreadable, first.handled, first.errors), (1, 1, 1), "{}", fault.0);
        assert_eq!(error, Some("NoRecord"), "{}", fault.0);
        assert_eq!(observation(&world, "checkout"), before, "{}", fault.0);
        assert_eq!(target_of(&world, &run, "checkout").status, TargetStatus::Restored, "{}", fault.0);
        // The run is closed, and the marker in place of its record gives the reason.
        assert_nothing_is_active(&world);
        let marker = run_of(&world, &run);
        assert_eq!(marker.status, RunStatus::Failed, "{}", fault.0);
        assert!(marker.reason.unwrap().to_string().contains("its record is missing"), "{}", fault.0);
        assert_eq!(tick(&world), (Tick::default(), None), "{}", fault.0);
    }
}

#[test]
fn the_error_stays_until_every_target_is_restored() {
    use snapback::testing::CallFailure;
    let world = world(&["checkout"]);
    without_record(&world, faults()[0].clone());
    world.with(|state| state.call_failures = vec![("PutFunctionConcurrency", CallFailure::Denied); 2]);
    // The error also stays after the marker was written.
    for _ in 0..2 {
        let (tick, error) = tick(&world);
        assert_eq!((tick.unreadable, tick.failed_restores, error), (1, 1, Some("NoRecord")));
    }
    assert_eq!(tick(&world).1, Some("NoRecord"));
    assert_nothing_is_active(&world);
}

#[test]
fn a_rollback_restores_a_run_without_a_record() {
    let world = world(&["checkout"]);
    let before = observation(&world, "checkout");
    let run = without_record(&world, faults()[0].clone());
    world.advance(Duration::from_secs(60));
    let rolled_back = block_on(roll_back_by_user(&world, &run, Duration::from_secs(120))).unwrap();
    assert_eq!(rolled_back.targets.len(), 1);
    assert_eq!(observation(&world, "checkout"), before);
}

#[test]
fn nothing_starts_after_a_record_is_lost() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    let functions = block_on(machine.prepare()).unwrap().functions;
    block_on(machine.arm(&functions)).unwrap();
    world.with(|state| state.runs.remove(&machine.run));
    tick(&world);
    block_on(machine.inject(&functions)).unwrap();
    assert_eq!(world.count("PutFunctionConcurrency"), 0);
}

#[test]
fn a_run_whose_record_cannot_be_read_is_restored_and_retired() {
    let world = world(&["checkout"]);
    let before = observation(&world, "checkout");
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(machine.start()).unwrap();
    world.advance(Duration::from_secs(60));
    world.with(|state| state.unreadable.insert(machine.run.clone()));
    let (first, error) = tick(&world);
    assert_eq!((first.unreadable, first.handled, error), (1, 1, Some("NoRecord")));
    assert_eq!(observation(&world, "checkout"), before);
    assert_nothing_is_active(&world);
    assert_eq!(run_of(&world, &machine.run).status, RunStatus::Stopping, "an unreadable record cannot be closed");
}

/// A run that has injected, whose execution was stopped, and that the list of active runs has lost.
fn unlisted(world: &SimWorld) -> RunId {
    let machine = Machine::new(world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(machine.start()).unwrap();
    machine.kill();
    world.with(|state| state.active.clear());
    machine.run
}

#[test]
fn the_reaper_finds_a_run_that_the_list_has_lost_in_an_hour() {
    // Without its record too, its lock still has its name.
    for has_record in [true, false] {
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let run = unlisted(&world);
        if !has_record {
            world.with(|state| state.runs.remove(&run));
        }
        let errors: Vec<_> = (0..60).filter_map(|_| tick(&world).1).collect();
        assert_eq!(errors, ["Unlisted"], "an error once, because a task of snapback's never causes it");
        assert_eq!(observation(&world, "checkout"), before);
        assert_eq!(target_of(&world, &run, "checkout").status, TargetStatus::Restored);
        assert!(run_of(&world, &run).status.is_final());
        assert_nothing_is_active(&world);
        assert_eq!(world.count("Scan"), 2, "twice an hour, because a tick can miss a minute");
    }
}

#[test]
fn a_rollback_lists_a_lost_run_again_for_the_reaper() {
    let world = world(&["checkout"]);
    let run = unlisted(&world);
    block_on(roll_back_by_user(&world, &run, Duration::from_secs(120))).unwrap();
    assert_eq!(target_of(&world, &run, "checkout").status, TargetStatus::Restored);
    assert_eq!(world.with(|state| state.active.clone()), vec![run.clone()]);
    assert_eq!(tick(&world).1, None);
    assert_eq!(run_of(&world, &run).status, RunStatus::Stopped);
    assert_nothing_is_active(&world);
    // A run that is over stays off the list.
    block_on(roll_back_by_user(&world, &run, Duration::from_secs(120))).unwrap();
    assert_nothing_is_active(&world);
}

#[test]
fn a_rollback_of_all_runs_finds_the_lost_ones() {
    let world = world(&["checkout", "payment"]);
    let lost = unlisted(&world);
    let listed = Machine::new(&world, "run-2", samples::experiment(&["payment"], &faults()[0..1]));
    block_on(listed.start()).unwrap();
    let ending = EndReason::UserRequest.into();
    let all = roll_back_all(&world, &ending, budget(&world, Duration::from_secs(120)));
    let rolled_back = block_on(all).unwrap();
    let ids: Vec<_> = rolled_back.iter().map(|rolled_back| rolled_back.run.id.clone()).collect();
    assert_eq!(ids, [listed.run, lost], "the listed ones do not wait for the search");
}

#[test]
fn a_lost_response_of_step_functions_costs_no_tick() {
    let world = world(&["checkout"]);
    let before = observation(&world, "checkout");
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(machine.start()).unwrap();
    machine.kill();
    // The reaper reads the active runs, the lever and the run; then it asks whether the execution is running.
    world.with(|state| state.crash_at([(3, CrashPoint::ResponseLost)]));
    let (first, error) = tick(&world);
    assert_eq!((first.active, first.handled, error), (1, 1, None));
    assert_eq!(world.count("DescribeExecution"), 2);
    assert_eq!(observation(&world, "checkout"), before);
    assert_nothing_is_active(&world);
}

#[test]
fn a_run_is_overdue_after_its_grace_and_not_before() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(machine.start()).unwrap();
    let grace_ends = run_of(&world, &machine.run).expected_end() + OVERDUE_GRACE;
    world.advance(world.now().until(grace_ends));
    assert_eq!(world.now(), grace_ends);
    let (at_its_end, _) = block_on(reap(&world, budget(&world, Duration::from_secs(55))));
    assert_eq!((at_its_end.active, at_its_end.overdue, at_its_end.handled), (1, 0, 0));
    world.advance(Duration::from_secs(1));
    let (after, _) = block_on(reap(&world, budget(&world, Duration::from_secs(55))));
    assert_eq!((after.active, after.overdue, after.handled), (1, 1, 1));
}

#[test]
fn the_reaper_leaves_a_stopping_run_alone_for_five_minutes() {
    for steady_state in [json!([]), json!([{ "alarm": "errors" }])] {
        let world = world(&["checkout"]);
        let mut experiment = samples::experiment(&["checkout"], &faults()[0..1]);
        experiment["steadyState"] = steady_state.clone();
        let machine = Machine::new(&world, "run-1", experiment);
        block_on(machine.start()).unwrap();
        block_on(roll_back_by_user(&world, &machine.run, Duration::from_secs(120))).unwrap();
        let run = run_of(&world, &machine.run);
        // The time to evaluate begins once every target is restored.
        let left_until = match steady_state.as_array().unwrap().is_empty() {
            true => run.stopping_at.unwrap() + Duration::from_secs(300),
            false => {
                let back = target_of(&world, &machine.run, "checkout").ended_at.unwrap();
                back + Duration::from_secs(300) + checked_by(run.experiment.as_ref().unwrap())
            }
        };
        world.advance(world.now().until(left_until));
        assert_eq!(world.now(), left_until);
        let (before, _) = block_on(reap(&world, budget(&world, Duration::from_secs(55))));
        assert_eq!((before.overdue, before.handled), (0, 0), "{steady_state}");
        world.advance(Duration::from_secs(1));
        let (after, _) = block_on(reap(&world, budget(&world, Duration::from_secs(55))));
        assert_eq!((after.overdue, after.handled), (1, 1), "{steady_state}");
    }
}

#[test]
fn a_run_whose_record_is_damaged_in_a_tick_stays_listed() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(machine.start()).unwrap();
    machine.kill();
    world.advance(Duration::from_secs(60));
    let damage = async {
        while !target_of(&world, &machine.run, "checkout").status.is_final() {
            give_way().await;
        }
        world.with(|state| state.unreadable.insert(machine.run.clone()));
    };
    let ((_, error), ()) = block_on(join(reap(&world, budget(&world, Duration::from_secs(55))), damage));
    assert!(error.is_some());
    world.with(|state| assert_eq!(state.active, std::slice::from_ref(&machine.run)));
}
