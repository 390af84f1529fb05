//! What `status --outcome` asks for: an outcome by its name in JSON output or by its phrase, or the status or the reason that the table
//! of `status` shows.

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::model::run::RunStatus;
use crate::plan::conclusion::{Conclusion, StartOutcome};
use crate::plan::rendering::{Outcome, ReportView};

/// What `--outcome` chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AskedOutcome {
    /// Runs with this outcome in JSON.
    Run(Outcome),
    /// Runs with this phrase.
    Concluded(Conclusion),
    /// Runs with this status, which are not over yet.
    Status(RunStatus),
    /// Runs that were ended early for a reason that begins with these words.
    Reason(&'static str),
    /// Starts that left no run.
    Start(StartOutcome),
}

/// The short reasons for which a run is ended early. `ended early` lists the runs with any other reason, too.
const REASONS: [&str; 3] = ["the steady state deviated", "stopped by a user", "the safety lever was engaged"];

/// The words of earlier releases. Scripts may ask for them.
const FORMER: [(&str, AskedOutcome); 3] = [
    ("completed", AskedOutcome::Concluded(Conclusion::NoSteadyState)),
    ("NOT restored", AskedOutcome::Concluded(Conclusion::RestoreFailed)),
    ("the safety lever is engaged", AskedOutcome::Reason(REASONS[2])),
];

/// Returns every name and phrase that can be asked for: first those of the JSON output, then those that people read.
fn known() -> Vec<(&'static str, AskedOutcome)> {
    let mut known: Vec<(&'static str, AskedOutcome)> = Vec::new();
    let mut add = |name: &'static str, asked: AskedOutcome| {
        if !known.iter().any(|(other, _)| *other == name) {
            known.push((name, asked));
        }
    };
    for outcome in Conclusion::ALL.map(Conclusion::outcome) {
        add(outcome.name(), AskedOutcome::Run(outcome));
    }
    for start in StartOutcome::ALL {
        add(start.name(), AskedOutcome::Start(start));
    }
    for conclusion in Conclusion::ALL {
        add(conclusion.phrase(), AskedOutcome::Concluded(conclusion));
    }
    for start in StartOutcome::ALL {
        add(start.phrase(), AskedOutcome::Start(start));
    }
    for status in RunStatus::ALL.into_iter().filter(|status| !status.is_final()) {
        add(status.name(), AskedOutcome::Status(status));
    }
    for reason in REASONS {
        add(reason, AskedOutcome::Reason(reason));
    }
    known
}

impl AskedOutcome {
    /// Reads what a user has typed, in upper or lower case.
    pub(super) fn parser() -> impl TypedValueParser<Value = Self> {
        let listed = known().into_iter().map(|(known, _)| PossibleValue::new(known));
        let hidden = FORMER.map(|(words, _)| PossibleValue::new(words).hide(true));
        let find = |typed: String| {
            let all = known().into_iter().chain(FORMER);
            let mut same = all.filter(|(known, _)| known.eq_ignore_ascii_case(&typed));
            same.next().map(|(_, asked)| asked)
        };
        PossibleValuesParser::new(listed.chain(hidden))
            .try_map(move |typed| find(typed).ok_or("write one of the possible values"))
    }

    /// The first of the words by which it can be asked for.
    pub(super) fn name(self) -> Option<&'static str> {
        known().into_iter().find(|(_, asked)| *asked == self).map(|(name, _)| name)
    }

    /// Whether this run is asked for.
    pub(super) fn is_of_run(self, view: &ReportView) -> bool {
        match self {
            Self::Run(outcome) => view.outcome == outcome,
            Self::Concluded(conclusion) => Conclusion::of(view) == conclusion,
            Self::Status(status) => view.status == status,
            Self::Reason(words) => {
                Conclusion::of(view) == Conclusion::EndedEarly
                    && view.reason.as_ref().is_some_and(|reason| reason.starts_with(words))
            }
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::arguments::{Arguments, Command};
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

    /// One run of each kind that the table can show.
    fn shown() -> Vec<ReportView> {
        use TargetStatus::{Drifted, Injected, Restored};
        let changed = || vec![Change::Timeout { original: 3, injected: 1 }];
        let deviated = EndReason::Deviated { condition: "c".into() };
        let failed = EndReason::Error { error: "AccessDenied".into(), cause: "c".into() };
        vec![
            view(RunStatus::Pending, None, Injected, changed()),
            view(RunStatus::Running, None, Injected, changed()),
            view(RunStatus::Stopping, Some(EndReason::UserRequest), Injected, changed()),
            view(RunStatus::Completed, Some(EndReason::DurationElapsed), Restored, changed()),
            view(RunStatus::Completed, Some(EndReason::DurationElapsed), Restored, Vec::new()),
            view(RunStatus::Stopped, Some(EndReason::UserRequest), Restored, changed()),
            view(RunStatus::Stopped, Some(EndReason::SafetyLever), Restored, changed()),
            view(RunStatus::Stopped, Some(deviated), Restored, changed()),
            view(RunStatus::Failed, Some(failed), Restored, changed()),
            view(RunStatus::Completed, None, Drifted, changed()),
            view(RunStatus::Failed, None, Injected, changed()),
        ]
    }

    fn chosen(typed: &str, shown: &[ReportView]) -> Vec<bool> {
        let asked = asked(typed).unwrap_or_else(|wrong| unreachable!("{wrong}"));
        shown.iter().map(|view| asked.is_of_run(view)).collect()
    }

    #[test]
    fn runs_are_asked_for_by_json_name_and_by_phrase() {
        let shown = shown();
        for view in &shown {
            let same = |of: &dyn Fn(&ReportView) -> String| -> Vec<bool> {
                shown.iter().map(|other| of(other) == of(view)).collect()
            };
            let of_phrase = same(&|view| Conclusion::of(view).phrase().to_owned());
            let phrase = Conclusion::of(view).phrase();
            assert_eq!(chosen(phrase, &shown), of_phrase, "{phrase}");
            assert_eq!(chosen(&phrase.to_uppercase(), &shown), of_phrase, "{phrase}");
            let name = view.outcome.name();
            assert_eq!(chosen(name, &shown), same(&|view| view.outcome.name().to_owned()), "{name}");
        }
    }

    #[test]
    fn runs_are_asked_for_by_the_status_and_the_reason_in_the_table() {
        let shown = shown();
        for (typed, at) in [
            ("pending", 0),
            ("running", 1),
            ("stopping", 2),
            ("stopped by a user", 5),
            ("the safety lever was engaged", 6),
            ("the steady state deviated", 7),
        ] {
            let expected: Vec<bool> = (0..shown.len()).map(|other| other == at).collect();
            assert_eq!(chosen(typed, &shown), expected, "{typed}");
        }
    }

    #[test]
    fn starts_are_asked_for_by_json_name_and_by_phrase() {
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
    fn former_words_are_still_understood() {
        for (former, phrase) in [
            ("completed", "no steady state given"),
            ("NOT restored", "NOT restored yet"),
            ("the safety lever is engaged", "the safety lever was engaged"),
        ] {
            assert_eq!(asked(former), asked(phrase), "{former}");
        }
        // The reasons are those of the runs.
        assert_eq!(EndReason::SafetyLever.to_string(), REASONS[2]);
        assert_eq!(EndReason::UserRequest.to_string(), REASONS[1]);
        assert!(EndReason::Deviated { condition: "c".into() }.to_string().starts_with(REASONS[0]));
    }

    #[test]
    fn another_outcome_gets_the_list() {
        let wrong = asked("fine").err().unwrap_or_default();
        for (known, _) in known() {
            assert!(wrong.contains(known), "{known}: {wrong}");
        }
    }
}
