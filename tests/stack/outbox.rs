//! The events that snapback sends: in the lab, each transition reaches the bus once, in order, and without a value of a variable.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use snapback::task::Task;
use snapback::testing::SimWorld;

use super::events::call;
use super::lab::{Lab, eventually, experiment, watched_experiment};
use super::real_parts::Parts;
use super::roles::{resource, taken, template};
use super::schema::notices;

/// The name and the ARN of the topic that gets the sentences.
const TOPIC: &str = "chat";
const TOPIC_ARN: &str = "arn:aws:sns:us-east-1:000000000000:chat";
/// A value that a fault sets.
const INJECTED: &str = "hunter2-injected";
const MEMORY: &str = "memory: {megabytes: 1024}";
/// All that the pipe's role may do (eventbridge/latest/userguide/eb-pipes-permissions).
const PIPE_ACTIONS: [&str; 7] = [
    "dynamodb:DescribeStream",
    "dynamodb:GetRecords",
    "dynamodb:GetShardIterator",
    "dynamodb:ListStreams",
    "events:PutEvents",
    "lambda:InvokeFunction",
    "sqs:SendMessage",
];

/// Records of several kinds of items, as the pipe sends them. Only notify's tests send more than one at a time.
fn records() -> Value {
    serde_json::from_str(include_str!("../../events/notify-records.json")).unwrap()
}

/// The actions of notify, which only turns records into events.
pub async fn notify_actions() -> BTreeSet<String> {
    let world = SimWorld::default();
    let sent = call(&world, Task::Notify, &records()).await.unwrap();
    let types: Vec<&str> = sent.as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["Run Started", "Lever Moved"]);
    assert_eq!((&sent[0]["time"], &sent[1]["engaged"]), (&json!("2026-06-01T00:00:01Z"), &json!(true)));
    taken(&world)
}

#[tokio::test]
async fn notify_names_what_it_cannot_read() {
    let world = SimWorld::default();
    let wrong = call(&world, Task::Notify, &json!({ "Records": [] })).await.unwrap_err();
    assert_eq!(
        wrong,
        "InvalidInput: this is not an array of records of a DynamoDB stream; let the pipe call this function"
    );
    let mut damaged = records();
    damaged[0]["dynamodb"]["NewImage"]["status"] = json!({ "S": INJECTED });
    let wrong = call(&world, Task::Notify, &damaged).await.unwrap_err();
    assert!(wrong.starts_with("LedgerUnusable: run checkout-1: status in the ledger cannot be read"), "{wrong}");
    assert!(!wrong.contains(INJECTED), "{wrong}");
}

#[test]
fn only_the_pipe_reads_the_stream_and_calls_notify() {
    let template = template();
    let actions: BTreeSet<String> = resource(&template, "EventPipePolicy")
        .split(|c: char| !c.is_ascii_alphanumeric() && c != ':')
        .filter(|word| ["dynamodb:", "events:", "lambda:", "sqs:"].iter().any(|service| word.starts_with(service)))
        .map(str::to_owned)
        .collect();
    assert_eq!(actions, PIPE_ACTIONS.map(str::to_owned).into());
    assert_eq!(template.matches("dynamodb:GetRecords").count(), 2, "the pipe's right, and the stream's policy");
    let table = resource(&template, "LedgerTable");
    let denied = table.split("Sid: OnlyThePipeReads").nth(1).unwrap();
    assert!(denied.contains("ArnNotEquals: { \"aws:PrincipalArn\": !GetAtt EventPipeRole.Arn }"), "{denied}");
    // A log of executions or an input template could show records.
    let pipe = resource(&template, "EventPipe");
    assert!(!pipe.contains("LogConfiguration") && !pipe.contains("InputTemplate"), "{pipe}");
    assert!(pipe.contains("BatchSize: 1\n") && pipe.contains("ParallelizationFactor: 1\n"), "{pipe}");
}

/// What listens in the lab: a queue for the events on the bus, and one for the sentences of the topic.
struct Listener<'a> {
    lab: &'a Lab,
    events: Vec<Value>,
}

impl<'a> Listener<'a> {
    fn start(lab: &'a Lab) -> Self {
        // A received message stays hidden until the test is over, so each is received once.
        for queue in ["listen", "read"] {
            let statement = json!({
                "Effect": "Allow", "Principal": { "Service": "sns.amazonaws.com" }, "Action": "sqs:SendMessage",
                "Resource": arn(queue), "Condition": { "ArnEquals": { "aws:SourceArn": TOPIC_ARN } }
            });
            let policy = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
            let attributes = json!({ "VisibilityTimeout": "7200", "Policy": policy }).to_string();
            lab.aws(&["sqs", "create-queue", "--queue-name", queue, "--attributes", &attributes]);
        }
        lab.aws(&["events", "put-rule", "--name", "listen", "--event-pattern", r#"{"source":["snapback"]}"#]);
        lab.aws(&[
            "events",
            "put-targets",
            "--rule",
            "listen",
            "--targets",
            &format!("Id=queue,Arn={}", arn("listen")),
        ]);
        lab.aws(&["sns", "create-topic", "--name", TOPIC]);
        let to = ["--protocol", "sqs", "--notification-endpoint", &arn("read")];
        lab.aws(&[&["sns", "subscribe", "--topic-arn", TOPIC_ARN], &to[..]].concat());
        Self { lab, events: Vec::new() }
    }

    /// Returns the next messages of a queue, in the order in which they were sent.
    fn receive(&self, queue: &str) -> Vec<Value> {
        let url = format!("{}/000000000000/{queue}", self.lab.description("endpoint"));
        let most = ["--max-number-of-messages", "10"];
        let received = self.lab.aws(&[&["sqs", "receive-message", "--queue-url", &url], &most[..]].concat());
        let messages = received["Messages"].as_array().cloned().unwrap_or_default();
        messages.iter().map(|message| serde_json::from_str(message["Body"].as_str().unwrap()).unwrap()).collect()
    }

    /// Waits until there are that many events of a run, and returns their details.
    fn of_run(&mut self, run: &str, count: usize) -> Vec<Value> {
        self.matching(&format!("{count} events of {run}"), count, |detail| detail["runId"] == run)
    }

    fn matching(&mut self, what: &str, count: usize, matches: impl Fn(&Value) -> bool) -> Vec<Value> {
        eventually(what, Duration::from_millis(500), || {
            let received = self.receive("listen");
            self.events.extend(received);
            let details = self.events.iter().map(|event| &event["detail"]).filter(|detail| matches(detail));
            let found: Vec<Value> = details.cloned().collect();
            (found.len() >= count).then_some(found)
        })
    }
}

fn arn(queue: &str) -> String {
    format!("arn:aws:sqs:us-east-1:000000000000:{queue}")
}

/// A run of the lab, by what its events name.
struct Told<'a> {
    run: &'a str,
    experiment: &'a str,
    function: &'a str,
}

/// All cases share one lab, each on its own function. Their runs last at the same time.
#[test]
fn each_transition_reaches_the_bus() {
    let parts = Parts::on(Lab::with_parameters(&format!("NotificationTopicArn={TOPIC_ARN}")));
    let lab = &parts.lab;
    let mut listener = Listener::start(lab);
    let values = variables(lab);
    let crowd = lab.crowd(1);
    let deleted = crowd.keys().next().unwrap().as_str();
    let cases = [
        Told { run: "told-kill", experiment: "Told after a kill", function: "lab-payment" },
        Told { run: "told-alarm", experiment: "Told by an alarm", function: "lab-checkout" },
        Told { run: "told-direct", experiment: "Told by a user", function: "lab-search" },
        Told { run: "told-deleted", experiment: "Told of a deletion", function: deleted },
        Told { run: "told-refused", experiment: "Told of a refusal", function: "lab-stock" },
    ];
    let [kill, alarm, direct, deletion, refusal] = &cases;
    let mut following = vec![inject_is_killed(&parts, kill)];
    parts.create_alarm("told");
    let fault = format!("reservedConcurrency: {{limit: 0}}\n  - environment: {{set: {{CHAOS: {INJECTED}}}}}");
    let watched = watched_experiment(alarm.experiment, alarm.function, "PT300S", &fault, "told");
    following.push(parts.begin(&watched, alarm.run));
    for case in [direct, deletion, refusal] {
        following.push(parts.begin(&experiment(case.experiment, case.function, "PT300S", MEMORY), case.run));
    }
    for case in &cases[1..] {
        lab.wait_for_fault(case.run);
    }
    parts.put_metric("told", "42");
    a_user_ends_it_directly_after_an_edit(&parts, direct);
    lab.aws(&["lambda", "delete-function", "--function-name", deletion.function]);
    lab.snapback(&["rollback", deletion.run]);
    a_restore_is_refused(&parts, refusal);
    following.iter_mut().for_each(|run| drop(run.wait()));
    lab.snapback(&["lever", "engage", "--reason", "game day is over"]);
    let letter = a_poison_record_goes_to_the_queue(&mut listener, &parts);

    let of_alarm = listener.of_run(alarm.run, 5);
    let of_direct = listener.of_run(direct.run, 5);
    let of_deletion = listener.of_run(deletion.run, 5);
    for (details, ended) in
        [(&of_alarm, "Target Restored"), (&of_direct, "Target Drifted"), (&of_deletion, "Target Deleted")]
    {
        assert_eq!(types(details), ["Run Started", "Run Observing", "Run Stopping", ended, "Run Ended"]);
    }
    assert_is_told_after_the_kill(&listener.of_run(kill.run, 4));
    assert_is_told_of_the_refusal(&listener.of_run(refusal.run, 6));
    let of_lever = listener.matching("the lever's events", 2, |detail| detail["type"] == "Lever Moved");
    assert_eq!((&of_lever[0]["engaged"], &of_lever[1]["engaged"]), (&json!(true), &json!(false)));

    let samples = [(alarm, &of_alarm[..]), (direct, &of_direct[3..4]), (deletion, &of_deletion[3..4])];
    for (case, details) in samples {
        details.iter().for_each(|detail| assert_is_the_sample(detail, case));
    }
    assert_is_the_sample(&of_lever[0], alarm);
    assert_envelopes(&listener.events);
    assert_no_value(&listener.events, &values);
    assert_no_value(&[letter], &values);
    assert_sentences(&listener);
    assert_rights_are_used(lab);
    events_can_be_switched_off(lab);
}

/// Kills inject after its change, so nothing runs that could send an event about what happens next.
fn inject_is_killed(parts: &Parts, case: &Told<'_>) -> super::lab::Following {
    let trap = parts.trap("snapback-inject", case.function, 1024);
    let run = parts.begin(&experiment(case.experiment, case.function, "PT60S", MEMORY), case.run);
    parts.catch(trap).kill();
    run
}

/// Edits what the fault has changed, and ends the run with nothing but the table.
fn a_user_ends_it_directly_after_an_edit(parts: &Parts, case: &Told<'_>) {
    let lab = &parts.lab;
    parts.edit(case.function, &["--memory-size", "2048"]);
    let table = lab.description("table");
    // In an emergency, an administrator removes the table's policy (infra/README.md).
    let described = lab.aws(&["dynamodb", "describe-table", "--table-name", &table]);
    let arn = described["Table"]["TableArn"].as_str().unwrap();
    lab.aws(&["dynamodb", "delete-resource-policy", "--resource-arn", arn]);
    let (code, out, err) = lab.snapback(&["rollback", case.run, "--direct", "--table", &table]);
    assert_eq!(code, 5, "{out}{err}");
}

/// Takes the right to change the function from the role that restores, and gives it back after it was missed.
fn a_restore_is_refused(parts: &Parts, case: &Told<'_>) {
    let lab = &parts.lab;
    let roles = lab.aws(&["iam", "list-roles"]);
    let mut names = roles["Roles"].as_array().unwrap().iter().map(|role| role["RoleName"].as_str().unwrap());
    let role = ["--role-name", names.find(|name| name.contains("UndoRole")).unwrap(), "--policy-name", "refuse"];
    let statement = json!({
        "Effect": "Deny", "Action": "lambda:UpdateFunctionConfiguration", "Resource": parts.arn(case.function).as_str()
    });
    let document = json!({ "Version": "2012-10-17", "Statement": [statement] }).to_string();
    lab.aws(&[&["iam", "put-role-policy", "--policy-document", &document], &role[..]].concat());
    let (code, out, err) = lab.snapback(&["rollback", case.run]);
    assert_ne!(code, 0, "{out}{err}");
    lab.aws(&[&["iam", "delete-role-policy"], &role[..]].concat());
    eventually("the refused restore is made again", Duration::from_secs(1), || {
        let (code, ..) = lab.snapback(&["rollback", case.run]);
        (code == 0 || code == 4).then_some(())
    });
}

/// Writes a record that no release of snapback writes, and then moves the lever. Returns the dead letter.
fn a_poison_record_goes_to_the_queue(listener: &mut Listener<'_>, parts: &Parts) -> Value {
    let item = json!({
        "pk": { "S": "RUN#poison" }, "sk": { "S": "TARGET#nothing" }, "status": { "S": "restored" },
        "changes": { "S": INJECTED }
    });
    let table = parts.lab.description("table");
    parts.lab.aws(&["dynamodb", "put-item", "--table-name", &table, "--item", &item.to_string()]);
    parts.lab.snapback(&["lever", "disengage"]);
    let next = |detail: &Value| detail["type"] == "Lever Moved" && detail["engaged"] == false;
    listener.matching("the event after the poison record", 1, next);
    let letters = listener.receive("snapback-event-dead-letters");
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!(letters[0]["DDBStreamBatchInfo"]["batchSize"], 1);
    letters[0].clone()
}

fn types(details: &[Value]) -> Vec<&str> {
    details.iter().map(|detail| detail["type"].as_str().unwrap()).collect()
}

fn assert_is_told_after_the_kill(details: &[Value]) {
    assert_eq!(types(details), ["Run Started", "Run Stopping", "Target Restored", "Run Ended"]);
    assert_eq!((&details[1]["reason"]["kind"], &details[3]["status"]), (&json!("error"), &json!("failed")));
}

/// The run can be closed as failed before the refused restore is made again.
fn assert_is_told_of_the_refusal(details: &[Value]) {
    let position = |what: &str| types(details).iter().position(|found| *found == what);
    assert!(position("Run Stopping") < position("Restore Failed"), "{details:?}");
    assert!(position("Restore Failed") < position("Target Restored"), "{details:?}");
}

/// Asserts that a detail is that of its sample, except for times, numbers in IDs, and what this lab names otherwise.
fn assert_is_the_sample(detail: &Value, case: &Told<'_>) {
    let name = detail["type"].as_str().unwrap().to_lowercase().replace(' ', "-");
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("events/event-{name}.json"));
    let sample: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let named = detail.to_string();
    let function = format!("arn:aws:lambda:us-east-1:000000000000:function:{}", case.function);
    let named = [
        ("arn:aws:iam::000000000000:user/lab-administrator", "arn:aws:sts::123456789012:assumed-role/Admin/ana"),
        (
            "arn:aws:cloudwatch:us-east-1:000000000000:alarm:told",
            "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:checkout-errors",
        ),
        (function.as_str(), "arn:aws:lambda:eu-west-1:123456789012:function:checkout"),
        (case.function, "checkout"),
        (case.experiment, "Checkout without capacity"),
        (case.run, "checkout-1"),
        ("alarm told", "alarm checkout-errors"),
        ("\"alarm\":\"told\"", "\"alarm\":\"checkout-errors\""),
        ("was 256 MB", "was 512 MB"),
    ]
    .iter()
    .fold(named, |text, (here, there)| text.replace(here, there));
    assert_eq!(without_times(&named), without_times(&sample["detail"].to_string()), "{detail}");
}

/// Replaces times, and the numbers at the end of an ID.
fn without_times(text: &str) -> String {
    let is_time = |word: &str| word.len() == 20 && word.ends_with('Z') && word.starts_with("20");
    let is_number = |word: &str| word.len() > 15 && word.bytes().all(|byte| byte.is_ascii_digit());
    let words = text.split_inclusive(|c: char| " \"/.;".contains(c));
    words
        .map(|word| {
            let bare = word.trim_end_matches([' ', '"', '/', '.', ';']);
            if is_time(bare) || is_number(bare) { word.replace(bare, "...") } else { word.to_owned() }
        })
        .collect()
}

fn assert_envelopes(events: &[Value]) {
    let validator = notices();
    let mut ids = BTreeSet::new();
    for event in events {
        let detail = &event["detail"];
        assert_eq!((&event["source"], &event["detail-type"]), (&json!("snapback"), &detail["type"]), "{event}");
        let errors: Vec<String> = validator.iter_errors(detail).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{detail}: {errors:?}");
        assert!(ids.insert(detail["id"].as_str().unwrap()), "{event} came twice");
        assert_eq!(detail["stack"], "snapback");
    }
}

/// Every value of a variable of the lab's functions that is long enough to be recognized, and what a fault sets.
fn variables(lab: &Lab) -> Vec<String> {
    let listed = lab.aws(&["lambda", "list-functions"]);
    let functions = listed["Functions"].as_array().unwrap().iter();
    let targets: Vec<&Value> =
        functions.filter(|function| function["FunctionName"].as_str().unwrap().starts_with("lab-")).collect();
    let names: String = targets.iter().map(|function| function["FunctionName"].as_str().unwrap()).collect();
    let environments = targets.iter().filter_map(|function| function["Environment"]["Variables"].as_object().cloned());
    let values = environments.flat_map(|variables| variables.into_iter().map(|(_, value)| value));
    let values: Vec<String> = values.filter_map(|value| value.as_str().map(str::to_owned)).collect();
    // Some values are names of functions, or parts of them.
    let known: Vec<String> = values
        .into_iter()
        .filter(|value| value.len() > 5 && !names.contains(value) && !value.contains("lab-"))
        .collect();
    assert!(known.len() > 3, "the lab's functions have variables: {known:?}");
    known.into_iter().chain([INJECTED.to_owned()]).collect()
}

fn assert_no_value(events: &[Value], values: &[String]) {
    let text = serde_json::to_string(events).unwrap();
    values.iter().for_each(|value| assert!(!text.contains(value.as_str()), "an event has {value}"));
}

/// The topic has got the sentence of each event, as JSON text.
fn assert_sentences(listener: &Listener<'_>) {
    let mut sentences = BTreeSet::new();
    let expected: BTreeSet<String> =
        listener.events.iter().map(|event| event["detail"]["summary"].as_str().unwrap().to_owned()).collect();
    eventually("the topic has every sentence", Duration::from_millis(500), || {
        let received = listener.receive("read");
        sentences.extend(received.iter().map(|message| {
            let text = message["Message"].as_str().unwrap();
            serde_json::from_str::<String>(text).unwrap()
        }));
        (sentences.len() >= expected.len()).then_some(())
    });
    assert_eq!(sentences, expected);
}

/// The pipe and notify use each of their rights, and miss none.
fn assert_rights_are_used(lab: &Lab) {
    let text = std::fs::read_to_string(lab.file("rights.jsonl")).unwrap();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut used = BTreeSet::new();
    for line in lines.filter(|line| line["role"].as_str().unwrap().contains("EventPipeRole")) {
        assert_eq!(line["allowed"], true, "{line}");
        used.insert(line["action"].as_str().unwrap().to_owned());
    }
    assert_eq!(used, PIPE_ACTIONS.map(str::to_owned).into());
}

/// Without a bus there is no pipe, and the stack stays deployable.
fn events_can_be_switched_off(lab: &Lab) {
    let pipes = || lab.aws(&["pipes", "list-pipes"])["Pipes"].as_array().unwrap().len();
    assert_eq!(pipes(), 1);
    let (succeeded, said) = lab.deploy(&lab.description("stack"), "EventBusName= NotificationTopicArn=");
    assert!(succeeded && pipes() == 0, "{said}");
}
