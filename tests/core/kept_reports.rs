//! The reaper keeps the metrics and the pages of runs that are over.

use std::collections::BTreeMap;
use std::time::Duration;

use snapback::model::kept_metrics::KeptMetrics;
use snapback::model::run::RunStatus;
use snapback::plan::evidence::Evidence;
use snapback::ports::{AlarmError, Clock, Ledger};
use snapback::steps::keep_reports::{DrawPage, KeptReports, keep_reports};
use snapback::steps::reap::{Tick, reap};
use snapback::testing::SimWorld;
use snapback::testing::network::CrashPoint;
use snapback::testing::reports::outline;
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
    assert_eq!(pass_after(world, minutes).failures, Vec::<String>::new());
    block_on(world.kept_metrics(&run_id("run-1"))).unwrap()
}

fn pass_after(world: &SimWorld, minutes: u64) -> KeptReports {
    world.advance(Duration::from_secs(minutes * 60));
    let budget = budget(world, Duration::from_secs(55));
    assert_eq!(block_on(reap(world, budget)), (Tick::default(), None));
    block_on(keep_reports(world, outline, budget))
}

/// A pass that stored one page.
fn one_page() -> KeptReports {
    KeptReports { pages: 1, ..KeptReports::default() }
}

const REFUSED: &str = "its page is not in the bucket for reports: S3 refuses it: access denied";

/// Asserts that the bucket refused pages, of which one was tried. `next` is what happens to that one.
fn assert_refused(pass: &KeptReports, pages: u64, next: &str) {
    assert_eq!((pass.pages, pass.pages_failed, pass.failures.len()), (0, pages, 1), "{pass:?}");
    let failure = &pass.failures[0];
    assert!(failure.contains(REFUSED) && failure.contains(next), "{failure}");
}

/// Plays a run to its end in a stack with a bucket for reports.
fn ended_with_bucket() -> SimWorld {
    let world = ended();
    world.with(|state| state.reports = Some(BTreeMap::new()));
    world
}

/// Returns what is in the bucket.
fn pages(world: &SimWorld) -> BTreeMap<String, String> {
    world.with(|state| state.reports.clone().unwrap())
}

/// Returns the page that the ledger's records make.
fn page_of_the_ledger(world: &SimWorld, run: &str) -> String {
    let run = block_on(world.run(&run_id(run))).unwrap().unwrap();
    let targets = block_on(world.targets(&run.id)).unwrap();
    let metrics = block_on(world.kept_metrics(&run.id)).unwrap();
    assert!(metrics.is_some());
    outline(&Evidence::of(&run, &targets, metrics)).unwrap()
}

const KEY: &str = "snapback/123456789012/a-test/run-1.html";

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
    let failures = ["run run-1: its metrics are not kept yet: CloudWatch cannot be used: access denied".to_owned()];
    assert_eq!((pass_after(&world, 10).failures, is_listed(&world)), (failures.into(), true));
    let kept = tick_after(&world, 7 * 60).unwrap();
    assert_eq!(kept.missing.as_deref(), Some("CloudWatch cannot be used: access denied"));
    assert!(!is_listed(&world));
}

#[test]
fn a_reaper_that_crashes_at_any_call_keeps_them_later() {
    for calls in 0..12 {
        for point in CrashPoint::ALL {
            let world = ended_with_bucket();
            world.advance(Duration::from_secs(600));
            world.with(|state| (state.calls_before_crash, state.crash_point) = (Some(calls), point));
            survives(keep_reports(&world, outline, budget(&world, Duration::from_secs(55))));
            world.with(|state| state.calls_before_crash = None);
            assert!(tick_after(&world, 1).is_some_and(|kept| kept.missing.is_none()), "{calls}, {point:?}");
            assert!(!is_listed(&world), "{calls}, {point:?}");
            let page = page_of_the_ledger(&world, "run-1");
            assert_eq!(pages(&world), [(KEY.to_owned(), page)].into(), "{calls}, {point:?}");
        }
    }
}

#[test]
fn a_page_is_stored_when_its_metrics_are_and_never_again() {
    let world = ended_with_bucket();
    assert_eq!(
        (pass_after(&world, 5), pages(&world)),
        (KeptReports::default(), BTreeMap::new()),
        "it is not complete yet"
    );
    assert_eq!(pass_after(&world, 2), one_page());
    assert_eq!(pages(&world), [(KEY.to_owned(), page_of_the_ledger(&world, "run-1"))].into());
    let calls = world.count("PutObject");
    assert_eq!(pass_after(&world, 10), KeptReports::default());
    assert_eq!((world.count("PutObject"), is_listed(&world)), (calls, false));
}

#[test]
fn an_object_with_the_key_of_a_page_stays() {
    let world = ended_with_bucket();
    world.with(|state| state.reports.as_mut().unwrap().insert(KEY.to_owned(), "first".to_owned()));
    assert_eq!(pass_after(&world, 10), one_page());
    assert_eq!((pages(&world)[KEY].as_str(), is_listed(&world)), ("first", false));
}

#[test]
fn a_refused_page_harms_nothing_and_is_stored_later() {
    let world = ended_with_bucket();
    world.with(|state| state.reports_refused = Some("access denied".to_owned()));
    assert_refused(&pass_after(&world, 10), 1, "the next attempt is in a minute");
    let kept = block_on(world.kept_metrics(&run_id("run-1"))).unwrap();
    assert!(kept.is_some_and(|kept| kept.missing.is_none()), "the metrics do not wait for the page");
    let closed = world.with(|state| state.runs[&run_id("run-1")].clone());
    assert_eq!((closed.status, is_listed(&world)), (RunStatus::Completed, true));
    assert_refused(&pass_after(&world, 23 * 60), 1, "the next attempt is in a minute");
    world.with(|state| state.reports_refused = None);
    assert_eq!(pass_after(&world, 1), one_page());
    assert_eq!(pages(&world), [(KEY.to_owned(), page_of_the_ledger(&world, "run-1"))].into());
    assert_eq!(world.with(|state| state.runs[&run_id("run-1")].clone()), closed);
}

#[test]
fn a_page_that_fails_for_a_day_is_given_up() {
    let world = ended_with_bucket();
    world.with(|state| state.reports_refused = Some("access denied".to_owned()));
    assert_refused(&pass_after(&world, 10), 1, "");
    assert!(is_listed(&world));
    assert_refused(&pass_after(&world, 24 * 60), 1, "snapback report run-1 --html FILE");
    assert!(!is_listed(&world));
    assert_eq!(pass_after(&world, 1), KeptReports::default());
}

#[test]
fn a_page_without_metrics_says_why() {
    let world = ended_with_bucket();
    world.with(|state| {
        state.metric_errors.insert("Errors".into(), AlarmError::Unusable("access denied".into()));
    });
    assert_eq!(pass_after(&world, 10).pages, 0, "the metrics may become readable");
    assert_eq!(pass_after(&world, 7 * 60), one_page());
    assert!(pages(&world)[KEY].contains("access denied"));
}

/// One timeout a minute is all the time that a reaper has for it, so after a failure the others wait.
#[test]
fn a_page_that_fails_does_not_keep_others_from_their_turn() {
    let world = world(&["checkout", "payment"]);
    world.with(|state| state.reports = Some(BTreeMap::new()));
    for (run, function) in [("run-1", "checkout"), ("run-2", "payment")] {
        let experiment = samples::experiment(&[function], &faults()[..1]);
        assert_eq!(block_on(Machine::new(&world, run, experiment).execute()).failure, None);
    }
    world.with(|state| state.reports_refused = Some("access denied".to_owned()));
    world.advance(Duration::from_secs(600));
    let tried = (0..2).map(|_| {
        let before = world.count("PutObject");
        assert_refused(&pass_after(&world, 1), 2, "");
        world.count("PutObject") - before
    });
    assert_eq!(tried.collect::<Vec<_>>(), [1, 1]);
    let draw: DrawPage = |evidence| match evidence.report.run_id.as_str() {
        "run-1" => Err("too many points".to_owned()),
        _ => outline(evidence),
    };
    world.with(|state| state.reports_refused = None);
    world.advance(Duration::from_secs(60));
    let pass = block_on(keep_reports(&world, draw, budget(&world, Duration::from_secs(55))));
    let undrawn =
        "run run-1: its page cannot be drawn: too many points; the bucket for reports gets no page".to_owned();
    assert_eq!(pass, KeptReports { failures: vec![undrawn], ..one_page() }, "it is given up");
    assert!(!is_listed(&world) && pages(&world).keys().all(|key| key.contains("run-2")));
}
