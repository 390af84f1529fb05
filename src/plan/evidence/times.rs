//! How long a run took to detect, to roll back and to recover, and how many invocations met the fault.

use std::time::Duration;

use crate::model::kept_metrics::KeptMetrics;
use crate::model::run::{EndReason, Run, TargetRecord};
use crate::model::time::Time;

/// The times of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunTimes {
    /// When the run was recorded.
    pub created_at: Time,
    /// When every fault was in place; `None` if the run ended before.
    pub in_place_at: Option<Time>,
    /// When the rollback began.
    pub stopping_at: Option<Time>,
    /// When the last target ended; `None` while one has not.
    pub restored_at: Option<Time>,
    /// When the run was closed.
    pub closed_at: Option<Time>,
    /// From the fault being in place until an alarm or a deviation ended the run. `None` if neither ended it.
    pub detection: Option<Duration>,
    /// From the beginning of the rollback until the last target was restored.
    pub rollback: Option<Duration>,
    /// From the restore until the run was closed with a steady state that held again. The steady state is checked at
    /// intervals and with metrics that arrive late, so this is the longest that it can have taken.
    pub recovery: Option<Duration>,
}

impl RunTimes {
    /// Returns the times of a run.
    #[must_use]
    pub fn of(run: &Run, targets: &[TargetRecord]) -> Self {
        let in_place_at = run.in_place_at();
        let is_over = run.stopping_at.is_some() && targets.iter().all(|target| target.status.is_final());
        let ended_at = targets.iter().filter_map(|target| target.ended_at).max();
        let restored_at = if is_over { ended_at } else { None };
        let span = |from: Option<Time>, until: Option<Time>| Some(from?.until(until?));
        let is_detected = matches!(run.reason, Some(EndReason::Alarm { .. } | EndReason::Deviated { .. }));
        let has_steady_state = run.experiment.as_ref().is_some_and(|experiment| !experiment.steady_state.is_empty());
        let is_held = has_steady_state && run.deviations.as_ref().is_some_and(Vec::is_empty);
        Self {
            created_at: run.created_at,
            in_place_at,
            stopping_at: run.stopping_at,
            restored_at,
            closed_at: run.closed_at,
            detection: span(in_place_at, run.stopping_at).filter(|_| is_detected),
            rollback: span(run.stopping_at, restored_at),
            recovery: span(restored_at, run.closed_at).filter(|_| is_held),
        }
    }

    /// The time in which invocations can have met the fault, without an end while it may still be in place; `None` before
    /// it began.
    #[must_use]
    pub fn fault(&self) -> Option<(Time, Time)> {
        let from = self.in_place_at.or(self.stopping_at.map(|_| self.created_at))?;
        Some((from, self.restored_at.map_or(Time(i64::MAX), |at| at.max(from))))
    }
}

/// What invocations met while the fault was in place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hits {
    /// The periods that are counted, from the beginning of the first to the end of the last. They also contain time without
    /// the fault, because CloudWatch counts by whole periods.
    pub counted: (Time, Time),
    /// Invocations; `None` if CloudWatch has no value of them.
    pub invocations: Option<f64>,
    /// Invocations that failed.
    pub errors: f64,
    /// Requests that were throttled. Lambda does not count them as invocations
    /// (lambda/latest/dg/monitoring-metrics-types).
    pub throttles: f64,
    /// How often each kind of fault was injected.
    pub injected: Vec<(String, f64)>,
}

impl Hits {
    /// Adds up the periods that meet the time of the fault; `None` without a fault or without metrics.
    #[must_use]
    pub fn of(metrics: &KeptMetrics, times: &RunTimes) -> Option<Self> {
        let (from, until) = times.fault().filter(|_| metrics.missing.is_none())?;
        let mut hits = Self { counted: (from, until.min(metrics.until)), ..Self::default() };
        for series in metrics.series.iter().filter(|series| !series.is_condition() && series.statistic == "Sum") {
            let (begin, end) = whole_periods((from, until.min(metrics.until)), series.period_seconds);
            let total = series.total(begin, end);
            match (series.metric.as_str(), &series.of) {
                ("Invocations", None) => {
                    hits.counted = (begin, end);
                    hits.invocations = (!series.points.is_empty()).then_some(total);
                }
                ("Errors", None) => hits.errors = total,
                ("Throttles", None) => hits.throttles = total,
                ("InjectedFaults", Some(kind)) => hits.injected.push((kind.clone(), total)),
                _ => {}
            }
        }
        Some(hits)
    }
}

/// The whole periods that contain this time.
fn whole_periods((from, until): (Time, Time), period_seconds: u32) -> (Time, Time) {
    let period_ms = i64::from(period_seconds.max(1)) * 1000;
    let down = |ms: i64| ms.div_euclid(period_ms) * period_ms;
    (Time(down(from.0)), Time(down(until.0.saturating_add(period_ms - 1))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::kept_metrics::Series;

    fn hits(points: Vec<(i64, f64)>, from: i64, until: Option<i64>) -> Option<Hits> {
        let invocations = Series {
            metric: "Invocations".into(),
            statistic: "Sum".into(),
            period_seconds: 60,
            points,
            ..Series::default()
        };
        let metrics = KeptMetrics { until: Time(600_000), series: vec![invocations], ..KeptMetrics::default() };
        let restored_at = until.map(Time);
        Hits::of(&metrics, &RunTimes { in_place_at: Some(Time(from)), restored_at, ..RunTimes::default() })
    }

    #[test]
    fn whole_minutes_around_the_fault_are_counted_and_named() {
        let points = vec![(0, 1.0), (60, 2.0), (120, 4.0), (180, 8.0), (540, 16.0)];
        for (from, until, counted, count) in [
            (70_000, Some(130_000), (60_000, 180_000), 6.0),
            // A fault that begins and ends with a minute meets no other one.
            (60_000, Some(120_000), (60_000, 120_000), 2.0),
            // One that is still in place is counted up to the end of the metrics.
            (130_000, None, (120_000, 600_000), 28.0),
        ] {
            let hits = hits(points.clone(), from, until).unwrap_or_default();
            let counted = (Time(counted.0), Time(counted.1));
            assert_eq!((hits.counted, hits.invocations), (counted, Some(count)), "{from}");
        }
        assert_eq!(hits(Vec::new(), 60_000, None).and_then(|hits| hits.invocations), None);
    }
}
