//! A fault that a deploy removes before the end: the run is not held, and its report tells when the fault was removed.

use std::time::Duration;

use snapback::model::function::{LastUpdate, Slot};
use snapback::model::run::{EndReason, RunStatus, TargetStatus};
use snapback::plan::rendering::{Outcome, ReportView};
use snapback::ports::Clock;
use snapback::steps::rollback::roll_back;
use snapback::testing::SimWorld;
use snapback::testing::samples::{self, faults, function_arn, world};

use super::support::{Machine, block_on, budget, observation, roll_back_by_user, target_of};

const TIMEOUT: std::ops::Range<usize> = 4..5;

fn injected(world: &SimWorld) -> Machine<'_> {
    let machine = Machine::new(world, "run-1", samples::experiment(&["checkout"], &faults()[TIMEOUT]));
    block_on(machine.start()).unwrap();
    machine
}

/// A deploy sets the timeout.
fn deploy(world: &SimWorld, timeout: u32) {
    world.with(|state| {
        let checkout = state.functions.get_mut(&function_arn("checkout")).unwrap();
        checkout.edit(|seen| seen.timeout = timeout);
    });
}

fn play_to_the_end(machine: &Machine<'_>) -> ReportView {
    let ended = block_on(async {
        machine.observe().await.unwrap();
        machine.end(None).await
    });
    ended.report.unwrap()
}

#[test]
fn a_fault_removed_by_a_deploy_is_never_held() {
    let world = world(&["checkout"]);
    let original = observation(&world, "checkout").timeout;
    // The deploy sets the original value, which leaves nothing to restore, or another value.
    for (timeout, status) in [(original, TargetStatus::Restored), (77, TargetStatus::Drifted)] {
        let world = samples::world(&["checkout"]);
        let machine = injected(&world);
        world.advance(Duration::from_secs(20));
        let deployed_at = world.now();
        deploy(&world, timeout);
        let report = play_to_the_end(&machine);
        assert_eq!((report.status, report.outcome), (RunStatus::Completed, Outcome::Drifted));
        let target = target_of(&world, &machine.run, "checkout");
        assert_eq!((target.status, observation(&world, "checkout").timeout), (status, timeout));
        let [fault] = &target.removed_faults[..] else { panic!("{:?}", target.removed_faults) };
        assert_eq!(fault.field, "timeout");
        let seen_within = deployed_at.until(fault.seen_at);
        assert!(seen_within <= Duration::from_secs(5), "Observe polls every five seconds: {seen_within:?}");
        assert_eq!(report.targets[0].removed_faults[0].seen_at, fault.seen_at.to_string());
    }
}

/// AWS shows no identity of a function besides its ARN. One that is created again without the fault is one whose fault was
/// removed; one that is created again with the fault is the same function, for all that can be known.
#[test]
fn a_function_created_again_has_lost_its_fault() {
    for (has_fault, outcome) in [(false, Outcome::Drifted), (true, Outcome::Held)] {
        let world = samples::world(&["checkout"]);
        let before = observation(&world, "checkout");
        let machine = injected(&world);
        world.advance(Duration::from_secs(20));
        world.with(|state| {
            let checkout = state.functions.get_mut(&function_arn("checkout")).unwrap();
            let timeout = if has_fault { checkout.seen.timeout } else { before.timeout };
            checkout.edit(|seen| (*seen, seen.timeout) = (before.clone(), timeout));
        });
        let report = play_to_the_end(&machine);
        assert_eq!(report.outcome == Outcome::Drifted, outcome == Outcome::Drifted, "{:?}", report.outcome);
        assert_eq!(report.targets[0].removed_faults.is_empty(), has_fault);
        assert_eq!(observation(&world, "checkout").timeout, before.timeout);
    }
}

#[test]
fn a_restore_detects_a_removal_that_observe_missed() {
    let world = world(&["checkout"]);
    let original = observation(&world, "checkout").timeout;
    let machine = injected(&world);
    world.advance(Duration::from_secs(60));
    deploy(&world, original);
    block_on(roll_back(
        &world,
        &machine.run,
        &EndReason::DurationElapsed.into(),
        budget(&world, Duration::from_secs(120)),
    ))
    .unwrap();
    let report = block_on(machine.end(None)).report.unwrap();
    assert_eq!((report.status, report.outcome), (RunStatus::Completed, Outcome::Drifted));
    assert_eq!(world.count("UpdateFunctionConfiguration"), 1, "there was nothing to restore");
}

#[test]
fn a_restored_fault_is_not_reported_as_removed() {
    for fault in faults() {
        let world = world(&["checkout"]);
        let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], std::slice::from_ref(&fault)));
        block_on(machine.start()).unwrap();
        world.advance(Duration::from_secs(60));
        // A rollback restores while the execution observes, during and after it.
        let rollback = roll_back_by_user(&world, &machine.run, Duration::from_secs(120));
        let (rolled, observed) = block_on(futures_util::future::join(rollback, machine.observe()));
        rolled.unwrap();
        observed.unwrap();
        assert_eq!(target_of(&world, &machine.run, "checkout").removed_faults, [], "{}", fault.0);
        assert_eq!(block_on(machine.end(None)).report.unwrap().outcome, Outcome::EndedEarly, "{}", fault.0);
    }
}

#[test]
fn a_stale_read_is_not_taken_for_a_removal() {
    // Reads show a state of up to five seconds ago, which right after the inject is the original.
    for _ in 0..20 {
        let world = world(&["checkout"]);
        let mut experiment = samples::experiment(&["checkout"], &faults()[0..1]);
        experiment["duration"] = "PT30S".into();
        let machine = Machine::new(&world, "run-1", experiment);
        world.with(|state| state.staleness = snapback::steps::MAX_READ_STALENESS);
        block_on(machine.start()).unwrap();
        assert_eq!(play_to_the_end(&machine).outcome, Outcome::NoSteadyState);
    }
}

#[test]
fn a_failed_update_is_not_taken_for_a_removal() {
    let world = world(&["checkout"]);
    let machine = injected(&world);
    world.advance(Duration::from_secs(20));
    world.with(|state| {
        let checkout = state.functions.get_mut(&function_arn("checkout")).unwrap();
        (checkout.seen.timeout, checkout.seen.last_update) = (77, LastUpdate::Failed);
    });
    block_on(machine.observe()).unwrap();
    assert_eq!(target_of(&world, &machine.run, "checkout").removed_faults, []);
}

#[test]
fn many_targets_are_sampled_in_turn() {
    let names: Vec<String> = (0..120).map(|number| format!("f-{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = world(&names);
    let mut experiment = samples::experiment(&[], &faults()[0..1]);
    experiment["targets"] = serde_json::json!([{ "tags": { "team": "shop" } }]);
    let mut machine = Machine::new(&world, "run-1", experiment);
    machine.settings.target_limit = 120;
    block_on(machine.start()).unwrap();
    world.advance(Duration::from_secs(20));
    world.with(|state| {
        let last = state.functions.get_mut(&function_arn("f-119")).unwrap();
        last.edit(|seen| seen.concurrency = Slot::Present(9));
    });
    let (deployed_at, reads) = (world.now(), world.count("GetFunction"));
    let once =
        |from| snapback::steps::observe::observe(&world, &machine.run, from, budget(&world, Duration::from_secs(30)));
    let mut from = 0;
    for expected in [50, 100, 30] {
        let snapback::steps::observe::ObserveOutcome::Running { sample_from, .. } = block_on(once(from)).unwrap()
        else {
            panic!("it runs")
        };
        assert_eq!(sample_from, expected);
        from = sample_from;
    }
    assert_eq!(world.count("GetFunction") - reads, 150);
    let removed = target_of(&world, &machine.run, "f-119").removed_faults;
    assert!(removed.iter().any(|fault| fault.seen_at >= deployed_at && fault.field == "reserved concurrency"));
}

#[test]
fn each_removed_fault_is_recorded_once() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[4..6]));
    block_on(machine.start()).unwrap();
    let observe = || {
        block_on(snapback::steps::observe::observe(&world, &machine.run, 0, budget(&world, Duration::from_secs(30))))
    };
    let removed = || target_of(&world, &machine.run, "checkout").removed_faults;
    world.advance(Duration::from_secs(20));
    deploy(&world, 77);
    observe().unwrap();
    let first = removed();
    assert_eq!(first.iter().map(|fault| fault.field.as_str()).collect::<Vec<_>>(), ["timeout"]);
    world.advance(Duration::from_secs(5));
    world.with(|state| {
        let checkout = state.functions.get_mut(&function_arn("checkout")).unwrap();
        checkout.edit(|seen| seen.memory = 777);
    });
    observe().unwrap();
    let both = removed();
    assert!(both.len() == 2 && both.contains(&first[0]), "{both:?}");
}

#[test]
fn a_sample_ignores_only_transient_errors() {
    use snapback::testing::CallFailure;
    for (failure, error) in
        [(CallFailure::Busy, None), (CallFailure::Throttled, None), (CallFailure::Denied, Some("AccessDenied"))]
    {
        let world = world(&["checkout"]);
        let machine = injected(&world);
        world.advance(Duration::from_secs(20));
        world.with(|state| state.call_failures = vec![("GetFunction", failure); 1_000]);
        let observed = block_on(snapback::steps::observe::observe(
            &world,
            &machine.run,
            0,
            budget(&world, Duration::from_secs(30)),
        ));
        assert_eq!(observed.err().map(|error| error.name()), error, "{failure:?}");
    }
}
