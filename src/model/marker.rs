//! The marker of a run that was stopped before its record was written.

use super::names::RunId;
use super::proxy_layers::ProxyLayers;
use super::run::{EndReason, Run, RunStatus};
use super::time::Time;

/// The marker that `stop_run` writes if there is no run yet: a concurrent `Prepare` then finds the name in use.
#[must_use]
pub fn stopped_marker(id: &RunId, reason: &EndReason, now: Time) -> Run {
    Run {
        id: id.clone(),
        status: RunStatus::Failed,
        experiment: None,
        unread: None,
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
        reason: Some(reason.clone()),
        closed_at: Some(now),
        deviations: None,
        effect: None,
        injected: None,
    }
}
