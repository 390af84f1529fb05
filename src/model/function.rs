//! Observations: a function's configuration, tags and event source mappings at one moment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::names::{FunctionArn, Handler, LayerVersionArn, MappingId};
use super::secret::Secret;

/// A field that may be absent: absent reserved concurrency is not 0, an absent variable is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Slot<T> {
    /// The field is absent.
    Absent,
    /// The field has this value.
    Present(T),
}

impl<T> Slot<T> {
    /// Returns the value, if there is one.
    pub fn as_option(&self) -> Option<&T> {
        match self {
            Self::Absent => None,
            Self::Present(value) => Some(value),
        }
    }
}

impl<T> From<Option<T>> for Slot<T> {
    fn from(option: Option<T>) -> Self {
        option.map_or(Self::Absent, Self::Present)
    }
}

/// One observation of a function: what one `GetFunction` call (and one listing of its mappings, where a fault needs
/// them) returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// The unqualified ARN.
    pub arn: FunctionArn,
    /// The revision. `UpdateFunctionConfiguration` fails if the function has another one by then.
    pub revision_id: String,
    /// `State`.
    pub state: Lifecycle,
    /// `LastUpdateStatus`.
    pub last_update: LastUpdate,
    /// `PackageType`.
    pub package: Package,
    /// `Runtime`; absent for container images.
    pub runtime: Option<String>,
    /// `RuntimeVersionConfig.RuntimeVersionArn`: the patch level of the runtime; absent for container images
    /// (lambda/latest/api/API_RuntimeVersionConfig).
    pub runtime_version: Option<String>,
    /// Whether it runs on Lambda Managed Instances, where `$LATEST` serves no traffic
    /// (lambda/latest/dg/lambda-managed-instances-version-publishing).
    pub managed_instances: bool,
    /// Whether it is a durable function (lambda/latest/dg/durable-functions).
    pub durable: bool,
    /// `arm64` or `x86_64`.
    pub architecture: String,
    /// `Handler`; absent for container images.
    pub handler: Option<Handler>,
    /// The layers, in their order.
    pub layers: Vec<LayerVersionArn>,
    /// The environment.
    pub environment: Environment,
    /// The timeout, in seconds.
    pub timeout: u32,
    /// The memory, in megabytes.
    pub memory: u32,
    /// Reserved concurrency.
    pub concurrency: Slot<u32>,
    /// Tags.
    pub tags: Tags,
    /// The event source mappings that were listed for it; empty if they were not requested. A mapping is a separate
    /// resource, which outlives its function and can be moved to another one.
    pub mappings: Vec<Mapping>,
}

/// A function's `State` (lambda/latest/dg/functions-states).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// It can be invoked and updated.
    Active,
    /// Any other state, by its name.
    Other(String),
}

/// A function's `LastUpdateStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastUpdate {
    /// The observed configuration is in use.
    Successful,
    /// An update is in progress; invocations use the old configuration until it ends.
    InProgress,
    /// The last update failed; the configuration before it is in use.
    Failed,
}

/// How a function's code is packaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// A zip archive.
    Zip,
    /// A container image: no layers, no handler.
    Image,
}

/// A function's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Environment {
    /// The variables.
    Readable(BTreeMap<String, Secret>),
    /// `Environment.Error` is set, because snapback may not use the KMS key. The variables are unknown, so a write
    /// would delete them.
    Unreadable,
}

impl Environment {
    /// The value of one variable, where the environment can be read.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<Slot<Secret>> {
        match self {
            Self::Readable(variables) => Some(variables.get(name).cloned().into()),
            Self::Unreadable => None,
        }
    }
}

/// A function's tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// All of them.
    Known(BTreeMap<String, String>),
    /// `TagsError` was set, or the right to read them is missing: unknown is not untagged.
    Unknown,
}

/// One event source mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Its UUID.
    pub id: MappingId,
    /// Its state.
    pub state: MappingState,
}

/// The state of an event source mapping (lambda/latest/api/API_EventSourceMappingConfiguration).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingState {
    /// `Enabled`.
    Enabled,
    /// `Disabled`.
    Disabled,
    /// `Creating`, `Enabling`, `Disabling`, `Updating` or `Deleting`: AWS refuses updates in these states.
    Busy,
}

impl Observation {
    /// The mapping with this identifier.
    #[must_use]
    pub fn mapping(&self, id: &MappingId) -> Option<&Mapping> {
        self.mappings.iter().find(|mapping| mapping.id == *id)
    }
}
