//! A report as text: how a run ended, once; what it has shown; and each target that a user has to check.

use crate::model::run::TargetStatus;
use crate::model::time::Time;
use crate::plan::conclusion::Conclusion;
use crate::plan::outcome_text::outcome_text;
use crate::plan::rendering::{Outcome, ReportView, TargetReport, has_version};

use super::pen::{Pen, Tone};
use super::words::{joined, targets};

/// The targets up to which each has a line. Of more, only those that need attention have one.
const MAX_LISTED: usize = 10;

/// Renders a report.
pub(super) fn report_text(view: &ReportView, pen: Pen) -> String {
    let mut lines = head(view, pen);
    lines.extend(findings(view, pen));
    let is_listed = |target: &&TargetReport| view.targets.len() <= MAX_LISTED || needs_attention(target);
    let listed: Vec<&TargetReport> = view.targets.iter().filter(is_listed).collect();
    if listed.len() < view.targets.len() {
        lines.push(format!("  {}", counted(view, pen)));
    }
    lines.extend(listed.into_iter().flat_map(|target| target_lines(target, pen)));
    if view.targets_left_out > 0 {
        lines.push(format!("  {} more", targets(view.targets_left_out)));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn head(view: &ReportView, pen: Pen) -> Vec<String> {
    let outcome = pen.paint(outcome_tone(view.outcome), &outcome_text(view));
    let mut lines = vec![format!("run {}: {outcome}", view.run_id)];
    if !view.experiment.is_empty() {
        let end = match &view.closed_at {
            Some(closed_at) => format!("closed at {closed_at}"),
            None => format!("ends by {}", view.due),
        };
        // A run whose record cannot be read has no times.
        let times = format!("; started at {}; {end}", view.created_at);
        let times = if view.created_at == Time(0).to_string() { "" } else { &times };
        lines.push(format!("  experiment {}{times}", view.experiment));
    }
    let actors = [("started", &view.started_by), ("ended", &view.ended_by)];
    lines.extend(actors.into_iter().filter_map(|(did, actor)| Some(format!("  {did} by {}", actor.as_ref()?))));
    lines.extend(view.seed.map(|seed| format!("  targets drawn with seed {seed}")));
    lines
}

pub(super) fn outcome_tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Held | Outcome::NoSteadyState => Tone::Good,
        Outcome::RestoreFailed => Tone::Bad,
        Outcome::Unfinished | Outcome::Unproven | Outcome::EndedEarly | Outcome::Drifted => Tone::Warning,
    }
}

fn findings(view: &ReportView, pen: Pen) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(phases) = &view.steady_state_phases {
        for (when, found) in [("before", phases.before), ("during", phases.during), ("after", phases.after)] {
            let tone = if found == "held" { Tone::Good } else { Tone::Warning };
            lines.push(format!("  steady state {when}: {}", pen.paint(tone, found)));
        }
    }
    lines.extend(view.deviations.iter().map(|deviation| format!("    {deviation}")));
    lines.extend(view.injected.iter().map(|injected| format!("  injected: {injected}")));
    // A run that was ended before its time does not have to show an effect, and the first line has that of an unproven one.
    let is_open = !matches!(Conclusion::of(view), Conclusion::EndedEarly | Conclusion::Failed | Conclusion::Unproven);
    if let Some(effect) = view.effect.as_ref().filter(|_| is_open) {
        lines.push(format!("  {}: {effect}", pen.paint(Tone::Warning, Conclusion::Unproven.phrase())));
    }
    let functions: Vec<&str> = view.targets.iter().map(|target| target.function.as_str()).collect();
    let notes = joined(&view.notes, &functions);
    lines.extend(notes.iter().map(|note| format!("  {} {note}", pen.paint(Tone::Warning, "note"))));
    lines
}

/// Whether a user has to know more of this target than its status.
fn needs_attention(target: &TargetReport) -> bool {
    let is_plain = matches!(
        target.status,
        TargetStatus::Restored | TargetStatus::Untouched | TargetStatus::Injected | TargetStatus::Armed
    );
    !is_plain
        || !target.drift.is_empty()
        || !target.removed_faults.is_empty()
        || !target.frozen_versions.is_empty()
        || target.waiting_for.is_some()
        || target.restore_error.is_some()
        || target.runtime_version.is_some()
}

/// Counts the targets of each status: `52 of 53 restored, 1 of 53 drifted`.
fn counted(view: &ReportView, pen: Pen) -> String {
    let all = view.targets.len();
    let of = |status: TargetStatus| view.targets.iter().filter(|target| target.status == status).count();
    let counts = TargetStatus::ALL.map(|status| (status, of(status)));
    let counts = counts.iter().filter(|(_, count)| *count > 0);
    let texts: Vec<String> = counts
        .map(|(status, count)| pen.paint(status_tone(*status), &format!("{count} of {all} {}", status.name())))
        .collect();
    texts.join(", ")
}

pub(super) fn status_tone(status: TargetStatus) -> Tone {
    match status {
        TargetStatus::Restored | TargetStatus::Untouched => Tone::Good,
        TargetStatus::Drifted | TargetStatus::Deleted | TargetStatus::Injecting | TargetStatus::Injected => {
            Tone::Warning
        }
        TargetStatus::Pending | TargetStatus::Armed | TargetStatus::Restoring => Tone::Faint,
    }
}

fn target_lines(target: &TargetReport, pen: Pen) -> Vec<String> {
    let warning = |text: &str| pen.paint(Tone::Warning, text);
    let fields: Vec<&str> = target.fields.iter().map(|row| row.field.as_str()).collect();
    let status = pen.paint(status_tone(target.status), target.status.name());
    let fields = match (target.status, fields.is_empty()) {
        (TargetStatus::Untouched, true) => "; nothing was injected".to_owned(),
        (_, true) => String::new(),
        (_, false) => format!(" ({})", fields.join(", ")),
    };
    let mut lines = vec![format!("  {}: {status}{fields}", target.function)];
    let drift = target.drift.iter();
    lines.extend(drift.map(|drift| format!("    {} {}: {}", warning("drift"), drift.field, drift.note)));
    lines.extend(target.removed_faults.iter().map(|fault| {
        format!("    {} {}: changed outside this run; seen at {}", warning("removed"), fault.field, fault.seen_at)
    }));
    lines.extend(target.waiting_for.iter().map(|why| format!("    {} {why}", warning("waiting:"))));
    if !target.frozen_versions.is_empty() {
        let what = match has_version(&target.frozen_versions) {
            true => "published during the run, with the fault in them:",
            false => "published during the run:",
        };
        lines.push(format!("    {} {what} {}", warning("versions"), target.frozen_versions.join(", ")));
    }
    if let Some(moved) = &target.runtime_version {
        lines.push(format!("    {} was {}, is {}", warning("runtime version"), moved.before, moved.after));
    }
    let failed = pen.paint(Tone::Bad, "the restore failed:");
    lines.extend(target.restore_error.iter().map(|error| format!("    {failed} {error}")));
    lines
}
