//! The record of a target in the ledger: its status, its leases and its lock.

use serde::{Deserialize, Serialize};

use crate::model::names::{FunctionArn, RunId};
use crate::model::snapshot::{Change, Drift, RemovedFault};
use crate::model::time::Time;

/// The status of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum TargetStatus {
    /// Nothing is recorded yet, and the function is unchanged.
    Pending,
    /// The snapshot is durable, so injecting is allowed.
    Armed,
    /// An inject may have changed the function.
    Injecting,
    /// The fault was observed in place.
    Injected,
    /// A restore has begun.
    Restoring,
    /// Every touched field was observed with its original value.
    Restored,
    /// Restored, except for fields that changed outside the run.
    Drifted,
    /// The function was deleted during the run.
    #[serde(alias = "gone")]
    Deleted,
    /// The run ended before the target was armed, so there is nothing to restore.
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

    /// Whether the target has ended, so its lock and its snapshot are no longer needed.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Restored | Self::Drifted | Self::Deleted | Self::Untouched)
    }

    /// Returns the name in output.
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

    /// Returns the name in the ledger. A deleted target is stored under its older name, which earlier releases can also
    /// read.
    #[must_use]
    pub fn stored_name(self) -> &'static str {
        match self {
            Self::Deleted => "gone",
            status => status.name(),
        }
    }
}

/// What the holder of a lease writes. A target has one lease of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LeaseKind {
    /// It writes the fault.
    Inject,
    /// It writes the original values.
    Restore,
}

/// A writer's permission to call Lambda until a certain time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// What the holder writes.
    pub kind: LeaseKind,
    /// The writer.
    pub holder: String,
    /// The time until which a call of the holder may land, or a read may miss it.
    pub until: Time,
}

/// One function of a run, as the ledger stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TargetRecord {
    /// The run.
    pub run: RunId,
    /// The function.
    pub function: FunctionArn,
    /// Its status.
    pub status: TargetStatus,
    /// The snapshot: each touched field with its original and its injected value. Empty before arming.
    pub changes: Vec<Change>,
    /// The highest published version when it was armed.
    pub last_version: u64,
    /// The runtime version when it was armed, if the function has one.
    pub runtime_version: Option<String>,
    /// Whether the role that restores has rehearsed the target since it was armed.
    pub rehearsed: bool,
    /// The lease of the last inject.
    pub inject_lease: Option<Lease>,
    /// The lease of the last restore.
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
    /// Why the last attempt to restore failed. It is cleared when one succeeds.
    pub restore_error: Option<String>,
}

impl TargetRecord {
    /// Returns a pending target.
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

    /// What is wrong with its snapshot, and what to do, if it has a value that no function can have. What has ended is never
    /// written back.
    #[must_use]
    pub fn damage(&self) -> Option<String> {
        let damage = self.changes.iter().filter(|_| !self.status.is_final()).find_map(Change::damage)?;
        Some(format!(
            "its snapshot is damaged: {damage}; nothing of it is restored until that is corrected; write the value that the \
             function had into `changes` of the target's item in the ledger's table, then run: snapback rollback {}",
            self.run
        ))
    }

    /// Its name in the ledger.
    #[must_use]
    pub fn key(&self) -> TargetKey<'_> {
        TargetKey::new(&self.run, &self.function)
    }

    /// Returns the lease of this kind.
    #[must_use]
    pub fn lease(&self, kind: LeaseKind) -> Option<&Lease> {
        match kind {
            LeaseKind::Inject => self.inject_lease.as_ref(),
            LeaseKind::Restore => self.restore_lease.as_ref(),
        }
    }

    /// Returns the time until which any writer's call may still land. No earlier observation proves that the target is
    /// restored.
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
    /// The status on which the decision was made. The write fails if the target has another one.
    pub from: TargetStatus,
    /// The final status.
    pub status: TargetStatus,
    /// When the observation began on which the ending is based.
    pub observed_at: Time,
    /// The fields that were left alone, because they changed outside the run.
    pub drift: Vec<Drift>,
    /// Versions that were published during the run.
    pub frozen_versions: Vec<String>,
    /// The runtime version in the observation, if the function has one.
    pub runtime_version: Option<String>,
    /// The snapshot without the values of variables, which nothing needs any longer.
    pub redacted: Vec<Change>,
}

/// A function's lock, or the tombstone of a released one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    /// The run that holds the lock; `None` in a tombstone.
    pub run: Option<RunId>,
    /// How often the lock was taken.
    pub generation: u64,
    /// When the lock was last released. An observation made soon after that could still show the previous run's fault.
    pub released_at: Option<Time>,
}
