//! A worker: one invocation's view of the world, with its own clock and its role's rights.

mod ledger;
mod weakened;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use crate::model::facts::{AccountConcurrency, AlarmFact, Alias, CodeSigning, LayerFact, RuntimeUpdates};
use crate::model::function::{MappingState, Observation, Tags};
use crate::model::names::{AlarmName, FunctionArn, LayerVersionArn, MappingId, RunId};
use crate::model::snapshot::Write;
use crate::model::steady_state::Metric;
use crate::model::time::Time;
use crate::ports::{
    AlarmError, Alarms, Clock, Executions, FunctionError, Functions, Permit, ReportStore, ReportStoreError, Stack,
    VersionPage, WriteOutcome,
};

use super::SimWorld;
use super::calls::{Caller, Sending};
use super::history::weakening::Weakening;
use super::reads::UnguardedReads;

/// The task of an invocation, which determines its rights and its time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs the guardrails and records the run.
    Prepare,
    /// Takes the lock and the snapshot.
    Arm,
    /// Injects. Only this role's right to change a function depends on the function's tags.
    Inject,
    /// Checks what can end the run.
    Observe,
    /// Restores.
    Restore,
    /// Closes the run.
    Report,
    /// Rolls runs back.
    Rollback,
    /// Ends runs whose execution no longer does.
    Reaper,
}

impl Role {
    /// Returns the time limit of an invocation, as in infra/template.yaml.
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
    /// How far its clock is ahead, in milliseconds.
    skew_ms: i64,
    weakening: Option<Weakening>,
    memory: Mutex<Memory>,
}

/// What a worker remembers of the calls that it made.
#[derive(Debug, Default)]
struct Memory {
    /// The run for which it last recorded a lease to write a function.
    begun: BTreeMap<FunctionArn, RunId>,
    /// Its reads of fields for which AWS has no conditional write.
    unguarded: UnguardedReads,
    /// The run for which it arms, if a weakening needs it.
    arming_for: Option<RunId>,
    /// What it assumes after its own writes, if a weakening spares it the read.
    assumed: BTreeMap<FunctionArn, Observation>,
}

impl<'w> Worker<'w> {
    /// Creates a worker whose clock is ahead by `skew_ms`.
    #[must_use]
    pub fn new(world: &'w SimWorld, name: String, role: Role, skew_ms: i64) -> Self {
        let weakening = world.with(|state| state.drive.as_ref().and_then(|drive| drive.weakening));
        Self { world, name, role, skew_ms, weakening, memory: Mutex::default() }
    }

    fn has(&self, weakening: Weakening) -> bool {
        self.weakening == Some(weakening)
    }

    fn memory<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        #[allow(clippy::unwrap_used, reason = "a poisoned lock is a test that has failed already")]
        let mut memory = self.memory.lock().unwrap();
        act(&mut memory)
    }

    /// Makes this worker the caller of the world's next call, and returns the world. Use it for the call immediately,
    /// without an `await` in between, so that no other worker's call can come first.
    fn as_caller(&self, sending: Option<Sending>) -> &'w SimWorld {
        self.world.with(|state| {
            state.role = Some(self.role);
            let name = state.drive.as_ref().is_some_and(|drive| drive.journal.is_some()).then(|| self.name.clone());
            if let Some(drive) = &mut state.drive {
                drive.caller = Caller { name: name.unwrap_or_default(), method: None, sending };
            }
        });
        self.world
    }

    /// Returns the purpose of a write, with the time of the read on which it was decided.
    fn sending(&self, function: &FunctionArn, write: &Write) -> Option<Sending> {
        let run = self.memory(|memory| memory.begun.get(function).cloned())?;
        let read_at = self.world.with(|state| {
            let target = state.targets.get(&(run.clone(), function.clone()));
            let changes = target.map(|target| target.changes.as_slice()).unwrap_or_default();
            self.memory(|memory| memory.unguarded.read_before(function, write, changes))
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
            FunctionArn::try_from(function).ok().and_then(|arn| Some((arn.clone(), self.spared_read(&arn)?)))
        {
            return Ok(self.weakened_read(&arn, seen));
        }
        let (seen, read_at) = self.as_caller(None).observe_with_time(function, with_mappings).await?;
        let seen = self.weakened_read(&seen.arn.clone(), seen);
        self.memory(|memory| memory.unguarded.add(&seen, read_at));
        Ok(seen)
    }

    async fn write(&self, permit: &Permit, write: &Write, not_after: Time) -> Result<(), FunctionError> {
        let function = permit.function();
        if self.now() > not_after {
            return Err(FunctionError::Throttled(Duration::ZERO));
        }
        if self.role == Role::Inject && !self.opted_in(function) {
            return Err(FunctionError::Denied("the function does not have the tag".into()));
        }
        let write = self.weakened_write(function, write);
        let sending = self.sending(function, &write);
        let written = self.as_caller(sending).write(permit, &write, Time(i64::MAX)).await;
        if self.has(Weakening::RestoreUnverified) {
            self.assume_written(function, &write);
        }
        written
    }

    async fn mapping(&self, id: &MappingId) -> Result<MappingState, FunctionError> {
        let (state, read_at) = self.as_caller(None).read_mapping(id).await?;
        self.memory(|memory| memory.unguarded.add_mapping(id, state, read_at));
        Ok(state)
    }

    async fn layer(&self, layer: &LayerVersionArn) -> Result<LayerFact, FunctionError> {
        self.as_caller(None).layer(layer).await
    }

    async fn code_signing(&self, function: &FunctionArn) -> Result<CodeSigning, FunctionError> {
        self.as_caller(None).code_signing(function).await
    }

    async fn aliases(&self, function: &FunctionArn) -> Result<Vec<Alias>, FunctionError> {
        self.as_caller(None).aliases(function).await
    }

    async fn versions(&self, function: &FunctionArn, page: Option<&str>) -> Result<VersionPage, FunctionError> {
        self.as_caller(None).versions(function, page).await
    }

    async fn runtime_updates(&self, function: &FunctionArn) -> Result<RuntimeUpdates, FunctionError> {
        self.as_caller(None).runtime_updates(function).await
    }

    async fn account(&self) -> Result<AccountConcurrency, FunctionError> {
        self.as_caller(None).account().await
    }

    async fn mapping_tags(&self, function: &FunctionArn, mapping: &MappingId) -> Result<Tags, FunctionError> {
        self.as_caller(None).mapping_tags(function, mapping).await
    }

    async fn tagged(&self, tags: &BTreeMap<String, String>) -> Result<Vec<FunctionArn>, FunctionError> {
        self.as_caller(None).tagged(tags).await
    }
}

impl Alarms for Worker<'_> {
    async fn alarms(&self, names: &[AlarmName]) -> Result<Vec<Option<AlarmFact>>, AlarmError> {
        self.as_caller(None).alarms(names).await
    }

    async fn periods(&self, metrics: &[Metric], from: Time, until: Time) -> Result<Vec<Vec<(Time, f64)>>, AlarmError> {
        self.as_caller(None).periods(metrics, from, until).await
    }
}

impl ReportStore for Worker<'_> {
    fn has_report_bucket(&self) -> bool {
        self.world.has_report_bucket()
    }

    async fn put_report(&self, key: &str, page: String) -> Result<WriteOutcome, ReportStoreError> {
        self.as_caller(None).put_report(key, page).await
    }
}

impl Stack for Worker<'_> {
    fn prefix(&self) -> Option<&str> {
        self.world.prefix()
    }
}

impl Executions for Worker<'_> {
    async fn is_running(&self, execution_arn: &str) -> Result<bool, String> {
        self.as_caller(None).is_running(execution_arn).await
    }
}

impl Clock for Worker<'_> {
    fn now(&self) -> Time {
        Time(self.world.now().0 + self.skew_ms)
    }

    async fn sleep(&self, span: Duration) {
        Clock::sleep(self.world, span).await;
    }

    fn random(&self) -> u64 {
        self.world.with(|state| state.drive.as_mut().map_or(0, |drive| drive.dice.number()))
    }
}
