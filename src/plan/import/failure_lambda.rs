//! Reads the flags of failure-lambda (github.com/gunnargrosch/failure-lambda) since version 1.0: from a parameter, or
//! from `AppConfig`'s feature flags, as a function gets them and as their profile is stored.

use serde_json::Value;

use crate::model::bounded::BoundedU32;
use crate::model::input::InvalidInput;
use crate::model::invocation::{
    CorruptFault, DiskFault, ErrorFault, EventCondition, EventPath, InvocationFault, InvocationTimeoutFault,
    LatencyFault, Milliseconds, Moment, Operator, Percentage, ResponseFault,
};
use crate::model::problems::escape;

use super::denylist::{self, Denial};
use super::draft::Draft;
use super::fields::{Fields, shown};

/// The flags, in the order in which failure-lambda applies them.
const FLAGS: [&str; 7] = ["latency", "timeout", "diskspace", "denylist", "statuscode", "exception", "corruption"];

pub(super) const DISK: &str =
    "failure-lambda adds a file in each invocation and keeps it; snapback fills /tmp while an invocation runs";

pub(super) fn recognizes(source: &Value) -> bool {
    let flags = source.get("values").unwrap_or(source);
    FLAGS.iter().any(|name| flags.get(name).is_some_and(|flag| flag.get("enabled").is_some()))
}

pub(super) fn read(source: &Value) -> Result<Draft, InvalidInput> {
    let mut draft = Draft::default();
    let mut flags = Fields::of("", source)?;
    if let Some(values) = flags.object("values")? {
        // The stored profile: `flags` describes what `values` sets.
        draft.left(&flags.rest(), "`values` has the flags' settings");
        flags = values;
    }
    let mut disabled = Vec::new();
    for name in FLAGS {
        let field = flags.at(name);
        let Some(mut flag) = flags.object(name)? else { continue };
        match flag.take("enabled") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) => {
                disabled.push(field);
                continue;
            }
            _ => {
                draft.lose(&field, "its `enabled` is neither true nor false, so failure-lambda skips it, too");
                continue;
            }
        }
        let fault = fault(name, &field, &mut flag, &mut draft);
        if fault.is_ok() {
            draft.left(&flag.rest(), &format!("the fault for {name} has no such field"));
        }
        draft.add(&field, fault);
    }
    if !disabled.is_empty() {
        let why = "`enabled` is false; set it to true for the faults to import";
        draft.lose(&disabled.join(", "), why);
    }
    for field in flags.rest() {
        draft.left(&[field], "it is not a flag of failure-lambda");
    }
    Ok(draft)
}

/// What all flags have: the share of the invocations, and the conditions.
struct Rule {
    percentage: Percentage,
    conditions: Vec<EventCondition>,
}

fn fault(name: &str, field: &str, flag: &mut Fields<'_>, draft: &mut Draft) -> Result<InvocationFault, String> {
    // Before release 1.0, the share was called `rate`.
    let percentage = match flag.percent("percentage")? {
        Some(percentage) => percentage,
        None => flag.share("rate")?.unwrap_or(Percentage::ALL),
    };
    let conditions = match flag.take("match") {
        Some(conditions) => read_conditions(conditions)?,
        None => Vec::new(),
    };
    let rule = Rule { percentage, conditions };
    match name {
        "latency" => latency(field, flag, rule, draft),
        "timeout" => timeout(flag, rule),
        "diskspace" => diskspace(field, flag, rule, draft),
        "statuscode" => statuscode(field, flag, rule, draft),
        "exception" => exception(field, flag, rule, draft),
        "corruption" => corruption(field, flag, rule, draft),
        _ => denylist::dependency(flag.take("deny_list"), Denial::NotFound, rule.percentage, rule.conditions),
    }
}

fn latency(field: &str, flag: &mut Fields<'_>, rule: Rule, draft: &mut Draft) -> Result<InvocationFault, String> {
    let Rule { percentage, conditions } = rule;
    let (min, max) = (flag.whole("min_latency")?, flag.whole("max_latency")?);
    let (delay_ms, min_ms, max_ms) = range(min, max);
    if max.is_none() {
        draft.note(field, "it has no max_latency; min_latency, or 0, is the delay");
    }
    let (when, qualifier) = (Moment::Before, None);
    Ok(InvocationFault::Latency(LatencyFault { delay_ms, min_ms, max_ms, when, percentage, conditions, qualifier }))
}

fn timeout(flag: &mut Fields<'_>, rule: Rule) -> Result<InvocationFault, String> {
    let Rule { percentage, conditions } = rule;
    let buffer_ms = flag.whole("timeout_buffer_ms")?.unwrap_or(Milliseconds::MIN);
    let fault = InvocationTimeoutFault { buffer_ms, percentage, conditions, qualifier: None };
    Ok(InvocationFault::InvocationTimeout(fault))
}

fn diskspace(field: &str, flag: &mut Fields<'_>, rule: Rule, draft: &mut Draft) -> Result<InvocationFault, String> {
    let Rule { percentage, conditions } = rule;
    let megabytes = disk("disk_space", flag)?;
    draft.note(field, DISK);
    Ok(InvocationFault::Disk(DiskFault { megabytes, percentage, conditions, qualifier: None }))
}

fn statuscode(field: &str, flag: &mut Fields<'_>, rule: Rule, draft: &mut Draft) -> Result<InvocationFault, String> {
    let status_code = flag.whole::<100, 599>("status_code")?.or_else(|| BoundedU32::new(500));
    draft.note(field, "failure-lambda's layer adds a body; its package and snapback do not");
    let fault = response_fault(status_code, Moment::Before, rule.percentage, rule.conditions);
    Ok(InvocationFault::Response(fault))
}

fn exception(field: &str, flag: &mut Fields<'_>, rule: Rule, draft: &mut Draft) -> Result<InvocationFault, String> {
    let message = flag.text("exception_msg")?.unwrap_or("Injected exception");
    draft.note(
        field,
        "the error's type is Error, as with failure-lambda's npm package; its layer throws FailureLambdaException: set \
         `type` if callers check it",
    );
    Ok(InvocationFault::Error(error_fault("Error", message, rule.percentage, rule.conditions)))
}

fn corruption(field: &str, flag: &mut Fields<'_>, rule: Rule, draft: &mut Draft) -> Result<InvocationFault, String> {
    let Rule { percentage, conditions } = rule;
    let replace = flag.text("body")?.map(str::to_owned);
    let mangle = replace.is_none();
    if mangle {
        draft.note(field, "failure-lambda truncates a mangled body; snapback keeps its form and changes its values");
    }
    let (truncate_bytes, qualifier) = (None, None);
    Ok(InvocationFault::Corrupt(CorruptFault { truncate_bytes, replace, mangle, percentage, conditions, qualifier }))
}

/// One delay, or the two ends of a range. Without an upper end, failure-lambda waits for the lower one.
pub(super) fn range(
    min: Option<Milliseconds>,
    max: Option<Milliseconds>,
) -> (Option<Milliseconds>, Option<Milliseconds>, Option<Milliseconds>) {
    let low = min.unwrap_or(Milliseconds::MIN);
    match max {
        Some(max) if max != low => (None, Some(low), Some(max)),
        _ => (Some(low), None, None),
    }
}

pub(super) fn disk(key: &str, fields: &mut Fields<'_>) -> Result<BoundedU32<1, 10_240>, String> {
    fields.whole(key)?.or_else(|| BoundedU32::new(100)).ok_or_else(|| format!("it has no {key}"))
}

pub(super) fn response_fault(
    status_code: Option<BoundedU32<100, 599>>,
    when: Moment,
    percentage: Percentage,
    conditions: Vec<EventCondition>,
) -> ResponseFault {
    ResponseFault {
        status_code,
        headers: std::collections::BTreeMap::new(),
        body: None,
        raw: None,
        when,
        percentage,
        conditions,
        qualifier: None,
    }
}

pub(super) fn error_fault(
    error_type: &str,
    message: &str,
    percentage: Percentage,
    conditions: Vec<EventCondition>,
) -> ErrorFault {
    ErrorFault {
        error_type: error_type.to_owned(),
        message: message.to_owned(),
        when: Moment::Before,
        percentage,
        conditions,
        qualifier: None,
    }
}

/// Reads all conditions or none: a fault without one of its conditions would trigger too often.
fn read_conditions(conditions: &Value) -> Result<Vec<EventCondition>, String> {
    let list = conditions.as_array().ok_or("`match` is not a list")?;
    list.iter().enumerate().map(|(at, one)| read_condition(one).map_err(|why| format!("match[{at}]: {why}"))).collect()
}

fn read_condition(condition: &Value) -> Result<EventCondition, String> {
    let mut fields = Fields::of("", condition).map_err(|wrong| wrong.problem)?;
    let path = path(fields.text("path")?.ok_or("it has no path")?)?;
    let operator = fields.text("operator")?.unwrap_or("eq");
    let mut value =
        || fields.text("value").and_then(|value| value.ok_or_else(|| format!("{operator} needs a `value`")));
    let operator = match operator {
        "eq" => equals(value()?),
        "exists" => {
            fields.take("value");
            Operator::Exists(true)
        }
        "startsWith" => Operator::StartsWith(value()?.to_owned()),
        "regex" => {
            let written = serde_json::json!({ "path": "a", "regex": value()? });
            serde_json::from_value::<EventCondition>(written).map_err(|wrong| wrong.to_string())?.operator
        }
        other => return Err(format!("{} is not an operator", shown(&other.into()))),
    };
    match fields.rest().first() {
        Some(unknown) => Err(format!("`{unknown}` is not a known field")),
        None => Ok(EventCondition { path, operator }),
    }
}

/// failure-lambda compares values as text, so `200` also matches the number.
fn equals(text: &str) -> Operator {
    let is_written_so = |value: &Value| {
        let shown = value.to_string();
        (value.is_number() || value.is_boolean()) && shown == text
    };
    let scalar = serde_json::from_str(text).ok().filter(is_written_so);
    match scalar {
        Some(scalar) => Operator::In(vec![text.into(), scalar]),
        None => Operator::Equals(text.into()),
    }
}

/// Reads a path: names with dots between them, as in snapback. What snapback would read differently becomes a pointer.
fn path(text: &str) -> Result<EventPath, String> {
    let steps: Vec<&str> = text.split('.').collect();
    let is_same = |path: &EventPath| {
        path.steps().len() == steps.len()
            && path.steps().iter().zip(&steps).all(|(step, name)| step.eq_ignore_ascii_case(name))
    };
    let pointer = || steps.iter().map(|step| format!("/{}", escape(step))).collect::<String>();
    EventPath::try_from(text.to_owned()).ok().filter(is_same).map_or_else(|| EventPath::try_from(pointer()), Ok)
}
