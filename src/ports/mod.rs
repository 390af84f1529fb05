//! The ports: what the steps need from AWS, from the ledger and from a clock. `aws` implements them on AWS, and
//! `testing` in the simulated world.
//!
//! # Flow
//! A step reads through [`Functions`] and [`Ledger`] and decides with `plan`. It records a lease with
//! [`Ledger::begin_inject`] or [`Ledger::begin_restore`], and writes with the [`Permit`] that it gets for that.
//!
//! # Guarantees
//! Each method's documentation states what holds when it returns. A caller relies on that and on nothing else.
//! - Reads of the ledger are consistent. Its writes are conditional, atomic, and durable when they return.
//! - [`Functions::write`] makes one attempt of one call. Every other call may be repeated.
//!
//! # Assumptions
//! A read of a function may be stale, and a call may land after its caller gave up; the bounds are the constants of
//! [`crate::steps`].
//!
//! # Errors
//! Each service has its own error type. Only [`PortError::retryable`] decides when a failed call is worth another try.
//! No error's text carries the value of a variable.

mod alarms;
mod functions;
mod ledger;
mod report_store;

use std::future::Future;
use std::time::Duration;

use crate::model::time::Time;

pub use alarms::{AlarmError, Alarms};
pub use functions::{FunctionError, Functions, VersionPage};
pub use ledger::{Ledger, LedgerError, Permit, WriteOutcome, stopped_before};
pub use report_store::{ReportStore, ReportStoreError};

/// Everything that a step may reach.
pub trait World: Functions + Ledger + Alarms + Executions + ReportStore + Clock + Stack + Send + Sync {}

impl<T: Functions + Ledger + Alarms + Executions + ReportStore + Clock + Stack + Send + Sync> World for T {}

/// The deployed stack that a world belongs to.
pub trait Stack {
    /// The first part of the names of snapback's own functions; `None` where only the ledger's table is known, as for
    /// the command line with `--table`.
    fn prefix(&self) -> Option<&str>;
}

/// When a call that failed may succeed. Every decision on a retry follows from this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retryable {
    /// The same call, a little later.
    SameCall,
    /// A call that is decided on a new observation: the function is busy or has changed.
    NewObservation,
    /// No call until a user has changed something.
    Never,
}

/// An error of a port.
pub trait PortError {
    /// When the call may succeed.
    fn retryable(&self) -> Retryable;

    /// Whether the step may succeed later without a user's doing.
    fn is_transient(&self) -> bool {
        self.retryable() != Retryable::Never
    }
}

/// AWS Step Functions.
pub trait Executions {
    /// Whether the execution is running; false if it does not exist.
    fn is_running(&self, execution_arn: &str) -> impl Future<Output = Result<bool, String>> + Send;
}

/// Time and random numbers.
pub trait Clock {
    /// The time now.
    fn now(&self) -> Time;

    /// Returns after this time.
    fn sleep(&self, span: Duration) -> impl Future<Output = ()> + Send;

    /// A random number, for jitter and for the names of lease holders. No two calls get the same one.
    fn random(&self) -> u64;
}
