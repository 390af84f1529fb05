//! Restore on its own: what it waits for, what it relies on, and what it does when AWS refuses a call.

use std::time::Duration;

use snapback::model::run::{EndReason, Lock, TargetStatus};
use snapback::ports::Clock;
use snapback::steps::restore::{RestoreOutcome, restore};
use snapback::steps::rollback::stop;
use snapback::steps::{LEASE_DURATION, MAX_LANDING_DELAY};
use snapback::testing::samples::{self, function_arn, layer_arn, world};
use snapback::testing::{CallFailure, SimWorld};

use super::stage::{call_names, experiments};
use super::support::{Machine, block_on, budget, mutating, run_of, survives, target_of};

/// Starts a run with this fault on `checkout` and stops it a minute later.
fn stopping<'a>(world: &'a SimWorld, fault: &str) -> Machine<'a> {
    let (_, experiment) = experiments().into_iter().find(|(name, _)| *name == fault).unwrap();
    let machine = Machine::new(world, "run-1", experiment);
    block_on(machine.start()).unwrap();
    world.advance(Duration::from_secs(60));
    block_on(stop(world, &machine.run, &EndReason::UserRequest.into())).unwrap();
    machine
}

/// Restores once, in an invocation that lasts `seconds`.
fn restored(world: &SimWorld, machine: &Machine<'_>, seconds: u64) -> RestoreOutcome {
    let run = run_of(world, &machine.run);
    block_on(restore(world, &run, &function_arn("checkout"), budget(world, Duration::from_secs(seconds)))).unwrap()
}

#[test]
fn a_restore_retries_busy_calls() {
    for (fault, _) in experiments() {
        let world = world(&["checkout"]);
        let machine = stopping(&world, fault);
        world.with(|state| state.call_failures = vec![(call_names(fault).1, CallFailure::Busy)]);
        assert_eq!(restored(&world, &machine, 60), RestoreOutcome::Ended(TargetStatus::Restored), "{fault}");
        assert_eq!(target_of(&world, &machine.run, "checkout").restore_error, None, "{fault}");
    }
}

#[test]
fn a_restore_reports_what_blocks_its_write() {
    for (failure, part) in [(CallFailure::Busy, "busy"), (CallFailure::Throttled, "Lambda throttled the call")] {
        let world = world(&["checkout"]);
        let machine = stopping(&world, "timeout");
        world.with(|state| state.call_failures = vec![("UpdateFunctionConfiguration", failure)]);
        let RestoreOutcome::Pending { waiting_for, .. } = restored(&world, &machine, 3) else { panic!("{failure:?}") };
        assert!(waiting_for.as_deref().is_some_and(|why| why.contains(part)), "{failure:?}: {waiting_for:?}");
    }
}

#[test]
fn an_uncertain_call_stays_uncertain_after_a_retry() {
    for failure in [CallFailure::Busy, CallFailure::Throttled] {
        let world = world(&["checkout"]);
        let machine = stopping(&world, "several at once");
        let failures =
            vec![("PutFunctionConcurrency", CallFailure::ResponseLost), ("UpdateEventSourceMapping", failure)];
        world.with(|state| state.call_failures = failures);
        let began = world.now();
        let RestoreOutcome::Pending { waiting_for, .. } = restored(&world, &machine, 3) else { panic!("{failure:?}") };
        assert!(waiting_for.as_deref().is_some_and(|why| why.contains("may still land")), "{waiting_for:?}");
        let lease = target_of(&world, &machine.run, "checkout").restore_lease.unwrap();
        assert!(lease.until >= began + LEASE_DURATION, "{failure:?}: the lease was shortened");
    }
}

#[test]
fn a_read_at_the_end_of_the_last_lease_is_late_enough() {
    let world = world(&["checkout"]);
    let (_, experiment) = experiments().into_iter().find(|(name, _)| *name == "timeout").unwrap();
    let machine = Machine::new(&world, "run-1", experiment);
    let functions = block_on(machine.prepare()).unwrap().functions;
    block_on(machine.arm(&functions)).unwrap();
    block_on(machine.rehearse(&functions)).unwrap();
    world.with(|state| state.call_failures = vec![("UpdateFunctionConfiguration", CallFailure::Lost)]);
    let inject =
        snapback::steps::inject::inject(&world, &machine.run, &functions[0], budget(&world, Duration::from_secs(3)));
    assert!(survives(inject).is_some());
    block_on(stop(&world, &machine.run, &EndReason::UserRequest.into())).unwrap();
    let leases_end_at = target_of(&world, &machine.run, "checkout").leases_end_at().unwrap();
    world.with(|state| assert!(leases_end_at > state.now() + MAX_LANDING_DELAY));
    world.advance(world.now().until(leases_end_at));
    assert_eq!(world.now(), leases_end_at);
    assert_eq!(restored(&world, &machine, 60), RestoreOutcome::Ended(TargetStatus::Restored));
    assert_eq!(world.now(), leases_end_at, "it reads once");
}

#[test]
fn deleted_layers_do_not_block_other_fields() {
    // The fault `layer` has a variable, too. With the layers alone, there would be nothing else to send.
    for (with_variables, calls) in [(true, 2), (false, 1)] {
        let world = world(&["checkout"]);
        let mut layer = serde_json::json!({ "layers": [layer_arn("chaos")] });
        if with_variables {
            layer["environment"] = serde_json::json!({ "CHAOS_RATE": "1" });
        }
        let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &[("layer", layer)]));
        block_on(machine.start()).unwrap();
        world.advance(Duration::from_secs(60));
        block_on(stop(&world, &machine.run, &EndReason::UserRequest.into())).unwrap();
        world.with(|state| state.layers.clear());
        let before = mutating(&world).len();
        let run = run_of(&world, &machine.run);
        let failed =
            block_on(restore(&world, &run, &function_arn("checkout"), budget(&world, Duration::from_secs(60))))
                .unwrap_err();
        assert!(failed.to_string().contains("there is no layer version"), "{failed}");
        assert_eq!(mutating(&world).len() - before, calls, "{with_variables}: {:?}", mutating(&world));
    }
}

#[test]
fn a_deleted_own_function_is_closed_like_any_other() {
    // Nothing has to be written, so the guard for own functions does not apply.
    let (own, arn) = ("snapback-reaper", function_arn("snapback-reaper"));
    let world = world(&["checkout"]);
    let machine = stopping(&world, "timeout");
    world.with(|state| {
        let mut target = state.targets[&(machine.run.clone(), function_arn("checkout"))].clone();
        target.function = arn.clone();
        state.targets.insert((machine.run.clone(), arn.clone()), target);
        let lock = Lock { run: Some(machine.run.clone()), generation: 1, released_at: None };
        state.locks.insert(arn.clone(), lock);
    });
    let run = run_of(&world, &machine.run);
    let ended = block_on(restore(&world, &run, &arn, budget(&world, Duration::from_secs(60))));
    assert_eq!(ended, Ok(RestoreOutcome::Ended(TargetStatus::Deleted)));
    assert_eq!(target_of(&world, &machine.run, own).status, TargetStatus::Deleted);
}

#[test]
fn a_run_of_which_nothing_is_left_cannot_be_stopped() {
    let world = world(&["checkout"]);
    let machine = stopping(&world, "timeout");
    world.with(|state| {
        state.unreadable.insert(machine.run.clone());
        state.targets.clear();
    });
    let stopped = block_on(stop(&world, &machine.run, &EndReason::UserRequest.into()));
    assert!(stopped.is_err_and(|error| error.to_string().contains("cannot be read")));
}
