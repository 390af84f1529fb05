//! The reaper: every minute it ends what nobody else will, and tries again what could not be restored.

use crate::model::names::RunId;
use crate::model::run::{EndReason, Run, RunStatus};
use crate::ports::World;

use super::error::StepError;
use super::report::close;
use super::retry::retry;
use super::rollback::{RolledBack, TargetResult, restore_runs, stop};
use super::steady_state::judged_by;
use super::{Budget, GRACE};

/// Seconds for which a run that is being stopped is left to its own execution.
const HANDS_OFF: i64 = 300;

/// What one tick found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// Runs that are not retired.
    pub active: u64,
    /// Runs that were past their end, or have long been stopping, and are still not closed.
    pub overdue: u64,
    /// Runs that this tick worked on.
    pub handled: u64,
    /// Targets whose restore failed for good, so far.
    pub failed_restores: u64,
    /// Runs that could not be handled because of an error.
    pub errors: u64,
}

/// One tick over all active runs: first every run is looked at, then all targets of those that are the reaper's are
/// restored in common rounds, then each is closed. One run's failure keeps no other waiting; the first is returned.
pub async fn reap(world: &impl World, budget: Budget) -> (Tick, Option<StepError>) {
    let mut tick = Tick::default();
    let mut errors = Vec::new();
    let runs = take_over_all(world, &mut tick, &mut errors).await;
    tick.handled = runs.len() as u64;
    for rolled_back in restore_runs(world, runs, budget).await {
        if let Err(error) = settle(world, &rolled_back, &mut tick).await {
            errors.push(error);
        }
    }
    tick.errors = errors.len() as u64;
    (tick, errors.into_iter().next())
}

/// The runs that are the reaper's, stopped.
async fn take_over_all(world: &impl World, tick: &mut Tick, errors: &mut Vec<StepError>) -> Vec<Run> {
    let (ids, engaged) = match (retry(world, || world.active_runs()).await, retry(world, || world.lever()).await) {
        (Ok(listed), Ok(lever)) => {
            errors.extend(StepError::unreadable(&listed));
            (listed.runs, lever.is_some_and(|lever| lever.engaged))
        }
        (Err(error), _) | (_, Err(error)) => {
            errors.push(error.into());
            return Vec::new();
        }
    };
    let mut runs = Vec::new();
    for id in ids {
        tick.active += 1;
        match take_over(world, &id, engaged, tick).await {
            Ok(run) => runs.extend(run),
            Err(error) => errors.push(error),
        }
    }
    runs
}

/// The run, stopping, if it is the reaper's; `None` while its own execution sees to it.
async fn take_over(world: &impl World, id: &RunId, engaged: bool, tick: &mut Tick) -> Result<Option<Run>, StepError> {
    // The item of a run that expired is gone; so is the entry in the list, in time.
    let Some(run) = retry(world, || world.run(id)).await? else { return Ok(None) };
    let now = world.now();
    // A steady state may take its time to hold again, and is the execution's to judge.
    let judging = run.experiment.as_ref().map_or(0, judged_by);
    let neglected = run.stopping_at.is_some_and(|since| now > since.plus(HANDS_OFF + judging));
    let due = now > run.due().plus(GRACE);
    if due && run.stopping_at.is_none() || neglected {
        tick.overdue += 1;
    }
    let reason = match run.status {
        status if status.is_final() => return Ok(Some(run)),
        RunStatus::Stopping if neglected => return Ok(Some(run)),
        // What time alone decides needs no answer of Step Functions'.
        RunStatus::Pending | RunStatus::Running if engaged => EndReason::Lever,
        RunStatus::Pending | RunStatus::Running if due => EndReason::Overdue,
        status => {
            if world.is_running(&run.execution_arn).await.map_err(StepError::Executions)? {
                return Ok(None);
            }
            if status == RunStatus::Stopping {
                return Ok(Some(run));
            }
            EndReason::ExecutionGone
        }
    };
    stop(world, &run.id, &reason).await.map(Some)
}

/// Closes a run whose targets are all back, or of which one cannot be restored: nobody else would say that it failed, and
/// it is tried again all the same.
async fn settle(world: &impl World, rolled_back: &RolledBack, tick: &mut Tick) -> Result<(), StepError> {
    let id = &rolled_back.run.id;
    let targets = retry(world, || world.targets(id)).await?;
    let open: Vec<_> = targets.iter().filter(|target| !target.status.is_final()).collect();
    tick.failed_restores += open.iter().filter(|target| target.restore_error.is_some()).count() as u64;
    // Refused just now: an error of long ago may stand beside a restore that only waits for its last look.
    let refused = |(_, result): &TargetResult| matches!(result, Err(error) if error.name() != "Unavailable");
    if open.is_empty() || rolled_back.targets.iter().any(refused) {
        close(world, id).await?;
    }
    Ok(())
}
