//! Parts of the protocol that can be left out, to prove that the checks detect it. A part is left out of the
//! description of a guarded write or of what a worker reads; the decisions and the steps themselves stay unchanged.

use crate::model::guarded_write::{Condition, Effect, GuardedWrite};
use crate::model::run::RunStatus;

/// A part of the protocol that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakening {
    /// No worker records a lease.
    NoLease,
    /// Only an inject records a lease.
    LeaseOnInjectOnly,
    /// Only a restore records a lease.
    LeaseOnRestoreOnly,
    /// A lease ends a second after it was taken, although a call can land later.
    LeaseTooShort,
    /// A target is ended although a lease has not expired.
    EndedUnderLease,
    /// Two runs may have one function.
    NoLock,
    /// The original is read before the lock is taken, and trusted. Inject trusts it too, because its own read would
    /// detect the difference.
    ObserveBeforeLock,
    /// Arming does not wait until reads show what the previous run's restore wrote.
    NoWaitAfterRelease,
    /// Inject trusts the read that was made when the target was armed.
    NoSecondRead,
    /// An armed target's snapshot may be taken again once the fault is in place.
    SnapshotOverwritten,
    /// A restore does not read again after its write.
    RestoreUnverified,
    /// A restore sends the revision that was read at arming.
    RevisionOfSnapshot,
    /// No revision is sent.
    NoRevision,
    /// The runs of an alarm are read from an index that lags.
    AlarmReadStale,
    /// A restore writes the whole environment of the snapshot.
    EnvironmentWhole,
    /// A function without reserved concurrency is treated as one that has 0.
    AbsentIsZero,
    /// A restore writes the layers as the snapshot lists them.
    LayersWhole,
    /// A later reason replaces the first one.
    FirstFailureHidden,
    /// A run that is written while a rollback stops it counts as stopped.
    StoppedUnseen,
    /// No reaper ends a run whose execution was stopped.
    NoReaper,
    /// The restore is not rehearsed before the inject.
    NoRehearsal,
}

impl Weakening {
    /// All weakenings.
    pub const ALL: [Self; 21] = [
        Self::NoLease,
        Self::LeaseOnInjectOnly,
        Self::LeaseOnRestoreOnly,
        Self::LeaseTooShort,
        Self::EndedUnderLease,
        Self::NoLock,
        Self::ObserveBeforeLock,
        Self::NoWaitAfterRelease,
        Self::NoSecondRead,
        Self::SnapshotOverwritten,
        Self::RestoreUnverified,
        Self::RevisionOfSnapshot,
        Self::NoRevision,
        Self::AlarmReadStale,
        Self::EnvironmentWhole,
        Self::AbsentIsZero,
        Self::LayersWhole,
        Self::FirstFailureHidden,
        Self::StoppedUnseen,
        Self::NoReaper,
        Self::NoRehearsal,
    ];

    /// Leaves the part out of a guarded write, if it belongs there.
    pub fn weaken(self, write: &mut GuardedWrite) {
        for part in &mut write.parts {
            match (self, write.name) {
                (Self::NoLease, "begin_inject" | "begin_restore")
                | (Self::LeaseOnInjectOnly, "begin_restore")
                | (Self::LeaseOnRestoreOnly, "begin_inject") => {
                    part.effects.retain(|effect| !matches!(effect, Effect::Lease(_)));
                }
                (Self::EndedUnderLease, "end_target") => {
                    part.conditions.retain(|condition| !matches!(condition, Condition::LeaseOver(..)));
                }
                (Self::NoLock, "take_lock") => part.conditions.retain(|condition| *condition != Condition::Free),
                (Self::SnapshotOverwritten, "arm") => {
                    part.conditions.retain(|condition| !matches!(condition, Condition::TargetIn(_)));
                }
                (Self::NoRehearsal, "begin_inject") => {
                    part.conditions.retain(|condition| *condition != Condition::Rehearsed);
                }
                (Self::FirstFailureHidden, "stop_run") => {
                    for condition in &mut part.conditions {
                        if let Condition::RunIn(statuses) = condition {
                            statuses.push(RunStatus::Stopping);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}
