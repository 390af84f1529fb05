//! Starting the runtime with the proxy before it, in the place of `AWS_LAMBDA_EXEC_WRAPPER`.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use crate::model::invocation::{CHAINED_WRAPPER_VARIABLE, FAULTS_VARIABLE, InvocationFault, MAX_FAULTS, ProxyConfig};

use super::dice::Dice;
use super::injector::{Injector, now};
use super::log::{Metrics, log_line, say_left_out};
use super::message::post;
use super::payload;
use super::process::{self, Fork, Process};
use super::server::serve_with;
use super::upstream::{API_VARIABLE, Upstream};
use super::watch::watch;

/// The variable that names a wrapper (lambda/latest/dg/runtimes-modify).
const WRAPPER_VARIABLE: &str = "AWS_LAMBDA_EXEC_WRAPPER";

/// Becomes the runtime, behind the proxy where there is something to inject. Returns only when that fails.
pub(super) fn wrap(command: &[OsString]) -> ExitCode {
    let port = match prepare() {
        Ok(RuntimeStart::ViaProxy(port)) => Some(port),
        Ok(RuntimeStart::Direct) => None,
        Ok(RuntimeStart::Failed) => return ExitCode::FAILURE,
        Err(why) => {
            log_line(&format!("{why}; the runtime starts without faults"));
            None
        }
    };
    let chained = std::env::var_os(CHAINED_WRAPPER_VARIABLE).filter(|chained| !chained.is_empty());
    let mut words: Vec<&OsStr> = chained.iter().chain(command).map(OsString::as_os_str).collect();
    let mut error = runtime(&words, chained.as_deref(), port).exec();
    if error.raw_os_error() == Some(libc::ENOEXEC) {
        // A wrapper without a line that names its interpreter: a shell that starts it runs it itself.
        words.insert(0, OsStr::new("/bin/sh"));
        error = runtime(&words, chained.as_deref(), port).exec();
    }
    log_line(&format!("cannot start the runtime: {error}"));
    ExitCode::FAILURE
}

/// How the runtime starts.
enum RuntimeStart {
    /// Behind the proxy at this port.
    ViaProxy(u16),
    /// As if we were not there.
    Direct,
    /// Not at all: its initialisation was made to fail.
    Failed,
}

fn prepare() -> Result<RuntimeStart, String> {
    let Some(text) = std::env::var_os(FAULTS_VARIABLE) else { return Err(format!("{FAULTS_VARIABLE} is not set")) };
    let text = text.into_string().map_err(|_| format!("{FAULTS_VARIABLE} is not text"))?;
    let config = ProxyConfig::parse(&text).map_err(|error| format!("{FAULTS_VARIABLE} cannot be read: {error}"))?;
    say_left_out(&config);
    let upstream = std::env::var(API_VARIABLE).map_err(|_| format!("{API_VARIABLE} is not set"))?;
    let upstream = Upstream::parse(&upstream)?;
    if init(&config, &upstream) {
        return Ok(RuntimeStart::Failed);
    }
    if !config.concern_invocations() || config.left(now()).is_none() {
        return Ok(RuntimeStart::Direct);
    }
    spawn(upstream, config).map(RuntimeStart::ViaProxy).map_err(|error| format!("the proxy cannot start: {error}"))
}

/// The runtime's command, with the environment that it would have without us.
fn runtime(words: &[&OsStr], chained: Option<&OsStr>, port: Option<u16>) -> Command {
    let (program, arguments) = words.split_first().map_or((OsStr::new(""), words), |(first, rest)| (*first, rest));
    let mut runtime = Command::new(program);
    runtime.args(arguments);
    for name in [FAULTS_VARIABLE, CHAINED_WRAPPER_VARIABLE, WRAPPER_VARIABLE] {
        runtime.env_remove(name);
    }
    if let Some(chained) = chained {
        runtime.env(WRAPPER_VARIABLE, chained);
    }
    if let Some(port) = port {
        runtime.env(API_VARIABLE, format!("127.0.0.1:{port}"));
    }
    process::keep_sigpipe(&mut runtime);
    runtime
}

/// Starts the proxy as a process that the runtime does not know: a child's child, whose parent is gone.
fn spawn(upstream: Upstream, config: ProxyConfig) -> io::Result<u16> {
    // The runtime can connect from now on; the kernel keeps its connection until the proxy takes it.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let runtime = Process::own()?;
    let (mut ready, readiness) = io::pipe()?;
    match process::fork()? {
        Fork::Child => {
            if let Ok(Fork::Child) = process::fork() {
                drop(ready);
                run(listener, upstream, config, runtime, readiness);
            }
            std::process::exit(0);
        }
        Fork::Parent(child) => {
            drop(readiness);
            process::wait_for(child);
            // One byte, or the end when the proxy has not made it.
            ready.read_exact(&mut [0])?;
            Ok(port)
        }
    }
}

/// The proxy's life: until the runtime's end.
fn run(
    listener: TcpListener,
    upstream: Upstream,
    config: ProxyConfig,
    runtime: Process,
    mut readiness: io::PipeWriter,
) {
    process::ignore_signals();
    let kept = [listener.as_raw_fd(), runtime.as_raw_fd(), readiness.as_raw_fd()];
    // Among the others is the descriptor that the runtime writes its log to: it would not be closed with the runtime.
    if let Err(error) = process::close_others(&kept) {
        log_line(&format!("cannot close what is not its own: {error}"));
    }
    let served = tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|threads| {
        threads.block_on(async {
            let end = runtime.end()?;
            let address = listener.local_addr()?;
            let injector = Injector::new(config, Some(runtime));
            tokio::spawn(watch(Arc::clone(&injector), address));
            readiness.write_all(&[1])?;
            drop(readiness);
            tokio::select! {
                served = serve_with(listener, upstream, Some(injector)) => served,
                ended = end.readable() => ended.map(drop),
            }
        })
    });
    if let Err(error) = served {
        log_line(&format!("stopped: {error}"));
    }
}

/// Delays the initialisation, or fails it: says whether it has failed.
fn init(config: &ProxyConfig, upstream: &Upstream) -> bool {
    // Each environment is initialised once: with a seed, all of them would have the same first roll.
    let rolls: [u64; MAX_FAULTS] = Dice::new(None).roll("init", config.faults.len());
    let faults = config.faults.iter().zip(rolls).filter_map(|(fault, roll)| match fault {
        InvocationFault::Init(init) if init.percentage.includes(roll) => Some(init),
        _ => None,
    });
    for fault in faults {
        let Some(left) = config.left(now()) else { return false };
        let delay = fault.delay_ms.map_or(0, |delay| u64::from(delay.get())).min(left);
        Metrics::new().injected(config, "init", delay, "", now());
        std::thread::sleep(Duration::from_millis(delay));
        if let Some(failure) = fault.fail.as_ref().filter(|_| config.left(now()).is_some()) {
            if let Err(error) = report_failure(upstream, &failure.error_type, &failure.message) {
                log_line(&format!("cannot report the failed initialisation: {error}"));
            }
            return true;
        }
    }
    false
}

/// Says to the Runtime API what a runtime says whose initialisation has failed.
fn report_failure(upstream: &Upstream, error_type: &str, message: &str) -> io::Result<()> {
    let headers = format!("Lambda-Runtime-Function-Error-Type: {error_type}\r\nConnection: close\r\n");
    let request = post(upstream, "init/error", &headers, &payload::error(error_type, message));
    let mut stream = std::net::TcpStream::connect(upstream.authority())?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(&request)?;
    stream.read_exact(&mut [0])
}
