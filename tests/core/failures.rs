//! Calls that are refused, whose response is lost, or that land after their caller has died.

use std::time::Duration;

use futures_util::future::join;
use serde_json::json;
use snapback::model::function::Slot;
use snapback::model::refusal::Guardrail;
use snapback::model::run::{EndReason, RunStatus, TargetKey, TargetStatus};
use snapback::plan::rendering::Outcome;
use snapback::ports::{Clock, Ledger};
use snapback::steps::MAX_LANDING_DELAY;
use snapback::steps::error::StepError;
use snapback::steps::reap::reap;
use snapback::steps::restore::RestoreOutcome;
use snapback::steps::rollback::stop;
use snapback::testing::samples::{function_arn, settings, world};
use snapback::testing::{CallFailure, SimWorld};

use super::stage::{assert_final_is_true, call_names, experiments, machine, outcome};
use super::support::{
    Machine, assert_nothing_stays, block_on, budget, give_way, observation, reap_for, roll_back_by_user, run_of,
    survives, target_of,
};

#[test]
fn a_lost_response_changes_nothing() {
    for (fault, experiment) in experiments() {
        let (inject_call, restore_call) = call_names(fault);
        for failure in [
            CallFailure::ResponseLost,
            CallFailure::Lost,
            CallFailure::LandsLate(Duration::from_secs(3)),
            CallFailure::LandsLate(MAX_LANDING_DELAY),
        ] {
            for in_restore in [false, true] {
                let world = world(&["checkout"]);
                let before = observation(&world, "checkout");
                let machine = machine(&world, &experiment);
                let ended = block_on(async {
                    if !in_restore {
                        world.with(|state| state.call_failures = vec![(inject_call, failure)]);
                    }
                    machine.start().await.unwrap();
                    if in_restore {
                        world.with(|state| state.call_failures = vec![(restore_call, failure)]);
                    }
                    machine.observe().await.unwrap();
                    machine.end(None).await
                });
                let note = format!("{fault}: {failure:?}, in restore: {in_restore}");
                assert_eq!(outcome(&ended), (RunStatus::Completed, Outcome::NoSteadyState), "{note}");
                assert_eq!(observation(&world, "checkout"), before, "{note}");
                world.with(|state| assert!(state.call_failures.is_empty(), "{note}"));
                assert_nothing_stays(&world);
            }
        }
    }
}

#[test]
fn restored_is_not_reported_while_the_fault_can_still_land() {
    // Inject has sent its call and died, and the call lands later. A rollback reads immediately and sees the original.
    for (fault, experiment) in experiments() {
        for late in [2, 4, 7, MAX_LANDING_DELAY.as_secs()].map(Duration::from_secs) {
            let world = world(&["checkout"]);
            let before = observation(&world, "checkout");
            let machine = machine(&world, &experiment);
            let functions = block_on(async {
                let prepared = machine.prepare().await.unwrap();
                machine.arm(&prepared.functions).await.unwrap();
                prepared.functions
            });
            // Inject dies with the call after the one that lands late.
            let sent = calls_until(&world, &machine, &functions, call_names(fault).0);
            world.with(|state| {
                state.call_failures = vec![(call_names(fault).0, CallFailure::LandsLate(late))];
                state.calls_before_crash = Some(sent);
            });
            assert!(survives(machine.inject(&functions)).is_none(), "{fault}");
            world.with(|state| {
                state.calls_before_crash = None;
                assert_eq!(state.functions[&functions[0]].late_writes.len(), 1, "{fault}");
            });
            machine.kill();
            assert_eq!(observation(&world, "checkout"), before, "{fault}: the call has landed already");
            let mut rolled = block_on(roll_back_by_user(&world, &machine.run, Duration::from_secs(5))).unwrap();
            let mut passes = 0;
            while let Ok(RestoreOutcome::Pending { wait, .. }) = rolled.targets[0].1 {
                assert_final_is_true(&world, &before, fault);
                world.advance(wait);
                rolled = block_on(roll_back_by_user(&world, &machine.run, Duration::from_secs(5))).unwrap();
                passes += 1;
                assert!(passes < 100, "{fault}: it never ends");
            }
            assert!(passes > 0, "{fault}: restored at the first read");
            assert_eq!(
                rolled.targets[0].1,
                Ok(RestoreOutcome::Ended(TargetStatus::Restored)),
                "{fault}, {late:?} late"
            );
            world.advance(Duration::from_secs(1_000));
            assert_final_is_true(&world, &before, fault);
            reap_for(&world, 1);
            assert_nothing_stays(&world);
        }
    }
}

#[test]
fn an_uncertain_inject_stays_uncertain_until_its_lease_ends() {
    // The first call lands late, the second one immediately. A rollback must still expect the first one.
    for (fault, experiment) in experiments() {
        for late in [3, 6, MAX_LANDING_DELAY.as_secs()].map(Duration::from_secs) {
            let world = world(&["checkout"]);
            let before = observation(&world, "checkout");
            let machine = machine(&world, &experiment);
            world.with(|state| state.call_failures = vec![(call_names(fault).0, CallFailure::LandsLate(late))]);
            block_on(machine.start()).unwrap();
            let stop = async {
                while !world.with(|state| state.targets.values().any(|target| target.status.is_final())) {
                    roll_back_by_user(&world, &machine.run, Duration::from_secs(5)).await.unwrap();
                    assert_final_is_true(&world, &before, fault);
                    world.sleep(Duration::from_secs(1)).await;
                }
            };
            block_on(stop);
            machine.kill();
            world.advance(Duration::from_secs(100));
            assert_final_is_true(&world, &before, fault);
            reap_for(&world, 1);
            assert_nothing_stays(&world);
        }
    }
}

/// Counts the calls of an inject up to and including the first one of this name, in a separate world.
fn calls_until(
    like: &SimWorld,
    machine: &Machine<'_>,
    functions: &[snapback::model::names::FunctionArn],
    name: &str,
) -> u64 {
    let copy = world(&["checkout"]);
    let twin = Machine {
        world: &copy,
        run: machine.run.clone(),
        experiment: machine.experiment.clone(),
        settings: settings(),
        times: 1,
    };
    block_on(async {
        twin.prepare().await.unwrap();
        twin.arm(functions).await.unwrap();
    });
    let before = copy.with(|state| state.calls.len());
    assert_eq!(before, like.with(|state| state.calls.len()), "the twin does the same");
    block_on(twin.inject(functions)).unwrap();
    let calls = copy.with(|state| state.calls[before..].to_vec());
    1 + calls.iter().position(|call| call == name).unwrap() as u64
}

#[test]
fn a_restore_that_lands_late_does_not_end_the_next_run() {
    for (fault, experiment) in experiments() {
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let first = machine(&world, &experiment);
        block_on(first.start()).unwrap();
        world
            .with(|state| state.call_failures = vec![(call_names(fault).1, CallFailure::LandsLate(MAX_LANDING_DELAY))]);
        // The restore's runner dies with its next call while the restoring call is still in flight.
        let _ = survives(async {
            let end = first.end(None);
            let kill = async {
                while world.with(|state| state.functions[&function_arn("checkout")].late_writes.is_empty()) {
                    give_way().await;
                }
                world.with(|state| state.calls_before_crash = Some(0));
            };
            join(end, kill).await
        });
        first.kill();
        world.with(|state| {
            state.calls_before_crash = None;
            assert_eq!(state.functions[&function_arn("checkout")].late_writes.len(), 1, "{fault}");
        });
        // A second run takes the function as soon as it can.
        let second = Machine::new(&world, "run-2", experiment.clone());
        for _ in 0..100 {
            block_on(async {
                world.sleep(Duration::from_secs(1)).await;
                reap(&world, budget(&world, Duration::from_secs(55))).await
            });
            if world.with(|state| state.locks[&function_arn("checkout")].run.is_none()) {
                break;
            }
        }
        block_on(second.start()).unwrap();
        let during = observation(&world, "checkout");
        assert_ne!(during, before, "{fault}");
        for _ in 0..40 {
            world.advance(Duration::from_secs(1));
            assert_eq!(
                observation(&world, "checkout"),
                during,
                "{fault}: the first run's restore has ended the second"
            );
        }
        let ended = block_on(async {
            second.observe().await.unwrap();
            second.end(None).await
        });
        assert_eq!(outcome(&ended), (RunStatus::Completed, Outcome::NoSteadyState), "{fault}");
        assert_eq!(observation(&world, "checkout"), before, "{fault}");
        assert_nothing_stays(&world);
    }
}

#[test]
fn a_denied_restore_fails_the_run_and_the_reaper_retries() {
    for (fault, experiment) in experiments() {
        let (inject_call, restore_call) = call_names(fault);
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let machine = machine(&world, &experiment);
        let ended = block_on(async {
            machine.start().await.unwrap();
            world.with(|state| state.call_failures = vec![(restore_call, CallFailure::Denied); 50]);
            machine.end(None).await
        });
        let failure = ended.failure.as_ref().unwrap();
        assert_eq!(failure.name(), "AccessDenied", "{fault}");
        assert_eq!(outcome(&ended), (RunStatus::Failed, Outcome::RestoreFailed), "{fault}");
        let why = ended.report.unwrap().targets[0].restore_error.clone();
        let why = why.unwrap_or_default();
        assert!(why.starts_with("access denied: ") && why.ends_with(inject_call), "{fault}: {why}");
        // No other run gets the function.
        world
            .with(|state| assert_eq!(state.locks[&function_arn("checkout")].run, Some(machine.run.clone()), "{fault}"));
        machine.kill();
        let next = block_on(Machine::new(&world, "run-2", experiment.clone()).execute());
        let Some(StepError::Refused(refusals)) = next.failure else { panic!("{fault}: {:?}", next.failure) };
        assert!(refusals.iter().any(|refusal| refusal.guardrail == Guardrail::Unlocked), "{fault}");
        // It is still denied.
        world.advance(Duration::from_secs(60));
        let (tick, error) = block_on(reap(&world, budget(&world, Duration::from_secs(55))));
        assert_eq!((tick.failed_restores, error), (1, None), "{fault}");
        // It is allowed again.
        world.with(|state| state.call_failures.clear());
        reap_for(&world, 2);
        assert_eq!(observation(&world, "checkout"), before, "{fault}");
        let target = target_of(&world, &machine.run, "checkout");
        assert_eq!((target.status, target.restore_error), (TargetStatus::Restored, None), "{fault}");
        assert_eq!(run_of(&world, &machine.run).status, RunStatus::Failed, "{fault}");
        assert_nothing_stays(&world);
    }
}

#[test]
fn a_denied_call_does_not_block_the_restore_of_other_fields() {
    let mut experiments = experiments().into_iter();
    let (fault, experiment) = experiments.find(|(name, _)| *name == "several at once").unwrap();
    let world = world(&["checkout"]);
    let before = observation(&world, "checkout");
    let machine = machine(&world, &experiment);
    block_on(machine.start()).unwrap();
    world.with(|state| state.call_failures = vec![("PutFunctionConcurrency", CallFailure::Denied); 50]);
    let ended = block_on(machine.end(None));
    assert_eq!(outcome(&ended), (RunStatus::Failed, Outcome::RestoreFailed), "{fault}");
    let mut expected = before.clone();
    expected.concurrency = Slot::Present(0);
    assert_eq!(observation(&world, "checkout"), expected, "everything else is restored");
    world.with(|state| state.call_failures.clear());
    reap_for(&world, 2);
    assert_eq!(observation(&world, "checkout"), before);
    assert_nothing_stays(&world);
}

#[test]
fn a_denied_inject_fails_the_run_and_is_restored() {
    for (fault, experiment) in experiments() {
        let world = world(&["checkout", "payment"]);
        let before = observation(&world, "checkout");
        let mut experiment = experiment.clone();
        experiment["targets"] = json!([{ "function": "checkout" }, { "function": "payment" }]);
        let machine = machine(&world, &experiment);
        world.with(|state| state.call_failures = vec![(call_names(fault).0, CallFailure::Denied)]);
        let ended = block_on(machine.execute());
        assert_eq!(ended.failure.as_ref().unwrap().name(), "AccessDenied", "{fault}");
        assert_eq!(outcome(&ended), (RunStatus::Failed, Outcome::EndedEarly), "{fault}");
        assert_eq!(observation(&world, "checkout"), before, "{fault}");
        assert_nothing_stays(&world);
    }
}

#[test]
fn busy_and_throttled_calls_are_retried() {
    for (fault, experiment) in experiments() {
        for failure in [CallFailure::Busy, CallFailure::Throttled] {
            let world = world(&["checkout"]);
            let before = observation(&world, "checkout");
            let machine = machine(&world, &experiment);
            let (inject_call, restore_call) = call_names(fault);
            world.with(|state| state.call_failures = vec![(inject_call, failure); 3]);
            let ended = block_on(async {
                machine.start().await.unwrap();
                world.with(|state| state.call_failures.extend([(restore_call, failure); 3]));
                machine.end(None).await
            });
            assert_eq!(outcome(&ended), (RunStatus::Completed, Outcome::NoSteadyState), "{fault}, {failure:?}");
            assert_eq!(observation(&world, "checkout"), before, "{fault}, {failure:?}");
            assert_nothing_stays(&world);
        }
    }
}

#[test]
fn ledger_conflicts_are_retried() {
    for (fault, experiment) in experiments() {
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let machine = machine(&world, &experiment);
        let conflict = || {
            world.with(|state| {
                assert_eq!(state.conflicts, 0, "{fault}");
                state.conflicts = 5;
            });
        };
        let ended = block_on(async {
            conflict();
            let prepared = machine.prepare().await.unwrap();
            conflict();
            machine.arm(&prepared.functions).await.unwrap();
            conflict();
            machine.inject(&prepared.functions).await.unwrap();
            machine.observe().await.unwrap();
            conflict();
            machine.end(None).await
        });
        assert_eq!(ended.failure, None, "{fault}");
        assert_eq!(outcome(&ended), (RunStatus::Completed, Outcome::NoSteadyState), "{fault}");
        assert_eq!(observation(&world, "checkout"), before, "{fault}");
        assert_nothing_stays(&world);
    }
}

#[test]
fn a_stopped_run_whose_restore_is_refused_has_failed() {
    let world = world(&["checkout"]);
    let before = observation(&world, "checkout");
    let machine = machine(&world, &experiments()[0].1);
    block_on(machine.start()).unwrap();
    // The run is stopping when its execution is stopped, so only the reaper can record that it has failed.
    block_on(stop(&world, &machine.run, &EndReason::UserRequest.into())).unwrap();
    machine.kill();
    world.with(|state| state.call_failures = vec![("PutFunctionConcurrency", CallFailure::Denied); 50]);
    reap_for(&world, 2);
    assert_eq!(run_of(&world, &machine.run).status, RunStatus::Failed);
    let target = target_of(&world, &machine.run, "checkout");
    assert!(target.restore_error.is_some() && !target.changes.is_empty(), "{target:?}");
    world.with(|state| {
        assert_eq!(state.active, std::slice::from_ref(&machine.run), "it stays visible, and is tried again")
    });
    world.with(|state| state.call_failures.clear());
    reap_for(&world, 1);
    assert_eq!(observation(&world, "checkout"), before);
    assert_nothing_stays(&world);
}

#[test]
fn an_old_refusal_does_not_fail_a_run_that_is_being_restored() {
    let world = world(&["checkout"]);
    let machine = machine(&world, &experiments()[0].1);
    block_on(machine.start()).unwrap();
    machine.kill();
    world.with(|state| state.call_failures = vec![("PutFunctionConcurrency", CallFailure::Denied); 50]);
    block_on(roll_back_by_user(&world, &machine.run, Duration::from_secs(120))).unwrap();
    assert!(target_of(&world, &machine.run, "checkout").restore_error.is_some());
    world.with(|state| state.call_failures.clear());
    // This tick ends before it has read what it has written.
    let (_, error) = block_on(reap(&world, budget(&world, Duration::from_secs(4))));
    assert_eq!((error, run_of(&world, &machine.run).status), (None, RunStatus::Stopping));
    reap_for(&world, 1);
    assert_eq!(run_of(&world, &machine.run).status, RunStatus::Stopped);
    assert_nothing_stays(&world);
    // A refusal that arrives late leaves no error on a restored target either.
    block_on(world.record_restore_error(TargetKey::new(&machine.run, &function_arn("checkout")), "denied")).unwrap();
    assert_eq!(target_of(&world, &machine.run, "checkout").restore_error, None);
}
