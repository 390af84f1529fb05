//! Tests of the deployment: the roles, the schema, the command line, and the whole stack on an emulator.
#![cfg(all(feature = "task", feature = "cli", feature = "testing"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "stack/account.rs"]
mod account;
#[path = "stack/batches.rs"]
mod batches;
#[path = "stack/check.rs"]
mod check;
#[path = "stack/ci.rs"]
mod ci;
#[path = "stack/commands.rs"]
mod commands;
#[path = "stack/credentials.rs"]
mod credentials;
#[path = "stack/detach.rs"]
mod detach;
#[path = "stack/endings.rs"]
mod endings;
#[path = "stack/events.rs"]
mod events;
#[path = "stack/failed_starts.rs"]
mod failed_starts;
#[path = "stack/failures.rs"]
mod failures;
#[path = "stack/fake.rs"]
mod fake;
#[path = "stack/fis.rs"]
mod fis;
#[path = "stack/import.rs"]
mod import;
#[path = "stack/interrupt.rs"]
mod interrupt;
#[path = "stack/lab.rs"]
mod lab;
#[path = "stack/outbox.rs"]
mod outbox;
#[path = "stack/output.rs"]
mod output;
#[path = "stack/packages.rs"]
mod packages;
#[path = "stack/pages.rs"]
mod pages;
#[path = "stack/pipeline.rs"]
mod pipeline;
#[path = "stack/policies.rs"]
mod policies;
#[path = "stack/real_parts.rs"]
mod real_parts;
#[path = "stack/rights.rs"]
mod rights;
#[path = "stack/roles.rs"]
mod roles;
#[path = "stack/schedules.rs"]
mod schedules;
#[path = "stack/schema.rs"]
mod schema;
#[path = "stack/toolkit.rs"]
mod toolkit;
#[path = "stack/usage.rs"]
mod usage;
