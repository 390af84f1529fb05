//! Faults inside invocations: what a person writes, and what the proxy reads, are the same types.
//!
//! The control plane writes [`Orders`] into [`FAULTS_VARIABLE`]; the proxy reads them there. What a
//! person writes is refused where anything is unknown; what the control plane has written is read as far as it is known.

mod condition;
mod faults;
mod orders;
mod percentage;

pub use condition::{EventCondition, EventPath, Operator, holds_headers};
pub use faults::{
    Corrupt, CorruptFault, DiskFault, ErrorFault, ExitFault, Failure, InitFault, InvocationFault,
    InvocationTimeoutFault, LatencyFault, Milliseconds, Moment, ResponseFault, Rule,
};
pub use orders::{CHAINED_WRAPPER_VARIABLE, FAULTS_VARIABLE, MAX_FAULTS, Orders, PROXY_PATH};
pub use percentage::Percentage;
