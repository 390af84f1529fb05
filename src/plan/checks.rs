//! What a run has shown, as separate checks that each passed or failed: a pipeline lists them like tests.
//!
//! The check of the run itself passes exactly if the command line's exit code is 0.

use std::fmt;

use crate::model::run::{EndReason, Run, TargetStatus};
use crate::model::steady_state::Condition;

use super::conclusion::Conclusion;
use super::outcome_text::outcome_text;
use super::rendering::{Outcome, ReportView, TargetReport, has_version};

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is checked. It is the same in each run of an experiment, so that a pipeline can compare runs.
    pub subject: Subject,
    /// Its result.
    pub result: CheckResult,
}

/// The subject of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The outcome of the run.
    Run,
    /// A condition of the steady state, for display.
    SteadyState(String),
    /// The restore of a target, by the function's name.
    Restore(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => f.write_str("run"),
            Self::SteadyState(condition) => write!(f, "steady state: {condition}"),
            Self::Restore(function) => write!(f, "restore: {function}"),
        }
    }
}

/// The result of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckResult {
    /// It passed.
    Passed,
    /// It failed, for this reason.
    Failed(String),
    /// It was not made, for this reason.
    Skipped(String),
}

/// Returns the checks of a run: the run itself, each condition of its steady state, and each target.
#[must_use]
pub fn checks(run: &Run, view: &ReportView) -> Vec<Check> {
    let conditions = run.experiment.as_ref().map_or(&[][..], |experiment| &experiment.steady_state);
    let of_condition = |condition: &Condition| Check {
        subject: Subject::SteadyState(condition.to_string()),
        result: steady_state(condition, run),
    };
    let of_target =
        |target: &TargetReport| Check { subject: Subject::Restore(target.function.clone()), result: restore(target) };
    let outcome = Check { subject: Subject::Run, result: outcome(view) };
    let conditions = conditions.iter().map(of_condition);
    std::iter::once(outcome).chain(conditions).chain(view.targets.iter().map(of_target)).collect()
}

fn outcome(view: &ReportView) -> CheckResult {
    match view.outcome {
        Outcome::Held | Outcome::NoSteadyState => CheckResult::Passed,
        _ => CheckResult::Failed(outcome_text(view)),
    }
}

/// A condition can deviate during the run, which ends it, or after the restore.
fn steady_state(condition: &Condition, run: &Run) -> CheckResult {
    if let Some(EndReason::Deviated { condition: found }) = &run.reason
        && condition.is_cause_of(found)
    {
        return CheckResult::Failed(format!("during the run: {found}"));
    }
    match &run.deviations {
        Some(found) => match found.iter().find(|found| condition.is_cause_of(found)) {
            Some(found) => CheckResult::Failed(format!("after the restore: {found}")),
            None => CheckResult::Passed,
        },
        None => CheckResult::Skipped("it was not checked after the restore".to_owned()),
    }
}

fn restore(target: &TargetReport) -> CheckResult {
    if !target.status.is_final() {
        let why = target.restore_error.as_ref().or(target.waiting_for.as_ref());
        let why = why.map_or(String::new(), |why| format!(": {why}"));
        return CheckResult::Failed(format!("{}{why}", Conclusion::RestoreFailed.phrase()));
    }
    let mut found: Vec<String> =
        target.drift.iter().map(|drift| format!("drift of {}: {}", drift.field, drift.note)).collect();
    if target.status == TargetStatus::Deleted {
        found.push("the function was deleted during the run".to_owned());
    }
    if has_version(&target.frozen_versions) {
        found.push(format!("versions keep the fault: {}", target.frozen_versions.join(", ")));
    }
    match found.is_empty() {
        true => CheckResult::Passed,
        false => CheckResult::Failed(found.join("; ")),
    }
}
