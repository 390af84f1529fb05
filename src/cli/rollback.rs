//! `rollback`: through the stack, or from here with nothing but the table.

use std::time::Duration;

use serde_json::json;

use crate::aws::AwsWorld;
use crate::model::names::RunId;
use crate::model::run::EndReason;
use crate::plan::rendering::{Outcome, ReportView};
use crate::ports::{Clock, Ledger, World};
use crate::steps::Budget;
use crate::steps::error::StepError;
use crate::steps::report::close;
use crate::steps::retry::retry;
use crate::steps::rollback::roll_back_each;

use super::arguments::Arguments;
use super::exit::Exit;
use super::output::Output;
use super::{Failure, report, say, stack};

/// Seconds of one round of a direct restore.
const ROUND: i64 = 60;
/// Rounds of a direct restore: longer than the longest lease.
const ROUNDS: u32 = 5;
/// Seconds to wait for a run to be closed by its own execution.
const PATIENCE: i64 = 180;

/// Rolls back one run, or all.
pub(super) async fn rollback(
    arguments: &Arguments,
    run: Option<&RunId>,
    all: bool,
    direct: bool,
    output: &Output,
) -> Result<Exit, Failure> {
    let world = stack::ledger(arguments).await?;
    let runs = match run {
        // Asked before anything is stopped: stopping an unknown run would keep its name from being used.
        Some(run) => vec![report::view(&world, run).await.map(|_| run.clone())?],
        None if all => retry(&world, || world.active_runs()).await?.runs,
        None => Vec::new(),
    };
    let mut failure = None;
    if direct {
        failure = from_here(&world, &runs, &EndReason::Person).await;
    } else if !runs.is_empty() {
        let payload = run.map_or_else(|| json!({ "all": true }), |run| json!({ "runId": run }));
        stack::find(arguments).await?.roll_back(&payload).await?;
    }
    let views = settled(&world, &runs).await?;
    show(&views, output);
    // What could not be restored stands in the report; without one, the reason has to be said.
    match failure {
        Some(failure) if !output.as_json => output.failure(&failure),
        _ => {}
    }
    Ok(worst(&views))
}

/// The worst of what several runs came to.
pub(super) fn worst(views: &[ReportView]) -> Exit {
    views.iter().map(exit).max_by_key(|exit| exit.code()).unwrap_or(Exit::Held)
}

/// For this command, a run that ended because of it has ended well.
fn exit(view: &ReportView) -> Exit {
    match Exit::of(view) {
        Exit::EndedEarly | Exit::Error => Exit::Held,
        exit => exit,
    }
}

fn show(views: &[ReportView], output: &Output) {
    if output.as_json {
        return output.json(&json!({ "runs": views }));
    }
    if views.is_empty() {
        say("nothing to roll back: no run is active");
    }
    for view in views {
        output.report(view);
    }
}

/// The same restore as the stack's, with this machine's credentials, in rounds. Every run is stopped before any is
/// restored; a run that cannot be stopped, or a target that cannot be restored, ends no other one's rounds. Returns the
/// first failure that stands at the end.
pub(super) async fn from_here(world: &impl World, runs: &[RunId], reason: &EndReason) -> Option<Failure> {
    let mut failures: Vec<StepError> = Vec::new();
    for _ in 0..ROUNDS {
        let budget = Budget { deadline: world.now().plus(ROUND) };
        // Cut off at its deadline as Lambda would cut it off: that is what its leases are made for.
        let round = tokio::time::timeout(
            Duration::from_secs(ROUND.unsigned_abs()),
            roll_back_each(world, runs, reason, budget),
        );
        let Ok(round) = round.await else { continue };
        let open = round.is_open();
        failures = round.failures().collect();
        if !open {
            break;
        }
    }
    for run in runs {
        failures.extend(close(world, run).await.err());
    }
    let restore_failed = |error: StepError| Failure { exit: Exit::RestoreFailed, ..error.into() };
    failures.into_iter().next().map(restore_failed)
}

/// Waits until every target is back and the run is closed, as far as patience goes.
pub(super) async fn settled(world: &AwsWorld, runs: &[RunId]) -> Result<Vec<ReportView>, Failure> {
    let until = world.now().plus(PATIENCE);
    let mut views = Vec::new();
    for run in runs {
        loop {
            let view = report::view(world, run).await?;
            let back = view.targets.iter().all(|target| target.status.is_final());
            if back && view.status.is_final() || view.outcome == Outcome::RestoreFailed || world.now() > until {
                views.push(view);
                break;
            }
            world.sleep(1000).await;
        }
    }
    Ok(views)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::RunStatus;
    use crate::testing::SimWorld;
    use crate::testing::execution::Machine;
    use crate::testing::samples::{experiment, faults, world};

    /// Two runs that have injected.
    async fn injected(world: &SimWorld) -> [Machine<'_>; 2] {
        let machine = |run, function| Machine::new(world, run, experiment(&[function], &faults()[0..1]));
        let machines = [machine("run-1", "checkout"), machine("run-2", "payment")];
        for machine in &machines {
            assert_eq!(machine.start().await, Ok(()));
        }
        machines
    }

    #[tokio::test]
    async fn a_run_that_cannot_be_stopped_ends_no_other_ones_rounds() {
        let world = world(&["checkout", "payment"]);
        let [stuck, other] = injected(&world).await;
        world.with(|state| {
            state.unreadable.insert(stuck.run.clone());
            state.targets.retain(|(run, _), _| *run != stuck.run);
        });
        let runs = [stuck.run.clone(), other.run.clone()];
        let failure = from_here(&world, &runs, &EndReason::Person).await;
        assert_eq!(failure.map(|failure| failure.error), Some("LedgerUnusable".to_owned()));
        let status = world.with(|state| state.runs[&other.run].status);
        assert_eq!(status, RunStatus::Stopped, "restored in its rounds and closed");
    }
}
