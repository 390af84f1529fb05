//! A run, its targets, and which moves they may make.
//!
//! The transition tables here are the only list of what may follow on what: the conditions of the ledger's writes are
//! made from them (see [`super::guarded_write`]).

use serde::{Deserialize, Serialize};

use super::experiment::{Experiment, STARTUP_LIMIT};
use super::names::{FunctionArn, RunId};
use super::proxy_layers::ProxyLayers;
use super::snapshot::{Change, Drift, RemovedFault};
use super::stored::StoredRun;
use super::time::Time;

/// The status of a run; the words are those of AWS FIS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RunStatus {
    /// Being written; nothing is touched.
    Pending,
    /// Arming, injecting or observing.
    Running,
    /// Being rolled back.
    Stopping,
    /// Ended before its time: an alarm, a deviation, a person or the safety lever.
    Stopped,
    /// Ended at the end of its duration.
    Completed,
    /// Ended by an error, or some target could not be restored yet.
    Failed,
}

impl RunStatus {
    /// Every status.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Running, Self::Stopping, Self::Stopped, Self::Completed, Self::Failed];

    /// The transition table: whether a run may move from `self` to `next`.
    #[must_use]
    pub fn may_become(self, next: RunStatus) -> bool {
        use RunStatus::{Completed, Failed, Pending, Running, Stopped, Stopping};
        matches!(
            (self, next),
            (Pending, Running) | (Pending | Running, Stopping) | (Stopping, Stopped | Completed | Failed)
        )
    }

    /// Whether nothing more happens to the run itself.
    #[must_use]
    pub fn is_final(self) -> bool {
        matches!(self, Self::Stopped | Self::Completed | Self::Failed)
    }

    /// The name in the ledger and in output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }
}

/// Why a run ends; the first reason stays. Some are stored under older names, which every release can read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum EndReason {
    /// Its time was up.
    DurationElapsed,
    /// A stop condition's alarm went into ALARM.
    Alarm {
        /// The alarm's name.
        alarm: String,
    },
    /// A stop condition's alarm was deleted during the run, so it can no longer end the run.
    #[serde(rename = "alarmGone")]
    AlarmDeleted {
        /// The alarm's name.
        alarm: String,
    },
    /// The steady state deviated during the run.
    Deviated {
        /// The condition.
        condition: String,
    },
    /// A person asked for it.
    #[serde(rename = "person")]
    UserRequest,
    /// The safety lever was engaged.
    #[serde(rename = "lever")]
    SafetyLever,
    /// A task failed.
    Error {
        /// The error's stable name.
        error: String,
        /// Its text.
        cause: String,
    },
    /// The execution was stopped or timed out, so that no Catch ran.
    #[serde(rename = "executionGone")]
    ExecutionStopped,
    /// The run was past its end, and its execution had not ended it.
    Overdue,
}

impl EndReason {
    /// What a run that ends for this reason becomes once its targets are restored.
    #[must_use]
    pub fn final_status(&self) -> RunStatus {
        match self {
            Self::DurationElapsed => RunStatus::Completed,
            Self::Alarm { .. }
            | Self::AlarmDeleted { .. }
            | Self::Deviated { .. }
            | Self::UserRequest
            | Self::SafetyLever => RunStatus::Stopped,
            Self::Error { .. } | Self::ExecutionStopped | Self::Overdue => RunStatus::Failed,
        }
    }
}

impl std::fmt::Display for EndReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::DurationElapsed => f.write_str("its time was up"),
            Self::Alarm { alarm } => write!(f, "alarm {alarm} went into ALARM"),
            Self::AlarmDeleted { alarm } => write!(f, "its alarm {alarm} is gone"),
            Self::Deviated { condition } => write!(f, "the steady state deviated: {condition}"),
            Self::UserRequest => f.write_str("a person stopped it"),
            Self::SafetyLever => f.write_str("the safety lever is engaged"),
            Self::Error { error, cause } => write!(f, "{error}: {cause}"),
            Self::ExecutionStopped => f.write_str("its execution was stopped or timed out"),
            Self::Overdue => f.write_str("it was past its end and nobody had ended it"),
        }
    }
}

/// The findings of the report on a run, after its restore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The conditions of the steady state that deviated; empty is `held`.
    pub deviations: Vec<String>,
    /// That nothing shows that the faults took effect; `None` where something does, or nothing was asked.
    pub effect: Option<String>,
    /// How often faults inside invocations were injected, where the experiment has some.
    pub injected: Option<String>,
}

/// One execution of an experiment, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "StoredRun")]
pub struct Run {
    /// The run: the name of its execution.
    pub id: RunId,
    /// Its status.
    pub status: RunStatus,
    /// What was asked for; `None` in the marker that keeps a run that failed before it was written from starting, and
    /// where `unread` says why.
    pub experiment: Option<Experiment>,
    /// That its record is another release's, so that this one does not know what was asked for: such a run can be
    /// stopped, restored, closed and reported, and nothing new starts for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// The Step Functions execution.
    pub execution_arn: String,
    /// The functions that the targets resolved to.
    pub functions: Vec<FunctionArn>,
    /// The stop-condition alarms' ARNs.
    pub alarms: Vec<String>,
    /// The proxy's layers that the guardrails have checked: the same ones are injected, even if the stack was updated since
    /// then.
    pub proxy_layers: ProxyLayers,
    /// What the plan pointed out and did not refuse.
    pub notes: Vec<String>,
    /// What was drawn with, where chance chose the targets.
    pub seed: Option<u64>,
    /// When it was written.
    pub created_at: Time,
    /// When it ends at the latest, whatever happens.
    pub deadline: Time,
    /// When its duration ends: counted from the end of the injection.
    pub ends_at: Option<Time>,
    /// When it began to be rolled back.
    pub stopping_at: Option<Time>,
    /// Why it ends.
    pub reason: Option<EndReason>,
    /// When it was closed.
    pub closed_at: Option<Time>,
    /// What deviated after the restore: empty is `held`; `None` is not checked yet, or no steady state.
    pub deviations: Option<Vec<String>>,
    /// That nothing shows that the faults took effect; `None` where something does, or nothing was asked.
    pub effect: Option<String>,
    /// How often faults inside invocations were injected, where the experiment has some and the run was judged.
    pub injected: Option<String>,
}

impl Run {
    /// Whether only its name is known: its record cannot be read, or is the marker that is written in place of a missing
    /// record.
    #[must_use]
    pub fn is_without_record(&self) -> bool {
        self.experiment.is_none() && (self.unread.is_none() || self.created_at == Time(0))
    }

    /// When the run should have ended, as far as it is known: until its duration has begun, it has its startup limit to arm
    /// and inject, so that a target that cannot be injected does not keep the others in their fault.
    #[must_use]
    pub fn expected_end(&self) -> Time {
        let limit = self.experiment.as_ref().map_or(STARTUP_LIMIT, Experiment::startup_limit);
        self.ends_at.unwrap_or(self.created_at + limit).min(self.deadline)
    }
}

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

/// The runs that a list of the ledger names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunList {
    /// The runs.
    pub runs: Vec<RunId>,
    /// The entries that name no run that this release can read, as they are.
    pub unreadable: Vec<String>,
}

/// The safety lever. Engaged, nothing starts, and what runs is rolled back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lever {
    /// Whether it is engaged.
    pub engaged: bool,
    /// Since when.
    pub since: Time,
    /// Why, as the user who moved it put it.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_a_final_status() {
        use RunStatus::{Completed, Failed, Pending, Running, Stopped, Stopping};
        for last in [Stopped, Completed, Failed] {
            for next in [Pending, Running, Stopping, Stopped, Completed, Failed] {
                assert!(!last.may_become(next), "{last:?} to {next:?}");
            }
        }
        use TargetStatus as T;
        for last in [T::Restored, T::Drifted, T::Deleted, T::Untouched] {
            for next in [T::Pending, T::Armed, T::Injecting, T::Injected, T::Restoring, T::Restored] {
                assert!(!last.may_become(next), "{last:?} to {next:?}");
            }
        }
    }

    #[test]
    fn every_ending_goes_through_stopping() {
        assert!(!RunStatus::Running.may_become(RunStatus::Completed));
        assert!(!RunStatus::Pending.may_become(RunStatus::Failed));
        assert!(!TargetStatus::Armed.may_become(TargetStatus::Injected));
    }
}
