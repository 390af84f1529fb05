//! The proxy itself, with an allocator that counts: it shows what its code allocates, which no look at a process does.

use std::alloc::System;
use std::io::{self, Read};
use std::process::ExitCode;
use std::thread;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

// The other parts have it, too; none of them allocates anything for an invocation while it is measured.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Is `snapback-proxy` with the same arguments, and for each line on stdin says how often and how many bytes it has
/// allocated so far.
pub fn run() -> ExitCode {
    thread::spawn(|| {
        let mut line = [0];
        while io::stdin().read_exact(&mut line).is_ok() {
            let stats = ALLOCATOR.stats();
            println!("{} {}", stats.allocations + stats.reallocations, stats.bytes_allocated);
        }
    });
    snapback::proxy::main()
}
