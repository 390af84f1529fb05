//! Chaos experiments on AWS Lambda functions that always put things back.
//!
//! An experiment changes how a function behaves for a bounded time and ends by restoring exactly what was there before:
//! at the end of its duration, when a CloudWatch alarm trips, when somebody stops it, or when its runner dies.
//!
//! # The restore law
//! For every function configuration `c`, fault `f`, and any edits `e` that somebody else makes meanwhile:
//! `restore(e(inject_f(c))) = e(c)` on every field where `e` and `f` do not meet; where they meet, theirs stays and is
//! reported as drift. `plan::standing` compares a field three ways, `plan::restore` decides on one fresh observation,
//! and `steps::restore` carries the decision out.
//!
//! # The race that matters
//! Inject has sent its call, the call is not visible yet, and a rollback looks: it sees the original and is tempted to
//! say "restored"; then the call lands. So every writer records a lease before it calls, and a target is called
//! restored only on an observation made after every lease has run out. The bounds that a lease is made of are the
//! constants of `steps`.
//!
//! # The rehearsal
//! The undo is armed in its rights as well as in its data. Between Arm and Inject, the role that restores reads all that
//! it would have to put back, of every target (`steps::rehearse`), and the ledger gives no permit to inject a target whose
//! snapshot was not rehearsed. A record alone changes nothing: a restore writes only while its run holds the function's
//! lock, and never to snapback's own functions (`plan::own`).
//!
//! # Layers
//! Dependencies point one way; the features draw the same line.
//!
//! | module | what it holds | feature |
//! |---|---|---|
//! | [`model`] | nouns: types that are parsed at the edge; no I/O, no SDK, no clock | |
//! | `plan` | decisions: pure, total, synchronous | `control` |
//! | `ports` | the few things that the decisions need from the world | `control` |
//! | `steps` | prepare, arm, rehearse, inject, observe, restore, report, rollback, reap: plans carried out through the ports | `control` |
//! | `proxy` | the data plane: between the runtime and the Runtime API; shares [`model::invocation`] with the rest, no more | `proxy` |
//! | `testing` | the simulated world: the ports in memory, with virtual time, and random histories in it | `testing` |
//! | `aws` | the ports on AWS: the only module that names an SDK | `aws` |
//! | `task` | the boundary to Step Functions and EventBridge | `task` |
//! | `cli` | arguments → commands → output | `cli` |

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(feature = "cli")]
pub mod cli;
pub mod model;
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
pub use plan::rendering::{PlanView, ReportView};
#[cfg(feature = "control")]
pub use ports::World;
#[cfg(feature = "control")]
pub use steps::Budget;
#[cfg(feature = "control")]
pub use steps::error::StepError;
