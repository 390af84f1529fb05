//! Why a step failed; the names are what `ErrorEquals` in the state machine matches.

use crate::model::input::InvalidInput;
use crate::model::names::RunId;
use crate::model::refusal::Refusal;
use crate::model::run::RunList;
use crate::model::text::shorten;
use crate::ports::{AlarmError, FunctionError, LedgerError};

/// What to do about a record that snapback's own tasks cannot have written.
const FORGED: &str = "the record is forged or damaged: find out who writes to the ledger's table besides snapback";

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// The input cannot be read. Nothing was written.
    #[error("{0}")]
    InvalidInput(#[from] InvalidInput),
    /// Guardrails said no. Nothing was written.
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
    /// Somebody changed a touched field while it was being injected.
    #[error(
        "{function}: the {field} was changed by somebody else while it was being injected; nothing more was injected"
    )]
    Overtaken {
        /// The function.
        function: String,
        /// The field.
        field: String,
    },
    /// The role that restores cannot read what it would have to put back. Nothing was injected.
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
    /// There is no such run, or it has no such target.
    #[error("there is no run {0}, or it has no such target; see snapback status")]
    NoSuchRun(RunId),
    /// A record names one of snapback's own functions.
    #[error("{function} is one of snapback's own functions, which no run can target; nothing was written; {FORGED}")]
    OwnFunction {
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
    #[error("Step Functions did not answer: {0}")]
    Executions(String),
}

impl StepError {
    /// The stable name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::InvalidInput(_) => "InvalidInput",
            Self::Refused(_) => "Refused",
            Self::Locked { .. } => "Locked",
            Self::Overtaken { .. } => "Overtaken",
            Self::RehearsalFailed { .. } => "RehearsalFailed",
            Self::NoSuchRun(_) => "NoSuchRun",
            Self::OwnFunction { .. } => "OwnFunction",
            Self::NotLocked { .. } => "NotLocked",
            Self::NoRecord(_) => "NoRecord",
            Self::Ledger(LedgerError::Conflict | LedgerError::Unavailable(_))
            | Self::Alarms(AlarmError::Unavailable(_))
            | Self::Executions(_) => "Unavailable",
            Self::Function { error, .. } if error.is_transient() => "Unavailable",
            Self::Ledger(LedgerError::Unusable(_)) => "LedgerUnusable",
            Self::Alarms(AlarmError::Unusable(_)) => "AlarmsUnusable",
            Self::Function { error: FunctionError::Denied(_), .. } => "AccessDenied",
            Self::Function { .. } => "FunctionFailed",
        }
    }

    /// About the entries of a list that cannot be read, if there are any.
    #[must_use]
    pub fn unreadable(listed: &RunList) -> Option<Self> {
        let entries = || listed.unreadable.iter().map(|entry| shorten(entry)).collect::<Vec<_>>().join(", ");
        let why = || format!("a list of runs has entries that this release cannot read: {}", entries());
        (!listed.unreadable.is_empty()).then(|| Self::Ledger(LedgerError::Unusable(why())))
    }

    /// About a function.
    #[must_use]
    pub fn function(function: &str, error: FunctionError) -> Self {
        Self::Function { function: function.to_owned(), error }
    }
}

/// The message in what Lambda says of a failed invocation: a JSON text, also as the cause of a failed execution. What
/// is none stays as it is.
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
