//! Finds every error of an experiment, where [`read_experiment`] returns the first one.
//!
//! Each field and each entry of a list is read separately. Inside of it, a part that is wrong is taken out, a name
//! that is not known gets the one that was meant, and a field that is missing gets a value; then the rest is read again.
//! An error that follows from such a repair is not reported.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::actor::Actor;
use super::experiment::{Recovery, RunDuration, Seed, StartLimit, StopCondition, check_count, conflicts, twins};
use super::fault::Fault;
use super::input::{
    Cause, Explained, InvalidInput, LISTS, List, check_list, check_no_list, explain, field, is_of_variables, key,
    misshapen, read_experiment,
};
use super::names::ExperimentName;
use super::problems::{Problem, escape, unescape};
use super::repairs::{Repairs, pointer};
use super::steady_state::Condition;
use super::target::Target;
use super::text::{shorten, shorten_name};

/// The most errors that are shown. If there are more, no more of them are looked for inside of the fields.
pub const MAX_FINDINGS: usize = 100;

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
            let name = unescape(self.pointer.rsplit('/').next()?);
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
/// none for a valid one. If there are more than [`MAX_FINDINGS`], not every one is returned, but more than these are.
#[must_use]
pub fn find_errors(experiment: &Value) -> Vec<Finding> {
    let Err(first) = read_experiment(experiment) else { return Vec::new() };
    let whole = |error: InvalidInput| Finding { pointer: pointer_of(&error.field), error, is_about_name: false };
    if !experiment.is_object() {
        return vec![whole(first)];
    }
    let mut finder = Finder { repairs: Repairs::of(experiment), findings: Vec::new() };
    finder.names();
    finder.fields();
    // No error is ever kept back, even if the parts are valid each.
    if finder.findings.is_empty() {
        finder.findings.push(whole(first));
    }
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

struct Finder {
    repairs: Repairs,
    findings: Vec<Finding>,
}

impl Finder {
    /// Reports the unknown fields of the experiment itself, and gives them the names that were meant.
    fn names(&mut self) {
        let names: Vec<String> = self.repairs.value().as_object().into_iter().flat_map(Map::keys).cloned().collect();
        for name in names.into_iter().filter(|name| !FIELDS.contains(&name.as_str())) {
            let known = FIELDS.map(|field| format!("`{field}`")).join(", ");
            let message = format!("unknown field `{name}`, expected one of {known}");
            let explained = explain(self.repairs.value(), &[], &message);
            self.report(&explained);
            if let Cause::Unknown { name, meant } = &explained.cause {
                self.repairs.rename(&[], name, meant.as_deref());
            }
        }
    }

    fn fields(&mut self) {
        for field in FIELDS {
            let Some(value) = self.repairs.value().get(field) else {
                if REQUIRED.contains(&field) {
                    let message = format!("missing field `{field}`");
                    self.report(&explain(&Value::Null, &[], &message));
                }
                continue;
            };
            match field {
                "name" => drop(self.part::<ExperimentName>(&[key(field)])),
                "duration" => drop(self.part::<RunDuration>(&[key(field)])),
                "startWithin" if !value.is_null() => drop(self.part::<StartLimit>(&[key(field)])),
                "recovery" if !value.is_null() => drop(self.part::<Recovery>(&[key(field)])),
                "seed" if !value.is_null() => drop(self.part::<Seed>(&[key(field)])),
                "startedBy" if !value.is_null() => match check_no_list(field, value) {
                    Ok(()) => drop(self.part::<Actor>(&[key(field)])),
                    Err(error) => self.add(error),
                },
                "targets" => self.list::<Target>(field, |targets| twins("targets", targets)),
                "faults" => self.list::<Fault>(field, conflicts),
                "stopConditions" => self.list::<StopCondition>(field, |stops| twins("stopConditions", stops)),
                "steadyState" => self.list::<Condition>(field, |_| Vec::new()),
                _ => {}
            }
        }
    }

    /// Reads a list, each entry separately; then compares the entries that could be read.
    fn list<T: DeserializeOwned>(&mut self, field: &str, compare: impl Fn(&[(usize, &T)]) -> Vec<(usize, String)>) {
        let Some(list) = LISTS.into_iter().find(|list| list.name == field) else { return };
        let value = &self.repairs.value()[field];
        let Some(entries) = value.as_array() else {
            return match check_list(list, value) {
                Ok(()) => drop(self.part::<Vec<serde::de::IgnoredAny>>(&[key(field)])),
                Err(error) => self.add(error),
            };
        };
        let length = entries.len();
        if let Err(problem) = check_count(field, length) {
            self.push(&format!("/{field}"), InvalidInput::whole(problem));
        }
        let read: Vec<(usize, T)> = (0..length).filter_map(|at| Some((at, self.entry(list, at)?))).collect();
        let entries: Vec<(usize, &T)> = read.iter().map(|(at, entry)| (*at, entry)).collect();
        for (at, problem) in compare(&entries).into_iter().take(MAX_FINDINGS + 1) {
            self.push(&format!("/{field}/{at}"), InvalidInput::whole(problem));
        }
    }

    fn entry<T: DeserializeOwned>(&mut self, list: List, at: usize) -> Option<T> {
        let path = [key(list.name), Segment::Seq { index: at }];
        let wrong = misshapen(list, at, &self.repairs.value()[list.name][at]);
        for part in &wrong {
            self.push(&pointer(&part.path), part.error());
            // What is wrong as a whole has nothing to repair inside of it.
            if part.path.len() == path.len() {
                return None;
            }
        }
        // From the last one on, so that the numbers of the others in their lists stay.
        for part in wrong.iter().rev() {
            self.repairs.take_out(&part.path);
        }
        self.part(&path)
    }

    /// Reads the part of the experiment at a path until nothing more can be found in it; returns what is left.
    fn part<T: DeserializeOwned>(&mut self, path: &[Segment]) -> Option<T> {
        while self.findings.len() <= MAX_FINDINGS {
            let error = match self.repairs.read::<T>(path) {
                Ok(part) => return Some(part),
                Err(error) => error,
            };
            let explained = explain(self.repairs.value(), &error.path, &error.message);
            let written = pointer(&self.repairs.written(explained.place));
            match &explained.cause {
                Cause::Missing(name) => {
                    if !self.repairs.is_repaired(&format!("{written}/{}", escape(name))) {
                        self.report(&explained);
                    }
                    if !self.repairs.stand_in::<T>(path, explained.place, name) {
                        return None;
                    }
                    continue;
                }
                Cause::Value if self.repairs.is_repaired(&written) => return None,
                Cause::Whole(problems) => problems.iter().for_each(|problem| self.problem(&explained, problem)),
                Cause::Unknown { .. } | Cause::Value => self.report(&explained),
            }
            let is_repaired = match &explained.cause {
                Cause::Unknown { name, meant } => self.repairs.rename(explained.place, name, meant.as_deref()),
                _ => explained.place.len() > path.len() && self.repairs.take_out(explained.place),
            };
            if !is_repaired {
                return None;
            }
        }
        None
    }

    fn report(&mut self, explained: &Explained<'_>) {
        let place = self.repairs.written(explained.place);
        let (written, is_about_name) = match &explained.cause {
            Cause::Unknown { name, .. } => (format!("{}/{}", pointer(&place), escape(name)), true),
            _ => (pointer(&place), false),
        };
        let error = InvalidInput { field: field(&place), problem: explained.error.problem.clone() };
        self.findings.push(Finding { error, pointer: self.repairs.in_file(&written), is_about_name });
    }

    /// Reports a problem of an object, unless it follows from a repair.
    fn problem(&mut self, explained: &Explained<'_>, problem: &Problem) {
        let place = self.repairs.written(explained.place);
        let object = pointer(&place);
        if problem.absent.iter().any(|part| self.repairs.is_repaired(&format!("{object}/{part}"))) {
            return;
        }
        let at = self.repairs.inside(&object, &problem.at);
        self.push(&at, InvalidInput { field: field(&place), problem: problem.text.clone() });
    }

    fn add(&mut self, error: InvalidInput) {
        let written = pointer_of(&error.field);
        self.push(&written, error);
    }

    fn push(&mut self, written: &str, error: InvalidInput) {
        let pointer = self.repairs.in_file(written);
        self.findings.push(Finding { error, pointer, is_about_name: false });
    }
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
            found(&with(json!([{ "function": "no such" }]))).len(),
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
