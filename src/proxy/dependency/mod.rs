//! Breaks what the function depends on, with the help of the shim (`src/shim/`) in the function's processes.
//!
//! The shim asks before a process connects to a host that a fault names ([`questions`]). Each connection then goes
//! through a relay ([`destinations`], [`link`]), also while no fault is triggered: it may be open later, when one is.
//! [`breakages`] knows which faults are triggered for the invocations under way.

mod breakages;
mod budget;
mod destinations;
mod hole;
mod hosts;
mod link;
mod pace;
mod preload;
mod questions;
#[path = "../../shim/wire.rs"]
#[allow(dead_code, reason = "the shim uses the rest")]
mod wire;

pub(super) use breakages::{Breakages, Breaking};
pub(super) use preload::{Preload, prepare};
pub(super) use questions::answer_questions;
