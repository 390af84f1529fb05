//! Step errors and their kinds. `ErrorEquals` in the state machine matches the names of the kinds.

use crate::model::input::InvalidInput;
use crate::model::names::{FunctionArn, RunId};
use crate::model::refusal::Refusal;
use crate::model::run::RunList;
use crate::model::text::shorten;
use crate::ports::{AlarmError, FunctionError, LedgerError, PortError};

/// What to do about a record that snapback's own tasks cannot have written.
const FORGED: &str = "the record is forged or damaged: find out who writes to the ledger's table besides snapback";

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The input cannot be read. Nothing was written.
    #[error("{0}")]
    InvalidInput(#[from] InvalidInput),
    /// Guardrails refused the experiment. Nothing was written.
    #[error("{}", list(.0))]
    Refused(Vec<Refusal>),
    /// Another run has the function.
    #[error("{function} is locked by the run {run}; wait for it, or end it: snapback rollback {run}")]
    Locked {
        /// The function.
        function: String,
        /// Who has it.
        run: String,
    },
    /// A touched field changed outside the run during its injection.
    #[error("{function}: the {field} changed outside this run during injection; injection stopped")]
    Overtaken {
        /// The function.
        function: String,
        /// The field.
        field: String,
    },
    /// The role that restores cannot read what a restore needs. Nothing was injected.
    #[error(
        "{function}: its restore was rehearsed, and the role that restores (the stack's output UndoRoleArn) cannot {cannot}; \
         nothing was injected; {fix}"
    )]
    RehearsalFailed {
        /// The function.
        function: String,
        /// What the role cannot do.
        cannot: String,
        /// What to do about it.
        fix: String,
    },
    /// There is no such run.
    #[error("there is no run {0}; to list the runs: snapback status")]
    NoSuchRun(RunId),
    /// A run has no target on this function.
    #[error("{function}: it is not a target of the run {run}; to list the run's targets: snapback report {run}")]
    NoSuchTarget {
        /// The function.
        function: String,
        /// The run.
        run: RunId,
    },
    /// A record names one of snapback's own functions.
    #[error("{function} is one of snapback's own functions, which no run can target; nothing was written; {FORGED}")]
    OwnFunction {
        /// The function.
        function: String,
    },
    /// A target has the tag of snapback's own functions.
    #[error(
        "{function}: its tag snapback=control-plane is that of snapback's own functions, which no restore writes to; \
         nothing was written; if it is a target, remove that tag, and the next restore writes (the reaper tries every \
         minute); if it is one of snapback's own, {FORGED}"
    )]
    TaggedAsOwn {
        /// The function.
        function: String,
    },
    /// A record asks for a restore, and its run does not hold the function's lock.
    #[error("{function}: the run {run} does not hold its lock; nothing was written; {FORGED}")]
    NotLocked {
        /// The function.
        function: String,
        /// The run.
        run: RunId,
    },
    /// A run is listed as active, and its record is missing or cannot be read.
    #[error(
        "the run {0} is listed as active, but its record is missing or cannot be read; its targets are restored from their \
         own records; find out who writes to the ledger's table besides snapback"
    )]
    NoRecord(RunId),
    /// A run that is not retired was missing in the list of active runs.
    #[error(
        "the run {0} was missing in the list of active runs, so the reaper could not find it; it is listed again; find out who \
         writes to the ledger's table besides snapback"
    )]
    Unlisted(RunId),
    /// A run holds the lock of a function of its list, and the function's target record is missing.
    #[error(
        "{function}: the run {run} holds its lock, but its target record is missing, so nothing says what to restore; \
         nothing was written; restore the record from a backup of the ledger's table and run: snapback rollback {run} \
         --direct; or restore the function by hand, then delete its lock item"
    )]
    NoTargetRecord {
        /// The function.
        function: String,
        /// The run.
        run: RunId,
    },
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A call about a function.
    #[error("{function}: {error}")]
    Function {
        /// The function.
        function: String,
        /// What AWS said.
        error: FunctionError,
    },
    /// CloudWatch.
    #[error(transparent)]
    Alarms(#[from] AlarmError),
    /// Step Functions.
    #[error("Step Functions did not respond: {0}")]
    Executions(String),
}

/// What kind of failure a [`StepError`] is. Retries and exit codes depend on it; its name is all that leaves the
/// process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepErrorKind {
    /// The input cannot be read.
    InvalidInput,
    /// Guardrails refused the experiment.
    Refused,
    /// Another run has locked the function.
    Locked,
    /// A touched field changed outside the run during its injection.
    Overtaken,
    /// The role that restores cannot read what a restore needs.
    RehearsalFailed,
    /// There is no such run or target.
    NoSuchRun,
    /// A record names one of snapback's own functions.
    OwnFunction,
    /// A run does not hold the lock of a function that it is to restore.
    NotLocked,
    /// The record of an active run is missing or cannot be read.
    NoRecord,
    /// A run that is not retired was missing in the list of active runs.
    Unlisted,
    /// The target record of a function that its run has locked is missing.
    NoTargetRecord,
    /// A transient failure of any service: the same step may succeed later.
    Unavailable,
    /// The ledger refuses, or has an item that cannot be read.
    LedgerUnusable,
    /// CloudWatch refuses.
    AlarmsUnusable,
    /// Lambda denies access.
    AccessDenied,
    /// Lambda refuses a call for another reason.
    FunctionFailed,
}

impl StepErrorKind {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::InvalidInput,
        Self::Refused,
        Self::Locked,
        Self::Overtaken,
        Self::RehearsalFailed,
        Self::NoSuchRun,
        Self::OwnFunction,
        Self::NotLocked,
        Self::NoRecord,
        Self::Unlisted,
        Self::NoTargetRecord,
        Self::Unavailable,
        Self::LedgerUnusable,
        Self::AlarmsUnusable,
        Self::AccessDenied,
        Self::FunctionFailed,
    ];

    /// The stable name, which `ErrorEquals` in the state machine matches.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidInput => "InvalidInput",
            Self::Refused => "Refused",
            Self::Locked => "Locked",
            Self::Overtaken => "Overtaken",
            Self::RehearsalFailed => "RehearsalFailed",
            Self::NoSuchRun => "NoSuchRun",
            Self::OwnFunction => "OwnFunction",
            Self::NotLocked => "NotLocked",
            Self::NoRecord => "NoRecord",
            Self::Unlisted => "Unlisted",
            Self::NoTargetRecord => "NoTargetRecord",
            Self::Unavailable => "Unavailable",
            Self::LedgerUnusable => "LedgerUnusable",
            Self::AlarmsUnusable => "AlarmsUnusable",
            Self::AccessDenied => "AccessDenied",
            Self::FunctionFailed => "FunctionFailed",
        }
    }

    /// The kind of this name; `None` for a name that is not one of snapback's errors.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl StepError {
    /// What kind of failure this is.
    #[must_use]
    pub fn kind(&self) -> StepErrorKind {
        use StepErrorKind as Kind;
        match self {
            Self::InvalidInput(_) => Kind::InvalidInput,
            Self::Refused(_) => Kind::Refused,
            Self::Locked { .. } => Kind::Locked,
            Self::Overtaken { .. } => Kind::Overtaken,
            Self::RehearsalFailed { .. } => Kind::RehearsalFailed,
            Self::NoSuchRun(_) | Self::NoSuchTarget { .. } => Kind::NoSuchRun,
            Self::OwnFunction { .. } | Self::TaggedAsOwn { .. } => Kind::OwnFunction,
            Self::NotLocked { .. } => Kind::NotLocked,
            Self::NoRecord(_) => Kind::NoRecord,
            Self::Unlisted(_) => Kind::Unlisted,
            Self::NoTargetRecord { .. } => Kind::NoTargetRecord,
            Self::Executions(_) => Kind::Unavailable,
            Self::Ledger(error) if error.is_transient() => Kind::Unavailable,
            Self::Alarms(error) if error.is_transient() => Kind::Unavailable,
            Self::Function { error, .. } if error.is_transient() => Kind::Unavailable,
            Self::Ledger(_) => Kind::LedgerUnusable,
            Self::Alarms(_) => Kind::AlarmsUnusable,
            Self::Function { error: FunctionError::Denied(_), .. } => Kind::AccessDenied,
            Self::Function { .. } => Kind::FunctionFailed,
        }
    }

    /// The stable name of its kind.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind().name()
    }

    /// About the entries of a list that cannot be read, if there are any.
    #[must_use]
    pub fn unreadable(listed: &RunList) -> Option<Self> {
        let entries = || listed.unreadable.iter().map(|entry| shorten(entry)).collect::<Vec<_>>().join(", ");
        let why = || format!("a list of runs has entries that this release cannot read: {}", entries());
        (!listed.unreadable.is_empty()).then(|| Self::Ledger(LedgerError::Unusable(why())))
    }

    /// That a run has no target on a function.
    #[must_use]
    pub fn no_such_target(function: &FunctionArn, run: &RunId) -> Self {
        Self::NoSuchTarget { function: function.name().to_owned(), run: run.clone() }
    }

    /// About a function.
    #[must_use]
    pub fn function(function: &str, error: FunctionError) -> Self {
        Self::Function { function: function.to_owned(), error }
    }
}

/// The error message in Lambda's description of a failed invocation, which is JSON and also the cause of a failed
/// execution. Other text is returned unchanged.
#[must_use]
pub fn failure_message(text: &str) -> String {
    let parsed: Option<serde_json::Value> = serde_json::from_str(text).ok();
    let message = parsed.as_ref().and_then(|failure| failure.get("errorMessage")).and_then(serde_json::Value::as_str);
    message.unwrap_or(text).to_owned()
}

fn list(refusals: &[Refusal]) -> String {
    let lines: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_run_and_a_missing_target_are_named_apart() {
        use crate::testing::samples::{function_arn, run_id};
        let run = StepError::NoSuchRun(run_id("nope"));
        assert_eq!(run.to_string(), "there is no run nope; to list the runs: snapback status");
        let target = StepError::no_such_target(&function_arn("checkout"), &run_id("r"));
        let expected = "checkout: it is not a target of the run r; to list the run's targets: snapback report r";
        assert_eq!((target.to_string().as_str(), target.kind()), (expected, run.kind()));
    }

    #[test]
    fn each_kind_is_found_by_its_name() {
        for kind in StepErrorKind::ALL {
            assert_eq!(StepErrorKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(StepErrorKind::from_name("Runtime.ExitError"), None);
    }
}
