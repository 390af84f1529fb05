//! The command `report`.

use crate::model::names::RunId;
use crate::model::run::Run;
use crate::plan::rendering::{ReportView, report_view};
use crate::ports::World;
use crate::steps::error::StepError;
use crate::steps::retry::retry;
use crate::steps::run_targets::run_targets;

use super::Failure;
use super::exit::Exit;
use super::finished::Finished;
use super::output::Output;
use super::records::Records;

/// Reads a run from the ledger.
pub(super) async fn view(world: &impl World, id: &RunId) -> Result<ReportView, Failure> {
    Ok(finished(world, id).await?.view)
}

/// Reads a run that has ended, with its record.
pub(super) async fn finished(world: &impl World, id: &RunId) -> Result<Finished, Failure> {
    let run = retry(world, || world.run(id)).await?.ok_or_else(|| StepError::NoSuchRun(id.clone()))?;
    let view = view_of(world, &run).await?;
    Ok(Finished { run, view })
}

async fn view_of(world: &impl World, run: &Run) -> Result<ReportView, Failure> {
    Ok(report_view(run, &run_targets(world, run).await?))
}

/// Shows one run.
pub(super) async fn report(records: &Records, id: &RunId, output: &Output) -> Result<Exit, Failure> {
    let mut view = match view(&records.world, id).await {
        Ok(view) => view,
        Err(failure) => return Err(records.explained(id, failure).await),
    };
    records.complete(&mut view).await;
    if output.as_json {
        output.json(&view);
    } else {
        output.report(&view);
    }
    Ok(Exit::of(&view))
}
