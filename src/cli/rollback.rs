//! The command `rollback`: through the rollback function, or from this machine with only the table.

use std::pin::pin;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::aws::SdkConfig;
use crate::model::actor::Actor;
use crate::model::names::LeverReason;
use crate::model::time::span_text;
use crate::plan::rendering::{Outcome, ReportView};
use crate::ports::World;

use super::actor::acting_user;
use super::arguments::Arguments;
use super::exit::Exit;
use super::output::Output;
use super::records::Records;
use super::screen::Screen;
use super::stack::RollbackError;
use super::undo::{Undo, Undone, directly, instead, through_function};
use super::{Failure, report, stack};

/// What `rollback` prints as JSON.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct RollbackView<'a> {
    /// The report of each run that was rolled back; empty if no run was active.
    runs: &'a [ReportView],
}

/// How long to wait for a run to be closed by its own execution.
const MAX_CLOSING_WAIT: Duration = Duration::from_secs(180);

/// Rolls back one run, or all.
pub(super) async fn rollback(
    arguments: &Arguments,
    what: Undo<'_>,
    reason: Option<&LeverReason>,
    direct: bool,
    output: &Output,
) -> Result<Exit, Failure> {
    let (records, undone) = carry_out(arguments, what, reason, direct, output).await?;
    let (mut views, undone) = wait_until_closed(&records.world, undone, output).await;
    for view in &mut views {
        records.complete(view).await;
    }
    show(&views, output);
    if undone.failure.is_some() && is_all_restored(&views) {
        output.note("snapback: everything is restored anyway, as the ledger shows; this machine did not do all of it");
    }
    Ok(worst(&views, &undone))
}

/// Undoes through the rollback function, or from this machine. Returns the ledger, which has the outcome. What could
/// not be restored is printed immediately, and is also in the runs' reports. Progress shows how long it takes.
pub(super) async fn carry_out(
    arguments: &Arguments,
    what: Undo<'_>,
    reason: Option<&LeverReason>,
    direct: bool,
    output: &Output,
) -> Result<(Records, Undone), Failure> {
    let mut screen = Screen::new(output);
    let doing = what.progress();
    screen.news(&doing);
    let began = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let mut work = pin!(carry_out_silently(arguments, what, reason, direct, output));
    loop {
        tokio::select! {
            done = &mut work => {
                screen.clear();
                return done;
            }
            _ = ticks.tick() => screen.live(&format!("{doing} ({})", span_text(began.elapsed().as_secs()))),
        }
    }
}

async fn carry_out_silently(
    arguments: &Arguments,
    what: Undo<'_>,
    reason: Option<&LeverReason>,
    direct: bool,
    output: &Output,
) -> Result<(Records, Undone), Failure> {
    let user = async |config: &SdkConfig| Actor { reason: reason.cloned(), ..acting_user(config).await };
    let (records, undone) = if direct {
        let (world, config) = stack::ledger_access(arguments).await?;
        let undone = directly(&world, what, &user(&config).await).await?;
        (Records { world, state_machine: None }, undone)
    } else {
        match (stack::find(arguments).await, &arguments.table) {
            (Ok(stack), _) => {
                let by = user(&stack.config).await;
                let undone = through_function(&stack, what, &by, arguments, output).await;
                let records = Records { world: stack.world, state_machine: Some(stack.state_machine) };
                let undone = match (undone, what) {
                    (Ok(undone), _) => undone,
                    (Err(RollbackError::Failed(failure)), Undo::Run(run)) => {
                        return Err(records.explained(run, failure).await);
                    }
                    (Err(RollbackError::Failed(failure)), _) => return Err(failure),
                    (Err(RollbackError::Unreachable(why)), _) => {
                        instead(&records.world, what, &by, &why, arguments, output).await?
                    }
                };
                (records, undone)
            }
            // The stack cannot be read, but the user has named the table.
            (Err(failure), Some(_)) if failure.exit != Exit::Invalid => {
                let (world, config) = stack::ledger_access(arguments).await?;
                let by = user(&config).await;
                let undone = instead(&world, what, &by, &failure.cause, arguments, output).await?;
                (Records { world, state_machine: None }, undone)
            }
            (Err(failure), _) => return Err(failure),
        }
    };
    if let Some(failure) = &undone.failure {
        output.note(&format!("snapback: {}", failure.cause));
    }
    Ok((records, undone))
}

/// Returns the exit code of the worst outcome of several runs, and of what was not restored.
pub(super) fn worst(views: &[ReportView], undone: &Undone) -> Exit {
    // What this machine could not do, the stack may have done.
    let failed = undone.failure.as_ref().filter(|_| !is_all_restored(views)).map(|failure| failure.exit);
    // A failure explains why a run is not over, so it decides.
    let views =
        views.iter().map(|view| exit(view, undone)).filter(|exit| failed.is_none() || *exit != Exit::Unfinished);
    views.chain(failed).max_by_key(|exit| exit.code()).unwrap_or(Exit::Success)
}

/// Returns the exit code of one run. For this command, a run that was ended early is a success.
fn exit(view: &ReportView, undone: &Undone) -> Exit {
    match Exit::of(view) {
        Exit::EndedEarly | Exit::Error | Exit::Unproven => Exit::Success,
        Exit::Unfinished if is_refused(view, undone) => Exit::RestoreFailed,
        exit => exit,
    }
}

/// Whether a target of the run is not restored, and waiting does not restore it.
fn is_refused(view: &ReportView, undone: &Undone) -> bool {
    !is_restored(view) && undone.refused.iter().any(|run| run.as_str() == view.run_id)
}

/// Whether every target is restored, so that nothing is left to undo.
pub(super) fn is_restored(view: &ReportView) -> bool {
    view.targets.iter().all(|target| target.status.is_final())
}

/// Whether nothing is left to undo in all of the runs, of which there is one at least.
fn is_all_restored(views: &[ReportView]) -> bool {
    !views.is_empty() && views.iter().all(is_restored)
}

fn show(views: &[ReportView], output: &Output) {
    if output.as_json {
        return output.json(&RollbackView { runs: views });
    }
    if views.is_empty() {
        output.print_line("nothing to roll back: no run is active");
    }
    for view in views {
        output.report(view);
    }
}

/// Waits until every target is restored and the runs are closed: at most three minutes, and not at all after a failure or
/// for a run whose restore was refused, because only its cause can be removed. An unreadable run is named, and does not
/// hide the other runs' reports.
pub(super) async fn wait_until_closed(
    world: &impl World,
    mut undone: Undone,
    output: &Output,
) -> (Vec<ReportView>, Undone) {
    let patience = if undone.failure.is_some() { Duration::ZERO } else { MAX_CLOSING_WAIT };
    let until = world.now() + patience;
    let mut views = Vec::new();
    for run in &undone.runs {
        let mut is_noted = false;
        loop {
            let view = match report::view(world, run).await {
                Ok(view) => view,
                Err(failure) => {
                    output.note(&format!("snapback: {}", failure.cause));
                    undone.failure.get_or_insert(failure);
                    break;
                }
            };
            let is_closed = is_restored(&view) && view.status.is_final();
            let is_refused = is_refused(&view, &undone);
            if is_refused {
                output.note(&format!(
                    "snapback: {run} is not restored; the run's execution and the reaper keep trying; once the cause is removed, \
                     to restore immediately: snapback rollback {run}"
                ));
            }
            if !is_closed && !is_refused && is_restored(&view) && !std::mem::replace(&mut is_noted, true) {
                output.note(&format!(
                    "snapback: {run}: everything is restored; waiting for its execution, or the reaper, to close it"
                ));
            }
            if !is_closed && !is_refused && world.now() >= until && undone.failure.is_none() {
                output.note(&format!(
                    "snapback: {run} is not over; the reaper continues; to do it from this machine: snapback rollback {run} \
                     --direct"
                ));
            }
            if is_closed || is_refused || view.outcome == Outcome::RestoreFailed || world.now() >= until {
                views.push(view);
                break;
            }
            world.sleep(Duration::from_secs(1)).await;
        }
    }
    (views, undone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::direct::restore_directly;
    use crate::model::names::RunId;
    use crate::model::run::EndReason;
    use crate::ports::Clock;
    use crate::testing::SimWorld;
    use crate::testing::execution::Machine;
    use crate::testing::samples::{experiment, faults, run_id, world};

    /// Creates a run that has injected.
    async fn injected(world: &SimWorld, run: &str, function: &str) -> RunId {
        let machine = Machine::new(world, run, experiment(&[function], &faults()[0..1]));
        assert_eq!(machine.start().await, Ok(()));
        run_id(run)
    }

    #[tokio::test]
    async fn a_run_whose_restore_was_refused_is_not_waited_for() {
        let world = world(&["checkout", "payment"]);
        let output = Output::new(false);
        let refused = injected(&world, "refused", "checkout").await;
        let undone = Undone { runs: vec![refused.clone()], refused: [refused.clone()].into(), ..Undone::default() };
        let began = world.now();
        let (views, undone) = wait_until_closed(&world, undone, &output).await;
        assert_eq!(began.until(world.now()), Duration::ZERO);
        assert_eq!(worst(&views, &undone), Exit::RestoreFailed);

        let other = injected(&world, "other", "payment").await;
        let began = world.now();
        let undone = Undone { runs: vec![refused, other], ..undone };
        let (views, undone) = wait_until_closed(&world, undone, &output).await;
        assert!(began.until(world.now()) >= MAX_CLOSING_WAIT, "the other run may still be closed");
        assert_eq!(
            views.iter().map(|view| exit(view, &undone)).collect::<Vec<_>>(),
            [Exit::RestoreFailed, Exit::Unfinished]
        );
    }

    #[tokio::test]
    async fn a_refused_run_that_was_restored_anyway_is_a_success() {
        let world = world(&["checkout"]);
        let run = injected(&world, "run-1", "checkout").await;
        world.advance(Duration::from_secs(60));
        let failure = restore_directly(&world, std::slice::from_ref(&run), &EndReason::UserRequest.into()).await;
        let undone = Undone { runs: vec![run.clone()], refused: [run].into(), failure, ..Undone::default() };
        let (views, undone) = wait_until_closed(&world, undone, &Output::new(false)).await;
        assert_eq!((views.len(), worst(&views, &undone)), (1, Exit::Success));
    }
}
