//! `Restore`: gives every field that still has the injected value its original value.
//!
//! Each pass over a target:
//! 1. Reads the target and observes the function, concurrently.
//! 2. Decides for each field (`plan::restore`): done, to be written, or drifted.
//! 3. If anything is to be written: writes under a lease (see `leased_writer.rs`), also after a write that failed.
//! 4. If nothing is: ends the target, provided that the observation was made after every lease had expired. Until then,
//!    a call may still land.
//! 5. Starts again, until the target is over or the invocation has no time left.
//!
//! Safe to repeat, also concurrently, because each pass decides on a new observation, and one lease at a time exists.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::future::join;

use crate::model::experiment::Experiment;
use crate::model::function::Observation;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{Run, TargetEnding, TargetKey, TargetRecord, TargetStatus};
use crate::model::snapshot::{Change, Surface, Write};
use crate::model::time::{Time, in_whole_seconds};
use crate::plan::own::{OwnFunction, is_named_as_own, own_function};
use crate::plan::restore::{RestorePlan, plan_restore, plan_restore_of_mappings};
use crate::ports::{FunctionError, PortError, World, WriteOutcome};

use super::error::StepError;
use super::leased_writer::{Begun, LeasedWriter, Purpose, Sent, TURN};
use super::mappings;
use super::partial_updates::PartialUpdates;
use super::rate_limiter::{Quota, RateLimiter};
pub use super::restore_job::RestoreOutcome;
use super::restore_job::{Job, LEASE_RETRY_WAIT, Memory, Reconciled, back_off};
use super::retry::retry;
use super::run_targets::{holds_lock, require_untouched};
use super::sample::{record_removed, removed};
use super::schedule;
use super::versions::Listing;
use super::waiting::in_doubt_until;
use super::{Budget, POLL_INTERVAL};

/// The longest time for which the ending of a restored target waits for the list of its versions. It allows about a
/// hundred tries, over several invocations of `Restore` or two ticks of the reaper.
const MAX_LISTING_WAIT: Duration = Duration::from_secs(120);
/// Time between two tries to list the versions.
const LISTING_RETRY_WAIT: Duration = Duration::from_secs(2);
/// Restores one target of a run that the caller has stopped. Can be repeated, and run several times concurrently.
///
/// # Errors
/// If AWS refuses permanently. The reason is recorded in the target, which stays locked, and the reaper retries.
pub async fn restore(
    world: &impl World,
    run: &Run,
    function: &FunctionArn,
    budget: Budget,
) -> Result<RestoreOutcome, StepError> {
    restore_all(world, &[(run, function)], budget)
        .await
        .pop()
        .unwrap_or(Ok(RestoreOutcome::pending(POLL_INTERVAL, None)))
}

/// Restores many targets. Those whose fault does not expire automatically come first. At most
/// [`super::MAX_CONCURRENCY`] first passes and as many later ones run concurrently. No first pass waits for a later
/// one, so a slow target does not delay the others. Respects Lambda's rates. The results are in the order of the
/// targets.
pub async fn restore_all(
    world: &impl World,
    targets: &[(&Run, &FunctionArn)],
    budget: Budget,
) -> Vec<Result<RestoreOutcome, StepError>> {
    let holder = format!("restore-{:016x}", world.random());
    let limiter = RateLimiter::until(budget.last_call());
    let mut jobs: Vec<Job> =
        targets.iter().enumerate().map(|(at, (run, function))| Job::new(at, run, function)).collect();
    jobs.sort_by_key(|job| job.run.experiment.as_ref().is_some_and(Experiment::expires_by_itself));
    let pass = |job, firsts_left| {
        let (holder, limiter) = (&holder, &limiter);
        async move {
            let Job { run, function, memory, .. } = job;
            let mut restorer = Restorer { world, run, function, holder, limiter, budget, memory, firsts_left };
            let result = restorer.reconcile().await;
            let (mut job, next) = Job { memory: restorer.memory, ..job }.after(result);
            job.record_waiting(world, next, budget).await;
            (job, next)
        }
    };
    let mut jobs = schedule::run(world, jobs, budget, pass).await;
    jobs.sort_by_key(|job| job.at);
    jobs.into_iter().map(|job| job.result.map(back_off)).collect()
}

struct Restorer<'a, W> {
    world: &'a W,
    run: &'a Run,
    function: &'a FunctionArn,
    holder: &'a str,
    limiter: &'a RateLimiter,
    budget: Budget,
    memory: Memory,
    /// Whether other targets still wait for their first pass.
    firsts_left: bool,
}

impl<'a, W: World> Restorer<'a, W> {
    fn id(&self) -> &RunId {
        &self.run.id
    }

    fn key(&self) -> TargetKey<'a> {
        self.run.target_key(self.function)
    }

    async fn reconcile(&mut self) -> Result<Reconciled, StepError> {
        // If the run's record cannot be read, it is not known whether its faults touch mappings.
        let mappings = self.run.experiment.as_ref().is_none_or(Experiment::needs_mappings);
        let observed_at = self.world.now();
        // Both reads run concurrently, because every round trip between an alarm's event and the first restoring call
        // counts.
        let (target, seen) = join(
            retry(self.world, || self.world.target(self.key())),
            self.limiter.read(self.world, Quota::of_observation(mappings), || {
                self.world.observe(self.function.as_str(), mappings)
            }),
        )
        .await;
        let Some(target) = target? else {
            require_untouched(self.world, self.key()).await?;
            return Ok(Reconciled::Ended(TargetStatus::Untouched));
        };
        if target.status.is_final() {
            return Ok(Reconciled::Ended(target.status));
        }
        self.memory.waiting.recorded.clone_from(&target.waiting_for);
        if target.status == TargetStatus::Pending {
            return self.end(&target, TargetStatus::Untouched, observed_at, RestorePlan::default(), true).await;
        }
        match seen {
            Ok(seen) => self.decide(&target, seen, observed_at).await,
            Err(FunctionError::NotFound(_)) => self.decide_without_function(&target, observed_at).await,
            Err(error) => self.cannot_see(error).await,
        }
    }

    /// Throttling says nothing about the target.
    async fn cannot_see(&self, error: FunctionError) -> Result<Reconciled, StepError> {
        match error {
            error @ FunctionError::Throttled(wait) => Ok(Reconciled::requeue_because(wait, error.to_string())),
            error => self.fail(self.failed(error)).await,
        }
    }

    async fn decide(
        &mut self,
        target: &TargetRecord,
        mut seen: Observation,
        observed_at: Time,
    ) -> Result<Reconciled, StepError> {
        if target.status == TargetStatus::Armed {
            // No inject has begun, and none can begin after the run was stopped, so every difference comes from outside
            // the run.
            return self.end(target, TargetStatus::Restored, observed_at, RestorePlan::default(), true).await;
        }
        match mappings::unlisted(self.world, self.limiter, &target.changes, &seen.mappings).await {
            Ok(unlisted) => seen.mappings.extend(unlisted),
            Err(error) => return self.cannot_see(error).await,
        }
        // Record removed faults now, because after the writes below every field has its original value.
        record_removed(self.world, target, &removed(target, &seen, observed_at)).await?;
        let plan = plan_restore(&target.changes, &seen);
        if !plan.writes.is_empty() {
            let function = || self.function.name().to_owned();
            match own_function(self.world.prefix(), &seen) {
                Some(OwnFunction::Named) => return self.fail(StepError::OwnFunction { function: function() }).await,
                Some(OwnFunction::Tagged) => return self.fail(StepError::TaggedAsOwn { function: function() }).await,
                None => {}
            }
            return self.write(plan.writes, true).await;
        }
        if let Some(why) = plan.pending_reason {
            return Ok(Reconciled::requeue_because(POLL_INTERVAL, why));
        }
        let status = if plan.drift.is_empty() { TargetStatus::Restored } else { TargetStatus::Drifted };
        self.end(target, status, observed_at, plan, true).await
    }

    /// Restores the event source mappings of a deleted function, which may still exist.
    async fn decide_without_function(
        &mut self,
        target: &TargetRecord,
        observed_at: Time,
    ) -> Result<Reconciled, StepError> {
        if target.status == TargetStatus::Armed {
            return self.end(target, TargetStatus::Deleted, observed_at, RestorePlan::default(), false).await;
        }
        let found = match mappings::unlisted(self.world, self.limiter, &target.changes, &[]).await {
            Ok(found) => found,
            Err(error) => return self.cannot_see(error).await,
        };
        self.memory.orphans.record_observation(&found, observed_at, target.leases_end_at());
        let plan = plan_restore_of_mappings(&target.changes, &found, self.memory.orphans.stuck());
        let own = self.world.prefix().is_some_and(|prefix| is_named_as_own(prefix, self.function));
        if !plan.writes.is_empty() && own {
            return self.fail(StepError::OwnFunction { function: self.function.name().to_owned() }).await;
        }
        let is_current = |write: &&Write| !self.memory.orphans.may_be_stale(write);
        let current: Vec<Write> = plan.writes.iter().filter(is_current).cloned().collect();
        if !current.is_empty() {
            return self.write(current, false).await;
        }
        if !plan.is_done() {
            return Ok(Reconciled::requeue_because(
                POLL_INTERVAL,
                plan.pending_reason.unwrap_or("an event source mapping is changing"),
            ));
        }
        let status = if plan.drift.is_empty() { TargetStatus::Deleted } else { TargetStatus::Drifted };
        self.end(target, status, observed_at, plan, false).await
    }

    /// Writes under a lease. No failed write prevents the others, because each of them takes a fault away. `exists` is
    /// whether the function exists; if not, only its mappings are written.
    async fn write(&mut self, writes: Vec<Write>, exists: bool) -> Result<Reconciled, StepError> {
        let writer = self.writer();
        let mut leased = match writer.begin(Purpose::Restore, writes.len()).await? {
            Begun::Granted(leased) => leased,
            Begun::NoTurn(wait) => return Ok(Reconciled::requeue_because(wait, TURN)),
            Begun::NoPermit => return self.without_permit().await,
        };
        // The transaction that recorded the lease has cleared it.
        self.memory.waiting.recorded = None;
        // The fault was still in place, so a list of versions from before this write may be incomplete.
        self.memory.versions = Listing::default();
        let mut next = Reconciled::requeue(POLL_INTERVAL);
        let (mut refused, mut partial) = (None, PartialUpdates::default());
        let mut pending = VecDeque::from(writes);
        while let Some(write) = pending.pop_front() {
            match leased.write(&write).await {
                Sent::Landed => {
                    if !exists {
                        self.memory.orphans.accepted(&write, self.world.now());
                    }
                    partial.landed(&write);
                }
                Sent::Uncertain => {}
                Sent::Overtaken => break,
                // The other writes would be refused like this one.
                Sent::Failed(error @ FunctionError::Throttled(wait)) => {
                    next = Reconciled::requeue_because(wait, error.to_string());
                    break;
                }
                // The next pass reports the mapping.
                Sent::Failed(error) if !exists && self.memory.orphans.refused(&write, &error, self.world.now()) => {}
                // The function was deleted, is busy, or has changed; the next pass observes which.
                Sent::Failed(error) if error.is_transient() || matches!(error, FunctionError::NotFound(_)) => {
                    next = Reconciled::requeue_because(POLL_INTERVAL, error.to_string());
                }
                Sent::Failed(error) => {
                    if let Some(rest) = partial.refused(&write, &error) {
                        self.limiter.charge(self.world);
                        pending.push_back(rest);
                    }
                    refused = refused.or(Some((write, error)));
                }
            }
        }
        if let Some(until) = leased.finish(&mut self.memory.in_doubt).await? {
            next = Reconciled::requeue_because(POLL_INTERVAL, in_doubt_until(until));
        }
        match refused {
            Some((write, error)) => self.fail(self.failed(partial.named(&write, error))).await,
            None => Ok(next),
        }
    }

    fn writer(&self) -> LeasedWriter<'a, W> {
        let Self { world, run, function, holder, limiter, budget, .. } = *self;
        LeasedWriter { world, limiter, budget, holder, target: run.target_key(function) }
    }

    /// Handles a missing permit. Either another restore is writing or has ended the target, which the next pass
    /// observes. Or the run does not hold the lock of an open target; no task leaves such a target, so its record is
    /// forged, and it is not restored.
    async fn without_permit(&self) -> Result<Reconciled, StepError> {
        if holds_lock(self.world, self.key()).await? {
            return Ok(Reconciled::requeue_because(LEASE_RETRY_WAIT, "another restore of this target is writing"));
        }
        // Read the target after the lock, because the transaction that releases the lock also ends the target.
        let target = retry(self.world, || self.world.target(self.key())).await?;
        if target.is_none_or(|target| target.status.is_final()) {
            return Ok(Reconciled::requeue(POLL_INTERVAL));
        }
        self.fail(StepError::NotLocked { function: self.function.name().to_owned(), run: self.id().clone() }).await
    }

    fn failed(&self, error: FunctionError) -> StepError {
        StepError::function(self.function.name(), error)
    }

    /// Records the failure in the target, whose record already names the function.
    async fn fail(&self, error: StepError) -> Result<Reconciled, StepError> {
        let why = match &error {
            StepError::Function { error, .. } => error.to_string(),
            error => error.to_string(),
        };
        retry(self.world, || self.world.record_restore_error(self.key(), &why)).await?;
        Err(error)
    }

    /// Ends the target if the observation was made after every lease had expired, which the ledger checks again.
    /// `exists` is whether the function exists; a deleted one has no versions.
    async fn end(
        &mut self,
        target: &TargetRecord,
        status: TargetStatus,
        observed_at: Time,
        plan: RestorePlan,
        exists: bool,
    ) -> Result<Reconciled, StepError> {
        if let Some(leases_end_at) = target.leases_end_at().filter(|leases_end_at| *leases_end_at > observed_at) {
            let wait = in_whole_seconds(observed_at.until(leases_end_at));
            return Ok(Reconciled::requeue_because(wait, in_doubt_until(leases_end_at)));
        }
        // A list counts for the same rate as the writes that remove faults, so those writes go first.
        let versioned = exists && needs_versions(target);
        if self.firsts_left && versioned {
            return Ok(Reconciled::RequeueAfterFirsts);
        }
        let frozen_versions = if versioned { self.versions_since(target).await } else { Some(Vec::new()) };
        let Some(frozen_versions) = frozen_versions else {
            return Ok(Reconciled::requeue_because(LISTING_RETRY_WAIT, "its published versions cannot be listed yet"));
        };
        let ending = TargetEnding {
            run: self.id().clone(),
            function: self.function.clone(),
            from: target.status,
            status,
            observed_at,
            drift: plan.drift,
            frozen_versions,
            runtime_version: plan.runtime_version,
            redacted: target.changes.iter().map(Change::redacted).collect(),
        };
        match retry(self.world, || self.world.end_target(&ending, self.world.now())).await? {
            WriteOutcome::Applied => Ok(Reconciled::Ended(status)),
            WriteOutcome::ConditionFailed => Ok(Reconciled::requeue(POLL_INTERVAL)),
        }
    }

    /// The versions that were published while the fault was in place, which keep it permanently. `None` if they must be
    /// listed again. If they cannot be listed at all, the report states that, and the target is still restored.
    async fn versions_since(&mut self, target: &TargetRecord) -> Option<Vec<String>> {
        let waits = self.world.now() < self.listed_by(target);
        match self.memory.versions.finish(self.world, self.limiter, self.function).await {
            Ok(versions) => {
                let mut since: Vec<u64> = versions.iter().copied().filter(|v| *v > target.last_version).collect();
                since.sort_unstable();
                Some(since.iter().map(u64::to_string).collect())
            }
            // Deleted since the observation: the next pass finds out.
            Err(FunctionError::NotFound(_)) => None,
            Err(error) if error.is_transient() && waits => None,
            Err(error) => Some(vec![format!("unknown, they could not be listed: {error}")]),
        }
    }

    /// Until when the ending waits for the list of versions: the target is restored, and other runs wait for its lock.
    fn listed_by(&self, target: &TargetRecord) -> Time {
        let leases_end_at = target.leases_end_at().or(self.run.stopping_at).unwrap_or(self.run.created_at);
        leases_end_at + MAX_LISTING_WAIT
    }
}

/// Whether a version that was published during the run can contain the fault.
fn needs_versions(target: &TargetRecord) -> bool {
    let configuration = target.changes.iter().any(|change| change.surface() == Surface::Configuration);
    let begun = !matches!(target.status, TargetStatus::Pending | TargetStatus::Armed);
    configuration && begun
}
