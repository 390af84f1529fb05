//! Turns guarded writes into DynamoDB's expressions. Each condition and each effect of a description becomes one
//! clause.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update};

use crate::model::guarded_write::{Condition, Effect, GuardedWrite, Item as Place, Part};
use crate::model::run::{LeaseKind, Lever, Run, RunEnding};
use crate::model::snapshot::Snapshot;
use crate::model::time::Time;
use crate::ports::LedgerError;

use super::kept_metrics::{awaits_metrics_key, metrics_key};
use super::records::{
    Item, active_key, alarm_key, body_key, changing_attributes, has_separate_body, json, lease_names, lever_key,
    lock_key, number, run_items, run_key, target_key, text,
};

/// The condition and the update of one item. Both write attributes as `#name`, because many names are reserved words.
#[derive(Debug, Default)]
pub(super) struct Expression {
    key: Item,
    conditions: Vec<String>,
    sets: Vec<String>,
    removes: Vec<&'static str>,
    values: Item,
}

/// Returns the update for a write of one item, or `None` if no item can meet its conditions.
pub(super) fn update_of(write: &GuardedWrite) -> Result<Option<Expression>, LedgerError> {
    match write.parts.first() {
        Some(part) if is_possible(write) => Expression::of(part).map(Some),
        _ => Ok(None),
    }
}

/// Returns the actions of the transaction for a write, or `None` if no items can meet its conditions.
pub(super) fn actions(write: &GuardedWrite, table: &str) -> Result<Option<Vec<TransactWriteItem>>, LedgerError> {
    if !is_possible(write) {
        return Ok(None);
    }
    let mut actions = Vec::new();
    for part in &write.parts {
        actions_of(part, table, &mut actions)?;
    }
    Ok(Some(actions))
}

/// Whether any status allows the write. DynamoDB rejects a condition with an empty list of statuses.
fn is_possible(write: &GuardedWrite) -> bool {
    let impossible = |condition: &Condition| match condition {
        Condition::RunIn(statuses) => statuses.is_empty(),
        Condition::TargetIn(statuses) => statuses.is_empty(),
        _ => false,
    };
    !write.parts.iter().flat_map(|part| &part.conditions).any(impossible)
}

fn actions_of(part: &Part, table: &str, actions: &mut Vec<TransactWriteItem>) -> Result<(), LedgerError> {
    let (mut separate_body, mut forgotten) = (None, None);
    for effect in &part.effects {
        match effect {
            Effect::Create(run) => return create(part, run, table, actions),
            Effect::Enter(until) => return enter(part, *until, table, actions),
            Effect::Leave => return leave(part, table, actions),
            Effect::Forget(run) if has_separate_body(run) => separate_body = Some(run),
            Effect::Forget(run) => forgotten = Some(run),
            _ => {}
        }
    }
    actions.push(Expression::of(part)?.action(table)?);
    if let Some(run) = separate_body {
        actions.push(Expression::of_separate_body(part, run)?.action(table)?);
    }
    // A marker that replaces an unreadable record does not know whether the record had a separate body.
    if let Some(run) = forgotten {
        actions.push(delete(body_key(&run.id), table)?);
    }
    Ok(())
}

/// Puts a run with all its attributes, and with the expiry that its part sets.
fn create(part: &Part, run: &Run, table: &str, actions: &mut Vec<TransactWriteItem>) -> Result<(), LedgerError> {
    let (mut item, body) = run_items(run)?;
    item.extend(part.effects.iter().filter_map(|effect| match effect {
        Effect::Expiry(at) => expires(*at),
        _ => None,
    }));
    let absent = part.conditions.contains(&Condition::Absent).then_some("attribute_not_exists(pk)");
    actions.push(put(item, absent, table)?);
    if let Some(body) = body {
        actions.push(put(body, None, table)?);
    }
    Ok(())
}

fn enter(
    part: &Part,
    until: Option<i64>,
    table: &str,
    actions: &mut Vec<TransactWriteItem>,
) -> Result<(), LedgerError> {
    let mut item = key_of(&part.item);
    item.extend(expires(until));
    actions.push(put(item, None, table)?);
    Ok(())
}

fn expires(at: Option<i64>) -> Option<(String, AttributeValue)> {
    at.map(|at| ("expiresAt".to_owned(), number(at)))
}

fn leave(part: &Part, table: &str, actions: &mut Vec<TransactWriteItem>) -> Result<(), LedgerError> {
    actions.push(delete(key_of(&part.item), table)?);
    Ok(())
}

fn delete(key: Item, table: &str) -> Result<TransactWriteItem, LedgerError> {
    let delete = Delete::builder().table_name(table).set_key(Some(key));
    Ok(TransactWriteItem::builder().delete(delete.build().map_err(unbuilt)?).build())
}

fn put(item: Item, condition: Option<&str>, table: &str) -> Result<TransactWriteItem, LedgerError> {
    let put =
        Put::builder().table_name(table).set_item(Some(item)).set_condition_expression(condition.map(str::to_owned));
    Ok(TransactWriteItem::builder().put(put.build().map_err(unbuilt)?).build())
}

fn key_of(place: &Place) -> Item {
    match place {
        Place::Run(run) => run_key(run),
        Place::Target(run, function) => target_key(run, function),
        Place::Lock(function) => lock_key(function),
        Place::Active(run) => active_key(run),
        Place::Alarm(alarm, run) => alarm_key(alarm, run),
        Place::Metrics(run) => metrics_key(run),
        Place::AwaitsMetrics(run) => awaits_metrics_key(run),
        Place::Lever => lever_key(),
    }
}

fn unbuilt(error: impl std::fmt::Display) -> LedgerError {
    LedgerError::Unusable(format!("a request could not be built: {error}"))
}

impl Expression {
    fn of(part: &Part) -> Result<Self, LedgerError> {
        let mut expression = Self { key: key_of(&part.item), ..Self::default() };
        for condition in &part.conditions {
            let clause = expression.condition(condition)?;
            expression.conditions.push(clause);
        }
        for effect in &part.effects {
            expression.effect(effect)?;
        }
        Ok(expression)
    }

    /// Returns what a part does with the separate body of a run with many targets.
    fn of_separate_body(part: &Part, run: &Run) -> Result<Self, LedgerError> {
        let mut expression = Self { key: body_key(&run.id), ..Self::default() };
        expression.conditions.push("attribute_exists(pk)".to_owned());
        expression.set("body", json(run)?);
        for effect in part.effects.iter().filter(|effect| matches!(effect, Effect::Expiry(_))) {
            expression.effect(effect)?;
        }
        Ok(expression)
    }

    /// Adds a value and returns its placeholder.
    fn value(&mut self, value: AttributeValue) -> String {
        let name = format!(":v{}", self.values.len());
        self.values.insert(name.clone(), value);
        name
    }

    fn set(&mut self, name: &str, value: AttributeValue) {
        let value = self.value(value);
        self.sets.push(format!("#{name} = {value}"));
    }

    fn set_or_remove(&mut self, name: &'static str, value: Option<AttributeValue>) {
        match value {
            Some(value) => self.set(name, value),
            None => self.removes.push(name),
        }
    }

    fn status_in(&mut self, statuses: impl Iterator<Item = &'static str>) -> String {
        let names: Vec<String> = statuses.map(|status| self.value(text(status))).collect();
        format!("#status IN ({})", names.join(", "))
    }

    fn condition(&mut self, condition: &Condition) -> Result<String, LedgerError> {
        Ok(match condition {
            Condition::Absent => "attribute_not_exists(pk)".to_owned(),
            Condition::Present => "attribute_exists(pk)".to_owned(),
            Condition::RunIn(statuses) => self.status_in(statuses.iter().map(|status| status.name())),
            Condition::TargetIn(statuses) => self.status_in(statuses.iter().map(|status| status.stored_name())),
            Condition::HeldBy(run) => format!("#run = {}", self.value(text(run.as_str()))),
            Condition::Free => "attribute_not_exists(#run)".to_owned(),
            // A damaged lever counts as engaged, here and where it is read.
            Condition::LeverIsNot(engaged) => {
                let disengaged = format!("#engaged = {}", self.value(AttributeValue::Bool(false)));
                match engaged {
                    true => format!("attribute_not_exists(pk) OR {disengaged}"),
                    false => format!("NOT {disengaged}"),
                }
            }
            Condition::Changes(changes) => format!("#changes = {}", self.value(json(changes)?)),
            Condition::Rehearsed => format!("#rehearsed = {}", self.value(AttributeValue::Bool(true))),
            Condition::LeaseFree(lease, now) => {
                let [holder, until] = lease_names(lease.kind);
                let (now, end) = (self.value(number(now.0)), self.value(number(lease.until.0)));
                let mine = self.value(text(&lease.holder));
                format!(
                    "attribute_not_exists(#{until}) OR #{until} <= {now} OR (#{holder} = {mine} AND #{until} <= {end})"
                )
            }
            Condition::LeaseIs(lease) => {
                let [holder, until] = lease_names(lease.kind);
                let (mine, end) = (self.value(text(&lease.holder)), self.value(number(lease.until.0)));
                format!("#{holder} = {mine} AND #{until} = {end}")
            }
            Condition::LeaseOver(kind, at) => {
                let [_, until] = lease_names(*kind);
                format!("attribute_not_exists(#{until}) OR #{until} <= {}", self.value(number(at.0)))
            }
            Condition::RemovedFaults(known) if known.is_empty() => "attribute_not_exists(#removedFaults)".to_owned(),
            Condition::RemovedFaults(known) => format!("#removedFaults = {}", self.value(json(known)?)),
        })
    }

    fn effect(&mut self, effect: &Effect) -> Result<(), LedgerError> {
        match effect {
            // These become separate actions.
            Effect::Create(_) | Effect::Enter(_) | Effect::Leave => {}
            Effect::Forget(run) => {
                if !has_separate_body(run) {
                    self.set("body", json(run)?);
                }
                // Earlier releases have some of these attributes only in the body of a marker.
                for (name, value) in changing_attributes(run)? {
                    self.set_once(name, value);
                }
            }
            Effect::RunStatus(status) => self.set("status", text(status.name())),
            Effect::Ending(ending) => self.set_ending(ending)?,
            Effect::StoppingAt(at) => self.set("stoppingAt", number(at.0)),
            Effect::EndsAt(at) => self.set_once("endsAt", number(at.0)),
            Effect::Findings(findings) => {
                self.set("deviations", json(&findings.deviations)?);
                self.set_or_remove("effect", findings.effect.as_ref().map(text));
                self.set_or_remove("injected", findings.injected.as_ref().map(text));
            }
            Effect::ClosedAt(at) => self.set("closedAt", number(at.0)),
            Effect::CreateTarget(status) => self.set_once("status", text(status.stored_name())),
            Effect::TargetStatus(status) => self.set("status", text(status.stored_name())),
            Effect::Snapshot(snapshot) => self.set_snapshot(snapshot)?,
            Effect::Rehearsed(rehearsed) => {
                self.set_or_remove("rehearsed", rehearsed.then_some(AttributeValue::Bool(true)));
            }
            Effect::Lease(lease) => {
                self.set(lease_names(lease.kind)[0], text(&lease.holder));
                self.set_lease_end(lease.kind, lease.until);
            }
            Effect::LeaseUntil(kind, at) => self.set_lease_end(*kind, *at),
            Effect::RestoreError(why) => self.set_or_remove("restoreError", why.as_ref().map(text)),
            Effect::Waiting(why) => self.set_or_remove("waitingFor", why.as_ref().map(text)),
            Effect::RemovedFaults(faults) => self.set("removedFaults", json(faults)?),
            Effect::EndedAt(at) => self.set("endedAt", number(at.0)),
            Effect::Drift(_) | Effect::FrozenVersions(_) | Effect::Redacted(_) | Effect::Metrics(_) => {
                self.set_json(effect)?;
            }
            Effect::RuntimeVersionAtEnd(version) => {
                self.set_or_remove("runtimeVersionAtEnd", version.as_ref().map(text));
            }
            Effect::Take(run) => {
                self.set("run", text(run.as_str()));
                self.increment("generation");
            }
            Effect::Release(at) => {
                self.set("releasedAt", number(at.0));
                self.removes.push("run");
            }
            Effect::Lever(lever) => self.set_lever(lever)?,
            Effect::Expiry(at) => self.set_or_remove("expiresAt", at.map(number)),
        }
        Ok(())
    }

    fn set_snapshot(&mut self, snapshot: &Snapshot) -> Result<(), LedgerError> {
        self.set("changes", json(&snapshot.changes)?);
        self.set("lastVersion", number(snapshot.last_version));
        self.set_or_remove("runtimeVersion", snapshot.runtime_version.as_ref().map(text));
        Ok(())
    }

    fn set_lever(&mut self, lever: &Lever) -> Result<(), LedgerError> {
        self.set("engaged", AttributeValue::Bool(lever.engaged));
        self.set("since", number(lever.since.0));
        self.set("reason", text(&lever.reason));
        self.set_or_remove("by", lever.by.as_ref().map(json).transpose()?);
        Ok(())
    }

    /// Sets the attribute of an effect that is stored as one text of JSON.
    fn set_json(&mut self, effect: &Effect) -> Result<(), LedgerError> {
        match effect {
            Effect::Drift(drift) => self.set("drift", json(drift)?),
            Effect::FrozenVersions(versions) => self.set("frozenVersions", json(versions)?),
            Effect::Redacted(changes) => self.set("changes", json(changes)?),
            Effect::Metrics(metrics) => self.set("metrics", json(metrics)?),
            _ => {}
        }
        Ok(())
    }

    fn set_ending(&mut self, ending: &RunEnding) -> Result<(), LedgerError> {
        self.set("reason", json(&ending.reason)?);
        self.set_or_remove("endedBy", ending.by.as_ref().map(json).transpose()?);
        Ok(())
    }

    fn increment(&mut self, name: &str) {
        let (zero, one) = (self.value(number(0)), self.value(number(1)));
        self.sets.push(format!("#{name} = if_not_exists(#{name}, {zero}) + {one}"));
    }

    /// Sets an attribute only if the item does not have it yet.
    fn set_once(&mut self, name: &str, value: AttributeValue) {
        let value = self.value(value);
        self.sets.push(format!("#{name} = if_not_exists(#{name}, {value})"));
    }

    fn set_lease_end(&mut self, kind: LeaseKind, until: Time) {
        self.set(lease_names(kind)[1], number(until.0));
    }

    /// Each clause is in brackets, because some clauses are alternatives.
    fn condition_text(&self) -> Option<String> {
        let clauses: Vec<String> = self.conditions.iter().map(|clause| format!("({clause})")).collect();
        (!clauses.is_empty()).then(|| clauses.join(" AND "))
    }

    fn update_text(&self) -> String {
        let mut text = String::new();
        if !self.sets.is_empty() {
            text.push_str(&format!("SET {} ", self.sets.join(", ")));
        }
        if !self.removes.is_empty() {
            let names: Vec<String> = self.removes.iter().map(|name| format!("#{name}")).collect();
            text.push_str(&format!("REMOVE {}", names.join(", ")));
        }
        text.trim_end().to_owned()
    }

    fn names(&self) -> Option<HashMap<String, String>> {
        let text = format!("{} {}", self.update_text(), self.condition_text().unwrap_or_default());
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '#').filter(|word| word.starts_with('#'));
        let names: HashMap<String, String> = words.map(|word| (word.to_owned(), word[1..].to_owned())).collect();
        (!names.is_empty()).then_some(names)
    }

    fn values(&self) -> Option<Item> {
        (!self.values.is_empty()).then(|| self.values.clone())
    }

    fn action(self, table: &str) -> Result<TransactWriteItem, LedgerError> {
        let (names, values, item) = (self.names(), self.values(), TransactWriteItem::builder());
        let (update, condition) = (self.update_text(), self.condition_text());
        if update.is_empty() {
            let check = ConditionCheck::builder()
                .table_name(table)
                .set_key(Some(self.key))
                .set_condition_expression(condition)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values);
            return Ok(item.condition_check(check.build().map_err(unbuilt)?).build());
        }
        let update = Update::builder()
            .table_name(table)
            .set_key(Some(self.key))
            .update_expression(update)
            .set_condition_expression(condition)
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values);
        Ok(item.update(update.build().map_err(unbuilt)?).build())
    }

    pub(super) fn request(self, request: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let (names, values) = (self.names(), self.values());
        request
            .set_update_expression(Some(self.update_text()).filter(|text| !text.is_empty()))
            .set_condition_expression(self.condition_text())
            .set_expression_attribute_names(names)
            .set_expression_attribute_values(values)
            .set_key(Some(self.key))
    }
}
