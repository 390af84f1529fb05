//! What the tasks do: each step carries a plan out through the ports, and nothing more.
//!
//! # The bounds
//! What AWS gives no guard for is closed by leases, and a lease is as good as these assumptions. They are stated here,
//! and the simulated world respects them and nothing more.

pub mod arm;
pub mod effect;
pub mod error;
pub mod facts;
pub mod inject;
mod mappings;
pub mod observe;
pub mod prepare;
pub mod rate_limiter;
pub mod reap;
pub mod rehearse;
pub mod report;
pub mod restore;
pub mod retry;
pub mod rollback;
mod sample;
mod schedule;
pub mod steady_state;
mod versions;
pub mod waiting;

use crate::model::run::{Lease, LeaseKind};
use crate::model::snapshot::Write;
use crate::model::time::Time;

/// Seconds for which a read of AWS may miss a write that has landed. No page gives a figure; inferred.
pub const STALENESS: i64 = 5;
/// Seconds for which a call may still land after its caller has died or given up. Inferred.
pub const LANDING: i64 = 10;
/// Seconds by which two clocks may differ.
pub const SKEW: i64 = 2;
/// Seconds that one attempt of one call may take; it is given up then. Shorter than [`LANDING`], so that a call that was
/// given up lands within that bound or not at all.
pub const ATTEMPT: i64 = 8;
/// Attempts that AWS's client makes of a read before the step's own retries.
pub const READ_ATTEMPTS: u32 = 3;
/// Seconds for which calls may start under one lease. What has not been sent by then needs another lease, so that a
/// worker that lives for many minutes and dies keeps nobody waiting for them.
pub const WINDOW: i64 = 10;
/// Seconds that a lease runs: the calls that start in its window, each with its attempt, the ones that land after their
/// caller's death, the reads that miss them, and clocks that differ.
pub const LEASE: i64 = WINDOW + ATTEMPT + LANDING + STALENESS + SKEW;
/// Seconds that an invocation keeps for itself at its end: no call that changes a function starts in them.
pub const RESERVE: i64 = 2;
/// Seconds after its end at which nobody but the reaper will end a run.
pub const GRACE: i64 = 60;
/// Seconds between two looks at a function within one invocation.
pub const LOOK_EVERY: u64 = 1;
/// Functions that one worker handles at once, in each of its lanes: Lambda takes 15 control-plane calls a second for the
/// whole account, and at half a second for a function's calls, eight at once come up to that.
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

    /// A lease to be taken now, and until when calls may start under it.
    #[must_use]
    pub fn window(self, kind: LeaseKind, holder: &str, now: Time) -> Window {
        // The lease is not cut where the invocation ends sooner: then two of the same holder would end at the same
        // moment, and `settle` could not tell them apart.
        let lease = Lease { kind, holder: holder.to_owned(), until: now.plus(LEASE) };
        Window { lease, last_call: self.last_call().min(now.plus(WINDOW)) }
    }

    /// Whether there is time for another look.
    #[must_use]
    pub fn allows(self, now: Time) -> bool {
        now.plus(LOOK_EVERY.cast_signed() + RESERVE) < self.deadline
    }
}

/// One window of writing: made right before the lease is taken, for it runs from there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The lease.
    pub lease: Lease,
    /// No call starts under it after this.
    pub last_call: Time,
}

/// Whether a write was decided on a revision that our own calls have moved since. AWS does not say whether setting the
/// reserved concurrency gives the function a new revision, so a configuration update waits for the next look; sent at
/// once, it could be refused (412) for nothing.
fn is_overtaken(landed: &[Write], write: &Write) -> bool {
    matches!(write, Write::Configuration(_)) && landed.iter().any(|landed| matches!(landed, Write::Concurrency(_)))
}
