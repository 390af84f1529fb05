//! Reading an experiment: every refusal names the field, the value and the fix.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::experiment::Experiment;

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
    /// About the whole input.
    #[must_use]
    pub fn whole(problem: impl Into<String>) -> Self {
        Self { field: String::new(), problem: problem.into() }
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
    read(value)
}

/// Reads any input type out of JSON.
///
/// # Errors
/// One error that names the field, the value and the fix.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, InvalidInput> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        explain(field, &error.into_inner().to_string())
    })
}

/// serde says what it found and what it knows; this adds the nearest known name and where to go on.
fn explain(field: String, message: &str) -> InvalidInput {
    if message.starts_with("invalid type") {
        return InvalidInput { problem: wrong_type(&field, message), field };
    }
    if let Some(name) = message.strip_prefix("missing field ") {
        return InvalidInput { field, problem: format!("{name} is missing; add it") };
    }
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    let unknown = message.starts_with("unknown field") || message.starts_with("unknown variant");
    let (Some((name, known)), true) = (quoted.split_first(), unknown) else {
        return InvalidInput { field, problem: message.to_owned() };
    };
    let place = field.strip_suffix(name).map_or(&*field, |parent| parent.trim_end_matches('.')).to_owned();
    let advice = match nearest(name, known) {
        Some(best) => format!("did you mean `{best}`?"),
        None if known.is_empty() => "nothing may stand here".to_owned(),
        None => format!("write one of {}", known.join(", ")),
    };
    let what = if message.starts_with("unknown field") { "field" } else { "name" };
    InvalidInput { field: place, problem: format!("`{}` is not a known {what}; {advice}", super::time::shorten(name)) }
}

/// Names what stands there and what should, without Rust's names, and without anything that an environment holds.
fn wrong_type(field: &str, message: &str) -> String {
    let (found, expected) = message.trim_start_matches("invalid type: ").rsplit_once(", expected ").unwrap_or((message, ""));
    let hidden = ["environment", "set"].iter().any(|name| field.split('.').any(|part| part == *name));
    let found = if hidden { "this (hidden)".to_owned() } else { super::time::shorten(found) };
    let expected = match expected {
        "a map" => "an object",
        "a sequence" => "a list",
        other if other.starts_with("struct ") || other.contains("enum ") => "an object",
        other => other,
    };
    format!("{found} stands where {expected} is expected")
}

/// The known name that fewest edits make out of `name`, if they are few enough to be a slip.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    // A slip is short: what is much longer than any name is not one, and would cost time.
    if name.len() > 64 {
        return None;
    }
    let (distance, best) = known.iter().map(|&k| (distance(&name.to_lowercase(), &k.to_lowercase()), k)).min()?;
    (distance <= name.len().max(best.len()) / 3).then_some(best)
}

/// Levenshtein's distance, in bytes.
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

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a switch",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
