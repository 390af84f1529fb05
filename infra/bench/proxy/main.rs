//! `bench-proxy PROXY [--long]`: measures the fault proxy's cost per invocation, compared with a direct connection, a
//! plain TCP relay and a pass-through made of hyper; then its size, memory and start. Exits with 1 if a limit is
//! missed.
//!
//! Every part is a separate process, as in Lambda: the Runtime API, relay and pass-through, the proxy, the runtime.
//! They and the driver are the subcommands of this binary, and all share one CPU, as in a function with less than 1,769
//! MB.

mod allocations;
mod api;
mod counted;
mod driver;
mod event;
mod faults;
mod lanes;
mod limits;
mod memory;
mod pass_through;
mod processes;
mod relay;
mod runtime;
mod server;
mod speed;
mod start;
mod statistics;
mod wire;

use std::io;
use std::process::ExitCode;

const USAGE: &str = "usage: bench-proxy PROXY [--long]
       bench-proxy api BYTES | relay HOST:PORT | pass-through HOST:PORT | runtime BYTES | --listen HOST:PORT (its parts, each a separate process)";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["api", bytes] => part(bytes, api::run),
        ["runtime", bytes] => part(bytes, runtime::run),
        ["--listen", _] => return counted::run(),
        ["relay", upstream] => relay::run(upstream).map(|()| true),
        ["pass-through", upstream] => pass_through::run(upstream).map(|()| true),
        [proxy] if !proxy.starts_with('-') => driver::run(proxy, false),
        [proxy, "--long"] => driver::run(proxy, true),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench-proxy {}: {error}", arguments.join(" "));
            ExitCode::from(2)
        }
    }
}

fn part(bytes: &str, run: fn(usize) -> io::Result<()>) -> io::Result<bool> {
    run(bytes.parse().map_err(io::Error::other)?).map(|()| true)
}
