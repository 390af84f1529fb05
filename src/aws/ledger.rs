//! The ledger on DynamoDB: one table, consistent reads, and guarded writes as conditional updates and transactions.

use std::borrow::Cow;
use std::collections::BTreeSet;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{ReturnValue, TransactWriteItem};

use crate::model::guarded_write::{self as writes, GuardedWrite};
use crate::model::kept_metrics::KeptMetrics;
use crate::model::marker::stopped_marker;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{
    Findings, Lease, Lever, Lock, Run, RunEnding, RunList, RunStatus, TargetEnding, TargetKey, TargetRecord,
};
use crate::model::snapshot::{Change, RemovedFault, Snapshot};
use crate::model::time::Time;
use crate::ports::{Ledger, LedgerError, Permit, WriteOutcome, stopped_before};

use super::AwsWorld;
use super::errors::{call_error, ledger_error};
use super::expressions::{actions, update_of};
use super::kept_metrics::{AWAITS_METRICS, metrics_key, read_metrics};
use super::records::{
    Item, function_of, lever_key, lock_key, read_lever, read_list, read_lock, read_run, read_target, run_key, run_of,
    run_pk, separate_body_key, target_key, text,
};

impl AwsWorld {
    async fn item(&self, key: Item) -> Result<Option<Item>, LedgerError> {
        let request = self.dynamodb.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        Ok(request.send().await.map_err(ledger_error)?.item)
    }

    /// Reads the rest of a run whose item this is. Returns `None` if its body was deleted, because expired items are
    /// deleted one by one.
    async fn whole_run(&self, item: &Item) -> Result<Option<Run>, LedgerError> {
        let body = match separate_body_key(item) {
            None => None,
            Some(key) => match self.item(key).await? {
                Some(body) => Some(body),
                None => return Ok(None),
            },
        };
        let mut run = read_run(item, body.as_ref().unwrap_or(item))?;
        // An unreadable run has no list of functions. Its targets have them.
        if run.unread.is_some() && run.functions.is_empty() {
            let targets = self.partition(&run_pk(&run.id), "TARGET#").await?;
            run.functions = targets.iter().filter_map(function_of).collect();
        }
        Ok(Some(run))
    }

    async fn partition(&self, pk: &str, sk_prefix: &str) -> Result<Vec<Item>, LedgerError> {
        let request = self.dynamodb.query().table_name(&self.table).consistent_read(true);
        let mut pages = request
            .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
            .expression_attribute_values(":pk", text(pk))
            .expression_attribute_values(":sk", text(sk_prefix))
            .into_paginator()
            .items()
            .send();
        let mut items = Vec::new();
        while let Some(item) = pages.next().await {
            items.push(item.map_err(ledger_error)?);
        }
        Ok(items)
    }

    /// Makes an update and returns the item after it, or `None` if the condition failed.
    async fn update(&self, write: &GuardedWrite) -> Result<Option<Item>, LedgerError> {
        let Some(update) = update_of(&self.as_sent(write))? else { return Ok(None) };
        let request = update.request(self.dynamodb.update_item().table_name(&self.table));
        match request.return_values(ReturnValue::AllNew).send().await {
            Ok(done) => Ok(Some(done.attributes.unwrap_or_default())),
            Err(error) => match call_error(&error) {
                failed if failed.code == "ConditionalCheckFailedException" => Ok(None),
                other => Err(other.into_ledger_error()),
            },
        }
    }

    async fn transact(&self, actions: Vec<TransactWriteItem>) -> Result<WriteOutcome, LedgerError> {
        match self.dynamodb.transact_write_items().set_transact_items(Some(actions)).send().await {
            Ok(_) => Ok(WriteOutcome::Applied),
            Err(error) => {
                let reasons = match error.as_service_error() {
                    Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                        canceled.cancellation_reasons()
                    }
                    _ => return Err(ledger_error(error)),
                };
                let has = |code: &str| reasons.iter().any(|reason| reason.code() == Some(code));
                // A conflict takes precedence: the condition may have been checked in the middle of the other
                // transaction.
                if has("TransactionConflict") {
                    return Err(LedgerError::Conflict);
                }
                if has("ConditionalCheckFailed") {
                    return Ok(WriteOutcome::ConditionFailed);
                }
                let codes: Vec<&str> = reasons.iter().filter_map(|reason| reason.code()).collect();
                Err(LedgerError::Unavailable(format!("the transaction was canceled: {}", codes.join(", "))))
            }
        }
    }

    /// Returns the write that is sent. A test can leave out a part of it.
    fn as_sent<'w>(&self, write: &'w GuardedWrite) -> Cow<'w, GuardedWrite> {
        #[cfg(test)]
        if let Some(omission) = self.omission {
            let mut weakened = write.clone();
            weakened.leave_out(omission);
            return Cow::Owned(weakened);
        }
        Cow::Borrowed(write)
    }

    pub(super) async fn guarded(&self, write: &GuardedWrite) -> Result<WriteOutcome, LedgerError> {
        if !write.is_transaction() {
            return Ok(self.update(write).await?.map_or(WriteOutcome::ConditionFailed, |_| WriteOutcome::Applied));
        }
        match actions(&self.as_sent(write), &self.table)? {
            Some(actions) => self.transact(actions).await,
            None => Ok(WriteOutcome::ConditionFailed),
        }
    }

    async fn permit(&self, write: &GuardedWrite, function: &FunctionArn) -> Result<Option<Permit>, LedgerError> {
        let begun = self.guarded(write).await?;
        Ok((begun == WriteOutcome::Applied).then(|| Permit::granted(function)))
    }
}

impl Ledger for AwsWorld {
    async fn create_run(&self, run: &Run) -> Result<WriteOutcome, LedgerError> {
        self.guarded(&writes::create_run(run)).await
    }

    async fn add_targets(&self, run: &RunId, functions: &[FunctionArn]) -> Result<(), LedgerError> {
        for write in writes::add_targets(run, functions) {
            // A failed condition means that the run was started or stopped in the meantime, which `start_run` detects.
            let _ = self.guarded(&write).await?;
        }
        Ok(())
    }

    async fn start_run(&self, run: &RunId) -> Result<WriteOutcome, LedgerError> {
        self.guarded(&writes::start_run(run)).await
    }

    async fn stop_run(&self, run: &RunId, ending: &RunEnding, now: Time) -> Result<Run, LedgerError> {
        let stopped = match self.update(&writes::stop_run(run, ending, now)).await? {
            Some(item) => self.whole_run(&item).await?,
            None => self.run(run).await?.map(stopped_before).transpose()?,
        };
        if let Some(run) = stopped {
            return Ok(run);
        }
        let marker = stopped_marker(run, ending, now);
        match self.guarded(&writes::create_marker(&marker, now)).await? {
            WriteOutcome::Applied => Ok(marker),
            // Prepare has created the run since it was read above: retry, to stop that run.
            WriteOutcome::ConditionFailed => Err(LedgerError::Conflict),
        }
    }

    async fn begin_observing(&self, run: &RunId, ends_at: Time) -> Result<Run, LedgerError> {
        let begun = match self.update(&writes::begin_observing(run, ends_at)).await? {
            Some(item) => self.whole_run(&item).await?,
            None => None,
        };
        begun.ok_or_else(|| LedgerError::Unusable(format!("there is no run {run}")))
    }

    async fn record_findings(&self, run: &RunId, findings: &Findings) -> Result<(), LedgerError> {
        self.guarded(&writes::record_findings(run, findings)).await.map(drop)
    }

    async fn close_run(&self, run: &RunId, status: RunStatus, now: Time) -> Result<WriteOutcome, LedgerError> {
        self.guarded(&writes::close_run(run, status, now)).await
    }

    async fn retire_run(&self, run: &Run, now: Time) -> Result<(), LedgerError> {
        self.guarded(&writes::retire_run(run, now)).await.map(drop)
    }

    async fn runs_awaiting_metrics(&self) -> Result<RunList, LedgerError> {
        Ok(read_list(&self.partition(AWAITS_METRICS, "RUN#").await?))
    }

    async fn keep_metrics(&self, run: &RunId, metrics: &KeptMetrics, now: Time) -> Result<WriteOutcome, LedgerError> {
        self.guarded(&writes::keep_metrics(run, metrics, now)).await
    }

    async fn end_keeping(&self, run: &RunId) -> Result<(), LedgerError> {
        self.guarded(&writes::end_keeping(run)).await.map(drop)
    }

    async fn kept_metrics(&self, run: &RunId) -> Result<Option<KeptMetrics>, LedgerError> {
        Ok(self.item(metrics_key(run)).await?.as_ref().map(read_metrics))
    }

    async fn run(&self, run: &RunId) -> Result<Option<Run>, LedgerError> {
        match self.item(run_key(run)).await? {
            Some(item) => self.whole_run(&item).await,
            None => Ok(None),
        }
    }

    async fn targets(&self, run: &RunId) -> Result<Vec<TargetRecord>, LedgerError> {
        self.partition(&run_pk(run), "TARGET#").await?.iter().map(read_target).collect()
    }

    async fn target(&self, target: TargetKey<'_>) -> Result<Option<TargetRecord>, LedgerError> {
        self.item(target_key(target.run, target.function)).await?.as_ref().map(read_target).transpose()
    }

    async fn active_runs(&self) -> Result<RunList, LedgerError> {
        Ok(read_list(&self.partition("ACTIVE", "RUN#").await?))
    }

    async fn unlisted_runs(&self) -> Result<Vec<RunId>, LedgerError> {
        const FILTER: &str = "(sk = :run AND attribute_not_exists(expiresAt)) OR (sk = :lock AND attribute_exists(#run)) OR pk = :active";
        let scan = self.dynamodb.scan().table_name(&self.table).filter_expression(FILTER);
        let scan = scan.expression_attribute_names("#run", "run").projection_expression("pk, sk, #run");
        let values = [(":run", "RUN"), (":lock", "LOCK"), (":active", "ACTIVE")];
        let scan =
            values.into_iter().fold(scan, |scan, (name, value)| scan.expression_attribute_values(name, text(value)));
        let mut pages = scan.into_paginator().items().send();
        let (mut known, mut listed) = (BTreeSet::new(), BTreeSet::new());
        while let Some(item) = pages.next().await {
            let item = item.map_err(ledger_error)?;
            // An entry of the list has the run in its sort key, any other item of a run in its partition key.
            listed.extend(read_list(std::slice::from_ref(&item)).runs);
            known.extend(run_of(&item));
            known.extend(read_lock(&item).ok().and_then(|lock| lock.run));
        }
        Ok(known.difference(&listed).cloned().collect())
    }

    async fn relist_run(&self, run: &RunId) -> Result<(), LedgerError> {
        self.guarded(&writes::relist_run(run)).await.map(drop)
    }

    async fn all_runs(&self) -> Result<Vec<Run>, LedgerError> {
        let scan = self.dynamodb.scan().table_name(&self.table).consistent_read(true).filter_expression("sk = :run");
        let mut pages = scan.expression_attribute_values(":run", text("RUN")).into_paginator().items().send();
        let mut runs = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(ledger_error)?;
            match (self.whole_run(&item).await, run_of(&item)) {
                // An unreadable run must not hide the others.
                (Err(LedgerError::Unreadable(_)), Some(id)) => runs.push(Run::unreadable(id)),
                (run, _) => runs.extend(run?),
            }
        }
        runs.sort_by_key(|run| std::cmp::Reverse(run.created_at));
        Ok(runs)
    }

    async fn runs_of_alarm(&self, alarm_arn: &str) -> Result<RunList, LedgerError> {
        Ok(read_list(&self.partition(&format!("ALARM#{alarm_arn}"), "RUN#").await?))
    }

    async fn lock(&self, function: &FunctionArn) -> Result<Option<Lock>, LedgerError> {
        self.item(lock_key(function)).await?.as_ref().map(read_lock).transpose()
    }

    async fn take_lock(&self, target: TargetKey<'_>) -> Result<Option<Lock>, LedgerError> {
        if self.guarded(&writes::take_lock(target)).await? == WriteOutcome::Applied {
            return self.lock(target.function).await;
        }
        // Either the run is not running, or the lock is held, perhaps by this run if an earlier response was lost.
        match self.run(target.run).await? {
            Some(run) if run.status == RunStatus::Running => self.lock(target.function).await,
            _ => Ok(None),
        }
    }

    async fn arm(&self, target: TargetKey<'_>, snapshot: &Snapshot) -> Result<WriteOutcome, LedgerError> {
        self.guarded(&writes::arm(target, snapshot)).await
    }

    async fn mark_rehearsed(&self, target: TargetKey<'_>, planned: &[Change]) -> Result<WriteOutcome, LedgerError> {
        self.guarded(&writes::mark_rehearsed(target, planned)).await
    }

    async fn begin_inject(
        &self,
        target: TargetKey<'_>,
        planned: &[Change],
        lease: &Lease,
        now: Time,
    ) -> Result<Option<Permit>, LedgerError> {
        self.permit(&writes::begin_inject(target, planned, lease, now), target.function).await
    }

    async fn mark_injected(&self, target: TargetKey<'_>) -> Result<WriteOutcome, LedgerError> {
        self.guarded(&writes::mark_injected(target)).await
    }

    async fn begin_restore(
        &self,
        target: TargetKey<'_>,
        lease: &Lease,
        now: Time,
    ) -> Result<Option<Permit>, LedgerError> {
        self.permit(&writes::begin_restore(target, lease, now), target.function).await
    }

    async fn shorten_lease(&self, target: TargetKey<'_>, lease: &Lease, until: Time) -> Result<(), LedgerError> {
        self.guarded(&writes::shorten_lease(target, lease, until)).await.map(drop)
    }

    async fn end_target(&self, ending: &TargetEnding, now: Time) -> Result<WriteOutcome, LedgerError> {
        // The transaction includes the lock only if the run holds it.
        let held = self.lock(&ending.function).await?.is_some_and(|lock| lock.run.as_ref() == Some(&ending.run));
        self.guarded(&writes::end_target(ending, now, held)).await
    }

    async fn record_restore_error(&self, target: TargetKey<'_>, why: &str) -> Result<(), LedgerError> {
        self.guarded(&writes::record_restore_error(target, why)).await.map(drop)
    }

    async fn record_waiting(&self, target: TargetKey<'_>, why: Option<&str>) -> Result<(), LedgerError> {
        self.guarded(&writes::record_waiting(target, why)).await.map(drop)
    }

    async fn record_removed_faults(&self, target: TargetKey<'_>, seen: &[RemovedFault]) -> Result<(), LedgerError> {
        let Some(target) = self.target(target).await? else { return Ok(()) };
        let Some(write) = writes::record_removed_faults(&target, seen) else { return Ok(()) };
        match self.guarded(&write).await? {
            WriteOutcome::Applied => Ok(()),
            // The target has changed since it was read: the caller reads it again.
            WriteOutcome::ConditionFailed => Err(LedgerError::Conflict),
        }
    }

    async fn lever(&self) -> Result<Option<Lever>, LedgerError> {
        Ok(self.item(lever_key()).await?.as_ref().map(read_lever))
    }

    async fn set_lever(&self, lever: &Lever) -> Result<Lever, LedgerError> {
        match self.guarded(&writes::set_lever(lever)).await? {
            WriteOutcome::Applied => Ok(lever.clone()),
            WriteOutcome::ConditionFailed => Ok(self.lever().await?.unwrap_or_else(|| lever.clone())),
        }
    }
}
