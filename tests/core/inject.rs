//! Inject on its own: when it writes nothing, and what it retries without the state machine.

use std::time::Duration;

use snapback::model::names::FunctionArn;
use snapback::model::run::{RunStatus, TargetStatus};
use snapback::ports::Clock;
use snapback::steps::inject::{InjectOutcome, inject};
use snapback::testing::samples::{self, faults, function_arn, world};
use snapback::testing::{CallFailure, SimWorld};

use super::stage::{call_names, experiments};
use super::support::{Machine, block_on, budget, mutating, run_of, target_of};

/// Prepares, arms and rehearses a run on `checkout`.
fn rehearsed<'a>(world: &'a SimWorld, experiment: &serde_json::Value) -> (Machine<'a>, FunctionArn) {
    let machine = Machine::new(world, "run-1", experiment.clone());
    block_on(async {
        let functions = machine.prepare().await.unwrap().functions;
        machine.arm(&functions).await.unwrap();
        machine.rehearse(&functions).await.unwrap();
    });
    (machine, function_arn("checkout"))
}

#[test]
fn an_experiment_that_cannot_be_read_injects_nothing() {
    let world = world(&["checkout"]);
    let (machine, function) = rehearsed(&world, &samples::experiment(&["checkout"], &faults()[..1]));
    world.with(|state| state.runs.get_mut(&machine.run).unwrap().experiment = None);
    let injected = block_on(inject(&world, &machine.run, &function, budget(&world, Duration::from_secs(30))));
    assert_eq!((injected, mutating(&world)), (Ok(InjectOutcome::Skipped), Vec::new()));
}

#[test]
fn an_inject_retries_busy_and_throttled_calls() {
    for (fault, experiment) in experiments() {
        for failure in [CallFailure::Busy, CallFailure::Throttled] {
            let world = world(&["checkout"]);
            let (machine, function) = rehearsed(&world, &experiment);
            world.with(|state| state.call_failures = vec![(call_names(fault).0, failure)]);
            let injected = block_on(inject(&world, &machine.run, &function, budget(&world, Duration::from_secs(60))));
            assert_eq!(injected, Ok(InjectOutcome::Injected), "{fault}, {failure:?}");
        }
    }
}

#[test]
fn an_inject_that_continues_reads_the_alarms_first() {
    let world = world(&["checkout"]);
    let (machine, function) = rehearsed(&world, &samples::experiment(&["checkout"], &faults()[..1]));
    world.with(|state| state.call_failures = vec![("PutFunctionConcurrency", CallFailure::Lost)]);
    let first = block_on(inject(&world, &machine.run, &function, budget(&world, Duration::from_secs(3))));
    assert!(matches!(first, Ok(InjectOutcome::Pending { .. })), "{first:?}");
    assert_eq!(target_of(&world, &machine.run, "checkout").status, TargetStatus::Injecting);
    world.with(|state| state.alarms.insert("errors".into(), true));
    let calls = mutating(&world);
    let second = block_on(inject(&world, &machine.run, &function, budget(&world, Duration::from_secs(30))));
    assert_eq!((second, mutating(&world)), (Ok(InjectOutcome::Skipped), calls), "{}", world.now());
    assert_eq!(run_of(&world, &machine.run).status, RunStatus::Stopping);
}
