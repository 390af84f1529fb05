//! The deployed stack on an emulator, for as long as a test runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// For everything that happens by itself in the end: several labs at once on two slow cores take their time, and the
/// longest lease is most of a minute. Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A lab; it ends with the test, also when that fails.
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

/// What `look` sees, as soon as it sees something.
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
    /// Deploys the template into a new emulator, which is this test's alone.
    pub fn start() -> Self {
        Self::with_parameters("")
    }

    /// Deploys the template with these parameters, as `make deploy` takes them.
    pub fn with_parameters(parameters: &str) -> Self {
        // The harness names the thread after the test.
        let name = std::thread::current().name().unwrap_or("test").replace("::", "-");
        // What a run of this test that was killed has left.
        lab(&["down", "--name", &name]);
        let up = lab(&["up", "--json", "--name", &name, "--parameters", parameters]);
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

    /// What `lab.py up` says of this lab: its `endpoint`, its `region`, the `table` of its stack's ledger, the `pid` of its
    /// process group, the `directory` of its files, and more.
    pub fn description(&self, field: &str) -> String {
        let value = &self.description[field];
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    /// A variable of the environment in which the lab's administrator works.
    pub fn variable(&self, name: &str) -> &str {
        &self.environment[name]
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.envs(&self.environment).current_dir(root()).stdin(Stdio::null());
        command
    }

    /// The command line, with the stack's name.
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

    /// The command line in the background.
    pub fn begin(&self, arguments: &[&str]) -> Following {
        let mut command = self.command(env!("CARGO_BIN_EXE_snapback"));
        command.args(arguments).args(["--stack", &self.stack]).stdout(Stdio::piped()).stderr(Stdio::piped());
        Following(command.spawn().unwrap())
    }

    /// AWS's own command line, as another person would use it.
    pub fn aws(&self, arguments: &[&str]) -> Value {
        self.try_aws(arguments).unwrap_or_else(|error| panic!("aws {arguments:?}: {error}"))
    }

    /// The same, where AWS may say no.
    pub fn try_aws(&self, arguments: &[&str]) -> Result<Value, String> {
        // Named outright: for SQS, the variable alone is not enough, and nothing may leave this machine.
        let endpoint = &self.environment["AWS_ENDPOINT_URL"];
        let mut command = self.command(root().join(".tools/venv/bin/aws"));
        let output = command.args(["--endpoint-url", endpoint]).args(arguments).output().unwrap();
        match output.status.success() {
            true => Ok(serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
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

    /// The execution of a run.
    pub fn execution(&self, run: &str) -> String {
        let machine =
            self.aws(&["stepfunctions", "list-state-machines"])["stateMachines"][0]["stateMachineArn"].clone();
        format!("{}:{run}", machine.as_str().unwrap().replace(":stateMachine:", ":execution:"))
    }

    /// What `GetFunction` says of a function once no update of it is under way, without what changes with every update.
    pub fn function(&self, name: &str) -> Value {
        let mut function = self.settled(name);
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

    /// Everybody's updates take a while: a look in the middle of one shows that, and not how the function is.
    fn settled(&self, name: &str) -> Value {
        eventually(&format!("the last update of {name} is through"), LOOK_EVERY, || {
            let function = self.aws(&["lambda", "get-function", "--function-name", name]);
            let configuration = &function["Configuration"];
            let under_way = configuration["LastUpdateStatus"] == "InProgress" || configuration["State"] == "Pending";
            (!under_way).then_some(function)
        })
    }

    /// The whole configuration of so many functions that carry the tag `crowd: all`, field by field; it creates them.
    pub fn crowd(&self, count: usize) -> BTreeMap<String, BTreeMap<String, Value>> {
        let looked = lab(&["crowd", &count.to_string(), "--name", &self.name]);
        assert!(looked.status.success(), "{}", String::from_utf8_lossy(&looked.stderr));
        serde_json::from_slice(&looked.stdout).unwrap()
    }

    /// Waits until the run has injected. The run must stay injected until the test ends it.
    pub fn wait_for_fault(&self, run: &str) {
        eventually(&format!("{run} has injected"), LOOK_EVERY, || {
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
        eventually("the reaper's last tick is over", LOOK_EVERY, || {
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

/// A command line in the background; it ends with the test, also when that fails.
pub struct Following(Child);

impl Following {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits until it has ended, as far as patience goes.
    pub fn wait(&mut self) -> std::io::Result<ExitStatus> {
        eventually("the command line has ended", LOOK_EVERY / 5, || self.0.try_wait().transpose())
    }

    /// The same, with what it has printed, which may be more than a pipe holds.
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

/// An experiment on a function of the lab, in a file of its own.
pub fn experiment(name: &str, function: &str, duration: &str, fault: &str) -> PathBuf {
    write_experiment(name, function, duration, fault, "")
}

/// The same, which an alarm stops.
pub fn watched_experiment(name: &str, function: &str, duration: &str, fault: &str, alarm: &str) -> PathBuf {
    write_experiment(name, function, duration, fault, &format!("stopConditions:\n  - alarm: {alarm}\n"))
}

fn write_experiment(name: &str, function: &str, duration: &str, fault: &str, rest: &str) -> PathBuf {
    let text =
        format!("name: {name}\ntargets:\n  - function: {function}\nfaults:\n  - {fault}\nduration: {duration}\n{rest}");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.yaml"));
    std::fs::write(&path, text).unwrap();
    path
}
