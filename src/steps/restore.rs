//! `Restore`: level-triggered and idempotent. It looks at the function as it is now, decides per touched field, writes
//! what is needed, looks again, and says restored only after it has seen it, when no call of anybody's can land any more.

use std::collections::VecDeque;

use futures_util::StreamExt;
use futures_util::future::join;
use futures_util::stream;

use crate::model::function::Observation;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{Lease, Run, TargetRecord, TargetStatus};
use crate::model::snapshot::{Change, ConfigurationUpdate, Surface, Write};
use crate::model::time::Time;
use crate::plan::restore::{RestorePlan, plan_restore};
use crate::ports::{Ending, FunctionError, Guarded, World};

use super::error::StepError;
use super::retry::retry;
use super::{AT_ONCE, Budget, LOOK_EVERY, is_overtaken};

/// Seconds until the next invocation looks at what did not come right.
const LOOK_LATER: u64 = 10;

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
pub async fn restore(
    world: &impl World,
    run: &Run,
    function: &FunctionArn,
    budget: Budget,
) -> Result<Restored, StepError> {
    restore_all(world, &[(run, function)], budget).await.pop().unwrap_or(Ok(Restored::Pending(1)))
}

/// Restores many targets, in rounds: every target gets its look, and its write, before any is waited for, so that one
/// that takes long keeps no other from being restored. The results are in the order of the targets.
pub async fn restore_all(
    world: &impl World,
    targets: &[(&Run, &FunctionArn)],
    budget: Budget,
) -> Vec<Result<Restored, StepError>> {
    let holder = format!("restore-{:016x}", world.random());
    let mut results: Vec<Result<Restored, StepError>> = vec![Ok(Restored::Pending(1)); targets.len()];
    let mut in_doubt = vec![false; targets.len()];
    loop {
        let open: Vec<usize> =
            (0..targets.len()).filter(|at| matches!(results[*at], Ok(Restored::Pending(_)))).collect();
        let mut looks = stream::iter(open)
            .map(|at| {
                let ((run, function), lease) = (targets[at], budget.lease(&holder));
                let restorer = Restorer { world, run, function, lease, budget, in_doubt: in_doubt[at] };
                async move { (at, restorer.look().await) }
            })
            .buffer_unordered(AT_ONCE);
        let mut looked = Vec::new();
        while let Some(result) = looks.next().await {
            looked.push(result);
        }
        drop(looks);
        let mut wait = None;
        for (at, look) in looked {
            results[at] = look.map(|look| match look {
                Look::Ended(status) => Restored::Ended(status),
                Look::Again(seconds) => Restored::Pending(seconds.max(LOOK_EVERY)),
                Look::InDoubt => {
                    in_doubt[at] = true;
                    Restored::Pending(LOOK_EVERY)
                }
            });
            if let Ok(Restored::Pending(seconds)) = results[at] {
                wait = Some(wait.map_or(seconds, |least: u64| least.min(seconds)));
            }
        }
        let Some(wait) = wait else { return results };
        if !budget.allows(world.now().plus(wait.cast_signed())) {
            return results.into_iter().map(|result| result.map(patient)).collect();
        }
        world.sleep(wait * 1000).await;
    }
}

/// What did not come right while this invocation looked each second is not looked at each second by the next one: an
/// execution has only so many events in its history.
fn patient(restored: Restored) -> Restored {
    match restored {
        Restored::Pending(seconds) if seconds <= 2 => Restored::Pending(LOOK_LATER),
        Restored::Pending(seconds) => Restored::Pending(seconds.min(60)),
        ended => ended,
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
            Err(FunctionError::NotFound(_)) => {
                self.end(&target, TargetStatus::Gone, observed_at, RestorePlan::default()).await
            }
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
            return self.write(plan.writes).await;
        }
        if !plan.is_done() {
            return Ok(Look::Again(LOOK_EVERY));
        }
        let status = if plan.drift.is_empty() { TargetStatus::Restored } else { TargetStatus::Drifted };
        self.end(target, status, observed_at, plan).await
    }

    async fn write(&self, writes: Vec<Write>) -> Result<Look, StepError> {
        let begun =
            retry(self.world, || self.world.begin_restore(self.id(), self.function, &self.lease, self.world.now()));
        // Without a permit, another restore is writing, or has ended it: the next look tells.
        let Some(permit) = begun.await? else { return Ok(Look::Again(2)) };
        let mut look = Look::Again(LOOK_EVERY);
        let mut refused = None;
        let (mut due, mut landed) = (VecDeque::from(writes), Vec::new());
        while let Some(write) = due.pop_front() {
            if is_overtaken(&landed, &write) {
                break;
            }
            match self.world.write(&permit, &write, self.budget.last_call()).await {
                Ok(()) => landed.push(write),
                // It may land yet; the lease stays. The other writes do not wait for that.
                Err(error) if error.may_have_landed() => look = Look::InDoubt,
                // Deleted under us, busy or overtaken: the next look tells. The other writes need not wait either.
                Err(error) if error.is_transient() || matches!(error, FunctionError::NotFound(_)) => {}
                // Nor must what AWS refuses for good keep the rest from being restored.
                Err(error) => {
                    due.extend(without_layers(&write).filter(|_| matches!(error, FunctionError::Rejected(_))));
                    refused = refused.or(Some(error));
                }
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
    async fn end(
        &self,
        target: &TargetRecord,
        status: TargetStatus,
        observed_at: Time,
        plan: RestorePlan,
    ) -> Result<Look, StepError> {
        if let Some(quiet_at) = target.quiet_at().filter(|quiet_at| *quiet_at > observed_at) {
            return Ok(Look::Again(observed_at.seconds_until(quiet_at)));
        }
        let Some(frozen_versions) = self.versions_since(target, status).await else { return Ok(Look::Again(2)) };
        let ending = Ending {
            run: self.id().clone(),
            function: self.function.clone(),
            from: target.status,
            status,
            observed_at,
            drift: plan.drift,
            frozen_versions,
            redacted: target.changes.iter().map(Change::redacted).collect(),
        };
        match retry(self.world, || self.world.finish(&ending, self.world.now())).await? {
            Guarded::Done => Ok(Look::Ended(status)),
            Guarded::Declined => Ok(Look::Again(LOOK_EVERY)),
        }
    }

    /// A version that somebody published while the fault was in place keeps it for good: it is named. `None` is to be
    /// asked again; where it may not be asked at all, the report says that, and the restore is none the worse.
    async fn versions_since(&self, target: &TargetRecord, status: TargetStatus) -> Option<Vec<String>> {
        let configuration = target.changes.iter().any(|change| change.surface() == Surface::Configuration);
        let begun = !matches!(target.status, TargetStatus::Pending | TargetStatus::Armed);
        if status == TargetStatus::Gone || !configuration || !begun {
            return Some(Vec::new());
        }
        match retry(self.world, || self.world.versions(self.function)).await {
            Ok(mut versions) => {
                versions.sort_unstable();
                Some(
                    versions
                        .into_iter()
                        .filter(|version| *version > target.last_version)
                        .map(|v| v.to_string())
                        .collect(),
                )
            }
            // Deleted between the look and here: the next look says so.
            Err(error) if error.is_transient() || matches!(error, FunctionError::NotFound(_)) => None,
            Err(error) => Some(vec![format!("unknown, they could not be listed: {error}")]),
        }
    }
}

/// A layer version that was deleted during the run cannot be attached again, and AWS refuses the whole call for it
/// (lambda/latest/dg/chapter-layers): the other fields, where there are any, need not wait for that.
fn without_layers(write: &Write) -> Option<Write> {
    let Write::Configuration(update) = write else { return None };
    let rest = ConfigurationUpdate { layers: None, ..update.clone() };
    let nothing = ConfigurationUpdate { revision_id: rest.revision_id.clone(), ..ConfigurationUpdate::default() };
    (update.layers.is_some() && rest != nothing).then_some(Write::Configuration(rest))
}
