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

/// A refusal as the cause of a failed execution has it: one line, without its guardrail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct StatedRefusal {
    /// The subject: a function, an alarm, or the experiment; absent if the line has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// What to do about it; absent if the line has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl StatedRefusal {
    /// Reads the text of a [`Refusal`]. A subject with a colon in it, such as the name of an alarm, is recognized if it is
    /// among `subjects`. A reason may have anything in it, and no fix has a semicolon.
    #[must_use]
    pub fn read(line: &str, subjects: &[&str]) -> Self {
        let line = line.trim();
        let after = |subject: &str| line.strip_prefix(subject)?.strip_prefix(": ");
        let known = subjects.iter().filter_map(|subject| Some((*subject, after(subject)?)));
        let named = known.max_by_key(|(subject, _)| subject.len()).or_else(|| line.split_once(": "));
        let (subject, rest) = named.map_or((None, line), |(subject, rest)| (Some(subject.to_owned()), rest));
        let (reason, fix) = rest.rsplit_once("; ").map_or((rest, None), |(reason, fix)| (reason, Some(fix.to_owned())));
        Self { subject, reason: reason.to_owned(), fix }
    }
}

impl From<&Refusal> for StatedRefusal {
    fn from(refusal: &Refusal) -> Self {
        let Refusal { subject, reason, fix, .. } = refusal.clone();
        Self { subject: Some(subject), reason, fix: Some(fix) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stated_refusal_has_the_parts_of_its_refusal() {
        let subjects = ["errors: all; of them", "errors"];
        for (subject, reason, fix) in [
            ("checkout", "it does not have the tag chaos: allowed", "tag it"),
            (
                "safety lever",
                "it has been engaged since now (reason: a: b; c)",
                "to disengage it: snapback lever disengage",
            ),
            ("errors: all; of them", "it is already in ALARM", "wait until it is OK"),
            ("errors", "all; of them", "wait"),
        ] {
            let refusal = Refusal::new(Guardrail::Alarm, subject, reason, fix);
            assert_eq!(StatedRefusal::read(&refusal.to_string(), &subjects), StatedRefusal::from(&refusal));
        }
        let more = StatedRefusal::read("... and more", &subjects);
        assert_eq!((more.subject, more.reason.as_str(), more.fix), (None, "... and more", None));
    }
}
