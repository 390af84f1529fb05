//! The processes of a measurement. Each ends with the value that stands for it, and with the driver if that is killed.

use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;

use crate::server::LISTENING;
use crate::wire::wrong;

/// Where a runtime and the proxy find the Runtime API.
const API: &str = "AWS_LAMBDA_RUNTIME_API";
/// Where the proxy finds its faults (`FAULTS_VARIABLE` of `src/model/invocation/orders.rs`).
const FAULTS: &str = "SNAPBACK_FAULTS";

/// A process that serves on an address of its own.
pub struct Server {
    process: Process,
    /// Host and port.
    pub address: String,
}

impl Server {
    /// The Runtime API, with events of so many bytes.
    pub fn api(size: usize) -> io::Result<Self> {
        Self::start(outliving_nobody(&ourselves()?).args(["api", &size.to_string()]))
    }

    /// A yardstick: `relay` or `pass-through`.
    pub fn yardstick(kind: &str, upstream: &str) -> io::Result<Self> {
        Self::start(outliving_nobody(&ourselves()?).args([kind, upstream]))
    }

    /// The proxy by itself, with its orders, if any.
    pub fn proxy(proxy: &Path, upstream: &str, orders: Option<&str>) -> io::Result<Self> {
        Self::start(&mut configured(proxy, upstream, orders))
    }

    /// The proxy's code in a process that counts what it allocates.
    pub fn counted(upstream: &str, orders: Option<&str>) -> io::Result<Self> {
        Self::start(configured(&ourselves()?, upstream, orders).stdin(Stdio::piped()).stdout(Stdio::piped()))
    }

    /// What it has allocated so far, if it counts.
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
        let mut said = BufReader::new(process.0.stderr.take().ok_or_else(|| wrong("no stderr"))?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        let address = line.split_once(LISTENING).map(|(_, address)| address.trim().to_owned());
        let address = address.ok_or_else(|| wrong(&format!("no address from {command:?}, but `{line}`")))?;
        // Whatever else it says is for whoever reads the report; unread, it would stop the process one day.
        thread::spawn(move || io::copy(&mut said, &mut io::stderr()));
        Ok(Self { process, address })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

/// How often something was allocated, and how many bytes.
pub struct Allocated {
    /// Allocations, and those that were made larger or smaller.
    pub count: f64,
    /// Their bytes.
    pub bytes: f64,
}

/// A runtime that handles invocations as it is told to.
pub struct Runtime {
    // Dropped in this order: a runtime whose stdin is closed has ended by itself when it is to be killed.
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// Where it has found its Runtime API.
    api: String,
    _process: Process,
}

impl Runtime {
    /// At `api`, with responses of so many bytes.
    pub fn at(api: &str, size: usize) -> io::Result<Self> {
        Self::start(Command::new(ourselves()?).args(["runtime", &size.to_string()]).env(API, api))
    }

    /// The same, but behind the proxy as its wrapper.
    pub fn wrapped(proxy: &Path, api: &str, size: usize, orders: &str) -> io::Result<Self> {
        let mut command = Command::new(proxy);
        command.arg(ourselves()?).args(["runtime", &size.to_string()]);
        let runtime = Self::start(command.env(API, api).env(FAULTS, orders))?;
        // A wrapper that cannot do its work starts the runtime all the same, which would be measured as very fast.
        match runtime.api == api {
            true => Err(wrong("a wrapper without the proxy; what it says is above")),
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

    /// So many invocations, one after the other: the nanoseconds of each.
    pub fn block(&mut self, count: usize) -> io::Result<Vec<f64>> {
        writeln!(self.stdin, "{count}")?;
        let line = self.line()?;
        let block: Vec<f64> = line.split_whitespace().map_while(|nanoseconds| nanoseconds.parse().ok()).collect();
        match block.len() == count {
            true => Ok(block),
            false => Err(wrong("a runtime that has ended; what it says is above")),
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
        // It may have ended by itself, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn ourselves() -> io::Result<PathBuf> {
    std::env::current_exe()
}

/// The proxy by itself, whatever binary has its code.
fn configured(proxy: &Path, upstream: &str, orders: Option<&str>) -> Command {
    let mut command = outliving_nobody(proxy);
    command.args(["--listen", "127.0.0.1:0"]).env(API, upstream).env_remove(FAULTS);
    command.envs(orders.map(|orders| (FAULTS, orders)));
    command
}

/// A command that the kernel kills when the driver is gone, however that came: `Drop` does not run in a killed process.
fn outliving_nobody(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).stdin(Stdio::null());
    command
}
