//! The ledger in memory: the same conditions as the table's.

use crate::model::experiment::Experiment;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{EndReason, Lease, Lever, Lock, Run, RunStatus, TargetRecord, TargetStatus};
use crate::model::snapshot::Change;
use crate::model::time::Time;
use crate::ports::{Ending, Guarded, Ledger, LedgerError, Permit, stopped_marker};

use super::history::monitor::Monitor;
use super::history::weakening::Weakening;
use super::network::Kind;
use super::{SimWorld, State};

impl SimWorld {
    /// A read, which is consistent.
    async fn read<T: Send + 'static>(
        &self,
        method: &'static str,
        name: &'static str,
        look: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.with(|state| state.enter(method));
        self.exchange(Kind::Read, name, move |state| Ok(look(state))).await
    }

    /// A write of one item.
    async fn update<T: Send + 'static>(
        &self,
        method: &'static str,
        act: impl FnOnce(&mut State) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.with(|state| state.enter(method));
        self.exchange(Kind::Update, "UpdateItem", act).await
    }

    /// A transaction: it may meet another one.
    async fn transact<T: Send + 'static>(
        &self,
        method: &'static str,
        act: impl FnOnce(&mut State) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.with(|state| state.enter(method));
        self.exchange(Kind::Transaction, "TransactWriteItems", move |state| {
            if state.conflicts > 0 {
                state.conflicts -= 1;
                return Err(LedgerError::Conflict);
            }
            act(state)
        })
        .await
    }
}

fn guarded(done: bool) -> Guarded {
    if done { Guarded::Done } else { Guarded::Declined }
}

impl State {
    fn enter(&mut self, method: &'static str) {
        self.ledger_methods.insert(method);
        if let Some(drive) = &mut self.drive {
            drive.caller.method = Some(method);
        }
    }

    fn is(&self, run: &RunId, status: RunStatus) -> bool {
        self.runs.get(run).is_some_and(|run| run.status == status)
    }

    fn readable(&self, run: &RunId) -> Result<(), LedgerError> {
        let unreadable = || LedgerError::Unusable(format!("the record of {run} cannot be read"));
        (!self.unreadable.contains(run)).then_some(()).ok_or_else(unreadable)
    }

    fn record(&mut self, run: &RunId, function: &FunctionArn) -> Option<&mut TargetRecord> {
        self.targets.get_mut(&(run.clone(), function.clone()))
    }

    fn holds(&self, run: &RunId, function: &FunctionArn) -> bool {
        self.locks.get(function).is_some_and(|lock| lock.run.as_ref() == Some(run))
    }

    fn weakened(&self, weakening: Weakening) -> bool {
        self.drive.as_ref().is_some_and(|drive| drive.weakening == Some(weakening))
    }

    fn move_run(&mut self, run: &RunId, status: RunStatus) -> Option<&mut Run> {
        let run = self.runs.get_mut(run).filter(|run| run.status.may_become(status))?;
        run.status = status;
        Some(run)
    }
}

fn free(lease: Option<&Lease>, mine: &Lease, now: Time) -> bool {
    // Of one's own leases, a begin that lands late must not cut a newer one short.
    lease.is_none_or(|lease| lease.until <= now || lease.holder == mine.holder && lease.until <= mine.until)
}

impl Ledger for SimWorld {
    async fn create_run(&self, run: &Run) -> Result<Guarded, LedgerError> {
        let run = run.clone();
        self.transact("create_run", move |state| {
            let engaged = state.lever.as_ref().is_some_and(|lever| lever.engaged);
            if engaged || state.runs.contains_key(&run.id) {
                return Ok(Guarded::Declined);
            }
            state.active.push(run.id.clone());
            for alarm in &run.alarms {
                state.alarm_runs.entry(alarm.clone()).or_default().push(run.id.clone());
            }
            state.runs.insert(run.id.clone(), run);
            Ok(Guarded::Done)
        })
        .await
    }

    async fn add_targets(&self, run: &RunId, targets: &[TargetRecord]) -> Result<(), LedgerError> {
        let (run, targets) = (run.clone(), targets.to_vec());
        self.transact("add_targets", move |state| {
            if state.is(&run, RunStatus::Pending) {
                for target in targets {
                    state.targets.entry((run.clone(), target.function.clone())).or_insert(target);
                }
            }
            Ok(())
        })
        .await
    }

    async fn start_run(&self, run: &RunId) -> Result<Guarded, LedgerError> {
        let run = run.clone();
        self.update("start_run", move |state| Ok(guarded(state.move_run(&run, RunStatus::Running).is_some()))).await
    }

    async fn stop_run(&self, id: &RunId, reason: &EndReason, now: Time) -> Result<Run, LedgerError> {
        let (run, because) = (id.clone(), reason.clone());
        let stopped = self.update("stop_run", move |state| {
            if let Some(run) = state.move_run(&run, RunStatus::Stopping) {
                run.reason = Some(because.clone());
                run.stopping_at = Some(now);
                let run = run.clone();
                // The update needs no reading; its answer does.
                return state.readable(&run.id).map(|()| Some(run));
            }
            let hides = state.weakened(Weakening::FirstFailureHidden);
            if let Some(run) = state.runs.get_mut(&run).filter(|run| hides && run.status == RunStatus::Stopping) {
                run.reason = Some(because);
            }
            Ok(None)
        });
        if let Some(run) = stopped.await? {
            return Ok(run);
        }
        if let Some(run) = self.run(id).await? {
            return Ok(run);
        }
        let marker = stopped_marker(id, reason, now);
        self.transact("stop_run", move |state| match state.runs.contains_key(&marker.id) {
            // Prepare has written it between the two looks: stop that one.
            true => Err(LedgerError::Conflict),
            false => Ok(state.runs.entry(marker.id.clone()).or_insert(marker).clone()),
        })
        .await
    }

    async fn begin_observing(&self, id: &RunId, ends_at: Time) -> Result<Run, LedgerError> {
        let id = id.clone();
        self.update("begin_observing", move |state| {
            let run = state.runs.get_mut(&id).ok_or_else(|| LedgerError::Unusable("no run".into()))?;
            run.ends_at.get_or_insert(ends_at);
            Ok(run.clone())
        })
        .await
    }

    async fn judge_run(&self, id: &RunId, deviations: &[String]) -> Result<(), LedgerError> {
        let (id, deviations) = (id.clone(), deviations.to_vec());
        self.update("judge_run", move |state| {
            if let Some(run) = state.runs.get_mut(&id) {
                run.deviations = Some(deviations);
            }
            Ok(())
        })
        .await
    }

    async fn close_run(&self, id: &RunId, status: RunStatus, now: Time) -> Result<Guarded, LedgerError> {
        let id = id.clone();
        self.update("close_run", move |state| {
            Monitor::closing(state, &id, status);
            let closed = state.move_run(&id, status).map(|run| run.closed_at = Some(now));
            Ok(guarded(closed.is_some()))
        })
        .await
    }

    async fn retire_run(&self, run: &Run, _: Time) -> Result<(), LedgerError> {
        let id = run.id.clone();
        self.transact("retire_run", move |state| {
            state.active.retain(|active| *active != id);
            // It is written anew, as a whole.
            state.unreadable.remove(&id);
            if let Some(run) = state.runs.get_mut(&id) {
                run.experiment = run.experiment.as_ref().map(Experiment::redacted);
            }
            state.alarm_runs.values_mut().for_each(|runs| runs.retain(|other| *other != id));
            Ok(())
        })
        .await
    }

    async fn run(&self, id: &RunId) -> Result<Option<Run>, LedgerError> {
        let id = id.clone();
        self.read("run", "GetItem", move |state| state.readable(&id).map(|()| state.runs.get(&id).cloned())).await?
    }

    async fn targets(&self, id: &RunId) -> Result<Vec<TargetRecord>, LedgerError> {
        let id = id.clone();
        self.read("targets", "Query", move |state| {
            state.targets.values().filter(|target| target.run == id).cloned().collect()
        })
        .await
    }

    async fn target(&self, run: &RunId, function: &FunctionArn) -> Result<Option<TargetRecord>, LedgerError> {
        let (run, function) = (run.clone(), function.clone());
        self.read("target", "GetItem", move |state| state.record(&run, &function).cloned()).await
    }

    async fn active_runs(&self) -> Result<Vec<RunId>, LedgerError> {
        self.read("active_runs", "Query", |state| state.active.clone()).await
    }

    async fn all_runs(&self) -> Result<Vec<Run>, LedgerError> {
        self.read("all_runs", "Scan", |state| state.runs.values().cloned().collect()).await
    }

    async fn runs_of_alarm(&self, alarm_arn: &str) -> Result<Vec<RunId>, LedgerError> {
        let arn = alarm_arn.to_owned();
        self.read("runs_of_alarm", "Query", move |state| state.alarm_runs.get(&arn).cloned().unwrap_or_default()).await
    }

    async fn lock(&self, function: &FunctionArn) -> Result<Option<Lock>, LedgerError> {
        let function = function.clone();
        self.read("lock", "GetItem", move |state| state.locks.get(&function).cloned()).await
    }

    async fn take_lock(&self, run: &RunId, function: &FunctionArn) -> Result<Option<Lock>, LedgerError> {
        let (id, locked) = (run.clone(), function.clone());
        let take = self.transact("take_lock", move |state| {
            if !state.is(&id, RunStatus::Running) {
                return Ok(None);
            }
            let none = Lock { run: None, generation: 0, released_at: None };
            let shared = state.weakened(Weakening::NoLock);
            let lock = state.locks.entry(locked).or_insert(none);
            let free = lock.run.is_none() || shared;
            if free {
                lock.run = Some(id);
                lock.generation += 1;
            }
            Ok(Some(free))
        });
        // Either the run is not running, or the lock is held: that is looked up.
        match take.await? {
            Some(true) => {}
            taken => {
                self.run(run).await?;
                if taken.is_none() {
                    return Ok(None);
                }
            }
        }
        self.lock(function).await
    }

    async fn arm(
        &self,
        run: &RunId,
        function: &FunctionArn,
        changes: &[Change],
        last_version: u64,
    ) -> Result<Guarded, LedgerError> {
        let (run, function, changes) = (run.clone(), function.clone(), changes.to_vec());
        self.transact("arm", move |state| {
            let again = state.weakened(Weakening::SnapshotOverwritten);
            let allowed = state.is(&run, RunStatus::Running) && state.holds(&run, &function);
            let Some(target) = state.record(&run, &function).filter(|_| allowed) else { return Ok(Guarded::Declined) };
            if !target.status.may_become(TargetStatus::Armed) && !again {
                return Ok(Guarded::Declined);
            }
            target.status = TargetStatus::Armed;
            target.changes.clone_from(&changes);
            target.last_version = last_version;
            Monitor::armed(state, &function, &changes);
            Ok(Guarded::Done)
        })
        .await
    }

    async fn begin_inject(
        &self,
        run: &RunId,
        function: &FunctionArn,
        planned: &[Change],
        lease: &Lease,
        now: Time,
    ) -> Result<Option<Permit>, LedgerError> {
        let (run, function, planned, lease) = (run.clone(), function.clone(), planned.to_vec(), lease.clone());
        self.transact("begin_inject", move |state| {
            let unleased = state.weakened(Weakening::NoLease) || state.weakened(Weakening::LeaseOnRestoreOnly);
            let running = state.is(&run, RunStatus::Running);
            let Some(target) = state.record(&run, &function).filter(|_| running) else { return Ok(None) };
            let stale = target.changes != planned;
            if stale
                || !target.status.may_become(TargetStatus::Injecting)
                || !free(target.inject_lease.as_ref(), &lease, now)
            {
                return Ok(None);
            }
            target.status = TargetStatus::Injecting;
            target.inject_lease = (!unleased).then_some(lease);
            Ok(Some(Permit::granted(&function)))
        })
        .await
    }

    async fn injected(&self, run: &RunId, function: &FunctionArn) -> Result<Guarded, LedgerError> {
        let (run, function) = (run.clone(), function.clone());
        self.transact("injected", move |state| {
            let running = state.is(&run, RunStatus::Running);
            let target =
                state.record(&run, &function).filter(|target| running && target.status == TargetStatus::Injecting);
            Ok(guarded(target.map(|target| target.status = TargetStatus::Injected).is_some()))
        })
        .await
    }

    async fn begin_restore(
        &self,
        run: &RunId,
        function: &FunctionArn,
        lease: &Lease,
        now: Time,
    ) -> Result<Option<Permit>, LedgerError> {
        let (run, function, lease) = (run.clone(), function.clone(), lease.clone());
        self.update("begin_restore", move |state| {
            let unleased = state.weakened(Weakening::NoLease) || state.weakened(Weakening::LeaseOnInjectOnly);
            let Some(target) = state.record(&run, &function) else { return Ok(None) };
            if !target.status.may_become(TargetStatus::Restoring) || !free(target.restore_lease.as_ref(), &lease, now) {
                return Ok(None);
            }
            target.status = TargetStatus::Restoring;
            target.restore_lease = (!unleased).then_some(lease);
            Ok(Some(Permit::granted(&function)))
        })
        .await
    }

    async fn settle(
        &self,
        run: &RunId,
        function: &FunctionArn,
        settled: &Lease,
        until: Time,
    ) -> Result<(), LedgerError> {
        let (run, function, settled) = (run.clone(), function.clone(), settled.clone());
        self.update("settle", move |state| {
            let Some(target) = state.record(&run, &function) else { return Ok(()) };
            for lease in [&mut target.inject_lease, &mut target.restore_lease].into_iter().flatten() {
                if *lease == settled {
                    lease.until = until;
                }
            }
            Ok(())
        })
        .await
    }

    async fn finish(&self, ending: &Ending, now: Time) -> Result<Guarded, LedgerError> {
        // Whose the lock is decides what the transaction holds.
        self.lock(&ending.function).await?;
        let ending = ending.clone();
        self.transact("finish", move |state| {
            let unasked = state.weakened(Weakening::EndedUnderLease);
            let Some(target) = state.record(&ending.run, &ending.function) else { return Ok(Guarded::Declined) };
            let quiet = target.quiet_at().is_none_or(|quiet_at| quiet_at <= ending.observed_at) || unasked;
            if target.status != ending.from || !target.status.may_become(ending.status) || !quiet {
                return Ok(Guarded::Declined);
            }
            let changes = std::mem::replace(&mut target.changes, ending.redacted.clone());
            target.status = ending.status;
            target.ended_at = Some(now);
            target.drift.clone_from(&ending.drift);
            target.frozen_versions.clone_from(&ending.frozen_versions);
            target.restore_error = None;
            if state.holds(&ending.run, &ending.function)
                && let Some(lock) = state.locks.get_mut(&ending.function)
            {
                lock.run = None;
                lock.released_at = Some(now);
            }
            Monitor::ended(state, &ending, &changes);
            Ok(Guarded::Done)
        })
        .await
    }

    async fn restore_failed(&self, run: &RunId, function: &FunctionArn, why: &str) -> Result<(), LedgerError> {
        let (run, function, why) = (run.clone(), function.clone(), why.to_owned());
        self.update("restore_failed", move |state| {
            if let Some(target) = state.record(&run, &function).filter(|target| !target.status.is_final()) {
                target.restore_error = Some(why);
            }
            Ok(())
        })
        .await
    }

    async fn lever(&self) -> Result<Option<Lever>, LedgerError> {
        self.read("lever", "GetItem", |state| state.lever.clone()).await
    }

    async fn set_lever(&self, lever: &Lever) -> Result<(), LedgerError> {
        let lever = lever.clone();
        self.with(|state| state.enter("set_lever"));
        self.exchange(Kind::Update, "PutItem", move |state| {
            state.lever = Some(lever);
            Ok(())
        })
        .await
    }
}
