//! The words for outcomes in the table of `status`, and what `status --outcome` asks for: one of these words, or a name of the
//! JSON output.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::model::run::RunStatus;
use crate::plan::rendering::{Outcome, ReportView};

use super::listed::StartOutcome;

/// The words for outcomes in the table.
pub(super) const COMPLETED: &str = "completed";
pub(super) const NO_EFFECT: &str = "no effect shown";
pub(super) const DEVIATED_AFTER: &str = "deviated after the restore";
pub(super) const NOT_RESTORED: &str = "NOT restored";
pub(super) const FAILED_TO_START: &str = "failed to start";

const LEVER_ENGAGED: &str = "the safety lever was engaged";

/// The words of earlier releases for [`LEVER_ENGAGED`]. Scripts may ask for them.
const FORMER_LEVER_ENGAGED: &str = "the safety lever is engaged";

/// What `--outcome` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskedOutcome {
    /// Runs with this outcome.
    Run(Outcome),
    /// Runs for which the table shows these words, perhaps with more after them.
    Shown(&'static str),
    /// Starts that left no run.
    Start(StartOutcome),
}

/// Every name and word that can be asked for: first those of the JSON output. What the table shows of a run that an alarm or an
/// error has ended is not among them, because it has a name in it; `endedEarly` lists these runs.
const KNOWN: [(&str, AskedOutcome); 20] = [
    ("unfinished", AskedOutcome::Run(Outcome::Unfinished)),
    ("held", AskedOutcome::Run(Outcome::Held)),
    ("noSteadyState", AskedOutcome::Run(Outcome::NoSteadyState)),
    ("unproven", AskedOutcome::Run(Outcome::Unproven)),
    ("endedEarly", AskedOutcome::Run(Outcome::EndedEarly)),
    ("drifted", AskedOutcome::Run(Outcome::Drifted)),
    ("restoreFailed", AskedOutcome::Run(Outcome::RestoreFailed)),
    ("refused", AskedOutcome::Start(StartOutcome::Refused)),
    ("failedStart", AskedOutcome::Start(StartOutcome::FailedStart)),
    ("pending", AskedOutcome::Shown("pending")),
    ("running", AskedOutcome::Shown("running")),
    ("stopping", AskedOutcome::Shown("stopping")),
    (COMPLETED, AskedOutcome::Shown(COMPLETED)),
    (NO_EFFECT, AskedOutcome::Shown(NO_EFFECT)),
    (DEVIATED_AFTER, AskedOutcome::Shown(DEVIATED_AFTER)),
    ("the steady state deviated", AskedOutcome::Shown("the steady state deviated")),
    ("stopped by a user", AskedOutcome::Shown("stopped by a user")),
    (LEVER_ENGAGED, AskedOutcome::Shown(LEVER_ENGAGED)),
    (NOT_RESTORED, AskedOutcome::Shown(NOT_RESTORED)),
    (FAILED_TO_START, AskedOutcome::Start(StartOutcome::FailedStart)),
];

impl AskedOutcome {
    /// Reads what a user has typed, in upper or lower case.
    pub(super) fn parser() -> impl TypedValueParser<Value = Self> {
        let former = (FORMER_LEVER_ENGAGED, AskedOutcome::Shown(LEVER_ENGAGED));
        let find = move |typed: String| {
            let mut all = KNOWN.iter().chain([&former]);
            all.find(|(known, _)| known.eq_ignore_ascii_case(&typed)).map(|(_, asked)| *asked)
        };
        let listed = KNOWN.map(|(known, _)| PossibleValue::new(known)).into_iter();
        PossibleValuesParser::new(listed.chain([PossibleValue::new(FORMER_LEVER_ENGAGED).hide(true)]))
            .try_map(move |typed| find(typed).ok_or("write one of the possible values"))
    }

    /// Whether this run is asked for.
    pub(super) fn is_of_run(self, view: &ReportView) -> bool {
        match self {
            Self::Run(outcome) => view.outcome == outcome,
            Self::Shown(words) => outcome_word(view).starts_with(words),
            Self::Start(_) => false,
        }
    }

    /// Whether such a start is asked for.
    pub(super) fn is_of_start(self, start: StartOutcome) -> bool {
        self == Self::Start(start)
    }

    /// Whether starts that left no run can be asked for.
    pub(super) fn is_start(self) -> bool {
        matches!(self, Self::Start(_))
    }
}

/// The outcome in a few words; the report has the sentence.
pub(super) fn outcome_word(view: &ReportView) -> String {
    match view.outcome {
        Outcome::Unfinished => view.status.name().to_owned(),
        Outcome::Held => "held".to_owned(),
        Outcome::NoSteadyState => COMPLETED.to_owned(),
        Outcome::Unproven => NO_EFFECT.to_owned(),
        Outcome::EndedEarly if view.status == RunStatus::Completed => DEVIATED_AFTER.to_owned(),
        Outcome::EndedEarly => view.reason.clone().unwrap_or_else(|| view.status.name().to_owned()),
        Outcome::Drifted => "drifted".to_owned(),
        Outcome::RestoreFailed => NOT_RESTORED.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::arguments::{Arguments, Command};
    use crate::cli::words::outcome_name;
    use crate::model::marker::stopped_marker;
    use crate::model::run::{EndReason, TargetRecord, TargetStatus};
    use crate::model::snapshot::Change;
    use crate::model::time::Time;
    use crate::plan::rendering::report_view;
    use crate::testing::samples::{function_arn, run_id};

    fn asked(typed: &str) -> Result<AskedOutcome, String> {
        let parsed = Arguments::try_parse_from(["snapback", "status", "--outcome", typed]);
        match parsed.map_err(|wrong| wrong.to_string())?.command {
            Command::Status(options) => options.outcome.ok_or_else(|| typed.to_owned()),
            _ => unreachable!("status was typed"),
        }
    }

    fn view(status: RunStatus, reason: Option<EndReason>, target: TargetStatus, changes: Vec<Change>) -> ReportView {
        let mut run = stopped_marker(&run_id("r"), &EndReason::UserRequest.into(), Time(0));
        (run.status, run.reason) = (status, reason);
        let mut record = TargetRecord::new(run_id("r"), function_arn("checkout"));
        (record.status, record.changes) = (target, changes);
        report_view(&run, &[record])
    }

    #[test]
    fn runs_are_asked_for_by_json_name_and_by_table_words() {
        use TargetStatus::{Drifted, Injected, Restored};
        let changed = || vec![Change::Timeout { original: 3, injected: 1 }];
        let shown = [
            view(RunStatus::Running, None, Injected, changed()),
            view(RunStatus::Completed, Some(EndReason::DurationElapsed), Restored, changed()),
            view(RunStatus::Completed, Some(EndReason::DurationElapsed), Restored, Vec::new()),
            view(RunStatus::Stopped, Some(EndReason::UserRequest), Restored, changed()),
            view(RunStatus::Stopped, Some(EndReason::SafetyLever), Restored, changed()),
            view(RunStatus::Stopped, Some(EndReason::Deviated { condition: "c".into() }), Restored, changed()),
            view(RunStatus::Completed, None, Drifted, changed()),
            view(RunStatus::Failed, None, Injected, changed()),
        ];
        for view in &shown {
            // What follows the colon belongs to this run only.
            let word = outcome_word(view);
            let word = word.split(':').next().unwrap_or_default();
            for typed in [word, &word.to_uppercase(), &outcome_name(view.outcome)] {
                let asked = asked(typed).unwrap_or_else(|wrong| unreachable!("{wrong}"));
                let of: Vec<bool> = shown.iter().map(|other| asked.is_of_run(other)).collect();
                let same = |other: &ReportView| match typed == outcome_name(view.outcome) {
                    true => other.outcome == view.outcome,
                    false => outcome_word(other) == outcome_word(view),
                };
                assert_eq!(of, shown.iter().map(same).collect::<Vec<_>>(), "{typed}");
            }
        }
    }

    #[test]
    fn starts_are_asked_for_by_json_name_and_by_table_words() {
        for (typed, start) in [
            ("refused", StartOutcome::Refused),
            ("failedStart", StartOutcome::FailedStart),
            ("failed to start", StartOutcome::FailedStart),
        ] {
            let asked = asked(typed).unwrap_or_else(|wrong| unreachable!("{wrong}"));
            let starts = [StartOutcome::Refused, StartOutcome::FailedStart];
            assert_eq!(starts.map(|other| asked.is_of_start(other)), starts.map(|other| other == start), "{typed}");
        }
    }

    #[test]
    fn the_former_words_for_the_lever_are_still_understood() {
        assert_eq!(asked(FORMER_LEVER_ENGAGED), asked(LEVER_ENGAGED));
        assert_eq!(EndReason::SafetyLever.to_string(), LEVER_ENGAGED);
    }

    #[test]
    fn another_outcome_gets_the_list() {
        let wrong = asked("fine").err().unwrap_or_default();
        for (known, _) in KNOWN {
            assert!(wrong.contains(known), "{known}: {wrong}");
        }
    }
}
