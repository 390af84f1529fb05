//! The steps of a run. Each carries a plan out through the ports.
//!
//! # Flow
//! Prepare, Arm, Rehearse, Inject, Observe, Restore, Report: the state machine calls them in this order. `rollback`
//! restores whole runs from outside this order, and `reap` ends every run that its execution does not end. All of them
//! restore with [`restore::restore_all`].
//!
//! # Guarantees
//! - A step can be repeated, and can be interrupted between any two calls. Each module says why.
//! - Nothing is injected without a durable snapshot, a rehearsed restore and a durable lease: only a ledger grants the
//!   [`crate::ports::Permit`] that a write to a function needs.
//! - A target is called restored only after an observation that was made after every lease had expired.
//!
//! # Assumptions
//! AWS has no conditional write for the reserved concurrency or for event source mappings, so leases protect them. A
//! lease holds as long as the constants of this module are true of AWS and of clocks. The simulated world uses each of
//! them to its limit and never exceeds it.
//!
//! # Errors
//! A step fails with a [`error::StepError`]. `Unavailable` is transient: the state machine or the reaper repeats the
//! step. Any other error before the restore ends the run, and its targets are restored.

pub mod arm;
pub mod effect;
pub mod error;
pub mod facts;
pub mod inject;
pub mod keep_reports;
mod leased_writer;
mod mappings;
pub mod observe;
mod partial_updates;
pub mod prepare;
pub mod rate_limiter;
pub mod reap;
pub mod rehearse;
pub mod report;
pub mod restore;
mod restore_job;
pub mod retry;
pub mod rollback;
pub mod run_targets;
mod sample;
mod schedule;
pub mod steady_state;
pub mod step_status;
mod versions;
pub mod waiting;

use std::time::Duration;

use crate::model::time::Time;

pub use leased_writer::Window;

/// How long a read of AWS may miss a write that has landed. No page gives a figure; inferred.
pub const MAX_READ_STALENESS: Duration = Duration::from_secs(5);
/// How long after its caller has died or given up a call may still land. Inferred.
pub const MAX_LANDING_DELAY: Duration = Duration::from_secs(10);
/// By how much two clocks may differ.
pub const MAX_CLOCK_SKEW: Duration = Duration::from_secs(2);
/// After this time, one attempt of one call is given up. Shorter than [`MAX_LANDING_DELAY`], so that a call that was
/// given up lands within that bound or not at all.
pub const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(8);
/// Attempts that AWS's client makes of a read before the step's own retries.
pub const READ_ATTEMPTS: u32 = 3;
/// How long calls may start under one lease. What has not been sent until its end needs another lease, so that a worker
/// that lives for many minutes and dies delays others only for this long.
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
/// The number of functions that one worker handles concurrently in each of its lanes. More would not be faster: eight
/// already reach Lambda's rate limit of control-plane requests for the whole account (see `rate_limiter`).
pub const MAX_CONCURRENCY: usize = 8;

/// The time that a step has: until its invocation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// When the invocation is killed.
    pub deadline: Time,
}

impl Budget {
    /// The last moment at which a call that changes a function may start.
    #[must_use]
    pub fn last_call(self) -> Time {
        self.deadline - INVOCATION_RESERVE
    }

    /// Whether there is time for another pass.
    #[must_use]
    pub fn allows(self, now: Time) -> bool {
        now + POLL_INTERVAL + INVOCATION_RESERVE < self.deadline
    }
}
