//! Words that several texts share, and many functions in few words: those with the same text are named together.

use crate::model::run::RunStatus;
use crate::plan::rendering::Outcome;

/// The names that are listed before the others are counted.
const LISTED: usize = 3;

/// Groups values by a key, in the order in which the keys come first.
pub(super) fn grouped<T, K: PartialEq>(values: impl IntoIterator<Item = T>, key: impl Fn(&T) -> K) -> Vec<(K, Vec<T>)> {
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    for value in values {
        let of = key(&value);
        match groups.iter_mut().find(|(other, _)| *other == of) {
            Some((_, group)) => group.push(value),
            None => groups.push((of, vec![value])),
        }
    }
    groups
}

/// Lists names, or counts them where there are many: `a, b, c and 50 more functions`.
pub(super) fn named(names: &[&str]) -> String {
    match names.len().saturating_sub(LISTED) {
        0 | 1 => names.join(", "),
        more => format!("{} and {more} more functions", names[..LISTED].join(", ")),
    }
}

/// Joins texts of the form `FUNCTION: TEXT` that differ in the function only: those about all functions have no names.
/// Texts about anything else stay.
pub(super) fn joined(texts: &[String], functions: &[&str]) -> Vec<String> {
    let split = |text: &String| match text.split_once(": ") {
        Some((name, rest)) if functions.contains(&name) => (Some(name.to_owned()), rest.to_owned()),
        _ => (None, text.clone()),
    };
    let groups = grouped(texts.iter().map(split), |(name, rest)| (name.is_some(), rest.clone()));
    let mut lines = Vec::new();
    for ((is_named, rest), group) in groups {
        let names: Vec<&str> = group.iter().filter_map(|(name, _)| name.as_deref()).collect();
        let is_about_all = functions.len() > 1 && functions.iter().all(|function| names.contains(function));
        lines.push(match (is_named, is_about_all) {
            (false, _) => rest,
            (true, true) => format!("each target: {rest}"),
            (true, false) => format!("{}: {rest}", named(&names)),
        });
    }
    lines
}

/// The status of a run and the reason for it. A reason that begins with the status takes its place.
pub(super) fn status_text(status: RunStatus, reason: Option<&str>) -> String {
    match reason {
        None => status.name().to_owned(),
        Some(reason) if reason.starts_with(status.name()) => reason.to_owned(),
        Some(reason) => format!("{}; {reason}", status.name()),
    }
}

/// The name of an outcome in JSON output and in `--outcome`.
pub(super) fn outcome_name(outcome: Outcome) -> String {
    serde_json::to_value(outcome).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

pub(super) fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

pub(super) fn targets(count: usize) -> String {
    format!("{count} target{}", plural(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_not_repeated_by_its_reason() {
        for (status, reason, expected) in [
            (RunStatus::Running, None, "running"),
            (RunStatus::Stopped, Some("stopped by a user"), "stopped by a user"),
            (RunStatus::Stopping, Some("stopped by a user"), "stopping; stopped by a user"),
            (RunStatus::Stopped, Some("alarm a went into ALARM"), "stopped; alarm a went into ALARM"),
        ] {
            assert_eq!(status_text(status, reason), expected);
        }
    }

    #[test]
    fn texts_that_differ_in_the_function_only_are_joined() {
        let functions = ["a", "b", "c", "d", "e"];
        let texts: Vec<String> = functions
            .iter()
            .map(|name| format!("{name}: slow"))
            .chain(["b: cold".to_owned(), "no stop condition: x".to_owned()])
            .collect();
        assert_eq!(joined(&texts, &functions), ["each target: slow", "b: cold", "no stop condition: x"]);
        let expected = ["a, b, c and 2 more functions: slow", "b: cold", "no stop condition: x"];
        assert_eq!(joined(&texts, &["a", "b", "c", "d", "e", "f"]), expected);
        assert_eq!(joined(&texts[1..2], &["b"]), ["b: slow"]);
    }
}
