//! Reading the steady state.

use crate::model::names::AlarmName;
use crate::model::steady_state::Condition;
use crate::ports::{AlarmError, World};

use super::retry::retry;

/// The conditions that do not hold now, for people; empty is `held`.
///
/// # Errors
/// When CloudWatch cannot be read: not knowing is not holding.
pub async fn deviations(world: &impl World, conditions: &[Condition]) -> Result<Vec<String>, AlarmError> {
    let alarms: Vec<AlarmName> = conditions
        .iter()
        .filter_map(|condition| match condition {
            Condition::Alarm(alarm) => Some(alarm.clone()),
            Condition::Metric { .. } => None,
        })
        .collect();
    let mut deviations = Vec::new();
    for alarm in tripped(world, &alarms).await? {
        deviations.push(format!("alarm {alarm} is in ALARM"));
    }
    for condition in conditions {
        let Condition::Metric { metric, bound } = condition else { continue };
        let value = retry(world, || world.metric(metric, world.now())).await?;
        if !bound.holds(value) {
            let now = value.map_or_else(|| "no data".to_owned(), |value| value.to_string());
            deviations.push(format!("{condition}, but it is {now}"));
        }
    }
    Ok(deviations)
}

/// The names of those alarms that are in ALARM.
///
/// # Errors
/// When CloudWatch cannot be read.
pub async fn tripped(world: &impl World, alarms: &[AlarmName]) -> Result<Vec<String>, AlarmError> {
    if alarms.is_empty() {
        return Ok(Vec::new());
    }
    let facts = retry(world, || world.alarms(alarms)).await?;
    let tripped = alarms.iter().zip(facts).filter(|(_, fact)| fact.as_ref().is_some_and(|fact| fact.in_alarm));
    Ok(tripped.map(|(alarm, _)| alarm.name().to_owned()).collect())
}
