//! Runs everything on one CPU and reports it.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{self, Command};
use std::thread;
use std::time::Duration;

use crate::limits::{self, Check};
use crate::wire::wrong;
use crate::{allocations, memory, speed, start};

/// Ends a measurement that hangs.
const LONGEST: Duration = Duration::from_secs(280);
const LONGEST_LONG: Duration = Duration::from_secs(900);
const BINARY_LIMIT: f64 = 1.2;

/// Measures the proxy at this path. Returns whether every limit was held.
pub fn run(proxy: &str, long: bool) -> io::Result<bool> {
    let cpu = pin()?;
    bound(if long { LONGEST_LONG } else { LONGEST });
    let proxy = &fs::canonicalize(proxy)?;
    println!("the fault proxy; everything on CPU {cpu}, alternating, in one run\n");
    let mut checks = speed::measure(proxy)?;
    checks.extend(start::measure(proxy)?);
    checks.extend(allocations::measure()?);
    checks.extend(memory::growth(proxy, long)?);
    checks.push(size(proxy)?);
    Ok(limits::report(&checks))
}

/// Executes this program again on one CPU, unless it is on one already; its children stay there. A process can set its
/// own CPU only with unsafe code. It also takes precedence on that CPU, because other processes there get some
/// milliseconds at each fork, which is longer than a start. That needs root; otherwise `nice` reports it, and the start
/// is measured among the others.
fn pin() -> io::Result<String> {
    let allowed = allowed_cpus()?;
    // The last CPU of `0-1` or `0,2-3`, because the first has more of the machine's interrupts.
    let cpu = allowed.rsplit([',', '-']).next().unwrap_or_default();
    if cpu == allowed {
        return Ok(allowed);
    }
    let failure = Command::new("taskset")
        .args(["-c", cpu, "nice", "-n", "-20"])
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .exec();
    Err(io::Error::other(format!("taskset (util-linux) cannot be run: {failure}")))
}

fn allowed_cpus() -> io::Result<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    list.map(|list| list.trim().to_owned()).ok_or_else(|| wrong("a status without CPUs"))
}

/// Ends this process, and so all others, if it takes too long.
fn bound(longest: Duration) {
    thread::spawn(move || {
        thread::sleep(longest);
        eprintln!("bench-proxy: still not done after {} s", longest.as_secs());
        process::exit(2);
    });
}

fn size(proxy: &Path) -> io::Result<Check> {
    #[allow(clippy::cast_precision_loss, reason = "a few megabytes")]
    let megabytes = fs::metadata(proxy)?.len() as f64 / 1_000_000.0;
    Ok(Check::at_most(BINARY_LIMIT, " MB", "the binary", megabytes))
}
