//! Reads the parameter of the Python package `chaos_lambda`: since 0.3 with one `fault_type`, before that with a
//! setting for each decorator.

use serde_json::Value;

use crate::model::input::InvalidInput;
use crate::model::invocation::{InvocationFault, LatencyFault, Moment, Percentage};

use super::draft::Draft;
use super::failure_lambda::{error_fault, response_fault};
use super::fields::{Fields, shown};

/// The settings, and the fault types that use them.
const SETTINGS: [(&str, &str); 3] =
    [("delay", "latency"), ("exception_msg", "exception"), ("error_code", "status_code")];

pub(super) fn recognizes(source: &Value) -> bool {
    let has = |key: &str| source.get(key).is_some();
    has("fault_type") || (has("is_enabled") || has("isEnabled")) && SETTINGS.iter().any(|(key, _)| has(key))
}

pub(super) fn read(source: &Value) -> Result<Draft, InvalidInput> {
    let mut draft = Draft::default();
    let mut fields = Fields::of("", source)?;
    let enabled = if fields.has("isEnabled") && !fields.has("is_enabled") { "isEnabled" } else { "is_enabled" };
    if fields.take(enabled) != Some(&Value::Bool(true)) {
        draft.lose(enabled, "it is not true; set it to true for the faults to import");
        return Ok(draft);
    }
    let wrong = |field: &str, problem: String| InvalidInput { field: field.to_owned(), problem };
    let rate = fields.share("rate").map_err(|problem| wrong("rate", problem))?;
    if rate.is_none() {
        draft.note("rate", "it is missing; 1 is used: all invocations");
    }
    let rate = rate.unwrap_or(Percentage::ALL);
    match fields.text("fault_type").map_err(|problem| wrong("fault_type", problem))? {
        Some(kind) => match SETTINGS.iter().find(|(_, used_by)| *used_by == kind) {
            Some((key, _)) => {
                let fault = match fields.has(key) {
                    true => fault(key, &mut fields, rate),
                    false => Err(format!("it has no {key}, which {kind} needs")),
                };
                draft.add(key, fault);
                let unused: Vec<String> = fields.keys().into_iter().map(|key| fields.at(key)).collect();
                draft.left(&unused, &format!("`fault_type` is {kind}, which does not use it"));
                return Ok(draft);
            }
            None => draft
                .lose("fault_type", &format!("{} is not one of latency, exception, status_code", shown(&kind.into()))),
        },
        None => {
            for (key, _) in SETTINGS {
                if fields.has(key) {
                    let fault = fault(key, &mut fields, rate);
                    draft.add(key, fault);
                }
            }
            draft.note(
                "faults",
                "the decorators in a function's code decide which of them it has (inject_delay, inject_exception, \
                 inject_statuscode), and their arguments; remove those that it does not have",
            );
        }
    }
    draft.left(&fields.rest(), "chaos_lambda has no such setting");
    Ok(draft)
}

fn fault(key: &str, fields: &mut Fields<'_>, percentage: Percentage) -> Result<InvocationFault, String> {
    let conditions = Vec::new();
    match key {
        "delay" => {
            let delay_ms = fields.whole(key)?;
            let (min_ms, max_ms, when, qualifier) = (None, None, Moment::Before, None);
            Ok(InvocationFault::Latency(LatencyFault {
                delay_ms,
                min_ms,
                max_ms,
                when,
                percentage,
                conditions,
                qualifier,
            }))
        }
        "exception_msg" => {
            let message = fields.text(key)?.unwrap_or_default();
            Ok(InvocationFault::Error(error_fault("Exception", message, percentage, conditions)))
        }
        // The handler has run, and the rest of its response stays.
        _ => Ok(InvocationFault::Response(response_fault(fields.whole(key)?, Moment::After, percentage, conditions))),
    }
}
