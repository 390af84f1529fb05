//! `Inject`: only what is armed and rehearsed, only what is still as the snapshot says, and only under a lease.

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

/// How injecting went.
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
    /// Rehearse the restore first: the function was deployed since it was armed, so it was armed again.
    Unrehearsed,
    /// The run is being stopped, or the function is gone: nothing was written.
    Skipped,
}

/// What one look came to.
enum Reconciled {
    Done(InjectOutcome),
    /// Again; and what is waited for, where that is known.
    Requeue(Option<String>),
    /// Again, and a call of ours may land until then.
    Uncertain(Time),
}

impl Reconciled {
    fn requeue_because(why: impl Into<String>) -> Self {
        Self::Requeue(Some(why.into()))
    }
}

/// Injects into one target. May be repeated: what is in place stays.
///
/// # Errors
/// When AWS refuses, or somebody changed a field between two of our calls. The caller then rolls the run back.
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
    /// Whether this is the invocation's first look.
    first_look: bool,
    /// Whether an earlier call of this invocation had no clear answer: its lease must then run its course.
    in_doubt: bool,
}

impl<W: World> Injector<'_, W> {
    async fn reconcile(&self) -> Result<Reconciled, StepError> {
        let first = match self.target.status {
            _ if self.run.status != RunStatus::Running => return Ok(Reconciled::Done(InjectOutcome::Skipped)),
            // Nothing starts for what this release cannot read.
            _ if self.run.experiment.is_none() => return Ok(Reconciled::Done(InjectOutcome::Skipped)),
            TargetStatus::Armed => true,
            TargetStatus::Injecting => false,
            TargetStatus::Injected => return Ok(Reconciled::Done(InjectOutcome::Injected)),
            _ => return Ok(Reconciled::Done(InjectOutcome::Skipped)),
        };
        // A fault must not be added to what has tripped the alarm since; and while a target takes long, nobody else
        // looks at the alarms.
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
            // The snapshot is that of now; only what is rehearsed gets a permit.
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

    /// Somebody deployed between Arm and here, and nothing of ours is in place: their configuration is the original. Its
    /// restore has not been rehearsed, which the next look finds.
    async fn arm_again(&self) -> Result<Reconciled, StepError> {
        match lock_and_snapshot(self.world, self.run, &self.target.function).await? {
            ArmOutcome::Armed => Ok(Reconciled::Requeue(None)),
            ArmOutcome::Waiting(wait) => {
                Ok(Reconciled::Done(InjectOutcome::Pending { wait, waiting_for: Some(TOMBSTONE.to_owned()) }))
            }
            // A twin of this task has begun, or the run is being stopped: the next look tells.
            ArmOutcome::Skipped => Ok(Reconciled::Requeue(None)),
        }
    }

    async fn write(&self, writes: &[Write]) -> Result<Reconciled, StepError> {
        // Before the lease is taken, which must not run meanwhile.
        if self.limiter.acquire(self.world, writes.len()).await.is_err() {
            return Ok(Reconciled::requeue_because("a turn within Lambda's rate"));
        }
        let Window { lease, last_call } = self.budget.window(LeaseKind::Inject, self.holder, self.world.now());
        // Without a permit, another inject's lease runs, or the run is being stopped: the next look tells.
        let Some(permit) = self.begin(&lease).await? else { return Ok(Reconciled::requeue_because(ANOTHER)) };
        for (at, write) in writes.iter().enumerate() {
            if is_overtaken(&writes[..at], write) {
                break;
            }
            match self.world.write(&permit, write, last_call).await {
                Ok(()) => {}
                // It may land yet: the lease stays as long as that can be.
                Err(error) if error.may_have_landed() => return Ok(Reconciled::Uncertain(lease.until)),
                Err(error) => {
                    self.limiter.on_throttle(self.world, Quota::ControlPlane, &error);
                    self.shorten_lease(&lease).await?;
                    // What is not found was deleted under us: the next look tells what.
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
        // Every call was answered: all that is left is that a read may miss them for a while.
        let until = self.world.now() + MAX_READ_STALENESS + MAX_CLOCK_SKEW;
        let (run, function) = (&self.run.id, &self.target.function);
        Ok(retry(self.world, || self.world.shorten_lease(run, function, lease, until)).await?)
    }

    async fn mark_injected(&self, first: bool) -> Result<Reconciled, StepError> {
        let (run, function) = (&self.run.id, &self.target.function);
        // Where nothing has to be written (the function has the values already), the target still begins in order.
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
