//! What the tasks do: each step carries a plan out through the ports, and nothing more.
//!
//! # The bounds
//! What AWS gives no guard for is closed by leases, and a lease is as good as these assumptions. They are stated here,
//! and the simulated world respects them and nothing more.

pub mod arm;
pub mod error;
pub mod inject;
pub mod observe;
pub mod prepare;
pub mod reap;
pub mod report;
pub mod restore;
pub mod retry;
pub mod rollback;
pub mod steady_state;
pub mod survey;

use crate::model::run::Lease;
use crate::model::snapshot::Write;
use crate::model::time::Time;

/// Seconds for which a read of AWS may miss a write that has landed. No page gives a figure; inferred.
pub const STALENESS: i64 = 5;
/// Seconds for which a call may still land after its caller has died or given up. Inferred.
pub const LANDING: i64 = 10;
/// Seconds by which two clocks may differ.
pub const SKEW: i64 = 2;
/// Seconds that an invocation keeps for itself at its end: no call that changes a function starts in them.
pub const RESERVE: i64 = 2;
/// Seconds after its end at which nobody but the reaper will end a run.
pub const GRACE: i64 = 60;
/// Seconds between two looks at a function within one invocation.
pub const LOOK_EVERY: u64 = 1;
/// Functions that one worker handles at once: Lambda takes 15 control-plane calls a second for the whole account.
pub const AT_ONCE: usize = 8;

/// How long a step may take: until its invocation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// When the invocation is killed.
    pub deadline: Time,
}

impl Budget {
    /// No call that changes a function starts after this.
    #[must_use]
    pub fn last_call(self) -> Time {
        self.deadline.plus(-RESERVE)
    }

    /// A lease that covers every call of this invocation, the ones that land after its death included.
    #[must_use]
    pub fn lease(self, holder: &str) -> Lease {
        Lease { holder: holder.to_owned(), until: self.deadline.plus(LANDING + STALENESS + SKEW) }
    }

    /// Whether there is time for another look.
    #[must_use]
    pub fn allows(self, now: Time) -> bool {
        now.plus(LOOK_EVERY.cast_signed() + RESERVE) < self.deadline
    }
}

/// Whether a write was decided on a revision that our own calls have moved since. AWS does not say whether setting the
/// reserved concurrency gives the function a new revision, so a configuration update waits for the next look; sent at
/// once, it could be refused (412) for nothing.
fn is_overtaken(landed: &[Write], write: &Write) -> bool {
    matches!(write, Write::Configuration(_)) && landed.iter().any(|landed| matches!(landed, Write::Concurrency(_)))
}
