//! Each role of the template allows exactly what the steps of its tasks call.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use snapback::model::facts::CodeSigning;
use snapback::model::function::Slot;
use snapback::model::settings::{Settings, TASKS};
use snapback::ports::Clock;
use snapback::steps::Budget;
use snapback::task::{Task, handle};
use snapback::testing::samples::{MAPPING, function_arn, layer_arn, settings, world};
use snapback::testing::{CallFailure, SimWorld};

use super::events::{call, prepare};

/// The DynamoDB actions of a method of the ledger. A transaction needs the rights of its parts.
fn ledger_actions(method: &str) -> &'static [&'static str] {
    match method {
        "create_run" => &["ConditionCheckItem", "PutItem"],
        "add_targets" | "arm" | "mark_rehearsed" | "begin_inject" | "mark_injected" | "begin_restore" => {
            &["ConditionCheckItem", "UpdateItem"]
        }
        "take_lock" => &["ConditionCheckItem", "UpdateItem", "GetItem"],
        "stop_run" => &["UpdateItem", "GetItem", "PutItem"],
        "end_target" | "begin_observing" | "set_lever" | "record_removed_faults" => &["UpdateItem", "GetItem"],
        "retire_run" => &["UpdateItem", "DeleteItem", "PutItem"],
        "keep_metrics" => &["UpdateItem"],
        "end_keeping" => &["DeleteItem"],
        "unlisted_runs" => &["Scan"],
        "relist_run" => &["PutItem"],
        "run" | "target" | "lock" | "lever" | "kept_metrics" => &["GetItem"],
        "targets" | "active_runs" | "runs_of_alarm" | "runs_awaiting_metrics" => &["Query"],
        "start_run" | "record_findings" | "close_run" | "shorten_lease" | "record_restore_error" | "record_waiting" => {
            &["UpdateItem"]
        }
        other => panic!("which actions does {other} need?"),
    }
}

/// The IAM actions of a call to any other service.
fn call_actions(call: &str) -> &'static [&'static str] {
    match call {
        "GetFunction" => &["lambda:GetFunction"],
        "ListTags" => &["lambda:ListTags"],
        "ListEventSourceMappings" => &["lambda:ListEventSourceMappings"],
        "GetEventSourceMapping" => &["lambda:GetEventSourceMapping"],
        "ListAliases" => &["lambda:ListAliases"],
        "ListVersionsByFunction" => &["lambda:ListVersionsByFunction"],
        "GetLayerVersion" => &["lambda:GetLayerVersion"],
        "GetRuntimeManagementConfig" => &["lambda:GetRuntimeManagementConfig"],
        "GetAccountSettings" => &["lambda:GetAccountSettings"],
        "GetFunctionCodeSigningConfig" => &["lambda:GetFunctionCodeSigningConfig"],
        "GetCodeSigningConfig" => &["lambda:GetCodeSigningConfig"],
        // Attaching a layer needs the right to read it.
        "UpdateFunctionConfiguration" => &["lambda:UpdateFunctionConfiguration", "lambda:GetLayerVersion"],
        "PutFunctionConcurrency" => &["lambda:PutFunctionConcurrency"],
        "DeleteFunctionConcurrency" => &["lambda:DeleteFunctionConcurrency"],
        "UpdateEventSourceMapping" => &["lambda:UpdateEventSourceMapping"],
        "GetResources" => &["tag:GetResources"],
        "DescribeAlarms" => &["cloudwatch:DescribeAlarms"],
        "GetMetricData" => &["cloudwatch:GetMetricData"],
        "DescribeExecution" => &["states:DescribeExecution"],
        "PutObject" => &["s3:PutObject"],
        "GetItem" | "PutItem" | "UpdateItem" | "Query" | "Scan" | "TransactWriteItems" => &[],
        other => panic!("which actions does {other} need?"),
    }
}

/// Returns the actions of all calls since the last time.
pub fn taken(world: &SimWorld) -> BTreeSet<String> {
    world.with(|state| {
        let calls = std::mem::take(&mut state.calls);
        let methods = std::mem::take(&mut state.ledger_methods);
        let table = methods.iter().flat_map(|method| ledger_actions(method)).map(|action| format!("dynamodb:{action}"));
        calls.iter().flat_map(|call| call_actions(call)).map(|action| (*action).to_owned()).chain(table).collect()
    })
}

/// An experiment with every surface, a tag target and a metric.
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
    injected_in(world(&["checkout"])).await
}

async fn injected_in(world: SimWorld) -> SimWorld {
    prepare(&world, "r", experiment()).await.unwrap();
    call(&world, Task::Arm, &target()).await.unwrap();
    rehearse(&world).await;
    call(&world, Task::Inject, &target()).await.unwrap();
    call(&world, Task::Observe, &run()).await.unwrap();
    taken(&world);
    world
}

/// Rehearses the target before anything is injected.
async fn rehearse(world: &SimWorld) {
    let mut rehearsal = target();
    rehearsal["rehearse"] = json!(true);
    call(world, Task::Restore, &rehearsal).await.unwrap();
}

/// A code signing configuration that accepts unsigned code with a warning.
const WARNING: CodeSigning = CodeSigning::On { enforced: false, trusted: Vec::new() };

/// The actions that a task needs in all of its ways, including its retries and failures.
async fn actions_of(task: Task) -> BTreeSet<String> {
    match task {
        Task::Prepare => prepare_actions().await,
        Task::Arm => arm_actions().await,
        Task::Inject => inject_actions().await,
        Task::Observe => observe_actions().await,
        Task::Restore => restore_actions().await,
        Task::Report => report_actions().await,
        Task::Rollback => rollback_actions().await,
        Task::Reaper => reaper_actions().await,
        Task::Notify => super::outbox::notify_actions().await,
    }
}

fn run() -> Value {
    json!({ "runId": "r" })
}

/// The actions of prepare, also for a run that was already started when the alarm tripped.
async fn prepare_actions() -> BTreeSet<String> {
    let world = world(&["checkout"]);
    world.with(|state| state.functions.values_mut().for_each(|f| f.code_signing = WARNING));
    prepare(&world, "r", experiment()).await.unwrap();
    let mut actions = taken(&world);
    // A fault that makes invocations slower, on a function without reserved concurrency, in a stack that reserves none.
    let slow = self::world(&["payment"]);
    slow.with(|state| state.functions.values_mut().for_each(|f| f.edit(|seen| seen.concurrency = Slot::Absent)));
    let memory = json!({
        "name": "slow", "duration": "PT1M", "targets": [{ "function": "payment" }],
        "faults": [{ "memory": { "megabytes": 128 } }]
    });
    let none = Settings { reserved_concurrency: 0, ..settings() };
    let payload = json!({ "execution": { "id": "arn:execution:s", "name": "s" }, "experiment": memory });
    let budget = Budget { deadline: slow.now() + Duration::from_secs(30) };
    handle(Task::Prepare, &slow, &none, budget, &payload).await.unwrap();
    actions.extend(taken(&slow));
    // A retry resumes the run, and the alarm has tripped in the meantime.
    world.with(|state| {
        state.alarms.insert("errors".into(), true);
        state.runs.values_mut().for_each(|run| run.status = snapback::model::run::RunStatus::Pending);
    });
    prepare(&world, "r", experiment()).await.unwrap();
    actions.extend(taken(&world));
    actions
}

/// The actions of arm, for one target and for a batch.
async fn arm_actions() -> BTreeSet<String> {
    let world = world(&["checkout"]);
    prepare(&world, "r", experiment()).await.unwrap();
    taken(&world);
    call(&world, Task::Arm, &target()).await.unwrap();
    let mut actions = taken(&world);
    call(&world, Task::Arm, &batch()).await.unwrap();
    actions.extend(taken(&world));
    actions
}

/// The actions of inject: after a deploy, after another rehearsal, and after an alarm before its first write.
async fn inject_actions() -> BTreeSet<String> {
    let world = world(&["checkout"]);
    prepare(&world, "r", experiment()).await.unwrap();
    call(&world, Task::Arm, &target()).await.unwrap();
    rehearse(&world).await;
    taken(&world);
    // After a deploy, inject arms again.
    world.with(|state| state.functions.values_mut().for_each(|f| f.edit(|seen| seen.concurrency = 9.into_slot())));
    call(&world, Task::Inject, &target()).await.unwrap();
    let mut actions = taken(&world);
    rehearse(&world).await;
    taken(&world);
    call(&world, Task::Inject, &target()).await.unwrap();
    actions.extend(taken(&world));
    // In another run, an alarm trips before the first write.
    let tripped = self::world_with_alarm().await;
    call(&tripped, Task::Inject, &batch()).await.unwrap();
    actions.extend(taken(&tripped));
    actions
}

/// The actions of observe, also after a deploy has removed a fault.
async fn observe_actions() -> BTreeSet<String> {
    let world = injected().await;
    // A deploy removes a fault.
    world.advance(Duration::from_secs(60));
    world.with(|state| state.functions.values_mut().for_each(|f| f.edit(|seen| seen.concurrency = 9.into_slot())));
    call(&world, Task::Observe, &run()).await.unwrap();
    world.advance(Duration::from_secs(120));
    call(&world, Task::Observe, &run()).await.unwrap();
    taken(&world)
}

/// The actions of restore: the rehearsal, one target and a batch.
async fn restore_actions() -> BTreeSet<String> {
    let armed = self::world(&["checkout"]);
    prepare(&armed, "r", experiment()).await.unwrap();
    call(&armed, Task::Arm, &target()).await.unwrap();
    taken(&armed);
    rehearse(&armed).await;
    let rehearsed = taken(&armed);
    let world = injected().await;
    call(&world, Task::Restore, &run()).await.unwrap();
    let mut actions = restored(&world, &target(), Task::Restore).await;
    actions.extend(rehearsed);
    let world = injected().await;
    call(&world, Task::Restore, &run()).await.unwrap();
    actions.extend(restored(&world, &batch(), Task::Restore).await);
    // A reserved concurrency that was absent is deleted.
    let unreserved = self::world(&["checkout"]);
    unreserved.with(|state| state.functions.values_mut().for_each(|f| f.edit(|seen| seen.concurrency = Slot::Absent)));
    let world = injected_in(unreserved).await;
    call(&world, Task::Restore, &run()).await.unwrap();
    actions.extend(restored(&world, &target(), Task::Restore).await);
    // It refuses functions with the tag of snapback's own, and GetFunction shows tags only to roles that may list them.
    actions.insert("lambda:ListTags".to_owned());
    actions
}

/// The actions of report, which evaluates the steady state.
async fn report_actions() -> BTreeSet<String> {
    let world = injected().await;
    call(&world, Task::Restore, &run()).await.unwrap();
    world.advance(Duration::from_secs(60));
    call(&world, Task::Restore, &target()).await.unwrap();
    taken(&world);
    // Wait until a whole period of the metric has passed since the restore.
    world.advance(Duration::from_secs(300));
    call(&world, Task::Report, &run()).await.unwrap();
    taken(&world)
}

/// The actions of rollback, for each form of its payload.
async fn rollback_actions() -> BTreeSet<String> {
    let world = injected().await;
    let mut event = json!({
        "detail-type": "CloudWatch Alarm State Change", "source": "aws.cloudwatch", "resources": ["none"],
        "detail": { "alarmName": "errors", "state": { "value": "ALARM" } }
    });
    call(&world, Task::Rollback, &event).await.unwrap();
    event["resources"] = json!([snapback::testing::samples::alarm_arn("errors")]);
    let mut actions = restored(&world, &event, Task::Rollback).await;
    call(&world, Task::Rollback, &json!({ "all": true })).await.unwrap();
    call(&world, Task::Rollback, &run()).await.unwrap();
    call(&world, Task::Rollback, &json!({ "stop": "never-written" })).await.unwrap();
    call(&world, Task::Rollback, &json!({ "lever": { "engaged": true, "reason": "a test" } })).await.unwrap();
    actions.extend(taken(&world));
    actions
}

/// The actions of the reaper, also for a function that was deleted, and for a run that was over some minutes ago.
async fn reaper_actions() -> BTreeSet<String> {
    let world = injected().await;
    let stopped = vec!["arn:execution:r".into()];
    world.with(|state| (state.dead_executions, state.reports) = (stopped, Some([].into())));
    let mut actions = restored(&world, &json!({}), Task::Reaper).await;
    world.advance(Duration::from_secs(600));
    call(&world, Task::Reaper, &json!({})).await.unwrap();
    assert_eq!(world.with(|state| state.reports.as_ref().map(|all| all.len())), Some(1));
    actions.extend(taken(&world));
    // A mapping outlives its function.
    let deleted = injected().await;
    deleted.with(|state| (state.functions, state.dead_executions) = ([].into(), vec!["arn:execution:r".into()]));
    actions.extend(restored(&deleted, &json!({}), Task::Reaper).await);
    actions
}

/// Restores: the first attempt is refused, the second one succeeds.
async fn restored(world: &SimWorld, payload: &Value, task: Task) -> BTreeSet<String> {
    world.advance(Duration::from_secs(60));
    world.with(|state| state.call_failures.push(("UpdateFunctionConfiguration", CallFailure::Denied)));
    let _ = call(world, task, payload).await;
    world.advance(Duration::from_secs(60));
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
    fn into_slot(self) -> Slot<u32>;
}

impl IntoSlot for u32 {
    fn into_slot(self) -> Slot<u32> {
        Slot::Present(self)
    }
}

/// The actions that a role of the template allows. They are in the role's own block and, for the ledger and the bucket for
/// reports, in separate policies. Denied actions do not count.
pub fn allowed(template: &str, role: &str) -> BTreeSet<String> {
    let mut actions = actions(&resource(template, role));
    for policy in ["LedgerPolicy", "ReportPolicy"] {
        let Some(policy) = find_resource(template, &role.replace("Role", policy)) else { continue };
        assert!(policy.contains(&format!("Roles: [!Ref {role}]")), "{policy}");
        actions.extend(self::actions(&policy));
    }
    actions
}

pub fn actions(block: &str) -> BTreeSet<String> {
    let services = ["lambda", "dynamodb", "cloudwatch", "tag", "states", "s3"];
    block
        .split("Effect")
        .filter(|statement| !statement.trim_start_matches(['"', ':', ' ']).starts_with("Deny"))
        .flat_map(|statement| statement.split(|c: char| !c.is_ascii_alphanumeric() && c != ':'))
        .filter(|word| {
            word.split_once(':').is_some_and(|(service, action)| services.contains(&service) && starts_upper(action))
        })
        .map(str::to_owned)
        .collect()
}

pub fn resource(template: &str, name: &str) -> String {
    find_resource(template, name).unwrap_or_else(|| panic!("the template has no {name}"))
}

/// The block of one resource, which ends with the next logical name.
fn find_resource(template: &str, name: &str) -> Option<String> {
    let block = template.split(&format!("\n  {name}:\n")).nth(1)?;
    let end = block
        .lines()
        .position(|line| line.starts_with("  ") && !line.starts_with("   ") && !line.trim_start().starts_with('#'));
    let lines: Vec<&str> = block.lines().take(end.unwrap_or(usize::MAX)).collect();
    Some(lines.join("\n"))
}

fn starts_upper(action: &str) -> bool {
    action.starts_with(|c: char| c.is_ascii_uppercase()) && !action.contains(':')
}

/// Each role of the template, and the tasks that run under it. The three tasks that undo share one role, which is rehearsed
/// before the first change. With separate roles, a missing right would show only when it is too late.
pub const ROLES: &[(&[Task], &str)] = &[
    (&[Task::Prepare], "PrepareRole"),
    (&[Task::Arm], "ArmRole"),
    (&[Task::Inject], "InjectRole"),
    (&[Task::Observe], "ObserveRole"),
    (&[Task::Restore, Task::Rollback, Task::Reaper], "UndoRole"),
    (&[Task::Report], "ReportRole"),
    (&[Task::Notify], "NotifyRole"),
];

pub fn template() -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("infra/template.yaml");
    std::fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn each_role_allows_what_its_tasks_call_and_nothing_more() {
    let template = template();
    let mut wrong = Vec::new();
    for (tasks, role) in ROLES {
        let mut called = BTreeSet::new();
        for task in *tasks {
            called.extend(Box::pin(actions_of(*task)).await);
        }
        let allowed = allowed(&template, role);
        let missing: Vec<_> = called.difference(&allowed).collect();
        let idle: Vec<_> = allowed.difference(&called).collect();
        if !missing.is_empty() || !idle.is_empty() {
            wrong.push(format!("{role}: called but not allowed: {missing:?}; allowed but never called: {idle:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A forged record in the ledger must not turn the undo against snapback itself.
#[test]
fn no_role_can_change_snapbacks_own_functions() {
    const WRITES: [&str; 4] = [
        "lambda:UpdateFunctionConfiguration",
        "lambda:PutFunctionConcurrency",
        "lambda:DeleteFunctionConcurrency",
        "lambda:UpdateEventSourceMapping",
    ];
    let template = template();
    for (_, role) in ROLES {
        let writes = allowed(&template, role).iter().any(|action| WRITES.contains(&action.as_str()));
        let denied = resource(&template, role).contains("- !Ref NeverSnapback\n");
        assert_eq!(writes, denied, "{role}");
    }
    let policy = resource(&template, "NeverSnapback");
    assert!(!policy.contains("Effect: Allow") && policy.matches("Effect: Deny").count() == 2, "{policy}");
    for action in WRITES {
        assert!(policy.contains(action), "{action}");
    }
    for task in TASKS {
        // The function itself, and each of its versions and aliases: once for functions, once for mappings.
        for arn in [format!("function:${{Prefix}}-{task}\""), format!("function:${{Prefix}}-{task}:*\"")] {
            assert_eq!(policy.matches(&arn).count(), 2, "{arn}");
        }
    }
}

/// The undo restores what the ledger contains, so only the stack's roles may write to it.
#[test]
fn only_the_stacks_roles_may_write_to_the_ledger() {
    // The actions that write items (service-authorization/latest/reference/list_amazondynamodb).
    const WRITES: [&str; 7] = [
        "dynamodb:BatchWriteItem",
        "dynamodb:DeleteItem",
        "dynamodb:PartiQLDelete",
        "dynamodb:PartiQLInsert",
        "dynamodb:PartiQLUpdate",
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
    ];
    let template = template();
    let table = resource(&template, "LedgerTable");
    // The policy that denies must have each of these. One more could deny what CloudFormation needs.
    let denied = table.split("Effect: Deny").nth(1).unwrap().split("Condition:").next().unwrap();
    assert_eq!(actions(denied), WRITES.map(str::to_owned).into());
    let writers: BTreeSet<&str> = table
        .split("ArnNotEquals:")
        .nth(1)
        .unwrap()
        .split("# Without")
        .next()
        .unwrap()
        .split("!GetAtt ")
        .skip(1)
        .map(|rest| rest.split(".Arn").next().unwrap())
        .collect();
    let writes = |role: &&str| allowed(&template, role).iter().any(|action| WRITES.contains(&action.as_str()));
    let writing = ROLES.iter().map(|(_, role)| *role).filter(writes);
    assert_eq!(writers, writing.collect());
}

/// Reading a target decrypts its environment, and writing one encrypts it.
#[test]
fn every_role_that_needs_the_targets_keys_has_them() {
    let template = template();
    for (_, role) in ROLES {
        let (allowed, block) = (allowed(&template, role), resource(&template, role));
        for (action, policy) in
            [("lambda:GetFunction", "ReadTargetKeys"), ("lambda:UpdateFunctionConfiguration", "WriteTargetKeys")]
        {
            let has = block.contains(&format!("- !If [HasTargetKeys, !Ref {policy}, !Ref AWS::NoValue]"));
            assert_eq!(allowed.contains(action), has, "{role}: {action} and {policy}");
        }
    }
    assert!(resource(&template, "ReadTargetKeys").contains("Action: kms:Decrypt"));
    assert!(resource(&template, "WriteTargetKeys").contains("Action: kms:Encrypt"));
}

/// The rights that a Distributed Map needs (step-functions/latest/dg/iam-policies-eg-dist-map).
#[test]
fn the_state_machine_may_run_only_its_own_batches() {
    let template = template();
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
