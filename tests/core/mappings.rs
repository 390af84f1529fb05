//! Event source mappings outlive their function, and can be moved to another one.

use std::time::Duration;

use serde_json::json;
use snapback::model::function::MappingState;
use snapback::model::run::{RunStatus, TargetStatus};
use snapback::plan::rendering::Outcome;
use snapback::ports::Clock;
use snapback::steps::MAX_READ_STALENESS;
use snapback::steps::reap::reap;
use snapback::testing::execution::watch;
use snapback::testing::samples::{self, function_arn, mapping_id, observation, world};
use snapback::testing::{CallFailure, Orphans, SimWorld};

use super::stage::{experiments, machine, outcome};
use super::support::{Ended, Machine, assert_nothing_stays, block_on, budget, mutating, reap_for, run_of, target_of};

fn disable_all() -> serde_json::Value {
    samples::experiment(&["checkout"], &[("eventSourceMapping", json!({ "disable": "ALL" }))])
}

fn state_of(world: &SimWorld) -> MappingState {
    world.with(|state| state.mappings[&mapping_id("checkout")].state)
}

fn delete(world: &SimWorld) {
    world.with(|state| state.functions.remove(&function_arn("checkout")));
}

/// Plays a run that has disabled the mapping and whose function is then deleted.
fn play_with_deletion(world: &SimWorld, orphans: Orphans) -> (Machine<'_>, Ended) {
    let machine = machine(world, &disable_all());
    block_on(machine.start()).unwrap();
    assert_eq!(state_of(world), MappingState::Disabled);
    delete(world);
    world.with(|state| state.orphans = orphans);
    let ended = block_on(machine.end(None));
    (machine, ended)
}

#[test]
fn the_mapping_of_a_deleted_function_is_enabled_again() {
    let world = world(&["checkout"]);
    let (machine, ended) = play_with_deletion(&world, Orphans::Updated);
    let target = target_of(&world, &machine.run, "checkout");
    assert_eq!((target.status, target.drift), (TargetStatus::Deleted, Vec::new()));
    assert_eq!(outcome(&ended), (RunStatus::Completed, Outcome::Drifted));
    assert_eq!(state_of(&world), MappingState::Enabled);
    assert_nothing_stays(&world);
}

#[test]
fn a_mapping_that_lambda_leaves_disabled_is_reported() {
    for (orphans, calls) in [(Orphans::Refused, 1), (Orphans::DisabledAgain, 1)] {
        let world = world(&["checkout"]);
        let (machine, ended) = play_with_deletion(&world, orphans);
        let target = target_of(&world, &machine.run, "checkout");
        assert_eq!(target.status, TargetStatus::Drifted, "{orphans:?}");
        let note = format!("mapping {} is left disabled", mapping_id("checkout"));
        assert!(target.drift[0].note.contains(&note), "{orphans:?}: {:?}", target.drift);
        assert_eq!(outcome(&ended), (RunStatus::Completed, Outcome::Drifted), "{orphans:?}");
        // snapback does not retry forever.
        assert_eq!(mutating(&world).len(), 1 + calls, "{orphans:?}: {:?}", mutating(&world));
        assert_nothing_stays(&world);
    }
}

#[test]
fn a_mapping_that_was_enabled_in_time_is_not_reported() {
    // The mapping is enabled, its function is deleted, and stale reads show the mapping as disabled. Lambda refuses to
    // enable it again, but that does not show its state.
    for calls in 0..40 {
        let world = world(&["checkout"]);
        let machine = machine(&world, &disable_all());
        block_on(machine.start()).unwrap();
        world.advance(Duration::from_secs(30));
        world.with(|state| {
            (state.orphans, state.staleness) = (Orphans::Refused, MAX_READ_STALENESS);
            // Which reads are stale, and by how much, depends on the number of calls before them.
            state.calls.extend((0..calls).map(|_| "GetFunction".to_owned()));
        });
        watch(machine.end(None), || {
            if state_of(&world) == MappingState::Enabled {
                delete(&world);
            }
        });
        let target = target_of(&world, &machine.run, "checkout");
        assert_eq!((target.status, target.drift), (TargetStatus::Deleted, Vec::new()), "calls before: {calls}");
        assert_eq!(state_of(&world), MappingState::Enabled, "calls before: {calls}");
        assert_nothing_stays(&world);
    }
}

#[test]
fn a_mapping_that_may_not_be_enabled_keeps_the_target_open() {
    let world = world(&["checkout"]);
    let machine = machine(&world, &disable_all());
    block_on(machine.start()).unwrap();
    delete(&world);
    world.with(|state| state.call_failures = vec![("UpdateEventSourceMapping", CallFailure::Denied); 50]);
    let ended = block_on(machine.end(None));
    assert_eq!(outcome(&ended), (RunStatus::Failed, Outcome::RestoreFailed));
    let target = target_of(&world, &machine.run, "checkout");
    let why = Some("access denied: UpdateEventSourceMapping".to_owned());
    assert_eq!((target.status, target.restore_error), (TargetStatus::Restoring, why));
    world.with(|state| state.call_failures.clear());
    reap_for(&world, 1);
    assert_eq!(state_of(&world), MappingState::Enabled);
    assert_eq!(target_of(&world, &machine.run, "checkout").status, TargetStatus::Deleted);
    assert_nothing_stays(&world);
}

#[test]
fn a_recreated_function_gets_its_mapping_back() {
    for (fault, experiment) in experiments() {
        for created_after in [0, 30] {
            let world = world(&["checkout"]);
            let machine = machine(&world, &experiment);
            block_on(machine.start()).unwrap();
            delete(&world);
            world.advance(Duration::from_secs(created_after));
            let mut again = observation("checkout");
            again.mappings.clear();
            again.revision_id = "created again".into();
            world.with(|state| state.add_function(again));
            let ended = block_on(machine.end(None));
            let (status, actual) = outcome(&ended);
            assert_eq!(status, RunStatus::Completed, "{fault}");
            // The new function does not have the fault of the old one, so the fault counts as removed. Right after the
            // inject, this could also be a stale read.
            let removed = fault != "eventSourceMapping";
            let expected = if removed { Outcome::Drifted } else { Outcome::NoSteadyState };
            let unsure = created_after == 0 && actual == Outcome::NoSteadyState;
            assert!(actual == expected || unsure, "{fault}, created after {created_after} s: {actual:?}");
            assert_eq!(
                super::support::observation(&world, "checkout").mappings,
                observation("checkout").mappings,
                "{fault}"
            );
            assert_nothing_stays(&world);
        }
    }
}

#[test]
fn a_mapping_deleted_with_its_function_needs_no_restore() {
    let world = world(&["checkout"]);
    let machine = machine(&world, &disable_all());
    block_on(machine.start()).unwrap();
    delete(&world);
    world.with(|state| state.mappings.clear());
    block_on(machine.end(None));
    let target = target_of(&world, &machine.run, "checkout");
    assert_eq!((target.status, target.drift), (TargetStatus::Deleted, Vec::new()));
    assert_nothing_stays(&world);
}

#[test]
fn a_mapping_moved_to_another_function_is_enabled_again() {
    // UpdateEventSourceMapping can change the function (lambda/latest/api/API_UpdateEventSourceMapping). After that, no
    // listing of the old function shows the mapping.
    let world = world(&["checkout", "payment"]);
    let machine = machine(&world, &disable_all());
    block_on(machine.start()).unwrap();
    world.with(|state| {
        let mapping = state.mappings.get_mut(&mapping_id("checkout")).unwrap();
        mapping.function = function_arn("payment");
    });
    let ended = block_on(machine.end(None));
    assert_eq!(outcome(&ended), (RunStatus::Completed, Outcome::NoSteadyState));
    assert_eq!(state_of(&world), MappingState::Enabled);
    assert!(world.count("GetEventSourceMapping") > 1, "the restore did not read it by its UUID");
}

#[test]
fn the_reaper_enables_the_mapping_of_a_deleted_function() {
    let world = world(&["checkout"]);
    let machine = machine(&world, &disable_all());
    block_on(machine.start()).unwrap();
    machine.kill();
    delete(&world);
    for _ in 0..3 {
        world.advance(Duration::from_secs(60));
        let (_, error) = block_on(reap(&world, budget(&world, Duration::from_secs(55))));
        assert_eq!(error, None);
    }
    assert_eq!(state_of(&world), MappingState::Enabled, "at {:?}", world.now());
    assert_eq!(target_of(&world, &machine.run, "checkout").status, TargetStatus::Deleted);
    assert_eq!(run_of(&world, &machine.run).status, RunStatus::Failed);
    assert_nothing_stays(&world);
}
