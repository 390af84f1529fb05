//! Everything that is wrong with an object as a whole, such as settings that exclude each other.
//!
//! Serde carries one text per error. So [`Problems`] are written as one text, which [`read`] takes apart again; it has
//! separators that no message contains, because texts from outside are escaped.

use std::fmt;

/// Ends a problem.
const END: char = '\u{1e}';
/// Precedes the field to which a problem points.
const AT: char = '\u{1f}';
/// Precedes each field whose absence would cause the problem.
const ABSENT: char = '\u{1d}';

/// What is wrong with an object.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

/// One thing that is wrong with an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What is wrong with which value, and what to write instead.
    pub(crate) text: String,
    /// The part to which it points, as the rest of a JSON pointer such as `tags/team`; empty for the whole object.
    pub(crate) at: String,
    /// The parts whose absence would cause it, in the same form.
    pub(crate) absent: Vec<String>,
}

impl Problems {
    /// Adds a problem with something that is there.
    pub(crate) fn wrong(&mut self, at: &str, text: impl Into<String>) {
        self.0.push(Problem { text: text.into(), at: at.to_owned(), absent: Vec::new() });
    }

    /// Adds a problem that is caused if these parts are absent.
    pub(crate) fn lacking(&mut self, at: &str, absent: &[&str], text: impl Into<String>) {
        let absent = absent.iter().map(|part| (*part).to_owned()).collect();
        self.0.push(Problem { text: text.into(), at: at.to_owned(), absent });
    }

    /// Adds the problem of a part, if it has one.
    pub(crate) fn add(&mut self, at: &str, checked: Result<(), String>) {
        if let Err(text) = checked {
            self.wrong(at, text);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns itself as an error, unless there is no problem.
    ///
    /// # Errors
    /// There is a problem.
    #[cfg(feature = "control")]
    pub(crate) fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    /// Returns the first problem as an error, if there is one.
    ///
    /// # Errors
    /// The text of the first problem.
    pub(crate) fn first(self) -> Result<(), String> {
        self.0.into_iter().next().map_or(Ok(()), |problem| Err(problem.text))
    }
}

/// Writes them for [`read`].
impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|Problem { text, at, absent }| {
            write!(f, "{text}{AT}{at}")?;
            absent.iter().try_for_each(|part| write!(f, "{ABSENT}{part}"))?;
            write!(f, "{END}")
        })
    }
}

/// Reads the problems in a message of serde; none if it is of another kind.
#[cfg(feature = "control")]
pub(crate) fn read(message: &str) -> Vec<Problem> {
    let problem = |written: &str| {
        let (text, parts) = written.split_once(AT)?;
        let mut parts = parts.split(ABSENT).map(str::to_owned);
        Some(Problem { text: text.to_owned(), at: parts.next()?, absent: parts.collect() })
    };
    message.split_terminator(END).map_while(problem).collect()
}

/// Returns what a user is told of a message of serde, if only one problem is told.
pub(crate) fn first_of(message: &str) -> &str {
    message.split(AT).next().unwrap_or(message)
}

/// A name as a JSON pointer has it (RFC 6901, section 3).
pub(crate) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Returns the name for one as a JSON pointer has it.
pub(crate) fn unescape(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_read_as_they_were_written() {
        let mut problems = Problems::default();
        problems.wrong("tags/a", "has the tag `a`; remove it");
        problems.lacking("", &["set", "unset"], "changes nothing");
        problems.lacking("layers", &["layers"], "has no layers");
        problems.add("raw", Ok(()));
        let text = problems.to_string();
        assert_eq!(first_of(&text), "has the tag `a`; remove it");
        #[cfg(feature = "control")]
        assert_eq!(Problems(read(&text)), problems);
        assert_eq!(first_of("missing field `hosts`"), "missing field `hosts`");
        assert_eq!(problems.first(), Err("has the tag `a`; remove it".to_owned()));
    }
}
