//! `restore`: `{runId, failure}` begins the restore of a run → `{runId, functions}`;
//! `{runId, function}` restores one target → `{function, status: restored | drifted | gone | untouched | pending, waitSeconds}`;
//! or a batch of targets, see `batch.rs`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::input::read;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{EndReason, Run, RunStatus};
use crate::ports::World;
use crate::steps::Budget;
use crate::steps::error::{StepError, failure_message};
use crate::steps::restore::{Restored, restore, restore_all};
use crate::steps::retry::retry;
use crate::steps::rollback::stop;

use super::batch::{Batch, Tries, Turn, is_batch};

/// As the state machine tries one target: giving up leaves a fault in place until the reaper comes.
const TRIES: Tries = Tries { passing: 21, lasting: 4 };

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Payload {
    run_id: RunId,
    #[serde(default)]
    function: Option<FunctionArn>,
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
        return many(world, budget, Batch::of(payload)?).await;
    }
    let payload: Payload = read(payload)?;
    match payload.function {
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
    let run = stop(world, id, &reason).await?;
    Ok(json!({ "runId": id, "functions": run.functions }))
}

async fn one(world: &impl World, budget: Budget, id: &RunId, function: &FunctionArn) -> Result<Value, StepError> {
    let run = stopping(world, id).await?;
    Ok(match restore(world, &run, function, budget).await? {
        Restored::Ended(status) => json!({ "function": function, "status": status, "waitSeconds": 0 }),
        Restored::Pending(seconds) => json!({ "function": function, "status": "pending", "waitSeconds": seconds }),
    })
}

async fn many(world: &impl World, budget: Budget, batch: Batch) -> Result<Value, StepError> {
    let run = stopping(world, &batch.run_id).await?;
    let targets: Vec<_> = batch.functions.iter().map(|function| (&run, function)).collect();
    let results = restore_all(world, &targets, budget).await.into_iter().map(|result| {
        Some(result.map(|restored| match restored {
            Restored::Ended(_) => Turn::Over,
            Restored::Pending(seconds) => Turn::Again(seconds),
        }))
    });
    let looked = batch.functions.iter().cloned().zip(results).collect();
    Ok(batch.after(looked, TRIES))
}

async fn stopping(world: &impl World, id: &RunId) -> Result<Run, StepError> {
    let run = retry(world, || world.run(id)).await?;
    match run.ok_or_else(|| StepError::NoSuchRun(id.clone()))? {
        // Only somebody who calls the function directly gets here: the state machine begins the restore first.
        active if matches!(active.status, RunStatus::Pending | RunStatus::Running) => {
            stop(world, id, &EndReason::Person).await
        }
        ending => Ok(ending),
    }
}
