//! A schedule that starts an experiment, in the terms of EventBridge Scheduler.

mod cron;
mod start;

use std::fmt;
use std::time::Duration;

use jiff::civil::{Date, DateTime};

use super::text::shorten;
use super::time::Time;

pub use start::{ScheduledStart, run_prefix};

/// The longest name of a schedule. A run's name has 80 characters: this one, an underscore, and the ID that the
/// scheduler gives each start, which is a UUID at most (inferred: no page gives its length).
const MAX_NAME: usize = 40;

/// The name of a schedule: letters, digits and hyphens. It has no underscore, so that the run `nightly-2_ID` is not
/// one of the schedule `nightly`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScheduleName(String);

impl ScheduleName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for ScheduleName {
    type Error = String;

    fn try_from(text: &str) -> Result<Self, String> {
        let is_word = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_word || text.len() > MAX_NAME {
            return Err(format!(
                "`{}` is not a name of a schedule; write 1 to {MAX_NAME} letters, digits and -",
                shorten(text)
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ScheduleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When a schedule starts its experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleExpression {
    /// Regularly, such as every 7 days.
    Rate(u32, RateUnit),
    /// At the times of a cron expression with six fields.
    Cron(String),
    /// Once.
    At(DateTime),
}

/// The unit of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateUnit {
    /// `minutes`
    Minute,
    /// `hours`
    Hour,
    /// `days`
    Day,
}

impl RateUnit {
    const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        })
    }
}

impl ScheduleExpression {
    /// The time between two starts of a rate.
    #[must_use]
    pub fn period(&self) -> Option<Duration> {
        match self {
            Self::Rate(number, unit) => Some(unit.length().saturating_mul(*number)),
            Self::Cron(_) | Self::At(_) => None,
        }
    }

    /// Whether it starts anything on this day or on a later one. A rate always does.
    #[must_use]
    pub fn starts_from(&self, first: Date) -> bool {
        match self {
            Self::Rate(..) => true,
            Self::Cron(fields) => cron::fires_from(fields, first),
            Self::At(time) => time.date() >= first,
        }
    }

    /// Parses a rate such as `7 days`.
    ///
    /// # Errors
    /// What is wrong with the text, and what to write.
    pub fn rate(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{}` is not a rate; write a number and minutes, hours or days, such as `7 days`", shorten(text))
        };
        let words: Vec<&str> = inside(text, "rate").split_whitespace().collect();
        let [number, unit] = words[..] else { return Err(wrong()) };
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        let number: u32 = number.parse().ok().filter(|number| is_number && *number > 0).ok_or_else(wrong)?;
        let singular = unit.strip_suffix('s').unwrap_or(unit);
        let known = RateUnit::ALL.into_iter().find(|unit| unit.name() == singular);
        known.map(|unit| Self::Rate(number, unit)).ok_or_else(wrong)
    }

    /// Parses the fields of a cron expression, such as `0 9 ? * MON-FRI *`.
    ///
    /// # Errors
    /// Which field is wrong, and what to write.
    pub fn cron(text: &str) -> Result<Self, String> {
        let fields = inside(text, "cron");
        cron::check(fields).map_err(|wrong| format!("`{}` {wrong}", shorten(text)))?;
        Ok(Self::Cron(fields.split_whitespace().collect::<Vec<_>>().join(" ")))
    }

    /// Parses a date and a time without a time zone, such as `2026-12-01T09:00:00`.
    ///
    /// # Errors
    /// What is wrong with the text, and what to write.
    pub fn at(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{}` is not a date and time; write them as 2026-12-01T09:00:00, and their zone as --time-zone",
                shorten(text)
            )
        };
        let text = inside(text, "at");
        // jiff also reads a date without a time, offsets and more, which EventBridge Scheduler does not.
        let is_plain = matches!(text.len(), 16 | 19) && text.bytes().all(|b| b.is_ascii_digit() || b"-T:".contains(&b));
        if !is_plain {
            return Err(wrong());
        }
        text.parse().map(Self::At).map_err(|_| wrong())
    }
}

/// As EventBridge Scheduler takes it (scheduler/latest/APIReference/API_CreateSchedule).
impl fmt::Display for ScheduleExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(number, unit) => {
                write!(f, "rate({number} {}{})", unit.name(), if *number == 1 { "" } else { "s" })
            }
            Self::Cron(fields) => write!(f, "cron({fields})"),
            Self::At(time) => write!(f, "at({})", time.strftime("%Y-%m-%dT%H:%M:%S")),
        }
    }
}

/// The text inside `kind(...)`, for those who write the whole expression.
fn inside<'a>(text: &'a str, kind: &str) -> &'a str {
    let text = text.trim();
    let inner = text.strip_prefix(kind).and_then(|rest| rest.strip_prefix('(')).and_then(|rest| rest.strip_suffix(')'));
    inner.unwrap_or(text).trim()
}

/// The minutes within which a start may come late: 1 to 1,440 (scheduler/latest/APIReference/API_FlexibleTimeWindow).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowMinutes(u16);

impl WindowMinutes {
    /// The number of minutes.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<&str> for WindowMinutes {
    type Error = String;

    fn try_from(text: &str) -> Result<Self, String> {
        let minutes = text.parse().ok().filter(|minutes| (1..=1440).contains(minutes));
        minutes.map(Self).ok_or_else(|| format!("`{}` is not a window; write 1 to 1440 minutes", shorten(text)))
    }
}

/// A schedule as EventBridge Scheduler keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// When it starts its experiment: `rate(...)`, `cron(...)` or `at(...)`.
    pub expression: String,
    /// The time zone in which the expression is evaluated.
    pub time_zone: String,
    /// The minutes within which a start may come late, if it may.
    pub window_minutes: Option<u16>,
    /// When it begins, if it does not begin at once.
    pub begins_at: Option<Time>,
    /// When it ends, if it does.
    pub ends_at: Option<Time>,
    /// Whether it is paused.
    pub is_paused: bool,
    /// What it sends: a [`ScheduledStart`].
    pub input: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(parsed: Result<ScheduleExpression, String>) -> String {
        parsed.map_or_else(|wrong| wrong, |expression| expression.to_string())
    }

    #[test]
    fn expressions_are_sent_as_the_scheduler_writes_them() {
        for (parsed, expected) in [
            (ScheduleExpression::rate("7 days"), "rate(7 days)"),
            (ScheduleExpression::rate("1 hours"), "rate(1 hour)"),
            (ScheduleExpression::rate("rate(5 minute)"), "rate(5 minutes)"),
            (ScheduleExpression::cron(" 0  9 ? * MON-FRI * "), "cron(0 9 ? * MON-FRI *)"),
            (ScheduleExpression::cron("cron(0 9 ? * * *)"), "cron(0 9 ? * * *)"),
            (ScheduleExpression::at("2026-12-01T09:00:00"), "at(2026-12-01T09:00:00)"),
            (ScheduleExpression::at("at(2026-12-01T09:00)"), "at(2026-12-01T09:00:00)"),
        ] {
            assert_eq!(shown(parsed), expected);
        }
    }

    #[test]
    fn only_a_rate_has_a_period() {
        let period =
            |parsed: Result<ScheduleExpression, String>| parsed.ok().and_then(|expression| expression.period());
        assert_eq!(period(ScheduleExpression::rate("2 hours")), Some(Duration::from_secs(7200)));
        assert_eq!(period(ScheduleExpression::cron("0 9 ? * * *")), None);
    }

    #[test]
    fn each_invalid_expression_says_what_to_write() {
        for text in ["", "7", "0 days", "+7 days", "7 weeks", "7 days now", "-1 day", "99999999999 days", "cron(1 day)"]
        {
            let expected =
                format!("`{text}` is not a rate; write a number and minutes, hours or days, such as `7 days`");
            assert_eq!(shown(ScheduleExpression::rate(text)), expected);
        }
        for text in ["", "soon", "2026-12-01", "2026-12-01T09:00:00Z", "2026-13-01T09:00:00", "2026-12-01 09:00:00"] {
            let expected = format!(
                "`{text}` is not a date and time; write them as 2026-12-01T09:00:00, and their zone as --time-zone"
            );
            assert_eq!(shown(ScheduleExpression::at(text)), expected);
        }
        let wrong = shown(ScheduleExpression::cron("hourly"));
        assert!(wrong.starts_with("`hourly` has 1 fields; write six"), "{wrong}");
    }

    #[test]
    fn names_and_windows_have_bounds() {
        for name in ["nightly", "a", "Nightly-2", &"n".repeat(40)] {
            assert!(ScheduleName::try_from(name).is_ok(), "{name}");
        }
        for name in ["", "a b", "a_b", "a/b", "ü", &"n".repeat(41)] {
            let expected =
                format!("`{}` is not a name of a schedule; write 1 to 40 letters, digits and -", shorten(name));
            assert_eq!(ScheduleName::try_from(name), Err(expected));
        }
        for window in ["1", "1440"] {
            assert_eq!(WindowMinutes::try_from(window).map(|minutes| minutes.get().to_string()), Ok(window.to_owned()));
        }
        for window in ["0", "1441", "15m", "", "-1"] {
            assert_eq!(
                WindowMinutes::try_from(window),
                Err(format!("`{window}` is not a window; write 1 to 1440 minutes"))
            );
        }
    }
}
