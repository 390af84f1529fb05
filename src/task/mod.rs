//! The boundary to Step Functions and EventBridge: payloads in, results out, errors under stable names.

mod alarm;
mod arm;
mod batch;
mod inject;
mod metrics;
mod missed_runs;
mod notify;
mod observe;
mod prepare;
mod reaper;
mod report;
mod restore;
mod rollback;
mod service;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::input::{InvalidInput, read};
use crate::model::names::{FunctionArn, RunId};
use crate::model::settings::Settings;
use crate::model::time::seconds_up;
use crate::ports::World;
use crate::steps::Budget;
use crate::steps::error::StepError;
use crate::steps::step_status::StepStatus;

pub use service::serve;

/// A Lambda function of the control plane; the function's `Handler` setting names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// Parses the experiment, evaluates the guardrails and writes the run.
    Prepare,
    /// Locks one target and stores its snapshot.
    Arm,
    /// Injects into one target.
    Inject,
    /// Checks everything that can end the run.
    Observe,
    /// Stops the run, or restores one target.
    Restore,
    /// Closes the run.
    Report,
    /// Rolls runs back, on an alarm's event or on request.
    Rollback,
    /// Ends overdue runs, and runs whose execution has stopped.
    Reaper,
    /// Turns writes to the ledger into events.
    Notify,
}

impl Task {
    /// Finds the task with this name.
    ///
    /// # Errors
    /// Names the field, the value and the fix.
    pub fn named(name: &str) -> Result<Self, InvalidInput> {
        Ok(match name {
            "prepare" => Self::Prepare,
            "arm" => Self::Arm,
            "inject" => Self::Inject,
            "observe" => Self::Observe,
            "restore" => Self::Restore,
            "report" => Self::Report,
            "rollback" => Self::Rollback,
            "reaper" => Self::Reaper,
            "notify" => Self::Notify,
            other => {
                let known = crate::model::settings::TASKS.join(", ");
                let problem = format!("`{other}` is not a task; set the function's handler to one of {known}");
                return Err(InvalidInput { field: "Handler".into(), problem });
            }
        })
    }
}

/// Carries out one invocation.
///
/// # Errors
/// Under the stable names of [`StepError::name`].
pub async fn handle(
    task: Task,
    world: &impl World,
    settings: &Settings,
    budget: Budget,
    payload: &Value,
) -> Result<Value, StepError> {
    match task {
        Task::Prepare => prepare::handle(world, settings, payload).await,
        Task::Arm => arm::handle(world, budget, payload).await,
        Task::Inject => inject::handle(world, budget, payload).await,
        Task::Observe => observe::handle(world, budget, payload).await,
        Task::Restore => restore::handle(world, budget, payload).await,
        Task::Report => report::handle(world, settings, payload).await,
        Task::Rollback => rollback::handle(world, budget, payload).await,
        Task::Reaper => reaper::handle(world, settings, budget).await,
        Task::Notify => notify::handle(settings, world.now(), payload),
    }
}

/// The payload that names one target of a run.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TargetPayload {
    run_id: RunId,
    function: FunctionArn,
}

/// The payload that names a run.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RunPayload {
    run_id: RunId,
}

/// The result of a task for one target. `waitingFor` is for the log, where the reason is known.
fn target_result(function: &FunctionArn, status: impl Into<StepStatus>) -> Value {
    let StepStatus { name, wait, waiting_for } = status.into();
    let mut result = json!({ "function": function, "status": name, "waitSeconds": seconds_up(wait) });
    if let Some(why) = waiting_for {
        result["waitingFor"] = json!(why);
    }
    result
}

fn target_payload(payload: &Value) -> Result<TargetPayload, StepError> {
    Ok(read(payload)?)
}

fn run_payload(payload: &Value) -> Result<RunPayload, StepError> {
    Ok(read(payload)?)
}
