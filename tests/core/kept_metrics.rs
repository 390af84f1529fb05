//! The reaper keeps the metrics of runs that are over.

use std::time::Duration;

use snapback::model::kept_metrics::KeptMetrics;
use snapback::ports::{AlarmError, Clock, Ledger};
use snapback::steps::reap::{Tick, reap};
use snapback::testing::SimWorld;
use snapback::testing::network::CrashPoint;
use snapback::testing::samples::{self, faults, run_id, world};

use super::support::{Machine, block_on, budget, survives};

/// Plays a run to its end.
fn ended() -> SimWorld {
    let world = world(&["checkout"]);
    let experiment = samples::experiment(&["checkout"], &faults()[..1]);
    assert_eq!(block_on(Machine::new(&world, "run-1", experiment).execute()).failure, None);
    world
}

/// Lets time pass, and lets the reaper work without a failure.
fn tick_after(world: &SimWorld, minutes: u64) -> Option<KeptMetrics> {
    failing_tick_after(world, minutes, &[])
}

/// Lets time pass, and lets the reaper work, which fails to keep metrics. Such a failure must not be an error of the tick.
fn failing_tick_after(world: &SimWorld, minutes: u64, failures: &[&str]) -> Option<KeptMetrics> {
    world.advance(Duration::from_secs(minutes * 60));
    let (tick, error) = block_on(reap(world, budget(world, Duration::from_secs(55))));
    let metrics_not_kept = failures.iter().map(|failure| (*failure).to_owned()).collect();
    assert_eq!((tick, error), (Tick { metrics_not_kept, ..Tick::default() }, None));
    block_on(world.kept_metrics(&run_id("run-1"))).unwrap()
}

fn is_listed(world: &SimWorld) -> bool {
    world.with(|state| !state.awaiting_metrics.is_empty())
}

#[test]
fn metrics_are_read_once_when_their_values_have_arrived() {
    let world = ended();
    let over = world.now();
    assert_eq!((tick_after(&world, 5), is_listed(&world)), (None, true), "the last values can still grow");
    let kept = tick_after(&world, 2).unwrap();
    assert!(!is_listed(&world));
    assert!(kept.missing.is_none() && kept.until >= over && kept.read_at > over, "{kept:?}");
    let names: Vec<&str> = kept.series.iter().map(|series| series.metric.as_str()).collect();
    assert_eq!(names[..3], ["Invocations", "Errors", "Throttles"]);
    assert!(kept.series[0].points.len() >= 10, "{kept:?}");
    let reads = world.count("GetMetricData");
    assert_eq!(tick_after(&world, 10), Some(kept), "they stay as they were read");
    assert_eq!(world.count("GetMetricData"), reads);
}

#[test]
fn values_that_were_kept_stay_when_the_run_is_retired_again() {
    let world = ended();
    let kept = tick_after(&world, 10);
    let run = world.with(|state| state.runs[&run_id("run-1")].clone());
    block_on(world.retire_run(&run, world.now())).unwrap();
    assert!(is_listed(&world));
    assert_eq!((tick_after(&world, 10), is_listed(&world)), (kept, false));
}

#[test]
fn a_missing_right_is_waited_for_and_then_given_as_the_reason() {
    let world = ended();
    world.with(|state| {
        state.metric_errors.insert("Errors".into(), AlarmError::Unusable("access denied".into()));
    });
    let failure = "run run-1: its metrics are not kept yet: CloudWatch cannot be used: access denied";
    assert_eq!((failing_tick_after(&world, 10, &[failure]), is_listed(&world)), (None, true));
    let kept = tick_after(&world, 7 * 60).unwrap();
    assert_eq!(kept.missing.as_deref(), Some("CloudWatch cannot be used: access denied"));
    assert!(!is_listed(&world));
}

#[test]
fn a_reaper_that_crashes_at_any_call_keeps_them_later() {
    for calls in 0..12 {
        for point in [CrashPoint::Before, CrashPoint::After] {
            let world = ended();
            world.advance(Duration::from_secs(600));
            world.with(|state| (state.calls_before_crash, state.crash_point) = (Some(calls), point));
            survives(reap(&world, budget(&world, Duration::from_secs(55))));
            world.with(|state| state.calls_before_crash = None);
            assert!(tick_after(&world, 1).is_some_and(|kept| kept.missing.is_none()), "{calls}, {point:?}");
            assert!(!is_listed(&world), "{calls}, {point:?}");
        }
    }
}
