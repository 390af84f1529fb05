//! Rolling back whole runs, from outside their normal end.

use futures_util::StreamExt;
use futures_util::stream;

use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{EndReason, Run};
use crate::ports::World;

use super::error::StepError;
use super::restore::{Restored, restore};
use super::retry::retry;
use super::{AT_ONCE, Budget};

/// What became of one target.
pub type TargetResult = (FunctionArn, Result<Restored, StepError>);

/// What became of one run.
#[derive(Clone, Debug)]
pub struct RolledBack {
    /// The run, as it was when the rollback began.
    pub run: Run,
    /// Each of its targets.
    pub targets: Vec<TargetResult>,
}

/// Moves a run to stopping: nothing new starts behind this. Every ending begins here.
///
/// # Errors
/// When the ledger cannot be written.
pub async fn stop(world: &impl World, run: &RunId, reason: &EndReason) -> Result<Run, StepError> {
    Ok(retry(world, || world.stop_run(run, reason, world.now())).await?)
}

/// Stops a run and restores every target of it, as far as the budget goes; the state machine and the reaper do the
/// rest.
///
/// # Errors
/// When the run could not be stopped. A target's failure stands in the result and does not stop the others.
pub async fn roll_back(world: &impl World, run: &RunId, reason: &EndReason, budget: Budget) -> Result<RolledBack, StepError> {
    let run = stop(world, run, reason).await?;
    let targets = restore_all(world, &run, budget).await;
    Ok(RolledBack { run, targets })
}

/// Restores every target of a run that is being stopped.
pub async fn restore_all(world: &impl World, run: &Run, budget: Budget) -> Vec<TargetResult> {
    stream::iter(run.functions.clone())
        .map(|function| async move {
            let restored = restore(world, run, &function, budget).await;
            (function, restored)
        })
        .buffered(AT_ONCE)
        .collect()
        .await
}

/// Rolls back every run that this alarm ends.
///
/// # Errors
/// The first failure, after every run was tried.
pub async fn roll_back_alarm(world: &impl World, arn: &str, name: &str, budget: Budget) -> Result<Vec<RolledBack>, StepError> {
    let runs = retry(world, || world.runs_of_alarm(arn)).await?;
    roll_back_each(world, runs, &EndReason::Alarm { alarm: name.to_owned() }, budget).await
}

/// Rolls back every run that is active.
///
/// # Errors
/// The first failure, after every run was tried.
pub async fn roll_back_all(world: &impl World, reason: &EndReason, budget: Budget) -> Result<Vec<RolledBack>, StepError> {
    let runs = retry(world, || world.active_runs()).await?;
    roll_back_each(world, runs, reason, budget).await
}

async fn roll_back_each(
    world: &impl World,
    runs: Vec<RunId>,
    reason: &EndReason,
    budget: Budget,
) -> Result<Vec<RolledBack>, StepError> {
    let results: Vec<_> = stream::iter(runs)
        .map(|run| async move { roll_back(world, &run, reason, budget).await })
        .buffered(AT_ONCE)
        .collect()
        .await;
    results.into_iter().collect()
}
