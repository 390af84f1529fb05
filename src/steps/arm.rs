//! `Arm`: locks a target and stores its snapshot, so that it may be injected.
//!
//! 1. Takes the function's lock. Another run's lock ends this run.
//! 2. Waits, if the lock was released so recently that a read could still show the previous run's fault.
//! 3. Observes the function, and works out what the faults change on it.
//! 4. Stores the snapshot, on condition that the run still holds the lock.
//!
//! The lock comes first: an observation made before it could record another run's fault as the original.
//!
//! Safe to repeat because a run takes its own lock again, and because the ledger replaces a snapshot only while no
//! inject of the target has begun.

use std::time::Duration;

use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{Run, RunStatus, TargetStatus};
use crate::model::snapshot::{Snapshot, Surface};
use crate::model::time::Time;
use crate::plan::changes::change_set;
use crate::plan::injection::Injection;
use crate::ports::{FunctionError, World, WriteOutcome};

use super::error::StepError;
use super::rate_limiter::RateLimiter;
use super::retry::retry;
use super::versions::Listing;
use super::waiting::TOMBSTONE;
use super::{MAX_CLOCK_SKEW, MAX_READ_STALENESS};

/// The result of arming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArmOutcome {
    /// The snapshot is durable.
    Armed,
    /// The lock was released so recently that a read could still show the previous run's fault. Retry after this time.
    Waiting(Duration),
    /// The run is no longer running, or the function was deleted.
    Skipped,
}

/// Arms one target. Can be repeated.
///
/// # Errors
/// `Locked` if another run has the function, `Refused` if the function has changed so that the faults cannot be
/// injected.
pub async fn arm(world: &impl World, run: &RunId, function: &FunctionArn) -> Result<ArmOutcome, StepError> {
    let Some(run) = retry(world, || world.run(run)).await? else { return Err(StepError::NoSuchRun(run.clone())) };
    let target = retry(world, || world.target(run.target_key(function))).await?;
    let target = target.ok_or_else(|| StepError::no_such_target(function, &run.id))?;
    match target.status {
        TargetStatus::Pending if run.status == RunStatus::Running => lock_and_snapshot(world, &run, function).await,
        TargetStatus::Armed | TargetStatus::Injecting | TargetStatus::Injected => Ok(ArmOutcome::Armed),
        _ => Ok(ArmOutcome::Skipped),
    }
}

/// Takes the lock and stores the snapshot, again too for an armed target whose inject has not begun.
pub(super) async fn lock_and_snapshot(
    world: &impl World,
    run: &Run,
    function: &FunctionArn,
) -> Result<ArmOutcome, StepError> {
    let (Some(experiment), Some(injection)) = (&run.experiment, Injection::of(run)) else {
        return Ok(ArmOutcome::Skipped);
    };
    let Some(lock) = retry(world, || world.take_lock(run.target_key(function))).await? else {
        return Ok(ArmOutcome::Skipped);
    };
    if let Some(holder) = lock.run.filter(|holder| *holder != run.id) {
        return Err(StepError::Locked { function: function.name().to_owned(), run: holder.to_string() });
    }
    if let Some(released_at) = lock.released_at {
        let wait = world.now().until(released_at + MAX_READ_STALENESS + MAX_CLOCK_SKEW);
        if wait > Duration::ZERO {
            // The wait outlasts this invocation, so it is recorded.
            retry(world, || world.record_waiting(run.target_key(function), Some(TOMBSTONE))).await?;
            return Ok(ArmOutcome::Waiting(wait));
        }
    }
    let fail = |error| StepError::function(function.name(), error);
    let seen = match retry(world, || world.observe(function.as_str(), experiment.needs_mappings())).await {
        Err(FunctionError::NotFound(_)) => return Ok(ArmOutcome::Skipped),
        seen => seen.map_err(fail)?,
    };
    let drafted = change_set(&injection, &seen);
    if !drafted.refusals.is_empty() {
        // A duplicate of this task may have injected already: then the run's own fault causes the refusal.
        let target = retry(world, || world.target(run.target_key(function))).await?;
        let begun = target.is_some_and(|t| !matches!(t.status, TargetStatus::Pending | TargetStatus::Armed));
        return if begun { Ok(ArmOutcome::Skipped) } else { Err(StepError::Refused(drafted.refusals)) };
    }
    let versioned = drafted.changes.iter().any(|change| change.surface() == Surface::Configuration);
    let last_version = if versioned {
        match Listing::default().finish(world, &RateLimiter::until(Time(i64::MAX)), function).await {
            Err(FunctionError::NotFound(_)) => return Ok(ArmOutcome::Skipped),
            versions => versions.map_err(fail)?.iter().copied().max().unwrap_or(0),
        }
    } else {
        0
    };
    // Only an update of the configuration moves it.
    let runtime_version = seen.runtime_version.filter(|_| versioned);
    let snapshot = Snapshot { changes: drafted.changes, last_version, runtime_version };
    match retry(world, || world.arm(run.target_key(function), &snapshot)).await? {
        WriteOutcome::Applied => Ok(ArmOutcome::Armed),
        WriteOutcome::ConditionFailed => Ok(ArmOutcome::Skipped),
    }
}
