//! Commands of snapback in the texts of the plan and the steps.

use super::place_options::PlaceOptions;

/// Adds `places` to each `snapback` command in a text from the plan or the steps, which do not know how this command
/// reached the stack. A command that already has options stays as it is.
pub(super) fn complete_commands(text: &str, places: &PlaceOptions) -> String {
    const NAME: &str = "snapback ";
    let mut complete = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(NAME) {
        let begin = at + NAME.len();
        let end = begin + command_length(&rest[begin..]).unwrap_or(0);
        complete.push_str(&rest[..end]);
        if end > begin && !has_options(&rest[end..]) {
            complete.push_str(&places.of(&rest[begin..end]));
        }
        rest = &rest[end..];
    }
    complete.push_str(rest);
    complete
}

/// Whether options follow a command, immediately or after one more word: the run of `status` is optional.
fn has_options(text: &str) -> bool {
    let after_word = || text.strip_prefix(' ')?.split_once(' ').map(|(_, after)| after);
    text.starts_with(" --") || after_word().is_some_and(|after| after.starts_with("--"))
}

/// Returns the length of the command at the beginning of a text, without options.
pub(super) fn command_length(text: &str) -> Option<usize> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let word = |text: &str| text.find(|c| !is_word(c)).unwrap_or(text.len());
    let first = word(text);
    let with_next = || {
        let next = text[first..].strip_prefix(' ')?;
        Some(first + 1 + word(next)).filter(|end| *end > first + 1)
    };
    match &text[..first] {
        "rollback" | "lever" | "report" | "schedule" => with_next(),
        "status" => Some(first),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_refusals_reach_the_same_stack() {
        let stack = "lab".to_owned();
        let places = PlaceOptions::new([("stack", Some(&stack))]);
        for (text, expected) in [
            ("release it: snapback lever disengage", "release it: snapback lever disengage --stack lab"),
            ("end it: snapback rollback run-1; or", "end it: snapback rollback run-1 --stack lab; or"),
            ("see snapback status\nx", "see snapback status --stack lab\nx"),
            ("snapback rollback r --direct --stack lab", "snapback rollback r --direct --stack lab"),
            ("snapback status --stack lab", "snapback status --stack lab"),
            ("see snapback status r --stack lab; to", "see snapback status r --stack lab; to"),
            ("one of snapback's; snapback reports it", "one of snapback's; snapback reports it"),
        ] {
            assert_eq!(complete_commands(text, &places), expected);
            assert_eq!(complete_commands(text, &PlaceOptions::default()), text);
        }
    }
}
