//! Rolling back whole runs, from outside their normal end.

use futures_util::StreamExt;
use futures_util::stream;

use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{EndReason, Listed, Run};
use crate::ports::World;

use super::error::StepError;
use super::restore::{Restored, restore_all};
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

/// Rolls back one run.
///
/// # Errors
/// When it could not be stopped.
pub async fn roll_back(
    world: &impl World,
    run: &RunId,
    reason: &EndReason,
    budget: Budget,
) -> Result<RolledBack, StepError> {
    let rolled_back = roll_back_each(world, std::slice::from_ref(run), reason, budget).await?;
    rolled_back.into_iter().next().ok_or_else(|| StepError::NoSuchRun(run.clone()))
}

/// Stops runs and restores every target of theirs, as far as the budget goes; the state machine and the reaper do the
/// rest. Every run is stopped before any is restored.
///
/// # Errors
/// When a run could not be stopped, after the others were restored. A target's failure stands in the result.
pub async fn roll_back_each(
    world: &impl World,
    runs: &[RunId],
    reason: &EndReason,
    budget: Budget,
) -> Result<Vec<RolledBack>, StepError> {
    let stops = stream::iter(runs).map(|run| stop(world, run, reason)).buffered(AT_ONCE).collect::<Vec<_>>().await;
    let (stopped, failed): (Vec<_>, Vec<_>) = stops.into_iter().partition(Result::is_ok);
    let rolled_back = restore_runs(world, stopped.into_iter().flatten().collect(), budget).await;
    failed.into_iter().find_map(Result::err).map_or(Ok(rolled_back), Err)
}

/// Restores every target of runs that are being stopped.
pub async fn restore_runs(world: &impl World, runs: Vec<Run>, budget: Budget) -> Vec<RolledBack> {
    let targets: Vec<_> =
        runs.iter().flat_map(|run| run.functions.iter().map(move |function| (run, function))).collect();
    let mut results = restore_all(world, &targets, budget).await.into_iter();
    let with_results = |run: Run| {
        let targets = run.functions.iter().cloned().zip(results.by_ref()).collect();
        RolledBack { run, targets }
    };
    runs.into_iter().map(with_results).collect()
}

/// Rolls back every run that this alarm ends.
///
/// # Errors
/// The first failure, after every run was tried.
pub async fn roll_back_alarm(
    world: &impl World,
    arn: &str,
    name: &str,
    budget: Budget,
) -> Result<Vec<RolledBack>, StepError> {
    let listed = retry(world, || world.runs_of_alarm(arn)).await?;
    roll_back_listed(world, &listed, &EndReason::Alarm { alarm: name.to_owned() }, budget).await
}

/// Rolls back every run that is active.
///
/// # Errors
/// The first failure, after every run was tried.
pub async fn roll_back_all(
    world: &impl World,
    reason: &EndReason,
    budget: Budget,
) -> Result<Vec<RolledBack>, StepError> {
    let listed = retry(world, || world.active_runs()).await?;
    roll_back_listed(world, &listed, reason, budget).await
}

/// An entry that cannot be read is a failure, and keeps no run from being rolled back.
async fn roll_back_listed(
    world: &impl World,
    listed: &Listed,
    reason: &EndReason,
    budget: Budget,
) -> Result<Vec<RolledBack>, StepError> {
    let rolled_back = roll_back_each(world, &listed.runs, reason, budget).await;
    match StepError::unreadable(listed) {
        Some(error) => rolled_back.and(Err(error)),
        None => rolled_back,
    }
}
