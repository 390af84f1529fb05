//! Reading the steady state.

use crate::model::experiment::Experiment;
use crate::model::names::AlarmName;
use crate::model::run::EndReason;
use crate::model::steady_state::Condition;
use crate::model::time::Time;
use crate::plan::guardrails::AlarmFact;
use crate::ports::{AlarmError, World};

use super::retry::retry;

/// Seconds by which a metric may come late.
const METRIC_DELAY: i64 = 60;

/// The conditions that do not hold now, for people; empty is `held`. Metrics are judged by periods that begin at
/// `since` or later, where it is given.
///
/// # Errors
/// When CloudWatch cannot be read: not knowing is not holding.
pub async fn deviations(
    world: &impl World,
    conditions: &[Condition],
    since: Option<Time>,
) -> Result<Vec<String>, AlarmError> {
    let alarms: Vec<AlarmName> = conditions
        .iter()
        .filter_map(|condition| match condition {
            Condition::Alarm(alarm) => Some(alarm.clone()),
            Condition::Metric { .. } => None,
        })
        .collect();
    let mut deviations = Vec::new();
    for (alarm, fact) in facts(world, &alarms).await? {
        match fact {
            Some(fact) if fact.in_alarm => deviations.push(format!("alarm {} is in ALARM", alarm.name())),
            Some(_) => {}
            None => deviations.push(format!("there is no alarm {}", alarm.name())),
        }
    }
    for condition in conditions {
        let Condition::Metric { metric, bound } = condition else { continue };
        let value = retry(world, || world.metric(metric, world.now(), since)).await?;
        if !bound.holds(value) {
            let now = value.map_or_else(|| "no data".to_owned(), |value| value.to_string());
            deviations.push(format!("{condition}, but it is {now}"));
        }
    }
    Ok(deviations)
}

/// Why the alarms end a run, if they do: one is in ALARM, or was deleted, so that nobody watches any more.
///
/// # Errors
/// When CloudWatch cannot be read.
pub async fn tripped(world: &impl World, alarms: &[AlarmName]) -> Result<Option<EndReason>, AlarmError> {
    let reason = |(alarm, fact): (&AlarmName, Option<AlarmFact>)| match fact {
        Some(fact) if fact.in_alarm => Some(EndReason::Alarm { alarm: alarm.name().to_owned() }),
        Some(_) => None,
        None => Some(EndReason::AlarmGone { alarm: alarm.name().to_owned() }),
    };
    Ok(facts(world, alarms).await?.into_iter().find_map(reason))
}

async fn facts<'a>(
    world: &impl World,
    alarms: &'a [AlarmName],
) -> Result<Vec<(&'a AlarmName, Option<AlarmFact>)>, AlarmError> {
    if alarms.is_empty() {
        return Ok(Vec::new());
    }
    let facts = retry(world, || world.alarms(alarms)).await?;
    Ok(alarms.iter().zip(facts).collect())
}

/// Seconds after the restore from which its conditions can be judged: an alarm at once, a metric when a whole period of
/// it has passed since, and has come in. Metrics of AWS's own come a minute late or so.
#[must_use]
pub fn judgeable(conditions: &[Condition]) -> i64 {
    let seconds = conditions.iter().map(|condition| match condition {
        Condition::Alarm(_) => 0,
        Condition::Metric { metric, .. } => 2 * i64::from(metric.period.seconds()) + METRIC_DELAY,
    });
    seconds.max().unwrap_or(0)
}

/// Seconds after the restore by which the steady state is judged at the latest: until then, it may still recover.
#[must_use]
pub fn judged_by(experiment: &Experiment) -> i64 {
    judgeable(&experiment.steady_state).max(i64::from(experiment.recovery.seconds()))
}
