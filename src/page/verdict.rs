//! The verdict of a run in two sentences: what happened, and whether everything was restored.

use crate::model::text::capitalized;
use crate::plan::conclusion::Conclusion;
use crate::plan::evidence::Evidence;
use crate::plan::outcome_text::explanation;
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
    let sentence = |text: Option<&String>| text.map_or(String::new(), |text| capitalized(text));
    let ending = Conclusion::of_ending(report);
    let (tone, more) = match ending {
        Conclusion::Unfinished => (Tone::Warning, format!("It is {}.", report.status.name())),
        Conclusion::Held => (Tone::Good, whole_duration(evidence)),
        Conclusion::NoSteadyState => (Tone::Plain, whole_duration(evidence)),
        Conclusion::NotJudged => (Tone::Warning, whole_duration(evidence)),
        Conclusion::Unproven => (Tone::Warning, sentence(report.effect.as_ref())),
        Conclusion::EndedEarly => (Tone::Warning, ended_by(evidence)),
        Conclusion::Deviated => (Tone::Bad, report.deviations.join("; ")),
        // The last two are of targets, and not of how a run has ended.
        Conclusion::Failed | Conclusion::Drifted | Conclusion::RestoreFailed => {
            (Tone::Bad, sentence(report.reason.as_ref()))
        }
    };
    let phrase = capitalized(ending.phrase());
    let text = match (ending, &report.reason) {
        (Conclusion::EndedEarly, Some(reason)) => format!("{phrase}: {reason}"),
        _ => phrase,
    };
    Sentence { tone, text, more }
}

fn ended_by(evidence: &Evidence) -> String {
    let early = match (evidence.times.in_place_at, evidence.times.stopping_at) {
        (Some(from), Some(until)) => format!("The fault had been in place for {}.", span(from.until(until))),
        _ => "No fault was completely in place.".to_owned(),
    };
    let state = match evidence.report.steady_state {
        Some("held") => " The steady state's conditions held again after the restore.",
        Some("deviated") => " The steady state's conditions did not hold after the restore.",
        _ => "",
    };
    early + state
}

fn whole_duration(evidence: &Evidence) -> String {
    let times = &evidence.times;
    match (times.in_place_at, times.stopping_at) {
        (Some(from), Some(until)) => {
            format!("The fault was in place for the whole duration, {}.", span(from.until(until)))
        }
        _ => String::new(),
    }
}

/// Returns whether everything was restored.
pub(crate) fn restored(evidence: &Evidence) -> Sentence {
    let report = &evidence.report;
    let all = report.targets.len() + report.targets_left_out;
    let of_all = format!("As before: {} of {}", evidence.restored(), count(all, "function"));
    let is_untouched = report.targets.iter().all(|target| target.fields.is_empty());
    let phrase = || capitalized(Conclusion::of(report).phrase());
    let more = |about: &str| format!("{}. {of_all}.", capitalized(about));
    let (tone, text, more) = match report.outcome {
        Outcome::Unfinished => (Tone::Warning, of_all, String::new()),
        Outcome::RestoreFailed => (Tone::Bad, phrase(), more(explanation(report))),
        Outcome::Drifted => (Tone::Warning, phrase(), more(explanation(report))),
        _ if is_untouched => (Tone::Good, "Nothing was changed".to_owned(), "No function was touched.".to_owned()),
        _ => {
            let more = format!("{of_all}; each changed field was read back with its original value.");
            (Tone::Good, "Restored exactly".to_owned(), more)
        }
    };
    Sentence { tone, text, more }
}
