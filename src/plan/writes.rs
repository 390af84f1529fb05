//! Turns changed fields into AWS calls: one call per surface, with only the changed fields.

use crate::model::function::{Environment, Observation, Slot};
use crate::model::names::LayerVersionArn;
use crate::model::secret::Secret;
use crate::model::snapshot::{Change, ConfigurationUpdate, Surface, Write};

/// The direction in which a change is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Write the fault's value.
    Inject,
    /// Write the original value.
    Restore,
}

/// Returns the calls that write `changes` to the function that was observed as `now`. Concurrency and mappings come
/// first, because Lambda can refuse them with a conflict while a configuration update is in progress.
#[must_use]
pub fn writes(changes: &[&Change], now: &Observation, direction: Direction) -> Vec<Write> {
    let mut writes = Vec::new();
    for change in changes {
        match change {
            Change::ReservedConcurrency { original, injected } => writes.push(Write::Concurrency(match direction {
                Direction::Inject => Slot::Present(*injected),
                Direction::Restore => *original,
            })),
            Change::Mapping { id } => {
                writes.push(Write::Mapping { id: id.clone(), enabled: direction == Direction::Restore });
            }
            _ => {}
        }
    }
    let configuration: Vec<&&Change> =
        changes.iter().filter(|change| change.surface() == Surface::Configuration).collect();
    if !configuration.is_empty() {
        let mut update = ConfigurationUpdate { revision_id: now.revision_id.clone(), ..ConfigurationUpdate::default() };
        for change in configuration {
            set_field(&mut update, change, now, direction);
        }
        writes.push(Write::Configuration(update));
    }
    writes
}

/// Adds to these calls the current values of `unserved` fields: values from outside the run whose update has failed.
/// Sending such a value again does not change it, but makes it serve.
#[must_use]
pub fn with_resent(mut writes: Vec<Write>, unserved: &[&Change], now: &Observation) -> Vec<Write> {
    if unserved.is_empty() {
        return writes;
    }
    if !matches!(writes.last(), Some(Write::Configuration(_))) {
        let revision_id = now.revision_id.clone();
        writes.push(Write::Configuration(ConfigurationUpdate { revision_id, ..ConfigurationUpdate::default() }));
    }
    if let Some(Write::Configuration(update)) = writes.last_mut() {
        unserved.iter().for_each(|change| resend_field(update, change, now));
    }
    writes
}

fn resend_field(update: &mut ConfigurationUpdate, change: &Change, now: &Observation) {
    match change {
        Change::Handler { .. } => update.handler.clone_from(&now.handler),
        Change::Timeout { .. } => update.timeout = Some(now.timeout),
        Change::Memory { .. } => update.memory = Some(now.memory),
        Change::Layers { added, .. } => update.layers = Some(layers(&now.layers, added, Direction::Restore)),
        Change::Variable { .. } => {
            if let Environment::Readable(variables) = &now.environment {
                update.environment.get_or_insert_with(|| variables.clone());
            }
        }
        Change::ReservedConcurrency { .. } | Change::Mapping { .. } => {}
    }
}

fn set_field(update: &mut ConfigurationUpdate, change: &Change, now: &Observation, direction: Direction) {
    let restore = direction == Direction::Restore;
    match change {
        Change::Handler { original, injected } => {
            update.handler = Some(if restore { original } else { injected }.clone());
        }
        Change::Timeout { original, injected } => update.timeout = Some(if restore { *original } else { *injected }),
        Change::Memory { original, injected } => update.memory = Some(if restore { *original } else { *injected }),
        Change::Layers { added, .. } => update.layers = Some(layers(&now.layers, added, direction)),
        Change::Variable { name, original, injected } => {
            // The environment is readable here: of an unreadable one, the variable's state is unknown, and nothing is
            // written.
            if let Environment::Readable(variables) = &now.environment {
                let environment = update.environment.get_or_insert_with(|| variables.clone());
                put(environment, name.as_str(), if restore { original } else { injected });
            }
        }
        Change::ReservedConcurrency { .. } | Change::Mapping { .. } => {}
    }
}

/// Returns the current list with the fault's layers at its end, or without them. Layers from outside the run stay.
fn layers(now: &[LayerVersionArn], added: &[LayerVersionArn], direction: Direction) -> Vec<LayerVersionArn> {
    let others = now.iter().filter(|layer| !added.contains(layer)).cloned();
    match direction {
        Direction::Inject => others.chain(added.iter().cloned()).collect(),
        Direction::Restore => others.collect(),
    }
}

fn put(environment: &mut std::collections::BTreeMap<String, Secret>, name: &str, value: &Slot<Secret>) {
    match value {
        Slot::Present(value) => environment.insert(name.to_owned(), value.clone()),
        Slot::Absent => environment.remove(name),
    };
}
