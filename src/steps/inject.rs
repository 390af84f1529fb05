//! `Inject`: puts the faults into one target, and reports it as injected only once they were seen in place.
//!
//! Each pass:
//! 1. Reads run and target; stops if the run is not running. Checks the stop conditions, before anything is written.
//! 2. Observes the function and compares it with the snapshot. If it was deployed before anything was written, it is armed
//!    again; if it was deployed after that, the run ends.
//! 3. Waits for its turn within Lambda's rate, takes a lease, and writes. The ledger grants no lease without a rehearsed
//!    snapshot.
//! 4. Shortens the lease, if every call got a clear response. Otherwise the call may still land, and the lease stays.
//! 5. Starts again, until the observation shows the faults.
//!
//! Safe to repeat because a pass writes only what the observation does not show yet, and because one lease at a time exists.

use std::time::Duration;

use crate::model::function::Observation;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{Lease, LeaseKind, Run, RunStatus, TargetRecord, TargetStatus};
use crate::model::snapshot::Write;
use crate::model::time::Time;
use crate::plan::inject::{InjectPlan, plan_first_inject, plan_inject};
use crate::ports::{FunctionError, Permit, PortError, World, WriteOutcome};

use super::arm::{ArmOutcome, lock_and_snapshot};
use super::error::StepError;
use super::prepare::stop_if_tripped;
use super::rate_limiter::{Quota, RateLimiter};
use super::retry::retry;
use super::waiting::{TOMBSTONE, Waiting, in_doubt_until};
use super::{Budget, MAX_CLOCK_SKEW, MAX_READ_STALENESS, POLL_INTERVAL, Window, is_overtaken};

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
    /// Requeue; a call of this invocation may still land until then.
    Uncertain(Time),
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
    let (mut first_look, mut in_doubt, mut waiting) = (true, false, Waiting::default());
    loop {
        let Some(run) = retry(world, || world.run(run)).await? else { return Err(StepError::NoSuchRun(run.clone())) };
        let target = retry(world, || world.target(&run.id, function)).await?;
        let target = target.ok_or_else(|| StepError::NoSuchRun(run.id.clone()))?;
        let (run, target, holder, limiter) = (&run, &target, &holder, &limiter);
        let injector = Injector { world, run, target, holder, limiter, budget, first_look, in_doubt };
        first_look = false;
        let look = injector.reconcile().await?;
        in_doubt |= matches!(look, Reconciled::Uncertain(_));
        let waiting_for = match look {
            Reconciled::Done(injected) => return Ok(injected),
            Reconciled::Requeue(why) => why,
            Reconciled::Uncertain(until) => Some(in_doubt_until(until)),
        };
        let is_last = !budget.allows(world.now());
        waiting.recorded.clone_from(&target.waiting_for);
        waiting.record(world, (&run.id, function), waiting_for.as_deref(), is_last).await;
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
    first_look: bool,
    /// Whether an earlier call of this invocation got no clear response: then its lease must not be shortened.
    in_doubt: bool,
}

impl<W: World> Injector<'_, W> {
    async fn reconcile(&self) -> Result<Reconciled, StepError> {
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
        if (first || self.first_look) && stop_if_tripped(self.world, self.run).await? {
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

    /// The function was deployed after it was armed, and nothing is injected yet: the new configuration is the original. Its
    /// restore has not been rehearsed, which the next pass finds.
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

    async fn write(&self, writes: &[Write]) -> Result<Reconciled, StepError> {
        // Wait for the rate limit first: a lease must not run down while we wait.
        if self.limiter.acquire(self.world, writes.len()).await.is_err() {
            return Ok(Reconciled::requeue_because("a turn within Lambda's rate"));
        }
        let Window { lease, last_call } = self.budget.window(LeaseKind::Inject, self.holder, self.world.now());
        // Without a permit, another inject's lease runs, or the run is being stopped: the next pass finds out.
        let Some(permit) = self.begin(&lease).await? else { return Ok(Reconciled::requeue_because(ANOTHER)) };
        for (at, write) in writes.iter().enumerate() {
            if is_overtaken(&writes[..at], write) {
                break;
            }
            match self.world.write(&permit, write, last_call).await {
                Ok(()) => {}
                // The call may still land: the lease stays.
                Err(error) if error.may_have_landed() => return Ok(Reconciled::Uncertain(lease.until)),
                Err(error) => {
                    self.limiter.on_throttle(self.world, Quota::ControlPlane, &error);
                    self.shorten_lease(&lease).await?;
                    // Something was deleted since the observation: the next pass finds out what.
                    let again = error.is_transient() || matches!(error, FunctionError::NotFound(_));
                    return if again {
                        Ok(Reconciled::requeue_because(error.to_string()))
                    } else {
                        Err(self.failed(error))
                    };
                }
            }
        }
        self.shorten_lease(&lease).await?;
        Ok(Reconciled::Requeue(None))
    }

    async fn begin(&self, lease: &Lease) -> Result<Option<Permit>, StepError> {
        let (run, function) = (&self.run.id, &self.target.function);
        Ok(retry(self.world, || self.world.begin_inject(run, function, &self.target.changes, lease, self.world.now()))
            .await?)
    }

    async fn shorten_lease(&self, lease: &Lease) -> Result<(), StepError> {
        if self.in_doubt {
            return Ok(());
        }
        // Every call got a response, so only stale reads are left to wait for.
        let until = self.world.now() + MAX_READ_STALENESS + MAX_CLOCK_SKEW;
        let (run, function) = (&self.run.id, &self.target.function);
        Ok(retry(self.world, || self.world.shorten_lease(run, function, lease, until)).await?)
    }

    async fn mark_injected(&self, first: bool) -> Result<Reconciled, StepError> {
        let (run, function) = (&self.run.id, &self.target.function);
        // If the function has the values already, nothing is written, but the target still moves through `Injecting`.
        if first {
            let lease = self.budget.window(LeaseKind::Inject, self.holder, self.world.now()).lease;
            let Some(_permit) = self.begin(&lease).await? else { return Ok(Reconciled::requeue_because(ANOTHER)) };
            self.shorten_lease(&lease).await?;
        }
        match retry(self.world, || self.world.mark_injected(run, function)).await? {
            WriteOutcome::Applied => Ok(Reconciled::Done(InjectOutcome::Injected)),
            WriteOutcome::ConditionFailed => Ok(Reconciled::Requeue(None)),
        }
    }
}
