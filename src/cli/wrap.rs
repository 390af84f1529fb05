//! Breaks sentences between words, where the terminal would break them within one.

use anstream::adapter::strip_str;

use super::commands::command_length;

/// The blanks before each further line of a sentence, in addition to those before its first one.
const HANGING: usize = 2;

/// Breaks a line that is wider than the terminal. A command of snapback stays whole, so that it can be copied; it may be
/// wider than the terminal.
pub(super) fn wrapped(line: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|width| columns(line) > *width) else { return line.to_owned() };
    let sentence = line.trim_start_matches(' ');
    let indent = line.len() - sentence.len();
    let mut text = " ".repeat(indent);
    let mut column = indent;
    for (at, part) in parts(sentence).into_iter().enumerate() {
        let length = columns(part);
        if at > 0 && column + 1 + length > width {
            column = indent + HANGING;
            text.push('\n');
            text.push_str(&" ".repeat(column));
        } else if at > 0 {
            column += 1;
            text.push(' ');
        }
        text.push_str(part);
        column += length;
    }
    text
}

/// Splits a sentence at the blanks where it may be broken.
fn parts(sentence: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = sentence;
    while !rest.is_empty() {
        let first = rest.find(' ').unwrap_or(rest.len());
        let length = if rest.starts_with("snapback ") { whole_command(rest).max(first) } else { first };
        let (part, after) = rest.split_at(length);
        parts.push(part);
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    parts
}

/// Returns the length of the command with which a text begins, with its options and what directly follows it, such as a
/// comma; 0 if it is not one.
fn whole_command(text: &str) -> usize {
    const NAME: &str = "snapback ";
    let Some(mut length) = command_length(&text[NAME.len()..]).map(|length| NAME.len() + length) else { return 0 };
    // The run of `status` is optional.
    if let Some((run, _)) = text[length..].strip_prefix(' ').and_then(|after| after.split_once(" --"))
        && !run.contains(' ')
    {
        length += 1 + run.len();
    }
    while let Some(option) = text[length..].strip_prefix(" --") {
        let name = option.find(' ').unwrap_or(option.len());
        // The value of an option, unless a punctuation mark ends the command before it.
        let has_value = option[..name].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let value = option[name..].strip_prefix(' ').filter(|value| has_value && !value.starts_with('-'));
        length += " --".len() + name + value.map_or(0, |value| 1 + value.find(' ').unwrap_or(value.len()));
    }
    length + text[length..].find(' ').unwrap_or(text.len() - length)
}

/// Counts the columns of a text, without the codes of colors.
fn columns(text: &str) -> usize {
    strip_str(text).to_string().chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_is_broken_between_words() {
        let line = "note crowd-000: a version that is published during the run keeps the fault";
        let expected = "note crowd-000: a version\n  that is published during\n  the run keeps the fault";
        assert_eq!(wrapped(line, Some(26)), expected);
        let colored = line.replace("note", "\u{1b}[33mnote\u{1b}[0m");
        assert_eq!(strip_str(&wrapped(&colored, Some(26))).to_string(), expected);
        assert_eq!(wrapped(line, None), line);
        assert_eq!(wrapped(line, Some(74)), line);
        assert_eq!(wrapped("  a bc", Some(5)), "  a\n    bc");
        assert_eq!(wrapped("aaaa bbbb", Some(3)), "aaaa\n  bbbb", "a word is never broken");
    }

    #[test]
    fn a_command_stays_in_one_line() {
        for command in [
            "snapback lever disengage --stack lab --region eu-west-1;",
            "snapback rollback run-1 --stack lab,",
            "snapback status --stack lab",
            "snapback status r --stack lab;",
        ] {
            let line = format!("safety lever: it is engaged; disengage it: {command} then run it");
            let expected = format!("safety lever: it is\n  engaged; disengage\n  it:\n  {command}\n  then run it");
            assert_eq!(wrapped(&line, Some(20)), expected);
        }
        assert_eq!(wrapped("snapback itself has done it", Some(16)), "snapback itself\n  has done it");
    }
}
