//! The command line of the proxy: it runs as a wrapper, or standalone.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;

use crate::model::invocation::{FAULTS_VARIABLE, InvocationFault, ProxyConfig};

use super::log::{log_ignored, log_line};
use super::server::serve;
use super::upstream::{API_VARIABLE, Upstream};
use super::wrapper::wrap;

const USAGE: &str = "usage: snapback-proxy RUNTIME [ARGUMENT...]   as AWS_LAMBDA_EXEC_WRAPPER
       snapback-proxy --listen 127.0.0.1:PORT  standalone; PORT 0 takes a free one
AWS_LAMBDA_RUNTIME_API gives the address of the Runtime API, SNAPBACK_FAULTS the faults.";

/// Runs the program with the arguments of the process.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    // An argument that is not text cannot be an option of the proxy. The empty text keeps its place.
    let words: Vec<&str> = arguments.iter().map(|argument| argument.to_str().unwrap_or_default()).collect();
    match words.as_slice() {
        ["--listen", address] => match standalone(address) {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                log_line(&why);
                ExitCode::from(2)
            }
        },
        ["--version"] => {
            println!("snapback-proxy {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
        [] => usage(),
        [option, ..] if option.starts_with("--") => usage(),
        _ => wrap(&arguments),
    }
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

/// Serves until the process is killed, for tests and measurements.
fn standalone(address: &str) -> Result<(), String> {
    let address: SocketAddr = address
        .parse()
        .map_err(|_| format!("--listen is `{address}`; write an address and a port, such as 127.0.0.1:9001"))?;
    if !address.ip().is_loopback() {
        return Err(format!("--listen is `{address}`, which other hosts can reach; write 127.0.0.1:PORT"));
    }
    let upstream =
        std::env::var(API_VARIABLE).map_err(|_| format!("{API_VARIABLE} is not set; set it to host:port"))?;
    let upstream = Upstream::parse(&upstream)?;
    let config = config()?;
    let listener = TcpListener::bind(address).map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let bound = listener.local_addr().map_err(|error| error.to_string())?;
    log_line(&format!("listening on {bound}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| runtime.block_on(serve(listener, upstream, config)));
    served.map_err(|error| format!("stopped: {error}"))
}

/// Whether the fault concerns the runtime's own process.
fn needs_runtime(fault: &InvocationFault) -> bool {
    matches!(fault, InvocationFault::Exit(_) | InvocationFault::Dependency(_))
}

/// Reads the configuration, if there is a readable one.
fn config() -> Result<Option<ProxyConfig>, String> {
    let Some(text) = std::env::var_os(FAULTS_VARIABLE) else { return Ok(None) };
    match ProxyConfig::parse(&text.to_string_lossy()) {
        Ok(config) if config.faults.iter().any(needs_runtime) => Err(format!(
            "{FAULTS_VARIABLE} has an `exit` or a `dependency` fault, but there is no runtime standalone; remove the fault"
        )),
        Ok(config) => {
            log_ignored(&config);
            Ok(Some(config))
        }
        Err(error) => {
            log_line(&format!("{FAULTS_VARIABLE} cannot be read: {error}; no faults are injected"));
            Ok(None)
        }
    }
}
