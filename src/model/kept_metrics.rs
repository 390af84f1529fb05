//! The metrics of a run, kept with it in the ledger.
//!
//! CloudWatch keeps values by the minute for 15 days, and its latest values still grow. So they are read once, a few
//! minutes after the run is over, and every report of the run shows these values.

use serde::{Deserialize, Serialize};

use super::steady_state::Bound;
use super::time::Time;

/// The most points of one series. 30 series of them, each with a time and a value, are about 110 KB of text; an item of
/// DynamoDB has at most 400 KB (amazondynamodb/latest/developerguide/Constraints).
pub const MAX_POINTS: usize = 180;

/// The metrics of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeptMetrics {
    /// When they were read.
    pub read_at: Time,
    /// The beginning of the first period.
    pub from: Time,
    /// The end of the last period.
    pub until: Time,
    /// The number of functions that the series of AWS/Lambda cover: the first ones of the run.
    pub functions: usize,
    /// The series.
    pub series: Vec<Series>,
    /// Why there are none; `None` if they could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// The values of one metric over the time of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Series {
    /// The metric, such as `Errors`.
    pub metric: String,
    /// Its statistic, such as `Sum` or `p99`.
    pub statistic: String,
    /// What tells it from the other series of its metric: the kind of an injected fault, or a condition of the steady
    /// state, for display.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The length of a period.
    pub period_seconds: u32,
    /// The steady state's limit, from below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
    /// The steady state's limit, from above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// The periods with data, the earliest first: the beginning, in whole seconds since the epoch, and the value.
    pub points: Vec<(i64, f64)>,
}

impl KeptMetrics {
    /// None, for this reason.
    #[must_use]
    pub fn without(why: impl ToString) -> Self {
        Self { missing: Some(why.to_string()), ..Self::default() }
    }
}

impl Series {
    /// The bound of a condition of the steady state.
    #[must_use]
    pub fn bound(&self) -> Option<Bound> {
        self.below.map(Bound::Below).or(self.above.map(Bound::Above))
    }

    /// Whether it belongs to a condition of the steady state.
    #[must_use]
    pub fn is_condition(&self) -> bool {
        self.bound().is_some()
    }

    /// The sum of the values of the periods that begin between these times.
    #[must_use]
    pub fn total(&self, from: Time, until: Time) -> f64 {
        let is_within = |at: &i64| *at * 1000 >= from.0 && *at * 1000 < until.0;
        self.points.iter().filter(|(at, _)| is_within(at)).fold(0.0, |sum, (_, value)| sum + value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_series_fit_into_an_item() {
        let points = (0..MAX_POINTS as i64).map(|at| (1_780_272_000 + at * 60, 123_456.789)).collect();
        let series = Series { of: Some("a".repeat(600)), points, ..Series::default() };
        let kept = KeptMetrics { series: vec![series; 30], ..KeptMetrics::default() };
        let length = serde_json::to_string(&kept).map_or(usize::MAX, |text| text.len());
        assert!(length < 200_000, "{length}");
    }

    #[test]
    fn a_record_of_another_release_is_read_as_far_as_it_is_known() {
        let stored = r#"{"readAt":7,"new":1,"series":[{"metric":"Errors","points":[[60,1.5]],"more":[]}]}"#;
        let kept: KeptMetrics = serde_json::from_str(stored).unwrap_or_default();
        assert_eq!((kept.read_at, kept.series.len(), kept.series[0].points[0]), (Time(7), 1, (60, 1.5)));
    }

    #[test]
    fn only_periods_within_the_times_count() {
        let series = Series { points: vec![(0, 1.0), (60, 2.0), (120, 4.0)], ..Series::default() };
        assert_eq!(series.total(Time(60_000), Time(120_000)), 2.0);
    }
}
