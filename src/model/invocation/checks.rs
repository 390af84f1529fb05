//! Checks of a fault inside invocations that no type makes: each error names the field, the value and the fix.

use crate::model::text::{is_qualifier, shorten};

use super::faults::{CorruptFault, InitFault, LatencyFault, Moment, ResponseFault, Rule};

/// The most conditions of a fault.
const MAX_CONDITIONS: usize = 10;
/// The most characters of an error's type.
const MAX_TYPE: usize = 128;
/// The most characters of an error's message.
const MAX_MESSAGE: usize = 1024;

pub(super) fn check_rule(rule: &Rule<'_>) -> Result<(), String> {
    if rule.conditions.len() > MAX_CONDITIONS {
        return Err(format!("`match` has {} conditions; write at most {MAX_CONDITIONS}", rule.conditions.len()));
    }
    match rule.qualifier {
        Some(name) if !is_qualifier(name) => Err(format!(
            "`qualifier` is `{}`, which is not an alias or a version; write an alias, a version number, or $LATEST",
            shorten(name)
        )),
        _ => Ok(()),
    }
}

pub(super) fn check_latency(fault: &LatencyFault) -> Result<(), String> {
    match (fault.range(), fault.min_ms, fault.max_ms) {
        (Some(_), _, _) => Ok(()),
        (None, Some(min), Some(max)) if fault.delay_ms.is_none() => {
            Err(format!("`minMs` is {} and `maxMs` {}; write the smaller one in `minMs`", min.get(), max.get()))
        }
        _ => Err("needs exactly one delay; write `delayMs`, or both `minMs` and `maxMs`".to_owned()),
    }
}

/// Checks the type of an error, which becomes the header `Lambda-Runtime-Function-Error-Type` and so has no white
/// space, and its message.
pub(super) fn check_failure(error_type: &str, message: &str) -> Result<(), String> {
    if error_type.is_empty() || error_type.len() > MAX_TYPE || !error_type.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(format!(
            "`type` is `{}`; write 1 to {MAX_TYPE} ASCII characters without white space, such as Service.Unavailable",
            shorten(error_type)
        ));
    }
    if message.chars().count() > MAX_MESSAGE {
        return Err(format!("`message` is too long (`{}`); write up to {MAX_MESSAGE} characters", shorten(message)));
    }
    Ok(())
}

pub(super) fn check_response(fault: &ResponseFault) -> Result<(), String> {
    let http = fault.status_code.is_some() || fault.body.is_some() || !fault.headers.is_empty();
    match (http, &fault.raw, fault.status_code, fault.when) {
        (true, Some(_), _, _) => {
            Err("has `raw` together with `statusCode`, `headers` or `body`; keep one form".to_owned())
        }
        (false, None, _, _) => {
            Err("has no response; write `statusCode`, with `headers` and `body`, or `raw`".to_owned())
        }
        (true, None, None, Moment::Before) => {
            Err("has no `statusCode`; add it, or write `when: after` to change the handler's own response".to_owned())
        }
        _ => Ok(()),
    }
}

pub(super) fn check_corrupt(fault: &CorruptFault) -> Result<(), String> {
    fault.how().map(|_| ()).ok_or_else(|| {
        "needs exactly one kind of damage; write `truncateBytes`, `replace`, or `mangle: true`".to_owned()
    })
}

pub(super) fn check_init(fault: &InitFault) -> Result<(), String> {
    match (&fault.fail, fault.delay_ms) {
        (None, None) => Err("changes nothing; write `delayMs`, `fail: {}`, or both".to_owned()),
        (Some(failure), _) => check_failure(&failure.error_type, &failure.message),
        (None, Some(_)) => Ok(()),
    }
}
