//! Faults inside invocations: the same types for experiments and for the proxy.
//!
//! The control plane writes a [`ProxyConfig`] into [`FAULTS_VARIABLE`], where the proxy reads it. An experiment with
//! anything unknown is refused. The proxy ignores what it does not know, because a newer control plane may have written
//! it. The chaos handler reads a [`HandlerConfig`] from [`HANDLER_FAULTS_VARIABLE`] in the same way.

mod checks;
mod condition;
mod dependency;
mod faults;
mod handler;
mod host;
mod pattern;
mod percentage;
mod proxy_config;
mod rule;

pub use condition::{EventCondition, EventPath, Operator, holds_headers};
pub use dependency::{AnswerLatency, Bandwidth, Breakage, DependencyFault, Port, Reset, Unresolvable};
pub use faults::{
    Corrupt, CorruptFault, DiskFault, ErrorFault, ExitFault, Failure, InitFault, InvocationFault,
    InvocationTimeoutFault, LatencyFault, Moment, ResponseFault,
};
pub use handler::{ExceptionFault, HandlerOrder};
pub use host::{Host, Network};
pub use percentage::Percentage;
pub use proxy_config::{
    CHAINED_WRAPPER_VARIABLE, FAULTS_VARIABLE, FaultConfig, HANDLER_FAULTS_VARIABLE, HandlerConfig, MAX_FAULTS,
    ORIGINAL_HANDLER_VARIABLE, PROXY_PATH, ProxyConfig, WRAPPER_VARIABLE,
};
pub use rule::{Milliseconds, Rule};
