//! What `status` lists: runs, and starts that left no run.

use schemars::JsonSchema;
use serde::Serialize;

use crate::aws::{FailedExecution, ListedExecution};
use crate::model::actor::Actor;
use crate::model::run::{Run, RunStatus, TargetRecord};
use crate::model::time::Time;
use crate::plan::conclusion::StartOutcome;
use crate::plan::rendering::{ReportView, TargetReport};
use crate::steps::error::{StepErrorKind, failure_message};

use super::lever_text::LeverView;

/// What `status` prints as JSON.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusView<'a> {
    /// The safety lever; null if it was never moved.
    pub(super) lever: Option<LeverView<'a>>,
    /// What the stack must not be deleted with: targets that are not restored, runs that are not closed, and entries that
    /// cannot be read. The options choose none of it.
    pub(super) armed: Vec<ArmedView>,
    /// The runs that the options choose.
    pub(super) runs: Vec<&'a ReportView>,
    /// The starts that left no run.
    pub(super) failed_starts: Vec<FailedStart>,
    /// The records that cannot be read; absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) unreadable: Vec<String>,
}

/// A target that is not restored, a run that is not closed, or an entry of the ledger that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ArmedView {
    /// All of it in one text, for display.
    text: String,
    /// The run; absent if the entry cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_id: Option<String>,
    /// The target's function, by name; absent if it is a whole run.
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<String>,
    /// The function's ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    arn: Option<String>,
    /// The status of the target or, without one, of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    /// When the run was created; RFC 3339. Absent if its record cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// What the inject or the restore of the target waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_for: Option<String>,
    /// Why the last attempt to restore the target failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    restore_error: Option<String>,
}

impl ArmedView {
    /// A run that is not closed.
    pub(super) fn run(view: &ReportView) -> Self {
        Self {
            text: format!("run {} ({})", view.run_id, view.status.name()),
            run_id: Some(view.run_id.clone()),
            status: Some(view.status.name()),
            since: Some(view.created_at.clone()).filter(|at| *at != Time(0).to_string()),
            ..Self::unreadable(String::new())
        }
    }

    /// A target that is not restored.
    pub(super) fn target(view: &ReportView, target: &TargetReport) -> Self {
        Self {
            text: format!("{} ({}, run {})", target.function, target.status.name(), view.run_id),
            function: Some(target.function.clone()),
            arn: Some(target.arn.clone()),
            status: Some(target.status.name()),
            waiting_for: target.waiting_for.clone(),
            restore_error: target.restore_error.clone(),
            ..Self::run(view)
        }
    }

    /// An entry that cannot be read.
    pub(super) fn unreadable(text: String) -> Self {
        Self {
            text,
            run_id: None,
            function: None,
            arn: None,
            status: None,
            since: None,
            waiting_for: None,
            restore_error: None,
        }
    }

    /// All of it in one text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
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
