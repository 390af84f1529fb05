//! What a weakening changes in a worker's reads, writes and leases. Without a weakening, nothing changes.

use std::time::Duration;

use crate::model::function::{Environment, LastUpdate, MappingState, Observation, Slot};
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::Lease;
use crate::model::snapshot::Write;
use crate::ports::{Clock, Functions};
use crate::testing::history::weakening::Weakening;

use super::{Role, Worker};

impl Worker<'_> {
    /// Returns the observation with which the function's target was armed.
    fn armed_observation(&self, function: &FunctionArn) -> Option<Observation> {
        self.world.with(|state| state.drive.as_ref()?.armed.get(function).cloned())
    }

    /// Changes what a read shows, and remembers what arming was shown.
    pub(super) fn weakened_read(&self, function: &FunctionArn, mut seen: Observation) -> Observation {
        if self.has(Weakening::AbsentIsZero) && seen.concurrency == Slot::Absent {
            seen.concurrency = Slot::Present(0);
        }
        if self.role == Role::Arm {
            self.world
                .with(|state| state.drive.as_mut().map(|drive| drive.armed.insert(function.clone(), seen.clone())));
        }
        seen
    }

    /// Returns the observation of arming in place of a read that comes before the worker's first lease.
    fn armed_observation_before_lease(&self, function: &FunctionArn) -> Option<Observation> {
        let begun = self.memory(|memory| memory.begun.contains_key(function));
        if begun { None } else { self.armed_observation(function) }
    }

    /// Returns an older observation if the weakening spares the worker this read.
    pub(super) fn spared_read(&self, function: &FunctionArn) -> Option<Observation> {
        match self.weakening? {
            Weakening::NoSecondRead if self.role == Role::Inject => self.armed_observation_before_lease(function),
            Weakening::ObserveBeforeLock if self.role == Role::Arm => {
                self.memory(|memory| memory.arming_for.clone()).and_then(|run| {
                    self.world.with(|state| state.drive.as_ref()?.unlocked.get(&(run, function.clone())).cloned())
                })
            }
            Weakening::ObserveBeforeLock if self.role == Role::Inject => self.armed_observation_before_lease(function),
            Weakening::RestoreUnverified => self.memory(|memory| memory.assumed.remove(function)),
            _ => None,
        }
    }

    /// Changes what a write sends.
    pub(super) fn weakened_write(&self, function: &FunctionArn, write: &Write) -> Write {
        let mut write = write.clone();
        let Write::Configuration(update) = &mut write else { return write };
        let restores = !matches!(self.role, Role::Inject | Role::Arm);
        let now = self.world.with(|state| state.functions.get(function).map(|function| function.seen.clone()));
        match (self.weakening, self.armed_observation(function), now) {
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

    /// Remembers what the function is after a write, for a restore that does not read again.
    pub(super) fn assume_written(&self, function: &FunctionArn, write: &Write) {
        let seen = self.world.with(|state| state.observation(function));
        let Some(mut seen) = seen.filter(|_| self.role != Role::Inject) else { return };
        match write {
            Write::Concurrency(slot) => seen.concurrency = *slot,
            Write::Mapping { id, enabled } => {
                for mapping in seen.mappings.iter_mut().filter(|mapping| mapping.id == *id) {
                    mapping.state = if *enabled { MappingState::Enabled } else { MappingState::Disabled };
                }
            }
            Write::Configuration(update) => {
                seen.last_update = LastUpdate::Successful;
                seen.handler = update.handler.clone().or(seen.handler);
                seen.layers = update.layers.clone().unwrap_or(seen.layers);
                seen.environment = update.environment.clone().map_or(seen.environment, Environment::Readable);
                seen.timeout = update.timeout.unwrap_or(seen.timeout);
                seen.memory = update.memory.unwrap_or(seen.memory);
            }
        }
        self.memory(|memory| memory.assumed.insert(function.clone(), seen));
    }

    /// Observes a function before the run first asks for its lock. The snapshot is then made of that.
    pub(super) async fn observe_before_lock(&self, run: &RunId, function: &FunctionArn) {
        let seen = self.observe(function.as_str(), true).await;
        self.memory(|memory| memory.arming_for = Some(run.clone()));
        let at = (run.clone(), function.clone());
        self.world.with(|state| {
            if let (Some(drive), Ok(seen)) = (&mut state.drive, seen) {
                drive.unlocked.entry(at).or_insert(seen);
            }
        });
    }

    /// Shortens the lease that a worker asks for.
    pub(super) fn weakened_lease(&self, lease: &Lease) -> Lease {
        let until = if self.has(Weakening::LeaseTooShort) { self.now() + Duration::from_secs(1) } else { lease.until };
        Lease { until, ..lease.clone() }
    }
}
