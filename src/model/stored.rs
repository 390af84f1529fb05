//! Reads a run from the ledger leniently, because another release may have written it.
//!
//! The input type of an experiment refuses what it does not know, and every value out of its bounds. A stored run must be
//! readable by every release that may have to end it, so this type has no bounds, ignores fields that it does not know,
//! and does without any that is absent. An experiment that this release does not understand to the letter is not guessed
//! at: the run then says so in [`Run::unread`], nothing is armed or injected for it, and it can be stopped, restored (from
//! its targets' own records), closed, retired and reported.

use serde::Deserialize;
use serde_json::Value;

use super::names::{FunctionArn, RunId};
use super::proxy_layers::ProxyLayers;
use super::run::{EndReason, Run, RunStatus};
use super::text::shorten;
use super::time::Time;

/// A stored run.
#[derive(Debug, Deserialize)]
pub(super) struct StoredRun {
    id: RunId,
    #[serde(flatten)]
    fields: StoredFields,
}

/// The fields, each read separately, so that one unreadable field does not block the others.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct StoredFields {
    status: Value,
    experiment: Value,
    unread: Value,
    execution_arn: Value,
    functions: Value,
    alarms: Value,
    proxy_layers: Value,
    notes: Value,
    seed: Value,
    created_at: Value,
    deadline: Value,
    ends_at: Value,
    stopping_at: Value,
    reason: Value,
    closed_at: Value,
    deviations: Value,
    effect: Value,
    injected: Value,
}

impl From<StoredRun> for Run {
    fn from(stored: StoredRun) -> Self {
        let StoredRun { id, fields: stored } = stored;
        let (experiment, mut unread) = match stored.experiment {
            Value::Null => (None, read(stored.unread)),
            experiment => match read(experiment.clone()) {
                Some(experiment) => (Some(experiment), None),
                None => (None, Some(unread_experiment(&experiment))),
            },
        };
        let proxy_layers: Option<ProxyLayers> = match stored.proxy_layers {
            Value::Null => Some(ProxyLayers::default()),
            layers => read(layers),
        };
        if proxy_layers.is_none() {
            unread.get_or_insert_with(|| "its proxy layers were written by another release".to_owned());
        }
        let created_at = read(stored.created_at).unwrap_or(Time(0));
        Self {
            id,
            // The ledger keeps the current status in a separate attribute; this is the status at the creation of the run.
            status: read(stored.status).unwrap_or(RunStatus::Pending),
            experiment: experiment.filter(|_| unread.is_none()),
            unread,
            execution_arn: read(stored.execution_arn).unwrap_or_default(),
            functions: entries::<FunctionArn>(stored.functions),
            alarms: entries(stored.alarms),
            proxy_layers: proxy_layers.unwrap_or_default(),
            notes: entries(stored.notes),
            seed: read(stored.seed),
            created_at,
            // Without a readable deadline, the deadline has passed, so that the run is ended.
            deadline: read(stored.deadline).unwrap_or(created_at),
            ends_at: read(stored.ends_at),
            stopping_at: read(stored.stopping_at),
            reason: read_reason(stored.reason),
            closed_at: read(stored.closed_at),
            deviations: read(stored.deviations),
            effect: read(stored.effect),
            injected: read(stored.injected),
        }
    }
}

impl Run {
    /// A run of which only the name can be read. It is past its end, and its functions are those of its targets.
    #[must_use]
    pub fn unreadable(id: RunId) -> Self {
        let stored = StoredRun { id, fields: StoredFields::default() };
        Self { unread: Some("its record cannot be read".to_owned()), ..Self::from(stored) }
    }
}

/// Reads why a run ended. An unknown reason, from another release, becomes an error: such a run must not look successful.
#[must_use]
pub fn read_reason(stored: Value) -> Option<EndReason> {
    if stored.is_null() {
        return None;
    }
    let kind = stored.get("kind").and_then(Value::as_str).unwrap_or("unknown").to_owned();
    let unknown = || EndReason::Error { error: "UnknownReason".into(), cause: shorten(&kind) };
    Some(read(stored).unwrap_or_else(unknown))
}

fn read<T: for<'de> Deserialize<'de>>(value: Value) -> Option<T> {
    T::deserialize(value).ok()
}

/// Reads the entries of a list that can be read.
fn entries<T: for<'de> Deserialize<'de>>(list: Value) -> Vec<T> {
    match list {
        Value::Array(entries) => entries.into_iter().filter_map(read).collect(),
        _ => Vec::new(),
    }
}

fn unread_experiment(experiment: &Value) -> String {
    match experiment.get("name").and_then(Value::as_str) {
        Some(name) => format!("its experiment ({}) was written by another release", shorten(name)),
        None => "its experiment was written by another release".to_owned(),
    }
}
