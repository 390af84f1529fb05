//! The command line's exit codes.

use std::process::ExitCode;

use crate::model::run::RunStatus;
use crate::plan::rendering::{Outcome, ReportView};

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
        match report.outcome {
            Outcome::Unfinished => Self::Unfinished,
            Outcome::Held | Outcome::NoSteadyState => Self::Success,
            Outcome::Unproven => Self::Unproven,
            Outcome::Drifted => Self::Drifted,
            Outcome::RestoreFailed => Self::RestoreFailed,
            Outcome::EndedEarly if report.status == RunStatus::Failed => Self::Error,
            Outcome::EndedEarly => Self::EndedEarly,
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
    use super::*;
    use crate::model::marker::stopped_marker;
    use crate::model::run::{EndReason, TargetRecord, TargetStatus};
    use crate::model::snapshot::Change;
    use crate::model::time::Time;
    use crate::plan::rendering::report_view;
    use crate::testing::samples::{function_arn, run_id};

    fn code(status: RunStatus, target: TargetStatus, changes: &[Change]) -> u8 {
        let mut run = stopped_marker(&run_id("r"), &EndReason::UserRequest.into(), Time(0));
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
}
