//! The guardrails: every check before a run starts. All refusals are reported together.

mod attachments;
mod qualifiers;
mod target;
mod warnings;

use crate::model::experiment::Experiment;
use crate::model::facts::{CodeSigning, Facts, RuntimeUpdates};
use crate::model::fault::Fault;
use crate::model::function::Observation;
use crate::model::invocation::InvocationFault;
use crate::model::names::FunctionArn;
use crate::model::refusal::{Guardrail, Refusal};
use crate::model::steady_state::Reading;

use super::bystanders;
use super::changes::{ChangeSet, change_set};
use super::injection::Injection;

use attachments::{about_code_signing, about_layers, about_mappings};
use target::{about_target, holder};
use warnings::{about_aliases, about_block_date, about_delays, about_runtime, about_versions, pile_up};

pub use warnings::may_pile_up;

/// The outcome of all checks.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Each function and what would be done to it: nothing is planned while another run has locked it.
    pub targets: Vec<(Observation, ChangeSet)>,
    /// Every refusal.
    pub refusals: Vec<Refusal>,
    /// Warnings for the reader of the plan and of the report.
    pub warnings: Vec<String>,
    /// What is true of every run of such a fault, for the reader of the plan. The report has the result.
    pub reminders: Vec<String>,
}

/// Evaluates an experiment on the facts.
#[must_use]
pub fn evaluate(experiment: &Experiment, facts: &Facts) -> Evaluation {
    let mut refusals = about_experiment(experiment, facts);
    let mut warnings = facts.notes.clone();
    // A deviation of the steady state ends a run too.
    if experiment.stop_conditions.is_empty() && experiment.steady_state.is_empty() {
        warnings.push("no stop condition: only the duration, a user or the lever ends the run".to_owned());
    }
    let (mut targets, mut reminders) = (Vec::new(), Vec::new());
    // The injection of a run that started now: `plan` shows it, and `Prepare` evaluates it.
    let injection = Injection::planned(experiment, facts.now, &facts.settings.proxy_layers);
    for target in &facts.targets {
        let mut drafted = change_set(&injection, &target.seen);
        if holder(target).is_some() {
            forget_state(&mut drafted);
        }
        refusals.extend(about_target(experiment, facts, target));
        refusals.append(&mut drafted.refusals);
        refusals.append(&mut drafted.idle);
        refusals.extend(about_layers(facts, target, &drafted));
        let untrusted = about_code_signing(facts, target, &drafted);
        match target.code_signing {
            CodeSigning::On { enforced: false, .. } => {
                let warn =
                    |no: &Refusal| format!("{}: {}; Lambda accepts it and logs a warning", no.subject, no.reason);
                warnings.extend(untrusted.iter().map(warn));
            }
            _ => refusals.extend(untrusted),
        }
        refusals.extend(about_mappings(facts, target, &drafted));
        warnings.append(&mut drafted.warnings);
        warnings.extend(about_delays(experiment, target));
        warnings.extend(about_aliases(experiment, target));
        warnings.extend(about_block_date(experiment, target));
        reminders.extend(about_versions(experiment, target));
        // A right that is missing is no reminder: the report is where its absence is seen.
        let is_denied = target.runtime_updates == Some(RuntimeUpdates::Denied);
        if is_denied { &mut warnings } else { &mut reminders }.extend(about_runtime(experiment, target));
        warnings.extend(pile_up(experiment, facts, target));
        if experiment.needs_proxy() {
            warnings.extend(bystanders::notes(&target.seen));
        }
        if let Some(run) = holder(target) {
            let name = target.seen.arn.name();
            warnings.push(format!("{name}: its fields can be planned only after the run {run} has ended"));
            drafted = ChangeSet::default();
        }
        targets.push((target.seen.clone(), drafted));
    }
    Evaluation { targets, refusals, warnings, reminders }
}

/// Keeps only what is also true after the run that has locked the function. Its fields have that run's faults now, so the
/// other reasons could be wrong, and their fixes could damage that run.
fn forget_state(drafted: &mut ChangeSet) {
    drafted.refusals.retain(|refusal| matches!(refusal.guardrail, Guardrail::Package | Guardrail::Runtime));
    drafted.idle.clear();
    drafted.warnings.clear();
}

fn about_experiment(experiment: &Experiment, facts: &Facts) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if let Some(lever) = facts.lever.as_ref().filter(|lever| lever.engaged) {
        let reason = format!("it has been engaged since {} (reason: {})", lever.since, lever.reason);
        refusals.push(Refusal::new(
            Guardrail::Lever,
            "safety lever",
            reason,
            "to disengage it: snapback lever disengage",
        ));
    }
    for (asked, why) in &facts.unresolved {
        refusals.push(Refusal::new(Guardrail::Exists, asked, why, "correct the target, or the rights to read it"));
    }
    for fault in
        experiment.faults.iter().filter_map(Fault::invocation).filter(|fault| fault.rule().percentage.share() <= 0.0)
    {
        let reason = format!("{} has the percentage 0, so it would never be injected", fault.name());
        refusals.push(Refusal::new(Guardrail::Effect, "faults", reason, "give it a share, or remove it"));
    }
    for fault in experiment.faults.iter().filter_map(Fault::invocation).filter(InvocationFault::changes_nothing) {
        let reason = format!("{} has a delay of 0 ms, so it would change nothing", fault.name());
        refusals.push(Refusal::new(Guardrail::Effect, "faults", reason, "give it a longer delay, or remove it"));
    }
    for order in experiment.faults.iter().filter_map(Fault::order) {
        let name = format!("the handler's {}", order.name());
        if order.rule().percentage.share() <= 0.0 {
            let reason = format!("{name} has the percentage 0, so it would never be injected");
            refusals.push(Refusal::new(Guardrail::Effect, "faults", reason, "give it a share, or remove it"));
        }
        if order.changes_nothing() {
            let reason = format!("{name} has a delay of 0 ms, so it would change nothing");
            refusals.push(Refusal::new(Guardrail::Effect, "faults", reason, "give it a longer delay, or remove it"));
        }
    }
    let (count, limit) = (facts.target_count, facts.settings.target_limit);
    if count > limit {
        let fix = "name fewer, select fewer with COUNT(n), or raise the stack's TargetLimit";
        refusals.push(Refusal::new(
            Guardrail::TargetLimit,
            "targets",
            format!("{count} functions, over the limit of {limit}"),
            fix,
        ));
    }
    refusals.extend(about_alarms(experiment, facts));
    for deviation in facts.steady_state.iter().filter_map(Reading::deviation) {
        let fix = "wait until it holds, or correct the condition";
        refusals.push(Refusal::new(
            Guardrail::SteadyState,
            "steady state",
            format!("it does not hold: {deviation}"),
            fix,
        ));
    }
    refusals
}

fn about_alarms(experiment: &Experiment, facts: &Facts) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    for (alarm, fact) in &facts.alarms {
        let stops = experiment.stop_conditions.iter().any(|stop| stop.alarm == *alarm);
        match fact {
            None => refusals.push(Refusal::new(
                Guardrail::Alarm,
                alarm.name(),
                "there is no such alarm",
                "create it, or correct its name or Region",
            )),
            Some(fact) if fact.in_alarm && stops => {
                refusals.push(Refusal::new(
                    Guardrail::Alarm,
                    alarm.name(),
                    "it is already in ALARM",
                    "wait until it is OK",
                ));
            }
            Some(_) => {}
        }
    }
    refusals
}

/// Returns the functions of an evaluation, in order.
#[must_use]
pub fn functions(facts: &Facts) -> Vec<FunctionArn> {
    facts.targets.iter().map(|target| target.seen.arn.clone()).collect()
}
