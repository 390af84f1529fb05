//! Watches the ledger while the rollback function has not responded: the run may be closed without its response, or not even be
//! stopping, because the call has not reached the function.

use std::time::Duration;

use crate::model::names::RunId;
use crate::model::run::RunStatus;
use crate::ports::World;
use crate::steps::run_targets::run_targets;

use super::output::Output;
use super::stack::{RollbackError, RolledBack};

/// How long the function may take before the ledger is read. It stops the run first, which takes a second or two (inferred).
const FIRST_READ_AFTER: Duration = Duration::from_secs(5);
/// How often the ledger is read then.
const READ_INTERVAL: Duration = Duration::from_secs(2);
/// When a run that is not stopping shows that the function does not work. A cold start and the SDK's retries take less
/// (inferred).
const UNREACHABLE_AFTER: Duration = Duration::from_secs(30);

/// What the ledger tells about the rollback of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// The ledger cannot be read.
    Unknown,
    /// Nothing has stopped the run.
    NotStopping,
    /// The run is stopping, or a target is not restored.
    Stopping,
    /// The run is closed, and every target is restored.
    Closed,
}

/// Returns how the rollback of a run has ended, as soon as the ledger tells that.
pub(super) async fn watch_rollback(
    world: &impl World,
    run: &RunId,
    output: &Output,
) -> Result<RolledBack, RollbackError> {
    let until = world.now() + UNREACHABLE_AFTER;
    let mut is_noted = false;
    world.sleep(FIRST_READ_AFTER).await;
    loop {
        let found = progress(world, run).await;
        let is_late = world.now() >= until;
        match found {
            Progress::Closed => return Ok(RolledBack::closed(run)),
            Progress::NotStopping if is_late => {
                let waited = UNREACHABLE_AFTER.as_secs();
                let why = format!("it has not responded for {waited} s, and the run {run} is not stopping");
                return Err(RollbackError::Unreachable(why));
            }
            Progress::NotStopping | Progress::Unknown if !std::mem::replace(&mut is_noted, true) => {
                output.note(&waiting(run, found));
            }
            Progress::NotStopping | Progress::Unknown | Progress::Stopping => {}
        }
        world.sleep(READ_INTERVAL).await;
    }
}

async fn progress(world: &impl World, id: &RunId) -> Progress {
    let run = match world.run(id).await {
        Ok(Some(run)) => run,
        Ok(None) => return Progress::NotStopping,
        Err(_) => return Progress::Unknown,
    };
    match run.status {
        RunStatus::Pending | RunStatus::Running => Progress::NotStopping,
        RunStatus::Stopping => Progress::Stopping,
        RunStatus::Stopped | RunStatus::Completed | RunStatus::Failed => match run_targets(world, &run).await {
            Ok(targets) if targets.iter().all(|target| target.status.is_final()) => Progress::Closed,
            Ok(_) => Progress::Stopping,
            Err(_) => Progress::Unknown,
        },
    }
}

/// Tells what the command waits for.
fn waiting(run: &RunId, found: Progress) -> String {
    let late = "snapback: the rollback function has not responded yet";
    match found {
        Progress::NotStopping => {
            format!("{late}, and the run {run} is not stopping; if that lasts, this machine rolls it back")
        }
        _ => format!(
            "{late}; waiting for it, or until {run} is closed; to roll back from this machine: snapback rollback {run} --direct"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::{EndReason, TargetStatus};
    use crate::ports::{Clock, Ledger};
    use crate::testing::SimWorld;
    use crate::testing::execution::Machine;
    use crate::testing::samples::{experiment, faults, run_id, world};

    async fn injected() -> SimWorld {
        let world = world(&["checkout"]);
        let machine = Machine::new(&world, "run-1", experiment(&["checkout"], &faults()[0..1]));
        assert_eq!(machine.start().await, Ok(()));
        world
    }

    /// Returns the runs that are rolled back, or why the function counts as unreachable.
    async fn watched(world: &SimWorld, run: &str) -> Result<Vec<RunId>, String> {
        match watch_rollback(world, &run_id(run), &Output::new(false)).await {
            Ok(rolled_back) => Ok(rolled_back.runs.into_iter().map(|run| run.run_id).collect()),
            Err(RollbackError::Unreachable(why)) => Err(why),
            Err(RollbackError::Failed(failure)) => unreachable!("{failure:?}"),
        }
    }

    #[tokio::test]
    async fn a_run_that_is_not_stopping_has_no_rollback_function() {
        let world = injected().await;
        for run in ["run-1", "not-recorded"] {
            let began = world.now();
            let why = format!("it has not responded for 30 s, and the run {run} is not stopping");
            assert_eq!(watched(&world, run).await, Err(why));
            assert!(began.until(world.now()) < UNREACHABLE_AFTER + READ_INTERVAL);
        }
    }

    #[tokio::test]
    async fn a_closed_and_restored_run_needs_no_response() {
        let world = injected().await;
        let id = run_id("run-1");
        let stopped = world.stop_run(&id, &EndReason::UserRequest.into(), world.now()).await;
        assert!(stopped.is_ok());
        assert_eq!(progress(&world, &id).await, Progress::Stopping);
        assert!(world.close_run(&id, RunStatus::Failed, world.now()).await.is_ok());
        assert_eq!(progress(&world, &id).await, Progress::Stopping, "a target is not restored");
        world.with(|state| state.targets.values_mut().for_each(|target| target.status = TargetStatus::Restored));
        assert_eq!(watched(&world, "run-1").await, Ok(vec![id]));
    }
}
