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
    /// Invocations.
    pub invocations: f64,
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
        let mut hits = Self::default();
        for series in metrics.series.iter().filter(|series| !series.is_condition() && series.statistic == "Sum") {
            let total = series.total(from - Duration::from_secs(u64::from(series.period_seconds)), until);
            match (series.metric.as_str(), &series.of) {
                ("Invocations", None) => hits.invocations = total,
                ("Errors", None) => hits.errors = total,
                ("Throttles", None) => hits.throttles = total,
                ("InjectedFaults", Some(kind)) => hits.injected.push((kind.clone(), total)),
                _ => {}
            }
        }
        Some(hits)
    }
}
