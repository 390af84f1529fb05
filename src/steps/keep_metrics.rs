//! Keeps the metrics of runs that are over, so that a report shows the same values in a year.
//!
//! 1. Lists the retired runs whose metrics are still to be kept.
//! 2. Skips those whose last values can still change.
//! 3. Reads the metrics of each other run, and stores them.
//!
//! Safe to repeat because a run leaves the list in the transaction that stores its metrics. Two workers that overlap
//! store the same values.

use std::time::Duration;

use crate::model::kept_metrics::KeptMetrics;
use crate::model::names::RunId;
use crate::model::run::{Run, TargetRecord};
use crate::plan::metric_reads::{metric_reads, readable_at};
use crate::ports::{AlarmError, LedgerError, World};

use super::Budget;
use super::error::StepError;
use super::retry::retry;
use super::run_targets::run_targets;
use super::steady_state::MAX_METRIC_DELAY;

/// How long an attempt is repeated that fails, every minute: until a user may have given the role the right to read.
const PATIENCE: Duration = Duration::from_secs(6 * 3600);
/// What a pass leaves of its invocation: a read of many metrics takes several calls.
const PASS_RESERVE: Duration = Duration::from_secs(15);

/// Keeps the metrics of all runs that wait for it. Returns what failed, for the log: it concerns a report and no function.
pub async fn keep_metrics_of_runs(world: &impl World, budget: Budget) -> Vec<String> {
    let runs = match retry(world, || world.runs_awaiting_metrics()).await {
        Ok(listed) => listed.runs,
        Err(error) => return vec![format!("the runs whose metrics are still to be kept: {error}")],
    };
    let mut failures = Vec::new();
    for id in runs {
        if world.now() + PASS_RESERVE > budget.deadline {
            break;
        }
        if let Err(error) = keep(world, &id).await {
            failures.push(format!("run {id}: its metrics are not kept yet: {error}"));
        }
    }
    failures
}

async fn keep(world: &impl World, id: &RunId) -> Result<(), StepError> {
    let known = retry(world, || world.kept_metrics(id)).await?;
    let metrics = match (known, retry(world, || world.run(id)).await) {
        // The run was retired twice. The values that were read first stay.
        (Some(known), _) => known,
        (None, Ok(Some(run))) => {
            let targets = run_targets(world, &run).await?;
            let readable_at = readable_at(&run, &targets, MAX_METRIC_DELAY);
            if world.now() < readable_at {
                return Ok(());
            }
            match read_metrics(world, &run, &targets).await {
                Ok(metrics) => metrics,
                Err(error) if world.now() < readable_at + PATIENCE => return Err(error.into()),
                Err(error) => KeptMetrics::without(error),
            }
        }
        (None, Ok(None)) => KeptMetrics::without("the run has no record"),
        (None, Err(error @ (LedgerError::Unusable(_) | LedgerError::Unreadable(_)))) => KeptMetrics::without(error),
        (None, Err(error)) => return Err(error.into()),
    };
    Ok(retry(world, || world.keep_metrics(id, &metrics, world.now())).await?)
}

/// Reads the metrics of a run now.
///
/// # Errors
/// If CloudWatch cannot be read.
pub async fn read_metrics(world: &impl World, run: &Run, targets: &[TargetRecord]) -> Result<KeptMetrics, AlarmError> {
    let now = world.now();
    let reads = metric_reads(run, targets, now);
    if reads.metrics.is_empty() {
        return Ok(reads.joined(Vec::new(), now));
    }
    let periods = retry(world, || world.periods(&reads.metrics, reads.from, reads.until)).await?;
    Ok(reads.joined(periods, now))
}
