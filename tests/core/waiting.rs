//! The reason why a target waits is in the ledger, so every reader sees it. Without a wait, it costs no call.

use std::time::Duration;

use snapback::model::function::{Environment, MappingState};
use snapback::model::run::EndReason;
use snapback::plan::rendering::report_view;
use snapback::steps::arm::{ArmOutcome, arm};
use snapback::steps::inject::{InjectOutcome, inject};
use snapback::steps::reap::reap;
use snapback::steps::rollback::stop;
use snapback::testing::samples::{self, faults, function_arn, world};
use snapback::testing::{CallFailure, SimWorld};

use super::support::{Machine, block_on, budget, roll_back_by_user, run_of, target_of};

fn recorded(world: &SimWorld) -> bool {
    world.with(|state| state.ledger_methods.contains("record_waiting"))
}

fn waiting_for(world: &SimWorld, machine: &Machine<'_>) -> Option<String> {
    let target = target_of(world, &machine.run, "checkout");
    report_view(&run_of(world, &machine.run), &[target]).targets[0].waiting_for.clone()
}

#[test]
fn the_report_tells_why_a_restore_waits() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[3..4]));
    block_on(machine.start()).unwrap();
    world.advance(Duration::from_secs(60));
    let hide = |hidden: bool, world: &SimWorld| {
        world.with(|state| {
            let checkout = state.functions.get_mut(&function_arn("checkout")).unwrap();
            let shown = checkout.serving.environment.clone();
            checkout.edit(|seen| seen.environment = if hidden { Environment::Unreadable } else { shown });
        });
    };
    let readable = world.with(|state| state.functions[&function_arn("checkout")].seen.environment.clone());
    hide(true, &world);
    let _ = block_on(roll_back_by_user(&world, &machine.run, Duration::from_secs(30))).unwrap();
    assert_eq!(waiting_for(&world, &machine).as_deref(), Some("the environment cannot be read"));
    // Only a new reason is written. Another invocation that waits for the same one writes nothing.
    world.with(|state| state.ledger_methods.clear());
    let _ = block_on(roll_back_by_user(&world, &machine.run, Duration::from_secs(30))).unwrap();
    assert!(!recorded(&world));
    // The reaper counts it.
    world.advance(Duration::from_secs(400));
    let (tick, _) = block_on(reap(&world, budget(&world, Duration::from_secs(55))));
    assert_eq!((tick.overdue, tick.waiting_restores, tick.failed_restores), (1, 1, 0));
    world.with(|state| {
        let checkout = state.functions.get_mut(&function_arn("checkout")).unwrap();
        checkout.edit(|seen| seen.environment = readable);
    });
    let _ = block_on(roll_back_by_user(&world, &machine.run, Duration::from_secs(120))).unwrap();
    assert_eq!(waiting_for(&world, &machine), None, "the wait is over");
}

#[test]
fn an_uncertain_call_is_named_as_the_reason_to_wait() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(machine.start()).unwrap();
    world.advance(Duration::from_secs(60));
    world.with(|state| state.call_failures = vec![("PutFunctionConcurrency", CallFailure::ResponseLost)]);
    let _ = block_on(roll_back_by_user(&world, &machine.run, Duration::from_secs(30))).unwrap();
    let lease = target_of(&world, &machine.run, "checkout").restore_lease.unwrap();
    assert_eq!(waiting_for(&world, &machine), Some(format!("a call that may still land until {}", lease.until)));
}

#[test]
fn the_reason_an_inject_waits_is_recorded_too() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[6..7]));
    let functions = block_on(machine.prepare()).unwrap().functions;
    block_on(machine.arm(&functions)).unwrap();
    block_on(machine.rehearse(&functions)).unwrap();
    world.with(|state| {
        let mapping = state.mappings.get_mut(&samples::mapping_id("checkout")).unwrap();
        mapping.state = MappingState::Busy;
    });
    let injected =
        block_on(inject(&world, &machine.run, &functions[0], budget(&world, Duration::from_secs(30)))).unwrap();
    let why = "the event source mapping is changing";
    assert_eq!(injected, InjectOutcome::Pending { wait: Duration::from_secs(2), waiting_for: Some(why.to_owned()) });
    assert_eq!(waiting_for(&world, &machine).as_deref(), Some(why));
}

#[test]
fn an_arm_that_waits_for_a_tombstone_records_it() {
    let world = world(&["checkout"]);
    let first = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(first.execute());
    let second = Machine::new(&world, "run-2", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(second.prepare()).unwrap();
    let armed = block_on(arm(&world, &second.run, &function_arn("checkout"))).unwrap();
    assert!(matches!(armed, ArmOutcome::Waiting(_)), "{armed:?}");
    assert!(waiting_for(&world, &second).unwrap().contains("lock was released so recently"));
    world.advance(Duration::from_secs(10));
    block_on(arm(&world, &second.run, &function_arn("checkout"))).unwrap();
    assert_eq!(waiting_for(&world, &second), None);
}

#[test]
fn a_repeated_arm_reports_armed() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(machine.prepare()).unwrap();
    let once = || block_on(arm(&world, &machine.run, &function_arn("checkout")));
    assert_eq!([once(), once()], [Ok(ArmOutcome::Armed), Ok(ArmOutcome::Armed)]);
}

#[test]
fn an_arm_that_comes_too_late_asks_for_no_lock() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(machine.prepare()).unwrap();
    block_on(stop(&world, &machine.run, &EndReason::UserRequest.into())).unwrap();
    assert_eq!(block_on(arm(&world, &machine.run, &function_arn("checkout"))), Ok(ArmOutcome::Skipped));
    assert!(!world.with(|state| state.ledger_methods.contains("take_lock")));
}

#[test]
fn an_undisturbed_run_records_no_wait() {
    for fault in faults() {
        let world = world(&["checkout"]);
        let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], std::slice::from_ref(&fault)));
        assert_eq!(block_on(machine.execute()).failure, None);
        assert!(!recorded(&world), "{}", fault.0);
    }
}
