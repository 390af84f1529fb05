//! The ports: what the steps need from AWS, from the ledger and from a clock. `aws` implements them on AWS, and `testing` in
//! the simulated world.
//!
//! # Flow
//! A step reads through [`Functions`] and [`Ledger`] and decides with `plan`. It records a lease with
//! [`Ledger::begin_inject`] or [`Ledger::begin_restore`], and writes with the [`Permit`] that it gets for that.
//!
//! # Guarantees
//! Each method's documentation states what holds when it returns. A caller relies on that and on nothing else.
//! - Reads of the ledger are consistent. Its writes are conditional, atomic, and durable when they return.
//! - [`Functions::write`] makes one attempt of one call. Every other call may be repeated.
//!
//! # Assumptions
//! A read of a function may be stale, and a call may land after its caller gave up; the bounds are the constants of
//! [`crate::steps`].
//!
//! # Errors
//! Each service has its own error type. Only [`PortError::retryable`] decides when a failed call is worth another try. No
//! error's text carries the value of a variable.

use std::future::Future;
use std::time::Duration;

use crate::model::facts::{AccountConcurrency, AlarmFact, Alias, CodeSigning, LayerFact, RuntimeUpdates};
use crate::model::function::{MappingState, Observation, Tags};
use crate::model::names::{AlarmName, FunctionArn, LayerVersionArn, MappingId, RunId};
use crate::model::run::{
    EndReason, Findings, Lease, Lever, Lock, Run, RunList, RunStatus, TargetEnding, TargetKey, TargetRecord,
};
use crate::model::snapshot::{Change, RemovedFault, Snapshot, Write};
use crate::model::steady_state::Metric;
use crate::model::time::Time;

/// Everything that a step may reach.
pub trait World: Functions + Ledger + Alarms + Executions + Clock + Stack + Send + Sync {}

impl<T: Functions + Ledger + Alarms + Executions + Clock + Stack + Send + Sync> World for T {}

/// The deployed stack that a world belongs to.
pub trait Stack {
    /// The first part of the names of snapback's own functions; `None` where only the ledger's table is known, as for
    /// the command line with `--table`.
    fn prefix(&self) -> Option<&str>;
}

/// Why a call about a function failed. Texts never carry a variable's value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunctionError {
    /// There is no such function, layer or mapping.
    #[error("not found: {0}")]
    NotFound(String),
    /// 409: an update is in progress, or the mapping is changing. Nothing was changed.
    #[error("busy: {0}")]
    Busy(String),
    /// 412: the function has changed since it was observed. Nothing was changed.
    #[error("the function has changed since it was observed")]
    Changed,
    /// 429, with the time after which AWS accepts a retry (`Retry-After`; one second where it gives none, zero
    /// where the call was not sent at all because its time had passed). Nothing was changed.
    #[error("Lambda throttled the call")]
    Throttled(Duration),
    /// 403. Nothing was changed.
    #[error("access denied: {0}")]
    Denied(String),
    /// AWS refused the request as it is. Nothing was changed.
    #[error("refused by AWS: {0}")]
    Rejected(String),
    /// The function is in another Region than the client that was to call it. The call was not made.
    #[error(
        "it is in the Region {function}, and this is a client of {client}, which does not see it; use the stack of {function}, \
         or pass its Region"
    )]
    OtherRegion {
        /// The function's Region.
        function: String,
        /// The client's Region.
        client: String,
    },
    /// AWS's response has something that snapback does not know. Nothing was changed.
    #[error("AWS's response is not understood: {0}")]
    Unreadable(String),
    /// No response, or an internal error: the call may have landed, or may still land.
    #[error("no clear response: {0}")]
    Unclear(String),
}

impl FunctionError {
    /// Whether the call can have changed something, or still can.
    #[must_use]
    pub fn may_have_landed(&self) -> bool {
        matches!(self, Self::Unclear(_))
    }
}

/// When a call that failed may succeed. Every decision on a retry follows from this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retryable {
    /// The same call, a little later.
    SameCall,
    /// A call that is decided on a new observation: the function is busy or has changed.
    NewObservation,
    /// No call until a user has changed something.
    Never,
}

/// An error of a port.
pub trait PortError {
    /// When the call may succeed.
    fn retryable(&self) -> Retryable;

    /// Whether the step may succeed later without a user's doing.
    fn is_transient(&self) -> bool {
        self.retryable() != Retryable::Never
    }
}

impl PortError for FunctionError {
    fn retryable(&self) -> Retryable {
        match self {
            Self::Throttled(_) | Self::Unclear(_) => Retryable::SameCall,
            Self::Busy(_) | Self::Changed => Retryable::NewObservation,
            Self::NotFound(_)
            | Self::Denied(_)
            | Self::Rejected(_)
            | Self::OtherRegion { .. }
            | Self::Unreadable(_) => Retryable::Never,
        }
    }
}

/// One page of a list of versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionPage {
    /// The numbers of published versions.
    pub versions: Vec<u64>,
    /// Names the next page; `None` on the last one.
    pub next: Option<String>,
}

/// AWS Lambda.
pub trait Functions {
    /// The function as it is now (reads may be stale by [`crate::steps::MAX_READ_STALENESS`]); its event source mappings only
    /// `with_mappings`. `function` is a name or an ARN, without a qualifier.
    fn observe(
        &self,
        function: &str,
        with_mappings: bool,
    ) -> impl Future<Output = Result<Observation, FunctionError>> + Send;

    /// The state of an event source mapping, by its UUID: it is a separate resource, and outlives its function
    /// (lambda/latest/api/API_DeleteFunction). `NotFound` where the mapping itself was deleted.
    fn mapping(&self, id: &MappingId) -> impl Future<Output = Result<MappingState, FunctionError>> + Send;

    /// Makes one call, once, without retries, for a writer whose lease is durable. On `Ok` it has landed; the errors
    /// say whether it may have. No attempt starts after `not_after`.
    fn write(
        &self,
        permit: &Permit,
        write: &Write,
        not_after: Time,
    ) -> impl Future<Output = Result<(), FunctionError>> + Send;

    /// What is known of a layer version.
    fn layer(&self, layer: &LayerVersionArn) -> impl Future<Output = Result<LayerFact, FunctionError>> + Send;

    /// What a function's code signing does with layers. For zip packages: container images have none, and Lambda refuses
    /// the question.
    fn code_signing(&self, function: &FunctionArn) -> impl Future<Output = Result<CodeSigning, FunctionError>> + Send;

    /// All aliases of a function.
    fn aliases(&self, function: &FunctionArn) -> impl Future<Output = Result<Vec<Alias>, FunctionError>> + Send;

    /// One page of the numbers of a function's published versions; `None` is the first page. A page has at most 50 versions
    /// (lambda/latest/api/API_ListVersionsByFunction).
    fn versions(
        &self,
        function: &FunctionArn,
        page: Option<&str>,
    ) -> impl Future<Output = Result<VersionPage, FunctionError>> + Send;

    /// When Lambda moves a function to a newer version of its runtime; `Unknown` where that may not be read. Not for
    /// container images, which have none.
    fn runtime_updates(
        &self,
        function: &FunctionArn,
    ) -> impl Future<Output = Result<RuntimeUpdates, FunctionError>> + Send;

    /// The account's concurrency in this Region.
    fn account(&self) -> impl Future<Output = Result<AccountConcurrency, FunctionError>> + Send;

    /// The tags of an event source mapping: it has its own, and IAM sees only those when one is updated.
    fn mapping_tags(
        &self,
        function: &FunctionArn,
        mapping: &MappingId,
    ) -> impl Future<Output = Result<Tags, FunctionError>> + Send;

    /// The functions that carry all of these tags, in no particular order.
    fn tagged(
        &self,
        tags: &std::collections::BTreeMap<String, String>,
    ) -> impl Future<Output = Result<Vec<FunctionArn>, FunctionError>> + Send;
}

/// Why a call to the ledger failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// Two transactions met on an item; nothing was written. This is normal; retry.
    #[error("another transaction is writing to the ledger")]
    Conflict,
    /// No response, throttling or an internal error: it may have been written.
    #[error("the ledger did not answer: {0}")]
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

/// The record of runs, targets, locks and the safety lever. Every write may be repeated: after a lost response, the caller
/// repeats it and reads. What each write checks and sets is described once, in [`crate::model::guarded_write`].
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

    /// Moves a run from `Pending` or `Running` to `Stopping`, for `reason`, and returns the result. A run in
    /// another status is returned unchanged. If there is no run, a `Failed` marker without targets is written and returned, so
    /// that a concurrent `Prepare` cannot start it.
    fn stop_run(
        &self,
        run: &RunId,
        reason: &EndReason,
        now: Time,
    ) -> impl Future<Output = Result<Run, LedgerError>> + Send;

    /// Sets when the duration ends, once; returns the resulting run.
    fn begin_observing(&self, run: &RunId, ends_at: Time) -> impl Future<Output = Result<Run, LedgerError>> + Send;

    /// Records the findings of the report, after the restore.
    fn record_findings(
        &self,
        run: &RunId,
        judgement: &Findings,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Moves a run from `Stopping` to a final status.
    fn close_run(
        &self,
        run: &RunId,
        status: RunStatus,
        now: Time,
    ) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Removes a final run and its alarm items from the list of active ones, sets its expiry, and deletes the values of
    /// variables that its experiment sets. Only for a run whose targets are all final.
    fn retire_run(&self, run: &Run, now: Time) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// A run. Of one that another release has written, what this release can read: see [`Run::unread`].
    fn run(&self, run: &RunId) -> impl Future<Output = Result<Option<Run>, LedgerError>> + Send;

    /// All targets of a run, in the order of their ARNs, even if the run's own record is missing or cannot be read.
    fn targets(&self, run: &RunId) -> impl Future<Output = Result<Vec<TargetRecord>, LedgerError>> + Send;

    /// One target of a run.
    fn target(&self, target: TargetKey<'_>) -> impl Future<Output = Result<Option<TargetRecord>, LedgerError>> + Send;

    /// Every run that is not retired.
    fn active_runs(&self) -> impl Future<Output = Result<RunList, LedgerError>> + Send;

    /// Every run that the ledger still holds, newest first; in the place of one that cannot be read, [`Run::unreadable`].
    fn all_runs(&self) -> impl Future<Output = Result<Vec<Run>, LedgerError>> + Send;

    /// The runs that this alarm ends.
    fn runs_of_alarm(&self, alarm_arn: &str) -> impl Future<Output = Result<RunList, LedgerError>> + Send;

    /// A function's lock or tombstone.
    fn lock(&self, function: &FunctionArn) -> impl Future<Output = Result<Option<Lock>, LedgerError>> + Send;

    /// Takes a function's lock for a run that is `Running`, and returns the resulting lock: the run's own, taken now or
    /// before, or another run's. `None` if the run is not running.
    fn take_lock(&self, target: TargetKey<'_>) -> impl Future<Output = Result<Option<Lock>, LedgerError>> + Send;

    /// Stores a snapshot: the target moves from `Pending`, or from `Armed` if no inject has begun, to `Armed`, while the run
    /// is `Running` and holds the lock. A rehearsal of an earlier snapshot no longer counts.
    fn arm(
        &self,
        target: TargetKey<'_>,
        snapshot: &Snapshot,
    ) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Records that the role that restores can read all that a restore of `planned` needs. The target must be `Armed` with
    /// that snapshot, and the run `Running`.
    fn mark_rehearsed(
        &self,
        target: TargetKey<'_>,
        planned: &[Change],
    ) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Records a lease for an inject: the target moves from `Armed` or `Injecting` to `Injecting`. The run must be `Running`;
    /// the snapshot must be `planned`, on which the writes were decided, and rehearsed. No permit while another inject's lease
    /// runs, or a later one of the same holder.
    fn begin_inject(
        &self,
        target: TargetKey<'_>,
        planned: &[Change],
        lease: &Lease,
        now: Time,
    ) -> impl Future<Output = Result<Option<Permit>, LedgerError>> + Send;

    /// Records that the fault was seen in place: `Injecting` to `Injected`, while the run is `Running`.
    fn mark_injected(&self, target: TargetKey<'_>) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Records a lease for a restore: any status that is not final, `Pending` excepted, to `Restoring`. No permit
    /// while another restore's lease runs, or a later one of the same holder. No permit for a run that does not hold the
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

    /// Records what an inject or a restore of this target waits for; `None` is nothing. Not for a target that is final. The
    /// next change of its status clears it.
    fn record_waiting(
        &self,
        target: TargetKey<'_>,
        why: Option<&str>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Adds fields whose fault was removed outside the run; of each field, the first record stays. Only for a target that is
    /// `Injected`: once a restore of the run has begun, the restore itself removes faults.
    fn record_removed_faults(
        &self,
        target: TargetKey<'_>,
        seen: &[RemovedFault],
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// The safety lever.
    fn lever(&self) -> impl Future<Output = Result<Option<Lever>, LedgerError>> + Send;

    /// Moves the safety lever.
    fn set_lever(&self, lever: &Lever) -> impl Future<Output = Result<(), LedgerError>> + Send;
}

/// Why CloudWatch could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlarmError {
    /// Throttling, no response, or an internal error.
    #[error("CloudWatch did not answer: {0}")]
    Unavailable(String),
    /// Access denied or a request that it refuses.
    #[error("CloudWatch cannot be used: {0}")]
    Unusable(String),
}

impl PortError for AlarmError {
    fn retryable(&self) -> Retryable {
        match self {
            Self::Unavailable(_) => Retryable::SameCall,
            Self::Unusable(_) => Retryable::Never,
        }
    }
}

/// Amazon CloudWatch.
pub trait Alarms {
    /// The alarms, metric and composite, in the order of `names`; `None` for a name without an alarm.
    fn alarms(&self, names: &[AlarmName]) -> impl Future<Output = Result<Vec<Option<AlarmFact>>, AlarmError>> + Send;

    /// For each metric, in the order of `metrics`, the values of its periods from `from` to `until`, newest first. A period
    /// without data has no value. A metric that CloudWatch could not compute is an error, and never a metric without data.
    fn metrics(
        &self,
        metrics: &[Metric],
        from: Time,
        until: Time,
    ) -> impl Future<Output = Result<Vec<Vec<f64>>, AlarmError>> + Send;
}

/// AWS Step Functions.
pub trait Executions {
    /// Whether the execution is running; false if it does not exist.
    fn is_running(&self, execution_arn: &str) -> impl Future<Output = Result<bool, String>> + Send;
}

/// Time and random numbers.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Time;

    /// Returns after this time.
    fn sleep(&self, span: Duration) -> impl Future<Output = ()> + Send;

    /// A random number, for jitter and for the names of lease holders. No two calls get the same one.
    fn random(&self) -> u64;
}
