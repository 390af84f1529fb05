//! The ways from the runtime to the Runtime API, side by side.

use std::io;
use std::path::Path;

use crate::event::NO_MATCH;
use crate::memory::{self, Usage};
use crate::processes::{Runtime, Server};
use crate::statistics::median;

/// A way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Nothing in between.
    Direct,
    /// A TCP relay that blocks, the yardstick for small messages.
    Relay,
    /// A pass-through made of hyper, the yardstick for large ones.
    PassThrough,
    /// The proxy without faults.
    Proxy,
    /// The proxy with a fault that is due in 0 % of the invocations.
    NeverDue,
    /// The proxy with a fault whose conditions do not hold, which it has to read every event for.
    NoMatch,
}

impl Way {
    /// All, in the order in which they take turns.
    pub const ALL: [Self; 6] =
        [Self::Direct, Self::Relay, Self::PassThrough, Self::Proxy, Self::NeverDue, Self::NoMatch];

    /// As a yardstick is called in a report.
    pub fn name(self) -> &'static str {
        match self {
            Self::Relay => "the relay",
            Self::PassThrough => "hyper",
            _ => "another way",
        }
    }

    fn open(self, proxy: &Path, api: &str) -> io::Result<Option<Server>> {
        match self {
            Self::Direct => return Ok(None),
            Self::Relay => Server::yardstick("relay", api),
            Self::PassThrough => Server::yardstick("pass-through", api),
            Self::Proxy => Server::proxy(proxy, api, None),
            Self::NeverDue => Server::proxy(proxy, api, Some(&never_due())),
            Self::NoMatch => Server::proxy(proxy, api, Some(&orders(&format!(r#""match":{NO_MATCH}"#)))),
        }
        .map(Some)
    }
}

/// The orders with a fault that is never due.
pub fn never_due() -> String {
    orders(r#""percentage":0"#)
}

/// A latency fault with such a rule, until 2100, a moment that no measurement meets.
fn orders(rule: &str) -> String {
    format!(
        r#"{{"until":4102444800000,"experiment":"bench","run":"bench","faults":[{{"latency":{{"delayMs":200,{rule}}}}}]}}"#
    )
}

/// One way, opened: what is in between, and a runtime at its end.
pub struct Lane {
    /// Which one.
    pub way: Way,
    runtime: Runtime,
    server: Option<Server>,
}

impl Lane {
    /// With events and responses of so many bytes.
    pub fn open(way: Way, proxy: &Path, api: &str, size: usize) -> io::Result<Self> {
        let server = way.open(proxy, api)?;
        let address = server.as_ref().map_or(api, |server| &server.address);
        Ok(Self { way, runtime: Runtime::at(address, size)?, server })
    }

    /// The median of so many invocations, in nanoseconds.
    pub fn block(&mut self, invocations: usize) -> io::Result<f64> {
        Ok(median(&self.runtime.block(invocations)?))
    }

    /// The memory of what is in between.
    pub fn usage(&self) -> io::Result<Usage> {
        self.server.as_ref().map_or(Ok(Usage::default()), |server| memory::usage(server.pid()))
    }
}
