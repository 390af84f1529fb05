//! The exact number of allocations and bytes that the proxy makes for an invocation.

use std::io;

use crate::faults::never_applies;
use crate::limits::Check;
use crate::processes::{Allocated, Runtime, Server};

const SMALL: usize = 100;
const LARGE: usize = 6 << 20;
/// The number of counted invocations, and of those before them in which connections are made.
const COUNTED: usize = 50;
/// Room for only the longer number in a large message's `Content-Length`.
const BYTES_LIMIT: f64 = 16.0;

/// Counts at both sizes, without faults and with one that never applies. A difference would come from the body.
pub fn measure() -> io::Result<Vec<Check>> {
    println!("\nallocated by the proxy for an invocation (number, bytes)");
    let mut checks = Vec::new();
    for (name, config) in [("without faults", None), ("with a fault at 0 %", Some(never_applies()))] {
        let (small, large) = (count(SMALL, config.as_deref())?, count(LARGE, config.as_deref())?);
        println!(
            "{name:<20} at 100 B: {}, {} B; at 6 MB: {}, {} B",
            small.count, small.bytes, large.count, large.bytes
        );
        checks.push(Check::at_most(
            0.0,
            "",
            format!("{name}: allocations for 6 MB beyond those for 100 B"),
            large.count - small.count,
        ));
        checks.push(Check::at_most(
            BYTES_LIMIT,
            " B",
            format!("{name}: bytes allocated beyond those for 100 B"),
            large.bytes - small.bytes,
        ));
    }
    Ok(checks)
}

fn count(size: usize, config: Option<&str>) -> io::Result<Allocated> {
    let api = Server::api(size)?;
    let mut server = Server::counted(&api.address, config)?;
    let mut runtime = Runtime::at(&server.address, size)?;
    runtime.block(COUNTED)?;
    // The first request for the numbers allocates too.
    server.allocated()?;
    let before = server.allocated()?;
    runtime.block(COUNTED)?;
    let after = server.allocated()?;
    #[allow(clippy::cast_precision_loss, reason = "a small number")]
    let each = |after: f64, before: f64| (after - before) / COUNTED as f64;
    Ok(Allocated { count: each(after.count, before.count), bytes: each(after.bytes, before.bytes) })
}
