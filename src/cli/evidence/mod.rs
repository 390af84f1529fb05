//! The evidence of a run: its report as a page and as Markdown.

mod history;
mod markdown;

pub(super) use history::{Row as HistoryRow, compare, history};
#[cfg(test)]
pub(super) use markdown::markdown;

use crate::model::kept_metrics::KeptMetrics;
use crate::model::names::RunId;
use crate::page::{DrawingError, run_page};
use crate::plan::evidence::Evidence;
use crate::ports::World;
use crate::steps::error::StepError;
use crate::steps::keep_reports::read_metrics;
use crate::steps::retry::retry;
use crate::steps::run_targets::run_targets;

use super::Failure;
use super::arguments::ReportFiles;
use super::artifacts::Artifact;
use super::output::Output;
use super::records::Records;

/// Writes the files of `report`, if any is asked for.
pub(super) async fn write_files(
    records: &Records,
    run: &RunId,
    files: &ReportFiles,
    output: &Output,
) -> Result<(), Failure> {
    if files.html.is_none() && files.markdown.is_none() {
        return Ok(());
    }
    // A run that does not exist creates no file.
    let mut evidence = match evidence(&records.world, run).await {
        Ok(evidence) => evidence,
        Err(failure) => return Err(records.explained(run, failure).await),
    };
    records.complete(&mut evidence.report).await;
    let [html, markdown] = Artifact::open_all([files.html.as_deref(), files.markdown.as_deref()])?;
    if let Some(file) = html {
        write(file, &run_page(&evidence).map_err(|error| undrawn(&error))?, output);
    }
    if let Some(file) = markdown {
        write(file, &markdown::markdown(&evidence), output);
    }
    Ok(())
}

/// Collects everything that a report of a run shows. Metrics that are not kept yet are read now.
async fn evidence(world: &impl World, id: &RunId) -> Result<Evidence, Failure> {
    let run = retry(world, || world.run(id)).await?.ok_or_else(|| StepError::NoSuchRun(id.clone()))?;
    let targets = run_targets(world, &run).await?;
    let metrics = match retry(world, || world.kept_metrics(id)).await? {
        Some(kept) => Some(kept),
        None if run.functions.is_empty() => None,
        None => Some(read_metrics(world, &run, &targets).await.unwrap_or_else(KeptMetrics::without)),
    };
    Ok(Evidence::of(&run, &targets, metrics))
}

fn undrawn(error: &DrawingError) -> Failure {
    Failure::new("ReportFailed", format!("a chart could not be drawn: {error}"))
}

/// Writes a file, and names it on standard error. A failure to write is one of the command's output.
fn write(file: Artifact, text: &str, output: &Output) {
    let note = format!("written: {}", file.shown());
    let written = file.write(text);
    if written.is_ok() {
        output.note(&note);
    }
    output.keep(written);
}
