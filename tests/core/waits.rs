//! Waits, numbers of attempts and grace periods: the exact figures, not only their order.

use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use snapback::model::experiment::Experiment;
use snapback::model::experiment::STARTUP_LIMIT;
use snapback::model::input::read_experiment;
use snapback::model::run::{EndReason, Run, RunStatus, TargetStatus};
use snapback::model::time::{Time, in_whole_seconds, seconds_up, whole_milliseconds};
use snapback::ports::{AlarmError, Clock, FunctionError, LedgerError, PortError};
use snapback::steps::arm::{ArmOutcome, arm};
use snapback::steps::observe::{ObserveOutcome, observe};
use snapback::steps::reap::{Tick, reap};
use snapback::steps::report::{ReportOutcome, report};
use snapback::steps::retry::retry;
use snapback::steps::rollback::{roll_back, stop};
use snapback::steps::steady_state::{checkable_after, checked_by};
use snapback::steps::{MAX_CLOCK_SKEW, MAX_READ_STALENESS, OVERDUE_GRACE};
use snapback::testing::samples::{self, faults, function_arn, world};
use snapback::testing::{CallFailure, SimWorld};

use super::support::{Machine, block_on, budget, run_of, target_of};

/// A clock that records how long its callers sleep, and whose random numbers are all equal.
struct RecordingClock {
    random: u64,
    sleeps: Mutex<Vec<u64>>,
}

impl Clock for RecordingClock {
    fn now(&self) -> Time {
        Time(0)
    }

    async fn sleep(&self, span: Duration) {
        self.sleeps.lock().unwrap().push(whole_milliseconds(span).unsigned_abs());
    }

    fn random(&self) -> u64 {
        self.random
    }
}

fn sleeps<T, E: PortError>(random: u64, mut call: impl FnMut() -> Result<T, E>) -> (Result<T, E>, Vec<u64>) {
    let clock = RecordingClock { random, sleeps: Mutex::default() };
    let result = block_on(retry(&clock, || std::future::ready(call())));
    (result, clock.sleeps.into_inner().unwrap())
}

#[test]
fn a_call_is_tried_eight_times_with_pauses_of_at_most_two_s() {
    let mut tries = 0;
    let mut fail = || {
        tries += 1;
        Err::<(), _>(LedgerError::Conflict)
    };
    // The least and the most that randomness gives: 7999 is one less than a multiple of every longest pause.
    assert_eq!(sleeps(0, &mut fail), (Err(LedgerError::Conflict), vec![1; 7]));
    assert_eq!(sleeps(7_999, &mut fail), (Err(LedgerError::Conflict), vec![50, 100, 200, 400, 800, 1600, 2000]));
    assert_eq!(tries, 2 * 8);
}

#[test]
fn only_transient_errors_are_retried() {
    fn pauses<E: PortError + Clone>(error: &E) -> usize {
        sleeps(0, || Err::<(), E>(error.clone())).1.len()
    }
    let text = String::new;
    let passing = [
        pauses(&LedgerError::Conflict),
        pauses(&LedgerError::Unavailable(text())),
        pauses(&FunctionError::Throttled(Duration::from_secs(1))),
        pauses(&FunctionError::Unclear(text())),
        pauses(&AlarmError::Unavailable(text())),
    ];
    assert_eq!(passing, [7; 5]);
    let final_ones = [
        pauses(&LedgerError::Unusable(text())),
        pauses(&FunctionError::NotFound(text())),
        pauses(&FunctionError::Denied(text())),
        pauses(&FunctionError::Rejected(text())),
        // These two ask for another read, not for the same call again.
        pauses(&FunctionError::Busy(text())),
        pauses(&FunctionError::Changed),
        pauses(&AlarmError::Unusable(text())),
    ];
    assert_eq!(final_ones, [0; 7]);
}

#[test]
fn an_arm_waits_out_staleness_and_skew_and_no_more() {
    let world = world(&["checkout"]);
    block_on(Machine::new(&world, "run-1", experiment(json!([]))).execute());
    let released = world.with(|state| state.locks[&function_arn("checkout")].released_at.unwrap());
    let second = Machine::new(&world, "run-2", experiment(json!([])));
    let until = released + MAX_READ_STALENESS + MAX_CLOCK_SKEW;
    block_on(async {
        second.prepare().await.unwrap();
        let ArmOutcome::Waiting(wait) = arm(&world, &second.run, &function_arn("checkout")).await.unwrap() else {
            panic!("the lock was released a moment ago")
        };
        assert_eq!(wait, world.now().until(until));
        world.sleep(in_whole_seconds(wait)).await;
        assert_eq!(arm(&world, &second.run, &function_arn("checkout")).await.unwrap(), ArmOutcome::Armed);
    });
}

#[test]
fn a_run_ends_at_its_deadline_whatever_happens() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", experiment(json!([])));
    block_on(machine.prepare()).unwrap();
    let run = run_of(&world, &machine.run);
    assert_eq!(run.deadline, run.created_at + Duration::from_secs(60) + STARTUP_LIMIT);
}

#[test]
fn a_metric_is_evaluated_after_two_periods_and_a_minute() {
    let read = |conditions: Value, recovery: &str| -> Experiment {
        let mut experiment = experiment(conditions);
        experiment["recovery"] = json!(recovery);
        read_experiment(&experiment).unwrap()
    };
    let seconds = |conditions: Value| checkable_after(&read(conditions, "PT1M").steady_state).as_secs();
    assert_eq!(seconds(json!([])), 0);
    assert_eq!(seconds(json!([latency()])), 0);
    assert_eq!(seconds(json!([metric("PT1M")])), 180);
    assert_eq!(seconds(json!([metric("PT5M"), latency(), metric("PT1M")])), 660);
    assert_eq!(checked_by(&read(json!([metric("PT5M")]), "PT1M")).as_secs(), 660);
    assert_eq!(checked_by(&read(json!([metric("PT5M")]), "PT15M")).as_secs(), 900);
}

#[test]
fn a_report_waits_for_a_metric_five_minutes_at_a_time() {
    let world = world(&["checkout"]);
    let machine = restored(&world, json!([metric("PT5M")]), "PT1M");
    let restored_at = target_of(&world, &machine.run, "checkout").ended_at.unwrap();
    let until = restored_at + Duration::from_secs(660);
    let mut waits = Vec::new();
    block_on(async {
        while let ReportOutcome::Pending(wait) = report(&world, &machine.run).await.unwrap() {
            assert_eq!(wait, world.now().until(until).min(Duration::from_secs(300)));
            waits.push(seconds_up(wait));
            world.sleep(in_whole_seconds(wait)).await;
        }
    });
    assert_eq!((waits.len(), waits[0], world.now().until(until)), (3, 300, Duration::ZERO));
    assert_eq!(run_of(&world, &machine.run).deviations, Some(vec![]));
}

#[test]
fn a_report_polls_every_ten_seconds_until_the_recovery_ends() {
    let world = world(&["checkout"]);
    let machine = restored(&world, json!([latency()]), "PT25S");
    let until = target_of(&world, &machine.run, "checkout").ended_at.unwrap() + Duration::from_secs(25);
    world.with(|state| state.alarms.insert("latency".into(), true));
    let mut waits = Vec::new();
    block_on(async {
        while let ReportOutcome::Pending(wait) = report(&world, &machine.run).await.unwrap() {
            assert_eq!(wait, world.now().until(until).min(Duration::from_secs(10)));
            waits.push(seconds_up(wait));
            world.sleep(in_whole_seconds(wait)).await;
        }
    });
    assert_eq!(waits.len(), 3, "{waits:?}");
    assert_eq!(run_of(&world, &machine.run).deviations, Some(vec!["alarm latency is in ALARM".to_owned()]));
}

#[test]
fn a_run_is_overdue_a_minute_after_its_end_and_not_before() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", experiment(json!([])));
    block_on(machine.start()).unwrap();
    let observed = block_on(observe(&world, &machine.run, 0, budget(&world, Duration::from_secs(30)))).unwrap();
    assert_eq!(observed, ObserveOutcome::Running { wait: Duration::from_secs(5), sample_from: 0 });
    let late = |run: &Run| run.expected_end() + OVERDUE_GRACE;
    assert_eq!(tick_at(&world, late(&run_of(&world, &machine.run)), -1), idle());
    assert_eq!(tick_at(&world, late(&run_of(&world, &machine.run)), 1), Tick { overdue: 1, handled: 1, ..idle() });
    assert_eq!(run_of(&world, &machine.run).reason, Some(EndReason::Overdue));
}

#[test]
fn a_stopping_run_is_left_to_its_execution_for_five_minutes() {
    // The time to evaluate its steady state does not count, because its target is not restored.
    for conditions in [json!([]), json!([metric("PT1H")])] {
        let world = world(&["checkout"]);
        let machine = Machine::new(&world, "run-1", experiment(conditions));
        block_on(machine.start()).unwrap();
        block_on(stop(&world, &machine.run, &EndReason::UserRequest.into())).unwrap();
        let stopped = run_of(&world, &machine.run).stopping_at.unwrap();
        assert_eq!(tick_at(&world, stopped + Duration::from_secs(300), -1), idle());
        assert_eq!(target_of(&world, &machine.run, "checkout").status, TargetStatus::Injected);
        assert_eq!(tick_at(&world, stopped + Duration::from_secs(300), 1), Tick { overdue: 1, handled: 1, ..idle() });
        assert_eq!(target_of(&world, &machine.run, "checkout").status, TargetStatus::Restored);
    }
}

#[test]
fn a_restored_run_is_left_to_its_execution_until_evaluated() {
    let world = world(&["checkout"]);
    let machine = restored(&world, json!([metric("PT5M")]), "PT1M");
    let back = target_of(&world, &machine.run, "checkout").ended_at.unwrap();
    assert_eq!(tick_at(&world, back + Duration::from_secs(300 + 660), -1), idle());
    assert_eq!(tick_at(&world, back + Duration::from_secs(300 + 660), 1), Tick { overdue: 1, handled: 1, ..idle() });
    assert_eq!(run_of(&world, &machine.run).status, RunStatus::Completed);
}

#[test]
fn a_run_that_the_reaper_restores_is_evaluated_by_its_execution() {
    for alive in [true, false] {
        let world = world(&["checkout"]);
        let machine = Machine::new(&world, "run-1", experiment(json!([metric("PT5M")])));
        block_on(machine.start()).unwrap();
        block_on(stop(&world, &machine.run, &EndReason::UserRequest.into())).unwrap();
        if !alive {
            machine.kill();
        }
        let stopped = run_of(&world, &machine.run).stopping_at.unwrap();
        assert_eq!(tick_at(&world, stopped + Duration::from_secs(300), 1).handled, 1);
        assert_eq!(target_of(&world, &machine.run, "checkout").status, TargetStatus::Restored);
        assert_eq!(run_of(&world, &machine.run).status.is_final(), !alive, "execution alive: {alive}");
    }
}

#[test]
fn a_tick_counts_what_it_has_seen() {
    let world = world(&["checkout", "payment", "refund"]);
    let targets = json!([{ "function": "checkout" }, { "function": "payment" }]);
    let mut two = experiment(json!([]));
    two["targets"] = targets;
    let first = Machine::new(&world, "run-1", two);
    let second = Machine::new(&world, "run-2", samples::experiment(&["refund"], &faults()[0..1]));
    block_on(async {
        first.start().await.unwrap();
        second.start().await.unwrap();
    });
    first.kill();
    world.with(|state| state.call_failures = vec![("PutFunctionConcurrency", CallFailure::Denied); 50]);
    let (tick, error) = block_on(reap(&world, budget(&world, Duration::from_secs(55))));
    // The second run is in time, and its execution is running.
    assert_eq!((tick, error), (Tick { active: 2, handled: 1, failed_restores: 2, ..Tick::default() }, None));
    assert_eq!(run_of(&world, &first.run).status, RunStatus::Failed, "only the reaper can record it");
    world.with(|state| {
        state.call_failures.clear();
        state.executions_unreadable = true;
    });
    let (tick, error) = block_on(reap(&world, budget(&world, Duration::from_secs(55))));
    // A failed run is restored anyway, without a response of Step Functions.
    assert_eq!((tick.active, tick.handled, tick.errors), (2, 1, 1));
    assert_eq!((error.map(|error| error.name()), tick.failed_restores), (Some("Unavailable"), 0));
}

/// Runs one tick of the reaper, `seconds` after `then`.
fn tick_at(world: &SimWorld, then: Time, seconds: i64) -> Tick {
    world.advance(world.now().until(Time(then.0 + seconds * 1000)));
    let (tick, error) = block_on(reap(world, budget(world, Duration::from_secs(55))));
    assert_eq!(error, None);
    tick
}

fn idle() -> Tick {
    Tick { active: 1, ..Tick::default() }
}

/// A run whose targets are restored, and which has no report yet.
fn restored<'a>(world: &'a SimWorld, steady: Value, recovery: &str) -> Machine<'a> {
    world.with(|state| state.alarms.insert("latency".into(), false));
    let mut experiment = experiment(steady);
    experiment["recovery"] = json!(recovery);
    let machine = Machine::new(world, "run-1", experiment);
    block_on(async {
        machine.start().await.unwrap();
        roll_back(world, &machine.run, &EndReason::DurationElapsed.into(), budget(world, Duration::from_secs(120)))
            .await
            .unwrap();
    });
    machine
}

fn experiment(steady: Value) -> Value {
    let mut experiment = samples::experiment(&["checkout"], &faults()[0..1]);
    experiment["steadyState"] = steady;
    experiment
}

fn latency() -> Value {
    json!({ "alarm": "latency" })
}

fn metric(period: &str) -> Value {
    let metric = json!({ "namespace": "AWS/Lambda", "name": "Errors", "statistic": "Sum", "period": period });
    json!({ "metric": metric, "below": 5 })
}
