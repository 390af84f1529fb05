//! snapback
pub mod model;
pub mod plan;
pub mod ports;
pub mod steps;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
