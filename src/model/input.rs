//! Reads experiments and payloads: every error names the field, the value and the fix.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::catalog::{FAULT_CATALOG, FaultInfo};
use super::experiment::Experiment;
use super::problems::{self, Problem};
use super::text::{shorten, shorten_name};

/// Input that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", prefix(.field))]
pub struct InvalidInput {
    /// The path of the field, such as `faults[0].handler.memory`; empty for the whole input.
    pub field: String,
    /// What is wrong with which value, and what to write instead.
    pub problem: String,
}

fn prefix(field: &str) -> String {
    if field.is_empty() { String::new() } else { format!("{field}: ") }
}

impl InvalidInput {
    /// An error about the whole input.
    #[must_use]
    pub fn whole(problem: impl Into<String>) -> Self {
        Self { field: String::new(), problem: problem.into() }
    }

    /// Returns what to write instead: the part of the problem after its last semicolon that is not in a quoted value.
    #[must_use]
    pub fn fix(&self) -> Option<&str> {
        let mut is_quoted = false;
        let mut fix = None;
        for (at, c) in self.problem.char_indices() {
            is_quoted ^= c == '`';
            if !is_quoted && self.problem[at..].starts_with("; ") {
                fix = Some(&self.problem[at + 2..]);
            }
        }
        fix
    }
}

/// Reads an experiment out of JSON.
///
/// # Errors
/// One error that names the field, the value and the fix.
pub fn read_experiment(value: &Value) -> Result<Experiment, InvalidInput> {
    if !value.is_object() {
        return Err(InvalidInput::whole(format!(
            "an experiment is an object with name, targets, faults and duration; this is {}",
            kind(value)
        )));
    }
    check_shape(value)?;
    read(value)
}

/// Checks what serde accepts or explains badly: it reads a list as an object, field by field in the order of our code,
/// and describes an entry of `faults` that does not name one fault in terms of Rust.
fn check_shape(value: &Value) -> Result<(), InvalidInput> {
    for list in LISTS {
        check_list(list, &value[list.name])?;
        for (at, entry) in value[list.name].as_array().into_iter().flatten().enumerate() {
            if let Some(wrong) = misshapen(list, at, entry).into_iter().next() {
                return Err(wrong.error());
            }
        }
    }
    check_no_list("startedBy", &value["startedBy"])
}

/// A list of an experiment.
#[derive(Clone, Copy)]
pub(super) struct List {
    pub(super) name: &'static str,
    /// An entry, to be written in the place of a text; `TEXT` is that text.
    entry: &'static str,
}

/// The lists of an experiment.
pub(super) const LISTS: [List; 4] = [
    List { name: "targets", entry: "function: TEXT" },
    List { name: "faults", entry: "TEXT: {...}" },
    List { name: "stopConditions", entry: "alarm: TEXT" },
    List { name: "steadyState", entry: "alarm: TEXT" },
];

/// Refuses a text where a list belongs, with the list to write.
pub(super) fn check_list(list: List, value: &Value) -> Result<(), InvalidInput> {
    match value.as_str().filter(|_| list.name != "faults") {
        Some(text) => {
            let entry = list.entry.replace("TEXT", &shorten(text));
            Err(InvalidInput {
                field: list.name.to_owned(),
                problem: wrong_type(value, false, &format!("a list: `[{{{entry}}}]`")),
            })
        }
        None => Ok(()),
    }
}

/// A part of an experiment that has the wrong shape.
pub(super) struct Misshapen {
    pub(super) path: Vec<Segment>,
    problem: String,
}

impl Misshapen {
    pub(super) fn error(&self) -> InvalidInput {
        InvalidInput { field: field(&self.path), problem: self.problem.clone() }
    }

    /// A list where an object belongs: serde would read it field by field, in the order of our code.
    fn list(path: &[Segment], value: &Value) -> Option<Self> {
        let problem = || wrong_type(value, false, "an object");
        value.is_array().then(|| Self { path: path.to_vec(), problem: problem() })
    }
}

/// Finds every wrong shape in an entry of a list, the outermost first.
pub(super) fn misshapen(list: List, at: usize, entry: &Value) -> Vec<Misshapen> {
    let path = vec![key(list.name), Segment::Seq { index: at }];
    if list.name == "faults" {
        return misshapen_fault(path, entry);
    }
    if let Some(text) = entry.as_str() {
        let fix = format!("`{}`", list.entry.replace("TEXT", &shorten(text)));
        return vec![Misshapen { path, problem: wrong_type(entry, false, &fix) }];
    }
    let metric = [path.clone(), vec![key("metric")]].concat();
    [Misshapen::list(&path, entry), Misshapen::list(&metric, &entry["metric"])].into_iter().flatten().collect()
}

fn misshapen_fault(path: Vec<Segment>, entry: &Value) -> Vec<Misshapen> {
    let problem = match entry.as_object().map(|fault| (fault, fault.len(), fault.iter().next())) {
        None => wrong_type(entry, false, "an object with one fault, such as {memory: {megabytes: 256}}"),
        Some((_, 1, Some((name, settings)))) => {
            return misshapen_settings(&[path, vec![key(name)]].concat(), name, settings);
        }
        Some((_, 0, _)) => "names no fault; write one, such as {memory: {megabytes: 256}}".to_owned(),
        Some((fault, ..)) => several_names(fault),
    };
    vec![Misshapen { path, problem }]
}

/// An entry of `faults` with several names: settings that are not indented under their fault, or several faults.
fn several_names(entry: &Map<String, Value>) -> String {
    let quote = |name: &str| format!("`{}`", shorten_name(name));
    let is_fault = |name: &str| fault_info(name).is_some();
    let (empty, others): (Vec<_>, Vec<_>) = entry.iter().partition(|(name, value)| is_fault(name) && value.is_null());
    let setting = others.iter().find(|(name, value)| !is_fault(name) || !value.is_object());
    if let ([(fault, _)], Some((setting, _))) = (&*empty, setting) {
        let (fault, setting) = (quote(fault), quote(setting));
        return format!("has {setting} next to {fault}, which is empty; indent {setting} further than {fault}");
    }
    let names: Vec<String> = entry.keys().take(5).map(|name| quote(name)).collect();
    format!("has more than one name ({}); write each fault as a separate entry", names.join(", "))
}

fn fault_info(name: &str) -> Option<&'static FaultInfo> {
    FAULT_CATALOG.iter().find(|info| info.name == name)
}

fn misshapen_settings(path: &[Segment], name: &str, settings: &Value) -> Vec<Misshapen> {
    if let Some(FaultInfo { name, example, .. }) = fault_info(name).filter(|_| !settings.is_object()) {
        let problem = match (settings, *example) {
            (Value::Null, "{}") => format!("it is null; write `{name}: {{}}`"),
            (Value::Null, _) => format!("it is null; write its settings, such as `{name}: {example}`"),
            _ => wrong_type(settings, *name == "environment", &format!("an object, such as {example}")),
        };
        return vec![Misshapen { path: path.to_vec(), problem }];
    }
    let within = |rest: &[Segment]| [path, rest].concat();
    let objects = ["fail", "exception", "latency", "response", "bandwidth", "reset"];
    let lists = objects.into_iter().filter_map(|object| Misshapen::list(&within(&[key(object)]), &settings[object]));
    let conditions = settings["match"].as_array().into_iter().flatten().enumerate();
    let conditions = conditions.filter(|(_, condition)| !condition.is_object()).map(|(index, condition)| Misshapen {
        path: within(&[key("match"), Segment::Seq { index }]),
        problem: wrong_type(condition, false, "an object with a path and one operator, such as {path: a.b, equals: x}"),
    });
    Misshapen::list(path, settings).into_iter().chain(lists).chain(conditions).collect()
}

/// Refuses a list where an object belongs: serde would read it field by field, in the order of our code.
///
/// # Errors
/// One error that names the field and the fix.
pub(crate) fn check_no_list(field: &str, entry: &Value) -> Result<(), InvalidInput> {
    match entry.is_array() {
        true => Err(InvalidInput { field: field.to_owned(), problem: wrong_type(entry, false, "an object") }),
        false => Ok(()),
    }
}

/// Reads any input type out of JSON.
///
/// # Errors
/// One error that names the field, the value and the fix.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, InvalidInput> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path: Vec<Segment> = error.path().iter().cloned().collect();
        explain(value, &path, &error.into_inner().to_string()).error
    })
}

/// An error, and what it is about.
pub(super) struct Explained<'p> {
    pub(super) error: InvalidInput,
    /// Where the error is: the field, or the object that lacks a field or has an unknown one.
    pub(super) place: &'p [Segment],
    pub(super) cause: Cause,
}

/// What an error is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// A name that is not known, and the known one that was meant.
    Unknown { name: String, meant: Option<String> },
    /// A field that is missing.
    Missing(String),
    /// A value.
    Value,
    /// An object as a whole.
    Whole(Vec<Problem>),
}

/// Turns a message of serde into an error that names the nearest known name or the fix.
pub(super) fn explain<'p>(value: &Value, path: &'p [Segment], message: &str) -> Explained<'p> {
    let field = field(path);
    let about = |problem: String, cause: Cause| Explained {
        error: InvalidInput { field: field.clone(), problem },
        place: path,
        cause,
    };
    if let Some((_, expected)) = message.strip_prefix("invalid type: ").and_then(|m| m.rsplit_once(", expected ")) {
        let expected = match expected {
            "a string" => "text",
            "a map" => "an object",
            "a sequence" => "a list",
            "f64" => "a number",
            "a boolean" => "true or false",
            // An enum of serde is the name of one of several settings.
            "string or map" => "one of its names",
            other if other.starts_with("struct ") || other.contains("enum ") => "an object",
            other => other,
        };
        return about(wrong_type(found(value, path), is_hidden(path), expected), Cause::Value);
    }
    if let Some(name) = message.strip_prefix("missing field ") {
        return about(format!("{name} is missing; add it"), Cause::Missing(name.trim_matches('`').to_owned()));
    }
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let (Some((name, known)), true) = (quoted.split_first(), unknown) else {
        let problems = problems::read(message);
        return match problems.first() {
            Some(first) => about(first.text.clone(), Cause::Whole(problems)),
            None => about(message.to_owned(), Cause::Value),
        };
    };
    // The path of an unknown name ends with the name itself; the place is the object around it.
    let place = match path.split_last() {
        Some((last, place)) if name_of(last) == Some(name) => place,
        _ => path,
    };
    let meant = nearest(name, known);
    let advice = match (meant, known) {
        (Some(best), _) => format!("did you mean `{best}`?"),
        (None, []) => "remove it; no field is allowed here".to_owned(),
        (None, [only]) => format!("write `{only}`"),
        (None, _) => format!("write one of {}", known.join(", ")),
    };
    let what = if message.starts_with("unknown field") { "field" } else { "name" };
    let problem = format!("`{}` is not a known {what}; {advice}", shorten_name(name));
    // The name of one of several settings, such as `before`.
    if found(value, place).is_string() {
        return Explained { error: InvalidInput { field: self::field(place), problem }, place, cause: Cause::Value };
    }
    Explained {
        error: InvalidInput { field: self::field(place), problem },
        place,
        cause: Cause::Unknown { name: (*name).to_owned(), meant: meant.map(str::to_owned) },
    }
}

pub(super) fn key(name: &str) -> Segment {
    Segment::Map { key: name.to_owned() }
}

/// Formats a path as a user would write it: `faults[0].handler.memory`.
pub(super) fn field(path: &[Segment]) -> String {
    let mut text = String::new();
    for (at, segment) in path.iter().enumerate() {
        match (segment, name_of(segment)) {
            (Segment::Seq { index }, _) => text.push_str(&format!("[{index}]")),
            (_, Some(name)) => {
                text.push_str(if text.is_empty() { "" } else { "." });
                text.push_str(&if is_hidden(&path[..at]) { shorten_name(name) } else { shorten(name) });
            }
            (_, None) => {}
        }
    }
    text
}

pub(super) fn name_of(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Map { key } | Segment::Enum { variant: key } => Some(key),
        Segment::Seq { .. } | Segment::Unknown => None,
    }
}

/// Whether the path leads into variables, where any value may be a secret.
fn is_hidden(path: &[Segment]) -> bool {
    path.iter().filter_map(name_of).any(is_of_variables)
}

/// Whether a part of a path leads into variables.
pub(super) fn is_of_variables(name: &str) -> bool {
    matches!(name, "environment" | "set" | "unset")
}

/// Finds the value at a path, or the nearest one around it.
fn found<'v>(value: &'v Value, path: &[Segment]) -> &'v Value {
    path.iter().fold(value, |value, segment| match segment {
        Segment::Seq { index } => value.get(index).unwrap_or(value),
        segment => name_of(segment).and_then(|name| value.get(name)).unwrap_or(value),
    })
}

/// Names the value and what is expected, without Rust's names, and without any value of an environment.
fn wrong_type(found: &Value, hidden: bool, expected: &str) -> String {
    let shown = match found {
        Value::Null | Value::Array(_) | Value::Object(_) => "it".to_owned(),
        _ if hidden => "the value (hidden)".to_owned(),
        Value::String(text) => format!("`{}`", shorten(text)),
        scalar => format!("`{}`", shorten(&scalar.to_string())),
    };
    let quotes = if expected == "text" && (found.is_number() || found.is_boolean()) { ", in quotes" } else { "" };
    format!("{shown} is {}; write {expected}{quotes}", kind(found))
}

/// Finds the known name with the fewest edits from `name`, if they are few enough to be a typo.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // A typo is short: a text much longer than any name is not one, and would cost time.
    if name.len() > 64 {
        return None;
    }
    let (distance, best) = known.iter().map(|&k| (distance(&name.to_lowercase(), &k.to_lowercase()), k)).min()?;
    (distance <= name.len().max(best.len()) / 3).then_some(best)
}

/// Computes Levenshtein's distance, in bytes.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

/// What kind of JSON value this is, for an error that must not quote it.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
