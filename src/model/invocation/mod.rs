//! Faults inside invocations: what a person writes, and what the proxy reads, are the same types.
//!
//! The control plane writes [`ProxyConfig`] into [`FAULTS_VARIABLE`]; the proxy reads them there. What a
//! person writes is refused where anything is unknown; what the control plane has written is read as far as it is known.

mod condition;
mod faults;
mod percentage;
mod proxy_config;

pub use condition::{EventCondition, EventPath, Operator, holds_headers};
pub use faults::{
    Corrupt, CorruptFault, DiskFault, ErrorFault, ExitFault, Failure, InitFault, InvocationFault,
    InvocationTimeoutFault, LatencyFault, Milliseconds, Moment, ResponseFault, Rule,
};
pub use percentage::Percentage;
pub use proxy_config::{CHAINED_WRAPPER_VARIABLE, FAULTS_VARIABLE, MAX_FAULTS, PROXY_PATH, ProxyConfig};
