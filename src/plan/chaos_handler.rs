//! What a function needs for the chaos handler: its layer, its name, its configuration, and the original's name.

use crate::model::function::{Observation, Package};
use crate::model::invocation::{HANDLER_FAULTS_VARIABLE, HandlerConfig, ORIGINAL_HANDLER_VARIABLE};
use crate::model::names::{Handler, LayerVersionArn};
use crate::model::proxy_layers::ProxyLayers;
use crate::model::refusal::Guardrail;
use crate::model::secret::Secret;

use super::objection::Objection;
use super::runtimes::honors_wrapper;

/// The handler in Python. The runtime imports it: /opt/python is in its search path
/// (lambda/latest/dg/packaging-layers).
const PYTHON: &str = "snapback_handler.bootstrap.handler";
/// The handler in Node.js. The runtime takes an absolute path; ES modules are not searched in NODE_PATH.
const NODE_JS: &str = "/opt/nodejs/snapback_handler/index.handler";
/// The oldest versions that can run it: Python 3.8, and Node.js 18.
const OLDEST_PYTHON: u32 = 8;
const OLDEST_NODE_JS: u32 = 18;

const WITH_THE_PROXY: &str = "use faults that the proxy injects: error, latency or response";
const WITHOUT_THE_PROXY: &str = "use a fault that works there: reservedConcurrency, environment, timeout, memory";

/// What is changed on the function.
pub(super) struct HandlerAttachment {
    /// The layer that contains the chaos handler.
    pub(super) layer: LayerVersionArn,
    /// The chaos handler's name in this runtime.
    pub(super) handler: Handler,
    /// The variables that configure it.
    pub(super) variables: [(&'static str, Secret); 2],
}

/// Returns what this function needs for the chaos handler with this configuration, or the objection.
pub(super) fn attach_handler(
    config: &HandlerConfig,
    layers: &ProxyLayers,
    now: &Observation,
) -> Result<HandlerAttachment, Objection> {
    let Some(original) = now.handler.as_ref().filter(|_| now.package == Package::Zip) else {
        return Err(Objection {
            guardrail: Guardrail::Package,
            reason: "it is a container image, which cannot have layers, so it cannot have the chaos handler".to_owned(),
            fix: WITHOUT_THE_PROXY,
        });
    };
    let handler = handler_for(now.runtime.as_deref().unwrap_or_default(), original.as_str())?;
    let layer = layers.handler().cloned().ok_or_else(|| Objection {
        guardrail: Guardrail::LayerExists,
        reason: "this stack has published no layer with the chaos handler".to_owned(),
        fix: "deploy the stack again: make deploy",
    })?;
    let variables = [
        (HANDLER_FAULTS_VARIABLE, Secret::new(config.to_text())),
        (ORIGINAL_HANDLER_VARIABLE, Secret::new(original.as_str())),
    ];
    Ok(HandlerAttachment { layer, handler, variables })
}

/// Returns the chaos handler's name in a runtime.
fn handler_for(runtime: &str, original: &str) -> Result<Handler, Objection> {
    let (name, is_file) = match (version(runtime, "python3."), version(runtime, "nodejs")) {
        (Some(OLDEST_PYTHON..), _) => (PYTHON, names_a_python_file(original)),
        (_, Some(OLDEST_NODE_JS..)) => (NODE_JS, names_a_node_js_file(original)),
        _ => {
            let runtime = if runtime.is_empty() { "its runtime" } else { runtime };
            return Err(Objection {
                guardrail: Guardrail::Runtime,
                reason: format!(
                    "there is no chaos handler for {runtime}, only for Python from 3.8 and Node.js from 18 on"
                ),
                fix: if honors_wrapper(runtime) { WITH_THE_PROXY } else { WITHOUT_THE_PROXY },
            });
        }
    };
    let handler = Handler::try_from(name).ok().filter(|_| is_file).ok_or_else(|| Objection {
        guardrail: Guardrail::Package,
        reason: format!(
            "its handler `{original}` names no file with a function, so the chaos handler could not call it"
        ),
        fix: "correct the function's handler, such as app.handler",
    })?;
    Ok(handler)
}

fn version(runtime: &str, family: &str) -> Option<u32> {
    runtime.strip_prefix(family)?.split('.').next()?.parse().ok()
}

/// Whether a handler has a module and a function (lambda/latest/dg/python-handler).
fn names_a_python_file(handler: &str) -> bool {
    handler.rsplit_once('.').is_some_and(|(module, function)| !module.is_empty() && !function.is_empty())
}

/// Whether a handler has a file and an export (lambda/latest/dg/nodejs-handler). The runtime accepts no `..`.
fn names_a_node_js_file(handler: &str) -> bool {
    let last = handler.rsplit('/').next().unwrap_or_default();
    let named = last.split_once('.').is_some_and(|(file, export)| !file.is_empty() && !export.is_empty());
    named && !handler.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runtime_chooses_the_handler() {
        for (runtime, expected) in
            [("python3.8", PYTHON), ("python3.14", PYTHON), ("nodejs18.x", NODE_JS), ("nodejs26.x", NODE_JS)]
        {
            let handler = handler_for(runtime, "src/app.handler").map(|handler| handler.to_string());
            assert_eq!(handler.ok().as_deref(), Some(expected), "{runtime}");
        }
    }

    #[test]
    fn other_runtimes_are_refused_with_what_works_there() {
        for (runtime, expected) in [
            ("java21", WITH_THE_PROXY),
            ("dotnet8", WITH_THE_PROXY),
            ("ruby3.4", WITH_THE_PROXY),
            ("python3.7", WITH_THE_PROXY),
            ("python2.7", WITH_THE_PROXY),
            ("nodejs16.x", WITH_THE_PROXY),
            ("nodejs", WITH_THE_PROXY),
            ("provided.al2023", WITHOUT_THE_PROXY),
            ("go1.x", WITHOUT_THE_PROXY),
        ] {
            let objection = handler_for(runtime, "app.handler").err();
            let given = objection.map(|objection| (objection.guardrail, objection.fix, objection.reason));
            let reason =
                format!("there is no chaos handler for {runtime}, only for Python from 3.8 and Node.js from 18 on");
            assert_eq!(given, Some((Guardrail::Runtime, expected, reason)));
        }
    }

    #[test]
    fn a_handler_that_names_no_file_is_refused() {
        for (runtime, original) in [
            ("python3.13", "handler"),
            ("python3.13", ".handler"),
            ("python3.13", "app."),
            ("nodejs24.x", "src/handler"),
            ("nodejs24.x", "src/.handler"),
            ("nodejs24.x", "../app.handler"),
        ] {
            let objection = handler_for(runtime, original).err();
            assert_eq!(objection.map(|objection| objection.guardrail), Some(Guardrail::Package), "{original}");
        }
    }
}
