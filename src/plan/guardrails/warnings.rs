//! Warnings in a plan: what a user should know about a target that no guardrail refuses.

use crate::model::experiment::Experiment;
use crate::model::facts::{AccountConcurrency, Facts, RuntimeUpdates, TargetFacts};
use crate::model::fault::Fault;
use crate::model::function::{Observation, Slot};
use crate::model::settings::Settings;
use crate::plan::runtimes::is_listed;

pub(super) fn about_versions(experiment: &Experiment, target: &TargetFacts) -> Vec<String> {
    if !experiment.changes_latest() {
        return Vec::new();
    }
    let name = target.seen.arn.name();
    let mut warnings =
        vec![format!("{name}: a version that is published during the run keeps the fault, and the report names it")];
    let pinned: Vec<&str> =
        target.aliases.iter().filter(|alias| alias.version != "$LATEST").map(|alias| alias.name.as_str()).collect();
    if !pinned.is_empty() {
        warnings.push(format!("{name}: traffic through the aliases {} will not see the fault", pinned.join(", ")));
    }
    warnings
}

/// A restore cannot return the runtime's patch version, and Lambda may refuse updates for a runtime that is not in the
/// table of block dates.
pub(super) fn about_runtime(experiment: &Experiment, target: &TargetFacts) -> Vec<String> {
    let (name, mut warnings) = (target.seen.arn.name(), Vec::new());
    if !experiment.changes_latest() {
        return warnings;
    }
    let moves = match target.runtime_updates {
        None | Some(RuntimeUpdates::Manual) => None,
        Some(RuntimeUpdates::FunctionUpdate) => Some("moves it to the newest version of its runtime (FunctionUpdate)"),
        Some(RuntimeUpdates::Auto) => Some("can move it to a newer version of its runtime (Auto)"),
        Some(RuntimeUpdates::Denied) => {
            Some("can move it to a newer version of its runtime (allow lambda:GetRuntimeManagementConfig to know)")
        }
        Some(RuntimeUpdates::Unknown) => Some("can move it to a newer version of its runtime (Lambda did not tell)"),
    };
    if let Some(moves) = moves {
        warnings.push(format!(
            "{name}: an update of its configuration {moves}, and the restore does not bring the old one back; the report \
             names both"
        ));
    }
    if let Some(runtime) = target.seen.runtime.as_ref().filter(|runtime| !is_listed(runtime)) {
        warnings.push(format!(
            "{name}: it is not known until when Lambda accepts updates of functions on {runtime}; if it refuses the \
             first one, nothing is injected"
        ));
    }
    warnings
}

/// Slow invocations add up. Without a reservation, a function can use up what snapback's own functions draw on, too.
pub(super) fn pile_up(experiment: &Experiment, facts: &Facts, target: &TargetFacts) -> Option<String> {
    if !may_pile_up(experiment, &facts.settings, &target.seen) {
        return None;
    }
    let faults: Vec<&str> =
        experiment.faults.iter().filter(|fault| fault.slows_invocations()).map(Fault::name).collect();
    let figures = match facts.account {
        Some(AccountConcurrency { total, unreserved }) => {
            format!("it may take all {unreserved} unreserved of the account's {total} concurrent executions")
        }
        None => "it may take all of the account's unreserved concurrency (allow lambda:GetAccountSettings to know it)"
            .to_owned(),
    };
    let name = target.seen.arn.name();
    Some(format!(
        "{name}: {} can let its invocations pile up; it has no reserved concurrency, so {figures}, and the stack keeps 0 for \
         its own rollback (RollbackReservedConcurrency)",
        faults.join(" and ")
    ))
}

/// Whether the faults could leave no concurrency for snapback's own functions.
#[must_use]
pub fn may_pile_up(experiment: &Experiment, settings: &Settings, seen: &Observation) -> bool {
    let reserves = |fault: &Fault| matches!(fault, Fault::ReservedConcurrency(_));
    settings.reserved_concurrency == 0
        && seen.concurrency == Slot::Absent
        && experiment.faults.iter().any(Fault::slows_invocations)
        && !experiment.faults.iter().any(reserves)
}
