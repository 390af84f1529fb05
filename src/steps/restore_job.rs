//! The restore of one target between its passes: the result of each pass, and what it leaves for the next one.
//!
//! A pass decides from a new observation. What is kept here only says when the next pass is and which calls may still
//! land.

use std::time::Duration;

use crate::model::names::FunctionArn;
use crate::model::run::{Run, TargetStatus};
use crate::ports::World;

use super::error::StepError;
use super::leased_writer::InDoubt;
use super::mappings::Orphans;
use super::schedule::NextPass;
use super::versions::Listing;
use super::waiting::Waiting;
use super::{Budget, POLL_INTERVAL};

/// Time until the next invocation observes a target that was not restored in this one.
const BACKOFF_POLL_INTERVAL: Duration = Duration::from_secs(10);
/// The longest time until the next invocation.
const MAX_RETRY_WAIT: Duration = Duration::from_secs(60);
/// How long to wait for another restore that holds the lease. Waits of at most this length happen within one
/// invocation.
pub(super) const LEASE_RETRY_WAIT: Duration = Duration::from_secs(2);

/// The result of a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestoreOutcome {
    /// The target has ended with this status.
    Ended(TargetStatus),
    /// The restore has to be retried.
    Pending {
        /// After this time.
        wait: Duration,
        /// What the restore waits for, if that is known.
        waiting_for: Option<String>,
    },
}

impl RestoreOutcome {
    pub(super) fn pending(wait: Duration, waiting_for: Option<String>) -> Self {
        Self::Pending { wait, waiting_for }
    }
}

/// The result of one pass.
pub(super) enum Reconciled {
    Ended(TargetStatus),
    /// Make another pass after this time at the earliest, with what the restore waits for, if that is known.
    Requeue(Duration, Option<String>),
    /// Make another pass after every target has had its first one.
    RequeueAfterFirsts,
}

impl Reconciled {
    pub(super) fn requeue(wait: Duration) -> Self {
        Self::Requeue(wait, None)
    }

    pub(super) fn requeue_because(wait: Duration, why: impl Into<String>) -> Self {
        Self::Requeue(wait, Some(why.into()))
    }
}

/// One target to restore, and its progress.
pub(super) struct Job<'a> {
    /// Its index among the targets.
    pub(super) at: usize,
    pub(super) run: &'a Run,
    pub(super) function: &'a FunctionArn,
    pub(super) result: Result<RestoreOutcome, StepError>,
    pub(super) memory: Memory,
}

/// What one pass leaves for the next one of the same invocation.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) in_doubt: InDoubt,
    pub(super) orphans: Orphans,
    pub(super) waiting: Waiting,
    pub(super) versions: Listing,
}

impl<'a> Job<'a> {
    pub(super) fn new(at: usize, run: &'a Run, function: &'a FunctionArn) -> Self {
        Self { at, run, function, result: Ok(RestoreOutcome::pending(POLL_INTERVAL, None)), memory: Memory::default() }
    }

    pub(super) fn after(mut self, pass: Result<Reconciled, StepError>) -> (Self, NextPass) {
        let next = match &pass {
            Ok(Reconciled::Ended(_)) | Err(_) => NextPass::Never,
            Ok(Reconciled::Requeue(wait, _)) => NextPass::After((*wait).max(POLL_INTERVAL)),
            Ok(Reconciled::RequeueAfterFirsts) => NextPass::AfterFirsts,
        };
        self.result = pass.map(|pass| match pass {
            Reconciled::Ended(status) => RestoreOutcome::Ended(status),
            Reconciled::Requeue(wait, why) => RestoreOutcome::pending(wait.max(POLL_INTERVAL), why),
            Reconciled::RequeueAfterFirsts => RestoreOutcome::pending(POLL_INTERVAL, None),
        });
        (self, next)
    }

    /// Records what the restore waits for, if the wait lasts.
    pub(super) async fn record_waiting(&mut self, world: &impl World, next: NextPass, budget: Budget) {
        let (NextPass::After(wait), Ok(RestoreOutcome::Pending { waiting_for, .. })) = (next, &self.result) else {
            return;
        };
        let is_last = !budget.allows(world.now() + wait);
        let target = self.run.target_key(self.function);
        self.memory.waiting.record(world, target, waiting_for.as_deref(), is_last).await;
    }
}

/// The next invocation polls an unfinished target less often, because an execution's history has a limited number of
/// events.
pub(super) fn back_off(restored: RestoreOutcome) -> RestoreOutcome {
    match restored {
        RestoreOutcome::Pending { wait, waiting_for } if wait <= LEASE_RETRY_WAIT => {
            RestoreOutcome::pending(BACKOFF_POLL_INTERVAL, waiting_for)
        }
        RestoreOutcome::Pending { wait, waiting_for } => RestoreOutcome::pending(wait.min(MAX_RETRY_WAIT), waiting_for),
        ended @ RestoreOutcome::Ended(_) => ended,
    }
}
