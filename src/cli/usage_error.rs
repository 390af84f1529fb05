//! What was typed wrongly, in the form of every other message: the subject, the problem and the fix.

use std::error::Error;
use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::model::input::nearest;
use crate::model::text::shorten;

use super::words::listed;

/// What other tools call a command: the command around it, the other names, and this tool's name.
pub(super) const OTHER_NAMES: [(&str, &[&str], &str); 14] = [
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

/// Says what is wrong with words that could not be parsed, and what to do.
pub(super) fn explain(error: &clap::Error, whole: &Command, words: &[OsString]) -> String {
    let (command, path) = typed_command(whole, words);
    let help = format!("see {} --help", format!("snapback {path}").trim_end());
    let subject = text(error, ContextKind::InvalidArg).map(readable).unwrap_or_default();
    match error.kind() {
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => match path.as_str() {
            "" => format!("a command is missing; {help}"),
            path => format!("{path}: a command is missing; {}", one_of(&names(command))),
        },
        ErrorKind::InvalidSubcommand => {
            let typed = text(error, ContextKind::InvalidSubcommand).unwrap_or_default();
            unknown_command(error, typed, command, &path)
        }
        ErrorKind::MissingRequiredArgument => {
            let missing: Vec<String> = texts(error, ContextKind::InvalidArg).into_iter().map(readable).collect();
            let are = if missing.len() == 1 { "is" } else { "are" };
            format!("{} {are} missing; {help}", listed(&missing, "and"))
        }
        ErrorKind::ArgumentConflict => conflict(subject, &texts(error, ContextKind::PriorArg)),
        ErrorKind::UnknownArgument => {
            let is_of_command = command.get_arguments().any(|known| known.get_long() == subject.strip_prefix("--"));
            let fix = match text(error, ContextKind::SuggestedArg) {
                _ if subject.starts_with("--") && is_of_command => format!("write it after {path}"),
                Some(known) => format!("did you mean {known}?"),
                None => help,
            };
            format!("unexpected argument `{}`; {fix}", shorten(&subject))
        }
        ErrorKind::TooManyValues => {
            let typed = text(error, ContextKind::InvalidValue).unwrap_or_default();
            format!("{subject} takes no value; leave `{}` out", shorten(typed))
        }
        ErrorKind::InvalidValue => invalid_value(error, &subject),
        ErrorKind::ValueValidation => match error.source().map(ToString::to_string) {
            Some(why) if !why.starts_with("write ") => format!("{subject}: {why}"),
            why => {
                let typed = text(error, ContextKind::InvalidValue).unwrap_or_default();
                format!("{subject}: `{}` is invalid; {}", shorten(typed), why.unwrap_or(help))
            }
        },
        ErrorKind::TooFewValues => match (error.get(ContextKind::MinValues), error.get(ContextKind::ActualNumValues)) {
            (Some(ContextValue::Number(least)), Some(ContextValue::Number(given))) => {
                format!("{subject}: only {given} is given; write {least} or more")
            }
            _ => format!("{subject}: something is missing; {help}"),
        },
        ErrorKind::InvalidUtf8 => "an argument is not UTF-8; write it in UTF-8".to_owned(),
        // Whatever a later release of clap adds, in its own words without those for a terminal.
        _ => {
            let text = error.render().to_string();
            let text = text.split("\n\n").next().unwrap_or_default().trim_start_matches("error: ");
            format!("{}; {help}", text.trim())
        }
    }
}

/// Finds the command that was typed, and its name, such as `schedule add`.
fn typed_command<'a>(whole: &'a Command, words: &[OsString]) -> (&'a Command, String) {
    let (mut command, mut path) = (whole, Vec::new());
    let mut words = words.iter().skip(1).filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        if let Some(option) = word.strip_prefix("--") {
            let mut known = whole.get_arguments().chain(command.get_arguments());
            if known.any(|known| known.get_long() == Some(option) && known.get_action().takes_values()) {
                words.next();
            }
        } else if !word.starts_with('-') {
            match command.find_subcommand(word) {
                Some(below) => {
                    command = below;
                    path.push(below.get_name());
                }
                None if word == "help" => {}
                None => break,
            }
        }
    }
    (command, path.join(" "))
}

fn unknown_command(error: &clap::Error, typed: &str, command: &Command, path: &str) -> String {
    let known = OTHER_NAMES.iter().find(|(around, names, _)| *around == path && names.contains(&typed));
    let meant = known.map(|(_, _, name)| *name);
    let meant = meant.or_else(|| texts(error, ContextKind::SuggestedSubcommand).first().copied());
    let fix = match (meant, path) {
        (Some(name), _) => format!("did you mean {name}?"),
        (None, "") => "see snapback --help".to_owned(),
        (None, _) => one_of(&names(command)),
    };
    let around = if path.is_empty() { "snapback" } else { path };
    format!("`{}` is not a command of {around}; {fix}", shorten(typed))
}

fn conflict(subject: String, others: &[&str]) -> String {
    let others: Vec<String> = others.iter().map(|text| readable(text)).collect();
    match others.as_slice() {
        [other] if *other == subject => format!("{subject} is given more than once; give it once"),
        [other] => format!("{subject} and {other} exclude each other; use one of them"),
        others => format!("{subject} excludes {}; leave one or the other out", listed(others, "and")),
    }
}

fn invalid_value(error: &clap::Error, subject: &str) -> String {
    let (typed, valid) = (text(error, ContextKind::InvalidValue), texts(error, ContextKind::ValidValue));
    match typed.filter(|typed| !typed.is_empty()) {
        None if valid.is_empty() => format!("{subject}: the value is missing; write it after the option"),
        None => format!("{subject}: the value is missing; {}", one_of(&valid)),
        Some(typed) => {
            let fix = nearest(typed, &valid).map(|known| format!("did you mean `{known}`?"));
            format!("{subject}: `{}` is not known; {}", shorten(typed), fix.unwrap_or_else(|| one_of(&valid)))
        }
    }
}

/// The commands below a command.
fn names(command: &Command) -> Vec<&str> {
    command.get_subcommands().filter(|command| !command.is_hide_set()).map(Command::get_name).collect()
}

fn one_of(words: &[&str]) -> String {
    format!("write one of {}", words.join(", "))
}

/// Writes an argument as a user types it: `--at TIME` for `--at <TIME>`, `RUN or --all` for `<RUN|--all>`.
fn readable(argument: &str) -> String {
    let bare = |text: &str| text.replace(['<', '>', '[', ']'], "");
    let choices: Vec<String> = argument.split('|').map(bare).collect();
    match choices.len() {
        1 | 2 => choices.join(" or "),
        _ => format!("one of {}", listed(&choices, "and")),
    }
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        ContextValue::Strings(texts) => texts.first().map(String::as_str),
        _ => None,
    }
}

fn texts(error: &clap::Error, kind: ContextKind) -> Vec<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text],
        Some(ContextValue::Strings(texts)) => texts.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}
