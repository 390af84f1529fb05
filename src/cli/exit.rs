//! The command line's exit codes.

use std::process::ExitCode;

use crate::plan::conclusion::Conclusion;
use crate::plan::rendering::ReportView;

/// The exit code of a command. The numbers are part of the interface: docs/operations.md documents them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: the steady state held, or none was given, and everything is restored; or the command succeeded.
    Success,
    /// 1: an error; a run that failed is restored anyway.
    Error,
    /// 2: wrong usage or input; nothing was done.
    Invalid,
    /// 3: refused by a guardrail; nothing was done.
    Refused,
    /// 4: restored, but the steady state deviated, or an alarm, a user or the lever ended the run.
    EndedEarly,
    /// 5: restored, except for what was changed or deleted outside the run; or a fault was removed before the end;
    /// or a version published during the run keeps the fault.
    Drifted,
    /// 6: a restore failed; the reaper keeps trying.
    RestoreFailed,
    /// 7: the run is not over yet.
    Unfinished,
    /// 8: everything is restored, and nothing shows that the faults took effect.
    Unproven,
    /// 9: everything is restored; the run was rolled back because the command's timeout had elapsed.
    TimedOut,
}

impl Exit {
    /// The number of the exit code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Error => 1,
            Self::Invalid => 2,
            Self::Refused => 3,
            Self::EndedEarly => 4,
            Self::Drifted => 5,
            Self::RestoreFailed => 6,
            Self::Unfinished => 7,
            Self::Unproven => 8,
            Self::TimedOut => 9,
        }
    }

    /// The exit code for the outcome of a run.
    #[must_use]
    pub fn of(report: &ReportView) -> Self {
        Conclusion::of(report).into()
    }
}

impl From<Conclusion> for Exit {
    fn from(conclusion: Conclusion) -> Self {
        match conclusion {
            Conclusion::Unfinished => Self::Unfinished,
            Conclusion::Held | Conclusion::NoSteadyState => Self::Success,
            Conclusion::Unproven => Self::Unproven,
            Conclusion::EndedEarly | Conclusion::Deviated | Conclusion::NotJudged => Self::EndedEarly,
            Conclusion::Failed => Self::Error,
            Conclusion::Drifted => Self::Drifted,
            Conclusion::RestoreFailed => Self::RestoreFailed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::arguments::Arguments;
    use crate::model::marker::stopped_marker;
    use crate::model::run::{EndReason, RunStatus, TargetRecord, TargetStatus};
    use crate::model::snapshot::Change;
    use crate::model::time::Time;
    use crate::plan::conclusion::StartOutcome;
    use crate::plan::rendering::report_view;
    use crate::testing::samples::{function_arn, run_id};

    fn code(status: RunStatus, target: TargetStatus, changes: &[Change]) -> u8 {
        let reason = match status {
            RunStatus::Failed => EndReason::ExecutionStopped,
            _ => EndReason::UserRequest,
        };
        let mut run = stopped_marker(&run_id("r"), &reason.into(), Time(0));
        run.status = status;
        let mut record = TargetRecord::new(run_id("r"), function_arn("checkout"));
        record.status = target;
        record.changes = changes.to_vec();
        Exit::of(&report_view(&run, &[record])).code()
    }

    #[test]
    fn each_outcome_has_its_code() {
        for (status, target, expected) in [
            (RunStatus::Completed, TargetStatus::Restored, 0),
            (RunStatus::Failed, TargetStatus::Restored, 1),
            (RunStatus::Stopped, TargetStatus::Restored, 4),
            (RunStatus::Completed, TargetStatus::Drifted, 5),
            (RunStatus::Stopped, TargetStatus::Deleted, 5),
            (RunStatus::Failed, TargetStatus::Restoring, 6),
            (RunStatus::Running, TargetStatus::Injected, 7),
        ] {
            let changes = [Change::Timeout { original: 3, injected: 1 }];
            assert_eq!(code(status, target, &changes), expected, "{status:?}, {target:?}");
        }
        assert_eq!(code(RunStatus::Completed, TargetStatus::Restored, &[]), 8, "nothing was injected");
        assert_eq!((Exit::Invalid.code(), Exit::Refused.code()), (2, 3));
    }

    #[test]
    fn a_start_that_was_prevented_has_ended_early() {
        for (reason, expected) in [
            (EndReason::UserRequest, Exit::EndedEarly),
            (EndReason::SafetyLever, Exit::EndedEarly),
            (EndReason::Alarm { alarm: "errors".into() }, Exit::EndedEarly),
            (EndReason::ExecutionStopped, Exit::Error),
        ] {
            let prevented = stopped_marker(&run_id("r"), &reason.clone().into(), Time(0));
            assert_eq!(Exit::of(&report_view(&prevented, &[])), expected, "{reason}");
        }
        // In the place of a lost record, a marker does not hide that a target is not restored.
        let lost = stopped_marker(&run_id("r"), &EndReason::UserRequest.into(), Time(0));
        let mut open = TargetRecord::new(run_id("r"), function_arn("checkout"));
        open.status = TargetStatus::Restoring;
        let view = report_view(&lost, &[open]);
        assert_eq!((Exit::of(&view), view.status), (Exit::RestoreFailed, RunStatus::Failed));
    }

    /// The meaning is for readers only.
    #[test]
    fn the_docs_list_each_outcome_with_its_phrase_and_code() {
        let page = include_str!("../../docs/operations.md");
        let (_, rest) = page.split_once("<!-- outcomes:begin -->\n").unwrap_or_default();
        let (table, _) = rest.split_once("<!-- outcomes:end -->").unwrap_or_default();
        let listed: Vec<Vec<&str>> = table
            .lines()
            .skip(2)
            .map(|row| {
                let cells: Vec<&str> =
                    row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
                assert!(cells.len() == 4 && !cells[2].is_empty(), "{row}");
                vec![cells[0], cells[1], cells[3]]
            })
            .collect();
        let of_run = |conclusion: Conclusion| {
            let code = Exit::from(conclusion).code().to_string();
            [conclusion.outcome().name().to_owned(), conclusion.phrase().to_owned(), code]
        };
        // An invalid input is a refused start too, and its code is that of wrong usage.
        let of_start = |start: StartOutcome| {
            let code = if start == StartOutcome::Refused { "2 or 3" } else { "1" };
            [start.name().to_owned(), start.phrase().to_owned(), code.to_owned()]
        };
        let runs = Conclusion::ALL.map(of_run);
        let starts = StartOutcome::ALL.map(of_start);
        assert_eq!(listed, runs.into_iter().chain(starts).collect::<Vec<_>>());
    }

    #[test]
    fn docs_and_help_have_each_phrase_at_its_exit_code() {
        let page = include_str!("../../docs/operations.md");
        let help = Arguments::command().get_after_help().map(ToString::to_string).unwrap_or_default();
        for conclusion in Conclusion::ALL {
            let (code, phrase) = (Exit::from(conclusion).code(), conclusion.phrase());
            let row = page.lines().find(|line| line.starts_with(&format!("| {code} | "))).unwrap_or_default();
            assert!(row.contains(&format!("`{phrase}`")), "{phrase}: {row}");
            let (_, rest) = help.split_once(&format!("\n  {code}  ")).unwrap_or_default();
            let (entry, _) = rest.split_once(&format!("\n  {}  ", code + 1)).unwrap_or_default();
            assert!(entry.replace("\n     ", " ").contains(phrase), "{phrase}: {entry}");
        }
    }
}
