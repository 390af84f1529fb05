//! What the state machine reads of a step's outcome: the names that its choices compare, and how long it waits.

use std::time::Duration;

use super::arm::ArmOutcome;
use super::inject::InjectOutcome;
use super::observe::ObserveOutcome;
use super::rehearse::RehearseOutcome;
use super::report::ReportOutcome;
use super::restore::RestoreOutcome;
use super::waiting::TOMBSTONE;

/// The status of a step. The state machine reads the name and the wait; the reason is for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepStatus {
    /// `status` in the task's result.
    pub name: &'static str,
    /// `waitSeconds` in the task's result: the time until the next invocation.
    pub wait: Duration,
    /// What the step waits for, where that is known.
    pub waiting_for: Option<String>,
}

impl StepStatus {
    /// Nothing to wait for.
    #[must_use]
    pub fn done(name: &'static str) -> Self {
        Self { name, wait: Duration::ZERO, waiting_for: None }
    }

    fn waiting(name: &'static str, wait: Duration, waiting_for: Option<String>) -> Self {
        Self { name, wait, waiting_for }
    }
}

impl From<ArmOutcome> for StepStatus {
    fn from(armed: ArmOutcome) -> Self {
        match armed {
            ArmOutcome::Armed => Self::done("armed"),
            ArmOutcome::Waiting(wait) => Self::waiting("waiting", wait, Some(TOMBSTONE.to_owned())),
            ArmOutcome::Skipped => Self::done("skipped"),
        }
    }
}

impl From<RehearseOutcome> for StepStatus {
    fn from(rehearsed: RehearseOutcome) -> Self {
        match rehearsed {
            RehearseOutcome::Rehearsed => Self::done("rehearsed"),
            RehearseOutcome::Waiting(wait) => Self::waiting("waiting", wait, None),
            RehearseOutcome::Changed => Self::done("changed"),
            RehearseOutcome::Skipped => Self::done("skipped"),
        }
    }
}

impl From<InjectOutcome> for StepStatus {
    fn from(injected: InjectOutcome) -> Self {
        match injected {
            InjectOutcome::Injected => Self::done("injected"),
            InjectOutcome::Pending { wait, waiting_for } => Self::waiting("pending", wait, waiting_for),
            InjectOutcome::Unrehearsed => Self::done("unrehearsed"),
            InjectOutcome::Skipped => Self::done("skipped"),
        }
    }
}

impl From<&ObserveOutcome> for StepStatus {
    fn from(observed: &ObserveOutcome) -> Self {
        match observed {
            ObserveOutcome::Running { wait, .. } => Self::waiting("running", *wait, None),
            ObserveOutcome::Stopping => Self::done("stopping"),
        }
    }
}

impl From<RestoreOutcome> for StepStatus {
    fn from(restored: RestoreOutcome) -> Self {
        match restored {
            RestoreOutcome::Ended(status) => Self::done(status.name()),
            RestoreOutcome::Pending { wait, waiting_for } => Self::waiting("pending", wait, waiting_for),
        }
    }
}

impl From<&ReportOutcome> for StepStatus {
    fn from(reported: &ReportOutcome) -> Self {
        match reported {
            ReportOutcome::Pending(wait) => Self::waiting("pending", *wait, None),
            ReportOutcome::Closed(view) => Self::done(view.status.name()),
        }
    }
}
