//! What should hold before, during and after a run.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::names::AlarmName;
use super::problems::{Problems, escape};
use super::text::{is_control, shorten};
use super::time::BoundedDuration;

/// One condition of the steady state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "RawCondition", into = "RawCondition")]
pub enum Condition {
    /// The alarm is not in ALARM.
    Alarm(AlarmName),
    /// The metric's last complete period is on this side of the bound.
    Metric {
        /// Which metric.
        metric: Metric,
        /// On which side of which value it should be.
        bound: Bound,
    },
}

/// A condition as it is written.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawCondition {
    /// An alarm that should not be in ALARM, by name or ARN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    alarm: Option<AlarmName>,
    /// A metric that should be `below` or `above` a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metric: Option<Metric>,
    /// The metric should be less than this; a period without data counts as held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    below: Option<f64>,
    /// The metric should be more than this; a period without data counts as deviated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    above: Option<f64>,
}

impl TryFrom<RawCondition> for Condition {
    type Error = Problems;

    fn try_from(raw: RawCondition) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        if let Some(metric) = &raw.metric {
            metric.check(&mut problems);
        }
        match (&raw.alarm, &raw.metric, raw.below, raw.above) {
            (Some(_), None, None, None) => {}
            (Some(_), ..) => {
                problems
                    .wrong("alarm", "has more than `alarm`; write one condition for the alarm and one for the metric");
            }
            (None, None, ..) => {
                problems.lacking("", &["alarm", "metric"], "names neither `alarm` nor `metric`; write one of them");
            }
            (None, Some(_), None, None) => {
                problems.lacking("", &["below", "above"], "has `metric` without `below` or `above`; write one of them");
            }
            (None, Some(_), Some(_), Some(_)) => {
                problems.wrong("above", "has both `below` and `above`; write two conditions, one with each");
            }
            (None, Some(_), ..) => {}
        }
        let bound = raw.below.map(Bound::Below).or(raw.above.map(Bound::Above));
        match (raw.alarm, raw.metric.zip(bound)) {
            (Some(alarm), None) if problems.is_empty() => Ok(Self::Alarm(alarm)),
            (None, Some((metric, bound))) if problems.is_empty() => Ok(Self::Metric { metric, bound }),
            _ => Err(problems),
        }
    }
}

/// A condition, and what was read of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The condition.
    pub condition: Condition,
    /// What was read.
    pub value: ReadValue,
}

/// What was read of a condition.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ReadValue {
    /// Whether the alarm is in ALARM; `None` if there is no such alarm.
    Alarm(Option<bool>),
    /// The metric's value in its last complete period; `None` is no data.
    Metric(Option<f64>),
}

impl Reading {
    /// Returns how the condition deviates; `None` if it holds.
    #[must_use]
    pub fn deviation(&self) -> Option<String> {
        match (&self.condition, self.value) {
            (Condition::Alarm(_), ReadValue::Alarm(Some(false))) => None,
            (Condition::Alarm(alarm), value) => {
                Some(Condition::alarm_deviation(alarm, value == ReadValue::Alarm(Some(true))))
            }
            (Condition::Metric { bound, .. }, ReadValue::Metric(value)) if bound.holds(value) => None,
            (Condition::Metric { .. }, ReadValue::Metric(value)) => Some(self.condition.metric_deviation(value)),
            (Condition::Metric { .. }, ReadValue::Alarm(_)) => Some(self.condition.metric_deviation(None)),
        }
    }
}

impl fmt::Display for ReadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alarm(None) => f.write_str("no such alarm"),
            Self::Alarm(Some(true)) => f.write_str("in ALARM"),
            Self::Alarm(Some(false)) => f.write_str("not in ALARM"),
            Self::Metric(None) => f.write_str("no data"),
            Self::Metric(Some(value)) => write!(f, "{value}"),
        }
    }
}

impl Condition {
    /// Describes how an alarm deviates that is in ALARM, or that is not there.
    #[must_use]
    pub fn alarm_deviation(alarm: &AlarmName, exists: bool) -> String {
        match exists {
            true => format!("alarm {} is in ALARM", alarm.name()),
            false => format!("there is no alarm {}", alarm.name()),
        }
    }

    /// Describes how a metric deviates that has this value; `None` is no data.
    #[must_use]
    pub fn metric_deviation(&self, value: Option<f64>) -> String {
        format!("{self}{BUT_IT_IS}{}", ReadValue::Metric(value))
    }

    /// Whether a deviation was described by this condition.
    #[must_use]
    pub fn is_cause_of(&self, deviation: &str) -> bool {
        match self {
            Self::Alarm(alarm) => [true, false].iter().any(|exists| Self::alarm_deviation(alarm, *exists) == deviation),
            Self::Metric { metric, bound } => {
                // Earlier releases have stored deviations in other words.
                let texts = [self.to_string(), earlier_text(metric, *bound)];
                let is_of =
                    |text: &String| deviation.strip_prefix(text).is_some_and(|rest| rest.starts_with(BUT_IT_IS));
                texts.iter().any(is_of)
            }
        }
    }
}

/// What stands between a metric's condition and its value, in a deviation.
const BUT_IT_IS: &str = ", but it is ";

impl From<Condition> for RawCondition {
    fn from(condition: Condition) -> Self {
        match condition {
            Condition::Alarm(alarm) => Self { alarm: Some(alarm), ..Self::default() },
            Condition::Metric { metric, bound: Bound::Below(value) } => {
                Self { metric: Some(metric), below: Some(value), ..Self::default() }
            }
            Condition::Metric { metric, bound: Bound::Above(value) } => {
                Self { metric: Some(metric), above: Some(value), ..Self::default() }
            }
        }
    }
}

/// A CloudWatch metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metric {
    /// The namespace, such as `AWS/Lambda`.
    pub namespace: String,
    /// The metric's name, such as `Errors`.
    pub name: String,
    /// The dimensions, such as `FunctionName: checkout`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<String, String>,
    /// The statistic.
    pub statistic: Statistic,
    /// The period.
    pub period: Period,
}

impl Metric {
    /// A metric that snapback itself reads. `None` if CloudWatch would refuse it.
    #[must_use]
    pub fn named(
        namespace: &str,
        name: &str,
        dimensions: &[(&str, &str)],
        statistic: &str,
        period_seconds: u32,
    ) -> Option<Self> {
        let dimensions = dimensions.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let period = BoundedDuration::try_from(format!("PT{period_seconds}S")).ok()?;
        let metric = Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            dimensions,
            statistic: statistic.to_owned().try_into().ok()?,
            period: period.try_into().ok()?,
        };
        let mut problems = Problems::default();
        metric.check(&mut problems);
        problems.is_empty().then_some(metric)
    }

    /// What CloudWatch would refuse (AmazonCloudWatch/latest/APIReference/API_Metric, API_Dimension). Lengths are in
    /// characters; those of dimensions are ASCII.
    fn check(&self, problems: &mut Problems) {
        let is_long = |text: &str, most: usize| !(1..=most).contains(&text.chars().count());
        let mut wrong = |at: &str, what: &str, text: &str, fix: &str| {
            let text = format!("has a metric with the {what} `{}`; {fix}", shorten(text));
            problems.wrong(&format!("metric/{at}"), text);
        };
        if is_long(&self.namespace, 255) || self.namespace.starts_with(':') || self.namespace.contains(is_control) {
            let fix = "write 1 to 255 printable characters that do not begin with a colon";
            wrong("namespace", "namespace", &self.namespace, fix);
        }
        if is_long(&self.name, 255) || self.name.contains(is_control) {
            wrong("name", "name", &self.name, "write 1 to 255 printable characters");
        }
        let is_printable = |text: &str| text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        for (name, value) in &self.dimensions {
            let at = format!("dimensions/{}", escape(name));
            if is_long(name, 255) || !is_printable(name) || name.trim().is_empty() || name.starts_with(':') {
                let fix = "write 1 to 255 printable ASCII characters that do not begin with a colon";
                wrong(&at, "dimension", name, fix);
            }
            if is_long(value, 1024) || !is_printable(value) || value.trim().is_empty() {
                wrong(&at, "dimension value", value, "write 1 to 1024 printable ASCII characters");
            }
        }
        if self.dimensions.len() > 30 {
            let text = format!("has a metric with {} dimensions; write at most 30", self.dimensions.len());
            problems.wrong("metric/dimensions", text);
        }
    }
}

/// On which side of which value a metric should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Less than this.
    Below(f64),
    /// More than this.
    Above(f64),
}

impl Bound {
    /// Whether a period's value is on the right side; `None` is a period without data.
    #[must_use]
    pub fn holds(self, value: Option<f64>) -> bool {
        match (self, value) {
            (Self::Below(limit), Some(value)) => value < limit,
            (Self::Above(limit), Some(value)) => value > limit,
            // Lambda sends no Errors at all while nothing is invoked: silence is not a deviation from "few errors".
            (Self::Below(_), None) => true,
            (Self::Above(_), None) => false,
        }
    }
}

/// `Sum`, `Average`, `Minimum`, `Maximum`, `SampleCount` or a percentile such as `p99`
/// (AmazonCloudWatch/latest/monitoring/Statistics-definitions).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct Statistic(String);

impl Statistic {
    /// The text as CloudWatch takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Statistic {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let percentile =
            text.strip_prefix('p').and_then(|p| p.parse::<f64>().ok()).is_some_and(|p| p > 0.0 && p <= 100.0);
        if percentile || ["Sum", "Average", "Minimum", "Maximum", "SampleCount"].contains(&text.as_str()) {
            return Ok(Self(text));
        }
        Err(format!(
            "`{}` is not a statistic; write Sum, Average, Minimum, Maximum, SampleCount or a percentile such as p99",
            shorten(&text)
        ))
    }
}

impl From<Statistic> for String {
    fn from(statistic: Statistic) -> String {
        statistic.0
    }
}

/// A metric's period: 1, 5, 10, 20 or 30 seconds, or whole minutes up to a day
/// (AmazonCloudWatch/latest/APIReference/API_MetricStat).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(try_from = "BoundedDuration<1, 86400>", into = "BoundedDuration<1, 86400>")]
pub struct Period(BoundedDuration<1, 86400>);

impl Period {
    /// The period.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0.get()
    }

    /// The period in seconds, as CloudWatch wants it.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.0.seconds()
    }
}

impl TryFrom<BoundedDuration<1, 86400>> for Period {
    type Error = String;

    fn try_from(span: BoundedDuration<1, 86400>) -> Result<Self, String> {
        if [1, 5, 10, 20, 30].contains(&span.seconds()) || span.seconds().is_multiple_of(60) {
            return Ok(Self(span));
        }
        Err(format!("`{span}` is not a period of CloudWatch's; write PT1S, PT5S, PT10S, PT20S, PT30S or whole minutes"))
    }
}

impl From<Period> for BoundedDuration<1, 86400> {
    fn from(period: Period) -> Self {
        period.0
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Alarm(alarm) => write!(f, "alarm {} not in ALARM", alarm.name()),
            Self::Metric { metric, bound } => {
                let (side, value) = match bound {
                    Bound::Below(value) => ("<", value),
                    Bound::Above(value) => (">", value),
                };
                write!(f, "{metric} {side} {value}")
            }
        }
    }
}

/// `Sum of AWS/Lambda Errors {FunctionName=checkout} per 1 min`.
impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} {}", self.statistic.as_str(), self.namespace, self.name)?;
        if !self.dimensions.is_empty() {
            let dimensions: Vec<String> =
                self.dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
            write!(f, " {{{}}}", dimensions.join(", "))?;
        }
        match self.period.seconds() {
            seconds if seconds.is_multiple_of(60) => write!(f, " per {} min", seconds / 60),
            seconds => write!(f, " per {seconds} s"),
        }
    }
}

/// Returns the text of a metric's condition in the words of earlier releases.
fn earlier_text(metric: &Metric, bound: Bound) -> String {
    let (side, value) = match bound {
        Bound::Below(value) => ("below", value),
        Bound::Above(value) => ("above", value),
    };
    format!("{} {} of {} {side} {value}", metric.namespace, metric.name, metric.statistic.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_named_as_it_is_read() {
        let condition =
            |text: &str| serde_json::from_str::<Condition>(text).map(|condition| condition.to_string()).ok();
        let metric = r#""namespace":"AWS/Lambda","name":"Errors","statistic":"Sum""#;
        assert_eq!(
            condition(&format!(
                r#"{{"metric":{{{metric},"period":"PT1M","dimensions":{{"FunctionName":"checkout"}}}},"below":5}}"#
            )),
            Some("Sum of AWS/Lambda Errors {FunctionName=checkout} per 1 min < 5".to_owned())
        );
        assert_eq!(
            condition(&format!(r#"{{"metric":{{{metric},"period":"PT10S"}},"above":0.5}}"#)),
            Some("Sum of AWS/Lambda Errors per 10 s > 0.5".to_owned())
        );
    }

    #[test]
    fn an_earlier_releases_deviation_has_its_condition() {
        let text = r#"{"metric":{"namespace":"A","name":"Errors","statistic":"Sum","period":"PT1M"},"below":5}"#;
        let condition: Condition = serde_json::from_str(text).unwrap_or_else(|error| unreachable!("{error}"));
        assert!(condition.is_cause_of("A Errors of Sum below 5, but it is 75"));
        assert!(condition.is_cause_of(&condition.metric_deviation(Some(75.0))));
        assert!(!condition.is_cause_of("A Errors of Sum below 50, but it is 75"));
    }

    #[test]
    fn silence_is_few_errors_but_not_many_orders() {
        assert!(Bound::Below(5.0).holds(None));
        assert!(!Bound::Above(5.0).holds(None));
        assert!(!Bound::Below(5.0).holds(Some(5.0)));
        assert!(!Bound::Above(5.0).holds(Some(5.0)));
        assert!(Bound::Below(5.0).holds(Some(4.9)) && Bound::Above(5.0).holds(Some(5.1)));
    }
}
