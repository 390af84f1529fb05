//! Every sample in `events/` goes through its handler.

use std::time::Duration;

use serde_json::{Value, json};
use snapback::model::actor::Actor;
use snapback::model::run::{EndReason, RunStatus};
use snapback::ports::{Clock, Ledger};
use snapback::steps::Budget;
use snapback::task::{Task, handle};
use snapback::testing::samples::{alarm_arn, experiment, faults, function_arn, run_id, settings, world};
use snapback::testing::{SimFunction, SimWorld};

use super::schema::experiments;

pub async fn call(world: &SimWorld, task: Task, payload: &Value) -> Result<Value, String> {
    let budget = Budget { deadline: world.now() + Duration::from_secs(30) };
    let result = Box::pin(handle(task, world, &settings(), budget, payload)).await;
    result.map_err(|error| format!("{}: {error}", error.name()))
}

fn sample(name: &str) -> Value {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("events").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Starts a run on `checkout` whose stop condition is the alarm with this ARN.
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

/// The input of the restore function before anything is injected.
fn rehearsal() -> Value {
    let mut rehearsal = sample("rehearse-target.json");
    rehearsal["runId"] = json!("r");
    rehearsal
}

#[tokio::test]
async fn a_rehearsal_only_reads() {
    let world = world(&["checkout"]);
    prepare(&world, "r", experiment(&["checkout"], &faults()[..1])).await.unwrap();
    let target = json!({ "runId": "r", "function": function_arn("checkout") });
    call(&world, Task::Arm, &target).await.unwrap();
    assert_eq!(call(&world, Task::Inject, &target).await.unwrap()["status"], "unrehearsed");
    let result = call(&world, Task::Restore, &rehearsal()).await.unwrap();
    assert_eq!(result, json!({ "function": function_arn("checkout"), "status": "rehearsed", "waitSeconds": 0 }));
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
        let result = prepare(&world, "r", experiment).await;
        // The samples' functions do not exist in this world. That must be the only reason for a refusal.
        let refused = result.expect_err("no function exists");
        assert!(refused.starts_with("Refused: ") && refused.contains("not found"), "{}: {refused}", path.display());
    }
}

/// The alarm in each sample.
const ALARMS: [(&str, &str); 4] = [
    ("alarm-metric.json", "checkout-errors"),
    ("alarm-composite.json", "shop-down"),
    ("alarm-action.json", "checkout-errors"),
    ("alarm-sns.json", "checkout-errors"),
];

#[tokio::test]
async fn an_alarm_rolls_back_its_runs_from_every_source() {
    for (name, alarm) in ALARMS {
        let world = running(&alarm_arn(alarm)).await;
        // Inject's lease is still valid, so the first result may ask for another pass.
        world.advance(Duration::from_secs(60));
        let result = call(&world, Task::Rollback, &sample(name)).await.unwrap();
        assert_eq!(result["runs"][0]["targets"][0]["status"], "restored", "{name}");
        let run = world.run(&run_id("r")).await.unwrap().unwrap();
        assert_eq!(run.status, RunStatus::Stopping);
        assert_eq!(run.reason, Some(EndReason::Alarm { alarm: alarm.to_owned() }), "{name}");
        assert_eq!(run.ended_by, Some(Actor::alarm(&alarm_arn(alarm))), "{name}");
    }
}

#[tokio::test]
async fn an_alarm_that_returns_to_ok_ends_no_run() {
    for (name, alarm) in ALARMS {
        let world = running(&alarm_arn(alarm)).await;
        // Only the new state is a JSON text in capitals; earlier states are part of longer texts.
        let text = sample(name).to_string();
        let back = ["\"value\":\"ALARM\"", "\\\"NewStateValue\\\":\\\"ALARM\\\""]
            .into_iter()
            .fold(text, |text, state| text.replace(state, &state.replace("ALARM", "OK")));
        let event: Value = serde_json::from_str(&back).unwrap();
        assert_ne!(event, sample(name), "{name}");
        assert_eq!(call(&world, Task::Rollback, &event).await, Ok(json!({ "runs": [] })), "{name}");
        assert_eq!(world.run(&run_id("r")).await.unwrap().unwrap().status, RunStatus::Running);
    }
}

#[tokio::test]
async fn a_topic_can_carry_other_messages_and_several_alarms() {
    let world = running(&alarm_arn("second")).await;
    let record = |message: &Value| json!({ "EventSource": "aws:sns", "Sns": { "Message": message.to_string() } });
    let alarm = |name: &str| json!({ "AlarmName": name, "AlarmArn": alarm_arn(name), "NewStateValue": "ALARM" });
    let hello = json!({ "EventSource": "aws:sns", "Sns": { "Message": "hello" } });
    let event = json!({ "Records": [hello, record(&json!([])), record(&alarm("first")), record(&alarm("second"))] });
    let result = call(&world, Task::Rollback, &event).await.unwrap();
    assert_eq!(result["runs"][0]["runId"], "r");
    // A rule of EventBridge can have the topic as its target.
    let world = running(&alarm_arn("checkout-errors")).await;
    let event = json!({ "Records": [record(&sample("alarm-metric.json"))] });
    assert_eq!(call(&world, Task::Rollback, &event).await.unwrap()["runs"][0]["runId"], "r");
    let mut nameless = alarm("first");
    nameless.as_object_mut().unwrap().remove("AlarmArn");
    let wrong = call(&world, Task::Rollback, &json!({ "Records": [record(&nameless)] })).await.unwrap_err();
    assert_eq!(wrong, "InvalidInput: Records[0].Sns.Message: `AlarmArn` is missing; add it");
}

#[tokio::test]
async fn the_lever_is_engaged_before_everything_is_rolled_back() {
    let world = running("unused").await;
    let result = call(&world, Task::Rollback, &sample("lever-engage.json")).await.unwrap();
    assert_eq!((&result["lever"]["engaged"], &result["runs"][0]["runId"]), (&json!(true), &json!("r")));
    assert_eq!(world.run(&run_id("r")).await.unwrap().unwrap().reason, Some(EndReason::SafetyLever));
    let lever = world.lever().await.unwrap().unwrap();
    assert_eq!((lever.engaged, &*lever.reason), (true, "game day is over"));
    let by = &sample("lever-engage.json")["by"];
    let run = world.run(&run_id("r")).await.unwrap().unwrap();
    let mut with_reason = by.clone();
    with_reason["reason"] = json!("game day is over");
    assert_eq!((json!(lever.by), json!(run.ended_by)), (by.clone(), with_reason));
    let methods = world.with(|state| state.ledger_methods.clone());
    let at = |method: &str| methods.iter().position(|called| *called == method);
    assert!(at("set_lever") < at("stop_run") && at("set_lever").is_some(), "{methods:?}");
    assert_eq!(result["moved"], json!(true));
    let again = json!({ "lever": { "engaged": true, "reason": "again" } });
    let again = call(&world, Task::Rollback, &again).await.unwrap();
    assert_eq!((&again["moved"], &again["lever"]), (&json!(false), &result["lever"]), "the first time and reason stay");
    let result = call(&world, Task::Rollback, &sample("lever-disengage.json")).await.unwrap();
    assert_eq!((&result["lever"]["engaged"], &result["runs"]), (&json!(false), &json!([])));
    assert!(!world.lever().await.unwrap().unwrap().engaged);
}

#[tokio::test]
async fn a_run_stopped_before_it_is_written_never_starts() {
    let world = world(&["checkout"]);
    let mut request = sample("rollback-stop.json");
    request["stop"] = json!("r");
    let result = call(&world, Task::Rollback, &request).await.unwrap();
    assert_eq!(result, json!({ "runs": [{ "runId": "r", "targets": [] }] }));
    let prepared = prepare(&world, "r", experiment(&["checkout"], &faults()[..1])).await.unwrap();
    assert_eq!(prepared["status"], "stopping");
    // A run that is active is rolled back.
    let world = running("unused").await;
    let result = call(&world, Task::Rollback, &request).await.unwrap();
    assert_eq!(result["runs"][0]["targets"].as_array().unwrap().len(), 1);
    assert_eq!(world.run(&run_id("r")).await.unwrap().unwrap().reason, Some(EndReason::UserRequest));
}

#[tokio::test]
async fn an_alarm_of_no_run_does_nothing() {
    let world = running("arn:aws:cloudwatch:eu-west-1:123456789012:alarm:another").await;
    let result = call(&world, Task::Rollback, &sample("alarm-metric.json")).await.unwrap();
    assert_eq!(result, json!({ "runs": [] }));
    assert_eq!(world.run(&run_id("r")).await.unwrap().unwrap().status, RunStatus::Running);
}

#[tokio::test]
async fn a_direct_rollback_names_its_run() {
    let mut request = sample("rollback-direct.json");
    let world = running("unused").await;
    let unknown = call(&world, Task::Rollback, &request).await.unwrap_err();
    assert!(unknown.starts_with("NoSuchRun: "), "{unknown}");
    request["runId"] = json!("r");
    let result = call(&world, Task::Rollback, &request).await.unwrap();
    assert_eq!(result["runs"][0]["runId"], "r");
    let run = world.run(&run_id("r")).await.unwrap().unwrap();
    assert_eq!(json!(run.ended_by), request["by"]);
    let all = running("unused").await;
    let result = call(&all, Task::Rollback, &sample("rollback-all.json")).await.unwrap();
    assert_eq!(result["runs"][0]["runId"], "r");
}

#[tokio::test]
async fn a_tick_reaches_the_reaper() {
    let world = running("unused").await;
    let result = call(&world, Task::Reaper, &sample("reaper-tick.json")).await.unwrap();
    let counts = json!({
        "active": 1, "overdue": 0, "handled": 0, "failedRestores": 0, "reportsStored": 0, "reportsNotStored": 0
    });
    assert_eq!(result, counts);
}

#[tokio::test]
async fn an_invalid_payload_is_refused_by_name() {
    let world = SimWorld::default();
    for (task, payload) in [
        (Task::Arm, json!({})),
        (Task::Inject, json!({ "runId": "r" })),
        (Task::Restore, json!({ "runId": "no spaces" })),
        (Task::Restore, json!({ "runId": "r", "rehearse": true })),
        (Task::Observe, json!({ "runId": "r", "sampleFrom": -1 })),
        (Task::Rollback, json!({ "runId": "r", "all": true })),
        (Task::Rollback, json!({})),
        (Task::Rollback, json!({ "stop": "r", "all": true })),
        (Task::Rollback, json!({ "lever": { "engaged": true } })),
        (Task::Rollback, json!({ "lever": { "engaged": true, "reason": "" } })),
        (Task::Rollback, json!({ "runId": "r", "by": "ana" })),
        (Task::Rollback, json!({ "runId": "r", "by": ["arn:aws:iam::123456789012:user/ana", "cli"] })),
        (Task::Rollback, json!({ "runId": "r", "by": { "via": "" } })),
        (Task::Rollback, json!({ "by": { "via": "command line" } })),
        (Task::Rollback, json!({ "alarmData": { "alarmName": "a", "state": { "value": "ALARM" } } })),
        (Task::Rollback, json!({ "Records": [{ "s3": {} }] })),
        (Task::Report, json!([])),
    ] {
        let error = call(&world, task, &payload).await.unwrap_err();
        assert!(error.starts_with("InvalidInput: "), "{task:?} {payload}: {error}");
    }
    assert!(Task::named("reap").is_err());
}

#[tokio::test]
async fn a_deleted_function_is_distinguished_from_a_restored_one() {
    let world = running("unused").await;
    world.with(|state| state.functions.remove(&function_arn("checkout")).map(|f: SimFunction| f.seen.timeout));
    world.advance(Duration::from_secs(60));
    let result = call(&world, Task::Rollback, &json!({ "runId": "r" })).await.unwrap();
    assert_eq!(result["runs"][0]["targets"][0]["status"], "deleted");
}
