//! `Inject`: puts the faults into one target, and reports it as injected only once they were seen in place.
//!
//! Each pass:
//! 1. Reads run and target; stops if the run is not running. Checks the stop conditions, before anything is written.
//! 2. Observes the function and compares it with the snapshot. If it was deployed before anything was written, it is
//!    armed again; if it was deployed after that, the run ends.
//! 3. Writes under a lease (see `leased_writer.rs`), up to the first write that fails. The ledger grants no lease
//!    without a rehearsed snapshot.
//! 4. Starts again, until the observation shows the faults.
//!
//! Safe to repeat because a pass writes only what the observation does not show yet, and because one lease at a time
//! exists.

use std::time::Duration;

use crate::model::function::Observation;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{Run, RunStatus, TargetRecord, TargetStatus};
use crate::model::snapshot::Write;
use crate::plan::inject::{InjectPlan, plan_first_inject, plan_inject};
use crate::ports::{FunctionError, PortError, World, WriteOutcome};

use super::arm::{ArmOutcome, lock_and_snapshot};
use super::error::StepError;
use super::leased_writer::{Begun, InDoubt, LeasedWriter, Purpose, Sent, TURN};
use super::prepare::stop_if_tripped;
use super::rate_limiter::{Quota, RateLimiter};
use super::retry::retry;
use super::waiting::{TOMBSTONE, Waiting, in_doubt_until};
use super::{Budget, POLL_INTERVAL};

/// What an inject without a permit waits for.
const ANOTHER: &str = "another inject of this target is writing, or the run is being stopped";
/// Time until the next invocation, where this one had no time left.
const RETRY_WAIT: Duration = Duration::from_secs(2);

/// The result of injecting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InjectOutcome {
    /// The fault was seen in place.
    Injected,
    /// Retry.
    Pending {
        /// After this time.
        wait: Duration,
        /// What the inject waits for, where that is known.
        waiting_for: Option<String>,
    },
    /// The restore must be rehearsed first: the function was deployed after it was armed, so it was armed again.
    Unrehearsed,
    /// The run is being stopped, or the function was deleted. Nothing was written.
    Skipped,
}

/// The result of one pass.
enum Reconciled {
    Done(InjectOutcome),
    /// Requeue; and what is waited for, if that is known.
    Requeue(Option<String>),
}

impl Reconciled {
    fn requeue_because(why: impl Into<String>) -> Self {
        Self::Requeue(Some(why.into()))
    }
}

/// Injects into one target. Can be repeated: a fault that is in place stays.
///
/// # Errors
/// When AWS refuses, or a field changed outside the run between two calls. The caller then rolls the run back.
pub async fn inject(
    world: &impl World,
    run: &RunId,
    function: &FunctionArn,
    budget: Budget,
) -> Result<InjectOutcome, StepError> {
    let (holder, limiter) = (format!("inject-{:016x}", world.random()), RateLimiter::until(budget.last_call()));
    let (mut is_first_pass, mut in_doubt, mut waiting) = (true, InDoubt::default(), Waiting::default());
    loop {
        let Some(run) = retry(world, || world.run(run)).await? else { return Err(StepError::NoSuchRun(run.clone())) };
        let target = retry(world, || world.target(run.target_key(function))).await?;
        let target = target.ok_or_else(|| StepError::no_such_target(function, &run.id))?;
        let (run, target, holder, limiter) = (&run, &target, &holder, &limiter);
        let in_doubt = &mut in_doubt;
        let mut injector = Injector { world, run, target, holder, limiter, budget, is_first_pass, in_doubt };
        is_first_pass = false;
        let waiting_for = match injector.reconcile().await? {
            Reconciled::Done(injected) => return Ok(injected),
            Reconciled::Requeue(why) => why,
        };
        let is_last = !budget.allows(world.now());
        waiting.recorded.clone_from(&target.waiting_for);
        waiting.record(world, target.key(), waiting_for.as_deref(), is_last).await;
        if is_last {
            return Ok(InjectOutcome::Pending { wait: RETRY_WAIT, waiting_for });
        }
        world.sleep(POLL_INTERVAL).await;
    }
}

struct Injector<'a, W> {
    world: &'a W,
    run: &'a Run,
    target: &'a TargetRecord,
    holder: &'a str,
    limiter: &'a RateLimiter,
    budget: Budget,
    /// Whether this is the invocation's first pass.
    is_first_pass: bool,
    /// What earlier passes of this invocation have left in doubt.
    in_doubt: &'a mut InDoubt,
}

impl<'a, W: World> Injector<'a, W> {
    async fn reconcile(&mut self) -> Result<Reconciled, StepError> {
        let first = match self.target.status {
            _ if self.run.status != RunStatus::Running => return Ok(Reconciled::Done(InjectOutcome::Skipped)),
            // Nothing is injected for a run that this release cannot read.
            _ if self.run.experiment.is_none() => return Ok(Reconciled::Done(InjectOutcome::Skipped)),
            TargetStatus::Armed => true,
            TargetStatus::Injecting => false,
            TargetStatus::Injected => return Ok(Reconciled::Done(InjectOutcome::Injected)),
            _ => return Ok(Reconciled::Done(InjectOutcome::Skipped)),
        };
        // No fault must be added to one that has set off an alarm; and during a slow inject, no other step reads the
        // alarms.
        if (first || self.is_first_pass) && stop_if_tripped(self.world, self.run).await? {
            return Ok(Reconciled::Done(InjectOutcome::Skipped));
        }
        let Some(seen) = self.observe().await? else { return Ok(Reconciled::Done(InjectOutcome::Skipped)) };
        let plan = if first {
            plan_first_inject(&self.target.changes, &seen)
        } else {
            plan_inject(&self.target.changes, &seen)
        };
        match plan {
            InjectPlan::Stale(_) if first => self.arm_again().await,
            // The snapshot is current, but only a rehearsed one gets a permit.
            _ if first && !self.target.rehearsed => Ok(Reconciled::Done(InjectOutcome::Unrehearsed)),
            InjectPlan::Write(writes) => self.write(&writes).await,
            InjectPlan::Wait(why) => Ok(Reconciled::requeue_because(why)),
            InjectPlan::Injected => self.mark_injected(first).await,
            InjectPlan::Stale(field) => {
                Err(StepError::Overtaken { function: self.target.function.name().to_owned(), field })
            }
        }
    }

    async fn observe(&self) -> Result<Option<Observation>, StepError> {
        let mappings = self.run.experiment.as_ref().is_some_and(|experiment| experiment.needs_mappings());
        let observe = || self.world.observe(self.target.function.as_str(), mappings);
        match self.limiter.read(self.world, Quota::of_observation(mappings), observe).await {
            Err(FunctionError::NotFound(_)) => Ok(None),
            seen => seen.map(Some).map_err(|error| self.failed(error)),
        }
    }

    fn failed(&self, error: FunctionError) -> StepError {
        StepError::function(self.target.function.name(), error)
    }

    /// The function was deployed after it was armed, and nothing is injected yet: the new configuration is the
    /// original. Its restore has not been rehearsed, which the next pass finds.
    async fn arm_again(&self) -> Result<Reconciled, StepError> {
        match lock_and_snapshot(self.world, self.run, &self.target.function).await? {
            ArmOutcome::Armed => Ok(Reconciled::Requeue(None)),
            ArmOutcome::Waiting(wait) => {
                Ok(Reconciled::Done(InjectOutcome::Pending { wait, waiting_for: Some(TOMBSTONE.to_owned()) }))
            }
            // A duplicate of this task has begun, or the run is being stopped: the next pass finds out.
            ArmOutcome::Skipped => Ok(Reconciled::Requeue(None)),
        }
    }

    /// Writes under a lease, up to the first write that fails: what is not injected need not be restored.
    async fn write(&mut self, writes: &[Write]) -> Result<Reconciled, StepError> {
        let writer = self.writer();
        let mut leased = match writer.begin(Purpose::Inject(&self.target.changes), writes.len()).await? {
            Begun::Granted(leased) => leased,
            Begun::NoTurn(_) => return Ok(Reconciled::requeue_because(TURN)),
            // Another inject's lease runs, or the run is being stopped: the next pass finds out.
            Begun::NoPermit => return Ok(Reconciled::requeue_because(ANOTHER)),
        };
        let mut failure = None;
        for write in writes {
            match leased.write(write).await {
                Sent::Landed => {}
                Sent::Overtaken | Sent::Uncertain => break,
                Sent::Failed(error) => {
                    failure = Some(error);
                    break;
                }
            }
        }
        if let Some(until) = leased.finish(self.in_doubt).await? {
            return Ok(Reconciled::requeue_because(in_doubt_until(until)));
        }
        match failure {
            None => Ok(Reconciled::Requeue(None)),
            // If something was deleted since the observation, the next pass finds out what.
            Some(error) if error.is_transient() || matches!(error, FunctionError::NotFound(_)) => {
                Ok(Reconciled::requeue_because(error.to_string()))
            }
            Some(error) => Err(self.failed(error)),
        }
    }

    fn writer(&self) -> LeasedWriter<'a, W> {
        let Self { world, limiter, budget, holder, target, .. } = *self;
        LeasedWriter { world, limiter, budget, holder, target: target.key() }
    }

    async fn mark_injected(&mut self, first: bool) -> Result<Reconciled, StepError> {
        // If the function has the values already, nothing is written, but the target still moves through `Injecting`.
        if first {
            let writer = self.writer();
            let Some(leased) = writer.take_lease(Purpose::Inject(&self.target.changes)).await? else {
                return Ok(Reconciled::requeue_because(ANOTHER));
            };
            leased.finish(self.in_doubt).await?;
        }
        match retry(self.world, || self.world.mark_injected(self.target.key())).await? {
            WriteOutcome::Applied => Ok(Reconciled::Done(InjectOutcome::Injected)),
            WriteOutcome::ConditionFailed => Ok(Reconciled::Requeue(None)),
        }
    }
}
