//! Sample names, functions and experiments for tests.

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

/// A secret that no output may show.
pub const SECRET: &str = "hunter2-not-for-logs";
/// The UUID of the event source mapping of `checkout`.
pub const MAPPING: &str = "11111111-2222-3333-4444-555555555555";

/// The prefix of the function names of the sample stack.
pub const PREFIX: &str = "snapback";

/// Unwraps the parts of a sample.
macro_rules! sample {
    ($made:expr) => {
        match $made {
            Ok(made) => made,
            Err(wrong) => unreachable!("{wrong}"),
        }
    };
}

/// Returns a function's ARN.
#[must_use]
pub fn function_arn(name: &str) -> FunctionArn {
    sample!(FunctionArn::try_from(format!("arn:aws:lambda:eu-west-1:123456789012:function:{name}")))
}

/// Returns the UUID of a function's event source mapping.
#[must_use]
pub fn mapping_id(name: &str) -> MappingId {
    let number = name.bytes().fold(0, |hash, byte| Dice::new(hash ^ u64::from(byte)).number());
    let own = format!("{:08x}-2222-3333-4444-555555555555", number >> 32);
    sample!(MappingId::try_from(if name == "checkout" { MAPPING.to_owned() } else { own }))
}

/// Returns a layer version's ARN.
#[must_use]
pub fn layer_arn(name: &str) -> LayerVersionArn {
    sample!(LayerVersionArn::try_from(format!("arn:aws:lambda:eu-west-1:123456789012:layer:{name}:1")))
}

/// Returns a runtime version's ARN.
#[must_use]
pub fn runtime_version(number: u32) -> String {
    format!("arn:aws:lambda:eu-west-1::runtime:{number:064x}")
}

/// Returns an alarm's ARN.
#[must_use]
pub fn alarm_arn(name: &str) -> String {
    format!("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:{name}")
}

/// Returns a run's ID.
#[must_use]
pub fn run_id(name: &str) -> RunId {
    sample!(RunId::try_from(name))
}

/// Returns the layers in which a stack publishes its proxy and its chaos handler.
#[must_use]
pub fn proxy_layers() -> ProxyLayers {
    let proxies = ["arm64", "x86_64"].map(|name| format!("{name}={}", layer_arn(&format!("snapback-proxy-{name}"))));
    let text = format!("{},handler={}", proxies.join(","), layer_arn("snapback-handler"));
    sample!(ProxyLayers::parse(&text))
}

/// Returns the default settings of a stack.
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

/// Returns a realistic function: it has reserved concurrency, two layers, a wrapper, a secret, tags and a mapping.
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

/// Returns the layers of the sample functions and of the sample faults, and the proxy's layer for each architecture.
#[must_use]
pub fn layers() -> BTreeMap<LayerVersionArn, LayerFact> {
    let plain = ["otel", "shared", "chaos", "snapback-handler"].map(|name| (layer_arn(name), LayerFact::plain()));
    let proxy = |architecture: &str| {
        let fact = LayerFact::Here { architectures: vec![architecture.to_owned()], signer: None };
        (layer_arn(&format!("snapback-proxy-{architecture}")), fact)
    };
    plain.into_iter().chain([proxy("arm64"), proxy("x86_64")]).collect()
}

/// Creates a world with these functions, all sample layers, and an alarm `errors` that is OK.
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

/// Returns a sample of each fault of the catalog, by name.
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
        (
            "dependency",
            json!({ "hosts": ["dynamodb.*.amazonaws.com", "10.0.0.0/8"], "ports": [443], "refuse": true, "percentage": 50 }),
        ),
    ]
}

/// Returns an experiment of one minute with these faults on these functions, which the alarm `errors` stops.
#[must_use]
pub fn experiment(functions: &[&str], faults: &[(&str, Value)]) -> Value {
    let targets: Vec<Value> = functions.iter().map(|name| json!({ "function": name })).collect();
    let faults: Vec<Value> = faults.iter().map(|(name, fault)| json!({ *name: fault })).collect();
    json!({
        "name": "a test", "targets": targets, "faults": faults, "duration": "PT1M",
        "stopConditions": [{ "alarm": "errors" }]
    })
}

/// Returns an experiment on `checkout` for each fault of the catalog, two with several faults, one that changes many
/// fields and one inside invocations, and two with the chaos handler, alone and next to the proxy.
#[must_use]
pub fn experiments() -> Vec<(&'static str, Value)> {
    let one = |fault: &(&'static str, Value)| (fault.0, experiment(&["checkout"], std::slice::from_ref(fault)));
    let mut all: Vec<(&'static str, Value)> = faults().iter().map(one).collect();
    let several = ["reservedConcurrency", "environment", "timeout", "memory", "eventSourceMapping"];
    let several: Vec<(&str, Value)> = faults().into_iter().filter(|(name, _)| several.contains(name)).collect();
    all.push(("several at once", experiment(&["checkout"], &several)));
    // All of these share one proxy. Two of them are of the same kind.
    let inside = ["latency", "latency", "error", "disk"];
    let of = |name: &&'static str| faults().into_iter().filter(|(other, _)| other == name).collect::<Vec<_>>();
    let inside: Vec<(&str, Value)> = inside.iter().flat_map(of).collect();
    all.push(("several inside invocations", experiment(&["checkout"], &inside)));
    let exception = ("handler", json!({ "exception": { "type": "ValueError", "message": "chaos" }, "percentage": 50 }));
    all.push(("the chaos handler", experiment(&["checkout"], std::slice::from_ref(&exception))));
    let slow = ("handler", json!({ "latency": { "delayMs": 100 }, "when": "after" }));
    let mut both: Vec<(&str, Value)> = vec![slow, exception];
    both.extend(of(&"error"));
    all.push(("the chaos handler next to the proxy", experiment(&["checkout"], &both)));
    all
}
