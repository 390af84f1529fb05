//! Event source mappings, as far as snapback sees them: resources of their own, which outlive their function
//! (lambda/latest/api/API_DeleteFunction).

use crate::model::function::{Mapping, MappingState, Observation, Tags};
use crate::model::names::{FunctionArn, MappingId};
use crate::model::time::Time;
use crate::ports::FunctionError;

use super::calls::CallKind;
use super::{SimWorld, State};

/// The longest time for which an event source mapping is on its way, in milliseconds. Inferred.
const LONGEST_SWITCH: i64 = 4_000;

/// An event source mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimMapping {
    /// The function that it invokes, whether that exists or not.
    pub function: FunctionArn,
    /// Its state.
    pub state: MappingState,
    /// Its tags: IAM sees only those when it is updated.
    pub tags: Tags,
    /// What it was when time moved on, for reads that are late.
    past: Vec<(Time, MappingState)>,
    changed: bool,
}

/// What Lambda does when a mapping is to be enabled whose function is gone. No page says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orphans {
    /// It does so: the request names no function (lambda/latest/api/API_UpdateEventSourceMapping).
    #[default]
    Updated,
    /// It refuses.
    Refused,
    /// It takes the request, and disables the mapping again.
    DisabledAgain,
}

impl SimMapping {
    /// A mapping of this function.
    #[must_use]
    pub fn new(function: FunctionArn, state: MappingState, tags: Tags) -> Self {
        Self { function, state, tags, past: Vec::new(), changed: true }
    }

    /// Changes its state.
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
    /// A function, and the event source mappings that are listed for it.
    pub fn add_function(&mut self, mut seen: Observation) {
        for Mapping { id, state } in std::mem::take(&mut seen.mappings) {
            self.mappings.insert(id, SimMapping::new(seen.arn.clone(), state, seen.tags.clone()));
        }
        self.functions.insert(seen.arn.clone(), super::SimFunction::new(seen));
    }

    /// Changes every mapping of a function as somebody else would.
    pub fn set_mappings(&mut self, function: &FunctionArn, state: MappingState) {
        self.mappings
            .values_mut()
            .filter(|mapping| mapping.function == *function)
            .for_each(|mapping| mapping.set(state));
    }

    /// The mappings of a function, as a listing shows them that is of this moment.
    pub(super) fn mappings_at(&self, function: &FunctionArn, then: Time) -> Vec<Mapping> {
        let now = self.now();
        let of = self.mappings.iter().filter(|(_, mapping)| mapping.function == *function);
        of.map(|(id, mapping)| Mapping { id: id.clone(), state: mapping.state_at(then, now) }).collect()
    }

    /// What a function looks like with its mappings, right now.
    #[must_use]
    pub fn picture(&self, function: &FunctionArn) -> Option<Observation> {
        let seen = self.functions.get(function)?.seen.clone();
        Some(Observation { mappings: self.mappings_at(function, self.now()), ..seen })
    }

    /// Takes down what the mappings are from this moment on.
    pub(super) fn remember_mappings(&mut self, now: Time) {
        for mapping in self.mappings.values_mut().filter(|mapping| mapping.changed) {
            mapping.changed = false;
            mapping.past.push((now, mapping.state));
        }
    }

    /// Lambda enables or disables a mapping, or refuses to.
    pub(super) fn switch(&mut self, id: &MappingId, enabled: bool) -> Result<(), FunctionError> {
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

    /// In a history, a mapping is on its way for a while before it is what it was asked to be.
    pub(super) fn switch_later(&mut self, id: &MappingId) {
        let (Some(found), Some(drive)) = (self.mappings.get_mut(id), &mut self.drive) else { return };
        let (state, id) = (found.state, id.clone());
        found.set(MappingState::Busy);
        let wait = drive.dice.between(0, LONGEST_SWITCH);
        self.later(wait, move |world| {
            if let Some(mapping) = world.mappings.get_mut(&id) {
                mapping.set(state);
            }
        });
    }
}

impl SimWorld {
    /// A look at a mapping by its UUID, and the moment that it shows.
    pub(super) async fn look_at_mapping(&self, id: &MappingId) -> Result<(MappingState, Time), FunctionError> {
        let id = id.clone();
        self.exchange(CallKind::Look, "GetEventSourceMapping", move |state| {
            state.admit("GetEventSourceMapping")?;
            let (then, now) = (state.read_at(), state.now());
            let found = state.mappings.get(&id).ok_or_else(|| FunctionError::NotFound("mapping".into()))?;
            Ok((found.state_at(then, now), then))
        })
        .await
    }
}
