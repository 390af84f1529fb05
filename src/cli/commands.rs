//! Commands of snapback in the texts of the plan and the steps.

use super::place_options::PlaceOptions;

/// What the messages of the plan, the steps and the command line write before a command. By it, a command is told from one in a reason
/// or a name, which stays as a user wrote it.
const LEADS: [&str; 10] = [
    "disengage it: ",
    "end it: ",
    "; see ",
    "then see ",
    " run: ",
    "run's targets: ",
    "list the runs: ",
    "restore immediately: ",
    "restore it immediately: ",
    "this machine: ",
];

/// Adds `places` to each `snapback` command that a text from the plan or the steps advises: they do not know how this command reached
/// the stack. A command that already has options stays as it is.
pub(super) fn complete_commands(text: &str, places: &PlaceOptions) -> String {
    const NAME: &str = "snapback ";
    let mut complete = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(NAME) {
        let begin = at + NAME.len();
        let end = begin + command_length(&rest[begin..]).unwrap_or(0);
        complete.push_str(&rest[..end]);
        if end > begin && is_advice(&complete, NAME.len() + end - begin) && !has_options(&rest[end..]) {
            complete.push_str(&places.of(&rest[begin..end]));
        }
        rest = &rest[end..];
    }
    complete.push_str(rest);
    complete
}

/// Whether the command of this length at the end of a text is one that a message advises.
fn is_advice(text: &str, length: usize) -> bool {
    LEADS.iter().any(|lead| text[..text.len() - length].ends_with(lead))
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
            ("to disengage it: snapback lever disengage", "to disengage it: snapback lever disengage --stack lab"),
            ("end it: snapback rollback run-1; or", "end it: snapback rollback run-1 --stack lab; or"),
            ("no run; see snapback status\nx", "no run; see snapback status --stack lab\nx"),
            ("snapback rollback r --direct --stack lab", "snapback rollback r --direct --stack lab"),
            ("snapback status --stack lab", "snapback status --stack lab"),
            ("see snapback status r --stack lab; to", "see snapback status r --stack lab; to"),
            (
                "engaged (reason: she ran snapback rollback prod-7 and snapback status); to disengage it: snapback lever disengage",
                "engaged (reason: she ran snapback rollback prod-7 and snapback status); to disengage it: snapback lever disengage --stack lab",
            ),
            ("the alarm snapback status is in ALARM", "the alarm snapback status is in ALARM"),
            ("one of snapback's; snapback reports it", "one of snapback's; snapback reports it"),
        ] {
            assert_eq!(complete_commands(text, &places), expected);
            assert_eq!(complete_commands(text, &PlaceOptions::default()), text);
        }
    }

    /// Files with commands that are no advice: examples, descriptions and samples.
    const WITHOUT_ADVICE: [&str; 3] = ["examples.rs", "schema.rs", "layouts.rs"];

    /// Every command in the messages below a folder, with the text before it.
    fn advised(folder: &std::path::Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let of_entry = |path: std::path::PathBuf| {
            if path.is_dir() {
                return advised(&path);
            }
            if path.file_name().is_some_and(|name| WITHOUT_ADVICE.iter().any(|file| name == *file)) {
                return Vec::new();
            }
            let source = std::fs::read_to_string(&path).unwrap_or_default();
            let source = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
            // A message that continues in the next line.
            let parts: Vec<&str> = source.split("\\\n").map(str::trim_start).collect();
            let joined = parts.concat();
            let lines = joined.lines().filter(|line| !line.trim_start().starts_with("//"));
            let commands = lines.flat_map(|line| {
                line.match_indices("snapback ").filter_map(move |(at, name)| {
                    let begin = at + name.len();
                    let end = begin + command_length(&line[begin..].replace(['{', '}'], "_"))?;
                    (!has_options(&line[end..])).then(|| line[..end].replace(['{', '}'], "_"))
                })
            });
            commands.collect()
        };
        entries.flat_map(of_entry).collect()
    }

    #[test]
    fn every_advised_command_is_told_by_what_is_before_it() {
        let stack = "lab".to_owned();
        let places = PlaceOptions::new([("stack", Some(&stack))]);
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let texts: Vec<String> =
            ["model", "plan", "steps", "cli"].iter().flat_map(|layer| advised(&source.join(layer))).collect();
        assert!(texts.len() > 5, "{texts:?}");
        for text in texts {
            assert!(complete_commands(&text, &places).contains("--stack lab"), "{text}");
        }
    }
}
