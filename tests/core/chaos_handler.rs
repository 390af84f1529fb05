//! The chaos handler: what a function gets, on which functions, and that nothing of it remains.

use serde_json::{Value, json};
use snapback::model::function::{Observation, Package};
use snapback::model::invocation::{HandlerConfig, HandlerOrder};
use snapback::model::names::Handler;
use snapback::testing::samples::{self, experiments, layer_arn, world};

use super::support::{Machine, block_on, during, edit, run_of, variable};

fn orders(seen: &Observation) -> HandlerConfig {
    HandlerConfig::parse(&variable(seen, "SNAPBACK_HANDLER_FAULTS").unwrap()).unwrap()
}

fn sample(name: &str) -> Value {
    experiments().into_iter().find(|(other, _)| *other == name).expect("it is there").1
}

fn handler_fault(settings: Value) -> Value {
    samples::experiment(&["checkout"], &[("handler", settings)])
}

#[test]
fn a_python_function_gets_handler_layer_and_orders() {
    let world = world(&["checkout"]);
    let seen = during(&world, sample("the chaos handler"));
    assert_eq!(seen.handler.as_ref().map(Handler::as_str), Some("snapback_handler.bootstrap.handler"));
    assert_eq!(seen.layers[2..], [layer_arn("snapback-handler")]);
    assert_eq!(variable(&seen, "SNAPBACK_HANDLER").as_deref(), Some("app.handler"));
    let orders = orders(&seen);
    let names: Vec<&str> = orders.faults.iter().map(HandlerOrder::name).collect();
    assert_eq!((names.as_slice(), &*orders.experiment, &*orders.run), (&["exception"][..], "a test", "run-1"));
    let run = run_of(&world, &samples::run_id("run-1"));
    assert_eq!(i64::try_from(orders.expires_at_ms), Ok(run.deadline.0), "the faults expire on their own");
}

#[test]
fn a_node_js_function_gets_a_handler_by_its_path() {
    let world = world(&["checkout"]);
    edit(&world, |seen| {
        seen.runtime = Some("nodejs24.x".into());
        seen.handler = Handler::try_from("src/app.handler").ok();
    });
    let seen = during(&world, handler_fault(json!({})));
    assert_eq!(seen.handler.as_ref().map(Handler::as_str), Some("/opt/nodejs/snapback_handler/index.handler"));
    assert_eq!(variable(&seen, "SNAPBACK_HANDLER").as_deref(), Some("src/app.handler"));
}

#[test]
fn the_chaos_handler_and_the_proxy_have_their_own_faults() {
    let seen = during(&world(&["checkout"]), sample("the chaos handler next to the proxy"));
    assert_eq!(seen.layers[2..], [layer_arn("snapback-handler"), layer_arn("snapback-proxy-arm64")]);
    let names: Vec<&str> = orders(&seen).faults.iter().map(HandlerOrder::name).collect();
    assert_eq!(names, ["latency", "exception"]);
    let proxy = variable(&seen, "SNAPBACK_FAULTS").unwrap();
    assert!(proxy.contains("'error'") && !proxy.contains("exception"), "{proxy}");
}

fn refusal(change: impl FnOnce(&mut Observation)) -> String {
    let world = world(&["checkout"]);
    edit(&world, change);
    let machine = Machine::new(&world, "run-1", handler_fault(json!({ "exception": {} })));
    block_on(machine.prepare()).map(drop).unwrap_err().to_string()
}

#[test]
fn functions_that_cannot_have_it_are_refused_with_a_way_out() {
    let java = refusal(|seen| seen.runtime = Some("java21".into()));
    assert!(java.contains("no chaos handler for java21") && java.contains("error, latency or response"), "{java}");
    let provided = refusal(|seen| seen.runtime = Some("provided.al2023".into()));
    assert!(provided.contains("reservedConcurrency") && !provided.contains("error, latency"), "{provided}");
    let image = refusal(|seen| (seen.package, seen.runtime, seen.handler) = (Package::Image, None, None));
    assert!(image.contains("it is a container image, which cannot have layers"), "{image}");
    let nameless = refusal(|seen| seen.handler = Handler::try_from("handler").ok());
    assert!(nameless.contains("its handler `handler` names no file with a function"), "{nameless}");
}

#[test]
fn a_stack_without_its_layer_is_refused() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", handler_fault(json!({})));
    world.with(|state| drop(state.layers.remove(&layer_arn("snapback-handler"))));
    let refused = block_on(machine.prepare()).map(drop).unwrap_err().to_string();
    assert!(refused.contains("there is no layer") && refused.contains("snapback-handler"), "{refused}");
}

#[test]
fn a_fault_that_would_never_be_injected_is_refused() {
    for (settings, expected) in [
        (json!({ "percentage": 0 }), "the handler's exception has the percentage 0"),
        (json!({ "latency": { "delayMs": 0 } }), "the handler's latency has a delay of 0 ms"),
    ] {
        let world = world(&["checkout"]);
        let machine = Machine::new(&world, "run-1", handler_fault(settings));
        let refused = block_on(machine.prepare()).map(drop).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}
