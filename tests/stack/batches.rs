//! Experiments on many functions: the tasks' batches in the simulated world, and a Distributed Map of them in the lab.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use snapback::model::run::{Lock, TargetStatus};
use snapback::model::settings::Settings;
use snapback::ports::Clock;
use snapback::steps::Budget;
use snapback::task::{Task, handle};
use snapback::testing::samples::{function_arn, run_id, settings, world};
use snapback::testing::{CallFailure, SimWorld};

use super::fake::last_line;
use super::lab::{Lab, eventually};

/// The most bytes of a state's input or output (step-functions/latest/dg/service-quotas).
const STATE: usize = 256 * 1024;
/// The functions in a batch, as the state machine splits them.
const BATCH: usize = 20;

async fn call_for(world: &SimWorld, task: Task, seconds: u64, payload: &Value) -> Value {
    let settings = Settings { target_limit: 1000, ..settings() };
    let budget = Budget { deadline: world.now() + Duration::from_secs(seconds) };
    let result = Box::pin(handle(task, world, &settings, budget, payload)).await;
    let result = result.unwrap_or_else(|error| panic!("{task:?}: {}: {error}", error.name()));
    assert!(result.to_string().len() < STATE, "{task:?} returns {} bytes", result.to_string().len());
    result
}

async fn call(world: &SimWorld, task: Task, payload: &Value) -> Value {
    call_for(world, task, 30, payload).await
}

/// Returns names of functions that are as long as Lambda allows.
fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{number:0>64}")).collect()
}

async fn prepared(count: usize) -> (SimWorld, Vec<String>) {
    let names = names(count);
    let world = world(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let experiment = json!({
        "name": "many", "duration": "PT1M", "targets": [{ "tags": { "team": "shop" } }],
        "faults": [{ "timeout": { "timeout": "PT7S" } }, { "reservedConcurrency": { "limit": 0 } }]
    });
    let execution = json!({ "id": "arn:execution:r", "name": "r" });
    let result = call(&world, Task::Prepare, &json!({ "execution": execution, "experiment": experiment })).await;
    assert_eq!(result["functions"].as_array().unwrap().len(), count);
    (world, names)
}

fn batch(names: &[String]) -> Value {
    let functions: Vec<_> = names.iter().map(|name| function_arn(name)).collect();
    json!({ "runId": "r", "functions": functions })
}

/// Plays a batch's execution without a limit of rounds: a pending result is the input of the next round.
async fn run_batch(world: &SimWorld, task: Task, mut payload: Value) -> Value {
    for _ in 0..100 {
        payload = call(world, task, &payload).await;
        if payload["status"] == "done" {
            return payload;
        }
        world.advance(Duration::from_secs(payload["waitSeconds"].as_u64().unwrap()));
    }
    panic!("{task:?} never ends: {payload}");
}

async fn run_all(world: &SimWorld, task: Task, names: &[String]) {
    for names in names.chunks(BATCH) {
        let result = run_batch(world, task, batch(names)).await;
        assert_eq!((&result["failed"], &result["failures"]), (&json!(0), &json!([])), "{result}");
    }
}

/// The input of the restore function before anything is injected, as the state machine passes it.
fn unrehearsed(names: &[String]) -> Value {
    json!({ "runId": "r", "functions": [], "unrehearsed": batch(names)["functions"] })
}

async fn rehearse_all(world: &SimWorld, names: &[String]) {
    for names in names.chunks(BATCH) {
        let result = run_batch(world, Task::Restore, unrehearsed(names)).await;
        assert_eq!((&result["failed"], result.get("unrehearsed")), (&json!(0), None), "{result}");
        assert_eq!(
            result["functions"].as_array().unwrap().len(),
            names.len(),
            "every rehearsed target can be injected"
        );
    }
}

fn statuses(world: &SimWorld) -> BTreeMap<&'static str, usize> {
    world.with(|state| {
        let mut counts = BTreeMap::new();
        state.targets.values().for_each(|target| *counts.entry(target.status.name()).or_default() += 1);
        counts
    })
}

/// Every input and every result fits into a state of Step Functions, which `call` checks.
#[tokio::test]
async fn a_thousand_targets_go_through_in_batches() {
    let (world, names) = prepared(1000).await;
    let before =
        world.with(|state| state.functions.values().map(|f| (f.seen.timeout, f.seen.concurrency)).collect::<Vec<_>>());
    run_all(&world, Task::Arm, &names).await;
    assert_eq!(statuses(&world), BTreeMap::from([("armed", 1000)]));
    rehearse_all(&world, &names).await;
    assert!(world.with(|state| state.targets.values().all(|target| target.rehearsed)));
    run_all(&world, Task::Inject, &names).await;
    assert_eq!(statuses(&world), BTreeMap::from([("injected", 1000)]));
    assert!(world.with(|state| state.functions.values().all(|function| function.seen.timeout == 7)));
    let begun = call(&world, Task::Restore, &json!({ "runId": "r", "failure": null })).await;
    assert_eq!(begun["functions"].as_array().unwrap().len(), 1000);
    run_all(&world, Task::Restore, &names).await;
    assert_eq!(statuses(&world), BTreeMap::from([("restored", 1000)]));
    let after =
        world.with(|state| state.functions.values().map(|f| (f.seen.timeout, f.seen.concurrency)).collect::<Vec<_>>());
    assert_eq!(before, after);
    // A user has to act on one of them, so the report lists it, regardless of its position.
    world.with(|state| {
        let last = state.targets.get_mut(&(run_id("r"), function_arn(&names[999]))).unwrap();
        last.status = TargetStatus::Drifted;
    });
    let report = call(&world, Task::Report, &json!({ "runId": "r" })).await;
    assert_eq!((&report["outcome"], &report["targetsLeftOut"]), (&json!("drifted"), &json!(900)));
    assert_eq!(report["targets"].as_array().unwrap().len(), 100);
    assert_eq!(report["targets"][0]["function"], json!(names[999]));
}

#[tokio::test]
async fn a_report_of_few_targets_leaves_none_out() {
    let (world, names) = prepared(100).await;
    run_all(&world, Task::Arm, &names).await;
    call(&world, Task::Restore, &json!({ "runId": "r", "failure": null })).await;
    run_all(&world, Task::Restore, &names).await;
    let report = call(&world, Task::Report, &json!({ "runId": "r" })).await;
    assert_eq!((report["targets"].as_array().unwrap().len(), report.get("targetsLeftOut")), (100, None));
}

#[tokio::test]
async fn one_failure_delays_no_other_target() {
    let (world, names) = prepared(BATCH).await;
    world.with(|state| state.call_failures.push(("GetFunction", CallFailure::Denied)));
    let result = call(&world, Task::Arm, &batch(&names)).await;
    assert_eq!((&result["status"], &result["failed"]), (&json!("done"), &json!(1)));
    let failure = result["failures"][0].as_object().unwrap();
    // The state machine uses the first failure, under these names, as the run's failure.
    assert_eq!(failure.keys().collect::<Vec<_>>(), ["Cause", "Error", "function"]);
    assert_eq!(failure["Error"], "AccessDenied");
    assert_eq!(statuses(&world), BTreeMap::from([("armed", BATCH - 1), ("pending", 1)]));
}

#[tokio::test]
async fn transient_errors_are_retried_a_limited_number_of_times() {
    let (world, names) = prepared(2).await;
    let mut payload = batch(&names[..1]);
    for tried in 1..6 {
        // As often as one call is retried within an invocation.
        world.with(|state| state.conflicts = 8);
        payload = call(&world, Task::Arm, &payload).await;
        assert_eq!(payload["status"], "pending", "{payload}");
        assert_eq!(payload["tries"], json!({ function_arn(&names[0]).as_str(): tried }));
        assert!((2..=30).contains(&payload["waitSeconds"].as_u64().unwrap()), "{payload}");
    }
    let mut passed = payload.clone();
    world.with(|state| state.conflicts = 8);
    payload = call(&world, Task::Arm, &payload).await;
    assert_eq!((&payload["status"], &payload["failures"][0]["Error"]), (&json!("done"), &json!("Unavailable")));
    passed = call(&world, Task::Arm, &passed).await;
    assert_eq!((&passed["status"], &passed["failures"], &passed["tries"]), (&json!("done"), &json!([]), &json!({})));
}

#[tokio::test]
async fn a_refused_restore_is_retried_before_it_is_a_failure() {
    let (world, names) = prepared(2).await;
    run_all(&world, Task::Arm, &names).await;
    rehearse_all(&world, &names).await;
    run_all(&world, Task::Inject, &names).await;
    call(&world, Task::Restore, &json!({ "runId": "r", "failure": null })).await;
    world.advance(Duration::from_secs(60));
    world.with(|state| state.call_failures.push(("PutFunctionConcurrency", CallFailure::Denied)));
    let result = call(&world, Task::Restore, &batch(&names)).await;
    assert_eq!((&result["status"], &result["failed"]), (&json!("pending"), &json!(0)), "{result}");
    run_all(&world, Task::Restore, &names).await;
    assert_eq!(statuses(&world), BTreeMap::from([("restored", 2)]));
}

#[tokio::test]
async fn targets_without_a_turn_go_first_in_the_next_invocation() {
    let (world, names) = prepared(BATCH).await;
    world.with(|state| state.calls.clear());
    let result = call_for(&world, Task::Arm, 5, &batch(&names)).await;
    assert_eq!((&result["status"], &result["functions"]), (&json!("pending"), &batch(&names)["functions"]));
    assert!(world.with(|state| state.calls.is_empty()), "no call begins that could outlive the invocation");

    run_all(&world, Task::Arm, &names).await;
    rehearse_all(&world, &names).await;
    // Eight functions stay busy, so no other target has a turn in this invocation.
    world.with(|state| state.call_failures = vec![("UpdateFunctionConfiguration", CallFailure::Busy); 1000]);
    let result = call(&world, Task::Inject, &batch(&names)).await;
    let left: Vec<&str> = result["functions"].as_array().unwrap().iter().map(|f| f.as_str().unwrap()).collect();
    assert_eq!(left.len(), BATCH);
    assert_eq!(left[..BATCH - 8], names[8..].iter().map(|name| function_arn(name).to_string()).collect::<Vec<_>>());
}

/// After a deploy that follows the rehearsal, the target is armed again, and injected only after another rehearsal.
#[tokio::test]
async fn a_target_that_is_armed_again_is_rehearsed_again() {
    let (world, names) = prepared(3).await;
    run_all(&world, Task::Arm, &names).await;
    rehearse_all(&world, &names).await;
    world.with(|state| {
        let deployed = state.functions.get_mut(&function_arn(&names[1])).unwrap();
        deployed.edit(|seen| seen.timeout = 42);
    });
    let injected = call(&world, Task::Inject, &batch(&names)).await;
    assert_eq!(injected["status"], "unrehearsed", "{injected}");
    assert_eq!(injected["unrehearsed"], json!([function_arn(&names[1])]));
    assert_eq!(statuses(&world), BTreeMap::from([("armed", 1), ("injected", 2)]));
    let rehearsed = call(&world, Task::Restore, &injected).await;
    assert_eq!((&rehearsed["status"], &rehearsed["functions"]), (&json!("done"), &injected["unrehearsed"]));
    let injected = call(&world, Task::Inject, &rehearsed).await;
    assert_eq!((&injected["status"], &injected["failed"]), (&json!("done"), &json!(0)));
    assert_eq!(statuses(&world), BTreeMap::from([("injected", 3)]));
    assert!(
        world.with(|state| state.runs.values().all(|run| run.stopping_at.is_none())),
        "the rehearsal must not stop the run"
    );
}

#[tokio::test]
async fn a_batch_that_fails_its_rehearsal_gives_the_reason() {
    let (world, names) = prepared(3).await;
    run_all(&world, Task::Arm, &names).await;
    world.with(|state| {
        let blind = state.functions.get_mut(&function_arn(&names[1])).unwrap();
        blind.edit(|seen| seen.environment = snapback::model::function::Environment::Unreadable);
    });
    let result = call(&world, Task::Restore, &unrehearsed(&names)).await;
    assert_eq!((&result["status"], &result["failed"]), (&json!("done"), &json!(1)), "{result}");
    assert_eq!(result["failures"][0]["Error"], "RehearsalFailed");
    assert_eq!(result["functions"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn failures_of_a_whole_batch_stay_small() {
    let (world, names) = prepared(BATCH).await;
    let other = run_id("other");
    world.with(|state| {
        for name in &names {
            let lock = Lock { run: Some(other.clone()), generation: 1, released_at: None };
            state.locks.insert(function_arn(name), lock);
        }
    });
    let result = call(&world, Task::Arm, &batch(&names)).await;
    assert_eq!((&result["failed"], &result["status"]), (&json!(BATCH), &json!("done")));
    assert_eq!(result["failures"].as_array().unwrap().len(), 3);
    assert_eq!(result["failures"][0]["Error"], "Locked");
    // Fifty of these are one input of the state machine.
    assert!(result.to_string().len() * 50 < STATE / 2, "{result}");
}

/// Evaluates, with the emulator's engine, the expressions of the state machine that the lab's runs do not reach.
#[test]
fn the_state_machine_finds_the_first_failure_of_all_batches() {
    let root = env!("CARGO_MANIFEST_DIR");
    let python = std::path::Path::new(root).join(".tools/venv/bin/python");
    let checked = Command::new(python).args(["infra/lab/test_batches.py"]).current_dir(root).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && !said.contains("skipped"), "{said}");
}

/// Sixty functions are more than one inline Map runs concurrently.
#[test]
fn sixty_functions_go_through_a_distributed_map() {
    const COUNT: usize = 60;
    let lab = Lab::with_parameters("TargetLimit=60");
    let before = lab.crowd(COUNT);
    let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("crowd.yaml");
    std::fs::write(
        &path,
        "name: crowd\ntargets:\n  - tags: {crowd: all}\nfaults:\n  - timeout: {timeout: PT7S}\n  \
         - reservedConcurrency: {limit: 0}\n  - environment: {set: {CHAOS: only-for-now}}\nduration: PT20S\n",
    )
    .unwrap();
    let created = lab.record().len();
    let run = lab.begin(&["run", path.to_str().unwrap(), "--name", "crowd", "--json"]);
    // The items exist from the end of Prepare to the report, which is long enough to read them: all calls for sixty targets,
    // and twenty seconds.
    let checked = eventually("the run is written", Duration::from_millis(250), || item_of_run(&lab, "RUN"));
    let checked = checked.to_string();
    assert!(checked.contains("status") && checked.len() < 1000, "every transaction checks all of this: {checked}");
    assert!(item_of_run(&lab, "BODY").unwrap().to_string().contains("only-for-now"));
    let (ended, report) = run.wait_with_output();
    assert_eq!(ended.code(), Some(0), "{report}");
    let report = last_line(&report);
    let after = lab.crowd(COUNT);

    let record = lab.record();
    for name in before.keys() {
        assert_fault_was_in_place(&record[created..], name);
    }
    assert_eq!(before, after);
    assert_eq!((&report["outcome"], report["targets"].as_array().unwrap().len()), (&json!("noSteadyState"), COUNT));
    assert!(report["targets"].as_array().unwrap().iter().all(|target| target["status"] == "restored"), "{report}");
    assert_each_phase_was_one_map_run_of_three_batches(&lab);
    for part in ["RUN", "BODY"] {
        let item = item_of_run(&lab, part).unwrap();
        assert!(item["expiresAt"]["N"].is_string() && !item.to_string().contains("only-for-now"), "{item}");
    }
    let (_, runs, _) = lab.snapback(&["status", "--json"]);
    assert!(runs.contains("\"crowd\""), "{runs}");
}

/// One of the items that a run of many targets is kept in.
fn item_of_run(lab: &Lab, part: &str) -> Option<Value> {
    let key = json!({ "pk": { "S": "RUN#crowd" }, "sk": { "S": part } }).to_string();
    let table = lab.description("table");
    // Without an item, the command prints nothing.
    let found = lab.aws(&["dynamodb", "get-item", "--table-name", &table, "--key", &key, "--consistent-read"]);
    found.get("Item").cloned()
}

/// Checks the emulator's record for the faults on one function. Reading sixty functions can take longer than their faults
/// last.
fn assert_fault_was_in_place(record: &[Value], name: &str) {
    let mut changed = BTreeMap::new();
    for line in record.iter().filter(|line| line["changed"] == name) {
        for (field, change) in line["fields"].as_object().unwrap() {
            changed.entry(field.clone()).or_insert_with(|| change[1].clone());
        }
    }
    // A function without reserved concurrency also loses its empty value.
    changed.retain(|_, after| !after.is_null());
    let expected = [
        ("Configuration.Environment.Variables.CHAOS", json!("only-for-now")),
        ("Configuration.Timeout", json!(7)),
        ("GetFunction.Concurrency.ReservedConcurrentExecutions", json!(0)),
        ("GetFunctionConcurrency.ReservedConcurrentExecutions", json!(0)),
    ];
    assert_eq!(changed, expected.map(|(field, after)| (field.to_owned(), after)).into(), "{name}");
}

fn assert_each_phase_was_one_map_run_of_three_batches(lab: &Lab) {
    let runs = lab.aws(&["stepfunctions", "list-map-runs", "--execution-arn", &lab.execution("crowd")]);
    let mut labels = Vec::new();
    for run in runs["mapRuns"].as_array().unwrap() {
        let arn = run["mapRunArn"].as_str().unwrap();
        let described = lab.aws(&["stepfunctions", "describe-map-run", "--map-run-arn", arn]);
        assert_eq!(described["status"], "SUCCEEDED");
        assert_eq!((&described["itemCounts"]["total"], &described["itemCounts"]["succeeded"]), (&json!(3), &json!(3)));
        labels.push(arn.split(['/', ':']).nth_back(1).unwrap().to_owned());
    }
    labels.sort();
    assert_eq!(labels, ["arm", "inject", "rehearse", "restore"]);
}
