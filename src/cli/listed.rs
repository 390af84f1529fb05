//! What `status` lists: runs, and starts that left no run.

use schemars::JsonSchema;
use serde::Serialize;

use crate::aws::{FailedExecution, ListedExecution};
use crate::model::actor::Actor;
use crate::model::run::{Run, RunStatus, TargetRecord};
use crate::model::time::Time;
use crate::plan::rendering::ReportView;
use crate::steps::error::{StepErrorKind, failure_message};

use super::report::LeverView;

/// What `status` prints as JSON.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusView<'a> {
    /// The safety lever; null if it was never moved.
    pub(super) lever: Option<LeverView<'a>>,
    /// What the stack must not be deleted with, one text each: targets that are not restored, runs that are not closed, and
    /// entries that cannot be read. The options choose none of it.
    pub(super) armed: Vec<String>,
    /// The runs that the options choose.
    pub(super) runs: Vec<&'a ReportView>,
    /// The starts that left no run.
    pub(super) failed_starts: Vec<FailedStart>,
    /// The records that cannot be read; absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) unreadable: Vec<String>,
}

/// One run that `status` shows.
#[derive(Debug)]
pub(super) struct Listed {
    /// Whether the ledger lists it as active.
    pub(super) is_active: bool,
    /// Whether the options of `status` choose it. What is armed is shown regardless of them.
    pub(super) is_chosen: bool,
    pub(super) run: Run,
    pub(super) targets: Vec<TargetRecord>,
    pub(super) view: ReportView,
}

/// A start that left nothing in the ledger, because it was refused or has failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct FailedStart {
    /// The name that the run would have had.
    pub(super) run_id: String,
    /// The experiment's name, if the input has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) experiment: Option<String>,
    #[serde(skip)]
    pub(super) started_at: Time,
    /// RFC 3339.
    #[serde(rename = "startedAt")]
    started: String,
    /// Who started it, as the starter stated it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) started_by: Option<Actor>,
    /// Whether it was refused or has failed.
    pub(super) outcome: StartOutcome,
    /// The error's stable name.
    pub(super) error: String,
    /// Why.
    pub(super) cause: String,
}

/// How a start ended that left no run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) enum StartOutcome {
    /// The input was invalid, or a guardrail refused it.
    Refused,
    /// It failed for another reason.
    FailedStart,
}

impl FailedStart {
    /// Reads the failure of an execution that left nothing in the ledger.
    pub(super) fn of(execution: &ListedExecution, failed: FailedExecution) -> Self {
        let is_refused = matches!(
            StepErrorKind::from_name(&failed.error),
            Some(StepErrorKind::Refused | StepErrorKind::InvalidInput)
        );
        Self {
            run_id: execution.name.clone(),
            experiment: failed.experiment,
            started_at: execution.started_at,
            started: execution.started_at.to_string(),
            started_by: failed.started_by,
            outcome: if is_refused { StartOutcome::Refused } else { StartOutcome::FailedStart },
            cause: failure_message(&failed.cause),
            error: failed.error,
        }
    }
}

/// Nothing starts in a run that is stopping.
pub(super) fn is_ending(view: &ReportView) -> bool {
    view.status == RunStatus::Stopping || view.status.is_final()
}
