//! A function's fields as text, by name. The monitor compares them one by one, and shares no code with the decisions
//! that it checks.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::function::{Environment, Mapping, MappingState, Observation, Slot};
use crate::model::names::{FunctionArn, LayerVersionArn};
use crate::model::secret::Secret;
use crate::model::snapshot::{Change, Write};
use crate::testing::State;

/// The fields of a function, by name, as text.
pub type Fields = BTreeMap<String, String>;

/// The value of a field that the function does not have.
const ABSENT: &str = "absent";
/// The value of a layer list that has a layer of the fault.
const WITH_FAULT: &str = "with the fault's layers";

/// Returns the fields of an observed function.
#[must_use]
pub fn fields(function: &Observation) -> Fields {
    let mut fields = Fields::from([
        ("reserved concurrency".to_owned(), slot(&function.concurrency)),
        ("handler".to_owned(), format!("{:?}", function.handler)),
        ("timeout".to_owned(), function.timeout.to_string()),
        ("memory".to_owned(), function.memory.to_string()),
        ("runtime".to_owned(), format!("{:?}", function.runtime)),
        ("layers".to_owned(), layers(&function.layers)),
    ]);
    if let Environment::Readable(variables) = &function.environment {
        fields.extend(variables.iter().map(|(name, value)| (format!("variable {name}"), value.expose().to_owned())));
    }
    fields.extend(mapping_fields(&function.mappings));
    fields
}

/// Returns the current fields of a function. Of a deleted one, these are its mappings, which outlive it.
#[must_use]
pub fn current_fields(state: &State, function: &FunctionArn) -> Fields {
    match state.observation(function) {
        Some(seen) => fields(&seen),
        None => mapping_fields(&state.mappings_at(function, state.now())),
    }
}

/// Returns one field for each event source mapping.
pub(super) fn mapping_fields(mappings: &[Mapping]) -> Fields {
    let mapping = |mapping: &Mapping| (format!("event source mapping {}", mapping.id), format!("{:?}", mapping.state));
    mappings.iter().map(mapping).collect()
}

fn slot(slot: &Slot<u32>) -> String {
    slot.as_option().map_or_else(|| ABSENT.to_owned(), u32::to_string)
}

fn secret(slot: &Slot<Secret>) -> String {
    slot.as_option().map_or_else(|| ABSENT.to_owned(), |secret| secret.expose().to_owned())
}

fn layers(layers: &[LayerVersionArn]) -> String {
    layers.iter().map(|layer| format!("{layer} ")).collect()
}

/// Returns the value of a field.
pub(super) fn value<'a>(fields: &'a Fields, field: &str) -> &'a str {
    fields.get(field).map_or(ABSENT, String::as_str)
}

/// Returns the value of a field for messages and journals, which must not show the value of a variable.
pub(super) fn shown<'a>(fields: &'a Fields, field: &str) -> &'a str {
    match value(fields, field) {
        ABSENT => ABSENT,
        _ if field.starts_with("variable ") => "(hidden)",
        value => value,
    }
}

/// Returns the names of the fields that differ.
pub(super) fn differing(one: &Fields, other: &Fields) -> BTreeSet<String> {
    let names = one.keys().chain(other.keys());
    names.filter(|name| value(one, name) != value(other, name)).cloned().collect()
}

/// Returns the original and the injected value of a changed field.
pub(super) fn original_and_injected(change: &Change) -> (String, String) {
    match change {
        Change::ReservedConcurrency { original, injected } => (slot(original), injected.to_string()),
        Change::Handler { original, injected } => (format!("{:?}", Some(original)), format!("{:?}", Some(injected))),
        Change::Timeout { original, injected } | Change::Memory { original, injected } => {
            (original.to_string(), injected.to_string())
        }
        Change::Variable { original, injected, .. } => (secret(original), secret(injected)),
        Change::Mapping { .. } => (format!("{:?}", MappingState::Enabled), format!("{:?}", MappingState::Disabled)),
        Change::Layers { original, .. } => (layers(original), WITH_FAULT.to_owned()),
    }
}

/// Returns the value that a changed field has in this observation.
pub(super) fn observed_value(change: &Change, function: &Observation) -> String {
    match change {
        Change::Layers { added, .. } if function.layers.iter().any(|layer| added.contains(layer)) => WITH_FAULT.into(),
        _ => value(&fields(function), &change.field().to_string()).to_owned(),
    }
}

/// Returns the fields that a call sends, except variables: the environment is sent as a whole, and only the variables
/// that differ afterwards count as written.
pub(super) fn sent_fields(write: &Write) -> Vec<String> {
    match write {
        Write::Concurrency(_) => vec!["reserved concurrency".to_owned()],
        Write::Mapping { id, .. } => vec![format!("event source mapping {id}")],
        Write::Configuration(update) => {
            let sent = [
                ("handler", update.handler.is_some()),
                ("layers", update.layers.is_some()),
                ("timeout", update.timeout.is_some()),
                ("memory", update.memory.is_some()),
            ];
            sent.into_iter().filter(|(_, sent)| *sent).map(|(name, _)| name.to_owned()).collect()
        }
    }
}
