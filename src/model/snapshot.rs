//! The changes to a function and its originals: the record that a restore works from.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::function::Slot;
use super::names::{Handler, LayerVersionArn, MappingId, VariableName};
use super::secret::Secret;
use super::time::Time;

/// The most memory of a function in MB, which those on Lambda Managed Instances can have
/// (lambda/latest/api/API_UpdateFunctionConfiguration).
const MAX_MEMORY_MB: u32 = 32_768;

/// One field of a function: its original and what a fault gives it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "field")]
pub enum Change {
    /// The reserved concurrency.
    ReservedConcurrency {
        /// Before.
        original: Slot<u32>,
        /// During.
        injected: u32,
    },
    /// The handler.
    Handler {
        /// Before.
        original: Handler,
        /// During.
        injected: Handler,
    },
    /// The layers: a fault appends layers, and the restore removes only those.
    Layers {
        /// Before.
        original: Vec<LayerVersionArn>,
        /// Appended, in this order.
        added: Vec<LayerVersionArn>,
    },
    /// One environment variable.
    Variable {
        /// Which.
        name: VariableName,
        /// Before.
        original: Slot<Secret>,
        /// During.
        injected: Slot<Secret>,
    },
    /// The timeout, in seconds.
    Timeout {
        /// Before.
        original: u32,
        /// During.
        injected: u32,
    },
    /// The memory, in MB.
    Memory {
        /// Before.
        original: u32,
        /// During.
        injected: u32,
    },
    /// An event source mapping that was enabled and is disabled.
    Mapping {
        /// Which.
        id: MappingId,
    },
}

/// The identity of a touched field.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String")]
pub enum Field {
    /// The reserved concurrency.
    ReservedConcurrency,
    /// The handler.
    Handler,
    /// The layers.
    Layers,
    /// One environment variable.
    Variable(VariableName),
    /// The timeout.
    Timeout,
    /// The memory.
    Memory,
    /// One event source mapping.
    Mapping(MappingId),
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedConcurrency => f.write_str("reserved concurrency"),
            Self::Handler => f.write_str("handler"),
            Self::Layers => f.write_str("layers"),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Timeout => f.write_str("timeout"),
            Self::Memory => f.write_str("memory"),
            Self::Mapping(id) => write!(f, "event source mapping {id}"),
        }
    }
}

impl From<Field> for String {
    fn from(field: Field) -> String {
        field.to_string()
    }
}

/// The part of a function that one AWS call writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Surface {
    /// `PutFunctionConcurrency`, `DeleteFunctionConcurrency`.
    Concurrency,
    /// `UpdateEventSourceMapping`, one call a mapping.
    Mapping,
    /// `UpdateFunctionConfiguration`.
    Configuration,
}

impl Change {
    /// Which field it changes.
    #[must_use]
    pub fn field(&self) -> Field {
        match self {
            Self::ReservedConcurrency { .. } => Field::ReservedConcurrency,
            Self::Handler { .. } => Field::Handler,
            Self::Layers { .. } => Field::Layers,
            Self::Variable { name, .. } => Field::Variable(name.clone()),
            Self::Timeout { .. } => Field::Timeout,
            Self::Memory { .. } => Field::Memory,
            Self::Mapping { id } => Field::Mapping(id.clone()),
        }
    }

    /// Without the values of variables, for the record of a run that is over.
    #[must_use]
    pub fn redacted(&self) -> Self {
        match self {
            Self::Variable { name, original, injected } => {
                let blank = |slot: &Slot<Secret>| slot.as_option().map(|_| Secret::new("")).into();
                Self::Variable { name: name.clone(), original: blank(original), injected: blank(injected) }
            }
            other => other.clone(),
        }
    }

    /// What is wrong with a stored change, if it has a value that no function can have: it would be written back, or AWS
    /// would refuse it and with it the other fields of the same call. The ranges are those of
    /// lambda/latest/api/API_UpdateFunctionConfiguration and API_PutFunctionConcurrency, whose numbers are 32-bit integers.
    #[must_use]
    pub fn damage(&self) -> Option<String> {
        let (range, values) = match self {
            Self::ReservedConcurrency { original, injected } => {
                (0..=i32::MAX.unsigned_abs(), [original.as_option().copied(), Some(*injected)])
            }
            Self::Timeout { original, injected } => (1..=900, [Some(*original), Some(*injected)]),
            Self::Memory { original, injected } => (128..=MAX_MEMORY_MB, [Some(*original), Some(*injected)]),
            Self::Handler { .. } | Self::Layers { .. } | Self::Variable { .. } | Self::Mapping { .. } => return None,
        };
        let is_wrong = |(_, value): &(&str, Option<u32>)| value.is_some_and(|value| !range.contains(&value));
        let (side, value) = ["original", "injected"].into_iter().zip(values).find(is_wrong)?;
        let (least, most) = (range.start(), range.end());
        let value = value.unwrap_or_default();
        Some(format!("the {side} {} is {value}, and Lambda takes {least} to {most}", self.field()))
    }

    /// Which call writes it.
    #[must_use]
    pub fn surface(&self) -> Surface {
        match self {
            Self::ReservedConcurrency { .. } => Surface::Concurrency,
            Self::Mapping { .. } => Surface::Mapping,
            _ => Surface::Configuration,
        }
    }
}

/// The fields that one `UpdateFunctionConfiguration` call sends. A field that is `None` is not sent, and does not
/// change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigurationUpdate {
    /// The revision that the decision was made on.
    pub revision_id: String,
    /// The handler.
    pub handler: Option<Handler>,
    /// The whole list of layers: AWS replaces it whole.
    pub layers: Option<Vec<LayerVersionArn>>,
    /// The whole environment: AWS replaces it whole.
    pub environment: Option<BTreeMap<String, Secret>>,
    /// Seconds.
    pub timeout: Option<u32>,
    /// Megabytes.
    pub memory: Option<u32>,
}

/// One AWS call that changes a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Puts or deletes the reserved concurrency. AWS has no conditional write for it: a change that others make between
    /// the observation and this call is overwritten.
    Concurrency(Slot<u32>),
    /// Enables or disables a mapping. AWS offers no conditional write here either.
    Mapping {
        /// Which.
        id: MappingId,
        /// Whether it is to be enabled.
        enabled: bool,
    },
    /// Updates the configuration, guarded by its revision.
    Configuration(ConfigurationUpdate),
}

/// A field that is neither its original nor what was injected: it changed outside the run and is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// Which field.
    pub field: String,
    /// The original, the injected and the current value; none of variables.
    pub note: String,
}

/// The record of a target before anything is injected: all that a restore needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Each touched field.
    pub changes: Vec<Change>,
    /// The highest published version.
    pub last_version: u64,
    /// The runtime version, where the function has one.
    pub runtime_version: Option<String>,
}

/// A touched field whose fault was removed outside the run, before its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RemovedFault {
    /// Which field.
    pub field: String,
    /// When it was first seen.
    pub seen_at: Time,
}

impl RemovedFault {
    /// Joins the known faults with those seen now; each field keeps the first time it was seen.
    #[must_use]
    pub fn joined(known: &[Self], seen: &[Self]) -> Vec<Self> {
        let mut joined = known.to_vec();
        for fault in seen {
            if !joined.iter().any(|other| other.field == fault.field) {
                joined.push(fault.clone());
            }
        }
        joined
    }
}
