//! snapback
#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "cli")]
pub mod cli;
pub mod model;
pub mod plan;
pub mod ports;
pub mod settings;
pub mod steps;
#[cfg(feature = "task")]
pub mod task;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
