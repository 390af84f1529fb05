//! A target of a run, as the ledger keeps it: its status, its leases and its lock.

use serde::{Deserialize, Serialize};

use crate::model::names::{FunctionArn, RunId};
use crate::model::snapshot::{Change, Drift, RemovedFault};
use crate::model::time::Time;

/// The status of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TargetStatus {
    /// Nothing was recorded or touched.
    Pending,
    /// The snapshot is durable.
    Armed,
    /// A writer may have begun.
    Injecting,
    /// The fault was seen in place.
    Injected,
    /// A restore has begun.
    Restoring,
    /// Every touched field was seen at its original.
    Restored,
    /// Restored, except for fields that changed outside the run.
    Drifted,
    /// The function was deleted during the run.
    #[serde(alias = "gone")]
    Deleted,
    /// The run ended before the target was armed: there is nothing to restore.
    Untouched,
}

impl TargetStatus {
    /// Every status.
    pub const ALL: [Self; 9] = [
        Self::Pending,
        Self::Armed,
        Self::Injecting,
        Self::Injected,
        Self::Restoring,
        Self::Restored,
        Self::Drifted,
        Self::Deleted,
        Self::Untouched,
    ];

    /// The transition table: whether a target may move from `self` to `next`.
    #[must_use]
    pub fn may_become(self, next: TargetStatus) -> bool {
        use TargetStatus::{Armed, Deleted, Drifted, Injected, Injecting, Pending, Restored, Restoring, Untouched};
        matches!(
            (self, next),
            (Pending, Armed | Untouched)
                | (Armed, Armed | Injecting | Restoring | Restored | Drifted | Deleted)
                | (Injecting, Injecting | Injected | Restoring | Restored | Drifted | Deleted)
                | (Injected, Restoring | Restored | Drifted | Deleted)
                | (Restoring, Restoring | Restored | Drifted | Deleted)
        )
    }

    /// Whether lock and snapshot may go.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Restored | Self::Drifted | Self::Deleted | Self::Untouched)
    }

    /// The name in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Armed => "armed",
            Self::Injecting => "injecting",
            Self::Injected => "injected",
            Self::Restoring => "restoring",
            Self::Restored => "restored",
            Self::Drifted => "drifted",
            Self::Deleted => "deleted",
            Self::Untouched => "untouched",
        }
    }

    /// The name in the ledger. A deleted target is stored under its older name, which earlier releases can read too.
    #[must_use]
    pub fn stored_name(self) -> &'static str {
        match self {
            Self::Deleted => "gone",
            status => status.name(),
        }
    }
}

/// What a lease's holder writes. A target has one lease of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LeaseKind {
    /// The fault.
    Inject,
    /// The original.
    Restore,
}

/// A writer's right to call Lambda, and until when its calls may still land.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// What it is for.
    pub kind: LeaseKind,
    /// Which writer.
    pub holder: String,
    /// Until when a call of its may land, and a read may miss it.
    pub until: Time,
}

/// One function of a run, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetRecord {
    /// The run.
    pub run: RunId,
    /// The function.
    pub function: FunctionArn,
    /// Its status.
    pub status: TargetStatus,
    /// The snapshot: what is changed and what it was. Empty before arming.
    pub changes: Vec<Change>,
    /// The highest published version when it was armed.
    pub last_version: u64,
    /// The runtime version when it was armed, where the function has one.
    pub runtime_version: Option<String>,
    /// Whether the role that undoes has looked at it since then.
    pub rehearsed: bool,
    /// The last inject's lease.
    pub inject_lease: Option<Lease>,
    /// The last restore's lease.
    pub restore_lease: Option<Lease>,
    /// When it reached its final status.
    pub ended_at: Option<Time>,
    /// The fields that were not restored because they changed outside the run.
    pub drift: Vec<Drift>,
    /// Versions that were published while the fault was in place.
    pub frozen_versions: Vec<String>,
    /// The runtime version when it ended.
    pub runtime_version_at_end: Option<String>,
    /// Fields whose fault was removed outside this run, before its end.
    pub removed_faults: Vec<RemovedFault>,
    /// What an inject or a restore waits for.
    pub waiting_for: Option<String>,
    /// Why the last attempt to restore failed; cleared when it succeeds.
    pub restore_error: Option<String>,
}

impl TargetRecord {
    /// A target of which nothing is known yet.
    #[must_use]
    pub fn new(run: RunId, function: FunctionArn) -> Self {
        Self {
            run,
            function,
            status: TargetStatus::Pending,
            changes: Vec::new(),
            last_version: 0,
            runtime_version: None,
            rehearsed: false,
            inject_lease: None,
            restore_lease: None,
            ended_at: None,
            drift: Vec::new(),
            frozen_versions: Vec::new(),
            runtime_version_at_end: None,
            removed_faults: Vec::new(),
            waiting_for: None,
            restore_error: None,
        }
    }

    /// Its name in the ledger.
    #[must_use]
    pub fn key(&self) -> TargetKey<'_> {
        TargetKey::new(&self.run, &self.function)
    }

    /// The lease of this kind.
    #[must_use]
    pub fn lease(&self, kind: LeaseKind) -> Option<&Lease> {
        match kind {
            LeaseKind::Inject => self.inject_lease.as_ref(),
            LeaseKind::Restore => self.restore_lease.as_ref(),
        }
    }

    /// Until when some writer's call may still land: no observation before it can prove anything.
    #[must_use]
    pub fn leases_end_at(&self) -> Option<Time> {
        [&self.inject_lease, &self.restore_lease].into_iter().flatten().map(|lease| lease.until).max()
    }
}

/// Names one target in the ledger: a run and one of its functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetKey<'a> {
    /// The run.
    pub run: &'a RunId,
    /// The function.
    pub function: &'a FunctionArn,
}

impl<'a> TargetKey<'a> {
    /// The target of this run on this function.
    #[must_use]
    pub fn new(run: &'a RunId, function: &'a FunctionArn) -> Self {
        Self { run, function }
    }
}

/// How a target ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetEnding {
    /// The run.
    pub run: RunId,
    /// The function.
    pub function: FunctionArn,
    /// The target's status on which the decision was made; another one declines it.
    pub from: TargetStatus,
    /// The final status.
    pub status: TargetStatus,
    /// When the observation began that shows it.
    pub observed_at: Time,
    /// What was left alone.
    pub drift: Vec<Drift>,
    /// Versions that were published during the run.
    pub frozen_versions: Vec<String>,
    /// The runtime version that the observation shows, where the function has one.
    pub runtime_version: Option<String>,
    /// The snapshot without the values of variables: nothing needs them any more.
    pub redacted: Vec<Change>,
}

/// A target's lock, or what is left of the last one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    /// The run that holds it; `None` is a tombstone.
    pub run: Option<RunId>,
    /// Counts the holders.
    pub generation: u64,
    /// When it was last released: an observation made soon after could still see the last run's fault.
    pub released_at: Option<Time>,
}
