//! Starts the runtime behind the proxy, as the program that `AWS_LAMBDA_EXEC_WRAPPER` names.
//!
//! Only an `init` fault can prevent the start of the runtime. If anything prevents the proxy, the wrapper logs that,
//! and the runtime starts without faults.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use crate::model::invocation::{
    CHAINED_WRAPPER_VARIABLE, FAULTS_VARIABLE, InvocationFault, MAX_FAULTS, Milliseconds, ProxyConfig,
};

use super::dependency::{self, Preload};
use super::dice::Dice;
use super::injector::{Injector, now};
use super::log::{Metrics, log_ignored, log_line};
use super::message::post;
use super::payload;
use super::process::{self, Fork, Process};
use super::server::serve_with;
use super::upstream::{API_VARIABLE, Upstream};
use super::watch::watch;

/// The variable that names a wrapper (lambda/latest/dg/runtimes-modify).
const WRAPPER_VARIABLE: &str = "AWS_LAMBDA_EXEC_WRAPPER";
/// How long the report of a failed initialization waits for its response.
const REPORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Replaces this process by the runtime, behind the proxy if there is a fault to inject. Returns only if that fails.
pub(super) fn wrap(command: &[OsString]) -> ExitCode {
    let proxied = match prepare() {
        Ok(RuntimeStart::ViaProxy(proxied)) => Some(proxied),
        Ok(RuntimeStart::Direct) => None,
        Ok(RuntimeStart::Failed) => return ExitCode::FAILURE,
        Err(why) => {
            log_line(&format!("{why}; the runtime starts without faults"));
            None
        }
    };
    let chained = std::env::var_os(CHAINED_WRAPPER_VARIABLE).filter(|chained| !chained.is_empty());
    let mut words: Vec<&OsStr> = chained.iter().chain(command).map(OsString::as_os_str).collect();
    let mut error = runtime(&words, chained.as_deref(), proxied.as_ref()).exec();
    if error.raw_os_error() == Some(libc::ENOEXEC) {
        // The chained wrapper has no line that names its interpreter. A shell would run such a script itself.
        words.insert(0, OsStr::new("/bin/sh"));
        error = runtime(&words, chained.as_deref(), proxied.as_ref()).exec();
    }
    log_line(&format!("cannot start the runtime: {error}"));
    ExitCode::FAILURE
}

/// How the runtime starts.
enum RuntimeStart {
    /// Behind the proxy.
    ViaProxy(Proxied),
    /// Without the proxy.
    Direct,
    /// Not at all: a fault has failed its initialization.
    Failed,
}

/// What the runtime has to know about the proxy.
struct Proxied {
    /// The port on which it listens.
    port: u16,
    /// The shim in the runtime's processes, if there is one.
    preload: Option<Preload>,
}

/// Reads the configuration, applies `init` faults, and starts the proxy if invocations can have faults.
fn prepare() -> Result<RuntimeStart, String> {
    let Some(text) = std::env::var_os(FAULTS_VARIABLE) else { return Err(format!("{FAULTS_VARIABLE} is not set")) };
    let text = text.into_string().map_err(|_| format!("{FAULTS_VARIABLE} is not text"))?;
    let config = ProxyConfig::parse(&text).map_err(|error| format!("{FAULTS_VARIABLE} cannot be read: {error}"))?;
    log_ignored(&config);
    let upstream = std::env::var(API_VARIABLE).map_err(|_| format!("{API_VARIABLE} is not set"))?;
    let upstream = Upstream::parse(&upstream)?;
    if inject_init(&config, &upstream) {
        return Ok(RuntimeStart::Failed);
    }
    if !config.concerns_invocations() || config.remaining(now()).is_none() {
        return Ok(RuntimeStart::Direct);
    }
    let (preload, questions) = match dependency::prepare(&config) {
        Ok(prepared) => prepared.unzip(),
        Err(why) => {
            log_line(&format!("{why}; no `dependency` fault is injected"));
            (None, None)
        }
    };
    let spawned = spawn_proxy(upstream, config, questions);
    let port = spawned.map_err(|error| format!("the proxy cannot start: {error}"))?;
    Ok(RuntimeStart::ViaProxy(Proxied { port, preload }))
}

/// Returns the command of the runtime, with the environment that it would have without the proxy.
fn runtime(words: &[&OsStr], chained: Option<&OsStr>, proxied: Option<&Proxied>) -> Command {
    let (program, arguments) = words.split_first().map_or((OsStr::new(""), words), |(first, rest)| (*first, rest));
    let mut runtime = Command::new(program);
    runtime.args(arguments);
    for name in [FAULTS_VARIABLE, CHAINED_WRAPPER_VARIABLE, WRAPPER_VARIABLE] {
        runtime.env_remove(name);
    }
    if let Some(chained) = chained {
        runtime.env(WRAPPER_VARIABLE, chained);
    }
    if let Some(Proxied { port, preload }) = proxied {
        runtime.env(API_VARIABLE, format!("127.0.0.1:{port}"));
        preload.iter().for_each(|preload| preload.apply(&mut runtime));
    }
    process::keep_sigpipe(&mut runtime);
    runtime
}

/// Starts the proxy as a grandchild, whose parent exits, so that the runtime has no unexpected child. Returns its port.
fn spawn_proxy(upstream: Upstream, config: ProxyConfig, questions: Option<UnixListener>) -> io::Result<u16> {
    // The runtime can connect from now on: the kernel queues its connection until the proxy accepts it.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let runtime = Process::own()?;
    let (mut ready, readiness) = io::pipe()?;
    match process::fork()? {
        Fork::Child => {
            if let Ok(Fork::Child) = process::fork() {
                drop(ready);
                run_proxy(Listeners { listener, questions }, upstream, config, runtime, readiness);
            }
            std::process::exit(0);
        }
        Fork::Parent(child) => {
            drop(readiness);
            process::wait_for(child);
            // The proxy sends one byte when it is ready. If it fails, the pipe ends without one.
            ready.read_exact(&mut [0])?;
            Ok(port)
        }
    }
}

/// Where the proxy is asked.
struct Listeners {
    /// By the runtime, for events.
    listener: TcpListener,
    /// By the shim.
    questions: Option<UnixListener>,
}

/// Runs the proxy until the runtime ends.
fn run_proxy(
    Listeners { listener, questions }: Listeners,
    upstream: Upstream,
    config: ProxyConfig,
    runtime: Process,
    mut readiness: io::PipeWriter,
) {
    process::ignore_signals();
    let kept = [listener.as_raw_fd(), runtime.as_raw_fd(), readiness.as_raw_fd()].into_iter();
    let kept: Vec<_> = kept.chain(questions.as_ref().map(AsRawFd::as_raw_fd)).collect();
    // One of the others is the descriptor that the runtime writes its log to: it must close when the runtime ends.
    if let Err(error) = process::close_others(&kept) {
        log_line(&format!("cannot close inherited descriptors: {error}"));
    }
    let served = tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|threads| {
        threads.block_on(async {
            let end = runtime.end()?;
            let address = listener.local_addr()?;
            let injector = Injector::new(config, Some(runtime));
            tokio::spawn(watch(Arc::clone(&injector), address));
            if let Some((questions, breakages)) = questions.zip(injector.breakages()) {
                tokio::spawn(dependency::answer_questions(questions, Arc::clone(breakages)));
            }
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

/// Delays the initialization, or fails it. Returns whether it has failed.
fn inject_init(config: &ProxyConfig, upstream: &Upstream) -> bool {
    // Do not use the seed: each environment initializes once, so all of them would have the same first roll.
    let rolls: [u64; MAX_FAULTS] = Dice::new(None).roll("init", config.faults.len());
    let faults = config.faults.iter().zip(rolls).filter_map(|(fault, roll)| match fault {
        InvocationFault::Init(init) if init.percentage.includes(roll) => Some(init),
        _ => None,
    });
    for fault in faults {
        let Some(remaining) = config.remaining(now()) else { return false };
        let delay = fault.delay_ms.map_or(Duration::ZERO, Milliseconds::duration).min(remaining);
        Metrics::new().injected(config, "init", delay, &[], now());
        std::thread::sleep(delay);
        if let Some(failure) = fault.fail.as_ref().filter(|_| config.remaining(now()).is_some()) {
            if let Err(error) = report_failure(upstream, &failure.error_type, &failure.message) {
                log_line(&format!("cannot report the failed initialization: {error}"));
            }
            return true;
        }
    }
    false
}

/// Reports a failed initialization to the Runtime API, as a runtime would.
fn report_failure(upstream: &Upstream, error_type: &str, message: &str) -> io::Result<()> {
    let headers = format!("Lambda-Runtime-Function-Error-Type: {error_type}\r\nConnection: close\r\n");
    let request = post(upstream, "init/error", &headers, &payload::error(error_type, message));
    let mut stream = std::net::TcpStream::connect(upstream.authority())?;
    stream.set_read_timeout(Some(REPORT_TIMEOUT))?;
    stream.write_all(&request)?;
    stream.read_exact(&mut [0])
}
