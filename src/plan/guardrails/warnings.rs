//! Warnings in a plan: what a user should know about a target that no guardrail refuses.

use crate::model::experiment::Experiment;
use crate::model::facts::{AccountConcurrency, Facts, RuntimeUpdates, TargetFacts};
use crate::model::fault::Fault;
use crate::model::function::{Observation, Slot};
use crate::model::handler_fault::HandlerFault;
use crate::model::invocation::{HandlerOrder, LatencyFault};
use crate::model::settings::Settings;
use crate::plan::runtimes::is_listed;

/// The longest initialization; Lambda then starts it again, within the function's timeout
/// (lambda/latest/dg/lambda-runtime-environment).
const MAX_INIT_MS: u32 = 10_000;

/// A delay that reaches the function's timeout is a timeout, and what would come after the timeout never happens.
pub(super) fn about_delays(experiment: &Experiment, target: &TargetFacts) -> Vec<String> {
    let of_run = experiment.faults.iter().find_map(|fault| match fault {
        Fault::Timeout(fault) => Some(fault.timeout.seconds()),
        _ => None,
    });
    let timeout_s = of_run.unwrap_or(target.seen.timeout);
    let name = target.seen.arn.name();
    let felt = experiment.faults.iter().filter_map(|fault| about_delay(fault, timeout_s));
    felt.map(|problem| format!("{name}: {problem}")).collect()
}

fn about_delay(fault: &Fault, timeout_s: u32) -> Option<String> {
    let timeout_ms = timeout_s.saturating_mul(1000);
    let latency = match fault {
        Fault::Latency(fault) => Some(fault),
        Fault::Handler(HandlerFault::Chaos(HandlerOrder::Latency(fault))) => Some(fault),
        _ => None,
    };
    if let Some((least, most)) = latency.and_then(LatencyFault::range) {
        let reach = match (least.get() >= timeout_ms, most.get() >= timeout_ms) {
            (true, _) => "reaches",
            (false, true) => "can reach",
            (false, false) => return None,
        };
        let delay = most.get();
        return Some(format!(
            "the latency of {delay} ms {reach} its timeout of {timeout_s} s, so such an invocation times out and is not slow"
        ));
    }
    match fault {
        Fault::InvocationTimeout(fault) if fault.buffer_ms.get() >= timeout_ms => Some(format!(
            "the buffer of {} ms is as long as its timeout of {timeout_s} s, so invocations are not delayed",
            fault.buffer_ms.get()
        )),
        Fault::Exit(fault) if fault.delay_ms.get() >= timeout_ms => Some(format!(
            "the kill after {} ms comes after its timeout of {timeout_s} s, so it never happens",
            fault.delay_ms.get()
        )),
        Fault::Init(fault) if fault.delay_ms.is_some_and(|delay| delay.get() >= MAX_INIT_MS) => Some(format!(
            "the delay of {} ms is longer than Lambda's limit of 10 s for an initialization, which then starts again",
            fault.delay_ms.map_or(0, |delay| delay.get())
        )),
        _ => None,
    }
}

/// Traffic through an alias of a version does not see a change of `$LATEST`.
pub(super) fn about_aliases(experiment: &Experiment, target: &TargetFacts) -> Option<String> {
    let pinned: Vec<&str> =
        target.aliases.iter().filter(|alias| alias.version != "$LATEST").map(|alias| alias.name.as_str()).collect();
    (experiment.changes_latest() && !pinned.is_empty()).then(|| {
        let name = target.seen.arn.name();
        format!("{name}: traffic through the aliases {} will not see the fault", pinned.join(", "))
    })
}

/// A version freezes the fault that `$LATEST` has.
pub(super) fn about_versions(experiment: &Experiment, target: &TargetFacts) -> Option<String> {
    let name = target.seen.arn.name();
    experiment.changes_latest().then(|| format!("{name}: a version that is published during the run keeps the fault"))
}

/// A restore cannot return the runtime's patch version.
pub(super) fn about_runtime(experiment: &Experiment, target: &TargetFacts) -> Option<String> {
    let moves = match target.runtime_updates {
        _ if !experiment.changes_latest() => return None,
        None | Some(RuntimeUpdates::Manual) => return None,
        Some(RuntimeUpdates::FunctionUpdate) => "moves it to the newest version of its runtime (FunctionUpdate)",
        Some(RuntimeUpdates::Auto) => "can move it to a newer version of its runtime (Auto)",
        Some(RuntimeUpdates::Denied) => {
            "can move it to a newer version of its runtime (allow lambda:GetRuntimeManagementConfig to know)"
        }
        Some(RuntimeUpdates::Unknown) => "can move it to a newer version of its runtime (Lambda did not tell)",
    };
    let name = target.seen.arn.name();
    Some(format!("{name}: an update of its configuration {moves}, and the restore does not bring the old one back"))
}

/// Lambda may refuse updates for a runtime that is not in the table of block dates.
pub(super) fn about_block_date(experiment: &Experiment, target: &TargetFacts) -> Option<String> {
    let runtime = target.seen.runtime.as_ref().filter(|runtime| !is_listed(runtime))?;
    experiment.changes_latest().then(|| {
        format!(
            "{}: it is not known until when Lambda accepts updates of functions on {runtime}; if it refuses the first one, \
             nothing is injected",
            target.seen.arn.name()
        )
    })
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
