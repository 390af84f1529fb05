//! Checks of a fault inside invocations that no type makes: each error names the field, the value and the fix.

use std::collections::BTreeMap;

use crate::model::text::{is_qualifier, shorten};

use super::faults::{CorruptFault, InitFault, InvocationFault, LatencyFault, Moment, ResponseFault};
use super::rule::Rule;

/// The most conditions of a fault.
const MAX_CONDITIONS: usize = 10;
/// The most characters of an error's type.
pub(super) const MAX_TYPE: usize = 128;
/// The most characters of an error's message.
pub(super) const MAX_MESSAGE: usize = 1024;

impl InvocationFault {
    /// Checks what the types cannot express: which settings exclude each other, and the length of texts.
    ///
    /// # Errors
    /// The settings are invalid. The message names the setting, its value and the fix.
    pub fn check(&self) -> Result<(), String> {
        check_rule(&self.rule())?;
        match self {
            Self::Latency(fault) => check_latency(fault),
            Self::Error(fault) => check_failure(&fault.error_type, &fault.message),
            Self::Response(fault) => check_response(fault),
            Self::Corrupt(fault) => check_corrupt(fault),
            Self::Init(fault) => check_init(fault),
            Self::Dependency(fault) => fault.check(),
            Self::InvocationTimeout(_) | Self::Disk(_) | Self::Exit(_) => Ok(()),
        }
    }
}

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
fn check_failure(error_type: &str, message: &str) -> Result<(), String> {
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
    check_headers(&fault.headers)?;
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

/// Checks HTTP headers: a name is a token (RFC 9110, sections 5.1 and 5.6.2), and a value has no control character except
/// tabs (section 5.5). With a line break, whatever writes the response could end up with other headers, or another
/// response.
fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), String> {
    let is_token = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    for (name, value) in headers {
        let shown = shorten(name);
        if !is_token(name) {
            return Err(format!(
                "`headers` has the name `{shown}`, which HTTP does not allow; write letters, digits and !#$%&'*+-.^_`|~, such \
                 as Retry-After"
            ));
        }
        if value.contains(|c: char| c.is_control() && c != '\t') {
            return Err(format!(
                "`headers` has `{}` as the value of `{shown}`; HTTP allows no line break and no other control character in \
                 it; remove them",
                shorten(value)
            ));
        }
    }
    Ok(())
}

fn check_corrupt(fault: &CorruptFault) -> Result<(), String> {
    fault.how().map(|_| ()).ok_or_else(|| {
        "needs exactly one kind of damage; write `truncateBytes`, `replace`, or `mangle: true`".to_owned()
    })
}

fn check_init(fault: &InitFault) -> Result<(), String> {
    match (&fault.fail, fault.delay_ms) {
        (None, None) => Err("changes nothing; write `delayMs`, `fail: {}`, or both".to_owned()),
        (Some(failure), _) => check_failure(&failure.error_type, &failure.message),
        (None, Some(_)) => Ok(()),
    }
}
