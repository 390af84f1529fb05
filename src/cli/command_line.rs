//! Reads the command line: which options each command shows, examples in its help, and what a mistyped command may mean.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory, FromArgMatches};

use super::arguments::Arguments;
use super::examples::EXAMPLES;
use super::exit::Exit;
use super::output::{FailureView, Output};

/// Options of all commands that have no effect on some. These commands still take them, but do not show them.
const UNUSED: [(&[&str], &[&str]); 4] = [
    (&["stack", "profile", "region"], &WITHOUT_ACCOUNT),
    (&["table"], &WITHOUT_LEDGER),
    (&["json"], &["completions", "init", "man", "schema"]),
    (
        &["quiet"],
        &[
            "compare",
            "completions",
            "history",
            "import",
            "init",
            "man",
            "plan",
            "report",
            "schedule",
            "schema",
            "status",
        ],
    ),
];

/// The commands that need no account.
const WITHOUT_ACCOUNT: [&str; 6] = ["check", "completions", "import", "init", "man", "schema"];

/// The commands that read no ledger. They refuse `--table`: a user who names a table expects that it is read.
const WITHOUT_LEDGER: [&str; 7] = ["check", "completions", "import", "init", "man", "schema", "schedule"];

/// Options that take no value.
const FLAGS: [&str; 2] = ["json", "quiet"];

/// The whole command, as help, completions and the man page show it.
pub(super) fn whole_command() -> Command {
    let command = Arguments::command().mut_subcommands(|command| {
        let name = command.get_name().to_owned();
        let unused =
            UNUSED.iter().filter(|(_, names)| names.contains(&name.as_str())).flat_map(|(options, _)| *options);
        unused.fold(command, |command, option| command.arg(hidden(option)))
    });
    with_examples(command, "")
}

/// Adds examples to every command below one. `path` is its name, such as `schedule`.
fn with_examples(command: Command, path: &str) -> Command {
    command.mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name()).trim_start().to_owned();
        let below = with_examples(below, &path);
        match EXAMPLES.iter().find(|(of, _)| *of == path) {
            Some((_, examples)) => {
                let lines: String = examples.iter().map(|(line, what)| format!("\n  # {what}\n  {line}")).collect();
                below.after_help(format!("Examples:{lines}"))
            }
            None => below,
        }
    })
}

/// An option that takes the place of the one of all commands.
fn hidden(name: &'static str) -> Arg {
    // The commands below it take the option, too.
    let option = Arg::new(name).long(name).hide(true).global(true);
    if FLAGS.contains(&name) { option.action(ArgAction::SetTrue) } else { option.num_args(1) }
}

/// Parses what was typed.
///
/// # Errors
/// What was typed wrongly; or the help or the version that was asked for.
pub(super) fn parse() -> Result<Arguments, clap::Error> {
    parse_from(std::env::args_os().collect())
}

fn parse_from(words: Vec<std::ffi::OsString>) -> Result<Arguments, clap::Error> {
    let parent = words.iter().skip(1).filter_map(|word| word.to_str()).find(|word| !word.starts_with('-'));
    let parent = parent.unwrap_or_default().to_owned();
    let parsed = whole_command().try_get_matches_from(words).and_then(refuse_table);
    parsed.and_then(|matches| Arguments::from_arg_matches(&matches)).map_err(|mut error| {
        suggest(&mut error, &parent);
        error
    })
}

/// What other tools call a command: the command around it, the other names, and this tool's name.
const OTHER_NAMES: [(&str, &[&str], &str); 14] = [
    ("", &["abort", "cancel", "end", "halt", "kill", "restore", "revert", "stop", "undo"], "rollback"),
    ("", &["follow", "list", "log", "logs", "ls", "ps", "runs", "tail", "watch"], "status"),
    ("", &["describe", "get", "result", "results", "show"], "report"),
    ("", &["execute", "inject", "start"], "run"),
    ("", &["diff", "dry-run", "preview", "simulate"], "plan"),
    ("", &["lint", "validate", "verify"], "check"),
    ("", &["create", "generate", "new", "template"], "init"),
    ("", &["convert"], "import"),
    ("", &["cron"], "schedule"),
    ("lever", &["lock", "on", "pull"], "engage"),
    ("lever", &["off", "unlock"], "disengage"),
    ("schedule", &["delete", "rm"], "remove"),
    ("schedule", &["disable", "stop"], "pause"),
    ("schedule", &["enable", "start"], "resume"),
];

/// Refuses `--table` where it would have no effect, before or after the command.
fn refuse_table(matches: ArgMatches) -> Result<ArgMatches, clap::Error> {
    let is_given = |matches: &ArgMatches| matches.try_contains_id("table").unwrap_or(false);
    match matches.subcommand() {
        Some((name, of_command)) if WITHOUT_LEDGER.contains(&name) && (is_given(&matches) || is_given(of_command)) => {
            let cause = format!("{name} reads no ledger, so --table has no effect; leave it out");
            Err(whole_command().error(ErrorKind::ArgumentConflict, cause))
        }
        _ => Ok(matches),
    }
}

/// Suggests a command where the distance between words finds none.
fn suggest(error: &mut clap::Error, parent: &str) {
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand) else { return };
    let typed = typed.clone();
    let parent = if typed == parent { "" } else { parent };
    let known = OTHER_NAMES.iter().find(|(around, names, _)| *around == parent && names.contains(&typed.as_str()));
    if let Some((_, _, name)) = known {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![(*name).to_owned()]));
    }
}

/// Shows what was typed wrongly, as JSON if that was asked for; or the help or the version, as any other output.
pub(super) fn show(error: &clap::Error) -> Exit {
    // The option itself may follow what could not be read.
    let output = Output::new(std::env::args_os().any(|word| word == "--json"));
    if !error.use_stderr() {
        output.print(&error.render().to_string());
        return output.finish(Exit::Success);
    }
    if output.as_json {
        output.json(&FailureView::new("WrongUsage", cause(error)));
        return output.finish(Exit::Invalid);
    }
    let _ = error.print();
    Exit::Invalid
}

/// The error without what only a user at a terminal can do with it.
fn cause(error: &clap::Error) -> String {
    if matches!(error.kind(), ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand) {
        return "a command is missing; see snapback --help".to_owned();
    }
    let text = error.render().to_string();
    let text = text.split("\n\nFor more information").next().unwrap_or_default();
    text.trim_start_matches("error: ").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Arguments, String> {
        parse_from(words(line)).map_err(|error| cause(&error))
    }

    /// Splits a line as a shell does it, with quotes around whole words.
    fn words(line: &str) -> Vec<std::ffi::OsString> {
        let mut words: Vec<String> = Vec::new();
        let mut quote = None;
        let mut is_open = false;
        for c in line.chars() {
            match (c, quote) {
                ('\'' | '"', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                (' ', None) => is_open = false,
                (c, _) => {
                    if !std::mem::replace(&mut is_open, true) {
                        words.push(String::new());
                    }
                    words.last_mut().into_iter().for_each(|word| word.push(c));
                }
            }
        }
        words.into_iter().map(Into::into).collect()
    }

    #[test]
    fn each_command_has_examples_that_can_be_typed() {
        fn check_below(command: &Command, path: &str) {
            for below in command.get_subcommands() {
                let path = format!("{path} {}", below.get_name()).trim_start().to_owned();
                assert!(EXAMPLES.iter().any(|(example, _)| *example == path), "{path} has no example");
                check_below(below, &path);
            }
        }
        check_below(&whole_command(), "");
        for (name, examples) in EXAMPLES {
            for (line, _) in *examples {
                let typed = line.split(['>', '|']).next().unwrap_or_default();
                assert!(typed.starts_with(&format!("snapback {name}")), "{line}");
                assert!(parsed(typed).is_ok(), "{line}: {:?}", parsed(typed).err());
            }
        }
    }

    #[test]
    fn the_command_is_consistent() {
        whole_command().debug_assert();
    }

    #[test]
    fn options_are_shown_only_where_they_have_an_effect() {
        let help = |name: &str| {
            let mut command = whole_command();
            command.build();
            command.find_subcommand_mut(name).map(|command| command.render_help().to_string()).unwrap_or_default()
        };
        for (options, names) in UNUSED {
            for (name, option) in names.iter().flat_map(|name| options.iter().map(move |option| (name, option))) {
                assert!(!help(name).contains(&format!("--{option}")), "{name} --{option}\n{}", help(name));
            }
        }
        assert!(help("status").contains("--stack") && help("run").contains("--quiet"));
        // Scripts may give them to every command.
        assert!(parsed("snapback check e.yaml --stack lab --region eu-west-1 --json").is_ok_and(|typed| typed.json));
        assert!(parsed("snapback --stack lab schema").is_ok());
        assert!(parsed("snapback schedule list --quiet --stack lab").is_ok_and(|typed| typed.stack == "lab"));
    }

    #[test]
    fn a_table_is_refused_by_commands_that_read_no_ledger() {
        for line in ["check e.yaml --table t", "--table t man", "schedule list --table t", "schedule --table t list"] {
            let wrong = parsed(&format!("snapback {line}")).err().unwrap_or_default();
            assert!(wrong.contains("reads no ledger, so --table has no effect; leave it out"), "{line}: {wrong}");
        }
        for line in ["plan e.yaml --table t", "--table t run e.yaml", "status --table t", "lever show --table t"] {
            assert!(
                parsed(&format!("snapback {line}")).is_ok_and(|typed| typed.table.as_deref() == Some("t")),
                "{line}"
            );
        }
    }

    #[test]
    fn other_names_lead_to_the_command() {
        for (around, names, command) in OTHER_NAMES {
            for name in names {
                let wrong = parsed(&format!("snapback {around} {name}")).err().unwrap_or_default();
                assert!(wrong.contains(&format!("'{command}'")), "{around} {name}: {wrong}");
            }
        }
        let wrong = parsed("snapback qwertz").err().unwrap_or_default();
        assert!(wrong.contains("unrecognized subcommand 'qwertz'") && !wrong.contains("tip"), "{wrong}");
    }

    #[test]
    fn a_value_that_begins_with_a_hyphen_is_explained() {
        for (line, expected) in [
            ("run e.yaml --seed -1", "write a whole number from 0 to 4294967295"),
            ("run e.yaml --timeout -5", "is not a duration"),
            ("run e.yaml --name -", "write 1 to 80 letters, digits, - and _, beginning with a letter or a digit"),
            ("schedule add n e.yaml --rate '-1 days'", "is not a rate"),
            ("schedule add n e.yaml --rate '1 day' --window -1", "is not a window"),
            ("schedule add n e.yaml --cron '-1 9 ? * * *'", "has an invalid field for minutes"),
        ] {
            let wrong = parsed(&format!("snapback {line}")).err().unwrap_or_default();
            assert!(wrong.contains(expected), "{line}: {wrong}");
        }
    }
}
