//! Configurations that take no fault, or that could not be restored.

use serde_json::json;
use snapback::model::facts::{CodeSigning, LayerFact};
use snapback::model::function::Environment;
use snapback::model::refusal::Guardrail as G;
use snapback::testing::BEGINNING;
use snapback::testing::samples::{experiment, layer_arn};

use super::{Case, case, datadog, edit, fault, function, image, layer, set, set_layers, sign, signed_code, with};

const DATADOG: &str = "checkout: it starts through Datadog's wrapper with DD_SERVERLESS_APPSEC_ENABLED switched on: with another wrapper before that one, the runtime would connect to Datadog's extension, which would not listen, and could not start; switch that variable off for the experiment, or use faults without a wrapper";

pub const CASES: &[Case] = &[
    case(
        G::Environment,
        || with("timeout"),
        |s| edit(s, |f| f.environment = Environment::Unreadable),
        "checkout: its environment cannot be read, so it could not be restored; give snapback's roles kms:Decrypt on the function's key",
    ),
    case(
        G::Package,
        || with("handler"),
        |s| edit(s, image),
        "checkout: it is a container image, whose handler is in the image; use a fault that works on container images: reservedConcurrency, environment, timeout, memory",
    ),
    case(
        G::Package,
        || layer(json!({ "layers": [layer_arn("chaos")] })),
        |s| edit(s, image),
        "checkout: it is a container image, which cannot have layers; use a fault that works on container images: reservedConcurrency, environment, timeout, memory",
    ),
    case(
        G::Layers,
        || with("handler"),
        |s| set_layers(s, &["a", "b", "c", "d", "e"]),
        "checkout: it has 5 layers, and 1 more would exceed Lambda's 5; combine the fault's layers into one, or target functions with fewer layers",
    ),
    case(
        G::Layers,
        || with("handler"),
        |s| set_layers(s, &["chaos"]),
        "checkout: it already has a version of the layer arn:aws:lambda:eu-west-1:123456789012:layer:chaos; remove the layer from the function or from the fault",
    ),
    case(
        G::LayerExists,
        || with("handler"),
        |s| {
            s.layers.remove(&layer_arn("chaos"));
        },
        "checkout: there is no layer arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1; correct the ARN, or publish the layer",
    ),
    case(
        G::LayerExists,
        || with("handler"),
        |s| {
            s.layers.remove(&layer_arn("shared"));
        },
        "checkout: its layer arn:aws:lambda:eu-west-1:123456789012:layer:shared:1 was deleted, so it could not be restored; update the function to a layer version that exists",
    ),
    case(
        G::LayerExists,
        || with("handler"),
        |s| {
            s.layers.insert(layer_arn("chaos"), LayerFact::Denied);
        },
        "checkout: the layer arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1 cannot be read: access denied; allow lambda:GetLayerVersion on it",
    ),
    case(
        G::LayerExists,
        || with("handler"),
        |s| {
            s.layers.insert(layer_arn("chaos"), LayerFact::Here { architectures: vec!["x86_64".into()], signer: None });
        },
        "checkout: the layer arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1 is not for arm64; use a version for its architecture",
    ),
    case(
        G::LayerExists,
        || with("latency"),
        |s| {
            s.layers.remove(&layer_arn("snapback-proxy-arm64"));
        },
        "checkout: there is no layer arn:aws:lambda:eu-west-1:123456789012:layer:snapback-proxy-arm64:1; correct the ARN, or publish the layer",
    ),
    case(
        G::LayerExists,
        || with("latency"),
        |s| edit(s, |f| f.architecture = "riscv64".into()),
        "checkout: the stack's proxy is for arm64 and x86_64, not for riscv64; target functions of another architecture",
    ),
    case(
        G::CodeSigning,
        || with("handler"),
        |s| signed_code(s, true),
        "checkout: the layer arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1 is not signed by a profile that its code signing trusts; have a trusted profile sign it, or target functions without it",
    ),
    case(
        G::CodeSigning,
        || with("exit"),
        |s| {
            signed_code(s, true);
            sign(s, "snapback-proxy-arm64", "another-profile");
        },
        "checkout: the layer arn:aws:lambda:eu-west-1:123456789012:layer:snapback-proxy-arm64:1 is not signed by a profile that its code signing trusts; have a trusted profile sign it, or target functions without it",
    ),
    case(
        G::CodeSigning,
        || with("layer"),
        |s| function(s).code_signing = CodeSigning::Unknown,
        "checkout: its code signing configuration cannot be read, and might reject the layers; allow lambda:GetFunctionCodeSigningConfig on it, and lambda:GetCodeSigningConfig",
    ),
    case(
        G::EnvironmentSize,
        || with("error"),
        |s| edit(s, |f| set(f, "BIG", &"x".repeat(3_700))),
        "checkout: its environment would have 4100 bytes, measured as JSON text like Lambda does, over the limit of 4096; the faults inside invocations take 239 of them; write fewer of these faults, shorter texts in them, or fewer conditions",
    ),
    case(
        G::EnvironmentSize,
        || with("environment"),
        |s| edit(s, |f| set(f, "BIG", &"x".repeat(4_084))),
        "checkout: its environment would have 4159 bytes, measured as JSON text like Lambda does, over the limit of 4096; set fewer or shorter variables",
    ),
    case(
        G::EnvironmentSize,
        || layer(json!({ "layers": [layer_arn(&"c".repeat(140))], "environment": { "CHAOS": "on" } })),
        |s| {
            let names = ["d", "e", "f", "g"].map(|letter| letter.repeat(140));
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            s.layers.insert(layer_arn(&"c".repeat(140)), LayerFact::plain());
            set_layers(s, &names);
            edit(s, |f| set(f, "BIG", &"x".repeat(3_965)));
        },
        "checkout: its update would have 5127 bytes, over Lambda's limit of 5119; set fewer or shorter variables",
    ),
    case(
        G::Runtime,
        || with("timeout"),
        |s| edit(s, |f| f.runtime = Some("nodejs12.x".into())),
        "checkout: Lambda refuses updates of functions on nodejs12.x from a date long past, so nothing could be restored; move the function to a current runtime",
    ),
    case(
        G::Runtime,
        || with("timeout"),
        |s| {
            // Five hours before the end of the day before: not yet blocked when it starts, perhaps when it must be restored.
            s.elapsed = 1_819_670_400_000 - BEGINNING.0 - 5 * 3_600_000;
            edit(s, |f| f.runtime = Some("python3.9".into()));
        },
        "checkout: Lambda refuses updates of functions on python3.9 from 2027-08-31, so nothing could be restored; move the function to a current runtime",
    ),
    case(
        G::Runtime,
        || with("layer"),
        |s| edit(s, |f| f.runtime = Some("provided.al2023".into())),
        "checkout: provided.al2023 does not start through a wrapper; target functions on a managed runtime (Node.js, Python, Java, .NET, Ruby), or leave the wrapper out",
    ),
    case(
        G::Runtime,
        || with("latency"),
        |s| edit(s, |f| f.runtime = Some("provided.al2023".into())),
        "checkout: provided.al2023 does not start through a wrapper, and the proxy is one; target functions on a managed runtime (Node.js, Python, Java, .NET, Ruby)",
    ),
    case(
        G::Package,
        || with("latency"),
        |s| edit(s, image),
        "checkout: it is a container image, which cannot have layers, so it cannot have the proxy; use a fault that works on container images: reservedConcurrency, environment, timeout, memory",
    ),
    case(
        G::Layers,
        || with("latency"),
        |s| set_layers(s, &["a", "b", "c", "d", "e"]),
        "checkout: it has 5 layers, and 1 more would exceed Lambda's 5; combine the fault's layers into one, or target functions with fewer layers",
    ),
    case(
        G::Layers,
        || {
            experiment(
                &["checkout"],
                &[fault("exit"), ("layer", json!({ "layers": [layer_arn("snapback-proxy-arm64")] }))],
            )
        },
        |_| {},
        "checkout: the layer arn:aws:lambda:eu-west-1:123456789012:layer:snapback-proxy-arm64 would be added twice; remove it from the `layer` fault, because snapback adds it automatically",
    ),
    case(
        G::Wrapper,
        || layer(json!({ "layers": [layer_arn("chaos")], "wrapper": "/opt/chaos" })),
        |_| {},
        "checkout: it already starts through a wrapper; set chainedWrapperVariable to the variable in which the new wrapper looks for the one to start next",
    ),
    case(G::Wrapper, || with("exit"), |s| edit(s, |f| datadog(f, "DD_SERVERLESS_APPSEC_ENABLED", "true")), DATADOG),
    case(
        G::Wrapper,
        || with("layer"),
        |s| edit(s, |f| datadog(f, "DD_EXPERIMENTAL_ENABLE_PROXY", "True")),
        "checkout: it starts through Datadog's wrapper with DD_EXPERIMENTAL_ENABLE_PROXY switched on: with another wrapper before that one, the runtime would connect to Datadog's extension, which would not listen, and could not start; switch that variable off for the experiment, or use faults without a wrapper",
    ),
];
