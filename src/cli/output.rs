//! Output: colored on a terminal, plain lines when piped, JSON when asked for.
//!
//! What is printed may come from AWS or from a file. Control characters in it are escaped here, so that no name or
//! reason can move the cursor, hide a line, or show another plan than the one that runs.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::model::refusal::StatedRefusal;
use crate::model::text::is_control;
use crate::plan::preview::PlanView;
use crate::plan::rendering::ReportView;

use super::commands::complete_commands;
use super::exit::Exit;
use super::file_error::FileError;
use super::pen::{Pen, Tone};
use super::place_options::PlaceOptions;
use super::plan_text::plan_text;
use super::report_text::report_text;
use super::wrap::wrapped;
use super::{Failure, process};

/// Where and how to print. A write that fails never ends a command, because the command may be restoring a function.
/// The first failure is kept for the end.
pub(super) struct Output {
    /// Whether to print one JSON value and nothing else.
    pub(super) as_json: bool,
    /// Whether progress is shown on a terminal on which lines can change.
    pub(super) live: bool,
    /// Whether to print no progress.
    pub(super) quiet: bool,
    /// Whether JSON is one value a line.
    in_lines: bool,
    /// How standard output is drawn.
    pub(super) pen: Pen,
    /// How standard error is drawn, which shows progress.
    pub(super) progress: Pen,
    /// The options that every printed `snapback` command needs to reach the same stack.
    places: PlaceOptions,
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
    /// The reasons for which a run was refused.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    refusals: &'a [StatedRefusal],
}

impl<'a> FailureView<'a> {
    pub(super) fn new(error: &'a str, cause: String) -> Self {
        Self { error, cause, errors: &[], refusals: &[] }
    }
}

impl Output {
    pub(super) fn new(as_json: bool) -> Self {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let live = io::stderr().is_terminal() && !is_dumb && !as_json;
        let pen = if as_json { Pen::PLAIN } else { Pen::of(&io::stdout()) };
        let (progress, places, failed) = (Pen::of(&io::stderr()), PlaceOptions::default(), RefCell::default());
        Self { as_json, live, quiet: false, in_lines: false, pen, progress, places, failed }
    }

    /// Adds the options for printed commands (see [`Arguments::places`](super::arguments::Arguments::places)).
    pub(super) fn with_places(self, places: PlaceOptions) -> Self {
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

    fn safe(&self, line: &str) -> String {
        self.pen.escape(&self.complete(line))
    }

    /// Makes a line of progress fit for output: control characters are escaped, and commands are complete.
    pub(super) fn safe_progress(&self, line: &str) -> String {
        self.progress.escape(&self.complete(line))
    }

    /// Prints progress on standard error as it is, and flushes.
    pub(super) fn print_progress(&self, text: &str) {
        let mut stderr = io::stderr();
        self.keep(stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()));
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
        // A line that changes may be there.
        let clear = if self.live { "\r\u{1b}[K" } else { "" };
        self.keep(writeln!(io::stderr(), "{clear}{}", Pen::PLAIN.escape(&self.complete(line))));
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
        self.pen.paint(tone, text)
    }

    pub(super) fn json(&self, value: &impl Serialize) {
        let text = if self.in_lines { serde_json::to_string(value) } else { serde_json::to_string_pretty(value) };
        let text = match text {
            Ok(text) => text,
            Err(error) => return self.keep(Err(error.into())),
        };
        // serde_json escapes ASCII's control characters. The others can only be in strings, where JSON allows an
        // escape.
        let is_left = |c: char| is_control(c) && c != '\n';
        let escaped = text.chars().map(|c| if is_left(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() });
        self.print(&format!("{}\n", if text.contains(is_left) { escaped.collect() } else { text.clone() }));
    }

    pub(super) fn failure(&self, failure: &Failure) {
        if self.as_json {
            let cause = self.complete(&failure.cause);
            let Failure { errors, refusals, .. } = failure;
            let complete = |refusal: &StatedRefusal| {
                let fix = refusal.fix.as_ref().map(|fix| self.complete(fix));
                StatedRefusal { fix, ..refusal.clone() }
            };
            let refusals: Vec<StatedRefusal> = refusals.iter().map(complete).collect();
            self.json(&FailureView { errors, refusals: &refusals, ..FailureView::new(&failure.error, cause) });
        }
        // If standard output has failed, the cause goes to standard error as well.
        if !self.as_json || self.failed.borrow().is_some() {
            // An editor finds an error by its file at the beginning of the line.
            let name = if failure.errors.is_empty() { "snapback: " } else { "" };
            self.note(&format!("{name}{}", failure.cause));
        }
    }

    /// Prints lines of which each is a sentence or fits the terminal. Sentences are broken between words.
    pub(super) fn print_sentences(&self, text: &str) {
        text.lines().for_each(|line| self.print(&format!("{}\n", wrapped(&self.safe(line), self.pen.width))));
    }

    /// Prints the lines of a text.
    pub(super) fn print_text(&self, text: &str) {
        text.lines().for_each(|line| self.print_line(line));
    }

    pub(super) fn plan(&self, view: &PlanView) {
        self.print_sentences(&plan_text(view, self.pen));
    }

    pub(super) fn report(&self, view: &ReportView) {
        self.print_sentences(&report_text(view, self.pen));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn json_that_cannot_be_written_is_an_error() {
        let output = Output::new(true);
        output.json(&BTreeMap::from([([1], "JSON has no such key")]));
        assert_eq!(output.finish(Exit::Success), Exit::Error);
    }
}
