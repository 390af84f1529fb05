//! A call of a simulated worker: its kind, its caller, and what it fails with.

use std::time::Duration;

use crate::model::names::{FunctionArn, RunId};
use crate::model::time::Time;

/// What kind of call it is: each can fail in its own ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// A look at a function, or at something that belongs to it.
    Look,
    /// A call that changes a function.
    Write,
    /// A read of the ledger.
    Read,
    /// A write of one item of the ledger.
    Update,
    /// A write of several items of the ledger at once: it may meet another one.
    Transaction,
    /// CloudWatch.
    Alarms,
    /// Step Functions.
    Executions,
}

impl CallKind {
    /// Whether it changes something, so that it matters whether it lands.
    #[must_use]
    pub fn changes(self) -> bool {
        matches!(self, Self::Write | Self::Update | Self::Transaction)
    }
}

/// Who makes a call.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// For people.
    pub name: String,
    /// The ledger's method that it is made for.
    pub method: Option<&'static str>,
    /// What a call that changes a function is sent for.
    pub sending: Option<Sending>,
}

impl std::fmt::Display for Caller {
    /// What a call of the ledger's needs in addition to the first request is not said to be anybody's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.name.is_empty() { "  and then" } else { &self.name })
    }
}

/// A call that changes a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sending {
    /// For this run.
    pub run: RunId,
    /// This function.
    pub function: FunctionArn,
    /// The moment that the decision's look showed.
    pub read_at: Time,
}

/// What AWS says instead of doing what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallError {
    /// Nothing: the call may have landed, or not.
    NoResponse,
    /// Access denied.
    Denied,
    /// Busy; for a transaction: it met another one.
    Busy,
    /// Throttled, with what `Retry-After` says.
    Throttled(Duration),
}
