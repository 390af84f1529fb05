//! Texts for figures, times and spans.

use std::time::Duration;

use crate::model::text::escape_controls;
use crate::model::time::Time;

/// A text from outside, with its control characters made visible.
pub(crate) fn text(text: &str) -> String {
    escape_controls(text).into_owned()
}

/// Returns the time of day in UTC, to the minute.
pub(crate) fn clock(at: Time) -> String {
    let minutes = at.epoch_seconds().div_euclid(60).rem_euclid(24 * 60);
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Returns month and day in UTC, as in `06-01`.
pub(crate) fn day(at: Time) -> String {
    at.to_string().get(5..10).unwrap_or_default().to_owned()
}

/// Returns date and time in UTC, to the second, as people write them.
pub(crate) fn date_and_time(at: Time) -> String {
    at.to_string().replacen('T', " ", 1).replace('Z', " UTC")
}

/// Returns the time of day in UTC, to the second.
pub(crate) fn time_of_day(at: Time) -> String {
    at.to_string().get(11..19).unwrap_or_default().to_owned()
}

/// Returns a span that may not be known.
pub(crate) fn known_span(time: Option<Duration>) -> String {
    time.map_or_else(|| "–".to_owned(), span)
}

/// Returns a span for display: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`.
pub(crate) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let with = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        small => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        0..10 => format!("{:.1} s", span.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        120..7200 => with(seconds / 60, "min", seconds % 60, "s"),
        _ => with(seconds / 3600, "h", seconds / 60 % 60, "min"),
    }
}

/// Returns a figure for display: whole if it is one or large, and with a thousands separator.
pub(crate) fn figure(value: f64) -> String {
    if value.fract() == 0.0 || value.abs() >= 100.0 {
        return grouped(value.round());
    }
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Returns a figure that may not be known.
pub(crate) fn known_figure(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), figure)
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 { format!("-{text}") } else { text }
}

/// Returns a count with its noun.
pub(crate) fn count(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count as f64), if count == 1 { "" } else { "s" })
}

/// Returns an amount in US dollars.
pub(crate) fn dollars(amount: f64) -> String {
    if amount < 0.01 { "under 1 cent".to_owned() } else { format!("about ${amount:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_and_spans_are_short() {
        let spans = [400, 12_000, 119_000, 185_000, 180_000, 7_800_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(spans, ["0.4 s", "12 s", "119 s", "3 min 5 s", "3 min", "2 h 10 min"]);
        assert_eq!([0.0, 12.5, 1234567.0, 0.254, 250.7].map(figure), ["0", "12.5", "1,234,567", "0.25", "251"]);
        assert_eq!(
            (clock(Time(3_660_000)), count(1, "target"), count(1000, "target")),
            ("01:01".into(), "1 target".into(), "1,000 targets".into())
        );
        assert_eq!(date_and_time(Time(0)), "1970-01-01 00:00:00 UTC");
    }
}
