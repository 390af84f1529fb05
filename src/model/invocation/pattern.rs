//! Patterns that mean the same in Rust, Python and JavaScript, and that each of them matches in a short time.
//!
//! The proxy's patterns take time in proportion to the text. The chaos handler uses those of its language, which try one
//! possibility after the other: a repetition inside a repetition can take longer than any timeout, and so can many
//! choices one after the other. So its patterns have no such parts, few repetitions and few choices.

use std::iter::Peekable;
use std::str::Chars;

use crate::model::text::shorten;

/// The repetitions without a small limit that a pattern can have. Each one more multiplies the time by the length of the
/// text, which is up to 16 KB.
const MAX_REPETITIONS: usize = 1;
/// The same for a pattern that begins with `^`, and so is not tried at each place.
const MAX_ANCHORED_REPETITIONS: usize = 2;
/// The most combinations of the choices that a pattern offers: two for `a?`, three for `a{1,3}`, one per alternative of a group.
const MAX_CHOICES: u32 = 64;
/// The same for a pattern that takes time with the square of the text's length already.
const MAX_CHOICES_WITH_REPETITIONS: u32 = 8;
/// Up to this count, a repetition is a small one.
const SMALL: u32 = 16;
/// The characters that can be escaped to stand for themselves.
const SYNTAX: &str = r"^$\.*+?()[]{}|/-";

/// Checks that a pattern, which compiles, is one that the chaos handler can use.
///
/// # Errors
/// The message names the pattern, the part and the fix.
pub(super) fn check_portable(pattern: &str) -> Result<(), String> {
    let mut scanner = Scanner {
        rest: pattern.chars().peekable(),
        repetitions: 0,
        choices: 1,
        groups: Vec::new(),
        last: Last::Nothing,
    };
    let most = if pattern.starts_with('^') { MAX_ANCHORED_REPETITIONS } else { MAX_REPETITIONS };
    let scanned = scanner.scan().and_then(|()| {
        let most_choices = if scanner.repetitions < most { MAX_CHOICES } else { MAX_CHOICES_WITH_REPETITIONS };
        match (scanner.repetitions, scanner.choices) {
            (many, _) if many > most => Err(format!("has {many} repetitions, more than {most}")),
            (_, many) if many > most_choices => {
                Err(format!("has more than {most_choices} combinations of optional parts and alternatives"))
            }
            _ => Ok(()),
        }
    });
    scanned.map_err(|why| {
        format!(
            "the pattern `{}` {why}, which the chaos handler cannot match in a short time, or not as the proxy does; \
             write a simpler one, several conditions, or use a fault that the proxy injects",
            shorten(pattern)
        )
    })
}

/// What a repetition would repeat.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    /// One character or class.
    Single,
    /// A group; whether it has repetitions or alternatives.
    Group {
        varies: bool,
    },
    Repetition,
}

/// An open group.
struct Group {
    /// Whether it has repetitions or alternatives.
    varies: bool,
    alternatives: u32,
}

struct Scanner<'p> {
    rest: Peekable<Chars<'p>>,
    repetitions: usize,
    /// How many combinations of the choices so far there are, at most.
    choices: u32,
    groups: Vec<Group>,
    last: Last,
}

impl Scanner<'_> {
    fn scan(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest.next() {
            self.last = match c {
                '\\' => self.escape(true)?,
                '[' => self.class()?,
                '(' => self.open()?,
                ')' => self.close(),
                '|' => self.alternative(),
                '^' | '$' => Last::Nothing,
                '*' | '+' => self.repeat(true)?,
                '?' => {
                    self.choose(2);
                    self.repeat(false)?
                }
                '{' => self.count()?,
                '}' | ']' => return Err(format!("has `{c}` without its beginning")),
                _ => Last::Single,
            };
        }
        Ok(())
    }

    /// Notes in the open groups that they have a repetition or alternatives.
    fn mark(&mut self) {
        self.groups.iter_mut().for_each(|group| group.varies = true);
    }

    /// Alternatives of the whole pattern are tried one after the other, so they multiply nothing.
    fn alternative(&mut self) -> Last {
        self.mark();
        if let Some(group) = self.groups.last_mut() {
            group.alternatives += 1;
        }
        Last::Nothing
    }

    fn close(&mut self) -> Last {
        let group = self.groups.pop().unwrap_or(Group { varies: false, alternatives: 1 });
        self.choose(group.alternatives);
        Last::Group { varies: group.varies }
    }

    fn choose(&mut self, among: u32) {
        self.choices = self.choices.saturating_mul(among);
    }

    fn escape(&mut self, outside: bool) -> Result<Last, String> {
        match self.rest.next() {
            Some('d' | 'w' | 's' | 'D' | 'W' | 'n' | 't' | 'r') => Ok(Last::Single),
            Some('S') if outside => Ok(Last::Single),
            Some('b') if outside => Ok(Last::Nothing),
            Some(c) if SYNTAX.contains(c) => Ok(Last::Single),
            Some(c) => Err(format!("has `\\{c}`")),
            None => Err("ends with a backslash".to_owned()),
        }
    }

    fn class(&mut self) -> Result<Last, String> {
        self.rest.next_if_eq(&'^');
        if self.rest.peek() == Some(&']') {
            return Err("has a class that begins with `]`".to_owned());
        }
        while let Some(c) = self.rest.next() {
            match c {
                ']' => return Ok(Last::Single),
                '\\' => drop(self.escape(false)?),
                '[' | '&' | '~' | '|' => return Err(format!("has `{c}` in a class")),
                _ => {}
            }
        }
        Err("has a class without an end".to_owned())
    }

    fn open(&mut self) -> Result<Last, String> {
        self.groups.push(Group { varies: false, alternatives: 1 });
        if self.rest.next_if_eq(&'?').is_some() && self.rest.next() != Some(':') {
            return Err("has a special group".to_owned());
        }
        Ok(Last::Nothing)
    }

    /// Notes a repetition of what comes before; `long` if it has no small limit.
    fn repeat(&mut self, long: bool) -> Result<Last, String> {
        match self.last {
            Last::Nothing => return Err("repeats nothing".to_owned()),
            Last::Repetition => return Err("repeats a repetition".to_owned()),
            Last::Group { varies: true } if long => {
                return Err("repeats a group that has repetitions or alternatives".to_owned());
            }
            Last::Single | Last::Group { .. } => {}
        }
        self.repetitions += usize::from(long);
        self.mark();
        // A lazy repetition matches the same texts.
        self.rest.next_if_eq(&'?');
        Ok(Last::Repetition)
    }

    fn count(&mut self) -> Result<Last, String> {
        let mut text = String::new();
        while let Some(c) = self.rest.next_if(|c| c.is_ascii_digit() || *c == ',') {
            text.push(c);
        }
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
        let (least, most) = (number(text.split(',').next()), number(text.rsplit(',').next()));
        if self.rest.next() != Some('}') || !text.starts_with(|c: char| c.is_ascii_digit()) {
            return Err("has a `{` without a count".to_owned());
        }
        // A small repetition of a group multiplies what is in it, so it counts as a long one.
        let is_group = matches!(self.last, Last::Group { varies: true });
        let is_long = is_group || most.is_none_or(|most| most > SMALL);
        if let (Some(least), Some(most), false) = (least, most, is_long) {
            self.choose(most.saturating_sub(least) + 1);
        }
        self.repeat(is_long)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_patterns_are_portable() {
        for pattern in [
            "^(GET|HEAD)$",
            "^/api/.*/items$",
            r"^/orders/\d+/items/[^/]+$",
            "timeout|busy",
            r"a\.b\[0\]",
            "[a-z0-9_.-]+",
            "(?:ab)?c{2,3}d",
            r"\bfree\b",
            ".*?x",
            "(ab)+",
            r"[\]\^-]",
            "a{2,}",
            r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2})?Z?$",
            "^/(orders|items)/v?[0-9]{1,4}$",
            "a?b?c?d?e?f?",
            "a|b|c|d|e|f|g|h|i|j",
        ] {
            assert_eq!(check_portable(pattern), Ok(()), "{pattern}");
        }
    }

    #[test]
    fn patterns_that_take_long_or_differ_are_refused() {
        for (pattern, expected) in [
            ("(a+)+$", "repeats a group that has repetitions"),
            ("(a|a)*$", "repeats a group that has repetitions or alternatives"),
            ("(a|ab){2,9}", "repeats a group that has repetitions or alternatives"),
            (".*a.*", "has 2 repetitions, more than 1"),
            ("^.*a.*b.*", "has 3 repetitions, more than 2"),
            ("a{0,900}b{0,900}", "has 2 repetitions"),
            ("a?a?a?a?a?a?a?b", "has more than 64 combinations of optional parts and alternatives"),
            ("(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)(a|a)b", "has more than 64 combinations"),
            (r"^\w{1,16}-?\w{1,16}-?\w{1,16}$", "has more than 64 combinations"),
            ("^.*a?b?.*c?d?$", "has more than 8 combinations"),
            ("a+{3}", "repeats a repetition"),
            ("a++", "repeats a repetition"),
            ("(?i)a", "has a special group"),
            ("(?P<a>b)", "has a special group"),
            ("[[:alpha:]]", "has `[` in a class"),
            ("[]a]", "has a class that begins with `]`"),
            (r"[\S]", r"has `\S`"),
            (r"\Aa\z", r"has `\A`"),
            (r"a\x41", r"has `\x`"),
            ("a}", "has `}` without its beginning"),
            ("a{x", "has a `{` without a count"),
            ("(*a)", "repeats nothing"),
            ("[a&&b]", "has `&` in a class"),
        ] {
            let refusal = check_portable(pattern).err().unwrap_or_default();
            assert!(
                refusal.contains(expected) && refusal.contains("use a fault that the proxy"),
                "{pattern}: {refusal}"
            );
        }
    }
}
