//! `Observe`: one check of everything that can end a run.
//!
//! 1. Starts the run's duration, at the first check.
//! 2. Reads the safety lever, the stop conditions and the steady state, directly, because an event can be lost.
//! 3. Samples targets: a deploy can remove a fault.
//! 4. Stops the run if any of them requires it, or when its duration has elapsed. Otherwise returns when to check
//!    again.
//!
//! Safe to repeat because it writes to no function, and because a run's duration starts only once.

use std::time::Duration;

use crate::model::experiment::observe_interval;
use crate::model::names::RunId;
use crate::model::run::{EndReason, Run, RunEnding, RunStatus};
use crate::ports::World;

use super::Budget;
use super::error::StepError;
use super::prepare::stop_if_tripped;
use super::retry::retry;
use super::sample::sample;
use super::steady_state::deviations;

/// The next step of the state machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObserveOutcome {
    /// Observe again.
    Running {
        /// After this time.
        wait: Duration,
        /// The index in the run's list of functions from which the next check samples.
        sample_from: usize,
    },
    /// Restore.
    Stopping,
}

/// Checks everything that can end a run once, then samples its targets from this index in its list.
///
/// # Errors
/// When CloudWatch, the ledger or a function cannot be read; the caller then rolls the run back.
pub async fn observe(
    world: &impl World,
    id: &RunId,
    sample_from: usize,
    budget: Budget,
) -> Result<ObserveOutcome, StepError> {
    let Some(run) = retry(world, || world.run(id)).await? else { return Err(StepError::NoSuchRun(id.clone())) };
    let Some(experiment) = run.experiment.as_ref().filter(|_| run.status == RunStatus::Running) else {
        return Ok(ObserveOutcome::Stopping);
    };
    // The first check is the end of the injection: from here on, the faults have their full duration.
    let length = experiment.duration.get();
    let run = match run.ends_at {
        Some(_) => run,
        None => retry(world, || world.begin_observing(id, world.now() + length)).await?,
    };
    if let Some(lever) = retry(world, || world.lever()).await?.filter(|lever| lever.engaged) {
        return stop(world, &run, &lever.ending()).await;
    }
    if stop_if_tripped(world, &run).await? {
        return Ok(ObserveOutcome::Stopping);
    }
    let experiment = run.experiment.as_ref();
    let conditions = experiment.map_or(&[][..], |experiment| &experiment.steady_state);
    if let Some(condition) = deviations(world, conditions, None).await?.into_iter().next() {
        return stop(world, &run, &EndReason::Deviated { condition }.into()).await;
    }
    // Sample also at the end, because the last check may be the only one that can detect a removed fault.
    let sample_from = sample(world, &run, sample_from, budget).await?;
    match world.now().until(run.expected_end()) {
        Duration::ZERO => stop(world, &run, &EndReason::DurationElapsed.into()).await,
        left => Ok(ObserveOutcome::Running { wait: left.min(observe_interval(length)), sample_from }),
    }
}

async fn stop(world: &impl World, run: &Run, ending: &RunEnding) -> Result<ObserveOutcome, StepError> {
    retry(world, || world.stop_run(&run.id, ending, world.now())).await?;
    Ok(ObserveOutcome::Stopping)
}

/// Events that one check adds to an execution's history: five of the task (entered, scheduled, started, succeeded,
/// exited), two of the choice and two of the wait (step-functions/latest/apireference/API_HistoryEvent).
#[cfg(test)]
const EVENTS: u64 = 9;

#[cfg(test)]
mod tests {
    use super::{Duration, EVENTS, observe_interval};

    #[test]
    fn twelve_hours_of_observing_fit_into_one_execution() {
        assert!(43_200 / observe_interval(Duration::from_secs(43_200)).as_secs() * EVENTS < 10_000);
        assert_eq!(observe_interval(Duration::from_secs(60)), Duration::from_secs(5));
    }
}
