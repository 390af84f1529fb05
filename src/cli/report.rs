//! `status` and `report`.

use serde_json::json;

use crate::model::names::RunId;
use crate::model::run::Run;
use crate::plan::rendering::{ReportView, report_view};
use crate::ports::{Ledger, World};
use crate::steps::error::StepError;
use crate::steps::retry::retry;
use crate::steps::run_targets::{found_targets, run_targets};

use super::arguments::Arguments;
use super::exit::Exit;
use super::output::{Output, Tone};
use super::{Failure, stack};

/// Runs that `status` lists, at most, beside the active ones.
const RECENT: usize = 10;

/// A run as it stands in the ledger.
pub(super) async fn view(world: &impl World, id: &RunId) -> Result<ReportView, Failure> {
    let run = retry(world, || world.run(id)).await?.ok_or_else(|| StepError::NoSuchRun(id.clone()))?;
    view_of(world, &run).await
}

async fn view_of(world: &impl World, run: &Run) -> Result<ReportView, Failure> {
    Ok(report_view(run, &run_targets(world, run).await?))
}

/// The runs that `status` shows.
#[derive(Debug, Default)]
struct Shown {
    /// Whether each is active, and its report.
    views: Vec<(bool, ReportView)>,
    /// What of the ledger cannot be read, with its run and its function.
    unreadable: Vec<String>,
}

/// The active runs and the recent ones. What cannot be read of one hides no other.
async fn shown(world: &impl World, active: &[RunId]) -> Result<Shown, Failure> {
    let mut shown = Shown::default();
    for run in retry(world, || world.all_runs()).await? {
        let is_active = active.contains(&run.id);
        if !is_active && shown.views.len() >= RECENT {
            continue;
        }
        if run.is_without_record() && run.unread.is_some() {
            shown.unreadable.push(format!("run {}: its record cannot be read", run.id));
        }
        let found = found_targets(world, &run).await?;
        let lost = found.iter().filter_map(|found| found.lost.as_ref());
        shown.unreadable.extend(lost.map(ToString::to_string));
        let targets: Vec<_> = found.into_iter().map(|found| found.target).collect();
        shown.views.push((is_active, report_view(&run, &targets)));
    }
    Ok(shown)
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
    let Shown { views, unreadable } = shown(&world, &listed.runs).await?;
    let exit = if unreadable.is_empty() { Exit::Success } else { Exit::Error };
    let mut armed = armed(&views);
    armed.extend(listed.unreadable.iter().map(|entry| format!("an entry that cannot be read ({entry})")));
    if output.as_json {
        let runs: Vec<&ReportView> = views.iter().map(|(_, view)| view).collect();
        let mut shown = json!({ "lever": lever, "armed": armed, "runs": runs });
        if !unreadable.is_empty() {
            shown["unreadable"] = json!(unreadable);
        }
        output.json(&shown);
        return Ok(exit);
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
    for what in &unreadable {
        output.note(&format!("snapback: {what}"));
    }
    Ok(exit)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::execution::Machine;
    use crate::testing::samples::{experiment, faults, function_arn, world};

    #[tokio::test]
    async fn what_cannot_be_read_of_one_run_hides_no_other() {
        let world = world(&["checkout", "payment", "basket"]);
        let runs = [("run-1", "checkout"), ("run-2", "payment"), ("run-3", "basket")];
        for (run, function) in runs {
            assert_eq!(Machine::new(&world, run, experiment(&[function], &faults()[0..1])).start().await, Ok(()));
        }
        let id = |run: &str| crate::testing::samples::run_id(run);
        world.with(|state| {
            state.unreadable_targets.insert((id("run-1"), function_arn("checkout")));
            state.unreadable.insert(id("run-2"));
        });
        let shown = shown(&world, &[]).await.unwrap_or_default();
        let mut names: Vec<&str> = shown.views.iter().map(|(_, view)| view.run_id.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["run-1", "run-2", "run-3"]);
        let mut unreadable = shown.unreadable.clone();
        unreadable.sort_unstable();
        assert_eq!(
            unreadable,
            ["run run-1, checkout: its record cannot be read", "run run-2: its record cannot be read"]
        );
        let armed = armed(&shown.views);
        for open in ["checkout (armed, run run-1)", "payment (injected, run run-2)", "basket (injected, run run-3)"] {
            assert!(armed.iter().any(|armed| armed == open), "{open}: {armed:?}");
        }
    }
}
