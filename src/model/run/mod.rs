//! A run, its targets, and which moves they may make.
//!
//! The transition tables here are the only list of what may follow on what: the conditions of the ledger's writes are
//! made from them (see [`crate::model::guarded_write`]).

mod record;
mod status;
mod stored;
mod target;

use serde::{Deserialize, Serialize};

use super::names::RunId;
use super::time::Time;

pub use record::{Findings, Run};
pub use status::{EndReason, RunStatus};
pub use stored::read_reason;
pub use target::{Lease, LeaseKind, Lock, TargetEnding, TargetKey, TargetRecord, TargetStatus};

/// The runs that a list of the ledger names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunList {
    /// The runs.
    pub runs: Vec<RunId>,
    /// The entries that name no run that this release can read, as they are.
    pub unreadable: Vec<String>,
}

/// The safety lever. Engaged, nothing starts, and what runs is rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lever {
    /// Whether it is engaged.
    pub engaged: bool,
    /// Since when.
    pub since: Time,
    /// Why, as the user who moved it put it.
    pub reason: String,
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
