//! What `schedule list` and `schedule show` show of a schedule and of its starts.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aws::{ExecutionState, ListedExecution};
use crate::cli::output::Output;
use crate::cli::pen::Tone;
use crate::cli::stack::Stack;
use crate::model::names::RunId;
use crate::model::run::RunStatus;
use crate::model::schedule::{Schedule, ScheduleName, ScheduledStart, run_prefix};
use crate::plan::conclusion::{Conclusion, StartOutcome};
use crate::plan::rendering::{Outcome, report_view};
use crate::ports::World;
use crate::steps::error::{StepErrorKind, failure_message};
use crate::steps::retry::retry;
use crate::steps::run_targets::run_targets;

/// A schedule, as JSON output has it.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct ScheduleView {
    name: String,
    paused: bool,
    expression: String,
    time_zone: String,
    window_minutes: Option<u16>,
    /// RFC 3339, as every time in the output.
    begins_at: Option<String>,
    ends_at: Option<String>,
    /// The experiment's name; absent if the schedule starts something else.
    experiment: Option<String>,
    /// The latest starts, the newest first.
    pub(super) starts: Vec<StartView>,
}

/// A start of a schedule's experiment, and its result.
#[derive(Debug, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::cli) struct StartView {
    run: String,
    started_at: String,
    /// `running`, `refused`, `failed`, or the outcome of the run's report.
    result: String,
    /// The same for people.
    #[serde(skip)]
    phrase: String,
    /// Why it was refused or has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl ScheduleView {
    pub(super) fn of(schedule: &Schedule, starts: Vec<StartView>) -> Self {
        let experiment = ScheduledStart::read(&schedule.input).map(|start| start.experiment);
        Self {
            name: schedule.name.clone(),
            paused: schedule.is_paused,
            expression: schedule.expression.clone(),
            time_zone: schedule.time_zone.clone(),
            window_minutes: schedule.window_minutes,
            begins_at: schedule.begins_at.map(|time| time.to_string()),
            ends_at: schedule.ends_at.map(|time| time.to_string()),
            experiment: experiment.and_then(|experiment| experiment["name"].as_str().map(str::to_owned)),
            starts,
        }
    }

    pub(super) fn print(&self, output: &Output) {
        let state = if self.paused { output.paint(Tone::Warning, "paused") } else { output.paint(Tone::Good, "on") };
        output.print_line(&format!("{}: {state}; {}", self.name, self.when()));
        let experiment = self
            .experiment
            .as_deref()
            .map_or("not an experiment of snapback's".to_owned(), |name| format!("experiment {name}"));
        output.print_line(&format!("  {experiment}"));
        for start in &self.starts {
            start.print(output);
        }
    }

    /// When it starts, in one line.
    pub(super) fn when(&self) -> String {
        let mut when = format!("{} in {}", self.expression, self.time_zone);
        if let Some(minutes) = self.window_minutes {
            when.push_str(&format!(", within {minutes} min"));
        }
        for (word, time) in [("from", &self.begins_at), ("until", &self.ends_at)] {
            if let Some(time) = time {
                when.push_str(&format!(", {word} {time}"));
            }
        }
        when
    }
}

impl StartView {
    fn print(&self, output: &Output) {
        let tone = match self.result.as_str() {
            "held" | "noSteadyState" => Tone::Good,
            "running" => Tone::Faint,
            _ => Tone::Warning,
        };
        output.print_line(&format!(
            "  started at {}: {}; run {}",
            self.started_at,
            output.paint(tone, &self.phrase),
            self.run
        ));
        for line in self.reason.iter().flat_map(|reason| reason.lines()) {
            output.print_line(&format!("    {line}"));
        }
    }
}

/// Returns the latest starts by a schedule, at most `most`, the newest first.
pub(super) async fn starts(
    stack: &Stack,
    executions: &[ListedExecution],
    schedule: &str,
    most: usize,
) -> Result<Vec<StartView>, String> {
    let Ok(name) = ScheduleName::try_from(schedule) else { return Ok(Vec::new()) };
    let prefix = run_prefix(&name);
    let mut starts = Vec::new();
    for execution in executions.iter().filter(|execution| execution.name.starts_with(&prefix)).take(most) {
        let (state, output) = stack.world.execution_and_output(&execution.arn).await?;
        let (result, reason) = result(&state, &output);
        let phrase = match result.as_str() {
            "failed" => failure_phrase(&stack.world, &execution.name).await,
            _ => phrase(&result, &output),
        };
        let started_at = execution.started_at.to_string();
        starts.push(StartView { run: execution.name.clone(), started_at, result, phrase, reason });
    }
    Ok(starts)
}

/// Returns the phrase for the outcome of a report, or for a start that has no report.
fn phrase(result: &str, output: &str) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Report {
        outcome: Outcome,
        status: RunStatus,
        steady_state: Option<String>,
    }
    match serde_json::from_str(output) {
        Ok(Report { outcome, status, steady_state }) => {
            Conclusion::stated(outcome, status, steady_state.as_deref()).phrase().to_owned()
        }
        Err(_) => result.to_owned(),
    }
}

/// Returns the phrase for an execution that failed: only the ledger knows whether it left a run, and how it ended.
async fn failure_phrase(world: &impl World, run: &str) -> String {
    let Ok(id) = RunId::try_from(run.to_owned()) else { return "failed".to_owned() };
    let phrase = match retry(world, || world.run(&id)).await {
        Ok(None) => StartOutcome::FailedStart.phrase(),
        Ok(Some(run)) => match run_targets(world, &run).await {
            Ok(targets) => Conclusion::of(&report_view(&run, &targets)).phrase(),
            Err(_) => "failed",
        },
        // A user who may list executions may lack the right to read the ledger.
        Err(_) => "failed",
    };
    phrase.to_owned()
}

fn result(state: &ExecutionState, output: &str) -> (String, Option<String>) {
    match state {
        ExecutionState::Running => ("running".to_owned(), None),
        // The output is the report.
        ExecutionState::Succeeded => {
            let report: Value = serde_json::from_str(output).unwrap_or_default();
            (report["outcome"].as_str().unwrap_or("ended").to_owned(), None)
        }
        ExecutionState::Failed { error, cause } => {
            let is_refused = StepErrorKind::from_name(error) == Some(StepErrorKind::Refused);
            let cause = failure_message(cause);
            let reason = if cause.is_empty() || is_refused { cause } else { format!("{error}: {cause}") };
            let result = if is_refused { "refused" } else { "failed" };
            (result.to_owned(), Some(reason).filter(|reason| !reason.is_empty()))
        }
        ExecutionState::Interrupted(why) => ("failed".to_owned(), Some(why.clone())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::execution::Machine;
    use crate::testing::samples::{experiment, faults, world};

    #[test]
    fn a_start_shows_its_result() {
        let failed = |error: &str, cause: &str| ExecutionState::Failed { error: error.into(), cause: cause.into() };
        for (state, output, expected) in [
            (ExecutionState::Running, "", ("running", None)),
            (ExecutionState::Succeeded, r#"{"outcome":"held"}"#, ("held", None)),
            (ExecutionState::Succeeded, "", ("ended", None)),
            (failed("Refused", r#"{"errorType":"Refused","errorMessage":"a: why"}"#), "", ("refused", Some("a: why"))),
            (failed("Locked", "a is locked"), "", ("failed", Some("Locked: a is locked"))),
            (failed("Failed", ""), "", ("failed", None)),
            (ExecutionState::Interrupted("it was stopped".into()), "", ("failed", Some("it was stopped"))),
        ] {
            let (result, reason) = result(&state, output);
            assert_eq!((result.as_str(), reason.as_deref()), expected);
        }
    }

    #[test]
    fn a_start_is_worded_as_the_report_of_its_run() {
        let report = |outcome: &str, status: &str, steady_state: Option<&str>| {
            json!({ "outcome": outcome, "status": status, "steadyState": steady_state }).to_string()
        };
        for (output, expected) in [
            (report("held", "completed", Some("held")), "steady state held"),
            (report("endedEarly", "stopped", None), "ended early"),
            (report("endedEarly", "completed", Some("deviated")), "deviated after the restore"),
            (report("drifted", "completed", None), "changed outside the run"),
            (String::new(), "running"),
        ] {
            assert_eq!(phrase("running", &output), expected, "{output}");
        }
    }

    #[tokio::test]
    async fn a_failed_start_is_told_from_a_run_that_failed() {
        let world = world(&["checkout"]);
        assert_eq!(failure_phrase(&world, "none").await, "failed to start");
        let machine = Machine::new(&world, "run-1", experiment(&["checkout"], &faults()[..1]));
        assert_eq!(machine.start().await, Ok(()));
        assert_eq!(failure_phrase(&world, "run-1").await, "not over yet");
    }
}
