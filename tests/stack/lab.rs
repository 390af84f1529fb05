//! The deployed stack on an emulator, for the duration of a test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest wait for anything that has to happen. It allows for several labs on two slow cores, and for the longest lease
/// of most of a minute. Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(600);
/// The time between two reads.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// A lab. Dropping it ends it, even when the test fails.
pub struct Lab {
    name: String,
    description: Value,
    environment: BTreeMap<String, String>,
    stack: String,
    shown: std::cell::RefCell<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn lab(arguments: &[&str]) -> Output {
    let python = root().join(".tools/venv/bin/python");
    assert!(python.exists(), "the lab is not built; run `make build` first, or `make test`, which does");
    Command::new(python).arg("infra/lab/lab.py").args(arguments).current_dir(root()).output().unwrap()
}

/// Waits until `look` returns a value.
pub fn eventually<T>(what: &str, every: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(every);
    }
}

impl Lab {
    /// Deploys the template into a new emulator for this test only.
    pub fn start() -> Self {
        Self::with_parameters("")
    }

    /// Deploys the template with these parameters, as `make deploy` takes them.
    pub fn with_parameters(parameters: &str) -> Self {
        // The harness names the thread after the test.
        let name = std::thread::current().name().unwrap_or("test").replace("::", "-");
        // Remove what an earlier run of this test has left if it was killed.
        lab(&["down", "--name", &name]);
        // If this process is killed, nothing drops the lab.
        let user = std::process::id().to_string();
        let up = lab(&["up", "--json", "--name", &name, "--parameters", parameters, "--user", &user]);
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        let description: Value = serde_json::from_slice(&up.stdout).unwrap();
        let variables = description["environment"].as_object().unwrap();
        Self {
            name,
            environment: variables
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect(),
            stack: description["stack"].as_str().unwrap().to_owned(),
            shown: std::cell::RefCell::default(),
            description,
        }
    }

    /// Returns a field of this lab's description by `lab.py up`: its `endpoint`, its `region`, the `table` of its stack's
    /// ledger, the `pid` of its process group, the `directory` of its files, and more.
    pub fn description(&self, field: &str) -> String {
        let value = &self.description[field];
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    /// Returns a variable from the environment of the lab's administrator.
    pub fn variable(&self, name: &str) -> &str {
        &self.environment[name]
    }

    /// Returns the environment of the lab's administrator.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// Returns the name of the deployed stack.
    pub fn stack(&self) -> &str {
        &self.stack
    }

    /// Returns a command with the environment of the lab's administrator.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.envs(&self.environment).current_dir(root()).stdin(Stdio::null());
        command
    }

    /// Runs the command line with the stack's name.
    pub fn snapback(&self, arguments: &[&str]) -> (i32, String, String) {
        let output =
            self.command(env!("CARGO_BIN_EXE_snapback")).args(arguments).args(["--stack", &self.stack]).output();
        let output = output.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        self.shown.borrow_mut().push_str(&(out.clone() + &err));
        (output.status.code().unwrap_or(-1), out, err)
    }

    /// Everything that the command line has shown so far.
    pub fn shown(&self) -> String {
        self.shown.borrow().clone()
    }

    /// Starts the command line in the background.
    pub fn begin(&self, arguments: &[&str]) -> Following {
        let mut command = self.command(env!("CARGO_BIN_EXE_snapback"));
        command.args(arguments).args(["--stack", &self.stack]).stdout(Stdio::piped()).stderr(Stdio::piped());
        Following(command.spawn().unwrap())
    }

    /// Runs AWS's own command line, as another user would.
    pub fn aws(&self, arguments: &[&str]) -> Value {
        self.try_aws(arguments).unwrap_or_else(|error| panic!("aws {arguments:?}: {error}"))
    }

    /// Runs AWS's own command line, which may fail.
    pub fn try_aws(&self, arguments: &[&str]) -> Result<Value, String> {
        // Pass the endpoint explicitly: for SQS, the variable is not sufficient, and no call may leave this machine.
        let endpoint = &self.environment["AWS_ENDPOINT_URL"];
        let mut command = self.command(root().join(".tools/venv/bin/aws"));
        let output = command.args(["--endpoint-url", endpoint]).args(arguments).output().unwrap();
        match output.status.success() {
            true => Ok(serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Runs a script of `tests/` on this lab.
    pub fn check(&self, script: &str) {
        let mut command = self.command(root().join(".tools/venv/bin/python"));
        let output = command.arg(root().join("tests").join(script)).arg(&self.name).output().unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(output.status.success(), "{said}");
        println!("{said}");
    }

    /// Invokes a function; returns its response, or the error that it responded with.
    pub fn invoke(&self, function: &str, event: &str) -> Value {
        let response = self.file("response.json");
        let file = response.to_str().unwrap();
        self.aws(&["lambda", "invoke", "--function-name", function, "--payload", event, file]);
        serde_json::from_slice(&std::fs::read(response).unwrap()).unwrap()
    }

    /// Runs `make deploy` for a stack in this lab; returns whether it succeeded, and its output.
    pub fn deploy(&self, stack: &str, parameters: &str) -> (bool, String) {
        let output = lab(&["deploy", stack, parameters, "--name", &self.name]);
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    }

    /// Runs the script of `make destroy` for a stack in this lab; returns whether it succeeded, and its output.
    pub fn destroy(&self, stack: &str) -> (bool, String) {
        let mut command = self.command("python3");
        command.env("AWS", root().join(".tools/venv/bin/aws")).args(["infra/destroy.py", stack]);
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    /// Returns the ARN of a run's execution.
    pub fn execution(&self, run: &str) -> String {
        let machine =
            self.aws(&["stepfunctions", "list-state-machines"])["stateMachines"][0]["stateMachineArn"].clone();
        format!("{}:{run}", machine.as_str().unwrap().replace(":stateMachine:", ":execution:"))
    }

    /// Returns the result of `GetFunction` while no update is in progress, without the fields that every update changes.
    pub fn function(&self, name: &str) -> Value {
        let mut function = self.read_without_update(name);
        function.as_object_mut().unwrap().remove("Code");
        let configuration = function["Configuration"].as_object_mut().unwrap();
        for volatile in [
            "RevisionId",
            "LastModified",
            "LastUpdateStatus",
            "LastUpdateStatusReason",
            "LastUpdateStatusReasonCode",
            "State",
            "StateReason",
            "StateReasonCode",
        ] {
            configuration.remove(volatile);
        }
        function
    }

    /// Waits for the end of the last update, because a read during an update does not show the function's final state.
    fn read_without_update(&self, name: &str) -> Value {
        eventually(&format!("the last update of {name} has completed"), POLL_INTERVAL, || {
            let function = self.aws(&["lambda", "get-function", "--function-name", name]);
            let configuration = &function["Configuration"];
            let in_progress = configuration["LastUpdateStatus"] == "InProgress" || configuration["State"] == "Pending";
            (!in_progress).then_some(function)
        })
    }

    /// Creates `count` functions that carry the tag `crowd: all`, and returns their whole configuration, field by field.
    pub fn crowd(&self, count: usize) -> BTreeMap<String, BTreeMap<String, Value>> {
        let listed = lab(&["crowd", &count.to_string(), "--name", &self.name]);
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        serde_json::from_slice(&listed.stdout).unwrap()
    }

    /// Waits until the run has injected. The run must stay injected until the test ends it.
    pub fn wait_for_fault(&self, run: &str) {
        eventually(&format!("{run} has injected"), POLL_INTERVAL, || {
            let (_, report, _) = self.snapback(&["report", run, "--json"]);
            let report: Value = serde_json::from_str(&report).unwrap_or_default();
            let over = ["stopped", "completed", "failed"].iter().any(|status| report["status"] == *status);
            assert!(!over, "{run} ended before it was seen injected: {report}");
            let targets = report["targets"].as_array()?;
            (!targets.is_empty() && targets.iter().all(|target| target["status"] == "injected")).then_some(())
        });
    }

    /// The path of a file in the lab's directory (`infra/lab/record.py`).
    pub fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(self.description("directory")).join(name)
    }

    /// Reads the emulator's record of changes and invocations. Polling could miss a short change.
    pub fn record(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.file("record.jsonl")).unwrap();
        // The last line may be incomplete.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Counts the invocations of a function so far.
    pub fn invocations(&self, function: &str) -> usize {
        self.record().iter().filter(|line| line["invoked"] == function).count()
    }

    /// Disables the reaper's schedule.
    pub fn stop_reaper(&self) {
        self.aws(&["events", "disable-rule", "--name", "snapback-reaper"]);
        self.wait_for_reaper();
    }

    /// Waits for the end of a tick that started before the schedule was disabled.
    pub fn wait_for_reaper(&self) {
        eventually("the reaper's last tick is over", POLL_INTERVAL, || {
            let record = self.record();
            let count = |event| record.iter().filter(|line| line[event] == "snapback-reaper").count();
            (count("invoked") == count("ended")).then_some(())
        });
    }

    /// Enables the reaper's schedule again.
    pub fn start_reaper(&self) {
        self.aws(&["events", "enable-rule", "--name", "snapback-reaper"]);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        lab(&["down", "--name", &self.name]);
    }
}

/// A command line in the background. Dropping it ends it, even when the test fails.
pub struct Following(Child);

impl Following {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits until the command has ended.
    pub fn wait(&mut self) -> std::io::Result<ExitStatus> {
        eventually("the command line has ended", POLL_INTERVAL / 5, || self.0.try_wait().transpose())
    }

    /// Waits until the command has ended, and returns its output, which may exceed a pipe's buffer.
    pub fn wait_with_output(mut self) -> (ExitStatus, String) {
        let mut printed = self.0.stdout.take().unwrap();
        let reader = std::thread::spawn(move || std::io::read_to_string(&mut printed));
        let status = self.wait().unwrap();
        (status, reader.join().unwrap().unwrap())
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Writes an experiment on a function of the lab to a file.
pub fn experiment(name: &str, function: &str, duration: &str, fault: &str) -> PathBuf {
    write_experiment(name, function, duration, fault, "")
}

/// Writes an experiment that an alarm stops.
pub fn watched_experiment(name: &str, function: &str, duration: &str, fault: &str, alarm: &str) -> PathBuf {
    write_experiment(name, function, duration, fault, &format!("stopConditions:\n  - alarm: {alarm}\n"))
}

/// Writes an experiment that one alarm stops, and in whose steady state another one is not in ALARM.
pub fn evidence_experiment(name: &str, function: &str, fault: &str, [stops, steady]: [&str; 2]) -> PathBuf {
    let conditions =
        format!("stopConditions:\n  - alarm: {stops}\nsteadyState:\n  - alarm: {steady}\nrecovery: PT0S\n");
    write_experiment(name, function, "PT300S", fault, &conditions)
}

/// Writes an experiment on the memory of a function, in whose steady state an alarm is not in ALARM.
pub fn steady_experiment(name: &str, function: &str, duration: &str, alarm: &str) -> PathBuf {
    let fault = "memory: {megabytes: 1024}";
    write_experiment(name, function, duration, fault, &format!("steadyState:\n  - alarm: {alarm}\nrecovery: PT0S\n"))
}

fn write_experiment(name: &str, function: &str, duration: &str, fault: &str, rest: &str) -> PathBuf {
    let text =
        format!("name: {name}\ntargets:\n  - function: {function}\nfaults:\n  - {fault}\nduration: {duration}\n{rest}");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.yaml"));
    std::fs::write(&path, text).unwrap();
    path
}
