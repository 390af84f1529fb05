//! Every guarded write of the ledger as a value: its items, its conditions, and its effects.
//!
//! Each write is described once. The DynamoDB client turns it into expressions and transactions; the simulated ledger
//! checks and applies it in memory. The allowed source statuses come from the transition tables in [`super::run`].
//!
//! A write is atomic: either every condition of every part holds and all effects become durable, or nothing changes. A
//! part without effects is only a check. A write of one part is an update. A write of several parts, or one that
//! creates an item, is a transaction, which can conflict with another one.

use std::time::Duration;

use super::experiment::Experiment;
use super::kept_metrics::KeptMetrics;
use super::names::{FunctionArn, RunId};
use super::run::{
    Findings, Lease, LeaseKind, Lever, Run, RunEnding, RunStatus, TargetEnding, TargetKey, TargetRecord, TargetStatus,
};
use super::snapshot::{Change, Drift, RemovedFault, Snapshot};
use super::time::Time;

/// How long the record of a closed run is kept: a year and a month, so that a yearly game day can be compared with the
/// last one. It must not be shorter than the 90 days for which Step Functions keeps the execution.
pub const RECORD_RETENTION: Duration = Duration::from_secs(400 * 86_400);
/// After this time, a run leaves the list of those whose metrics or page are still to be kept, even if neither is.
const METRICS_RETENTION: Duration = Duration::from_secs(2 * 86_400);
/// The number of targets that one transaction adds. A transaction has at most 100 actions
/// (amazondynamodb/latest/APIReference/API_TransactWriteItems), and one of them is for the run.
const MAX_TARGETS_PER_WRITE: usize = 90;

/// One item of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// A run.
    Run(RunId),
    /// A target of a run.
    Target(RunId, FunctionArn),
    /// A function's lock, or its tombstone.
    Lock(FunctionArn),
    /// A run's entry in the list of those that are not retired.
    Active(RunId),
    /// A run's entry in the list of those that an alarm ends, by the alarm's ARN.
    Alarm(String, RunId),
    /// The metrics of a run that is over.
    Metrics(RunId),
    /// A run's entry in the list of those whose metrics or page are still to be kept.
    AwaitsMetrics(RunId),
    /// The safety lever.
    Lever,
}

/// A condition on an item.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// The item does not exist.
    Absent,
    /// The item exists.
    Present,
    /// The run has one of these statuses.
    RunIn(Vec<RunStatus>),
    /// The target has one of these statuses.
    TargetIn(Vec<TargetStatus>),
    /// The run holds the lock.
    HeldBy(RunId),
    /// No run holds the lock.
    Free,
    /// The lever is not in this position, engaged or not, or was never moved.
    LeverIsNot(bool),
    /// The snapshot has exactly these changes.
    Changes(Vec<Change>),
    /// The role that restores has rehearsed the target since its snapshot was taken.
    Rehearsed,
    /// No lease of this kind is valid at that time, except one of the same holder that ends earlier. So a begin that
    /// lands late never shortens a newer lease of its holder.
    LeaseFree(Lease, Time),
    /// The lease of this kind has the same holder and the same end.
    LeaseIs(Lease),
    /// The lease of this kind, if there is one, has ended at this time.
    LeaseOver(LeaseKind, Time),
    /// These removed faults are recorded.
    RemovedFaults(Vec<RemovedFault>),
}

/// A change of an item.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The run is created like this.
    Create(Box<Run>),
    /// What was stored at the run's creation is replaced by this run, which has no values of variables. What was set
    /// later stays.
    Forget(Box<Run>),
    /// The run's status.
    RunStatus(RunStatus),
    /// Why the run ends, and who ends it.
    Ending(RunEnding),
    /// When the run began to be rolled back.
    StoppingAt(Time),
    /// When the run's duration ends; the first time stays.
    EndsAt(Time),
    /// The findings of the report.
    Findings(Findings),
    /// When the run was closed.
    ClosedAt(Time),
    /// The target is created with this status, or stays as it is.
    CreateTarget(TargetStatus),
    /// The target's status.
    TargetStatus(TargetStatus),
    /// The target's snapshot.
    Snapshot(Snapshot),
    /// Whether the role that restores has rehearsed the target.
    Rehearsed(bool),
    /// The lease of this kind.
    Lease(Lease),
    /// When the lease of this kind ends.
    LeaseUntil(LeaseKind, Time),
    /// Why the last restore failed.
    RestoreError(Option<String>),
    /// What an inject or a restore waits for.
    Waiting(Option<String>),
    /// The faults that were removed before the end.
    RemovedFaults(Vec<RemovedFault>),
    /// When the target reached its final status.
    EndedAt(Time),
    /// What was left alone.
    Drift(Vec<Drift>),
    /// Versions that were published during the run.
    FrozenVersions(Vec<String>),
    /// The changes without the values of variables.
    Redacted(Vec<Change>),
    /// The runtime version at the end.
    RuntimeVersionAtEnd(Option<String>),
    /// The metrics of the run.
    Metrics(Box<KeptMetrics>),
    /// The run takes the lock, as the next generation of its holders.
    Take(RunId),
    /// The lock becomes a tombstone of that time.
    Release(Time),
    /// The entry is in its list, until that time, in seconds since 1970, where there is one.
    Enter(Option<i64>),
    /// The entry is not in its list.
    Leave,
    /// The safety lever, whole.
    Lever(Lever),
    /// The item is deleted after that time, in seconds since 1970; `None` is never.
    Expiry(Option<i64>),
}

/// One item's part of a write.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Which item.
    pub item: Item,
    /// What must hold of it.
    pub conditions: Vec<Condition>,
    /// What becomes of it.
    pub effects: Vec<Effect>,
}

/// A guarded write.
#[derive(Clone, Debug, PartialEq)]
pub struct GuardedWrite {
    /// The port's method.
    pub name: &'static str,
    /// Its parts, each on a separate item.
    pub parts: Vec<Part>,
}

/// One condition or effect of a write, by its place: what a weakened ledger leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Omission {
    /// The write.
    pub name: &'static str,
    /// Which part.
    pub part: usize,
    /// Whether it is a condition; else it is an effect.
    pub condition: bool,
    /// Which one.
    pub place: usize,
}

impl GuardedWrite {
    fn new(name: &'static str, parts: impl IntoIterator<Item = Part>) -> Self {
        Self { name, parts: parts.into_iter().collect() }
    }

    /// Whether it is a transaction, which can meet another one; else it is an update of one item.
    #[must_use]
    pub fn is_transaction(&self) -> bool {
        let creates = |effect: &Effect| matches!(effect, Effect::Create(_) | Effect::Enter(_) | Effect::Leave);
        self.parts.len() > 1 || self.parts.iter().flat_map(|part| &part.effects).any(creates)
    }

    /// Everything that could be left out of it.
    #[must_use]
    pub fn omissions(&self) -> Vec<Omission> {
        let name = self.name;
        let of_part = |(at, part): (usize, &Part)| {
            let conditions = (0..part.conditions.len()).map(move |place| (at, true, place));
            conditions.chain((0..part.effects.len()).map(move |place| (at, false, place)))
        };
        let all = self.parts.iter().enumerate().flat_map(of_part);
        all.map(|(part, condition, place)| Omission { name, part, condition, place }).collect()
    }

    /// Leaves a condition or an effect out, if this is the write that is meant and has it.
    pub fn leave_out(&mut self, omission: Omission) {
        let Some(part) = self.parts.get_mut(omission.part).filter(|_| self.name == omission.name) else { return };
        if omission.condition && omission.place < part.conditions.len() {
            part.conditions.remove(omission.place);
        } else if !omission.condition && omission.place < part.effects.len() {
            part.effects.remove(omission.place);
        }
    }
}

impl Part {
    fn of(
        item: Item,
        conditions: impl IntoIterator<Item = Condition>,
        effects: impl IntoIterator<Item = Effect>,
    ) -> Self {
        Self { item, conditions: conditions.into_iter().collect(), effects: effects.into_iter().collect() }
    }

    fn run(id: &RunId, condition: Condition, effects: impl IntoIterator<Item = Effect>) -> Self {
        Self::of(Item::Run(id.clone()), [condition], effects)
    }

    fn target(
        target: TargetKey<'_>,
        conditions: impl IntoIterator<Item = Condition>,
        effects: impl IntoIterator<Item = Effect>,
    ) -> Self {
        Self::of(Item::Target(target.run.clone(), target.function.clone()), conditions, effects)
    }
}

/// The run may move to `next`.
fn run_before(next: RunStatus) -> Condition {
    Condition::RunIn(RunStatus::ALL.into_iter().filter(|status| status.may_become(next)).collect())
}

/// The target may move to `next`.
fn target_before(next: TargetStatus) -> Condition {
    Condition::TargetIn(TargetStatus::ALL.into_iter().filter(|status| status.may_become(next)).collect())
}

/// Only checks that the run is running: what starts something asks for this in its own transaction.
fn running(id: &RunId) -> Part {
    Part::run(id, Condition::RunIn(vec![RunStatus::Running]), [])
}

/// Only checks that the run holds the lock: a writer without it would undo another run's work.
fn holding(target: TargetKey<'_>) -> Part {
    Part::of(Item::Lock(target.function.clone()), [Condition::HeldBy(target.run.clone())], [])
}

fn expiry(now: Time) -> Effect {
    Effect::Expiry(Some((now + RECORD_RETENTION).epoch_seconds()))
}

/// Creates a `Pending` run with its entries, if no run has this name and the lever is disengaged.
#[must_use]
pub fn create_run(run: &Run) -> GuardedWrite {
    let id = &run.id;
    let mut parts = vec![
        Part::of(Item::Lever, [Condition::LeverIsNot(true)], []),
        Part::run(id, Condition::Absent, [Effect::Create(Box::new(run.clone()))]),
        Part::of(Item::Active(id.clone()), [], [Effect::Enter(None)]),
    ];
    // Only the record names the alarms: if it is lost, their entries still expire.
    let until = (run.deadline + RECORD_RETENTION).epoch_seconds();
    let entry = |alarm: &String| Part::of(Item::Alarm(alarm.clone(), id.clone()), [], [Effect::Enter(Some(until))]);
    parts.extend(run.alarms.iter().map(entry));
    GuardedWrite::new("create_run", parts)
}

/// Creates the marker that `stop_run` writes if there is no run, and sets its expiry.
#[must_use]
pub fn create_marker(marker: &Run, now: Time) -> GuardedWrite {
    let effects = [Effect::Create(Box::new(marker.clone())), expiry(now)];
    GuardedWrite::new("create_marker", [Part::run(&marker.id, Condition::Absent, effects)])
}

/// Adds targets to a run that is `Pending`; existing targets stay as they are. Each write is independent: any
/// of them may be made again.
#[must_use]
pub fn add_targets(id: &RunId, functions: &[FunctionArn]) -> Vec<GuardedWrite> {
    let chunk = |chunk: &[FunctionArn]| {
        let pending = Part::run(id, Condition::RunIn(vec![RunStatus::Pending]), []);
        let create =
            |function| Part::target(TargetKey::new(id, function), [], [Effect::CreateTarget(TargetStatus::Pending)]);
        GuardedWrite::new("add_targets", std::iter::once(pending).chain(chunk.iter().map(create)))
    };
    functions.chunks(MAX_TARGETS_PER_WRITE).map(chunk).collect()
}

/// Moves a run from `Pending` to `Running`.
#[must_use]
pub fn start_run(id: &RunId) -> GuardedWrite {
    let to = RunStatus::Running;
    GuardedWrite::new("start_run", [Part::run(id, run_before(to), [Effect::RunStatus(to)])])
}

/// Moves a run to `Stopping`.
#[must_use]
pub fn stop_run(id: &RunId, ending: &RunEnding, now: Time) -> GuardedWrite {
    let to = RunStatus::Stopping;
    let effects = [Effect::RunStatus(to), Effect::Ending(ending.clone()), Effect::StoppingAt(now)];
    GuardedWrite::new("stop_run", [Part::run(id, run_before(to), effects)])
}

/// Sets when the duration ends, once.
#[must_use]
pub fn begin_observing(id: &RunId, ends_at: Time) -> GuardedWrite {
    GuardedWrite::new("begin_observing", [Part::run(id, Condition::Present, [Effect::EndsAt(ends_at)])])
}

/// Records the findings of the report.
#[must_use]
pub fn record_findings(id: &RunId, findings: &Findings) -> GuardedWrite {
    GuardedWrite::new("record_findings", [Part::run(id, Condition::Present, [Effect::Findings(findings.clone())])])
}

/// Moves a run to a final status.
#[must_use]
pub fn close_run(id: &RunId, status: RunStatus, now: Time) -> GuardedWrite {
    let effects = [Effect::RunStatus(status), Effect::ClosedAt(now)];
    GuardedWrite::new("close_run", [Part::run(id, run_before(status), effects)])
}

/// Takes a final run off the lists, lets it expire, forgets the values of variables that its experiment sets, and lists it
/// among the runs whose metrics and page are still to be kept. A run without functions has neither.
#[must_use]
pub fn retire_run(run: &Run, now: Time) -> GuardedWrite {
    let id = &run.id;
    let redacted = Run { experiment: run.experiment.as_ref().map(Experiment::redacted), ..run.clone() };
    let mut parts = vec![
        Part::run(id, Condition::Present, [Effect::Forget(Box::new(redacted)), expiry(now)]),
        Part::of(Item::Active(id.clone()), [], [Effect::Leave]),
    ];
    let entry = |alarm: &String| Part::of(Item::Alarm(alarm.clone(), id.clone()), [], [Effect::Leave]);
    parts.extend(run.alarms.iter().map(entry));
    if !run.functions.is_empty() {
        let until = (now + METRICS_RETENTION).epoch_seconds();
        parts.push(Part::of(Item::AwaitsMetrics(id.clone()), [], [Effect::Enter(Some(until))]));
    }
    GuardedWrite::new("retire_run", parts)
}

/// Enters a run in the list of active runs again, without a condition: no single item tells that a run still has to be listed.
/// Its record can be missing, a marker that expires can be in its place, and a run that is retired can still hold a lock. A
/// run that is listed in vain costs a tick of the reaper, which takes it off the list; a run that is not listed keeps its
/// fault.
#[must_use]
pub fn relist_run(id: &RunId) -> GuardedWrite {
    GuardedWrite::new("relist_run", [Part::of(Item::Active(id.clone()), [], [Effect::Enter(None)])])
}

/// Moves the safety lever, unless it is in that position.
#[must_use]
pub fn set_lever(lever: &Lever) -> GuardedWrite {
    let conditions = [Condition::LeverIsNot(lever.engaged)];
    GuardedWrite::new("set_lever", [Part::of(Item::Lever, conditions, [Effect::Lever(lever.clone())])])
}

/// Stores the metrics of a run. A run keeps its first ones: its page may have been drawn from them.
#[must_use]
pub fn keep_metrics(id: &RunId, metrics: &KeptMetrics, now: Time) -> GuardedWrite {
    let keep = [Effect::Metrics(Box::new(metrics.clone())), expiry(now)];
    GuardedWrite::new("keep_metrics", [Part::of(Item::Metrics(id.clone()), [Condition::Absent], keep)])
}

/// Takes a run off the list of those whose metrics or page are still to be kept.
#[must_use]
pub fn end_keeping(id: &RunId) -> GuardedWrite {
    GuardedWrite::new("end_keeping", [Part::of(Item::AwaitsMetrics(id.clone()), [], [Effect::Leave])])
}

/// Takes a function's lock for a run that is `Running`.
#[must_use]
pub fn take_lock(target: TargetKey<'_>) -> GuardedWrite {
    let effects = [Effect::Take(target.run.clone()), Effect::Expiry(None)];
    let take = Part::of(Item::Lock(target.function.clone()), [Condition::Free], effects);
    GuardedWrite::new("take_lock", [running(target.run), take])
}

/// Stores a snapshot, which has not been rehearsed yet.
#[must_use]
pub fn arm(target: TargetKey<'_>, snapshot: &Snapshot) -> GuardedWrite {
    let to = TargetStatus::Armed;
    let effects =
        [Effect::TargetStatus(to), Effect::Snapshot(snapshot.clone()), Effect::Rehearsed(false), Effect::Waiting(None)];
    let store = Part::target(target, [target_before(to)], effects);
    GuardedWrite::new("arm", [running(target.run), holding(target), store])
}

/// Records that the role that undoes has looked at an armed target, and that the snapshot is still `planned`.
#[must_use]
pub fn mark_rehearsed(target: TargetKey<'_>, planned: &[Change]) -> GuardedWrite {
    let conditions = [Condition::TargetIn(vec![TargetStatus::Armed]), Condition::Changes(planned.to_vec())];
    let mark = Part::target(target, conditions, [Effect::Rehearsed(true)]);
    GuardedWrite::new("mark_rehearsed", [running(target.run), mark])
}

/// Records an inject's lease.
#[must_use]
pub fn begin_inject(target: TargetKey<'_>, planned: &[Change], lease: &Lease, now: Time) -> GuardedWrite {
    let to = TargetStatus::Injecting;
    let conditions = [
        target_before(to),
        Condition::Changes(planned.to_vec()),
        Condition::Rehearsed,
        Condition::LeaseFree(lease.clone(), now),
    ];
    let effects = [Effect::TargetStatus(to), Effect::Lease(lease.clone()), Effect::Waiting(None)];
    let begin = Part::target(target, conditions, effects);
    GuardedWrite::new("begin_inject", [running(target.run), begin])
}

/// Records that the fault was seen in place.
#[must_use]
pub fn mark_injected(target: TargetKey<'_>) -> GuardedWrite {
    let to = TargetStatus::Injected;
    let say = Part::target(target, [target_before(to)], [Effect::TargetStatus(to), Effect::Waiting(None)]);
    GuardedWrite::new("mark_injected", [running(target.run), say])
}

/// Records a restore's lease.
#[must_use]
pub fn begin_restore(target: TargetKey<'_>, lease: &Lease, now: Time) -> GuardedWrite {
    let to = TargetStatus::Restoring;
    let conditions = [target_before(to), Condition::LeaseFree(lease.clone(), now)];
    let effects = [Effect::TargetStatus(to), Effect::Lease(lease.clone()), Effect::Waiting(None)];
    let begin = Part::target(target, conditions, effects);
    GuardedWrite::new("begin_restore", [holding(target), begin])
}

/// Shortens a lease.
#[must_use]
pub fn shorten_lease(target: TargetKey<'_>, lease: &Lease, until: Time) -> GuardedWrite {
    let shorten = [Effect::LeaseUntil(lease.kind, until)];
    GuardedWrite::new("shorten_lease", [Part::target(target, [Condition::LeaseIs(lease.clone())], shorten)])
}

/// Moves a target to a final status; where its run holds the lock, that becomes a tombstone.
#[must_use]
pub fn end_target(ending: &TargetEnding, now: Time, holds_lock: bool) -> GuardedWrite {
    let TargetEnding { run, function, from, status, observed_at, .. } = ending;
    let from = if from.may_become(*status) { vec![*from] } else { Vec::new() };
    let conditions = [
        Condition::TargetIn(from),
        Condition::LeaseOver(LeaseKind::Inject, *observed_at),
        Condition::LeaseOver(LeaseKind::Restore, *observed_at),
    ];
    let effects = [
        Effect::TargetStatus(*status),
        Effect::EndedAt(now),
        Effect::Drift(ending.drift.clone()),
        Effect::FrozenVersions(ending.frozen_versions.clone()),
        Effect::Redacted(ending.redacted.clone()),
        Effect::RuntimeVersionAtEnd(ending.runtime_version.clone()),
        Effect::RestoreError(None),
        Effect::Waiting(None),
        expiry(now),
    ];
    let end = Part::target(TargetKey::new(run, function), conditions, effects);
    let release = [Effect::Release(now), expiry(now)];
    let release = Part::of(Item::Lock(function.clone()), [Condition::HeldBy(run.clone())], release);
    GuardedWrite::new("end_target", std::iter::once(end).chain(holds_lock.then_some(release)))
}

/// Records why a restore failed. One that lands late must not leave an error with a target that is back.
#[must_use]
pub fn record_restore_error(target: TargetKey<'_>, why: &str) -> GuardedWrite {
    let say = [Effect::RestoreError(Some(why.to_owned()))];
    let open = target_before(TargetStatus::Restoring);
    GuardedWrite::new("record_restore_error", [Part::target(target, [open], say)])
}

/// Records what an inject or a restore of a target waits for; for an inject, also before there is a snapshot.
#[must_use]
pub fn record_waiting(target: TargetKey<'_>, why: Option<&str>) -> GuardedWrite {
    let open = Condition::TargetIn(TargetStatus::ALL.into_iter().filter(|status| !status.is_final()).collect());
    let say = [Effect::Waiting(why.map(str::to_owned))];
    GuardedWrite::new("record_waiting", [Part::target(target, [open], say)])
}

/// Adds faults that were removed before the end to what a target was read to be, if it still is that; `None` where
/// there is nothing to add. Only while it is `Injected`: from the moment at which a restore of the run has begun, the
/// restore takes the faults out.
#[must_use]
pub fn record_removed_faults(target: &TargetRecord, seen: &[RemovedFault]) -> Option<GuardedWrite> {
    let (known, all) = (&target.removed_faults, RemovedFault::joined(&target.removed_faults, seen));
    if *known == all || target.status != TargetStatus::Injected {
        return None;
    }
    let conditions = [Condition::TargetIn(vec![TargetStatus::Injected]), Condition::RemovedFaults(known.clone())];
    let add = Part::target(target.key(), conditions, [Effect::RemovedFaults(all)]);
    Some(GuardedWrite::new("record_removed_faults", [add]))
}
