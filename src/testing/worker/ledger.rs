//! The ledger as a worker reads and writes it: weakenings change a few of the results.

use crate::model::kept_metrics::KeptMetrics;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{
    Findings, Lease, Lever, Lock, Run, RunEnding, RunList, RunStatus, TargetEnding, TargetKey, TargetRecord,
    TargetStatus,
};
use crate::model::snapshot::{Change, RemovedFault, Snapshot};
use crate::model::time::Time;
use crate::ports::{Clock, Ledger, LedgerError, Permit, WriteOutcome};
use crate::steps::MAX_READ_STALENESS;
use crate::testing::history::weakening::Weakening;

use super::{Role, Worker};

impl Ledger for Worker<'_> {
    async fn create_run(&self, run: &Run) -> Result<WriteOutcome, LedgerError> {
        self.as_caller(None).create_run(run).await
    }

    async fn add_targets(&self, run: &RunId, functions: &[FunctionArn]) -> Result<(), LedgerError> {
        self.as_caller(None).add_targets(run, functions).await
    }

    async fn start_run(&self, run: &RunId) -> Result<WriteOutcome, LedgerError> {
        self.as_caller(None).start_run(run).await
    }

    async fn stop_run(&self, run: &RunId, ending: &RunEnding, now: Time) -> Result<Run, LedgerError> {
        let stopped = self.as_caller(None).stop_run(run, ending, now).await;
        match stopped {
            Err(LedgerError::Conflict) if self.has(Weakening::StoppedUnseen) => {
                self.as_caller(None).run(run).await?.ok_or(LedgerError::Conflict)
            }
            stopped => stopped,
        }
    }

    async fn begin_observing(&self, run: &RunId, ends_at: Time) -> Result<Run, LedgerError> {
        self.as_caller(None).begin_observing(run, ends_at).await
    }

    async fn record_findings(&self, run: &RunId, findings: &Findings) -> Result<(), LedgerError> {
        self.as_caller(None).record_findings(run, findings).await
    }

    async fn close_run(&self, run: &RunId, status: RunStatus, now: Time) -> Result<WriteOutcome, LedgerError> {
        self.as_caller(None).close_run(run, status, now).await
    }

    async fn retire_run(&self, run: &Run, now: Time) -> Result<(), LedgerError> {
        self.as_caller(None).retire_run(run, now).await
    }

    async fn runs_awaiting_metrics(&self) -> Result<RunList, LedgerError> {
        self.as_caller(None).runs_awaiting_metrics().await
    }

    async fn keep_metrics(&self, run: &RunId, metrics: &KeptMetrics, now: Time) -> Result<WriteOutcome, LedgerError> {
        self.as_caller(None).keep_metrics(run, metrics, now).await
    }

    async fn end_keeping(&self, run: &RunId) -> Result<(), LedgerError> {
        self.as_caller(None).end_keeping(run).await
    }

    async fn kept_metrics(&self, run: &RunId) -> Result<Option<KeptMetrics>, LedgerError> {
        self.as_caller(None).kept_metrics(run).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<Run>, LedgerError> {
        self.as_caller(None).run(run).await
    }

    async fn targets(&self, run: &RunId) -> Result<Vec<TargetRecord>, LedgerError> {
        self.as_caller(None).targets(run).await
    }

    async fn target(&self, target: TargetKey<'_>) -> Result<Option<TargetRecord>, LedgerError> {
        let mut target = self.as_caller(None).target(target).await?;
        if let Some(target) = &mut target {
            if self.has(Weakening::EndedUnderLease) {
                (target.inject_lease, target.restore_lease) = (None, None);
            }
            if self.has(Weakening::NoRehearsal) {
                target.rehearsed = true;
            }
            // With this weakening, arming does not know that the target is armed already.
            if self.has(Weakening::SnapshotOverwritten) && self.role == Role::Arm && !target.status.is_final() {
                target.status = TargetStatus::Pending;
            }
        }
        Ok(target)
    }

    async fn active_runs(&self) -> Result<RunList, LedgerError> {
        let runs = self.as_caller(None).active_runs().await?;
        Ok(if self.has(Weakening::NoReaper) && self.role == Role::Reaper { RunList::default() } else { runs })
    }

    async fn all_runs(&self) -> Result<Vec<Run>, LedgerError> {
        self.as_caller(None).all_runs().await
    }

    async fn unlisted_runs(&self) -> Result<Vec<RunId>, LedgerError> {
        self.as_caller(None).unlisted_runs().await
    }

    async fn relist_run(&self, run: &RunId) -> Result<(), LedgerError> {
        self.as_caller(None).relist_run(run).await
    }

    async fn runs_of_alarm(&self, alarm_arn: &str) -> Result<RunList, LedgerError> {
        let mut runs = self.as_caller(None).runs_of_alarm(alarm_arn).await?;
        if self.has(Weakening::AlarmReadStale) {
            let since = self.now() - MAX_READ_STALENESS;
            runs.runs
                .retain(|id| self.world.with(|state| state.runs.get(id).is_some_and(|run| run.created_at < since)));
        }
        Ok(runs)
    }

    async fn lock(&self, function: &FunctionArn) -> Result<Option<Lock>, LedgerError> {
        self.as_caller(None).lock(function).await
    }

    async fn take_lock(&self, target: TargetKey<'_>) -> Result<Option<Lock>, LedgerError> {
        if self.has(Weakening::ObserveBeforeLock) {
            self.observe_before_lock(target.run, target.function).await;
        }
        let mut lock = self.as_caller(None).take_lock(target).await?;
        if let Some(lock) = lock.as_mut().filter(|_| self.has(Weakening::NoWaitAfterRelease)) {
            lock.released_at = None;
        }
        Ok(lock)
    }

    async fn arm(&self, target: TargetKey<'_>, snapshot: &Snapshot) -> Result<WriteOutcome, LedgerError> {
        self.as_caller(None).arm(target, snapshot).await
    }

    async fn mark_rehearsed(&self, target: TargetKey<'_>, planned: &[Change]) -> Result<WriteOutcome, LedgerError> {
        self.as_caller(None).mark_rehearsed(target, planned).await
    }

    async fn begin_inject(
        &self,
        target: TargetKey<'_>,
        planned: &[Change],
        lease: &Lease,
        now: Time,
    ) -> Result<Option<Permit>, LedgerError> {
        self.memory(|memory| memory.begun.insert(target.function.clone(), target.run.clone()));
        self.as_caller(None).begin_inject(target, planned, &self.weakened_lease(lease), now).await
    }

    async fn mark_injected(&self, target: TargetKey<'_>) -> Result<WriteOutcome, LedgerError> {
        self.as_caller(None).mark_injected(target).await
    }

    async fn begin_restore(
        &self,
        target: TargetKey<'_>,
        lease: &Lease,
        now: Time,
    ) -> Result<Option<Permit>, LedgerError> {
        self.memory(|memory| memory.begun.insert(target.function.clone(), target.run.clone()));
        self.as_caller(None).begin_restore(target, &self.weakened_lease(lease), now).await
    }

    async fn shorten_lease(&self, target: TargetKey<'_>, lease: &Lease, until: Time) -> Result<(), LedgerError> {
        self.as_caller(None).shorten_lease(target, lease, until).await
    }

    async fn end_target(&self, ending: &TargetEnding, now: Time) -> Result<WriteOutcome, LedgerError> {
        self.as_caller(None).end_target(ending, now).await
    }

    async fn record_restore_error(&self, target: TargetKey<'_>, why: &str) -> Result<(), LedgerError> {
        self.as_caller(None).record_restore_error(target, why).await
    }

    async fn record_waiting(&self, target: TargetKey<'_>, why: Option<&str>) -> Result<(), LedgerError> {
        self.as_caller(None).record_waiting(target, why).await
    }

    async fn record_removed_faults(&self, target: TargetKey<'_>, seen: &[RemovedFault]) -> Result<(), LedgerError> {
        self.as_caller(None).record_removed_faults(target, seen).await
    }

    async fn lever(&self) -> Result<Option<Lever>, LedgerError> {
        self.as_caller(None).lever().await
    }

    async fn set_lever(&self, lever: &Lever) -> Result<Lever, LedgerError> {
        self.as_caller(None).set_lever(lever).await
    }
}
