//! The commands `status` and `report`.

use serde::Serialize;
use serde_json::json;

use crate::model::actor::Actor;
use crate::model::names::RunId;
use crate::model::run::{Lever, Run, RunStatus};
use crate::plan::rendering::{ReportView, report_view};
use crate::ports::{Ledger, World};
use crate::steps::error::StepError;
use crate::steps::retry::retry;
use crate::steps::run_targets::{found_targets, run_targets};

use super::arguments::Arguments;
use super::exit::Exit;
use super::finished::Finished;
use super::output::{Output, Tone};
use super::{Failure, stack};

/// Runs that `status` lists at most, in addition to the active ones.
const RECENT: usize = 10;

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

/// The runs that `status` shows.
#[derive(Debug, Default)]
struct Shown {
    /// Whether each is active, and its report.
    views: Vec<(bool, ReportView)>,
    /// The records that cannot be read, each with its run and its function.
    unreadable: Vec<String>,
}

/// Reads the active runs and the recent ones. An unreadable run does not hide the others.
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
    let (mut armed, restored) = (armed(&views), restored_runs(&views));
    armed.extend(listed.unreadable.iter().map(|entry| format!("an entry that cannot be read ({entry})")));
    if output.as_json {
        let runs: Vec<&ReportView> = views.iter().map(|(_, view)| view).collect();
        // What a stack must not be destroyed with: a run that is not closed may still be the rollback function's.
        armed.extend(restored);
        let lever = lever.as_ref().map(LeverView::of);
        let mut shown = json!({ "lever": lever, "armed": armed, "runs": runs });
        if !unreadable.is_empty() {
            shown["unreadable"] = json!(unreadable);
        }
        output.json(&shown);
        return Ok(exit);
    }
    show_lever(lever.as_ref(), output);
    match armed.len() {
        0 => output.print_line("nothing is armed"),
        count => output.print_line(&output.paint(Tone::Warning, &format!("{count} armed: {}", armed.join(", ")))),
    }
    for run in restored {
        output.print_line(&format!("restored, not closed yet: {run}"));
    }
    for (_, view) in &views {
        output.report(view);
    }
    for what in &unreadable {
        output.note(&format!("snapback: {what}"));
    }
    Ok(exit)
}

/// Lists the targets that are not restored, and the runs that may still arm targets.
fn armed(views: &[(bool, ReportView)]) -> Vec<String> {
    let mut armed = Vec::new();
    for (active, view) in views {
        let open = view.targets.iter().filter(|target| !target.status.is_final());
        armed.extend(open.map(|target| format!("{} ({}, run {})", target.function, target.status.name(), view.run_id)));
        if *active && is_restored(view) && !is_ending(view) {
            armed.push(run_line(view));
        }
    }
    armed
}

/// Lists the runs with nothing to restore that are not closed yet, for example because they wait for metrics.
fn restored_runs(views: &[(bool, ReportView)]) -> Vec<String> {
    let waiting = views.iter().filter(|(active, view)| *active && is_restored(view) && is_ending(view));
    waiting.map(|(_, view)| run_line(view)).collect()
}

fn is_restored(view: &ReportView) -> bool {
    view.targets.iter().all(|target| target.status.is_final())
}

/// Nothing starts in a run that is stopping.
fn is_ending(view: &ReportView) -> bool {
    view.status == RunStatus::Stopping || view.status.is_final()
}

fn run_line(view: &ReportView) -> String {
    format!("run {} ({})", view.run_id, view.status.name())
}

/// The safety lever, as JSON output has it.
#[derive(Serialize)]
pub(super) struct LeverView<'a> {
    engaged: bool,
    /// RFC 3339, as every time in the output.
    since: String,
    reason: &'a str,
    by: Option<&'a Actor>,
}

impl<'a> LeverView<'a> {
    pub(super) fn of(lever: &'a Lever) -> Self {
        Self { engaged: lever.engaged, since: lever.since.to_string(), reason: &lever.reason, by: lever.by.as_ref() }
    }
}

/// Prints whether the safety lever is engaged. One that was never moved is disengaged.
pub(super) fn show_lever(lever: Option<&Lever>, output: &Output) {
    match lever {
        Some(Lever { engaged: true, since, reason, .. }) => {
            let text = format!("the safety lever has been engaged since {since} (reason: {reason}); no run starts");
            output.print_line(&output.paint(Tone::Bad, &text));
        }
        Some(Lever { since, .. }) => {
            output.print_line(&format!("the safety lever has been disengaged since {since}; experiments may start"));
        }
        None => output.print_line("the safety lever is disengaged; experiments may start"),
    }
    if let Some(actor) = lever.and_then(|lever| lever.by.as_ref()) {
        output.print_line(&format!("  moved by {actor}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::marker::stopped_marker;
    use crate::model::run::{EndReason, TargetRecord, TargetStatus};
    use crate::model::time::Time;
    use crate::testing::execution::Machine;
    use crate::testing::samples::{experiment, faults, function_arn, run_id, world};

    #[test]
    fn a_restored_run_that_is_not_closed_is_not_armed() {
        let view = |status: RunStatus, target: TargetStatus| {
            let mut run = stopped_marker(&run_id("r"), &EndReason::UserRequest.into(), Time(0));
            run.status = status;
            let mut record = TargetRecord::new(run_id("r"), function_arn("checkout"));
            record.status = target;
            [(true, report_view(&run, &[record]))]
        };
        let restored = view(RunStatus::Stopping, TargetStatus::Restored);
        assert_eq!((armed(&restored), restored_runs(&restored)), (vec![], vec!["run r (stopping)".to_owned()]));
        let open = view(RunStatus::Stopping, TargetStatus::Restoring);
        assert_eq!((armed(&open), restored_runs(&open)), (vec!["checkout (restoring, run r)".to_owned()], vec![]));
        let [(_, mut starting)] = view(RunStatus::Pending, TargetStatus::Pending);
        starting.targets.clear();
        let starting = [(true, starting)];
        assert_eq!((armed(&starting), restored_runs(&starting)), (vec!["run r (pending)".to_owned()], vec![]));
    }

    #[test]
    fn the_lever_is_shown_with_a_date() {
        let lever = Lever { engaged: true, since: Time(0), reason: "a test".to_owned(), by: Some(Actor::snapback()) };
        let by = json!({ "via": "snapback" });
        let expected = json!({ "engaged": true, "since": "1970-01-01T00:00:00Z", "reason": "a test", "by": by });
        assert_eq!(serde_json::to_value(LeverView::of(&lever)).ok(), Some(expected));
    }

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
