//! A fake AWS for the command line, on 127.0.0.1: a stack, one run with one target, its execution, and the rollback function.
//! A test can change its responses while a command runs, and read the calls that it has received.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snapback::model::input::read_experiment;
use snapback::model::marker::stopped_marker;
use snapback::model::run::{EndReason, Run, RunStatus};
use snapback::model::time::Time;
use snapback::testing::samples::{experiment, faults, function_arn, run_id};

use super::account::{EXECUTION, MACHINE, assumed, caller, stacks};

/// How the rollback function responds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollback {
    /// The function restores, and the execution ends.
    Works,
    /// The function may not restore the target.
    Denied,
    /// The ledger has no run of this name.
    Unknown,
    /// Lambda throttles the call.
    Throttled,
    /// The function takes longer than any test waits.
    Hangs,
}

/// The current state of the fake AWS.
pub struct State {
    pub run: RunStatus,
    /// Whether the run is in the ledger.
    pub recorded: bool,
    /// Whether a rollback has prevented the start of the run, so that the ledger has only its marker.
    pub prevented: bool,
    pub target: &'static str,
    pub execution: &'static str,
    pub rollback: Rollback,
    /// Whether STS responds.
    pub sts: bool,
    /// The code and the message with which CloudFormation refuses to show the stack.
    pub no_stack: Option<(&'static str, &'static str)>,
    /// Whether the ledger denies every read.
    pub ledger_denied: bool,
    /// Whether the stack's functions take who starts or ends a run; those of earlier releases do not.
    pub records_actors: bool,
    /// Whether they also take why.
    pub records_reasons: bool,
    /// Whether the response to StartExecution is lost, although the execution starts.
    pub start_hangs: bool,
    /// Whether CloudFormation takes longer than any test waits.
    pub stacks_hang: bool,
    /// The input of the execution that has the name; a start sets it if there was none.
    pub input: Option<String>,
    /// The error and the cause of a failed execution.
    pub failure: Option<(&'static str, &'static str)>,
    /// The status with which StartExecution fails, or 200.
    pub start_status: u16,
    /// Each call, with its payload where that matters.
    pub calls: Vec<String>,
    /// The access keys with which the calls were signed.
    pub keys: BTreeSet<String>,
}

/// The fake AWS. Dropping it ends it.
pub struct FakeAws {
    endpoint: String,
    state: Arc<Mutex<State>>,
}

impl FakeAws {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            run: RunStatus::Running,
            recorded: true,
            prevented: false,
            target: "injected",
            execution: "RUNNING",
            rollback: Rollback::Works,
            sts: true,
            no_stack: None,
            ledger_denied: false,
            records_actors: true,
            records_reasons: true,
            start_hangs: false,
            stacks_hang: false,
            input: None,
            failure: None,
            start_status: 200,
            calls: Vec::new(),
            keys: BTreeSet::new(),
        }));
        let served = state.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let state = served.clone();
                std::thread::spawn(move || serve(connection, &state));
            }
        });
        Self { endpoint, state }
    }

    pub fn with<T>(&self, read: impl FnOnce(&mut State) -> T) -> T {
        read(&mut self.state.lock().unwrap())
    }

    /// Returns the calls whose name begins with `name`.
    pub fn calls(&self, name: &str) -> Vec<String> {
        self.with(|state| state.calls.iter().filter(|call| call.starts_with(name)).cloned().collect())
    }

    /// Returns what the rollback function was asked, without the user who asked, which is always stated.
    pub fn rollbacks(&self) -> Vec<Value> {
        let asked = |call: String| {
            let mut payload: Value = serde_json::from_str(call.strip_prefix("Invoke ").unwrap()).unwrap();
            let by = payload.as_object_mut().unwrap().remove("by");
            let via = by.unwrap_or_default()["via"].as_str().unwrap_or_default().to_owned();
            assert!(["command line", "command line, --timeout"].contains(&via.as_str()), "{payload}: {via}");
            payload
        };
        self.calls("Invoke").into_iter().map(asked).collect()
    }

    /// Returns the command line's environment, with access keys and without any configuration of this machine.
    pub fn environment(&self) -> Vec<(String, String)> {
        let nowhere = "/nonexistent".to_owned();
        [
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", "eu-west-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "ENVIRONMENTKEY".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_CONFIG_FILE", nowhere.clone()),
            ("AWS_SHARED_CREDENTIALS_FILE", nowhere),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    fn prepare(&self, command: &mut Command) {
        // The tests may themselves run in a pipeline.
        let pipelines = ["GITHUB_ACTIONS", "GITLAB_CI", "CODEBUILD_BUILD_ARN", "JENKINS_URL"];
        let foreign = |name: &str| name.starts_with("AWS_") || pipelines.contains(&name);
        for (name, _) in std::env::vars().filter(|(name, _)| foreign(name)) {
            command.env_remove(name);
        }
        command.envs(self.environment()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    }

    /// Returns a command for the command line, or for a program that starts it.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
        // Reset the signals that the test process ignores, as it does when a shell runs it in the background.
        let mut command = Command::new("env");
        command.args(["--default-signal=HUP,INT,QUIT,TERM"]).arg(program);
        self.prepare(&mut command);
        command.args(arguments);
        command
    }

    pub fn snapback(&self, arguments: &[&str]) -> (i32, String, String) {
        ended(self.command(SNAPBACK, arguments))
    }

    /// Starts the command line in the background.
    pub fn begin(&self, arguments: &[&str]) -> Running {
        Running::start_command(self.command(SNAPBACK, arguments))
    }

    /// Starts the command line in the background on a terminal, which handles the keys that a test sends.
    pub fn begin_on_terminal(&self, arguments: &[&str]) -> Running {
        // A shell in between would end with the Ctrl-C and replace the command's exit code.
        let line = [&["exec", SNAPBACK], arguments].concat().join(" ");
        let mut command = self.command("script", &["--quiet", "--return", "--command", &line, "/dev/null"]);
        command.stdin(Stdio::piped()).env("TERM", "xterm").env_remove("NO_COLOR");
        Running::start_command(command)
    }
}

pub const SNAPBACK: &str = env!("CARGO_BIN_EXE_snapback");

/// Runs a command and returns its exit code, standard output and standard error.
pub fn ended(mut command: Command) -> (i32, String, String) {
    let output = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// Reads the last line that `run --json` has printed: its report.
pub fn last_line(printed: &str) -> Value {
    serde_json::from_str(printed.lines().last().unwrap_or_default())
        .unwrap_or_else(|wrong| panic!("{wrong}: {printed}"))
}

/// Writes an experiment to a file.
pub fn experiment_file(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.json"));
    std::fs::write(&path, experiment(&["checkout"], &faults()[..1]).to_string()).unwrap();
    path
}

/// A command in the background, with its output so far. Dropping it ends the command.
pub struct Running {
    child: Child,
    shown: Arc<Mutex<String>>,
}

impl Running {
    pub fn start_command(mut command: Command) -> Self {
        let spawned = command.spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("{}: {error}", command.get_program().display()));
        let shown = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), shown.clone());
        collect(child.stderr.take().unwrap(), shown.clone());
        Self { child, shown }
    }

    pub fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    /// Waits until the output has this text `times` times.
    pub fn wait_for(&self, text: &str, times: usize) {
        eventually(
            || self.shown().matches(text).count() >= times,
            || format!("{times} times {text}: {}", self.shown()),
        );
    }

    /// Types these keys on the terminal.
    pub fn send(&mut self, keys: &[u8]) {
        let terminal = self.child.stdin.as_mut().unwrap();
        terminal.write_all(keys).unwrap();
        terminal.flush().unwrap();
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits until the command has ended, and returns its exit code.
    pub fn code(&mut self) -> i32 {
        eventually(|| !self.is_running(), || "the command has ended".to_owned());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(mut from: impl Read + Send + 'static, shown: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            shown.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
}

/// Waits until the condition holds. The limit allows for a slow machine.
pub fn eventually(mut is_so: impl FnMut() -> bool, what: impl Fn() -> String) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "not within a minute: {}", what());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Responds to one connection's requests, one after the other.
fn serve(mut connection: TcpStream, state: &Mutex<State>) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(1..) if line == "\r\n" => break,
                Ok(1..) => head.push(line.trim_end().to_owned()),
                _ => return,
            }
        }
        let header = |name: &str| {
            let of = |line: &String| {
                let (key, value) = line.split_once(':')?;
                key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
            };
            head.iter().find_map(of)
        };
        let length = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        // Requests to CloudWatch are in CBOR. Only the name of the call matters.
        let body = String::from_utf8_lossy(&body).into_owned();
        if let Some(key) = header("authorization").and_then(|signed| {
            Some(signed.split_once("Credential=")?.1.split('/').next().unwrap_or_default().to_owned())
        }) {
            state.lock().unwrap().keys.insert(key);
        }
        let call = header("x-amz-target").and_then(|target| target.split('.').nth(1).map(str::to_owned));
        let (status, response) = respond(state, &call.unwrap_or_else(|| head[0].clone()), &body);
        let error = match status {
            429 => "x-amzn-errortype: TooManyRequestsException\r\n",
            _ if response.contains("errorType") => "x-amz-function-error: Unhandled\r\n",
            _ => "",
        };
        let length = response.len();
        let response = format!("HTTP/1.1 {status} x\r\n{error}content-length: {length}\r\n\r\n{response}");
        if connection.write_all(response.as_bytes()).is_err() {
            return;
        }
    }
}

fn respond(state: &Mutex<State>, call: &str, body: &str) -> (u16, String) {
    let mut now = state.lock().unwrap();
    let parameter = |name: &str| body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).unwrap_or("");
    let sent: Value = serde_json::from_str(body).unwrap_or_default();
    let name = match parameter("Action") {
        "" if call.contains("/invocations") => "Invoke",
        "" => call,
        action => action,
    };
    let note = match name {
        "Invoke" | "StartExecution" => format!("{name} {body}"),
        _ => name.to_owned(),
    };
    now.calls.push(note);
    match name {
        "DescribeStacks" if now.stacks_hang => {
            drop(now);
            std::thread::sleep(Duration::from_secs(120));
            (500, String::new())
        }
        "DescribeStacks" => stacks(&now),
        "GetCallerIdentity" if !now.sts => {
            (403, "<ErrorResponse><Error><Code>No</Code></Error></ErrorResponse>".into())
        }
        "GetCallerIdentity" => (200, caller()),
        "AssumeRole" => (200, assumed()),
        "StartExecution" if now.start_hangs => {
            now.input.get_or_insert(sent["input"].as_str().unwrap_or_default().to_owned());
            drop(now);
            std::thread::sleep(Duration::from_secs(120));
            (500, String::new())
        }
        "StartExecution" if now.start_status == 400 => {
            let message = "Execution Already Exists: 'r'";
            (400, json!({ "__type": "ExecutionAlreadyExists", "message": message }).to_string())
        }
        "StartExecution" if now.start_status != 200 => (now.start_status, String::new()),
        "StartExecution" => (200, json!({ "executionArn": EXECUTION, "startDate": 1.7e9 }).to_string()),
        "DescribeExecution" => (200, described(&now)),
        "GetItem" | "Query" | "Scan" if now.ledger_denied => denied(),
        "GetItem" => (200, item(&now, &sent["Key"])),
        "Scan" => (200, json!({ "Count": 1, "Items": [run_item(&now)] }).to_string()),
        "Query" => {
            let targets = match sent.to_string().contains("TARGET#") && !now.prevented {
                true => vec![target(&now)],
                false => Vec::new(),
            };
            (200, json!({ "Count": targets.len(), "Items": targets }).to_string())
        }
        "Invoke" => roll_back(now),
        // Users of the command line have no right to write.
        _ => denied(),
    }
}

fn described(state: &State) -> String {
    let (error, cause) = state.failure.unzip();
    let execution = json!({
        "executionArn": EXECUTION, "stateMachineArn": MACHINE, "startDate": 1.7e9, "status": state.execution,
        "input": state.input, "error": error, "cause": cause
    });
    execution.to_string()
}

/// Responds as the rollback function, or as Lambda in its place.
fn roll_back(mut now: MutexGuard<'_, State>) -> (u16, String) {
    match now.rollback {
        Rollback::Works => {
            (now.run, now.target, now.execution) = (RunStatus::Stopped, "restored", "SUCCEEDED");
            (200, json!({ "runs": [{ "runId": "r", "targets": [] }] }).to_string())
        }
        Rollback::Denied => {
            let cause = "checkout: access denied: lambda:PutFunctionConcurrency";
            let target = json!({ "function": "checkout", "error": "AccessDenied", "cause": cause });
            (200, json!({ "runs": [{ "runId": "r", "targets": [target] }] }).to_string())
        }
        Rollback::Unknown => {
            let message = "there is no run r; to list the runs: snapback status";
            (200, json!({ "errorType": "NoSuchRun", "errorMessage": message }).to_string())
        }
        Rollback::Throttled => (429, json!({ "message": "Rate Exceeded." }).to_string()),
        Rollback::Hangs => {
            drop(now);
            std::thread::sleep(Duration::from_secs(120));
            (500, String::new())
        }
    }
}

fn denied() -> (u16, String) {
    (400, json!({ "__type": "AccessDeniedException", "message": "not authorized" }).to_string())
}

fn run(state: &State) -> Run {
    let now = Time(1_900_000_000_000);
    if state.prevented {
        return stopped_marker(&run_id("r"), &EndReason::UserRequest.into(), now);
    }
    Run {
        status: state.run,
        experiment: Some(read_experiment(&experiment(&["checkout"], &faults()[..1])).unwrap()),
        functions: vec![function_arn("checkout")],
        deadline: now,
        ends_at: Some(now),
        stopping_at: None,
        closed_at: None,
        reason: (state.run == RunStatus::Stopped).then_some(EndReason::UserRequest),
        ..stopped_marker(&run_id("r"), &EndReason::UserRequest.into(), now)
    }
}

fn item(state: &State, key: &Value) -> String {
    let found = match (key["pk"]["S"].as_str(), key["sk"]["S"].as_str()) {
        (Some("RUN#r"), Some("RUN")) if state.recorded => json!({ "Item": run_item(state) }),
        (Some("RUN#r"), Some(sk)) if sk.starts_with("TARGET#") => json!({ "Item": target(state) }),
        _ => json!({}),
    };
    found.to_string()
}

fn run_item(state: &State) -> Value {
    let run = run(state);
    let body = serde_json::to_string(&run).unwrap();
    json!({ "pk": { "S": "RUN#r" }, "sk": { "S": "RUN" }, "status": { "S": run.status.name() }, "body": { "S": body } })
}

fn target(state: &State) -> Value {
    let sk = format!("TARGET#{}", function_arn("checkout"));
    let changes = json!([{ "field": "reservedConcurrency", "original": "absent", "injected": 0 }]).to_string();
    json!({ "pk": { "S": "RUN#r" }, "sk": { "S": sk }, "status": { "S": state.target }, "changes": { "S": changes } })
}
