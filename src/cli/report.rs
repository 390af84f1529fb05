//! `status` and `report`.

use serde_json::json;

use crate::aws::AwsWorld;
use crate::model::names::RunId;
use crate::model::run::Run;
use crate::plan::rendering::{ReportView, report_view};
use crate::ports::Ledger;
use crate::steps::error::StepError;
use crate::steps::retry::retry;
use crate::steps::run_targets::run_targets;

use super::arguments::Arguments;
use super::exit::Exit;
use super::output::{Output, Tone};
use super::{Failure, stack};

/// Runs that `status` lists, at most, beside the active ones.
const RECENT: usize = 10;

/// A run as it stands in the ledger.
pub(super) async fn view(world: &AwsWorld, id: &RunId) -> Result<ReportView, Failure> {
    let run = retry(world, || world.run(id)).await?.ok_or_else(|| StepError::NoSuchRun(id.clone()))?;
    view_of(world, &run).await
}

async fn view_of(world: &AwsWorld, run: &Run) -> Result<ReportView, Failure> {
    Ok(report_view(run, &run_targets(world, run).await?))
}

/// Shows one run.
pub(super) async fn report(arguments: &Arguments, id: &RunId, output: &Output) -> Result<Exit, Failure> {
    let view = view(&stack::ledger(arguments).await?, id).await?;
    if output.as_json {
        output.json(&view);
    } else {
        output.report(&view);
    }
    Ok(Exit::of(&view))
}

/// Shows the lever, what is armed, and the runs.
pub(super) async fn status(arguments: &Arguments, run: Option<&RunId>, output: &Output) -> Result<Exit, Failure> {
    if let Some(run) = run {
        return report(arguments, run, output).await.map(|_| Exit::Success);
    }
    let world = stack::ledger(arguments).await?;
    let lever = retry(&world, || world.lever()).await?;
    let listed = retry(&world, || world.active_runs()).await?;
    let active = &listed.runs;
    let mut views = Vec::new();
    for run in &retry(&world, || world.all_runs()).await? {
        if active.contains(&run.id) || views.len() < RECENT {
            views.push((active.contains(&run.id), view_of(&world, run).await?));
        }
    }
    let mut armed = armed(&views);
    armed.extend(listed.unreadable.iter().map(|entry| format!("an entry that cannot be read ({entry})")));
    if output.as_json {
        let runs: Vec<&ReportView> = views.iter().map(|(_, view)| view).collect();
        output.json(&json!({ "lever": lever, "armed": armed, "runs": runs }));
        return Ok(Exit::Success);
    }
    if let Some(lever) = lever.filter(|lever| lever.engaged) {
        output.print_line(
            &output.paint(Tone::Bad, &format!("the safety lever is engaged since {}: {}", lever.since, lever.reason)),
        );
    }
    match armed.len() {
        0 => output.print_line("nothing is armed"),
        count => output.print_line(&output.paint(Tone::Warning, &format!("{count} armed: {}", armed.join(", ")))),
    }
    for (_, view) in &views {
        output.report(view);
    }
    Ok(Exit::Success)
}

/// What a stack must not be destroyed with: targets that are not back, and runs that may still arm some.
fn armed(views: &[(bool, ReportView)]) -> Vec<String> {
    let mut armed = Vec::new();
    for (active, view) in views {
        let open: Vec<_> = view.targets.iter().filter(|target| !target.status.is_final()).collect();
        armed.extend(
            open.iter().map(|target| format!("{} ({}, run {})", target.function, target.status.name(), view.run_id)),
        );
        if *active && open.is_empty() {
            armed.push(format!("run {} ({})", view.run_id, view.status.name()));
        }
    }
    armed
}
