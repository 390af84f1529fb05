//! Ends runs and moves the lever. The rollback function does it, so that its callers need no right to write to the
//! ledger. This machine does it when the user asks for that, or when the function cannot be reached.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::model::actor::Actor;
use crate::model::names::{LeverReason, RunId};
use crate::model::run::{EndReason, Lever, RunEnding};
use crate::ports::World;
use crate::steps::error::StepError;
use crate::steps::retry::retry;
use crate::steps::rollback::runs_to_roll_back;

use super::Failure;
use super::arguments::Arguments;
use super::direct::restore_directly;
use super::exit::Exit;
use super::output::Output;
use super::rollback_watch::watch_rollback;
use super::stack::{RollbackError, RolledBack, RolledBackRun, Stack};

/// What to undo.
#[derive(Clone, Copy, Debug)]
pub(super) enum Undo<'a> {
    /// Roll back one run.
    Run(&'a RunId),
    /// Roll back one run; if it is not in the ledger yet, prevent its start.
    Stop(&'a RunId),
    /// Roll back every run.
    All,
    /// Move the lever; if that engages it, roll back every run.
    Lever {
        /// Whether nothing may start.
        engaged: bool,
        /// Why.
        reason: &'a LeverReason,
    },
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Undone {
    /// The runs that were rolled back.
    pub(super) runs: Vec<RunId>,
    /// Those of which the rollback function could not restore a target, for a reason that waiting does not remove.
    pub(super) refused: BTreeSet<RunId>,
    /// Whether the lever was in that position already.
    pub(super) lever_stayed: bool,
    /// The reason for which a target was not restored.
    pub(super) failure: Option<Failure>,
}

impl Undo<'_> {
    /// The payload for the rollback function.
    fn payload(&self) -> Value {
        match self {
            Self::Run(run) => json!({ "runId": run }),
            Self::Stop(run) => json!({ "stop": run }),
            Self::All => json!({ "all": true }),
            Self::Lever { engaged, reason } => json!({ "lever": { "engaged": engaged, "reason": reason } }),
        }
    }

    /// Tells what is being done.
    pub(super) fn progress(&self) -> String {
        match self {
            Self::Run(run) | Self::Stop(run) => format!("rolling back {run}"),
            Self::All => "rolling back every active run".to_owned(),
            Self::Lever { engaged: true, .. } => {
                "engaging the safety lever, and rolling back every active run".to_owned()
            }
            Self::Lever { engaged: false, .. } => "disengaging the safety lever".to_owned(),
        }
    }

    /// Returns the command that does the same from this machine.
    fn direct_command(&self) -> String {
        match self {
            Self::Run(run) | Self::Stop(run) => format!("rollback {run} --direct"),
            Self::All => "rollback --all --direct".to_owned(),
            Self::Lever { engaged: true, .. } => "lever engage --direct".to_owned(),
            Self::Lever { engaged: false, .. } => "lever disengage --direct".to_owned(),
        }
    }
}

/// Calls the rollback function, and prints why it could not restore a target. If it cannot be reached, or does not stop the run, the
/// caller continues with [`instead`]. Once the run is closed, no response is needed.
pub(super) async fn through_function(
    stack: &Stack,
    undo: Undo<'_>,
    by: &Actor,
    arguments: &Arguments,
    output: &Output,
) -> Result<Undone, RollbackError> {
    let mut payload = undo.payload();
    if stack.records_actors {
        payload["by"] = json!(stack.recorded(by, output));
    }
    let response = stack.roll_back(&payload);
    let rolled_back = match undo {
        Undo::Run(run) | Undo::Stop(run) => tokio::select! {
            biased;
            response = response => response,
            watched = watch_rollback(&stack.world, run, output) => watched,
        },
        Undo::All | Undo::Lever { .. } => response.await,
    };
    match rolled_back {
        Ok(RolledBack { runs: rolled_back, moved }) => {
            // The ledger may lack the reason: without the right to write there, it could not be recorded.
            for cause in rolled_back.iter().flat_map(RolledBackRun::failures) {
                output.note(&format!("snapback: the rollback function: {cause}"));
            }
            let refused = rolled_back.iter().filter(|run| run.is_refused()).map(|run| run.run_id.clone()).collect();
            let runs = rolled_back.into_iter().map(|run| run.run_id).collect();
            Ok(Undone { runs, refused, lever_stayed: !moved, failure: None })
        }
        Err(RollbackError::Failed(failure)) if failure.exit != Exit::Invalid => {
            let retry = arguments.repeat(&undo.direct_command());
            let cause = format!("{}; to do it from this machine: {retry}", failure.cause);
            Err(RollbackError::Failed(Failure { cause, ..failure }))
        }
        Err(error) => Err(error),
    }
}

/// Does it from this machine, because the rollback function cannot be reached, and prints that. The caller's
/// credentials need the rights.
pub(super) async fn instead(
    world: &impl World,
    undo: Undo<'_>,
    by: &Actor,
    why: &str,
    arguments: &Arguments,
    output: &Output,
) -> Result<Undone, Failure> {
    output.note(&format!(
        "snapback: the rollback function cannot be reached: {why}; doing it from this machine, with your own credentials"
    ));
    let advised = |failure: Failure| {
        let retry = arguments.repeat(&undo.direct_command());
        let advice = "the reaper restores a run that is past its end; to be faster, run this as one of the stack's LedgerWriters";
        let cause = format!("it cannot be done from this machine either: {}; {advice}: {retry}", failure.cause);
        Failure { cause, ..failure }
    };
    let undone = directly(world, undo, by).await.map_err(advised)?;
    Ok(Undone { failure: undone.failure.map(advised), ..undone })
}

/// Does it from this machine, with only the ledger.
pub(super) async fn directly(world: &impl World, undo: Undo<'_>, by: &Actor) -> Result<Undone, Failure> {
    let by = Some(by.clone());
    let mut lever_stayed = false;
    let user_request = || RunEnding::by(EndReason::UserRequest, by.clone());
    let (runs, ending) = match undo {
        Undo::Run(run) => {
            // Stopping an unknown run would block its name. A run whose record cannot be read exists.
            match retry(world, || world.run(run)).await {
                Ok(None) => return Err(StepError::NoSuchRun(run.clone()).into()),
                _ => (vec![run.clone()], user_request()),
            }
        }
        Undo::Stop(run) => (vec![run.clone()], user_request()),
        Undo::All => {
            let engaged = retry(world, || world.lever()).await?.is_some_and(|lever| lever.engaged);
            let reason = if engaged { EndReason::SafetyLever } else { EndReason::UserRequest };
            (runs_to_roll_back(world).await?.runs, RunEnding::by(reason, by))
        }
        Undo::Lever { engaged, reason } => {
            // The lever moves first, so that nothing starts between it and the rollback.
            let wanted = Lever { engaged, since: world.now(), reason: reason.as_str().to_owned(), by };
            let lever = retry(world, || world.set_lever(&wanted)).await?;
            lever_stayed = lever != wanted;
            match engaged {
                true => (runs_to_roll_back(world).await?.runs, lever.ending()),
                false => return Ok(Undone { lever_stayed, ..Undone::default() }),
            }
        }
    };
    let failure = if runs.is_empty() { None } else { restore_directly(world, &runs, &ending).await };
    Ok(Undone { runs, lever_stayed, failure, ..Undone::default() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::run::{RunStatus, TargetStatus};
    use crate::ports::Ledger;
    use crate::testing::execution::Machine;
    use crate::testing::samples::{experiment, faults, run_id, world};

    fn reason_given() -> LeverReason {
        LeverReason::try_from("a test").unwrap_or_else(|wrong| unreachable!("{wrong}"))
    }

    fn ana() -> Actor {
        Actor::alarm("arn:aws:iam::123456789012:user/ana")
    }

    #[tokio::test]
    async fn each_of_them_is_done_from_here_too() {
        let reason = reason_given();
        let id = run_id("run-1");
        for (undo, expected) in [
            (Undo::Run(&id), EndReason::UserRequest),
            (Undo::Stop(&id), EndReason::UserRequest),
            (Undo::All, EndReason::UserRequest),
            (Undo::Lever { engaged: true, reason: &reason }, EndReason::SafetyLever),
        ] {
            let world = world(&["checkout"]);
            let machine = Machine::new(&world, "run-1", experiment(&["checkout"], &faults()[0..1]));
            assert_eq!(machine.start().await, Ok(()));
            // By now, inject's lease has expired.
            world.advance(Duration::from_secs(60));
            let undone = directly(&world, undo, &ana()).await.unwrap_or_default();
            assert_eq!(
                (undone.runs, undone.failure.map(|failure| failure.cause)),
                (vec![id.clone()], None),
                "{undo:?}"
            );
            let (run, target) = world
                .with(|state| (state.runs[&id].clone(), state.targets.values().next().map(|target| target.status)));
            assert_eq!((run.status, run.reason), (RunStatus::Stopped, Some(expected)), "{undo:?}");
            let why = matches!(undo, Undo::Lever { .. }).then(reason_given);
            assert_eq!(run.ended_by, Some(Actor { reason: why, ..ana() }), "{undo:?}");
            assert_eq!(target, Some(TargetStatus::Restored), "{undo:?}");
            let moved_by = world.lever().await.ok().flatten().filter(|lever| lever.engaged).map(|lever| lever.by);
            assert_eq!(moved_by, matches!(undo, Undo::Lever { .. }).then(|| Some(ana())), "{undo:?}");
        }
    }

    #[tokio::test]
    async fn only_a_stop_takes_the_name_of_a_run_that_is_not_there() {
        let (world, id) = (world(&["checkout"]), run_id("r"));
        let unknown =
            directly(&world, Undo::Run(&id), &ana()).await.map(|undone| undone.runs).map_err(|failure| failure.exit);
        assert_eq!(unknown, Err(Exit::Invalid));
        assert_eq!(world.run(&id).await, Ok(None));
        assert!(directly(&world, Undo::Stop(&id), &ana()).await.is_ok());
        assert_eq!(world.run(&id).await.map(|run| run.map(|run| run.status)), Ok(Some(RunStatus::Failed)));
    }

    #[tokio::test]
    async fn all_leaves_a_run_alone_that_only_waits_to_be_judged() {
        let world = world(&["checkout", "payment"]);
        let [waiting, open] = [("waits", "checkout"), ("open", "payment")]
            .map(|(run, function)| Machine::new(&world, run, experiment(&[function], &faults()[0..1])));
        for machine in [&waiting, &open] {
            assert_eq!(machine.start().await, Ok(()));
        }
        world.advance(Duration::from_secs(60));
        world.with(|state| {
            state.runs.entry(run_id("waits")).and_modify(|run| run.status = RunStatus::Stopping);
            let targets = state.targets.iter_mut().filter(|((run, _), _)| *run == run_id("waits"));
            targets.for_each(|(_, target)| target.status = TargetStatus::Restored);
        });
        let undone = directly(&world, Undo::All, &ana()).await.unwrap_or_default();
        assert_eq!(undone.runs, [run_id("open")]);
        let status = |run: &str| world.with(|state| state.runs[&run_id(run)].status);
        assert_eq!((status("waits"), status("open")), (RunStatus::Stopping, RunStatus::Stopped));
    }

    #[tokio::test]
    async fn a_disengaged_lever_ends_no_run() {
        let (world, reason) = (world(&["checkout"]), reason_given());
        let machine = Machine::new(&world, "run-1", experiment(&["checkout"], &faults()[0..1]));
        assert_eq!(machine.start().await, Ok(()));
        let undone =
            directly(&world, Undo::Lever { engaged: false, reason: &reason }, &ana()).await.unwrap_or_default();
        assert_eq!(undone.runs, Vec::new());
        assert!(!undone.lever_stayed, "it was never moved");
        world.advance(Duration::from_secs(1));
        let again = directly(&world, Undo::Lever { engaged: false, reason: &reason }, &ana()).await.unwrap_or_default();
        assert!(again.lever_stayed);
        assert_eq!(world.with(|state| state.runs[&run_id("run-1")].status), RunStatus::Running);
    }
}
