//! A call of a simulated worker: its kind, its caller, and how it fails.

use std::time::Duration;

use crate::model::names::{FunctionArn, RunId};
use crate::model::time::Time;

/// The kind of a call. It determines which failures the call can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// Reads a function, or something that belongs to it.
    ReadLambda,
    /// Changes a function.
    WriteLambda,
    /// Reads the ledger.
    ReadLedger,
    /// Writes one item of the ledger.
    WriteItem,
    /// Writes several items of the ledger, and can conflict with another transaction.
    Transaction,
    /// Reads CloudWatch.
    Alarms,
    /// Reads Step Functions.
    Executions,
    /// Puts an object into S3.
    WriteReport,
}

impl CallKind {
    /// Whether the call changes something, so that it matters whether it lands.
    #[must_use]
    pub fn changes(self) -> bool {
        matches!(self, Self::WriteLambda | Self::WriteItem | Self::Transaction | Self::WriteReport)
    }
}

/// The caller of a call.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// Its name in the journal.
    pub name: String,
    /// The ledger's method that makes the call.
    pub method: Option<&'static str>,
    /// The purpose of a call that changes a function.
    pub sending: Option<Sending>,
}

impl std::fmt::Display for Caller {
    /// The further requests of a ledger's method have no name of a caller.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.name.is_empty() { "  and then" } else { &self.name })
    }
}

/// The purpose of a call that changes a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// The run for which the call is made.
    pub run: RunId,
    /// The function that it changes.
    pub function: FunctionArn,
    /// The time that the read showed on which the call was decided.
    pub read_at: Time,
}

/// A failure of a call, before it becomes an error of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// No response: the call may have landed, or not.
    NoResponse,
    /// Access denied.
    Denied,
    /// Busy; a transaction conflicted with another one.
    Busy,
    /// Throttled, with the time from `Retry-After`.
    Throttled(Duration),
}
