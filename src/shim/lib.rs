//! Stands before libc's `connect` and `getaddrinfo`, and asks snapback's proxy about destinations that a fault names.
//!
//! The wrapper sets this library in `LD_PRELOAD` only while a run has `dependency` faults. It is written for a strange
//! process, so it must not be noticed in it:
//!
//! - A destination that no fault names goes straight to libc.
//! - It never allocates, takes no lock, and starts no thread, so it works in forked processes and signal handlers.
//! - It makes its own system calls directly, so errno changes only if a call shall fail.
//! - It blocks for one bounded question only. On any doubt it calls libc's function with the arguments as they are.
//! - It needs nothing that glibc 2.26 of Amazon Linux 2 does not have (`tests/dependency/test_shim.py` reads what it needs).
//!
//! `src/shim/README.md` describes the whole.
#![cfg_attr(panic = "abort", no_std)]
#![cfg_attr(test, allow(dead_code, reason = "what libc would call is not exported in tests"))]

mod addresses;
mod ask;
mod connect;
mod destination;
mod real;
mod resolve;
mod rules;
mod state;
mod sys;
#[allow(dead_code, reason = "the proxy uses the rest")]
mod wire;

/// Nothing in this library panics: it uses no operation that can. The language needs the function nevertheless.
#[cfg(panic = "abort")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
