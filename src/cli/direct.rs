//! A restore from this machine, with the user's credentials and only the ledger's table.

use std::time::Duration;

use crate::model::names::RunId;
use crate::model::run::RunEnding;
use crate::ports::World;
use crate::steps::Budget;
use crate::steps::error::StepError;
use crate::steps::report::close;
use crate::steps::rollback::roll_back_each;

use super::Failure;
use super::exit::Exit;

/// The longest time for one round of a direct restore.
const ROUND_TIMEOUT: Duration = Duration::from_secs(60);
/// The number of rounds of a direct restore. Together, they take longer than the longest lease.
const ROUNDS: u32 = 5;

/// Restores in rounds, as the stack does, with this machine's credentials. Every run is stopped before any is restored.
/// A run that cannot be stopped or a target that cannot be restored does not block the others. Returns the first
/// failure that remains at the end.
pub(super) async fn restore_directly(world: &impl World, runs: &[RunId], ending: &RunEnding) -> Option<Failure> {
    let mut failures: Vec<StepError> = Vec::new();
    for _ in 0..ROUNDS {
        let budget = Budget { deadline: world.now() + ROUND_TIMEOUT };
        // The round is interrupted at its deadline, as Lambda does it. The leases allow for that.
        let round = tokio::time::timeout(ROUND_TIMEOUT, roll_back_each(world, runs, ending, budget));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::{EndReason, RunStatus};
    use crate::testing::SimWorld;
    use crate::testing::execution::Machine;
    use crate::testing::samples::{experiment, faults, world};

    /// Creates two runs that have injected.
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
        let failure = restore_directly(&world, &runs, &EndReason::UserRequest.into()).await;
        assert_eq!(failure.map(|failure| failure.error), Some("LedgerUnusable".to_owned()));
        let status = world.with(|state| state.runs[&other.run].status);
        assert_eq!(status, RunStatus::Stopped, "restored in its rounds and closed");
    }
}
