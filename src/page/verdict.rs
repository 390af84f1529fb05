//! The verdict of a run in two sentences: what happened, and whether everything was restored.

use crate::model::run::RunStatus;
use crate::plan::evidence::Evidence;
use crate::plan::outcome_text::outcome_text;
use crate::plan::rendering::Outcome;

use super::format::{count, span};

/// How a sentence is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Plain,
    Warning,
    Bad,
}

impl Tone {
    /// Returns the class in the style sheet.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Plain => "plain",
            Self::Warning => "warn",
            Self::Bad => "bad",
        }
    }
}

/// One sentence of the verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sentence {
    pub(crate) tone: Tone,
    pub(crate) text: String,
    /// What explains it.
    pub(crate) more: String,
}

/// Returns what happened.
pub(crate) fn happened(evidence: &Evidence) -> Sentence {
    let report = &evidence.report;
    let reason = report.reason.as_deref().map_or(String::new(), capitalized);
    let effect = || report.effect.as_deref().map_or(String::new(), capitalized);
    let (tone, text, more) = match (report.outcome, report.status) {
        (Outcome::Unfinished, status) => {
            (Tone::Warning, "The run is not over yet".into(), format!("It is {}.", status.name()))
        }
        (_, RunStatus::Failed) => (Tone::Bad, "The run failed".into(), reason),
        (_, RunStatus::Stopped) => (Tone::Warning, reason, ended_by(evidence)),
        (Outcome::Unproven, _) => (Tone::Warning, "Nothing shows that the faults took effect".into(), effect()),
        _ => match report.steady_state {
            Some("held") => (Tone::Good, "The steady state held".into(), whole_duration(evidence)),
            Some("deviated") => {
                (Tone::Bad, "The steady state did not hold afterwards".into(), report.deviations.join("; "))
            }
            Some(_) => (Tone::Warning, "The steady state was not checked".into(), whole_duration(evidence)),
            None => {
                let more = format!("{} No steady state was given.", whole_duration(evidence));
                (Tone::Plain, "The faults stayed for the whole duration".into(), more)
            }
        },
    };
    Sentence { tone, text, more }
}

fn ended_by(evidence: &Evidence) -> String {
    let early = match (evidence.times.in_place_at, evidence.times.stopping_at) {
        (Some(from), Some(until)) => format!("The fault had been in place for {}.", span(from.until(until))),
        _ => "No fault was completely in place.".to_owned(),
    };
    let state = match evidence.report.steady_state {
        Some("held") => " The steady state held again after the restore.",
        Some("deviated") => " The steady state did not hold after the restore.",
        _ => "",
    };
    early + state
}

fn whole_duration(evidence: &Evidence) -> String {
    let times = &evidence.times;
    match (times.in_place_at, times.stopping_at) {
        (Some(from), Some(until)) => format!("The fault was in place for {}.", span(from.until(until))),
        _ => String::new(),
    }
}

/// Returns whether everything was restored.
pub(crate) fn restored(evidence: &Evidence) -> Sentence {
    let report = &evidence.report;
    let all = report.targets.len() + report.targets_left_out;
    let of_all = format!("As before: {} of {}", evidence.restored(), count(all, "function"));
    let is_untouched = report.targets.iter().all(|target| target.fields.is_empty());
    let (tone, text, more) = match report.outcome {
        Outcome::Unfinished => (Tone::Warning, "Not restored yet".to_owned(), of_all),
        Outcome::RestoreFailed => {
            (Tone::Bad, "NOT restored yet".to_owned(), format!("{of_all}; the reaper tries again every minute."))
        }
        Outcome::Drifted => (Tone::Warning, capitalized(outcome_text(report)), of_all),
        _ if is_untouched => (Tone::Good, "Nothing was changed".to_owned(), "No function was touched.".to_owned()),
        _ => {
            let more = format!("{of_all}; each changed field was read back with its original value.");
            (Tone::Good, "Restored exactly".to_owned(), more)
        }
    };
    Sentence { tone, text, more }
}

/// Returns a text with a capital first letter.
pub(crate) fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}
