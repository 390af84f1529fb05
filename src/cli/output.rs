//! What is shown: coloured on a terminal, plain lines when piped, JSON when asked.

use std::cell::RefCell;
use std::io::{self, IsTerminal, Write};

use serde::Serialize;
use serde_json::json;

use crate::model::refusal::Refusal;
use crate::model::run::TargetStatus;
use crate::plan::rendering::{FieldRow, Outcome, PlanView, ReportView, TargetReport, has_version};

use super::exit::Exit;
use super::{Failure, process};

/// Where and how to print. A write that fails never ends a command, least of all one that is putting something back: the
/// first failure is kept for the end.
pub(super) struct Output {
    /// Only JSON, one value.
    pub(super) as_json: bool,
    /// Standard output is a terminal.
    pub(super) live: bool,
    colours: bool,
    failed: RefCell<Option<io::Error>>,
}

/// What a word means.
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
        let colours = live && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { as_json, live, colours, failed: RefCell::default() }
    }

    /// A line on standard output.
    pub(super) fn print_line(&self, line: &str) {
        self.print(&format!("{line}\n"));
    }

    /// Text on standard output, at once.
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

    /// A line on standard error, also where JSON is printed.
    pub(super) fn note(&self, line: &str) {
        self.keep(writeln!(io::stderr(), "{line}"));
    }

    fn keep(&self, written: io::Result<()>) {
        if let Err(error) = written {
            self.failed.borrow_mut().get_or_insert(error);
        }
    }

    /// What a command ends with. Whoever closes a pipe has seen enough; everything else that was not written is an error.
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
            Tone::Good => 32,
            Tone::Warning => 33,
            Tone::Bad => 31,
            Tone::Faint => 2,
        };
        if self.colours { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub(super) fn json(&self, value: &impl Serialize) {
        self.print_line(&serde_json::to_string_pretty(value).unwrap_or_default());
    }

    pub(super) fn failure(&self, failure: &Failure) {
        if self.as_json {
            self.json(&json!({ "error": failure.error, "cause": failure.cause }));
        }
        // Where standard output takes nothing, this is not lost with it.
        if !self.as_json || self.failed.borrow().is_some() {
            self.note(&format!("snapback: {}", failure.cause));
        }
    }

    pub(super) fn plan(&self, view: &PlanView) {
        let what = format!("{} on {}", view.faults.join(", "), targets(view.targets.len()));
        self.print_line(&format!("{}: {what} for {}", view.experiment, view.duration));
        for (label, values) in [("stops on", &view.stop_conditions), ("holds", &view.steady_state)] {
            if !values.is_empty() {
                self.print_line(&format!("  {label}: {}", values.join(", ")));
            }
        }
        if let Some(seed) = view.seed {
            let anew = format!("; a run draws anew, and with --seed {seed} these");
            self.print_line(&format!("  drawn with seed {seed}{}", if view.seed_is_drawn { &anew } else { "" }));
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
        let (field, now) = (width(|row| &row.field, "field"), width(|row| &row.now, "now"));
        let during = width(|row| &row.during, "during");
        let line = |a: &str, b: &str, c: &str, d: &str| format!("  {a:field$}  {b:now$}  {c:during$}  {d}");
        self.print_line(&self.paint(Tone::Faint, &line("field", "now", "during", "after")));
        for row in rows {
            self.print_line(&line(&row.field, &row.now, &row.during, &row.after));
        }
    }

    pub(super) fn refusals(&self, refusals: &[Refusal]) {
        if refusals.is_empty() {
            return self.print_line(&self.paint(Tone::Good, "it may run; nothing was changed"));
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
        self.print_line(&format!("run {}: {}", view.run_id, self.outcome(view)));
        let reason = view.reason.as_deref().map_or(String::new(), |reason| format!("; {reason}"));
        self.print_line(&format!("  {}{reason}", view.status.name()));
        if let Some(seed) = view.seed {
            self.print_line(&format!("  targets drawn with seed {seed}"));
        }
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
        if let Some(effect) = &view.effect {
            self.print_line(&format!("  {} {effect}", self.paint(Tone::Warning, "no effect shown:")));
        }
        for note in &view.notes {
            self.print_line(&format!("  {} {note}", self.paint(Tone::Warning, "note")));
        }
        for target in &view.targets {
            let fields: Vec<&str> = target.fields.iter().map(|row| row.field.as_str()).collect();
            self.print_line(&format!(
                "  {}: {} ({})",
                target.function,
                self.target(target.status),
                join_or(&fields, "no field")
            ));
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
                self.print_line(&format!(
                    "    {} was {before}, is {after}",
                    self.paint(Tone::Warning, "runtime version")
                ));
            }
            if let Some(error) = &target.restore_error {
                self.print_line(&format!("    {} {error}", self.paint(Tone::Bad, "the restore failed:")));
            }
        }
    }

    fn outcome(&self, view: &ReportView) -> String {
        let (tone, text) = match view.outcome {
            Outcome::Unfinished => (Tone::Warning, "not over yet"),
            Outcome::Held => (Tone::Good, "restored exactly, at the end of its time"),
            Outcome::NoSteadyState => {
                (Tone::Good, "restored exactly, at the end of its time; no steady state was given")
            }
            Outcome::Unproven => {
                (Tone::Warning, "restored exactly, at the end of its time; nothing shows that the faults took effect")
            }
            Outcome::EndedEarly if view.status == crate::model::run::RunStatus::Completed => {
                (Tone::Warning, "restored exactly; the steady state did not hold afterwards")
            }
            Outcome::EndedEarly => (Tone::Warning, "restored exactly, before its time"),
            Outcome::Drifted => (Tone::Warning, drifted(view)),
            Outcome::RestoreFailed => (Tone::Bad, "NOT restored yet; the reaper goes on trying every minute"),
        };
        self.paint(tone, text)
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

/// What is not as it was before a run, although it is restored.
fn drifted(view: &ReportView) -> &'static str {
    let frozen = |target: &TargetReport| has_version(&target.frozen_versions);
    let changed = |target: &TargetReport| {
        matches!(target.status, TargetStatus::Drifted | TargetStatus::Deleted) || !target.removed_faults.is_empty()
    };
    match (view.targets.iter().any(frozen), view.targets.iter().any(changed)) {
        (false, _) => "restored; fields or faults were changed outside this run",
        (true, false) => "restored; a version published during the run keeps the fault",
        (true, true) => {
            "restored; a version published during the run keeps the fault, and fields or faults were changed outside this run"
        }
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
