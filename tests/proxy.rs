//! The proxy as a process, between a runtime and a Runtime API that the tests play byte by byte.
#![cfg(feature = "proxy")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says what went wrong by failing")]

#[path = "proxy/connections.rs"]
mod connections;
#[path = "proxy/faults.rs"]
mod faults;
#[path = "proxy/memory.rs"]
mod memory;
#[path = "proxy/support.rs"]
mod support;
#[path = "proxy/transparency.rs"]
mod transparency;
#[path = "proxy/wrapper.rs"]
mod wrapper;
