//! A notice: what snapback tells the outside world about one transition of a run, of a target or of the safety lever.
//!
//! It is the detail of an event on an event bus, and `docs/events.md` describes it. It names functions, alarms and
//! fields, and never has the value of a variable: its types have no place for one.

use serde::Serialize;

use super::actor::Actor;
use super::names::{FunctionArn, RunId};
use super::run::{EndReason, Lever, Run, RunStatus, TargetRecord};
use super::snapshot::Drift;
use super::time::Time;

/// The source of snapback's own events.
pub const SOURCE: &str = "snapback";
/// The most entries of a list in a notice. An event must stay below 256 KB
/// (eventbridge/latest/userguide/eb-putevents), and a target can have hundreds of drifted variables.
pub const MAX_LISTED: usize = 100;
/// The most characters of a text that snapback has not written itself, such as an error of AWS.
pub const MAX_TEXT_CHARS: usize = 1_000;

/// A write to the ledger that may be a transition: an item before and after it.
#[derive(Clone, Debug, PartialEq)]
pub enum LedgerChange {
    /// A run.
    Run {
        /// Before; `None` if the write has created it.
        old: Option<Box<Run>>,
        /// After. A run with many targets has its body in another item, so here it has no experiment.
        new: Box<Run>,
        /// The experiment's name.
        experiment: Option<String>,
    },
    /// A target.
    Target {
        /// Before; `None` if the write has created it.
        old: Option<Box<TargetRecord>>,
        /// After.
        new: Box<TargetRecord>,
    },
    /// The safety lever.
    Lever {
        /// Before; `None` if it was never moved.
        old: Option<Box<Lever>>,
        /// After.
        new: Box<Lever>,
    },
}

/// Where and when the ledger recorded a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The prefix of the stack.
    pub stack: String,
    /// When the write was made.
    pub written_at: Time,
    /// The write's number in the ledger's stream. It tells apart transitions that can happen again.
    pub sequence_number: String,
}

/// The detail of an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(title = "The detail of snapback's events"))]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// Identifies the transition: an event that is delivered twice has the same ID twice.
    pub id: String,
    /// The stack's Prefix parameter.
    pub stack: String,
    /// When the transition happened, in RFC 3339.
    pub time: String,
    /// The event in one sentence, for people.
    pub summary: String,
    /// The transition.
    #[serde(flatten)]
    pub transition: Transition,
}

/// A transition that people care about. `type` equals the event's detail type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all_fields = "camelCase")]
pub enum Transition {
    /// A run has passed the guardrails and starts to arm its targets.
    #[serde(rename = "Run Started")]
    RunStarted {
        /// The run.
        #[serde(flatten)]
        run: RunName,
        /// The latest time at which the run ends, in RFC 3339.
        #[serde(skip_serializing_if = "Option::is_none")]
        deadline: Option<String>,
    },
    /// Every target is injected, and the experiment's duration has begun.
    #[serde(rename = "Run Observing")]
    RunObserving {
        /// The run.
        #[serde(flatten)]
        run: RunName,
        /// When the duration ends, in RFC 3339.
        ends_at: String,
    },
    /// The rollback of a run has begun.
    #[serde(rename = "Run Stopping")]
    RunStopping {
        /// The run.
        #[serde(flatten)]
        run: RunName,
        /// Why it ends.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<NoticeReason>,
        /// Who ends it, as the sender states it.
        #[serde(skip_serializing_if = "Option::is_none")]
        ended_by: Option<Actor>,
    },
    /// A run is closed.
    #[serde(rename = "Run Ended")]
    RunEnded {
        /// The run.
        #[serde(flatten)]
        run: RunName,
        /// How it ended. `failed` also means that a target was not restored yet.
        status: EndStatus,
        /// Why it ended.
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<NoticeReason>,
        /// Who ended it, as the sender states it.
        #[serde(skip_serializing_if = "Option::is_none")]
        ended_by: Option<Actor>,
        /// The conditions of the steady state that deviated after the restore; empty if it held. Absent without a
        /// steady state, and if it was not checked.
        #[serde(skip_serializing_if = "Option::is_none")]
        deviations: Option<Vec<String>>,
        /// Why nothing shows that the faults took effect; absent if something shows it, and if it was not checked.
        #[serde(skip_serializing_if = "Option::is_none")]
        effect: Option<String>,
    },
    /// Every touched field of a target has its original value again.
    #[serde(rename = "Target Restored")]
    TargetRestored {
        /// The target.
        #[serde(flatten)]
        target: TargetName,
        /// Versions that were published during the run and keep the fault.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        frozen_versions: Vec<String>,
    },
    /// A target is restored, except for fields that changed outside the run.
    #[serde(rename = "Target Drifted")]
    TargetDrifted {
        /// The target.
        #[serde(flatten)]
        target: TargetName,
        /// The fields that were left as they are.
        drift: Vec<DriftedField>,
        /// Versions that were published during the run and keep the fault.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        frozen_versions: Vec<String>,
    },
    /// The function was deleted during the run.
    #[serde(rename = "Target Deleted")]
    TargetDeleted {
        /// The target.
        #[serde(flatten)]
        target: TargetName,
    },
    /// An attempt to restore a target has failed. snapback tries again.
    #[serde(rename = "Restore Failed")]
    RestoreFailed {
        /// The target.
        #[serde(flatten)]
        target: TargetName,
        /// Why it failed.
        error: String,
    },
    /// The safety lever was engaged or disengaged.
    #[serde(rename = "Lever Moved")]
    LeverMoved {
        /// Whether it is engaged now.
        engaged: bool,
        /// The reason that the user gave who moved it.
        reason: String,
        /// Who moved it, as the sender states it.
        #[serde(skip_serializing_if = "Option::is_none")]
        moved_by: Option<Actor>,
    },
}

/// The name of a run and of its experiment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RunName {
    /// The run's ID, which is the name of its execution.
    pub run_id: RunId,
    /// The experiment's name. Absent if the run was stopped before it was recorded, or if it cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment: Option<String>,
    /// Who started it, as the sender states it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_by: Option<Actor>,
}

/// The name of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TargetName {
    /// The run's ID.
    pub run_id: RunId,
    /// The function's ARN.
    pub function: FunctionArn,
}

/// A field that was left as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct DriftedField {
    /// Which field.
    pub field: String,
    /// The original, the injected and the current value; none of variables.
    pub note: String,
}

impl From<&Drift> for DriftedField {
    fn from(drift: &Drift) -> Self {
        Self { field: drift.field.clone(), note: drift.note.clone() }
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum EndStatus {
    /// At the end of its duration.
    Completed,
    /// Early: by an alarm, a deviation, a user or the safety lever.
    Stopped,
    /// With an error, or before every target was restored.
    Failed,
}

impl EndStatus {
    /// Returns the end of a run with this status, if the status is final.
    #[must_use]
    pub fn of(status: RunStatus) -> Option<Self> {
        match status {
            RunStatus::Completed => Some(Self::Completed),
            RunStatus::Stopped => Some(Self::Stopped),
            RunStatus::Failed => Some(Self::Failed),
            RunStatus::Pending | RunStatus::Running | RunStatus::Stopping => None,
        }
    }
}

/// Why a run ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct NoticeReason {
    /// The kind of the reason.
    pub kind: ReasonKind,
    /// The reason in words.
    pub text: String,
    /// The alarm's name, if an alarm is the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
}

/// The kind of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum ReasonKind {
    /// The duration has elapsed.
    DurationElapsed,
    /// A stop condition's alarm went into ALARM.
    Alarm,
    /// A stop condition's alarm was deleted during the run.
    AlarmDeleted,
    /// The steady state deviated during the run.
    Deviated,
    /// A user stopped the run.
    UserRequest,
    /// The safety lever was engaged.
    SafetyLever,
    /// A task failed.
    Error,
    /// The execution was stopped or timed out.
    ExecutionStopped,
    /// The run was past its end.
    Overdue,
}

impl From<&EndReason> for ReasonKind {
    fn from(reason: &EndReason) -> Self {
        match reason {
            EndReason::DurationElapsed => Self::DurationElapsed,
            EndReason::Alarm { .. } => Self::Alarm,
            EndReason::AlarmDeleted { .. } => Self::AlarmDeleted,
            EndReason::Deviated { .. } => Self::Deviated,
            EndReason::UserRequest => Self::UserRequest,
            EndReason::SafetyLever => Self::SafetyLever,
            EndReason::Error { .. } => Self::Error,
            EndReason::ExecutionStopped => Self::ExecutionStopped,
            EndReason::Overdue => Self::Overdue,
        }
    }
}
