//! Software in a function that talks to Lambda in place of the runtime, or depends on the wrapper variable's value.
//!
//! The proxy sees only what the runtime sends to the proxy's address. If another process polls the Runtime API at the
//! original address, nothing passes through the proxy, and a run would inject nothing.

use crate::model::function::{Environment, Observation, Slot};
use crate::model::invocation::WRAPPER_VARIABLE;
use crate::model::refusal::Guardrail;

use super::objection::Objection;

/// Lambda Web Adapter's wrapper, the prefix of its variables, and the prefix of its layers (its user guide names
/// LambdaAdapterLayerX86 and LambdaAdapterLayerArm64). It is an extension that polls for events itself and calls the
/// function over HTTP.
const WEB_ADAPTER: (&str, &str, &str) = ("/opt/bootstrap", "AWS_LWA_", "LambdaAdapterLayer");
/// AWS FIS's wrapper, the prefix of its variables, and the prefix of its layers
/// (fis/latest/userguide/use-lambda-actions). Its extension is between the runtime and Lambda, and talks to Lambda
/// itself.
const FIS: (&str, &str, &str) = ("/opt/aws-fis/bootstrap", "AWS_FIS_", "aws-fis-extension");
/// Datadog's wrapper. With one of these variables true, it points the runtime at a proxy of Datadog's extension, which
/// listens only while `AWS_LAMBDA_EXEC_WRAPPER` names this wrapper (bottlecap, src/proxy/mod.rs).
const DATADOG: (&str, [&str; 2]) =
    ("/opt/datadog_wrapper", ["DD_SERVERLESS_APPSEC_ENABLED", "DD_EXPERIMENTAL_ENABLE_PROXY"]);

/// Returns why faults inside invocations would have no effect, or another effect, on this function.
pub(super) fn in_between(now: &Observation) -> Vec<Objection> {
    let web_adapter = is_there(now, WEB_ADAPTER).then(|| Objection {
        guardrail: Guardrail::Effect,
        reason: "it runs behind Lambda Web Adapter, which talks to Lambda itself: no fault inside invocations would \
                 ever be injected"
            .to_owned(),
        fix: "use faults of the configuration, such as reservedConcurrency or environment, or target functions without it",
    });
    let fis = starts_through(now, FIS.0).then(|| Objection {
        guardrail: Guardrail::Effect,
        reason:
            "it starts through AWS FIS's own proxy, which talks to Lambda itself: no fault inside invocations would \
                 ever be injected"
                .to_owned(),
        fix: "remove FIS's wrapper and layer from the function, or run this experiment with FIS",
    });
    web_adapter.into_iter().chain(fis).chain(datadog_without_its_wrapper(now)).collect()
}

/// Returns why Datadog's wrapper must stay the first one: otherwise the runtime would connect to a port on which
/// nothing listens.
pub(super) fn datadog_without_its_wrapper(now: &Observation) -> Option<Objection> {
    let (wrapper, variables) = DATADOG;
    let is_on = |name: &&&str| match now.environment.variable(name) {
        Some(Slot::Present(value)) => ["true", "1"].iter().any(|on| value.expose().trim().eq_ignore_ascii_case(on)),
        _ => false,
    };
    let variable = variables.iter().find(is_on).filter(|_| starts_through(now, wrapper))?;
    Some(Objection {
        guardrail: Guardrail::Wrapper,
        reason: format!(
            "it starts through Datadog's wrapper with {variable} switched on: with another wrapper before that one, \
             the runtime would connect to Datadog's extension, which would not listen, and could not start"
        ),
        fix: "switch that variable off for the experiment, or use faults without a wrapper",
    })
}

/// Returns what a user should know about software that changes what the faults mean on this function.
pub(super) fn notes(now: &Observation) -> Vec<String> {
    let name = now.arn.name();
    let mut notes = Vec::new();
    if is_there(now, FIS) && !starts_through(now, FIS.0) {
        notes.push(format!(
            "{name}: it is prepared for AWS FIS, but without FIS's wrapper; only this run's faults apply"
        ));
    }
    if now.durable {
        // lambda/latest/dg/durable-functions: a durable execution is replayed in several invocations.
        notes.push(format!(
            "{name}: it is a durable function: one execution is several invocations, each of which meets the faults; events \
             and responses are envelopes of the durable execution, to which conditions and damaged responses apply"
        ));
    }
    notes
}

fn starts_through(now: &Observation, wrapper: &str) -> bool {
    matches!(now.environment.variable(WRAPPER_VARIABLE), Some(Slot::Present(value)) if value.expose() == wrapper)
}

fn is_there(now: &Observation, (wrapper, variables, layers): (&str, &str, &str)) -> bool {
    let has_variables = match &now.environment {
        Environment::Readable(all) => all.keys().any(|name| name.starts_with(variables)),
        Environment::Unreadable => false,
    };
    let has_layer = now.layers.iter().any(|layer| {
        let named = layer.layer().rsplit(':').next().unwrap_or_default();
        named.get(..layers.len()).is_some_and(|start| start.eq_ignore_ascii_case(layers))
    });
    starts_through(now, wrapper) || has_variables || has_layer
}
