//! Names, functions and experiments to test with.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::model::facts::LayerFact;
use crate::model::function::{
    Environment, LastUpdate, Lifecycle, Mapping, MappingState, Observation, Package, Slot, Tags,
};
use crate::model::names::{FunctionArn, Handler, LayerVersionArn, MappingId, RunId};
use crate::model::proxy_layers::ProxyLayers;
use crate::model::secret::Secret;
use crate::model::settings::Settings;

use super::SimWorld;
use super::dice::Dice;

/// The secret that no output may show.
pub const SECRET: &str = "hunter2-not-for-logs";
/// The mapping of every sample function.
pub const MAPPING: &str = "11111111-2222-3333-4444-555555555555";

/// The prefix of the names of the sample stack's own functions.
pub const PREFIX: &str = "snapback";

/// Unwraps what a sample is made of.
macro_rules! sample {
    ($made:expr) => {
        match $made {
            Ok(made) => made,
            Err(wrong) => unreachable!("{wrong}"),
        }
    };
}

/// A function's ARN.
#[must_use]
pub fn function_arn(name: &str) -> FunctionArn {
    sample!(FunctionArn::try_from(format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}")))
}

/// The UUID of a function's event source mapping: [`MAPPING`] is that of `checkout`.
#[must_use]
pub fn mapping_id(name: &str) -> MappingId {
    let number = name.bytes().fold(0, |hash, byte| Dice::new(hash ^ u64::from(byte)).number());
    let own = format!("{:08x}-2222-3333-4444-555555555555", number >> 32);
    sample!(MappingId::try_from(if name == "checkout" { MAPPING.to_owned() } else { own }))
}

/// A layer version's ARN.
#[must_use]
pub fn layer_arn(name: &str) -> LayerVersionArn {
    sample!(LayerVersionArn::try_from(format!("arn:aws:lambda:eu-west-1:123456789012:layer:{name}:1")))
}

/// A runtime version's ARN.
#[must_use]
pub fn runtime_version(number: u32) -> String {
    format!("arn:aws:lambda:eu-west-1::runtime:{number:064x}")
}

/// An alarm's ARN.
#[must_use]
pub fn alarm_arn(name: &str) -> String {
    format!("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{name}")
}

/// A run.
#[must_use]
pub fn run_id(name: &str) -> RunId {
    sample!(RunId::try_from(name))
}

/// The layers that a stack publishes with its proxy.
#[must_use]
pub fn proxy_layers() -> ProxyLayers {
    let text = format!("arm64={},x86_64={}", layer_arn("snapback-proxy-arm64"), layer_arn("snapback-proxy-x86_64"));
    sample!(ProxyLayers::parse(&text))
}

/// What a stack allows by default.
#[must_use]
pub fn settings() -> Settings {
    Settings {
        prefix: PREFIX.into(),
        opt_in: ("chaos".into(), "allowed".into()),
        target_limit: 10,
        proxy_layers: proxy_layers(),
        reserved_concurrency: 2,
    }
}

/// A function that looks like a real one: a reserved concurrency, two layers, a wrapper, a secret, a tag, a mapping.
#[must_use]
pub fn observation(name: &str) -> Observation {
    let variables = [("AWS_LAMBDA_EXEC_WRAPPER", "/opt/otel-handler"), ("RUST_LOG", "info"), ("DB_PASSWORD", SECRET)];
    Observation {
        arn: function_arn(name),
        revision_id: "revision-0".into(),
        state: Lifecycle::Active,
        last_update: LastUpdate::Successful,
        package: Package::Zip,
        runtime: Some("python3.12".into()),
        runtime_version: Some(runtime_version(1)),
        managed_instances: false,
        durable: false,
        architecture: "arm64".into(),
        handler: Some(sample!(Handler::try_from("app.handler"))),
        layers: vec![layer_arn("otel"), layer_arn("shared")],
        environment: Environment::Readable(
            variables.into_iter().map(|(key, value)| (key.to_owned(), Secret::new(value))).collect(),
        ),
        timeout: 10,
        memory: 256,
        concurrency: Slot::Present(5),
        tags: Tags::Known(BTreeMap::from([("chaos".into(), "allowed".into()), ("team".into(), "shop".into())])),
        mappings: vec![Mapping { id: mapping_id(name), state: MappingState::Enabled }],
    }
}

/// The layers of the sample functions, those of the sample faults, and the proxy's, which is for one architecture each.
#[must_use]
pub fn layers() -> BTreeMap<LayerVersionArn, LayerFact> {
    let plain = ["otel", "shared", "chaos"].map(|name| (layer_arn(name), LayerFact::plain()));
    let proxy = |architecture: &str| {
        let fact = LayerFact::Here { architectures: vec![architecture.to_owned()], signer: None };
        (layer_arn(&format!("snapback-proxy-{architecture}")), fact)
    };
    plain.into_iter().chain([proxy("arm64"), proxy("x86_64")]).collect()
}

/// A world with these functions, all sample layers, and an alarm `errors` that is OK.
#[must_use]
pub fn world(functions: &[&str]) -> SimWorld {
    let world = SimWorld::default();
    world.with(|state| {
        for name in functions {
            state.add_function(observation(name));
        }
        state.layers = layers();
        state.alarms.insert("errors".into(), false);
    });
    world
}

/// One of each fault of the catalogue, by name.
#[must_use]
pub fn faults() -> Vec<(&'static str, Value)> {
    let layers = json!([layer_arn("chaos")]);
    vec![
        ("reservedConcurrency", json!({ "limit": 0 })),
        (
            "handler",
            json!({
                "handler": "chaos.handler", "layers": layers, "environment": { "CHAOS_DELAY_MS": "500" },
                "originalHandlerVariable": "CHAOS_ORIGINAL_HANDLER", "deadlineVariable": "CHAOS_DEADLINE_MS",
                "timeout": "PT20S", "memory": 512
            }),
        ),
        (
            "layer",
            json!({
                "layers": layers, "environment": { "CHAOS_RATE": "50" },
                "wrapper": "/opt/chaos-wrapper", "chainedWrapperVariable": "CHAOS_CHAINED_WRAPPER",
                "deadlineVariable": "CHAOS_DEADLINE_MS"
            }),
        ),
        ("environment", json!({ "set": { "RUST_LOG": "trace" }, "unset": ["DB_PASSWORD"] })),
        ("timeout", json!({ "timeout": "PT1S" })),
        ("memory", json!({ "megabytes": 128 })),
        ("eventSourceMapping", json!({ "disable": "ALL" })),
        (
            "latency",
            json!({
                "minMs": 200, "maxMs": 800, "percentage": 50,
                "match": [{ "path": "requestContext.http.method", "equals": "GET" }]
            }),
        ),
        ("invocationTimeout", json!({ "bufferMs": 100, "percentage": 12.5 })),
        ("error", json!({ "type": "Service.Unavailable", "message": "chaos", "when": "after" })),
        ("response", json!({ "statusCode": 503, "headers": { "retry-after": "1" }, "body": "{}" })),
        ("corrupt", json!({ "truncateBytes": 10 })),
        ("disk", json!({ "megabytes": 64 })),
        ("init", json!({ "delayMs": 2000, "fail": { "type": "Chaos.Init" } })),
        ("exit", json!({ "delayMs": 50, "percentage": 1 })),
    ]
}

/// An experiment with these faults on these functions, for a minute, that the alarm `errors` ends.
#[must_use]
pub fn experiment(functions: &[&str], faults: &[(&str, Value)]) -> Value {
    let targets: Vec<Value> = functions.iter().map(|name| json!({ "function": name })).collect();
    let faults: Vec<Value> = faults.iter().map(|(name, fault)| json!({ *name: fault })).collect();
    json!({
        "name": "a test", "targets": targets, "faults": faults, "duration": "PT1M",
        "stopConditions": [{ "alarm": "errors" }]
    })
}

/// Each fault of the catalogue, then several that go together, on all surfaces and inside invocations, with an experiment of each on `checkout`.
#[must_use]
pub fn experiments() -> Vec<(&'static str, Value)> {
    let one = |fault: &(&'static str, Value)| (fault.0, experiment(&["checkout"], std::slice::from_ref(fault)));
    let mut all: Vec<(&'static str, Value)> = faults().iter().map(one).collect();
    let several = ["reservedConcurrency", "environment", "timeout", "memory", "eventSourceMapping"];
    let several: Vec<(&str, Value)> = faults().into_iter().filter(|(name, _)| several.contains(name)).collect();
    all.push(("several at once", experiment(&["checkout"], &several)));
    // The proxy comes once for all of them; two of the same kind, too.
    let inside = ["latency", "latency", "error", "disk"];
    let of = |name: &&'static str| faults().into_iter().filter(|(other, _)| other == name).collect::<Vec<_>>();
    let inside: Vec<(&str, Value)> = inside.iter().flat_map(of).collect();
    all.push(("several inside invocations", experiment(&["checkout"], &inside)));
    all
}
