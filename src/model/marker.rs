//! The marker of a run that was stopped before its record was written.

use super::names::RunId;
use super::proxy_layers::ProxyLayers;
use super::run::{Run, RunEnding, RunStatus};
use super::time::Time;

/// The marker that `stop_run` writes if there is no run yet: a concurrent `Prepare` then finds the name in use.
#[must_use]
pub fn stopped_marker(id: &RunId, ending: &RunEnding, now: Time) -> Run {
    Run {
        id: id.clone(),
        status: RunStatus::Failed,
        experiment: None,
        unread: None,
        started_by: None,
        execution_arn: String::new(),
        functions: Vec::new(),
        alarms: Vec::new(),
        proxy_layers: ProxyLayers::default(),
        notes: Vec::new(),
        seed: None,
        created_at: now,
        deadline: now,
        ends_at: None,
        stopping_at: Some(now),
        reason: Some(ending.reason.clone()),
        ended_by: ending.by.clone(),
        closed_at: Some(now),
        deviations: None,
        effect: None,
        injected: None,
    }
}
