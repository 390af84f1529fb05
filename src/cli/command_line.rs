//! Reads the command line: which options each command takes, and the examples in its help.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, Command, CommandFactory, FromArgMatches};

use super::Failure;
use super::arguments::Arguments;
use super::common_options::{is_refused, refusal};
use super::examples::EXAMPLES;
use super::exit::Exit;
use super::output::Output;
use super::usage_error::explain;

/// Why there are no arguments.
#[derive(Debug)]
pub(super) enum Unparsed {
    /// The help or the version was asked for.
    Asked(String),
    /// Nothing was typed. The help shows what can be.
    Nothing(String),
    /// What is wrong, and what to do.
    Wrong(String),
}

/// The whole command, as help and man pages show it. Every command parses the options of all commands, also those that it refuses
/// and hides.
pub(super) fn whole_command() -> Command {
    let command = Arguments::command();
    let common = common_options(&command);
    with_options(command, "", &|command, path| {
        let refused = common.iter().filter(|option| is_refused(path, option.get_id().as_str()));
        refused.fold(command, |command, option| command.arg(option.clone().hide(true)))
    })
}

/// The whole command, as a shell completes it: with no option that a command refuses, because shells complete hidden ones, too.
pub(super) fn completed_command() -> Command {
    let command = Arguments::command();
    let common: Vec<Arg> = common_options(&command).into_iter().map(|option| option.global(false)).collect();
    with_options(command.mut_args(|option| option.global(false)), "", &|command, path| {
        let taken = common.iter().filter(|option| !is_refused(path, option.get_id().as_str()));
        taken.fold(command, |command, option| command.arg(option.clone()))
    })
}

fn common_options(command: &Command) -> Vec<Arg> {
    command.get_arguments().filter(|option| option.is_global_set()).cloned().collect()
}

/// Adds options and examples to every command below one. `path` is its name, such as `schedule`.
fn with_options(command: Command, path: &str, add: &impl Fn(Command, &str) -> Command) -> Command {
    command.mut_subcommands(|below| {
        let path = format!("{path} {}", below.get_name()).trim_start().to_owned();
        let below = with_options(add(below, &path), &path, add);
        match EXAMPLES.iter().find(|(of, _)| *of == path) {
            Some((_, examples)) => {
                let lines: String = examples.iter().map(|(line, what)| format!("\n  # {what}\n  {line}")).collect();
                below.after_help(format!("Examples:{lines}"))
            }
            None => below,
        }
    })
}

/// Parses what was typed.
///
/// # Errors
/// What was typed wrongly; or the help or the version that was asked for.
pub(super) fn parse() -> Result<Arguments, Unparsed> {
    parse_from(&std::env::args_os().collect::<Vec<_>>())
}

fn parse_from(words: &[OsString]) -> Result<Arguments, Unparsed> {
    let whole = whole_command();
    let unparsed = |error: clap::Error| match error.kind() {
        _ if !error.use_stderr() => Unparsed::Asked(error.render().to_string()),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if words.len() <= 1 => {
            Unparsed::Nothing(error.render().to_string())
        }
        _ => Unparsed::Wrong(explain(&error, &whole, words)),
    };
    let matches = whole.clone().try_get_matches_from(words).map_err(unparsed)?;
    match refusal(&matches) {
        Some(wrong) => Err(Unparsed::Wrong(wrong)),
        None => Arguments::from_arg_matches(&matches).map_err(unparsed),
    }
}

/// Shows what was typed wrongly, as JSON if that was asked for; or the help or the version, as any other output.
pub(super) fn show(unparsed: &Unparsed) -> Exit {
    // The option itself may follow what could not be read.
    let output = Output::new(std::env::args_os().any(|word| word == "--json"));
    let cause = match unparsed {
        Unparsed::Asked(text) => {
            output.print(text);
            return output.finish(Exit::Success);
        }
        Unparsed::Nothing(help) => {
            output.print_progress(help);
            return output.finish(Exit::Invalid);
        }
        Unparsed::Wrong(cause) => cause,
    };
    output.failure(&Failure::new("WrongUsage", cause.as_str()));
    output.finish(Exit::Invalid)
}

#[cfg(test)]
mod tests {
    use super::super::usage_error::OTHER_NAMES;
    use super::*;

    fn parsed(line: &str) -> Result<Arguments, String> {
        parse_from(&words(line)).map_err(|unparsed| match unparsed {
            Unparsed::Asked(text) | Unparsed::Nothing(text) | Unparsed::Wrong(text) => text,
        })
    }

    /// Parses a line that is wrong, and returns the message.
    fn wrong(line: &str) -> String {
        parsed(&format!("snapback {line}")).err().unwrap_or_else(|| unreachable!("{line} was parsed"))
    }

    /// Splits a line as a shell does it, with quotes around whole words.
    fn words(line: &str) -> Vec<OsString> {
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

    /// A command, such as `schedule add`, and the options of all commands that it shows.
    type Shown = (String, Vec<String>);

    /// Lists every command.
    fn shown(mut whole: Command) -> Vec<Shown> {
        fn add(command: &Command, path: &str, commands: &mut Vec<Shown>) {
            for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
                let path = format!("{path} {}", below.get_name()).trim_start().to_owned();
                let is_shown = |name: &&str| {
                    below.get_arguments().any(|option| option.get_long() == Some(name) && !option.is_hide_set())
                };
                add(below, &path, commands);
                commands.push((path, COMMON.into_iter().filter(is_shown).map(str::to_owned).collect()));
            }
        }
        whole.build();
        let mut commands = Vec::new();
        add(&whole, "", &mut commands);
        commands
    }

    const COMMON: [&str; 6] = ["json", "profile", "quiet", "region", "stack", "table"];

    /// The lines of a command's examples, without what a shell reads.
    fn examples(path: &str) -> Vec<String> {
        let of = EXAMPLES.iter().find(|(of, _)| *of == path).map(|(_, examples)| *examples).unwrap_or_default();
        let typed = |line: &str| line.split(['>', '|']).next().unwrap_or_default().replace("\\\n", "");
        of.iter().map(|(line, _)| typed(line)).collect()
    }

    #[test]
    fn each_command_has_examples_that_can_be_typed() {
        let commands = shown(whole_command());
        for (path, _) in &commands {
            assert!(!examples(path).is_empty(), "{path} has no example");
            for line in examples(path) {
                assert!(line.starts_with(&format!("snapback {path} ")) || line == format!("snapback {path}"), "{line}");
                assert!(parsed(&line).is_ok(), "{line}: {:?}", parsed(&line).err());
            }
        }
        for (path, _) in EXAMPLES {
            assert!(commands.iter().any(|(command, _)| command == path), "{path} is not a command");
        }
    }

    #[test]
    fn the_help_and_the_man_page_show_examples_unbroken() {
        for (path, examples) in EXAMPLES {
            let mut whole = whole_command().term_width(80);
            whole.build();
            let mut below = path.split(' ').try_fold(&whole, |command, name| command.find_subcommand(name)).cloned();
            let command = below.as_mut().unwrap_or_else(|| unreachable!("{path} is not a command"));
            let help = command.render_help().to_string();
            let mut man = Vec::new();
            assert!(clap_mangen::Man::new(command.clone()).render(&mut man).is_ok());
            for (line, what) in *examples {
                assert!(help.contains(&format!("  # {what}\n  {line}\n")) || help.ends_with(line), "{path}: {help}");
                // Roff writes apostrophes and hyphens in another form.
                let begin = what.split(' ').next().unwrap_or_default();
                assert!(String::from_utf8_lossy(&man).contains(&format!("# {begin}")), "{path}: {what}");
            }
        }
    }

    #[test]
    fn the_command_is_consistent() {
        whole_command().debug_assert();
        completed_command().debug_assert();
    }

    #[test]
    fn options_are_shown_only_where_they_have_an_effect() {
        let account = ["json", "profile", "region", "stack"];
        let ledger = [&account[..], &["table"]].concat();
        let ending = [&ledger[..], &["quiet"]].concat();
        for (path, shown) in shown(whole_command()) {
            let mut expected = match path.as_str() {
                "completions" | "init" | "man" | "schema" => vec![],
                "check" => vec!["json", "quiet"],
                "import" => vec!["json"],
                "plan" => account.to_vec(),
                "run" => [&account[..], &["quiet"]].concat(),
                "lever show" | "compare" | "history" | "report" => ledger.clone(),
                "lever" | "lever engage" | "lever disengage" | "rollback" | "status" => ending.clone(),
                path if path.starts_with("schedule") => account.to_vec(),
                path => unreachable!("which options have an effect on {path}?"),
            };
            expected.sort_unstable();
            assert_eq!(shown, expected, "{path}");
        }
        assert_eq!(shown(completed_command()), shown(whole_command()), "shells complete what the help shows");
    }

    #[test]
    fn an_option_without_an_effect_is_refused_in_each_place() {
        for (path, shown) in shown(whole_command()).iter().filter(|(path, _)| !examples(path).is_empty()) {
            for option in COMMON {
                let typed =
                    if matches!(option, "json" | "quiet") { format!("--{option}") } else { format!("--{option} eu") };
                let lines = examples(path).into_iter().flat_map(|line| {
                    [format!("{line} {typed}"), line.replacen("snapback", &format!("snapback {typed}"), 1)]
                });
                let all: Vec<Option<String>> = lines.map(|line| parsed(&line).err()).collect();
                let are_taken = all.iter().any(Option::is_none);
                let is_group = matches!(path.as_str(), "lever" | "schedule");
                assert!(is_group || are_taken == shown.iter().any(|shown| shown == option), "{path} {option}: {all:?}");
                let says = format!("--{option} has no effect; leave it out");
                let is_refused = |wrong: &Option<String>| wrong.as_ref().is_some_and(|wrong| wrong.contains(&says));
                assert!(are_taken || all.iter().any(is_refused), "{path} {option}: {all:?}");
            }
        }
    }

    #[test]
    fn a_refused_option_is_named_with_the_command_and_the_reason() {
        for (line, expected) in [
            ("check e.yaml --stack lab", "check needs no account, so --stack has no effect; leave it out"),
            ("--table t man", "man reads no ledger, so --table has no effect; leave it out"),
            ("schedule --table t list", "schedule list reads no ledger, so --table has no effect; leave it out"),
            ("plan e.yaml --table t", "plan takes the table from the stack, so --table has no effect; leave it out"),
            ("init latency --function f --json", "init prints no JSON, so --json has no effect; leave it out"),
            ("--json schema", "schema prints JSON anyway, so --json has no effect; leave it out"),
            ("lever show -q", "lever show shows no progress, so --quiet has no effect; leave it out"),
            ("status r -q", "status shows no progress without --watch, so --quiet has no effect; leave it out"),
            (
                "--region eu-west-1 check e.yaml --stack lab --table t",
                "check needs no account and reads no ledger, so --stack, --region and --table have no effect; leave them out",
            ),
        ] {
            assert_eq!(wrong(line), expected, "{line}");
        }
        assert!(parsed("snapback status r --watch -q").is_ok_and(|typed| typed.quiet));
        assert!(parsed("snapback schedule --stack lab list").is_ok_and(|typed| typed.stack == "lab"));
    }

    #[test]
    fn a_variable_of_the_environment_is_no_option_of_the_command() {
        // HOME is set wherever the tests run. Another variable cannot be set here, because tests run in threads.
        let whole = whole_command().mut_arg("stack", |option| option.env("HOME"));
        let matches = whole.try_get_matches_from(["snapback", "check", "e.yaml"]);
        let matches = matches.unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(matches.value_source("stack"), Some(clap::parser::ValueSource::EnvVariable));
        assert_eq!(refusal(&matches), None);
    }

    #[test]
    fn other_names_lead_to_the_command() {
        for (around, names, command) in OTHER_NAMES {
            for name in names {
                let wrong = wrong(format!("{around} {name}").trim_start());
                assert!(wrong.ends_with(&format!("; did you mean {command}?")), "{around} {name}: {wrong}");
            }
        }
    }

    #[test]
    fn wrong_usage_has_one_message_with_its_fix() {
        for (line, expected) in [
            ("--quiet", "a command is missing; see snapback --help"),
            ("qwertz", "`qwertz` is not a command of snapback; see snapback --help"),
            ("statsu", "`statsu` is not a command of snapback; did you mean status?"),
            ("help schedule up", "`up` is not a command of schedule; write one of add, list, "),
            ("help qwertz", "`qwertz` is not a command of snapback; see snapback --help"),
            ("lever", "lever: a command is missing; write one of engage, disengage, show"),
            (
                "schedule --stack s",
                "schedule: a command is missing; write one of add, list, show, pause, resume, remove",
            ),
            ("--stack s lever up", "`up` is not a command of lever; write one of engage, disengage, show"),
            ("rollback", "RUN or --all is missing; see snapback rollback --help"),
            ("rollback --all nope", "--all and RUN exclude each other; use one of them"),
            ("rollback --all --prevent-start", "--all and --prevent-start exclude each other; use one of them"),
            ("run", "FILE is missing; see snapback run --help"),
            ("run a b", "unexpected argument `b`; see snapback run --help"),
            ("run a --time PT1M", "unexpected argument `--time`; did you mean --timeout?"),
            ("--watch status r", "unexpected argument `--watch`; write it after status"),
            ("run a --yes=true", "--yes takes no value; leave `true` out"),
            ("status --outcome nope", "--outcome OUTCOME: `nope` is not known; write one of unfinished, held, "),
            ("run a --detach --junit x", "--detach and --junit FILE exclude each other; use one of them"),
            (
                "run a --detach --junit x --timeout PT1M",
                "--detach excludes --junit FILE and --timeout DURATION; leave one or the other out",
            ),
            ("run a --seed 1 --seed 2", "--seed NUMBER is given more than once; give it once"),
            ("run a --seed", "--seed NUMBER: the value is missing; write it after the option"),
            ("--stack= status", "--stack NAME: the value is missing; write it after the option"),
            ("check e --print-json --json", "--print-json and --json exclude each other; use one of them"),
            ("compare one", "RUN RUN...: only 1 is given; write 2 or more"),
            ("compare", "RUN RUN... is missing; see snapback compare --help"),
            ("init", "--function NAME and FAULT are missing; see snapback init --help"),
            ("init latenzy --function f", "FAULT: `latenzy` is not known; did you mean `latency`?"),
            ("schema --of nope", "--of DOCUMENT: `nope` is not known; write one of experiment, check, "),
            ("status --watch", "RUN is missing; see snapback status --help"),
            ("status r --limit 5", "RUN and --limit NUMBER exclude each other; use one of them"),
            ("status --limit -1", "--limit NUMBER: `-1` is invalid; write a whole number, 0 or more"),
            ("status --since x", "--since TIME: `x` is invalid; write a time such as "),
            ("report 'a b'", "RUN: `a b` is not a run; write 1 to 80 letters, digits, - and _"),
            ("man run --folder f", "COMMAND... and --folder FOLDER exclude each other; use one of them"),
            (
                "schedule add n e",
                "one of --rate RATE, --cron FIELDS and --at TIME is missing; see snapback schedule add --help",
            ),
            (
                "schedule add n e --rate '1 day' --cron '0 9 ? * * *'",
                "--rate RATE and --cron FIELDS exclude each other; use one of them",
            ),
            ("schedule show", "NAME is missing; see snapback schedule show --help"),
        ] {
            let wrong = wrong(line);
            assert!(wrong.starts_with(expected) && !wrong.contains('\n'), "{line}: {wrong}");
        }
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
            assert!(wrong(line).contains(expected), "{line}: {}", wrong(line));
        }
    }
}
