//! Checks the times of a new schedule before anything is sent.

use jiff::tz::{TimeZone, db};

use crate::model::schedule::ScheduleExpression;
use crate::model::text::shorten;
use crate::model::time::Time;

use crate::cli::schedule_arguments::NewSchedule;

/// When a schedule begins and ends, if it has such times.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) begins_at: Option<Time>,
    pub(super) ends_at: Option<Time>,
}

/// Returns when a new schedule begins and ends.
///
/// A rate without a beginning would start its experiment as soon as it is created
/// (scheduler/latest/UserGuide/schedule-types). Here it begins one period later, so that adding a schedule injects nothing.
pub(super) fn span(new: &NewSchedule, expression: &ScheduleExpression, now: Time) -> Result<Span, String> {
    let begins_at = new.start.or_else(|| expression.period().map(|period| now + period));
    if let Some(start) = new.start.filter(|start| *start <= now) {
        return Err(format!("--start {start} has passed; write a later time, or none to begin now"));
    }
    if let Some(ends_at) = new.end {
        if ends_at <= now {
            return Err(format!("--end {ends_at} has passed; write a later time"));
        }
        if let Some(begins_at) = begins_at.filter(|begins_at| *begins_at >= ends_at) {
            return Err(format!("--end {ends_at} is not after the first start, {begins_at}; write a later time"));
        }
    }
    Ok(Span { begins_at, ends_at: new.end })
}

/// Checks that a time zone exists, and that a start is in the future.
pub(super) fn check_zone(name: &str, expression: &ScheduleExpression, now: Time) -> Result<(), String> {
    // Without a database of time zones on this machine, only the scheduler can check the name.
    if db().is_definitively_empty() {
        return Ok(());
    }
    let unknown = || format!("--time-zone `{}` is not a time zone; write one such as Europe/Berlin", shorten(name));
    let zone = TimeZone::get(name).map_err(|_| unknown())?;
    match zone.iana_name() {
        Some(known) if known == name => {}
        Some(known) => return Err(format!("--time-zone `{name}` is not a time zone; did you mean {known}?")),
        None => return Err(unknown()),
    }
    let today = jiff::Timestamp::from_millisecond(now.0).map(|now| now.to_zoned(zone.clone()).date());
    if let (ScheduleExpression::Cron(fields), Ok(today)) = (expression, today)
        && !expression.starts_from(today)
    {
        return Err(format!(
            "--cron `{fields}` starts nothing from {today} on; write a day that exists, and a year to come"
        ));
    }
    let ScheduleExpression::At(time) = expression else { return Ok(()) };
    let start = time.to_zoned(zone).map_err(|_| format!("--at {time} is out of range; write another time"))?;
    if start.timestamp().as_millisecond() <= now.0 {
        return Err(format!("--at {time} in {name} has passed; write a later time"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        new: NewSchedule,
    }

    fn typed(words: &[&str]) -> Result<NewSchedule, String> {
        let typed = Typed::try_parse_from([&["add", "nightly", "e.yaml"], words].concat());
        typed.map(|typed| typed.new).map_err(|error| error.to_string())
    }

    fn spanned(words: &[&str], now: Time) -> Result<Span, String> {
        let new = typed(words)?;
        let expression = new.rate.clone().or_else(|| new.cron.clone()).ok_or("neither --rate nor --cron")?;
        span(&new, &expression, now)
    }

    const DAY: Time = Time(86_400_000);

    #[test]
    fn a_rate_begins_one_period_after_it_is_added() {
        let span = |begins_at, ends_at| Ok(Span { begins_at, ends_at });
        let passed = spanned(&["--rate", "1 day", "--start", "1970-01-02T00:00:00Z"], DAY);
        assert_eq!(
            passed,
            Err("--start 1970-01-02T00:00:00Z has passed; write a later time, or none to begin now".to_owned())
        );
        assert_eq!(spanned(&["--rate", "1 day"], Time(0)), span(Some(DAY), None));
        assert_eq!(spanned(&["--cron", "0 9 ? * * *"], Time(0)), span(None, None));
        let words = ["--rate", "7 days", "--start", "1970-01-02T00:00:00Z", "--end", "1970-01-02T00:00:01Z"];
        assert_eq!(spanned(&words, Time(0)), span(Some(DAY), Some(Time(86_401_000))));
    }

    #[test]
    fn a_schedule_must_end_after_it_has_begun() {
        let wrong = |words: &[&str], now| spanned(words, now).err().unwrap_or_default();
        let end = ["--rate", "1 day", "--end", "1970-01-02T00:00:00Z"];
        assert_eq!(wrong(&end, DAY), "--end 1970-01-02T00:00:00Z has passed; write a later time");
        assert_eq!(
            wrong(&end, Time(0)),
            "--end 1970-01-02T00:00:00Z is not after the first start, 1970-01-02T00:00:00Z; write a later time"
        );
    }

    #[test]
    fn a_zone_exists_and_its_time_is_to_come() {
        if db().is_definitively_empty() {
            return;
        }
        let at = |text: &str| ScheduleExpression::at(text).unwrap_or_else(|wrong| unreachable!("{wrong}"));
        let check = |zone: &str, now| check_zone(zone, &at("1970-01-02T00:30:00"), now);
        assert_eq!(check("UTC", DAY), Ok(()));
        // It is one hour earlier in UTC.
        let wrong = "--at 1970-01-02T00:30:00 in Europe/Berlin has passed; write a later time";
        assert_eq!(check("Europe/Berlin", DAY), Err(wrong.to_owned()));
        let wrong = "--time-zone `europe/berlin` is not a time zone; did you mean Europe/Berlin?";
        assert_eq!(check("europe/berlin", Time(0)), Err(wrong.to_owned()));
        let wrong = "--time-zone `Berlin` is not a time zone; write one such as Europe/Berlin";
        assert_eq!(check("Berlin", Time(0)), Err(wrong.to_owned()));
        let cron = |text: &str| ScheduleExpression::cron(text).unwrap_or_else(|wrong| unreachable!("{wrong}"));
        assert_eq!(check_zone("UTC", &cron("0 9 1 1 ? 1971"), DAY), Ok(()));
        let wrong =
            "--cron `0 9 31 2 ? *` starts nothing from 1970-01-02 on; write a day that exists, and a year to come";
        assert_eq!(check_zone("UTC", &cron("0 9 31 2 ? *"), DAY), Err(wrong.to_owned()));
    }

    #[test]
    fn the_options_exclude_each_other() {
        for words in [
            &[][..],
            &["--rate", "1 day", "--cron", "0 9 ? * * *"],
            &["--rate", "1 day", "--time-zone", "Europe/Berlin"],
            &["--at", "2026-12-01T09:00:00", "--start", "2026-12-01T00:00:00Z"],
            &["--rate", "1 day", "--start", "tomorrow"],
        ] {
            assert!(typed(words).is_err(), "{words:?}");
        }
    }
}
