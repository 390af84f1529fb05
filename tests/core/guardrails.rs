//! Every guardrail: a world that trips it, the exact refusal, and nothing written.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use snapback::model::facts::{Alias, CodeSigning, LayerFact};
use snapback::model::function::{Environment, LastUpdate, Lifecycle, MappingState, Observation, Package, Slot, Tags};
use snapback::model::names::LayerVersionArn;
use snapback::model::proxy_layers::ProxyLayers;
use snapback::model::refusal::{Guardrail, Refusal};
use snapback::model::run::{Lever, Lock};
use snapback::model::secret::Secret;
use snapback::model::settings::Settings;
use snapback::steps::error::StepError;
use snapback::steps::prepare::{Request, prepare};
use snapback::testing::samples::{self, function_arn, layer_arn, run_id, settings, world};
use snapback::testing::{BEGINNING, SimFunction, SimWorld, State};

use super::support::block_on;

/// A way to trip a guardrail.
struct Case {
    guardrail: Guardrail,
    experiment: Value,
    spoil: fn(&mut State),
    refusal: &'static str,
}

fn case(guardrail: Guardrail, experiment: Value, spoil: fn(&mut State), refusal: &'static str) -> Case {
    Case { guardrail, experiment, spoil, refusal }
}

fn cases() -> Vec<Case> {
    use Guardrail as G;
    let with = |name: &str| samples::experiment(&["checkout"], &[fault(name)]);
    let on = |function: &str, name: &str| samples::experiment(&[function], &[fault(name)]);
    let layer = |fault: Value| samples::experiment(&["checkout"], &[("layer", fault)]);
    vec![
        case(
            G::Exists,
            on("checkuot", "timeout"),
            |_| {},
            "checkuot: not found: checkuot; correct the target, or the role's rights",
        ),
        case(
            G::Exists,
            tagged(json!({ "team": "nobody" })),
            |_| {},
            "team: nobody: no function carries these tags; correct the target, or the role's rights",
        ),
        case(
            G::Exists,
            samples::experiment(&["checkout", function_arn("checkout").as_str()], &[fault("timeout")]),
            |_| {},
            "checkout: it is the same function as another target; correct the target, or the role's rights",
        ),
        case(
            G::Ready,
            with("timeout"),
            |s| edit(s, |f| f.state = Lifecycle::Other("Pending".into())),
            "checkout: its state is Pending; wait until it is Active",
        ),
        case(
            G::Ready,
            with("timeout"),
            |s| edit(s, |f| f.last_update = LastUpdate::InProgress),
            "checkout: an update of it is in progress; wait until it is through",
        ),
        case(
            G::Ready,
            with("timeout"),
            |s| edit(s, |f| f.last_update = LastUpdate::Failed),
            "checkout: its last update failed, so that what serves is not what its configuration says; update it again, successfully",
        ),
        case(
            G::Ready,
            with("timeout"),
            |s| edit(s, |f| f.state = Lifecycle::Other("Inactive".into())),
            "checkout: its state is Inactive: it has not been invoked for so long that Lambda has taken its resources back; invoke it once, then wait until it is Active",
        ),
        case(
            G::Ready,
            with("timeout"),
            |s| edit(s, |f| f.state = Lifecycle::Other("Failed".into())),
            "checkout: its state is Failed; delete it and create it again",
        ),
        case(
            G::OptIn,
            with("timeout"),
            |s| edit(s, |f| f.tags = Tags::Known(BTreeMap::new())),
            "checkout: it does not carry the tag chaos: allowed; tag it, if its owners agree to experiments",
        ),
        case(
            G::OptIn,
            with("timeout"),
            |s| edit(s, |f| f.tags = Tags::Unknown),
            "checkout: its tags cannot be read, so it has not opted in; allow lambda:ListTags on it",
        ),
        case(
            G::OptIn,
            with("eventSourceMapping"),
            |s| s.mappings.values_mut().for_each(|mapping| mapping.tags = Tags::Known(BTreeMap::new())),
            "checkout event source mapping 11111111-2222-3333-4444-555555555555: it does not carry the tag chaos: allowed; tag it, if its owners agree to experiments",
        ),
        case(
            G::OwnFunction,
            on("snapback-restore", "timeout"),
            |s| add(s, "snapback-restore"),
            "snapback-restore: it is one of snapback's own functions; take it out of the targets",
        ),
        case(
            G::OwnFunction,
            with("timeout"),
            |s| edit(s, |f| tag(f, "snapback", "reaper")),
            "checkout: it is one of snapback's own functions; take it out of the targets",
        ),
        case(
            G::Unlocked,
            with("timeout"),
            |s| lock(s, "other-run"),
            "checkout: the run other-run has it; wait for it, or end it: snapback rollback other-run",
        ),
        case(
            G::Environment,
            with("timeout"),
            |s| edit(s, |f| f.environment = Environment::Unreadable),
            "checkout: its environment cannot be read, so it could not be restored; give snapback's roles kms:Decrypt on the function's key",
        ),
        case(
            G::Package,
            with("handler"),
            |s| edit(s, image),
            "checkout: it is a container image, whose handler is in the image; use a fault that container images allow: reservedConcurrency, environment, timeout, memory",
        ),
        case(
            G::Package,
            layer(json!({ "layers": [layer_arn("chaos")] })),
            |s| edit(s, image),
            "checkout: it is a container image, which takes no layers; use a fault that container images allow: reservedConcurrency, environment, timeout, memory",
        ),
        case(
            G::Layers,
            with("handler"),
            |s| carry(s, &["a", "b", "c", "d", "e"]),
            "checkout: it has 5 layers, and 1 more would be over Lambda's 5; put the fault's layers into one, or target functions with room",
        ),
        case(
            G::Layers,
            with("handler"),
            |s| carry(s, &["chaos"]),
            "checkout: it carries a version of the layer arn:aws:lambda:eu-west-1:123456789012:layer:chaos already; take the layer off the function or out of the fault",
        ),
        case(
            G::LayerExists,
            with("handler"),
            |s| {
                s.layers.remove(&layer_arn("chaos"));
            },
            "checkout: there is no layer arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1; correct the ARN, or publish the layer",
        ),
        case(
            G::LayerExists,
            with("handler"),
            |s| {
                s.layers.remove(&layer_arn("shared"));
            },
            "checkout: its layer arn:aws:lambda:eu-west-1:123456789012:layer:shared:1 was deleted, and could not be put back; update the function to a layer version that exists",
        ),
        case(
            G::LayerExists,
            with("handler"),
            |s| {
                s.layers.insert(layer_arn("chaos"), LayerFact::Denied);
            },
            "checkout: the layer arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1 may not be read; allow lambda:GetLayerVersion on it",
        ),
        case(
            G::LayerExists,
            with("handler"),
            |s| {
                s.layers
                    .insert(layer_arn("chaos"), LayerFact::Here { architectures: vec!["x86_64".into()], signer: None });
            },
            "checkout: the layer arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1 is not for arm64; use a version for its architecture",
        ),
        case(
            G::LayerExists,
            with("latency"),
            |s| {
                s.layers.remove(&layer_arn("snapback-proxy-arm64"));
            },
            "checkout: there is no layer arn:aws:lambda:eu-west-1:123456789012:layer:snapback-proxy-arm64:1; correct the ARN, or publish the layer",
        ),
        case(
            G::LayerExists,
            with("latency"),
            |s| edit(s, |f| f.architecture = "riscv64".into()),
            "checkout: the stack's proxy is for arm64 and x86_64, not for riscv64; target functions of another architecture",
        ),
        case(
            G::CodeSigning,
            with("handler"),
            |s| signed_code(s, true),
            "checkout: the layer arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1 is not signed by a profile that its code signing trusts; have a trusted profile sign it, or target functions without it",
        ),
        case(
            G::CodeSigning,
            with("exit"),
            |s| {
                signed_code(s, true);
                sign(s, "snapback-proxy-arm64", "somebody-else");
            },
            "checkout: the layer arn:aws:lambda:eu-west-1:123456789012:layer:snapback-proxy-arm64:1 is not signed by a profile that its code signing trusts; have a trusted profile sign it, or target functions without it",
        ),
        case(
            G::CodeSigning,
            with("layer"),
            |s| function(s).code_signing = CodeSigning::Unknown,
            "checkout: its code signing cannot be read, which may refuse the layers; allow lambda:GetFunctionCodeSigningConfig on it, and lambda:GetCodeSigningConfig",
        ),
        case(
            G::EnvironmentSize,
            with("error"),
            |s| edit(s, |f| set(f, "BIG", &"x".repeat(3_700))),
            "checkout: its environment would have 4100 bytes as Lambda measures it, as JSON text with its escapes, over its 4096; the faults inside invocations take 239 of them; write fewer of these faults, shorter texts in them, or fewer conditions",
        ),
        case(
            G::EnvironmentSize,
            with("environment"),
            |s| edit(s, |f| set(f, "BIG", &"x".repeat(4_084))),
            "checkout: its environment would have 4159 bytes as Lambda measures it, as JSON text with its escapes, over its 4096; set fewer or shorter variables",
        ),
        case(
            G::EnvironmentSize,
            layer(json!({ "layers": [layer_arn(&"c".repeat(140))], "environment": { "CHAOS": "on" } })),
            |s| {
                let names = ["d", "e", "f", "g"].map(|letter| letter.repeat(140));
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                s.layers.insert(layer_arn(&"c".repeat(140)), LayerFact::plain());
                carry(s, &names);
                edit(s, |f| set(f, "BIG", &"x".repeat(3_965)));
            },
            "checkout: the update of it would have 5127 bytes, over Lambda's 5119 for one; set fewer or shorter variables",
        ),
        case(
            G::Runtime,
            with("timeout"),
            |s| edit(s, |f| f.runtime = Some("nodejs12.x".into())),
            "checkout: Lambda refuses updates of functions on nodejs12.x from a date long past, so nothing could be restored; move the function to a current runtime",
        ),
        case(
            G::Runtime,
            with("timeout"),
            |s| {
                // Five hours before the end of the day before: not yet blocked when it starts, perhaps when it must be restored.
                s.elapsed = 1_819_670_400_000 - BEGINNING.0 - 5 * 3_600_000;
                edit(s, |f| f.runtime = Some("python3.9".into()));
            },
            "checkout: Lambda refuses updates of functions on python3.9 from 2027-08-31, so nothing could be restored; move the function to a current runtime",
        ),
        case(
            G::Runtime,
            with("layer"),
            |s| edit(s, |f| f.runtime = Some("provided.al2023".into())),
            "checkout: provided.al2023 does not start through a wrapper; target functions on a managed runtime (Node.js, Python, Java, .NET, Ruby), or leave the wrapper out",
        ),
        case(
            G::Runtime,
            with("latency"),
            |s| edit(s, |f| f.runtime = Some("provided.al2023".into())),
            "checkout: provided.al2023 does not start through a wrapper, and the proxy is one; target functions on a managed runtime (Node.js, Python, Java, .NET, Ruby)",
        ),
        case(
            G::Package,
            with("latency"),
            |s| edit(s, image),
            "checkout: it is a container image, which takes no layer, and so no proxy; use a fault that container images allow: reservedConcurrency, environment, timeout, memory",
        ),
        case(
            G::Layers,
            with("latency"),
            |s| carry(s, &["a", "b", "c", "d", "e"]),
            "checkout: it has 5 layers, and 1 more would be over Lambda's 5; put the fault's layers into one, or target functions with room",
        ),
        case(
            G::Layers,
            samples::experiment(
                &["checkout"],
                &[fault("exit"), ("layer", json!({ "layers": [layer_arn("snapback-proxy-arm64")] }))],
            ),
            |_| {},
            "checkout: the layer arn:aws:lambda:eu-west-1:123456789012:layer:snapback-proxy-arm64 would be added twice; take it out of the `layer` fault: it comes by itself",
        ),
        case(
            G::Wrapper,
            layer(json!({ "layers": [layer_arn("chaos")], "wrapper": "/opt/chaos" })),
            |_| {},
            "checkout: it already starts through a wrapper; set chainedWrapperVariable to the variable in which the new wrapper looks for the one to start next",
        ),
        case(
            G::Alarm,
            with("timeout"),
            |s| {
                s.alarms.remove("errors");
            },
            "errors: there is no such alarm; create it, or correct its name or region",
        ),
        case(
            G::Alarm,
            with("timeout"),
            |s| {
                s.alarms.insert("errors".into(), true);
            },
            "errors: it is in ALARM already; wait until it is OK",
        ),
        case(
            G::TargetLimit,
            tagged(json!({ "team": "shop" })),
            |s| (0..10).for_each(|n| add(s, &format!("f{n}"))),
            "targets: 11 functions, over the limit of 10; name fewer, select fewer with COUNT(n), or raise the stack's TargetLimit",
        ),
        case(
            G::Qualifier,
            on("checkout:7", "timeout"),
            |_| {},
            "checkout: the fault changes $LATEST, and version 7 would not see it; target the function without the qualifier if its $LATEST serves traffic, or use reservedConcurrency",
        ),
        case(
            G::Qualifier,
            on("checkout:live", "timeout"),
            |s| alias(s, "live", "7"),
            "checkout: the fault changes $LATEST, and the alias live points at version 7; target the function without the qualifier if its $LATEST serves traffic, or use reservedConcurrency",
        ),
        case(
            G::Qualifier,
            on("checkout:live", "timeout"),
            |_| {},
            "checkout: it has no alias live; correct the target",
        ),
        case(
            G::Qualifier,
            qualified("live"),
            |s| alias(s, "live", "7"),
            "checkout: the exit fault changes $LATEST, and the alias live points at version 7; name an alias that points at $LATEST, or take the fault's qualifier out",
        ),
        case(
            G::Qualifier,
            qualified("7"),
            |_| {},
            "checkout: the exit fault changes $LATEST, and version 7 would not see it; name an alias that points at $LATEST, or take the fault's qualifier out",
        ),
        case(
            G::Qualifier,
            qualified("live"),
            |_| {},
            "checkout: the exit fault is for its alias live, which it does not have; name an alias that points at $LATEST, or take the fault's qualifier out",
        ),
        case(
            G::Leftovers,
            with("timeout"),
            |s| edit(s, |f| set(f, "SNAPBACK_FAULT", "{}")),
            "checkout: it carries a mark of snapback already: the variable SNAPBACK_FAULT; remove it, if no run is using it",
        ),
        case(
            G::Leftovers,
            with("timeout"),
            |s| carry(s, &["shared", "snapback-proxy"]),
            "checkout: it carries a mark of snapback already: the layer arn:aws:lambda:eu-west-1:123456789012:layer:snapback-proxy:1; remove it, if no run is using it",
        ),
        case(
            G::Lever,
            with("timeout"),
            |s| s.lever = Some(Lever { engaged: true, since: BEGINNING, reason: "Black Friday".into() }),
            "safety lever: it is engaged since 2026-06-01T00:00:00Z: Black Friday; release it: snapback lever disengage",
        ),
        case(
            G::SteadyState,
            steady(json!({ "alarm": "latency" })),
            |s| {
                s.alarms.insert("latency".into(), true);
            },
            "steady state: it does not hold: alarm latency is in ALARM; wait until it holds, or correct the condition",
        ),
        case(
            G::SteadyState,
            steady(metric("below", 5)),
            |s| {
                s.metrics.insert("Errors".into(), 7.5);
            },
            "steady state: it does not hold: AWS/Lambda Errors of Sum below 5, but it is 7.5; wait until it holds, or correct the condition",
        ),
        case(
            G::SteadyState,
            steady(metric("above", 5)),
            |_| {},
            "steady state: it does not hold: AWS/Lambda Errors of Sum above 5, but it is no data; wait until it holds, or correct the condition",
        ),
        case(
            G::Effect,
            samples::experiment(&["checkout"], &[("reservedConcurrency", json!({ "limit": 5 }))]),
            |_| {},
            "checkout: its reserved concurrency is 5 already, so reservedConcurrency would change nothing; give the fault another value, or take one of both out",
        ),
        case(
            G::Effect,
            samples::experiment(&["checkout"], &[("timeout", json!({ "timeout": "PT10S" })), fault("memory")]),
            |_| {},
            "checkout: its timeout is 10 s already, so timeout would change nothing; give the fault another value, or take one of both out",
        ),
        case(
            G::Effect,
            samples::experiment(&["checkout"], &[("memory", json!({ "megabytes": 256 }))]),
            |_| {},
            "checkout: its memory is 256 MB already, so memory would change nothing; give the fault another value, or take one of both out",
        ),
        case(
            G::Effect,
            samples::experiment(
                &["checkout"],
                &[("environment", json!({ "set": { "RUST_LOG": "info" }, "unset": ["NOT_THERE"] }))],
            ),
            |_| {},
            "checkout: its environment is as the fault leaves it (RUST_LOG, NOT_THERE) already, so environment would change nothing; give the fault another value, or take one of both out",
        ),
        case(
            G::Effect,
            samples::experiment(
                &["checkout"],
                &[(
                    "handler",
                    json!({ "handler": "app.handler", "environment": { "RUST_LOG": "info" }, "memory": 256 }),
                )],
            ),
            |_| {},
            "checkout: its handler is app.handler already, so handler would change nothing; give the fault another value, or take one of both out",
        ),
        case(
            G::Effect,
            samples::experiment(&["checkout"], &[("eventSourceMapping", json!({ "disable": samples::MAPPING }))]),
            |s| mapping(s, MappingState::Disabled),
            "checkout: its event source mapping 11111111-2222-3333-4444-555555555555 is disabled already, so eventSourceMapping would change nothing; give the fault another value, or take one of both out",
        ),
        case(
            G::Effect,
            samples::experiment(&["checkout"], &[("error", json!({ "percentage": 0 }))]),
            |_| {},
            "faults: error has the percentage 0, so it would never be injected; give it a share, or take it out",
        ),
        case(
            G::Effect,
            samples::experiment(&["checkout"], &[("latency", json!({ "delayMs": 0 }))]),
            |_| {},
            "faults: latency has a delay of 0 ms, so it would change nothing; give it a longer delay, or take it out",
        ),
        case(
            G::Effect,
            samples::experiment(&["checkout"], &[("latency", json!({ "minMs": 0, "maxMs": 0, "when": "after" }))]),
            |_| {},
            "faults: latency has a delay of 0 ms, so it would change nothing; give it a longer delay, or take it out",
        ),
        case(
            G::Effect,
            samples::experiment(&["checkout"], &[("init", json!({ "delayMs": 0 }))]),
            |_| {},
            "faults: init has a delay of 0 ms, so it would change nothing; give it a longer delay, or take it out",
        ),
        case(
            G::Effect,
            with("error"),
            |s| edit(s, |f| set(f, "AWS_LAMBDA_EXEC_WRAPPER", "/opt/bootstrap")),
            WEB_ADAPTER,
        ),
        case(G::Effect, with("disk"), |s| edit(s, |f| set(f, "AWS_LWA_PORT", "8080")), WEB_ADAPTER),
        case(G::Effect, with("init"), |s| carry(s, &["LambdaAdapterLayerX86"]), WEB_ADAPTER),
        case(
            G::Effect,
            with("latency"),
            |s| edit(s, |f| set(f, "AWS_LAMBDA_EXEC_WRAPPER", "/opt/aws-fis/bootstrap")),
            "checkout: it starts through AWS FIS's own proxy, which talks to Lambda itself: no fault inside invocations would ever be injected; take FIS's wrapper and layer off the function, or run this experiment with FIS",
        ),
        case(G::Wrapper, with("exit"), |s| edit(s, |f| datadog(f, "DD_SERVERLESS_APPSEC_ENABLED", "true")), DATADOG),
        case(
            G::Wrapper,
            with("layer"),
            |s| edit(s, |f| datadog(f, "DD_EXPERIMENTAL_ENABLE_PROXY", "True")),
            "checkout: it starts through Datadog's wrapper with DD_EXPERIMENTAL_ENABLE_PROXY switched on: with another wrapper before that one, Datadog's extension does not listen where the runtime then connects, and the function does not start; switch that variable off for the experiment, or use faults without a wrapper",
        ),
        case(
            G::Effect,
            with("timeout"),
            |s| edit(s, |f| f.managed_instances = true),
            "checkout: it runs on Lambda Managed Instances, where invocations without a qualifier go to $LATEST.PUBLISHED, so none would meet a fault on $LATEST; target functions that do not run on Managed Instances",
        ),
        case(
            G::Qualifier,
            on("checkout:$LATEST.PUBLISHED", "timeout"),
            |_| {},
            "checkout: the fault changes $LATEST, and version $LATEST.PUBLISHED would not see it; target the function without the qualifier if its $LATEST serves traffic, or use reservedConcurrency",
        ),
        case(
            G::Qualifier,
            qualified("$LATEST.PUBLISHED"),
            |_| {},
            "checkout: the exit fault changes $LATEST, and version $LATEST.PUBLISHED would not see it; name an alias that points at $LATEST, or take the fault's qualifier out",
        ),
        case(
            G::Exists,
            tagged(json!({ "team": "shop" })),
            |s| function(s).ghost = true,
            "team: shop: no function with these tags exists any more; correct the target, or the role's rights",
        ),
        case(
            G::Mapping,
            with("eventSourceMapping"),
            |s| s.mappings.clear(),
            "checkout: it has no such enabled event source mapping; name the UUID of one of its mappings, or take the fault out",
        ),
        case(
            G::Mapping,
            with("eventSourceMapping"),
            |s| mapping(s, MappingState::Busy),
            "checkout: its event source mapping 11111111-2222-3333-4444-555555555555 is changing; wait until it is enabled or disabled",
        ),
        case(
            G::Mapping,
            with("eventSourceMapping"),
            |s| mapping(s, MappingState::Disabled),
            "checkout: it has no such enabled event source mapping; name the UUID of one of its mappings, or take the fault out",
        ),
        case(
            G::Mapping,
            samples::experiment(
                &["checkout"],
                &[("eventSourceMapping", json!({ "disable": "99999999-2222-3333-4444-555555555555" }))],
            ),
            |_| {},
            "checkout: it has no such enabled event source mapping; name the UUID of one of its mappings, or take the fault out",
        ),
    ]
}

const WEB_ADAPTER: &str = "checkout: it runs behind Lambda Web Adapter, which talks to Lambda itself: no fault inside invocations would ever be injected; use faults of the configuration, such as reservedConcurrency or environment, or target functions without it";
const DATADOG: &str = "checkout: it starts through Datadog's wrapper with DD_SERVERLESS_APPSEC_ENABLED switched on: with another wrapper before that one, Datadog's extension does not listen where the runtime then connects, and the function does not start; switch that variable off for the experiment, or use faults without a wrapper";

#[test]
fn each_guardrail_refuses_with_its_reason_and_nothing_is_written() {
    let mut wrong = Vec::new();
    for case in cases() {
        let world = world(&["checkout"]);
        world.with(case.spoil);
        let refusals = refuse(&world, case.experiment);
        let got = StepError::Refused(refusals.clone()).to_string();
        if got != case.refusal {
            wrong.push(format!("{:?}\n    {got}", case.guardrail));
        }
        assert_eq!(refusals.iter().map(|refusal| refusal.guardrail).collect::<Vec<_>>(), [case.guardrail], "{got}");
    }
    assert!(wrong.is_empty(), "{} other refusals:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_guardrail_has_a_case() {
    let tripped: BTreeSet<Guardrail> = cases().iter().map(|case| case.guardrail).collect();
    let missing: Vec<Guardrail> =
        every_guardrail().into_iter().filter(|guardrail| !tripped.contains(guardrail)).collect();
    assert_eq!(missing, []);
}

#[test]
fn all_refusals_are_reported_at_once() {
    let world = world(&["checkout", "payment"]);
    world.with(|state| {
        edit(state, |f| f.tags = Tags::Unknown);
        edit(state, |f| f.state = Lifecycle::Other("Inactive".into()));
        lock(state, "other-run");
        state.alarms.insert("errors".into(), true);
        state.lever = Some(Lever { engaged: true, since: BEGINNING, reason: "Black Friday".into() });
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
        // Else each of them would draw anew.
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
fn lambdas_own_layer_is_carried_as_it_is() {
    let own = LayerVersionArn::try_from("arn:aws:lambda:::awslayer:AmazonLinux1803").expect("it is one");
    for name in ["handler", "disk", "reservedConcurrency"] {
        let world = world(&["checkout"]);
        world.with(|state| edit(state, |seen| seen.layers = vec![own.clone(), layer_arn("shared")]));
        let experiment = samples::experiment(&["checkout"], &[fault(name)]);
        let machine = super::support::Machine::new(&world, "run-1", experiment);
        let before = super::support::picture(&world, "checkout");
        block_on(machine.start()).expect("nothing speaks against it");
        if name != "reservedConcurrency" {
            assert_eq!(super::support::picture(&world, "checkout").layers[..2], before.layers[..]);
        }
        block_on(machine.end(None));
        assert_eq!(super::support::picture(&world, "checkout"), before);
    }
}

#[test]
fn a_stack_without_a_proxy_says_so() {
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
fn the_proxy_of_another_prefix_is_a_mark_too() {
    let world = world(&["checkout"]);
    world.with(|state| carry(state, &["shop-proxy-arm64"]));
    let (ours, theirs) = (settings(), Settings { prefix: "shop".into(), ..settings() });
    let experiment = samples::experiment(&["checkout"], &[fault("timeout")]);
    let request = Request { run: run_id("run-1"), execution_arn: "execution".into(), experiment };
    let refused = block_on(prepare(&world, &theirs, &request)).expect_err("it carries a mark").to_string();
    assert!(
        refused.contains("a mark of snapback already: the layer") && refused.contains("shop-proxy-arm64"),
        "{refused}"
    );
    block_on(prepare(&world, &ours, &request)).expect("to a stack of another name it is a layer like any other");
}

#[test]
fn the_lever_that_is_engaged_between_the_look_and_the_write_refuses_too() {
    let world = world(&["checkout"]);
    let experiment = samples::experiment(&["checkout"], &[fault("timeout")]);
    let request = Request { run: run_id("run-1"), execution_arn: "execution-1".into(), experiment };
    let engage = async {
        // Prepare's write of the run is on its way when the lever moves.
        while world.count("TransactWriteItems") == 0 {
            super::support::give_way().await;
        }
        world.with(|state| state.lever = Some(Lever { engaged: true, since: BEGINNING, reason: "now".into() }));
    };
    let (prepared, ()) = block_on(futures_util::future::join(prepare(&world, &settings(), &request), engage));
    let refused = prepared.expect_err("a run started behind an engaged lever").to_string();
    assert_eq!(
        refused,
        "safety lever: it is engaged since 2026-06-01T00:00:00Z: now; release it: snapback lever disengage"
    );
    world.with(|state| assert!(state.runs.is_empty() && state.locks.is_empty() && state.writes.is_empty()));
}

#[test]
fn a_fault_that_changes_one_thing_only_is_not_idle() {
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

/// The refusals of `prepare`, which has only read.
fn refuse(world: &SimWorld, experiment: Value) -> Vec<Refusal> {
    let seen = |state: &State| state.functions.values().map(|function| function.seen.clone()).collect::<Vec<_>>();
    let before = world.with(|state| (seen(state), state.locks.clone()));
    let request = Request { run: run_id("run-1"), execution_arn: "execution-1".into(), experiment };
    let error = block_on(prepare(world, &settings(), &request));
    let error = error.expect_err(&format!("the guardrails let it through: {}", request.experiment));
    let StepError::Refused(refusals) = error else { panic!("{error:?}") };
    assert!(world.count("GetFunction") <= settings().target_limit, "over the limit, more looks would only cost calls");
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

/// Its code has to be signed by the profile `ours`; what is not is refused, or only warned of.
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

/// These layers, which all exist.
fn carry(state: &mut State, names: &[&str]) {
    let layers: Vec<LayerVersionArn> = names.iter().map(|name| layer_arn(name)).collect();
    state.layers.extend(layers.iter().map(|layer| (layer.clone(), LayerFact::plain())));
    edit(state, |function| function.layers = layers);
}
