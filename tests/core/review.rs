//! Histories that a review found, each with its consequence.

use std::time::Duration;

use serde_json::json;
use snapback::model::function::{Observation, Slot};
use snapback::model::run::{EndReason, RunStatus, TargetKey, TargetStatus};
use snapback::plan::rendering::Outcome;
use snapback::ports::Clock;
use snapback::steps::reap::reap;
use snapback::steps::rollback::roll_back_all;
use snapback::testing::CallFailure;
use snapback::testing::samples::{self, SECRET, faults, function_arn, layer_arn, run_id, world};

use super::stage::{outcome, set};
use super::support::{
    Machine, assert_nothing_stays, block_on, budget, observation, roll_back_by_user, run_of, target_of,
};

/// A layer of the function that is deleted during the run cannot be attached again. The other fields are restored anyway,
/// and the layers once that layer exists again.
#[test]
fn a_deleted_layer_does_not_block_the_handlers_restore() {
    let world = world(&["checkout"]);
    let before = observation(&world, "checkout");
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[1..2]));
    block_on(machine.start()).unwrap();
    let layer = world.with(|state| state.layers.remove(&layer_arn("otel")).unwrap());
    let ended = block_on(machine.end(None));
    assert_eq!(outcome(&ended), (RunStatus::Failed, Outcome::RestoreFailed));
    world.advance(Duration::from_secs(5));
    let during = observation(&world, "checkout");
    assert_eq!((&during.handler, during.timeout, during.memory), (&before.handler, before.timeout, before.memory));
    assert_eq!(during.layers.last(), Some(&layer_arn("chaos")), "only the layers are not restored");
    let why = target_of(&world, &machine.run, "checkout").restore_error.unwrap();
    assert!(why.contains("there is no layer version"), "{why}");
    world.with(|state| state.layers.insert(layer_arn("otel"), layer));
    world.advance(Duration::from_secs(60));
    assert_eq!(block_on(reap(&world, budget(&world, Duration::from_secs(55)))).1, None);
    assert_eq!(observation(&world, "checkout"), before);
    assert_nothing_stays(&world);
}

/// If a deploy fills the environment up, the original values do not fit any more. The other fields are restored anyway,
/// and the environment once there is room.
#[test]
fn a_full_environment_does_not_block_the_handlers_restore() {
    let world = world(&["checkout"]);
    let edit = |edit: &dyn Fn(&mut Observation)| {
        world.with(|state| state.functions.get_mut(&function_arn("checkout")).unwrap().edit(|seen| edit(seen)));
    };
    edit(&|seen| set(seen, "RUST_LOG", &"x".repeat(2000)));
    let before = observation(&world, "checkout");
    let mut handler = faults()[1].clone();
    handler.1["environment"] = json!({ "RUST_LOG": "trace" });
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &[handler]));
    block_on(machine.start()).unwrap();
    edit(&|seen| set(seen, "DEPLOYED", &"x".repeat(3000)));
    let ended = block_on(machine.end(None));
    assert_eq!(outcome(&ended), (RunStatus::Failed, Outcome::RestoreFailed));
    world.advance(Duration::from_secs(5));
    let during = observation(&world, "checkout");
    assert_eq!((&during.handler, during.timeout, during.memory), (&before.handler, before.timeout, before.memory));
    assert_eq!(during.layers, before.layers);
    let why = target_of(&world, &machine.run, "checkout").restore_error.unwrap();
    assert_eq!(
        why,
        "refused by AWS: the environment cannot be restored, the rest of the configuration is restored: the environment variables exceed \
         the 4 KB limit"
    );
    edit(&|seen| set(seen, "DEPLOYED", "yes"));
    world.advance(Duration::from_secs(60));
    assert_eq!(block_on(reap(&world, budget(&world, Duration::from_secs(55)))).1, None);
    let mut expected = before;
    set(&mut expected, "DEPLOYED", "yes");
    assert_eq!(observation(&world, "checkout"), expected);
    assert_nothing_stays(&world);
}

/// A deleted layer and a full environment in one update.
#[test]
fn refused_layers_and_environment_are_both_reported() {
    let world = world(&["checkout"]);
    let before = observation(&world, "checkout");
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[1..2]));
    block_on(machine.start()).unwrap();
    world.with(|state| {
        state.layers.remove(&layer_arn("otel"));
        let function = state.functions.get_mut(&function_arn("checkout")).unwrap();
        function.edit(|seen| set(seen, "DEPLOYED", &"x".repeat(5000)));
        state.calls.clear();
    });
    block_on(roll_back_by_user(&world, &machine.run, Duration::from_secs(30))).unwrap();
    world.advance(Duration::from_secs(5));
    let during = observation(&world, "checkout");
    assert_eq!((&during.handler, during.timeout, during.memory), (&before.handler, before.timeout, before.memory));
    let why = target_of(&world, &machine.run, "checkout").restore_error.unwrap();
    let parts =
        ["the layers and the environment cannot be restored", "there is no layer version", "exceed the 4 KB limit"];
    assert!(parts.iter().all(|part| why.contains(part)), "{why}");
    assert_eq!(world.count("UpdateFunctionConfiguration"), 4, "the whole update, and each part of it");
}

/// Eight targets whose environment is permanently unreadable delay no other target of their run, and no other run.
#[test]
fn slow_targets_block_no_other_target() {
    let stuck: Vec<String> = (0..9).map(|n| format!("a-stuck-{n}")).collect();
    let names: Vec<&str> = stuck.iter().map(String::as_str).chain(["z-last"]).collect();
    let world = world(&[&names[..], &["other"]].concat());
    let first = Machine::new(&world, "run-1", samples::experiment(&names, &faults()[3..4]));
    let second = Machine::new(&world, "run-2", samples::experiment(&["other"], &faults()[0..1]));
    block_on(first.start()).unwrap();
    block_on(second.start()).unwrap();
    world.advance(Duration::from_secs(60));
    world.with(|state| {
        for name in &stuck {
            let function = state.functions.get_mut(&function_arn(name)).unwrap();
            function.edit(|seen| seen.environment = snapback::model::function::Environment::Unreadable);
        }
    });
    block_on(roll_back_all(&world, &EndReason::UserRequest.into(), budget(&world, Duration::from_secs(30)))).unwrap();
    assert_eq!(target_of(&world, &first.run, "z-last").status, TargetStatus::Restored);
    assert_eq!(target_of(&world, &second.run, "other").status, TargetStatus::Restored);
    assert_eq!(target_of(&world, &first.run, "a-stuck-0").status, TargetStatus::Injected, "nothing could be written");
    world.advance(Duration::from_secs(400));
    let (tick, _) = block_on(reap(&world, budget(&world, Duration::from_secs(55))));
    assert_eq!(tick.overdue, 2, "both have been stopping for too long, so the tick reports them");
}

/// The ledger deletes the values of variables when the run ends.
#[test]
fn a_finished_run_keeps_no_value_of_a_variable() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[3..4]));
    block_on(machine.execute());
    let kept = |world: &snapback::testing::SimWorld| {
        let target = serde_json::to_string(&target_of(world, &machine.run, "checkout")).unwrap();
        target + &serde_json::to_string(&run_of(world, &machine.run)).unwrap()
    };
    assert!(!kept(&world).contains(SECRET) && !kept(&world).contains("trace"), "{}", kept(&world));
    assert!(kept(&world).contains("DB_PASSWORD"), "the names of changed variables stay");
}

/// If Step Functions cannot be reached, the reaper still ends a run that is overdue.
#[test]
fn an_overdue_run_is_ended_without_step_functions() {
    let world = world(&["checkout"]);
    let before = observation(&world, "checkout");
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(machine.start()).unwrap();
    world.with(|state| state.executions_unreadable = true);
    let (_, error) = block_on(reap(&world, budget(&world, Duration::from_secs(55))));
    assert_eq!(error.map(|error| error.name()), Some("Unavailable"));
    // The run has never observed, so its ten minutes to arm and inject count.
    world.advance(Duration::from_secs(700));
    assert_eq!(block_on(reap(&world, budget(&world, Duration::from_secs(55)))).1, None);
    assert_eq!(observation(&world, "checkout"), before);
    assert_eq!(run_of(&world, &machine.run).reason, Some(EndReason::Overdue));
}

/// A run that has not begun its duration is overdue after the time that its experiment gives it to start.
#[test]
fn a_run_that_does_not_start_in_its_time_is_ended() {
    let world = world(&["checkout"]);
    let before = observation(&world, "checkout");
    let mut experiment = samples::experiment(&["checkout"], &faults()[0..1]);
    experiment["startWithin"] = json!("PT30S");
    let machine = Machine::new(&world, "run-1", experiment);
    block_on(machine.start()).unwrap();
    world.with(|state| state.executions_unreadable = true);
    for (seconds, reason) in [(40, None), (60, Some(EndReason::Overdue))] {
        world.advance(Duration::from_secs(seconds));
        let _ = block_on(reap(&world, budget(&world, Duration::from_secs(55))));
        assert_eq!(run_of(&world, &machine.run).reason, reason);
    }
    assert_eq!(observation(&world, "checkout"), before);
}

/// A run ends when the alarm of a stop condition is deleted, because nothing would end it otherwise.
#[test]
fn a_run_whose_alarm_is_deleted_ends() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(machine.start()).unwrap();
    world.with(|state| state.alarms.clear());
    block_on(machine.observe()).unwrap();
    let reason = run_of(&world, &machine.run).reason.unwrap();
    assert_eq!(reason.to_string(), "its alarm errors was deleted");
}

/// A run that was closed before its steady state could be evaluated is not held.
#[test]
fn a_steady_state_that_was_not_evaluated_is_not_held() {
    let mut experiment = samples::experiment(&["checkout"], &faults()[0..1]);
    experiment["steadyState"] = json!([{ "alarm": "errors" }]);
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", experiment);
    block_on(machine.start()).unwrap();
    block_on(async {
        world.sleep(Duration::from_secs(70)).await;
        machine.observe().await.unwrap();
        roll_back_by_user(&world, &machine.run, Duration::from_secs(120)).await.unwrap();
        snapback::steps::report::close(&world, &machine.run).await.unwrap();
    });
    let view = block_on(snapback::steps::report::close(&world, &run_id("run-1"))).unwrap();
    assert_eq!(
        (view.status, view.outcome, view.steady_state),
        (RunStatus::Completed, Outcome::EndedEarly, Some("not judged"))
    );
}

/// An inject does not use a snapshot that was replaced after its read.
#[test]
fn an_inject_needs_the_snapshot_that_it_was_planned_from() {
    use snapback::model::run::{Lease, LeaseKind};
    use snapback::model::snapshot::Change;
    use snapback::ports::Ledger;
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(async {
        let functions = machine.prepare().await.unwrap().functions;
        machine.arm(&functions).await.unwrap();
        let function = function_arn("checkout");
        let planned = vec![Change::ReservedConcurrency { original: Slot::Present(99), injected: 0 }];
        let lease =
            Lease { kind: LeaseKind::Inject, holder: "inject-1".into(), until: world.now() + Duration::from_secs(30) };
        let permit =
            world.begin_inject(TargetKey::new(&machine.run, &function), &planned, &lease, world.now()).await.unwrap();
        assert!(permit.is_none());
    });
}

/// The retry that leaves out a deleted layer is a call like any other: if its response is lost, it may land late.
#[test]
fn a_retry_without_the_layers_can_land_late_too() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[1..2]));
    block_on(machine.start()).unwrap();
    world.advance(Duration::from_secs(60));
    world.with(|state| {
        state.layers.remove(&layer_arn("otel"));
        // The first call is refused for its layer in any case. The second one lands late.
        state.call_failures = vec![("UpdateFunctionConfiguration", CallFailure::LandsLate(Duration::from_secs(8))); 2];
    });
    block_on(roll_back_by_user(&world, &machine.run, Duration::from_secs(30))).unwrap();
    assert_eq!(world.count("UpdateFunctionConfiguration"), 3, "one to inject, two to restore");
    let lease = target_of(&world, &machine.run, "checkout").restore_lease.unwrap();
    assert!(world.now().until(lease.until) > Duration::from_secs(8), "the lease ends before the call has landed");
}

/// A metric of five minutes takes eleven minutes to evaluate. The reaper leaves that to the execution.
#[test]
fn the_reaper_leaves_time_to_evaluate_the_steady_state() {
    let mut experiment = samples::experiment(&["checkout"], &faults()[0..1]);
    let metric = json!({ "namespace": "AWS/Lambda", "name": "Errors", "statistic": "Sum", "period": "PT5M" });
    experiment["steadyState"] = json!([{ "metric": metric, "below": 5 }]);
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", experiment);
    let ended = block_on(async {
        machine.start().await.unwrap();
        world.sleep(Duration::from_secs(70)).await;
        machine.observe().await.unwrap();
        let ticks = async {
            for _ in 0..9 {
                world.sleep(Duration::from_secs(60)).await;
                assert_eq!(reap(&world, budget(&world, Duration::from_secs(55))).await.1, None);
                assert_eq!(run_of(&world, &machine.run).status, RunStatus::Stopping);
            }
        };
        futures_util::future::join(machine.end(None), ticks).await.0
    });
    assert_eq!(outcome(&ended), (RunStatus::Completed, Outcome::Held));
}
