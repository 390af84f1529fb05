//! Faults that would change nothing, or that no invocation would meet.

use serde_json::json;
use snapback::model::function::MappingState;
use snapback::model::refusal::Guardrail as G;
use snapback::testing::samples::{MAPPING, experiment};

use super::{Case, case, edit, fault, mapping, set, set_layers, with};

const WEB_ADAPTER: &str = "checkout: it runs behind Lambda Web Adapter, which talks to Lambda itself: no fault inside invocations would ever be injected; use faults of the configuration, such as reservedConcurrency or environment, or target functions without it";

pub const CASES: &[Case] = &[
    case(
        G::Effect,
        || experiment(&["checkout"], &[("reservedConcurrency", json!({ "limit": 5 }))]),
        |_| {},
        "checkout: its reserved concurrency is already 5, so reservedConcurrency would change nothing; give the fault another value, or remove the fault or the target",
    ),
    case(
        G::Effect,
        || experiment(&["checkout"], &[("timeout", json!({ "timeout": "PT10S" })), fault("memory")]),
        |_| {},
        "checkout: its timeout is already 10 s, so timeout would change nothing; give the fault another value, or remove the fault or the target",
    ),
    case(
        G::Effect,
        || experiment(&["checkout"], &[("memory", json!({ "megabytes": 256 }))]),
        |_| {},
        "checkout: its memory is already 256 MB, so memory would change nothing; give the fault another value, or remove the fault or the target",
    ),
    case(
        G::Effect,
        || {
            experiment(
                &["checkout"],
                &[("environment", json!({ "set": { "RUST_LOG": "info" }, "unset": ["NOT_THERE"] }))],
            )
        },
        |_| {},
        "checkout: its environment already is as the fault would leave it (RUST_LOG, NOT_THERE), so environment would change nothing; give the fault another value, or remove the fault or the target",
    ),
    case(
        G::Effect,
        || {
            experiment(
                &["checkout"],
                &[(
                    "handler",
                    json!({ "handler": "app.handler", "environment": { "RUST_LOG": "info" }, "memory": 256 }),
                )],
            )
        },
        |_| {},
        "checkout: its handler is already app.handler, so handler would change nothing; give the fault another value, or remove the fault or the target",
    ),
    case(
        G::Effect,
        || experiment(&["checkout"], &[("eventSourceMapping", json!({ "disable": MAPPING }))]),
        |s| mapping(s, MappingState::Disabled),
        "checkout: its event source mapping 11111111-2222-3333-4444-555555555555 is already disabled, so eventSourceMapping would change nothing; give the fault another value, or remove the fault or the target",
    ),
    case(
        G::Effect,
        || experiment(&["checkout"], &[("error", json!({ "percentage": 0 }))]),
        |_| {},
        "faults: error has the percentage 0, so it would never be injected; give it a share, or remove it",
    ),
    case(
        G::Effect,
        || experiment(&["checkout"], &[("latency", json!({ "delayMs": 0 }))]),
        |_| {},
        "faults: latency has a delay of 0 ms, so it would change nothing; give it a longer delay, or remove it",
    ),
    case(
        G::Effect,
        || experiment(&["checkout"], &[("latency", json!({ "minMs": 0, "maxMs": 0, "when": "after" }))]),
        |_| {},
        "faults: latency has a delay of 0 ms, so it would change nothing; give it a longer delay, or remove it",
    ),
    case(
        G::Effect,
        || experiment(&["checkout"], &[("init", json!({ "delayMs": 0 }))]),
        |_| {},
        "faults: init has a delay of 0 ms, so it would change nothing; give it a longer delay, or remove it",
    ),
    case(
        G::Effect,
        || with("error"),
        |s| edit(s, |f| set(f, "AWS_LAMBDA_EXEC_WRAPPER", "/opt/bootstrap")),
        WEB_ADAPTER,
    ),
    case(G::Effect, || with("disk"), |s| edit(s, |f| set(f, "AWS_LWA_PORT", "8080")), WEB_ADAPTER),
    case(G::Effect, || with("init"), |s| set_layers(s, &["LambdaAdapterLayerX86"]), WEB_ADAPTER),
    case(
        G::Effect,
        || with("latency"),
        |s| edit(s, |f| set(f, "AWS_LAMBDA_EXEC_WRAPPER", "/opt/aws-fis/bootstrap")),
        "checkout: it starts through AWS FIS's own proxy, which talks to Lambda itself: no fault inside invocations would ever be injected; remove FIS's wrapper and layer from the function, or run this experiment with FIS",
    ),
    case(
        G::Effect,
        || with("timeout"),
        |s| edit(s, |f| f.managed_instances = true),
        "checkout: it runs on Lambda Managed Instances, where invocations without a qualifier go to $LATEST.PUBLISHED, so none would meet a fault on $LATEST; target functions that do not run on Managed Instances",
    ),
];
