//! `Report`: checks after the restore whether the faults took effect and whether the steady state holds, then closes
//! the run.
//!
//! 1. Waits until the metrics have come in and the steady state holds again, within bounds.
//! 2. Records what was found.
//! 3. Gives the run its final status. If every target is restored, takes it off the list of active runs.
//!
//! Safe to repeat because findings are recorded once, and a final status never changes.

use std::time::Duration;

use crate::model::experiment::Experiment;
use crate::model::names::RunId;
use crate::model::run::{EndReason, Findings, Run, RunStatus, TargetRecord};
use crate::model::time::Time;
use crate::plan::effect::Effect;
use crate::plan::rendering::{ReportView, report_view};
use crate::ports::World;

use super::effect::{self, EffectCheck};
use super::error::StepError;
use super::retry::retry;
use super::run_targets::run_targets;
use super::steady_state::{checkable_after, deviations};

/// The next step of the state machine.
#[derive(Clone, Debug, PartialEq)]
pub enum ReportOutcome {
    /// Report again after this time, when the steady state may hold again or metrics may have arrived.
    Pending(Duration),
    /// The run is closed.
    Closed(Box<ReportView>),
}

/// Time between two checks of a steady state that does not hold yet.
const RECOVERY_POLL_INTERVAL: Duration = Duration::from_secs(10);
/// The longest time until the next report.
const MAX_REPORT_WAIT: Duration = Duration::from_secs(300);

/// Closes a run after the restore of its targets.
///
/// # Errors
/// If the ledger cannot be used, or CloudWatch if there is a steady state to check.
pub async fn report(world: &impl World, id: &RunId) -> Result<ReportOutcome, StepError> {
    let Some(run) = retry(world, || world.run(id)).await? else { return Err(StepError::NoSuchRun(id.clone())) };
    let targets = run_targets(world, &run).await?;
    if !run.status.is_final()
        && let Some(wait) = check_run(world, &run, &targets).await?
    {
        return Ok(ReportOutcome::Pending(wait));
    }
    close(world, id).await.map(|view| ReportOutcome::Closed(Box::new(view)))
}

/// Checks the effect and the steady state after every target has ended. Returns how long to wait if that is too early.
async fn check_run(world: &impl World, run: &Run, targets: &[TargetRecord]) -> Result<Option<Duration>, StepError> {
    let Some(experiment) = &run.experiment else { return Ok(None) };
    // Before its duration begins, no effect is expected.
    let has_effect = experiment.counts_faults() && run.ends_at.is_some();
    if experiment.steady_state.is_empty() && !has_effect {
        return Ok(None);
    }
    if targets.iter().any(|target| !target.status.is_final()) || run.deviations.is_some() {
        return Ok(None);
    }
    let restored_at = targets.iter().filter_map(|target| target.ended_at).max().unwrap_or(run.created_at);
    let mut findings = Findings::default();
    if has_effect {
        match effect::check_effect(world, run, experiment, targets, restored_at).await {
            EffectCheck::Requeue(wait) => return Ok(Some(wait)),
            EffectCheck::Done(Effect { missing, injected }) => {
                (findings.effect, findings.injected) = (missing, Some(injected));
            }
        }
    }
    if !experiment.steady_state.is_empty() {
        match steady_state(world, experiment, restored_at).await? {
            Steady::Again(wait) => return Ok(Some(wait)),
            Steady::Done(found) => findings.deviations = found,
        }
    }
    retry(world, || world.record_findings(&run.id, &findings)).await?;
    Ok(None)
}

enum Steady {
    Again(Duration),
    Done(Vec<String>),
}

async fn steady_state(world: &impl World, experiment: &Experiment, restored_at: Time) -> Result<Steady, StepError> {
    let wait = world.now().until(restored_at + checkable_after(&experiment.steady_state));
    if !wait.is_zero() {
        return Ok(Steady::Again(wait.min(MAX_REPORT_WAIT)));
    }
    let found = deviations(world, &experiment.steady_state, Some(restored_at)).await?;
    let left = world.now().until(restored_at + experiment.recovery.get());
    if !found.is_empty() && !left.is_zero() {
        return Ok(Steady::Again(left.min(RECOVERY_POLL_INTERVAL)));
    }
    Ok(Steady::Done(found))
}

/// Gives a stopping run its final status, and retires it if every target has ended. Safe to repeat.
///
/// # Errors
/// If the ledger cannot be used.
pub async fn close(world: &impl World, id: &RunId) -> Result<ReportView, StepError> {
    let gone = || StepError::NoSuchRun(id.clone());
    let run = retry(world, || world.run(id)).await?.ok_or_else(gone)?;
    let targets = run_targets(world, &run).await?;
    let back = targets.iter().all(|target| target.status.is_final());
    if run.status == RunStatus::Stopping {
        let status = match back {
            true => run.reason.as_ref().map_or(RunStatus::Failed, EndReason::final_status),
            false => RunStatus::Failed,
        };
        // `ConditionFailed` means that the run is already closed; the read below shows it.
        let _ = retry(world, || world.close_run(id, status, world.now())).await?;
    }
    let run = retry(world, || world.run(id)).await?.ok_or_else(gone)?;
    if back && run.status.is_final() {
        retry(world, || world.retire_run(&run, world.now())).await?;
    }
    Ok(report_view(&run, &targets))
}
