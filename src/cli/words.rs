//! Words that several texts share, and many functions in few words: those with the same text are named together.

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

/// Lists words in a sentence: `a, b and c`, or with another last word before the last of them.
pub(super) fn listed(words: &[impl AsRef<str>], before_last: &str) -> String {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    match words.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} {before_last} {last}", others.join(", ")),
        _ => words.concat(),
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
    fn the_last_of_several_words_has_another_before_it() {
        let expected = ["", "a", "a or b", "a, b or c"];
        assert_eq!([&[][..], &["a"], &["a", "b"], &["a", "b", "c"]].map(|words| listed(words, "or")), expected);
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
