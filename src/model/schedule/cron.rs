//! Checks cron expressions by the rules of EventBridge Scheduler (scheduler/latest/UserGuide/schedule-types).

use std::ops::RangeInclusive;

use jiff::civil::Date;

/// The last year that an expression can name.
const LAST_YEAR: i16 = 2199;

/// One of the six fields.
struct Field {
    name: &'static str,
    range: RangeInclusive<u16>,
    /// The words that stand for the numbers from the range's first on.
    words: &'static [&'static str],
    kind: Kind,
}

/// Which wildcards a field takes besides `,`, `-` and `*`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    DayOfMonth,
    DayOfWeek,
}

const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const FIELDS: [Field; 6] = [
    Field { name: "minutes", range: 0..=59, words: &[], kind: Kind::Plain },
    Field { name: "hours", range: 0..=23, words: &[], kind: Kind::Plain },
    Field { name: "day of month", range: 1..=31, words: &[], kind: Kind::DayOfMonth },
    Field { name: "month", range: 1..=12, words: MONTHS, kind: Kind::Plain },
    Field { name: "day of week", range: 1..=7, words: DAYS, kind: Kind::DayOfWeek },
    Field { name: "year", range: 1970..=2199, words: &[], kind: Kind::Plain },
];

/// Returns everything that is wrong with the six fields of a cron expression.
pub(super) fn check(text: &str) -> Result<(), String> {
    let values: Vec<&str> = text.split_whitespace().collect();
    if values.len() != FIELDS.len() {
        let names = FIELDS.map(|field| field.name).join(", ");
        return Err(format!("has {} fields; write six: {names}, such as `0 9 ? * MON-FRI *`", values.len()));
    }
    let mut problems: Vec<String> =
        FIELDS.iter().zip(&values).filter_map(|(field, value)| field.problem(value)).collect();
    // Either field can leave the choice of the day to the other, and one of them must.
    if [values[2], values[4]].iter().filter(|value| **value == "?").count() != 1 {
        problems.push("chooses days by day of month and by day of week; write ? in exactly one of the two".into());
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("; and it ")) }
}

/// Whether an expression that [`check`] has accepted fires on `first` or on a later day.
pub(super) fn fires_from(text: &str, first: Date) -> bool {
    let values: Vec<&str> = text.split_whitespace().collect();
    let [_, _, day, month, weekday, year] = values[..] else { return false };
    let [_, _, days, months, weekdays, years] = FIELDS;
    let fires_on = |date: &Date| {
        let number = |number: i8| u16::try_from(number).unwrap_or_default();
        years.has(year, u16::try_from(date.year()).unwrap_or_default())
            && months.has(month, number(date.month()))
            && days.has(day, number(date.day()))
            && weekdays.has(weekday, number(date.weekday().to_sunday_one_offset()))
    };
    first.series(jiff::Span::new().days(1)).take_while(|date| date.year() <= LAST_YEAR).any(|date| fires_on(&date))
}

impl Field {
    /// Returns what is wrong with a value of the field.
    fn problem(&self, value: &str) -> Option<String> {
        let name = self.name;
        if let Some(range) = value.split(',').find(|item| self.is_reversed(item)) {
            return Some(format!(
                "has a range for {name} that ends before it begins, `{range}`; write it as two ranges"
            ));
        }
        let is_valid = value.split(',').all(|item| self.takes(item));
        (!is_valid).then(|| format!("has an invalid field for {name}, `{value}`; write {}", self.wanted()))
    }

    /// Whether a field has a number. The wildcards L, W and # choose by the calendar; every number passes for them.
    fn has(&self, value: &str, number: u16) -> bool {
        value.split(',').any(|item| {
            let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, parse(step)));
            let ends = match range.split_once('-') {
                Some((first, last)) => self.number(first).zip(self.number(last)),
                None if range == "*" => Some((*self.range.start(), *self.range.end())),
                // With a step, one number is the first of a range to the end.
                None => self.number(range).map(|first| (first, if step.is_some() { *self.range.end() } else { first })),
            };
            match ends {
                Some((first, last)) => {
                    (first..=last).contains(&number) && (number - first).is_multiple_of(step.unwrap_or(1).max(1))
                }
                None => true,
            }
        })
    }

    fn is_reversed(&self, item: &str) -> bool {
        let range = item.split('/').next().unwrap_or_default();
        let ends = range.split_once('-').and_then(|(first, last)| self.number(first).zip(self.number(last)));
        ends.is_some_and(|(first, last)| first > last)
    }

    fn takes(&self, item: &str) -> bool {
        match (item, self.kind) {
            ("*", _) => true,
            ("?", Kind::Plain) => false,
            ("?" | "L", _) | ("LW", Kind::DayOfMonth) => true,
            (_, Kind::DayOfMonth) if item.ends_with('W') => self.number(&item[..item.len() - 1]).is_some(),
            (_, Kind::DayOfWeek) if item.ends_with('L') => self.number(&item[..item.len() - 1]).is_some(),
            (_, Kind::DayOfWeek) if item.contains('#') => item
                .split_once('#')
                .is_some_and(|(day, week)| self.number(day).is_some() && matches!(week, "1" | "2" | "3" | "4" | "5")),
            _ => self.takes_range(item),
        }
    }

    /// A number, a range, or either of them with a step.
    fn takes_range(&self, item: &str) -> bool {
        let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
        // The day of the week takes no step.
        let step_is_valid = step.is_none_or(|step| {
            self.kind != Kind::DayOfWeek && parse(step).is_some_and(|step| step > 0 && step <= *self.range.end())
        });
        let range_is_valid = match range.split_once('-') {
            Some((first, last)) => self.number(first).is_some() && self.number(last).is_some(),
            None => range == "*" || self.number(range).is_some(),
        };
        step_is_valid && range_is_valid
    }

    fn number(&self, text: &str) -> Option<u16> {
        let word = self.words.iter().position(|word| word.eq_ignore_ascii_case(text));
        let number = match word {
            Some(at) => u16::try_from(at).ok()? + self.range.start(),
            None => parse(text)?,
        };
        self.range.contains(&number).then_some(number)
    }

    fn wanted(&self) -> String {
        let (least, most) = (self.range.start(), self.range.end());
        let words = match self.words {
            [first, .., last] => format!(" or {first} to {last}"),
            _ => String::new(),
        };
        let wildcards = match self.kind {
            Kind::Plain => ", - * /",
            Kind::DayOfMonth => ", - * ? / L W",
            Kind::DayOfWeek => ", - * ? L #",
        };
        format!("{least} to {most}{words}, with the wildcards {wildcards}")
    }
}

/// Parses digits only: `u16` would also take a sign.
fn parse(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expressions_of_the_documentation_are_valid() {
        for text in [
            "0 9 ? * MON-FRI *",
            "15 10 ? * 6L 2022-2023",
            "*/5 8-17 ? * 2-6 *",
            "0/15 8-17/2 1,15 JAN,jul ? 2026",
            "0 0 L * ? *",
            "0 0 LW * ? *",
            "0 0 3W 1/3 ? *",
            "0 8 ? * 3#2 *",
            "30 8 ? * mon#1 *",
            "0 8 * * ? 2026/2",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn an_expression_that_never_fires_is_found() {
        let first = Date::constant(2026, 11, 26);
        for (text, fires) in [
            ("0 9 ? * MON-FRI *", true),
            ("0 9 ? * * 2025", false),
            ("0 9 ? * * 2020-2026", true),
            ("0 9 ? JAN-OCT * 2026", false),
            ("0 9 31 2 ? *", false),
            ("0 9 31 4,6,9,11 ? *", false),
            ("0 9 29 2 ? *", true),
            ("0 9 29 2 ? 2027", false),
            ("0 9 26 11 ? 2026", true),
            ("0 9 25 11 ? 2026", false),
            ("0 9 L 2 ? *", true),
            ("0 9 ? 2 6L *", true),
            ("0 9 ? * 3#2 2030/5", true),
            ("0 9 1/7 12 ? 2026", true),
        ] {
            assert_eq!((check(text), fires_from(text, first)), (Ok(()), fires), "{text}");
        }
    }

    #[test]
    fn each_invalid_expression_is_one_error() {
        for (text, expected) in [
            (
                "0 9 * * *",
                "has 5 fields; write six: minutes, hours, day of month, month, day of week, year, such as `0 9 ? * MON-FRI *`",
            ),
            ("60 9 ? * * *", "has an invalid field for minutes, `60`; write 0 to 59, with the wildcards , - * /"),
            ("0 24 ? * * *", "has an invalid field for hours, `24`; write 0 to 23, with the wildcards , - * /"),
            ("0 +1 ? * * *", "has an invalid field for hours, `+1`; write 0 to 23, with the wildcards , - * /"),
            (
                "0 9 0 * ? *",
                "has an invalid field for day of month, `0`; write 1 to 31, with the wildcards , - * ? / L W",
            ),
            (
                "0 9 ? MAR-XYZ * *",
                "has an invalid field for month, `MAR-XYZ`; write 1 to 12 or JAN to DEC, with the wildcards , - * /",
            ),
            (
                "0 9 ? * MON/2 *",
                "has an invalid field for day of week, `MON/2`; write 1 to 7 or SUN to SAT, with the wildcards , - * ? L #",
            ),
            (
                "0 9 ? * 3#6 *",
                "has an invalid field for day of week, `3#6`; write 1 to 7 or SUN to SAT, with the wildcards , - * ? L #",
            ),
            ("0 9 ? * 5-1 *", "has a range for day of week that ends before it begins, `5-1`; write it as two ranges"),
            (
                "0 9 ? DEC-JAN/2 * *",
                "has a range for month that ends before it begins, `DEC-JAN/2`; write it as two ranges",
            ),
            ("0 9 ? * * 26", "has an invalid field for year, `26`; write 1970 to 2199, with the wildcards , - * /"),
            ("*/0 9 ? * * *", "has an invalid field for minutes, `*/0`; write 0 to 59, with the wildcards , - * /"),
            ("0,, 9 ? * * *", "has an invalid field for minutes, `0,,`; write 0 to 59, with the wildcards , - * /"),
            ("0 9 * * * *", "chooses days by day of month and by day of week; write ? in exactly one of the two"),
            ("0 9 ? * ? *", "chooses days by day of month and by day of week; write ? in exactly one of the two"),
            (
                "60 24 * * * *",
                "has an invalid field for minutes, `60`; write 0 to 59, with the wildcards , - * /; and it has an invalid field \
                 for hours, `24`; write 0 to 23, with the wildcards , - * /; and it chooses days by day of month and by day of \
                 week; write ? in exactly one of the two",
            ),
        ] {
            assert_eq!(check(text), Err(expected.to_owned()), "{text}");
        }
    }
}
