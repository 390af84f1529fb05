//! The actions of `chaosaws.awslambda.actions` (github.com/chaostoolkit-incubator/chaostoolkit-aws), and the faults that they
//! are here.

use serde_json::{Value, json};

use crate::model::bounded::BoundedU32;
use crate::model::invocation::{InvocationFault, Milliseconds, Percentage};
use crate::model::names::{LayerVersionArn, MappingId};

use super::chaos_lambda_extension::{note_malformed_body, replaced, slow};
use super::draft::Draft;
use super::fields::Fields;

/// Names no function, because a mapping has one.
pub(super) const TOGGLE: &str = "toggle_event_source_mapping_state";
/// The defaults of chaosaws.
const SHARE: f64 = 90.0;
const LATENCY_SECONDS: f64 = 1.0;
const BODY: &str = r#"{"statusCode": 500, "body": "Greeting from Chaos Toolkit"}"#;

/// What an action is here.
pub(super) enum Meaning {
    /// A fault, as an experiment has it.
    Fault(Value),
    /// The undo of another action.
    Undoes(&'static str),
    /// Nothing, and why.
    Nothing(String),
}

/// Returns what an action is here. Takes the arguments that it reads.
pub(super) fn meaning(function: &str, field: &str, arguments: &mut Fields<'_>, draft: &mut Draft) -> Meaning {
    let fault = match function {
        "put_function_concurrency" => concurrency(arguments),
        "put_function_timeout" => timeout(arguments),
        "put_function_memory_size" => memory(arguments),
        TOGGLE => match arguments.flag("enabled") {
            Ok(Some(false)) => mapping(arguments),
            Ok(Some(true)) => return Meaning::Undoes(TOGGLE),
            Ok(None) => Err("it has no enabled".to_owned()),
            Err(why) => Err(why),
        },
        "add_layer" => layer(field, arguments, draft),
        "add_latency" => latency(field, arguments, draft),
        "add_error" => error(field, arguments, draft),
        "delete_function_concurrency" => return Meaning::Undoes("put_function_concurrency"),
        "remove_layer" => return Meaning::Undoes("add_layer"),
        "remove_latency" => return Meaning::Undoes("add_latency"),
        "remove_error" => return Meaning::Undoes("add_error"),
        "delete_event_source_mapping" => Err(format!("a deleted mapping cannot be restored; use {TOGGLE}")),
        "invoke_function" => Err("snapback sends no requests; keep sending them by other means".to_owned()),
        other => Err(format!("`{other}` is not an action on functions that is known here")),
    };
    fault.map_or_else(Meaning::Nothing, Meaning::Fault)
}

fn concurrency(arguments: &mut Fields<'_>) -> Result<Value, String> {
    let limit: Option<BoundedU32<0, 100_000>> = arguments.whole("concurrent_executions")?;
    let limit = limit.ok_or("it has no concurrent_executions")?;
    Ok(json!({ "reservedConcurrency": { "limit": limit } }))
}

fn timeout(arguments: &mut Fields<'_>) -> Result<Value, String> {
    let seconds: Option<BoundedU32<1, 900>> = arguments.whole("timeout")?;
    let seconds = seconds.ok_or("it has no timeout")?;
    Ok(json!({ "timeout": { "timeout": format!("PT{}S", seconds.get()) } }))
}

fn memory(arguments: &mut Fields<'_>) -> Result<Value, String> {
    let megabytes: Option<BoundedU32<128, 10_240>> = arguments.whole("memory_size")?;
    let megabytes = megabytes.ok_or("it has no memory_size")?;
    Ok(json!({ "memory": { "megabytes": megabytes } }))
}

fn mapping(arguments: &mut Fields<'_>) -> Result<Value, String> {
    let id = MappingId::try_from(arguments.text("event_uuid")?.ok_or("it has no event_uuid")?)?;
    Ok(json!({ "eventSourceMapping": { "disable": id } }))
}

fn layer(field: &str, arguments: &mut Fields<'_>, draft: &mut Draft) -> Result<Value, String> {
    let layer = LayerVersionArn::try_from(arguments.text("layer")?.ok_or("it has no layer")?)?;
    draft.note(field, "chaosaws replaces the function's layers; snapback appends this one to them");
    Ok(json!({ "layer": { "layers": [layer] } }))
}

fn latency(field: &str, arguments: &mut Fields<'_>, draft: &mut Draft) -> Result<Value, String> {
    let seconds = arguments.number("latency")?;
    if seconds.is_none() {
        draft.note(field, "it has no latency; chaosaws's default, 1 second, is used");
    }
    let seconds = seconds.unwrap_or(LATENCY_SECONDS);
    let delay: Milliseconds = super::fields::whole("latency in milliseconds", seconds * 1000.0)?;
    let share = probability(field, arguments, draft)?;
    note_extension(arguments, draft);
    invocation_fault(&slow(delay, share))
}

fn error(field: &str, arguments: &mut Fields<'_>, draft: &mut Draft) -> Result<Value, String> {
    let body = arguments.text("body")?;
    if body.is_none() {
        draft.note(field, "it has no body; chaosaws's default response is used");
    }
    let body = body.unwrap_or(BODY);
    let share = probability(field, arguments, draft)?;
    note_malformed_body(&arguments.at("body"), body, draft);
    note_extension(arguments, draft);
    invocation_fault(&replaced(body.to_owned(), share))
}

fn probability(field: &str, arguments: &mut Fields<'_>, draft: &mut Draft) -> Result<Percentage, String> {
    let share = arguments.share("probability")?;
    if share.is_none() {
        draft.note(field, "it has no probability; chaosaws's default, 0.9, is used");
    }
    Ok(share.or_else(|| Percentage::new(SHARE)).unwrap_or_default())
}

fn note_extension(arguments: &mut Fields<'_>, draft: &mut Draft) {
    if arguments.take("layer").is_some() {
        draft.left(&[arguments.at("layer")], "snapback adds its own layer instead of chaos-lambda-extension");
    }
}

fn invocation_fault(fault: &InvocationFault) -> Result<Value, String> {
    fault.check()?;
    serde_json::to_value(fault).map_err(|wrong| wrong.to_string())
}
