//! The faults inside invocations.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::bounded::BoundedU32;
use crate::model::text::{is_qualifier, shorten};

use super::condition::EventCondition;
use super::percentage::Percentage;

/// Milliseconds, up to a function's longest timeout of 15 minutes (lambda/latest/dg/configuration-timeout).
pub type Milliseconds = BoundedU32<0, 900_000>;

/// Conditions of one fault, at most.
const MAX_CONDITIONS: usize = 10;
/// Characters of an error's type.
const MAX_TYPE: usize = 128;
/// Characters of an error's message.
const MAX_MESSAGE: usize = 1024;

/// Whether something happens before the handler runs, or after.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Moment {
    /// Before the handler: an error or a response replaces its run.
    #[default]
    Before,
    /// After it: the handler has run, and done what it does.
    After,
}

impl Moment {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Declares the settings of a fault, with those that every fault has: when it is due.
macro_rules! invocation_fault {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* pub $field: $type,)*
            /// The share of the invocations, in percent; all of them if absent.
            #[serde(default, skip_serializing_if = "Percentage::is_all")]
            pub percentage: Percentage,
            /// Conditions on the event, all of which must hold.
            #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
            pub conditions: Vec<EventCondition>,
            /// Only invocations through this alias or version; `$LATEST` is those without one, too.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            pub qualifier: Option<String>,
        }

        impl $name {
            fn rule(&self) -> Rule<'_> {
                Rule { percentage: self.percentage, conditions: &self.conditions, qualifier: self.qualifier.as_deref() }
            }
        }
    };
}

/// When a fault is due.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// The share of the invocations.
    pub percentage: Percentage,
    /// Conditions on the event.
    pub conditions: &'a [EventCondition],
    /// The alias or version that must have been invoked.
    pub qualifier: Option<&'a str>,
}

invocation_fault!(
    /// Makes an invocation slower: by `delayMs`, or by something from `minMs` to `maxMs`.
    LatencyFault {
        /// Milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delay_ms: Option<Milliseconds>,
        /// Milliseconds, at least.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min_ms: Option<Milliseconds>,
        /// Milliseconds, at most.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_ms: Option<Milliseconds>,
        /// Whether the handler waits, or its answer does.
        #[serde(default, skip_serializing_if = "Moment::is_default")]
        when: Moment,
    }
);

invocation_fault!(
    /// Keeps an invocation from the handler until its own time is nearly up.
    InvocationTimeoutFault {
        /// Milliseconds that are left when the handler gets it; 0 if absent: it times out before that.
        #[serde(default = "no_time")]
        buffer_ms: Milliseconds,
    }
);

invocation_fault!(
    /// Lets an invocation fail.
    ErrorFault {
        /// The error's type; `InjectedError` if absent.
        #[serde(default = "injected_error", rename = "type")]
        error_type: String,
        /// The error's message.
        #[serde(default = "injected_message")]
        message: String,
        /// Whether the handler does not run, or has run.
        #[serde(default, skip_serializing_if = "Moment::is_default")]
        when: Moment,
    }
);

invocation_fault!(
    /// Answers in the handler's place, in the form that API Gateway, function URLs and load balancers take, or raw.
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
        /// The whole answer as it is, for whoever is no HTTP caller. Not together with the others.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw: Option<String>,
        /// Whether the handler does not run; or it has run, and what is given here replaces that part of its answer.
        #[serde(default, skip_serializing_if = "Moment::is_default")]
        when: Moment,
    }
);

invocation_fault!(
    /// Damages the handler's answer. Of an answer in the form that API Gateway takes, only the body.
    CorruptFault {
        /// Cuts the body off after so many bytes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        truncate_bytes: Option<BoundedU32<0, 6_291_456>>,
        /// Puts this in the body's place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replace: Option<String>,
        /// Keeps the form and changes the values.
        #[serde(default, skip_serializing_if = "is_false")]
        mangle: bool,
    }
);

invocation_fault!(
    /// Fills /tmp while an invocation runs.
    DiskFault {
        /// MB (2^20 bytes); as much as there is room for, where there is less.
        megabytes: BoundedU32<1, 10_240>,
    }
);

invocation_fault!(
    /// Kills the runtime's process in the middle of an invocation.
    ExitFault {
        /// Milliseconds after the handler got the event; the answer never gets out, however fast it is.
        #[serde(default = "no_time")]
        delay_ms: Milliseconds,
    }
);

/// Delays or fails the initialisation of an execution environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InitFault {
    /// Milliseconds before the runtime starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<Milliseconds>,
    /// The error that the initialisation ends with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail: Option<Failure>,
    /// The share of the initialisations, in percent; all of them if absent.
    #[serde(default, skip_serializing_if = "Percentage::is_all")]
    pub percentage: Percentage,
}

/// An error, as a runtime reports one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failure {
    /// The error's type; `InjectedError` if absent.
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

fn injected_message() -> String {
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
    /// Makes an invocation slower.
    Latency(LatencyFault),
    /// Keeps it until its time is nearly up.
    InvocationTimeout(InvocationTimeoutFault),
    /// Lets it fail.
    Error(ErrorFault),
    /// Answers in the handler's place.
    Response(ResponseFault),
    /// Damages the answer.
    Corrupt(CorruptFault),
    /// Fills /tmp.
    Disk(DiskFault),
    /// Delays or fails the initialisation.
    Init(InitFault),
    /// Kills the runtime.
    Exit(ExitFault),
}

/// Wraps the settings of one fault.
macro_rules! wraps {
    ($($variant:ident($settings:ident),)*) => {
        $(impl From<$settings> for InvocationFault {
            fn from(settings: $settings) -> Self {
                Self::$variant(settings)
            }
        })*
    };
}

wraps!(
    Latency(LatencyFault),
    InvocationTimeout(InvocationTimeoutFault),
    Error(ErrorFault),
    Response(ResponseFault),
    Corrupt(CorruptFault),
    Disk(DiskFault),
    Init(InitFault),
    Exit(ExitFault),
);

/// How an answer is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrupt<'a> {
    /// Cut off after so many bytes.
    Truncate(usize),
    /// Replaced.
    Replace(&'a str),
    /// Changed in its values.
    Mangle,
}

impl CorruptFault {
    /// What is to be done; `None` where not exactly one thing is said.
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
    /// The shortest and the longest delay in milliseconds; `None` where neither form is said.
    #[must_use]
    pub fn range(&self) -> Option<(u32, u32)> {
        match (self.delay_ms, self.min_ms, self.max_ms) {
            (Some(delay), None, None) => Some((delay.get(), delay.get())),
            (None, Some(min), Some(max)) if min <= max => Some((min.get(), max.get())),
            _ => None,
        }
    }
}

impl InvocationFault {
    /// Its name in an experiment and in the catalogue.
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
        }
    }

    /// When it is due.
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
            Self::Init(fault) => Rule { percentage: fault.percentage, conditions: &[], qualifier: None },
        }
    }

    /// For people: its name, and of how many invocations where it is not all of them.
    #[must_use]
    pub fn title(&self) -> String {
        match self.rule().percentage {
            all if all.is_all() => self.name().to_owned(),
            share => format!("{} {share} %", self.name()),
        }
    }

    /// What the types alone do not say: which settings go together, and how long a text may be.
    ///
    /// # Errors
    /// One sentence with the setting, its value and the fix.
    pub fn check(&self) -> Result<(), String> {
        check_rule(&self.rule())?;
        match self {
            Self::Latency(fault) => check_latency(fault),
            Self::Error(fault) => check_failure(&fault.error_type, &fault.message),
            Self::Response(fault) => check_response(fault),
            Self::Corrupt(fault) => check_corrupt(fault),
            Self::Init(fault) => check_init(fault),
            Self::InvocationTimeout(_) | Self::Disk(_) | Self::Exit(_) => Ok(()),
        }
    }
}

fn check_rule(rule: &Rule<'_>) -> Result<(), String> {
    if rule.conditions.len() > MAX_CONDITIONS {
        return Err(format!("`match` has {} conditions; write at most {MAX_CONDITIONS}", rule.conditions.len()));
    }
    match rule.qualifier {
        Some(name) if !is_qualifier(name) => Err(format!(
            "`qualifier` is `{}`, which is no alias or version; write its name, a version's number, or $LATEST",
            shorten(name)
        )),
        _ => Ok(()),
    }
}

fn check_latency(fault: &LatencyFault) -> Result<(), String> {
    match (fault.range(), fault.min_ms, fault.max_ms) {
        (Some(_), _, _) => Ok(()),
        (None, Some(min), Some(max)) if fault.delay_ms.is_none() => {
            Err(format!("`minMs` is {} and `maxMs` {}; write the smaller one in `minMs`", min.get(), max.get()))
        }
        _ => Err("does not say one delay; write `delayMs`, or both `minMs` and `maxMs`".to_owned()),
    }
}

/// The type becomes a header of the Runtime API (`Lambda-Runtime-Function-Error-Type`), which takes no white space.
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

fn check_response(fault: &ResponseFault) -> Result<(), String> {
    let http = fault.status_code.is_some() || fault.body.is_some() || !fault.headers.is_empty();
    match (http, &fault.raw, fault.status_code, fault.when) {
        (true, Some(_), _, _) => Err("has `raw` beside `statusCode`, `headers` or `body`; keep one form".to_owned()),
        (false, None, _, _) => {
            Err("says no answer; write `statusCode`, with `headers` and `body`, or `raw`".to_owned())
        }
        (true, None, None, Moment::Before) => {
            Err("has no `statusCode`; add it, or write `when: after` to change the handler's own answer".to_owned())
        }
        _ => Ok(()),
    }
}

fn check_corrupt(fault: &CorruptFault) -> Result<(), String> {
    fault.how().map(|_| ()).ok_or_else(|| {
        "does not say one kind of damage; write `truncateBytes`, `replace`, or `mangle: true`".to_owned()
    })
}

fn check_init(fault: &InitFault) -> Result<(), String> {
    match (&fault.fail, fault.delay_ms) {
        (None, None) => Err("changes nothing; write `delayMs`, `fail: {}`, or both".to_owned()),
        (Some(failure), _) => check_failure(&failure.error_type, &failure.message),
        (None, Some(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> InvocationFault {
        serde_json::from_str(text).unwrap_or_else(|error| unreachable!("{text}: {error}"))
    }

    #[test]
    fn a_title_says_the_share_where_it_is_not_all() {
        assert_eq!(read(r#"{"exit":{}}"#).title(), "exit");
        assert_eq!(read(r#"{"exit":{"percentage":12.5}}"#).title(), "exit 12.5 %");
    }

    #[test]
    fn what_is_as_long_as_it_may_be_is_taken_and_no_more() {
        let error = |kind: usize, message: usize| {
            format!(r#"{{"error":{{"type":"{}","message":"{}"}}}}"#, "t".repeat(kind), "é".repeat(message))
        };
        let conditions = |count: usize| {
            let all = vec![r#"{"path":"a","exists":true}"#; count].join(",");
            format!(r#"{{"exit":{{"match":[{all}]}}}}"#)
        };
        for (text, says) in [
            (error(1, 0), None),
            (error(128, 1024), None),
            (error(0, 0), Some("`type` is ``; write 1 to 128 ASCII characters")),
            (error(129, 0), Some("write 1 to 128 ASCII characters")),
            (error(1, 1025), Some("write up to 1024 characters")),
            (conditions(10), None),
            (conditions(11), Some("`match` has 11 conditions; write at most 10")),
        ] {
            let refusal = read(&text).check().err();
            assert_eq!(refusal.is_some(), says.is_some(), "{text}: {refusal:?}");
            assert!(refusal.unwrap_or_default().contains(says.unwrap_or_default()), "{text}");
        }
    }

    #[test]
    fn a_raw_answer_has_no_other_form_beside_it() {
        for part in [r#""statusCode":503"#, r#""headers":{"a":"b"}"#, r#""body":"b""#] {
            let refusal = read(&format!(r#"{{"response":{{"raw":"r",{part}}}}}"#)).check();
            assert!(refusal.is_err_and(|why| why.contains("keep one form")), "{part}");
        }
        for answer in [r#""raw":"r""#, r#""statusCode":503"#, r#""headers":{"a":"b"},"when":"after""#] {
            assert_eq!(read(&format!(r#"{{"response":{{{answer}}}}}"#)).check(), Ok(()), "{answer}");
        }
    }
}
