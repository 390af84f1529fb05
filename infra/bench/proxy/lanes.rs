//! The ways from the runtime to the Runtime API.

use std::io;
use std::path::Path;

use crate::faults::{never_applies, never_matches};
use crate::memory::{self, Usage};
use crate::processes::{Runtime, Server};
use crate::statistics::median;

/// A way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// A direct connection.
    Direct,
    /// A TCP relay that blocks, the reference for small messages.
    Relay,
    /// A pass-through made of hyper, the reference for large messages.
    PassThrough,
    /// The proxy without faults.
    Proxy,
    /// The proxy with a fault that applies to 0 % of the invocations.
    NeverApplies,
    /// The proxy with a fault whose conditions do not hold, so that it has to read every event.
    NoMatch,
}

impl Way {
    /// All ways, in the order in which they alternate.
    pub const ALL: [Self; 6] =
        [Self::Direct, Self::Relay, Self::PassThrough, Self::Proxy, Self::NeverApplies, Self::NoMatch];

    /// The name of a reference in the report.
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
            Self::Relay => Server::reference("relay", api),
            Self::PassThrough => Server::reference("pass-through", api),
            Self::Proxy => Server::proxy(proxy, api, None),
            Self::NeverApplies => Server::proxy(proxy, api, Some(&never_applies())),
            Self::NoMatch => Server::proxy(proxy, api, Some(&never_matches())),
        }
        .map(Some)
    }
}

/// One open way: the process in between, and a runtime at its end.
pub struct Lane {
    /// Which way.
    pub way: Way,
    runtime: Runtime,
    server: Option<Server>,
}

impl Lane {
    /// Opens a way with events and responses of `size` bytes.
    pub fn open(way: Way, proxy: &Path, api: &str, size: usize) -> io::Result<Self> {
        let server = way.open(proxy, api)?;
        let address = server.as_ref().map_or(api, |server| &server.address);
        Ok(Self { way, runtime: Runtime::at(address, size)?, server })
    }

    /// Returns the median of `invocations` invocations, in nanoseconds.
    pub fn block(&mut self, invocations: usize) -> io::Result<f64> {
        Ok(median(&self.runtime.block(invocations)?))
    }

    /// Returns the memory of the process in between.
    pub fn usage(&self) -> io::Result<Usage> {
        self.server.as_ref().map_or(Ok(Usage::default()), |server| memory::usage(server.pid()))
    }
}
