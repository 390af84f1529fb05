//! A run as evidence: what was asked, what happened when, and what proves that everything was restored. Never contains the
//! value of a variable.

mod cost;
mod moments;
mod times;

use crate::model::describe::describe;
use crate::model::experiment::Experiment;
use crate::model::kept_metrics::KeptMetrics;
use crate::model::run::{Run, TargetRecord, TargetStatus};
use crate::model::time::Time;

use super::checks::{Check, checks};
use super::rendering::{ReportView, TargetReport, has_version, report_view};

pub use cost::cost_dollars;
pub use moments::{Moment, MomentKind, Phase, PhaseKind};
pub use times::{Hits, RunTimes};

/// What an experiment asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// What each fault does to which invocations.
    pub faults: Vec<String>,
    /// How long the faults stay, as an ISO 8601 duration.
    pub duration: String,
    /// The alarms that end the run.
    pub stop_conditions: Vec<String>,
    /// The conditions of the steady state.
    pub steady_state: Vec<String>,
}

/// Everything that a report of a run shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The report.
    pub report: ReportView,
    /// What was asked; `None` if the run has no experiment that can be read.
    pub asked: Option<Asked>,
    /// Each check that passed or failed.
    pub checks: Vec<Check>,
    /// When each target ended, in the order of the report's targets.
    pub ended_at: Vec<Option<Time>>,
    /// What happened, in order.
    pub moments: Vec<Moment>,
    /// The parts of the run, in order.
    pub phases: Vec<Phase>,
    /// How long the run took to detect, to roll back and to recover.
    pub times: RunTimes,
    /// What the invocations met while the fault was in place, if the metrics are known.
    pub hits: Option<Hits>,
    /// The metrics, if they are known.
    pub metrics: Option<KeptMetrics>,
    /// About what the run cost, in US dollars.
    pub cost_dollars: f64,
}

impl Evidence {
    /// Renders a run.
    #[must_use]
    pub fn of(run: &Run, targets: &[TargetRecord], metrics: Option<KeptMetrics>) -> Self {
        let report = report_view(run, targets);
        let times = RunTimes::of(run, targets);
        let hits = metrics.as_ref().and_then(|metrics| Hits::of(metrics, &times));
        Self {
            asked: run.experiment.as_ref().map(asked),
            checks: checks(run, &report),
            ended_at: targets.iter().map(|target| target.ended_at).collect(),
            moments: moments::moments(run, targets, &times),
            phases: moments::phases(run, &times),
            cost_dollars: cost_dollars(run, targets, &times),
            report,
            times,
            hits,
            metrics,
        }
    }

    /// How many targets are exactly as they were before.
    #[must_use]
    pub fn restored(&self) -> usize {
        self.report.targets.iter().filter(|target| is_exact(target)).count()
    }
}

/// Whether a target is as it was before, and nothing happened to it that a user has to know.
#[must_use]
pub fn is_exact(target: &TargetReport) -> bool {
    matches!(target.status, TargetStatus::Restored | TargetStatus::Untouched)
        && target.removed_faults.is_empty()
        && !has_version(&target.frozen_versions)
}

fn asked(experiment: &Experiment) -> Asked {
    Asked {
        faults: experiment.faults.iter().map(describe).collect(),
        duration: experiment.duration.to_string(),
        stop_conditions: experiment.stop_conditions.iter().map(|stop| stop.alarm.name().to_owned()).collect(),
        steady_state: experiment.steady_state.iter().map(ToString::to_string).collect(),
    }
}
