//! Output: colored on a terminal, plain lines when piped, JSON when asked for.
//!
//! What is printed may come from AWS or from a file. Control characters in it are escaped here, so that no name or
//! reason can move the cursor, hide a line, or show another plan than the one that runs.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::model::refusal::Refusal;
use crate::model::run::{RunStatus, TargetStatus};
use crate::model::text::{escape_controls, is_control};
use crate::model::time::Time;
use crate::plan::outcome_text::outcome_text;
use crate::plan::rendering::{FieldRow, Outcome, PlanView, ReportView, TargetReport, has_version};

use super::exit::Exit;
use super::file_error::FileError;
use super::{Failure, process};

/// Where and how to print. A write that fails never ends a command, because the command may be restoring a function.
/// The first failure is kept for the end.
pub(super) struct Output {
    /// Whether to print one JSON value and nothing else.
    pub(super) as_json: bool,
    /// Whether standard output is a terminal.
    pub(super) live: bool,
    /// Whether to print no progress.
    pub(super) quiet: bool,
    /// Whether JSON is one value a line.
    in_lines: bool,
    colors: bool,
    /// The options that every printed `snapback` command needs to reach the same stack.
    places: String,
    failed: RefCell<Option<io::Error>>,
}

/// The output of a command that failed.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct FailureView<'a> {
    /// The error's stable name.
    error: &'a str,
    /// What is wrong, and what to do.
    cause: String,
    /// The errors of files, each with its place.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FileError],
}

impl<'a> FailureView<'a> {
    pub(super) fn new(error: &'a str, cause: String) -> Self {
        Self { error, cause, errors: &[] }
    }
}

/// The meaning of a colored word.
#[derive(Clone, Copy)]
pub(super) enum Tone {
    Good,
    Warning,
    Bad,
    Faint,
}

impl Output {
    pub(super) fn new(as_json: bool) -> Self {
        let live = std::io::stdout().is_terminal() && !as_json;
        let colors = live && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { as_json, live, quiet: false, in_lines: false, colors, places: String::new(), failed: RefCell::default() }
    }

    /// Adds the options for printed commands (see [`Arguments::places`](super::arguments::Arguments::places)).
    pub(super) fn with_places(self, places: String) -> Self {
        Self { places, ..self }
    }

    /// Prints no progress, if `quiet` is set.
    pub(super) fn quieter(self, quiet: bool) -> Self {
        Self { quiet, live: self.live && !quiet, ..self }
    }

    /// Prints each JSON value in one line, if `in_lines` is set.
    pub(super) fn in_lines(self, in_lines: bool) -> Self {
        Self { in_lines, ..self }
    }

    /// Completes the commands in a text with the options that reach the same stack.
    pub(super) fn complete(&self, text: &str) -> String {
        complete_commands(text, &self.places)
    }

    /// Prints a line on standard output.
    pub(super) fn print_line(&self, line: &str) {
        self.print(&format!("{}\n", self.safe(line)));
    }

    /// Makes a line fit for output: control characters are escaped, and commands are complete.
    pub(super) fn safe(&self, line: &str) -> String {
        escape_all_but_colors(&complete_commands(line, &self.places), self.colors)
    }

    /// Prints text on standard output as it is, and flushes.
    pub(super) fn print(&self, text: &str) {
        let written = match process::stdout_was_closed() {
            true => Err(io::Error::other("it is closed")),
            false => {
                let mut stdout = io::stdout();
                stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
            }
        };
        self.keep(written);
    }

    /// Prints a line on standard error, even if standard output gets JSON.
    pub(super) fn note(&self, line: &str) {
        self.keep(writeln!(io::stderr(), "{}", escape_all_but_colors(&complete_commands(line, &self.places), false)));
    }

    /// Remembers a failure to write, for the exit code.
    pub(super) fn keep(&self, written: io::Result<()>) {
        if let Err(error) = written {
            self.failed.borrow_mut().get_or_insert(error);
        }
    }

    /// Returns the exit code of the command. A closed pipe is no error, because its reader has seen enough; any other
    /// failure to write is one.
    pub(super) fn finish(&self, exit: Exit) -> Exit {
        match &*self.failed.borrow() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let _ = writeln!(io::stderr(), "snapback: the output could not be written: {error}");
                if exit == Exit::Success { Exit::Error } else { exit }
            }
            _ => exit,
        }
    }

    pub(super) fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => GREEN,
            Tone::Warning => YELLOW,
            Tone::Bad => RED,
            Tone::Faint => FAINT,
        };
        // Escape the text here, so that it cannot contain color codes itself.
        if self.colors { format!("{code}{}{RESET}", escape_controls(text)) } else { text.to_owned() }
    }

    pub(super) fn json(&self, value: &impl Serialize) {
        let text = if self.in_lines { serde_json::to_string(value) } else { serde_json::to_string_pretty(value) };
        let text = text.unwrap_or_default();
        // serde_json escapes ASCII's control characters. The others can only be in strings, where JSON allows an
        // escape.
        let is_left = |c: char| is_control(c) && c != '\n';
        let escaped = text.chars().map(|c| if is_left(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() });
        self.print(&format!("{}\n", if text.contains(is_left) { escaped.collect() } else { text.clone() }));
    }

    pub(super) fn failure(&self, failure: &Failure) {
        if self.as_json {
            let cause = complete_commands(&failure.cause, &self.places);
            self.json(&FailureView { errors: &failure.errors, ..FailureView::new(&failure.error, cause) });
        }
        // If standard output has failed, the cause goes to standard error as well.
        if !self.as_json || self.failed.borrow().is_some() {
            // An editor finds an error by its file at the beginning of the line.
            let name = if failure.errors.is_empty() { "snapback: " } else { "" };
            self.note(&format!("{name}{}", failure.cause));
        }
    }

    pub(super) fn plan(&self, view: &PlanView) {
        self.print_line(&format!("{}: on {} for {}", view.experiment, targets(view.targets.len()), view.duration));
        for fault in &view.faults {
            self.print_line(&format!("  {fault}"));
        }
        for (label, values) in [("stops on", &view.stop_conditions), ("holds", &view.steady_state)] {
            if !values.is_empty() {
                self.print_line(&format!("  {label}: {}", values.join(", ")));
            }
        }
        if let Some(seed) = view.seed {
            let hint = format!("; a run draws again; use --seed {seed} for these targets");
            self.print_line(&format!("  drawn with seed {seed}{}", if view.seed_is_drawn { &hint } else { "" }));
        }
        for target in &view.targets {
            self.print_line("");
            self.print_line(&target.function);
            self.fields(&target.fields);
        }
        if !view.warnings.is_empty() {
            self.print_line("");
        }
        for warning in &view.warnings {
            self.print_line(&format!("{} {warning}", self.paint(Tone::Warning, "note")));
        }
        self.print_line("");
        self.refusals(&view.refusals);
    }

    fn fields(&self, rows: &[FieldRow]) {
        if rows.is_empty() {
            return self.print_line("  nothing would change");
        }
        let width = |column: fn(&FieldRow) -> &str, head: &str| {
            rows.iter().map(|row| column(row).chars().count()).chain([head.len()]).max().unwrap_or(0)
        };
        let (field, before) = (width(|row| &row.field, "field"), width(|row| &row.before, "before"));
        let during = width(|row| &row.during, "during");
        let line = |a: &str, b: &str, c: &str, d: &str| format!("  {a:field$}  {b:before$}  {c:during$}  {d}");
        self.print_line(&self.paint(Tone::Faint, &line("field", "before", "during", "after")));
        for row in rows {
            self.print_line(&line(&row.field, &row.before, &row.during, &row.after));
        }
    }

    pub(super) fn refusals(&self, refusals: &[Refusal]) {
        if refusals.is_empty() {
            return self.print_line(&self.paint(Tone::Good, "ready to run; nothing was changed"));
        }
        let count = refusals.len();
        self.print_line(
            &self.paint(Tone::Bad, &format!("refused, for {count} reason{}; nothing was changed", plural(count))),
        );
        for refusal in refusals {
            self.print_line(&format!("  {refusal}"));
        }
    }

    pub(super) fn report(&self, view: &ReportView) {
        self.report_head(view);
        self.report_findings(view);
        for target in &view.targets {
            self.report_target(target);
        }
    }

    fn report_head(&self, view: &ReportView) {
        self.print_line(&format!("run {}: {}", view.run_id, self.outcome(view)));
        if !view.experiment.is_empty() {
            let end = match &view.closed_at {
                Some(closed_at) => format!("closed at {closed_at}"),
                None => format!("ends by {}", view.due),
            };
            // A run whose record cannot be read has no times.
            let times = format!("; started at {}; {end}", view.created_at);
            let times = if view.created_at == Time(0).to_string() { "" } else { &times };
            self.print_line(&format!("  experiment {}{times}", view.experiment));
        }
        if let Some(actor) = &view.started_by {
            self.print_line(&format!("  started by {actor}"));
        }
        self.print_line(&format!("  {}", status_text(view.status, view.reason.as_deref())));
        if let Some(actor) = &view.ended_by {
            self.print_line(&format!("  ended by {actor}"));
        }
        if let Some(seed) = view.seed {
            self.print_line(&format!("  targets drawn with seed {seed}"));
        }
    }

    fn report_findings(&self, view: &ReportView) {
        if let Some(steady_state) = view.steady_state {
            let tone = if steady_state == "held" { Tone::Good } else { Tone::Warning };
            self.print_line(&format!("  steady state {}", self.paint(tone, steady_state)));
        }
        for deviation in &view.deviations {
            self.print_line(&format!("    {deviation}"));
        }
        if let Some(injected) = &view.injected {
            self.print_line(&format!("  injected: {injected}"));
        }
        // A run that was ended before its time does not have to show an effect.
        let ended_early = view.outcome == Outcome::EndedEarly && view.status != RunStatus::Completed;
        if let Some(effect) = view.effect.as_ref().filter(|_| !ended_early) {
            self.print_line(&format!("  {} {effect}", self.paint(Tone::Warning, "no effect shown:")));
        }
        for note in &view.notes {
            self.print_line(&format!("  {} {note}", self.paint(Tone::Warning, "note")));
        }
    }

    fn report_target(&self, target: &TargetReport) {
        let fields: Vec<&str> = target.fields.iter().map(|row| row.field.as_str()).collect();
        let (status, fields) = (self.target(target.status), join_or(&fields, "no field"));
        self.print_line(&format!("  {}: {status} ({fields})", target.function));
        for drift in &target.drift {
            self.print_line(&format!("    {} {}: {}", self.paint(Tone::Warning, "drift"), drift.field, drift.note));
        }
        for fault in &target.removed_faults {
            let removed = self.paint(Tone::Warning, "removed");
            self.print_line(&format!(
                "    {removed} {}: changed outside this run; seen at {}",
                fault.field, fault.seen_at
            ));
        }
        if let Some(why) = &target.waiting_for {
            self.print_line(&format!("    {} {why}", self.paint(Tone::Warning, "waiting:")));
        }
        if !target.frozen_versions.is_empty() {
            let what = match has_version(&target.frozen_versions) {
                true => "published during the run, with the fault in them:",
                false => "published during the run:",
            };
            let (versions, list) = (self.paint(Tone::Warning, "versions"), target.frozen_versions.join(", "));
            self.print_line(&format!("    {versions} {what} {list}"));
        }
        if let Some(moved) = &target.runtime_version {
            let (before, after) = (&moved.before, &moved.after);
            self.print_line(&format!("    {} was {before}, is {after}", self.paint(Tone::Warning, "runtime version")));
        }
        if let Some(error) = &target.restore_error {
            self.print_line(&format!("    {} {error}", self.paint(Tone::Bad, "the restore failed:")));
        }
    }

    fn outcome(&self, view: &ReportView) -> String {
        let tone = match view.outcome {
            Outcome::Held | Outcome::NoSteadyState => Tone::Good,
            Outcome::RestoreFailed => Tone::Bad,
            Outcome::Unfinished | Outcome::Unproven | Outcome::EndedEarly | Outcome::Drifted => Tone::Warning,
        };
        self.paint(tone, outcome_text(view))
    }

    pub(super) fn target(&self, status: TargetStatus) -> String {
        let tone = match status {
            TargetStatus::Restored | TargetStatus::Untouched => Tone::Good,
            TargetStatus::Drifted | TargetStatus::Deleted | TargetStatus::Injecting | TargetStatus::Injected => {
                Tone::Warning
            }
            TargetStatus::Pending | TargetStatus::Armed | TargetStatus::Restoring => Tone::Faint,
        };
        self.paint(tone, status.name())
    }
}

const GREEN: &str = "\u{1b}[32m";
const YELLOW: &str = "\u{1b}[33m";
const RED: &str = "\u{1b}[31m";
const FAINT: &str = "\u{1b}[2m";
const RESET: &str = "\u{1b}[0m";

/// Escapes control characters, except line breaks and, if `colors` is set, the codes of [`Output::paint`].
fn escape_all_but_colors(text: &str, colors: bool) -> String {
    let mut safe = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c| is_control(c) && c != '\n') {
        let (plain, tail) = rest.split_at(at);
        safe.push_str(plain);
        let own = [GREEN, YELLOW, RED, FAINT, RESET].into_iter().find(|code| colors && tail.starts_with(code));
        let length = own.map_or_else(|| tail.chars().next().map_or(0, char::len_utf8), str::len);
        let (control, tail) = tail.split_at(length);
        match own {
            Some(code) => safe.push_str(code),
            None => safe.push_str(&escape_controls(control)),
        }
        rest = tail;
    }
    safe.push_str(rest);
    safe
}

/// Adds `places` to each `snapback` command in a text from the plan or the steps, which do not know how this command
/// reached the stack. A command that already has options stays as it is.
fn complete_commands(text: &str, places: &str) -> String {
    const NAME: &str = "snapback ";
    let mut complete = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(NAME) {
        let end = at + NAME.len() + command_length(&rest[at + NAME.len()..]).unwrap_or(0);
        complete.push_str(&rest[..end]);
        if end > at + NAME.len() && !has_options(&rest[end..]) {
            complete.push_str(places);
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
fn command_length(text: &str) -> Option<usize> {
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

/// The status of a run and the reason for it. A reason that begins with the status takes its place.
pub(super) fn status_text(status: RunStatus, reason: Option<&str>) -> String {
    match reason {
        None => status.name().to_owned(),
        Some(reason) if reason.starts_with(status.name()) => reason.to_owned(),
        Some(reason) => format!("{}; {reason}", status.name()),
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

pub(super) fn targets(count: usize) -> String {
    format!("{count} target{}", plural(count))
}

fn join_or(words: &[&str], none: &str) -> String {
    if words.is_empty() { none.to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_own_colors_are_not() {
        let text = "a\u{1b}[2J\u{202e}b\n\u{1b}[32mc\u{1b}[0m";
        assert_eq!(escape_all_but_colors(text, true), "a\\u{1b}[2J\\u{202e}b\n\u{1b}[32mc\u{1b}[0m");
        assert_eq!(escape_all_but_colors(text, false), "a\\u{1b}[2J\\u{202e}b\n\\u{1b}[32mc\\u{1b}[0m");
    }

    #[test]
    fn a_status_is_not_repeated_by_its_reason() {
        for (status, reason, expected) in [
            (RunStatus::Running, None, "running"),
            (RunStatus::Stopped, Some("stopped by a user"), "stopped by a user"),
            (RunStatus::Stopping, Some("stopped by a user"), "stopping; stopped by a user"),
            (RunStatus::Stopped, Some("alarm a went into ALARM"), "stopped; alarm a went into ALARM"),
        ] {
            assert_eq!(status_text(status, reason), expected);
        }
    }

    #[test]
    fn commands_in_refusals_reach_the_same_stack() {
        let places = " --stack lab";
        for (text, expected) in [
            ("release it: snapback lever disengage", "release it: snapback lever disengage --stack lab"),
            ("end it: snapback rollback run-1; or", "end it: snapback rollback run-1 --stack lab; or"),
            ("see snapback status\nx", "see snapback status --stack lab\nx"),
            ("snapback rollback r --direct --stack lab", "snapback rollback r --direct --stack lab"),
            ("snapback status --stack lab", "snapback status --stack lab"),
            ("see snapback status r --stack lab; to", "see snapback status r --stack lab; to"),
            ("one of snapback's; snapback reports it", "one of snapback's; snapback reports it"),
        ] {
            assert_eq!(complete_commands(text, places), expected);
            assert_eq!(complete_commands(text, ""), text);
        }
    }
}
