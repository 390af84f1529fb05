//! `Rehearse`: before anything is injected, the role that restores reads everything that a restore needs.
//!
//! 1. Reads the target: it has to be armed, and its run running.
//! 2. Observes the function, with its event source mappings where one is touched, and reads every layer of the
//!    snapshot. What this role cannot read, it could not restore: the run ends while nothing has been touched.
//! 3. Compares the observation with the snapshot, and marks the target as rehearsed. Inject gets no permit without
//!    that.
//!
//! Safe to repeat because it writes to no function, and because the ledger marks only the snapshot that was rehearsed.
//!
//! What only a write can show is not rehearsed: the right to make the update itself, and `kms:Encrypt`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::experiment::Experiment;
use crate::model::facts::LayerFact;
use crate::model::function::{Environment, Observation, Tags};
use crate::model::names::{FunctionArn, LayerVersionArn, RunId};
use crate::model::run::{Run, RunStatus, TargetKey, TargetRecord, TargetStatus};
use crate::model::snapshot::Change;
use crate::plan::field_state::{FieldState, field_state, is_untouched};
use crate::ports::{FunctionError, World, WriteOutcome};

use super::error::StepError;
use super::rate_limiter::{Quota, RateLimiter};
use super::retry::retry;
use super::waiting::Waiting;
use super::{Budget, MAX_CLOCK_SKEW, MAX_READ_STALENESS, POLL_INTERVAL};

/// The result of a rehearsal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RehearseOutcome {
    /// The role can read all that the restore needs, and the target is marked as rehearsed.
    Rehearsed,
    /// Retry after this time: a mapping is changing.
    Waiting(Duration),
    /// The function was deployed since it was armed. Inject arms it again, and then it is rehearsed again.
    Changed,
    /// The run is no longer running, or the function was deleted.
    Skipped,
}

/// The result of one pass.
enum Reconciled {
    Done(RehearseOutcome),
    /// The function differs from the snapshot.
    Differs,
    /// A field cannot be compared yet, or the snapshot was replaced, for this reason; make another pass.
    Requeue(&'static str),
}

/// The rehearsals of one invocation. They share Lambda's rates, and each layer is read once.
pub struct Rehearsal<'a, W> {
    world: &'a W,
    run: &'a RunId,
    budget: Budget,
    limiter: RateLimiter,
    layers: Mutex<BTreeMap<LayerVersionArn, LayerFact>>,
}

impl<'a, W: World> Rehearsal<'a, W> {
    /// Creates the rehearsals for the targets of one run.
    #[must_use]
    pub fn new(world: &'a W, run: &'a RunId, budget: Budget) -> Self {
        Self { world, run, budget, limiter: RateLimiter::until(budget.last_call()), layers: Mutex::default() }
    }

    /// Rehearses the restore of one target.
    ///
    /// # Errors
    /// `RehearsalFailed` if this role cannot read what the restore needs.
    pub async fn rehearse(&self, function: &FunctionArn) -> Result<RehearseOutcome, StepError> {
        // An observation older than the snapshot's could differ from it although nothing was deployed.
        let fresh_at = self.world.now() + MAX_READ_STALENESS + MAX_CLOCK_SKEW;
        let mut waiting = Waiting::default();
        loop {
            let why = match self.reconcile(function).await? {
                Reconciled::Done(rehearsed) => return Ok(rehearsed),
                Reconciled::Differs if self.world.now() > fresh_at => return Ok(RehearseOutcome::Changed),
                Reconciled::Differs => "a read that shows what the snapshot says",
                Reconciled::Requeue(why) => why,
            };
            let is_last = !self.budget.allows(self.world.now());
            waiting.record(self.world, TargetKey::new(self.run, function), Some(why), is_last).await;
            if is_last {
                return Ok(RehearseOutcome::Waiting(POLL_INTERVAL));
            }
            self.world.sleep(POLL_INTERVAL).await;
        }
    }

    async fn reconcile(&self, function: &FunctionArn) -> Result<Reconciled, StepError> {
        let run = retry(self.world, || self.world.run(self.run)).await?;
        let run = run.ok_or_else(|| StepError::NoSuchRun(self.run.clone()))?;
        let target = retry(self.world, || self.world.target(TargetKey::new(self.run, function)))
            .await?
            .ok_or_else(|| StepError::no_such_target(function, self.run))?;
        match target.status {
            _ if run.status != RunStatus::Running => return Ok(Reconciled::Done(RehearseOutcome::Skipped)),
            TargetStatus::Armed if !target.rehearsed => {}
            // A duplicate of this task was faster.
            TargetStatus::Armed | TargetStatus::Injecting | TargetStatus::Injected => {
                return Ok(Reconciled::Done(RehearseOutcome::Rehearsed));
            }
            _ => return Ok(Reconciled::Done(RehearseOutcome::Skipped)),
        }
        let Some(seen) = self.observe(&run, function).await? else {
            return Ok(Reconciled::Done(RehearseOutcome::Skipped));
        };
        self.read_tags(function, &seen)?;
        self.read_environment(function, &seen)?;
        self.read_layers(&target).await?;
        self.compare(&target, &seen).await
    }

    async fn observe(&self, run: &Run, function: &FunctionArn) -> Result<Option<Observation>, StepError> {
        let mappings = run.experiment.as_ref().is_none_or(Experiment::needs_mappings);
        let observe = || self.world.observe(function.as_str(), mappings);
        match self.limiter.read(self.world, Quota::of_observation(mappings), observe).await {
            Ok(seen) => Ok(Some(seen)),
            Err(FunctionError::NotFound(_)) => Ok(None),
            Err(FunctionError::Denied(why)) => {
                let cannot = format!("observe it: access denied: {why}");
                Err(failed(function, cannot, "allow that role the denied action".into()))
            }
            Err(error) => Err(StepError::function(function.name(), error)),
        }
    }

    /// A restore refuses functions with the tag of snapback's own, so the role that restores must see tags.
    fn read_tags(&self, function: &FunctionArn, seen: &Observation) -> Result<(), StepError> {
        match seen.tags {
            Tags::Known(_) => Ok(()),
            Tags::Unknown => {
                Err(failed(function, "read its tags".into(), "allow that role lambda:ListTags on it".into()))
            }
        }
    }

    fn read_environment(&self, function: &FunctionArn, seen: &Observation) -> Result<(), StepError> {
        match seen.environment {
            Environment::Readable(_) => Ok(()),
            Environment::Unreadable => Err(failed(
                function,
                "read its environment".into(),
                "allow that role kms:Decrypt and kms:Encrypt on the function's key: name the key in the stack's parameter \
                 TargetKeyArns"
                    .into(),
            )),
        }
    }

    /// Reads every layer of the snapshot: a restore sends the whole list, and Lambda refuses a list with a layer that
    /// this role cannot read.
    async fn read_layers(&self, target: &TargetRecord) -> Result<(), StepError> {
        let originals = target.changes.iter().filter_map(|change| match change {
            Change::Layers { original, .. } => Some(original),
            _ => None,
        });
        // Lambda's own layers cannot be read by any role, which Prepare takes into account.
        for layer in originals.flatten().filter(|layer| !layer.is_lambdas_own()) {
            let (cannot, fix) = match self.layer(&target.function, layer).await? {
                LayerFact::Here { .. } => continue,
                LayerFact::Denied => ("read", "allow that role lambda:GetLayerVersion on it"),
                LayerFact::Missing => ("find", "deploy the function with a layer version that exists"),
            };
            return Err(failed(&target.function, format!("{cannot} its layer {layer}"), fix.into()));
        }
        Ok(())
    }

    async fn layer(&self, function: &FunctionArn, layer: &LayerVersionArn) -> Result<LayerFact, StepError> {
        if let Some(known) = self.known_layers().get(layer) {
            return Ok(known.clone());
        }
        let read = self.limiter.read(self.world, &[Quota::ControlPlane], || self.world.layer(layer)).await;
        let fact = read.map_err(|error| StepError::function(function.name(), error))?;
        self.known_layers().insert(layer.clone(), fact.clone());
        Ok(fact)
    }

    fn known_layers(&self) -> std::sync::MutexGuard<'_, BTreeMap<LayerVersionArn, LayerFact>> {
        // Every update of the map is complete, so it is still valid after a panic elsewhere.
        self.layers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn compare(&self, target: &TargetRecord, seen: &Observation) -> Result<Reconciled, StepError> {
        let unknown = |change| match field_state(change, seen) {
            FieldState::Unknown(why) => Some(why),
            _ => None,
        };
        if let Some(why) = target.changes.iter().find_map(unknown) {
            return Ok(Reconciled::Requeue(why));
        }
        if !target.changes.iter().all(|change| is_untouched(change, seen)) {
            return Ok(Reconciled::Differs);
        }
        let mark = || self.world.mark_rehearsed(target.key(), &target.changes);
        Ok(match retry(self.world, mark).await? {
            WriteOutcome::Applied => Reconciled::Done(RehearseOutcome::Rehearsed),
            // The run was stopped, or the target was injected or armed again; the next pass reads which.
            WriteOutcome::ConditionFailed => Reconciled::Requeue("the snapshot, which was replaced"),
        })
    }
}

fn failed(function: &FunctionArn, cannot: String, fix: String) -> StepError {
    StepError::RehearsalFailed { function: function.name().to_owned(), cannot, fix }
}
