//! Generators of configurations, faults and edits.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::{collection, option};
use serde_json::{Value, json};
use snapback::model::function::{Environment, Mapping, MappingState, Observation, Slot};
use snapback::model::names::{Handler, LayerVersionArn, MappingId};
use snapback::model::secret::Secret;
use snapback::testing::samples::{layer_arn, observation};

pub const VARIABLES: [&str; 12] = [
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
    "SNAPBACK_HANDLER",
    "SNAPBACK_HANDLER_FAULTS",
];
const OWN_LAYERS: [&str; 3] = ["own-a", "own-b", "own-c"];
const FAULT_LAYERS: [&str; 2] = ["chaos-a", "chaos-b"];

/// A change to the function from outside the run.
#[derive(Clone, Debug)]
pub enum Edit {
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

pub fn handler(number: u8) -> Handler {
    Handler::try_from(format!("app.handler{number}")).unwrap()
}

pub fn mapping_id(number: u8) -> MappingId {
    MappingId::try_from(format!("{number:08}-2222-3333-4444-555555555555")).unwrap()
}

pub fn secret(number: u8) -> Secret {
    Secret::new(format!("secret-{number}"))
}

pub fn layers(names: &[&str]) -> Vec<LayerVersionArn> {
    names.iter().map(|name| layer_arn(name)).collect()
}

/// There are few values, so faults and edits often use the same ones.
fn concurrency() -> impl Strategy<Value = Slot<u32>> {
    prop_oneof![Just(Slot::Absent), (0..3_u32).prop_map(Slot::Present)]
}

pub fn configuration() -> impl Strategy<Value = Observation> {
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

/// One fault of each kind, and two inside invocations, in any order. `allowed` then removes those that conflict.
pub fn faults() -> impl Strategy<Value = Vec<Value>> {
    let unset = subsequence(VARIABLES[..3].to_vec(), 0..=2);
    let environment = (variables(), unset).prop_map(|(set, mut unset)| {
        unset.retain(|name| !set.contains_key(name));
        json!({ "environment": { "set": json_variables(&set), "unset": unset } })
    });
    let mapping = option::of(0..3_u8).prop_map(|one| match one {
        Some(number) => json!({ "eventSourceMapping": { "disable": mapping_id(number) } }),
        None => json!({ "eventSourceMapping": { "disable": "ALL" } }),
    });
    let each: Vec<BoxedStrategy<Value>> = vec![
        (0..3_u32).prop_map(|limit| json!({ "reservedConcurrency": { "limit": limit } })).boxed(),
        (1..4_u32).prop_map(|seconds| json!({ "timeout": { "timeout": format!("PT{seconds}S") } })).boxed(),
        (0..3_u32).prop_map(|more| json!({ "memory": { "megabytes": 128 + more } })).boxed(),
        environment.boxed(),
        prop_oneof![handler_fault(), chaos_fault()].boxed(),
        layer_fault().boxed(),
        mapping.boxed(),
        // Two faults inside invocations, of the same kind or not, share one proxy.
        invocation_fault().boxed(),
        invocation_fault().boxed(),
    ];
    (each, subsequence((0..9_usize).collect::<Vec<_>>(), 1..=9).prop_shuffle())
        .prop_map(|(each, chosen)| chosen.into_iter().map(|at| each[at].clone()).collect())
}

fn handler_fault() -> impl Strategy<Value = Value> {
    (0..4_u8, any::<bool>(), variables(), any::<bool>(), option::of(1..4_u32), option::of(0..3_u32)).prop_map(
        |(handles, layer, environment, original, timeout, memory)| {
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
        },
    )
}

/// What the chaos handler injects.
fn chaos_fault() -> impl Strategy<Value = Value> {
    (1..3_u32).prop_map(|share| json!({ "handler": { "exception": { "message": "a message" }, "percentage": share } }))
}

fn layer_fault() -> impl Strategy<Value = Value> {
    (subsequence(FAULT_LAYERS.to_vec(), 1..=2).prop_shuffle(), variables(), any::<bool>()).prop_map(
        |(names, environment, wrapped)| {
            let mut fault = json!({ "layers": layers(&names), "environment": json_variables(&environment) });
            if wrapped {
                fault["wrapper"] = json!("/opt/secret-wrapper");
                fault["chainedWrapperVariable"] = json!("CHAINED");
                fault["deadlineVariable"] = json!("LAYER_DEADLINE");
            }
            json!({ "layer": fault })
        },
    )
}

fn invocation_fault() -> impl Strategy<Value = Value> {
    let fault = |(share, kind): (u32, u8)| match kind {
        0 => json!({ "latency": { "delayMs": share, "percentage": share } }),
        1 => json!({ "error": { "message": "a message", "percentage": share } }),
        _ => json!({ "exit": { "percentage": share, "match": [{ "path": "a", "equals": "a value" }] } }),
    };
    (0..3_u32, 0..3_u8).prop_map(fault)
}

pub fn edits() -> impl Strategy<Value = Vec<Edit>> {
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
