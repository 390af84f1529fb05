//! `Restore`: level-triggered and idempotent. It looks at the function as it is now, decides per touched field, writes
//! what is needed, looks again, and says restored only after it has seen it, when no call of anybody's can land any more.

use futures_util::future::join;

use crate::model::function::Observation;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{Lease, Run, TargetRecord, TargetStatus};
use crate::model::snapshot::{Surface, Write};
use crate::model::time::Time;
use crate::plan::restore::{RestorePlan, plan_restore};
use crate::ports::{Ending, FunctionError, Guarded, World};

use super::error::StepError;
use super::retry::retry;
use super::{Budget, LOOK_EVERY, is_overtaken};

/// How restoring went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// The target has this final status.
    Ended(TargetStatus),
    /// Look again in so many seconds.
    Pending(u64),
}

/// What one look came to.
enum Look {
    Ended(TargetStatus),
    /// Look again after this many seconds, at the earliest.
    Again(u64),
    /// Again, and a call of ours may land yet.
    InDoubt,
}

/// Restores one target of a run that is being stopped (the caller has seen to that). May be repeated, and run by
/// several at once.
///
/// # Errors
/// When AWS refuses for good; the reason is kept with the target, which stays locked and is tried again by the reaper.
pub async fn restore(world: &impl World, run: &Run, function: &FunctionArn, budget: Budget) -> Result<Restored, StepError> {
    let holder = format!("restore-{:016x}", world.random());
    let mut in_doubt = false;
    loop {
        let restorer = Restorer { world, run, function, lease: budget.lease(&holder), budget, in_doubt };
        let wait = match restorer.look().await? {
            Look::Ended(status) => return Ok(Restored::Ended(status)),
            Look::Again(wait) => wait.max(LOOK_EVERY),
            Look::InDoubt => {
                in_doubt = true;
                LOOK_EVERY
            }
        };
        if !budget.allows(world.now().plus(wait.cast_signed())) {
            return Ok(Restored::Pending(wait.clamp(1, 60)));
        }
        world.sleep(wait * 1000).await;
    }
}

struct Restorer<'a, W> {
    world: &'a W,
    run: &'a Run,
    function: &'a FunctionArn,
    lease: Lease,
    budget: Budget,
    in_doubt: bool,
}

impl<W: World> Restorer<'_, W> {
    fn id(&self) -> &RunId {
        &self.run.id
    }

    async fn look(&self) -> Result<Look, StepError> {
        let mappings = self.run.experiment.as_ref().is_some_and(|experiment| experiment.needs_mappings());
        let observed_at = self.world.now();
        // Both at once: between an alarm event and the first restoring call, every round trip counts.
        let (target, seen) = join(
            retry(self.world, || self.world.target(self.id(), self.function)),
            retry(self.world, || self.world.observe(self.function.as_str(), mappings)),
        )
        .await;
        // A run that stopped while it was being written has functions without a record: nothing was touched.
        let Some(target) = target? else { return Ok(Look::Ended(TargetStatus::Untouched)) };
        if target.status.is_final() {
            return Ok(Look::Ended(target.status));
        }
        if target.status == TargetStatus::Pending {
            return self.end(&target, TargetStatus::Untouched, observed_at, RestorePlan::default()).await;
        }
        match seen {
            Ok(seen) => self.decide(&target, &seen, observed_at).await,
            Err(FunctionError::NotFound(_)) => self.end(&target, TargetStatus::Gone, observed_at, RestorePlan::default()).await,
            Err(error) => self.fail(error).await,
        }
    }

    async fn decide(&self, target: &TargetRecord, seen: &Observation, observed_at: Time) -> Result<Look, StepError> {
        if target.status == TargetStatus::Armed {
            // No inject has begun, and none can begin behind the run's stop: whatever differs is somebody else's.
            return self.end(target, TargetStatus::Restored, observed_at, RestorePlan::default()).await;
        }
        let plan = plan_restore(&target.changes, seen);
        if !plan.writes.is_empty() {
            return self.write(&plan.writes).await;
        }
        if !plan.is_done() {
            return Ok(Look::Again(LOOK_EVERY));
        }
        let status = if plan.drift.is_empty() { TargetStatus::Restored } else { TargetStatus::Drifted };
        self.end(target, status, observed_at, plan).await
    }

    async fn write(&self, writes: &[Write]) -> Result<Look, StepError> {
        let begun = retry(self.world, || self.world.begin_restore(self.id(), self.function, &self.lease, self.world.now()));
        // Without a permit, another restore is writing, or has ended it: the next look tells.
        let Some(permit) = begun.await? else { return Ok(Look::Again(2)) };
        let mut look = Look::Again(LOOK_EVERY);
        let mut refused = None;
        let mut landed: Vec<Write> = Vec::new();
        for write in writes {
            if is_overtaken(&landed, write) {
                break;
            }
            match self.world.write(&permit, write, self.budget.last_call()).await {
                Ok(()) => landed.push(write.clone()),
                // It may land yet; the lease stays. The other writes do not wait for that.
                Err(error) if error.may_have_landed() => look = Look::InDoubt,
                // Deleted under us, busy or overtaken: the next look tells. The other writes need not wait either.
                Err(error) if error.is_transient() || matches!(error, FunctionError::NotFound(_)) => {}
                // Nor must a surface that AWS refuses for good keep the others from being restored.
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        self.settle(matches!(look, Look::InDoubt)).await?;
        match refused {
            Some(error) => self.fail(error).await,
            None => Ok(look),
        }
    }

    /// Every call of ours was answered, so no call of ours can land any more.
    async fn settle(&self, in_doubt: bool) -> Result<(), StepError> {
        if in_doubt || self.in_doubt {
            return Ok(());
        }
        let settled = Lease { holder: self.lease.holder.clone(), until: self.world.now() };
        Ok(retry(self.world, || self.world.settle(self.id(), self.function, &settled)).await?)
    }

    async fn fail(&self, error: FunctionError) -> Result<Look, StepError> {
        let why = error.to_string();
        retry(self.world, || self.world.restore_failed(self.id(), self.function, &why)).await?;
        Err(StepError::function(self.function.name(), error))
    }

    /// An ending is true only if the look was made after every lease had run out: the ledger checks that once more.
    async fn end(&self, target: &TargetRecord, status: TargetStatus, observed_at: Time, plan: RestorePlan) -> Result<Look, StepError> {
        if let Some(quiet_at) = target.quiet_at().filter(|quiet_at| *quiet_at > observed_at) {
            return Ok(Look::Again(observed_at.seconds_until(quiet_at)));
        }
        let frozen_versions = self.versions_since(target, status).await?;
        let ending = Ending {
            run: self.id().clone(),
            function: self.function.clone(),
            from: target.status,
            status,
            observed_at,
            drift: plan.drift,
            frozen_versions,
        };
        match retry(self.world, || self.world.finish(&ending, self.world.now())).await? {
            Guarded::Done => Ok(Look::Ended(status)),
            Guarded::Declined => Ok(Look::Again(LOOK_EVERY)),
        }
    }

    /// A version that somebody published while the fault was in place keeps it for good: it is named.
    async fn versions_since(&self, target: &TargetRecord, status: TargetStatus) -> Result<Vec<String>, StepError> {
        let configuration = target.changes.iter().any(|change| change.surface() == Surface::Configuration);
        let begun = !matches!(target.status, TargetStatus::Pending | TargetStatus::Armed);
        if status == TargetStatus::Gone || !configuration || !begun {
            return Ok(Vec::new());
        }
        match retry(self.world, || self.world.versions(self.function)).await {
            Ok(mut versions) => {
                versions.sort_unstable();
                Ok(versions.into_iter().filter(|version| *version > target.last_version).map(|v| v.to_string()).collect())
            }
            // Deleted between the look and here: the next look says so.
            Err(FunctionError::NotFound(_)) => Ok(Vec::new()),
            Err(error) => Err(StepError::function(self.function.name(), error)),
        }
    }
}
