//! The resident memory of a process, and whether it grows.

use std::fs;
use std::io;
use std::path::Path;

use crate::faults::never_applies;
use crate::limits::Check;
use crate::processes::{Runtime, Server};
use crate::wire::wrong;

/// The tolerance for a heap that does not grow: a quarter of a byte for each of a million invocations.
const GROWTH_LIMIT: f64 = 0.25;
/// The size is small, because anything that is kept per invocation would be kept for every size.
const SIZE: usize = 100;

/// Resident memory in MB, of a million bytes each.
#[derive(Default)]
pub struct Usage {
    /// Now.
    pub now: f64,
    /// The maximum so far.
    pub peak: f64,
}

/// Reads the usage of a process (man proc_pid_status: VmRSS and VmHWM).
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

/// Sends many invocations and samples the memory: a million with `long`, otherwise a tenth of that. A fault that never
/// applies is configured, so that the proxy keeps its data about invocations.
pub fn growth(proxy: &Path, long: bool) -> io::Result<Vec<Check>> {
    let api = Server::api(SIZE)?;
    let server = Server::proxy(proxy, &api.address, Some(&never_applies()))?;
    let mut runtime = Runtime::at(&server.address, SIZE)?;
    let samples: &[usize] = if long { &[1_000, 10_000, 100_000, 1_000_000] } else { &[1_000, 10_000, 100_000] };
    let (mut done, mut seen) = (0, Vec::new());
    println!("\nresident memory after n invocations of {SIZE} B");
    for sample in samples {
        while done < *sample {
            let block = 1_000.min(sample - done);
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
