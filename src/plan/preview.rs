//! A plan as a value for display: what a run would do, to which functions, and what would end it.

use serde::Serialize;

use crate::model::describe::describe;
use crate::model::experiment::Experiment;
use crate::model::facts::{AlarmFact, Draw, Facts};
use crate::model::function::Observation;
use crate::model::names::AlarmName;
use crate::model::refusal::Refusal;
use crate::model::steady_state::{Condition, ReadValue};

use super::changes::ChangeSet;
use super::field_row::{FieldRow, field_row};
use super::guardrails::Evaluation;

/// One target of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TargetPlan {
    /// The function's name.
    pub function: String,
    /// Its ARN.
    pub arn: String,
    /// What changes; empty while another run has locked the function.
    pub fields: Vec<FieldRow>,
}

/// A condition, and what was read of it for the plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ConditionNow {
    /// The condition.
    pub condition: String,
    /// What was read, for display.
    pub now: String,
    /// The metric's value, in the unit of the metric; absent without data, and for an alarm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Whether the alarm is in ALARM; absent if there is no such alarm, and for a metric.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_alarm: Option<bool>,
    /// Whether it holds.
    pub holds: bool,
}

impl ConditionNow {
    fn of(condition: String, read: ReadValue, holds: bool) -> Self {
        let (value, in_alarm) = match read {
            ReadValue::Metric(value) => (value, None),
            ReadValue::Alarm(in_alarm) => (None, in_alarm),
        };
        Self { condition, now: read.to_string(), value, in_alarm, holds }
    }
}

/// A whole plan.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PlanView {
    /// The experiment's name.
    pub experiment: String,
    /// What each fault does to which invocations, for display.
    pub faults: Vec<String>,
    /// How long the faults stay, as an ISO 8601 duration.
    pub duration: String,
    /// The same in seconds.
    pub duration_seconds: u32,
    /// The alarms that end the run.
    pub stop_conditions: Vec<String>,
    /// These alarms, with their state.
    pub stop_conditions_now: Vec<ConditionNow>,
    /// The conditions of the steady state.
    pub steady_state: Vec<String>,
    /// These conditions, with what was read of them.
    pub steady_state_now: Vec<ConditionNow>,
    /// The seed with which `select` drew, if it chose at random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// Whether the seed itself was random, so a run draws another one.
    pub seed_is_drawn: bool,
    /// How many functions have the tags of each tagged target, and how many of them were drawn.
    pub draws: Vec<Draw>,
    /// How many functions the targets resolve to. Over the stack's limit, not all of them are in `targets`.
    pub target_count: usize,
    /// What happens to each target.
    pub targets: Vec<TargetPlan>,
    /// Warnings.
    pub warnings: Vec<String>,
    /// The reasons for which a run would not start.
    pub refusals: Vec<Refusal>,
}

/// Renders an evaluation and the facts that it was made on.
#[must_use]
pub fn plan_view(experiment: &Experiment, facts: &Facts, evaluation: &Evaluation) -> PlanView {
    let target = |(seen, changes): &(Observation, ChangeSet)| TargetPlan {
        function: seen.arn.name().to_owned(),
        arn: seen.arn.to_string(),
        fields: changes.changes.iter().map(field_row).collect(),
    };
    let stop_conditions = experiment.stop_conditions.iter().map(|stop| &stop.alarm);
    PlanView {
        experiment: experiment.name.to_string(),
        faults: experiment.faults.iter().map(describe).collect(),
        duration: experiment.duration.to_string(),
        duration_seconds: experiment.duration.seconds(),
        stop_conditions: stop_conditions.clone().map(|alarm| alarm.name().to_owned()).collect(),
        stop_conditions_now: stop_conditions.map(|alarm| alarm_now(alarm, facts)).collect(),
        steady_state: experiment.steady_state.iter().map(ToString::to_string).collect(),
        steady_state_now: experiment.steady_state.iter().map(|condition| condition_now(condition, facts)).collect(),
        seed: facts.seed,
        seed_is_drawn: facts.seed.is_some() && experiment.seed.is_none(),
        draws: facts.draws.clone(),
        target_count: facts.target_count,
        targets: evaluation.targets.iter().map(target).collect(),
        warnings: [evaluation.warnings.clone(), evaluation.reminders.clone()].concat(),
        refusals: evaluation.refusals.clone(),
    }
}

fn alarm_now(alarm: &AlarmName, facts: &Facts) -> ConditionNow {
    let fact: Option<&AlarmFact> =
        facts.alarms.iter().find(|(name, _)| name == alarm).and_then(|(_, fact)| fact.as_ref());
    let value = ReadValue::Alarm(fact.map(|fact| fact.in_alarm));
    ConditionNow::of(alarm.name().to_owned(), value, value == ReadValue::Alarm(Some(false)))
}

fn condition_now(condition: &Condition, facts: &Facts) -> ConditionNow {
    match (facts.steady_state.iter().find(|reading| reading.condition == *condition), condition) {
        (Some(reading), _) => ConditionNow::of(condition.to_string(), reading.value, reading.deviation().is_none()),
        (None, Condition::Alarm(alarm)) => ConditionNow { condition: condition.to_string(), ..alarm_now(alarm, facts) },
        (None, Condition::Metric { .. }) => ConditionNow::of(condition.to_string(), ReadValue::Metric(None), false),
    }
}
