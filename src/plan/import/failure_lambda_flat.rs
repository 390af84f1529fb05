//! Reads the configuration of failure-lambda before 1.0: one failure mode for the whole function.

use serde_json::Value;

use crate::model::input::InvalidInput;
use crate::model::invocation::{DiskFault, InvocationFault, LatencyFault, Moment, Percentage};

use super::denylist::{self, Denial};
use super::draft::Draft;
use super::failure_lambda::{DISK, disk, error_fault, range, response_fault};
use super::fields::{Fields, shown};

/// The fields that no other tool has next to `isEnabled`.
const OWN: [&str; 6] = ["failureMode", "minLatency", "maxLatency", "exceptionMsg", "statusCode", "diskSpace"];

pub(super) fn recognizes(source: &Value) -> bool {
    source.get("isEnabled").is_some() && OWN.iter().any(|key| source.get(key).is_some())
}

pub(super) fn read(source: &Value) -> Result<Draft, InvalidInput> {
    let mut draft = Draft::default();
    let mut fields = Fields::of("", source)?;
    if fields.take("isEnabled") != Some(&Value::Bool(true)) {
        draft.lose("isEnabled", "it is not true; set it to true for the faults to import");
        return Ok(draft);
    }
    let mode = fields.text("failureMode").ok().flatten().unwrap_or_default();
    let fault = fault(mode, &mut fields, &mut draft);
    let lost = fault.is_err();
    draft.add("failureMode", fault);
    if !lost {
        draft.left(&fields.rest(), &format!("`failureMode` is {mode}, which does not use it"));
    }
    Ok(draft)
}

fn fault(mode: &str, fields: &mut Fields<'_>, draft: &mut Draft) -> Result<InvocationFault, String> {
    let percentage = fields.share("rate")?;
    if percentage.is_none() {
        draft.note("rate", "it is missing, and failure-lambda then injects nothing; 1 is used: all invocations");
    }
    let percentage = percentage.unwrap_or(Percentage::ALL);
    let (conditions, qualifier) = (Vec::new(), None);
    match mode {
        "latency" => {
            let (delay_ms, min_ms, max_ms) = range(fields.whole("minLatency")?, fields.whole("maxLatency")?);
            let when = Moment::Before;
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
        "exception" => {
            let message = fields.text("exceptionMsg")?.unwrap_or_default();
            Ok(InvocationFault::Error(error_fault("Error", message, percentage, conditions)))
        }
        "statuscode" => {
            let status = fields.whole("statusCode")?.ok_or("it has no statusCode")?;
            Ok(InvocationFault::Response(response_fault(Some(status), Moment::Before, percentage, conditions)))
        }
        "diskspace" => {
            draft.note("failureMode", DISK);
            let megabytes = disk("diskSpace", fields)?;
            Ok(InvocationFault::Disk(DiskFault { megabytes, percentage, conditions, qualifier }))
        }
        // The list was called `blacklist` before.
        "denylist" | "blacklist" => {
            let hosts = fields.take("denylist").or_else(|| fields.take("blacklist"));
            denylist::dependency(hosts, Denial::Closed, percentage, conditions)
        }
        other => Err(format!("{} is not a failure mode", shown(&other.into()))),
    }
}
