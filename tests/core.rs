//! Tests of the decisions and the steps in the simulated world: no SDK, no network, no waiting.
#![cfg(feature = "testing")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test reports what went wrong by failing")]

#[path = "core/actors.rs"]
mod actors;
#[path = "core/bad_input.rs"]
mod bad_input;
#[path = "core/call_counts.rs"]
mod call_counts;
#[path = "core/chaos_handler.rs"]
mod chaos_handler;
#[path = "core/checks.rs"]
mod checks;
#[path = "core/crash_anywhere.rs"]
mod crash_anywhere;
#[path = "core/crashes.rs"]
mod crashes;
#[path = "core/deadline.rs"]
mod deadline;
#[path = "core/deploys.rs"]
mod deploys;
#[path = "core/draws.rs"]
mod draws;
#[path = "core/early_ends.rs"]
mod early_ends;
#[path = "core/effect.rs"]
mod effect;
#[path = "core/events.rs"]
mod events;
#[path = "core/failures.rs"]
mod failures;
#[path = "core/guarantee.rs"]
mod guarantee;
#[path = "core/guardrails.rs"]
mod guardrails;
#[path = "core/histories.rs"]
mod histories;
#[path = "core/import.rs"]
mod import;
#[path = "core/inject.rs"]
mod inject;
#[path = "core/inside_invocations.rs"]
mod inside_invocations;
#[path = "core/just_allowed.rs"]
mod just_allowed;
#[path = "core/kept_reports.rs"]
mod kept_reports;
#[path = "core/leases.rs"]
mod leases;
#[path = "core/mappings.rs"]
mod mappings;
#[path = "core/notices.rs"]
mod notices;
#[path = "core/reaper.rs"]
mod reaper;
#[path = "core/rehearsal.rs"]
mod rehearsal;
#[path = "core/removal.rs"]
mod removal;
#[path = "core/repeats.rs"]
mod repeats;
#[path = "core/report.rs"]
mod report;
#[path = "core/restore.rs"]
mod restore;
#[path = "core/restore_law.rs"]
mod restore_law;
#[path = "core/review.rs"]
mod review;
#[path = "core/scale.rs"]
mod scale;
#[path = "core/scenarios.rs"]
mod scenarios;
#[path = "core/secrets.rs"]
mod secrets;
#[path = "core/shown.rs"]
mod shown;
#[path = "core/stage.rs"]
mod stage;
#[path = "core/support.rs"]
mod support;
#[path = "core/trust.rs"]
mod trust;
#[path = "core/versions.rs"]
mod versions;
#[path = "core/waiting.rs"]
mod waiting;
#[path = "core/waits.rs"]
mod waits;
#[path = "core/wire.rs"]
mod wire;
