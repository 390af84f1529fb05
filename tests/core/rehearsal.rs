//! The rehearsal: before anything is injected, the undo role shows that it has the rights for the restore.

use std::time::Duration;

use snapback::model::function::{MappingState, Tags};
use snapback::model::run::{EndReason, RunStatus, TargetStatus};
use snapback::plan::rendering::Outcome;
use snapback::ports::Clock;
use snapback::steps::POLL_INTERVAL;
use snapback::steps::rehearse::{Rehearsal, RehearseOutcome};
use snapback::steps::rollback::stop;
use snapback::testing::SimWorld;
use snapback::testing::samples::{self, faults, function_arn, layer_arn, world};
use snapback::testing::worker::Role;

use super::stage::deploy_over;
use super::support::{
    Ended, Machine, assert_nothing_stays, block_on, budget, mutating, observation, run_of, target_of,
};

/// The three tasks that undo have one role.
const UNDO: [Role; 3] = [Role::Restore, Role::Rollback, Role::Reaper];

fn assert_ended_before_the_first_change(world: &SimWorld, machine: &Machine<'_>, ended: &Ended, cannot: &str) {
    let failure = ended.failure.as_ref().unwrap();
    assert_eq!(failure.name(), "RehearsalFailed", "{failure}");
    let said = failure.to_string();
    for part in ["checkout", "UndoRoleArn", cannot, "nothing was injected"] {
        assert!(said.contains(part), "no {part} in: {said}");
    }
    assert_eq!(mutating(world), Vec::<String>::new());
    let report = ended.report.as_ref().unwrap();
    assert_eq!((report.status, report.outcome), (RunStatus::Failed, Outcome::EndedEarly));
    let Some(EndReason::Error { error, .. }) = run_of(world, &machine.run).reason else { panic!("it ended in error") };
    assert_eq!(error, "RehearsalFailed");
    assert_nothing_stays(world);
}

#[test]
fn a_role_that_cannot_read_ends_the_run_before_the_first_change() {
    for fault in faults() {
        let world = world(&["checkout", "payment"]);
        world.with(|state| state.without_rights = UNDO.to_vec());
        let before = observation(&world, "checkout");
        let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout", "payment"], &[fault]));
        let ended = block_on(machine.execute());
        assert_ended_before_the_first_change(&world, &machine, &ended, "kms:Decrypt");
        assert_eq!(observation(&world, "checkout"), before);
    }
}

#[test]
fn the_rehearsal_ignores_rights_that_only_inject_needs() {
    let world = world(&["checkout"]);
    world.with(|state| state.without_rights = UNDO.to_vec());
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    let functions = block_on(machine.prepare()).unwrap().functions;
    block_on(machine.arm(&functions)).unwrap();
    world.with(|state| state.without_rights = vec![Role::Inject]);
    assert_eq!(block_on(machine.rehearse(&functions)), Ok(()));
    assert!(target_of(&world, &machine.run, "checkout").rehearsed);
}

#[test]
fn a_missing_layer_ends_the_run_before_the_first_change() {
    let layer = faults().into_iter().find(|(name, _)| *name == "layer").unwrap();
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &[layer]));
    let functions = block_on(machine.prepare()).unwrap().functions;
    block_on(machine.arm(&functions)).unwrap();
    world.with(|state| state.layers.remove(&layer_arn("otel")));
    let failure = block_on(machine.rehearse(&functions)).unwrap_err();
    assert!(failure.to_string().contains(&format!("cannot find its layer {}", layer_arn("otel"))), "{failure}");
    let ended = block_on(machine.end(Some(failure)));
    assert_ended_before_the_first_change(&world, &machine, &ended, "layer");
}

#[test]
fn unreadable_tags_end_the_run_before_the_first_change() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    let functions = block_on(machine.prepare()).unwrap().functions;
    block_on(machine.arm(&functions)).unwrap();
    world.with(|state| state.functions.values_mut().for_each(|f| f.edit(|seen| seen.tags = Tags::Unknown)));
    let failure = block_on(machine.rehearse(&functions)).unwrap_err();
    let ended = block_on(machine.end(Some(failure)));
    assert_ended_before_the_first_change(&world, &machine, &ended, "read its tags");
}

#[test]
fn every_target_is_rehearsed_before_the_first_inject() {
    let world = world(&["checkout", "payment"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout", "payment"], &faults()[0..1]));
    // Only the undo role cannot read the second target.
    let functions = block_on(machine.prepare()).unwrap().functions;
    block_on(machine.arm(&functions)).unwrap();
    world.with(|state| {
        let payment = state.functions.get_mut(&function_arn("payment")).unwrap();
        payment.edit(|seen| seen.environment = snapback::model::function::Environment::Unreadable);
    });
    assert_eq!(block_on(machine.go(&functions)).unwrap_err().name(), "RehearsalFailed");
    assert_eq!(mutating(&world), Vec::<String>::new());
    assert_eq!(target_of(&world, &machine.run, "checkout").status, TargetStatus::Armed);
}

#[test]
fn a_deploy_after_the_rehearsal_is_rehearsed_again() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    let functions = block_on(machine.prepare()).unwrap().functions;
    block_on(machine.arm(&functions)).unwrap();
    block_on(machine.rehearse(&functions)).unwrap();
    world.with(|state| {
        let checkout = state.functions.get_mut(&function_arn("checkout")).unwrap();
        checkout.edit(|seen| seen.concurrency = snapback::model::function::Slot::Present(9));
        // The deploy has also removed the undo role's right to use the key.
        state.without_rights = UNDO.to_vec();
    });
    assert_eq!(block_on(machine.inject(&functions)).unwrap_err().name(), "RehearsalFailed");
    assert_eq!(mutating(&world), Vec::<String>::new());
    world.with(|state| state.without_rights.clear());
    block_on(machine.inject(&functions)).unwrap();
    assert_eq!(target_of(&world, &machine.run, "checkout").status, TargetStatus::Injected);
}

#[test]
fn a_deploy_before_the_rehearsal_is_armed_and_rehearsed_again() {
    for fault in faults() {
        let world = world(&["checkout"]);
        let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], std::slice::from_ref(&fault)));
        let functions = block_on(machine.prepare()).unwrap().functions;
        block_on(machine.arm(&functions)).unwrap();
        let deployed = world.with(|state| {
            let checkout = state.functions.get_mut(&function_arn("checkout")).unwrap();
            checkout.edit(|seen| {
                (seen.concurrency, seen.timeout, seen.memory) = (snapback::model::function::Slot::Present(9), 42, 512);
                seen.layers.clear();
            });
            checkout.seen.clone()
        });
        block_on(machine.rehearse(&functions)).unwrap();
        block_on(machine.inject(&functions)).unwrap();
        let target = target_of(&world, &machine.run, "checkout");
        assert_eq!((target.status, target.rehearsed), (TargetStatus::Injected, true), "{}", fault.0);
        block_on(machine.end(None));
        let restored = observation(&world, "checkout");
        assert_eq!((restored.concurrency, restored.timeout), (deployed.concurrency, deployed.timeout), "{}", fault.0);
        assert_eq!((restored.memory, restored.layers), (deployed.memory, deployed.layers), "{}", fault.0);
    }
}

/// Prepares and arms a run with this fault on `checkout`.
fn armed<'a>(world: &'a SimWorld, fault: &str) -> Machine<'a> {
    let fault = faults().into_iter().find(|(name, _)| *name == fault).unwrap();
    let machine = Machine::new(world, "run-1", samples::experiment(&["checkout"], &[fault]));
    let functions = block_on(machine.prepare()).unwrap().functions;
    block_on(machine.arm(&functions)).unwrap();
    machine
}

/// Rehearses `checkout` once, and measures how many milliseconds that takes.
fn rehearse(world: &SimWorld, machine: &Machine<'_>) -> (RehearseOutcome, i64) {
    let began = world.now();
    let rehearsal = Rehearsal::new(world, &machine.run, budget(world, Duration::from_secs(30)));
    let rehearsed = block_on(rehearsal.rehearse(&function_arn("checkout"))).unwrap();
    (rehearsed, world.now().0 - began.0)
}

#[test]
fn a_deploy_is_believed_once_reads_can_no_longer_be_stale() {
    let world = world(&["checkout"]);
    let machine = armed(&world, "timeout");
    deploy_over(&world, "timeout");
    // A read may be stale by five seconds, and two clocks may differ by two, so the first read after that is decisive.
    assert_eq!(rehearse(&world, &machine), (RehearseOutcome::Changed, 8_000));
}

#[test]
fn a_rehearsal_waits_for_a_changing_mapping() {
    let world = world(&["checkout"]);
    let machine = armed(&world, "eventSourceMapping");
    world.with(|state| state.mappings.get_mut(&samples::mapping_id("checkout")).unwrap().state = MappingState::Busy);
    assert_eq!(rehearse(&world, &machine).0, RehearseOutcome::Waiting(POLL_INTERVAL));
    let waiting_for = target_of(&world, &machine.run, "checkout").waiting_for;
    assert_eq!(waiting_for.as_deref(), Some("the event source mapping is changing"));
}

#[test]
fn a_rehearsed_target_is_not_read_again() {
    let world = world(&["checkout"]);
    let machine = armed(&world, "timeout");
    assert_eq!(rehearse(&world, &machine), (RehearseOutcome::Rehearsed, 0));
    let reads = world.count("GetFunction");
    assert_eq!(rehearse(&world, &machine), (RehearseOutcome::Rehearsed, 0));
    assert_eq!(world.count("GetFunction"), reads);
    block_on(machine.inject(&[function_arn("checkout")])).unwrap();
    let injecting = world.count("GetFunction");
    assert_eq!(rehearse(&world, &machine), (RehearseOutcome::Rehearsed, 0));
    assert_eq!(world.count("GetFunction"), injecting);
}

#[test]
fn a_run_that_is_being_stopped_is_not_rehearsed() {
    let world = world(&["checkout"]);
    let machine = armed(&world, "timeout");
    block_on(stop(&world, &machine.run, &EndReason::UserRequest.into())).unwrap();
    assert_eq!(rehearse(&world, &machine), (RehearseOutcome::Skipped, 0));
}
