//! The outcome of a run as a line, for every output that users read: its phrase, why, and what explains it.

use crate::model::run::{RunStatus, TargetStatus};

use super::conclusion::Conclusion;
use super::rendering::{Outcome, ReportView, TargetReport, has_version};

/// Returns the outcome as a line without its first letter in capitals and without its period.
#[must_use]
pub fn outcome_text(view: &ReportView) -> String {
    let explanation = Some(explanation(view).to_owned()).filter(|explanation| !explanation.is_empty());
    // Something outside the run has caused these, and not what ended it.
    let is_of_targets = matches!(view.outcome, Outcome::Drifted | Outcome::RestoreFailed);
    let reason = view.reason.clone().filter(|_| is_of_targets && view.status != RunStatus::Completed);
    [Some(concluded(view)), explanation, reason].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Returns the phrase for the outcome and, after a colon, why. `status` shows it in its table.
#[must_use]
pub fn concluded(view: &ReportView) -> String {
    let conclusion = Conclusion::of(view);
    match why(view, conclusion) {
        Some(why) => format!("{}: {why}", conclusion.phrase()),
        None => conclusion.phrase().to_owned(),
    }
}

/// Returns why the run has its outcome, unless the phrase tells that.
fn why(view: &ReportView, conclusion: Conclusion) -> Option<String> {
    match conclusion {
        Conclusion::Unfinished => Some(status_text(view.status, view.reason.as_deref())),
        Conclusion::Unproven => view.effect.clone(),
        Conclusion::EndedEarly | Conclusion::Failed => view.reason.clone(),
        Conclusion::Held
        | Conclusion::NoSteadyState
        | Conclusion::Deviated
        | Conclusion::NotJudged
        | Conclusion::Drifted
        | Conclusion::RestoreFailed => None,
    }
}

/// The status of a run and the reason for it. A reason that begins with the status takes its place.
#[must_use]
pub fn status_text(status: RunStatus, reason: Option<&str>) -> String {
    match reason {
        None => status.name().to_owned(),
        Some(reason) if reason.starts_with(status.name()) => reason.to_owned(),
        Some(reason) => format!("{}; {reason}", status.name()),
    }
}

/// Returns what follows the phrase and the reason: above all, whether everything is restored.
#[must_use]
pub fn explanation(view: &ReportView) -> &'static str {
    match Conclusion::of(view) {
        Conclusion::Unfinished => "",
        Conclusion::EndedEarly | Conclusion::Failed if is_untouched(view) => {
            "nothing was injected, so there is nothing to restore"
        }
        // A run can fail before its end, or at its end.
        Conclusion::EndedEarly | Conclusion::Failed => "restored exactly",
        Conclusion::Held
        | Conclusion::NoSteadyState
        | Conclusion::Unproven
        | Conclusion::Deviated
        | Conclusion::NotJudged => "restored exactly, at the end of its duration",
        Conclusion::Drifted if only_deleted(view) => match view.targets.len() {
            1 => "the function was deleted during the run, and nothing is left to restore",
            _ => "restored, except for functions that were deleted during the run",
        },
        Conclusion::Drifted => drifted(view),
        Conclusion::RestoreFailed => "the reaper tries again every minute",
    }
}

fn is_untouched(view: &ReportView) -> bool {
    view.targets_left_out == 0 && view.targets.iter().all(|target| target.status == TargetStatus::Untouched)
}

/// Describes why a restored run is not as it was before.
fn drifted(view: &ReportView) -> &'static str {
    let frozen = |target: &TargetReport| has_version(&target.frozen_versions);
    let changed = |target: &TargetReport| {
        matches!(target.status, TargetStatus::Drifted | TargetStatus::Deleted) || !target.removed_faults.is_empty()
    };
    match (view.targets.iter().any(frozen), view.targets.iter().any(changed)) {
        (false, _) => "restored, apart from fields or faults that were changed during the run",
        (true, false) => "restored; a version published during the run keeps the fault",
        (true, true) => {
            "restored, apart from fields or faults that were changed during the run; a version published during the run keeps the fault"
        }
    }
}

/// Whether the run is restored exactly except for deleted functions.
fn only_deleted(view: &ReportView) -> bool {
    let is_exact = |status| matches!(status, TargetStatus::Deleted | TargetStatus::Restored | TargetStatus::Untouched);
    view.targets_left_out == 0
        && view.targets.iter().all(|target| {
            is_exact(target.status) && target.removed_faults.is_empty() && !has_version(&target.frozen_versions)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_not_repeated_by_its_reason() {
        for (status, reason, expected) in [
            (RunStatus::Running, None, "running"),
            (RunStatus::Stopped, Some("stopped by a user"), "stopped by a user"),
            (RunStatus::Stopping, Some("stopped by a user"), "stopping; stopped by a user"),
            (RunStatus::Stopped, Some("alarm a went into ALARM"), "stopped; alarm a went into ALARM"),
        ] {
            assert_eq!(status_text(status, reason), expected);
        }
    }
}
