//! Each role of the template allows what its task's steps call, and nothing more.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use snapback::plan::guardrails::CodeSigning;
use snapback::task::Task;
use snapback::testing::samples::{MAPPING, function_arn, layer_arn, world};
use snapback::testing::{SimWorld, Trouble};

use super::events::{call, prepare};

/// The DynamoDB actions behind a method of the ledger; a transaction needs the rights of its parts.
fn ledger_actions(method: &str) -> &'static [&'static str] {
    match method {
        "create_run" => &["ConditionCheckItem", "PutItem"],
        "add_targets" | "arm" | "begin_inject" | "injected" => &["ConditionCheckItem", "UpdateItem"],
        "take_lock" => &["ConditionCheckItem", "UpdateItem", "GetItem"],
        "stop_run" => &["UpdateItem", "GetItem", "PutItem"],
        "finish" | "begin_observing" => &["UpdateItem", "GetItem"],
        "retire_run" => &["UpdateItem", "DeleteItem"],
        "set_lever" => &["PutItem"],
        "run" | "target" | "lock" | "lever" => &["GetItem"],
        "targets" | "active_runs" | "runs_of_alarm" => &["Query"],
        "start_run" | "judge_run" | "close_run" | "begin_restore" | "settle" | "restore_failed" => &["UpdateItem"],
        other => panic!("which actions does {other} need?"),
    }
}

/// The IAM actions behind a call to any other service.
fn call_actions(call: &str) -> &'static [&'static str] {
    match call {
        // GetFunction shows tags to those who may list them.
        "GetFunction" => &["lambda:GetFunction", "lambda:ListTags"],
        "ListTags" => &["lambda:ListTags"],
        "ListEventSourceMappings" => &["lambda:ListEventSourceMappings"],
        "ListAliases" => &["lambda:ListAliases"],
        "ListVersionsByFunction" => &["lambda:ListVersionsByFunction"],
        "GetLayerVersion" => &["lambda:GetLayerVersion"],
        "GetFunctionCodeSigningConfig" => &["lambda:GetFunctionCodeSigningConfig"],
        "GetCodeSigningConfig" => &["lambda:GetCodeSigningConfig"],
        // Attaching a layer needs the right to read it.
        "UpdateFunctionConfiguration" => &["lambda:UpdateFunctionConfiguration", "lambda:GetLayerVersion"],
        // An original may be absent or present, so who writes one may have to write the other.
        "PutFunctionConcurrency" | "DeleteFunctionConcurrency" => {
            &["lambda:PutFunctionConcurrency", "lambda:DeleteFunctionConcurrency"]
        }
        "UpdateEventSourceMapping" => &["lambda:UpdateEventSourceMapping"],
        "GetResources" => &["tag:GetResources"],
        "DescribeAlarms" => &["cloudwatch:DescribeAlarms"],
        "GetMetricData" => &["cloudwatch:GetMetricData"],
        "DescribeExecution" => &["states:DescribeExecution"],
        "GetItem" | "PutItem" | "UpdateItem" | "Query" | "Scan" | "TransactWriteItems" => &[],
        other => panic!("which actions does {other} need?"),
    }
}

/// What the world was asked since the last time.
fn taken(world: &SimWorld) -> BTreeSet<String> {
    world.with(|state| {
        let calls = std::mem::take(&mut state.calls);
        let methods = std::mem::take(&mut state.ledger_methods);
        let table = methods.iter().flat_map(|method| ledger_actions(method)).map(|action| format!("dynamodb:{action}"));
        calls.iter().flat_map(|call| call_actions(call)).map(|action| (*action).to_owned()).chain(table).collect()
    })
}

/// One experiment with every surface, a tag target and a metric.
fn experiment() -> Value {
    json!({
        "name": "all of it", "duration": "PT1M",
        "targets": [{ "tags": { "team": "shop" } }],
        "faults": [
            { "reservedConcurrency": { "limit": 0 } },
            { "handler": { "handler": "chaos.handler", "layers": [layer_arn("chaos")] } },
            { "eventSourceMapping": { "disable": MAPPING } }
        ],
        "stopConditions": [{ "alarm": "errors" }],
        "steadyState": [{ "alarm": "errors" }, {
            "metric": { "namespace": "AWS/Lambda", "name": "Errors", "statistic": "Sum", "period": "PT1M" }, "below": 5
        }]
    })
}

fn target() -> Value {
    json!({ "runId": "r", "function": function_arn("checkout") })
}

/// The same target, as a batch of one.
fn batch() -> Value {
    json!({ "runId": "r", "functions": [function_arn("checkout")] })
}

async fn injected() -> SimWorld {
    let world = world(&["checkout"]);
    prepare(&world, "r", experiment()).await.unwrap();
    for task in [Task::Arm, Task::Inject, Task::Observe] {
        let payload = if task == Task::Observe { json!({ "runId": "r" }) } else { target() };
        call(&world, task, &payload).await.unwrap();
    }
    taken(&world);
    world
}

/// Code has to be signed, and what is not is taken with a warning.
const WARNING: CodeSigning = CodeSigning::On { enforced: false, trusted: Vec::new() };

/// Everything that a task does in its life, its ways out of trouble included.
async fn lived(task: Task) -> BTreeSet<String> {
    let run = json!({ "runId": "r" });
    match task {
        Task::Prepare => {
            let world = world(&["checkout"]);
            world.with(|state| state.functions.values_mut().for_each(|f| f.code_signing = WARNING));
            prepare(&world, "r", experiment()).await.unwrap();
            let mut actions = taken(&world);
            // Carried on by a second try, when the alarm has tripped meanwhile.
            world.with(|state| {
                state.alarms.insert("errors".into(), true);
                state.runs.values_mut().for_each(|run| run.status = snapback::model::run::RunStatus::Pending);
            });
            prepare(&world, "r", experiment()).await.unwrap();
            actions.extend(taken(&world));
            actions
        }
        Task::Arm => {
            let world = world(&["checkout"]);
            prepare(&world, "r", experiment()).await.unwrap();
            taken(&world);
            call(&world, task, &target()).await.unwrap();
            let mut actions = taken(&world);
            call(&world, task, &batch()).await.unwrap();
            actions.extend(taken(&world));
            actions
        }
        Task::Inject => {
            let world = world(&["checkout"]);
            prepare(&world, "r", experiment()).await.unwrap();
            call(&world, Task::Arm, &target()).await.unwrap();
            taken(&world);
            // Somebody deploys, so that it arms again.
            world.with(|state| {
                state.functions.values_mut().for_each(|f| f.edit(|seen| seen.concurrency = 9.into_slot()))
            });
            call(&world, task, &target()).await.unwrap();
            let mut actions = taken(&world);
            // And once more, with an alarm that trips before the first write.
            let tripped = self::world_with_alarm().await;
            call(&tripped, task, &batch()).await.unwrap();
            actions.extend(taken(&tripped));
            actions
        }
        Task::Observe => {
            let world = injected().await;
            world.pass(120);
            call(&world, task, &run).await.unwrap();
            taken(&world)
        }
        Task::Restore => {
            let world = injected().await;
            call(&world, task, &run).await.unwrap();
            let mut actions = restored(&world, &target(), task).await;
            let world = injected().await;
            call(&world, task, &run).await.unwrap();
            actions.extend(restored(&world, &batch(), task).await);
            actions
        }
        Task::Report => {
            let world = injected().await;
            call(&world, Task::Restore, &run).await.unwrap();
            world.pass(60);
            call(&world, Task::Restore, &target()).await.unwrap();
            taken(&world);
            // Until a whole period of the metric has passed since the restore.
            world.pass(300);
            call(&world, task, &run).await.unwrap();
            taken(&world)
        }
        Task::Rollback => {
            let world = injected().await;
            let mut event = json!({
                "detail-type": "CloudWatch Alarm State Change", "source": "aws.cloudwatch", "resources": ["none"],
                "detail": { "alarmName": "errors", "state": { "value": "ALARM" } }
            });
            call(&world, task, &event).await.unwrap();
            event["resources"] = json!([snapback::testing::samples::alarm_arn("errors")]);
            let mut actions = restored(&world, &event, task).await;
            call(&world, task, &json!({ "all": true })).await.unwrap();
            call(&world, task, &run).await.unwrap();
            call(&world, task, &json!({ "stop": "never-written" })).await.unwrap();
            call(&world, task, &json!({ "lever": { "engaged": true, "reason": "a test" } })).await.unwrap();
            actions.extend(taken(&world));
            actions
        }
        Task::Reaper => {
            let world = injected().await;
            world.with(|state| state.dead_executions.push("arn:execution:r".into()));
            restored(&world, &json!({}), task).await
        }
    }
}

/// A restore that is refused once, and then succeeds.
async fn restored(world: &SimWorld, payload: &Value, task: Task) -> BTreeSet<String> {
    world.pass(60);
    world.with(|state| state.trouble.push(("UpdateFunctionConfiguration", Trouble::Denied)));
    let _ = call(world, task, payload).await;
    world.pass(60);
    call(world, task, payload).await.unwrap();
    taken(world)
}

async fn world_with_alarm() -> SimWorld {
    let world = world(&["checkout"]);
    prepare(&world, "r", experiment()).await.unwrap();
    call(&world, Task::Arm, &target()).await.unwrap();
    world.with(|state| state.alarms.insert("errors".into(), true));
    taken(&world);
    world
}

trait IntoSlot {
    fn into_slot(self) -> snapback::model::function::Slot<u32>;
}

impl IntoSlot for u32 {
    fn into_slot(self) -> snapback::model::function::Slot<u32> {
        snapback::model::function::Slot::Present(self)
    }
}

/// The actions that the role `Role` of the template allows. Every action stands in its role's block, a block ends with
/// the next logical name, and what the template denies is not allowed.
fn allowed(template: &str, role: &str) -> BTreeSet<String> {
    let block =
        template.split(&format!("\n  {role}:\n")).nth(1).unwrap_or_else(|| panic!("the template has no {role}"));
    let end = block
        .lines()
        .position(|line| line.starts_with("  ") && !line.starts_with("   ") && !line.trim_start().starts_with('#'));
    let lines: Vec<&str> = block.lines().take(end.unwrap_or(usize::MAX)).collect();
    let text = lines.join("\n");
    let services = ["lambda", "dynamodb", "cloudwatch", "tag", "states"];
    text.split("Effect")
        .filter(|statement| !statement.trim_start_matches(['"', ':', ' ']).starts_with("Deny"))
        .flat_map(|statement| statement.split(|c: char| !c.is_ascii_alphanumeric() && c != ':'))
        .filter(|word| {
            word.split_once(':').is_some_and(|(service, action)| services.contains(&service) && starts_upper(action))
        })
        .map(str::to_owned)
        .collect()
}

fn starts_upper(action: &str) -> bool {
    action.starts_with(|c: char| c.is_ascii_uppercase()) && !action.contains(':')
}

#[tokio::test]
async fn each_role_allows_what_its_task_calls_and_nothing_more() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("infra/template.yaml");
    let template = std::fs::read_to_string(path).unwrap();
    let mut wrong = Vec::new();
    for (task, role) in [
        (Task::Prepare, "PrepareRole"),
        (Task::Arm, "ArmRole"),
        (Task::Inject, "InjectRole"),
        (Task::Observe, "ObserveRole"),
        (Task::Restore, "RestoreRole"),
        (Task::Report, "ReportRole"),
        (Task::Rollback, "RollbackRole"),
        (Task::Reaper, "ReaperRole"),
    ] {
        let (called, allowed) = (Box::pin(lived(task)).await, allowed(&template, role));
        let missing: Vec<_> = called.difference(&allowed).collect();
        let idle: Vec<_> = allowed.difference(&called).collect();
        if !missing.is_empty() || !idle.is_empty() {
            wrong
                .push(format!("{role}: not allowed though called: {missing:?}; allowed though never called: {idle:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a Distributed Map needs of its state machine's role (step-functions/latest/dg/iam-policies-eg-dist-map).
#[test]
fn the_state_machine_may_run_its_batches_and_nobody_elses() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("infra/template.yaml");
    let template = std::fs::read_to_string(path).unwrap();
    let expected = ["DescribeExecution", "StartExecution", "StopExecution"].map(|action| format!("states:{action}"));
    let states = allowed(&template, "ExperimentRole").into_iter().filter(|action| action.starts_with("states:"));
    assert_eq!(states.collect::<Vec<_>>(), expected);
    let statements = template.split("Sid: StartBatches").nth(1).unwrap().split("Sid: DeliverLogs").next().unwrap();
    let resources: Vec<&str> =
        statements.split("${AWS::AccountId}:").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(
        resources,
        ["stateMachine:${Prefix}-experiment", "execution:${Prefix}-experiment:*", "execution:${Prefix}-experiment/*"]
    );
}
