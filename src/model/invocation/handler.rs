//! The faults that the chaos handler injects, with their settings.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::problems::Problems;
use crate::model::text::shorten;

use super::checks::{MAX_TYPE, check_latency, check_message, check_response, check_rule};
use super::condition::{EventCondition, Operator};
use super::faults::{LatencyFault, Moment, ResponseFault, injected_message};
use super::pattern::check_portable;
use super::percentage::Percentage;
use super::rule::{Milliseconds, Rule, invocation_fault};

invocation_fault!(
    /// Raises an exception, in place of the handler or after it.
    ExceptionFault {
        /// The name of the exception's class; default: RuntimeError in Python, Error in Node.js.
        #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
        exception_type: Option<String>,
        /// The exception's message.
        #[serde(default = "injected_message")]
        message: String,
        /// Whether it is raised in place of the handler, or after it.
        #[serde(default, skip_serializing_if = "Moment::is_default")]
        when: Moment,
    }
);

/// A fault that the chaos handler injects, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HandlerOrder {
    /// Raises an exception.
    Exception(ExceptionFault),
    /// Delays an invocation.
    Latency(LatencyFault),
    /// Responds in place of the handler, or changes its response.
    Response(ResponseFault),
}

impl ExceptionFault {
    /// Returns the message of an exception for which none is given.
    #[must_use]
    pub fn default_message() -> String {
        injected_message()
    }
}

impl From<ExceptionFault> for HandlerOrder {
    fn from(fault: ExceptionFault) -> Self {
        Self::Exception(fault)
    }
}

impl From<LatencyFault> for HandlerOrder {
    fn from(fault: LatencyFault) -> Self {
        Self::Latency(fault)
    }
}

impl From<ResponseFault> for HandlerOrder {
    fn from(fault: ResponseFault) -> Self {
        Self::Response(fault)
    }
}

impl HandlerOrder {
    /// Returns its name, as the metrics have it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exception(_) => "exception",
            Self::Latency(_) => "latency",
            Self::Response(_) => "response",
        }
    }

    /// Returns which invocations trigger it.
    #[must_use]
    pub fn rule(&self) -> Rule<'_> {
        match self {
            Self::Exception(fault) => fault.rule(),
            Self::Latency(fault) => fault.rule(),
            Self::Response(fault) => fault.rule(),
        }
    }

    /// Returns when it takes effect.
    #[must_use]
    pub fn when(&self) -> Moment {
        match self {
            Self::Exception(fault) => fault.when,
            Self::Latency(fault) => fault.when,
            Self::Response(fault) => fault.when,
        }
    }

    /// Whether all that it does is to wait for 0 ms.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        matches!(self, Self::Latency(fault) if fault.range().is_some_and(|(_, most)| most == Milliseconds::MIN))
    }

    /// Checks what the types cannot express.
    ///
    /// # Errors
    /// The settings are invalid. The message names the setting, its value and the fix.
    pub fn check(&self) -> Result<(), String> {
        let mut problems = Problems::default();
        self.add_problems(&mut problems);
        problems.first()
    }

    /// Adds everything that [`check`](Self::check) refuses, with the places that the settings have in an experiment.
    pub(crate) fn add_problems(&self, problems: &mut Problems) {
        check_rule(&self.rule(), problems);
        for (at, condition) in self.rule().conditions.iter().enumerate() {
            problems.add(&format!("match/{at}"), check_condition(condition));
        }
        match self {
            Self::Exception(fault) => check_exception(fault, problems),
            Self::Latency(fault) => check_latency(fault, "latency/", problems),
            Self::Response(fault) => {
                check_response(fault, "response/", problems);
                problems.add("response/raw", check_raw(fault));
            }
        }
    }
}

/// The handler has the pattern compiled by its language, which can take any time to match it.
fn check_condition(condition: &EventCondition) -> Result<(), String> {
    match &condition.operator {
        Operator::Regex(regex) => check_portable(regex.as_str()),
        _ => Ok(()),
    }
}

/// Python's exceptions that are not errors: they leave a program, and `except Exception` does not catch them. The handler
/// raises only errors (docs.python.org/3/library/exceptions, "Exception hierarchy").
const NOT_ERRORS: [&str; 7] = [
    "BaseException",
    "BaseExceptionGroup",
    "GeneratorExit",
    "KeyboardInterrupt",
    "SystemExit",
    "asyncio.CancelledError",
    "asyncio.exceptions.CancelledError",
];

fn check_exception(fault: &ExceptionFault, problems: &mut Problems) {
    let is_plain = |name: &str| NOT_ERRORS.contains(&name.strip_prefix("builtins.").unwrap_or(name));
    match fault.exception_type.as_deref() {
        Some(name) if !is_class(name) => {
            let text = format!(
                "`type` is `{}`, which is not the name of a class; write a name such as ValueError or \
                 orders.errors.OutOfStock, of up to {MAX_TYPE} characters",
                shorten(name)
            );
            problems.wrong("exception/type", text);
        }
        Some(name) if is_plain(name) => {
            let text = format!(
                "`type` is `{name}`, which is not an error in Python, so the handler does not raise it; write the name of an \
                 error, such as RuntimeError, or use the `exit` fault to end the runtime"
            );
            problems.wrong("exception/type", text);
        }
        _ => {}
    }
    check_message(&fault.message, "exception/", problems);
}

fn is_class(name: &str) -> bool {
    let is_start = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '$';
    let is_name = |part: &str| part.starts_with(is_start) && part.chars().all(|c| is_start(c) || c.is_ascii_digit());
    name.len() <= MAX_TYPE && name.split('.').all(is_name)
}

/// The runtime writes what the handler returns as JSON, so it cannot respond with any other text.
fn check_raw(fault: &ResponseFault) -> Result<(), String> {
    match fault.raw.as_deref().map(serde_json::from_str::<Value>) {
        Some(Err(_)) => {
            Err("`raw` is not JSON, and a handler cannot respond with anything else; write JSON, or use the \
                             `response` fault of the proxy"
                .to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<(), String> {
        let order: HandlerOrder = serde_json::from_str(text).unwrap_or_else(|error| unreachable!("{text}: {error}"));
        order.check()
    }

    #[test]
    fn a_class_is_a_name_or_several_with_dots() {
        for name in ["ValueError", "orders.errors.OutOfStock", "_E1", "$Error"] {
            assert_eq!(check(&format!(r#"{{"exception":{{"type":"{name}"}}}}"#)), Ok(()), "{name}");
        }
        let long = "e".repeat(129);
        for name in ["", "1E", "a..b", ".a", "a b", "Ü", "a()", &long] {
            let refusal = check(&format!(r#"{{"exception":{{"type":"{name}"}}}}"#)).err().unwrap_or_default();
            assert!(refusal.contains("write a name such as ValueError"), "{name}: {refusal}");
        }
    }

    #[test]
    fn an_exception_that_is_not_an_error_is_refused() {
        for name in ["KeyboardInterrupt", "SystemExit", "builtins.SystemExit", "asyncio.CancelledError"] {
            let refusal = check(&format!(r#"{{"exception":{{"type":"{name}"}}}}"#)).err().unwrap_or_default();
            assert!(refusal.contains(&format!("`type` is `{name}`, which is not an error")), "{name}: {refusal}");
            assert!(refusal.contains("write the name of an error, such as RuntimeError"), "{name}: {refusal}");
        }
        assert_eq!(check(r#"{"exception":{"type":"orders.SystemExit"}}"#), Ok(()), "a class of the function");
    }

    #[test]
    fn a_response_has_headers_that_http_allows() {
        let split = r#"{"response":{"statusCode":200,"headers":{"a":"b\r\nc: d"}}}"#;
        assert!(check(split).is_err_and(|why| why.contains("as the value of `a`")), "{:?}", check(split));
    }

    #[test]
    fn a_raw_response_is_json() {
        assert_eq!(check(r#"{"response":{"raw":"[1]"}}"#), Ok(()));
        assert!(check(r#"{"response":{"raw":"plain"}}"#).is_err_and(|why| why.contains("use the `response` fault")));
    }

    #[test]
    fn only_a_wait_of_0_ms_changes_nothing() {
        for (text, expected) in [
            (r#"{"latency":{"minMs":0,"maxMs":0}}"#, true),
            (r#"{"latency":{"minMs":0,"maxMs":1}}"#, false),
            (r#"{"exception":{}}"#, false),
            (r#"{"response":{"raw":"1"}}"#, false),
        ] {
            let order: HandlerOrder = serde_json::from_str(text).unwrap_or_else(|error| unreachable!("{error}"));
            assert_eq!(order.changes_nothing(), expected, "{text}");
        }
    }
}
