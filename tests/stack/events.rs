//! Every file of `events/` goes through the handler that it is for.

use serde_json::{Value, json};
use snapback::model::run::RunStatus;
use snapback::ports::{Clock, Ledger};
use snapback::steps::Budget;
use snapback::task::{Task, handle};
use snapback::testing::samples::{experiment, faults, function_arn, run_id, settings, world};
use snapback::testing::{SimFunction, SimWorld};

use super::schema::experiments;

pub async fn call(world: &SimWorld, task: Task, payload: &Value) -> Result<Value, String> {
    let budget = Budget { deadline: world.now().plus(30) };
    let result = Box::pin(handle(task, world, &settings(), budget, payload)).await;
    result.map_err(|error| format!("{}: {error}", error.name()))
}

fn sample(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("events").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A running run on `checkout`, whose stop condition is the alarm with this ARN.
async fn running(alarm_arn: &str) -> SimWorld {
    let world = world(&["checkout"]);
    let prepared = prepare(&world, "r", experiment(&["checkout"], &faults()[..1])).await;
    assert_eq!(prepared.unwrap()["status"], "running");
    world.with(|state| {
        state.alarm_runs.insert(alarm_arn.to_owned(), vec![run_id("r")]);
    });
    let target = json!({ "runId": "r", "function": function_arn("checkout") });
    for (task, payload) in [(Task::Arm, &target), (Task::Restore, &rehearsal()), (Task::Inject, &target)] {
        call(&world, task, payload).await.unwrap();
    }
    world
}

/// What the state machine asks of the restore function before anything is injected.
fn rehearsal() -> Value {
    let mut rehearsal = sample("rehearse-target.json");
    rehearsal["runId"] = json!("r");
    rehearsal
}

#[tokio::test]
async fn a_rehearsal_looks_and_changes_nothing() {
    let world = world(&["checkout"]);
    prepare(&world, "r", experiment(&["checkout"], &faults()[..1])).await.unwrap();
    let target = json!({ "runId": "r", "function": function_arn("checkout") });
    call(&world, Task::Arm, &target).await.unwrap();
    assert_eq!(call(&world, Task::Inject, &target).await.unwrap()["status"], "unrehearsed");
    let answer = call(&world, Task::Restore, &rehearsal()).await.unwrap();
    assert_eq!(answer, json!({ "function": function_arn("checkout"), "status": "rehearsed", "waitSeconds": 0 }));
    assert_eq!(world.run(&run_id("r")).await.unwrap().unwrap().status, RunStatus::Running);
    assert_eq!(call(&world, Task::Inject, &target).await.unwrap()["status"], "injected");
}

pub async fn prepare(world: &SimWorld, name: &str, experiment: Value) -> Result<Value, String> {
    let execution = json!({ "id": format!("arn:execution:{name}"), "name": name, "startTime": "2026-06-01T00:00:00Z" });
    call(world, Task::Prepare, &json!({ "execution": execution, "experiment": experiment })).await
}

#[tokio::test]
async fn experiments_reach_prepare() {
    for (path, experiment) in experiments() {
        let world = SimWorld::default();
        let answer = prepare(&world, "r", experiment).await;
        // Nothing of it exists in this world: that is the only thing that may be said against it.
        let refused = answer.expect_err("no function is there");
        assert!(refused.starts_with("Refused: ") && refused.contains("not found"), "{}: {refused}", path.display());
    }
}

#[tokio::test]
async fn alarm_events_roll_back_the_runs_of_their_alarm() {
    for name in ["alarm-metric.json", "alarm-composite.json"] {
        let event = sample(name);
        let world = running(event["resources"][0].as_str().unwrap()).await;
        // Inject's lease still runs: the first answer may be that there is more to look at.
        world.pass(60);
        let answer = call(&world, Task::Rollback, &event).await.unwrap();
        assert_eq!(answer["runs"][0]["targets"][0]["status"], "restored", "{name}");
        let run = world.run(&run_id("r")).await.unwrap().unwrap();
        assert_eq!(run.status, RunStatus::Stopping);
        assert!(run.reason.unwrap().to_string().contains(event["detail"]["alarmName"].as_str().unwrap()), "{name}");
    }
}

#[tokio::test]
async fn an_alarm_that_nobody_uses_does_nothing() {
    let world = running("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:another").await;
    let answer = call(&world, Task::Rollback, &sample("alarm-metric.json")).await.unwrap();
    assert_eq!(answer, json!({ "runs": [] }));
    assert_eq!(world.run(&run_id("r")).await.unwrap().unwrap().status, RunStatus::Running);
}

#[tokio::test]
async fn a_direct_rollback_names_its_run() {
    let mut request = sample("rollback-direct.json");
    let world = running("unused").await;
    let unknown = call(&world, Task::Rollback, &request).await.unwrap_err();
    assert!(unknown.starts_with("NoSuchRun: "), "{unknown}");
    request["runId"] = json!("r");
    let answer = call(&world, Task::Rollback, &request).await.unwrap();
    assert_eq!(answer["runs"][0]["runId"], "r");
    let all = running("unused").await;
    let answer = call(&all, Task::Rollback, &sample("rollback-all.json")).await.unwrap();
    assert_eq!(answer["runs"][0]["runId"], "r");
}

#[tokio::test]
async fn a_tick_reaches_the_reaper() {
    let world = running("unused").await;
    let answer = call(&world, Task::Reaper, &sample("reaper-tick.json")).await.unwrap();
    assert_eq!(answer, json!({ "active": 1, "overdue": 0, "handled": 0, "failedRestores": 0 }));
}

#[tokio::test]
async fn a_payload_that_is_none_is_refused_by_name() {
    let world = SimWorld::default();
    for (task, payload) in [
        (Task::Arm, json!({})),
        (Task::Inject, json!({ "runId": "r" })),
        (Task::Restore, json!({ "runId": "no spaces" })),
        (Task::Restore, json!({ "runId": "r", "rehearse": true })),
        (Task::Observe, json!({ "runId": "r", "sampleFrom": -1 })),
        (Task::Rollback, json!({ "runId": "r", "all": true })),
        (Task::Rollback, json!({})),
        (Task::Report, json!([])),
    ] {
        let error = call(&world, task, &payload).await.unwrap_err();
        assert!(error.starts_with("InvalidInput: "), "{task:?} {payload}: {error}");
    }
    assert!(Task::named("reap").is_err());
}

#[tokio::test]
async fn a_gone_function_is_told_apart_from_a_restored_one() {
    let world = running("unused").await;
    world.with(|state| state.functions.remove(&function_arn("checkout")).map(|f: SimFunction| f.seen.timeout));
    world.pass(60);
    let answer = call(&world, Task::Rollback, &json!({ "runId": "r" })).await.unwrap();
    assert_eq!(answer["runs"][0]["targets"][0]["status"], "gone");
}
