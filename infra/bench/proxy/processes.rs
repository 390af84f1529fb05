//! The processes of a measurement. Each ends when its value is dropped, or when the driver is killed.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use crate::server::LISTENING;
use crate::wire::wrong;

/// The variable with the address of the Runtime API.
const API: &str = "AWS_LAMBDA_RUNTIME_API";
/// The variable with the proxy's faults (`FAULTS_VARIABLE` of `src/model/invocation/proxy_config.rs`).
const FAULTS: &str = "SNAPBACK_FAULTS";

/// A process that serves on its own address.
pub struct Server {
    process: Process,
    /// Host and port.
    pub address: String,
}

impl Server {
    /// Starts the Runtime API with events of `size` bytes.
    pub fn api(size: usize) -> io::Result<Self> {
        Self::start(killed_with_driver(&ourselves()?).args(["api", &size.to_string()]))
    }

    /// Starts a reference: `relay` or `pass-through`.
    pub fn reference(kind: &str, upstream: &str) -> io::Result<Self> {
        Self::start(killed_with_driver(&ourselves()?).args([kind, upstream]))
    }

    /// Starts the proxy alone, with its configuration, if any.
    pub fn proxy(proxy: &Path, upstream: &str, config: Option<&str>) -> io::Result<Self> {
        Self::start(&mut configured(proxy, upstream, config))
    }

    /// Starts the proxy's code in a process that counts its allocations.
    pub fn counted(upstream: &str, config: Option<&str>) -> io::Result<Self> {
        Self::start(configured(&ourselves()?, upstream, config).stdin(Stdio::piped()).stdout(Stdio::piped()))
    }

    /// Returns the allocations so far, if the process counts them.
    pub fn allocated(&mut self) -> io::Result<Allocated> {
        let Child { stdin, stdout, .. } = &mut self.process.0;
        let (stdin, stdout) = stdin.as_mut().zip(stdout.as_mut()).ok_or_else(|| wrong("no pipes"))?;
        stdin.write_all(b"\n")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let numbers: Vec<f64> = line.split_whitespace().map_while(|number| number.parse().ok()).collect();
        match numbers[..] {
            [count, bytes] => Ok(Allocated { count, bytes }),
            _ => Err(wrong(&format!("no allocations, but `{line}`"))),
        }
    }

    fn start(command: &mut Command) -> io::Result<Self> {
        let mut process = Process(command.stderr(Stdio::piped()).spawn()?);
        let mut log = BufReader::new(process.0.stderr.take().ok_or_else(|| wrong("no stderr"))?);
        let mut line = String::new();
        log.read_line(&mut line)?;
        let address = line.split_once(LISTENING).map(|(_, address)| address.trim().to_owned());
        let address = address.ok_or_else(|| wrong(&format!("no address from {command:?}, but `{line}`")))?;
        // Further output goes to the report. Unread output would block the process at some time.
        thread::spawn(move || io::copy(&mut log, &mut io::stderr()));
        Ok(Self { process, address })
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

/// The number and the bytes of allocations.
pub struct Allocated {
    /// Allocations and reallocations.
    pub count: f64,
    /// Their bytes.
    pub bytes: f64,
}

/// A runtime that handles invocations on request.
pub struct Runtime {
    // Dropped in this order, so that a runtime has already ended, because its stdin is closed, when it is to be killed.
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// The address of its Runtime API.
    api: String,
    _process: Process,
}

impl Runtime {
    /// Starts a runtime at `api` with responses of `size` bytes.
    pub fn at(api: &str, size: usize) -> io::Result<Self> {
        Self::start(Command::new(ourselves()?).args(["runtime", &size.to_string()]).env(API, api))
    }

    /// Starts a runtime with the proxy as its wrapper.
    pub fn wrapped(proxy: &Path, api: &str, size: usize, config: &str) -> io::Result<Self> {
        let mut command = Command::new(proxy);
        command.arg(ourselves()?).args(["runtime", &size.to_string()]);
        let runtime = Self::start(command.env(API, api).env(FAULTS, config))?;
        // A wrapper that fails still starts the runtime without the proxy, which would be measured as very fast.
        match runtime.api == api {
            true => Err(wrong("a wrapper without the proxy; its output is above")),
            false => Ok(runtime),
        }
    }

    fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let process = Process(child);
        let (stdin, stdout) = pipes.ok_or_else(|| wrong("no pipes"))?;
        let mut runtime = Self { stdin, stdout: BufReader::new(stdout), api: String::new(), _process: process };
        runtime.api = runtime.line()?;
        Ok(runtime)
    }

    /// Handles `count` invocations, one after the other. Returns the nanoseconds of each.
    pub fn block(&mut self, count: usize) -> io::Result<Vec<f64>> {
        writeln!(self.stdin, "{count}")?;
        let line = self.line()?;
        let block: Vec<f64> = line.split_whitespace().map_while(|nanoseconds| nanoseconds.parse().ok()).collect();
        match block.len() == count {
            true => Ok(block),
            false => Err(wrong("a runtime that has ended; its output is above")),
        }
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ourselves() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// Returns the command for the proxy alone, for any binary with its code.
fn configured(proxy: &Path, upstream: &str, config: Option<&str>) -> Command {
    let mut command = killed_with_driver(proxy);
    command.args(["--listen", "127.0.0.1:0"]).env(API, upstream).env_remove(FAULTS);
    command.envs(config.map(|config| (FAULTS, config)));
    command
}

/// Returns a command that the kernel kills when the driver has ended, because `Drop` does not run in a killed process.
fn killed_with_driver(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).stdin(Stdio::null());
    command
}
