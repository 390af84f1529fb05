//! The restore law: for every configuration, every faults and every edits of somebody else's meanwhile, what they did
//! stays, what we did goes, and where both touched one field, theirs stays and is reported.
//!
//! The oracle is a model of its own: it compares three configurations (before, injected, edited) field by field, and
//! shares no code with the plans that it judges. One thing it cannot ask for: an edit that writes just the value that we
//! had injected looks as ours, and goes.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::{collection, option};
use serde_json::{Value, json};
use snapback::model::experiment::Experiment;
use snapback::model::fault::Fault;
use snapback::model::function::{Environment, LastUpdate, Mapping, MappingState, Observation, Slot, Tags};
use snapback::model::input::read_experiment;
use snapback::model::names::{Handler, LayerVersionArn, MappingId};
use snapback::model::secret::Secret;
use snapback::model::snapshot::{Change, Surface, Write};
use snapback::model::time::Time;
use snapback::plan::changes::{ChangeSet, change_set};
use snapback::plan::inject::{InjectPlan, plan_first_inject};
use snapback::plan::injection::Injection;
use snapback::plan::rendering::field_row;
use snapback::plan::restore::{RestorePlan, plan_restore};
use snapback::testing::samples::{self, layer_arn, observation, proxy_layers};

const VARIABLES: [&str; 10] = [
    "MODE",
    "LEVEL",
    "FLAGS",
    "CHAINED",
    "ORIGINAL_HANDLER",
    "HANDLER_DEADLINE",
    "LAYER_DEADLINE",
    "AWS_LAMBDA_EXEC_WRAPPER",
    "SNAPBACK_FAULTS",
    "SNAPBACK_CHAINED_WRAPPER",
];
const OWN_LAYERS: [&str; 3] = ["own-a", "own-b", "own-c"];
const FAULT_LAYERS: [&str; 2] = ["chaos-a", "chaos-b"];
const DEADLINE: Time = Time(1_780_000_000_000);

/// Something that somebody else does to the function.
#[derive(Clone, Debug)]
enum Edit {
    Concurrency(Slot<u32>),
    Handler(u8),
    Timeout(u32),
    Memory(u32),
    Set(&'static str, u8),
    Unset(&'static str),
    Append(&'static str),
    Prepend(&'static str),
    Remove(&'static str),
    Reverse,
    Replace(Vec<&'static str>),
    Mapping(u8, MappingState),
    DeleteMapping(u8),
    /// A field that no fault touches.
    Tag(u8),
}

fn handler(number: u8) -> Handler {
    Handler::try_from(format!("app.handler{number}")).unwrap()
}

fn mapping_id(number: u8) -> MappingId {
    MappingId::try_from(format!("{number:08}-2222-3333-4444-555555555555")).unwrap()
}

fn secret(number: u8) -> Secret {
    Secret::new(format!("secret-{number}"))
}

fn layers(names: &[&str]) -> Vec<LayerVersionArn> {
    names.iter().map(|name| layer_arn(name)).collect()
}

/// The values are few, so that faults and edits often hit on the same ones.
fn concurrency() -> impl Strategy<Value = Slot<u32>> {
    prop_oneof![Just(Slot::Absent), (0..3_u32).prop_map(Slot::Present)]
}

fn configuration() -> impl Strategy<Value = Observation> {
    let environment = collection::btree_map(proptest::sample::select(&VARIABLES[..]), 0..4_u8, 0..5);
    let own_layers = subsequence(OWN_LAYERS.to_vec(), 0..=3).prop_shuffle();
    let mappings = collection::vec(any::<bool>(), 0..3);
    (concurrency(), 0..4_u8, 1..4_u32, 0..3_u32, environment, own_layers, mappings).prop_map(
        |(concurrency, handles, timeout, memory, environment, own_layers, mappings)| {
            let mut function = observation("checkout");
            function.concurrency = concurrency;
            function.handler = Some(handler(handles));
            function.timeout = timeout;
            function.memory = 128 + memory;
            function.environment = Environment::Readable(
                environment.into_iter().map(|(name, value)| (name.to_owned(), secret(value))).collect(),
            );
            function.layers = layers(&own_layers);
            let state = |enabled| if enabled { MappingState::Enabled } else { MappingState::Disabled };
            let mapping = |(at, enabled)| Mapping { id: mapping_id(at), state: state(enabled) };
            function.mappings = (0_u8..).zip(mappings).map(mapping).collect();
            function
        },
    )
}

fn variables() -> impl Strategy<Value = BTreeMap<&'static str, u8>> {
    collection::btree_map(proptest::sample::select(&VARIABLES[..3]), 0..4_u8, 0..3)
}

fn json_variables(variables: &BTreeMap<&str, u8>) -> Value {
    variables.iter().map(|(name, value)| ((*name).to_owned(), json!(secret(*value).expose()))).collect()
}

/// One fault of each kind, and two inside invocations, in any order; those that do not go together are sorted out afterwards.
fn faults() -> impl Strategy<Value = Vec<Value>> {
    let unset = subsequence(VARIABLES[..3].to_vec(), 0..=2);
    let environment = (variables(), unset).prop_map(|(set, mut unset)| {
        unset.retain(|name| !set.contains_key(name));
        json!({ "environment": { "set": json_variables(&set), "unset": unset } })
    });
    let replaced = (0..4_u8, any::<bool>(), variables(), any::<bool>(), option::of(1..4_u32), option::of(0..3_u32))
        .prop_map(|(handles, layer, environment, original, timeout, memory)| {
            let mut fault = json!({ "handler": handler(handles), "environment": json_variables(&environment) });
            if layer {
                fault["layers"] = json!([layer_arn(FAULT_LAYERS[0])]);
            }
            if original {
                fault["originalHandlerVariable"] = json!("ORIGINAL_HANDLER");
                fault["deadlineVariable"] = json!("HANDLER_DEADLINE");
            }
            if let Some(timeout) = timeout {
                fault["timeout"] = json!(format!("PT{timeout}S"));
            }
            if let Some(memory) = memory {
                fault["memory"] = json!(128 + memory);
            }
            json!({ "handler": fault })
        });
    let layer = (subsequence(FAULT_LAYERS.to_vec(), 1..=2).prop_shuffle(), variables(), any::<bool>()).prop_map(
        |(names, environment, wrapped)| {
            let mut fault = json!({ "layers": layers(&names), "environment": json_variables(&environment) });
            if wrapped {
                fault["wrapper"] = json!("/opt/secret-wrapper");
                fault["chainedWrapperVariable"] = json!("CHAINED");
                fault["deadlineVariable"] = json!("LAYER_DEADLINE");
            }
            json!({ "layer": fault })
        },
    );
    let mapping = option::of(0..3_u8).prop_map(|one| match one {
        Some(number) => json!({ "eventSourceMapping": { "disable": mapping_id(number) } }),
        None => json!({ "eventSourceMapping": { "disable": "ALL" } }),
    });
    let inside = || {
        let fault = |(share, kind): (u32, u8)| match kind {
            0 => json!({ "latency": { "delayMs": share, "percentage": share } }),
            1 => json!({ "error": { "message": "secret-message", "percentage": share } }),
            _ => json!({ "exit": { "percentage": share, "match": [{ "path": "a", "equals": "secret-match" }] } }),
        };
        (0..3_u32, 0..3_u8).prop_map(fault)
    };
    let each: Vec<BoxedStrategy<Value>> = vec![
        (0..3_u32).prop_map(|limit| json!({ "reservedConcurrency": { "limit": limit } })).boxed(),
        (1..4_u32).prop_map(|seconds| json!({ "timeout": { "timeout": format!("PT{seconds}S") } })).boxed(),
        (0..3_u32).prop_map(|more| json!({ "memory": { "megabytes": 128 + more } })).boxed(),
        environment.boxed(),
        replaced.boxed(),
        layer.boxed(),
        mapping.boxed(),
        // Two of them, of one kind or not: the proxy comes once.
        inside().boxed(),
        inside().boxed(),
    ];
    (each, subsequence((0..9_usize).collect::<Vec<_>>(), 1..=9).prop_shuffle())
        .prop_map(|(each, chosen)| chosen.into_iter().map(|at| each[at].clone()).collect())
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let variable = || proptest::sample::select(&VARIABLES[..]);
    let others = || proptest::sample::select(vec!["other-a", "other-b"]);
    let any_layer =
        proptest::sample::select(vec!["own-a", "own-b", "own-c", "chaos-a", "chaos-b", "other-a", "other-b"]);
    let state = prop_oneof![Just(MappingState::Enabled), Just(MappingState::Disabled)];
    let edit = prop_oneof![
        concurrency().prop_map(Edit::Concurrency),
        (0..5_u8).prop_map(Edit::Handler),
        (1..5_u32).prop_map(Edit::Timeout),
        (0..4_u32).prop_map(|more| Edit::Memory(128 + more)),
        (variable(), 0..5_u8).prop_map(|(name, value)| Edit::Set(name, value)),
        variable().prop_map(Edit::Unset),
        others().prop_map(Edit::Append),
        others().prop_map(Edit::Prepend),
        any_layer.prop_map(Edit::Remove),
        Just(Edit::Reverse),
        subsequence(vec!["own-a", "own-b", "other-a", "other-b"], 0..=3).prop_shuffle().prop_map(Edit::Replace),
        (0..3_u8, state).prop_map(|(number, state)| Edit::Mapping(number, state)),
        (0..3_u8).prop_map(Edit::DeleteMapping),
        any::<u8>().prop_map(Edit::Tag),
    ];
    collection::vec(edit, 0..8)
}

/// What an experiment with these faults changes, in a run that ends at the deadline.
fn drafted(faults: &[Fault], function: &Observation) -> ChangeSet {
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
        if !drafted(&faults, function).refusals.is_empty() {
            faults.pop();
        }
    }
    faults
}

fn edit(function: &mut Observation, edit: &Edit) {
    let Environment::Readable(variables) = &mut function.environment else { unreachable!("all of ours are readable") };
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

/// Lambda's part: what a call sends is set, what it does not send stays.
fn land(function: &mut Observation, write: &Write) {
    match write {
        Write::Concurrency(slot) => function.concurrency = *slot,
        Write::Mapping { id, enabled } => {
            for mapping in function.mappings.iter_mut().filter(|mapping| mapping.id == *id) {
                mapping.state = if *enabled { MappingState::Enabled } else { MappingState::Disabled };
            }
        }
        Write::Configuration(update) => {
            assert_eq!(update.revision_id, function.revision_id, "it is guarded by the revision that was just seen");
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

/// The function field by field, as text; the layers apart.
fn fields(function: &Observation) -> BTreeMap<String, String> {
    let Environment::Readable(variables) = &function.environment else { unreachable!("all of ours are readable") };
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

/// The fields that some calls write, where `now` is what they were decided on.
fn written(writes: &[Write], now: &Observation) -> BTreeSet<String> {
    let Environment::Readable(before) = &now.environment else { unreachable!("all of ours are readable") };
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_others_did_stays_and_what_we_did_goes(before in configuration(), candidates in faults(), edits in edits()) {
        let faults = allowed(&candidates, &before);
        let changes = drafted(&faults, &before).changes;
        let touched = touched(&changes);

        // The snapshot survives the ledger.
        let stored = serde_json::to_string(&changes).unwrap();
        prop_assert_eq!(&serde_json::from_str::<Vec<Change>>(&stored).unwrap(), &changes);

        // Inject.
        let mut injected = before.clone();
        match plan_first_inject(&changes, &before) {
            InjectPlan::Write(writes) => {
                prop_assert_eq!(&written(&writes, &before), &touched, "inject writes what it touches, no more and no less");
                prop_assert!(writes.iter().filter(|write| matches!(write, Write::Configuration(_))).count() <= 1);
                writes.iter().for_each(|write| land(&mut injected, write));
            }
            InjectPlan::Injected => prop_assert!(changes.is_empty()),
            other => prop_assert!(false, "{:?}", other),
        }

        // Somebody edits: what we injected, and (for the law) what was there before.
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

        let [was, put, now, back, law] = [&before, &injected, &edited, &restored, &expected].map(fields);
        let mut drift = BTreeSet::new();
        for (field, value) in &back {
            let (was, put, now) = (&was[field], &put[field], &now[field]);
            let met = touched.contains(field) && now != put;
            if met && now != was {
                // Theirs stays, and is reported.
                prop_assert_eq!(value, now, "{}", field);
                drift.insert(field.clone());
            } else if touched.contains(field) {
                prop_assert_eq!(value, was, "{}", field);
            } else {
                prop_assert_eq!(value, &law[field], "{}", field);
                prop_assert_eq!(value, now, "{}", field);
            }
        }
        prop_assert_eq!(&restored.layers, &expected.layers, "ours are out, the others as they now stand");

        // A list of layers without ours that is not the original is theirs, too.
        let layers_differ = |now: &Observation| {
            !has_added(&changes, now) && touched.contains("layers") && now.layers != before.layers
        };
        let reported = |plan: &RestorePlan| -> BTreeSet<String> {
            plan.drift.iter().map(|drift| drift.field.clone()).collect()
        };
        let layers = |now: &Observation| layers_differ(now).then(|| "layers".to_owned());
        let expected_drift: BTreeSet<String> = drift.iter().cloned().chain(layers(&edited)).collect();
        prop_assert_eq!(reported(&plan), expected_drift);

        // Again: nothing more to do, and the same to report, with the list of layers now that ours are out of it.
        let again = plan_restore(&changes, &restored);
        prop_assert!(again.is_done(), "{:?}", again);
        let expected_drift: BTreeSet<String> = drift.into_iter().chain(layers(&restored)).collect();
        prop_assert_eq!(reported(&again), expected_drift);

        // No value of a variable is in anything that is shown.
        let shown = format!("{changes:?} {plan:?} {:?}", changes.iter().map(field_row).collect::<Vec<_>>());
        prop_assert!(!shown.contains("secret-"), "{}", shown);
    }

    #[test]
    fn no_configuration_is_written_during_an_update(before in configuration(), candidates in faults(), edits in edits()) {
        let changes = drafted(&allowed(&candidates, &before), &before).changes;
        let mut now = before.clone();
        if let InjectPlan::Write(writes) = plan_first_inject(&changes, &before) {
            writes.iter().for_each(|write| land(&mut now, write));
        }
        edits.iter().for_each(|one| edit(&mut now, one));
        let through = plan_restore(&changes, &now);
        now.last_update = LastUpdate::InProgress;
        let plan = plan_restore(&changes, &now);
        prop_assert!(!plan.writes.iter().any(|write| matches!(write, Write::Configuration(_))));
        // The configuration is looked at again once the update is through, whoever made it: until then the old one serves.
        let touched = |surface| changes.iter().filter(move |change| change.surface() == surface);
        prop_assert_eq!(plan.pending_reason.is_some(), touched(Surface::Configuration).next().is_some());
        let configuration: BTreeSet<String> = touched(Surface::Configuration).map(|c| c.field().to_string()).collect();
        let beside: Vec<_> = through.drift.into_iter().filter(|drift| !configuration.contains(&drift.field)).collect();
        prop_assert_eq!(plan.drift, beside);
    }

    #[test]
    fn nothing_is_injected_where_somebody_has_changed_a_touched_field(
        before in configuration(), candidates in faults(), edits in edits()
    ) {
        let changes = drafted(&allowed(&candidates, &before), &before).changes;
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
fn the_generators_reach_what_the_law_is_about() {
    // A law about nothing would hold: most cases must inject something, and many must meet an edit.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut injected, mut several, mut surfaces) = (0, 0, BTreeSet::new());
    for _ in 0..500 {
        let tree = (configuration(), faults()).new_tree(&mut runner).unwrap();
        let (before, candidates) = proptest::strategy::ValueTree::current(&tree);
        let faults = allowed(&candidates, &before);
        let changes = drafted(&faults, &before).changes;
        injected += u32::from(!changes.is_empty());
        several += u32::from(faults.len() > 2);
        surfaces.extend(changes.iter().map(|change| change.field().to_string()));
    }
    assert!(injected > 400 && several > 100, "{injected} inject, {several} have more than two faults");
    assert!(surfaces.len() >= 5 + VARIABLES.len() + 2, "{surfaces:?}");
}
