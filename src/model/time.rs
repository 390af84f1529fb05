//! Points in time, and lengths of time with their limits.
//!
//! A span of time is a [`Duration`] wherever the code computes with it. It becomes a number only where it is stored,
//! sent or shown, and that number's name has the unit.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use super::text::shorten;

/// A point in time: milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// The time from `self` until `later`; zero when `later` has passed.
    #[must_use]
    pub fn until(self, later: Time) -> Duration {
        Duration::from_millis(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// Whole seconds since the epoch, as DynamoDB's time to live and EventBridge want them.
    #[must_use]
    pub fn epoch_seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }
}

/// The point that is `span` later, to the millisecond; saturates at the end of time.
impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(whole_milliseconds(span)))
    }
}

/// The point that is `span` earlier, to the millisecond; saturates at the beginning of time.
impl Sub<Duration> for Time {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(whole_milliseconds(span)))
    }
}

/// The whole seconds of a span, rounded up: for what Step Functions waits and for what is shown.
#[must_use]
pub const fn seconds_up(span: Duration) -> u64 {
    span.as_secs().saturating_add(if span.subsec_nanos() > 0 { 1 } else { 0 })
}

/// Describes a number of seconds: `45 s`, `5 min`, `1 h 30 min`. Of a longer span, the two largest units.
#[must_use]
pub fn span_text(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let first = units.iter().position(|(_, length)| seconds >= *length).unwrap_or(units.len() - 1);
    let part = |at: usize| {
        let (unit, length) = units.get(at)?;
        let of_larger = if at == first { u64::MAX } else { units[at - 1].1 };
        let count = seconds % of_larger / length;
        (count > 0 || at == units.len() - 1 && first == at).then(|| format!("{count} {unit}"))
    };
    [part(first), part(first + 1)].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The span, rounded up to whole seconds: what a Wait state makes of it.
#[must_use]
pub const fn in_whole_seconds(span: Duration) -> Duration {
    Duration::from_secs(seconds_up(span))
}

/// The whole milliseconds of a span, as a [`Time`] counts them; saturates.
#[must_use]
pub const fn whole_milliseconds(span: Duration) -> i64 {
    let milliseconds = span.as_millis();
    if milliseconds > i64::MAX as u128 { i64::MAX } else { milliseconds as i64 }
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
    /// The length.
    #[must_use]
    pub fn get(self) -> Duration {
        Duration::from_secs(u64::from(self.0))
    }

    /// The length in seconds, for the fields of AWS that hold whole seconds.
    #[must_use]
    pub fn seconds(self) -> u32 {
        self.0
    }

    /// What to write in the place of `text`: the same length of time, where it is one and within the limits.
    fn advice(text: &str) -> String {
        let meant = match text.parse() {
            Ok(seconds) => Some((seconds, format!("PT{seconds}S"))),
            // jiff also reads the likes of `5m`, which FIS and Step Functions do not.
            Err(_) => {
                text.parse::<jiff::SignedDuration>().ok().filter(|span| span.subsec_nanos() == 0).and_then(|span| {
                    let seconds = u32::try_from(span.as_secs()).ok()?;
                    Some((seconds, iso(seconds)))
                })
            }
        };
        match meant {
            Some((seconds, meant)) if (MIN..=MAX).contains(&seconds) => format!("did you mean `{meant}`?"),
            _ => format!("write {}", Self::wanted()),
        }
    }

    fn wanted() -> String {
        format!("{} to {} as an ISO 8601 duration, such as PT90S or PT5M", iso(MIN), iso(MAX))
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for BoundedDuration<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpanVisitor::<MIN, MAX>)
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

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Err(E::custom(format!("`{number}` is a number; {}", Self::Value::advice(&number.to_string()))))
    }
}

impl<const MIN: u32, const MAX: u32> TryFrom<String> for BoundedDuration<MIN, MAX> {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = |what: &str| format!("`{}` {what}; write {}", shorten(&text), Self::wanted());
        if !text.starts_with('P') {
            let advice = Self::advice(&text);
            return Err(format!("`{}` is not a duration of hours, minutes and seconds; {advice}", shorten(&text)));
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
    fn a_span_has_its_two_largest_units() {
        for (seconds, text) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min"), (90, "1 min 30 s"), (5400, "1 h 30 min"), (90_061, "1 d 1 h")]
        {
            assert_eq!(span_text(seconds), text);
        }
    }

    #[test]
    fn seconds_are_rounded_up() {
        assert_eq!(seconds_up(Time(1).until(Time(1002))), 2);
        assert_eq!(seconds_up(Time(1).until(Time(1001))), 1);
        assert_eq!(Time(5000).until(Time(1)), Duration::ZERO);
    }

    #[test]
    fn a_span_moves_a_time_and_saturates() {
        assert_eq!((Time(0) + Duration::from_secs(90)).to_string(), "1970-01-01T00:01:30Z");
        assert_eq!(Time(0) - Duration::from_millis(1), Time(-1));
        assert_eq!((Time(1) + Duration::MAX, Time(-2) - Duration::MAX), (Time(i64::MAX), Time(i64::MIN)));
    }
}
