//! The reaper: every minute it ends what nobody else will, and tries again what could not be restored.

use crate::model::names::RunId;
use crate::model::run::{EndReason, Run, RunStatus};
use crate::ports::World;

use super::error::StepError;
use super::report::close;
use super::retry::retry;
use super::rollback::{restore_all, stop};
use super::{Budget, GRACE};

/// Seconds for which a run that is being stopped is left to its own execution.
const HANDS_OFF: i64 = 300;

/// What one tick found and did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// Runs that are not retired.
    pub active: u64,
    /// Runs that were past their end, the grace included, and still not closed.
    pub overdue: u64,
    /// Runs that this tick worked on.
    pub handled: u64,
    /// Targets whose restore failed for good, so far.
    pub failed_restores: u64,
    /// Runs that could not be handled because of an error.
    pub errors: u64,
}

/// One tick over all active runs. One run's failure does not keep the others waiting; it is returned at the end.
///
/// # Errors
/// When the ledger cannot be read, or some run could not be handled.
pub async fn reap(world: &impl World, budget: Budget) -> (Tick, Option<StepError>) {
    let mut tick = Tick::default();
    let mut first_error = None;
    let (runs, engaged) = match (retry(world, || world.active_runs()).await, retry(world, || world.lever()).await) {
        (Ok(runs), Ok(lever)) => (runs, lever.is_some_and(|lever| lever.engaged)),
        (Err(error), _) | (_, Err(error)) => {
            tick.errors = 1;
            return (tick, Some(error.into()));
        }
    };
    for run in runs {
        tick.active += 1;
        // A tick that is killed would take its other runs with it; they are first in the next one's way.
        if !budget.allows(world.now()) {
            break;
        }
        if let Err(error) = handle(world, &run, engaged, budget, &mut tick).await {
            tick.errors += 1;
            first_error.get_or_insert(error);
        }
    }
    (tick, first_error)
}

async fn handle(world: &impl World, id: &RunId, engaged: bool, budget: Budget, tick: &mut Tick) -> Result<(), StepError> {
    // The item of a run that expired is gone; so is the entry in the list, in time.
    let Some(run) = retry(world, || world.run(id)).await? else { return Ok(()) };
    if world.now() > run.due().plus(GRACE) {
        tick.overdue += 1;
    }
    let Some(run) = take_over(world, run, engaged).await? else { return Ok(()) };
    tick.handled += 1;
    restore_all(world, &run, budget).await;
    let targets = retry(world, || world.targets(id)).await?;
    tick.failed_restores += targets.iter().filter(|t| t.restore_error.is_some() && !t.status.is_final()).count() as u64;
    if targets.iter().all(|target| target.status.is_final()) || run.status == RunStatus::Failed {
        close(world, id).await?;
    }
    Ok(())
}

/// The run, stopping, if it is the reaper's; `None` while its own execution sees to it.
async fn take_over(world: &impl World, run: Run, engaged: bool) -> Result<Option<Run>, StepError> {
    if run.status.is_final() {
        return Ok(Some(run));
    }
    let left_alone = run.stopping_at.is_some_and(|since| world.now() < since.plus(HANDS_OFF));
    let due = world.now() > run.due().plus(GRACE);
    let alive = world.is_running(&run.execution_arn).await.map_err(StepError::Executions)?;
    let reason = match run.status {
        RunStatus::Stopping if alive && left_alone => return Ok(None),
        RunStatus::Stopping => return Ok(Some(run)),
        _ if engaged => EndReason::Lever,
        _ if !alive => EndReason::ExecutionGone,
        _ if due => EndReason::Overdue,
        _ => return Ok(None),
    };
    stop(world, &run.id, &reason).await.map(Some)
}
