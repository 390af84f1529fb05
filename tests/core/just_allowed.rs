//! Experiments that are just within the guardrails: a refusal without need is wrong, too.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use snapback::model::facts::{Alias, CodeSigning, LayerFact};
use snapback::model::function::{Environment, Package, Slot};
use snapback::model::names::LayerVersionArn;
use snapback::model::time::Time;
use snapback::ports::Clock;
use snapback::steps::prepare::{Request, prepare};
use snapback::testing::samples::{self, faults, function_arn, layer_arn, run_id, settings, world};
use snapback::testing::{SimFunction, SimWorld, State};

use super::stage::set;
use super::support::{block_on, edit};

/// Lambda's limits (lambda/latest/dg/chapter-layers, lambda/latest/dg/configuration-envvars).
const LAYERS: usize = 5;
const ENVIRONMENT_BYTES: usize = 4096;
/// 2027-08-31T00:00:00Z, from when Lambda refuses updates of functions on python3.9.
const PYTHON_39_BLOCKED: Time = Time(1_819_670_400_000);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

#[test]
fn five_layers_in_all_are_allowed() {
    let world = world(&["checkout"]);
    world.with(|state| set_layers(state, &["a", "b", "c", "d"], &[]));
    assert_eq!(1 + layers_of(&world).len(), LAYERS);
    assert_eq!(refusals(&world, &sample("handler", "checkout")), [""; 0]);
}

#[test]
fn an_environment_of_4096_bytes_is_allowed() {
    let world = world(&["checkout"]);
    let experiment = samples::experiment(&["checkout"], &[("environment", json!({ "set": { "CHAOS": "on" } }))]);
    let bytes = world.with(|state| {
        let Environment::Readable(variables) = &function(state).seen.environment else { panic!("it is readable") };
        let variables: BTreeMap<_, _> = variables.iter().map(|(name, value)| (name, value.expose())).collect();
        serde_json::to_string(&variables).unwrap().len()
    });
    let room = ENVIRONMENT_BYTES - bytes - r#","CHAOS":"on","FILLS":"""#.len();
    edit(&world, |seen| set(seen, "FILLS", &"x".repeat(room)));
    assert_eq!(refusals(&world, &experiment), [""; 0]);
    edit(&world, |seen| set(seen, "FILLS", &"x".repeat(room + 1)));
    assert_eq!(
        refusals(&world, &experiment),
        [
            "checkout: its environment would have 4097 bytes, measured as JSON text like Lambda does, over the limit of 4096; set fewer or shorter variables"
        ]
    );
}

#[test]
fn as_many_targets_as_the_limit_are_allowed() {
    let names: Vec<String> = (0..settings().target_limit).map(|n| format!("f{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = world(&names);
    let (_, fault) = sample_fault("timeout");
    assert_eq!(refusals(&world, &samples::experiment(&names, &[("timeout", fault)])), [""; 0]);
}

#[test]
fn a_runtime_blocked_a_day_after_the_run_is_allowed() {
    let world = world(&["checkout"]);
    edit(&world, |seen| seen.runtime = Some("python3.9".into()));
    // The run takes a minute, and its restore may come up to a day after it.
    world.advance(world.now().until(PYTHON_39_BLOCKED - DAY - Duration::from_secs(60) - HOUR));
    assert_eq!(refusals(&world, &sample("timeout", "checkout")), [""; 0]);
    world.advance(2 * HOUR);
    assert_eq!(refusals(&world, &sample("timeout", "checkout")).len(), 1);
    // A fault that does not change the configuration needs no update to be restored.
    assert_eq!(refusals(&world, &sample("reservedConcurrency", "checkout")), [""; 0]);
}

#[test]
fn a_qualifier_that_resolves_to_latest_is_allowed() {
    let world = world(&["checkout"]);
    world.with(|state| {
        for (name, version) in [("old", "7"), ("next", "$LATEST")] {
            function(state).aliases.push(Alias { name: name.into(), version: version.into() });
        }
    });
    for target in ["checkout:next", "checkout:$LATEST"] {
        assert_eq!(refusals(&world, &sample("timeout", target)), [""; 0], "{target}");
    }
    // The concurrency belongs to the function, regardless of the qualifier.
    for target in ["checkout:old", "checkout:7", "checkout:nosuch"] {
        assert_eq!(refusals(&world, &sample("reservedConcurrency", target)), [""; 0], "{target}");
    }
}

#[test]
fn an_own_layer_without_an_architecture_is_allowed() {
    // Lambda attaches it anyway, because compatible architectures are only a hint.
    let world = world(&["checkout"]);
    world.with(|state| set_layers(state, &["shared"], &["x86_64"]));
    assert_eq!(refusals(&world, &sample("handler", "checkout")), [""; 0]);
}

#[test]
fn a_fault_layer_with_several_architectures_is_allowed() {
    let world = world(&["checkout"]);
    let both = LayerFact::Here { architectures: vec!["x86_64".into(), "arm64".into()], signer: None };
    world.with(|state| state.layers.insert(layer_arn("chaos"), both));
    assert_eq!(refusals(&world, &sample("layer", "checkout")), [""; 0]);
}

#[test]
fn a_layer_signed_by_a_trusted_profile_is_allowed() {
    let world = world(&["checkout"]);
    world.with(|state| {
        function(state).code_signing =
            CodeSigning::On { enforced: true, trusted: vec!["theirs".into(), "ours".into()] };
        for layer in ["chaos", "snapback-proxy-arm64"] {
            let signed = LayerFact::Here { architectures: Vec::new(), signer: Some("ours".into()) };
            state.layers.insert(layer_arn(layer), signed);
        }
    });
    for fault in ["handler", "layer", "latency"] {
        assert_eq!(refusals(&world, &sample(fault, "checkout")), [""; 0], "{fault}");
    }
}

#[test]
fn code_signing_does_not_matter_without_added_layers() {
    let world = world(&["checkout"]);
    for code_signing in [CodeSigning::Unknown, CodeSigning::On { enforced: true, trusted: Vec::new() }] {
        world.with(|state| function(state).code_signing = code_signing);
        for fault in ["timeout", "reservedConcurrency", "environment"] {
            assert_eq!(refusals(&world, &sample(fault, "checkout")), [""; 0], "{fault}");
        }
        let bare = samples::experiment(&["checkout"], &[("handler", json!({ "handler": "app.other" }))]);
        assert_eq!(refusals(&world, &bare), [""; 0]);
    }
    assert_eq!(world.count("GetFunctionCodeSigningConfig"), 0, "no call is made");
}

#[test]
fn a_fault_for_an_alias_of_latest_is_allowed() {
    let world = world(&["checkout"]);
    world.with(|state| function(state).aliases.push(Alias { name: "next".into(), version: "$LATEST".into() }));
    for qualifier in ["next", "$LATEST"] {
        let experiment = samples::experiment(&["checkout"], &[("exit", json!({ "qualifier": qualifier }))]);
        assert_eq!(refusals(&world, &experiment), [""; 0], "{qualifier}");
    }
}

#[test]
fn a_function_named_like_snapbacks_own_is_allowed() {
    for name in ["snapback-orders", "snapback", "snapbackrestore", "restore"] {
        let world = world(&["checkout"]);
        world.with(|state| state.add_function(samples::observation(name)));
        assert_eq!(refusals(&world, &sample("timeout", name)), [""; 0], "{name}");
    }
}

#[test]
fn a_container_image_with_a_suitable_fault_is_allowed() {
    let world = world(&["checkout"]);
    edit(&world, |seen| {
        seen.package = Package::Image;
        (seen.runtime, seen.handler, seen.concurrency) = (None, None, Slot::Absent);
        seen.layers.clear();
    });
    for fault in ["reservedConcurrency", "environment", "timeout", "memory", "eventSourceMapping"] {
        assert_eq!(refusals(&world, &sample(fault, "checkout")), [""; 0], "{fault}");
    }
}

#[test]
fn a_missing_alarm_is_one_refusal() {
    // As a stop condition, as a condition of the steady state, and as both.
    for (stops, holds) in [("errors", "latency"), ("latency", "errors"), ("errors", "errors")] {
        let world = world(&["checkout"]);
        world.with(|state| {
            state.alarms.remove("errors");
            state.alarms.insert("latency".into(), false);
        });
        let mut experiment = sample("timeout", "checkout");
        experiment["stopConditions"] = json!([{ "alarm": stops }]);
        experiment["steadyState"] = json!([{ "alarm": holds }]);
        assert_eq!(
            refusals(&world, &experiment),
            ["errors: there is no such alarm; create it, or correct its name or Region"],
            "{stops}, {holds}"
        );
    }
}

/// Returns the refusals of `prepare` as text.
fn refusals(world: &SimWorld, experiment: &Value) -> Vec<String> {
    // Each call uses a new run, because `prepare` resumes an existing run without new checks.
    let run = run_id(&format!("run-{}", world.with(|state| state.runs.len())));
    let request = Request { run, execution_arn: "execution".into(), experiment: experiment.clone() };
    match block_on(prepare(world, &settings(), &request)) {
        Ok(prepared) => {
            assert!(!prepared.functions.is_empty());
            Vec::new()
        }
        Err(snapback::StepError::Refused(refusals)) => refusals.iter().map(ToString::to_string).collect(),
        Err(error) => panic!("{error}"),
    }
}

fn sample_fault(name: &str) -> (&'static str, Value) {
    faults().into_iter().find(|(other, _)| *other == name).expect("a sample of each fault")
}

fn sample(fault: &str, target: &str) -> Value {
    samples::experiment(&[target], &[sample_fault(fault)])
}

fn function(state: &mut State) -> &mut SimFunction {
    state.functions.get_mut(&function_arn("checkout")).expect("the sample function")
}

fn layers_of(world: &SimWorld) -> Vec<LayerVersionArn> {
    world.with(|state| function(state).seen.layers.clone())
}

/// Gives the function these layers, which all exist, for these architectures. An empty list means any architecture.
fn set_layers(state: &mut State, names: &[&str], architectures: &[&str]) {
    let layers: Vec<LayerVersionArn> = names.iter().map(|name| layer_arn(name)).collect();
    let architectures = architectures.iter().map(|name| (*name).to_owned()).collect();
    let known = LayerFact::Here { architectures, signer: None };
    state.layers.extend(layers.iter().map(|layer| (layer.clone(), known.clone())));
    function(state).edit(|seen| seen.layers = layers);
}
