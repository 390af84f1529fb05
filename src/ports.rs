//! The few things that the decisions need from the world. `aws` implements them on AWS, `testing` on a simulated one.
//!
//! Each method's documentation says what holds when it returns; a caller may rely on that and on nothing else.

use std::future::Future;
use std::time::Duration;

use crate::model::facts::{AccountConcurrency, AlarmFact, Alias, CodeSigning, LayerFact, RuntimeUpdates};
use crate::model::function::{MappingState, Observation, Tags};
use crate::model::names::{AlarmName, FunctionArn, LayerVersionArn, MappingId, RunId};
use crate::model::proxy_layers::ProxyLayers;
use crate::model::run::{EndReason, Findings, Lease, Lever, Lock, Run, RunList, RunStatus, TargetEnding, TargetRecord};
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
    #[error("it has changed since it was observed")]
    Changed,
    /// 429, with the time after which AWS wants to be asked again (`Retry-After`; one second where it gives none, zero
    /// where the call was not sent at all because its time had passed). Nothing was changed.
    #[error("AWS asks us to slow down")]
    Throttled(Duration),
    /// 403. Nothing was changed.
    #[error("access denied: {0}")]
    Denied(String),
    /// AWS refused the request as it is. Nothing was changed.
    #[error("refused by AWS: {0}")]
    Rejected(String),
    /// AWS's answer has something that we do not understand. Nothing was changed.
    #[error("AWS's answer is not understood: {0}")]
    Unreadable(String),
    /// No answer, or an internal error: the call may have landed, or may land yet.
    #[error("no clear answer: {0}")]
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
            Self::NotFound(_) | Self::Denied(_) | Self::Rejected(_) | Self::Unreadable(_) => Retryable::Never,
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

    /// The state of an event source mapping, by its UUID: it is a resource of its own, and outlives its function
    /// (lambda/latest/api/API_DeleteFunction). `NotFound` where it was deleted itself.
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

    /// The numbers of a function's published versions, from this page on (`None` is the first one): each page is a call
    /// of its own, and has 50 at most, whatever is asked for (lambda/latest/api/API_ListVersionsByFunction).
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
    /// Two transactions met on an item; nothing was written. Normal: try again.
    #[error("the ledger is being written by somebody else")]
    Conflict,
    /// No answer, throttling or an internal error: it may have been written.
    #[error("the ledger did not answer: {0}")]
    Unavailable(String),
    /// Access denied, no such table, or an item that cannot be read.
    #[error("the ledger cannot be used: {0}")]
    Unusable(String),
}

impl PortError for LedgerError {
    fn retryable(&self) -> Retryable {
        match self {
            Self::Conflict | Self::Unavailable(_) => Retryable::SameCall,
            Self::Unusable(_) => Retryable::Never,
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

/// A writer's right to change one function: only a ledger grants it, once the lease is durable. Without an armed
/// snapshot there is none, so that injecting without one does not compile.
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

/// The record of runs, targets, locks and the lever. All reads are consistent; every write is guarded, atomic and
/// durable when it returns. Every guarded write may be repeated: a lost answer is met by doing it again and reading. What
/// each write checks and sets is described once, in [`crate::model::guarded_write`].
pub trait Ledger {
    /// Writes a `Pending` run with its alarm items, if there is none of this name and the lever is released.
    fn create_run(&self, run: &Run) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Adds targets to a run that is `Pending`; those that are there already stay as they are.
    fn add_targets(
        &self,
        run: &RunId,
        functions: &[FunctionArn],
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Moves a run from `Pending` to `Running`.
    fn start_run(&self, run: &RunId) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Moves a run from `Pending` or `Running` to `Stopping`, for `reason`, and returns it as it is then. A run that
    /// is there in another status is returned unchanged. Where there is none, a `Failed` marker without targets is
    /// written and returned, so that a `Prepare` that is still on its way cannot start it.
    fn stop_run(
        &self,
        run: &RunId,
        reason: &EndReason,
        now: Time,
    ) -> impl Future<Output = Result<Run, LedgerError>> + Send;

    /// Sets when the duration ends, once; returns the run as it is then.
    fn begin_observing(&self, run: &RunId, ends_at: Time) -> impl Future<Output = Result<Run, LedgerError>> + Send;

    /// Records what was found when the run was judged, after the restore.
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

    /// Takes a final run off the list of active ones, with its alarm items, lets it expire, and forgets the values of
    /// variables that its experiment sets. Only for a run whose targets all are final.
    fn retire_run(&self, run: &Run, now: Time) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// A run. One that another release has written is read as far as it can be: see [`Run::unread`].
    fn run(&self, run: &RunId) -> impl Future<Output = Result<Option<Run>, LedgerError>> + Send;

    /// All targets of a run, in the order of their ARNs; also of one whose own record is gone or cannot be read.
    fn targets(&self, run: &RunId) -> impl Future<Output = Result<Vec<TargetRecord>, LedgerError>> + Send;

    /// One target of a run.
    fn target(
        &self,
        run: &RunId,
        function: &FunctionArn,
    ) -> impl Future<Output = Result<Option<TargetRecord>, LedgerError>> + Send;

    /// Every run that is not retired.
    fn active_runs(&self) -> impl Future<Output = Result<RunList, LedgerError>> + Send;

    /// Every run that the ledger still holds, newest first.
    fn all_runs(&self) -> impl Future<Output = Result<Vec<Run>, LedgerError>> + Send;

    /// The runs that this alarm ends.
    fn runs_of_alarm(&self, alarm_arn: &str) -> impl Future<Output = Result<RunList, LedgerError>> + Send;

    /// A function's lock or tombstone.
    fn lock(&self, function: &FunctionArn) -> impl Future<Output = Result<Option<Lock>, LedgerError>> + Send;

    /// Takes a function's lock for a run that is `Running`, and returns it as it is then: the run's own (taken now or
    /// before) or another's. `None` when the run is not running.
    fn take_lock(
        &self,
        run: &RunId,
        function: &FunctionArn,
    ) -> impl Future<Output = Result<Option<Lock>, LedgerError>> + Send;

    /// Stores a snapshot: the target goes from `Pending` (or `Armed`, by no inject begun) to `Armed`, while the run is
    /// `Running` and holds the lock. What was rehearsed on an earlier snapshot counts no more.
    fn arm(
        &self,
        run: &RunId,
        function: &FunctionArn,
        snapshot: &Snapshot,
    ) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Records that the role that undoes has looked at the target and can undo `planned`: it is `Armed`, that is its
    /// snapshot, and the run is `Running`.
    fn mark_rehearsed(
        &self,
        run: &RunId,
        function: &FunctionArn,
        planned: &[Change],
    ) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Records a lease for an inject: the target goes from `Armed` or `Injecting` to `Injecting`, while the run is
    /// `Running`, and the snapshot is `planned`, the one that the writes were decided on, and was rehearsed. No permit
    /// while another inject's lease runs, or a later one of the same holder.
    fn begin_inject(
        &self,
        run: &RunId,
        function: &FunctionArn,
        planned: &[Change],
        lease: &Lease,
        now: Time,
    ) -> impl Future<Output = Result<Option<Permit>, LedgerError>> + Send;

    /// Says that the fault was seen in place: `Injecting` to `Injected`, while the run is `Running`.
    fn mark_injected(
        &self,
        run: &RunId,
        function: &FunctionArn,
    ) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Records a lease for a restore: any status that is not final, `Pending` excepted, to `Restoring`. No permit
    /// while another restore's lease runs, or a later one of the same holder, nor to a run that does not hold the
    /// function's lock: its record says nothing about the function as it is now.
    fn begin_restore(
        &self,
        run: &RunId,
        function: &FunctionArn,
        lease: &Lease,
        now: Time,
    ) -> impl Future<Output = Result<Option<Permit>, LedgerError>> + Send;

    /// Shortens a lease to `until`. Its holder must have no call in flight. Matches kind, holder and end, so a late
    /// retry never shortens a newer lease of the same holder.
    fn shorten_lease(
        &self,
        run: &RunId,
        function: &FunctionArn,
        lease: &Lease,
        until: Time,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Moves a target to a final status and turns its lock, if this run holds it, into a tombstone, both or neither.
    /// Declined where a lease runs beyond the observation that the ending was decided on.
    fn end_target(
        &self,
        ending: &TargetEnding,
        now: Time,
    ) -> impl Future<Output = Result<WriteOutcome, LedgerError>> + Send;

    /// Records why a restore failed, for the report and the alarm; not for a target that is over.
    fn record_restore_error(
        &self,
        run: &RunId,
        function: &FunctionArn,
        why: &str,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Records what an inject or a restore of this target waits for; `None` is nothing. Not for a target that is over. What
    /// moves the target on clears it.
    fn record_waiting(
        &self,
        run: &RunId,
        function: &FunctionArn,
        why: Option<&str>,
    ) -> impl Future<Output = Result<(), LedgerError>> + Send;

    /// Adds fields whose fault was taken out before the end, outside of the run; of each field, the first sight stays.
    /// Only for a target that is `Injected`: once a restore of the run has begun, that takes them out.
    fn record_removed_faults(
        &self,
        run: &RunId,
        function: &FunctionArn,
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
    /// Throttling, no answer, or an internal error.
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
    /// The alarms, metric and composite, in the order asked; `None` where there is none.
    fn alarms(&self, names: &[AlarmName]) -> impl Future<Output = Result<Vec<Option<AlarmFact>>, AlarmError>> + Send;

    /// For each metric, in the order asked, the values of its periods from `from` to `until`, newest first; a period
    /// without data has none. What CloudWatch could not compute is an error, and never a metric without data.
    fn metrics(
        &self,
        metrics: &[Metric],
        from: Time,
        until: Time,
    ) -> impl Future<Output = Result<Vec<Vec<f64>>, AlarmError>> + Send;
}

/// AWS Step Functions.
pub trait Executions {
    /// Whether the execution is running. An execution that is not found is not.
    fn is_running(&self, execution_arn: &str) -> impl Future<Output = Result<bool, String>> + Send;
}

/// Time and chance.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Time;

    /// Returns after this time.
    fn sleep(&self, span: Duration) -> impl Future<Output = ()> + Send;

    /// A number that no other call gets, for jitter and for the names of lease holders.
    fn random(&self) -> u64;
}

/// What `stop_run` writes where there is no run yet: a `Prepare` that is still on its way then finds the name taken.
#[must_use]
pub fn stopped_marker(id: &RunId, reason: &EndReason, now: Time) -> Run {
    Run {
        id: id.clone(),
        status: RunStatus::Failed,
        experiment: None,
        unread: None,
        execution_arn: String::new(),
        functions: Vec::new(),
        alarms: Vec::new(),
        proxy_layers: ProxyLayers::default(),
        notes: Vec::new(),
        seed: None,
        created_at: now,
        deadline: now,
        ends_at: None,
        stopping_at: Some(now),
        reason: Some(reason.clone()),
        closed_at: Some(now),
        deviations: None,
        effect: None,
        injected: None,
    }
}
