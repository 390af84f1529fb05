//! Chaos experiments on AWS Lambda functions that always restore the functions' configuration.
//!
//! An experiment changes how a function behaves for a bounded time. It ends by restoring exactly what was there before:
//! at the end of its duration, when a CloudWatch alarm goes into ALARM, when a user stops it, or when its runner dies.
//!
//! # Where to start
//! - **The restore decision** takes three files. `plan::field_state` compares a field with its original and its
//!   injected value, `plan::restore` decides on one fresh observation, and `steps::restore` carries the decision out.
//! - **The race** between an inject's call and a restore is described below. Its bounds are the constants of `steps`,
//!   the leases are taken in `steps::leased_writer`, and `model::guarded_write` has the condition of each write.
//! - **To add a fault**, add a variant of `model::fault::Fault` and a row of `model::catalog::FAULT_CATALOG`, and let
//!   `plan::changes` turn it into changes. A fault inside invocations is added to [`model::invocation`] and to
//!   `proxy::verdict` instead. Tests walk the catalog and fail until the sample in `events/`, the roles in
//!   `infra/template.yaml` and `events/README.md` have the new fault.
//!
//! # The restore law
//! For every function configuration `c`, fault `f`, and any edits `e` that others make during the run:
//! `restore(e(inject_f(c))) = e(c)` on every field that `e` and `f` do not both touch. Where both touch a field, the
//! edit stays and is reported as drift.
//!
//! # The race
//! Inject has sent its call, and the call is not visible yet. A rollback observes the function, sees the original, and
//! must not report it as restored: the call is about to land. So every writer records a lease before it calls, and a
//! target is called restored only on an observation that was made after every lease had expired.
//!
//! # The rehearsal
//! Rights are tested before they are needed. Between Arm and Inject, the role that restores reads everything that a
//! restore of each target needs (`steps::rehearse`), and the ledger grants no permit to inject a target without that. A
//! record alone changes nothing: a restore writes only while its run holds the function's lock, and never to snapback's
//! own functions (`plan::own`).
//!
//! # Layers
//! Dependencies point one way; the features draw the same line.
//!
//! | module | what it contains | feature |
//! |---|---|---|
//! | [`model`] | nouns: types that are parsed at the edge; no I/O, no SDK, no clock | |
//! | `plan` | decisions: pure, total, synchronous | `control` |
//! | `page` | the report of a run as an HTML page: a pure function of `plan::evidence` | `page` |
//! | `ports` | what the steps need from AWS, the ledger and a clock | `control` |
//! | `steps` | prepare, arm, rehearse, inject, observe, restore, report, rollback, reap: they carry plans out through the ports | `control` |
//! | `proxy` | the data plane, between the runtime and the Runtime API; shares only [`model::invocation`] with the rest | `proxy` |
//! | `testing` | the simulated world: the ports in memory, virtual time, and random histories | `testing` |
//! | `aws` | the ports on AWS: the only module that names an SDK | `aws` |
//! | `task` | the boundary to Step Functions and EventBridge | `task` |
//! | `cli` | arguments, commands, output | `cli` |
//!
//! The shim (`src/shim/`) is a separate crate without the standard library, because it is loaded into the function's own
//! processes. It shares one file with the proxy: the form of its questions.

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "cli")]
pub mod cli;
pub mod model;
#[cfg(feature = "page")]
mod page;
#[cfg(feature = "control")]
pub mod plan;
#[cfg(feature = "control")]
pub mod ports;
#[cfg(feature = "proxy")]
pub mod proxy;
#[cfg(feature = "control")]
pub mod steps;
#[cfg(feature = "task")]
pub mod task;
#[cfg(any(all(test, feature = "control"), feature = "testing"))]
pub mod testing;

#[cfg(feature = "control")]
pub use model::experiment::Experiment;
#[cfg(feature = "control")]
pub use model::input::{InvalidInput, read_experiment};
#[cfg(feature = "control")]
pub use model::settings::Settings;
#[cfg(feature = "control")]
pub use plan::preview::PlanView;
#[cfg(feature = "control")]
pub use plan::rendering::ReportView;
#[cfg(feature = "control")]
pub use ports::World;
#[cfg(feature = "control")]
pub use steps::Budget;
#[cfg(feature = "control")]
pub use steps::error::StepError;
