//! The deployed stack on an emulator, for as long as a test runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

/// There is one lab at a time: a second one would end the first.
static ONE: Mutex<()> = Mutex::new(());

/// A lab; it ends with the test, also when that fails.
pub struct Lab {
    _one: MutexGuard<'static, ()>,
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

impl Lab {
    /// Deploys the template into a new emulator.
    pub fn start() -> Self {
        Self::with_parameters("")
    }

    /// Deploys the template with these parameters, as `make deploy` takes them.
    pub fn with_parameters(parameters: &str) -> Self {
        // A test that has failed has ended its lab all the same.
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let up = lab(&["up", "--json", "--parameters", parameters]);
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        let description: Value = serde_json::from_slice(&up.stdout).unwrap();
        let variables = description["environment"].as_object().unwrap();
        Self {
            _one: one,
            environment: variables
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect(),
            stack: description["stack"].as_str().unwrap().to_owned(),
            shown: std::cell::RefCell::default(),
        }
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
    pub fn begin(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(env!("CARGO_BIN_EXE_snapback"));
        command.args(arguments).args(["--stack", &self.stack]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// AWS's own command line, as another person would use it.
    pub fn aws(&self, arguments: &[&str]) -> Value {
        // Named outright: for SQS, the variable alone is not enough, and nothing may leave this machine.
        let endpoint = &self.environment["AWS_ENDPOINT_URL"];
        let mut command = self.command(root().join(".tools/venv/bin/aws"));
        let output = command.args(["--endpoint-url", endpoint]).args(arguments).output().unwrap();
        assert!(output.status.success(), "aws {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
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
        for _ in 0..60 {
            let function = self.aws(&["lambda", "get-function", "--function-name", name]);
            let configuration = &function["Configuration"];
            if configuration["LastUpdateStatus"] != "InProgress" && configuration["State"] != "Pending" {
                return function;
            }
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        panic!("an update of {name} was not through within half a minute");
    }

    /// The whole configuration of so many functions that carry the tag `crowd: all`, field by field; it creates them.
    pub fn crowd(&self, count: usize) -> BTreeMap<String, BTreeMap<String, Value>> {
        let looked = lab(&["crowd", &count.to_string()]);
        assert!(looked.status.success(), "{}", String::from_utf8_lossy(&looked.stderr));
        serde_json::from_slice(&looked.stdout).unwrap()
    }

    /// Waits until the run has injected.
    pub fn wait_for_fault(&self, run: &str) {
        for _ in 0..60 {
            let (_, status, _) = self.snapback(&["report", run, "--json"]);
            if status.contains("\"injected\"") {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(500));
        }
        panic!("{run} did not inject within half a minute");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        lab(&["down"]);
    }
}

/// An experiment on a function of the lab, in a file of its own.
pub fn experiment(name: &str, function: &str, duration: &str, fault: &str) -> PathBuf {
    let text =
        format!("name: {name}\ntargets:\n  - function: {function}\nfaults:\n  - {fault}\nduration: {duration}\n");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.yaml"));
    std::fs::write(&path, text).unwrap();
    path
}
