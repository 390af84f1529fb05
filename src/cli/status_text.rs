//! The runs as a table: the running ones first, with the time that is left.

use crate::model::actor::Actor;
use crate::model::run::{RunStatus, TargetStatus};
use crate::model::text::escape_controls;
use crate::model::time::{Time, span_text};
use crate::plan::conclusion::{Conclusion, StartOutcome};
use crate::plan::outcome_text::concluded;
use crate::plan::rendering::ReportView;

use super::awaited::awaited;
use super::listed::{ArmedView, FailedStart, Listed, is_ending};
use super::pen::{Pen, Tone};
use super::progress_text::{remaining, waiting};
use super::report_text::outcome_tone;
use super::table::Grid;
use super::words::{named, targets};

/// One line of the table, and the sentence below the table that belongs to it.
struct Row {
    is_active: bool,
    started_at: Time,
    tone: Option<Tone>,
    cells: Vec<String>,
    sentence: Option<String>,
}

/// Renders the runs and the starts that left no run, the active ones first, then the latest.
///
/// Why a start was refused and what a run waits for are sentences below the table, each in one line: a cell would pad the
/// column of all rows to their length or break the command in them, which then could neither be completed nor copied.
pub(super) fn status_table(runs: &[Listed], starts: &[FailedStart], now: Time, pen: Pen) -> String {
    let mut rows: Vec<Row> = runs.iter().map(|run| run_row(run, now)).chain(starts.iter().map(start_row)).collect();
    rows.sort_by_key(|row| (!row.is_active, std::cmp::Reverse(row.started_at)));
    let mut grid = Grid::new(&["run", "outcome", "experiment", "started", "took", "by", "targets"]);
    let mut sentences = String::new();
    for row in rows {
        if let Some(sentence) = row.sentence {
            let line = escape_controls(&format!("{}: {sentence}", row.cells[0])).into_owned();
            sentences.push_str(&row.tone.map_or_else(|| line.clone(), |tone| pen.paint(tone, &line)));
            sentences.push('\n');
        }
        grid.row(row.tone, row.cells);
    }
    let gap = if sentences.is_empty() { "" } else { "\n" };
    format!("{}{gap}{sentences}", grid.draw(pen, 0))
}

fn run_row(listed: &Listed, now: Time) -> Row {
    let Listed { run, targets, view, .. } = listed;
    let is_over = run.status.is_final();
    let (outcome, why) = match is_over {
        true => outcome(view),
        false if run.status == RunStatus::Running => (format!("running, {}", remaining(run, targets, now)), None),
        false => (run.status.name().to_owned(), None),
    };
    let waits = awaited(run, targets).or_else(|| waiting(targets)).filter(|_| !is_over);
    // A run whose record cannot be read has no times.
    let has_times = run.created_at != Time(0);
    let started = if has_times { run.created_at.to_string() } else { String::new() };
    let took =
        if has_times { span_text(run.created_at.until(run.closed_at.unwrap_or(now)).as_secs()) } else { String::new() };
    let by = run.started_by.as_ref().map(actor_name).unwrap_or_default();
    let cells = vec![run.id.to_string(), outcome, view.experiment.clone(), started, took, by, count(view)];
    let tone = match outcome_tone(view.outcome) {
        Tone::Good => None,
        tone => Some(tone),
    };
    Row { is_active: !is_over, started_at: run.created_at, tone, cells, sentence: waits.or(why) }
}

fn start_row(start: &FailedStart) -> Row {
    let by = start.started_by.as_ref().map(actor_name).unwrap_or_default();
    let cause = start.cause.lines().next().unwrap_or_default();
    let outcome = start.outcome.phrase();
    let sentence = match start.outcome {
        StartOutcome::Refused => format!("{outcome}: {cause}"),
        StartOutcome::FailedStart => format!("{outcome}: {}: {cause}", start.error),
    };
    let experiment = start.experiment.clone().unwrap_or_default();
    let started = start.started_at.to_string();
    let cells = vec![start.run_id.clone(), outcome.to_owned(), experiment, started, String::new(), by, String::new()];
    Row { is_active: false, started_at: start.started_at, tone: Some(Tone::Warning), cells, sentence: Some(sentence) }
}

/// Returns the outcome for a cell, and the whole text for a sentence if the cell has only a part of it.
fn outcome(view: &ReportView) -> (String, Option<String>) {
    let phrase = Conclusion::of(view).phrase().to_owned();
    let whole = concluded(view);
    match whole.strip_prefix(&format!("{phrase}: ")) {
        None => (phrase, None),
        // Most reasons are short: an alarm, a user, the lever. Of the others, the cell has the beginning.
        Some(why) if phrase == Conclusion::EndedEarly.phrase() => match why.split_once(": ") {
            None => (whole, None),
            Some((beginning, _)) => (format!("{phrase}: {beginning}"), Some(whole)),
        },
        Some(_) => (phrase, Some(whole)),
    }
}

/// How many targets there are, and how many of them are in the status that matters now.
fn count(view: &ReportView) -> String {
    let all = view.targets.len();
    let is_restored = |status| matches!(status, TargetStatus::Restored | TargetStatus::Untouched);
    let (count, word) = match is_ending(view) {
        true => (view.targets.iter().filter(|target| is_restored(target.status)).count(), "restored"),
        false => (view.targets.iter().filter(|target| target.status == TargetStatus::Injected).count(), "injected"),
    };
    if count == all && view.status.is_final() { all.to_string() } else { format!("{count} of {all} {word}") }
}

/// Names an actor in a few words: the last part of the ARN, or what was used to act.
fn actor_name(actor: &Actor) -> String {
    match &actor.caller {
        Some(arn) => arn.as_str().rsplit(['/', ':']).next().unwrap_or_default().to_owned(),
        None => actor.via.to_string(),
    }
}

/// Returns what is armed, by run; `None` if nothing is.
pub(super) fn armed_text(runs: &[Listed], unreadable: &[ArmedView]) -> Option<String> {
    let of_run = |listed: &Listed| {
        let view = &listed.view;
        let open = view.targets.iter().filter(|target| !target.status.is_final());
        let names: Vec<&str> = open.map(|target| target.function.as_str()).collect();
        match names.is_empty() {
            false => Some(format!("{} of the run {} ({})", targets(names.len()), view.run_id, named(&names))),
            true if listed.is_active && !is_ending(view) => {
                Some(format!("the run {} ({})", view.run_id, view.status.name()))
            }
            true => None,
        }
    };
    let armed: Vec<String> =
        runs.iter().filter_map(of_run).chain(unreadable.iter().map(|entry| entry.text().to_owned())).collect();
    (!armed.is_empty()).then(|| format!("armed: {}", armed.join("; ")))
}
