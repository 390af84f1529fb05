//! The command `status`: the lever, what is armed, and a table of the runs and of the starts that were refused; or one run.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::model::names::RunId;
use crate::model::run::Run;
use crate::model::time::Time;
use crate::plan::rendering::report_view;
use crate::ports::{Clock, Ledger, World};
use crate::steps::retry::retry;
use crate::steps::run_targets::found_targets;

use super::Failure;
use super::arguments::{Arguments, StatusOptions};
use super::exit::Exit;
use super::failed_starts::failed_starts;
use super::lever_text::{LeverView, show_lever};
use super::listed::{ArmedView, FailedStart, Listed, StatusView, is_ending};
use super::output::Output;
use super::pen::Tone;
use super::records::Records;
use super::report::report;
use super::rollback::is_restored;
use super::status_text::{armed_text, status_table};
use super::watch::watch;
use super::words::listed;

/// The runs that `status` shows.
#[derive(Debug, Default)]
struct Shown {
    runs: Vec<Listed>,
    /// The records that cannot be read, each with its run and its function.
    unreadable: Vec<String>,
    /// Every run of the ledger that is more than a marker, by name.
    known: BTreeSet<String>,
}

/// Reads the active runs and the recent ones. An unreadable run does not hide the others.
async fn shown(world: &impl World, active: &[RunId], options: &StatusOptions) -> Result<Shown, Failure> {
    let mut shown = Shown::default();
    let since = options.since.map(|since| since.before(world.now()));
    let mut recent = 0;
    for run in retry(world, || world.all_runs()).await? {
        // A start that failed has a marker if it was prevented afterwards. The failure tells more.
        if !run.is_marker() {
            shown.known.insert(run.id.to_string());
        }
        let is_active = active.contains(&run.id);
        let is_old = since.is_some_and(|since| run.created_at < since);
        let is_recent = !is_old && options.is_of(experiment(&run));
        if !is_active && (!is_recent || recent >= options.limit()) {
            continue;
        }
        if run.is_without_record() && run.unread.is_some() {
            shown.unreadable.push(format!("run {}: its record cannot be read", run.id));
        }
        let found = found_targets(world, &run).await?;
        let lost = found.iter().filter_map(|found| found.lost.as_ref());
        shown.unreadable.extend(lost.map(ToString::to_string));
        let targets: Vec<_> = found.into_iter().map(|found| found.target).collect();
        let view = report_view(&run, &targets);
        let is_of_outcome = options.outcome.is_none_or(|asked| asked.is_of_run(&view));
        let is_chosen = is_recent && is_of_outcome;
        if is_active || is_chosen {
            recent += usize::from(!is_active);
            shown.runs.push(Listed { is_active, is_chosen, run, targets, view });
        }
    }
    Ok(shown)
}

/// Separates the markers of starts that have failed, which are listed as such, and completes the other markers.
async fn without_failed_starts(records: &Records, runs: Vec<Listed>) -> (Vec<Listed>, Vec<FailedStart>) {
    let (mut left, mut starts) = (Vec::new(), Vec::new());
    for mut listed in runs {
        if listed.run.is_marker()
            && let Some(execution) = records.execution(&listed.view.run_id).await
        {
            if listed.targets.is_empty() && execution.left_no_run() {
                starts.push(execution.failed_start());
                continue;
            }
            execution.complete(&mut listed.view);
            listed.run.started_by.clone_from(&listed.view.started_by);
        }
        left.push(listed);
    }
    (left, starts)
}

fn experiment(run: &Run) -> Option<&str> {
    run.experiment.as_ref().map(|experiment| experiment.name.as_str())
}

/// Shows one run, or the lever, what is armed, and the runs.
pub(super) async fn status(arguments: &Arguments, options: &StatusOptions, output: &Output) -> Result<Exit, Failure> {
    match &options.run {
        Some(run) if options.watch => watch(arguments, run, output).await,
        Some(run) => report(&Records::open(arguments).await?, run, output).await.map(|_| Exit::Success),
        None => overview(arguments, options, output).await,
    }
}

async fn overview(arguments: &Arguments, options: &StatusOptions, output: &Output) -> Result<Exit, Failure> {
    let records = Records::open(arguments).await?;
    let world = &records.world;
    let lever = retry(world, || world.lever()).await?;
    let active = retry(world, || world.active_runs()).await?;
    let Shown { runs, unreadable, known } = shown(world, &active.runs, options).await?;
    let (runs, prevented) = without_failed_starts(&records, runs).await;
    let mut starts = match &records.state_machine {
        Some(machine) if options.lists_starts() => failed_starts(world, machine, &known, options, output).await,
        _ => Vec::new(),
    };
    // Markers are listed without a right to list executions.
    let is_new =
        |start: &FailedStart| options.lists_starts() && !starts.iter().any(|other| other.run_id == start.run_id);
    let unlisted: Vec<FailedStart> = prevented.into_iter().filter(is_new).collect();
    starts.extend(unlisted);
    let exit = if unreadable.is_empty() { Exit::Success } else { Exit::Error };
    let unread = active.unreadable.iter().map(|entry| format!("an entry that cannot be read ({entry})"));
    let unread: Vec<ArmedView> = unread.map(ArmedView::unreadable).collect();
    let armed_text = armed_text(&runs, &unread);
    if output.as_json {
        // What a stack must not be destroyed with: a run that is not closed may still be the rollback function's.
        let armed = [armed(&runs), unread, restored_runs(&runs)].concat();
        let chosen = keep_latest(runs, &mut starts, options.limit());
        let chosen = chosen.iter().map(|run| &run.view).collect();
        let lever = lever.as_ref().map(LeverView::of);
        output.json(&StatusView { lever, armed, runs: chosen, failed_starts: starts, unreadable });
        return Ok(exit);
    }
    show_lever(lever.as_ref(), output);
    match armed_text {
        None => output.print_line("nothing is armed"),
        Some(text) => output.print_sentences(&output.paint(Tone::Warning, &text)),
    }
    let chosen = keep_latest(runs, &mut starts, options.limit());
    let asked = options.asked(world.now());
    if !chosen.is_empty() || !starts.is_empty() {
        output.print_line("");
        output.print_sentences(&status_table(&chosen, &starts, world.now(), output.pen));
    } else if !asked.is_empty() {
        output.print_line(&format!("no run matches {}", listed(&asked, "and")));
    }
    for what in &unreadable {
        output.note(&format!("snapback: {what}"));
    }
    Ok(exit)
}

/// Returns the chosen runs: the active ones, and of the others and the starts together only the latest, up to the limit. Both are read
/// up to the limit, so each of them alone would reach back to another time.
fn keep_latest(runs: Vec<Listed>, starts: &mut Vec<FailedStart>, limit: usize) -> Vec<Listed> {
    let chosen: Vec<Listed> = runs.into_iter().filter(|run| run.is_chosen).collect();
    let of_runs = chosen.iter().filter(|run| !run.is_active).map(|run| (run.run.created_at, run.run.id.to_string()));
    let of_starts = starts.iter().map(|start| (start.started_at, start.run_id.clone()));
    let mut latest: Vec<(Time, String)> = of_runs.chain(of_starts).collect();
    latest.sort_by_key(|(at, _)| Reverse(*at));
    let names: BTreeSet<String> = latest.into_iter().take(limit).map(|(_, name)| name).collect();
    starts.retain(|start| names.contains(&start.run_id));
    chosen.into_iter().filter(|run| run.is_active || names.contains(run.run.id.as_str())).collect()
}

/// Lists the targets that are not restored, and the runs that may still arm targets.
fn armed(runs: &[Listed]) -> Vec<ArmedView> {
    let mut armed = Vec::new();
    for Listed { is_active, view, .. } in runs {
        let open = view.targets.iter().filter(|target| !target.status.is_final());
        armed.extend(open.map(|target| ArmedView::target(view, target)));
        if *is_active && is_restored(view) && !is_ending(view) {
            armed.push(ArmedView::run(view));
        }
    }
    armed
}

/// Lists the runs with nothing to restore that are not closed yet, for example because they wait for metrics.
fn restored_runs(runs: &[Listed]) -> Vec<ArmedView> {
    let waiting = runs.iter().filter(|run| run.is_active && is_restored(&run.view) && is_ending(&run.view));
    waiting.map(|run| ArmedView::run(&run.view)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::aws::{FailedExecution, ListedExecution};
    use crate::model::marker::stopped_marker;
    use crate::model::run::{EndReason, RunStatus, TargetRecord, TargetStatus};
    use crate::testing::execution::Machine;
    use crate::testing::samples::{experiment, faults, function_arn, run_id, world};

    #[test]
    fn a_restored_run_that_is_not_closed_is_not_armed() {
        let view = |status: RunStatus, target: TargetStatus| {
            let mut run = stopped_marker(&run_id("r"), &EndReason::UserRequest.into(), Time(0));
            run.status = status;
            let mut record = TargetRecord::new(run_id("r"), function_arn("checkout"));
            record.status = target;
            let view = report_view(&run, std::slice::from_ref(&record));
            [Listed { is_active: true, is_chosen: true, run, targets: vec![record], view }]
        };
        let texts = |armed: Vec<ArmedView>| armed.iter().map(|entry| entry.text().to_owned()).collect::<Vec<_>>();
        let found = |runs: &[Listed]| (texts(armed(runs)), texts(restored_runs(runs)));
        let restored = view(RunStatus::Stopping, TargetStatus::Restored);
        assert_eq!(found(&restored), (vec![], vec!["run r (stopping)".to_owned()]));
        let open = view(RunStatus::Stopping, TargetStatus::Restoring);
        assert_eq!(found(&open), (vec!["checkout (restoring, run r)".to_owned()], vec![]));
        let expected = json!({
            "text": "checkout (restoring, run r)", "runId": "r", "function": "checkout",
            "arn": function_arn("checkout").to_string(), "status": "restoring",
        });
        assert_eq!(serde_json::to_value(armed(&open)).ok(), Some(json!([expected])));
        let mut starting = view(RunStatus::Pending, TargetStatus::Pending);
        (starting[0].view.targets, starting[0].view.created_at) = (Vec::new(), Time(1000).to_string());
        assert_eq!(found(&starting), (vec!["run r (pending)".to_owned()], vec![]));
        let expected =
            json!({ "text": "run r (pending)", "runId": "r", "status": "pending", "since": "1970-01-01T00:00:01Z" });
        assert_eq!(serde_json::to_value(armed(&starting)).ok(), Some(json!([expected])));
    }

    #[test]
    fn runs_and_failed_starts_share_the_limit() {
        let run = |name: &str, at: i64, is_active: bool| {
            let run = stopped_marker(&run_id(name), &EndReason::UserRequest.into(), Time(at));
            let view = report_view(&run, &[]);
            Listed { is_active, is_chosen: true, run, targets: Vec::new(), view }
        };
        let start = |name: &str, at: i64| {
            let started_at = Time(at);
            let execution = ListedExecution { name: name.into(), arn: String::new(), started_at, has_failed: true };
            FailedStart::of(&execution, FailedExecution::default())
        };
        for (limit, expected) in
            [(0, "active"), (1, "active r-9"), (3, "active r-9 r-7 s-8"), (9, "active r-9 r-7 r-1 s-8 s-2")]
        {
            let runs = vec![run("active", 0, true), run("r-9", 9, false), run("r-7", 7, false), run("r-1", 1, false)];
            let mut starts = vec![start("s-8", 8), start("s-2", 2)];
            let kept = keep_latest(runs, &mut starts, limit);
            let names =
                kept.iter().map(|run| run.run.id.to_string()).chain(starts.into_iter().map(|start| start.run_id));
            assert_eq!(names.collect::<Vec<_>>().join(" "), expected, "{limit}");
        }
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
        let shown = shown(&world, &[], &StatusOptions::default()).await.unwrap_or_default();
        let mut names: Vec<&str> = shown.runs.iter().map(|listed| listed.view.run_id.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["run-1", "run-2", "run-3"]);
        let mut unreadable = shown.unreadable.clone();
        unreadable.sort_unstable();
        assert_eq!(
            unreadable,
            ["run run-1, checkout: its record cannot be read", "run run-2: its record cannot be read"]
        );
        let armed = armed(&shown.runs);
        for open in ["checkout (armed, run run-1)", "payment (injected, run run-2)", "basket (injected, run run-3)"] {
            assert!(armed.iter().any(|entry| entry.text() == open), "{open}: {armed:?}");
        }
    }
}
