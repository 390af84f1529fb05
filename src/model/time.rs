//! Points in time and lengths of time, each with its unit and its limits.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::text::shorten;

/// A point in time: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// The same point, `seconds` later (or earlier, when negative); saturates at the ends of time.
    #[must_use]
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1000)))
    }

    /// Whole seconds from `self` until `later`, rounded up; 0 when `later` has passed.
    #[must_use]
    pub fn seconds_until(self, later: Time) -> u64 {
        u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0).div_ceil(1000)
    }

    /// Whole seconds since the epoch, as DynamoDB's time to live and EventBridge want them.
    #[must_use]
    pub fn epoch_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// RFC 3339 in UTC, to the second.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.epoch_seconds().saturating_mul(1000)) {
            Ok(timestamp) => timestamp.fmt(f),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// A length of time of `MIN` to `MAX` whole seconds, written as an ISO 8601 duration (`PT5M`), as AWS FIS does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(into = "String")]
pub struct BoundedDuration<const MIN: u32, const MAX: u32>(u32);

impl<const MIN: u32, const MAX: u32> BoundedDuration<MIN, MAX> {
    /// The length in seconds.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.0
    }

    fn wanted() -> String {
        format!("{} to {} as an ISO 8601 duration, such as PT90S or PT5M", iso(MIN), iso(MAX))
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for BoundedDuration<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(SpanVisitor::<MIN, MAX>)
    }
}

/// serde's own visitor would ask for "a string", and a number of seconds would be told no more than that.
struct SpanVisitor<const MIN: u32, const MAX: u32>;

impl<const MIN: u32, const MAX: u32> Visitor<'_> for SpanVisitor<MIN, MAX> {
    type Value = BoundedDuration<MIN, MAX>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Self::Value::wanted())
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        BoundedDuration::try_from(text.to_owned()).map_err(E::custom)
    }
}

impl<const MIN: u32, const MAX: u32> TryFrom<String> for BoundedDuration<MIN, MAX> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |what: &str| format!("`{}` {what}; write {}", shorten(&text), Self::wanted());
        // jiff also reads `5m`, which FIS and Step Functions do not.
        if !text.starts_with('P') {
            return Err(wrong("is not a duration of hours, minutes and seconds"));
        }
        let span: jiff::SignedDuration =
            text.parse().map_err(|_| wrong("is not a duration of hours, minutes and seconds"))?;
        if span.subsec_nanos() != 0 {
            return Err(wrong("is not a whole number of seconds"));
        }
        match u32::try_from(span.as_secs()) {
            Ok(seconds) if (MIN..=MAX).contains(&seconds) => Ok(Self(seconds)),
            _ => Err(wrong("is out of range")),
        }
    }
}

impl<const MIN: u32, const MAX: u32> From<BoundedDuration<MIN, MAX>> for String {
    fn from(span: BoundedDuration<MIN, MAX>) -> String {
        iso(span.0)
    }
}

impl<const MIN: u32, const MAX: u32> fmt::Display for BoundedDuration<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&iso(self.0))
    }
}

#[cfg(feature = "schema")]
impl<const MIN: u32, const MAX: u32> schemars::JsonSchema for BoundedDuration<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("Duration{MIN}To{MAX}").into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^P",
            "description": format!("ISO 8601 duration from {} to {}, whole seconds", iso(MIN), iso(MAX)),
        })
    }
}

fn iso(seconds: u32) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::from("PT");
    for (amount, unit) in [(hours, 'H'), (minutes, 'M'), (rest, 'S')] {
        if amount > 0 {
            text.push_str(&format!("{amount}{unit}"));
        }
    }
    if seconds == 0 { "PT0S".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Hour = BoundedDuration<5, 3600>;

    fn parse(text: &str) -> Result<Hour, String> {
        Hour::try_from(text.to_owned())
    }

    #[test]
    fn reads_and_writes_iso_durations() {
        for (text, seconds) in [("PT5M", 300), ("PT1H", 3600), ("PT1M30S", 90), ("PT90S", 90)] {
            assert_eq!(parse(text).map(BoundedDuration::seconds), Ok(seconds), "{text}");
        }
        assert_eq!(parse("PT90S").map(String::from), Ok("PT1M30S".into()));
    }

    #[test]
    fn refuses_what_is_no_duration_or_out_of_range() {
        for text in ["5m", "PT", "PT4S", "PT61M", "-PT5M", "PT1.5S", "P1Y", "", "PT99999999999999999999S"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn counts_seconds_up() {
        assert_eq!(Time(1).seconds_until(Time(1002)), 2);
        assert_eq!(Time(5000).seconds_until(Time(1)), 0);
        assert_eq!(Time(0).plus(90).to_string(), "1970-01-01T00:01:30Z");
    }
}
