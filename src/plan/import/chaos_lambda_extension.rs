//! Reads the variables of chaos-lambda-extension (github.com/aws-cli-tools/chaos-lambda-extension): as an object, as
//! lines `NAME=VALUE`, or in a function's configuration as Lambda gives it back.

use serde_json::{Map, Value, json};

use crate::model::bounded::BoundedU32;
use crate::model::input::InvalidInput;
use crate::model::invocation::{InvocationFault, LatencyFault, Milliseconds, Moment, Percentage, ResponseFault};
use crate::model::text::shorten;

use super::draft::Draft;
use super::fields::{Fields, SMALLEST_SHARE};

const PREFIX: &str = "CHAOS_EXTENSION__";
const LATENCY: &str = "CHAOS_EXTENSION__LAMBDA__ENABLE_LATENCY";
const LATENCY_SECONDS: &str = "CHAOS_EXTENSION__LAMBDA__LATENCY_VALUE";
const LATENCY_SHARE: &str = "CHAOS_EXTENSION__LAMBDA__LATENCY_PROBABILITY";
/// The spelling in the extension's code, and the one in its documentation.
const RESPONSE: [&str; 2] =
    ["CHAOS_EXTENSION__RESPONSE__ENABLE_CHANGE_REPONSE_BODY", "CHAOS_EXTENSION__RESPONSE__ENABLE_CHANGE_RESPONSE_BODY"];
const RESPONSE_TEXT: &str = "CHAOS_EXTENSION__RESPONSE__DEFAULT_RESPONSE";
const RESPONSE_SHARE: &str = "CHAOS_EXTENSION__RESPONSE__CHANGE_RESPONSE_PROBABILITY";
const ALL: [&str; 6] = [LATENCY, LATENCY_SECONDS, LATENCY_SHARE, RESPONSE[0], RESPONSE_TEXT, RESPONSE_SHARE];
const WRAPPER: &str = "AWS_LAMBDA_EXEC_WRAPPER";

/// The extension's defaults.
const SECONDS: u32 = 900;
const SHARE: f64 = 90.0;
const RESPONSE_DEFAULT: &str = r#"{"body":{"message":"hello, Chaos!!!"},"statusCode":500}"#;

/// Reads lines `NAME=VALUE`, as in a .env file; `None` where this is something else.
#[must_use]
pub fn variables(text: &str) -> Option<Value> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs: Option<Map<String, Value>> = lines
        .map(|line| {
            let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
            let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
            let quoted = |quote| value.strip_prefix(quote).and_then(|value: &str| value.strip_suffix(quote));
            let value = quoted('\'').or_else(|| quoted('"')).unwrap_or(value);
            (!name.is_empty() && name.bytes().all(is_name)).then(|| (name.to_owned(), value.into()))
        })
        .collect();
    pairs.filter(|pairs| !pairs.is_empty()).map(Value::Object)
}

pub(super) fn recognizes(source: &Value) -> bool {
    names(source).any(|name| name.starts_with(PREFIX))
}

/// The names of the variables, wherever they may be.
fn names(source: &Value) -> impl Iterator<Item = &String> {
    let places = ["", "/Variables", "/Environment/Variables", "/Configuration/Environment/Variables"];
    places.into_iter().filter_map(|place| source.pointer(place)?.as_object()).flat_map(Map::keys)
}

/// What to say where variables of the extension have another prefix, or none.
pub(super) fn misnamed(source: &Value) -> Option<String> {
    let last = |name: &str| name.rsplit("__").next().unwrap_or(name).to_owned();
    let is_close = |name: &&String| {
        let name = name.to_uppercase();
        ALL.iter().chain(&RESPONSE).any(|known| name.ends_with(&last(known)))
    };
    let seen: Vec<String> = names(source).filter(is_close).map(|name| shorten(name)).take(8).collect();
    (!seen.is_empty()).then(|| other_names(&seen))
}

fn other_names(seen: &[String]) -> String {
    format!(
        "no variable begins with {PREFIX}; it has {}; chaos-lambda-extension reads {}",
        seen.join(", "),
        ALL.join(", ")
    )
}

pub(super) fn read(source: &Value) -> Result<Draft, InvalidInput> {
    let mut draft = Draft::default();
    let mut fields = Fields::of("", source)?;
    let mut function = None;
    for step in ["Configuration", "Environment", "Variables"] {
        if let Some(inner) = fields.object(step)? {
            function = fields.text("FunctionName").ok().flatten().or(function);
            draft.left(&fields.rest(), "it is not a setting of the extension");
            fields = inner;
        }
    }
    if let Some(function) = function {
        draft.targets.push(json!({ "function": function }));
    }

    let seen: Vec<String> = fields.keys().into_iter().map(shorten).take(8).collect();
    if !seen.is_empty() && !fields.keys().iter().any(|name| name.starts_with(PREFIX)) {
        return Err(InvalidInput::whole(other_names(&seen)));
    }
    let set = [fields.has(LATENCY), RESPONSE.iter().any(|name| fields.has(name))];
    let (latency, response) = (is_on(&mut fields, LATENCY, &mut draft), read_switch(&mut fields, &mut draft));
    if latency {
        let share = share(&mut fields, LATENCY_SHARE, &mut draft);
        let fault = delay(&mut fields, &mut draft).and_then(|delay| Ok(slow(delay, share?)));
        draft.add(LATENCY, fault);
    }
    if response {
        let share = share(&mut fields, RESPONSE_SHARE, &mut draft);
        let text = fields.take(RESPONSE_TEXT).map(scalar);
        if text.is_none() {
            draft.note(RESPONSE_TEXT, "it is not set; the extension's default response is used");
        }
        let text = text.unwrap_or_else(|| RESPONSE_DEFAULT.to_owned());
        note_malformed_body(RESPONSE_TEXT, &text, &mut draft);
        draft.add(RESPONSE[0], share.map(|share| replaced(text, share)));
    }
    for (on, keys) in [(latency, [LATENCY_SHARE, LATENCY_SECONDS]), (response, [RESPONSE_SHARE, RESPONSE_TEXT])] {
        let unused: Vec<String> =
            keys.iter().filter(|key| !on && fields.take(key).is_some()).map(|key| (*key).to_owned()).collect();
        draft.left(&unused, "its fault is not enabled");
    }
    for (on, set, name) in [(latency, set[0], LATENCY), (response, set[1], RESPONSE[0])] {
        if !on && (set || !latency && !response) {
            draft.lose(name, "it is not true; set it to true for the faults to import");
        }
    }
    if fields.take(WRAPPER).is_some() {
        draft.note(
            WRAPPER,
            "remove the extension's layer and this variable from the function before a run, or both inject",
        );
    }
    draft.left(&fields.rest(), "it is not a setting of the extension");
    Ok(draft)
}

pub(super) fn slow(delay: Milliseconds, percentage: Percentage) -> InvocationFault {
    InvocationFault::Latency(LatencyFault {
        delay_ms: Some(delay),
        min_ms: None,
        max_ms: None,
        when: Moment::Before,
        percentage,
        conditions: Vec::new(),
        qualifier: None,
    })
}

/// The fault for a replaced response: the extension replaces the whole response, after the handler has run.
pub(super) fn replaced(text: String, percentage: Percentage) -> InvocationFault {
    InvocationFault::Response(ResponseFault {
        status_code: None,
        headers: std::collections::BTreeMap::new(),
        body: None,
        raw: Some(text),
        when: Moment::After,
        percentage,
        conditions: Vec::new(),
        qualifier: None,
    })
}

pub(super) fn note_malformed_body(field: &str, text: &str, draft: &mut Draft) {
    let body = serde_json::from_str::<Value>(text).ok().and_then(|response| response.get("body").cloned());
    if body.is_some_and(|body| !body.is_string()) {
        let text = "its `body` is not text, which API Gateway treats as a malformed response (502); imported unchanged, as `raw`";
        draft.note(field, text);
    }
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn is_on(fields: &mut Fields<'_>, name: &str, draft: &mut Draft) -> bool {
    let text = fields.take(name).map(|value| scalar(value).to_lowercase());
    if text.as_deref().is_some_and(|text| text != "true" && text != "false") {
        draft.note(name, "it is neither true nor false, which the extension treats as false");
    }
    text.as_deref() == Some("true")
}

/// Whether the response is replaced. Either spelling enables it; the documented one does not in every version.
fn read_switch(fields: &mut Fields<'_>, draft: &mut Draft) -> bool {
    let [code, documented] = RESPONSE;
    let (has_code, on) = (fields.has(code), is_on(fields, code, draft));
    let as_documented = is_on(fields, documented, draft);
    if has_code {
        if as_documented != on && as_documented {
            draft.left(&[documented.to_owned()], &format!("{code} has another value"));
        }
        return on;
    }
    if as_documented {
        draft.note(documented, format!("some versions of the extension read only {code}; it is used as that"));
    }
    as_documented
}

/// Reads a share as the extension does, which takes its default for what is not one. A share that is too small is one.
fn share(fields: &mut Fields<'_>, name: &str, draft: &mut Draft) -> Result<Percentage, String> {
    match fields.share(name) {
        Ok(Some(share)) => return Ok(share),
        Ok(None) => draft.note(name, "it is not set; the extension's default, 0.9, is used"),
        Err(why) if why.contains(SMALLEST_SHARE) => return Err(why),
        Err(why) => draft.note(name, format!("{why}; the extension's default, 0.9, is used")),
    }
    Ok(Percentage::new(SHARE).unwrap_or_default())
}

fn delay(fields: &mut Fields<'_>, draft: &mut Draft) -> Result<Milliseconds, String> {
    let seconds = fields.whole::<0, SECONDS>(LATENCY_SECONDS)?.map(BoundedU32::get);
    if seconds.is_none() {
        draft.note(LATENCY_SECONDS, "it is not set; the extension's default, 900 seconds, is used");
    }
    Milliseconds::new(seconds.unwrap_or(SECONDS) * 1000).ok_or_else(|| "it is too long".to_owned())
}
