//! `restore`: `{runId, failure}` begins the restore of a run → `{runId, functions}`;
//! `{runId, function}` restores one target → `{function, status: restored | drifted | deleted | untouched | pending, waitSeconds, waitingFor}`;
//! `{runId, function, rehearse: true}` rehearses the restore of one target → `{function, status: rehearsed | waiting |
//! changed | skipped, waitSeconds}`; or a batch of targets, see `batch.rs`: one with `unrehearsed` is rehearsed.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::input::{InvalidInput, read};
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{EndReason, Run, RunStatus};
use crate::ports::World;
use crate::steps::Budget;
use crate::steps::error::{StepError, failure_message};
use crate::steps::rehearse::{Rehearsal, RehearseOutcome};
use crate::steps::restore::{RestoreOutcome, restore, restore_all};
use crate::steps::retry::retry;
use crate::steps::rollback::stop;

use super::batch::{Batch, RetryLimits, TargetProgress, is_batch};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Payload {
    run_id: RunId,
    #[serde(default)]
    function: Option<FunctionArn>,
    #[serde(default)]
    rehearse: bool,
    #[serde(default)]
    failure: Option<Failure>,
}

/// What a Catch of the state machine caught.
#[derive(Deserialize)]
struct Failure {
    error: String,
    #[serde(default)]
    cause: String,
}

pub(super) async fn handle(world: &impl World, budget: Budget, payload: &Value) -> Result<Value, StepError> {
    if is_batch(payload) {
        let batch = Batch::of(payload)?;
        return match batch.unrehearsed.is_empty() {
            true => many(world, budget, batch).await,
            false => Ok(rehearse_many(world, budget, batch).await),
        };
    }
    let payload: Payload = read(payload)?;
    match payload.function {
        Some(function) if payload.rehearse => rehearse_one(world, budget, &payload.run_id, &function).await,
        None if payload.rehearse => {
            let problem = "is missing; name the target to rehearse".to_owned();
            Err(InvalidInput { field: "function".into(), problem }.into())
        }
        None => begin(world, &payload.run_id, payload.failure).await,
        Some(function) => one(world, budget, &payload.run_id, &function).await,
    }
}

async fn begin(world: &impl World, id: &RunId, failure: Option<Failure>) -> Result<Value, StepError> {
    let reason = match failure {
        Some(Failure { error, cause }) => EndReason::Error { error, cause: failure_message(&cause) },
        // Observe has moved the run to stopping already, with its own reason; that one stays.
        None => EndReason::DurationElapsed,
    };
    let run = stop(world, id, &reason.into()).await?;
    Ok(json!({ "runId": id, "functions": run.functions }))
}

async fn one(world: &impl World, budget: Budget, id: &RunId, function: &FunctionArn) -> Result<Value, StepError> {
    let run = stopping(world, id).await?;
    Ok(super::target_result(function, restore(world, &run, function, budget).await?))
}

async fn many(world: &impl World, budget: Budget, batch: Batch) -> Result<Value, StepError> {
    let run = stopping(world, &batch.run_id).await?;
    let targets: Vec<_> = batch.functions.iter().map(|function| (&run, function)).collect();
    let results = restore_all(world, &targets, budget).await.into_iter().map(|result| {
        Some(result.map(|restored| match restored {
            RestoreOutcome::Ended(_) => TargetProgress::Done,
            RestoreOutcome::Pending { wait, .. } => TargetProgress::Requeue(wait),
        }))
    });
    let attempted = batch.functions.iter().cloned().zip(results).collect();
    Ok(batch.after(attempted, RetryLimits::RESTORE))
}

async fn rehearse_one(
    world: &impl World,
    budget: Budget,
    id: &RunId,
    function: &FunctionArn,
) -> Result<Value, StepError> {
    Ok(super::target_result(function, Rehearsal::new(world, id, budget).rehearse(function).await?))
}

async fn rehearse_many(world: &impl World, budget: Budget, batch: Batch) -> Value {
    let rehearsal = &Rehearsal::new(world, &batch.run_id, budget);
    let step = |function| async move {
        Ok(match rehearsal.rehearse(function).await? {
            RehearseOutcome::Rehearsed | RehearseOutcome::Changed | RehearseOutcome::Skipped => TargetProgress::Done,
            RehearseOutcome::Waiting(wait) => TargetProgress::Requeue(wait),
        })
    };
    let attempted = Batch::each(&batch.unrehearsed, world, budget, step).await;
    batch.after_rehearsal(attempted, RetryLimits::FORWARD)
}

async fn stopping(world: &impl World, id: &RunId) -> Result<Run, StepError> {
    let run = retry(world, || world.run(id)).await?;
    match run.ok_or_else(|| StepError::NoSuchRun(id.clone()))? {
        // The state machine begins the restore first, so only a direct call of the function gets here.
        active if matches!(active.status, RunStatus::Pending | RunStatus::Running) => {
            stop(world, id, &EndReason::UserRequest.into()).await
        }
        ending => Ok(ending),
    }
}
