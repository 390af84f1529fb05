//! Rollback: restores whole runs before or outside their normal end, for an alarm, a user, the safety lever or the
//! reaper.
//!
//! 1. Moves every run to `Stopping`, so that nothing new can start.
//! 2. Restores all targets of all those runs, together.
//!
//! Safe to repeat because stopping a stopped run changes nothing, and because a restore can be repeated.

use futures_util::StreamExt;
use futures_util::stream;

use crate::model::actor::Actor;
use crate::model::marker::stopped_marker;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{EndReason, Run, RunEnding, RunList, RunStatus, TargetRecord};
use crate::ports::{LedgerError, World};

use super::error::StepError;
use super::restore::{RestoreOutcome, restore_all};
use super::retry::retry;
use super::run_targets::run_targets;
use super::{Budget, MAX_CONCURRENCY};

/// The outcome of one target.
pub type TargetResult = (FunctionArn, Result<RestoreOutcome, StepError>);

/// The outcome of one run.
#[derive(Clone, Debug)]
pub struct RolledBack {
    /// The run, as it was when the rollback began.
    pub run: Run,
    /// The result of each of its targets.
    pub targets: Vec<TargetResult>,
}

impl RolledBack {
    /// Whether the run was closed before, and every target has ended.
    fn is_over(&self) -> bool {
        self.run.status.is_final() && self.is_restored()
    }

    /// Whether every target has ended.
    fn is_restored(&self) -> bool {
        self.targets.iter().all(|(_, result)| matches!(result, Ok(RestoreOutcome::Ended(_))))
    }
}

/// The outcome of several runs.
#[derive(Clone, Debug)]
pub struct Rollbacks {
    /// The runs that were stopped.
    pub runs: Vec<RolledBack>,
    /// The runs that could not be stopped, and so were not restored.
    pub not_stopped: Vec<(RunId, StepError)>,
}

impl Rollbacks {
    /// Returns the runs if all of them were stopped.
    ///
    /// # Errors
    /// The error of the first run that could not be stopped.
    pub fn into_result(self) -> Result<Vec<RolledBack>, StepError> {
        self.not_stopped.into_iter().next().map_or(Ok(self.runs), |(_, error)| Err(error))
    }

    /// Whether another round may restore a target, or stop a run that could not be stopped.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let pending = |(_, result): &TargetResult| matches!(result, Ok(RestoreOutcome::Pending { .. }));
        !self.not_stopped.is_empty() || self.runs.iter().any(|run| run.targets.iter().any(pending))
    }

    /// Returns all failures: of runs that could not be stopped, then of targets that could not be restored.
    pub fn failures(self) -> impl Iterator<Item = StepError> {
        let targets = self.runs.into_iter().flat_map(|run| run.targets).filter_map(|(_, result)| result.err());
        self.not_stopped.into_iter().map(|(_, error)| error).chain(targets)
    }
}

/// Moves a run to `Stopping`; nothing new starts after that. Every ending begins here.
///
/// A run whose record is missing or cannot be read is returned with the functions of its target items, which hold all
/// that a restore needs.
///
/// # Errors
/// If the ledger cannot be written.
pub async fn stop(world: &impl World, id: &RunId, ending: &RunEnding) -> Result<Run, StepError> {
    let run = match retry(world, || world.stop_run(id, ending, world.now())).await {
        Err(error @ (LedgerError::Unusable(_) | LedgerError::Unreadable(_))) => {
            stopped_without_record(world, id, ending, error).await?
        }
        stopped => stopped?,
    };
    with_functions(world, run).await
}

/// Returns a run whose record cannot be read. The update that stopped it did not depend on the record, so nothing new
/// can start.
async fn stopped_without_record(
    world: &impl World,
    id: &RunId,
    ending: &RunEnding,
    error: LedgerError,
) -> Result<Run, StepError> {
    // If the targets cannot be read either, the ledger cannot be used, and the first error has the reason.
    match retry(world, || world.targets(id)).await {
        Ok(targets) if !targets.is_empty() => Ok(stopped_marker(id, ending, world.now())),
        _ => Err(error.into()),
    }
}

/// Adds the functions of the target items to a marker, which was written in place of a missing record and has none.
///
/// # Errors
/// If the ledger cannot be read.
pub(super) async fn with_functions(world: &impl World, mut run: Run) -> Result<Run, StepError> {
    if run.functions.is_empty() {
        let targets = retry(world, || world.targets(&run.id)).await?;
        run.functions = targets.into_iter().map(|target| target.function).collect();
    }
    Ok(run)
}

/// Rolls back one run. If it is not over then, the reaper has to find it: it is listed again if the list of active runs has
/// lost it.
///
/// # Errors
/// If it could not be stopped, or not be listed while a target is not restored.
pub async fn roll_back(
    world: &impl World,
    run: &RunId,
    ending: &RunEnding,
    budget: Budget,
) -> Result<RolledBack, StepError> {
    let rolled_back = roll_back_each(world, std::slice::from_ref(run), ending, budget).await.into_result()?;
    let rolled_back = rolled_back.into_iter().next().ok_or_else(|| StepError::NoSuchRun(run.clone()))?;
    if rolled_back.is_over() {
        return Ok(rolled_back);
    }
    match list_again(world, &rolled_back).await {
        // It only has to be closed. Its execution does that, or the reaper's next search of the ledger.
        Err(_) if rolled_back.is_restored() => Ok(rolled_back),
        listed => listed.map(|()| rolled_back),
    }
}

async fn list_again(world: &impl World, rolled_back: &RolledBack) -> Result<(), StepError> {
    let id = &rolled_back.run.id;
    if retry(world, || world.active_runs()).await?.runs.contains(id) {
        return Ok(());
    }
    // Its execution can have closed it since, and then it is over and not lost.
    let run = retry(world, || world.run(id)).await;
    let is_closed = run.is_ok_and(|run| run.is_some_and(|run| run.status.is_final()));
    if !(is_closed && rolled_back.is_restored()) {
        retry(world, || world.relist_run(id)).await?;
    }
    Ok(())
}

/// Lists the runs again that the list of active runs has lost, and returns them.
///
/// # Errors
/// If the ledger cannot be used.
pub(super) async fn relist_lost(world: &impl World) -> Result<Vec<RunId>, StepError> {
    let lost = retry(world, || world.unlisted_runs()).await?;
    for run in &lost {
        retry(world, || world.relist_run(run)).await?;
    }
    Ok(lost)
}

/// Stops runs and restores all of their targets, within the budget; the state machine and the reaper do the rest. Every
/// run is stopped before any is restored, and a run that cannot be stopped does not prevent the others from being
/// restored.
pub async fn roll_back_each(world: &impl World, runs: &[RunId], ending: &RunEnding, budget: Budget) -> Rollbacks {
    let stops = stream::iter(runs).map(|run| async move { (run, stop(world, run, ending).await) });
    let (mut stopped, mut not_stopped) = (Vec::new(), Vec::new());
    for (id, stop) in stops.buffered(MAX_CONCURRENCY).collect::<Vec<_>>().await {
        match stop {
            Ok(run) => stopped.push(run),
            Err(error) => not_stopped.push((id.clone(), error)),
        }
    }
    Rollbacks { runs: restore_runs(world, stopped, budget).await, not_stopped }
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
    let ending = RunEnding::by(EndReason::Alarm { alarm: name.to_owned() }, Some(Actor::alarm(arn)));
    roll_back_listed(world, &listed, &ending, budget).await
}

/// Returns the active runs that have something to restore, or may still inject. A run that is stopping and whose targets
/// are restored only waits to be judged, for example for metrics: to roll it back would end that wait.
///
/// # Errors
/// If the ledger cannot be read.
pub async fn runs_to_roll_back(world: &impl World) -> Result<RunList, StepError> {
    let RunList { runs, unreadable } = retry(world, || world.active_runs()).await?;
    let seen = stream::iter(runs).map(|id| async move { (is_restored(world, &id).await, id) });
    let seen: Vec<(bool, RunId)> = seen.buffered(MAX_CONCURRENCY).collect().await;
    let open = seen.into_iter().filter(|(is_restored, _)| !is_restored).map(|(_, id)| id);
    Ok(RunList { runs: open.collect(), unreadable })
}

/// Whether a run is stopping and has nothing left to restore. One that cannot be read may have something.
async fn is_restored(world: &impl World, id: &RunId) -> bool {
    let Ok(Some(run)) = retry(world, || world.run(id)).await else { return false };
    if run.status != RunStatus::Stopping || run.unread.is_some() {
        return false;
    }
    let is_final = |targets: Vec<TargetRecord>| targets.iter().all(|target| target.status.is_final());
    run_targets(world, &run).await.is_ok_and(is_final)
}

/// Rolls back every run that is active and not restored yet, then those that the list of active runs has lost.
///
/// # Errors
/// The first failure, after every run was tried.
pub async fn roll_back_all(
    world: &impl World,
    ending: &RunEnding,
    budget: Budget,
) -> Result<Vec<RolledBack>, StepError> {
    let listed = runs_to_roll_back(world).await?;
    let rolled_back = roll_back_listed(world, &listed, ending, budget).await;
    let lost = relist_lost(world).await?;
    let found = roll_back_each(world, &lost, ending, budget).await.into_result();
    let mut rolled_back = rolled_back?;
    rolled_back.extend(found?);
    Ok(rolled_back)
}

/// An entry that cannot be read is a failure, but does not prevent the rollback of the runs.
async fn roll_back_listed(
    world: &impl World,
    listed: &RunList,
    ending: &RunEnding,
    budget: Budget,
) -> Result<Vec<RolledBack>, StepError> {
    let rolled_back = roll_back_each(world, &listed.runs, ending, budget).await.into_result();
    match StepError::unreadable(listed) {
        Some(error) => rolled_back.and(Err(error)),
        None => rolled_back,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::TargetStatus;
    use crate::model::time::Time;
    use crate::steps::POLL_INTERVAL;
    use crate::testing::samples::{function_arn, run_id};

    #[test]
    fn what_is_pending_or_was_not_stopped_is_open() {
        let rollbacks = |result, not_stopped: &[RunId]| Rollbacks {
            runs: vec![RolledBack {
                run: stopped_marker(&run_id("run-1"), &EndReason::UserRequest.into(), Time(0)),
                targets: vec![(function_arn("checkout"), result)],
            }],
            not_stopped: not_stopped.iter().map(|run| (run.clone(), StepError::NoSuchRun(run.clone()))).collect(),
        };
        let ended = || Ok(RestoreOutcome::Ended(TargetStatus::Restored));
        assert!(!rollbacks(ended(), &[]).is_open());
        assert!(rollbacks(ended(), &[run_id("run-2")]).is_open());
        assert!(rollbacks(Ok(RestoreOutcome::Pending { wait: POLL_INTERVAL, waiting_for: None }), &[]).is_open());
        // A refused call is not retried.
        assert!(!rollbacks(Err(StepError::NoSuchRun(run_id("run-1"))), &[]).is_open());
    }
}
