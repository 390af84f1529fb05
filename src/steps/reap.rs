//! The reaper: ends runs that their execution does not end, and retries restores. Runs every minute.
//!
//! 1. Once an hour, searches the whole ledger for runs that the list of active runs has lost, and lists them again.
//! 2. Lists the active runs, and takes over each that is overdue, whose execution has stopped, or whose record is
//!    damaged. If the safety lever is engaged, it takes over every running one.
//! 3. Restores all targets of those runs, together.
//! 4. Closes each run whose targets are all restored, or of which one cannot be restored.
//!
//! Safe to repeat because each tick starts from the ledger, and because stop, restore and close can be repeated.

use std::time::Duration;

use crate::model::experiment::Experiment;
use crate::model::names::RunId;
use crate::model::run::{EndReason, Lever, Run, RunStatus, TargetRecord};
use crate::model::time::Time;
use crate::ports::{LedgerError, World};

use super::error::{StepError, StepErrorKind};
use super::report::close;
use super::retry::retry;
use super::rollback::{RolledBack, TargetResult, relist_lost, restore_runs, stop};
use super::run_targets::run_targets;
use super::steady_state::checked_by;
use super::{Budget, OVERDUE_GRACE};

/// How long a stopping run is left to its own execution: to restore its targets, and again, after they have all ended,
/// to check its steady state.
const EXECUTION_GRACE: Duration = Duration::from_secs(300);

/// The minutes of each hour in which a tick searches the whole ledger. There are two, because ticks are a minute apart only
/// on average. A search reads every record that is kept (`RECORD_RETENTION`), so it is not part of every tick.
const SEARCH_MINUTES: std::ops::Range<i64> = 17..19;

/// The figures of one tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// Active runs.
    pub active: u64,
    /// Runs that are past their end, or have been stopping for too long.
    pub overdue: u64,
    /// Runs that this tick worked on.
    pub handled: u64,
    /// Targets that have not ended and whose last restore failed.
    pub failed_restores: u64,
    /// Targets that have not ended and whose restore waits for something.
    pub waiting_restores: u64,
    /// Entries in the list of active runs that are not run IDs, and runs whose record is missing or cannot be read.
    pub unreadable: u64,
    /// Runs that could not be handled because of an error, and those without a readable record.
    pub errors: u64,
}

/// Runs one tick: takes over runs, restores all their targets together, and closes them. A failure in one run does not
/// delay the others. Returns the first failure.
pub async fn reap(world: &impl World, budget: Budget) -> (Tick, Option<StepError>) {
    let mut tick = Tick::default();
    let mut errors = Vec::new();
    if SEARCH_MINUTES.contains(&(world.now().epoch_seconds() / 60 % 60)) {
        search(world, &mut errors).await;
    }
    let runs = take_over_all(world, &mut tick, &mut errors).await;
    tick.handled = runs.len() as u64;
    for rolled_back in restore_runs(world, runs, budget).await {
        if let Err(error) = close_if_over(world, &rolled_back, &mut tick).await {
            errors.push(error);
        }
    }
    tick.errors = errors.len() as u64;
    (tick, errors.into_iter().next())
}

/// Lists again what the list of active runs has lost. Each such run is an error, because no task of snapback's causes that.
async fn search(world: &impl World, errors: &mut Vec<StepError>) {
    match relist_lost(world).await {
        Ok(lost) => errors.extend(lost.into_iter().map(StepError::Unlisted)),
        Err(error) => errors.push(error),
    }
}

/// Stops the active runs that the reaper has to end, and returns them.
async fn take_over_all(world: &impl World, tick: &mut Tick, errors: &mut Vec<StepError>) -> Vec<Run> {
    let (ids, lever) = match (retry(world, || world.active_runs()).await, retry(world, || world.lever()).await) {
        (Ok(listed), Ok(lever)) => {
            tick.unreadable = listed.unreadable.len() as u64;
            errors.extend(StepError::unreadable(&listed));
            (listed.runs, lever.filter(|lever| lever.engaged))
        }
        (Err(error), _) | (_, Err(error)) => {
            errors.push(error.into());
            return Vec::new();
        }
    };
    let mut runs = Vec::new();
    for id in ids {
        tick.active += 1;
        match take_over(world, &id, lever.as_ref(), tick, errors).await {
            Ok(run) => runs.extend(run),
            Err(error) => errors.push(error),
        }
    }
    runs
}

/// Stops a run and returns it if the reaper has to end it. Returns `None` while the run's own execution handles it.
async fn take_over(
    world: &impl World,
    id: &RunId,
    engaged: Option<&Lever>,
    tick: &mut Tick,
    errors: &mut Vec<StepError>,
) -> Result<Option<Run>, StepError> {
    let run = match retry(world, || world.run(id)).await {
        Ok(Some(run)) if !run.is_without_record() => run,
        // A run leaves the list of active runs in the transaction that sets its record's expiry. So a listed run
        // without a record, or with a marker in its place, is damaged, and its faults may still be in place.
        Ok(_) | Err(LedgerError::Unusable(_) | LedgerError::Unreadable(_)) => {
            tick.unreadable += 1;
            let error = StepError::NoRecord(id.clone());
            let reason = EndReason::Error { error: error.name().to_owned(), cause: error.to_string() };
            errors.push(error);
            return stop(world, id, &reason.into()).await.map(Some);
        }
        Err(error) => return Err(error.into()),
    };
    let now = world.now();
    let neglected = is_neglected(world, &run, now).await?;
    let overdue = now > run.expected_end() + OVERDUE_GRACE;
    if overdue && run.stopping_at.is_none() || neglected {
        tick.overdue += 1;
    }
    let ending = match (run.status, engaged) {
        (status, _) if status.is_final() => return Ok(Some(run)),
        (RunStatus::Stopping, _) if neglected => return Ok(Some(run)),
        // These depend only on the lever or the time, so they work even if Step Functions does not respond.
        (RunStatus::Pending | RunStatus::Running, Some(lever)) => lever.ending(),
        (RunStatus::Pending | RunStatus::Running, None) if overdue => EndReason::Overdue.into(),
        (status, _) => {
            if world.is_running(&run.execution_arn).await.map_err(StepError::Executions)? {
                return Ok(None);
            }
            if status == RunStatus::Stopping {
                return Ok(Some(run));
            }
            EndReason::ExecutionStopped.into()
        }
    };
    stop(world, &run.id, &ending).await.map(Some)
}

/// Whether a stopping run has exceeded its execution's time to restore the targets, and then to check the steady state,
/// which may need time to hold again.
async fn is_neglected(world: &impl World, run: &Run, now: Time) -> Result<bool, StepError> {
    let Some(since) = run.stopping_at.filter(|since| now > *since + EXECUTION_GRACE) else { return Ok(false) };
    let check_time = steady_state_check_time(run);
    if check_time.is_zero() {
        return Ok(true);
    }
    let targets = run_targets(world, run).await?;
    Ok(all_ended_at(&targets, since).is_none_or(|ended_at| now > ended_at + EXECUTION_GRACE + check_time))
}

/// Returns how long the execution may take to check the steady state after every target has ended; zero without a
/// steady state.
fn steady_state_check_time(run: &Run) -> Duration {
    let has_steady_state = |experiment: &&Experiment| !experiment.steady_state.is_empty();
    run.experiment.as_ref().filter(has_steady_state).map_or(Duration::ZERO, checked_by)
}

/// Returns when the last target ended, at the earliest at `stopping_at`; `None` while one has not ended.
fn all_ended_at(targets: &[TargetRecord], stopping_at: Time) -> Option<Time> {
    let all_ended = targets.iter().all(|target| target.status.is_final());
    all_ended.then(|| targets.iter().filter_map(|target| target.ended_at).fold(stopping_at, Time::max))
}

/// Closes a run whose targets have all ended, or of which one cannot be restored. In the second case, closing reports
/// the failure, which no other step would do; the restore is still retried.
async fn close_if_over(world: &impl World, rolled_back: &RolledBack, tick: &mut Tick) -> Result<(), StepError> {
    let run = &rolled_back.run;
    let targets = run_targets(world, run).await?;
    let open: Vec<_> = targets.iter().filter(|target| !target.status.is_final()).collect();
    tick.failed_restores += open.iter().filter(|target| target.restore_error.is_some()).count() as u64;
    tick.waiting_restores += open.iter().filter(|target| target.waiting_for.is_some()).count() as u64;
    // Only errors of this tick count: an older error may be recorded for a restore that now only waits for an
    // observation.
    let refused =
        |(_, result): &TargetResult| matches!(result, Err(error) if error.kind() != StepErrorKind::Unavailable);
    if open.is_empty() {
        if !is_still_checked(world, run, &targets).await {
            close_or_retire(world, run).await?;
        }
    } else if rolled_back.targets.iter().any(refused) {
        close(world, &run.id).await?;
    }
    Ok(())
}

/// Whether the run's execution is still running and has time left to check the steady state.
async fn is_still_checked(world: &impl World, run: &Run, targets: &[TargetRecord]) -> bool {
    let Some(ended_at) = all_ended_at(targets, run.stopping_at.unwrap_or(run.created_at)) else { return false };
    let check_time = steady_state_check_time(run);
    let in_time =
        !check_time.is_zero() && !run.status.is_final() && world.now() <= ended_at + EXECUTION_GRACE + check_time;
    // If Step Functions does not respond, the run is left to its execution until this time is over.
    in_time && world.is_running(&run.execution_arn).await.unwrap_or(true)
}

/// Closes a run. One whose record cannot be read cannot be closed; because its targets have ended, it is retired
/// instead.
async fn close_or_retire(world: &impl World, run: &Run) -> Result<(), StepError> {
    match close(world, &run.id).await {
        Err(StepError::Ledger(LedgerError::Unusable(_) | LedgerError::Unreadable(_))) if run.is_without_record() => {
            Ok(retry(world, || world.retire_run(run, world.now())).await?)
        }
        closed => closed.map(drop),
    }
}
