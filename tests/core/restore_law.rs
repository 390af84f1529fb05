//! The restore law: for any configuration, any faults and any concurrent edits by others, the edits stay and the injected
//! changes are undone. Where both touched one field, the edit stays and is reported as drift.
//!
//! The oracle is a separate model. It compares three configurations (before, injected, edited) field by field, and shares
//! no code with the plans that it checks. It excludes one case: an edit that writes exactly the injected value cannot be
//! told from the injection, and is undone.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::Value;
use snapback::model::experiment::Experiment;
use snapback::model::fault::Fault;
use snapback::model::function::{Environment, LastUpdate, MappingState, Observation, Tags};
use snapback::model::input::read_experiment;
use snapback::model::snapshot::{Change, Surface, Write};
use snapback::model::time::Time;
use snapback::plan::changes::{ChangeSet, change_set};
use snapback::plan::field_row::field_row;
use snapback::plan::inject::{InjectPlan, plan_first_inject};
use snapback::plan::injection::Injection;
use snapback::plan::restore::{RestorePlan, plan_restore};
use snapback::testing::samples::{self, layer_arn, proxy_layers};

use self::generators::{Edit, VARIABLES, configuration, edits, faults, handler, layers, mapping_id, secret};

#[path = "restore_law/generators.rs"]
mod generators;

const DEADLINE: Time = Time(1_780_000_000_000);

/// The changes of an experiment with these faults, in a run that ends at the deadline.
fn planned(faults: &[Fault], function: &Observation) -> ChangeSet {
    let one = samples::experiment(&["checkout"], &samples::faults()[..1]);
    let experiment = Experiment { faults: faults.to_vec(), ..read_experiment(&one).unwrap() };
    let layers = proxy_layers();
    change_set(
        &Injection { experiment: &experiment, run: "run-1", deadline: DEADLINE, proxy_layers: &layers },
        function,
    )
}

/// The faults that an experiment could have, on this function: no two claim one field, and no guardrail refuses them.
fn allowed(candidates: &[Value], function: &Observation) -> Vec<Fault> {
    let mut faults: Vec<Fault> = Vec::new();
    for candidate in candidates {
        let Ok(fault) = serde_json::from_value::<Fault>(candidate.clone()) else { continue };
        let claims = fault.claims();
        if faults.iter().flat_map(Fault::claims).any(|claim| claims.iter().any(|other| other.meets(&claim))) {
            continue;
        }
        faults.push(fault);
        if !planned(&faults, function).refusals.is_empty() {
            faults.pop();
        }
    }
    faults
}

fn edit(function: &mut Observation, edit: &Edit) {
    let Environment::Readable(variables) = &mut function.environment else {
        unreachable!("every generated environment is readable")
    };
    match edit {
        Edit::Concurrency(slot) => function.concurrency = *slot,
        Edit::Handler(number) => function.handler = Some(handler(*number)),
        Edit::Timeout(seconds) => function.timeout = *seconds,
        Edit::Memory(megabytes) => function.memory = *megabytes,
        Edit::Set(name, value) => drop(variables.insert((*name).to_owned(), secret(*value))),
        Edit::Unset(name) => drop(variables.remove(*name)),
        Edit::Append(name) => {
            function.layers.retain(|layer| *layer != layer_arn(name));
            function.layers.push(layer_arn(name));
        }
        Edit::Prepend(name) => {
            function.layers.retain(|layer| *layer != layer_arn(name));
            function.layers.insert(0, layer_arn(name));
        }
        Edit::Remove(name) => function.layers.retain(|layer| *layer != layer_arn(name)),
        Edit::Reverse => function.layers.reverse(),
        Edit::Replace(names) => function.layers = layers(names),
        Edit::Mapping(number, state) => {
            for mapping in function.mappings.iter_mut().filter(|mapping| mapping.id == mapping_id(*number)) {
                mapping.state = *state;
            }
        }
        Edit::DeleteMapping(number) => function.mappings.retain(|mapping| mapping.id != mapping_id(*number)),
        Edit::Tag(value) => function.tags = Tags::Known(BTreeMap::from([("version".to_owned(), value.to_string())])),
    }
    function.revision_id.push('\'');
}

/// Plays Lambda: sets each field that a call sends, and keeps the others.
fn land(function: &mut Observation, write: &Write) {
    match write {
        Write::Concurrency(slot) => function.concurrency = *slot,
        Write::Mapping { id, enabled } => {
            for mapping in function.mappings.iter_mut().filter(|mapping| mapping.id == *id) {
                mapping.state = if *enabled { MappingState::Enabled } else { MappingState::Disabled };
            }
        }
        Write::Configuration(update) => {
            assert_eq!(
                update.revision_id, function.revision_id,
                "the update is guarded by the revision that was just read"
            );
            if let Some(handler) = &update.handler {
                function.handler = Some(handler.clone());
            }
            if let Some(layers) = &update.layers {
                function.layers.clone_from(layers);
            }
            if let Some(environment) = &update.environment {
                function.environment = Environment::Readable(environment.clone());
            }
            function.timeout = update.timeout.unwrap_or(function.timeout);
            function.memory = update.memory.unwrap_or(function.memory);
            function.revision_id.push('+');
        }
    }
}

/// The function's fields as text, except for its layers.
fn fields(function: &Observation) -> BTreeMap<String, String> {
    let Environment::Readable(variables) = &function.environment else {
        unreachable!("every generated environment is readable")
    };
    let absent = || "absent".to_owned();
    let mut fields = BTreeMap::from([
        ("reserved concurrency".to_owned(), function.concurrency.as_option().map_or_else(absent, u32::to_string)),
        ("handler".to_owned(), function.handler.as_ref().map_or_else(absent, ToString::to_string)),
        ("timeout".to_owned(), function.timeout.to_string()),
        ("memory".to_owned(), function.memory.to_string()),
        ("tags".to_owned(), format!("{:?}", function.tags)),
    ]);
    for name in VARIABLES {
        let value = variables.get(name).map_or_else(absent, |value| value.expose().to_owned());
        fields.insert(format!("variable {name}"), value);
    }
    for number in 0..3 {
        let mapping = function.mapping(&mapping_id(number));
        let state = mapping.map_or_else(absent, |mapping| format!("{:?}", mapping.state));
        fields.insert(format!("event source mapping {}", mapping_id(number)), state);
    }
    fields
}

/// The fields that these calls write. `now` is the observation that they were planned from.
fn written(writes: &[Write], now: &Observation) -> BTreeSet<String> {
    let Environment::Readable(before) = &now.environment else {
        unreachable!("every generated environment is readable")
    };
    let mut fields = BTreeSet::new();
    for write in writes {
        match write {
            Write::Concurrency(_) => drop(fields.insert("reserved concurrency".to_owned())),
            Write::Mapping { id, .. } => drop(fields.insert(format!("event source mapping {id}"))),
            Write::Configuration(update) => {
                let sent = [
                    ("handler", update.handler.is_some()),
                    ("layers", update.layers.is_some()),
                    ("timeout", update.timeout.is_some()),
                    ("memory", update.memory.is_some()),
                ];
                fields.extend(sent.iter().filter(|(_, sent)| *sent).map(|(name, _)| (*name).to_owned()));
                let during = update.environment.clone().unwrap_or_else(|| before.clone());
                let names: BTreeSet<&String> = before.keys().chain(during.keys()).collect();
                let changed = names.into_iter().filter(|name| before.get(*name) != during.get(*name));
                fields.extend(changed.map(|name| format!("variable {name}")));
                assert!(
                    update.environment.is_none() || during != *before,
                    "an environment is sent only where it changes"
                );
            }
        }
    }
    fields
}

fn touched(changes: &[Change]) -> BTreeSet<String> {
    changes.iter().map(|change| change.field().to_string()).collect()
}

/// Whether a list of layers has one that the fault adds.
fn has_added(changes: &[Change], now: &Observation) -> bool {
    changes.iter().any(
        |change| matches!(change, Change::Layers { added, .. } if now.layers.iter().any(|layer| added.contains(layer))),
    )
}

/// Plays the first inject, and asserts that it writes exactly the touched fields.
fn inject(changes: &[Change], before: &Observation) -> Result<Observation, TestCaseError> {
    let mut injected = before.clone();
    match plan_first_inject(changes, before) {
        InjectPlan::Write(writes) => {
            let touched = touched(changes);
            prop_assert_eq!(&written(&writes, before), &touched, "inject writes exactly the touched fields");
            prop_assert!(writes.iter().filter(|write| matches!(write, Write::Configuration(_))).count() <= 1);
            writes.iter().for_each(|write| land(&mut injected, write));
        }
        InjectPlan::Injected => prop_assert!(changes.is_empty()),
        other => prop_assert!(false, "{:?}", other),
    }
    Ok(injected)
}

type Fields = BTreeMap<String, String>;

/// Asserts the law for each field but the layers, and returns the fields that must be reported as drift.
///
/// The states are: before, injected, edited, restored, and the original with the edits, which the law expects.
fn drifted(
    touched: &BTreeSet<String>,
    [before, injected, edited, restored, expected]: [Fields; 5],
) -> Result<BTreeSet<String>, TestCaseError> {
    let mut drift = BTreeSet::new();
    for (field, value) in &restored {
        let (was, put, now) = (&before[field], &injected[field], &edited[field]);
        let met = touched.contains(field) && now != put;
        if met && now != was {
            // The edit stays, and is reported.
            prop_assert_eq!(value, now, "{}", field);
            drift.insert(field.clone());
        } else if touched.contains(field) {
            prop_assert_eq!(value, was, "{}", field);
        } else {
            prop_assert_eq!(value, &expected[field], "{}", field);
            prop_assert_eq!(value, now, "{}", field);
        }
    }
    Ok(drift)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn edits_by_others_stay_and_injected_changes_are_undone(before in configuration(), candidates in faults(), edits in edits()) {
        let faults = allowed(&candidates, &before);
        let changes = planned(&faults, &before).changes;
        let touched = touched(&changes);

        // The snapshot survives the ledger.
        let stored = serde_json::to_string(&changes).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Vec<Change>>(&stored).unwrap(), &changes);

        let injected = inject(&changes, &before)?;

        // The edit is made to the injected configuration and, for the law, to the original one.
        let (mut edited, mut expected) = (injected.clone(), before.clone());
        for one in &edits {
            edit(&mut edited, one);
            edit(&mut expected, one);
        }

        // Restore.
        let plan = plan_restore(&changes, &edited);
        prop_assert_eq!(plan.pending_reason, None);
        prop_assert!(written(&plan.writes, &edited).is_subset(&touched), "{:?}", plan.writes);
        let mut restored = edited.clone();
        plan.writes.iter().for_each(|write| land(&mut restored, write));

        let drift = drifted(&touched, [&before, &injected, &edited, &restored, &expected].map(fields))?;
        prop_assert_eq!(&restored.layers, &expected.layers, "the fault's layers are removed, the others are unchanged");

        // A list of layers that is not the original after the fault's layers are removed is an edit, too.
        let layers_differ = |now: &Observation| {
            !has_added(&changes, now) && touched.contains("layers") && now.layers != before.layers
        };
        let reported = |plan: &RestorePlan| -> BTreeSet<String> {
            plan.drift.iter().map(|drift| drift.field.clone()).collect()
        };
        let layers = |now: &Observation| layers_differ(now).then(|| "layers".to_owned());
        let expected_drift: BTreeSet<String> = drift.iter().cloned().chain(layers(&edited)).collect();
        prop_assert_eq!(reported(&plan), expected_drift);

        // A second plan has nothing to do and reports the same, with the list of layers as it is now.
        let again = plan_restore(&changes, &restored);
        prop_assert!(again.is_done(), "{:?}", again);
        let expected_drift: BTreeSet<String> = drift.into_iter().chain(layers(&restored)).collect();
        prop_assert_eq!(reported(&again), expected_drift);

        // Nothing that is shown contains the value of a variable.
        let shown = format!("{changes:?} {plan:?} {:?}", changes.iter().map(field_row).collect::<Vec<_>>());
        prop_assert!(!shown.contains("secret-"), "{}", shown);
    }

    #[test]
    fn no_configuration_is_written_during_an_update(before in configuration(), candidates in faults(), edits in edits()) {
        let changes = planned(&allowed(&candidates, &before), &before).changes;
        let mut now = before.clone();
        if let InjectPlan::Write(writes) = plan_first_inject(&changes, &before) {
            writes.iter().for_each(|write| land(&mut now, write));
        }
        edits.iter().for_each(|one| edit(&mut now, one));
        let completed = plan_restore(&changes, &now);
        now.last_update = LastUpdate::InProgress;
        let plan = plan_restore(&changes, &now);
        prop_assert!(!plan.writes.iter().any(|write| matches!(write, Write::Configuration(_))));
        // The configuration is read again after the update has completed, because the old one serves until then.
        let touched = |surface| changes.iter().filter(move |change| change.surface() == surface);
        prop_assert_eq!(plan.pending_reason.is_some(), touched(Surface::Configuration).next().is_some());
        let configuration: BTreeSet<String> = touched(Surface::Configuration).map(|c| c.field().to_string()).collect();
        let other: Vec<_> = completed.drift.into_iter().filter(|drift| !configuration.contains(&drift.field)).collect();
        prop_assert_eq!(plan.drift, other);
    }

    #[test]
    fn nothing_is_injected_after_an_edit_of_a_touched_field(
        before in configuration(), candidates in faults(), edits in edits()
    ) {
        let changes = planned(&allowed(&candidates, &before), &before).changes;
        let mut now = before.clone();
        edits.iter().for_each(|one| edit(&mut now, one));
        let (was, is) = (fields(&before), fields(&now));
        let layers = touched(&changes).contains("layers") && now.layers != before.layers;
        let changed = layers || touched(&changes).iter().any(|field| was.get(field) != is.get(field));
        match plan_first_inject(&changes, &now) {
            InjectPlan::Stale(_) => prop_assert!(changed),
            InjectPlan::Write(_) => prop_assert!(!changed),
            InjectPlan::Injected => prop_assert!(changes.is_empty()),
            InjectPlan::Wait(why) => prop_assert!(false, "{}", why),
        }
    }
}

#[test]
fn the_generators_produce_injections_and_edits() {
    // A law about nothing would always hold, so most cases must inject something, and many must meet an edit.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut injected, mut several, mut surfaces) = (0, 0, BTreeSet::new());
    for _ in 0..500 {
        let tree = (configuration(), faults()).new_tree(&mut runner).unwrap();
        let (before, candidates) = proptest::strategy::ValueTree::current(&tree);
        let faults = allowed(&candidates, &before);
        let changes = planned(&faults, &before).changes;
        injected += u32::from(!changes.is_empty());
        several += u32::from(faults.len() > 2);
        surfaces.extend(changes.iter().map(|change| change.field().to_string()));
    }
    assert!(injected > 400 && several > 100, "{injected} inject, {several} have more than two faults");
    assert!(surfaces.len() >= 5 + VARIABLES.len() + 2, "{surfaces:?}");
}
