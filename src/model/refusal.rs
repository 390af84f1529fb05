//! Refusals: why a run does not start, each with its fix.

use std::fmt;

use serde::Serialize;

/// One reason why a run does not start. Serializes for `--json` and for the execution's cause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// The guardrail that refused.
    pub guardrail: Guardrail,
    /// The subject: a function, an alarm, or the experiment.
    pub subject: String,
    /// What is wrong.
    pub reason: String,
    /// What to do about it.
    pub fix: String,
}

impl Refusal {
    /// A refusal of this subject.
    #[must_use]
    pub fn new(guardrail: Guardrail, subject: &str, reason: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { guardrail, subject: subject.to_owned(), reason: reason.into(), fix: fix.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.subject, self.reason, self.fix)
    }
}

/// The checks before the start; the names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Guardrail {
    /// The function exists and can be read.
    Exists,
    /// It is Active and not mid-update.
    Ready,
    /// Its tags opt in.
    OptIn,
    /// It is not one of snapback's own functions.
    OwnFunction,
    /// No other run has the function locked.
    Unlocked,
    /// Its environment can be read.
    Environment,
    /// It is a zip package where layers or a handler are changed.
    Package,
    /// There are at most five layers, none of them twice.
    Layers,
    /// Every layer to add or to restore exists.
    LayerExists,
    /// The function's code signing configuration accepts the layers to add.
    CodeSigning,
    /// The environment fits into 4 KB.
    EnvironmentSize,
    /// The runtime can still be updated, and honors a wrapper where one is needed.
    Runtime,
    /// The wrapper slot is free or can be chained.
    Wrapper,
    /// Every alarm exists and is not in ALARM.
    Alarm,
    /// The number of targets is within the limit.
    TargetLimit,
    /// The version or alias that the target or a fault names sees the change.
    Qualifier,
    /// It has no leftovers of snapback.
    Leftovers,
    /// The safety lever is disengaged.
    Lever,
    /// The steady state holds before the start.
    SteadyState,
    /// The event source mappings exist, are not being updated, and were enabled.
    Mapping,
    /// Each fault changes something, and invocations can meet it.
    Effect,
}
