//! What a process has in memory, and whether that grows.

use std::fs;
use std::io;
use std::path::Path;

use crate::lanes::never_due;
use crate::limits::Check;
use crate::processes::{Runtime, Server};
use crate::wire::wrong;

/// What may come and go in a heap that does not grow: a quarter of a byte for each of a million invocations.
const GROWTH_LIMIT: f64 = 0.25;
/// Small ones: what is kept for each invocation is kept whatever its size.
const SIZE: usize = 100;

/// Resident memory in MB, of a million bytes each.
#[derive(Default)]
pub struct Usage {
    /// At this moment.
    pub now: f64,
    /// At most so far.
    pub peak: f64,
}

/// Of a process (man proc_pid_status: VmRSS and VmHWM).
pub fn usage(pid: u32) -> io::Result<Usage> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    Ok(Usage { now: field(&status, "VmRSS:")?, peak: field(&status, "VmHWM:")? })
}

fn field(status: &str, name: &str) -> io::Result<f64> {
    let line =
        status.lines().find_map(|line| line.strip_prefix(name)).ok_or_else(|| wrong("a status without memory"))?;
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().map_err(io::Error::other)?;
    Ok(kibibytes * 1024.0 / 1_000_000.0)
}

/// Lets many invocations through and looks at the memory on the way: a million with `long`, else a tenth of that. A fault
/// that is never due is configured, so that the proxy keeps whatever it keeps about invocations.
pub fn growth(proxy: &Path, long: bool) -> io::Result<Vec<Check>> {
    let api = Server::api(SIZE)?;
    let server = Server::proxy(proxy, &api.address, Some(&never_due()))?;
    let mut runtime = Runtime::at(&server.address, SIZE)?;
    let looks: &[usize] = if long { &[1_000, 10_000, 100_000, 1_000_000] } else { &[1_000, 10_000, 100_000] };
    let (mut done, mut seen) = (0, Vec::new());
    println!("\nresident after so many invocations of {SIZE} B");
    for look in looks {
        while done < *look {
            let block = 1_000.min(look - done);
            runtime.block(block)?;
            done += block;
        }
        let usage = usage(server.pid())?;
        println!("{done:>9} {:>6.3} MB", usage.now);
        seen.push(usage.now);
    }
    let growth = seen.last().zip(seen.first()).map_or(f64::NAN, |(last, first)| last - first);
    Ok(vec![Check::at_most(
        GROWTH_LIMIT,
        " MB",
        format!("resident: growth from the first thousand to {done} invocations"),
        growth,
    )])
}
