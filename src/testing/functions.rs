//! AWS Lambda, as far as snapback sees it.

use std::collections::BTreeMap;

use futures_util::future::join;

use crate::model::function::{Environment, LastUpdate, MappingState, Observation, Slot, Tags};
use crate::model::names::{FunctionArn, LayerVersionArn, MappingId};
use crate::model::snapshot::{ConfigurationUpdate, Write};
use crate::model::time::Time;
use crate::plan::guardrails::{Alias, LayerFact};
use crate::ports::{FunctionError, Functions, Permit};

use super::{SimWorld, State, Trouble};

/// Milliseconds for which a function stays `InProgress` after an update of its configuration.
const UPDATE_TIME: i64 = 1500;

/// A function, with what its observation does not show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimFunction {
    /// What `GetFunction` shows.
    pub seen: Observation,
    /// Its aliases.
    pub aliases: Vec<Alias>,
    /// The tags of its event source mappings.
    pub mapping_tags: Tags,
    /// Its published versions.
    pub versions: Vec<u64>,
    /// When the update in progress is through.
    pub busy_until: Option<Time>,
    /// Calls that land later.
    pub late: Vec<(Time, Write)>,
    /// What it looked like when time moved on, for reads that are stale.
    past: Vec<(Time, Observation)>,
    revision: u64,
}

impl SimFunction {
    /// A function that looks like this.
    #[must_use]
    pub fn new(seen: Observation) -> Self {
        let mapping_tags = seen.tags.clone();
        Self {
            seen,
            aliases: Vec::new(),
            mapping_tags,
            versions: Vec::new(),
            busy_until: None,
            late: Vec::new(),
            past: Vec::new(),
            revision: 0,
        }
    }

    /// Changes it as somebody else would: with a new revision.
    pub fn edit(&mut self, edit: impl FnOnce(&mut Observation)) {
        edit(&mut self.seen);
        self.revise();
    }

    fn revise(&mut self) {
        self.revision += 1;
        self.seen.revision_id = format!("revision-{}", self.revision);
    }

    /// Takes down what it looks like from this moment on.
    pub(super) fn remember(&mut self, now: Time) {
        if self.past.last().is_none_or(|(_, seen)| *seen != self.seen) {
            self.past.push((now, self.seen.clone()));
        }
    }

    /// What it looked like at some time.
    fn seen_at(&self, then: Time, now: Time) -> &Observation {
        // Whoever looks at now sees what has been changed since time moved on.
        let past = self.past.iter().rev().find(|(since, _)| *since <= then);
        past.filter(|_| then < now).map_or(&self.seen, |(_, seen)| seen)
    }

    pub(super) fn catch_up(&mut self, now: Time) {
        self.late.sort_by_key(|(at, _)| *at);
        while let Some((at, _)) = self.late.first().filter(|(at, _)| *at <= now) {
            let at = *at;
            self.settle(at);
            let (_, write) = self.late.remove(0);
            // Whoever sent it is dead; nobody hears a refusal.
            let _ = self.apply(&write, at);
            self.remember(at);
        }
        self.settle(now);
    }

    /// Ends an update that is through by then.
    fn settle(&mut self, now: Time) {
        if let Some(until) = self.busy_until.filter(|until| *until <= now) {
            self.busy_until = None;
            self.seen.last_update = LastUpdate::Successful;
            self.remember(until);
        }
    }

    fn apply(&mut self, write: &Write, now: Time) -> Result<(), FunctionError> {
        match write {
            Write::Concurrency(slot) => {
                self.seen.concurrency = *slot;
                self.revise();
            }
            Write::Mapping { id, enabled } => {
                let mapping = self.seen.mappings.iter_mut().find(|mapping| mapping.id == *id);
                let mapping = mapping.ok_or_else(|| FunctionError::NotFound("mapping".into()))?;
                mapping.state = if *enabled { MappingState::Enabled } else { MappingState::Disabled };
            }
            Write::Configuration(update) => self.configure(update, now)?,
        }
        Ok(())
    }

    fn configure(&mut self, update: &ConfigurationUpdate, now: Time) -> Result<(), FunctionError> {
        if self.seen.last_update == LastUpdate::InProgress {
            return Err(FunctionError::Busy("an update is in progress".into()));
        }
        if update.revision_id != self.seen.revision_id {
            return Err(FunctionError::Changed);
        }
        let seen = &mut self.seen;
        if let Some(handler) = &update.handler {
            seen.handler = Some(handler.clone());
        }
        if let Some(layers) = &update.layers {
            seen.layers.clone_from(layers);
        }
        if let Some(environment) = &update.environment {
            seen.environment = Environment::Readable(environment.clone());
        }
        seen.timeout = update.timeout.unwrap_or(seen.timeout);
        seen.memory = update.memory.unwrap_or(seen.memory);
        seen.last_update = LastUpdate::InProgress;
        self.busy_until = Some(Time(now.0 + UPDATE_TIME));
        self.revise();
        Ok(())
    }
}

fn call_name(write: &Write) -> &'static str {
    match write {
        Write::Concurrency(Slot::Present(_)) => "PutFunctionConcurrency",
        Write::Concurrency(Slot::Absent) => "DeleteFunctionConcurrency",
        Write::Mapping { .. } => "UpdateEventSourceMapping",
        Write::Configuration(_) => "UpdateFunctionConfiguration",
    }
}

fn find<'a>(state: &'a mut State, function: &str) -> Result<&'a mut SimFunction, FunctionError> {
    let named = |arn: &FunctionArn| {
        arn.as_str().strip_suffix(function).is_some_and(|rest| rest.is_empty() || rest.ends_with(':'))
    };
    let found = state.functions.iter_mut().find(|(arn, _)| named(arn));
    found.map(|(_, function)| function).ok_or_else(|| FunctionError::NotFound(function.to_owned()))
}

impl Functions for SimWorld {
    async fn observe(&self, function: &str, with_mappings: bool) -> Result<Observation, FunctionError> {
        let mappings = async {
            if with_mappings {
                self.call("ListEventSourceMappings").await;
            }
        };
        join(self.call("GetFunction"), mappings).await;
        self.admit("GetFunction")?;
        if with_mappings {
            self.admit("ListEventSourceMappings")?;
        }
        self.with(|state| {
            match state.trouble("GetFunction") {
                Some(Trouble::Denied) => return Err(FunctionError::Denied("GetFunction".into())),
                Some(Trouble::Throttled) => return Err(FunctionError::Throttled(1)),
                _ => {}
            }
            let (then, now) = (state.read_at(), state.now());
            let mut seen = find(state, function)?.seen_at(then, now).clone();
            if !with_mappings {
                seen.mappings.clear();
            }
            Ok(seen)
        })
    }

    async fn write(&self, permit: &Permit, write: &Write, not_after: Time) -> Result<(), FunctionError> {
        let function = permit.function();
        let name = call_name(write);
        self.call(name).await;
        self.with(|state| {
            let now = state.now();
            if now > not_after {
                return Err(FunctionError::Throttled(0));
            }
            state.admit(name)?;
            let trouble = state.trouble(name);
            if let Write::Configuration(ConfigurationUpdate { layers: Some(layers), .. }) = write
                && let Some(missing) = layers.iter().find(|layer| !state.layers.contains_key(layer))
            {
                return Err(FunctionError::Rejected(format!("there is no layer version {missing}")));
            }
            let target = find(state, function.as_str())?;
            let unclear = || FunctionError::Unclear("the answer was lost".into());
            match trouble {
                None => target.apply(write, now)?,
                Some(Trouble::Lost) => return Err(unclear()),
                Some(Trouble::LandsLate(seconds)) => {
                    target.late.push((now.plus(seconds), write.clone()));
                    return Err(unclear());
                }
                Some(Trouble::Denied) => return Err(FunctionError::Denied(name.into())),
                Some(Trouble::Busy) => return Err(FunctionError::Busy(name.into())),
                Some(Trouble::Throttled) => return Err(FunctionError::Throttled(1)),
                Some(Trouble::AnswerLost) => {
                    target.apply(write, now)?;
                    state.writes.push((function.clone(), write.clone()));
                    return Err(unclear());
                }
            }
            state.writes.push((function.clone(), write.clone()));
            Ok(())
        })
    }

    async fn layer(&self, layer: &LayerVersionArn) -> Result<LayerFact, FunctionError> {
        self.call("GetLayerVersion").await;
        self.admit("GetLayerVersion")?;
        Ok(self.with(|state| state.layers.get(layer).cloned().unwrap_or(LayerFact::Missing)))
    }

    async fn aliases(&self, function: &FunctionArn) -> Result<Vec<Alias>, FunctionError> {
        self.call("ListAliases").await;
        self.admit("ListAliases")?;
        self.with(|state| find(state, function.as_str()).map(|function| function.aliases.clone()))
    }

    async fn versions(&self, function: &FunctionArn) -> Result<Vec<u64>, FunctionError> {
        self.call("ListVersionsByFunction").await;
        self.admit("ListVersionsByFunction")?;
        self.with(|state| find(state, function.as_str()).map(|function| function.versions.clone()))
    }

    async fn mapping_tags(&self, function: &FunctionArn, _: &MappingId) -> Result<Tags, FunctionError> {
        self.call("ListTags").await;
        self.admit("ListTags")?;
        self.with(|state| find(state, function.as_str()).map(|function| function.mapping_tags.clone()))
    }

    async fn tagged(&self, tags: &BTreeMap<String, String>) -> Result<Vec<FunctionArn>, FunctionError> {
        self.call("GetResources").await;
        Ok(self.with(|state| {
            let carries = |function: &&SimFunction| match &function.seen.tags {
                Tags::Known(own) => tags.iter().all(|(key, value)| own.get(key) == Some(value)),
                Tags::Unknown => false,
            };
            state.functions.values().filter(carries).map(|function| function.seen.arn.clone()).collect()
        }))
    }
}
