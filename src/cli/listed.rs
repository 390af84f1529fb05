//! What `status` lists: runs, and starts that left no run.

use serde::Serialize;

use crate::aws::{FailedExecution, ListedExecution};
use crate::model::actor::Actor;
use crate::model::run::{Run, RunStatus, TargetRecord};
use crate::model::time::Time;
use crate::plan::rendering::ReportView;
use crate::steps::error::{StepErrorKind, failure_message};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FailedStart {
    pub(super) run_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) experiment: Option<String>,
    #[serde(skip)]
    pub(super) started_at: Time,
    /// RFC 3339.
    #[serde(rename = "startedAt")]
    started: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) started_by: Option<Actor>,
    /// `refused` or `failedStart`.
    pub(super) outcome: &'static str,
    pub(super) error: String,
    pub(super) cause: String,
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
            outcome: if is_refused { "refused" } else { "failedStart" },
            cause: failure_message(&failed.cause),
            error: failed.error,
        }
    }
}

/// Nothing starts in a run that is stopping.
pub(super) fn is_ending(view: &ReportView) -> bool {
    view.status == RunStatus::Stopping || view.status.is_final()
}
