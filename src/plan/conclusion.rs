//! The outcome of a run, or of a start that left no run, as people name it: one phrase each, which is the same in every output.
//!
//! JSON output has fewer names: `endedEarly` there is also a run that failed, and one whose steady state did not hold afterwards.
//! Of these, nothing ended the last one early, and the exit code of the first one is another.

use crate::model::run::RunStatus;

use super::rendering::{Outcome, ReportView};

/// The outcome of a run, as people name it. `docs/operations.md` explains each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// The run has not ended.
    Unfinished,
    /// The steady state held until the end of the duration and afterwards.
    Held,
    /// The run had its full duration, without a steady state that could have held.
    NoSteadyState,
    /// The run had its full duration, and nothing shows that the faults took effect.
    Unproven,
    /// An alarm, a deviation, a user or the safety lever ended the run.
    EndedEarly,
    /// The run had its full duration, and the steady state did not hold after the restore.
    Deviated,
    /// The run had its full duration, and the steady state was not evaluated after the restore.
    NotJudged,
    /// The run failed, and everything is restored.
    Failed,
    /// Something was changed, deleted or published outside the run.
    Drifted,
    /// A target is not restored.
    RestoreFailed,
}

impl Conclusion {
    /// Every conclusion.
    pub const ALL: [Self; 10] = [
        Self::Unfinished,
        Self::Held,
        Self::NoSteadyState,
        Self::Unproven,
        Self::EndedEarly,
        Self::Deviated,
        Self::NotJudged,
        Self::Failed,
        Self::Drifted,
        Self::RestoreFailed,
    ];

    /// Returns the conclusion of a report.
    #[must_use]
    pub fn of(view: &ReportView) -> Self {
        Self::stated(view.outcome, view.status, view.steady_state)
    }

    /// Returns the conclusion that the outcome, the status and the steady state of a report's JSON state.
    #[must_use]
    pub fn stated(outcome: Outcome, status: RunStatus, steady_state: Option<&str>) -> Self {
        match outcome {
            Outcome::Unfinished => Self::Unfinished,
            Outcome::Held => Self::Held,
            Outcome::NoSteadyState => Self::NoSteadyState,
            Outcome::Unproven => Self::Unproven,
            Outcome::EndedEarly => match (status, steady_state) {
                (RunStatus::Failed, _) => Self::Failed,
                (RunStatus::Completed, Some("deviated")) => Self::Deviated,
                (RunStatus::Completed, _) => Self::NotJudged,
                _ => Self::EndedEarly,
            },
            Outcome::Drifted => Self::Drifted,
            Outcome::RestoreFailed => Self::RestoreFailed,
        }
    }

    /// Returns how the run itself ended, regardless of the state of its targets.
    #[must_use]
    pub fn of_ending(view: &ReportView) -> Self {
        match (Self::of(view), view.status, view.steady_state) {
            (Self::Drifted | Self::RestoreFailed, RunStatus::Completed, held @ (None | Some("held"))) => {
                match (&view.effect, held) {
                    (Some(_), _) => Self::Unproven,
                    (None, None) => Self::NoSteadyState,
                    (None, Some(_)) => Self::Held,
                }
            }
            (Self::Drifted | Self::RestoreFailed, status, steady_state) => {
                Self::stated(Outcome::EndedEarly, status, steady_state)
            }
            (conclusion, _, _) => conclusion,
        }
    }

    /// The one phrase for it.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Unfinished => "not over yet",
            Self::Held => "steady state held",
            Self::NoSteadyState => "no steady state given",
            Self::Unproven => "no effect shown",
            Self::EndedEarly => "ended early",
            Self::Deviated => "deviated after the restore",
            Self::NotJudged => "steady state not judged",
            Self::Failed => "ended in failure",
            Self::Drifted => "changed outside the run",
            Self::RestoreFailed => "NOT restored yet",
        }
    }

    /// Its name in JSON output.
    #[must_use]
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Unfinished => Outcome::Unfinished,
            Self::Held => Outcome::Held,
            Self::NoSteadyState => Outcome::NoSteadyState,
            Self::Unproven => Outcome::Unproven,
            Self::EndedEarly | Self::Deviated | Self::NotJudged | Self::Failed => Outcome::EndedEarly,
            Self::Drifted => Outcome::Drifted,
            Self::RestoreFailed => Outcome::RestoreFailed,
        }
    }
}

/// How a start ended that left no run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum StartOutcome {
    /// The input was invalid, or a guardrail refused it.
    Refused,
    /// It failed for another reason.
    FailedStart,
}

impl StartOutcome {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Refused, Self::FailedStart];

    /// The name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::FailedStart => "failedStart",
        }
    }

    /// The one phrase for it.
    #[must_use]
    pub fn phrase(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::FailedStart => "failed to start",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_phrase_has_two_to_five_words_and_is_of_one_conclusion() {
        let phrases = Conclusion::ALL.map(Conclusion::phrase);
        for phrase in phrases {
            assert!((2..=5).contains(&phrase.split(' ').count()), "{phrase}");
        }
        let all = phrases.into_iter().chain(StartOutcome::ALL.map(StartOutcome::phrase));
        assert_eq!(all.collect::<BTreeSet<_>>().len(), Conclusion::ALL.len() + StartOutcome::ALL.len());
    }

    #[test]
    fn each_name_is_that_of_the_json() {
        for conclusion in Conclusion::ALL {
            let outcome = conclusion.outcome();
            assert_eq!(serde_json::to_value(outcome).ok(), Some(outcome.name().into()));
            // What the JSON states leads back to the phrase.
            let (status, steady_state) = match conclusion {
                Conclusion::Deviated => (RunStatus::Completed, Some("deviated")),
                Conclusion::NotJudged => (RunStatus::Completed, Some("not judged")),
                Conclusion::Failed => (RunStatus::Failed, None),
                _ => (RunStatus::Stopped, None),
            };
            assert_eq!(Conclusion::stated(outcome, status, steady_state), conclusion);
        }
        for start in StartOutcome::ALL {
            assert_eq!(serde_json::to_value(start).ok(), Some(start.name().into()));
        }
    }
}
