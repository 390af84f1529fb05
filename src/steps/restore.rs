//! `Restore`: level-triggered and idempotent. It looks at the function as it is now, decides per touched field, writes
//! what is needed, looks again, and says restored only after it has seen it, when no call of anybody's can land any more.

use std::collections::VecDeque;

use futures_util::future::join;

use crate::model::experiment::Experiment;
use crate::model::function::Observation;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{Ending, Lease, LeaseKind, Run, TargetRecord, TargetStatus};
use crate::model::snapshot::{Change, ConfigurationUpdate, Surface, Write};
use crate::model::time::Time;
use crate::plan::own::is_own;
use crate::plan::restore::{RestorePlan, plan_restore};
use crate::ports::{FunctionError, Guarded, World};

use super::error::StepError;
use super::pace::{Kind, Pace};
use super::retry::retry;
use super::sample::{record_removed, removed};
use super::schedule::{self, Next};
use super::waiting::{Waiting, in_doubt_until};
use super::{Budget, LOOK_EVERY, Window, is_overtaken};

/// Seconds until the next invocation looks at what did not come right.
const LOOK_LATER: u64 = 10;

/// How restoring went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restored {
    /// The target has this final status.
    Ended(TargetStatus),
    /// Look again.
    Pending {
        /// In this many seconds.
        seconds: u64,
        /// What the restore waits for, where that is known.
        waiting_for: Option<String>,
    },
}

impl Restored {
    fn pending(seconds: u64, waiting_for: Option<String>) -> Self {
        Self::Pending { seconds, waiting_for }
    }
}

/// What one look came to.
enum Look {
    Ended(TargetStatus),
    /// Look again after this many seconds, at the earliest; and what is waited for, where that is known.
    Again(u64, Option<String>),
    /// Again, when every target has had its first look.
    AfterFirsts,
    /// Again, and a call of ours may land until then.
    InDoubt(Time),
}

impl Look {
    fn again(seconds: u64) -> Self {
        Self::Again(seconds, None)
    }

    fn waits(seconds: u64, why: impl Into<String>) -> Self {
        Self::Again(seconds, Some(why.into()))
    }

    /// With nothing in the record of what is waited for.
    fn of_nothing(self) -> Looked {
        Looked { look: self, recorded: None }
    }
}

/// A look, and what the target's record says by then that is waited for.
struct Looked {
    look: Look,
    recorded: Option<String>,
}

/// What to do about a target.
enum Decision {
    /// These calls.
    Write(Vec<Write>),
    /// No calls.
    Over(Look),
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
    restore_all(world, &[(run, function)], budget).await.pop().unwrap_or(Ok(Restored::pending(1, None)))
}

/// Restores many targets, most urgent first: those whose fault does not expire by itself, and then in their order. At
/// most [`super::AT_ONCE`] first looks and as many later ones are under way; a target that waits costs a small record and
/// no more. No first look waits for a later one, so that a target that takes long keeps no other from being restored.
/// Keeps to Lambda's rates. The results are in the order of the targets.
pub async fn restore_all(
    world: &impl World,
    targets: &[(&Run, &FunctionArn)],
    budget: Budget,
) -> Vec<Result<Restored, StepError>> {
    let holder = format!("restore-{:016x}", world.random());
    let pace = Pace::until(budget.last_call());
    let mut jobs: Vec<Job> =
        targets.iter().enumerate().map(|(at, (run, function))| Job::new(at, run, function)).collect();
    jobs.sort_by_key(|job| job.run.experiment.as_ref().is_some_and(Experiment::expires_by_itself));
    let look = |job, firsts_left| {
        let (holder, pace) = (&holder, &pace);
        async move {
            let Job { run, function, doubt, .. } = job;
            let look = Restorer { world, run, function, holder, pace, budget, doubt, firsts_left }.look().await;
            let (mut job, next) = job.after(look);
            job.record_waiting(world, next, budget).await;
            (job, next)
        }
    };
    let mut jobs = schedule::run(world, jobs, budget, look).await;
    jobs.sort_by_key(|job| job.at);
    jobs.into_iter().map(|job| job.result.map(patient)).collect()
}

/// One target to restore, and how far that has come.
struct Job<'a> {
    /// Its place among the targets.
    at: usize,
    run: &'a Run,
    function: &'a FunctionArn,
    result: Result<Restored, StepError>,
    /// Until when a call of ours may land yet.
    doubt: Option<Time>,
    waiting: Waiting,
}

impl<'a> Job<'a> {
    fn new(at: usize, run: &'a Run, function: &'a FunctionArn) -> Self {
        let (result, waiting) = (Ok(Restored::pending(LOOK_EVERY, None)), Waiting::default());
        Self { at, run, function, result, doubt: None, waiting }
    }

    fn after(mut self, looked: Result<Looked, StepError>) -> (Self, Next) {
        let look = looked.map(|Looked { look, recorded }| {
            self.waiting.recorded = recorded;
            look
        });
        let next = match &look {
            Ok(Look::Ended(_)) | Err(_) => Next::Over,
            Ok(Look::Again(seconds, _)) => Next::After((*seconds).max(LOOK_EVERY)),
            Ok(Look::AfterFirsts) => Next::AfterFirsts,
            Ok(Look::InDoubt(_)) => Next::After(LOOK_EVERY),
        };
        self.result = look.map(|look| match look {
            Look::Ended(status) => Restored::Ended(status),
            Look::Again(seconds, why) => Restored::pending(seconds.max(LOOK_EVERY), why),
            Look::AfterFirsts => Restored::pending(LOOK_EVERY, None),
            Look::InDoubt(until) => {
                self.doubt = Some(until);
                Restored::pending(LOOK_EVERY, Some(in_doubt_until(until)))
            }
        });
        (self, next)
    }

    /// Records what is waited for, where that lasts.
    async fn record_waiting(&mut self, world: &impl World, next: Next, budget: Budget) {
        let (Next::After(seconds), Ok(Restored::Pending { waiting_for, .. })) = (next, &self.result) else { return };
        let is_last = !budget.allows(world.now().plus(seconds.cast_signed()));
        self.waiting.record(world, (&self.run.id, self.function), waiting_for.as_deref(), is_last).await;
    }
}

/// What did not come right while this invocation looked each second is not looked at each second by the next one: an
/// execution has only so many events in its history.
fn patient(restored: Restored) -> Restored {
    match restored {
        Restored::Pending { seconds: ..=2, waiting_for } => Restored::pending(LOOK_LATER, waiting_for),
        Restored::Pending { seconds, waiting_for } => Restored::pending(seconds.min(60), waiting_for),
        ended @ Restored::Ended(_) => ended,
    }
}

struct Restorer<'a, W> {
    world: &'a W,
    run: &'a Run,
    function: &'a FunctionArn,
    holder: &'a str,
    pace: &'a Pace,
    budget: Budget,
    /// Until when an earlier call of this invocation may land: its lease must then run its course.
    doubt: Option<Time>,
    /// Whether there are targets that have had no look yet.
    firsts_left: bool,
}

impl<W: World> Restorer<'_, W> {
    fn id(&self) -> &RunId {
        &self.run.id
    }

    async fn look(&self) -> Result<Looked, StepError> {
        // A run without a readable record does not say whether its faults touch mappings.
        let mappings = self.run.experiment.as_ref().is_none_or(Experiment::needs_mappings);
        let observed_at = self.world.now();
        // Both at once: between an alarm event and the first restoring call, every round trip counts.
        let (target, seen) = join(
            retry(self.world, || self.world.target(self.id(), self.function)),
            self.pace
                .read(self.world, Kind::of_look(mappings), || self.world.observe(self.function.as_str(), mappings)),
        )
        .await;
        // A run that stopped while it was being written has functions without a record: nothing was touched.
        let Some(target) = target? else { return Ok(Look::Ended(TargetStatus::Untouched).of_nothing()) };
        let writes = match self.decide(&target, seen, observed_at).await? {
            Decision::Write(writes) => writes,
            Decision::Over(look) => return Ok(Looked { look, recorded: target.waiting_for }),
        };
        self.write(writes, target.waiting_for).await
    }

    async fn decide(
        &self,
        target: &TargetRecord,
        seen: Result<Observation, FunctionError>,
        observed_at: Time,
    ) -> Result<Decision, StepError> {
        if target.status.is_final() {
            return Ok(Decision::Over(Look::Ended(target.status)));
        }
        if target.status == TargetStatus::Pending {
            return self.end(target, TargetStatus::Untouched, observed_at, RestorePlan::default()).await;
        }
        match seen {
            Ok(seen) => self.plan(target, &seen, observed_at).await,
            Err(FunctionError::NotFound(_)) => {
                self.end(target, TargetStatus::Gone, observed_at, RestorePlan::default()).await
            }
            // Throttling says nothing about the target.
            Err(error @ FunctionError::Throttled(seconds)) => {
                Ok(Decision::Over(Look::waits(seconds, error.to_string())))
            }
            Err(error) => Err(self.fail(self.failed(error)).await),
        }
    }

    async fn plan(&self, target: &TargetRecord, seen: &Observation, observed_at: Time) -> Result<Decision, StepError> {
        if target.status == TargetStatus::Armed {
            // No inject has begun, and none can begin behind the run's stop: whatever differs is somebody else's.
            return self.end(target, TargetStatus::Restored, observed_at, RestorePlan::default()).await;
        }
        // Seen now or never: the writes below give every field its original.
        record_removed(self.world, target, &removed(target, seen, observed_at), observed_at).await?;
        let plan = plan_restore(&target.changes, seen);
        if !plan.writes.is_empty() && is_own(self.world.prefix(), seen) {
            return Err(self.fail(StepError::OwnFunction { function: self.function.name().to_owned() }).await);
        }
        if !plan.writes.is_empty() {
            return Ok(Decision::Write(plan.writes));
        }
        if let Some(why) = plan.unsettled {
            return Ok(Decision::Over(Look::waits(LOOK_EVERY, why)));
        }
        let status = if plan.drift.is_empty() { TargetStatus::Restored } else { TargetStatus::Drifted };
        self.end(target, status, observed_at, plan).await
    }

    async fn write(&self, writes: Vec<Write>, recorded: Option<String>) -> Result<Looked, StepError> {
        // Before the lease is taken, which must not run meanwhile.
        if let Err(seconds) = self.pace.turn(self.world, writes.len()).await {
            return Ok(Looked { look: Look::waits(seconds, "a turn within Lambda's rate"), recorded });
        }
        let Window { lease, last_call } = self.budget.window(LeaseKind::Restore, self.holder, self.world.now());
        let begun = retry(self.world, || self.world.begin_restore(self.id(), self.function, &lease, self.world.now()));
        let Some(permit) = begun.await? else {
            return Ok(Looked { look: self.without_permit().await?, recorded });
        };
        let mut look = Look::again(LOOK_EVERY);
        let mut refused = None;
        let (mut due, mut landed) = (VecDeque::from(writes), Vec::new());
        while let Some(write) = due.pop_front() {
            if is_overtaken(&landed, &write) {
                break;
            }
            match self.world.write(&permit, &write, last_call).await {
                Ok(()) => landed.push(write),
                // It may land yet; the lease stays. The other writes do not wait for that.
                Err(error) if error.may_have_landed() => look = Look::InDoubt(lease.until),
                // The other writes would be refused like this one.
                Err(error @ FunctionError::Throttled(seconds)) => {
                    self.pace.heed(self.world, Kind::Control, &error);
                    if !matches!(look, Look::InDoubt(_)) {
                        look = Look::waits(seconds, error.to_string());
                    }
                    break;
                }
                // Deleted under us, busy or overtaken: the next look tells. The other writes need not wait either.
                Err(error) if error.is_transient() || matches!(error, FunctionError::NotFound(_)) => {
                    if !matches!(look, Look::InDoubt(_)) {
                        look = Look::waits(LOOK_EVERY, error.to_string());
                    }
                }
                // Nor must what AWS refuses for good keep the rest from being restored.
                Err(error) => {
                    if let Some(rest) = without_layers(&write).filter(|_| matches!(error, FunctionError::Rejected(_))) {
                        self.pace.count(self.world);
                        due.push_back(rest);
                    }
                    refused = refused.or(Some(error));
                }
            }
        }
        if !matches!(look, Look::InDoubt(_)) {
            self.settle(&lease).await?;
        }
        match refused {
            Some(error) => Err(self.fail(self.failed(error)).await),
            // The lease's transaction has cleared what was waited for.
            None => Ok(look.of_nothing()),
        }
    }

    /// Another restore is writing, or has ended the target: the next look tells. But a target that is open while its run
    /// does not hold the lock is nobody's to restore: no task leaves one like that.
    async fn without_permit(&self) -> Result<Look, StepError> {
        let lock = retry(self.world, || self.world.lock(self.function)).await?;
        if lock.is_some_and(|lock| lock.run.as_ref() == Some(self.id())) {
            return Ok(Look::waits(2, "another restore of this target is writing"));
        }
        // Read after the lock: whoever releases the lock ends the target in the same transaction.
        let target = retry(self.world, || self.world.target(self.id(), self.function)).await?;
        if target.is_none_or(|target| target.status.is_final()) {
            return Ok(Look::again(LOOK_EVERY));
        }
        let (function, run) = (self.function.name().to_owned(), self.id().clone());
        Err(self.fail(StepError::NotLocked { function, run }).await)
    }

    /// Every call of ours was answered, so no call of ours can land any more, unless an earlier one is in doubt.
    async fn settle(&self, lease: &Lease) -> Result<(), StepError> {
        let now = self.world.now();
        if self.doubt.is_some_and(|until| until > now) {
            return Ok(());
        }
        Ok(retry(self.world, || self.world.settle(self.id(), self.function, lease, now)).await?)
    }

    fn failed(&self, error: FunctionError) -> StepError {
        StepError::function(self.function.name(), error)
    }

    /// Keeps the failure with the target, whose record names the function already.
    async fn fail(&self, error: StepError) -> StepError {
        let why = match &error {
            StepError::Function { error, .. } => error.to_string(),
            error => error.to_string(),
        };
        let kept = retry(self.world, || self.world.restore_failed(self.id(), self.function, &why)).await;
        kept.map_or_else(StepError::from, |()| error)
    }

    /// An ending is true only if the look was made after every lease had run out: the ledger checks that once more.
    async fn end(
        &self,
        target: &TargetRecord,
        status: TargetStatus,
        observed_at: Time,
        plan: RestorePlan,
    ) -> Result<Decision, StepError> {
        if let Some(quiet_at) = target.quiet_at().filter(|quiet_at| *quiet_at > observed_at) {
            return Ok(Decision::Over(Look::waits(observed_at.seconds_until(quiet_at), in_doubt_until(quiet_at))));
        }
        // A listing counts for the same rate as the writes that take the faults away: those go first.
        if self.firsts_left && needs_versions(target, status) {
            return Ok(Decision::Over(Look::AfterFirsts));
        }
        let Some(frozen_versions) = self.versions_since(target, status).await else {
            return Ok(Decision::Over(Look::waits(2, "its published versions cannot be listed yet")));
        };
        let ending = Ending {
            run: self.id().clone(),
            function: self.function.clone(),
            from: target.status,
            status,
            observed_at,
            drift: plan.drift,
            frozen_versions,
            runtime_version: None,
            redacted: target.changes.iter().map(Change::redacted).collect(),
        };
        Ok(Decision::Over(match retry(self.world, || self.world.finish(&ending, self.world.now())).await? {
            Guarded::Done => Look::Ended(status),
            Guarded::Declined => Look::again(LOOK_EVERY),
        }))
    }

    /// A version that somebody published while the fault was in place keeps it for good: it is named. `None` is to be
    /// asked again; where it may not be asked at all, the report says that, and the restore is none the worse.
    async fn versions_since(&self, target: &TargetRecord, status: TargetStatus) -> Option<Vec<String>> {
        if !needs_versions(target, status) {
            return Some(Vec::new());
        }
        match self.pace.read(self.world, &[Kind::Control], || self.world.versions(self.function)).await {
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

/// Whether a version that was published meanwhile can hold the fault.
fn needs_versions(target: &TargetRecord, status: TargetStatus) -> bool {
    let configuration = target.changes.iter().any(|change| change.surface() == Surface::Configuration);
    let begun = !matches!(target.status, TargetStatus::Pending | TargetStatus::Armed);
    status != TargetStatus::Gone && configuration && begun
}

/// A layer version that was deleted during the run cannot be attached again, and AWS refuses the whole call for it
/// (lambda/latest/dg/chapter-layers): the other fields, where there are any, need not wait for that.
fn without_layers(write: &Write) -> Option<Write> {
    let Write::Configuration(update) = write else { return None };
    let rest = ConfigurationUpdate { layers: None, ..update.clone() };
    let nothing = ConfigurationUpdate { revision_id: rest.revision_id.clone(), ..ConfigurationUpdate::default() };
    (update.layers.is_some() && rest != nothing).then_some(Write::Configuration(rest))
}
