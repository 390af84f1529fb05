//! Finds every error of an experiment, where [`read_experiment`] returns the first one.
//!
//! Each field and each entry of a list is read separately. Inside of it, a field that is wrong is taken out, and a name
//! that is not known gets the one that was meant; then the rest is read again. An error that follows from such a repair
//! is not reported.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::actor::Actor;
use super::experiment::{Recovery, RunDuration, Seed, StartLimit, StopCondition, check_count};
use super::fault::Fault;
use super::input::{
    Cause, Explained, InvalidInput, LISTS, List, check_entry, check_list, check_no_list, explain, is_of_variables,
    name_of, read_experiment,
};
use super::names::ExperimentName;
use super::steady_state::Condition;
use super::target::Target;
use super::text::{shorten, shorten_name};

/// The most errors that are reported.
const MAX_FINDINGS: usize = 100;

/// One error of an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The error.
    pub error: InvalidInput,
    /// Where it is, as a JSON pointer (RFC 6901).
    pub pointer: String,
    /// Whether the error is about the name at this place, and not about the value.
    pub is_about_name: bool,
}

impl Finding {
    /// Returns the value that is wrong, or the name: a text is shortened, as in the message. `None` for what a message does
    /// not quote either: a whole object or list, something that is missing, and what may be the value of a variable.
    #[must_use]
    pub fn value(&self, experiment: &Value) -> Option<Value> {
        let segments = || self.pointer.split('/').skip(1);
        if self.is_about_name {
            let name = self.pointer.rsplit('/').next()?.replace("~1", "/").replace("~0", "~");
            return Some(Value::String(shorten_name(&name)));
        }
        if segments().any(is_of_variables) {
            return None;
        }
        match experiment.pointer(&self.pointer)? {
            Value::Array(_) | Value::Object(_) => None,
            Value::String(text) => Some(Value::String(shorten(text))),
            scalar => Some(scalar.clone()),
        }
    }

    /// Returns what to write instead, if the message has it.
    #[must_use]
    pub fn fix(&self) -> Option<&str> {
        self.error.fix()
    }
}

/// Returns every error of an experiment, in the order of the fields of [`Experiment`](super::experiment::Experiment);
/// none for a valid one.
#[must_use]
pub fn find_errors(experiment: &Value) -> Vec<Finding> {
    let Err(first) = read_experiment(experiment) else { return Vec::new() };
    let whole = |error: InvalidInput| Finding { pointer: pointer_of(&error.field), error, is_about_name: false };
    if !experiment.is_object() {
        return vec![whole(first)];
    }
    let mut finder = Finder { value: experiment.clone(), ..Finder::default() };
    finder.names();
    finder.fields();
    // What is wrong is only wrong together, such as two faults that claim one field.
    if finder.findings.is_empty() {
        finder.findings.push(whole(first));
    }
    finder.findings.truncate(MAX_FINDINGS);
    finder.findings
}

/// The fields of an experiment.
const FIELDS: [&str; 10] = [
    "name",
    "targets",
    "faults",
    "duration",
    "startWithin",
    "stopConditions",
    "steadyState",
    "recovery",
    "seed",
    "startedBy",
];
/// The fields that every experiment has.
const REQUIRED: [&str; 4] = ["name", "targets", "faults", "duration"];

#[derive(Default)]
struct Finder {
    /// The experiment, with the repairs so far.
    value: Value,
    /// The pointers that have changed by a repair: the new one and the one in the file.
    renamed: Vec<(String, String)>,
    findings: Vec<Finding>,
}

impl Finder {
    /// Reports the unknown fields of the experiment itself, and gives them the names that were meant.
    fn names(&mut self) {
        let names: Vec<String> = self.value.as_object().into_iter().flat_map(Map::keys).cloned().collect();
        for name in names.into_iter().filter(|name| !FIELDS.contains(&name.as_str())) {
            let known = FIELDS.map(|field| format!("`{field}`")).join(", ");
            let message = format!("unknown field `{name}`, expected one of {known}");
            let explained = explain(&self.value, &[], &message);
            self.report(&explained);
            self.repair(&explained);
        }
    }

    fn fields(&mut self) {
        for field in FIELDS {
            let Some(value) = self.value.get(field) else {
                if REQUIRED.contains(&field) {
                    let message = format!("missing field `{field}`");
                    self.report(&explain(&Value::Null, &[], &message));
                }
                continue;
            };
            match field {
                "name" => self.part::<ExperimentName>(&[key(field)]),
                "duration" => self.part::<RunDuration>(&[key(field)]),
                "startWithin" if !value.is_null() => self.part::<StartLimit>(&[key(field)]),
                "recovery" if !value.is_null() => self.part::<Recovery>(&[key(field)]),
                "seed" if !value.is_null() => self.part::<Seed>(&[key(field)]),
                "startedBy" if !value.is_null() => match check_no_list(field, value) {
                    Ok(()) => self.part::<Actor>(&[key(field)]),
                    Err(error) => self.add(error),
                },
                _ => self.list(field),
            }
        }
    }

    /// Reads a list, each entry separately.
    fn list(&mut self, field: &str) {
        let Some(list) = LISTS.into_iter().find(|list| list.name == field) else { return };
        let Some(entries) = self.value[field].as_array() else {
            return match check_list(list, &self.value[field]) {
                Ok(()) => self.part::<Vec<serde::de::IgnoredAny>>(&[key(field)]),
                Err(error) => self.add(error),
            };
        };
        let length = entries.len();
        if let Err(problem) = check_count(field, length) {
            let pointer = self.in_file(&format!("/{field}"));
            let error = InvalidInput::whole(problem);
            return self.findings.push(Finding { error, pointer, is_about_name: false });
        }
        for at in 0..length {
            self.entry(list, at);
        }
    }

    fn entry(&mut self, list: List, at: usize) {
        if let Err(error) = check_entry(list, at, &self.value[list.name][at]) {
            return self.add(error);
        }
        let path = [key(list.name), Segment::Seq { index: at }];
        match list.name {
            "targets" => self.part::<Target>(&path),
            "faults" => self.part::<Fault>(&path),
            "stopConditions" => self.part::<StopCondition>(&path),
            _ => self.part::<Condition>(&path),
        }
    }

    /// Reads the part of the experiment at a path until nothing more can be found in it.
    fn part<T: DeserializeOwned>(&mut self, path: &[Segment]) {
        let mut repaired: Vec<String> = Vec::new();
        while self.findings.len() < MAX_FINDINGS {
            let Some(part) = self.value.pointer(&pointer(path)) else { return };
            let Err(error) = serde_path_to_error::deserialize::<_, T>(part) else { return };
            let inside = error.path().iter().filter(|segment| !matches!(segment, Segment::Unknown)).cloned();
            let full: Vec<Segment> = path.iter().cloned().chain(inside).collect();
            let explained = explain(&self.value, &full, &error.into_inner().to_string());
            if is_follow_up(&explained, &repaired) {
                return;
            }
            self.report(&explained);
            // A part that is wrong as a whole has nothing to repair inside of it.
            if explained.cause == Cause::Value && explained.place.len() == path.len() {
                return;
            }
            match self.repair(&explained) {
                Some(pointer) => repaired.push(pointer),
                None => return,
            }
        }
    }

    fn report(&mut self, explained: &Explained<'_>) {
        let place = pointer(explained.place);
        let (pointer, is_about_name) = match &explained.cause {
            Cause::Unknown { name, .. } => (format!("{place}/{}", escape(name)), true),
            Cause::Missing(_) | Cause::Value => (place, false),
        };
        let pointer = self.in_file(&pointer);
        self.findings.push(Finding { error: explained.error.clone(), pointer, is_about_name });
    }

    fn add(&mut self, error: InvalidInput) {
        let pointer = self.in_file(&pointer_of(&error.field));
        self.findings.push(Finding { error, pointer, is_about_name: false });
    }

    /// Takes a wrong field out, or gives it the name that was meant; returns its pointer, or `None` if the part cannot
    /// be repaired.
    fn repair(&mut self, explained: &Explained<'_>) -> Option<String> {
        let (place, name, meant) = match &explained.cause {
            Cause::Unknown { name, meant } => (explained.place, name.clone(), meant.clone()),
            Cause::Missing(_) => return None,
            Cause::Value => {
                let (last, place) = explained.place.split_last()?;
                (place, name_of(last)?.to_owned(), None)
            }
        };
        let place = pointer(place);
        let fields = self.value.pointer_mut(&place)?.as_object_mut()?;
        let value = fields.remove(&name)?;
        let removed = format!("{place}/{}", escape(&name));
        if let Some(meant) = meant.filter(|meant| !fields.contains_key(meant)) {
            let renamed = format!("{place}/{}", escape(&meant));
            fields.insert(meant, value);
            self.renamed.push((renamed, self.in_file(&removed)));
        }
        Some(removed)
    }

    /// The pointer in the file for one in the repaired experiment.
    fn in_file(&self, pointer: &str) -> String {
        let renamed = self.renamed.iter().rev().find_map(|(new, old)| {
            let rest = pointer.strip_prefix(new.as_str())?;
            (rest.is_empty() || rest.starts_with('/')).then(|| format!("{old}{rest}"))
        });
        renamed.unwrap_or_else(|| pointer.to_owned())
    }
}

/// Whether an error follows from a repair: a field is missing that was taken out, or an object is wrong without it.
fn is_follow_up(explained: &Explained<'_>, repaired: &[String]) -> bool {
    let place = pointer(explained.place);
    match &explained.cause {
        Cause::Unknown { .. } => false,
        Cause::Missing(name) => repaired.contains(&format!("{place}/{}", escape(name))),
        Cause::Value => repaired.iter().any(|repaired| repaired.starts_with(&format!("{place}/"))),
    }
}

fn key(name: &str) -> Segment {
    Segment::Map { key: name.to_owned() }
}

fn pointer(path: &[Segment]) -> String {
    path.iter().fold(String::new(), |text, segment| match (segment, name_of(segment)) {
        (Segment::Seq { index }, _) => format!("{text}/{index}"),
        (_, Some(name)) => format!("{text}/{}", escape(name)),
        (_, None) => text,
    })
}

/// A name as a JSON pointer has it (RFC 6901, section 3).
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The pointer of a field such as `faults[0].latency`.
fn pointer_of(field: &str) -> String {
    let parts = field.split(['.', '[']).filter(|part| !part.is_empty());
    parts.map(|part| format!("/{}", part.trim_end_matches(']'))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(experiment: &Value) -> Vec<String> {
        let shown = |finding: &Finding| format!("{} {}", finding.pointer, finding.error);
        find_errors(experiment).iter().map(shown).collect()
    }

    #[test]
    fn every_error_is_found_with_its_place() {
        let experiment = json!({
            "name": "",
            "tragets": [{ "function": "f" }, "lab-checkout", { "functon": "g", "select": "SOME" }],
            "faults": [
                { "latncy": { "delyMs": -1, "percentage": 200 } },
                { "timeout": { "timeout": "PT1S", "a": 1, "b": 2 } },
                { "memory": {} }
            ],
            "durration": "5m",
            "seed": "x"
        });
        assert_eq!(
            found(&experiment),
            [
                "/durration `durration` is not a known field; did you mean `duration`?",
                "/tragets `tragets` is not a known field; did you mean `targets`?",
                "/name name: `` is not a name; write 1 to 128 printable characters",
                "/tragets/1 targets[1]: `lab-checkout` is text; write `function: lab-checkout`",
                "/tragets/2/functon targets[2]: `functon` is not a known field; did you mean `function`?",
                "/tragets/2/select targets[2].select: `SOME` is not a selection; write ALL, COUNT(1 to 1000) or PERCENT(1 to 100)",
                "/faults/0/latncy faults[0]: `latncy` is not a known name; did you mean `latency`?",
                "/faults/0/latncy/delyMs faults[0].latency: `delyMs` is not a known field; did you mean `delayMs`?",
                "/faults/0/latncy/delyMs faults[0].latency.delayMs: `-1` is out of range; write a whole number from 0 to 900000",
                "/faults/0/latncy/percentage faults[0].latency.percentage: `200` is out of range; write a percentage from 0 to 100",
                "/faults/1/timeout/a faults[1].timeout: `a` is not a known field; write `timeout`",
                "/faults/1/timeout/b faults[1].timeout: `b` is not a known field; write `timeout`",
                "/faults/2/memory faults[2].memory: `megabytes` is missing; add it",
                "/durration duration: `5m` is not a duration of hours, minutes and seconds; did you mean `PT5M`?",
                "/seed seed: `x` is text; write a whole number from 0 to 4294967295, without quotes",
            ]
        );
    }

    #[test]
    fn what_follows_from_a_repair_is_not_an_error() {
        let with =
            |targets: Value| json!({ "name": "n", "targets": targets, "faults": [{ "exit": {} }], "duration": "PT5S" });
        assert_eq!(
            found(&with(json!([{ "tags": { "a": 1 } }]))),
            ["/targets/0/tags/a targets[0].tags.a: `1` is a number; write text, in quotes"]
        );
        assert_eq!(
            found(&with(json!([{ "function": "no such", "tags": {} }]))).len(),
            1,
            "an object without its function is not reported"
        );
        assert_eq!(found(&json!({})).len(), REQUIRED.len());
        assert_eq!(found(&with(json!([{ "function": "f" }]))), Vec::<String>::new());
    }

    /// The types have the fields that are read here.
    #[test]
    fn every_field_of_an_experiment_is_read() {
        let wrong = read_experiment(&json!({ "?": 1 })).err().map(|wrong| wrong.problem).unwrap_or_default();
        assert_eq!(wrong, format!("`?` is not a known field; write one of {}", FIELDS.join(", ")));
    }
}
