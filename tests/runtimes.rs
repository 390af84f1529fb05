//! The proxy and the chaos handler with real runtimes: Lambda's own for Python, Node.js and Rust, and AWS's Runtime
//! Interface Emulator.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports a problem by failing")]

#[path = "runtimes/brought.rs"]
mod brought;
#[path = "runtimes/concurrency.rs"]
mod concurrency;
#[path = "runtimes/emulator.rs"]
mod emulator;
#[path = "runtimes/faults.rs"]
mod faults;
#[path = "runtimes/handler.rs"]
mod handler;
#[path = "runtimes/http.rs"]
mod http;
#[path = "runtimes/invisible.rs"]
mod invisible;
#[path = "runtimes/launch.rs"]
mod launch;
#[path = "runtimes/processes.rs"]
mod processes;
#[path = "runtimes/runtime_api.rs"]
mod runtime_api;
#[path = "runtimes/streams.rs"]
mod streams;
#[path = "runtimes/unchanged.rs"]
mod unchanged;
#[path = "runtimes/versions.rs"]
mod versions;
