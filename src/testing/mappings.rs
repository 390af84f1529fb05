//! Simulated event source mappings. They are separate resources, which outlive their function
//! (lambda/latest/api/API_DeleteFunction).

use crate::model::function::{Mapping, MappingState, Observation, Tags};
use crate::model::names::{FunctionArn, MappingId};
use crate::model::time::Time;
use crate::ports::FunctionError;

use super::calls::CallKind;
use super::{SimWorld, State};

/// The longest time for which a mapping is `Enabling` or `Disabling`, in milliseconds. Inferred.
const MAX_SWITCH_MS: i64 = 4_000;

/// An event source mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimMapping {
    /// The function that it invokes, which may have been deleted.
    pub function: FunctionArn,
    /// The current state.
    pub state: MappingState,
    /// The tags. IAM evaluates these, and not the function's, when the mapping is updated.
    pub tags: Tags,
    /// What stale reads return: each state, with the time from which it was current.
    past: Vec<(Time, MappingState)>,
    changed: bool,
}

/// What Lambda does when asked to enable a mapping whose function was deleted. AWS does not document it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orphans {
    /// It enables the mapping, because the request names no function (lambda/latest/api/API_UpdateEventSourceMapping).
    #[default]
    Updated,
    /// It refuses the request.
    Refused,
    /// It accepts the request, and disables the mapping again.
    DisabledAgain,
}

impl SimMapping {
    /// Creates a mapping of this function.
    #[must_use]
    pub fn new(function: FunctionArn, state: MappingState, tags: Tags) -> Self {
        Self { function, state, tags, past: Vec::new(), changed: true }
    }

    /// Changes the state.
    pub fn set(&mut self, state: MappingState) {
        self.state = state;
        self.changed = true;
    }

    fn state_at(&self, then: Time, now: Time) -> MappingState {
        let past = self.past.iter().rev().find(|(since, _)| *since <= then);
        past.filter(|_| then < now).map_or(self.state, |(_, state)| *state)
    }
}

impl State {
    /// Adds a function, and its event source mappings as separate resources.
    pub fn add_function(&mut self, mut seen: Observation) {
        for Mapping { id, state } in std::mem::take(&mut seen.mappings) {
            self.mappings.insert(id, SimMapping::new(seen.arn.clone(), state, seen.tags.clone()));
        }
        self.functions.insert(seen.arn.clone(), super::SimFunction::new(seen));
    }

    /// Changes every mapping of a function from outside snapback.
    pub fn set_mappings(&mut self, function: &FunctionArn, state: MappingState) {
        self.mappings
            .values_mut()
            .filter(|mapping| mapping.function == *function)
            .for_each(|mapping| mapping.set(state));
    }

    /// Returns the mappings of a function as a list shows them that is as old as `then`.
    pub(super) fn mappings_at(&self, function: &FunctionArn, then: Time) -> Vec<Mapping> {
        let now = self.now();
        let of = self.mappings.iter().filter(|(_, mapping)| mapping.function == *function);
        of.map(|(id, mapping)| Mapping { id: id.clone(), state: mapping.state_at(then, now) }).collect()
    }

    /// Returns what a read of a function and its mappings shows that is not stale.
    #[must_use]
    pub fn observation(&self, function: &FunctionArn) -> Option<Observation> {
        let seen = self.functions.get(function)?.seen.clone();
        Some(Observation { mappings: self.mappings_at(function, self.now()), ..seen })
    }

    /// Records what stale reads of the mappings return for the time from `now` on.
    pub(super) fn record_mappings_past(&mut self, now: Time) {
        for mapping in self.mappings.values_mut().filter(|mapping| mapping.changed) {
            mapping.changed = false;
            mapping.past.push((now, mapping.state));
        }
    }

    /// Enables or disables a mapping, or refuses to.
    pub(super) fn switch_mapping(&mut self, id: &MappingId, enabled: bool) -> Result<(), FunctionError> {
        let orphans = self.orphans;
        let found = self.mappings.get_mut(id).ok_or_else(|| FunctionError::NotFound("mapping".into()))?;
        if found.state == MappingState::Busy {
            return Err(FunctionError::Busy("the event source mapping is changing".into()));
        }
        let orphaned = !self.functions.contains_key(&found.function);
        match orphans {
            Orphans::Refused if orphaned => Err(FunctionError::NotFound("function".into())),
            Orphans::DisabledAgain if orphaned => Ok(()),
            _ => {
                found.set(if enabled { MappingState::Enabled } else { MappingState::Disabled });
                Ok(())
            }
        }
    }

    /// Makes a mapping busy for a while before it reaches the state that was asked for, as it is in a history.
    pub(super) fn delay_switch(&mut self, id: &MappingId) {
        let (Some(found), Some(drive)) = (self.mappings.get_mut(id), &mut self.drive) else { return };
        let (state, id) = (found.state, id.clone());
        found.set(MappingState::Busy);
        let wait = drive.dice.between(0, MAX_SWITCH_MS);
        self.run_later(wait, move |world| {
            if let Some(mapping) = world.mappings.get_mut(&id) {
                mapping.set(state);
            }
        });
    }
}

impl SimWorld {
    /// Reads a mapping by its UUID. Returns also the time that the read shows.
    pub(super) async fn read_mapping(&self, id: &MappingId) -> Result<(MappingState, Time), FunctionError> {
        let id = id.clone();
        self.exchange(CallKind::ReadLambda, "GetEventSourceMapping", move |state| {
            state.admit("GetEventSourceMapping")?;
            let (then, now) = (state.choose_read_time(), state.now());
            let found = state.mappings.get(&id).ok_or_else(|| FunctionError::NotFound("mapping".into()))?;
            Ok((found.state_at(then, now), then))
        })
        .await
    }
}
