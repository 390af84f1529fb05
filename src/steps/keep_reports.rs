//! Keeps what shows a run that is over: its metrics in the ledger and, if the stack has a bucket for reports, its page there.
//! Then a report shows the same in a year.
//!
//! 1. Lists the retired runs whose metrics or page are still to be kept.
//! 2. Skips those whose last values can still change.
//! 3. Reads the metrics of each other run, and stores them.
//! 4. Draws the run's page from what is stored, and puts it into the bucket.
//! 5. Removes the run from the list.
//!
//! Safe to repeat because the metrics that are stored first stay, and so does the first page. A page is drawn from the
//! stored metrics only, so two workers that overlap draw the same page.

use std::time::Duration;

use crate::model::kept_metrics::KeptMetrics;
use crate::model::names::RunId;
use crate::model::run::{Run, TargetRecord};
use crate::model::time::Time;
use crate::plan::evidence::Evidence;
use crate::plan::metric_reads::{metric_reads, readable_at};
use crate::plan::report_key::report_key;
use crate::ports::{AlarmError, LedgerError, World};

use super::Budget;
use super::error::StepError;
use super::retry::retry;
use super::run_targets::run_targets;
use super::steady_state::MAX_METRIC_DELAY;

/// How long an attempt to read metrics is repeated that fails, every minute: until a user may have given the role the right
/// to read.
const METRICS_PATIENCE: Duration = Duration::from_secs(6 * 3600);
/// How long an attempt to put a page is repeated that fails: until a user may have repaired the bucket. Longer than that for
/// metrics, because a run without metrics gets its page only afterwards. Shorter than the run's time in the list.
const PAGE_PATIENCE: Duration = Duration::from_secs(24 * 3600);
/// What a pass leaves of its invocation: a read of many metrics takes several calls.
const PASS_RESERVE: Duration = Duration::from_secs(15);

/// Draws the page of a run.
pub type DrawPage = fn(&Evidence) -> Result<String, String>;

/// What one pass did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptReports {
    /// Pages that are in the bucket now.
    pub pages: u64,
    /// Pages that the bucket did not take. The next pass tries again.
    pub pages_failed: u64,
    /// What failed, a line each, for the log: it concerns a report and no function.
    pub failures: Vec<String>,
}

/// Keeps the metrics and the pages of all runs that wait for it.
pub async fn keep_reports(world: &impl World, draw: DrawPage, budget: Budget) -> KeptReports {
    let mut kept = KeptReports::default();
    let mut runs = match retry(world, || world.runs_awaiting_metrics()).await {
        Ok(listed) => listed.runs,
        Err(error) => {
            kept.failures.push(format!("the runs whose metrics and pages are still to be kept: {error}"));
            return kept;
        }
    };
    // Another run is first each minute, because a page that fails delays those after it.
    if let Some(first) = world.now().epoch_seconds().div_euclid(60).unsigned_abs().checked_rem(runs.len() as u64) {
        runs.rotate_left(first as usize);
    }
    for id in runs {
        if world.now() + PASS_RESERVE > budget.deadline {
            break;
        }
        if let Err(error) = keep(world, draw, &id, &mut kept).await {
            kept.failures.push(format!("run {id}: its metrics are not kept yet: {error}"));
        }
    }
    kept
}

async fn keep(world: &impl World, draw: DrawPage, id: &RunId, kept: &mut KeptReports) -> Result<(), StepError> {
    let run = match retry(world, || world.run(id)).await {
        Ok(Some(run)) => run,
        Ok(None) => return keep_without(world, id, "the run has no record").await,
        Err(error @ (LedgerError::Unusable(_) | LedgerError::Unreadable(_))) => {
            return keep_without(world, id, error).await;
        }
        Err(error) => return Err(error.into()),
    };
    let targets = run_targets(world, &run).await?;
    let readable_at = readable_at(&run, &targets, MAX_METRIC_DELAY);
    let Some(metrics) = kept_metrics(world, &run, &targets, readable_at).await? else { return Ok(()) };
    let key = world.prefix().filter(|_| world.has_report_bucket()).and_then(|prefix| report_key(prefix, &run));
    if let Some(key) = key {
        let evidence = Evidence::of(&run, &targets, Some(metrics));
        if !keep_page(world, draw, &Page { run: id, key, evidence, readable_at }, kept).await {
            return Ok(());
        }
    }
    Ok(retry(world, || world.end_keeping(id)).await?)
}

/// Keeps the reason why a run has no metrics, and thus no page. Metrics that were kept before stay.
async fn keep_without(world: &impl World, id: &RunId, why: impl ToString) -> Result<(), StepError> {
    let none = KeptMetrics::without(why);
    let _ = retry(world, || world.keep_metrics(id, &none, world.now())).await?;
    Ok(retry(world, || world.end_keeping(id)).await?)
}

/// Returns the metrics of a run as they are stored, which it reads and stores if they are not; `None` while it is too early.
async fn kept_metrics(
    world: &impl World,
    run: &Run,
    targets: &[TargetRecord],
    readable_at: Time,
) -> Result<Option<KeptMetrics>, StepError> {
    // A run that was retired twice has some, and one whose page failed.
    if let Some(known) = retry(world, || world.kept_metrics(&run.id)).await? {
        return Ok(Some(known));
    }
    if world.now() < readable_at {
        return Ok(None);
    }
    let metrics = match read_metrics(world, run, targets).await {
        Ok(metrics) => metrics,
        Err(error) if world.now() < readable_at + METRICS_PATIENCE => return Err(error.into()),
        Err(error) => KeptMetrics::without(error),
    };
    // If another worker stored some in the meantime, those stay: the read below returns them.
    let _ = retry(world, || world.keep_metrics(&run.id, &metrics, world.now())).await?;
    Ok(retry(world, || world.kept_metrics(&run.id)).await?)
}

/// A page that is to be drawn and stored.
struct Page<'a> {
    run: &'a RunId,
    key: String,
    evidence: Evidence,
    readable_at: Time,
}

/// Draws a page and puts it into the bucket. Returns whether that is finished: done, or given up.
async fn keep_page(world: &impl World, draw: DrawPage, page: &Page<'_>, kept: &mut KeptReports) -> bool {
    // What one page meets, the others of this pass would meet too: no time is left for more than one timeout a minute.
    if kept.pages_failed > 0 {
        kept.pages_failed += 1;
        return false;
    }
    let run = page.run;
    let drawn = match draw(&page.evidence) {
        Ok(drawn) => drawn,
        Err(error) => {
            let failure = format!("run {run}: its page cannot be drawn: {error}; the bucket for reports gets no page");
            kept.failures.push(failure);
            return true;
        }
    };
    match world.put_report(&page.key, drawn).await {
        // `ConditionFailed` means that the page is there already: a response was lost, or the run was retired twice.
        Ok(_) => {
            kept.pages += 1;
            true
        }
        Err(error) => {
            kept.pages_failed += 1;
            let gives_up = world.now() >= page.readable_at + PAGE_PATIENCE;
            let next = match gives_up {
                true => format!("this was the last attempt; snapback report {run} --html FILE writes it"),
                false => "the next attempt is in a minute".to_owned(),
            };
            kept.failures.push(format!("run {run}: its page is not in the bucket for reports: {error}; {next}"));
            gives_up
        }
    }
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
