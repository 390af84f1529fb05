//! Every guardrail: a world that trips it, the exact refusal, and nothing written.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use snapback::model::facts::{Alias, CodeSigning, LayerFact};
use snapback::model::function::{Environment, Lifecycle, MappingState, Observation, Package, Slot, Tags};
use snapback::model::input::read_experiment;
use snapback::model::names::LayerVersionArn;
use snapback::model::proxy_layers::ProxyLayers;
use snapback::model::refusal::{Guardrail, Refusal, StatedRefusal};
use snapback::model::run::{Lever, Lock};
use snapback::model::secret::Secret;
use snapback::model::settings::Settings;
use snapback::plan::guardrails::evaluate;
use snapback::plan::preview::plan_view;
use snapback::steps::error::StepError;
use snapback::steps::facts::collect_facts;
use snapback::steps::prepare::{Request, prepare};
use snapback::testing::samples::{self, function_arn, layer_arn, run_id, settings, world};
use snapback::testing::{BEGINNING, SimFunction, SimWorld, State};

use super::support::{Machine, block_on};

#[path = "guardrails/configuration.rs"]
mod configuration;
#[path = "guardrails/effect.rs"]
mod effect;
#[path = "guardrails/run.rs"]
mod run;
#[path = "guardrails/targets.rs"]
mod targets;

/// A way to trip a guardrail: an experiment, what is wrong with the world, and the whole refusal.
struct Case {
    guardrail: Guardrail,
    experiment: fn() -> Value,
    spoil: fn(&mut State),
    refusal: &'static str,
}

const fn case(guardrail: Guardrail, experiment: fn() -> Value, spoil: fn(&mut State), refusal: &'static str) -> Case {
    Case { guardrail, experiment, spoil, refusal }
}

/// Every case, by subject.
const CASES: &[&[Case]] = &[targets::CASES, configuration::CASES, effect::CASES, run::CASES];

#[test]
fn each_guardrail_refuses_with_its_reason_and_writes_nothing() {
    let mut wrong = Vec::new();
    for case in CASES.iter().copied().flatten() {
        let world = world(&["checkout"]);
        world.with(case.spoil);
        let refusals = refuse(&world, (case.experiment)());
        let got = StepError::Refused(refusals.clone()).to_string();
        if got != case.refusal {
            wrong.push(format!("{:?}\n    {got}", case.guardrail));
        }
        let tags = ["team: nobody", "team: shop"];
        for refusal in &refusals {
            assert_eq!(StatedRefusal::read(&refusal.to_string(), &tags), StatedRefusal::from(refusal));
        }
        assert_eq!(refusals.iter().map(|refusal| refusal.guardrail).collect::<Vec<_>>(), [case.guardrail], "{got}");
    }
    assert!(wrong.is_empty(), "{} other refusals:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_function_of_an_active_run_is_refused_for_its_lock_only() {
    for (name, fault) in samples::faults() {
        let world = world(&["checkout"]);
        let machine = Machine::new(&world, "other-run", samples::experiment(&["checkout"], &[(name, fault)]));
        block_on(machine.start()).unwrap();
        for (second, fault) in samples::faults() {
            let experiment = read_experiment(&samples::experiment(&["checkout"], &[(second, fault)])).unwrap();
            let facts = block_on(collect_facts(&world, &settings(), &experiment)).unwrap();
            let plan = plan_view(&experiment, &facts, &evaluate(&experiment, &facts));
            let refused: Vec<Guardrail> = plan.refusals.iter().map(|refusal| refusal.guardrail).collect();
            assert_eq!(refused, [Guardrail::Unlocked], "{second} during {name}: {:?}", plan.refusals);
            assert_eq!(plan.targets[0].fields, [], "{second} during {name}");
            let note = "checkout: its fields can be planned only after the run other-run has ended";
            assert!(plan.warnings.iter().any(|warning| warning == note), "{:?}", plan.warnings);
        }
    }
}

#[test]
fn every_guardrail_has_a_case() {
    let tripped: BTreeSet<Guardrail> = CASES.iter().copied().flatten().map(|case| case.guardrail).collect();
    let missing: Vec<Guardrail> =
        every_guardrail().into_iter().filter(|guardrail| !tripped.contains(guardrail)).collect();
    assert_eq!(missing, []);
}

#[test]
fn the_operations_page_lists_every_guardrail() {
    let page = include_str!("../../docs/operations.md");
    let (_, section) = page.split_once("## Guardrails\n").expect("it has the section");
    let (table, _) = section.split_once("\n## ").expect("another section follows");
    let listed: BTreeSet<&str> = table.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next()).collect();
    let names: Vec<Value> = every_guardrail().into_iter().map(|guardrail| json!(guardrail)).collect();
    assert_eq!(listed, names.iter().filter_map(Value::as_str).collect());
}

#[test]
fn all_refusals_are_reported_together() {
    let world = world(&["checkout", "payment"]);
    world.with(|state| {
        edit(state, |f| f.tags = Tags::Unknown);
        edit(state, |f| f.state = Lifecycle::Other("Inactive".into()));
        lock(state, "other-run");
        state.alarms.insert("errors".into(), true);
        state.lever = Some(Lever { engaged: true, since: BEGINNING, reason: "Black Friday".into(), by: None });
        state.layers.remove(&layer_arn("shared"));
    });
    let refusals = refuse(&world, samples::experiment(&["checkout", "nosuch", "payment"], &[fault("handler")]));
    use Guardrail as G;
    let guardrails: Vec<(Guardrail, &str)> =
        refusals.iter().map(|refusal| (refusal.guardrail, &*refusal.subject)).collect();
    assert_eq!(
        guardrails,
        [
            (G::Lever, "safety lever"),
            (G::Exists, "nosuch"),
            (G::Alarm, "errors"),
            (G::Ready, "checkout"),
            (G::OptIn, "checkout"),
            (G::Unlocked, "checkout"),
            (G::LayerExists, "checkout"),
            (G::LayerExists, "payment"),
        ]
    );
}

#[test]
fn an_environment_is_measured_as_lambda_measures_it() {
    let world = world(&["checkout"]);
    world.with(|state| {
        edit(state, |seen| {
            let many = (0..40).map(|n| (format!("SETTING_{n:02}"), Secret::new("x".repeat(80))));
            seen.environment = Environment::Readable(many.collect());
        });
    });
    let several: Vec<_> = ["latency", "response", "error"].map(fault).into();
    let refusals = refuse(&world, samples::experiment(&["checkout"], &several));
    let refusals: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    // 40 variables of 90 bytes, each with its quotes, colon and comma, and the faults.
    assert!(refusals.len() == 1 && refusals[0].contains("the faults inside invocations take"), "{refusals:?}");
}

#[test]
fn an_environment_may_have_as_many_bytes_as_lambda_takes() {
    let others = json!({ "MODE": "on", "SETTING": "" }).to_string().len();
    for (bytes, fits) in [(4_096, true), (4_097, false)] {
        let world = world(&["checkout"]);
        let setting = ("SETTING".to_owned(), Secret::new("x".repeat(bytes - others)));
        world.with(|state| edit(state, |seen| seen.environment = Environment::Readable([setting].into())));
        let fault = ("environment", json!({ "set": { "MODE": "on" } }));
        let experiment = samples::experiment(&["checkout"], &[fault]);
        let request = Request { run: run_id("run-1"), execution_arn: "execution-1".into(), experiment };
        assert_eq!(block_on(prepare(&world, &settings(), &request)).is_ok(), fits, "{bytes} bytes");
    }
}

#[test]
fn an_update_may_have_as_many_bytes_as_lambda_takes() {
    let layers: Vec<_> = (0..5).map(|number| layer_arn(&format!("{number}{}", "x".repeat(139)))).collect();
    let others = json!({
        "Environment": { "Variables": { "MODE": "on", "SETTING": "" } },
        "Layers": layers,
        "RevisionId": "11111111-2222-3333-4444-555555555555",
    });
    for (bytes, fits) in [(5_119, true), (5_120, false)] {
        let world = world(&["checkout"]);
        let setting = ("SETTING".to_owned(), Secret::new("x".repeat(bytes - others.to_string().len())));
        world.with(|state| {
            state.layers.extend(layers.iter().map(|layer| (layer.clone(), LayerFact::plain())));
            edit(state, |seen| {
                seen.environment = Environment::Readable([setting].into());
                seen.layers = layers[..4].to_vec();
            });
        });
        let fault = ("layer", json!({ "layers": [layers[4]], "environment": { "MODE": "on" } }));
        let experiment = samples::experiment(&["checkout"], &[fault]);
        let request = Request { run: run_id("run-1"), execution_arn: "execution-1".into(), experiment };
        assert_eq!(block_on(prepare(&world, &settings(), &request)).is_ok(), fits, "{bytes} bytes");
    }
}

#[test]
fn a_deleted_function_whose_tags_are_still_found_is_not_drawn() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let world = world(&names);
    let drawn = |select: &str| {
        let mut experiment = tagged(json!({ "team": "shop" }));
        experiment["targets"][0]["select"] = json!(select);
        // Without a seed, each call would draw anew.
        experiment["seed"] = json!(7);
        let experiment = snapback::read_experiment(&experiment).expect("it is one");
        let facts =
            block_on(snapback::steps::facts::collect_facts(&world, &settings(), &experiment)).expect("it can be read");
        assert_eq!(facts.unresolved, []);
        let names: Vec<String> = facts.targets.iter().map(|target| target.seen.arn.name().to_owned()).collect();
        (names, facts.notes)
    };
    let (before, notes) = drawn("COUNT(2)");
    assert_eq!((before.len(), notes), (2, Vec::new()));
    world.with(|state| state.functions.get_mut(&function_arn(&before[0])).expect("it is there").ghost = true);
    let (after, notes) = drawn("COUNT(2)");
    assert!(after.len() == 2 && after.contains(&before[1]) && !after.contains(&before[0]), "{before:?} {after:?}");
    let note = format!("{}: it was deleted, although its tags can still be found; it is no target", before[0]);
    assert_eq!(notes.join(", "), note);
    assert_eq!((drawn("ALL").0.len(), drawn("PERCENT(50)").0.len()), (5, 2));
    assert_eq!(drawn("ALL").1, [note]);
}

#[test]
fn lambdas_own_layer_is_left_as_it_is() {
    let own = LayerVersionArn::try_from("arn:aws:lambda:::awslayer:AmazonLinux1803").expect("it is one");
    for name in ["handler", "disk", "reservedConcurrency"] {
        let world = world(&["checkout"]);
        world.with(|state| edit(state, |seen| seen.layers = vec![own.clone(), layer_arn("shared")]));
        let experiment = samples::experiment(&["checkout"], &[fault(name)]);
        let machine = super::support::Machine::new(&world, "run-1", experiment);
        let before = super::support::observation(&world, "checkout");
        block_on(machine.start()).expect("no guardrail refuses it");
        if name != "reservedConcurrency" {
            assert_eq!(super::support::observation(&world, "checkout").layers[..2], before.layers[..]);
        }
        block_on(machine.end(None));
        assert_eq!(super::support::observation(&world, "checkout"), before);
    }
}

#[test]
fn a_stack_without_a_proxy_is_reported() {
    let world = world(&["checkout"]);
    let old = Settings { proxy_layers: ProxyLayers::default(), ..settings() };
    let request = |name: &str| Request {
        run: run_id(name),
        execution_arn: "execution".into(),
        experiment: samples::experiment(&["checkout"], &[fault(name)]),
    };
    let refused =
        block_on(prepare(&world, &old, &request("latency"))).expect_err("there is no layer to add").to_string();
    assert_eq!(
        refused,
        "checkout: faults inside invocations need the proxy, and this stack has published no layer with it; deploy the stack again: make deploy"
    );
    block_on(prepare(&world, &old, &request("layer"))).expect("all other faults work as they did");
}

#[test]
fn the_proxy_of_another_stack_is_a_leftover_too() {
    let world = world(&["checkout"]);
    world.with(|state| set_layers(state, &["shop-proxy-arm64"]));
    let (ours, theirs) = (settings(), Settings { prefix: "shop".into(), ..settings() });
    let experiment = samples::experiment(&["checkout"], &[fault("timeout")]);
    let request = Request { run: run_id("run-1"), execution_arn: "execution".into(), experiment };
    let refused = block_on(prepare(&world, &theirs, &request)).expect_err("it has a leftover").to_string();
    assert!(refused.contains("a leftover of snapback: the layer") && refused.contains("shop-proxy-arm64"), "{refused}");
    block_on(prepare(&world, &ours, &request)).expect("for a stack of another name it is a layer like any other");
}

#[test]
fn a_lever_engaged_between_read_and_write_refuses_too() {
    let world = world(&["checkout"]);
    let experiment = samples::experiment(&["checkout"], &[fault("timeout")]);
    let request = Request { run: run_id("run-1"), execution_arn: "execution-1".into(), experiment };
    let engage = async {
        // Prepare's write of the run is in flight when the lever is engaged.
        while world.count("TransactWriteItems") == 0 {
            super::support::give_way().await;
        }
        world.with(|state| {
            state.lever = Some(Lever { engaged: true, since: BEGINNING, reason: "now".into(), by: None })
        });
    };
    let (prepared, ()) = block_on(futures_util::future::join(prepare(&world, &settings(), &request), engage));
    let refused = prepared.expect_err("a run started after the lever was engaged").to_string();
    assert_eq!(
        refused,
        "safety lever: it has been engaged since 2026-06-01T00:00:00Z (reason: now); to disengage it: snapback lever disengage"
    );
    world.with(|state| assert!(state.runs.is_empty() && state.locks.is_empty() && state.writes.is_empty()));
}

#[test]
fn a_fault_that_changes_only_one_field_is_accepted() {
    let handler = |name: &str, value: Value| ("handler", json!({ "handler": "app.handler", name: value }));
    for fault in [
        handler("timeout", json!("PT1S")),
        handler("memory", json!(512)),
        handler("environment", json!({ "RUST_LOG": "trace" })),
        handler("layers", json!([layer_arn("chaos")])),
        handler("originalHandlerVariable", json!("ORIGINAL_HANDLER")),
        handler("deadlineVariable", json!("UNTIL")),
        ("environment", json!({ "unset": ["RUST_LOG"] })),
    ] {
        let experiment = samples::experiment(&["checkout"], std::slice::from_ref(&fault));
        let request = Request { run: run_id("run-1"), execution_arn: "execution-1".into(), experiment };
        let prepared = block_on(prepare(&world(&["checkout"]), &settings(), &request));
        assert!(prepared.is_ok(), "{fault:?}: {prepared:?}");
    }
}

/// Returns the refusals of `prepare`, and asserts that it has only read.
fn refuse(world: &SimWorld, experiment: Value) -> Vec<Refusal> {
    let seen = |state: &State| state.functions.values().map(|function| function.seen.clone()).collect::<Vec<_>>();
    let before = world.with(|state| (seen(state), state.locks.clone()));
    let request = Request { run: run_id("run-1"), execution_arn: "execution-1".into(), experiment };
    let error = block_on(prepare(world, &settings(), &request));
    let error = error.expect_err(&format!("the guardrails let it through: {}", request.experiment));
    let StepError::Refused(refusals) = error else { panic!("{error:?}") };
    assert!(world.count("GetFunction") <= settings().target_limit, "over the limit, more reads would only cost calls");
    world.with(|state| {
        let reads = |call: &String| ["Get", "List", "Describe", "Query"].iter().any(|read| call.starts_with(read));
        assert!(state.calls.iter().all(reads), "{:?}", state.calls);
        assert!(
            state.writes.is_empty() && state.runs.is_empty() && state.targets.is_empty() && state.active.is_empty()
        );
        assert!((seen(state), &state.locks) == (before.0, &before.1), "something was changed");
    });
    refusals
}

/// Every variant; the match fails to compile when one is added.
fn every_guardrail() -> Vec<Guardrail> {
    use Guardrail as G;
    let all = vec![
        G::Exists,
        G::Ready,
        G::OptIn,
        G::OwnFunction,
        G::Unlocked,
        G::Environment,
        G::Package,
        G::Layers,
        G::LayerExists,
        G::CodeSigning,
        G::EnvironmentSize,
        G::Runtime,
        G::Wrapper,
        G::Alarm,
        G::TargetLimit,
        G::Qualifier,
        G::Leftovers,
        G::Lever,
        G::SteadyState,
        G::Mapping,
        G::Effect,
    ];
    for guardrail in &all {
        match guardrail {
            G::Exists
            | G::Ready
            | G::OptIn
            | G::OwnFunction
            | G::Unlocked
            | G::Environment
            | G::Package
            | G::Layers => {}
            G::LayerExists
            | G::CodeSigning
            | G::EnvironmentSize
            | G::Runtime
            | G::Wrapper
            | G::Alarm
            | G::TargetLimit => {}
            G::Qualifier | G::Leftovers | G::Lever | G::SteadyState | G::Mapping | G::Effect => {}
        }
    }
    all
}

fn fault(name: &str) -> (&'static str, Value) {
    samples::faults().into_iter().find(|(other, _)| *other == name).expect("a sample of each fault")
}

fn with(name: &str) -> Value {
    on("checkout", name)
}

fn on(function: &str, name: &str) -> Value {
    samples::experiment(&[function], &[fault(name)])
}

fn layer(fault: Value) -> Value {
    samples::experiment(&["checkout"], &[("layer", fault)])
}

fn tagged(tags: Value) -> Value {
    let mut experiment = samples::experiment(&[], &[fault("timeout")]);
    experiment["targets"] = json!([{ "tags": tags }]);
    experiment
}

fn steady(condition: Value) -> Value {
    let mut experiment = samples::experiment(&["checkout"], &[fault("timeout")]);
    experiment["steadyState"] = json!([condition]);
    experiment
}

fn metric(side: &str, value: u32) -> Value {
    json!({ "metric": { "namespace": "AWS/Lambda", "name": "Errors", "statistic": "Sum", "period": "PT1M" }, side: value })
}

fn qualified(qualifier: &str) -> Value {
    samples::experiment(&["checkout"], &[("exit", json!({ "qualifier": qualifier }))])
}

/// The function's layers have to be signed by the profile `ours`. Others are refused, or only cause a warning.
fn signed_code(state: &mut State, enforced: bool) {
    function(state).code_signing = CodeSigning::On { enforced, trusted: vec!["ours".into()] };
}

fn sign(state: &mut State, name: &str, profile: &str) {
    let fact = LayerFact::Here { architectures: Vec::new(), signer: Some(profile.into()) };
    state.layers.insert(layer_arn(name), fact);
}

fn function(state: &mut State) -> &mut SimFunction {
    state.functions.get_mut(&function_arn("checkout")).expect("the sample function")
}

fn edit(state: &mut State, edit: impl FnOnce(&mut Observation)) {
    function(state).edit(edit);
}

fn add(state: &mut State, name: &str) {
    state.add_function(samples::observation(name));
}

fn alias(state: &mut State, name: &str, version: &str) {
    function(state).aliases.push(Alias { name: name.into(), version: version.into() });
}

fn lock(state: &mut State, run: &str) {
    state.locks.insert(function_arn("checkout"), Lock { run: Some(run_id(run)), generation: 1, released_at: None });
}

fn mapping(state: &mut State, mapping: MappingState) {
    state.set_mappings(&function_arn("checkout"), mapping);
}

fn tag(function: &mut Observation, key: &str, value: &str) {
    if let Tags::Known(tags) = &mut function.tags {
        tags.insert(key.into(), value.into());
    }
}

fn set(function: &mut Observation, name: &str, value: &str) {
    if let Environment::Readable(variables) = &mut function.environment {
        variables.insert(name.into(), Secret::new(value));
    }
}

fn datadog(function: &mut Observation, variable: &str, value: &str) {
    set(function, "AWS_LAMBDA_EXEC_WRAPPER", "/opt/datadog_wrapper");
    set(function, variable, value);
}

fn image(function: &mut Observation) {
    function.package = Package::Image;
    function.runtime = None;
    function.handler = None;
    function.layers.clear();
    function.concurrency = Slot::Absent;
}

/// Gives the function these layers, which all exist.
fn set_layers(state: &mut State, names: &[&str]) {
    let layers: Vec<LayerVersionArn> = names.iter().map(|name| layer_arn(name)).collect();
    state.layers.extend(layers.iter().map(|layer| (layer.clone(), LayerFact::plain())));
    edit(state, |function| function.layers = layers);
}
