//! `Prepare`: writes a run, if every guardrail allows it, before anything is touched.
//!
//! 1. Parses the experiment. If the run exists already, it is resumed at step 4.
//! 2. Collects the facts and evaluates the guardrails; reports all refusals together.
//! 3. Writes the run, with one item for each alarm that stops it.
//! 4. Adds its targets and starts it.
//! 5. Reads the alarms again: one that went into ALARM since step 2 found no run to stop.
//!
//! Safe to repeat because a run is created once by its name, and each later write leaves what is there.

use serde_json::Value;

use crate::model::experiment::Experiment;
use crate::model::facts::Facts;
use crate::model::input::read_experiment;
use crate::model::names::{AlarmName, FunctionArn, RunId};
use crate::model::run::{Run, RunStatus};
use crate::model::settings::Settings;
use crate::plan::guardrails::{Evaluation, evaluate, functions};
use crate::ports::{World, WriteOutcome};

use super::error::StepError;
use super::facts::collect_facts;
use super::retry::retry;
use super::steady_state::tripped;

/// Notes of the plan that a run keeps, at most.
const MOST_NOTES: usize = 10;

/// What `Prepare` is asked.
#[derive(Clone, Debug)]
pub struct Request {
    /// The run: the execution's name.
    pub run: RunId,
    /// The execution.
    pub execution_arn: String,
    /// The experiment, as it came in.
    pub experiment: Value,
}

/// What `Prepare` has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// The functions to arm.
    pub functions: Vec<FunctionArn>,
    /// `Running`, or `Stopping` if an alarm has stopped the run already.
    pub status: RunStatus,
}

/// Writes the run, if every guardrail allows it. Can be repeated: an existing run is resumed.
///
/// # Errors
/// `InvalidInput` and `Refused` mean that nothing was written.
pub async fn prepare(world: &impl World, settings: &Settings, request: &Request) -> Result<Prepared, StepError> {
    let experiment = read_experiment(&request.experiment)?;
    if let Some(run) = retry(world, || world.run(&request.run)).await? {
        return start_or_resume(world, &run).await;
    }
    let facts = collect_facts(world, settings, &experiment).await?;
    let Evaluation { refusals, warnings, .. } = evaluate(&experiment, &facts);
    if !refusals.is_empty() {
        return Err(StepError::Refused(refusals));
    }
    let run = run_record(world, request, experiment, &facts, at_most(MOST_NOTES, warnings));
    match retry(world, || world.create_run(&run)).await? {
        WriteOutcome::Applied => start_or_resume(world, &run).await,
        WriteOutcome::ConditionFailed => match retry(world, || world.run(&request.run)).await? {
            Some(run) => start_or_resume(world, &run).await,
            // There is still no run, so the lever was engaged after it was read.
            None => {
                let facts = collect_facts(world, settings, &experiment_of(&run)?).await?;
                Err(StepError::Refused(evaluate(&experiment_of(&run)?, &facts).refusals))
            }
        },
    }
}

fn experiment_of(run: &Run) -> Result<Experiment, StepError> {
    run.experiment.clone().ok_or_else(|| StepError::NoSuchRun(run.id.clone()))
}

/// The first of the plan's notes, for the report: the run's item is read by every step.
fn at_most(most: usize, mut notes: Vec<String>) -> Vec<String> {
    let more = notes.len().saturating_sub(most);
    notes.truncate(most);
    notes.extend((more > 0).then(|| format!("and {more} more notes; snapback plan shows all of them")));
    notes
}

fn run_record(
    world: &impl World,
    request: &Request,
    mut experiment: Experiment,
    facts: &Facts,
    notes: Vec<String>,
) -> Run {
    let now = world.now();
    let started_by = experiment.started_by.take();
    let deadline = experiment.deadline(now);
    let stops = |name: &AlarmName| experiment.stop_conditions.iter().any(|stop| stop.alarm == *name);
    let alarms = facts.alarms.iter().filter(|(name, _)| stops(name));
    let mut alarms: Vec<String> = alarms.filter_map(|(_, fact)| fact.as_ref().map(|fact| fact.arn.clone())).collect();
    // One alarm by name and by ARN is one item in the ledger.
    alarms.sort();
    alarms.dedup();
    Run {
        id: request.run.clone(),
        status: RunStatus::Pending,
        experiment: Some(experiment),
        unread: None,
        started_by,
        execution_arn: request.execution_arn.clone(),
        functions: functions(facts),
        alarms,
        proxy_layers: facts.settings.proxy_layers.clone(),
        notes,
        seed: facts.seed.map(u64::from),
        created_at: now,
        deadline,
        ends_at: None,
        stopping_at: None,
        reason: None,
        ended_by: None,
        closed_at: None,
        deviations: None,
        effect: None,
        injected: None,
    }
}

async fn start_or_resume(world: &impl World, run: &Run) -> Result<Prepared, StepError> {
    let id = &run.id;
    if run.status == RunStatus::Pending {
        retry(world, || world.add_targets(id, &run.functions)).await?;
        // `ConditionFailed` means that the run was already started or stopped; the read below tells which.
        let _ = retry(world, || world.start_run(id)).await?;
        stop_if_tripped(world, run).await?;
    }
    let run = retry(world, || world.run(id)).await?.ok_or_else(|| StepError::NoSuchRun(id.clone()))?;
    let status = if run.status == RunStatus::Running { RunStatus::Running } else { RunStatus::Stopping };
    Ok(Prepared { functions: run.functions, status })
}

/// Stops the run if one of its alarms is in ALARM. The alarms are read directly, and repeatedly: an alarm that goes off
/// before the run is written finds no run to roll back, and an event can be lost.
///
/// # Errors
/// When CloudWatch or the ledger cannot be read.
pub(super) async fn stop_if_tripped(world: &impl World, run: &Run) -> Result<bool, StepError> {
    let Some(experiment) = &run.experiment else { return Ok(false) };
    let alarms: Vec<AlarmName> = experiment.stop_conditions.iter().map(|stop| stop.alarm.clone()).collect();
    let Some(ending) = tripped(world, &alarms).await? else { return Ok(false) };
    retry(world, || world.stop_run(&run.id, &ending, world.now())).await?;
    Ok(true)
}
