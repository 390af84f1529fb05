//! Losses and repeats with real parts: the real binaries and the real state machine lose a process, an execution or an
//! event, or get one event ten times during edits by others. Each time, the function is restored exactly.
//!
//! The tests kill a process in the middle of its work: the emulator freezes it between a change that it makes and the
//! response to it (`infra/lab/record.py`).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use futures_util::future::join_all;
use serde_json::{Value, json};
use snapback::aws::AwsWorld;
use snapback::model::names::{FunctionArn, RunId};
use snapback::model::run::{Run, RunList, TargetKey, TargetRecord, TargetStatus};
use snapback::model::time::Time;
use snapback::ports::{Functions, Ledger};
use tokio::runtime::Runtime;

use super::lab::{Following, Lab, eventually, evidence_experiment, experiment};

/// The memory in MB that the fault sets. No function of the lab has this value.
const FAULTY: u32 = 1024;
const MEMORY: &str = "memory: {megabytes: 1024}";
/// The poll interval for a task that will be frozen. It is short, because the task's timeout keeps running while it is frozen.
const QUICKLY: Duration = Duration::from_millis(10);
/// The poll interval for anything else.
const SOON: Duration = Duration::from_millis(200);
/// The experiment of both runs that an alarm ends, each with its function. `history` lists them together.
const ORDERS: &str = "orders are lost or late";
const ORDERS_RUNS: [(&str, &str); 2] = [("event-dropped", "lab-search"), ("event-ten-times", "lab-payment")];
/// An alarm of the lab that stays OK.
const STEADY: &str = "lab-stock-slow";

/// All cases share one lab, because each of them leaves the functions as they were.
#[test]
fn every_loss_ends_in_an_exact_restore() {
    let parts = Parts::start();
    inject_is_killed(&parts);
    restore_is_killed(&parts);
    the_execution_is_stopped_during_an_inject(&parts);
    the_alarms_event_is_dropped(&parts);
    the_alarms_event_comes_ten_times_during_edits(&parts);
    the_runs_of_an_experiment_are_compared(&parts);
}

/// Kills inject after its change and before it has seen the change. The ledger has a record of the write.
fn inject_is_killed(parts: &Parts) {
    let name = "inject-is-killed";
    let before = parts.lab.function("lab-search");
    let trap = parts.trap("snapback-inject", "lab-search", FAULTY);
    let mut run = parts.begin(&experiment(name, "lab-search", "PT60S", MEMORY), name);
    let caught = parts.catch(trap);
    assert_eq!(parts.status(name, "lab-search"), Some(TargetStatus::Injecting));
    caught.kill();
    assert_eq!(run.wait().unwrap().code(), Some(1), "the run has failed and is restored");
    let report = parts.report(name);
    assert_eq!((&report["status"], &report["outcome"]), (&json!("failed"), &json!("endedEarly")), "{report}");
    // Lambda's error for a process that has exited shows that the kill ended the run.
    assert!(report["reason"].as_str().unwrap().starts_with("Runtime.ExitError: "), "{report}");
    parts.assert_restored(name, "lab-search", &before);
}

/// Kills restore after its change and before it has seen the change. The state machine calls restore again.
fn restore_is_killed(parts: &Parts) {
    let name = "restore-is-killed";
    let before = parts.lab.function("lab-payment");
    let original = u32::try_from(before["Configuration"]["MemorySize"].as_u64().unwrap()).unwrap();
    // A handler of the user, whose layer is one that the lab has published.
    let fault = json!({ "handler": {
        "handler": "chaos.handler", "memory": FAULTY, "originalHandlerVariable": "CHAOS_ORIGINAL_HANDLER",
        "layers": ["arn:aws:lambda:us-east-1:000000000000:layer:lab-chaos-wrapper:1"],
        "environment": { "CHAOS_DELAY_MS": "1" }
    } });
    let trap = parts.trap("snapback-restore", "lab-payment", original);
    let mut run = parts.begin(&experiment(name, "lab-payment", "PT5S", &fault.to_string()), name);
    let caught = parts.catch(trap);
    assert_eq!(parts.status(name, "lab-payment"), Some(TargetStatus::Restoring));
    caught.kill();
    assert_eq!(run.wait().unwrap().code(), Some(0), "the restore was retried, and the run ended normally");
    let failures = parts.failures(name);
    assert!(failures.iter().any(|error| error == "Runtime.ExitError"), "the kill made a task fail: {failures:?}");
    let report = parts.report(name);
    assert_eq!((&report["status"], &report["outcome"]), (&json!("completed"), &json!("noSteadyState")), "{report}");
    parts.assert_restored(name, "lab-payment", &before);
}

/// Stops the execution during an inject. No Catch runs, and the inject continues without its execution.
fn the_execution_is_stopped_during_an_inject(parts: &Parts) {
    let (lab, name) = (&parts.lab, "the-execution-is-stopped");
    // Without this, a scheduled tick could come before the tick of this case.
    lab.stop_reaper();
    let before = lab.function("lab-checkout");
    let execution = lab.execution(name);
    let trap = parts.trap("snapback-inject", "lab-checkout", FAULTY);
    let mut run = parts.begin(&experiment(name, "lab-checkout", "PT300S", MEMORY), name);
    let caught = parts.catch(trap);
    parts.stop_execution(&execution);
    assert_eq!(parts.status(name, "lab-checkout"), Some(TargetStatus::Injecting), "the task is still running");
    caught.thaw();
    let described = lab.aws(&["stepfunctions", "describe-execution", "--execution-arn", &execution]);
    assert_eq!(described["status"], "ABORTED");
    eventually("the task has ended", SOON, || {
        (parts.status(name, "lab-checkout") == Some(TargetStatus::Injected)).then_some(())
    });
    assert_eq!(run.wait().unwrap().code(), Some(7), "the command that followed the run reports that it is not over");
    assert_eq!(lab.function("lab-checkout")["Configuration"]["MemorySize"], FAULTY, "nothing has restored it yet");
    parts.invoke(&["snapback-reaper"], &json!({}));
    let report = parts.report(name);
    assert_eq!((&report["status"], &report["outcome"]), (&json!("failed"), &json!("endedEarly")), "{report}");
    assert_eq!(report["reason"], "its execution was stopped or timed out");
    parts.assert_restored(name, "lab-checkout", &before);
    lab.start_reaper();
}

/// Drops the event of an alarm that is in ALARM, so only reads can show it.
fn the_alarms_event_is_dropped(parts: &Parts) {
    let lab = &parts.lab;
    let ((name, function), alarm) = (ORDERS_RUNS[0], "orders-lost");
    lab.aws(&["events", "disable-rule", "--name", "snapback-alarm"]);
    parts.create_alarm(alarm);
    let told = lab.invocations("snapback-rollback");
    let before = lab.function(function);
    let fault = "reservedConcurrency: {limit: 0}";
    let mut run = parts.begin(&evidence_experiment(ORDERS, function, fault, [alarm, STEADY]), name);
    parts.wait_until_observed(name);
    assert_eq!(lab.function(function)["Concurrency"]["ReservedConcurrentExecutions"], 0);
    let tripped_at = now();
    parts.put_metric(alarm, "42");
    let described = lab.aws(&["cloudwatch", "describe-alarms", "--alarm-names", alarm]);
    assert_eq!(described["MetricAlarms"][0]["StateValue"], "ALARM");
    assert_eq!(run.wait().unwrap().code(), Some(4));
    parts.assert_stopped_by(alarm, name);
    parts.assert_stopped_after(tripped_at, name);
    parts.assert_restored(name, function, &before);
    assert_eq!(lab.invocations("snapback-rollback"), told, "Observe found the alarm without the event");
    lab.aws(&["events", "enable-rule", "--name", "snapback-alarm"]);
}

/// Delivers the same event ten times concurrently, because EventBridge delivers at least once. Edits during that time stay.
fn the_alarms_event_comes_ten_times_during_edits(parts: &Parts) {
    let lab = &parts.lab;
    let ((name, function), alarm) = (ORDERS_RUNS[1], "orders-late");
    let arn = parts.create_alarm(alarm);
    let mut expected = lab.function(function);
    let fault = format!("{MEMORY}\n  - environment: {{set: {{CHAOS: 'on', RUST_LOG: trace}}, unset: [SERVICE_NAME]}}");
    let mut run = parts.begin(&evidence_experiment(ORDERS, function, &fault, [alarm, STEADY]), name);
    parts.wait_until_observed(name);

    // While the fault is in place, an edit writes the whole environment as it was read, with one more variable.
    let mut environment = json!({ "Variables": lab.function(function)["Configuration"]["Environment"]["Variables"] });
    assert_eq!(environment["Variables"]["CHAOS"], "on");
    environment["Variables"]["ADDED_BY_DEPLOY"] = json!("stays");
    parts.edit(function, &["--environment", &environment.to_string()]);

    let mut event: Value = serde_json::from_str(include_str!("../../events/alarm-metric.json")).unwrap();
    event["resources"] = json!([arn]);
    event["detail"]["alarmName"] = json!(alarm);
    // Every delivery must find the run open, even if it starts late, so neither the execution nor the reaper may close it.
    lab.stop_reaper();
    let report = ["--function-name", "snapback-report"];
    let none = ["--reserved-concurrent-executions", "0"];
    lab.aws(&[&["lambda", "put-function-concurrency"], &report[..], &none].concat());
    let tripped_at = now();
    let responses = std::thread::scope(|scope| {
        let (runtime, lambda) = (&parts.runtime, &parts.lambda);
        let sent = scope.spawn(move || invoke(runtime, lambda, &["snapback-rollback"; 10], &event));
        // The edits come before, between and after the restoring calls.
        for edit in ["first edit", "second edit", "last edit"] {
            parts.edit(function, &["--description", edit]);
        }
        sent.join().unwrap()
    });
    lab.aws(&[&["lambda", "delete-function-concurrency"], &report[..]].concat());
    lab.start_reaper();
    assert_eq!(responses.len(), 10);
    for response in &responses {
        let run = &response["runs"][0];
        assert_eq!((&run["runId"], &run["targets"][0]["error"]), (&json!(name), &Value::Null), "{responses:?}");
    }
    assert_eq!(run.wait().unwrap().code(), Some(4));
    parts.assert_stopped_by(alarm, name);
    parts.assert_stopped_after(tripped_at, name);
    assert_eq!(parts.report(name)["targets"][0]["drift"], json!([]), "the edits touched no field of the fault");
    expected["Configuration"]["Environment"]["Variables"]["ADDED_BY_DEPLOY"] = json!("stays");
    expected["Configuration"]["Description"] = json!("last edit");
    parts.assert_restored(name, function, &expected);
}

/// The times of the runs that an alarm has ended are those of the ledger, in each form.
fn the_runs_of_an_experiment_are_compared(parts: &Parts) {
    let expected = ORDERS_RUNS.map(|(run, function)| parts.times(run, function));
    let [first, second] = ORDERS_RUNS.map(|(run, _)| run);
    let shown = |arguments: &[&str]| {
        let (code, out, err) = parts.lab.snapback(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    };
    let json = |arguments: &[&str]| -> Value { serde_json::from_str(&shown(arguments)).unwrap() };
    let page = parts.lab.file("history.html");
    // The history begins with the newest run.
    let history = json(&["history", ORDERS, "--json", "--html", page.to_str().unwrap()]);
    assert_eq!(history, json!([expected[1], expected[0]]));
    assert_eq!(json(&["compare", first, second, "--json"]), json!(expected));
    let table = shown(&["compare", first, second]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(
        lines[0].starts_with("run ") && lines[0].ends_with("detected in  rolled back in  recovered in  outcome"),
        "{table}"
    );
    assert!(lines[1].starts_with(first) && lines[2].starts_with(second) && lines.len() == 3, "{table}");
    assert!(!table.contains('–') && lines[1..].iter().all(|line| line.ends_with(" ended early")), "{table}");
    let page = std::fs::read_to_string(page).unwrap();
    // One chart for each of the three times.
    assert_eq!(page.matches("<svg ").count(), 3, "{page}");
    assert!(page.contains(first) && page.contains(second) && !page.contains("No run has a time"), "{page}");
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Time(i64::try_from(since.as_millis()).unwrap())
}

/// The lab, and clients that read it quickly. A command line would take too long to read a task in the middle of its work.
pub(super) struct Parts {
    pub(super) lab: Lab,
    runtime: Runtime,
    world: AwsWorld,
    lambda: aws_sdk_lambda::Client,
    executions: aws_sdk_sfn::Client,
}

impl Parts {
    fn start() -> Self {
        Self::on(Lab::start())
    }

    pub(super) fn on(lab: Lab) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let config = aws_config::defaults(BehaviorVersion::latest())
            .endpoint_url(lab.description("endpoint"))
            .region(Region::new(lab.description("region")))
            .credentials_provider(Credentials::new(
                lab.variable("AWS_ACCESS_KEY_ID"),
                lab.variable("AWS_SECRET_ACCESS_KEY"),
                None,
                None,
                "lab",
            ))
            .http_client(aws_smithy_http_client::Builder::new().build_http());
        let config = runtime.block_on(config.load());
        let world = AwsWorld::new(&config, lab.description("table"), Some("snapback"));
        let (lambda, executions) = (aws_sdk_lambda::Client::new(&config), aws_sdk_sfn::Client::new(&config));
        Self { lab, runtime, world, lambda, executions }
    }

    pub(super) fn begin(&self, experiment: &std::path::Path, name: &str) -> Following {
        self.lab.begin(&["run", experiment.to_str().unwrap(), "--name", name, "--json"])
    }

    fn target(&self, run: &str, function: &str) -> Option<TargetRecord> {
        let target = self.runtime.block_on(self.world.target(TargetKey::new(&run_id(run), &self.arn(function))));
        target.unwrap_or_else(|error| panic!("{error}"))
    }

    fn status(&self, run: &str, function: &str) -> Option<TargetStatus> {
        self.target(run, function).map(|target| target.status)
    }

    fn run(&self, run: &str) -> Run {
        self.runtime.block_on(self.world.run(&run_id(run))).unwrap().unwrap()
    }

    /// Waits until every fault is in place and the run is being observed.
    fn wait_until_observed(&self, run: &str) {
        self.lab.wait_for_fault(run);
        eventually(&format!("{run} is observed"), SOON, || self.run(run).in_place_at());
    }

    /// Returns what `history` has to print of a run with one target, from its records in the ledger.
    fn times(&self, run: &str, function: &str) -> Value {
        let (record, restored) = (self.run(run), self.target(run, function).unwrap().ended_at.unwrap());
        let (in_place, stopping, closed) =
            (record.in_place_at().unwrap(), record.stopping_at.unwrap(), record.closed_at.unwrap());
        let times = [in_place, stopping, restored, closed].map(|time| time.0);
        assert!(times.is_sorted() && times[0] < times[3], "{run}: {times:?}");
        json!({
            "runId": run, "experiment": ORDERS, "startedAt": record.created_at.to_string(), "outcome": "endedEarly", "targets": 1,
            "detectionMilliseconds": times[1] - times[0], "rollbackMilliseconds": times[2] - times[1],
            "recoveryMilliseconds": times[3] - times[2],
        })
    }

    fn memory(&self, function: &str) -> u32 {
        self.runtime.block_on(self.world.observe(function, false)).unwrap().memory
    }

    pub(super) fn arn(&self, function: &str) -> FunctionArn {
        let region = self.lab.description("region");
        FunctionArn::try_from(format!("arn:aws:lambda:{region}:000000000000:function:{function}").as_str()).unwrap()
    }

    /// Sets a trap: the emulator freezes the task's process when the task gives the function this memory, which is its last
    /// write, and before it gets the response.
    pub(super) fn trap(&self, task: &str, function: &str, memory: u32) -> Trap {
        let frozen = self.lab.file("frozen.json");
        let _ = std::fs::remove_file(&frozen);
        let asked = json!({ "task": task, "function": function, "memory": memory });
        std::fs::write(self.lab.file("freeze.json"), asked.to_string()).unwrap();
        Trap { frozen, function: function.to_owned(), memory }
    }

    /// Waits until the task is frozen.
    pub(super) fn catch(&self, trap: Trap) -> Frozen {
        let processes = eventually("the task is frozen", QUICKLY, || std::fs::read(&trap.frozen).ok());
        let processes: Vec<u32> = serde_json::from_slice(&processes).unwrap();
        let frozen = Frozen(processes.iter().map(u32::to_string).collect());
        assert!(!frozen.0.is_empty(), "the task has a process");
        assert_eq!(self.memory(&trap.function), trap.memory);
        frozen
    }

    fn stop_execution(&self, execution: &str) {
        self.runtime.block_on(self.executions.stop_execution().execution_arn(execution).send()).unwrap();
    }

    fn report(&self, run: &str) -> Value {
        serde_json::from_str(&self.lab.snapback(&["report", run, "--json"]).1).unwrap()
    }

    /// Returns the errors of all failed tasks of a run, as Step Functions reports them.
    fn failures(&self, run: &str) -> Vec<String> {
        let execution = self.lab.execution(run);
        let history = self.lab.aws(&["stepfunctions", "get-execution-history", "--execution-arn", &execution]);
        let events = history["events"].as_array().unwrap().iter();
        events.filter_map(|event| event["taskFailedEventDetails"]["error"].as_str()).map(str::to_owned).collect()
    }

    /// Creates an alarm on a separate metric, in the state OK, and returns its ARN.
    pub(super) fn create_alarm(&self, name: &str) -> String {
        let threshold = ["--threshold", "5", "--comparison-operator", "GreaterThanThreshold"];
        let every = ["--statistic", "Sum", "--period", "60", "--evaluation-periods", "1"];
        let what =
            ["cloudwatch", "put-metric-alarm", "--alarm-name", name, "--namespace", "Shop", "--metric-name", name];
        self.lab.aws(&[&what[..], &every, &threshold].concat());
        self.put_metric(name, "0");
        let described = self.lab.aws(&["cloudwatch", "describe-alarms", "--alarm-names", name]);
        let alarm = &described["MetricAlarms"][0];
        assert_eq!(alarm["StateValue"], "OK");
        alarm["AlarmArn"].as_str().unwrap().to_owned()
    }

    pub(super) fn put_metric(&self, name: &str, value: &str) {
        let metric = ["cloudwatch", "put-metric-data", "--namespace", "Shop", "--metric-name", name, "--value", value];
        self.lab.aws(&metric);
    }

    /// Updates a function as a deploy would: retries while another update is in progress.
    pub(super) fn edit(&self, function: &str, what: &[&str]) {
        let update = ["lambda", "update-function-configuration", "--function-name", function];
        eventually(&format!("{function} is edited"), SOON, || match self.lab.try_aws(&[&update[..], what].concat()) {
            Ok(_) => Some(()),
            Err(error) if error.contains("ResourceConflictException") => None,
            Err(error) => panic!("{error}"),
        });
    }

    fn invoke(&self, functions: &[&str], payload: &Value) -> Vec<Value> {
        invoke(&self.runtime, &self.lambda, functions, payload)
    }

    fn assert_stopped_by(&self, alarm: &str, run: &str) {
        let report = self.report(run);
        assert_eq!((&report["status"], &report["outcome"]), (&json!("stopped"), &json!("endedEarly")), "{report}");
        assert_eq!(report["reason"], format!("alarm {alarm} went into ALARM"));
    }

    /// Asserts that the run began to end after this time, and was closed before now.
    fn assert_stopped_after(&self, tripped_at: Time, run: &str) {
        let record = self.run(run);
        let times = [tripped_at, record.stopping_at.unwrap(), record.closed_at.unwrap(), now()];
        assert!(times.is_sorted(), "{run}: {times:?}");
    }

    /// Asserts that the function is restored, that the ledger records it, and that nothing of the run is active.
    fn assert_restored(&self, run: &str, function: &str, before: &Value) {
        assert_eq!(&self.lab.function(function), before);
        let target = self.target(run, function).unwrap();
        assert_eq!((target.status, target.restore_error), (TargetStatus::Restored, None));
        let (runtime, world) = (&self.runtime, &self.world);
        let lock = runtime.block_on(world.lock(&self.arn(function))).unwrap().unwrap();
        assert!(lock.run.is_none() && lock.released_at.is_some(), "{lock:?}");
        assert_eq!(runtime.block_on(world.active_runs()).unwrap(), RunList::default());
        let closed = runtime.block_on(world.run(&run_id(run))).unwrap().unwrap();
        assert!(closed.status.is_final(), "{closed:?}");
        for alarm in &closed.alarms {
            assert_eq!(runtime.block_on(world.runs_of_alarm(alarm)).unwrap(), RunList::default());
        }
    }
}

fn run_id(run: &str) -> RunId {
    RunId::try_from(run).unwrap()
}

/// Invokes all of these concurrently, and asserts that none fails.
fn invoke(runtime: &Runtime, lambda: &aws_sdk_lambda::Client, functions: &[&str], payload: &Value) -> Vec<Value> {
    let payload = aws_sdk_lambda::primitives::Blob::new(payload.to_string());
    let invocations = functions.iter().map(|name| lambda.invoke().function_name(*name).payload(payload.clone()).send());
    let responses = runtime.block_on(join_all(invocations)).into_iter().map(|response| response.unwrap());
    let responses = responses.map(|response| {
        let text = response.payload.map(|payload| String::from_utf8(payload.into_inner()).unwrap()).unwrap_or_default();
        assert_eq!(response.function_error, None, "{text}");
        serde_json::from_str(&text).unwrap()
    });
    responses.collect()
}

/// A request to freeze a task.
pub(super) struct Trap {
    frozen: std::path::PathBuf,
    function: String,
    memory: u32,
}

/// The frozen processes of one function of the lab. Dropping the value lets them continue.
pub(super) struct Frozen(Vec<String>);

impl Frozen {
    pub(super) fn kill(mut self) {
        assert!(self.signal("-KILL"), "a frozen process has ended on its own: {:?}", self.0);
        self.0.clear();
    }

    fn thaw(self) {
        drop(self);
    }

    /// Sends a signal, and returns whether all processes got it.
    fn signal(&self, signal: &str) -> bool {
        let sent = |process: &String| std::process::Command::new("kill").args([signal, process]).status();
        self.0.iter().map(sent).all(|sent| sent.is_ok_and(|status| status.success()))
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}
