//! A run, its targets, and the transitions between their statuses.
//!
//! The transition tables here are the only ones: the conditions of the ledger's writes are made from them (see
//! [`crate::model::guarded_write`]).

mod record;
mod status;
mod stored;
mod target;

use serde::{Deserialize, Serialize};

use super::actor::Actor;
use super::names::{LeverReason, RunId};
use super::time::Time;

pub use record::{Findings, Run};
pub use status::{EndReason, RunEnding, RunStatus};
pub use stored::read_reason;
pub use target::{Lease, LeaseKind, Lock, TargetEnding, TargetKey, TargetRecord, TargetStatus};

/// The runs in a list of the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunList {
    /// The runs.
    pub runs: Vec<RunId>,
    /// The entries that are not run IDs, unchanged.
    pub unreadable: Vec<String>,
}

/// The safety lever. While it is engaged, nothing starts, and active runs are rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lever {
    /// Whether it is engaged.
    pub engaged: bool,
    /// When it was last moved.
    pub since: Time,
    /// The reason that the user gave who moved it.
    pub reason: String,
    /// Who moved it; `None` if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
}

impl Lever {
    /// The ending of a run that this lever ends: by the one who moved it, and for their reason. The run keeps both, because the
    /// lever's reason is replaced when it is moved again.
    #[must_use]
    pub fn ending(&self) -> RunEnding {
        let by = self.by.clone().unwrap_or_else(Actor::unnamed_lever);
        let reason = LeverReason::try_from(self.reason.as_str()).ok().or_else(|| by.reason.clone());
        RunEnding::by(EndReason::SafetyLever, Some(Actor { reason, ..by }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_a_final_status() {
        use RunStatus::{Completed, Failed, Pending, Running, Stopped, Stopping};
        for last in [Stopped, Completed, Failed] {
            for next in [Pending, Running, Stopping, Stopped, Completed, Failed] {
                assert!(!last.may_become(next), "{last:?} to {next:?}");
            }
        }
        use TargetStatus as T;
        for last in [T::Restored, T::Drifted, T::Deleted, T::Untouched] {
            for next in [T::Pending, T::Armed, T::Injecting, T::Injected, T::Restoring, T::Restored] {
                assert!(!last.may_become(next), "{last:?} to {next:?}");
            }
        }
    }

    #[test]
    fn every_ending_goes_through_stopping() {
        assert!(!RunStatus::Running.may_become(RunStatus::Completed));
        assert!(!RunStatus::Pending.may_become(RunStatus::Failed));
        assert!(!TargetStatus::Armed.may_become(TargetStatus::Injected));
    }
}
