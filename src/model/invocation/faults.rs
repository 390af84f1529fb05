//! The faults inside invocations, with their settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::bounded::BoundedU32;

use super::condition::EventCondition;
use super::dependency::{Breakage, DependencyFault};
use super::percentage::Percentage;
use super::rule::{Milliseconds, Rule, invocation_fault};

/// Whether a fault takes effect before the handler runs, or after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Moment {
    /// Before the handler; an error or a response replaces its run.
    #[default]
    Before,
    /// After the handler, which has run with all its effects.
    After,
}

impl Moment {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

invocation_fault!(
    /// Delays an invocation, by `delayMs`, or by a random time from `minMs` to `maxMs`.
    LatencyFault {
        /// The delay in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delay_ms: Option<Milliseconds>,
        /// The shortest delay in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_ms: Option<Milliseconds>,
        /// The longest delay in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_ms: Option<Milliseconds>,
        /// Whether the event is delayed before the handler, or the result after it.
        #[serde(default, skip_serializing_if = "Moment::is_default")]
        when: Moment,
    }
);

invocation_fault!(
    /// Delays an invocation until shortly before its timeout.
    InvocationTimeoutFault {
        /// The milliseconds before the timeout at which the handler starts; default: 0, so that the invocation times
        /// out first.
        #[serde(default = "no_time")]
        buffer_ms: Milliseconds,
    }
);

invocation_fault!(
    /// Fails an invocation.
    ErrorFault {
        /// The error's type; default: `InjectedError`.
        #[serde(default = "injected_error", rename = "type")]
        error_type: String,
        /// The error's message.
        #[serde(default = "injected_message")]
        message: String,
        /// Whether the error replaces the handler's run, or its result.
        #[serde(default, skip_serializing_if = "Moment::is_default")]
        when: Moment,
    }
);

invocation_fault!(
    /// Replaces the handler's response, in the HTTP form that API Gateway, function URLs and load balancers expect, or
    /// raw.
    ResponseFault {
        /// The HTTP status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status_code: Option<BoundedU32<100, 599>>,
        /// HTTP headers.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        headers: BTreeMap<String, String>,
        /// The HTTP body.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<String>,
        /// The whole response as text, for callers that do not use HTTP. Excludes `statusCode`, `headers` and `body`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw: Option<String>,
        /// Whether the response replaces the handler's run, or the given parts replace those of the handler's own
        /// response.
        #[serde(default, skip_serializing_if = "Moment::is_default")]
        when: Moment,
    }
);

invocation_fault!(
    /// Damages the handler's response; of one in HTTP form, only the body.
    CorruptFault {
        /// Truncates the body to this many bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        truncate_bytes: Option<BoundedU32<0, 6_291_456>>,
        /// Replaces the body with this text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replace: Option<String>,
        /// Changes the values in the body and keeps its form.
        #[serde(default, skip_serializing_if = "is_false")]
        mangle: bool,
    }
);

invocation_fault!(
    /// Fills /tmp while an invocation runs.
    DiskFault {
        /// MB (2^20 bytes) to fill; less if /tmp has less room.
        megabytes: BoundedU32<1, 10_240>,
    }
);

invocation_fault!(
    /// Kills the runtime's process during an invocation.
    ExitFault {
        /// The milliseconds from the event to the kill; default: 0. A result that comes earlier is never sent.
        #[serde(default = "no_time")]
        delay_ms: Milliseconds,
    }
);

/// Delays or fails the initialization of an execution environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InitFault {
    /// The delay in milliseconds before the runtime starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<Milliseconds>,
    /// The error with which the initialization fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail: Option<Failure>,
    /// The percentage of initializations that have the fault; default: 100.
    #[serde(default, skip_serializing_if = "Percentage::is_all")]
    pub percentage: Percentage,
}

/// An error, as a runtime reports one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failure {
    /// The error's type; default: `InjectedError`.
    #[serde(default = "injected_error", rename = "type")]
    pub error_type: String,
    /// The error's message.
    #[serde(default = "injected_message")]
    pub message: String,
}

fn no_time() -> Milliseconds {
    Milliseconds::MIN
}

fn injected_error() -> String {
    "InjectedError".to_owned()
}

pub(super) fn injected_message() -> String {
    "snapback has injected this error".to_owned()
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// A fault that the proxy injects, by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InvocationFault {
    /// Delays an invocation.
    Latency(LatencyFault),
    /// Delays an invocation until shortly before its timeout.
    InvocationTimeout(InvocationTimeoutFault),
    /// Fails an invocation.
    Error(ErrorFault),
    /// Replaces the handler's response.
    Response(ResponseFault),
    /// Damages the handler's response.
    Corrupt(CorruptFault),
    /// Fills /tmp while an invocation runs.
    Disk(DiskFault),
    /// Delays or fails the initialization.
    Init(InitFault),
    /// Kills the runtime during an invocation.
    Exit(ExitFault),
    /// Breaks what the function depends on.
    Dependency(DependencyFault),
}

/// Implements the conversions of settings to faults.
macro_rules! from_settings {
    ($($variant:ident($settings:ident),)*) => {
        $(impl From<$settings> for InvocationFault {
            fn from(settings: $settings) -> Self {
                Self::$variant(settings)
            }
        })*
    };
}

from_settings!(
    Latency(LatencyFault),
    InvocationTimeout(InvocationTimeoutFault),
    Error(ErrorFault),
    Response(ResponseFault),
    Corrupt(CorruptFault),
    Disk(DiskFault),
    Init(InitFault),
    Exit(ExitFault),
    Dependency(DependencyFault),
);

/// How a response is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrupt<'a> {
    /// Truncates it to this many bytes.
    Truncate(usize),
    /// Replaces it with this text.
    Replace(&'a str),
    /// Changes its values and keeps its form.
    Mangle,
}

impl CorruptFault {
    /// Returns the kind of damage; `None` unless exactly one is set.
    #[must_use]
    pub fn how(&self) -> Option<Corrupt<'_>> {
        match (self.truncate_bytes, self.replace.as_deref(), self.mangle) {
            (Some(bytes), None, false) => Some(Corrupt::Truncate(bytes.get() as usize)),
            (None, Some(text), false) => Some(Corrupt::Replace(text)),
            (None, None, true) => Some(Corrupt::Mangle),
            _ => None,
        }
    }
}

impl LatencyFault {
    /// Returns the shortest and the longest delay; `None` unless exactly one form is set.
    #[must_use]
    pub fn range(&self) -> Option<(Milliseconds, Milliseconds)> {
        match (self.delay_ms, self.min_ms, self.max_ms) {
            (Some(delay), None, None) => Some((delay, delay)),
            (None, Some(min), Some(max)) if min <= max => Some((min, max)),
            _ => None,
        }
    }
}

impl InvocationFault {
    /// Returns its name in experiments and in the fault catalog.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Latency(_) => "latency",
            Self::InvocationTimeout(_) => "invocationTimeout",
            Self::Error(_) => "error",
            Self::Response(_) => "response",
            Self::Corrupt(_) => "corrupt",
            Self::Disk(_) => "disk",
            Self::Init(_) => "init",
            Self::Exit(_) => "exit",
            Self::Dependency(_) => "dependency",
        }
    }

    /// Returns which invocations trigger it.
    #[must_use]
    pub fn rule(&self) -> Rule<'_> {
        match self {
            Self::Latency(fault) => fault.rule(),
            Self::InvocationTimeout(fault) => fault.rule(),
            Self::Error(fault) => fault.rule(),
            Self::Response(fault) => fault.rule(),
            Self::Corrupt(fault) => fault.rule(),
            Self::Disk(fault) => fault.rule(),
            Self::Exit(fault) => fault.rule(),
            Self::Dependency(fault) => fault.rule(),
            Self::Init(fault) => Rule { percentage: fault.percentage, conditions: &[], qualifier: None },
        }
    }

    /// Whether all that it does is to wait for 0 ms: the proxy would count it, and nothing would be different.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        match self {
            Self::Latency(fault) => fault.range().is_some_and(|(_, most)| most == Milliseconds::MIN),
            Self::Init(fault) => fault.fail.is_none() && fault.delay_ms == Some(Milliseconds::MIN),
            Self::Dependency(fault) => {
                matches!(fault.breakage(), Some(Breakage::Latency(_, most)) if most == Milliseconds::MIN)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> InvocationFault {
        serde_json::from_str(text).unwrap_or_else(|error| unreachable!("{text}: {error}"))
    }

    #[test]
    fn only_a_wait_of_0_ms_changes_nothing() {
        for (text, expected) in [
            (r#"{"latency":{"delayMs":0}}"#, true),
            (r#"{"latency":{"minMs":0,"maxMs":0}}"#, true),
            (r#"{"init":{"delayMs":0}}"#, true),
            (r#"{"dependency":{"hosts":["a"],"latency":{"delayMs":0}}}"#, true),
            (r#"{"dependency":{"hosts":["a"],"latency":{"delayMs":1}}}"#, false),
            (r#"{"dependency":{"hosts":["a"],"reset":{}}}"#, false),
            (r#"{"latency":{"delayMs":1}}"#, false),
            (r#"{"latency":{"minMs":0,"maxMs":1}}"#, false),
            (r#"{"init":{"delayMs":0,"fail":{}}}"#, false),
            (r#"{"init":{"delayMs":1}}"#, false),
            (r#"{"exit":{"delayMs":0}}"#, false),
            (r#"{"invocationTimeout":{"bufferMs":0}}"#, false),
        ] {
            assert_eq!(read(text).changes_nothing(), expected, "{text}");
        }
    }

    #[test]
    fn texts_and_conditions_are_accepted_up_to_their_limits() {
        let error = |kind: usize, message: usize| {
            format!(r#"{{"error":{{"type":"{}","message":"{}"}}}}"#, "t".repeat(kind), "é".repeat(message))
        };
        let conditions = |count: usize| {
            let all = vec![r#"{"path":"a","exists":true}"#; count].join(",");
            format!(r#"{{"exit":{{"match":[{all}]}}}}"#)
        };
        for (text, expected) in [
            (error(1, 0), None),
            (error(128, 1024), None),
            (error(0, 0), Some("`type` is ``; write 1 to 128 ASCII characters")),
            (error(129, 0), Some("write 1 to 128 ASCII characters")),
            (error(1, 1025), Some("write up to 1024 characters")),
            (conditions(10), None),
            (conditions(11), Some("`match` has 11 conditions; write at most 10")),
        ] {
            let refusal = read(&text).check().err();
            assert_eq!(refusal.is_some(), expected.is_some(), "{text}: {refusal:?}");
            assert!(refusal.unwrap_or_default().contains(expected.unwrap_or_default()), "{text}");
        }
    }

    #[test]
    fn a_raw_response_excludes_the_other_forms() {
        for part in [r#""statusCode":503"#, r#""headers":{"a":"b"}"#, r#""body":"b""#] {
            let refusal = read(&format!(r#"{{"response":{{"raw":"r",{part}}}}}"#)).check();
            assert!(refusal.is_err_and(|why| why.contains("keep one form")), "{part}");
        }
        for response in [r#""raw":"r""#, r#""statusCode":503"#, r#""headers":{"a":"b"},"when":"after""#] {
            assert_eq!(read(&format!(r#"{{"response":{{{response}}}}}"#)).check(), Ok(()), "{response}");
        }
    }

    #[test]
    fn headers_are_those_that_http_allows() {
        let refusal = |name: &str, value: &str| {
            let fault = serde_json::json!({ "response": { "statusCode": 503, "headers": { name: value } } });
            read(&fault.to_string()).check().err()
        };
        for (name, value) in [("Retry-After", "1"), ("x!#$%&'*+-.^_`|~9", ""), ("a", "tab\tand é, \"quoted\"")] {
            assert_eq!(refusal(name, value), None, "{name}: {value}");
        }
        for name in ["", "a b", "a:", "a\r\nb", "é", "(a)", "a/b"] {
            let why = refusal(name, "v").unwrap_or_default();
            assert!(why.contains("which HTTP does not allow; write letters"), "{name}: {why}");
        }
        for value in ["a\r\nSet-Cookie: b", "a\n", "\0", "a\u{7f}", "\u{1b}[2J", "\u{85}"] {
            let why = refusal("X-Reason", value).unwrap_or_default();
            assert!(why.starts_with("`headers` has `") && why.contains("as the value of `X-Reason`"), "{why}");
            assert!(why.ends_with("; remove them"), "{why}");
        }
    }
}
