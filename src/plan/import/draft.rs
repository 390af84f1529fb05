//! An experiment in the making, and what there is to say about it.

use serde_json::{Value, json};

use crate::model::experiment::RunDuration;
use crate::model::input::{InvalidInput, read_experiment};
use crate::model::invocation::InvocationFault;
use crate::model::names::{AlarmName, FunctionName};

use super::{Format, Imported};

/// How long the faults stay where the tool does not say.
const DURATION: &str = "PT5M";

/// What has been carried over so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// The experiment's name, where the source has something like it.
    pub(super) name: Option<String>,
    /// As they are written in an experiment.
    pub(super) targets: Vec<Value>,
    pub(super) duration: Option<RunDuration>,
    pub(super) stop_conditions: Vec<AlarmName>,
    faults: Vec<InvocationFault>,
    notes: Vec<String>,
    /// Why something is no fault here: all there is to say if nothing else is one.
    lost: Vec<String>,
}

impl Draft {
    /// One line about a field.
    pub(super) fn note(&mut self, field: &str, text: impl AsRef<str>) {
        self.notes.push(line(field, text.as_ref()));
    }

    /// Fields that are not carried over, for one reason.
    pub(super) fn left(&mut self, fields: &[String], why: &str) {
        if !fields.is_empty() {
            self.notes.push(line(&fields.join(", "), &format!("not carried over: {why}")));
        }
    }

    /// Something that could have been a fault, and is none.
    pub(super) fn lose(&mut self, field: &str, why: &str) {
        let text = line(field, &format!("not carried over: {why}"));
        self.lost.push(text.clone());
        self.notes.push(text);
    }

    /// A fault; or why it is none.
    pub(super) fn add(&mut self, field: &str, fault: Result<InvocationFault, String>) {
        match fault.and_then(|fault| fault.check().map(|()| fault)) {
            Ok(fault) => self.faults.push(fault),
            Err(why) => self.lose(field, &why),
        }
    }

    /// The experiment, once snapback itself has read it.
    pub(super) fn finish(mut self, format: Format, functions: &[FunctionName]) -> Result<Imported, InvalidInput> {
        if self.faults.is_empty() {
            let why = if self.lost.is_empty() { "it names none".to_owned() } else { self.lost.join("; ") };
            return Err(InvalidInput::whole(format!("no fault comes of it: {why}")));
        }
        if !functions.is_empty() {
            if !self.targets.is_empty() {
                self.note("targets", "those of --function were taken, in the place of its own");
            }
            self.targets = functions.iter().map(|function| json!({ "function": function })).collect();
        }
        if self.targets.is_empty() {
            return Err(InvalidInput::whole(format!(
                "a configuration of {} names no function; name those to experiment on with --function NAME, once for each",
                format.tool()
            )));
        }
        let duration = self.duration.map_or_else(|| DURATION.to_owned(), |duration| duration.to_string());
        if self.duration.is_none() {
            // A template of FIS's has one as a rule; the other tools know no end.
            let whose = if format == Format::Fis { "this template" } else { format.tool() };
            self.note("duration", format!("{whose} has none; {DURATION} was taken"));
        }
        let mut experiment = json!({
            "name": self.name.unwrap_or_else(|| format!("imported from {}", format.tool())),
            "targets": self.targets,
            "faults": self.faults,
            "duration": duration,
        });
        if !self.stop_conditions.is_empty() {
            let alarms: Vec<Value> = self.stop_conditions.iter().map(|alarm| json!({ "alarm": alarm })).collect();
            experiment["stopConditions"] = alarms.into();
        }
        read_experiment(&experiment).map_err(|wrong| InvalidInput {
            field: wrong.field,
            problem: format!("{} (in the experiment that came of it)", wrong.problem),
        })?;
        Ok(Imported { experiment, notes: self.notes })
    }
}

fn line(field: &str, text: &str) -> String {
    if field.is_empty() { text.to_owned() } else { format!("{field}: {text}") }
}
