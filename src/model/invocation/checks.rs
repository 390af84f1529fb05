//! Checks of a fault inside invocations that no type makes: each error names the field, the value and the fix.

use std::collections::BTreeMap;

use crate::model::problems::{Problems, escape};
use crate::model::text::{is_qualifier, shorten};

use super::faults::{CorruptFault, InitFault, InvocationFault, LatencyFault, Moment, ResponseFault};
use super::rule::Rule;

/// The most conditions of a fault.
const MAX_CONDITIONS: usize = 10;
/// The most characters of an error's type.
pub(super) const MAX_TYPE: usize = 128;
/// The most characters of an error's message.
const MAX_MESSAGE: usize = 1024;

impl InvocationFault {
    /// Checks what the types cannot express: which settings exclude each other, and the length of texts.
    ///
    /// # Errors
    /// The settings are invalid. The message names the setting, its value and the fix.
    pub fn check(&self) -> Result<(), String> {
        self.problems().first()
    }

    /// Returns everything that [`check`](Self::check) refuses.
    pub(crate) fn problems(&self) -> Problems {
        let mut problems = Problems::default();
        check_rule(&self.rule(), &mut problems);
        match self {
            Self::Latency(fault) => check_latency(fault, "", &mut problems),
            Self::Error(fault) => check_failure(&fault.error_type, &fault.message, "", &mut problems),
            Self::Response(fault) => check_response(fault, "", &mut problems),
            Self::Corrupt(fault) => check_corrupt(fault, &mut problems),
            Self::Init(fault) => check_init(fault, &mut problems),
            Self::Dependency(fault) => fault.check(&mut problems),
            Self::InvocationTimeout(_) | Self::Disk(_) | Self::Exit(_) => {}
        }
        problems
    }
}

pub(super) fn check_rule(rule: &Rule<'_>, problems: &mut Problems) {
    if rule.conditions.len() > MAX_CONDITIONS {
        let count = rule.conditions.len();
        problems.wrong("match", format!("`match` has {count} conditions; write at most {MAX_CONDITIONS}"));
    }
    if let Some(name) = rule.qualifier.filter(|name| !is_qualifier(name)) {
        problems.wrong(
            "qualifier",
            format!(
                "`qualifier` is `{}`, which is not an alias or a version; write an alias, a version number, or $LATEST",
                shorten(name)
            ),
        );
    }
}

/// Checks a delay, whose settings are in the object `within` of the fault, or in the fault itself.
pub(super) fn check_latency(fault: &LatencyFault, within: &str, problems: &mut Problems) {
    match (fault.range(), fault.min_ms, fault.max_ms) {
        (Some(_), _, _) => {}
        (None, Some(min), Some(max)) if fault.delay_ms.is_none() => problems.wrong(
            &format!("{within}minMs"),
            format!("`minMs` is {} and `maxMs` {}; write the smaller one in `minMs`", min.get(), max.get()),
        ),
        _ => {
            let parts = ["delayMs", "minMs", "maxMs"].map(|part| format!("{within}{part}"));
            let text = "needs exactly one delay; write `delayMs`, or both `minMs` and `maxMs`";
            problems.lacking(within.trim_end_matches('/'), &parts.each_ref().map(String::as_str), text);
        }
    }
}

/// Checks the type of an error, which becomes the header `Lambda-Runtime-Function-Error-Type` and so has no white
/// space, and its message.
fn check_failure(error_type: &str, message: &str, within: &str, problems: &mut Problems) {
    if error_type.is_empty() || error_type.len() > MAX_TYPE || !error_type.bytes().all(|b| b.is_ascii_graphic()) {
        let shown = shorten(error_type);
        let fix = format!("write 1 to {MAX_TYPE} ASCII characters without white space, such as Service.Unavailable");
        problems.wrong(&format!("{within}type"), format!("`type` is `{shown}`; {fix}"));
    }
    check_message(message, within, problems);
}

pub(super) fn check_message(message: &str, within: &str, problems: &mut Problems) {
    if message.chars().count() > MAX_MESSAGE {
        let shown = shorten(message);
        let text = format!("`message` is too long (`{shown}`); write up to {MAX_MESSAGE} characters");
        problems.wrong(&format!("{within}message"), text);
    }
}

/// Checks a response, whose settings are in the object `within` of the fault, or in the fault itself.
pub(super) fn check_response(fault: &ResponseFault, within: &str, problems: &mut Problems) {
    check_headers(&fault.headers, within, problems);
    let http = fault.status_code.is_some() || fault.body.is_some() || !fault.headers.is_empty();
    let parts = |names: &[&str]| names.iter().map(|name| format!("{within}{name}")).collect::<Vec<_>>();
    let mut lacking = |names: &[&str], text: &str| {
        let parts = parts(names);
        problems.lacking(within.trim_end_matches('/'), &parts.iter().map(String::as_str).collect::<Vec<_>>(), text);
    };
    match (http, &fault.raw, fault.status_code, fault.when) {
        (true, Some(_), _, _) => problems
            .wrong(&format!("{within}raw"), "has `raw` together with `statusCode`, `headers` or `body`; keep one form"),
        (false, None, _, _) => lacking(
            &["statusCode", "headers", "body", "raw"],
            "has no response; write `statusCode`, with `headers` and `body`, or `raw`",
        ),
        (true, None, None, Moment::Before) => lacking(
            &["statusCode"],
            "has no `statusCode`; add it, or write `when: after` to change the handler's own response",
        ),
        _ => {}
    }
}

/// Checks HTTP headers: a name is a token (RFC 9110, sections 5.1 and 5.6.2), and a value has no control character except
/// tabs (section 5.5). With a line break, whatever writes the response could end up with other headers, or another
/// response.
fn check_headers(headers: &BTreeMap<String, String>, within: &str, problems: &mut Problems) {
    let is_token = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    for (name, value) in headers {
        let (shown, at) = (shorten(name), format!("{within}headers/{}", escape(name)));
        if !is_token(name) {
            let text = format!(
                "`headers` has the name `{shown}`, which HTTP does not allow; write letters, digits and !#$%&'*+-.^_`|~, such \
                 as Retry-After"
            );
            problems.wrong(&at, text);
        }
        if value.contains(|c: char| c.is_control() && c != '\t') {
            let text = format!(
                "`headers` has `{}` as the value of `{shown}`; HTTP allows no line break and no other control character in \
                 it; remove them",
                shorten(value)
            );
            problems.wrong(&at, text);
        }
    }
}

fn check_corrupt(fault: &CorruptFault, problems: &mut Problems) {
    if fault.how().is_none() {
        let text = "needs exactly one kind of damage; write `truncateBytes`, `replace`, or `mangle: true`";
        problems.lacking("", &["truncateBytes", "replace", "mangle"], text);
    }
}

fn check_init(fault: &InitFault, problems: &mut Problems) {
    match (&fault.fail, fault.delay_ms) {
        (None, None) => {
            problems.lacking("", &["fail", "delayMs"], "changes nothing; write `delayMs`, `fail: {}`, or both");
        }
        (Some(failure), _) => check_failure(&failure.error_type, &failure.message, "fail/", problems),
        (None, Some(_)) => {}
    }
}
