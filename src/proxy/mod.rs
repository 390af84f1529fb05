//! The data plane: sits between the Lambda runtime and the Runtime API, and injects the faults of one run.
//!
//! It comes in a layer and is there only while an experiment runs. With no fault due, every byte passes as it came: it
//! is written from the buffer that it was read to, or never leaves the kernel, in both directions, and only where a
//! message ends is looked for. Whatever it does not understand passes, too, and the log says so once. It depends on nothing but [`crate::model::invocation`].
//!
//! # The order of faults
//! Each fault rolls its percentage for itself. What is due then happens in this order, within a kind in the order of
//! the experiment: `latency` and `invocationTimeout` before the handler, which add up; the first `response` or `error`
//! before the handler, behind which nothing follows; `disk`; the handler; `exit`; `latency` after it; `error` after it,
//! which voids the rest; `response` after it; `corrupt`.

mod buffer;
mod buffered;
mod command;
mod connection;
mod dice;
mod disk;
mod event;
mod framing;
mod head;
mod injection;
mod injector;
mod json;
mod log;
mod message;
mod payload;
mod pending;
mod pipe;
mod process;
mod relay;
mod responses;
mod route;
mod server;
mod source;
mod upstream;
mod verdict;
mod watch;
mod wrapper;

pub use command::main;
pub use server::serve;
pub use upstream::Upstream;
