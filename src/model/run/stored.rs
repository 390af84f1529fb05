//! Reads a run from the ledger leniently, because another release may have written it.
//!
//! The input type of an experiment refuses unknown fields and values out of bounds. A stored run must be readable by
//! every release that may have to end it, so this type has no bounds, ignores unknown fields, and tolerates absent
//! ones.
//!
//! If this release does not understand every part of the experiment, it does not guess: [`super::Run::unread`] has the
//! reason, and nothing is armed or injected. Such a run can still be stopped, restored from its targets' records,
//! closed, retired and reported.

use serde::Deserialize;
use serde_json::Value;

use crate::model::names::RunId;
use crate::model::text::shorten;

use super::status::EndReason;

/// A stored run.
#[derive(Debug, Deserialize)]
pub(super) struct StoredRun {
    pub(super) id: RunId,
    #[serde(flatten)]
    pub(super) fields: StoredFields,
}

/// The fields, each read separately, so that one unreadable field does not block the others.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct StoredFields {
    pub(super) status: Value,
    pub(super) experiment: Value,
    pub(super) unread: Value,
    pub(super) started_by: Value,
    pub(super) execution_arn: Value,
    pub(super) functions: Value,
    pub(super) alarms: Value,
    pub(super) proxy_layers: Value,
    pub(super) notes: Value,
    pub(super) seed: Value,
    pub(super) created_at: Value,
    pub(super) deadline: Value,
    pub(super) ends_at: Value,
    pub(super) stopping_at: Value,
    pub(super) reason: Value,
    pub(super) ended_by: Value,
    pub(super) closed_at: Value,
    pub(super) deviations: Value,
    pub(super) effect: Value,
    pub(super) injected: Value,
}

/// Reads why a run ended. An unknown reason, from another release, becomes an error: such a run must not look
/// successful.
#[must_use]
pub fn read_reason(stored: Value) -> Option<EndReason> {
    if stored.is_null() {
        return None;
    }
    let kind = stored.get("kind").and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let unknown = || EndReason::Error { error: "UnknownReason".into(), cause: shorten(&kind) };
    Some(read(stored).unwrap_or_else(unknown))
}

pub(super) fn read<T: for<'de> Deserialize<'de>>(value: Value) -> Option<T> {
    T::deserialize(value).ok()
}

/// Reads the entries of a list that can be read.
pub(super) fn entries<T: for<'de> Deserialize<'de>>(list: Value) -> Vec<T> {
    match list {
        Value::Array(entries) => entries.into_iter().filter_map(read).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn unread_experiment(experiment: &Value) -> String {
    match experiment.get("name").and_then(Value::as_str) {
        Some(name) => format!("its experiment ({}) was written by another release", shorten(name)),
        None => "its experiment was written by another release".to_owned(),
    }
}
