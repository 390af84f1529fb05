//! The proxy with an allocator that counts. It shows what the proxy's code allocates, which a process does not show
//! from outside.

use std::alloc::System;
use std::io::{self, Read};
use std::process::ExitCode;
use std::thread;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

// The other parts have it too, but allocate nothing for an invocation while they are measured.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Runs `snapback-proxy` with the same arguments. For each line on stdin it prints the number and the bytes of its
/// allocations so far.
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
