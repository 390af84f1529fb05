//! The state of a touched field: the three-way comparison on which inject and restore are decided.

use crate::model::function::{MappingState, Observation, Slot};
use crate::model::names::LayerVersionArn;
use crate::model::snapshot::{Change, Drift};

/// The state of one touched field in one observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldState {
    /// It has the value from before the run.
    Original,
    /// It has the injected value.
    Injected,
    /// Neither: it changed outside the run.
    Drifted(Drift),
    /// This observation cannot tell; observe again. The reason.
    Unknown(&'static str),
}

/// Compares one field with its original and with what was injected.
#[must_use]
pub fn field_state(change: &Change, now: &Observation) -> FieldState {
    match change {
        Change::ReservedConcurrency { original, injected } => {
            compare(change, &now.concurrency, original, &Slot::Present(*injected), slot_text)
        }
        Change::Handler { original, injected } => match &now.handler {
            Some(handler) => compare(change, handler, original, injected, |handler| handler.to_string()),
            None => foreign(change, &original.to_string(), &injected.to_string(), "absent"),
        },
        // What others appended or took out is theirs; ours is in the list or it is not.
        Change::Layers { added, .. } if now.layers.iter().any(|layer| added.contains(layer)) => FieldState::Injected,
        Change::Layers { .. } => FieldState::Original,
        Change::Variable { name, original, injected } => match now.environment.variable(name.as_str()) {
            None => FieldState::Unknown("the environment cannot be read"),
            Some(value) => compare(change, &value, original, injected, |value| presence(value).to_owned()),
        },
        Change::Timeout { original, injected } => {
            compare(change, &now.timeout, original, injected, |s| format!("{s} s"))
        }
        Change::Memory { original, injected } => {
            compare(change, &now.memory, original, injected, |mb| format!("{mb} MB"))
        }
        Change::Mapping { id } => match now.mapping(id) {
            Some(mapping) => mapping_standing(mapping.state),
            None => foreign(change, "enabled", "disabled", "deleted"),
        },
    }
}

/// Compares one field for a restore. A layer list without our layers is `Original` to an inject, which plans on the list
/// itself; a restore calls it the original only if it is the list that the snapshot has, and drift otherwise: a deploy has
/// added, removed, reordered or replaced layers.
#[must_use]
pub fn restored_state(change: &Change, now: &Observation) -> FieldState {
    match (change, field_state(change, now)) {
        (Change::Layers { original, added }, FieldState::Original) if now.layers != *original => {
            let own = (!original.is_empty()).then(|| layers_text(original));
            let injected = own.into_iter().chain([layers_text(added)]).collect::<Vec<_>>().join(" and ");
            foreign(change, &layers_text(original), &injected, &layers_text(&now.layers))
        }
        (_, state) => state,
    }
}

/// The state of an event source mapping, even if its function was deleted.
#[must_use]
pub fn mapping_standing(state: MappingState) -> FieldState {
    match state {
        MappingState::Enabled => FieldState::Original,
        MappingState::Disabled => FieldState::Injected,
        MappingState::Busy => FieldState::Unknown("the event source mapping is changing"),
    }
}

/// Whether the field is exactly what the snapshot recorded: the condition for injecting.
#[must_use]
pub fn is_untouched(change: &Change, now: &Observation) -> bool {
    match change {
        Change::Layers { original, .. } => now.layers == *original,
        _ => field_state(change, now) == FieldState::Original,
    }
}

fn compare<T: PartialEq>(change: &Change, now: &T, original: &T, injected: &T, text: fn(&T) -> String) -> FieldState {
    // The original first: where a fault gives a field the value that it has, there is nothing to restore.
    if now == original {
        FieldState::Original
    } else if now == injected {
        FieldState::Injected
    } else {
        foreign(change, &text(original), &text(injected), &text(now))
    }
}

fn foreign(change: &Change, original: &str, injected: &str, now: &str) -> FieldState {
    let note = match change {
        // Both values may be present and different; neither may be shown.
        Change::Variable { .. } => {
            format!("was {original}, injected {injected}, now {now} with another value; left alone")
        }
        _ => format!("was {original}, injected {injected}, now {now}; left alone"),
    };
    FieldState::Drifted(Drift { field: change.field().to_string(), note })
}

/// A reserved concurrency for people.
#[must_use]
pub fn slot_text(slot: &Slot<u32>) -> String {
    slot.as_option().map_or_else(|| "none".to_owned(), u32::to_string)
}

/// The layers of a list, by name and version, for display.
#[must_use]
pub fn layers_text<'a>(layers: impl IntoIterator<Item = &'a LayerVersionArn>) -> String {
    let name = |layer: &'a LayerVersionArn| layer.as_str().rsplit_once("layer:").map_or(layer.as_str(), |(_, n)| n);
    let names: Vec<&str> = layers.into_iter().map(name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// What may be said of a variable's value.
#[must_use]
pub fn presence<T>(slot: &Slot<T>) -> &'static str {
    match slot {
        Slot::Absent => "absent",
        Slot::Present(_) => "(hidden)",
    }
}
