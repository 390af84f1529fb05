//! The faults, as users write them. Each has one row in the fault catalog (`catalog.rs`).

use std::collections::BTreeMap;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};

use super::bounded::BoundedU32;
use super::claim::{Claim, HANDLER_VARIABLES, PROXY_VARIABLES};
use super::handler_fault::{BroughtHandler, FunctionTimeout, HandlerFault, Megabytes};
use super::invocation::{
    CorruptFault, DependencyFault, DiskFault, ErrorFault, ExitFault, HandlerOrder, InitFault, InvocationFault,
    InvocationTimeoutFault, LatencyFault, ResponseFault, WRAPPER_VARIABLE,
};
use super::mappings::Mappings;
use super::names::{LayerVersionArn, VariableName, WrapperPath};
use super::problems::Problems;
use super::secret::Secret;

/// What is injected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// Sets the reserved concurrency, so that invocations above it are throttled.
    ReservedConcurrency(ReservedConcurrency),
    /// Replaces the handler, with snapback's chaos handler or with one from a layer.
    Handler(HandlerFault),
    /// Appends layers, with the variables and the wrapper that they need.
    Layer(LayerFault),
    /// Sets and unsets environment variables.
    Environment(EnvironmentFault),
    /// Sets the function's timeout.
    Timeout(TimeoutFault),
    /// Sets the function's memory, and with it its share of CPU.
    Memory(MemoryFault),
    /// Disables event source mappings.
    EventSourceMapping(MappingFault),
    /// Makes invocations slower.
    #[serde(deserialize_with = "checked")]
    Latency(LatencyFault),
    /// Delays invocations before the handler until shortly before their timeout.
    #[serde(deserialize_with = "checked")]
    InvocationTimeout(InvocationTimeoutFault),
    /// Makes invocations fail.
    #[serde(deserialize_with = "checked")]
    Error(ErrorFault),
    /// Responds in place of the handler.
    #[serde(deserialize_with = "checked")]
    Response(ResponseFault),
    /// Corrupts responses.
    #[serde(deserialize_with = "checked")]
    Corrupt(CorruptFault),
    /// Fills /tmp while invocations run.
    #[serde(deserialize_with = "checked")]
    Disk(DiskFault),
    /// Delays or fails initializations.
    #[serde(deserialize_with = "checked")]
    Init(InitFault),
    /// Kills the runtime in the middle of invocations.
    #[serde(deserialize_with = "checked")]
    Exit(ExitFault),
    /// Breaks what the function depends on.
    #[serde(deserialize_with = "checked")]
    Dependency(DependencyFault),
}

/// Runs the proxy's check at this point, where the message can name the field that the user wrote.
fn checked<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Clone + Into<InvocationFault>,
{
    let settings = T::deserialize(deserializer)?;
    let fault: InvocationFault = settings.clone().into();
    fault.problems().into_result().map_err(D::Error::custom)?;
    Ok(settings)
}

/// Reserved concurrency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReservedConcurrency {
    /// The number of concurrent invocations; 0 throttles all of them.
    pub limit: BoundedU32<0, 100_000>,
}

/// Appended layers and what they usually need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "RawLayerFault")]
pub struct LayerFault {
    /// Layer versions to append, in this order, after the function's own.
    pub layers: Vec<LayerVersionArn>,
    /// Environment variables to set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<VariableName, Secret>,
    /// The wrapper to start the runtime with (`AWS_LAMBDA_EXEC_WRAPPER`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrapper: Option<WrapperPath>,
    /// The variable in which the wrapper finds the wrapper that it replaces, so that it can start that one in turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chained_wrapper_variable: Option<VariableName>,
    /// The variable that is set to the run's deadline, in milliseconds since the epoch. After it, the code in the
    /// layers does nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_variable: Option<VariableName>,
}

/// A layer fault before its checks.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "LayerFault"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawLayerFault {
    layers: Vec<LayerVersionArn>,
    #[serde(default)]
    environment: BTreeMap<VariableName, Secret>,
    wrapper: Option<WrapperPath>,
    chained_wrapper_variable: Option<VariableName>,
    deadline_variable: Option<VariableName>,
}

impl TryFrom<RawLayerFault> for LayerFault {
    type Error = Problems;

    fn try_from(raw: RawLayerFault) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        if raw.layers.is_empty() {
            let text = "has an empty `layers`; write 1 to 5 layer version ARNs, or use the `environment` fault";
            problems.lacking("layers", &["layers"], text);
        }
        if raw.chained_wrapper_variable.is_some() && raw.wrapper.is_none() {
            let text =
                "has `chainedWrapperVariable` without `wrapper`; add the wrapper, or remove `chainedWrapperVariable`";
            problems.lacking("chainedWrapperVariable", &["wrapper"], text);
        }
        problems.into_result()?;
        let RawLayerFault { layers, environment, wrapper, chained_wrapper_variable, deadline_variable } = raw;
        Ok(Self { layers, environment, wrapper, chained_wrapper_variable, deadline_variable })
    }
}

/// Environment variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields, try_from = "RawEnvironmentFault")]
pub struct EnvironmentFault {
    /// Variables to set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<VariableName, Secret>,
    /// Variables to remove.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unset: Vec<VariableName>,
}

/// An environment fault before its checks.
#[derive(Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "EnvironmentFault"))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawEnvironmentFault {
    #[serde(default)]
    set: BTreeMap<VariableName, Secret>,
    #[serde(default)]
    unset: Vec<VariableName>,
}

impl TryFrom<RawEnvironmentFault> for EnvironmentFault {
    type Error = Problems;

    fn try_from(raw: RawEnvironmentFault) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        if raw.set.is_empty() && raw.unset.is_empty() {
            problems.lacking("", &["set", "unset"], "changes nothing; write `set: {NAME: VALUE}` or `unset: [NAME]`");
        }
        problems.into_result()?;
        Ok(Self { set: raw.set, unset: raw.unset })
    }
}

/// The function's timeout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TimeoutFault {
    /// The timeout during the run.
    pub timeout: FunctionTimeout,
}

/// The function's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MemoryFault {
    /// The memory during the run, in MB.
    pub megabytes: Megabytes,
}

/// Event source mappings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MappingFault {
    /// `ALL` of the function's enabled mappings, or the UUID of one.
    pub disable: Mappings,
}

impl Fault {
    /// The fault's name in an experiment and in the catalog.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ReservedConcurrency(_) => "reservedConcurrency",
            Self::Handler(_) => "handler",
            Self::Layer(_) => "layer",
            Self::Environment(_) => "environment",
            Self::Timeout(_) => "timeout",
            Self::Memory(_) => "memory",
            Self::EventSourceMapping(_) => "eventSourceMapping",
            Self::Latency(_) => "latency",
            Self::InvocationTimeout(_) => "invocationTimeout",
            Self::Error(_) => "error",
            Self::Response(_) => "response",
            Self::Corrupt(_) => "corrupt",
            Self::Disk(_) => "disk",
            Self::Init(_) => "init",
            Self::Exit(_) => "exit",
            Self::Dependency(_) => "dependency",
        }
    }

    /// Whether invocations can take longer with it, so that more of them run at once.
    #[must_use]
    pub fn slows_invocations(&self) -> bool {
        matches!(
            self,
            Self::Latency(_)
                | Self::InvocationTimeout(_)
                | Self::Init(_)
                | Self::Memory(_)
                | Self::Timeout(_)
                | Self::Dependency(_)
                | Self::Handler(HandlerFault::Chaos(HandlerOrder::Latency(_)))
        )
    }

    /// Whether the proxy injects it.
    #[must_use]
    pub fn is_inside_invocations(&self) -> bool {
        self.invocation().is_some()
    }

    /// What the chaos handler injects, if it does.
    #[must_use]
    pub fn order(&self) -> Option<&HandlerOrder> {
        match self {
            Self::Handler(fault) => fault.order(),
            _ => None,
        }
    }

    /// The name in the metrics that count how often it was injected; `None` if nothing counts it.
    #[must_use]
    pub fn counted_as(&self) -> Option<&'static str> {
        self.order().map(HandlerOrder::name).or_else(|| self.is_inside_invocations().then(|| self.name()))
    }

    /// The fault in the form of the proxy, if it is one inside invocations.
    #[must_use]
    pub fn invocation(&self) -> Option<InvocationFault> {
        Some(match self {
            Self::Latency(fault) => fault.clone().into(),
            Self::InvocationTimeout(fault) => fault.clone().into(),
            Self::Error(fault) => fault.clone().into(),
            Self::Response(fault) => fault.clone().into(),
            Self::Corrupt(fault) => fault.clone().into(),
            Self::Disk(fault) => fault.clone().into(),
            Self::Init(fault) => fault.clone().into(),
            Self::Exit(fault) => fault.clone().into(),
            Self::Dependency(fault) => fault.clone().into(),
            Self::ReservedConcurrency(_)
            | Self::Handler(_)
            | Self::Layer(_)
            | Self::Environment(_)
            | Self::Timeout(_)
            | Self::Memory(_)
            | Self::EventSourceMapping(_) => return None,
        })
    }

    /// Returns everything that this fault claims, in no particular order.
    #[must_use]
    pub fn claims(&self) -> Vec<Claim> {
        match self {
            Self::ReservedConcurrency(_) => vec![Claim::ReservedConcurrency],
            Self::Timeout(_) => vec![Claim::Timeout],
            Self::Memory(_) => vec![Claim::Memory],
            Self::EventSourceMapping(fault) => vec![Claim::Mappings(fault.disable.clone())],
            Self::Environment(fault) => fault.set.keys().chain(&fault.unset).cloned().map(Claim::Variable).collect(),
            Self::Handler(HandlerFault::Brought(fault)) => brought_claims(fault),
            Self::Handler(HandlerFault::Chaos(_)) => {
                HANDLER_VARIABLES.map(Claim::ProxyVariable).into_iter().chain([Claim::ChaosHandler]).collect()
            }
            Self::Layer(fault) => {
                let mut claims = carried_claims(&fault.layers, &fault.environment);
                let wrapper = fault.wrapper.as_ref().and_then(|_| VariableName::try_from(WRAPPER_VARIABLE).ok());
                let variables = [&wrapper, &fault.chained_wrapper_variable, &fault.deadline_variable];
                claims.extend(variables.into_iter().flatten().cloned().map(Claim::Variable));
                claims
            }
            Self::Latency(_)
            | Self::InvocationTimeout(_)
            | Self::Error(_)
            | Self::Response(_)
            | Self::Corrupt(_)
            | Self::Disk(_)
            | Self::Init(_)
            | Self::Exit(_)
            | Self::Dependency(_) => PROXY_VARIABLES.map(Claim::ProxyVariable).to_vec(),
        }
    }

    /// Returns the fault without the values of variables.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let mut redacted = self.clone();
        let variables = match &mut redacted {
            Self::Handler(HandlerFault::Brought(fault)) => &mut fault.environment,
            Self::Layer(fault) => &mut fault.environment,
            Self::Environment(fault) => &mut fault.set,
            _ => return redacted,
        };
        variables.values_mut().for_each(|value| *value = Secret::new(""));
        redacted
    }

    /// Whether the fault expires at the run's deadline even if nothing restores it. That needs code that knows the
    /// deadline, and no change that does harm without this code. The timeout or memory of a `handler` fault stays after
    /// the deadline, so such a fault does not expire. Variables count as settings of the fault's code. From the
    /// deadline on, the proxy and the chaos handler pass everything unchanged.
    #[must_use]
    pub fn expires_by_itself(&self) -> bool {
        match self {
            Self::Handler(HandlerFault::Brought(fault)) => {
                fault.deadline_variable.is_some() && fault.timeout.is_none() && fault.memory.is_none()
            }
            Self::Handler(HandlerFault::Chaos(_)) => true,
            Self::Layer(fault) => fault.deadline_variable.is_some(),
            other => other.is_inside_invocations(),
        }
    }

    /// Whether the fault adds layers, which code signing may refuse.
    #[must_use]
    pub fn adds_layers(&self) -> bool {
        match self {
            Self::Handler(HandlerFault::Brought(fault)) => !fault.layers.is_empty(),
            Self::Handler(HandlerFault::Chaos(_)) => true,
            Self::Layer(_) => true,
            other => other.is_inside_invocations(),
        }
    }

    /// Whether the fault changes `$LATEST` only. Reserved concurrency holds for every version of a function
    /// (lambda/latest/dg/configuration-concurrency), and a mapping names the version that it invokes.
    #[must_use]
    pub fn changes_latest(&self) -> bool {
        !matches!(self, Self::ReservedConcurrency(_) | Self::EventSourceMapping(_))
    }

    /// Whether the fault needs the function's event source mappings to be read.
    #[must_use]
    pub fn needs_mappings(&self) -> bool {
        matches!(self, Self::EventSourceMapping(_))
    }
}

fn brought_claims(fault: &BroughtHandler) -> Vec<Claim> {
    let mut claims = carried_claims(&fault.layers, &fault.environment);
    claims.push(Claim::Handler);
    let variables = [&fault.original_handler_variable, &fault.deadline_variable];
    claims.extend(variables.into_iter().flatten().cloned().map(Claim::Variable));
    claims.extend(fault.timeout.map(|_| Claim::Timeout));
    claims.extend(fault.memory.map(|_| Claim::Memory));
    claims
}

fn carried_claims(layers: &[LayerVersionArn], environment: &BTreeMap<VariableName, Secret>) -> Vec<Claim> {
    let layers = layers.iter().map(|layer| Claim::Layer(layer.layer().to_owned()));
    layers.chain(environment.keys().cloned().map(Claim::Variable)).collect()
}
