//! What a schedule sends to Step Functions: the parameters of StartExecution, as a universal target of EventBridge
//! Scheduler takes them (scheduler/latest/UserGuide/managing-targets-universal).
//!
//! The templated target for Step Functions has no parameter for the execution's name. Here the name has the ID of the
//! start, so that a start that is delivered twice under one ID is one execution: Step Functions starts a name once
//! (step-functions/latest/apireference/API_StartExecution).

use serde_json::{Value, json};

use crate::model::actor::VIA_SCHEDULE;

use super::ScheduleName;

/// The most bytes of input for an execution (step-functions/latest/dg/service-quotas). The pages of EventBridge
/// Scheduler give no limit for a target's input.
const MAX_INPUT_BYTES: usize = 256 * 1024;
/// Room for what the scheduler puts in the place of its keywords: the longest ARN is the longest of them.
const KEYWORDS_BYTES: usize = 2048;

/// Replaced by the scheduler with the ID of the start (scheduler/latest/UserGuide/managing-schedule-context-attributes).
const START_ID: &str = "<aws.scheduler.execution-id>";
/// Replaced by the scheduler with the schedule's ARN.
const SCHEDULE_ARN: &str = "<aws.scheduler.schedule-arn>";

/// The start of one run by a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledStart {
    /// The ARN of the state machine.
    pub state_machine: String,
    /// The experiment, without `startedBy`.
    pub experiment: Value,
}

impl ScheduledStart {
    /// The target's input for the schedule of this name.
    ///
    /// # Errors
    /// If the experiment is too long.
    pub fn input(&self, schedule: &ScheduleName) -> Result<String, String> {
        // The experiment's own text must not have keywords. In JSON, < can only be inside a string.
        let fields = self.experiment.to_string().replace('<', "\\u003c");
        let fields = fields.strip_prefix('{').ok_or("is not an object; write an experiment")?;
        let started_by = json!({ "caller": SCHEDULE_ARN, "via": VIA_SCHEDULE });
        let input = format!("{{\"startedBy\":{started_by},{fields}");
        if input.len() > MAX_INPUT_BYTES - KEYWORDS_BYTES {
            return Err(format!(
                "has {} bytes as JSON, and a schedule takes at most {}; write a shorter experiment",
                input.len(),
                MAX_INPUT_BYTES - KEYWORDS_BYTES
            ));
        }
        let name = format!("{}{START_ID}", run_prefix(schedule));
        Ok(json!({ "StateMachineArn": self.state_machine, "Name": name, "Input": input }).to_string())
    }

    /// Reads a target's input; `None` if it is not one of snapback's.
    #[must_use]
    pub fn read(input: &str) -> Option<Self> {
        let parameters: Value = serde_json::from_str(input).ok()?;
        let mut experiment: Value = serde_json::from_str(parameters["Input"].as_str()?).ok()?;
        experiment.as_object_mut()?.remove("startedBy");
        Some(Self { state_machine: parameters["StateMachineArn"].as_str()?.to_owned(), experiment })
    }
}

/// The beginning of the names of all runs that a schedule has started.
#[must_use]
pub fn run_prefix(schedule: &ScheduleName) -> String {
    format!("{schedule}_")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(experiment: Value) -> ScheduledStart {
        ScheduledStart { state_machine: "arn:aws:states:eu-west-1:123456789012:stateMachine:m".into(), experiment }
    }

    fn nightly() -> ScheduleName {
        ScheduleName::try_from("nightly").unwrap_or_else(|wrong| unreachable!("{wrong}"))
    }

    #[test]
    fn a_start_names_its_run_and_who_starts_it() {
        let start = start(json!({ "name": "n", "faults": [] }));
        let input: Value = serde_json::from_str(&start.input(&nightly()).unwrap_or_default()).unwrap_or_default();
        assert_eq!(input["Name"], "nightly_<aws.scheduler.execution-id>");
        assert_eq!(input["StateMachineArn"], start.state_machine.as_str());
        let experiment: Value = serde_json::from_str(input["Input"].as_str().unwrap_or_default()).unwrap_or_default();
        let by = json!({ "caller": "<aws.scheduler.schedule-arn>", "via": "schedule" });
        assert_eq!(experiment, json!({ "name": "n", "faults": [], "startedBy": by }));
    }

    #[test]
    fn a_start_is_read_as_it_was_written() {
        let start = start(json!({ "name": "a \"startedBy\":null <b>", "tags": { "<": "\\u003c" } }));
        assert_eq!(ScheduledStart::read(&start.input(&nightly()).unwrap_or_default()), Some(start));
        for input in ["", "{}", r#"{"Input":"{}"}"#, r#"{"Input":"[]","StateMachineArn":"m"}"#] {
            assert_eq!(ScheduledStart::read(input), None, "{input}");
        }
    }

    #[test]
    fn an_experiment_keeps_the_schedulers_keywords_as_text() {
        let start = start(json!({ "name": "<aws.scheduler.execution-id>" }));
        let input = start.input(&nightly()).unwrap_or_default();
        assert_eq!(input.matches("<aws.scheduler.execution-id>").count(), 1, "{input}");
        assert_eq!(ScheduledStart::read(&input), Some(start));
    }

    #[test]
    fn an_experiment_that_is_too_long_is_refused() {
        let wrong = start(json!({ "name": "n".repeat(260_096) })).input(&nightly());
        let wrong = wrong.map_or_else(|wrong| wrong, |_| String::new());
        assert!(wrong.ends_with("and a schedule takes at most 260096; write a shorter experiment"), "{wrong}");
    }
}
