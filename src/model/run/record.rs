//! A run, as the ledger keeps it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    /// That nothing shows that the faults took effect; `None` where something does, or nothing was asked.
    pub effect: Option<String>,
    /// How often faults inside invocations were injected, where the experiment has some.
    pub injected: Option<String>,
}

/// One execution of an experiment, as the ledger keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "StoredRun")]
pub struct Run {
    /// The run: the name of its execution.
    pub id: RunId,
    /// Its status.
    pub status: RunStatus,
    /// What was asked for; `None` in the marker that keeps a run that failed before it was written from starting, and
    /// where `unread` says why.
    pub experiment: Option<Experiment>,
    /// That its record is another release's, so that this one does not know what was asked for: such a run can be
    /// stopped, restored, closed and reported, and nothing new starts for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
    /// The Step Functions execution.
    pub execution_arn: String,
    /// The functions that the targets resolved to.
    pub functions: Vec<FunctionArn>,
    /// The stop-condition alarms' ARNs.
    pub alarms: Vec<String>,
    /// The proxy's layers that the guardrails have checked: the same ones are injected, even if the stack was updated since
    /// then.
    pub proxy_layers: ProxyLayers,
    /// What the plan pointed out and did not refuse.
    pub notes: Vec<String>,
    /// What was drawn with, where chance chose the targets.
    pub seed: Option<u64>,
    /// When it was written.
    pub created_at: Time,
    /// When it ends at the latest, whatever happens.
    pub deadline: Time,
    /// When its duration ends: counted from the end of the injection.
    pub ends_at: Option<Time>,
    /// When it began to be rolled back.
    pub stopping_at: Option<Time>,
    /// Why it ends.
    pub reason: Option<EndReason>,
    /// When it was closed.
    pub closed_at: Option<Time>,
    /// What deviated after the restore: empty is `held`; `None` is not checked yet, or no steady state.
    pub deviations: Option<Vec<String>>,
    /// That nothing shows that the faults took effect; `None` where something does, or nothing was asked.
    pub effect: Option<String>,
    /// How often faults inside invocations were injected, where the experiment has some and the report has checked it.
    pub injected: Option<String>,
}

impl Run {
    /// Whether only its name is known: its record cannot be read, or is the marker that is written in place of a missing
    /// record.
    #[must_use]
    pub fn is_without_record(&self) -> bool {
        self.experiment.is_none() && (self.unread.is_none() || self.created_at == Time(0))
    }

    /// The key of its target on this function.
    #[must_use]
    pub fn target_key<'a>(&'a self, function: &'a FunctionArn) -> TargetKey<'a> {
        TargetKey::new(&self.id, function)
    }

    /// When the run should have ended, as far as it is known: until its duration has begun, it has its startup limit to arm
    /// and inject, so that a target that cannot be injected does not keep the others in their fault.
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
