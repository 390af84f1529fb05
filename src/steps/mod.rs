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

use std::time::Duration;

use crate::model::run::{Lease, LeaseKind};
use crate::model::snapshot::Write;
use crate::model::time::Time;

/// How long a read of AWS may miss a write that has landed. No page gives a figure; inferred.
pub const MAX_READ_STALENESS: Duration = Duration::from_secs(5);
/// How long after its caller has died or given up a call may still land. Inferred.
pub const MAX_LANDING_DELAY: Duration = Duration::from_secs(10);
/// By how much two clocks may differ.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(2);
/// After this time, one attempt of one call is given up. Shorter than [`MAX_LANDING_DELAY`], so that a call that was given
/// up lands within that bound or not at all.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);
/// Attempts that AWS's client makes of a read before the step's own retries.
pub const READ_ATTEMPTS: u32 = 3;
/// How long calls may start under one lease. What has not been sent by then needs another lease, so that a worker that
/// lives for many minutes and dies delays others only for this long.
pub const WRITE_WINDOW: Duration = Duration::from_secs(10);
/// How long a lease runs: the calls that start in its window, each with its attempt, the calls that land after their
/// caller's death, the reads that miss them, and clocks that differ.
pub const LEASE_DURATION: Duration = WRITE_WINDOW
    .saturating_add(ATTEMPT_TIMEOUT)
    .saturating_add(MAX_LANDING_DELAY)
    .saturating_add(MAX_READ_STALENESS)
    .saturating_add(MAX_CLOCK_SKEW);
/// What an invocation reserves for its end: no call that changes a function starts in this time.
pub const INVOCATION_RESERVE: Duration = Duration::from_secs(2);
/// How long after its expected end a run is left to its execution; then the reaper ends it.
pub const OVERDUE_GRACE: Duration = Duration::from_secs(60);
/// Time between two observations of a function within one invocation.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Functions that one worker handles concurrently in each of its lanes. Lambda allows 15 control-plane requests per second
/// for the whole account; at half a second for a function's calls, eight functions reach that rate.
pub const MAX_CONCURRENCY: usize = 8;

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
        self.deadline - INVOCATION_RESERVE
    }

    /// A lease to be taken now, and until when calls may start under it.
    #[must_use]
    pub fn window(self, kind: LeaseKind, holder: &str, now: Time) -> Window {
        // The lease is not cut where the invocation ends sooner: then two of the same holder would end at the same
        // moment, and `settle` could not tell them apart.
        let lease = Lease { kind, holder: holder.to_owned(), until: now + LEASE_DURATION };
        Window { lease, last_call: self.last_call().min(now + WRITE_WINDOW) }
    }

    /// Whether there is time for another look.
    #[must_use]
    pub fn allows(self, now: Time) -> bool {
        now + POLL_INTERVAL + INVOCATION_RESERVE < self.deadline
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
