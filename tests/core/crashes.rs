//! Workers that act on one function concurrently, rollbacks that crash at any call, and late calls of crashed workers.
//! Executions and reapers that crash are in `crash_anywhere`.

use std::time::Duration;

use futures_util::future::join;
use serde_json::Value;
use snapback::model::function::Observation;
use snapback::model::names::RunId;
use snapback::model::run::{EndReason, RunStatus, TargetStatus};
use snapback::plan::rendering::Outcome;
use snapback::ports::Clock;
use snapback::steps::error::StepError;
use snapback::steps::inject::{InjectOutcome, inject};
use snapback::steps::reap::reap;
use snapback::steps::restore::RestoreOutcome;
use snapback::steps::rollback::{roll_back_alarm, roll_back_all};
use snapback::steps::{MAX_LANDING_DELAY, MAX_READ_STALENESS};
use snapback::testing::network::CrashPoint;
use snapback::testing::samples::{alarm_arn, world};
use snapback::testing::{CallFailure, SimWorld};

use super::stage::{assert_final_is_true, call_names, experiments, interleave, machine, outcome, surfaces};
use super::support::{
    Machine, assert_nothing_stays, block_on, budget, give_way, mutating, observation, reap_for, roll_back_by_user,
    run_of, survives, target_of,
};

#[test]
fn a_rollback_during_an_inject_ends_with_the_original() {
    // In every order that 60 seeds give, a target that is reported as restored is restored and stays so.
    for (fault, experiment) in experiments() {
        for seed in 0..60 {
            let world = world(&["checkout"]);
            let before = observation(&world, "checkout");
            let machine = machine(&world, &experiment);
            let functions = block_on(async {
                let prepared = machine.prepare().await.unwrap();
                machine.arm(&prepared.functions).await.unwrap();
                machine.rehearse(&prepared.functions).await.unwrap();
                prepared.functions
            });
            let inject = inject(&world, &machine.run, &functions[0], budget(&world, Duration::from_secs(30)));
            let rollback = roll_back_by_user(&world, &machine.run, Duration::from_secs(120));
            let (injected, rolled) =
                block_on(interleave(seed, inject, rollback, || assert_final_is_true(&world, &before, fault)));
            assert!(
                matches!(injected, Ok(InjectOutcome::Skipped | InjectOutcome::Injected)),
                "{fault}, seed {seed}: {injected:?}"
            );
            assert_eq!(
                rolled.unwrap().targets[0].1,
                Ok(RestoreOutcome::Ended(TargetStatus::Restored)),
                "{fault}, seed {seed}"
            );
            world.advance(Duration::from_secs(100));
            assert_final_is_true(&world, &before, fault);
            let ended = block_on(machine.end(None));
            assert_eq!(outcome(&ended), (RunStatus::Stopped, Outcome::EndedEarly), "{fault}, seed {seed}");
            assert_nothing_stays(&world);
        }
    }
}

#[test]
fn a_rollback_while_the_run_is_written_ends_it() {
    // The rollback begins after each call of Prepare in turn, and meets no run, one that is being written, or one that runs.
    let (fault, experiment) = &experiments()[0];
    let undisturbed = world(&["checkout"]);
    block_on(machine(&undisturbed, experiment).prepare()).unwrap();
    let calls = undisturbed.with(|state| state.calls.len());
    let mut without_run = 0;
    for (begins_at, seed) in (0..=calls).flat_map(|at| (0..30).map(move |seed| (at, seed))) {
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let machine = machine(&world, experiment);
        let rollback = async {
            while world.with(|state| state.calls.len()) < begins_at {
                give_way().await;
            }
            roll_back_by_user(&world, &machine.run, Duration::from_secs(120)).await
        };
        let check = || assert_final_is_true(&world, &before, fault);
        let (prepared, rolled) = block_on(interleave(seed, machine.prepare(), rollback, check));
        let note = format!("from call {begins_at}, seed {seed}");
        assert!(rolled.is_ok(), "{note}: {rolled:?}");
        assert!(prepared.is_ok(), "{note}: {prepared:?}");
        let run = run_of(&world, &machine.run);
        assert!(matches!(run.status, RunStatus::Stopping | RunStatus::Failed), "{note}: it is {:?}", run.status);
        assert_eq!(run.reason, Some(EndReason::UserRequest), "{note}");
        without_run += usize::from(run.experiment.is_none());
        assert_eq!(mutating(&world), Vec::<String>::new(), "{note}");
        let _ = block_on(machine.end(None));
        assert_nothing_stays(&world);
    }
    assert!((30..calls * 30).contains(&without_run), "{without_run} of the rollbacks came before the run was written");
}

#[test]
fn rollback_reaper_and_machine_can_restore_concurrently() {
    for (fault, experiment) in experiments() {
        for seed in 0..10 {
            let world = world(&["checkout"]);
            let before = observation(&world, "checkout");
            let machine = machine(&world, &experiment);
            block_on(machine.start()).unwrap();
            machine.kill();
            let ending = EndReason::UserRequest.into();
            let both = join(
                reap(&world, budget(&world, Duration::from_secs(55))),
                roll_back_all(&world, &ending, budget(&world, Duration::from_secs(120))),
            );
            let ((_, rolled), ended) =
                block_on(interleave(seed, both, machine.end(None), || assert_final_is_true(&world, &before, fault)));
            rolled.unwrap();
            assert_eq!(ended.failure, None, "{fault}, seed {seed}");
            assert_eq!(observation(&world, "checkout"), before, "{fault}, seed {seed}");
            // One of them writes. Another one that has read just before that writes the same value again.
            assert!(mutating(&world).len() <= 3 * surfaces(fault), "{fault}, seed {seed}: {:?}", mutating(&world));
            reap_for(&world, 1);
            assert_nothing_stays(&world);
        }
    }
}

#[test]
fn two_of_each_task_can_run_concurrently() {
    // A call whose response was lost is repeated while the first one may still be running.
    for (fault, experiment) in experiments() {
        for seed in 0..30 {
            let world = world(&["checkout"]);
            let before = observation(&world, "checkout");
            let (one, two) = (machine(&world, &experiment), machine(&world, &experiment));
            let check = || assert_final_is_true(&world, &before, fault);
            let note = format!("{fault}, seed {seed}");
            let (prepared, twin) = block_on(interleave(seed, one.prepare(), two.prepare(), check));
            assert_eq!(prepared, twin, "{note}");
            let functions = prepared.expect(&note).functions;
            let armed = block_on(interleave(seed, one.arm(&functions), two.arm(&functions), check));
            assert_eq!(armed, (Ok(()), Ok(())), "{note}");
            let injected = block_on(interleave(seed, one.inject(&functions), two.inject(&functions), check));
            assert_eq!(injected, (Ok(()), Ok(())), "{note}");
            assert_eq!(target_of(&world, &one.run, "checkout").status, TargetStatus::Injected, "{note}");
            let observed = block_on(interleave(seed, one.observe(), two.observe(), check));
            assert_eq!(observed, (Ok(()), Ok(())), "{note}");
            let (ended, twin) = block_on(interleave(seed, one.end(None), two.end(None), check));
            assert_eq!(outcome(&ended), (RunStatus::Completed, Outcome::NoSteadyState), "{note}");
            assert_eq!(outcome(&twin), (RunStatus::Completed, Outcome::NoSteadyState), "{note}");
            assert_eq!(observation(&world, "checkout"), before, "{note}");
            assert_nothing_stays(&world);
        }
    }
}

#[test]
fn both_of_two_concurrent_injects_report_injected() {
    for (fault, experiment) in experiments() {
        for seed in 0..30 {
            let world = world(&["checkout"]);
            let machine = machine(&world, &experiment);
            let functions = block_on(async {
                let prepared = machine.prepare().await.unwrap();
                machine.arm(&prepared.functions).await.unwrap();
                machine.rehearse(&prepared.functions).await.unwrap();
                prepared.functions
            });
            let once = || inject(&world, &machine.run, &functions[0], budget(&world, Duration::from_secs(30)));
            let twins = block_on(interleave(seed, once(), once(), || {}));
            assert_eq!(twins, (Ok(InjectOutcome::Injected), Ok(InjectOutcome::Injected)), "{fault}, seed {seed}");
            assert_eq!(mutating(&world).len(), surfaces(fault), "{fault}, seed {seed}: {:?}", mutating(&world));
        }
    }
}

/// Crashes the runner at each call of a whole execution in turn, until the execution survives.
fn crash_at_each_call(
    experiment: &Value,
    prepare_world: impl Fn(&SimWorld, u64),
    check: impl Fn(&SimWorld, &Machine<'_>, &Observation, u64),
) -> u64 {
    for life in 0.. {
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let machine = machine(&world, experiment);
        prepare_world(&world, life);
        world.with(|state| state.calls_before_crash = Some(life));
        let survived = survives(machine.execute()).is_some();
        world.with(|state| state.calls_before_crash = None);
        machine.kill();
        check(&world, &machine, &before, life);
        if survived {
            return life;
        }
    }
    unreachable!()
}

fn assert_reaped(world: &SimWorld, run: &RunId, before: &Observation, note: &str) {
    assert_eq!(observation(world, "checkout"), *before, "{note}");
    assert_nothing_stays(world);
    if let Some(run) = world.with(|state| state.runs.get(run).cloned()) {
        assert!(run.status.is_final(), "{note}: {:?}", run.status);
    }
    world.with(|state| assert!(state.targets.values().all(|target| target.status.is_final()), "{note}"));
}

#[test]
fn a_run_recovers_when_a_dead_callers_call_lands_late() {
    for (fault, experiment) in experiments() {
        for late in [Duration::from_secs(2), MAX_LANDING_DELAY] {
            crash_at_each_call(
                &experiment,
                |world, _| {
                    let names = ["PutFunctionConcurrency", "UpdateEventSourceMapping", "UpdateFunctionConfiguration"];
                    let each = |name: &'static str| {
                        [(name, CallFailure::LandsLate(late)), (name, CallFailure::LandsLate(late))]
                    };
                    world.with(|state| state.call_failures = names.into_iter().flat_map(each).collect());
                },
                |world, machine, before, life| {
                    for _ in 0..5 {
                        reap_for(world, 1);
                        assert_final_is_true(world, before, fault);
                    }
                    assert_reaped(
                        world,
                        &machine.run,
                        before,
                        &format!("{fault}: crashed at call {life}, {late:?} late"),
                    );
                },
            );
        }
    }
}

#[test]
fn the_machine_finishes_a_rollback_that_crashes_at_any_call() {
    for (fault, experiment) in experiments() {
        for cut in CrashPoint::ALL {
            for life in 0.. {
                let note = format!("{fault}: crashed at call {life}, {cut:?}");
                let world = world(&["checkout"]);
                let before = observation(&world, "checkout");
                let machine = machine(&world, &experiment);
                block_on(machine.start()).unwrap();
                world.with(|state| {
                    state.alarms.insert("errors".into(), true);
                    state.crash_at([(life, cut)]);
                });
                let alarm = alarm_arn("errors");
                let died =
                    survives(roll_back_alarm(&world, &alarm, "errors", budget(&world, Duration::from_secs(120))))
                        .is_none();
                let struck = died || world.with(|state| state.crashes_left()) == 0;
                world.with(|state| state.crash_at([]));
                let ended = block_on(async {
                    machine.observe().await.unwrap();
                    machine.end(None).await
                });
                assert_eq!(ended.failure, None, "{note}");
                assert_eq!(outcome(&ended), (RunStatus::Stopped, Outcome::EndedEarly), "{note}");
                assert_eq!(observation(&world, "checkout"), before, "{note}");
                assert_nothing_stays(&world);
                if !struck {
                    break;
                }
            }
        }
    }
}

#[test]
fn stale_reads_never_cause_a_false_restored() {
    for (fault, experiment) in experiments() {
        for start in 0..40 {
            let world = world(&["checkout"]);
            let before = observation(&world, "checkout");
            let machine = machine(&world, &experiment);
            // Let time pass, so that stale reads have a past to show.
            world.advance(Duration::from_secs(60));
            world.with(|state| {
                state.staleness = MAX_READ_STALENESS;
                // Which moment a read shows depends on the number of calls before it.
                state.calls = vec![String::new(); start];
            });
            block_on(machine.start()).unwrap();
            // End the run right after its start, while a read may still show the time before the inject.
            while !world.with(|state| state.targets.values().any(|target| target.status.is_final())) {
                block_on(roll_back_by_user(&world, &machine.run, Duration::from_secs(5))).unwrap();
                assert_final_is_true(&world, &before, &format!("{fault}, {start}"));
                block_on(world.sleep(Duration::from_millis(300)));
            }
            assert_eq!(outcome(&block_on(machine.end(None))), (RunStatus::Stopped, Outcome::EndedEarly), "{fault}");
            // The next run must not take the fault for the original.
            let next = Machine::new(&world, "run-2", experiment.clone());
            let mut ended = block_on(next.execute());
            // Its guardrails may still see it, and refuse.
            while matches!(ended.failure, Some(StepError::Refused(_))) {
                world.advance(Duration::from_secs(1));
                ended = block_on(next.execute());
            }
            assert_eq!(outcome(&ended), (RunStatus::Completed, Outcome::NoSteadyState), "{fault}, {start}");
            assert_eq!(observation(&world, "checkout"), before, "{fault}, {start}");
            assert_nothing_stays(&world);
        }
    }
}

#[test]
fn a_run_recovers_from_any_crash_despite_stale_reads() {
    for (fault, experiment) in experiments() {
        for late in [None, Some(MAX_LANDING_DELAY)] {
            crash_at_each_call(
                &experiment,
                |world, _| {
                    world.advance(Duration::from_secs(60));
                    world.with(|state| {
                        state.staleness = MAX_READ_STALENESS;
                        if let Some(late) = late {
                            state.call_failures = vec![(call_names(fault).0, CallFailure::LandsLate(late))];
                        }
                    });
                },
                |world, machine, before, life| {
                    for _ in 0..5 {
                        reap_for(world, 1);
                        assert_final_is_true(world, before, fault);
                    }
                    assert_reaped(world, &machine.run, before, &format!("{fault}: crashed at call {life}, {late:?}"));
                },
            );
        }
    }
}
