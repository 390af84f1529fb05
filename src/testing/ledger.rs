//! The ledger in memory: the same conditions as the table's.

use crate::model::experiment::Experiment;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{EndReason, Lease, Lever, Lock, Run, RunStatus, TargetRecord, TargetStatus};
use crate::model::snapshot::Change;
use crate::model::time::Time;
use crate::ports::{Ending, Guarded, Ledger, LedgerError, Permit, stopped_marker};

use super::{SimWorld, State};

impl SimWorld {
    async fn ledger_call(&self, method: &'static str, name: &str) {
        self.with(|state| state.ledger_methods.insert(method));
        self.call(name).await;
    }

    /// A transaction: it may meet another one.
    async fn transact<T>(&self, method: &'static str, act: impl FnOnce(&mut State) -> T) -> Result<T, LedgerError> {
        self.ledger_call(method, "TransactWriteItems").await;
        self.with(|state| {
            if state.conflicts > 0 {
                state.conflicts -= 1;
                return Err(LedgerError::Conflict);
            }
            Ok(act(state))
        })
    }
}

fn guarded(done: bool) -> Guarded {
    if done { Guarded::Done } else { Guarded::Declined }
}

impl State {
    fn is(&self, run: &RunId, status: RunStatus) -> bool {
        self.runs.get(run).is_some_and(|run| run.status == status)
    }

    fn record(&mut self, run: &RunId, function: &FunctionArn) -> Option<&mut TargetRecord> {
        self.targets.get_mut(&(run.clone(), function.clone()))
    }

    fn holds(&self, run: &RunId, function: &FunctionArn) -> bool {
        self.locks.get(function).is_some_and(|lock| lock.run.as_ref() == Some(run))
    }

    fn move_run(&mut self, run: &RunId, status: RunStatus) -> Option<&mut Run> {
        let run = self.runs.get_mut(run).filter(|run| run.status.may_become(status))?;
        run.status = status;
        Some(run)
    }
}

fn free(lease: Option<&Lease>, mine: &Lease, now: Time) -> bool {
    lease.is_none_or(|lease| lease.until <= now || lease.holder == mine.holder)
}

impl Ledger for SimWorld {
    async fn create_run(&self, run: &Run) -> Result<Guarded, LedgerError> {
        self.transact("create_run", |state| {
            let engaged = state.lever.as_ref().is_some_and(|lever| lever.engaged);
            if engaged || state.runs.contains_key(&run.id) {
                return Guarded::Declined;
            }
            state.runs.insert(run.id.clone(), run.clone());
            state.active.push(run.id.clone());
            for alarm in &run.alarms {
                state.alarm_runs.entry(alarm.clone()).or_default().push(run.id.clone());
            }
            Guarded::Done
        })
        .await
    }

    async fn add_targets(&self, run: &RunId, targets: &[TargetRecord]) -> Result<(), LedgerError> {
        self.transact("add_targets", |state| {
            if state.is(run, RunStatus::Pending) {
                for target in targets {
                    state.targets.entry((run.clone(), target.function.clone())).or_insert_with(|| target.clone());
                }
            }
        })
        .await
    }

    async fn start_run(&self, run: &RunId) -> Result<Guarded, LedgerError> {
        self.ledger_call("start_run", "UpdateItem").await;
        Ok(self.with(|state| guarded(state.move_run(run, RunStatus::Running).is_some())))
    }

    async fn stop_run(&self, id: &RunId, reason: &EndReason, now: Time) -> Result<Run, LedgerError> {
        self.ledger_call("stop_run", "UpdateItem").await;
        let stopped = self.with(|state| {
            let run = state.move_run(id, RunStatus::Stopping)?;
            run.reason = Some(reason.clone());
            run.stopping_at = Some(now);
            Some(run.clone())
        });
        if let Some(run) = stopped {
            return Ok(run);
        }
        self.call("GetItem").await;
        if let Some(run) = self.with(|state| state.runs.get(id).cloned()) {
            return Ok(run);
        }
        let marker = stopped_marker(id, reason, now);
        let put = self.transact("stop_run", |state| match state.runs.contains_key(id) {
            // Prepare has written it between the two looks: stop that one.
            true => Err(LedgerError::Conflict),
            false => Ok(state.runs.entry(id.clone()).or_insert(marker).clone()),
        });
        put.await?
    }

    async fn begin_observing(&self, id: &RunId, ends_at: Time) -> Result<Run, LedgerError> {
        self.ledger_call("begin_observing", "UpdateItem").await;
        self.with(|state| {
            let run = state.runs.get_mut(id).ok_or_else(|| LedgerError::Unusable("no run".into()))?;
            run.ends_at.get_or_insert(ends_at);
            Ok(run.clone())
        })
    }

    async fn judge_run(&self, id: &RunId, deviations: &[String]) -> Result<(), LedgerError> {
        self.ledger_call("judge_run", "UpdateItem").await;
        self.with(|state| {
            if let Some(run) = state.runs.get_mut(id) {
                run.deviations = Some(deviations.to_vec());
            }
        });
        Ok(())
    }

    async fn close_run(&self, id: &RunId, status: RunStatus, now: Time) -> Result<Guarded, LedgerError> {
        self.ledger_call("close_run", "UpdateItem").await;
        Ok(self.with(|state| {
            let closed = state.move_run(id, status).map(|run| run.closed_at = Some(now));
            guarded(closed.is_some())
        }))
    }

    async fn retire_run(&self, run: &Run, _: Time) -> Result<(), LedgerError> {
        self.transact("retire_run", |state| {
            state.active.retain(|active| *active != run.id);
            if let Some(run) = state.runs.get_mut(&run.id) {
                run.experiment = run.experiment.as_ref().map(Experiment::redacted);
            }
            state.alarm_runs.values_mut().for_each(|runs| runs.retain(|other| *other != run.id));
        })
        .await
    }

    async fn run(&self, id: &RunId) -> Result<Option<Run>, LedgerError> {
        self.ledger_call("run", "GetItem").await;
        Ok(self.with(|state| state.runs.get(id).cloned()))
    }

    async fn targets(&self, id: &RunId) -> Result<Vec<TargetRecord>, LedgerError> {
        self.ledger_call("targets", "Query").await;
        Ok(self.with(|state| state.targets.values().filter(|target| target.run == *id).cloned().collect()))
    }

    async fn target(&self, run: &RunId, function: &FunctionArn) -> Result<Option<TargetRecord>, LedgerError> {
        self.ledger_call("target", "GetItem").await;
        Ok(self.with(|state| state.record(run, function).cloned()))
    }

    async fn active_runs(&self) -> Result<Vec<RunId>, LedgerError> {
        self.ledger_call("active_runs", "Query").await;
        Ok(self.with(|state| state.active.clone()))
    }

    async fn all_runs(&self) -> Result<Vec<Run>, LedgerError> {
        self.ledger_call("all_runs", "Scan").await;
        Ok(self.with(|state| state.runs.values().cloned().collect()))
    }

    async fn runs_of_alarm(&self, alarm_arn: &str) -> Result<Vec<RunId>, LedgerError> {
        self.ledger_call("runs_of_alarm", "Query").await;
        Ok(self.with(|state| state.alarm_runs.get(alarm_arn).cloned().unwrap_or_default()))
    }

    async fn lock(&self, function: &FunctionArn) -> Result<Option<Lock>, LedgerError> {
        self.ledger_call("lock", "GetItem").await;
        Ok(self.with(|state| state.locks.get(function).cloned()))
    }

    async fn take_lock(&self, run: &RunId, function: &FunctionArn) -> Result<Option<Lock>, LedgerError> {
        let take = self.transact("take_lock", |state| {
            if !state.is(run, RunStatus::Running) {
                return None;
            }
            let none = Lock { run: None, generation: 0, released_at: None };
            let lock = state.locks.entry(function.clone()).or_insert(none);
            let free = lock.run.is_none();
            if free {
                lock.run = Some(run.clone());
                lock.generation += 1;
            }
            Some(free)
        });
        match take.await? {
            Some(true) => {}
            // Either the run is not running, or the lock is held: that is looked up.
            taken => {
                self.call("GetItem").await;
                if taken.is_none() {
                    return Ok(None);
                }
            }
        }
        self.call("GetItem").await;
        Ok(self.with(|state| state.locks.get(function).cloned()))
    }

    async fn arm(
        &self,
        run: &RunId,
        function: &FunctionArn,
        changes: &[Change],
        last_version: u64,
    ) -> Result<Guarded, LedgerError> {
        self.transact("arm", |state| {
            let allowed = state.is(run, RunStatus::Running) && state.holds(run, function);
            let Some(target) = state.record(run, function).filter(|_| allowed) else { return Guarded::Declined };
            if !target.status.may_become(TargetStatus::Armed) {
                return Guarded::Declined;
            }
            target.status = TargetStatus::Armed;
            target.changes = changes.to_vec();
            target.last_version = last_version;
            Guarded::Done
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
        self.transact("begin_inject", |state| {
            let running = state.is(run, RunStatus::Running);
            let target = state.record(run, function).filter(|_| running)?;
            let stale = target.changes != planned;
            if stale
                || !target.status.may_become(TargetStatus::Injecting)
                || !free(target.inject_lease.as_ref(), lease, now)
            {
                return None;
            }
            target.status = TargetStatus::Injecting;
            target.inject_lease = Some(lease.clone());
            Some(Permit::granted(function))
        })
        .await
    }

    async fn injected(&self, run: &RunId, function: &FunctionArn) -> Result<Guarded, LedgerError> {
        self.transact("injected", |state| {
            let running = state.is(run, RunStatus::Running);
            let target =
                state.record(run, function).filter(|target| running && target.status == TargetStatus::Injecting);
            guarded(target.map(|target| target.status = TargetStatus::Injected).is_some())
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
        self.ledger_call("begin_restore", "UpdateItem").await;
        Ok(self.with(|state| {
            let target = state.record(run, function)?;
            if !target.status.may_become(TargetStatus::Restoring) || !free(target.restore_lease.as_ref(), lease, now) {
                return None;
            }
            target.status = TargetStatus::Restoring;
            target.restore_lease = Some(lease.clone());
            Some(Permit::granted(function))
        }))
    }

    async fn settle(
        &self,
        run: &RunId,
        function: &FunctionArn,
        settled: &Lease,
        until: Time,
    ) -> Result<(), LedgerError> {
        self.ledger_call("settle", "UpdateItem").await;
        self.with(|state| {
            let Some(target) = state.record(run, function) else { return };
            for lease in [&mut target.inject_lease, &mut target.restore_lease].into_iter().flatten() {
                if lease == settled {
                    lease.until = until;
                }
            }
        });
        Ok(())
    }

    async fn finish(&self, ending: &Ending, now: Time) -> Result<Guarded, LedgerError> {
        // Whose the lock is decides what the transaction holds.
        self.call("GetItem").await;
        self.transact("finish", |state| {
            let Some(target) = state.record(&ending.run, &ending.function) else { return Guarded::Declined };
            let quiet = target.quiet_at().is_none_or(|quiet_at| quiet_at <= ending.observed_at);
            if target.status != ending.from || !target.status.may_become(ending.status) || !quiet {
                return Guarded::Declined;
            }
            target.status = ending.status;
            target.ended_at = Some(now);
            target.changes.clone_from(&ending.redacted);
            target.drift.clone_from(&ending.drift);
            target.frozen_versions.clone_from(&ending.frozen_versions);
            target.restore_error = None;
            if state.holds(&ending.run, &ending.function)
                && let Some(lock) = state.locks.get_mut(&ending.function)
            {
                lock.run = None;
                lock.released_at = Some(now);
            }
            Guarded::Done
        })
        .await
    }

    async fn restore_failed(&self, run: &RunId, function: &FunctionArn, why: &str) -> Result<(), LedgerError> {
        self.ledger_call("restore_failed", "UpdateItem").await;
        self.with(|state| {
            if let Some(target) = state.record(run, function) {
                target.restore_error = Some(why.to_owned());
            }
        });
        Ok(())
    }

    async fn lever(&self) -> Result<Option<Lever>, LedgerError> {
        self.ledger_call("lever", "GetItem").await;
        Ok(self.with(|state| state.lever.clone()))
    }

    async fn set_lever(&self, lever: &Lever) -> Result<(), LedgerError> {
        self.ledger_call("set_lever", "PutItem").await;
        self.with(|state| state.lever = Some(lever.clone()));
        Ok(())
    }
}
