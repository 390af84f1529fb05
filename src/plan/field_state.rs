//! The state of a touched field: the three-way comparison on which inject and restore are decided.

use crate::model::function::{MappingState, Observation, Slot};
use crate::model::names::LayerVersionArn;
use crate::model::snapshot::{Change, Drift};

/// The state of one touched field in one observation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldState {
    /// The field has the value from before the run.
    Original,
    /// The field has the injected value.
    Injected,
    /// The field has neither value, so it changed outside the run.
    Drifted(Drift),
    /// The observation does not show the field's state, for this reason; observe again.
    Unknown(&'static str),
}

/// Compares one field with its original and its injected value.
#[must_use]
pub fn field_state(change: &Change, now: &Observation) -> FieldState {
    match change {
        Change::ReservedConcurrency { original, injected } => {
            compare(change, &now.concurrency, original, &Slot::Present(*injected), slot_text)
        }
        Change::Handler { original, injected } => match &now.handler {
            Some(handler) => compare(change, handler, original, injected, |handler| handler.to_string()),
            None => drifted(change, &original.to_string(), &injected.to_string(), "absent"),
        },
        // Only the fault's layers count. Layers that were added or removed outside the run stay as they are.
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
            Some(mapping) => mapping_field_state(mapping.state),
            None => drifted(change, "enabled", "disabled", "deleted"),
        },
    }
}

/// Compares one field for a restore. It differs from [`field_state`] only for layers: for an inject, any list without
/// the fault's layers is `Original`, because the inject appends them. For a restore, only the list of the snapshot is;
/// any other list is drift, because a deploy has added, removed, reordered or replaced layers.
#[must_use]
pub fn restored_state(change: &Change, now: &Observation) -> FieldState {
    match (change, field_state(change, now)) {
        (Change::Layers { original, added }, FieldState::Original) if now.layers != *original => {
            let kept = (!original.is_empty()).then(|| layers_text(original));
            let injected = kept.into_iter().chain([layers_text(added)]).collect::<Vec<_>>().join(" and ");
            drifted(change, &layers_text(original), &injected, &layers_text(&now.layers))
        }
        (_, state) => state,
    }
}

/// Returns the state of an event source mapping, which does not depend on its function.
#[must_use]
pub fn mapping_field_state(state: MappingState) -> FieldState {
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
    // Check the original first: if the fault's value equals it, there is nothing to restore.
    if now == original {
        FieldState::Original
    } else if now == injected {
        FieldState::Injected
    } else {
        drifted(change, &text(original), &text(injected), &text(now))
    }
}

fn drifted(change: &Change, original: &str, injected: &str, now: &str) -> FieldState {
    let note = match change {
        // No value of a variable may be shown, even if two present values differ.
        Change::Variable { .. } => {
            format!("was {original}, injected {injected}, now {now} with another value; left alone")
        }
        _ => format!("was {original}, injected {injected}, now {now}; left alone"),
    };
    FieldState::Drifted(Drift { field: change.field().to_string(), note })
}

/// Formats a reserved concurrency for display.
#[must_use]
pub fn slot_text(slot: &Slot<u32>) -> String {
    slot.as_option().map_or_else(|| "none".to_owned(), u32::to_string)
}

/// Formats a list of layers for display, by name and version.
#[must_use]
pub fn layers_text<'a>(layers: impl IntoIterator<Item = &'a LayerVersionArn>) -> String {
    let name = |layer: &'a LayerVersionArn| layer.as_str().rsplit_once("layer:").map_or(layer.as_str(), |(_, n)| n);
    let names: Vec<&str> = layers.into_iter().map(name).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Describes a variable without its value.
#[must_use]
pub fn presence<T>(slot: &Slot<T>) -> &'static str {
    match slot {
        Slot::Absent => "absent",
        Slot::Present(_) => "(hidden)",
    }
}
