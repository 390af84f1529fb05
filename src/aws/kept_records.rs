//! Tests that this release reads and restores the records of earlier releases: runs of every fault, a target in every
//! status, a run with many targets, every reason for an end, a marker, locks, tombstones, lists and the lever.
//!
//! The files in tests/ledger are never changed. A release that stores something new adds a file.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports errors by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::model::names::FunctionArn;
use crate::model::run::{EndReason, Run, RunStatus, TargetRecord, TargetStatus};
use crate::model::snapshot::Change;
use crate::plan::rendering::{Outcome, report_view};
use crate::ports::{Clock, Ledger};
use crate::steps::Budget;
use crate::steps::inject::{InjectOutcome, inject};
use crate::steps::report::close;
use crate::steps::rollback::roll_back;
use crate::testing::SimWorld;
use crate::testing::execution::block_on;
use crate::testing::samples::{alarm_arn, function_arn, mapping_id, run_id, world};

use super::moto::read_items;
use super::records::{Item, function_of, read_lever, read_list, read_lock, read_run, read_target, separate_body_key};

/// The records of the release at commit 6dafcc7.
const RECORDS: &str = include_str!("../../tests/ledger/records-6dafcc7.json");

fn text<'a>(item: &'a Item, name: &str) -> &'a str {
    item[name].as_s().unwrap()
}

/// Returns the items whose keys start with `pk` and `sk`.
fn items(pk: &str, sk: &str) -> Vec<Item> {
    let all = read_items(RECORDS).into_iter();
    all.filter(|item| text(item, "pk").starts_with(pk) && text(item, "sk").starts_with(sk)).collect()
}

fn run_item(run: &str) -> (Item, Item) {
    let item = items(&format!("RUN#{run}"), "RUN").into_iter().next().unwrap();
    let body = match separate_body_key(&item) {
        Some(_) => items(&format!("RUN#{run}"), "BODY").into_iter().next().unwrap(),
        None => item.clone(),
    };
    (item, body)
}

fn stored_run(run: &str) -> Run {
    let (item, body) = run_item(run);
    read_run(&item, &body).unwrap()
}

fn targets_of(run: &str) -> Vec<TargetRecord> {
    items(&format!("RUN#{run}"), "TARGET#").iter().map(|item| read_target(item).unwrap()).collect()
}

/// Whether everything in `part` is in `whole`.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, value)| value.is_null() || whole.get(name).is_some_and(|w| contains(w, value)))
        }
        _ => whole == part,
    }
}

#[test]
fn every_stored_run_is_read_completely() {
    let runs = items("RUN#", "RUN");
    assert!(runs.len() > 25, "{}", runs.len());
    let mut faults = BTreeSet::new();
    for item in runs {
        let name = text(&item, "pk").strip_prefix("RUN#").unwrap();
        let (item, body) = run_item(name);
        let run = read_run(&item, &body).unwrap();
        assert_eq!((run.id.as_str(), run.unread.as_ref()), (name, None));
        assert_eq!(run.status.name(), text(&item, "status"), "{name}");
        let mut stored: Value = serde_json::from_str(text(&body, "body")).unwrap();
        // What has changed since creation is in separate attributes.
        for field in ["status", "reason", "stoppingAt", "closedAt", "endsAt", "deviations"] {
            stored[field].take();
        }
        let read = serde_json::to_value(&run).unwrap();
        assert!(contains(&read, &stored), "{name}:\n{stored}\n{read}");
        faults.extend(run.experiment.iter().flat_map(|experiment| experiment.faults.iter().map(|fault| fault.name())));
    }
    assert_eq!(faults.len(), 15, "{faults:?}");
}

#[test]
fn the_changed_attributes_of_a_stored_run_are_read() {
    let ends_at = stored_run("statuses").ends_at.unwrap();
    assert_eq!(stored_run("statuses").created_at.until(ends_at), Duration::from_secs(300));
    let expected = [
        EndReason::DurationElapsed,
        EndReason::Alarm { alarm: "errors".into() },
        EndReason::AlarmDeleted { alarm: "errors".into() },
        EndReason::Deviated { condition: "alarm errors is in ALARM".into() },
        EndReason::UserRequest,
        EndReason::SafetyLever,
        EndReason::Error { error: "FunctionFailed".into(), cause: "no".into() },
        EndReason::ExecutionStopped,
        EndReason::Overdue,
    ];
    for (at, reason) in expected.into_iter().enumerate() {
        let run = stored_run(&format!("ends-{at}"));
        assert_eq!(run.created_at.until(run.stopping_at.unwrap()), Duration::from_secs(5), "{reason}");
        assert_eq!(run.closed_at.is_some(), at > 0, "{reason}");
        let deviations = (at > 0 && at % 2 == 0).then(|| (0..at).map(|n| format!("deviation {n}")).collect::<Vec<_>>());
        assert_eq!((run.deviations, run.reason), (deviations, Some(reason)));
    }
    let marker = stored_run("marker");
    assert_eq!(
        (marker.status, marker.reason, marker.experiment),
        (RunStatus::Failed, Some(EndReason::UserRequest), None)
    );
    assert_eq!(stored_run("many").functions.len(), 41);
}

#[test]
fn a_stored_target_of_every_status_is_read() {
    let targets = targets_of("statuses");
    let read: BTreeMap<String, TargetStatus> =
        targets.iter().map(|t| (t.function.name().to_owned(), t.status)).collect();
    for status in TargetStatus::ALL {
        assert_eq!(read[&format!("is-{}", status.stored_name())], status);
    }
    for target in &targets {
        let stored = items("RUN#statuses", &format!("TARGET#{}", target.function)).into_iter().next().unwrap();
        if let Some(changes) = stored.get("changes") {
            let changes: Value = serde_json::from_str(changes.as_s().unwrap()).unwrap();
            assert_eq!(serde_json::to_value(&target.changes).unwrap(), changes, "{}", target.function);
        }
        let (begun, restoring) = (target.status.may_become(TargetStatus::Restoring), target.restore_lease.is_some());
        assert_eq!(target.inject_lease.is_some(), stored.contains_key("injectUntil"));
        assert_eq!(restoring, stored.contains_key("restoreUntil"));
        assert_eq!(target.ended_at.is_some(), target.status.is_final());
        assert_eq!(target.last_version, if begun || restoring { 12 } else { 0 }, "{}", target.function);
    }
    let of = |name: &str| targets.iter().find(|target| target.function == function_arn(name)).unwrap();
    assert_eq!(of("is-failing").restore_error.as_deref(), Some("access denied: no"));
    assert_eq!((of("is-drifted").drift[0].note.as_str(), of("is-drifted").frozen_versions.len()), ("was 3, is 4", 1));
}

#[test]
fn stored_locks_lists_and_lever_are_read() {
    for item in items("LOCK#", "LOCK") {
        let lock = read_lock(&item).unwrap();
        assert_eq!(lock.run.is_some(), item.contains_key("run"));
        assert_eq!(lock.released_at.is_some(), item.contains_key("releasedAt"));
        assert_eq!(lock.generation, 1);
    }
    let active = read_list(&items("ACTIVE", "RUN#"));
    let alarm = read_list(&items(&format!("ALARM#{}", alarm_arn("errors")), "RUN#"));
    assert_eq!((active.runs.len(), active.unreadable.len()), (19, 0));
    assert_eq!(alarm, active);
    let lever = read_lever(&items("LEVER", "LEVER")[0]);
    assert_eq!((lever.engaged, lever.reason.as_str()), (true, "an incident"));
}

/// Creates a world with a stored run, its targets and its locks. Its functions are as they were before the run.
fn world_of(run: &Run, targets: &[TargetRecord]) -> SimWorld {
    let names: Vec<&str> = run.functions.iter().map(FunctionArn::name).collect();
    let world = world(&names);
    world.with(|state| {
        state.elapsed = 1;
        state.runs.insert(run.id.clone(), run.clone());
        state.active.push(run.id.clone());
        for target in targets {
            state.targets.insert((run.id.clone(), target.function.clone()), target.clone());
            // The mapping gets the identifier that the record has.
            for change in &target.changes {
                let Change::Mapping { id } = change else { continue };
                let mapping = state.mappings.remove(&mapping_id(target.function.name())).unwrap();
                state.mappings.insert(id.clone(), mapping);
            }
            let lock = read_lock(&items(&format!("LOCK#{}", target.function), "LOCK")[0]).unwrap();
            state.locks.insert(target.function.clone(), lock);
        }
    });
    world
}

fn budget(world: &SimWorld) -> Budget {
    Budget { deadline: world.now() + Duration::from_secs(60) }
}

/// The earlier release has armed each run; this release injects it and restores it from the stored snapshot.
#[test]
fn a_run_of_every_fault_is_restored_from_its_stored_record() {
    let runs = items("RUN#fault-", "RUN");
    assert_eq!(runs.len(), 15);
    for item in runs {
        let name = text(&item, "pk").strip_prefix("RUN#").unwrap().to_owned();
        let (run, targets) = (stored_run(&name), targets_of(&name));
        let (world, function) = (world_of(&run, &targets), targets[0].function.clone());
        let seen = |world: &SimWorld| {
            let mut seen = world.with(|state| state.functions[&function].seen.clone());
            seen.revision_id.clear();
            seen.last_update = crate::model::function::LastUpdate::Successful;
            seen
        };
        let before = seen(&world);
        block_on(async {
            let _ = world.mark_rehearsed(run.target_key(&function), &targets[0].changes).await.unwrap();
            let injected = inject(&world, &run.id, &function, budget(&world)).await;
            assert_eq!(injected, Ok(InjectOutcome::Injected), "{name}");
        });
        let writes = world.with(|state| state.writes.len());
        assert!(writes > 0, "{name}");
        world.advance(Duration::from_secs(60));
        block_on(roll_back(&world, &run.id, &EndReason::UserRequest.into(), budget(&world))).unwrap();
        assert_eq!(seen(&world), before, "{name}");
        let view = block_on(close(&world, &run.id)).unwrap();
        assert_eq!((view.status, view.targets[0].status), (RunStatus::Stopped, TargetStatus::Restored), "{name}");
        assert!(world.with(|state| state.active.is_empty()), "{name}");
    }
}

/// Returns what another release can have written where this one knows nothing like it.
fn of_another_release() -> Vec<(&'static str, &'static str, Value)> {
    vec![
        ("a field of a stop condition", "/experiment/stopConditions/0/since", json!("a newer release's")),
        ("a field of the experiment", "/experiment/budget", json!(3)),
        ("a longer duration", "/experiment/duration", json!("PT13H")),
        ("a fault", "/experiment/faults/0", json!({ "gravity": { "factor": 2 } })),
        ("a kind of target", "/experiment/targets/0", json!({ "cluster": "shop" })),
        ("too many faults", "/experiment/faults", json!(vec![json!({ "timeout": { "timeout": "PT1S" } }); 21])),
        ("proxy layers", "/proxyLayers", json!({ "riscv64": 7 })),
        ("an experiment of another type", "/experiment", json!(["a list"])),
    ]
}

/// Such a run can be stopped, restored, closed, retired and reported, but not started, and its outcome is never `held`.
#[test]
fn a_run_of_another_release_is_restored_and_never_called_held() {
    for (what, path, value) in of_another_release() {
        let (mut item, _) = run_item("fault-04-timeout");
        let mut body: Value = serde_json::from_str(text(&item, "body")).unwrap();
        put(&mut body, path, value);
        item.insert("body".into(), super::records::text(body.to_string()));
        let run = read_run(&item, &item).unwrap();
        assert!(run.unread.is_some() && run.experiment.is_none(), "{what}");
        assert_eq!((run.functions.len(), run.alarms.len()), (1, 1), "{what}");
        let armed = targets_of("fault-04-timeout");
        let world = world_of(&run, &armed);
        block_on(async {
            let function = &armed[0].function;
            let _ = world.mark_rehearsed(run.target_key(function), &armed[0].changes).await.unwrap();
            assert_eq!(inject(&world, &run.id, function, budget(&world)).await, Ok(InjectOutcome::Skipped), "{what}");
        });
        let timeout = || world.with(|state| state.functions[&armed[0].function].seen.timeout);
        let original = timeout();
        // The other release injects.
        world.with(|state| {
            state.functions.get_mut(&armed[0].function).unwrap().edit(|function| function.timeout = 1);
            state.targets.values_mut().for_each(|target| target.status = TargetStatus::Injected);
            let run = state.runs.values_mut().next().unwrap();
            run.deviations = Some(Vec::new());
        });
        assert_ne!(timeout(), original, "{what}");
        block_on(roll_back(&world, &run.id, &EndReason::DurationElapsed.into(), budget(&world))).unwrap();
        assert_eq!(timeout(), original, "{what}");
        let view = block_on(close(&world, &run.id)).unwrap();
        assert_eq!((view.status, view.targets[0].status), (RunStatus::Completed, TargetStatus::Restored), "{what}");
        assert_ne!(view.outcome, Outcome::Held, "{what}");
        assert!(world.with(|state| state.active.is_empty()), "{what}");
        // It stays unreadable after it was rewritten without its values.
        let retired = world.with(|state| state.runs[&run.id].clone());
        let again: Run = serde_json::from_value(serde_json::to_value(&retired).unwrap()).unwrap();
        assert_eq!(again.unread, run.unread, "{what}");
        assert_ne!(report_view(&again, &[]).outcome, Outcome::Held, "{what}");
    }
}

fn put(body: &mut Value, path: &str, value: Value) {
    let (parent, name) = path.rsplit_once('/').unwrap();
    match body.pointer_mut(parent).unwrap() {
        Value::Object(fields) => drop(fields.insert(name.to_owned(), value)),
        Value::Array(entries) => entries[name.parse::<usize>().unwrap()] = value,
        other => panic!("{path} leads to {other}"),
    }
}

/// A later release stores `deleted` in place of `gone`, and this one reads both. It does not guess what an unknown
/// status means.
#[test]
fn a_later_releases_word_for_deleted_is_read() {
    let mut item = items("RUN#statuses", &format!("TARGET#{}", function_arn("is-gone"))).into_iter().next().unwrap();
    item.insert("status".into(), super::records::text("deleted"));
    assert_eq!(read_target(&item).unwrap().status, TargetStatus::Deleted);
    item.insert("status".into(), super::records::text("hovering"));
    assert!(read_target(&item).is_err());
}

/// Of a run whose body is invalid JSON, name and status are known, and its functions from its targets' items.
#[test]
fn a_run_with_an_unreadable_body_is_past_its_end() {
    let (mut item, _) = run_item("statuses");
    item.insert("body".into(), super::records::text("{"));
    let run = read_run(&item, &item).unwrap();
    assert_eq!((run.id.clone(), run.status), (run_id("statuses"), RunStatus::Running));
    assert!(run.unread.is_some() && run.expected_end() < SimWorld::default().now());
    let targets = items("RUN#statuses", "TARGET#");
    assert_eq!(targets.iter().filter_map(function_of).count(), 10);
}

#[test]
fn a_snapshot_with_an_impossible_value_is_damaged() {
    let mut item = super::records::target_key(&run_id("r"), &function_arn("checkout"));
    let changes = |original: &str| format!("[{{\"field\":\"memory\",\"original\":{original},\"injected\":512}}]");
    item.insert("status".into(), super::records::text("injected"));
    item.insert("changes".into(), super::records::text(changes("128")));
    assert!(read_target(&item).is_ok());
    item.insert("changes".into(), super::records::text(changes("999999")));
    let why = read_target(&item).err().map(|error| error.to_string()).unwrap_or_default();
    let begin =
        "run r, checkout: its snapshot is damaged: the original memory is 999999, and Lambda takes 128 to 32768;";
    assert!(why.starts_with(begin) && why.ends_with("then run: snapback rollback r"), "{why}");
    item.insert("status".into(), super::records::text("restored"));
    assert!(read_target(&item).is_ok(), "it is over");
}
