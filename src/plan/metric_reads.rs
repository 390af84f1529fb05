//! Which metrics a run's report shows, and how the values that CloudWatch returns become their series.
//!
//! A series of AWS/Lambda joins the values of several functions: it adds counts, and takes the highest of durations and
//! concurrency, because percentiles cannot be added.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::kept_metrics::{KeptMetrics, MAX_POINTS, Series};
use crate::model::run::{Run, TargetRecord};
use crate::model::steady_state::{Bound, Condition, Metric};
use crate::model::time::Time;

use super::effect::{MINUTE_SECONDS, injected_faults, kinds, of_function};

/// The most functions whose metrics are read. CloudWatch charges for each metric that is read, $0.01 for 1,000
/// (aws.amazon.com/cloudwatch/pricing): a run of a hundred functions costs less than a cent.
pub(super) const MAX_FUNCTIONS: usize = 100;
/// How long before a run its metrics begin: at least, and at most. Between them, as long as the run's duration.
const BEFORE: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(3600));
/// How long after the restore the metrics end.
const AFTER: Duration = Duration::from_secs(300);
/// CloudWatch keeps values of a certain age only by this many seconds
/// (AmazonCloudWatch/latest/monitoring/cloudwatch_concepts, "Metrics retention").
const KEPT_BY: [(Duration, u32); 3] = [
    (Duration::from_secs(63 * 86_400), 3600),
    (Duration::from_secs(15 * 86_400), 300),
    (Duration::from_secs(3 * 3600), MINUTE_SECONDS),
];
/// What is read of each function, with the statistic.
pub(super) const OF_FUNCTIONS: [(&str, &str); 7] = [
    ("Invocations", "Sum"),
    ("Errors", "Sum"),
    ("Throttles", "Sum"),
    ("Duration", "p50"),
    ("Duration", "p90"),
    ("Duration", "p99"),
    ("ConcurrentExecutions", "Maximum"),
];

/// The metrics to read for a run.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricReads {
    /// The beginning of the first period.
    pub from: Time,
    /// The end of the last period.
    pub until: Time,
    /// The metrics.
    pub metrics: Vec<Metric>,
    /// The index of the series to which each metric belongs.
    series_of: Vec<usize>,
    /// The series, without points.
    series: Vec<Series>,
    functions: usize,
}

/// Returns when the metrics of a run can be read completely: their values arrive within `delay`.
#[must_use]
pub fn readable_at(run: &Run, targets: &[TargetRecord], delay: Duration) -> Time {
    restored_at(run, targets) + AFTER + delay
}

/// Returns when the last target ended. Without targets, it is when the rollback began.
#[must_use]
pub fn restored_at(run: &Run, targets: &[TargetRecord]) -> Time {
    let ended = targets.iter().filter_map(|target| target.ended_at).max();
    ended.or(run.stopping_at).or(run.closed_at).unwrap_or(run.created_at)
}

/// Returns what to read for a run at this time.
#[must_use]
pub fn metric_reads(run: &Run, targets: &[TargetRecord], now: Time) -> MetricReads {
    let duration = run.experiment.as_ref().map_or(BEFORE.0, |experiment| experiment.duration.get());
    let from = run.created_at - duration.clamp(BEFORE.0, BEFORE.1);
    let until = now.min(restored_at(run, targets) + AFTER);
    let step = period_seconds(from, until, now);
    let (from, until) = (down(from, step), down(Time(until.0 + i64::from(step) * 1000 - 1), step));
    let mut reads =
        MetricReads { from, until, metrics: Vec::new(), series_of: Vec::new(), series: Vec::new(), functions: 0 };
    let functions: BTreeSet<&str> = run.functions.iter().map(|function| function.name()).collect();
    let functions: Vec<&str> = functions.into_iter().take(MAX_FUNCTIONS).collect();
    reads.functions = functions.len();
    for (name, statistic) in OF_FUNCTIONS {
        let of = |function: &&str| of_function(function, name, statistic, step);
        reads.add(Series::default(), functions.iter().filter_map(of));
    }
    let Some(experiment) = &run.experiment else { return reads };
    for kind in kinds(experiment) {
        let metric = injected_faults(experiment, run, kind, step);
        reads.add(Series { of: Some(kind.to_owned()), ..Series::default() }, metric);
    }
    for condition in &experiment.steady_state {
        let Condition::Metric { metric, bound } = condition else { continue };
        let (below, above) = match bound {
            Bound::Below(value) => (Some(*value), None),
            Bound::Above(value) => (None, Some(*value)),
        };
        let own = u64::from(metric.period.seconds());
        let is_readable = span_seconds(from, until).div_ceil(own) <= MAX_POINTS as u64 && own >= shortest(from, now);
        let period = if is_readable { metric.period.seconds() } else { step.max(metric.period.seconds()) };
        let dimensions: Vec<(&str, &str)> =
            metric.dimensions.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let read = Metric::named(&metric.namespace, &metric.name, &dimensions, metric.statistic.as_str(), period);
        reads.add(Series { of: Some(condition.to_string()), below, above, ..Series::default() }, read);
    }
    reads
}

impl MetricReads {
    /// Adds a series that these metrics form, unless there are none.
    fn add(&mut self, series: Series, metrics: impl IntoIterator<Item = Metric>) {
        let before = self.metrics.len();
        self.metrics.extend(metrics);
        let Some(first) = self.metrics.get(before) else { return };
        let (metric, statistic) = (first.name.clone(), first.statistic.as_str().to_owned());
        self.series.push(Series { metric, statistic, period_seconds: first.period.seconds(), ..series });
        self.series_of.resize(self.metrics.len(), self.series.len() - 1);
    }

    /// Joins the periods of each metric, in the order of `metrics`, to series.
    #[must_use]
    pub fn joined(self, periods: Vec<Vec<(Time, f64)>>, read_at: Time) -> KeptMetrics {
        let mut points: Vec<BTreeMap<i64, f64>> = vec![BTreeMap::new(); self.series.len()];
        for (at, periods) in self.series_of.iter().zip(periods) {
            let (Some(joined), Some(series)) = (points.get_mut(*at), self.series.get(*at)) else { continue };
            for (beginning, value) in periods {
                let sum = series.statistic == "Sum";
                let join = |known: &mut f64| *known = if sum { *known + value } else { known.max(value) };
                joined.entry(beginning.epoch_seconds()).and_modify(join).or_insert(value);
            }
        }
        let with_points = |(series, points): (Series, BTreeMap<i64, f64>)| Series {
            points: points.into_iter().map(|(at, value)| (at, rounded(value))).collect(),
            ..series
        };
        KeptMetrics {
            read_at,
            from: self.from,
            until: self.until,
            functions: self.functions,
            series: self.series.into_iter().zip(points).map(with_points).collect(),
            missing: None,
        }
    }
}

/// Rounds to a thousandth, which a chart does not show any more.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn span_seconds(from: Time, until: Time) -> u64 {
    from.until(until).as_secs()
}

/// Returns the shortest period that CloudWatch still has for values of this age.
fn shortest(from: Time, now: Time) -> u64 {
    let age = from.until(now);
    KEPT_BY.iter().find(|(kept, _)| age > *kept).map_or(1, |(_, period)| u64::from(*period))
}

/// Returns the shortest period, in whole minutes, with which a series has at most [`MAX_POINTS`] points.
fn period_seconds(from: Time, until: Time, now: Time) -> u32 {
    // One period more, because the first and the last one begin and end outside of the time.
    let needed = span_seconds(from, until).div_ceil(MAX_POINTS as u64 - 1);
    let unit = shortest(from, now).max(u64::from(MINUTE_SECONDS));
    u32::try_from(needed.div_ceil(unit).max(1) * unit).unwrap_or(86_400)
}

fn down(time: Time, period_seconds: u32) -> Time {
    let period_ms = i64::from(period_seconds) * 1000;
    Time(time.0.div_euclid(period_ms) * period_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::read_experiment;
    use crate::testing::samples::{experiment, faults, function_arn, run_id};
    use serde_json::json;

    fn run(duration: &str, functions: usize) -> Run {
        let mut experiment = experiment(&["f-0"], &faults()[7..8]);
        experiment["duration"] = json!(duration);
        let metric = json!({ "namespace": "Shop", "name": "Orders", "statistic": "Average", "period": "PT1S" });
        experiment["steadyState"] = json!([{ "metric": metric, "above": 5 }]);
        let reason = crate::model::run::EndReason::DurationElapsed;
        let mut run = crate::model::marker::stopped_marker(&run_id("r"), &reason.into(), Time(600_000));
        run.experiment = Some(read_experiment(&experiment).unwrap_or_else(|wrong| unreachable!("{wrong}")));
        run.functions = (0..functions).map(|at| function_arn(&format!("f-{at}"))).collect();
        run.stopping_at = Some(run.created_at + Duration::from_secs(300));
        run
    }

    #[test]
    fn a_run_of_any_length_has_a_bounded_number_of_points() {
        for (duration, length, age) in
            [("PT5S", 5, 0), ("PT5M", 300, 0), ("PT12H", 43_200, 0), ("PT1H", 3600, 90 * 86_400)]
        {
            let mut run = run(duration, 1);
            run.stopping_at = Some(run.created_at + Duration::from_secs(length));
            let now = run.created_at + Duration::from_secs(length + 600 + age);
            let reads = metric_reads(&run, &[], now);
            for series in &reads.series {
                let points = span_seconds(reads.from, reads.until) / u64::from(series.period_seconds);
                assert!(points <= MAX_POINTS as u64, "{duration}, {}: {points}", series.metric);
                assert!(age == 0 || series.period_seconds >= 3600, "{}", series.metric);
            }
        }
    }

    #[test]
    fn counts_of_functions_are_added_and_durations_are_not() {
        let run = run("PT5M", 2);
        let reads = metric_reads(&run, &[], run.created_at + Duration::from_secs(1200));
        let named: Vec<(&str, &str, &str)> = reads
            .metrics
            .iter()
            .map(|m| (m.name.as_str(), m.statistic.as_str(), m.dimensions.values().next().map_or("", String::as_str)))
            .collect();
        assert_eq!(
            named[..3],
            [("Invocations", "Sum", "f-0"), ("Invocations", "Sum", "f-1"), ("Errors", "Sum", "f-0")]
        );
        assert_eq!(named.last(), Some(&("Orders", "Average", "")));
        let values = (0..named.len()).map(|at| vec![(Time(60_000), at as f64)]).collect();
        let kept = reads.joined(values, Time(7));
        let points: Vec<f64> = kept.series.iter().map(|series| series.points[0].1).collect();
        assert_eq!(points, [1.0, 5.0, 9.0, 7.0, 9.0, 11.0, 13.0, 14.0, 15.0]);
        assert_eq!(
            (kept.functions, kept.series[8].above, kept.series[7].of.as_deref()),
            (2, Some(5.0), Some("latency"))
        );
    }

    #[test]
    fn a_run_of_a_thousand_functions_reads_the_first_hundred() {
        let run = run("PT5M", 1000);
        let reads = metric_reads(&run, &[], run.created_at + Duration::from_secs(1200));
        assert_eq!((reads.functions, reads.metrics.len()), (100, 702));
    }
}
