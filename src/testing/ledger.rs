//! The simulated ledger. Its guarded writes come from the same descriptions as the DynamoDB table's.

use std::collections::BTreeSet;

use crate::model::guarded_write::{self as writes, GuardedWrite, Item};
use crate::model::kept_metrics::KeptMetrics;
use crate::model::marker::stopped_marker;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{
    Findings, Lease, Lever, Lock, Run, RunEnding, RunList, RunStatus, TargetEnding, TargetKey, TargetRecord,
};
use crate::model::snapshot::{Change, RemovedFault, Snapshot};
use crate::model::time::Time;
use crate::ports::{Ledger, LedgerError, Permit, WriteOutcome, stopped_before};

use super::calls::CallKind;
use super::history::monitor::Monitor;
use super::{SimWorld, State};

impl SimWorld {
    /// Makes a consistent read.
    async fn read<T: Send + 'static>(
        &self,
        method: &'static str,
        name: &'static str,
        read: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.with(|state| state.enter(method));
        self.exchange(CallKind::ReadLedger, name, move |state| Ok(read(state))).await
    }

    /// Sends a guarded write, which `act` carries out. It writes one item, or is a transaction and can conflict with
    /// another one.
    async fn send<T: Send + 'static>(
        &self,
        method: &'static str,
        write: GuardedWrite,
        act: impl FnOnce(&mut State, &GuardedWrite) -> T + Send + 'static,
    ) -> Result<T, LedgerError> {
        self.with(|state| state.enter(method));
        let transaction = write.is_transaction();
        let (kind, name) = if transaction {
            (CallKind::Transaction, "TransactWriteItems")
        } else {
            (CallKind::WriteItem, "UpdateItem")
        };
        self.exchange(kind, name, move |state| {
            if transaction && state.conflicts > 0 {
                state.conflicts -= 1;
                return Err(LedgerError::Conflict);
            }
            Ok(act(state, &write))
        })
        .await
    }

    /// Makes a guarded write if its conditions hold.
    pub(crate) async fn guarded(&self, write: GuardedWrite) -> Result<WriteOutcome, LedgerError> {
        self.send(write.name, write, State::carry_out).await
    }

    /// Makes a guarded write of a run. Returns the run after it, or `None` if a condition failed.
    async fn run_after(&self, id: &RunId, write: GuardedWrite) -> Result<Option<Run>, LedgerError> {
        let id = id.clone();
        self.send(write.name, write, move |state, write| match state.carry_out(write) {
            // The update succeeds also on an unreadable record. The response that contains the record does not.
            WriteOutcome::Applied => state.readable(&id).map(|()| state.runs.get(&id).cloned()),
            WriteOutcome::ConditionFailed => Ok(None),
        })
        .await?
    }

    async fn permit(&self, write: GuardedWrite, function: &FunctionArn) -> Result<Option<Permit>, LedgerError> {
        let begun = self.guarded(write).await?;
        Ok((begun == WriteOutcome::Applied).then(|| Permit::granted(function)))
    }
}

impl State {
    fn enter(&mut self, method: &'static str) {
        self.ledger_methods.insert(method);
        if let Some(drive) = &mut self.drive {
            drive.caller.method = Some(method);
        }
    }

    fn readable(&self, run: &RunId) -> Result<(), LedgerError> {
        let unreadable = || LedgerError::Unreadable(format!("the record of {run} cannot be read"));
        (!self.unreadable.contains(run)).then_some(()).ok_or_else(unreadable)
    }

    fn readable_target(&self, target: &TargetRecord) -> Result<TargetRecord, LedgerError> {
        let (run, function) = (&target.run, &target.function);
        match self.unreadable_targets.contains(&(run.clone(), function.clone())) {
            true => Err(LedgerError::Unreadable(format!("run {run}, {}: its record cannot be read", function.name()))),
            false => Ok(target.clone()),
        }
    }
}

fn sorted(runs: &[RunId]) -> RunList {
    let mut runs = runs.to_vec();
    runs.sort();
    RunList { runs, unreadable: Vec::new() }
}

impl Ledger for SimWorld {
    async fn create_run(&self, run: &Run) -> Result<WriteOutcome, LedgerError> {
        self.guarded(writes::create_run(run)).await
    }

    async fn add_targets(&self, run: &RunId, functions: &[FunctionArn]) -> Result<(), LedgerError> {
        for write in writes::add_targets(run, functions) {
            let _ = self.guarded(write).await?;
        }
        Ok(())
    }

    async fn start_run(&self, run: &RunId) -> Result<WriteOutcome, LedgerError> {
        self.guarded(writes::start_run(run)).await
    }

    async fn stop_run(&self, id: &RunId, ending: &RunEnding, now: Time) -> Result<Run, LedgerError> {
        if let Some(run) = self.run_after(id, writes::stop_run(id, ending, now)).await? {
            return Ok(run);
        }
        if let Some(run) = self.run(id).await? {
            return stopped_before(run);
        }
        let marker = stopped_marker(id, ending, now);
        match self.send("stop_run", writes::create_marker(&marker, now), State::carry_out).await? {
            WriteOutcome::Applied => Ok(marker),
            // Prepare has created the run since it was read above: retry, to stop that run.
            WriteOutcome::ConditionFailed => Err(LedgerError::Conflict),
        }
    }

    async fn begin_observing(&self, id: &RunId, ends_at: Time) -> Result<Run, LedgerError> {
        let begun = self.run_after(id, writes::begin_observing(id, ends_at)).await?;
        begun.ok_or_else(|| LedgerError::Unusable(format!("there is no run {id}")))
    }

    async fn record_findings(&self, id: &RunId, findings: &Findings) -> Result<(), LedgerError> {
        self.guarded(writes::record_findings(id, findings)).await.map(drop)
    }

    async fn close_run(&self, id: &RunId, status: RunStatus, now: Time) -> Result<WriteOutcome, LedgerError> {
        let id = id.clone();
        let write = writes::close_run(&id, status, now);
        self.send("close_run", write, move |state, write| {
            Monitor::check_closing(state, &id, status);
            state.carry_out(write)
        })
        .await
    }

    async fn retire_run(&self, run: &Run, now: Time) -> Result<(), LedgerError> {
        let id = run.id.clone();
        self.send("retire_run", writes::retire_run(run, now), move |state, write| {
            // The whole record is written, so it is readable again.
            state.unreadable.remove(&id);
            let _ = state.carry_out(write);
        })
        .await
    }

    async fn runs_awaiting_metrics(&self) -> Result<RunList, LedgerError> {
        self.read("runs_awaiting_metrics", "Query", |state| sorted(&state.awaiting_metrics)).await
    }

    async fn keep_metrics(&self, id: &RunId, metrics: &KeptMetrics, now: Time) -> Result<WriteOutcome, LedgerError> {
        self.guarded(writes::keep_metrics(id, metrics, now)).await
    }

    async fn end_keeping(&self, id: &RunId) -> Result<(), LedgerError> {
        self.guarded(writes::end_keeping(id)).await.map(drop)
    }

    async fn kept_metrics(&self, id: &RunId) -> Result<Option<KeptMetrics>, LedgerError> {
        let id = id.clone();
        self.read("kept_metrics", "GetItem", move |state| state.kept_metrics.get(&id).cloned()).await
    }

    async fn run(&self, id: &RunId) -> Result<Option<Run>, LedgerError> {
        let id = id.clone();
        self.read("run", "GetItem", move |state| state.readable(&id).map(|()| state.runs.get(&id).cloned())).await?
    }

    async fn targets(&self, id: &RunId) -> Result<Vec<TargetRecord>, LedgerError> {
        let id = id.clone();
        self.read("targets", "Query", move |state| {
            let targets = state.targets.values().filter(|target| target.run == id);
            targets.map(|target| state.readable_target(target)).collect()
        })
        .await?
    }

    async fn target(&self, target: TargetKey<'_>) -> Result<Option<TargetRecord>, LedgerError> {
        let key = (target.run.clone(), target.function.clone());
        let read =
            move |state: &mut State| state.targets.get(&key).map(|target| state.readable_target(target)).transpose();
        self.read("target", "GetItem", read).await?
    }

    async fn active_runs(&self) -> Result<RunList, LedgerError> {
        self.read("active_runs", "Query", |state| sorted(&state.active)).await
    }

    async fn all_runs(&self) -> Result<Vec<Run>, LedgerError> {
        self.read("all_runs", "Scan", |state| {
            let read = |run: &Run| match state.readable(&run.id) {
                Ok(()) => run.clone(),
                Err(_) => Run::unreadable(run.id.clone()),
            };
            let mut runs: Vec<Run> = state.runs.values().map(read).collect();
            runs.sort_by_key(|run| std::cmp::Reverse(run.created_at));
            runs
        })
        .await
    }

    async fn unlisted_runs(&self) -> Result<Vec<RunId>, LedgerError> {
        self.read("unlisted_runs", "Scan", |state| {
            let open = state.runs.keys().filter(|id| !state.expiries.contains_key(&Item::Run(RunId::clone(id))));
            let holders = state.locks.values().filter_map(|lock| lock.run.as_ref());
            let known: BTreeSet<RunId> = open.chain(holders).cloned().collect();
            known.into_iter().filter(|id| !state.active.contains(id)).collect()
        })
        .await
    }

    async fn relist_run(&self, run: &RunId) -> Result<(), LedgerError> {
        self.guarded(writes::relist_run(run)).await.map(drop)
    }

    async fn runs_of_alarm(&self, alarm_arn: &str) -> Result<RunList, LedgerError> {
        let arn = alarm_arn.to_owned();
        self.read("runs_of_alarm", "Query", move |state| {
            state.alarm_runs.get(&arn).map(|runs| sorted(runs)).unwrap_or_default()
        })
        .await
    }

    async fn lock(&self, function: &FunctionArn) -> Result<Option<Lock>, LedgerError> {
        let function = function.clone();
        self.read("lock", "GetItem", move |state| state.locks.get(&function).cloned()).await
    }

    async fn take_lock(&self, target: TargetKey<'_>) -> Result<Option<Lock>, LedgerError> {
        if self.guarded(writes::take_lock(target)).await? == WriteOutcome::Applied {
            return self.lock(target.function).await;
        }
        // Either the run is not running, or the lock is held. A read tells which.
        match self.run(target.run).await? {
            Some(run) if run.status == RunStatus::Running => self.lock(target.function).await,
            _ => Ok(None),
        }
    }

    async fn arm(&self, target: TargetKey<'_>, snapshot: &Snapshot) -> Result<WriteOutcome, LedgerError> {
        let write = writes::arm(target, snapshot);
        let (function, changes) = (target.function.clone(), snapshot.changes.clone());
        self.send("arm", write, move |state, write| {
            let guarded = state.carry_out(write);
            if guarded == WriteOutcome::Applied {
                Monitor::on_arm(state, &function, &changes);
            }
            guarded
        })
        .await
    }

    async fn mark_rehearsed(&self, target: TargetKey<'_>, planned: &[Change]) -> Result<WriteOutcome, LedgerError> {
        self.guarded(writes::mark_rehearsed(target, planned)).await
    }

    async fn begin_inject(
        &self,
        target: TargetKey<'_>,
        planned: &[Change],
        lease: &Lease,
        now: Time,
    ) -> Result<Option<Permit>, LedgerError> {
        self.permit(writes::begin_inject(target, planned, lease, now), target.function).await
    }

    async fn mark_injected(&self, target: TargetKey<'_>) -> Result<WriteOutcome, LedgerError> {
        self.guarded(writes::mark_injected(target)).await
    }

    async fn begin_restore(
        &self,
        target: TargetKey<'_>,
        lease: &Lease,
        now: Time,
    ) -> Result<Option<Permit>, LedgerError> {
        self.permit(writes::begin_restore(target, lease, now), target.function).await
    }

    async fn shorten_lease(&self, target: TargetKey<'_>, lease: &Lease, until: Time) -> Result<(), LedgerError> {
        self.guarded(writes::shorten_lease(target, lease, until)).await.map(drop)
    }

    async fn end_target(&self, ending: &TargetEnding, now: Time) -> Result<WriteOutcome, LedgerError> {
        // The transaction includes the lock only if the run holds it.
        let held = self.lock(&ending.function).await?.is_some_and(|lock| lock.run.as_ref() == Some(&ending.run));
        let (write, ending) = (writes::end_target(ending, now, held), ending.clone());
        self.send("end_target", write, move |state, write| {
            let target = state.targets.get(&(ending.run.clone(), ending.function.clone()));
            let changes = target.map(|target| target.changes.clone()).unwrap_or_default();
            let guarded = state.carry_out(write);
            if guarded == WriteOutcome::Applied {
                Monitor::check_ending(state, &ending, &changes);
            }
            guarded
        })
        .await
    }

    async fn record_restore_error(&self, target: TargetKey<'_>, why: &str) -> Result<(), LedgerError> {
        self.guarded(writes::record_restore_error(target, why)).await.map(drop)
    }

    async fn record_waiting(&self, target: TargetKey<'_>, why: Option<&str>) -> Result<(), LedgerError> {
        self.guarded(writes::record_waiting(target, why)).await.map(drop)
    }

    async fn record_removed_faults(&self, target: TargetKey<'_>, seen: &[RemovedFault]) -> Result<(), LedgerError> {
        let key = (target.run.clone(), target.function.clone());
        let target = self.read("record_removed_faults", "GetItem", move |state| state.targets.get(&key).cloned());
        let Some(target) = target.await? else { return Ok(()) };
        let Some(write) = writes::record_removed_faults(&target, seen) else { return Ok(()) };
        match self.guarded(write).await? {
            WriteOutcome::Applied => Ok(()),
            // The target has changed since it was read: the caller reads it again.
            WriteOutcome::ConditionFailed => Err(LedgerError::Conflict),
        }
    }

    async fn lever(&self) -> Result<Option<Lever>, LedgerError> {
        self.read("lever", "GetItem", |state| state.lever.clone()).await
    }

    async fn set_lever(&self, lever: &Lever) -> Result<Lever, LedgerError> {
        match self.guarded(writes::set_lever(lever)).await? {
            WriteOutcome::Applied => Ok(lever.clone()),
            WriteOutcome::ConditionFailed => Ok(self.lever().await?.unwrap_or_else(|| lever.clone())),
        }
    }
}
