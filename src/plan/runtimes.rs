//! Facts about runtimes: until when Lambda updates functions on them, and whether they honor a wrapper.

use crate::model::time::Time;

/// Year, month, day.
type Day = (i16, i8, i8);

/// The date from which Lambda refuses updates of functions on a runtime. After it, neither an inject nor a restore
/// would work. The dates are from the tables of supported and deprecated runtimes in lambda/latest/dg/lambda-runtimes,
/// as of October 2026. `None` is a date long past. The date of ruby2.7 is inferred: it has always moved with those of
/// nodejs14.x and python3.7.
///
/// Runtimes that are in Lambda's API but not in this table are newer than it (in November 2026: java8.al2023,
/// java11.al2023, java17.al2023, nodejs26.x, python3.15, ruby4.0, and `custom` for customer-managed ones). They are not
/// refused; the plan notes that their date is unknown.
const BLOCKED_FROM: [(&str, Option<Day>); 45] = [
    ("nodejs", None),
    ("nodejs4.3", None),
    ("nodejs4.3-edge", None),
    ("nodejs6.10", None),
    ("nodejs8.10", None),
    ("nodejs10.x", None),
    ("nodejs12.x", None),
    ("python2.7", None),
    ("python3.6", None),
    ("ruby2.5", None),
    ("dotnetcore1.0", None),
    ("dotnetcore2.0", None),
    ("dotnetcore2.1", None),
    ("dotnetcore3.1", None),
    ("nodejs14.x", Some((2027, 8, 31))),
    ("nodejs16.x", Some((2027, 8, 31))),
    ("nodejs18.x", Some((2027, 8, 31))),
    ("nodejs20.x", Some((2027, 8, 31))),
    ("nodejs22.x", Some((2027, 7, 1))),
    ("nodejs24.x", Some((2028, 7, 1))),
    ("python3.7", Some((2027, 8, 31))),
    ("python3.8", Some((2027, 8, 31))),
    ("python3.9", Some((2027, 8, 31))),
    ("python3.10", Some((2027, 8, 31))),
    ("python3.11", Some((2027, 8, 31))),
    ("python3.12", Some((2029, 1, 10))),
    ("python3.13", Some((2029, 8, 31))),
    ("python3.14", Some((2029, 8, 31))),
    ("java8", Some((2027, 8, 31))),
    ("java8.al2", Some((2027, 8, 31))),
    ("java11", Some((2027, 8, 31))),
    ("java17", Some((2027, 8, 31))),
    ("java21", Some((2029, 8, 31))),
    ("java25", Some((2029, 8, 31))),
    ("dotnet6", Some((2027, 8, 31))),
    ("dotnet8", Some((2027, 8, 31))),
    ("dotnet10", Some((2029, 1, 15))),
    ("ruby2.7", Some((2027, 8, 31))),
    ("ruby3.2", Some((2027, 8, 31))),
    ("ruby3.3", Some((2027, 8, 31))),
    ("ruby3.4", Some((2028, 5, 31))),
    ("go1.x", Some((2027, 8, 31))),
    ("provided", Some((2027, 8, 31))),
    ("provided.al2", Some((2027, 8, 31))),
    ("provided.al2023", Some((2029, 8, 31))),
];

/// Whether the table has the runtime.
#[must_use]
pub fn is_listed(runtime: &str) -> bool {
    BLOCKED_FROM.iter().any(|(name, _)| *name == runtime)
}

/// Returns the date (`2027-08-31`) from which Lambda refuses updates on the runtime, if `end` is not before it.
#[must_use]
pub fn blocked_from(runtime: &str, end: Time) -> Option<String> {
    let (_, from) = BLOCKED_FROM.iter().find(|(name, _)| *name == runtime)?;
    let Some((year, month, day)) = *from else { return Some("a date long past".to_owned()) };
    let date = jiff::civil::Date::new(year, month, day).ok()?;
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
    (end.0 >= midnight).then(|| date.to_string())
}

/// Whether the runtime starts through `AWS_LAMBDA_EXEC_WRAPPER`. Managed runtimes do; OS-only runtimes do not
/// (lambda/latest/dg/runtimes-modify).
#[must_use]
pub fn honors_wrapper(runtime: &str) -> bool {
    ["nodejs", "python", "java", "dotnet", "ruby"].iter().any(|family| runtime.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_blocked_from_its_date_on() {
        let day = 86_400_000;
        let june_2026 = Time(1_780_272_000_000);
        assert_eq!(blocked_from("python3.12", june_2026), None);
        assert_eq!(blocked_from("python3.12", Time(june_2026.0 + 1000 * day)), Some("2029-01-10".into()));
        assert_eq!(blocked_from("python9.9", june_2026), None);
        assert!(blocked_from("nodejs12.x", june_2026).is_some());
        // Ruby 2.7 still takes updates, although no new function may use it.
        assert_eq!(blocked_from("ruby2.7", june_2026), None);
        assert_eq!(blocked_from("ruby2.7", Time(june_2026.0 + 457 * day)), Some("2027-08-31".into()));
        assert!(is_listed("python3.14") && !is_listed("python9.9"));
        let its_day = Time(1_862_697_600_000);
        assert_eq!(its_day.to_string(), "2029-01-10T00:00:00Z");
        assert_eq!(blocked_from("python3.12", Time(its_day.0 - 1)), None);
        assert_eq!(blocked_from("python3.12", its_day), Some("2029-01-10".into()));
    }

    #[test]
    fn os_only_runtimes_ignore_a_wrapper() {
        assert!(honors_wrapper("python3.13") && honors_wrapper("nodejs22.x"));
        assert!(!honors_wrapper("provided.al2023") && !honors_wrapper("go1.x"));
    }
}
