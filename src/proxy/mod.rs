//! The data plane: a proxy between the Lambda runtime and the Runtime API that injects the faults of one run.
//!
//! The proxy comes in a layer that is attached only while an experiment runs. While no fault is triggered, it passes
//! every byte unchanged in both directions: it writes each byte from the buffer that it was read into, or the byte
//! never leaves the kernel. It parses heads only, and finds where bodies end. It also passes what it does not
//! recognize, and logs that once. It depends on nothing but [`crate::model::invocation`].
//!
//! # Words
//! A *result* is what the runtime posts for an invocation: the handler's response, or an error. A fault is *triggered*
//! for an invocation when its percentage, qualifier and conditions select that invocation.
//!
//! # The order of faults
//! Each fault rolls its own percentage. Triggered faults take effect in this order; those of one kind keep the order of
//! the experiment:
//!
//! 1. `latency` and `invocationTimeout` before the handler. Their delays add up.
//! 2. The first `response` or `error` before the handler. The handler does not run, so nothing follows.
//! 3. `disk` and `dependency`, while the handler runs.
//! 4. `exit`, which kills the runtime.
//! 5. `latency` after the handler.
//! 6. `error` after the handler. It replaces the result, so the next two have no effect.
//! 7. `response` after the handler.
//! 8. `corrupt`.

mod buffer;
mod buffered;
mod command;
mod connection;
mod damage;
mod dependency;
mod dice;
mod disk;
mod event;
mod framing;
mod half_duplex;
mod head;
mod http_payload;
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
mod results;
mod route;
mod server;
mod side;
mod source;
mod upstream;
mod verdict;
mod watch;
mod wrapper;

pub use command::main;
pub use server::serve;
pub use upstream::Upstream;
