//! The rows of a plan and of a report: one field before, during and after a run. Of variables, they contain only values
//! that snapback itself has made.

use std::borrow::Cow;

use serde::Serialize;

use crate::model::function::Slot;
use crate::model::invocation::{FAULTS_VARIABLE, HANDLER_FAULTS_VARIABLE, PROXY_PATH, WRAPPER_VARIABLE};
use crate::model::names::{LayerVersionArn, VariableName};
use crate::model::secret::Secret;
use crate::model::snapshot::Change;

use super::field_state::{layers_text, presence, slot_text};

/// One field of one target: before → during → after the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct FieldRow {
    /// The field.
    pub field: String,
    /// Its value before the run.
    pub before: String,
    /// Its value during the run.
    pub during: String,
    /// Its value after the restore.
    pub after: String,
    /// The same values, where they are numbers, lists or switches.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<FieldValues>,
}

impl FieldRow {
    /// Returns the value during the run, for display next to the faults: of a configuration that consists of these faults,
    /// only its length.
    #[must_use]
    pub fn during_text(&self) -> Cow<'_, str> {
        let is_configuration = [FAULTS_VARIABLE, HANDLER_FAULTS_VARIABLE]
            .iter()
            .any(|name| self.field.strip_prefix("variable ") == Some(name));
        // Without its value, the row has a word in its place.
        match is_configuration && self.during.starts_with('{') {
            true => Cow::Owned(format!("the faults above ({} characters)", self.during.chars().count())),
            false => Cow::Borrowed(&self.during),
        }
    }
}

/// The values of a field that is a number, a list or a switch, under the name of their unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum FieldValues {
    /// The reserved concurrency; null without one.
    ConcurrentExecutions(Phases<Option<u32>>),
    /// The timeout.
    Seconds(Phases<u32>),
    /// The memory.
    Megabytes(Phases<u32>),
    /// The layers, by ARN and in their order.
    LayerArns(Phases<Vec<String>>),
    /// Whether the event source mapping is enabled.
    Enabled(Phases<bool>),
}

/// A value before, during and after a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Phases<T> {
    /// Before the run.
    pub before: T,
    /// During the run.
    pub during: T,
    /// After the restore; absent for a field that was left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<T>,
}

impl<T: Clone> Phases<T> {
    /// A value that is restored.
    fn restored(before: &T, during: T) -> Self {
        Self { after: Some(before.clone()), before: before.clone(), during }
    }

    fn without_after(self) -> Self {
        Self { after: None, ..self }
    }
}

impl FieldValues {
    fn of(change: &Change) -> Option<Self> {
        let arns = |layers: &[LayerVersionArn]| layers.iter().map(ToString::to_string).collect::<Vec<String>>();
        match change {
            Change::ReservedConcurrency { original, injected } => {
                Some(Self::ConcurrentExecutions(Phases::restored(&original.as_option().copied(), Some(*injected))))
            }
            Change::Timeout { original, injected } => Some(Self::Seconds(Phases::restored(original, *injected))),
            Change::Memory { original, injected } => Some(Self::Megabytes(Phases::restored(original, *injected))),
            Change::Layers { original, added } => {
                Some(Self::LayerArns(Phases::restored(&arns(original), arns(&[&original[..], added].concat()))))
            }
            Change::Mapping { .. } => Some(Self::Enabled(Phases::restored(&true, false))),
            // These are text, or hidden.
            Change::Handler { .. } | Change::Variable { .. } => None,
        }
    }

    /// Without the values after the restore: the field was left alone.
    pub(super) fn without_after(self) -> Self {
        match self {
            Self::ConcurrentExecutions(values) => Self::ConcurrentExecutions(values.without_after()),
            Self::Seconds(values) => Self::Seconds(values.without_after()),
            Self::Megabytes(values) => Self::Megabytes(values.without_after()),
            Self::LayerArns(values) => Self::LayerArns(values.without_after()),
            Self::Enabled(values) => Self::Enabled(values.without_after()),
        }
    }
}

/// Renders one change.
#[must_use]
pub fn field_row(change: &Change) -> FieldRow {
    let (before, during) = match change {
        Change::ReservedConcurrency { original, injected } => (slot_text(original), injected.to_string()),
        Change::Handler { original, injected } => (original.to_string(), injected.to_string()),
        Change::Layers { original, added } => (layers_text(original), layers_text(original.iter().chain(added))),
        Change::Variable { name, original, injected } => {
            let during = match (presence(original), presence(injected)) {
                ("(hidden)", "(hidden)") => "(hidden, changed)".to_owned(),
                (_, during) => during.to_owned(),
            };
            (presence(original).to_owned(), own_value(name, injected).unwrap_or(during))
        }
        Change::Timeout { original, injected } => (format!("{original} s"), format!("{injected} s")),
        Change::Memory { original, injected } => (format!("{original} MB"), format!("{injected} MB")),
        Change::Mapping { .. } => ("enabled".to_owned(), "disabled".to_owned()),
    };
    FieldRow {
        field: change.field().to_string(),
        after: before.clone(),
        before,
        during,
        values: FieldValues::of(change),
    }
}

/// Returns the value of a variable that snapback itself has made: the configuration of its proxy and its chaos handler,
/// and its wrapper. All other values are the function's or the user's, and stay hidden. The records of an ended run
/// have no values.
fn own_value(name: &VariableName, injected: &Slot<Secret>) -> Option<String> {
    let value = injected.as_option()?.expose();
    let is_own = match name.as_str() {
        FAULTS_VARIABLE | HANDLER_FAULTS_VARIABLE => !value.is_empty(),
        WRAPPER_VARIABLE => value == PROXY_PATH,
        _ => false,
    };
    is_own.then(|| value.to_owned())
}
