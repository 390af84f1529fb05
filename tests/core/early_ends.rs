//! Runs that an alarm, the safety lever, a rollback or the reaper ends before their time.

use std::time::Duration;

use futures_util::future::join;
use snapback::model::refusal::Guardrail;
use snapback::model::run::{EndReason, Lever, RunStatus, TargetStatus};
use snapback::plan::rendering::Outcome;
use snapback::ports::{Clock, Ledger};
use snapback::steps::error::StepError;
use snapback::steps::reap::{Tick, reap};
use snapback::steps::restore::RestoreOutcome;
use snapback::steps::rollback::{roll_back_alarm, roll_back_all, stop};
use snapback::testing::samples::{alarm_arn, function_arn, world};

use super::stage::{experiments, machine, outcome, surfaces};
use super::support::{
    Machine, assert_nothing_stays, block_on, budget, give_way, mutating, observation, reap_for, roll_back_by_user,
    run_of, target_of,
};

#[test]
fn an_alarm_event_rolls_back_within_10_s_and_the_machine_closes() {
    for (fault, experiment) in experiments() {
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let machine = machine(&world, &experiment);
        let event = async {
            world.sleep(Duration::from_secs(20)).await;
            world.with(|state| state.alarms.insert("errors".into(), true));
            let sent = world.now();
            let rolled =
                roll_back_alarm(&world, &alarm_arn("errors"), "errors", budget(&world, Duration::from_secs(120)))
                    .await
                    .unwrap();
            (rolled, sent, world.now())
        };
        let (ended, (rolled, sent, done)) = block_on(join(machine.execute(), event));
        assert_eq!(rolled.len(), 1, "{fault}");
        assert_eq!(
            rolled[0].targets,
            [(function_arn("checkout"), Ok(RestoreOutcome::Ended(TargetStatus::Restored)))],
            "{fault}"
        );
        assert!(done.0 - sent.0 < 10_000, "{fault}: the rollback took {} ms", done.0 - sent.0);
        assert_eq!(ended.failure, None, "{fault}");
        assert_eq!(outcome(&ended), (RunStatus::Stopped, Outcome::EndedEarly), "{fault}");
        assert_eq!(ended.report.unwrap().reason.unwrap(), "alarm errors went into ALARM", "{fault}");
        assert_eq!(observation(&world, "checkout"), before, "{fault}");
        assert_eq!(mutating(&world).len(), 2 * surfaces(fault), "{fault}: {:?}", mutating(&world));
        assert_nothing_stays(&world);
    }
}

#[test]
fn observe_detects_an_alarm_whose_event_is_lost() {
    for (fault, experiment) in experiments() {
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let machine = machine(&world, &experiment);
        let trip = async {
            world.sleep(Duration::from_secs(20)).await;
            world.with(|state| state.alarms.insert("errors".into(), true));
        };
        let (ended, ()) = block_on(join(machine.execute(), trip));
        assert_eq!(outcome(&ended), (RunStatus::Stopped, Outcome::EndedEarly), "{fault}");
        let run = run_of(&world, &machine.run);
        assert!(run.stopping_at.unwrap().0 - run.created_at.0 < 30_000, "{fault}");
        assert_eq!(observation(&world, "checkout"), before, "{fault}");
        assert_nothing_stays(&world);
    }
}

#[test]
fn an_alarm_before_the_first_inject_prevents_it() {
    // The alarm trips after each call in turn. The guardrails, Prepare after it has written the run, or Inject must see it.
    let experiment = &experiments()[0].1;
    let undisturbed = world(&["checkout"]);
    block_on(machine(&undisturbed, experiment).execute());
    let calls = undisturbed.with(|state| state.calls.clone());
    let inject = calls.iter().position(|call| call == "PutFunctionConcurrency").unwrap();
    let reads: Vec<usize> = (0..inject).filter(|at| calls[*at] == "DescribeAlarms").collect();
    let [guardrail, prepared, last] = reads[..] else {
        panic!("not three reads of the alarm before the inject: {reads:?}")
    };
    for trips_at in 0..=last {
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let machine = machine(&world, experiment);
        let trip = async {
            // The call at this position is in flight, and will see the alarm.
            while world.with(|state| state.calls.len()) <= trips_at {
                give_way().await;
            }
            world.with(|state| state.alarms.insert("errors".into(), true));
        };
        let (ended, _) = block_on(join(machine.execute(), trip));
        assert_eq!(mutating(&world), Vec::<String>::new(), "at call {trips_at}");
        match &ended.failure {
            Some(StepError::Refused(refusals)) => {
                assert!(trips_at <= guardrail && refusals[0].guardrail == Guardrail::Alarm, "at call {trips_at}");
            }
            Some(other) => panic!("{other:?}"),
            None => {
                assert!(trips_at > guardrail, "at call {trips_at}");
                assert_eq!(outcome(&ended), (RunStatus::Stopped, Outcome::EndedEarly));
                let armed = world.with(|state| state.calls.iter().filter(|call| *call == "GetFunction").count()) > 2;
                assert_eq!(armed, trips_at > prepared, "at call {trips_at}: Prepare sees it already");
            }
        }
        assert_eq!(observation(&world, "checkout"), before);
        assert_nothing_stays(&world);
    }
}

#[test]
fn nothing_starts_after_a_rollback_before_the_inject() {
    for (fault, experiment) in experiments() {
        for armed in [false, true] {
            let world = world(&["checkout"]);
            let before = observation(&world, "checkout");
            let machine = machine(&world, &experiment);
            let function = function_arn("checkout");
            let functions = std::slice::from_ref(&function);
            block_on(async {
                machine.prepare().await.unwrap();
                if armed {
                    machine.arm(functions).await.unwrap();
                }
                roll_back_by_user(&world, &machine.run, Duration::from_secs(120)).await.unwrap();
                machine.arm(functions).await.unwrap();
                machine.inject(functions).await.unwrap();
            });
            let status = if armed { TargetStatus::Restored } else { TargetStatus::Untouched };
            assert_eq!(target_of(&world, &machine.run, "checkout").status, status, "{fault}");
            assert_eq!(mutating(&world), Vec::<String>::new(), "{fault}");
            let ended = block_on(machine.end(None));
            assert_eq!(outcome(&ended), (RunStatus::Stopped, Outcome::EndedEarly), "{fault}");
            assert_eq!(observation(&world, "checkout"), before, "{fault}");
            assert_nothing_stays(&world);
        }
    }
}

#[test]
fn an_engaged_lever_ends_active_runs_and_refuses_new_ones() {
    for (fault, experiment) in experiments() {
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let machine = machine(&world, &experiment);
        let pull = async {
            world.sleep(Duration::from_secs(20)).await;
            let lever = Lever { engaged: true, since: world.now(), reason: "Black Friday".into(), by: None };
            world.set_lever(&lever).await.unwrap();
            roll_back_all(&world, &EndReason::SafetyLever.into(), budget(&world, Duration::from_secs(120)))
                .await
                .unwrap()
        };
        let (ended, rolled) = block_on(join(machine.execute(), pull));
        assert_eq!(rolled.len(), 1, "{fault}");
        assert_eq!(outcome(&ended), (RunStatus::Stopped, Outcome::EndedEarly), "{fault}");
        assert_eq!(ended.report.unwrap().reason.unwrap(), "the safety lever was engaged", "{fault}");
        assert_eq!(observation(&world, "checkout"), before, "{fault}");
        assert_nothing_stays(&world);
        let next = block_on(Machine::new(&world, "run-2", experiment).execute());
        let Some(StepError::Refused(refusals)) = next.failure else { panic!("{fault}: {:?}", next.failure) };
        assert_eq!(refusals[0].guardrail, Guardrail::Lever, "{fault}");
    }
}

#[test]
fn a_lever_that_is_engaged_again_keeps_its_time_and_reason() {
    let world = world(&["checkout"]);
    let set = |engaged: bool, reason: &str| {
        world.advance(Duration::from_secs(60));
        let wanted = Lever { engaged, since: world.now(), reason: reason.into(), by: None };
        (block_on(world.set_lever(&wanted)).unwrap(), wanted)
    };
    let (first, wanted) = set(true, "Black Friday");
    assert_eq!(first, wanted);
    assert_eq!(set(true, "an incident").0, first);
    assert_eq!(block_on(world.lever()).unwrap(), Some(first));
    let (over, wanted) = set(false, "over");
    assert_eq!(over, wanted);
    assert_eq!(set(false, "over again").0, over);
    assert_eq!(set(true, "again").0.reason, "again");
}

#[test]
fn observe_and_the_reaper_detect_an_engaged_lever() {
    let (_, experiment) = &experiments()[0];
    for dead in [false, true] {
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let machine = machine(&world, experiment);
        block_on(machine.start()).unwrap();
        let lever = Lever { engaged: true, since: world.now(), reason: "now".into(), by: None };
        world.with(|state| state.lever = Some(lever));
        if dead {
            machine.kill();
            reap_for(&world, 2);
        } else {
            block_on(async {
                machine.observe().await.unwrap();
                machine.end(None).await
            });
        }
        assert_eq!(run_of(&world, &machine.run).reason, Some(EndReason::SafetyLever));
        assert_eq!(observation(&world, "checkout"), before);
        assert_nothing_stays(&world);
    }
}

#[test]
fn the_reaper_ends_a_run_whose_execution_was_stopped() {
    for (fault, experiment) in experiments() {
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let machine = machine(&world, &experiment);
        block_on(machine.start()).unwrap();
        // The execution is running and in time, so the reaper leaves the run alone.
        let (tick, error) = block_on(reap(&world, budget(&world, Duration::from_secs(55))));
        assert_eq!((tick, error), (Tick { active: 1, ..Tick::default() }, None), "{fault}");
        assert_ne!(observation(&world, "checkout"), before, "{fault}");
        machine.kill();
        reap_for(&world, 2);
        assert_eq!(observation(&world, "checkout"), before, "{fault}");
        let run = run_of(&world, &machine.run);
        assert_eq!((run.status, run.reason), (RunStatus::Failed, Some(EndReason::ExecutionStopped)), "{fault}");
        assert_nothing_stays(&world);
    }
}

#[test]
fn the_reaper_ends_an_overdue_run_of_a_live_execution() {
    let (_, experiment) = &experiments()[0];
    let world = world(&["checkout"]);
    let before = observation(&world, "checkout");
    let machine = machine(&world, experiment);
    block_on(machine.start()).unwrap();
    reap_for(&world, 5);
    assert_ne!(observation(&world, "checkout"), before, "it may take ten minutes to start");
    reap_for(&world, 10);
    assert_eq!(observation(&world, "checkout"), before);
    assert_eq!(run_of(&world, &machine.run).reason, Some(EndReason::Overdue));
    assert_nothing_stays(&world);
}

#[test]
fn the_reaper_ends_a_run_that_its_execution_does_not_restore() {
    let (_, experiment) = &experiments()[0];
    let world = world(&["checkout"]);
    let before = observation(&world, "checkout");
    let machine = machine(&world, experiment);
    block_on(machine.start()).unwrap();
    block_on(stop(&world, &machine.run, &EndReason::UserRequest.into())).unwrap();
    reap_for(&world, 3);
    assert_ne!(observation(&world, "checkout"), before, "for some minutes, the execution has to restore it");
    reap_for(&world, 5);
    assert_eq!(observation(&world, "checkout"), before);
    assert_eq!(run_of(&world, &machine.run).status, RunStatus::Stopped);
    assert_nothing_stays(&world);
}
