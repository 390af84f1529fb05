//! The command line with the deployed stack: its output, its exit codes, and that everything is restored.

use serde_json::Value;
use snapback::model::invocation::ProxyConfig;

use super::failures::common_failures_are_felt_and_restored;
use super::fake::{SNAPBACK, ended};
use super::lab::{Lab, experiment};

const TIMEOUT: &str = "timeout: {timeout: PT7S}";
const MEMORY: &str = "memory: {megabytes: 1024}";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// All cases share one lab, because it takes longer to start than most of them to run.
#[test]
fn the_command_line_works_on_a_deployed_stack() {
    let lab = Lab::start();
    invalid_input_is_refused_without_a_call(&lab);
    a_plan_changes_nothing(&lab);
    a_refusal_ends_with_3(&lab);
    a_run_to_its_end_ends_with_0(&lab);
    every_surface_is_restored_by_one_rollback(&lab);
    faults_inside_invocations_add_the_stacks_own_proxy(&lab);
    a_deploy_that_renames_is_refused_while_a_fault_is_in_place(&lab);
    a_failed_first_deploy_can_be_retried(&lab);
    common_failures_are_felt_and_restored(&lab);
    drift_ends_with_5(&lab);
    a_user_ends_a_run_directly(&lab);
    an_interrupted_run_rolls_back(&lab);
    the_command_line_replaces_a_throttled_rollback_function(&lab);
    an_aborted_execution_is_restored_by_the_reaper(&lab);
    the_lever_stops_and_refuses(&lab);
    a_wrong_stack_is_named(&lab);
    nothing_is_left_at_the_end(&lab);
}

fn invalid_input_is_refused_without_a_call(lab: &Lab) {
    let good = experiment("good", "lab-search", "PT5S", TIMEOUT);
    let check = |file: &str| {
        let mut command = lab.command(SNAPBACK);
        command.args(["check", file]);
        ended(command)
    };
    let (code, out, _) = check(good.to_str().unwrap());
    assert_eq!((code, out.as_str()), (0, "valid: good: timeout on 1 target for PT5S\n"));
    let bad = experiment("bad", "lab-search", "PT5S", "timeout: {timeout: 7}");
    let bad = bad.to_str().unwrap();
    for (code, out, err) in [check(bad), lab.snapback(&["plan", bad]), lab.snapback(&["run", bad])] {
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains("faults[0].timeout.timeout: "), "{err}");
    }
    assert_eq!(lab.snapback(&["rollback"]).0, 2);
    assert_eq!(check("no-such-file.yaml").0, 2);
    assert_eq!(lab.snapback(&["report", "no-such-run"]).0, 2);
    assert_eq!(lab.snapback(&["rollback", "no-such-run"]).0, 2);
}

fn a_plan_changes_nothing(lab: &Lab) {
    let before = lab.function("lab-payment");
    let (code, out, _) = lab.snapback(&["plan", "events/demo-2-handler.json"]);
    assert_eq!(code, 0, "{out}");
    for expected in
        ["lab-payment", "handler", "snapback_handler.bootstrap.handler", "ready to run; nothing was changed"]
    {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    let (code, out, _) = lab.snapback(&["plan", "events/demo-2-handler.json", "--json"]);
    let plan = json(&out);
    assert_eq!((code, plan["refusals"].as_array().unwrap().len()), (0, 0));
    for field in plan["targets"][0]["fields"].as_array().unwrap() {
        assert_eq!(field["before"], field["after"], "{field}");
    }
    assert_eq!(lab.function("lab-payment"), before);
}

fn a_refusal_ends_with_3(lab: &Lab) {
    let own = experiment("own", "snapback-restore", "PT5S", TIMEOUT);
    let (code, out, _) = lab.snapback(&["plan", own.to_str().unwrap()]);
    assert_eq!(code, 3);
    assert!(out.contains("it is one of snapback's own functions"), "{out}");
    let (code, _, err) = lab.snapback(&["run", own.to_str().unwrap(), "--name", "refused"]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("it is one of snapback's own functions") && !err.contains("does not have the tag"), "{err}");
    assert_eq!(lab.snapback(&["report", "refused"]).0, 2, "a refused run leaves nothing in the ledger");
}

fn a_run_to_its_end_ends_with_0(lab: &Lab) {
    let before = lab.function("lab-search");
    let file = experiment("whole", "lab-search", "PT5S", TIMEOUT);
    let (code, out, err) = lab.snapback(&["run", file.to_str().unwrap(), "--json"]);
    assert_eq!(code, 0, "{out}{err}");
    let lines: Vec<Value> = out.lines().map(json).collect();
    let [first, .., report] = &lines[..] else { panic!("{out}") };
    assert_eq!(
        (&first["type"], &first["runId"], &report["type"]),
        (&"started".into(), &report["runId"], &"report".into())
    );
    for status in ["injecting", "injected", "restored"] {
        let is_told = |line: &Value| line["type"] == "target" && line["status"] == status && line["at"].is_string();
        assert!(lines.iter().any(is_told) || status == "injecting", "{status}: {out}");
    }
    assert_eq!((&report["status"], &report["outcome"]), (&"completed".into(), &"noSteadyState".into()));
    assert_eq!(lab.function("lab-search"), before);
    let again = lab.snapback(&["report", report["runId"].as_str().unwrap()]);
    assert_eq!(again.0, 0, "{}", again.1);
}

fn every_surface_is_restored_by_one_rollback(lab: &Lab) {
    let queue = lab.aws(&["sqs", "create-queue", "--queue-name", "orders"])["QueueUrl"].clone();
    let name = queue.as_str().unwrap();
    let attributes = lab.aws(&["sqs", "get-queue-attributes", "--queue-url", name, "--attribute-names", "QueueArn"]);
    let source = attributes["Attributes"]["QueueArn"].as_str().unwrap();
    let create =
        ["lambda", "create-event-source-mapping", "--function-name", "lab-search", "--event-source-arn", source];
    let mapping = lab.aws(&[&create[..], &["--tags", "chaos=allowed"]].concat())["UUID"].clone();
    let mapping = mapping.as_str().unwrap();
    let state = || lab.aws(&["lambda", "get-event-source-mapping", "--uuid", mapping])["State"].clone();
    assert_eq!(state(), "Enabled");
    let before = lab.function("lab-search");
    let faults = format!(
        "eventSourceMapping: {{disable: {mapping}}}\n  - reservedConcurrency: {{limit: 1}}\n  - {MEMORY}\n  - \
         environment: {{set: {{CHAOS: 'on'}}, unset: [RUST_LOG]}}"
    );
    let file = experiment("surfaces", "lab-search", "PT300S", &faults);
    let mut run = lab.begin(&["run", file.to_str().unwrap(), "--name", "surfaces"]);
    lab.wait_for_fault("surfaces");
    assert_eq!(state(), "Disabled");
    let during = lab.function("lab-search");
    assert_eq!(during["Concurrency"]["ReservedConcurrentExecutions"], 1);
    assert_eq!(during["Configuration"]["Environment"]["Variables"]["CHAOS"], "on");
    assert_eq!(during["Configuration"]["Environment"]["Variables"]["RUST_LOG"], Value::Null);
    let (code, out, err) = lab.snapback(&["rollback", "surfaces"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(run.wait().unwrap().code(), Some(4));
    assert_eq!((state(), lab.function("lab-search")), ("Enabled".into(), before));
    lab.aws(&["lambda", "delete-event-source-mapping", "--uuid", mapping]);
}

fn faults_inside_invocations_add_the_stacks_own_proxy(lab: &Lab) {
    let before = lab.function("lab-search");
    let faults = "latency: {delayMs: 200, percentage: 50, match: [{path: kind, equals: slow}]}\n  \
                  - error: {type: Lab.Broken, match: [{path: kind, equals: broken}]}";
    let file = experiment("inside", "lab-search", "PT300S", faults);
    let (code, out, _) = lab.snapback(&["plan", file.to_str().unwrap()]);
    assert!(code == 0 && out.contains("  latency +200 ms on 50 % of invocations where kind = slow\n"), "{code}: {out}");
    let mut run = lab.begin(&["run", file.to_str().unwrap(), "--name", "inside"]);
    lab.wait_for_fault("inside");
    let during = lab.function("lab-search");
    let layers = |function: &Value| -> Vec<String> {
        let layers = function["Configuration"]["Layers"].as_array().unwrap().iter();
        layers.map(|layer| layer["Arn"].as_str().unwrap().to_owned()).collect()
    };
    let architecture = during["Configuration"]["Architectures"][0].as_str().unwrap();
    let (own, with) = (layers(&before), layers(&during));
    assert_eq!(with[..own.len()], own, "the function's own layers stay first");
    let [proxy] = &with[own.len()..] else { panic!("{with:?}") };
    assert!(proxy.contains(&format!(":layer:snapback-proxy-{architecture}:")), "{proxy}");
    let variables = &during["Configuration"]["Environment"]["Variables"];
    assert_eq!(variables["AWS_LAMBDA_EXEC_WRAPPER"], "/opt/snapback-proxy");
    assert_eq!(
        variables["SNAPBACK_CHAINED_WRAPPER"],
        before["Configuration"]["Environment"]["Variables"]["AWS_LAMBDA_EXEC_WRAPPER"]
    );
    let orders = ProxyConfig::parse(variables["SNAPBACK_FAULTS"].as_str().unwrap()).unwrap();
    let names: Vec<&str> = orders.faults.iter().map(|fault| fault.name()).collect();
    assert_eq!((names, &*orders.run), (vec!["latency", "error"], "inside"));
    // They take effect in the function's real runtime, and only where they apply.
    assert_eq!(lab.invoke("lab-search", r#"{"kind": "broken"}"#)["errorType"], "Lab.Broken");
    assert_eq!(lab.invoke("lab-search", "{}")["statusCode"], 200);
    let (code, out, err) = lab.snapback(&["rollback", "inside"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(run.wait().unwrap().code(), Some(4));
    assert_eq!(lab.function("lab-search"), before);
    assert_eq!(lab.invoke("lab-search", r#"{"kind": "broken"}"#)["statusCode"], 200);
}

fn a_deploy_that_renames_is_refused_while_a_fault_is_in_place(lab: &Lab) {
    let file = experiment("renamed", "lab-search", "PT300S", MEMORY);
    let mut run = lab.begin(&["run", file.to_str().unwrap(), "--name", "renamed"]);
    lab.wait_for_fault("renamed");
    let before = lab.aws(&["cloudformation", "describe-stack-events", "--stack-name", "snapback-lab"]);
    let (deployed, said) = lab.deploy("snapback-lab", "Prefix=chaos");
    assert!(!deployed && said.contains("Prefix=chaos gives everything another name than snapback"), "{said}");
    assert!(said.contains("  lab-search (injected, run renamed)\n"), "{said}");
    let (deployed, said) = lab.deploy("snapback-lab", "TargetLimit=many");
    assert!(!deployed && said.contains("TargetLimit=`many`: write a whole number, 1 to 1000"), "{said}");
    let (destroyed, said) = lab.destroy("snapback-lab");
    assert!(!destroyed && said.contains("  lab-search (injected, run renamed)\n"), "{said}");
    assert_eq!(lab.aws(&["cloudformation", "describe-stack-events", "--stack-name", "snapback-lab"]), before);
    assert_eq!(lab.snapback(&["rollback", "renamed"]).0, 0);
    assert_eq!(run.wait().unwrap().code(), Some(4));
}

fn a_failed_first_deploy_can_be_retried(lab: &Lab) {
    std::fs::write(lab.file("refuse-alarms"), "").unwrap();
    // A stack with the opt-in tag of another one would not see its locks.
    let (deployed, said) = lab.deploy("twin", "Prefix=twin");
    assert!(!deployed && said.contains("the stack snapback-lab has the opt-in tag chaos=allowed too"), "{said}");
    let parameters = |name: &str| format!("Prefix={name} OptInTag=chaos={name}");
    for attempt in ["twin", "twin", "triplet"] {
        let (deployed, said) = lab.deploy(attempt, &parameters(attempt));
        assert!(!deployed && said.contains("the maximum number of alarms is reached"), "{said}");
        assert!(said.contains("run the same command again"), "{said}");
    }
    std::fs::remove_file(lab.file("refuse-alarms")).unwrap();
    let (deployed, said) = lab.deploy("twin", &parameters("twin"));
    assert!(deployed && said.contains("The stack twin is deployed. Its ledger is the table "), "{said}");
    for stack in ["twin", "triplet"] {
        let (destroyed, said) = lab.destroy(stack);
        assert!(destroyed && said.contains(&format!("The stack {stack} is deleted.")), "{said}");
    }
    assert_eq!(lab.snapback(&["status"]).0, 0, "the lab's own stack is as it was");
}

fn drift_ends_with_5(lab: &Lab) {
    let before = lab.function("lab-search");
    let file = experiment("drift", "lab-search", "PT300S", TIMEOUT);
    let mut run = lab.begin(&["run", file.to_str().unwrap(), "--name", "drift"]);
    lab.wait_for_fault("drift");
    let (code, out, _) = lab.snapback(&["status", "--json"]);
    let armed = json(&out)["armed"].clone();
    assert_eq!((code, armed.as_array().unwrap().len()), (0, 1), "{out}");
    let of = |key: &str| armed[0][key].as_str().unwrap_or_default().to_owned();
    assert_eq!(["runId", "function", "status"].map(of), ["drift", "lab-search", "injected"], "{out}");
    assert_eq!(of("text"), "lab-search (injected, run drift)");
    assert_eq!(lab.snapback(&["report", "drift"]).0, 7);
    lab.aws(&["lambda", "update-function-configuration", "--function-name", "lab-search", "--timeout", "42"]);
    let (code, out, _) = lab.snapback(&["rollback", "drift"]);
    assert_eq!(code, 5, "{out}");
    assert!(out.contains("timeout: was ") && out.contains("now 42 s; left alone"), "{out}");
    assert_eq!(run.wait().unwrap().code(), Some(5));
    assert_eq!(lab.function("lab-search")["Configuration"]["Timeout"], 42);
    let timeout = before["Configuration"]["Timeout"].to_string();
    lab.aws(&["lambda", "update-function-configuration", "--function-name", "lab-search", "--timeout", &timeout]);
    assert_eq!(lab.function("lab-search"), before);
}

fn a_user_ends_a_run_directly(lab: &Lab) {
    let before = lab.function("lab-search");
    let file = experiment("direct", "lab-search", "PT300S", MEMORY);
    let mut run = lab.begin(&["run", file.to_str().unwrap(), "--name", "direct"]);
    lab.wait_for_fault("direct");
    let table = lab.description("table");
    let direct = ["rollback", "direct", "--direct", "--table", &table];
    let (code, out, err) = lab.snapback(&direct);
    assert!(code == 6 && err.contains("with an explicit deny in a resource-based policy"), "{code}: {out}{err}");
    // In an emergency, an administrator removes the table's policy (infra/README.md).
    let described = lab.aws(&["dynamodb", "describe-table", "--table-name", &table]);
    let arn = described["Table"]["TableArn"].as_str().unwrap();
    lab.aws(&["dynamodb", "delete-resource-policy", "--resource-arn", arn]);
    let (code, out, err) = lab.snapback(&direct);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(lab.function("lab-search"), before);
    assert_eq!(run.wait().unwrap().code(), Some(4));
}

fn an_interrupted_run_rolls_back(lab: &Lab) {
    let before = lab.function("lab-search");
    let file = experiment("interrupted", "lab-search", "PT300S", MEMORY);
    let mut run = lab.begin(&["run", file.to_str().unwrap(), "--name", "interrupted"]);
    lab.wait_for_fault("interrupted");
    let interrupted = std::process::Command::new("kill").args(["-INT", &run.id().to_string()]).status();
    assert!(interrupted.unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(4));
    assert_eq!(lab.function("lab-search"), before);
}

/// Needs a table without its policy.
fn the_command_line_replaces_a_throttled_rollback_function(lab: &Lab) {
    let before = lab.function("lab-search");
    let file = experiment("throttled", "lab-search", "PT60S", MEMORY);
    let mut run = lab.begin(&["run", file.to_str().unwrap(), "--name", "throttled"]);
    lab.wait_for_fault("throttled");
    let rollback = ["--function-name", "snapback-rollback"];
    let throttle = [&["lambda", "put-function-concurrency", "--reserved-concurrent-executions", "0"], &rollback[..]];
    lab.aws(&throttle.concat());
    let (code, out, err) = lab.snapback(&["rollback", "throttled"]);
    lab.aws(&[&["lambda", "delete-function-concurrency"], &rollback[..]].concat());
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("the rollback function cannot be reached: "), "{err}");
    assert!(err.contains("doing it from this machine, with your own credentials"), "{err}");
    assert_eq!(run.wait().unwrap().code(), Some(4));
    assert_eq!(lab.function("lab-search"), before);
}

fn an_aborted_execution_is_restored_by_the_reaper(lab: &Lab) {
    // Without this, a scheduled tick could come before the test has read the state.
    lab.stop_reaper();
    let before = lab.function("lab-search");
    let file = experiment("aborted", "lab-search", "PT300S", MEMORY);
    let mut run = lab.begin(&["run", file.to_str().unwrap(), "--name", "aborted"]);
    lab.wait_for_fault("aborted");
    lab.wait_for_reaper();
    lab.aws(&["stepfunctions", "stop-execution", "--execution-arn", &lab.execution("aborted")]);
    let _ = run.wait();
    assert_eq!(lab.function("lab-search")["Configuration"]["MemorySize"], 1024, "no Catch runs");
    let output = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("reaper.json");
    lab.aws(&["lambda", "invoke", "--function-name", "snapback-reaper", output.to_str().unwrap()]);
    assert_eq!(lab.function("lab-search"), before);
    let (code, out, _) = lab.snapback(&["report", "aborted"]);
    assert!(code == 1 && out.contains("its execution was stopped or timed out"), "{code}: {out}");
    lab.start_reaper();
}

fn the_lever_stops_and_refuses(lab: &Lab) {
    let file = experiment("levered", "lab-search", "PT300S", MEMORY);
    let mut run = lab.begin(&["run", file.to_str().unwrap(), "--name", "levered"]);
    lab.wait_for_fault("levered");
    let (code, out, err) = lab.snapback(&["lever", "engage", "--reason", "game day is over"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("(reason: game day is over); no run starts"), "{out}");
    assert_eq!(run.wait().unwrap().code(), Some(4));
    let (code, _, err) = lab.snapback(&["run", file.to_str().unwrap()]);
    assert_eq!(code, 3, "{err}");
    assert!(err.contains("game day is over"), "{err}");
    assert_eq!(lab.snapback(&["lever", "disengage"]).0, 0);
    let (code, out, _) = lab.snapback(&["lever", "show", "--json"]);
    assert_eq!((code, &json(&out)["engaged"]), (0, &Value::Bool(false)));
}

fn a_wrong_stack_is_named(lab: &Lab) {
    let (code, _, err) = lab.snapback(&["status", "--table", "no-such-table"]);
    assert_eq!(code, 1, "{err}");
    assert!(err.contains("the ledger cannot be used"), "{err}");
}

fn nothing_is_left_at_the_end(lab: &Lab) {
    let (code, out, _) = lab.snapback(&["status", "--json"]);
    let status = json(&out);
    assert_eq!((code, status["armed"].as_array().unwrap().len()), (0, 0), "{out}");
    assert_eq!(lab.snapback(&["rollback", "--all"]).0, 0);
    for function in ["lab-checkout", "lab-payment", "lab-search"] {
        let secret = lab.function(function)["Configuration"]["Environment"]["Variables"]["PROVIDER_API_KEY"].clone();
        assert!(!lab.shown().contains(secret.as_str().unwrap()), "the output shows the value of a variable");
    }
}
