//! Faults inside invocations: what the proxy gets, on which functions, and that nothing of it remains.

use serde_json::{Value, json};
use snapback::model::function::{Environment, Observation, Slot};
use snapback::model::invocation::ProxyConfig;
use snapback::model::names::LayerVersionArn;
use snapback::steps::arm::{ArmOutcome, arm};
use snapback::testing::samples::{self, experiments, function_arn, layer_arn, proxy_layers, world};

use super::stage::set;
use super::support::{Machine, block_on, during, edit, observation, run_of, variable};

/// Lambda's limit (lambda/latest/dg/configuration-envvars).
const ENVIRONMENT_BYTES: usize = 4096;
/// The longest name that Step Functions gives an execution.
const LONGEST: &str = "a-run-of-the-longest-name-------------------------------------------------------";

fn experiment(faults: &[(&str, Value)]) -> Value {
    samples::experiment(&["checkout"], faults)
}

fn orders(seen: &Observation) -> ProxyConfig {
    ProxyConfig::parse(&variable(seen, "SNAPBACK_FAULTS").expect("it has orders")).expect("the proxy can read them")
}

#[test]
fn one_proxy_gets_all_faults_in_the_order_of_the_experiment() {
    let (_, experiment) =
        experiments().into_iter().find(|(name, _)| *name == "several inside invocations").expect("it is there");
    let world = world(&["checkout"]);
    let before = observation(&world, "checkout");
    let during = during(&world, experiment);
    let added: Vec<LayerVersionArn> = during.layers[before.layers.len()..].to_vec();
    assert_eq!((&during.layers[..2], added), (&before.layers[..], vec![layer_arn("snapback-proxy-arm64")]));
    assert_eq!(variable(&during, "AWS_LAMBDA_EXEC_WRAPPER").as_deref(), Some("/opt/snapback-proxy"));
    assert_eq!(variable(&during, "SNAPBACK_CHAINED_WRAPPER").as_deref(), Some("/opt/otel-handler"));
    let orders = orders(&during);
    let names: Vec<&str> = orders.faults.iter().map(|fault| fault.name()).collect();
    assert_eq!(names, ["latency", "latency", "error", "disk"]);
    let run = run_of(&world, &samples::run_id("run-1"));
    assert_eq!(i64::try_from(orders.expires_at_ms), Ok(run.deadline.0), "the faults expire on their own");
    assert_eq!((&*orders.experiment, &*orders.run, orders.seed), ("a test", "run-1", None));
    assert_eq!(run.proxy_layers, proxy_layers(), "the layers that were checked are injected");
}

#[test]
fn each_fault_reaches_the_proxy_as_it_was_written() {
    for (name, settings) in samples::faults() {
        let world = world(&["checkout"]);
        let Ok(written) = serde_json::from_value(json!({ name: settings.clone() })) else { continue };
        let seen = during(&world, experiment(&[(name, settings)]));
        assert_eq!(orders(&seen).faults, [written], "{name}");
    }
}

#[test]
fn a_function_of_the_other_architecture_gets_its_own_layer() {
    let world = world(&["checkout"]);
    edit(&world, |seen| seen.architecture = "x86_64".into());
    let seen = during(&world, experiment(&[("exit", json!({}))]));
    assert_eq!(seen.layers.last(), Some(&layer_arn("snapback-proxy-x86_64")));
}

#[test]
fn without_a_wrapper_none_is_chained() {
    for own in [None, Some("")] {
        let world = world(&["checkout"]);
        edit(&world, |seen| match (own, &mut seen.environment) {
            (Some(empty), _) => set(seen, "AWS_LAMBDA_EXEC_WRAPPER", empty),
            (None, Environment::Readable(variables)) => drop(variables.remove("AWS_LAMBDA_EXEC_WRAPPER")),
            (None, Environment::Unreadable) => unreachable!("the sample can be read"),
        });
        let seen = during(&world, experiment(&[("exit", json!({}))]));
        assert_eq!(variable(&seen, "AWS_LAMBDA_EXEC_WRAPPER").as_deref(), Some("/opt/snapback-proxy"));
        assert_eq!(variable(&seen, "SNAPBACK_CHAINED_WRAPPER"), None, "{own:?}");
    }
}

#[test]
fn only_a_given_seed_reaches_the_proxy() {
    for (seed, told) in [(Some(0), Some(0)), (Some(7), Some(7)), (None, None)] {
        let mut experiment = experiment(&[("exit", json!({ "percentage": 50 }))]);
        if let Some(seed) = seed {
            experiment["seed"] = json!(seed);
        }
        assert_eq!(orders(&during(&world(&["checkout"]), experiment)).seed, told);
    }
}

#[test]
fn proxy_faults_combine_with_faults_of_other_fields() {
    let others = [
        ("timeout", json!({ "timeout": "PT1S" })),
        ("environment", json!({ "set": { "RUST_LOG": "trace" } })),
        ("layer", json!({ "layers": [layer_arn("chaos")], "environment": { "CHAOS_RATE": "50" } })),
        ("error", json!({})),
    ];
    let seen = during(&world(&["checkout"]), experiment(&others));
    assert_eq!((seen.timeout, variable(&seen, "RUST_LOG").as_deref()), (1, Some("trace")));
    assert_eq!(seen.layers[2..], [layer_arn("chaos"), layer_arn("snapback-proxy-arm64")]);
}

#[test]
fn an_accepted_environment_fits_with_any_name_of_the_run() {
    assert_eq!(LONGEST.len(), 80);
    let fault = experiment(&[("error", json!({ "message": "chaos" }))]);
    let prepared = |filling: usize| {
        let world = world(&["checkout"]);
        edit(&world, |seen| set(seen, "FILLS", &"x".repeat(filling)));
        let machine = Machine::new(&world, LONGEST, fault.clone());
        let prepared = block_on(machine.prepare()).map(drop);
        if prepared.is_ok() {
            let armed = block_on(arm(&world, &machine.run, &function_arn("checkout"))).unwrap();
            assert_eq!(armed, ArmOutcome::Armed);
        }
        prepared.map_err(|refused| refused.to_string())
    };
    let mut room = ENVIRONMENT_BYTES;
    while prepared(room).is_err() {
        room -= 1;
    }
    let refused = prepared(room + 1).unwrap_err();
    assert!(refused.contains("its environment would have 4097 bytes"), "{refused}");
    // The guardrails do not know the run's name, so a short name changes nothing.
    let world = world(&["checkout"]);
    edit(&world, |seen| seen.concurrency = Slot::Absent);
    edit(&world, |seen| set(seen, "FILLS", &"x".repeat(room + 1)));
    assert_eq!(
        block_on(Machine::new(&world, "r", fault).prepare()).map_err(|refused| refused.to_string()).err(),
        Some(refused)
    );
}
