//! The status of a run, and the reason for which it ends.

use serde::{Deserialize, Serialize};

use crate::model::actor::Actor;

/// The status of a run; the words are those of AWS FIS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum RunStatus {
    /// The run is being recorded, and no function is changed.
    Pending,
    /// The run is arming, injecting or observing.
    Running,
    /// The run is being rolled back.
    Stopping,
    /// The run was ended early by an alarm, a deviation, a user or the safety lever.
    Stopped,
    /// The run ended at the end of its duration.
    Completed,
    /// The run ended with an error, or a target could not be restored yet.
    Failed,
}

impl RunStatus {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Stopping, Self::Stopped, Self::Completed, Self::Failed];

    /// The transition table: whether a run may move from `self` to `next`.
    #[must_use]
    pub fn may_become(self, next: RunStatus) -> bool {
        use RunStatus::{Completed, Failed, Pending, Running, Stopped, Stopping};
        matches!(
            (self, next),
            (Pending, Running) | (Pending | Running, Stopping) | (Stopping, Stopped | Completed | Failed)
        )
    }

    /// Whether the status never changes again.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Stopped | Self::Completed | Self::Failed)
    }

    /// The name in the ledger and in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// The reason for which a run ends. The first reason stays. Some reasons are stored under older names, which every
/// release can read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum EndReason {
    /// The duration has elapsed.
    DurationElapsed,
    /// A stop condition's alarm went into ALARM.
    Alarm {
        /// The alarm's name.
        alarm: String,
    },
    /// A stop condition's alarm was deleted during the run, so it can no longer end the run.
    #[serde(rename = "alarmGone")]
    AlarmDeleted {
        /// The alarm's name.
        alarm: String,
    },
    /// The steady state deviated during the run.
    Deviated {
        /// The condition.
        condition: String,
    },
    /// A user stopped the run.
    #[serde(rename = "person")]
    UserRequest,
    /// The safety lever was engaged.
    #[serde(rename = "lever")]
    SafetyLever,
    /// A task failed.
    Error {
        /// The error's stable name.
        error: String,
        /// The error's text.
        cause: String,
    },
    /// The execution was stopped or timed out, so that no Catch ran.
    #[serde(rename = "executionGone")]
    ExecutionStopped,
    /// The run was past its end, and its execution had not ended it.
    Overdue,
}

impl EndReason {
    /// Returns the status of a run that ends for this reason, once its targets are restored.
    #[must_use]
    pub fn final_status(&self) -> RunStatus {
        match self {
            Self::DurationElapsed => RunStatus::Completed,
            Self::Alarm { .. }
            | Self::AlarmDeleted { .. }
            | Self::Deviated { .. }
            | Self::UserRequest
            | Self::SafetyLever => RunStatus::Stopped,
            Self::Error { .. } | Self::ExecutionStopped | Self::Overdue => RunStatus::Failed,
        }
    }
}

impl std::fmt::Display for EndReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DurationElapsed => f.write_str("its duration has elapsed"),
            Self::Alarm { alarm } => write!(f, "alarm {alarm} went into ALARM"),
            Self::AlarmDeleted { alarm } => write!(f, "its alarm {alarm} was deleted"),
            Self::Deviated { condition } => write!(f, "the steady state deviated: {condition}"),
            Self::UserRequest => f.write_str("stopped by a user"),
            Self::SafetyLever => f.write_str("the safety lever was engaged"),
            Self::Error { error, cause } => write!(f, "{error}: {cause}"),
            Self::ExecutionStopped => f.write_str("its execution was stopped or timed out"),
            Self::Overdue => f.write_str("it was past its end, but its execution had not ended it"),
        }
    }
}

/// Why a run ends, and who ends it. The first one stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunEnding {
    /// Why.
    pub reason: EndReason,
    /// Who; `None` if it is not known.
    pub by: Option<Actor>,
}

impl RunEnding {
    /// An ending by this actor.
    #[must_use]
    pub fn by(reason: EndReason, by: Option<Actor>) -> Self {
        Self { reason, by }
    }
}

/// An ending by snapback itself, unless the reason is the act of another one, who is then unknown.
impl From<EndReason> for RunEnding {
    fn from(reason: EndReason) -> Self {
        let by = match reason {
            EndReason::DurationElapsed
            | EndReason::AlarmDeleted { .. }
            | EndReason::Deviated { .. }
            | EndReason::Error { .. }
            | EndReason::Overdue => Some(Actor::snapback()),
            EndReason::Alarm { .. } | EndReason::UserRequest | EndReason::SafetyLever | EndReason::ExecutionStopped => {
                None
            }
        };
        Self { reason, by }
    }
}
