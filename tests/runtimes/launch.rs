//! Starts real runtimes as Lambda does, with or without the wrapper.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::processes;
use super::runtime_api::{PATIENCE, RuntimeApi, now_ms};

/// How often a wait checks its condition.
const CHECK_INTERVAL: Duration = Duration::from_millis(5);

/// A runtime, by its client of the Runtime API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// awslambdaric, whose client is curl.
    Python,
    /// aws-lambda-ric, whose client is curl except for streams.
    NodeJs,
    /// aws-lambda-ric with its client in JavaScript.
    NodeJsAlternative,
    /// `lambda_runtime`, whose client is hyper.
    Rust,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Python, Self::NodeJs, Self::NodeJsAlternative, Self::Rust];
    /// Those that there is a chaos handler for.
    pub const WITH_HANDLER: [Self; 3] = [Self::Python, Self::NodeJs, Self::NodeJsAlternative];
    pub const STREAMING: [Self; 3] = [Self::NodeJs, Self::NodeJsAlternative, Self::Rust];

    /// Returns the command that Lambda's bootstrap executes.
    pub fn command(self, handler: &str) -> Vec<OsString> {
        let words: Vec<PathBuf> = match self {
            Self::Python => vec![tool("bin/python"), "-m".into(), "awslambdaric".into(), handler.into()],
            Self::NodeJs | Self::NodeJsAlternative => {
                vec![tool("nodejs/bin/node"), tool("ric/node_modules/aws-lambda-ric/index.mjs")]
            }
            Self::Rust => vec![env!("CARGO_BIN_EXE_function").into()],
        };
        words.into_iter().map(OsString::from).collect()
    }

    /// Returns the name of the chaos handler, as the control plane writes it except for the folder of the layer.
    fn chaos_handler(self) -> &'static str {
        match self {
            Self::Python => "snapback_handler.bootstrap.handler",
            Self::NodeJs | Self::NodeJsAlternative => {
                concat!(env!("CARGO_MANIFEST_DIR"), "/infra/handler/nodejs/snapback_handler/index.handler")
            }
            Self::Rust => panic!("there is no chaos handler for Rust"),
        }
    }

    pub fn variables(self, handler: &str) -> BTreeMap<&'static str, String> {
        let mut variables: BTreeMap<_, _> = [
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
            ("AWS_LAMBDA_FUNCTION_NAME", "checkout"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/checkout"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "2026/01/01/[$LATEST]0123456789abcdef"),
            ("LANG", "C.UTF-8"),
            ("LAMBDA_TASK_ROOT", functions()),
            ("PATH", "/usr/bin:/bin"),
            ("PYTHONDONTWRITEBYTECODE", "1"),
            ("SHOP", "a value, with \"quotes\" and an ü"),
            ("_HANDLER", handler),
        ]
        .map(|(name, value)| (name, value.to_owned()))
        .into();
        if self == Self::NodeJsAlternative {
            variables.insert("AWS_LAMBDA_NODEJS_USE_ALTERNATIVE_CLIENT_1", "true".to_owned());
        }
        variables
    }
}

/// Returns the folder of the functions.
pub fn functions() -> &'static str {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/runtimes/functions")
}

/// Returns the path of a tool that `make test` installs. Those that the lab needs, too, have a folder of their own.
pub fn tool(path: &str) -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools");
    let found =
        ["runtimes", "versions"].into_iter().map(|group| tools.join(group).join(path)).find(|tool| tool.exists());
    found.unwrap_or_else(|| panic!("{path} is not installed; run `make tools-versions`, or `make test`, which does"))
}

/// Returns a configuration, as the control plane writes it, for the next ten minutes.
pub fn config(faults: Value) -> Value {
    json!({ "until": now_ms() + 600_000, "experiment": "shop", "run": "run-1", "seed": 7, "faults": faults })
}

/// How a runtime starts.
#[derive(Clone, Debug)]
pub struct Launch {
    kind: Kind,
    handler: &'static str,
    /// The proxy's configuration.
    config: Option<String>,
    chained: Option<PathBuf>,
    telemetry: Option<PathBuf>,
    variables: BTreeMap<&'static str, String>,
    /// The chaos handler's configuration. It calls `handler`.
    orders: Option<String>,
    /// Another version of the runtime than the usual one.
    program: Option<Vec<PathBuf>>,
}

impl Launch {
    /// Starts it without the proxy.
    pub fn direct(kind: Kind) -> Self {
        let variables = BTreeMap::new();
        Self {
            kind,
            handler: "function.handler",
            config: None,
            chained: None,
            telemetry: None,
            variables,
            orders: None,
            program: None,
        }
    }

    /// Starts it behind the proxy, with these faults.
    pub fn faulty(kind: Kind, faults: Value) -> Self {
        Self::configured(kind, config(faults).to_string())
    }

    /// Starts it through the wrapper, with any text as its configuration.
    pub fn configured(kind: Kind, config: String) -> Self {
        Self { config: Some(config), ..Self::direct(kind) }
    }

    /// Starts it with the chaos handler, with these faults.
    pub fn chaos(kind: Kind, faults: Value) -> Self {
        Self::ordered(kind, config(faults).to_string())
    }

    /// Starts it with the chaos handler, with any text as its configuration.
    pub fn ordered(kind: Kind, orders: String) -> Self {
        Self { orders: Some(orders), ..Self::direct(kind) }
    }

    pub fn handler(self, handler: &'static str) -> Self {
        Self { handler, ..self }
    }

    pub fn chained(self, wrapper: PathBuf) -> Self {
        Self { chained: Some(wrapper), ..self }
    }

    /// Gives it a descriptor for its log, as Lambda does for runtimes that can frame their log.
    pub fn telemetry(self, file: PathBuf) -> Self {
        Self { telemetry: Some(file), ..self }.variable("_LAMBDA_TELEMETRY_LOG_FD", "9")
    }

    pub fn variable(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.variables.insert(name, value.into());
        self
    }

    /// Starts another version of the runtime. `program` is its command without the handler.
    pub fn on(self, program: &[PathBuf]) -> Self {
        Self { program: Some(program.to_vec()), ..self }
    }

    /// Returns the command of the runtime, and its handler.
    fn runtime(&self) -> (Vec<OsString>, &'static str) {
        let handler = if self.orders.is_some() { self.kind.chaos_handler() } else { self.handler };
        let command = match &self.program {
            Some(program) => program.iter().map(OsString::from).chain([handler.into()]).collect(),
            None => self.kind.command(handler),
        };
        (command, handler)
    }

    pub fn start(&self, api: &RuntimeApi) -> Running {
        let (runtime, handler) = self.runtime();
        let proxy = OsString::from(env!("CARGO_BIN_EXE_snapback-proxy"));
        // Each command executes the next one in the same process.
        let opened = self.telemetry.iter().flat_map(|file| {
            ["sh", "-c", "file=$1; shift; exec \"$@\" 9>>\"$file\"", "sh"]
                .map(OsString::from)
                .into_iter()
                .chain([file.into()])
        });
        let words: Vec<OsString> = opened.chain(self.config.iter().map(|_| proxy.clone())).chain(runtime).collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().envs(self.kind.variables(handler)).current_dir(functions());
        command.env("AWS_LAMBDA_RUNTIME_API", api.address()).envs(&self.variables);
        if let Some(config) = &self.config {
            command.env("AWS_LAMBDA_EXEC_WRAPPER", &proxy).env("SNAPBACK_FAULTS", config);
        }
        if let Some(orders) = &self.orders {
            command.env("SNAPBACK_HANDLER", self.handler).env("SNAPBACK_HANDLER_FAULTS", orders);
            let layers = self.variables.get("PYTHONPATH").map(|path| format!(":{path}")).unwrap_or_default();
            command
                .env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/infra/handler/python").to_owned() + &layers);
        }
        if let Some(chained) = &self.chained {
            command.env("SNAPBACK_CHAINED_WRAPPER", chained);
        }
        Running::start(command)
    }
}

/// A process group. Dropping it ends the group, even when the test fails.
pub struct Running {
    child: Child,
    /// A file, so that everything written can be read immediately.
    output: File,
    pub began: Instant,
    /// Kept until the runtime has been killed, because a runtime ends by itself without it.
    api: Option<RuntimeApi>,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let began = Instant::now();
        let output = unnamed_file();
        command.process_group(0).stdin(Stdio::null());
        command.stdout(output.try_clone().unwrap()).stderr(output.try_clone().unwrap());
        Self { child: command.spawn().unwrap(), output, began, api: None }
    }

    /// Keeps the Runtime API as long as the runtime.
    pub fn with_api(mut self, api: RuntimeApi) -> Self {
        self.api = Some(api);
        self
    }

    pub fn leader(&self) -> u32 {
        self.child.id()
    }

    /// Returns everything that was written so far.
    pub fn output(&self) -> String {
        let mut written = vec![0; usize::try_from(self.output.metadata().unwrap().len()).unwrap()];
        self.output.read_exact_at(&mut written, 0).unwrap();
        String::from_utf8_lossy(&written).into_owned()
    }

    /// Returns the milliseconds since the epoch at which the handler started an invocation; `None` if it has not.
    pub fn handled(&self, id: &str) -> Option<u64> {
        let output = self.output();
        let (_, after) = output.split_once(&format!("handled {id} "))?;
        after.split_whitespace().next()?.parse().ok()
    }

    /// Returns the names of the faults that were reported for an invocation, in their order.
    pub fn reported(&self, id: &str) -> Vec<String> {
        self.metrics().iter().filter(|line| line["RequestId"] == id).map(fault).collect()
    }

    /// Returns the names of all faults that were reported, in their order.
    pub fn all_reported(&self) -> Vec<String> {
        self.metrics().iter().map(fault).collect()
    }

    fn metrics(&self) -> Vec<Value> {
        let output = self.output();
        let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["_aws"].is_object()).collect()
    }

    /// Waits for the end of all its processes, and returns the status of the runtime.
    pub fn wait_for_end(&mut self) -> ExitStatus {
        let status = self.eventually("the end of the runtime", |running| running.child.try_wait().unwrap());
        self.eventually("the end of all processes", |running| {
            processes::group(running.leader()).is_empty().then_some(())
        });
        status
    }

    /// Kills the runtime, and checks that the proxy ends with it.
    pub fn stop(mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.wait_for_end().signal(), Some(9));
    }

    /// Waits until `check` returns a value.
    pub fn eventually<T>(&mut self, what: &str, mut check: impl FnMut(&mut Self) -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(value) = check(self) {
                return value;
            }
            assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}; its output:\n{}", self.output());
            std::thread::sleep(CHECK_INTERVAL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        processes::kill_group(self.leader());
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the output of the runtime:\n{}", self.output());
        }
    }
}

fn fault(line: &Value) -> String {
    line["Fault"].as_str().unwrap().to_owned()
}

/// Creates a file to append to, without a name, so that nothing remains of it.
fn unnamed_file() -> File {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let name = format!("output-{}-{}", std::process::id(), FILES.fetch_add(1, Ordering::Relaxed));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let file = File::options().read(true).append(true).create_new(true).open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    file
}
