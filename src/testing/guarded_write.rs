//! Carries out guarded writes on the simulated ledger, from the same descriptions as DynamoDB's condition expressions.

use crate::model::guarded_write::{Condition, Effect, GuardedWrite, Item, Part};
use crate::model::kept_metrics::KeptMetrics;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{Lease, LeaseKind, Lever, Lock, Run, TargetRecord};
use crate::model::time::Time;
use crate::ports::WriteOutcome;

use super::State;

impl State {
    /// Carries out all parts of a write if the conditions of all parts hold, and otherwise none.
    pub(super) fn carry_out(&mut self, write: &GuardedWrite) -> WriteOutcome {
        let mut write = write.clone();
        if let Some(weakening) = self.drive.as_ref().and_then(|drive| drive.weakening) {
            weakening.weaken(&mut write);
        }
        if let Some(omission) = self.omission {
            write.leave_out(omission);
        }
        if !write.parts.iter().all(|part| self.meets(part)) {
            return WriteOutcome::ConditionFailed;
        }
        for part in &write.parts {
            let old = self.image(&part.item);
            self.apply(part);
            self.record(old, &part.item);
        }
        WriteOutcome::Applied
    }

    fn meets(&self, part: &Part) -> bool {
        part.conditions.iter().all(|condition| match &part.item {
            Item::Run(id) => run_meets(self.runs.get(id), condition),
            Item::Target(id, function) => target_meets(self.targets.get(&(id.clone(), function.clone())), condition),
            Item::Lock(function) => lock_meets(self.locks.get(function), condition),
            Item::Lever => lever_meets(self.lever.as_ref(), condition),
            // The only condition on kept metrics is that there are none.
            Item::Metrics(id) => !self.kept_metrics.contains_key(id),
            Item::Active(_) | Item::Alarm(..) | Item::AwaitsMetrics(_) => true,
        })
    }

    fn apply(&mut self, part: &Part) {
        for effect in &part.effects {
            if let Effect::Expiry(at) = effect {
                match at {
                    Some(at) => drop(self.expiries.insert(part.item.clone(), *at)),
                    None => drop(self.expiries.remove(&part.item)),
                }
                continue;
            }
            match effect {
                Effect::Enter(Some(until)) => drop(self.expiries.insert(part.item.clone(), *until)),
                Effect::Leave => drop(self.expiries.remove(&part.item)),
                _ => {}
            }
            match &part.item {
                Item::Run(id) => self.apply_to_run(id, effect),
                Item::Target(id, function) => self.apply_to_target(id, function, effect),
                Item::Lock(function) => self.apply_to_lock(function, effect),
                Item::Active(id) => apply_to_list(&mut self.active, id, effect),
                Item::Alarm(alarm, id) => {
                    apply_to_list(self.alarm_runs.entry(alarm.clone()).or_default(), id, effect);
                }
                Item::Lever => {
                    if let Effect::Lever(lever) = effect {
                        self.lever = Some(lever.clone());
                    }
                }
                Item::Metrics(id) => {
                    if let Effect::Metrics(metrics) = effect {
                        self.kept_metrics.insert(id.clone(), KeptMetrics::clone(metrics));
                    }
                }
                Item::AwaitsMetrics(id) => apply_to_list(&mut self.awaiting_metrics, id, effect),
            }
        }
    }

    fn apply_to_run(&mut self, id: &RunId, effect: &Effect) {
        if let Effect::Create(run) = effect {
            self.runs.insert(id.clone(), Run::clone(run));
        }
        let Some(run) = self.runs.get_mut(id) else { return };
        match effect {
            // The body is replaced. Attributes that are stored separately stay.
            Effect::Forget(body) => {
                *run = Run {
                    status: run.status,
                    ends_at: run.ends_at.or(body.ends_at),
                    stopping_at: run.stopping_at.or(body.stopping_at),
                    reason: run.reason.take().or_else(|| body.reason.clone()),
                    ended_by: run.ended_by.take().or_else(|| body.ended_by.clone()),
                    closed_at: run.closed_at.or(body.closed_at),
                    deviations: run.deviations.take().or_else(|| body.deviations.clone()),
                    effect: run.effect.take().or_else(|| body.effect.clone()),
                    injected: run.injected.take().or_else(|| body.injected.clone()),
                    ..Run::clone(body)
                };
            }
            Effect::RunStatus(status) => run.status = *status,
            Effect::Ending(ending) => {
                run.reason = Some(ending.reason.clone());
                run.ended_by.clone_from(&ending.by);
            }
            Effect::StoppingAt(at) => run.stopping_at = Some(*at),
            Effect::EndsAt(at) => drop(run.ends_at.get_or_insert(*at)),
            Effect::Findings(findings) => {
                run.deviations = Some(findings.deviations.clone());
                run.effect.clone_from(&findings.effect);
                run.injected.clone_from(&findings.injected);
            }
            Effect::ClosedAt(at) => run.closed_at = Some(*at),
            _ => {}
        }
    }

    fn apply_to_target(&mut self, id: &RunId, function: &FunctionArn, effect: &Effect) {
        let key = (id.clone(), function.clone());
        if let Effect::CreateTarget(status) = effect {
            let new = || TargetRecord { status: *status, ..TargetRecord::new(id.clone(), function.clone()) };
            self.targets.entry(key.clone()).or_insert_with(new);
        }
        let Some(target) = self.targets.get_mut(&key) else { return };
        match effect {
            Effect::TargetStatus(status) => target.status = *status,
            Effect::Snapshot(snapshot) => {
                target.changes.clone_from(&snapshot.changes);
                target.last_version = snapshot.last_version;
                target.runtime_version.clone_from(&snapshot.runtime_version);
            }
            Effect::Rehearsed(rehearsed) => target.rehearsed = *rehearsed,
            Effect::Lease(lease) => *lease_of(target, lease.kind) = Some(lease.clone()),
            Effect::LeaseUntil(kind, at) => {
                if let Some(lease) = lease_of(target, *kind) {
                    lease.until = *at;
                }
            }
            Effect::RestoreError(why) => target.restore_error.clone_from(why),
            Effect::Waiting(why) => target.waiting_for.clone_from(why),
            Effect::RemovedFaults(faults) => target.removed_faults.clone_from(faults),
            Effect::EndedAt(at) => target.ended_at = Some(*at),
            Effect::Drift(drift) => target.drift.clone_from(drift),
            Effect::FrozenVersions(versions) => target.frozen_versions.clone_from(versions),
            Effect::Redacted(changes) => target.changes.clone_from(changes),
            Effect::RuntimeVersionAtEnd(version) => target.runtime_version_at_end.clone_from(version),
            _ => {}
        }
    }

    fn apply_to_lock(&mut self, function: &FunctionArn, effect: &Effect) {
        let none = Lock { run: None, generation: 0, released_at: None };
        let lock = self.locks.entry(function.clone()).or_insert(none);
        match effect {
            Effect::Take(id) => {
                lock.run = Some(id.clone());
                lock.generation += 1;
            }
            Effect::Release(at) => {
                lock.run = None;
                lock.released_at = Some(*at);
            }
            _ => {}
        }
    }
}

fn run_meets(run: Option<&Run>, condition: &Condition) -> bool {
    match condition {
        Condition::Absent => run.is_none(),
        Condition::Present => run.is_some(),
        Condition::RunIn(statuses) => run.is_some_and(|run| statuses.contains(&run.status)),
        _ => false,
    }
}

fn target_meets(target: Option<&TargetRecord>, condition: &Condition) -> bool {
    let Some(target) = target else { return false };
    match condition {
        Condition::TargetIn(statuses) => statuses.contains(&target.status),
        Condition::Changes(changes) => target.changes == *changes,
        Condition::Rehearsed => target.rehearsed,
        Condition::LeaseFree(lease, now) => is_free(target.lease(lease.kind), lease, *now),
        Condition::LeaseIs(lease) => target.lease(lease.kind) == Some(lease),
        Condition::LeaseOver(kind, at) => target.lease(*kind).is_none_or(|lease| lease.until <= *at),
        Condition::RemovedFaults(known) => target.removed_faults == *known,
        _ => false,
    }
}

fn is_free(lease: Option<&Lease>, mine: &Lease, now: Time) -> bool {
    lease.is_none_or(|lease| lease.until <= now || lease.holder == mine.holder && lease.until <= mine.until)
}

fn lock_meets(lock: Option<&Lock>, condition: &Condition) -> bool {
    let holder = lock.and_then(|lock| lock.run.as_ref());
    match condition {
        Condition::HeldBy(run) => holder == Some(run),
        Condition::Free => holder.is_none(),
        _ => false,
    }
}

fn lever_meets(lever: Option<&Lever>, condition: &Condition) -> bool {
    match condition {
        Condition::LeverIsNot(engaged) => lever.is_none_or(|lever| lever.engaged != *engaged),
        _ => false,
    }
}

fn lease_of(target: &mut TargetRecord, kind: LeaseKind) -> &mut Option<Lease> {
    match kind {
        LeaseKind::Inject => &mut target.inject_lease,
        LeaseKind::Restore => &mut target.restore_lease,
    }
}

fn apply_to_list(list: &mut Vec<RunId>, id: &RunId, effect: &Effect) {
    list.retain(|other| other != id);
    if matches!(effect, Effect::Enter(_)) {
        list.push(id.clone());
    }
}
