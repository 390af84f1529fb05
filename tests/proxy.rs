//! The proxy as a process, between a runtime and a Runtime API that the tests play byte by byte.
#![cfg(feature = "proxy")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports a problem by failing")]

#[path = "proxy/conditions.rs"]
mod conditions;
#[path = "proxy/connections.rs"]
mod connections;
#[path = "proxy/delays.rs"]
mod delays;
#[path = "proxy/disk.rs"]
mod disk;
#[path = "proxy/expiry.rs"]
mod expiry;
#[path = "proxy/faults.rs"]
mod faults;
#[path = "proxy/heads.rs"]
mod heads;
#[path = "proxy/memory.rs"]
mod memory;
#[path = "proxy/results.rs"]
mod results;
#[path = "proxy/streams.rs"]
mod streams;
#[path = "proxy/support.rs"]
mod support;
#[path = "proxy/transparency.rs"]
mod transparency;
#[path = "proxy/wrapper.rs"]
mod wrapper;
