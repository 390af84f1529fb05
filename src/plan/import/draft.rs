//! An experiment that is being imported, and the notes about it.

use serde_json::{Value, json};

use crate::model::experiment::RunDuration;
use crate::model::input::{InvalidInput, read_experiment};
use crate::model::invocation::InvocationFault;
use crate::model::names::{AlarmName, FunctionName};
use crate::model::text::is_control;

use super::{Format, Imported};

/// The longest name of an experiment.
const NAME_CHARACTERS: usize = 128;
/// How long the faults stay where the tool has no duration.
const DURATION: &str = "PT5M";

/// What has been imported so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The experiment's name, where the source has something like it.
    pub(super) name: Option<String>,
    /// The targets, as an experiment has them.
    pub(super) targets: Vec<Value>,
    pub(super) duration: Option<RunDuration>,
    pub(super) stop_conditions: Vec<AlarmName>,
    pub(super) steady_state: Vec<AlarmName>,
    faults: Vec<Value>,
    notes: Vec<String>,
    /// Why some settings are not faults here. They are the error if there is no fault at all.
    lost: Vec<String>,
}

impl Draft {
    /// Adds a note about a field.
    pub(super) fn note(&mut self, field: &str, text: impl AsRef<str>) {
        self.notes.push(line(field, text.as_ref()));
    }

    /// Notes fields that are not imported, all for one reason.
    pub(super) fn left(&mut self, fields: &[String], why: &str) {
        if !fields.is_empty() {
            self.notes.push(line(&fields.join(", "), &format!("not imported: {why}")));
        }
    }

    /// Notes a setting that could have been a fault and is not imported.
    pub(super) fn lose(&mut self, field: &str, why: &str) {
        let text = line(field, &format!("not imported: {why}"));
        self.lost.push(text.clone());
        self.notes.push(text);
    }

    /// Adds a fault; or notes why it is not imported.
    pub(super) fn add(&mut self, field: &str, fault: Result<InvocationFault, String>) {
        match fault.and_then(|fault| fault.check().map(|()| fault)) {
            Ok(fault) => self.faults.push(json!(fault)),
            Err(why) => self.lose(field, &why),
        }
    }

    /// Adds a fault, as an experiment has it.
    pub(super) fn push(&mut self, fault: Value) {
        self.faults.push(fault);
    }

    /// Builds the experiment, and checks that snapback itself can read it.
    pub(super) fn finish(mut self, format: Format, functions: &[FunctionName]) -> Result<Imported, InvalidInput> {
        if self.faults.is_empty() {
            let why = if self.lost.is_empty() { "it has no faults".to_owned() } else { self.lost.join("; ") };
            return Err(InvalidInput::whole(format!("nothing to import: {why}")));
        }
        if !functions.is_empty() {
            if !self.targets.is_empty() {
                self.note("targets", "those of --function replace its own");
            }
            self.targets = functions.iter().map(|function| json!({ "function": function })).collect();
        }
        if self.targets.is_empty() {
            return Err(InvalidInput::whole(format!(
                "a configuration of {} names no function; name the targets with --function NAME, once for each",
                format.tool()
            )));
        }
        let duration = self.duration.map_or_else(|| DURATION.to_owned(), |duration| duration.to_string());
        if self.duration.is_none() {
            // FIS templates usually have a duration; the other tools have none.
            let whose = if format == Format::Fis { "this template" } else { format.tool() };
            self.note("duration", format!("{whose} has none; {DURATION} is used"));
        }
        let mut experiment = json!({
            "name": self.name.unwrap_or_else(|| format!("imported from {}", format.tool())),
            "targets": self.targets,
            "faults": self.faults,
            "duration": duration,
        });
        for (key, alarms) in [("stopConditions", &self.stop_conditions), ("steadyState", &self.steady_state)] {
            if !alarms.is_empty() {
                experiment[key] = alarms.iter().map(|alarm| json!({ "alarm": alarm })).collect();
            }
        }
        read_experiment(&experiment).map_err(|wrong| InvalidInput {
            field: wrong.field,
            problem: format!("{} (in the imported experiment)", wrong.problem),
        })?;
        Ok(Imported { experiment, notes: self.notes })
    }
}

/// Makes an experiment's name from a text of the source.
pub(super) fn experiment_name(field: &str, text: &str, draft: &mut Draft) -> Option<String> {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let name: String = line.chars().filter(|c| !is_control(*c)).take(NAME_CHARACTERS).collect();
    if name.len() < line.len() {
        draft.note(field, format!("its first {NAME_CHARACTERS} characters are the experiment's name"));
    }
    Some(name).filter(|name| !name.is_empty())
}

fn line(field: &str, text: &str) -> String {
    if field.is_empty() { text.to_owned() } else { format!("{field}: {text}") }
}
