//! The outcome of a run as a sentence, for every output that users read.

use crate::model::run::{RunStatus, TargetStatus};

use super::rendering::{Outcome, ReportView, TargetReport, has_version};

/// Returns the outcome as a sentence without its first word in capitals and without its period.
#[must_use]
pub fn outcome_text(view: &ReportView) -> &'static str {
    match view.outcome {
        Outcome::Unfinished => "not over yet",
        Outcome::Held => "restored exactly, at the end of its duration",
        Outcome::NoSteadyState => "restored exactly, at the end of its duration; no steady state was given",
        Outcome::Unproven => "restored exactly, at the end of its duration; nothing shows that the faults took effect",
        Outcome::EndedEarly if view.status == RunStatus::Completed => {
            "restored exactly; the steady state did not hold afterwards"
        }
        Outcome::EndedEarly if is_untouched(view) => {
            "ended before anything was injected, so there is nothing to restore"
        }
        // A run can fail before its end, or at its end.
        Outcome::EndedEarly if view.status == RunStatus::Failed => "restored exactly; the run failed",
        Outcome::EndedEarly => "restored exactly, before the end of its duration",
        Outcome::Drifted if only_deleted(view) => match view.targets.len() {
            1 => "the function was deleted during the run; nothing is left to restore",
            _ => "restored, except for functions that were deleted during the run",
        },
        Outcome::Drifted => drifted(view),
        Outcome::RestoreFailed => "NOT restored yet; the reaper tries again every minute",
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
        (false, _) => "restored; fields or faults were changed outside this run",
        (true, false) => "restored; a version published during the run keeps the fault",
        (true, true) => {
            "restored; a version published during the run keeps the fault, and fields or faults were changed outside this run"
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
