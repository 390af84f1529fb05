//! The ledger on DynamoDB: one table, consistent reads, condition expressions and transactions.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, ReturnValue, TransactWriteItem, Update};

use crate::model::experiment::Experiment;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{EndReason, Lease, Lever, Lock, Run, RunStatus, TargetRecord};
use crate::model::snapshot::Change;
use crate::model::time::Time;
use crate::ports::{Ending, Guarded, Ledger, LedgerError, Permit, stopped_marker};

use super::AwsWorld;
use super::errors::{answer, ledger_error};
use super::records::{
    Item, active_key, alarm_key, body_key, has_own_body, json, lever_item, lever_key, lock_key, number, own_body_of,
    read_lever, read_lock, read_run, read_target, run_items, run_key, run_of, run_pk, target_key, text,
};

/// How long a finished run stays, in seconds: 90 days, as long as Step Functions keeps its execution.
const RETENTION: i64 = 90 * 86_400;
/// A transaction has 100 actions at most (amazondynamodb/latest/APIReference/API_TransactWriteItems); one is the run's.
const CHUNK: usize = 90;

type Values = Vec<(&'static str, AttributeValue)>;

/// One write with its condition. Attributes are written `#name` in both, for many good names are reserved words.
struct Guard {
    key: Item,
    update: String,
    condition: String,
    values: Values,
}

impl Guard {
    fn new(key: Item, update: &str, condition: &str, values: Values) -> Self {
        Self { key, update: update.to_owned(), condition: condition.to_owned(), values }
    }

    fn check(key: Item, condition: &str, values: Values) -> Self {
        Self::new(key, "", condition, values)
    }

    fn names(&self) -> HashMap<String, String> {
        let text = format!("{} {}", self.update, self.condition);
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '#').filter(|word| word.starts_with('#'));
        words.map(|word| (word.to_owned(), word[1..].to_owned())).collect()
    }

    fn values(&self) -> Option<Item> {
        let values: Item = self.values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        (!values.is_empty()).then_some(values)
    }

    fn action(self, table: &str) -> Result<TransactWriteItem, LedgerError> {
        let (names, values) = (self.names(), self.values());
        let item = TransactWriteItem::builder();
        if self.update.is_empty() {
            let check = ConditionCheck::builder()
                .table_name(table)
                .set_key(Some(self.key))
                .condition_expression(self.condition)
                .set_expression_attribute_names(Some(names))
                .set_expression_attribute_values(values);
            return Ok(item.condition_check(check.build().map_err(unbuilt)?).build());
        }
        let update = Update::builder()
            .table_name(table)
            .set_key(Some(self.key))
            .update_expression(self.update)
            .set_condition_expression((!self.condition.is_empty()).then_some(self.condition))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(values);
        Ok(item.update(update.build().map_err(unbuilt)?).build())
    }

    fn request(self, world: &AwsWorld) -> UpdateItemFluentBuilder {
        let (names, values) = (self.names(), self.values());
        world
            .dynamodb
            .update_item()
            .table_name(&world.table)
            .set_key(Some(self.key))
            .update_expression(self.update)
            .set_condition_expression((!self.condition.is_empty()).then_some(self.condition))
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values(values)
    }
}

fn unbuilt(error: impl std::fmt::Display) -> LedgerError {
    LedgerError::Unusable(format!("a request could not be built: {error}"))
}

fn running(run: &RunId) -> Guard {
    Guard::check(run_key(run), "#status = :running", vec![(":running", text("running"))])
}

impl AwsWorld {
    async fn item(&self, key: Item) -> Result<Option<Item>, LedgerError> {
        let request = self.dynamodb.get_item().table_name(&self.table).set_key(Some(key)).consistent_read(true);
        Ok(request.send().await.map_err(ledger_error)?.item)
    }

    /// The run whose item this is. `None` when its body is gone: expired items are deleted one by one.
    async fn whole_run(&self, item: &Item) -> Result<Option<Run>, LedgerError> {
        match own_body_of(item) {
            None => read_run(item, item).map(Some),
            Some(key) => self.item(key).await?.map(|body| read_run(item, &body)).transpose(),
        }
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

    /// One update; with its condition unmet, `None`.
    async fn update(&self, guard: Guard) -> Result<Option<Item>, LedgerError> {
        match guard.request(self).return_values(ReturnValue::AllNew).send().await {
            Ok(done) => Ok(Some(done.attributes.unwrap_or_default())),
            Err(error) => match answer(&error) {
                unmet if unmet.code == "ConditionalCheckFailedException" => Ok(None),
                other => Err(other.into_ledger_error()),
            },
        }
    }

    async fn guarded(&self, guard: Guard) -> Result<Guarded, LedgerError> {
        Ok(self.update(guard).await?.map_or(Guarded::Declined, |_| Guarded::Done))
    }

    async fn transact(&self, actions: Vec<TransactWriteItem>) -> Result<Guarded, LedgerError> {
        match self.dynamodb.transact_write_items().set_transact_items(Some(actions)).send().await {
            Ok(_) => Ok(Guarded::Done),
            Err(error) => {
                let reasons = match error.as_service_error() {
                    Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                        cancelled.cancellation_reasons()
                    }
                    _ => return Err(ledger_error(error)),
                };
                let has = |code: &str| reasons.iter().any(|reason| reason.code() == Some(code));
                // A conflict first: the condition may have been read in the middle of the other transaction.
                if has("TransactionConflict") {
                    return Err(LedgerError::Conflict);
                }
                if has("ConditionalCheckFailed") {
                    return Ok(Guarded::Declined);
                }
                let codes: Vec<&str> = reasons.iter().filter_map(|reason| reason.code()).collect();
                Err(LedgerError::Unavailable(format!("the transaction was cancelled: {}", codes.join(", "))))
            }
        }
    }

    async fn transact_guards(&self, guards: Vec<Guard>) -> Result<Guarded, LedgerError> {
        let actions: Result<Vec<_>, _> = guards.into_iter().map(|guard| guard.action(&self.table)).collect();
        self.transact(actions?).await
    }

    fn put(&self, item: Item, condition: Option<&str>) -> Result<TransactWriteItem, LedgerError> {
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(item))
            .set_condition_expression(condition.map(str::to_owned));
        Ok(TransactWriteItem::builder().put(put.build().map_err(unbuilt)?).build())
    }

    fn delete(&self, key: Item) -> Result<TransactWriteItem, LedgerError> {
        let delete = Delete::builder().table_name(&self.table).set_key(Some(key));
        Ok(TransactWriteItem::builder().delete(delete.build().map_err(unbuilt)?).build())
    }
}

impl Ledger for AwsWorld {
    async fn create_run(&self, run: &Run) -> Result<Guarded, LedgerError> {
        let released = Guard::check(
            lever_key(),
            "attribute_not_exists(pk) OR #engaged = :false",
            vec![(":false", AttributeValue::Bool(false))],
        );
        let (item, body) = run_items(run)?;
        let mut actions = vec![
            released.action(&self.table)?,
            self.put(item, Some("attribute_not_exists(pk)"))?,
            self.put(active_key(&run.id), None)?,
        ];
        if let Some(body) = body {
            actions.push(self.put(body, None)?);
        }
        for alarm in &run.alarms {
            actions.push(self.put(alarm_key(alarm, &run.id), None)?);
        }
        self.transact(actions).await
    }

    async fn add_targets(&self, run: &RunId, targets: &[TargetRecord]) -> Result<(), LedgerError> {
        for chunk in targets.chunks(CHUNK) {
            let pending = Guard::check(run_key(run), "#status = :pending", vec![(":pending", text("pending"))]);
            let guards = chunk.iter().map(|target| {
                let key = target_key(run, &target.function);
                // What is there already stays: an earlier try of Prepare may have written it.
                Guard::new(
                    key,
                    "SET #status = if_not_exists(#status, :status)",
                    "",
                    vec![(":status", text(target.status.name()))],
                )
            });
            // Declined is a run that was stopped or started meanwhile, which start_run finds out.
            let _ = self.transact_guards(std::iter::once(pending).chain(guards).collect()).await?;
        }
        Ok(())
    }

    async fn start_run(&self, run: &RunId) -> Result<Guarded, LedgerError> {
        let values = vec![(":running", text("running")), (":pending", text("pending"))];
        self.guarded(Guard::new(run_key(run), "SET #status = :running", "#status = :pending", values)).await
    }

    async fn stop_run(&self, run: &RunId, reason: &EndReason, now: Time) -> Result<Run, LedgerError> {
        let stop = Guard::new(
            run_key(run),
            "SET #status = :stopping, #reason = :reason, #stoppingAt = :now",
            "#status IN (:pending, :running)",
            vec![
                (":stopping", text("stopping")),
                (":pending", text("pending")),
                (":running", text("running")),
                (":reason", json(reason)?),
                (":now", number(now.0)),
            ],
        );
        let stopped = match self.update(stop).await? {
            Some(item) => self.whole_run(&item).await?,
            None => self.run(run).await?,
        };
        if let Some(run) = stopped {
            return Ok(run);
        }
        let marker = stopped_marker(run, reason, now);
        // It has no targets, so its body is in there.
        let (mut item, _) = run_items(&marker)?;
        item.insert("expiresAt".into(), number(now.epoch_seconds() + RETENTION));
        let put = self.put(item, Some("attribute_not_exists(pk)"))?;
        match self.transact(vec![put]).await? {
            Guarded::Done => Ok(marker),
            // Prepare has written it between our two looks: stop that one.
            Guarded::Declined => Err(LedgerError::Conflict),
        }
    }

    async fn begin_observing(&self, run: &RunId, ends_at: Time) -> Result<Run, LedgerError> {
        let update = "SET #endsAt = if_not_exists(#endsAt, :end)";
        let begun =
            self.update(Guard::new(run_key(run), update, "attribute_exists(pk)", vec![(":end", number(ends_at.0))]));
        let begun = match begun.await? {
            Some(item) => self.whole_run(&item).await?,
            None => None,
        };
        begun.ok_or_else(|| LedgerError::Unusable(format!("there is no run {run}")))
    }

    async fn judge_run(&self, run: &RunId, deviations: &[String]) -> Result<(), LedgerError> {
        let values = vec![(":deviations", json(&deviations)?)];
        self.update(Guard::new(run_key(run), "SET #deviations = :deviations", "attribute_exists(pk)", values))
            .await
            .map(drop)
    }

    async fn close_run(&self, run: &RunId, status: RunStatus, now: Time) -> Result<Guarded, LedgerError> {
        let values = vec![(":status", text(status.name())), (":now", number(now.0)), (":stopping", text("stopping"))];
        self.guarded(Guard::new(run_key(run), "SET #status = :status, #closedAt = :now", "#status = :stopping", values))
            .await
    }

    async fn retire_run(&self, run: &Run, now: Time) -> Result<(), LedgerError> {
        let expiry = number(now.epoch_seconds() + RETENTION);
        let body = Run { experiment: run.experiment.as_ref().map(Experiment::redacted), ..run.clone() };
        let (own, there) = (has_own_body(run), "attribute_exists(pk)");
        let at = if own { body_key(&run.id) } else { run_key(&run.id) };
        let values = vec![(":expiry", expiry.clone()), (":body", json(&body)?)];
        let redact = Guard::new(at, "SET #expiresAt = :expiry, #body = :body", there, values);
        let mut actions = vec![redact.action(&self.table)?, self.delete(active_key(&run.id))?];
        if own {
            let expire = Guard::new(run_key(&run.id), "SET #expiresAt = :expiry", there, vec![(":expiry", expiry)]);
            actions.push(expire.action(&self.table)?);
        }
        for alarm in &run.alarms {
            actions.push(self.delete(alarm_key(alarm, &run.id))?);
        }
        self.transact(actions).await.map(drop)
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

    async fn target(&self, run: &RunId, function: &FunctionArn) -> Result<Option<TargetRecord>, LedgerError> {
        self.item(target_key(run, function)).await?.as_ref().map(read_target).transpose()
    }

    async fn active_runs(&self) -> Result<Vec<RunId>, LedgerError> {
        Ok(self.partition("ACTIVE", "RUN#").await?.iter().filter_map(run_of).collect())
    }

    async fn all_runs(&self) -> Result<Vec<Run>, LedgerError> {
        let scan = self.dynamodb.scan().table_name(&self.table).consistent_read(true).filter_expression("sk = :run");
        let mut pages = scan.expression_attribute_values(":run", text("RUN")).into_paginator().items().send();
        let mut runs = Vec::new();
        while let Some(item) = pages.next().await {
            runs.extend(self.whole_run(&item.map_err(ledger_error)?).await?);
        }
        runs.sort_by_key(|run| std::cmp::Reverse(run.created_at));
        Ok(runs)
    }

    async fn runs_of_alarm(&self, alarm_arn: &str) -> Result<Vec<RunId>, LedgerError> {
        Ok(self.partition(&format!("ALARM#{alarm_arn}"), "RUN#").await?.iter().filter_map(run_of).collect())
    }

    async fn lock(&self, function: &FunctionArn) -> Result<Option<Lock>, LedgerError> {
        Ok(self.item(lock_key(function)).await?.as_ref().map(read_lock))
    }

    async fn take_lock(&self, run: &RunId, function: &FunctionArn) -> Result<Option<Lock>, LedgerError> {
        let take = Guard::new(
            lock_key(function),
            "SET #run = :run, #generation = if_not_exists(#generation, :zero) + :one REMOVE #expiresAt",
            "attribute_not_exists(#run)",
            vec![(":run", text(run.as_str())), (":zero", number(0)), (":one", number(1))],
        );
        if self.transact_guards(vec![running(run), take]).await? == Guarded::Done {
            return self.lock(function).await;
        }
        // Either the run is not running, or the lock is held: by this run too, when an answer was lost.
        match self.run(run).await? {
            Some(run) if run.status == RunStatus::Running => self.lock(function).await,
            _ => Ok(None),
        }
    }

    async fn arm(
        &self,
        run: &RunId,
        function: &FunctionArn,
        changes: &[Change],
        last_version: u64,
    ) -> Result<Guarded, LedgerError> {
        let held = Guard::check(lock_key(function), "#run = :run", vec![(":run", text(run.as_str()))]);
        let store = Guard::new(
            target_key(run, function),
            "SET #status = :armed, #changes = :changes, #lastVersion = :version",
            "#status IN (:pending, :armed)",
            vec![
                (":armed", text("armed")),
                (":pending", text("pending")),
                (":changes", json(&changes)?),
                (":version", number(last_version)),
            ],
        );
        self.transact_guards(vec![running(run), held, store]).await
    }

    async fn begin_inject(
        &self,
        run: &RunId,
        function: &FunctionArn,
        planned: &[Change],
        lease: &Lease,
        now: Time,
    ) -> Result<Option<Permit>, LedgerError> {
        let begin = Guard::new(
            target_key(run, function),
            "SET #status = :injecting, #injectHolder = :holder, #injectUntil = :until",
            "#status IN (:armed, :injecting) AND #changes = :planned AND (attribute_not_exists(#injectUntil) OR #injectUntil <= :now OR (#injectHolder = :holder AND #injectUntil <= :until))",
            lease_values(
                lease,
                now,
                vec![(":injecting", text("injecting")), (":armed", text("armed")), (":planned", json(&planned)?)],
            ),
        );
        Ok(permit(function, self.transact_guards(vec![running(run), begin]).await?))
    }

    async fn injected(&self, run: &RunId, function: &FunctionArn) -> Result<Guarded, LedgerError> {
        let values = vec![(":injected", text("injected")), (":injecting", text("injecting"))];
        let say = Guard::new(target_key(run, function), "SET #status = :injected", "#status = :injecting", values);
        self.transact_guards(vec![running(run), say]).await
    }

    async fn begin_restore(
        &self,
        run: &RunId,
        function: &FunctionArn,
        lease: &Lease,
        now: Time,
    ) -> Result<Option<Permit>, LedgerError> {
        let begun = ["armed", "injecting", "injected"].into_iter().zip([":armed", ":injecting", ":injected"]);
        let mut values: Values = begun.map(|(status, name)| (name, text(status))).collect();
        values.push((":restoring", text("restoring")));
        let begin = Guard::new(
            target_key(run, function),
            "SET #status = :restoring, #restoreHolder = :holder, #restoreUntil = :until",
            "#status IN (:armed, :injecting, :injected, :restoring) AND (attribute_not_exists(#restoreUntil) OR #restoreUntil <= :now OR (#restoreHolder = :holder AND #restoreUntil <= :until))",
            lease_values(lease, now, values),
        );
        Ok(permit(function, self.guarded(begin).await?))
    }

    async fn settle(&self, run: &RunId, function: &FunctionArn, lease: &Lease, until: Time) -> Result<(), LedgerError> {
        // A holder's name says which lease it holds.
        let (update, condition) = match lease.holder.starts_with("inject") {
            true => ("SET #injectUntil = :until", "#injectHolder = :holder AND #injectUntil = :was"),
            false => ("SET #restoreUntil = :until", "#restoreHolder = :holder AND #restoreUntil = :was"),
        };
        let was = number(lease.until.0);
        let values = vec![(":holder", text(&lease.holder)), (":was", was), (":until", number(until.0))];
        self.update(Guard::new(target_key(run, function), update, condition, values)).await.map(drop)
    }

    async fn finish(&self, ending: &Ending, now: Time) -> Result<Guarded, LedgerError> {
        let end = Guard::new(
            target_key(&ending.run, &ending.function),
            "SET #status = :status, #endedAt = :now, #drift = :drift, #frozenVersions = :frozen, #changes = :changes, #expiresAt = :expiry REMOVE #restoreError",
            "#status = :from AND (attribute_not_exists(#injectUntil) OR #injectUntil <= :seen) AND (attribute_not_exists(#restoreUntil) OR #restoreUntil <= :seen)",
            vec![
                (":status", text(ending.status.name())),
                (":from", text(ending.from.name())),
                (":now", number(now.0)),
                (":seen", number(ending.observed_at.0)),
                (":drift", json(&ending.drift)?),
                (":changes", json(&ending.redacted)?),
                (":frozen", json(&ending.frozen_versions)?),
                (":expiry", number(now.epoch_seconds() + RETENTION)),
            ],
        );
        let held = self.lock(&ending.function).await?.is_some_and(|lock| lock.run.as_ref() == Some(&ending.run));
        let mut guards = vec![end];
        if held {
            guards.push(Guard::new(
                lock_key(&ending.function),
                "SET #releasedAt = :now, #expiresAt = :expiry REMOVE #run",
                "#run = :run",
                vec![
                    (":run", text(ending.run.as_str())),
                    (":now", number(now.0)),
                    (":expiry", number(now.epoch_seconds() + RETENTION)),
                ],
            ));
        }
        self.transact_guards(guards).await
    }

    async fn restore_failed(&self, run: &RunId, function: &FunctionArn, why: &str) -> Result<(), LedgerError> {
        let open = ["armed", "injecting", "injected", "restoring"];
        let names = [":armed", ":injecting", ":injected", ":restoring"];
        let mut values: Values = names.into_iter().zip(open.map(text)).collect();
        values.push((":why", text(why)));
        // One that lands late must not leave an error with a target that is back.
        let condition = "#status IN (:armed, :injecting, :injected, :restoring)";
        let say = Guard::new(target_key(run, function), "SET #restoreError = :why", condition, values);
        self.update(say).await.map(drop)
    }

    async fn lever(&self) -> Result<Option<Lever>, LedgerError> {
        Ok(self.item(lever_key()).await?.as_ref().map(read_lever))
    }

    async fn set_lever(&self, lever: &Lever) -> Result<(), LedgerError> {
        let put = self.dynamodb.put_item().table_name(&self.table).set_item(Some(lever_item(lever)));
        put.send().await.map(drop).map_err(ledger_error)
    }
}

fn permit(function: &FunctionArn, begun: Guarded) -> Option<Permit> {
    (begun == Guarded::Done).then(|| Permit::granted(function))
}

fn lease_values(lease: &Lease, now: Time, mut values: Values) -> Values {
    values.push((":holder", text(&lease.holder)));
    values.push((":until", number(lease.until.0)));
    values.push((":now", number(now.0)));
    values
}
