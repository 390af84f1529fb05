//! Facts that are read from AWS and the ledger before a run, and that the guardrails evaluate.
//!
//! The ports return them, `steps::facts` collects them, and `plan::guardrails` decides on them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::function::{Observation, Tags};
use super::names::{AlarmName, FunctionName, LayerVersionArn, MappingId};
use super::run::{Lever, Lock};
use super::settings::Settings;
use super::steady_state::Reading;
use super::time::Time;

/// The facts about an experiment, its targets and its account.
#[derive(Clone, Debug)]
pub struct Facts {
    /// When they were collected.
    pub now: Time,
    /// The stack's settings.
    pub settings: Settings,
    /// The safety lever.
    pub lever: Option<Lever>,
    /// The seed with which `select` drew, if it drew.
    pub seed: Option<u32>,
    /// How many functions the targets resolve to.
    pub target_count: usize,
    /// How many functions have the tags of each tagged target, and how many of them were drawn.
    pub draws: Vec<Draw>,
    /// The facts about them, up to the limit.
    pub targets: Vec<TargetFacts>,
    /// Targets of the experiment that resolve to no function, each with the reason.
    pub unresolved: Vec<(String, String)>,
    /// Each alarm of the experiment and its state; `None` for a name without an alarm.
    pub alarms: Vec<(AlarmName, Option<AlarmFact>)>,
    /// The conditions of the steady state, with what they were read as. One on an alarm that does not exist is left out.
    pub steady_state: Vec<Reading>,
    /// The facts about every layer that would be attached or restored.
    pub layers: BTreeMap<LayerVersionArn, LayerFact>,
    /// The account's concurrency, if it matters and could be read.
    pub account: Option<AccountConcurrency>,
    /// Notes for the plan on how the targets were found.
    pub notes: Vec<String>,
}

/// The functions with certain tags, and how many of them become targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Draw {
    /// The tags, for display.
    pub tags: String,
    /// How many functions have them.
    pub matching: usize,
    /// How many of those become targets.
    pub drawn: usize,
}

/// The concurrency of an account in a Region (lambda/latest/api/API_AccountLimit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountConcurrency {
    /// The limit of all functions together.
    pub total: u32,
    /// The part that is not reserved for single functions. All other functions share it.
    pub unreserved: u32,
}

/// When Lambda moves a function to a new version of its runtime (lambda/latest/dg/runtimes-update).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeUpdates {
    /// Automatically, and in the first phase of a rollout with each update of the function.
    Auto,
    /// With each update of the function, also of its configuration.
    FunctionUpdate,
    /// Never: the function names its version.
    Manual,
    /// The right to read it is missing.
    Denied,
    /// It could not be read for another reason.
    Unknown,
}

/// The facts about one target.
#[derive(Clone, Debug)]
pub struct TargetFacts {
    /// Its name in the experiment, if the experiment names it.
    pub asked: Option<FunctionName>,
    /// The function.
    pub seen: Observation,
    /// Its lock, if there is one.
    pub lock: Option<Lock>,
    /// Its aliases; empty where no fault changes `$LATEST`.
    pub aliases: Vec<Alias>,
    /// The tags of its event source mappings; empty where no fault needs them.
    pub mapping_tags: BTreeMap<MappingId, Tags>,
    /// Its code signing; `Off` where no fault adds layers.
    pub code_signing: CodeSigning,
    /// When its runtime is updated; `None` where no fault updates its configuration, and for container images, whose
    /// runtime is in the image.
    pub runtime_updates: Option<RuntimeUpdates>,
}

/// What a function's code signing does with a layer that is added: it must be signed by an allowed profile
/// (lambda/latest/dg/configuration-codesigning). An expired or revoked signature is not detected here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CodeSigning {
    /// The function has no code signing: Lambda accepts any layer.
    Off,
    /// The function has one.
    On {
        /// Whether an untrusted layer is refused (`Enforce`) or only logged (`Warn`).
        enforced: bool,
        /// The versions of the signing profiles that are trusted, by ARN.
        trusted: Vec<String>,
    },
    /// It may not be read.
    Unknown,
}

/// An alias of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// Its name.
    pub name: String,
    /// The version that it points at, or `$LATEST`.
    pub version: String,
}

/// An alarm, as `DescribeAlarms` gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlarmFact {
    /// Its ARN.
    pub arn: String,
    /// Whether it is in ALARM.
    pub in_alarm: bool,
}

/// The facts about a layer version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayerFact {
    /// It exists.
    Here {
        /// Its architectures; empty is any.
        architectures: Vec<String>,
        /// The ARN of the signing profile version that signed it.
        signer: Option<String>,
    },
    /// It was deleted, or never existed.
    Missing,
    /// It may not be read, so it could not be attached either.
    Denied,
}

impl LayerFact {
    /// An unsigned layer for any architecture.
    #[must_use]
    pub const fn plain() -> Self {
        Self::Here { architectures: Vec::new(), signer: None }
    }
}
