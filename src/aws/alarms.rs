//! Amazon CloudWatch.

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    AlarmType, CompositeAlarm, Dimension, Metric as CloudWatchMetric, MetricAlarm, MetricDataQuery, MetricStat, ScanBy,
    StateValue,
};

use crate::model::names::AlarmName;
use crate::model::steady_state::Metric;
use crate::model::time::Time;
use crate::plan::guardrails::AlarmFact;
use crate::ports::{AlarmError, Alarms};

use super::AwsWorld;
use super::errors::alarm_error;

/// Periods to look back: a metric of AWS's own arrives with a delay of a minute or two.
const PERIODS: i64 = 3;

impl Alarms for AwsWorld {
    async fn alarms(&self, names: &[AlarmName]) -> Result<Vec<Option<AlarmFact>>, AlarmError> {
        // Without the types, composite alarms are left out (AmazonCloudWatch/latest/APIReference/API_DescribeAlarms).
        let found = self
            .cloudwatch
            .describe_alarms()
            .set_alarm_names(Some(names.iter().map(|name| name.name().to_owned()).collect()))
            .alarm_types(AlarmType::MetricAlarm)
            .alarm_types(AlarmType::CompositeAlarm)
            .send()
            .await
            .map_err(alarm_error)?;
        let metric = found.metric_alarms().iter().filter_map(metric_fact);
        let facts: Vec<AlarmFact> = metric.chain(found.composite_alarms().iter().filter_map(composite_fact)).collect();
        let fact = |name: &AlarmName| {
            let same = |fact: &&AlarmFact| match name.is_arn() {
                true => fact.arn == name.as_str(),
                false => fact.arn.split_once(":alarm:").is_some_and(|(_, own)| own == name.name()),
            };
            facts.iter().find(same).cloned()
        };
        Ok(names.iter().map(fact).collect())
    }

    async fn metric(&self, metric: &Metric, now: Time, since: Option<Time>) -> Result<Option<f64>, AlarmError> {
        let period = i64::from(metric.period.seconds());
        let end = now.epoch_seconds().div_euclid(period) * period;
        let earliest = since.map(|since| (since.epoch_seconds() + period - 1).div_euclid(period) * period);
        let start = earliest.unwrap_or(end - PERIODS * period).max(end - PERIODS * period);
        if start >= end {
            return Ok(None);
        }
        let answer = self
            .cloudwatch
            .get_metric_data()
            .start_time(DateTime::from_secs(start))
            .end_time(DateTime::from_secs(end))
            .scan_by(ScanBy::TimestampDescending)
            .metric_data_queries(query(metric)?)
            .send()
            .await
            .map_err(alarm_error)?;
        Ok(answer.metric_data_results().first().and_then(|result| result.values().first().copied()))
    }
}

fn metric_fact(alarm: &MetricAlarm) -> Option<AlarmFact> {
    Some(AlarmFact { arn: alarm.alarm_arn()?.to_owned(), in_alarm: alarm.state_value() == Some(&StateValue::Alarm) })
}

fn composite_fact(alarm: &CompositeAlarm) -> Option<AlarmFact> {
    Some(AlarmFact { arn: alarm.alarm_arn()?.to_owned(), in_alarm: alarm.state_value() == Some(&StateValue::Alarm) })
}

fn query(metric: &Metric) -> Result<MetricDataQuery, AlarmError> {
    let dimensions = metric.dimensions.iter().map(|(name, value)| Dimension::builder().name(name).value(value).build());
    let what = CloudWatchMetric::builder()
        .namespace(&metric.namespace)
        .metric_name(&metric.name)
        .set_dimensions(Some(dimensions.collect()))
        .build();
    let period = i32::try_from(metric.period.seconds()).unwrap_or(i32::MAX);
    let stat = MetricStat::builder().metric(what).period(period).stat(metric.statistic.as_str()).build();
    Ok(MetricDataQuery::builder().id("steady").metric_stat(stat).return_data(true).build())
}
