//! The port to the ledger: the record of runs, targets, locks and the safety lever.

use std::future::Future;

use crate::model::kept_metrics::KeptMetrics;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{
    Findings, Lease, Lever, Lock, Run, RunEnding, RunList, RunStatus, TargetEnding, TargetKey, TargetRecord,
};
use crate::model::snapshot::{Change, RemovedFault, Snapshot};
use crate::model::time::Time;

use super::{PortError, Retryable};

/// Why a call to the ledger failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Two transactions met on an item; nothing was written. This is normal; retry.
    #[error("another transaction is writing to the ledger")]
    Conflict,
    /// No response, throttling or an internal error: it may have been written.
    #[error("the ledger is unavailable: {0}")]
    Unavailable(String),
    /// Access denied, or no such table.
    #[error("the ledger cannot be used: {0}")]
    Unusable(String),
    /// A record is damaged, or has a form that this release does not know.
    #[error("{0}")]
    Unreadable(String),
}

impl PortError for LedgerError {
    fn retryable(&self) -> Retryable {
        match self {
            Self::Conflict | Self::Unavailable(_) => Retryable::SameCall,
            Self::Unusable(_) | Self::Unreadable(_) => Retryable::Never,
        }
    }
}

/// Returns a run that `stop_run` has read because its update was refused: the run was stopped before.
///
/// # Errors
/// `Conflict` if it can still be stopped: the update met no run, and `Prepare` has created this one since. The call is
/// repeated, and stops it.
pub fn stopped_before(run: Run) -> Result<Run, LedgerError> {
    if run.status.may_become(RunStatus::Stopping) { Err(LedgerError::Conflict) } else { Ok(run) }
}

/// Whether a guarded write was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum WriteOutcome {
    /// Its condition held and it is durable.
    Applied,
    /// Its condition did not hold; nothing was written.
    ConditionFailed,
}

/// A writer's right to change one function. Only a ledger grants it, once the lease is durable, and only for an armed
/// snapshot: injecting without one does not compile.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Permit {
    function: FunctionArn,
}

impl Permit {
    /// For the ledgers of this crate: the lease on this function is durable.
    pub(crate) fn granted(function: &FunctionArn) -> Self {
        Self { function: function.clone() }
    }

    /// The function that may be changed.
    #[must_use]
    pub fn function(&self) -> &FunctionArn {
        &self.function
    }
}

/// The record of runs, targets, locks and the safety lever. Every write may be repeated: after a lost response, the
/// caller repeats it and reads. What each write checks and sets is described once, in [`crate::model::guarded_write`].
pub trait Ledger {
    /// Writes a `Pending` run with its alarm items, if no run has this name and the lever is disengaged.
    fn create_run(&self, run: &Run) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Adds targets to a run that is `Pending`. Existing targets stay as they are.
    fn add_targets(
        &self,
        run: &RunId,
        functions: &[FunctionArn],
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Moves a run from `Pending` to `Running`.
    fn start_run(&self, run: &RunId) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Moves a run from `Pending` or `Running` to `Stopping`, with its `ending`, and returns the result. A run in another
    /// status is returned unchanged. So no run that is returned starts anything more. If there is no run, a `Failed` marker without targets is written and returned, so
    /// that a concurrent `Prepare` cannot start it.
    fn stop_run(
        &self,
        run: &RunId,
        ending: &RunEnding,
        now: Time,
    ) -> impl Future<Output = Result<Run, LedgerError>> + Send;

    /// Sets when the duration ends, once; returns the resulting run.
    fn begin_observing(&self, run: &RunId, ends_at: Time) -> impl Future<Output = Result<Run, LedgerError>> + Send;

    /// Records the findings of the report, after the restore.
    fn record_findings(&self, run: &RunId, findings: &Findings)
    -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Moves a run from `Stopping` to a final status.
    fn close_run(
        &self,
        run: &RunId,
        status: RunStatus,
        now: Time,
    ) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Removes a final run and its alarm items from the list of active ones, sets its expiry, and deletes the values of
    /// variables that its experiment sets. Only for a run whose targets are all final. Adds it to the runs whose metrics
    /// and page are still to be kept.
    fn retire_run(&self, run: &Run, now: Time) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Every retired run whose metrics or page are still to be kept.
    fn runs_awaiting_metrics(&self) -> impl Future<Output = Result<RunList, LedgerError>> + Send;

    /// Stores the metrics of a run that has none yet; the first ones stay.
    fn keep_metrics(
        &self,
        run: &RunId,
        metrics: &KeptMetrics,
        now: Time,
    ) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Removes a run from the list of those whose metrics or page are still to be kept.
    fn end_keeping(&self, run: &RunId) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// The metrics of a run, if they were kept. Of a record that cannot be read, the reason is in
    /// [`KeptMetrics::missing`].
    fn kept_metrics(&self, run: &RunId) -> impl Future<Output = Result<Option<KeptMetrics>, LedgerError>> + Send;

    /// A run. Of one that another release has written, what this release can read: see [`Run::unread`].
    fn run(&self, run: &RunId) -> impl Future<Output = Result<Option<Run>, LedgerError>> + Send;

    /// All targets of a run, in the order of their ARNs, even if the run's own record is missing or cannot be read.
    fn targets(&self, run: &RunId) -> impl Future<Output = Result<Vec<TargetRecord>, LedgerError>> + Send;

    /// One target of a run.
    fn target(&self, target: TargetKey<'_>) -> impl Future<Output = Result<Option<TargetRecord>, LedgerError>> + Send;

    /// Every run that is not retired.
    fn active_runs(&self) -> impl Future<Output = Result<RunList, LedgerError>> + Send;

    /// The runs that are not retired, or hold a lock, and are missing in the list of active runs. Only damage causes that.
    /// Reads the whole ledger, item after item, so a run that is created or retired concurrently can be among them.
    fn unlisted_runs(&self) -> impl Future<Output = Result<Vec<RunId>, LedgerError>> + Send;

    /// Enters a run in the list of active runs again.
    fn relist_run(&self, run: &RunId) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Every run that the ledger still holds, newest first; in the place of one that cannot be read,
    /// [`Run::unreadable`].
    fn all_runs(&self) -> impl Future<Output = Result<Vec<Run>, LedgerError>> + Send;

    /// The runs that this alarm ends.
    fn runs_of_alarm(&self, alarm_arn: &str) -> impl Future<Output = Result<RunList, LedgerError>> + Send;

    /// A function's lock or tombstone.
    fn lock(&self, function: &FunctionArn) -> impl Future<Output = Result<Option<Lock>, LedgerError>> + Send;

    /// Takes a function's lock for a run that is `Running`, and returns the resulting lock: the run's own, taken now or
    /// before, or another run's. `None` if the run is not running.
    fn take_lock(&self, target: TargetKey<'_>) -> impl Future<Output = Result<Option<Lock>, LedgerError>> + Send;

    /// Stores a snapshot: the target moves from `Pending`, or from `Armed` if no inject has begun, to `Armed`, while
    /// the run is `Running` and holds the lock. A rehearsal of an earlier snapshot no longer counts.
    fn arm(
        &self,
        target: TargetKey<'_>,
        snapshot: &Snapshot,
    ) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Records that the role that restores can read all that a restore of `planned` needs. The target must be `Armed`
    /// with that snapshot, and the run `Running`.
    fn mark_rehearsed(
        &self,
        target: TargetKey<'_>,
        planned: &[Change],
    ) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Records a lease for an inject: the target moves from `Armed` or `Injecting` to `Injecting`. The run must be
    /// `Running`; the snapshot must be `planned`, on which the writes were decided, and rehearsed. No permit while
    /// another inject's lease runs, or a later one of the same holder.
    fn begin_inject(
        &self,
        target: TargetKey<'_>,
        planned: &[Change],
        lease: &Lease,
        now: Time,
    ) -> impl Future<Output = Result<Option<Permit>, LedgerError>> + Send;

    /// Records that the fault was seen in place: `Injecting` to `Injected`, while the run is `Running`.
    fn mark_injected(&self, target: TargetKey<'_>) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Records a lease for a restore: any status that is not final, `Pending` excepted, to `Restoring`. No permit while
    /// another restore's lease runs, or a later one of the same holder. No permit for a run that does not hold the
    /// function's lock: its record is not about the function as it is now.
    fn begin_restore(
        &self,
        target: TargetKey<'_>,
        lease: &Lease,
        now: Time,
    ) -> impl Future<Output = Result<Option<Permit>, LedgerError>> + Send;

    /// Shortens a lease to `until`. Its holder must have no call in flight. Matches kind, holder and end, so a late
    /// retry never shortens a newer lease of the same holder.
    fn shorten_lease(
        &self,
        target: TargetKey<'_>,
        lease: &Lease,
        until: Time,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Moves a target to a final status and turns its lock, if this run holds it, into a tombstone, both or neither.
    /// `ConditionFailed` if a lease ran at or after the observation that the ending was decided on.
    fn end_target(
        &self,
        ending: &TargetEnding,
        now: Time,
    ) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Records why a restore failed, for the report and the alarm; not for a target that is final.
    fn record_restore_error(
        &self,
        target: TargetKey<'_>,
        why: &str,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Records what an inject or a restore of this target waits for; `None` is nothing. Not for a target that is final.
    /// The next change of its status clears it.
    fn record_waiting(
        &self,
        target: TargetKey<'_>,
        why: Option<&str>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Adds fields whose fault was removed outside the run; of each field, the first record stays. Only for a target
    /// that is `Injected`: once a restore of the run has begun, the restore itself removes faults.
    fn record_removed_faults(
        &self,
        target: TargetKey<'_>,
        seen: &[RemovedFault],
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// The safety lever.
    fn lever(&self) -> impl Future<Output = Result<Option<Lever>, LedgerError>> + Send;

    /// Moves the safety lever, and returns it. One that is in that position already stays as it is, with its time and its
    /// reason, and is returned.
    fn set_lever(&self, lever: &Lever) -> impl Future<Output = Result<Lever, LedgerError>> + Send;
}
