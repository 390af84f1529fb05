//! The layout of the ledger's records as DynamoDB items.
//!
//! | record | `pk` | `sk` |
//! |---|---|---|
//! | run | `RUN#run` | `RUN` |
//! | separate body of a run with many targets | `RUN#run` | `BODY` |
//! | target | `RUN#run` | `TARGET#function` |
//! | lock or tombstone | `LOCK#function` | `LOCK` |
//! | run of an alarm | `ALARM#alarm` | `RUN#run` |
//! | run that is not retired | `ACTIVE` | `RUN#run` |
//! | metrics of a run that is over | `RUN#run` | `METRICS` |
//! | run whose metrics are still to be kept | `METRICS` | `RUN#run` |
//! | safety lever | `LEVER` | `LEVER` |
//!
//! Everything that a condition reads is a separate attribute; the rest is JSON.
//! The names of a thousand targets are about 120 KB of a run's body. Four transactions per target check the run's item.
//! Inferred: a check consumes write capacity for the whole item, and a partition has 1,000 units per second
//! (amazondynamodb/latest/developerguide/bp-partition-key-design). So with more than [`MAX_INLINE_TARGETS`] targets the
//! body is a separate item, which is written in the same transaction and which no condition reads. With fewer, one read
//! gets the whole run.
//!
//! A record that cannot be read is an error with the run's name, never an absent record: taking a damaged target for an
//! absent one could leave its fault in place.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::names::{FunctionArn, RunId};
use crate::model::run::read_reason;
use crate::model::run::{Lease, LeaseKind, Lever, Lock, Run, RunList, RunStatus, TargetRecord, TargetStatus};
use crate::model::time::Time;
use crate::ports::LedgerError;

pub(super) type Item = HashMap<String, AttributeValue>;

/// The number of targets whose names fit into the run's item. It is the number that one inline Map carries.
const MAX_INLINE_TARGETS: usize = 40;

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<AttributeValue, LedgerError> {
    // The error's message would quote the value.
    serde_json::to_string(value)
        .map(AttributeValue::S)
        .map_err(|_| LedgerError::Unusable("a record cannot be written".into()))
}

pub(super) fn key(pk: impl Into<String>, sk: impl Into<String>) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

pub(super) fn run_pk(run: &RunId) -> String {
    format!("RUN#{run}")
}

pub(super) fn run_key(run: &RunId) -> Item {
    key(run_pk(run), "RUN")
}

pub(super) fn body_key(run: &RunId) -> Item {
    key(run_pk(run), "BODY")
}

pub(super) fn target_key(run: &RunId, function: &FunctionArn) -> Item {
    key(run_pk(run), format!("TARGET#{function}"))
}

pub(super) fn lock_key(function: &FunctionArn) -> Item {
    key(format!("LOCK#{function}"), "LOCK")
}

pub(super) fn alarm_key(alarm: &str, run: &RunId) -> Item {
    key(format!("ALARM#{alarm}"), run_pk(run))
}

pub(super) fn active_key(run: &RunId) -> Item {
    key("ACTIVE", run_pk(run))
}

pub(super) fn lever_key() -> Item {
    key("LEVER", "LEVER")
}

/// Reads the runs from the `sk` of a list's items: the active runs, or the runs of an alarm.
pub(super) fn read_list(items: &[Item]) -> RunList {
    let mut listed = RunList::default();
    for entry in items.iter().map(|item| string(item, "sk").unwrap_or_default()) {
        match entry.strip_prefix("RUN#").and_then(|run| RunId::try_from(run).ok()) {
            Some(run) => listed.runs.push(run),
            None => listed.unreadable.push(entry.to_owned()),
        }
    }
    listed
}

/// Returns the run from the `pk` of an item.
pub(super) fn run_of(item: &Item) -> Option<RunId> {
    RunId::try_from(string(item, "pk")?.strip_prefix("RUN#")?).ok()
}

/// Returns the function from the `sk` of a target's item.
pub(super) fn function_of(item: &Item) -> Option<FunctionArn> {
    FunctionArn::try_from(string(item, "sk")?.strip_prefix("TARGET#")?).ok()
}

/// Returns the `sk` of an item, which names its kind.
#[cfg(feature = "task")]
pub(super) fn sort_key(item: &Item) -> Option<&str> {
    string(item, "sk")
}

fn string<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str)
}

fn integer<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name).and_then(|value| value.as_n().ok()).and_then(|digits| digits.parse().ok())
}

fn unreadable(what: &str) -> LedgerError {
    LedgerError::Unreadable(format!(
        "{what} in the ledger cannot be read; was it written by another version of snapback?"
    ))
}

/// Reads an attribute that may be absent. One of another type is unreadable and not absent: otherwise, a target could
/// be called restored that is not.
fn optional<'a, T>(
    item: &'a Item,
    name: &str,
    read: impl FnOnce(&'a AttributeValue) -> Option<T>,
) -> Result<Option<T>, LedgerError> {
    item.get(name).map(|value| read(value).ok_or_else(|| unreadable(name))).transpose()
}

fn optional_text<'a>(item: &'a Item, name: &str) -> Result<Option<&'a str>, LedgerError> {
    optional(item, name, |value| value.as_s().ok().map(String::as_str))
}

fn optional_integer<T: std::str::FromStr>(item: &Item, name: &str) -> Result<Option<T>, LedgerError> {
    optional(item, name, |value| value.as_n().ok()?.parse().ok())
}

pub(super) fn parsed<T: DeserializeOwned>(item: &Item, name: &str) -> Result<Option<T>, LedgerError> {
    match optional_text(item, name)? {
        None => Ok(None),
        Some(text) => serde_json::from_str(text).map(Some).map_err(|_| unreadable(name)),
    }
}

/// Reads a variant of an enum that is stored as a string.
fn word<T: DeserializeOwned>(item: &Item, name: &str) -> Result<T, LedgerError> {
    let word = string(item, name).ok_or_else(|| unreadable(name))?;
    serde_json::from_value(serde_json::Value::String(word.to_owned())).map_err(|_| unreadable(name))
}

/// Whether the run's body is a separate item. A run's functions never change, so the body never moves.
pub(super) fn has_separate_body(run: &Run) -> bool {
    run.functions.len() > MAX_INLINE_TARGETS
}

/// Returns those attributes that can change during a run, as far as they have values.
pub(super) fn changing_attributes(run: &Run) -> Result<Vec<(&'static str, AttributeValue)>, LedgerError> {
    let time = |at: Option<Time>| at.map(|at| number(at.0));
    let attributes = [
        ("endsAt", time(run.ends_at)),
        ("stoppingAt", time(run.stopping_at)),
        ("closedAt", time(run.closed_at)),
        ("reason", run.reason.as_ref().map(json).transpose()?),
        ("endedBy", run.ended_by.as_ref().map(json).transpose()?),
        ("deviations", run.deviations.as_ref().map(json).transpose()?),
        ("effect", run.effect.as_ref().map(text)),
        ("injected", run.injected.as_ref().map(text)),
    ];
    Ok(attributes.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
}

/// Returns the run's item, and its body's item if it has many targets. What never changes is in `body`; what can change
/// is in separate attributes.
pub(super) fn run_items(run: &Run) -> Result<(Item, Option<Item>), LedgerError> {
    let mut item = run_key(&run.id);
    item.insert("status".into(), text(run.status.name()));
    item.extend(changing_attributes(run)?.into_iter().map(|(name, value)| (name.to_owned(), value)));
    let mut body = has_separate_body(run).then(|| body_key(&run.id));
    // Readers of the stream see only one of the two items.
    if body.is_some() {
        item.extend(
            run.experiment.as_ref().map(|experiment| ("experimentName".to_owned(), text(experiment.name.as_str()))),
        );
        item.extend(run.started_by.as_ref().map(json).transpose()?.map(|by| ("startedBy".to_owned(), by)));
        item.insert("deadline".into(), number(run.deadline.0));
    }
    body.as_mut().unwrap_or(&mut item).insert("body".into(), json(run)?);
    Ok((item, body))
}

/// Returns the key of a run's body if it is a separate item.
pub(super) fn separate_body_key(item: &Item) -> Option<Item> {
    let pk = string(item, "pk").filter(|_| !item.contains_key("body"))?;
    Some(key(pk, "BODY"))
}

/// Reads a run from its item and the item with its body, which can be the same. If the body cannot be read, the run has
/// no functions; the caller can take them from the run's targets.
///
/// # Errors
/// If the status or the deviations cannot be read. The error names the run.
pub(super) fn read_run(item: &Item, body: &Item) -> Result<Run, LedgerError> {
    let id = run_of(item).ok_or_else(|| unreadable("a run"))?;
    run_from(item, body, id.clone()).map_err(|error| match error {
        LedgerError::Unreadable(why) => LedgerError::Unreadable(format!("run {id}: {why}")),
        error => error,
    })
}

/// Reads a run from its item alone, as far as that goes, and the name of its experiment.
#[cfg(any(test, feature = "task"))]
pub(super) fn read_run_alone(item: &Item) -> Result<(Run, Option<String>), LedgerError> {
    let mut run = read_run(item, item)?;
    run.deadline = integer(item, "deadline").map_or(run.deadline, Time);
    run.started_by = run.started_by.or(parsed(item, "startedBy").ok().flatten());
    let name = run.experiment.as_ref().map(|experiment| experiment.name.to_string());
    Ok((run, name.or_else(|| string(item, "experimentName").map(str::to_owned))))
}

fn run_from(item: &Item, body: &Item, id: RunId) -> Result<Run, LedgerError> {
    let body = parsed::<Run>(body, "body").ok().flatten().filter(|run| run.id == id);
    let mut run = body.unwrap_or_else(|| Run::unreadable(id));
    run.status = word::<RunStatus>(item, "status")?;
    run.ends_at = integer(item, "endsAt").map(Time).or(run.ends_at);
    run.stopping_at = integer(item, "stoppingAt").map(Time).or(run.stopping_at);
    run.closed_at = integer(item, "closedAt").map(Time).or(run.closed_at);
    run.reason = parsed(item, "reason").ok().flatten().and_then(read_reason).or(run.reason);
    // It is only shown, so one that this release cannot read is absent.
    run.ended_by = parsed(item, "endedBy").ok().flatten().or(run.ended_by);
    run.deviations = parsed(item, "deviations")?.or(run.deviations);
    // The body may have old values of these. Later findings without them have removed the attributes, so the body does
    // not count.
    run.effect = string(item, "effect").map(str::to_owned);
    run.injected = string(item, "injected").map(str::to_owned);
    Ok(run)
}

/// Returns the names of a lease's attributes: its holder and its end.
pub(super) fn lease_names(kind: LeaseKind) -> [&'static str; 2] {
    match kind {
        LeaseKind::Inject => ["injectHolder", "injectUntil"],
        LeaseKind::Restore => ["restoreHolder", "restoreUntil"],
    }
}

/// Reads a target. The error names its run and its function.
pub(super) fn read_target(item: &Item) -> Result<TargetRecord, LedgerError> {
    let (Some(run), Some(function)) = (run_of(item), function_of(item)) else { return Err(unreadable("a target")) };
    let named = |error: LedgerError| match error {
        LedgerError::Unreadable(why) => LedgerError::Unreadable(format!("run {run}, {}: {why}", function.name())),
        error => error,
    };
    target_of(item, run.clone(), function.clone()).map_err(named)
}

fn target_of(item: &Item, run: RunId, function: FunctionArn) -> Result<TargetRecord, LedgerError> {
    let owned = |name: &str| Ok(optional_text(item, name)?.map(str::to_owned));
    let changes = parsed(item, "changes")?;
    let has_snapshot = changes.is_some();
    let target = TargetRecord {
        run,
        function,
        status: word::<TargetStatus>(item, "status")?,
        changes: changes.unwrap_or_default(),
        last_version: optional_integer(item, "lastVersion")?.unwrap_or_default(),
        runtime_version: owned("runtimeVersion")?,
        rehearsed: optional(item, "rehearsed", |value| value.as_bool().ok().copied())?.unwrap_or(false),
        inject_lease: read_lease(item, LeaseKind::Inject)?,
        restore_lease: read_lease(item, LeaseKind::Restore)?,
        ended_at: optional_integer(item, "endedAt")?.map(Time),
        drift: parsed(item, "drift")?.unwrap_or_default(),
        frozen_versions: parsed(item, "frozenVersions")?.unwrap_or_default(),
        runtime_version_at_end: owned("runtimeVersionAtEnd")?,
        removed_faults: parsed(item, "removedFaults")?.unwrap_or_default(),
        waiting_for: owned("waitingFor")?,
        restore_error: owned("restoreError")?,
    };
    if let Some(what) = contradiction(&target, has_snapshot) {
        return Err(unreadable(what));
    }
    match target.damage() {
        Some(damage) => Err(LedgerError::Unreadable(damage)),
        None => Ok(target),
    }
}

fn read_lease(item: &Item, kind: LeaseKind) -> Result<Option<Lease>, LedgerError> {
    let [holder, until] = lease_names(kind);
    match (optional_text(item, holder)?, optional_integer(item, until)?) {
        (Some(holder), Some(until)) => Ok(Some(Lease { kind, holder: holder.to_owned(), until: Time(until) })),
        (None, None) => Ok(None),
        _ => Err(unreadable("a lease")),
    }
}

/// Finds combinations that no task writes. Such a record is damaged, and a restore that trusted it could leave a fault
/// in place.
fn contradiction(target: &TargetRecord, has_snapshot: bool) -> Option<&'static str> {
    let has_lease = target.inject_lease.is_some() || target.restore_lease.is_some();
    let changes_nothing = target.changes.is_empty() && !target.status.is_final();
    match target.status {
        TargetStatus::Pending | TargetStatus::Armed if has_lease => {
            Some("the lease of a target that is not being injected")
        }
        TargetStatus::Pending if has_snapshot => Some("the snapshot of a target that is not armed"),
        TargetStatus::Pending | TargetStatus::Untouched => None,
        _ if !has_snapshot => Some("the missing snapshot of an armed target"),
        // A target that needs no change is armed and injected, but never restored, and has no runtime version.
        TargetStatus::Restoring if changes_nothing => Some("the empty snapshot of a target that is being restored"),
        _ if changes_nothing && (target.restore_lease.is_some() || target.runtime_version.is_some()) => {
            Some("the empty snapshot of a target whose configuration changes")
        }
        _ => None,
    }
}

pub(super) fn read_lock(item: &Item) -> Result<Lock, LedgerError> {
    let run = |name: &str| RunId::try_from(name).map_err(|_| unreadable("the holder of a lock"));
    Ok(Lock {
        run: optional_text(item, "run")?.map(run).transpose()?,
        generation: optional_integer(item, "generation")?.unwrap_or_default(),
        released_at: optional_integer(item, "releasedAt")?.map(Time),
    })
}

pub(super) fn read_lever(item: &Item) -> Lever {
    Lever {
        // An unreadable item counts as an engaged lever: in doubt, nothing starts.
        engaged: item.get("engaged").and_then(|value| value.as_bool().ok()).copied().unwrap_or(true),
        since: Time(integer(item, "since").unwrap_or_default()),
        reason: string(item, "reason").unwrap_or_default().to_owned(),
        by: parsed(item, "by").ok().flatten(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::read_experiment;
    use crate::testing::samples::{SECRET, experiment, faults, function_arn, run_id};

    #[test]
    fn a_run_is_read_as_it_was_stored_and_changed() {
        let experiment =
            read_experiment(&experiment(&["checkout"], &faults()[..1])).unwrap_or_else(|e| unreachable!("{e}"));
        let mut run = crate::model::marker::stopped_marker(
            &run_id("r"),
            &crate::model::run::EndReason::UserRequest.into(),
            Time(7),
        );
        run.experiment = Some(experiment);
        run.functions = vec![function_arn("checkout")];
        let (mut item, body) = run_items(&run).unwrap_or_else(|e| unreachable!("{e}"));
        assert_eq!((body, separate_body_key(&item)), (None, None));
        assert_eq!(read_run(&item, &item), Ok(run.clone()));
        item.insert("status".into(), text("stopping"));
        item.insert("endsAt".into(), number(99));
        let read = read_run(&item, &item).unwrap_or_else(|e| unreachable!("{e}"));
        assert_eq!((read.status, read.ends_at), (RunStatus::Stopping, Some(Time(99))));
    }

    #[test]
    fn the_item_that_every_transaction_checks_stays_small() {
        let mut run = crate::model::marker::stopped_marker(
            &run_id("r"),
            &crate::model::run::EndReason::UserRequest.into(),
            Time(7),
        );
        for count in [0, 1, 40, 41, 1000] {
            run.functions = (0..count).map(|number| function_arn(&format!("{number:0>64}"))).collect();
            let (item, body) = run_items(&run).unwrap_or_else(|e| unreachable!("{e}"));
            let length: usize = item.values().filter_map(|value| value.as_s().ok()).map(String::len).sum();
            assert!(length < 6_000, "{count} targets: {length} bytes");
            assert_eq!(body.is_some(), count > MAX_INLINE_TARGETS);
            assert_eq!(separate_body_key(&item), body.as_ref().map(|_| body_key(&run.id)));
            assert_eq!(read_run(&item, body.as_ref().unwrap_or(&item)), Ok(run.clone()));
            assert_eq!(read_run_alone(&item).map(|(run, _)| run.deadline), Ok(run.deadline));
        }
    }

    #[test]
    fn changes_are_read_as_stored_and_hide_their_secrets() {
        use crate::plan::changes::change_set;
        use crate::plan::injection::Injection;
        let experiment =
            read_experiment(&experiment(&["checkout"], &faults()[3..4])).unwrap_or_else(|e| unreachable!("{e}"));
        let layers = crate::testing::samples::proxy_layers();
        let injection = Injection::planned(&experiment, Time(0), &layers);
        let changes = change_set(&injection, &crate::testing::samples::observation("checkout")).changes;
        let stored = json(&changes).unwrap_or_else(|e| unreachable!("{e}"));
        let item = Item::from([("changes".to_owned(), stored)]);
        assert_eq!(parsed(&item, "changes"), Ok(Some(changes.clone())));
        assert!(!format!("{changes:?}").contains(SECRET));
    }

    /// Returns an injected target as it is stored.
    fn injected() -> Item {
        let mut item = target_key(&run_id("r"), &function_arn("checkout"));
        let changes = "[{\"field\":\"timeout\",\"original\":10,\"injected\":1}]";
        let texts = [("status", "injected"), ("changes", changes), ("injectHolder", "inject-1")];
        item.extend(texts.map(|(name, value)| (name.to_owned(), text(value))));
        item.extend([("lastVersion".to_owned(), number(3)), ("injectUntil".to_owned(), number(7))]);
        item
    }

    fn set(item: &mut Item, name: &str, value: AttributeValue) {
        item.insert(name.to_owned(), value);
    }

    #[test]
    fn a_damaged_target_is_unreadable_and_named() {
        let read = read_target(&injected()).unwrap_or_else(|e| unreachable!("{e}"));
        assert_eq!((read.changes.len(), read.inject_lease.is_some()), (1, true));
        type Damage = (&'static str, fn(&mut Item));
        let damages: [Damage; 13] = [
            ("changes missing", |item| drop(item.remove("changes"))),
            ("changes empty", |item| set(item, "changes", text(""))),
            ("changes of another type", |item| set(item, "changes", number(1))),
            ("changes null", |item| set(item, "changes", AttributeValue::Null(true))),
            ("pending with a lease", |item| set(item, "status", text("pending"))),
            ("armed with a lease", |item| set(item, "status", text("armed"))),
            ("no status", |item| drop(item.remove("status"))),
            ("a lease's end of another type", |item| set(item, "injectUntil", text("7"))),
            ("half a lease", |item| drop(item.remove("injectHolder"))),
            ("lastVersion of another type", |item| set(item, "lastVersion", text("3"))),
            ("drift of another type", |item| set(item, "drift", number(1))),
            ("restoring nothing", |item| {
                set(item, "status", text("restoring"));
                set(item, "changes", text("[]"));
            }),
            ("no changes, and a runtime", |item| {
                set(item, "runtimeVersion", text("arn"));
                set(item, "changes", text("[]"));
            }),
        ];
        for (damage, apply) in damages {
            let mut item = injected();
            apply(&mut item);
            let Err(LedgerError::Unreadable(why)) = read_target(&item) else { unreachable!("{damage} is read") };
            assert!(why.starts_with("run r, checkout: "), "{damage}: {why}");
        }
        let mut pending = injected();
        pending.retain(|name, _| !name.starts_with("inject"));
        pending.insert("status".into(), text("pending"));
        assert!(read_target(&pending).is_err(), "a pending target with a snapshot");
        pending.remove("changes");
        assert!(read_target(&pending).is_ok());
    }

    #[test]
    fn who_ended_a_run_or_moved_the_lever_hides_nothing_if_damaged() {
        let ending = crate::model::run::EndReason::UserRequest.into();
        let mut run = crate::model::marker::stopped_marker(&run_id("r"), &ending, Time(7));
        run.ended_by = Some(crate::model::actor::Actor::snapback());
        let (mut item, _) = run_items(&run).unwrap_or_else(|e| unreachable!("{e}"));
        let lever = Lever { engaged: false, since: Time(7), reason: "over".into(), by: run.ended_by.clone() };
        let mut lever_as_stored = lever_key();
        lever_as_stored.extend([
            ("engaged".to_owned(), AttributeValue::Bool(false)),
            ("since".to_owned(), number(7)),
            ("reason".to_owned(), text("over")),
            ("by".to_owned(), item["endedBy"].clone()),
        ]);
        assert_eq!((read_run(&item, &item), read_lever(&lever_as_stored)), (Ok(run.clone()), lever.clone()));
        set(&mut lever_as_stored, "by", text("{\"via\":\"\"}"));
        assert_eq!(read_lever(&lever_as_stored), Lever { by: None, ..lever });
        set(&mut item, "endedBy", number(1));
        // The marker's body has it too.
        assert_eq!(read_run(&item, &item), Ok(run));
    }

    #[test]
    fn a_damaged_lock_is_unreadable_and_not_free() {
        let lock = |name: &str, value: AttributeValue| {
            let mut item = lock_key(&function_arn("checkout"));
            item.extend([("run".to_owned(), text("run-1")), ("generation".to_owned(), number(1))]);
            item.insert(name.to_owned(), value);
            read_lock(&item)
        };
        assert_eq!(lock("generation", number(2)).map(|lock| lock.run), Ok(Some(run_id("run-1"))));
        for (name, value) in [("run", number(1)), ("run", text("")), ("releasedAt", text("7"))] {
            assert!(matches!(lock(name, value), Err(LedgerError::Unreadable(_))), "{name}");
        }
    }
}
