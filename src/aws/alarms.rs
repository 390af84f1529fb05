//! The port to Amazon CloudWatch.
//!
//! A metric that is not complete is an error, never an empty list of values.

use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    AlarmType, CompositeAlarm, Dimension, Metric as CloudWatchMetric, MetricAlarm, MetricDataQuery, MetricDataResult,
    MetricStat, ScanBy, StateValue, StatusCode,
};

use crate::model::facts::AlarmFact;
use crate::model::names::AlarmName;
use crate::model::steady_state::Metric;
use crate::model::time::Time;
use crate::ports::{AlarmError, Alarms};

use super::AwsWorld;
use super::errors::alarm_error;

/// The maximum number of queries in one call (AmazonCloudWatch/latest/APIReference/API_GetMetricData).
const MAX_QUERIES: usize = 500;
/// The prefix of the queries' identifiers. A number follows.
const QUERY_PREFIX: &str = "m";

impl Alarms for AwsWorld {
    async fn alarms(&self, names: &[AlarmName]) -> Result<Vec<Option<AlarmFact>>, AlarmError> {
        // Without the types, the response has no composite alarms
        // (AmazonCloudWatch/latest/APIReference/API_DescribeAlarms).
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

    async fn periods(&self, metrics: &[Metric], from: Time, until: Time) -> Result<Vec<Vec<(Time, f64)>>, AlarmError> {
        let mut values = Vec::new();
        for metrics in metrics.chunks(MAX_QUERIES) {
            values.extend(self.metrics_of_one_call(metrics, from, until).await?);
        }
        Ok(values)
    }
}

impl AwsWorld {
    async fn metrics_of_one_call(
        &self,
        metrics: &[Metric],
        from: Time,
        until: Time,
    ) -> Result<Vec<Vec<(Time, f64)>>, AlarmError> {
        let queries: Vec<MetricDataQuery> = metrics.iter().enumerate().map(|(at, metric)| query(at, metric)).collect();
        let mut found = vec![Series::default(); metrics.len()];
        let mut token = None;
        loop {
            let page = self
                .cloudwatch
                .get_metric_data()
                .start_time(DateTime::from_secs(from.epoch_seconds()))
                .end_time(DateTime::from_secs(until.epoch_seconds()))
                .scan_by(ScanBy::TimestampDescending)
                .set_metric_data_queries(Some(queries.clone()))
                .set_next_token(token)
                .send()
                .await
                .map_err(alarm_error)?;
            if let Some(message) = page.messages().first() {
                return Err(unknown("GetMetricData", message.value().unwrap_or("a message without text")));
            }
            for result in page.metric_data_results() {
                let at = result
                    .id()
                    .and_then(|id| id.strip_prefix(QUERY_PREFIX))
                    .and_then(|number| number.parse::<usize>().ok());
                let Some((series, metric)) = at.and_then(|at| found.get_mut(at).zip(metrics.get(at))) else { continue };
                series.add(result, metric)?;
            }
            token = page.next_token().map(str::to_owned);
            if token.is_none() {
                break;
            }
        }
        found.into_iter().zip(metrics).map(|(series, metric)| series.complete(metric)).collect()
    }
}

/// The periods of one metric that have been received.
#[derive(Clone, Debug, Default)]
struct Series {
    values: Vec<(Time, f64)>,
    is_complete: bool,
}

impl Series {
    /// Adds a page. Only `Complete` without values means "no data". After `PartialData`, the rest is in the next page
    /// or missing (AmazonCloudWatch/latest/APIReference/API_MetricDataResult).
    fn add(&mut self, result: &MetricDataResult, metric: &Metric) -> Result<(), AlarmError> {
        if let Some(message) = result.messages().first() {
            return Err(unknown(&metric.name, message.value().unwrap_or("a message without text")));
        }
        let beginnings = result.timestamps().iter().map(|at| Time(at.secs() * 1000));
        self.values.extend(beginnings.zip(result.values().iter().copied()));
        self.is_complete = match result.status_code() {
            Some(StatusCode::Complete) => true,
            Some(StatusCode::PartialData) => false,
            Some(StatusCode::Forbidden) => {
                return Err(AlarmError::Unusable(format!("{} {}: Forbidden", metric.namespace, metric.name)));
            }
            other => return Err(unknown(&metric.name, other.map_or("no status", StatusCode::as_str))),
        };
        Ok(())
    }

    fn complete(self, metric: &Metric) -> Result<Vec<(Time, f64)>, AlarmError> {
        if self.is_complete {
            Ok(self.values)
        } else {
            Err(unknown(&metric.name, "CloudWatch returned only a part of the data"))
        }
    }
}

fn unknown(what: &str, why: &str) -> AlarmError {
    AlarmError::Unavailable(format!("{what}: {why}"))
}

fn metric_fact(alarm: &MetricAlarm) -> Option<AlarmFact> {
    Some(AlarmFact { arn: alarm.alarm_arn()?.to_owned(), in_alarm: alarm.state_value() == Some(&StateValue::Alarm) })
}

fn composite_fact(alarm: &CompositeAlarm) -> Option<AlarmFact> {
    Some(AlarmFact { arn: alarm.alarm_arn()?.to_owned(), in_alarm: alarm.state_value() == Some(&StateValue::Alarm) })
}

fn query(at: usize, metric: &Metric) -> MetricDataQuery {
    let dimensions = metric.dimensions.iter().map(|(name, value)| Dimension::builder().name(name).value(value).build());
    let what = CloudWatchMetric::builder()
        .namespace(&metric.namespace)
        .metric_name(&metric.name)
        .set_dimensions(Some(dimensions.collect()))
        .build();
    let period = i32::try_from(metric.period.seconds()).unwrap_or(i32::MAX);
    let stat = MetricStat::builder().metric(what).period(period).stat(metric.statistic.as_str()).build();
    MetricDataQuery::builder().id(format!("{QUERY_PREFIX}{at}")).metric_stat(stat).return_data(true).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_cloudwatch::types::MessageData;

    fn metric() -> Metric {
        let metric = serde_json::json!({ "namespace": "N", "name": "Errors", "statistic": "Sum", "period": "PT1M" });
        serde_json::from_value(metric).unwrap_or_else(|wrong| unreachable!("{wrong}"))
    }

    fn read(pages: &[MetricDataResult]) -> Result<Vec<f64>, AlarmError> {
        let mut series = Series::default();
        for page in pages {
            series.add(page, &metric())?;
        }
        Ok(series.complete(&metric())?.into_iter().map(|(_, value)| value).collect())
    }

    fn page(status: StatusCode, values: &[f64]) -> MetricDataResult {
        let beginnings = values.iter().map(|_| DateTime::from_secs(60)).collect();
        let page = MetricDataResult::builder().id("m0").status_code(status).set_values(Some(values.to_vec()));
        page.set_timestamps(Some(beginnings)).build()
    }

    #[test]
    fn only_a_complete_metric_has_a_value() {
        assert_eq!(read(&[page(StatusCode::Complete, &[])]), Ok(vec![]));
        let two = [page(StatusCode::PartialData, &[3.0]), page(StatusCode::Complete, &[2.0, 1.0])];
        assert_eq!(read(&two), Ok(vec![3.0, 2.0, 1.0]));
        let unknown = |why: &str| Err(AlarmError::Unavailable(format!("Errors: {why}")));
        assert_eq!(read(&two[..1]), unknown("CloudWatch returned only a part of the data"));
        assert_eq!(read(&[]), unknown("CloudWatch returned only a part of the data"));
        assert_eq!(read(&[page(StatusCode::InternalError, &[])]), unknown("InternalError"));
        assert_eq!(read(&[page(StatusCode::from("New"), &[1.0])]), unknown("New"));
        assert_eq!(read(&[MetricDataResult::builder().id("m0").build()]), unknown("no status"));
        let message = MessageData::builder().code("ArithmeticError").value("it cannot be computed").build();
        let messaged = MetricDataResult::builder().status_code(StatusCode::Complete).messages(message).build();
        assert_eq!(read(&[messaged]), unknown("it cannot be computed"));
        assert_eq!(
            read(&[page(StatusCode::Forbidden, &[])]),
            Err(AlarmError::Unusable("N Errors: Forbidden".to_owned()))
        );
    }
}
