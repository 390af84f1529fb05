//! Parts of the protocol that can be left out, to see that the checks would notice. They are left out of the description
//! of a guarded write or of what a worker is told: the decisions and the steps themselves stay as they are.

use crate::model::guarded_write::{Condition, Effect, GuardedWrite};
use crate::model::run::RunStatus;

/// A part of the protocol that is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weakening {
    /// Nobody records a lease.
    NoLease,
    /// Only an inject records a lease.
    LeaseOnInjectOnly,
    /// Only a restore records a lease.
    LeaseOnRestoreOnly,
    /// A lease ends a second after it was taken, although a call can land later.
    LeaseTooShort,
    /// A target is ended although a lease runs.
    EndedUnderLease,
    /// Two runs may have one function.
    NoLock,
    /// The original is looked up before the lock is taken, and trusted: alone, the look before the inject finds it out.
    ObserveBeforeLock,
    /// Nobody waits until reads show what the last run's restore wrote.
    NoWaitAfterRelease,
    /// Inject trusts the look that was made when the target was armed.
    NoSecondLook,
    /// An armed target's snapshot may be taken again once the fault is in place.
    SnapshotOverwritten,
    /// A restore believes that what it wrote is there, without another look.
    RestoreUnverified,
    /// A restore sends the revision that was seen at arming.
    RevisionOfSnapshot,
    /// No revision is sent.
    NoRevision,
    /// The runs of an alarm are looked up in an index that lags behind.
    AlarmReadStale,
    /// The whole environment of the snapshot is put back.
    EnvironmentWhole,
    /// A function without reserved concurrency is taken for one that has 0.
    AbsentIsZero,
    /// Layers are put back as the snapshot lists them.
    LayersWhole,
    /// A later reason replaces the first one.
    FirstFailureHidden,
    /// Nobody ends a run whose execution is gone.
    NoReaper,
    /// What undoes is not rehearsed before the inject.
    NoRehearsal,
}

impl Weakening {
    /// All of them.
    pub const ALL: [Self; 20] = [
        Self::NoLease,
        Self::LeaseOnInjectOnly,
        Self::LeaseOnRestoreOnly,
        Self::LeaseTooShort,
        Self::EndedUnderLease,
        Self::NoLock,
        Self::ObserveBeforeLock,
        Self::NoWaitAfterRelease,
        Self::NoSecondLook,
        Self::SnapshotOverwritten,
        Self::RestoreUnverified,
        Self::RevisionOfSnapshot,
        Self::NoRevision,
        Self::AlarmReadStale,
        Self::EnvironmentWhole,
        Self::AbsentIsZero,
        Self::LayersWhole,
        Self::FirstFailureHidden,
        Self::NoReaper,
        Self::NoRehearsal,
    ];

    /// Leaves it out of a guarded write.
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
