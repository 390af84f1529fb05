//! Sample pages. The tests write them to `target/pages`, where `make browser` opens each in a real browser.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::model::actor::Actor;
use crate::model::input::read_experiment;
use crate::model::kept_metrics::{KeptMetrics, Series};
use crate::model::marker::stopped_marker;
use crate::model::run::{EndReason, Run, RunStatus, TargetRecord, TargetStatus};
use crate::model::secret::Secret;
use crate::model::snapshot::{Change, Drift, RemovedFault};
use crate::model::time::Time;
use crate::plan::evidence::Evidence;
use crate::testing::BEGINNING;
use crate::testing::samples::{SECRET, alarm_arn, function_arn, run_id};

/// A text with markup, as a name or an error may have it.
pub(crate) const HOSTILE: &str = "<script>alert('x')</script><img src=x onerror=alert(1)> \"&";

/// Five minutes and some seconds after the samples' metrics begin.
fn created() -> Time {
    BEGINNING + Duration::from_secs(615)
}

fn at(seconds: u64) -> Time {
    created() + Duration::from_secs(seconds)
}

/// An experiment with an alarm and a metric.
fn asked(name: &str, alarm: &str, targets: usize) -> Value {
    let orders = json!({ "namespace": "Shop", "name": "Orders", "statistic": "Sum", "period": "PT1M" });
    json!({
        "name": name, "duration": "PT10M",
        "targets": (0..targets.min(50)).map(|at| json!({ "function": format!("f-{at}") })).collect::<Vec<_>>(),
        "faults": [{ "latency": { "delayMs": 3000, "percentage": 30 } }, { "timeout": { "timeout": "PT5S" } }],
        "stopConditions": [{ "alarm": alarm }],
        "steadyState": [{ "alarm": alarm }, { "metric": orders, "above": 40 }],
    })
}

/// A run that an alarm ended, and that was restored.
fn run(experiment: Value, alarm: &str, targets: usize) -> Run {
    let reason = EndReason::Alarm { alarm: alarm.to_owned() };
    let mut run = stopped_marker(&run_id("checkout-stays-usable-1795630704"), &reason.into(), created());
    run.experiment = Some(read_experiment(&experiment).unwrap_or_else(|wrong| unreachable!("{wrong}")));
    run.started_by = Some(Actor {
        caller: "arn:aws:sts::123456789012:assumed-role/Developer/ana".to_owned().try_into().ok(),
        ..Actor::snapback()
    });
    run.ended_by = Some(Actor::alarm(&alarm_arn("checkout-errors")));
    run.functions = (0..targets).map(|at| function_arn(&format!("shop-checkout-{at:04}"))).collect();
    run.status = RunStatus::Stopped;
    run.ends_at = Some(at(12 + 600));
    (run.stopping_at, run.closed_at) = (Some(at(12 + 214)), Some(at(12 + 214 + 130)));
    run.deviations = Some(Vec::new());
    run.injected = Some("at least 98 x latency; 330 or more invocations in whole minutes".to_owned());
    run.notes = vec!["a version that is published during the run keeps the fault".to_owned()];
    run
}

fn target(run: &Run, at_index: usize) -> TargetRecord {
    let function = run.functions.get(at_index).cloned().unwrap_or_else(|| function_arn("none"));
    let mut target = TargetRecord::new(run.id.clone(), function);
    let hidden = |value: &str| Some(Secret::new(value)).into();
    target.status = TargetStatus::Restored;
    target.ended_at = run.stopping_at.map(|at| at + Duration::from_millis(6_300));
    target.changes = vec![
        Change::Timeout { original: 30, injected: 5 },
        Change::Variable {
            name: "SNAPBACK_FAULTS".to_owned().try_into().unwrap_or_else(|_| unreachable!()),
            original: hidden(SECRET),
            injected: hidden("new"),
        },
    ];
    target
}

/// Values by the minute: usual ones, others while the fault is in place, and usual ones again.
fn series(metric: &str, statistic: &str, usual: f64, during: f64) -> Series {
    let (fault, minutes) = (10..15, 0..22);
    let value = |minute: i64| {
        let base = if fault.contains(&minute) { during } else { usual };
        // A wave, so that the values differ as those of real traffic do.
        let wave = 1.0 + 0.12 * (minute as f64 * 1.7).sin();
        if statistic == "Sum" { (base * wave).round() } else { (base * wave * 100.0).round() / 100.0 }
    };
    let points = minutes.map(|minute| (BEGINNING.epoch_seconds() + minute * 60, value(minute)));
    Series {
        metric: metric.into(),
        statistic: statistic.into(),
        period_seconds: 60,
        points: points.filter(|(_, value)| *value > 0.0).collect(),
        ..Series::default()
    }
}

fn metrics(functions: usize) -> KeptMetrics {
    let of = |series: Series, of: &str| Series { of: Some(of.to_owned()), ..series };
    KeptMetrics {
        read_at: at(1500),
        from: BEGINNING,
        until: BEGINNING + Duration::from_secs(22 * 60),
        functions: functions.min(100),
        missing: None,
        series: vec![
            series("Invocations", "Sum", 92.0, 78.0),
            series("Errors", "Sum", 0.4, 24.0),
            series("Throttles", "Sum", 0.0, 0.0),
            series("Duration", "p50", 84.0, 112.0),
            series("Duration", "p90", 140.0, 3150.0),
            series("Duration", "p99", 260.0, 3420.0),
            series("ConcurrentExecutions", "Maximum", 3.0, 11.0),
            of(series("InjectedFaults", "Sum", 0.0, 24.0), "latency"),
            Series { above: Some(40.0), ..of(series("Orders", "Sum", 61.0, 47.0), "Shop Orders of Sum above 40") },
        ],
    }
}

/// The page that a reader sees most often: one target, an alarm, everything restored.
pub(crate) fn one_target() -> Evidence {
    let alarm = "checkout-errors";
    let run = run(asked("Checkout stays usable when a third of its calls is slow", alarm, 1), alarm, 1);
    let targets = [target(&run, 0)];
    Evidence::of(&run, &targets, Some(metrics(1)))
}

/// A thousand targets, of which some changed outside the run.
pub(crate) fn thousand_targets() -> Evidence {
    let alarm = "checkout-errors";
    let mut run = run(asked("A whole fleet is slow", alarm, 50), alarm, 1000);
    (run.status, run.reason) = (RunStatus::Completed, Some(EndReason::DurationElapsed));
    run.ended_by = Some(Actor::snapback());
    run.stopping_at = run.ends_at;
    run.closed_at = run.ends_at.map(|at| at + Duration::from_secs(300));
    let mut targets: Vec<TargetRecord> = (0..1000).map(|at| target(&run, at)).collect();
    if let Some(drifted) = targets.get_mut(7) {
        drifted.status = TargetStatus::Drifted;
        let note = "was 30 s, injected 5 s, now 20 s; left alone".to_owned();
        drifted.drift = vec![Drift { field: "timeout".to_owned(), note }];
    }
    if let Some(frozen) = targets.get_mut(8) {
        frozen.frozen_versions = vec!["42".to_owned()];
    }
    if let Some(removed) = targets.get_mut(9) {
        removed.removed_faults = vec![RemovedFault { field: "timeout".to_owned(), seen_at: at(90) }];
    }
    Evidence::of(&run, &targets, Some(metrics(1000)))
}

/// A run that was stopped before anything was injected, and of which CloudWatch has nothing.
pub(crate) fn no_data() -> Evidence {
    let mut run = run(asked("Stopped before it began", "checkout-errors", 1), "checkout-errors", 1);
    (run.ends_at, run.deviations, run.injected) = (None, None, None);
    run.reason = Some(EndReason::UserRequest);
    run.notes.clear();
    let mut untouched = target(&run, 0);
    (untouched.status, untouched.changes) = (TargetStatus::Untouched, Vec::new());
    let empty = metrics(1).series.into_iter().map(|series| Series { points: Vec::new(), ..series });
    let metrics = KeptMetrics { series: empty.collect(), ..metrics(1) };
    Evidence::of(&run, &[untouched], Some(metrics))
}

/// The marker of a run whose start was prevented: only who prevented it is known.
pub(crate) fn prevented() -> Evidence {
    let marker = stopped_marker(&run_id("checkout-1"), &EndReason::UserRequest.into(), created());
    Evidence::of(&marker, &[], None)
}

/// A run whose restore failed, and whose names and errors hold markup.
pub(crate) fn hostile() -> Evidence {
    let mut run = run(asked("markup", "alarm", 1), HOSTILE, 1);
    let cause = format!("{HOSTILE} happened");
    (run.status, run.reason) = (RunStatus::Failed, Some(EndReason::Error { error: HOSTILE.into(), cause }));
    run.notes = vec![HOSTILE.to_owned()];
    run.deviations = Some(vec![HOSTILE.to_owned()]);
    if let Some(experiment) = &mut run.experiment {
        experiment.name = HOSTILE.to_owned().try_into().unwrap_or_else(|wrong| unreachable!("{wrong}"));
        let alarm = || HOSTILE.to_owned().try_into().unwrap_or_else(|wrong| unreachable!("{wrong}"));
        experiment.stop_conditions = vec![crate::model::experiment::StopCondition { alarm: alarm() }];
        experiment.steady_state = vec![crate::model::steady_state::Condition::Alarm(alarm())];
    }
    let mut failed = target(&run, 0);
    (failed.status, failed.ended_at) = (TargetStatus::Restoring, None);
    failed.restore_error = Some(format!("access denied: {HOSTILE}"));
    failed.drift = vec![Drift { field: HOSTILE.to_owned(), note: HOSTILE.to_owned() }];
    let series =
        Series { of: Some(HOSTILE.to_owned()), metric: HOSTILE.to_owned(), ..series("Errors", "Sum", 1.0, 9.0) };
    Evidence::of(&run, &[failed], Some(KeptMetrics { series: vec![series], ..metrics(1) }))
}

/// Writes a sample for the browser.
pub(crate) fn keep(name: &str, page: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/pages");
    let written = std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join(name), page));
    assert!(written.is_ok(), "{}/{name}: {written:?}", folder.display());
}
