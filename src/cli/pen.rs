//! How text is drawn: in which colors, and how wide.

use std::borrow::Cow;
use std::os::fd::AsFd;

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Reset, Style};

use crate::model::text::{escape_controls, is_control};

/// The fewest columns for which lines are laid out; a narrower terminal breaks them itself.
const MIN_COLUMNS: usize = 20;

/// The meaning of a colored word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Warning,
    Bad,
    Faint,
}

impl Tone {
    const ALL: [Self; 4] = [Self::Good, Self::Warning, Self::Bad, Self::Faint];

    fn code(self) -> String {
        let style = match self {
            Self::Good => AnsiColor::Green.on_default(),
            Self::Warning => AnsiColor::Yellow.on_default(),
            Self::Bad => AnsiColor::Red.on_default(),
            Self::Faint => Style::new().dimmed(),
        };
        style.render().to_string()
    }
}

/// The colors and the width of one stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pen {
    pub(super) colors: bool,
    /// The columns of the terminal; without a terminal, no line is broken.
    pub(super) width: Option<usize>,
}

impl Pen {
    /// Neither colors nor a width.
    pub(super) const PLAIN: Self = Self { colors: false, width: None };

    /// The pen of standard output or standard error.
    pub(super) fn of(stream: &(impl RawStream + AsFd)) -> Self {
        let colors = AutoStream::choice(stream) != ColorChoice::Never;
        Self { colors, width: columns(terminal_size::terminal_size_of(stream)) }
    }

    /// Colors a text. It is escaped first, so that it cannot contain color codes itself.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        match self.colors {
            true => format!("{}{}{Reset}", tone.code(), escape_controls(text)),
            false => text.to_owned(),
        }
    }

    /// Escapes control characters, except line breaks and the codes of [`Pen::paint`].
    pub(super) fn escape(self, text: &str) -> String {
        let codes: Vec<String> = match self.colors {
            true => Tone::ALL.map(Tone::code).into_iter().chain([Reset.to_string()]).collect(),
            false => Vec::new(),
        };
        let mut safe = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find(|c| is_control(c) && c != '\n') {
            let (plain, tail) = rest.split_at(at);
            safe.push_str(plain);
            let own = codes.iter().find(|code| tail.starts_with(code.as_str()));
            let length = own.map_or_else(|| tail.chars().next().map_or(0, char::len_utf8), String::len);
            let (control, tail) = tail.split_at(length);
            safe.push_str(&if own.is_some() { Cow::Borrowed(control) } else { escape_controls(control) });
            rest = tail;
        }
        safe.push_str(rest);
        safe
    }
}

fn columns(size: Option<(terminal_size::Width, terminal_size::Height)>) -> Option<usize> {
    size.map(|(width, _)| usize::from(width.0).max(MIN_COLUMNS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_own_colors_are_not() {
        let text = "a\u{1b}[2J\u{202e}b\n\u{1b}[32mc\u{1b}[0m";
        let colored = Pen { colors: true, width: None };
        assert_eq!(colored.escape(text), "a\\u{1b}[2J\\u{202e}b\n\u{1b}[32mc\u{1b}[0m");
        assert_eq!(Pen::PLAIN.escape(text), "a\\u{1b}[2J\\u{202e}b\n\\u{1b}[32mc\\u{1b}[0m");
        assert_eq!(colored.paint(Tone::Bad, "x\u{1b}[0m"), "\u{1b}[31mx\\u{1b}[0m\u{1b}[0m");
        assert_eq!(colored.escape(&colored.paint(Tone::Faint, "x")), "\u{1b}[2mx\u{1b}[0m");
    }
}
