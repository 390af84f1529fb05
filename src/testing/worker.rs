//! One invocation's view of the world: its own clock, its own rights, and what a weakening makes it believe.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::model::facts::{AccountConcurrency, AlarmFact, Alias, CodeSigning, LayerFact, RuntimeUpdates};
use crate::model::function::{Environment, MappingState, Observation, Slot, Tags};
use crate::model::names::{AlarmName, FunctionArn, LayerVersionArn, MappingId, RunId};
use crate::model::run::{
    EndReason, Findings, Lease, Lever, Lock, Run, RunList, RunStatus, TargetEnding, TargetKey, TargetRecord,
    TargetStatus,
};
use crate::model::snapshot::{Change, RemovedFault, Snapshot, Write};
use crate::model::steady_state::Metric;
use crate::model::time::Time;
use crate::ports::{
    AlarmError, Alarms, Clock, Executions, FunctionError, Functions, Ledger, LedgerError, Permit, Stack, VersionPage,
    WriteOutcome,
};
use crate::steps::MAX_READ_STALENESS;

use super::SimWorld;
use super::calls::{Caller, Sending};
use super::history::weakening::Weakening;
use super::looks::Looks;

/// What an invocation is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs the guardrails and writes the run.
    Prepare,
    /// Takes lock and snapshot.
    Arm,
    /// Injects: the only one whose right to change a function depends on its tags.
    Inject,
    /// Looks at what can end the run.
    Observe,
    /// Restores.
    Restore,
    /// Closes the run.
    Report,
    /// Rolls runs back.
    Rollback,
    /// Ends what nobody else will.
    Reaper,
}

impl Role {
    /// How long an invocation lives until it is killed, as in infra/template.yaml.
    #[must_use]
    pub const fn timeout(self) -> Duration {
        Duration::from_secs(match self {
            Self::Prepare => 420,
            Self::Rollback => 900,
            Self::Reaper => 55,
            _ => 30,
        })
    }
}

/// One invocation.
#[derive(Debug)]
pub struct Worker<'w> {
    world: &'w SimWorld,
    name: String,
    role: Role,
    /// Milliseconds by which its clock is ahead.
    skew: i64,
    weakening: Option<Weakening>,
    memory: Mutex<Memory>,
}

/// What it remembers of its own calls.
#[derive(Debug, Default)]
struct Memory {
    /// The run for which it has begun to write a function.
    begun: BTreeMap<FunctionArn, RunId>,
    /// Its looks at what AWS gives no guard for.
    looks: Looks,
    /// The run that it arms for, where a weakening asks.
    run: Option<RunId>,
    /// What it believes to see, where a weakening lets it.
    believed: BTreeMap<FunctionArn, Observation>,
}

impl<'w> Worker<'w> {
    /// An invocation of this name, whose clock is ahead by so many milliseconds.
    #[must_use]
    pub fn new(world: &'w SimWorld, name: String, role: Role, skew: i64) -> Self {
        let weakening = world.with(|state| state.drive.as_ref().and_then(|drive| drive.weakening));
        Self { world, name, role, skew, weakening, memory: Mutex::default() }
    }

    fn is(&self, weakening: Weakening) -> bool {
        self.weakening == Some(weakening)
    }

    fn memory<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        #[allow(clippy::unwrap_used, reason = "a poisoned lock is a test that has failed already")]
        let mut memory = self.memory.lock().unwrap();
        act(&mut memory)
    }

    /// Says who makes the next call: it is sent before anybody else's turn comes.
    fn enter(&self, sending: Option<Sending>) -> &'w SimWorld {
        self.world.with(|state| {
            state.role = Some(self.role);
            let name = state.drive.as_ref().is_some_and(|drive| drive.journal.is_some()).then(|| self.name.clone());
            if let Some(drive) = &mut state.drive {
                drive.caller = Caller { name: name.unwrap_or_default(), method: None, sending };
            }
        });
        self.world
    }

    /// What the function looked like when its target was armed.
    fn at_arming(&self, function: &FunctionArn) -> Option<Observation> {
        self.world.with(|state| state.drive.as_ref()?.armed.get(function).cloned())
    }

    fn weakened_look(&self, function: &FunctionArn, mut seen: Observation) -> Observation {
        if self.is(Weakening::AbsentIsZero) && seen.concurrency == Slot::Absent {
            seen.concurrency = Slot::Present(0);
        }
        if self.role == Role::Arm {
            self.world
                .with(|state| state.drive.as_mut().map(|drive| drive.armed.insert(function.clone(), seen.clone())));
        }
        seen
    }

    /// Instead of a look of its own before it has begun.
    fn look_at_arming(&self, function: &FunctionArn) -> Option<Observation> {
        let begun = self.memory(|memory| memory.begun.contains_key(function));
        if begun { None } else { self.at_arming(function) }
    }

    /// A look that a weakening spares.
    fn spared_look(&self, function: &FunctionArn) -> Option<Observation> {
        match self.weakening? {
            Weakening::NoSecondLook if self.role == Role::Inject => self.look_at_arming(function),
            Weakening::ObserveBeforeLock if self.role == Role::Arm => {
                self.memory(|memory| memory.run.clone()).and_then(|run| {
                    self.world.with(|state| state.drive.as_ref()?.unlocked.get(&(run, function.clone())).cloned())
                })
            }
            Weakening::ObserveBeforeLock if self.role == Role::Inject => self.look_at_arming(function),
            Weakening::RestoreUnverified => self.memory(|memory| memory.believed.remove(function)),
            _ => None,
        }
    }

    fn weakened_write(&self, function: &FunctionArn, write: &Write) -> Write {
        let mut write = write.clone();
        let Write::Configuration(update) = &mut write else { return write };
        let restores = !matches!(self.role, Role::Inject | Role::Arm);
        let now = self.world.with(|state| state.functions.get(function).map(|function| function.seen.clone()));
        match (self.weakening, self.at_arming(function), now) {
            (Some(Weakening::RevisionOfSnapshot), Some(armed), _) if restores => update.revision_id = armed.revision_id,
            (Some(Weakening::NoRevision), _, Some(now)) => update.revision_id = now.revision_id,
            (Some(Weakening::EnvironmentWhole), Some(armed), _) if restores => {
                if let (Some(_), Environment::Readable(variables)) = (&update.environment, armed.environment) {
                    update.environment = Some(variables);
                }
            }
            (Some(Weakening::LayersWhole), Some(armed), _) if restores && update.layers.is_some() => {
                update.layers = Some(armed.layers);
            }
            _ => {}
        }
        write
    }

    /// A restore that trusts its own call remembers what the function must look like now.
    fn believe(&self, function: &FunctionArn, write: &Write) {
        let seen = self.world.with(|state| state.picture(function));
        let Some(mut seen) = seen.filter(|_| self.role != Role::Inject) else { return };
        match write {
            Write::Concurrency(slot) => seen.concurrency = *slot,
            Write::Mapping { id, enabled } => {
                use crate::model::function::MappingState::{Disabled, Enabled};
                for mapping in seen.mappings.iter_mut().filter(|mapping| mapping.id == *id) {
                    mapping.state = if *enabled { Enabled } else { Disabled };
                }
            }
            Write::Configuration(update) => {
                seen.last_update = crate::model::function::LastUpdate::Successful;
                seen.handler = update.handler.clone().or(seen.handler);
                seen.layers = update.layers.clone().unwrap_or(seen.layers);
                seen.environment = update.environment.clone().map_or(seen.environment, Environment::Readable);
                seen.timeout = update.timeout.unwrap_or(seen.timeout);
                seen.memory = update.memory.unwrap_or(seen.memory);
            }
        }
        self.memory(|memory| memory.believed.insert(function.clone(), seen));
    }

    /// What a function looks like before a run first asks for its lock is what the snapshot is made of.
    async fn look_before(&self, run: &RunId, function: &FunctionArn) {
        let seen = self.observe(function.as_str(), true).await;
        self.memory(|memory| memory.run = Some(run.clone()));
        let at = (run.clone(), function.clone());
        self.world.with(|state| {
            if let (Some(drive), Ok(seen)) = (&mut state.drive, seen) {
                drive.unlocked.entry(at).or_insert(seen);
            }
        });
    }

    fn lease(&self, lease: &Lease) -> Lease {
        let until = if self.is(Weakening::LeaseTooShort) { self.now() + Duration::from_secs(1) } else { lease.until };
        Lease { until, ..lease.clone() }
    }

    /// What this write is sent for, and the moment of the look that it was decided on.
    fn sending(&self, function: &FunctionArn, write: &Write) -> Option<Sending> {
        let run = self.memory(|memory| memory.begun.get(function).cloned())?;
        let read_at = self.world.with(|state| {
            let target = state.targets.get(&(run.clone(), function.clone()));
            let changes = target.map(|target| target.changes.as_slice()).unwrap_or_default();
            self.memory(|memory| memory.looks.behind(function, write, changes))
        });
        Some(Sending { run, function: function.clone(), read_at })
    }

    fn opted_in(&self, function: &FunctionArn) -> bool {
        self.world.with(|state| match state.functions.get(function).map(|function| &function.seen.tags) {
            Some(Tags::Known(tags)) => tags.get("chaos").is_some_and(|value| value == "allowed"),
            _ => true,
        })
    }
}

impl Functions for Worker<'_> {
    async fn observe(&self, function: &str, with_mappings: bool) -> Result<Observation, FunctionError> {
        if let Some((arn, seen)) =
            FunctionArn::try_from(function).ok().and_then(|arn| Some((arn.clone(), self.spared_look(&arn)?)))
        {
            return Ok(self.weakened_look(&arn, seen));
        }
        let (seen, read_at) = self.enter(None).look(function, with_mappings).await?;
        let seen = self.weakened_look(&seen.arn.clone(), seen);
        self.memory(|memory| memory.looks.add(&seen, read_at));
        Ok(seen)
    }

    async fn write(&self, permit: &Permit, write: &Write, not_after: Time) -> Result<(), FunctionError> {
        let function = permit.function();
        if self.now() > not_after {
            return Err(FunctionError::Throttled(Duration::ZERO));
        }
        if self.role == Role::Inject && !self.opted_in(function) {
            return Err(FunctionError::Denied("the function does not carry the tag".into()));
        }
        let write = self.weakened_write(function, write);
        let sending = self.sending(function, &write);
        let written = self.enter(sending).write(permit, &write, Time(i64::MAX)).await;
        if self.is(Weakening::RestoreUnverified) {
            self.believe(function, &write);
        }
        written
    }

    async fn mapping(&self, id: &MappingId) -> Result<MappingState, FunctionError> {
        let (state, read_at) = self.enter(None).look_at_mapping(id).await?;
        self.memory(|memory| memory.looks.add_mapping(id, state, read_at));
        Ok(state)
    }

    async fn layer(&self, layer: &LayerVersionArn) -> Result<LayerFact, FunctionError> {
        self.enter(None).layer(layer).await
    }

    async fn code_signing(&self, function: &FunctionArn) -> Result<CodeSigning, FunctionError> {
        self.enter(None).code_signing(function).await
    }

    async fn aliases(&self, function: &FunctionArn) -> Result<Vec<Alias>, FunctionError> {
        self.enter(None).aliases(function).await
    }

    async fn versions(&self, function: &FunctionArn, page: Option<&str>) -> Result<VersionPage, FunctionError> {
        self.enter(None).versions(function, page).await
    }

    async fn runtime_updates(&self, function: &FunctionArn) -> Result<RuntimeUpdates, FunctionError> {
        self.enter(None).runtime_updates(function).await
    }

    async fn account(&self) -> Result<AccountConcurrency, FunctionError> {
        self.enter(None).account().await
    }

    async fn mapping_tags(&self, function: &FunctionArn, mapping: &MappingId) -> Result<Tags, FunctionError> {
        self.enter(None).mapping_tags(function, mapping).await
    }

    async fn tagged(&self, tags: &BTreeMap<String, String>) -> Result<Vec<FunctionArn>, FunctionError> {
        self.enter(None).tagged(tags).await
    }
}

impl Alarms for Worker<'_> {
    async fn alarms(&self, names: &[AlarmName]) -> Result<Vec<Option<AlarmFact>>, AlarmError> {
        self.enter(None).alarms(names).await
    }

    async fn metrics(&self, metrics: &[Metric], from: Time, until: Time) -> Result<Vec<Vec<f64>>, AlarmError> {
        self.enter(None).metrics(metrics, from, until).await
    }
}

impl Stack for Worker<'_> {
    fn prefix(&self) -> Option<&str> {
        self.world.prefix()
    }
}

impl Executions for Worker<'_> {
    async fn is_running(&self, execution_arn: &str) -> Result<bool, String> {
        self.enter(None).is_running(execution_arn).await
    }
}

impl Clock for Worker<'_> {
    fn now(&self) -> Time {
        Time(self.world.now().0 + self.skew)
    }

    async fn sleep(&self, span: Duration) {
        Clock::sleep(self.world, span).await;
    }

    fn random(&self) -> u64 {
        self.world.with(|state| state.drive.as_mut().map_or(0, |drive| drive.dice.number()))
    }
}

impl Ledger for Worker<'_> {
    async fn create_run(&self, run: &Run) -> Result<WriteOutcome, LedgerError> {
        self.enter(None).create_run(run).await
    }

    async fn add_targets(&self, run: &RunId, functions: &[FunctionArn]) -> Result<(), LedgerError> {
        self.enter(None).add_targets(run, functions).await
    }

    async fn start_run(&self, run: &RunId) -> Result<WriteOutcome, LedgerError> {
        self.enter(None).start_run(run).await
    }

    async fn stop_run(&self, run: &RunId, reason: &EndReason, now: Time) -> Result<Run, LedgerError> {
        self.enter(None).stop_run(run, reason, now).await
    }

    async fn begin_observing(&self, run: &RunId, ends_at: Time) -> Result<Run, LedgerError> {
        self.enter(None).begin_observing(run, ends_at).await
    }

    async fn record_findings(&self, run: &RunId, findings: &Findings) -> Result<(), LedgerError> {
        self.enter(None).record_findings(run, findings).await
    }

    async fn close_run(&self, run: &RunId, status: RunStatus, now: Time) -> Result<WriteOutcome, LedgerError> {
        self.enter(None).close_run(run, status, now).await
    }

    async fn retire_run(&self, run: &Run, now: Time) -> Result<(), LedgerError> {
        self.enter(None).retire_run(run, now).await
    }

    async fn run(&self, run: &RunId) -> Result<Option<Run>, LedgerError> {
        self.enter(None).run(run).await
    }

    async fn targets(&self, run: &RunId) -> Result<Vec<TargetRecord>, LedgerError> {
        self.enter(None).targets(run).await
    }

    async fn target(&self, target: TargetKey<'_>) -> Result<Option<TargetRecord>, LedgerError> {
        let mut target = self.enter(None).target(target).await?;
        if let Some(target) = &mut target {
            if self.is(Weakening::EndedUnderLease) {
                (target.inject_lease, target.restore_lease) = (None, None);
            }
            if self.is(Weakening::NoRehearsal) {
                target.rehearsed = true;
            }
            // The task that arms does not know that it has armed before.
            if self.is(Weakening::SnapshotOverwritten) && self.role == Role::Arm && !target.status.is_final() {
                target.status = TargetStatus::Pending;
            }
        }
        Ok(target)
    }

    async fn active_runs(&self) -> Result<RunList, LedgerError> {
        let runs = self.enter(None).active_runs().await?;
        Ok(if self.is(Weakening::NoReaper) && self.role == Role::Reaper { RunList::default() } else { runs })
    }

    async fn all_runs(&self) -> Result<Vec<Run>, LedgerError> {
        self.enter(None).all_runs().await
    }

    async fn runs_of_alarm(&self, alarm_arn: &str) -> Result<RunList, LedgerError> {
        let mut runs = self.enter(None).runs_of_alarm(alarm_arn).await?;
        if self.is(Weakening::AlarmReadStale) {
            let since = self.now() - MAX_READ_STALENESS;
            runs.runs
                .retain(|id| self.world.with(|state| state.runs.get(id).is_some_and(|run| run.created_at < since)));
        }
        Ok(runs)
    }

    async fn lock(&self, function: &FunctionArn) -> Result<Option<Lock>, LedgerError> {
        self.enter(None).lock(function).await
    }

    async fn take_lock(&self, target: TargetKey<'_>) -> Result<Option<Lock>, LedgerError> {
        if self.is(Weakening::ObserveBeforeLock) {
            self.look_before(target.run, target.function).await;
        }
        let mut lock = self.enter(None).take_lock(target).await?;
        if let Some(lock) = lock.as_mut().filter(|_| self.is(Weakening::NoWaitAfterRelease)) {
            lock.released_at = None;
        }
        Ok(lock)
    }

    async fn arm(&self, target: TargetKey<'_>, snapshot: &Snapshot) -> Result<WriteOutcome, LedgerError> {
        self.enter(None).arm(target, snapshot).await
    }

    async fn mark_rehearsed(&self, target: TargetKey<'_>, planned: &[Change]) -> Result<WriteOutcome, LedgerError> {
        self.enter(None).mark_rehearsed(target, planned).await
    }

    async fn begin_inject(
        &self,
        target: TargetKey<'_>,
        planned: &[Change],
        lease: &Lease,
        now: Time,
    ) -> Result<Option<Permit>, LedgerError> {
        self.memory(|memory| memory.begun.insert(target.function.clone(), target.run.clone()));
        self.enter(None).begin_inject(target, planned, &self.lease(lease), now).await
    }

    async fn mark_injected(&self, target: TargetKey<'_>) -> Result<WriteOutcome, LedgerError> {
        self.enter(None).mark_injected(target).await
    }

    async fn begin_restore(
        &self,
        target: TargetKey<'_>,
        lease: &Lease,
        now: Time,
    ) -> Result<Option<Permit>, LedgerError> {
        self.memory(|memory| memory.begun.insert(target.function.clone(), target.run.clone()));
        self.enter(None).begin_restore(target, &self.lease(lease), now).await
    }

    async fn shorten_lease(&self, target: TargetKey<'_>, lease: &Lease, until: Time) -> Result<(), LedgerError> {
        self.enter(None).shorten_lease(target, lease, until).await
    }

    async fn end_target(&self, ending: &TargetEnding, now: Time) -> Result<WriteOutcome, LedgerError> {
        self.enter(None).end_target(ending, now).await
    }

    async fn record_restore_error(&self, target: TargetKey<'_>, why: &str) -> Result<(), LedgerError> {
        self.enter(None).record_restore_error(target, why).await
    }

    async fn record_waiting(&self, target: TargetKey<'_>, why: Option<&str>) -> Result<(), LedgerError> {
        self.enter(None).record_waiting(target, why).await
    }

    async fn record_removed_faults(&self, target: TargetKey<'_>, seen: &[RemovedFault]) -> Result<(), LedgerError> {
        self.enter(None).record_removed_faults(target, seen).await
    }

    async fn lever(&self) -> Result<Option<Lever>, LedgerError> {
        self.enter(None).lever().await
    }

    async fn set_lever(&self, lever: &Lever) -> Result<(), LedgerError> {
        self.enter(None).set_lever(lever).await
    }
}
