//! Text from outside: what it may be, and how it is made fit for one line of output.

use std::borrow::Cow;

/// What functions on Lambda Managed Instances serve to invocations without a qualifier: a published version
/// (lambda/latest/dg/lambda-managed-instances-version-publishing).
pub(crate) const LATEST_PUBLISHED: &str = "$LATEST.PUBLISHED";

/// Whether a text is the name of an alias, a version's number, `$LATEST` or [`LATEST_PUBLISHED`].
pub(crate) fn is_qualifier(text: &str) -> bool {
    let is_word = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    ["$LATEST", LATEST_PUBLISHED].contains(&text) || (is_word && text.len() <= 128)
}

/// Whether a character changes how the text around it is shown: a control character, a line separator, or a mark that
/// reverses or isolates the direction of text. Such text could show another plan than the one that runs.
#[must_use]
pub(crate) fn is_control(c: char) -> bool {
    let is_direction =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || is_direction || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}')
}

/// Escapes every character that would change how the text around it is shown.
#[must_use]
pub(crate) fn escape_controls(text: &str) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| if is_control(c) { c.escape_default().to_string() } else { c.to_string() };
    Cow::Owned(text.chars().map(escape).collect())
}

/// Shortens a text to 60 characters in one line, for an error message.
#[must_use]
pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}...", escape_controls(&text[..at])),
        None => escape_controls(text).into_owned(),
    }
}

/// Shortens what should be a name. Where it is `NAME=VALUE` or `NAME:VALUE`, the value is hidden.
#[cfg(feature = "control")]
#[must_use]
pub(crate) fn shorten_name(text: &str) -> String {
    match text.find(['=', ':']) {
        Some(at) => format!("{}(hidden)", shorten(&text[..=at])),
        None => shorten(text),
    }
}

/// Returns a text with a capital first letter.
#[cfg(feature = "control")]
#[must_use]
pub(crate) fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_in_its_line_and_direction() {
        assert_eq!(escape_controls("déjà 決 \u{1f600}"), "déjà 決 \u{1f600}");
        assert_eq!(escape_controls("a\u{1b}[2J\u{202e}b\u{2028}\n"), "a\\u{1b}[2J\\u{202e}b\\u{2028}\\n");
        assert_eq!(shorten(&"\u{202e}".repeat(61)), format!("{}...", "\\u{202e}".repeat(60)));
    }
}
