//! Reads alarms and metrics: whether the steady state holds, and whether a stop condition is met.

use std::time::Duration;

use crate::model::actor::Actor;
use crate::model::experiment::Experiment;
use crate::model::facts::AlarmFact;
use crate::model::names::AlarmName;
use crate::model::run::{EndReason, RunEnding};
use crate::model::steady_state::{Condition, Metric, ReadValue, Reading};
use crate::model::time::Time;
use crate::ports::{AlarmError, World};

use super::effect::MAX_EFFECT_WAIT;
use super::retry::retry;

/// The longest delay of a metric, and the longest time for which the value of an ended period may still grow. Inferred:
/// no AWS page has a figure.
pub const MAX_METRIC_DELAY: Duration = Duration::from_secs(60);
/// The number of periods that are searched for one with data.
const PERIODS: i64 = 3;

/// Returns the conditions that do not hold now, for display; empty means `held`. If `since` is given, only periods of
/// metrics count that begin at that time or later.
///
/// # Errors
/// When CloudWatch cannot be read: not knowing is not holding.
pub async fn deviations(
    world: &impl World,
    conditions: &[Condition],
    since: Option<Time>,
) -> Result<Vec<String>, AlarmError> {
    Ok(readings(world, conditions, since).await?.iter().filter_map(Reading::deviation).collect())
}

/// Reads each condition, in order. If `since` is given, only periods of metrics count that begin at that time or later.
///
/// # Errors
/// When CloudWatch cannot be read.
pub async fn readings(
    world: &impl World,
    conditions: &[Condition],
    since: Option<Time>,
) -> Result<Vec<Reading>, AlarmError> {
    let alarms = conditions.iter().filter_map(|condition| match condition {
        Condition::Alarm(alarm) => Some(alarm.clone()),
        Condition::Metric { .. } => None,
    });
    let alarms: Vec<AlarmName> = alarms.collect();
    let mut facts = facts(world, &alarms).await?.into_iter().map(|(_, fact)| fact);
    let mut readings = Vec::new();
    for condition in conditions {
        let value = match condition {
            Condition::Alarm(_) => ReadValue::Alarm(facts.next().flatten().map(|fact| fact.in_alarm)),
            Condition::Metric { metric, .. } => ReadValue::Metric(metric_value(world, metric, since).await?),
        };
        readings.push(Reading { condition: condition.clone(), value });
    }
    Ok(readings)
}

/// Returns the value of a metric's last complete period; `None` is no data.
async fn metric_value(world: &impl World, metric: &Metric, since: Option<Time>) -> Result<Option<f64>, AlarmError> {
    let Some((from, until)) = periods(metric.period.get(), world.now(), since) else { return Ok(None) };
    let values = retry(world, || world.metrics(std::slice::from_ref(metric), from, until)).await?;
    Ok(values.first().and_then(|values| values.first().copied()))
}

/// Returns the beginning and the end of the periods to check: the last ones that ended at least [`MAX_METRIC_DELAY`]
/// ago and begin at `since` or later. `None` if there is no such period yet.
#[must_use]
pub fn periods(period: Duration, now: Time, since: Option<Time>) -> Option<(Time, Time)> {
    // Periods begin and end at multiples of their length in seconds since the epoch.
    let period = period.as_secs().cast_signed();
    let bound = |seconds: i64| seconds.div_euclid(period) * period;
    let until = bound((now - MAX_METRIC_DELAY).epoch_seconds());
    // Round up, because a period that began before `since` does not count.
    let earliest = since.map(|since| bound((since.0 + 999).div_euclid(1000) + period - 1));
    let from = earliest.unwrap_or(i64::MIN).max(until - PERIODS * period);
    (from < until).then_some((Time(from * 1000), Time(until * 1000)))
}

/// Returns the ending of a run that the alarms end, if they do: one is in ALARM, or was deleted and could no longer
/// end the run.
///
/// # Errors
/// If CloudWatch cannot be read.
pub async fn tripped(world: &impl World, alarms: &[AlarmName]) -> Result<Option<RunEnding>, AlarmError> {
    let ending = |(alarm, fact): (&AlarmName, Option<AlarmFact>)| match fact {
        Some(fact) if fact.in_alarm => {
            let reason = EndReason::Alarm { alarm: alarm.name().to_owned() };
            Some(RunEnding::by(reason, Some(Actor::alarm(&fact.arn))))
        }
        Some(_) => None,
        None => Some(EndReason::AlarmDeleted { alarm: alarm.name().to_owned() }.into()),
    };
    Ok(facts(world, alarms).await?.into_iter().find_map(ending))
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

/// Returns how long after the restore these conditions can be checked. An alarm can be checked immediately; a metric
/// when a whole period has passed since the restore and its value has arrived.
#[must_use]
pub fn checkable_after(conditions: &[Condition]) -> Duration {
    let waits = conditions.iter().map(|condition| match condition {
        Condition::Alarm(_) => Duration::ZERO,
        Condition::Metric { metric, .. } => 2 * metric.period.get() + MAX_METRIC_DELAY,
    });
    waits.max().unwrap_or_default()
}

/// Returns how long after the restore a run is checked at the latest. Until then, its steady state may recover, and the
/// metrics of its faults may arrive.
#[must_use]
pub fn checked_by(experiment: &Experiment) -> Duration {
    let steady = checkable_after(&experiment.steady_state).max(experiment.recovery.get());
    if experiment.counts_faults() { steady.max(MAX_EFFECT_WAIT) } else { steady }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_checked_period_ended_a_minute_ago() {
        let at = |seconds: i64| Time(seconds * 1000);
        let minute = Duration::from_secs(60);
        // Of a metric by the minute, at 10:03:59 the last period is the one from 10:01 to 10:02.
        let ten = 36_000;
        assert_eq!(periods(minute, at(ten + 239), None), Some((at(ten - 60), at(ten + 120))));
        assert_eq!(periods(minute, at(ten + 240), None), Some((at(ten), at(ten + 180))));
        assert_eq!(periods(5 * minute, at(ten + 359), None), Some((at(ten - 900), at(ten))));
        // After a restore in the middle of a minute, the first whole one counts.
        assert_eq!(periods(minute, at(ten + 179), Some(Time(ten * 1000 + 1))), None);
        assert_eq!(periods(minute, at(ten + 180), Some(Time(ten * 1000 + 1))), Some((at(ten + 60), at(ten + 120))));
        assert_eq!(periods(minute, at(ten + 120), Some(at(ten))), Some((at(ten), at(ten + 60))));
        assert_eq!(periods(minute, at(ten + 119), Some(at(ten))), None);
    }
}
