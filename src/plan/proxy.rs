//! What a function needs for the proxy: its layer, the wrapper that starts it, and its configuration.

use crate::model::function::{Observation, Package, Slot};
use crate::model::invocation::{CHAINED_WRAPPER_VARIABLE, FAULTS_VARIABLE, PROXY_PATH, ProxyConfig, WRAPPER_VARIABLE};
use crate::model::names::LayerVersionArn;
use crate::model::proxy_layers::ProxyLayers;
use crate::model::refusal::Guardrail;
use crate::model::secret::Secret;

use super::bystanders::in_between;
use super::objection::Objection;
use super::runtimes::honors_wrapper;

/// What is added to the function.
pub(super) struct ProxyAttachment {
    /// The layer that contains the proxy.
    pub(super) layer: LayerVersionArn,
    /// The variables that start and configure the proxy.
    pub(super) variables: Vec<(&'static str, Secret)>,
}

/// Returns what this function needs for the proxy with this configuration, or all objections.
pub(super) fn attach_proxy(
    config: &ProxyConfig,
    layers: &ProxyLayers,
    now: &Observation,
) -> Result<ProxyAttachment, Vec<Objection>> {
    if now.package == Package::Image {
        return Err(vec![Objection {
            guardrail: Guardrail::Package,
            reason: "it is a container image, which cannot have layers, so it cannot have the proxy".to_owned(),
            fix: "use a fault that works on container images: reservedConcurrency, environment, timeout, memory",
        }]);
    }
    let mut objections: Vec<Objection> = starts_through_a_wrapper(now).err().into_iter().collect();
    objections.extend(in_between(now));
    match layer(layers, &now.architecture) {
        Ok(layer) if objections.is_empty() => Ok(ProxyAttachment { layer, variables: variables(config, now) }),
        Ok(_) => Err(objections),
        Err(objection) => {
            objections.push(objection);
            Err(objections)
        }
    }
}

fn starts_through_a_wrapper(now: &Observation) -> Result<(), Objection> {
    match &now.runtime {
        Some(runtime) if honors_wrapper(runtime) => Ok(()),
        runtime => Err(Objection {
            guardrail: Guardrail::Runtime,
            reason: format!(
                "{} does not start through a wrapper, and the proxy is one",
                runtime.as_deref().unwrap_or("its runtime")
            ),
            fix: "target functions on a managed runtime (Node.js, Python, Java, .NET, Ruby)",
        }),
    }
}

fn layer(layers: &ProxyLayers, architecture: &str) -> Result<LayerVersionArn, Objection> {
    let known: Vec<&str> = layers.architectures().collect();
    layers.of(architecture).cloned().ok_or_else(|| Objection {
        guardrail: Guardrail::LayerExists,
        reason: match known.is_empty() {
            true => {
                "faults inside invocations need the proxy, and this stack has published no layer with it".to_owned()
            }
            false => format!("the stack's proxy is for {}, not for {architecture}", known.join(" and ")),
        },
        fix: match known.is_empty() {
            true => "deploy the stack again: make deploy",
            false => "target functions of another architecture",
        },
    })
}

/// Returns the variables for the proxy. It also starts a wrapper that the function already has; an empty variable names
/// none.
fn variables(config: &ProxyConfig, now: &Observation) -> Vec<(&'static str, Secret)> {
    let mut variables =
        vec![(WRAPPER_VARIABLE, Secret::new(PROXY_PATH)), (FAULTS_VARIABLE, Secret::new(config.to_text()))];
    match now.environment.variable(WRAPPER_VARIABLE) {
        Some(Slot::Present(displaced)) if !displaced.expose().is_empty() => {
            variables.push((CHAINED_WRAPPER_VARIABLE, displaced));
        }
        _ => {}
    }
    variables
}
