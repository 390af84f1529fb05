//! The record of a run in the ledger.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::actor::Actor;
use crate::model::experiment::{Experiment, STARTUP_LIMIT};
use crate::model::names::{FunctionArn, RunId};
use crate::model::proxy_layers::ProxyLayers;
use crate::model::time::Time;

use super::status::{EndReason, RunStatus};
use super::stored::{StoredFields, StoredRun, entries, read, read_reason, unread_experiment};
use super::target::TargetKey;

/// The findings of the report on a run, after its restore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The conditions of the steady state that deviated; empty is `held`.
    pub deviations: Vec<String>,
    /// Why nothing shows that the faults took effect; `None` if something shows it, or if it was not checked.
    pub effect: Option<String>,
    /// How often faults inside invocations were injected, if the experiment has such faults.
    pub injected: Option<String>,
}

/// One execution of an experiment, as the ledger stores it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "StoredRun")]
pub struct Run {
    /// The run's ID, which is the name of its execution.
    pub id: RunId,
    /// Its status.
    pub status: RunStatus,
    /// The experiment. `None` in the marker that blocks a run that was stopped before it was recorded, and if `unread`
    /// has the reason.
    pub experiment: Option<Experiment>,
    /// Why this release cannot read the experiment, which another release has written. Such a run can be stopped,
    /// restored, closed and reported, but nothing new starts for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// Who started it, as the starter stated it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_by: Option<Actor>,
    /// The Step Functions execution.
    pub execution_arn: String,
    /// The functions that the targets resolved to.
    pub functions: Vec<FunctionArn>,
    /// The ARNs of the stop conditions' alarms.
    pub alarms: Vec<String>,
    /// The proxy's layers that the guardrails have checked. These are injected even if the stack is updated in the
    /// meantime.
    pub proxy_layers: ProxyLayers,
    /// The warnings of the plan.
    pub notes: Vec<String>,
    /// The seed with which the targets were drawn, if they were drawn.
    pub seed: Option<u64>,
    /// When the run was recorded.
    pub created_at: Time,
    /// The latest time at which the run ends. Faults that can, expire then.
    pub deadline: Time,
    /// When its duration ends, which starts at the end of the injection.
    pub ends_at: Option<Time>,
    /// When its rollback began.
    pub stopping_at: Option<Time>,
    /// Why it ends.
    pub reason: Option<EndReason>,
    /// Who ended it: snapback itself, an alarm, or a user, as the user stated it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<Actor>,
    /// When it was closed.
    pub closed_at: Option<Time>,
    /// What deviated after the restore. Empty means `held`; `None` means not checked, or no steady state.
    pub deviations: Option<Vec<String>>,
    /// Why nothing shows that the faults took effect; `None` if something shows it, or if it was not checked.
    pub effect: Option<String>,
    /// How often faults inside invocations were injected, if the experiment has such faults and this was checked.
    pub injected: Option<String>,
}

impl Run {
    /// Whether only the run's ID is known, because its record cannot be read, or is a marker in place of a missing
    /// record.
    #[must_use]
    pub fn is_without_record(&self) -> bool {
        self.is_marker() || (self.experiment.is_none() && self.created_at == Time(0))
    }

    /// Whether it is the marker in place of a record that is missing: that of a run whose start was prevented, above all.
    #[must_use]
    pub fn is_marker(&self) -> bool {
        self.experiment.is_none() && self.unread.is_none()
    }

    /// The status for readers. The marker of a prevented start is stored as failed, although nothing has failed: its reason
    /// tells what it is.
    #[must_use]
    pub fn reported_status(&self) -> RunStatus {
        match &self.reason {
            Some(reason)
                if self.is_marker() && self.status.is_final() && reason.final_status() == RunStatus::Stopped =>
            {
                RunStatus::Stopped
            }
            _ => self.status,
        }
    }

    /// When every fault was in place; `None` if the run ended before, or if its experiment cannot be read.
    #[must_use]
    pub fn in_place_at(&self) -> Option<Time> {
        Some(self.ends_at? - self.experiment.as_ref()?.duration.get())
    }

    /// Why it ends, for display. The timeout of a command ends a run as its user does, and is who ended it.
    #[must_use]
    pub fn reason_text(&self) -> Option<String> {
        match (&self.reason, &self.ended_by) {
            (Some(EndReason::UserRequest), Some(by)) if by.is_timeout() => {
                Some("stopped by the timeout of the command that started it".to_owned())
            }
            (reason, _) => reason.as_ref().map(ToString::to_string),
        }
    }

    /// The key of its target on this function.
    #[must_use]
    pub fn target_key<'a>(&'a self, function: &'a FunctionArn) -> TargetKey<'a> {
        TargetKey::new(&self.id, function)
    }

    /// Returns when the run should have ended. Before its duration has started, it has its startup limit to arm and
    /// inject, so a target that cannot be injected does not prolong the faults of the others.
    #[must_use]
    pub fn expected_end(&self) -> Time {
        let limit = self.experiment.as_ref().map_or(STARTUP_LIMIT, Experiment::startup_limit);
        self.ends_at.unwrap_or(self.created_at + limit).min(self.deadline)
    }
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
            // The ledger keeps the current status in a separate attribute; this is the status at the creation of the
            // run.
            status: read(stored.status).unwrap_or(RunStatus::Pending),
            experiment: experiment.filter(|_| unread.is_none()),
            unread,
            started_by: read(stored.started_by),
            execution_arn: read(stored.execution_arn).unwrap_or_default(),
            functions: entries::<FunctionArn>(stored.functions),
            alarms: entries(stored.alarms),
            proxy_layers: proxy_layers.unwrap_or_default(),
            notes: entries(stored.notes),
            seed: read(stored.seed),
            created_at,
            // An unreadable deadline counts as passed, so the reaper ends the run.
            deadline: read(stored.deadline).unwrap_or(created_at),
            ends_at: read(stored.ends_at),
            stopping_at: read(stored.stopping_at),
            reason: read_reason(stored.reason),
            ended_by: read(stored.ended_by),
            closed_at: read(stored.closed_at),
            deviations: read(stored.deviations),
            effect: read(stored.effect),
            injected: read(stored.injected),
        }
    }
}

impl Run {
    /// Returns a run of which only the ID can be read. It is past its end. The caller adds the functions of its
    /// targets.
    #[must_use]
    pub fn unreadable(id: RunId) -> Self {
        let stored = StoredRun { id, fields: StoredFields::default() };
        Self { unread: Some("its record cannot be read".to_owned()), ..Self::from(stored) }
    }
}
