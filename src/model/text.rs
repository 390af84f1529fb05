//! What somebody wrote: what it may be, and made fit for an error text.

/// What functions on Lambda Managed Instances serve to invocations without a qualifier: a published version
/// (lambda/latest/dg/lambda-managed-instances-version-publishing).
pub(crate) const LATEST_PUBLISHED: &str = "$LATEST.PUBLISHED";

/// Whether a text is the name of an alias, a version's number, `$LATEST` or [`LATEST_PUBLISHED`].
pub(crate) fn is_qualifier(text: &str) -> bool {
    let is_word = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    ["$LATEST", LATEST_PUBLISHED].contains(&text) || (is_word && text.len() <= 128)
}

/// At most 60 characters of what somebody wrote, for an error text: one line, whatever they wrote.
#[must_use]
pub(crate) fn shorten(text: &str) -> String {
    let shown = |part: &str| -> String {
        part.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
    };
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}...", shown(&text[..at])),
        None => shown(text),
    }
}

/// The same of what should be a name: who writes `NAME=VALUE` or `NAME:VALUE` there does not want the value shown.
#[cfg(feature = "control")]
#[must_use]
pub(crate) fn shorten_name(text: &str) -> String {
    match text.find(['=', ':']) {
        Some(at) => format!("{}(hidden)", shorten(&text[..=at])),
        None => shorten(text),
    }
}
