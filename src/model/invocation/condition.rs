//! Conditions on an event: a path and an operator.

use std::fmt;

use regex_lite::Regex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::problems::{Problems, unescape};
use crate::model::text::shorten;

/// The most steps of a path.
const MAX_STEPS: usize = 32;
/// The most bytes of a path or a pattern.
const MAX_BYTES: usize = 256;
/// The most values of an `in`.
const MAX_VALUES: usize = 64;

/// The most bytes of a compiled pattern. Matching takes time in proportion to them.
const MAX_COMPILED_BYTES: usize = 1 << 14;

/// A path to one place in the event, in one of two forms:
///
/// - Names and list positions, as in `requestContext.http.method` and `Records.0.eventSource`. A JSONPath (RFC 9535) is
///   accepted if it leads to one place: `$.Records[0].eventSource`, `$['headers']['x.debug']`; `$` alone is the whole
///   event.
/// - A JSON Pointer (RFC 6901), as in `/headers/x.debug`, for names with dots, brackets or other special characters.
///
/// Names of HTTP headers, which are those in `headers` and `multiValueHeaders`, match in any case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(with = "String"))]
#[serde(try_from = "String", into = "String")]
pub struct EventPath {
    text: String,
    steps: Vec<String>,
}

impl EventPath {
    /// Returns the names and positions from the outermost on, header names in lower case.
    #[must_use]
    pub fn steps(&self) -> &[String] {
        &self.steps
    }
}

impl TryFrom<String> for EventPath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let steps = match text.strip_prefix('/') {
            Some(pointer) => Some(pointer.split('/').map(unescape).collect::<Vec<_>>()),
            None => steps_of(&text),
        };
        match steps.filter(|steps| text.len() <= MAX_BYTES && steps.len() <= MAX_STEPS) {
            Some(steps) => Ok(Self { text, steps: with_lower_case_headers(steps) }),
            None => Err(format!(
                "`{}` is not a path to one place in the event; write names and list positions, such as \
                 requestContext.http.method or Records[0].eventSource, or a JSON Pointer, such as /headers/x.debug, of \
                 up to {MAX_BYTES} bytes",
                shorten(&text)
            )),
        }
    }
}

/// Returns the steps of a path that is not a JSON Pointer; `None` if it is invalid.
fn steps_of(text: &str) -> Option<Vec<String>> {
    let from_root = text.strip_prefix('$').filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    let mut steps = Vec::new();
    let mut rest = match from_root {
        Some(rest) => rest,
        None if text.starts_with('[') => text,
        None => {
            let (name, rest) = name(text)?;
            steps.push(name.to_owned());
            rest
        }
    };
    while !rest.is_empty() {
        let (step, after) = match rest.strip_prefix('.') {
            Some(rest) => name(rest)?,
            None => bracketed(rest.strip_prefix('[')?)?,
        };
        steps.push(step.to_owned());
        rest = after;
    }
    Some(steps)
}

/// Splits off a name up to the next dot or bracket. `*` is refused, because it means more than one place.
fn name(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_at(text.find(['.', '[']).unwrap_or(text.len()));
    (!name.is_empty() && name != "*" && !name.contains(']')).then_some((name, rest))
}

/// Splits off a list position or a quoted name in brackets, after the opening bracket.
fn bracketed(text: &str) -> Option<(&str, &str)> {
    for (mark, end) in [('\'', "']"), ('"', "\"]")] {
        if let Some(text) = text.strip_prefix(mark) {
            return text.split_once(end).filter(|(name, _)| !name.contains(['\\', mark]));
        }
    }
    let is_position = |text: &str| text == "0" || !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    text.split_once(']').filter(|(position, _)| !position.is_empty() && is_position(position))
}

/// Whether the member with this name holds HTTP headers, whose names match in any case (RFC 9110, section 5.1). REST
/// APIs pass them unchanged, HTTP APIs in lower case
/// (apigateway/latest/developerguide/http-api-develop-integrations-lambda).
#[must_use]
pub fn holds_headers(name: &str) -> bool {
    matches!(name, "headers" | "multiValueHeaders")
}

fn with_lower_case_headers(mut steps: Vec<String>) -> Vec<String> {
    for at in 1..steps.len() {
        if holds_headers(&steps[at - 1]) {
            steps[at].make_ascii_lowercase();
        }
    }
    steps
}

impl From<EventPath> for String {
    fn from(path: EventPath) -> String {
        path.text
    }
}

impl fmt::Display for EventPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A condition on the event: a path and one operator.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RawCondition", into = "RawCondition")]
pub struct EventCondition {
    /// The place in the event.
    pub path: EventPath,
    /// What must hold there.
    pub operator: Operator,
}

/// What must hold at a path.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Operator {
    /// The value equals this one: text, a number, true, false or null.
    Equals(Value),
    /// Whether there is a value other than null.
    Exists(bool),
    /// The text starts with this. A number, `true` or `false` is compared as written in the event.
    StartsWith(String),
    /// The pattern matches in the first 16 KB of the text. A number, `true` or `false` is matched as written in the
    /// event.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    Regex(Regex),
    /// The value equals one of these.
    In(Vec<Value>),
}

impl PartialEq for EventCondition {
    fn eq(&self, other: &Self) -> bool {
        RawCondition::from(self.clone()) == RawCondition::from(other.clone())
    }
}

impl Eq for EventCondition {}

/// A condition in the form of experiments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "EventCondition"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawCondition {
    /// The place in the event: `requestContext.http.method`, `Records[0].eventSource`, or a JSON Pointer.
    path: EventPath,
    /// The value equals this one: text, a number, true, false or null.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    equals: Option<Value>,
    /// Whether there is a value other than null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    exists: Option<bool>,
    /// The text starts with this. A number, `true` or `false` is compared as written in the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    starts_with: Option<String>,
    /// The pattern matches in the first 16 KB of the text. A number, `true` or `false` is matched as written in the
    /// event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    regex: Option<String>,
    /// The value equals one of these.
    #[serde(default, rename = "in", skip_serializing_if = "Option::is_none")]
    one_of: Option<Vec<Value>>,
}

/// Keeps `equals: null`, which is a condition and not an absent one.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

impl TryFrom<RawCondition> for EventCondition {
    type Error = Problems;

    fn try_from(raw: RawCondition) -> Result<Self, Problems> {
        let RawCondition { path, equals, exists, starts_with, regex, one_of } = raw;
        let operators = [
            ("equals", equals.map(|value| scalar(&value).map(|()| Operator::Equals(value)))),
            ("exists", exists.map(|exists| Ok(Operator::Exists(exists)))),
            ("startsWith", starts_with.map(|prefix| Ok(Operator::StartsWith(prefix)))),
            ("regex", regex.map(|pattern| compile(&pattern).map(Operator::Regex))),
            ("in", one_of.map(|values| check_values(&values).map(|()| Operator::In(values)))),
        ];
        let names = operators.each_ref().map(|(name, _)| *name);
        let given: Vec<_> =
            operators.into_iter().filter_map(|(name, operator)| operator.map(|read| (name, read))).collect();
        let mut problems = Problems::default();
        match &*given {
            [] => problems.lacking("", &names, format!("has no operator; write one of {}", names.join(", "))),
            [_] => {}
            [(one, _), (other, _), ..] => {
                problems.wrong(other, format!("has the operators `{one}` and `{other}`; keep one of them"));
            }
        }
        let mut first = None;
        for (name, operator) in given {
            match operator {
                Ok(operator) => first = first.or(Some(operator)),
                Err(why) => problems.wrong(name, why),
            }
        }
        match first {
            Some(operator) if problems.is_empty() => Ok(Self { path, operator }),
            _ => Err(problems),
        }
    }
}

impl From<EventCondition> for RawCondition {
    fn from(condition: EventCondition) -> Self {
        let empty =
            Self { path: condition.path, equals: None, exists: None, starts_with: None, regex: None, one_of: None };
        match condition.operator {
            Operator::Equals(value) => Self { equals: Some(value), ..empty },
            Operator::Exists(exists) => Self { exists: Some(exists), ..empty },
            Operator::StartsWith(prefix) => Self { starts_with: Some(prefix), ..empty },
            Operator::Regex(regex) => Self { regex: Some(regex.as_str().to_owned()), ..empty },
            Operator::In(values) => Self { one_of: Some(values), ..empty },
        }
    }
}

fn scalar(value: &Value) -> Result<(), String> {
    match value {
        Value::Array(_) | Value::Object(_) => {
            Err("a condition compares with text, a number, true, false or null; write one of these".to_owned())
        }
        _ => Ok(()),
    }
}

fn check_values(values: &[Value]) -> Result<(), String> {
    if values.is_empty() || values.len() > MAX_VALUES {
        return Err(format!("`in` has {} values; write 1 to {MAX_VALUES}", values.len()));
    }
    values.iter().try_for_each(scalar)
}

fn compile(pattern: &str) -> Result<Regex, String> {
    let shown = shorten(pattern);
    if pattern.len() > MAX_BYTES {
        return Err(format!("the pattern `{shown}` is too long; write up to {MAX_BYTES} bytes"));
    }
    // Repetitions can make a short pattern large, so the limit applies to the compiled one.
    let compiled = regex_lite::RegexBuilder::new(pattern).size_limit(MAX_COMPILED_BYTES).build();
    compiled.map_err(|error| match error.to_string() {
        too_large if too_large.contains("size limit") => {
            format!("the pattern `{shown}` has too many repetitions and would delay invocations; write smaller counts")
        }
        why => format!("the pattern `{shown}` cannot be used: {why}; correct it"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<EventCondition, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn each_operator_is_read_and_written() {
        for text in [
            r#"{"path":"a.b","equals":"x"}"#,
            r#"{"path":"a.b","equals":null}"#,
            r#"{"path":"/a/x.y","exists":false}"#,
            r#"{"path":"a.0.b","startsWith":"/api"}"#,
            r#"{"path":"a","regex":"^(GET|HEAD)$"}"#,
            r#"{"path":"a","in":[1,"two",true,null]}"#,
        ] {
            assert_eq!(read(text).map(|condition| serde_json::to_string(&condition).ok()), Ok(Some(text.into())));
        }
    }

    #[test]
    fn conditions_are_equal_if_all_their_parts_are() {
        let regex = r#"{"path":"a","regex":"x"}"#;
        assert_eq!(read(regex), read(regex));
        for other in [r#"{"path":"a","regex":"y"}"#, r#"{"path":"b","regex":"x"}"#, r#"{"path":"a","equals":"x"}"#] {
            assert_ne!(read(regex), read(other), "{other}");
        }
    }

    #[test]
    fn a_json_pointer_can_name_a_member_with_dots() {
        let path = EventPath::try_from("/headers/x.debug/a~1b~0".to_owned());
        assert_eq!(path.as_ref().map(EventPath::steps), Ok(&["headers".into(), "x.debug".into(), "a/b~".into()][..]));
    }

    #[test]
    fn a_path_to_one_place_is_read_in_every_common_form() {
        for (text, wanted) in [
            ("a", &["a"][..]),
            ("$", &[]),
            ("$.requestContext.http.method", &["requestContext", "http", "method"]),
            ("Records[0].eventSource", &["Records", "0", "eventSource"]),
            ("$.Records[10][2]", &["Records", "10", "2"]),
            ("[0].a", &["0", "a"]),
            ("$[0]", &["0"]),
            ("$['a.b'][\"c'd\"].e", &["a.b", "c'd", "e"]),
            ("$metadata.$", &["$metadata", "$"]),
            ("a.$.b", &["a", "$", "b"]),
            ("Records.00", &["Records", "00"]),
            ("headers.X-Debug.A", &["headers", "x-debug", "A"]),
            ("/a/multiValueHeaders/X", &["a", "multiValueHeaders", "x"]),
            ("Headers.X", &["Headers", "X"]),
        ] {
            let path = EventPath::try_from(text.to_owned()).unwrap_or_else(|why| unreachable!("{why}"));
            assert_eq!(
                (path.steps(), String::from(path.clone())),
                (&*wanted.iter().map(|step| (*step).to_owned()).collect::<Vec<_>>(), text.to_owned())
            );
            assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn a_path_to_no_place_or_to_several_is_refused() {
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "$..a",
            "$.",
            "$a[",
            "a[]",
            "a[*]",
            "a.*",
            "*",
            "a[-1]",
            "a[0:2]",
            "a[00]",
            "a[+0]",
            "a[0",
            "a[x]",
            "a['b]",
            "a['b\"]",
            "a['b'c]",
            "a[0]b",
            "a]",
            "$['b\\'c']",
            "a[?@.b]",
            "a['b','c']",
            "a['b']c",
        ] {
            let refusal = EventPath::try_from(text.to_owned()).err().unwrap_or_default();
            assert!(refusal.contains("Records[0].eventSource"), "{text}: {refusal}");
        }
    }

    #[test]
    fn a_path_has_up_to_32_steps_and_up_to_256_bytes() {
        let is_path = |text: String| EventPath::try_from(text).is_ok();
        assert_eq!([32, 33].map(|steps| is_path(vec!["a"; steps].join("."))), [true, false]);
        assert_eq!([256, 257].map(|bytes| is_path("a".repeat(bytes))), [true, false]);
    }

    #[test]
    fn a_pattern_and_a_list_have_their_stated_limits() {
        let pattern = |bytes| format!(r#"{{"path":"a","regex":"{}"}}"#, "a".repeat(bytes));
        let list = |values| format!(r#"{{"path":"a","in":[{}]}}"#, vec!["1"; values].join(","));
        for (most, more, expected) in [
            (pattern(256), pattern(257), "write up to 256 bytes"),
            (list(64), list(65), "`in` has 65 values; write 1 to 64"),
        ] {
            assert!(read(&most).is_ok(), "{most}");
            assert!(read(&more).is_err_and(|why| why.contains(expected)), "{more}");
        }
    }

    #[test]
    fn a_refusal_has_the_value_and_the_fix() {
        for (text, expected) in [
            (r#"{"path":"a"}"#, "has no operator; write one of equals,"),
            (r#"{"path":"a","equals":1,"exists":true}"#, "has the operators `equals` and `exists`; keep one of them"),
            (r#"{"path":"a..b","exists":true}"#, "`a..b` is not a path to one place"),
            (r#"{"path":"","exists":true}"#, "is not a path to one place"),
            (r#"{"path":"a","equals":{}}"#, "compares with text"),
            (r#"{"path":"a","in":[]}"#, "write 1 to 64"),
            (r#"{"path":"a","regex":"("}"#, "the pattern `(` cannot be used"),
            (r#"{"path":"a","regex":"((a{500}){500}){500}"}"#, "write smaller counts"),
            (r#"{"path":"a","like":"x"}"#, "unknown field `like`"),
        ] {
            let refusal = read(text).err().unwrap_or_default();
            assert!(refusal.contains(expected), "{text}: {refusal}");
        }
    }
}
