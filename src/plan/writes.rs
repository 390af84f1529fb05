//! Turning changed fields into AWS calls: one a surface, with nothing but the changed fields.

use crate::model::function::{Environment, Observation, Slot};
use crate::model::names::LayerVersionArn;
use crate::model::secret::Secret;
use crate::model::snapshot::{Change, ConfigurationUpdate, Surface, Write};

/// Which way a change is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Give the field what the fault says.
    Inject,
    /// Give it its original back.
    Restore,
}

/// The calls that write `changes` onto the function that was observed as `now`. Concurrency and mappings come first: while a
/// configuration update is in progress, Lambda answers them with a conflict.
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

/// The same calls, and with them the values from outside the run that do not serve yet: sending such a value again leaves it
/// as it is and makes it serve.
#[must_use]
pub fn with_theirs(mut writes: Vec<Write>, theirs: &[&Change], now: &Observation) -> Vec<Write> {
    if theirs.is_empty() {
        return writes;
    }
    if !matches!(writes.last(), Some(Write::Configuration(_))) {
        let revision_id = now.revision_id.clone();
        writes.push(Write::Configuration(ConfigurationUpdate { revision_id, ..ConfigurationUpdate::default() }));
    }
    if let Some(Write::Configuration(update)) = writes.last_mut() {
        theirs.iter().for_each(|change| keep_field(update, change, now));
    }
    writes
}

fn keep_field(update: &mut ConfigurationUpdate, change: &Change, now: &Observation) {
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
    let back = direction == Direction::Restore;
    match change {
        Change::Handler { original, injected } => {
            update.handler = Some(if back { original } else { injected }.clone());
        }
        Change::Timeout { original, injected } => update.timeout = Some(if back { *original } else { *injected }),
        Change::Memory { original, injected } => update.memory = Some(if back { *original } else { *injected }),
        Change::Layers { added, .. } => update.layers = Some(layers(&now.layers, added, direction)),
        Change::Variable { name, original, injected } => {
            // Only a readable environment gets here: an unreadable one leaves the variable's standing unknown.
            if let Environment::Readable(variables) = &now.environment {
                let environment = update.environment.get_or_insert_with(|| variables.clone());
                put(environment, name.as_str(), if back { original } else { injected });
            }
        }
        Change::ReservedConcurrency { .. } | Change::Mapping { .. } => {}
    }
}

/// The current list, with the added layers at its end or without them: changes from outside the run stay.
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
