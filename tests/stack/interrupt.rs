//! Ctrl-C, SIGTERM and SIGHUP: the real command line follows a run of a fake AWS, on a terminal or without one.

use serde_json::{Value, json};
use snapback::model::run::RunStatus;

use super::fake::{FakeAws, Rollback, Running, SNAPBACK, eventually, experiment_file};

const CTRL_C: &[u8] = b"\x03";
const QUESTION: &str = "roll the run back now? [Y/n/l]";

fn followed(aws: &FakeAws, name: &str) -> Running {
    let file = experiment_file(name);
    let running = aws.begin_on_terminal(&["run", file.to_str().unwrap(), "--name", "r", "--yes"]);
    running.wait_for("s left", 1);
    running
}

/// Follows a run until Ctrl-C has opened the prompt.
fn asked(aws: &FakeAws, name: &str) -> Running {
    let mut running = followed(aws, name);
    running.send(CTRL_C);
    running.wait_for(QUESTION, 1);
    running
}

fn followed_without_terminal(aws: &FakeAws, name: &str) -> Running {
    let file = experiment_file(name);
    let running = aws.begin(&["run", file.to_str().unwrap(), "--name", "r"]);
    running.wait_for("injected", 1);
    running
}

#[test]
fn ctrl_c_asks_and_a_second_one_rolls_back() {
    let aws = FakeAws::start();
    let mut running = asked(&aws, "ctrl-c-twice");
    let shown = running.shown();
    let before = shown.split(QUESTION).next().unwrap();
    assert!(before.ends_with("\r\n"), "{before:?}");
    assert_eq!(aws.calls("Invoke"), Vec::<String>::new());
    running.send(CTRL_C);
    assert_eq!(running.code(), 4, "{}", running.shown());
    assert_eq!(aws.rollbacks(), [json!({ "stop": "r" })]);
}

#[test]
fn a_third_ctrl_c_leaves_a_slow_rollback() {
    let aws = FakeAws::start();
    aws.with(|state| state.rollback = Rollback::Hangs);
    let mut running = asked(&aws, "ctrl-c-thrice");
    running.send(CTRL_C);
    running.wait_for("rolling back; Ctrl-C stops following", 1);
    eventually(|| aws.calls("Invoke").len() == 1, || "the rollback is requested".to_owned());
    running.send(CTRL_C);
    assert_eq!(running.code(), 7);
    running.wait_for("left; the rollback was requested and continues without this command", 1);
    running.wait_for("if it does not end: snapback rollback r", 1);
}

#[test]
fn a_closed_run_is_reported_although_the_rollback_call_hangs() {
    let aws = FakeAws::start();
    aws.with(|state| state.rollback = Rollback::Hangs);
    let mut running = followed_without_terminal(&aws, "rollback-hangs");
    running.signal("INT");
    running
        .wait_for("has not responded yet, and the run r is not stopping; if that lasts, this machine rolls it back", 1);
    aws.with(|state| (state.run, state.target, state.execution) = (RunStatus::Completed, "restored", "SUCCEEDED"));
    assert_eq!(running.code(), 0, "{}", running.shown());
    running.wait_for("run r: no steady state given", 1);
}

#[test]
fn the_reply_no_keeps_following_and_ctrl_c_asks_again() {
    let aws = FakeAws::start();
    let mut running = asked(&aws, "ctrl-c-no");
    running.send(b"no\r");
    running.wait_for("the run continues; Ctrl-C asks again", 1);
    running.send(CTRL_C);
    running.wait_for(QUESTION, 2);
    assert!(running.is_running());
    running.send(b"n\r");
    running.wait_for("the run continues; Ctrl-C asks again", 2);
    aws.with(|state| (state.run, state.target, state.execution) = (RunStatus::Completed, "restored", "SUCCEEDED"));
    assert_eq!(running.code(), 0, "{}", running.shown());
    assert_eq!(aws.calls("Invoke"), Vec::<String>::new());
}

#[test]
fn the_reply_leave_leaves_the_run_running() {
    let aws = FakeAws::start();
    let mut running = asked(&aws, "ctrl-c-leave");
    running.send(b"leave\r");
    assert_eq!(running.code(), 7);
    running.wait_for("left; the run keeps running; see snapback status r; to end it: snapback rollback r", 1);
    assert_eq!(aws.calls("Invoke"), Vec::<String>::new());
}

#[test]
fn a_restored_run_says_what_it_waits_for_and_is_left_safely() {
    let aws = FakeAws::start();
    let mut running = followed(&aws, "restored");
    aws.with(|state| (state.run, state.target) = (RunStatus::Stopping, "restored"));
    running.wait_for("everything is restored; the run is being closed; Ctrl-C leaves safely", 1);
    running.send(CTRL_C);
    assert_eq!(running.code(), 7, "{}", running.shown());
    running.wait_for("left; everything is restored; see snapback report r", 1);
    assert_eq!(aws.calls("Invoke"), Vec::<String>::new());
}

#[test]
fn an_unreadable_ledger_ends_following_and_the_run_continues() {
    let aws = FakeAws::start();
    let mut running = followed(&aws, "no-ledger");
    aws.with(|state| state.ledger_denied = true);
    assert_eq!(running.code(), 1, "{}", running.shown());
    running
        .wait_for("the run continues without this command; see snapback status r; to end it: snapback rollback r", 1);
    assert_eq!(aws.calls("Invoke"), Vec::<String>::new());
}

#[test]
fn any_other_reply_rolls_back() {
    let aws = FakeAws::start();
    let mut running = asked(&aws, "ctrl-c-yes");
    running.send(b"clear; ls\r");
    assert_eq!(running.code(), 4);
    assert_eq!(aws.calls("Invoke").len(), 1);
}

#[test]
fn the_display_continues_under_a_prompt_and_the_end_voids_it() {
    let aws = FakeAws::start();
    let mut running = asked(&aws, "ctrl-c-late");
    let seconds = running.shown().matches("s left").count();
    running.wait_for("s left", seconds + 2);
    aws.with(|state| (state.run, state.target) = (RunStatus::Stopping, "restoring"));
    running.wait_for("restoring", 1);
    // The question is repeated below the new lines.
    running.wait_for(QUESTION, 2);
    aws.with(|state| (state.run, state.target, state.execution) = (RunStatus::Completed, "restored", "SUCCEEDED"));
    running.wait_for("the run has ended; no reply is needed", 1);
    assert_eq!(running.code(), 0, "{}", running.shown());
    assert_eq!(aws.calls("Invoke"), Vec::<String>::new());
}

#[test]
fn without_a_terminal_each_signal_rolls_back() {
    for signal in ["INT", "TERM", "HUP"] {
        let aws = FakeAws::start();
        let mut running = followed_without_terminal(&aws, &format!("signal-{signal}"));
        running.signal(signal);
        assert_eq!(running.code(), 4, "{signal}: {}", running.shown());
        assert_eq!(aws.rollbacks(), [json!({ "stop": "r" })], "{signal}");
    }
}

#[test]
fn an_interrupt_during_the_start_prevents_the_run() {
    let aws = FakeAws::start();
    aws.with(|state| state.start_hangs = true);
    let file = experiment_file("signal-early");
    let mut running = aws.begin(&["run", file.to_str().unwrap(), "--name", "r"]);
    eventually(|| aws.calls("StartExecution").len() == 1, || "the execution is started".to_owned());
    running.signal("INT");
    assert_eq!(running.code(), 4, "{}", running.shown());
    running.wait_for("the run was stopped while it was starting; see snapback status r", 1);
    assert_eq!(aws.rollbacks(), [json!({ "stop": "r" })]);
}

#[test]
fn an_interrupt_during_the_start_spares_an_earlier_run() {
    let aws = FakeAws::start();
    aws.with(|state| (state.start_hangs, state.input) = (true, Some(json!({ "name": "of yesterday" }).to_string())));
    let file = experiment_file("signal-taken");
    let mut running = aws.begin(&["run", file.to_str().unwrap(), "--name", "r"]);
    eventually(|| aws.calls("StartExecution").len() == 1, || "the execution is started".to_owned());
    running.signal("INT");
    assert_eq!(running.code(), 4, "{}", running.shown());
    running
        .wait_for("the name r belongs to an earlier run; choose another --name; to see that run: snapback report r", 1);
    assert_eq!(aws.rollbacks(), [Value::Null; 0]);
}

#[test]
fn a_repeated_sighup_does_not_leave_the_rollback() {
    let aws = FakeAws::start();
    aws.with(|state| state.rollback = Rollback::Hangs);
    let mut running = followed_without_terminal(&aws, "signal-again");
    for signal in ["HUP", "HUP"] {
        running.signal(signal);
    }
    eventually(|| aws.calls("Invoke").len() == 1, || "the rollback is requested".to_owned());
    running.signal("HUP");
    let polls = aws.calls("DescribeExecution").len();
    eventually(|| aws.calls("DescribeExecution").len() > polls + 2, || "the command continues to poll".to_owned());
    assert!(running.is_running());
    running.signal("INT");
    assert_eq!(running.code(), 7);
    assert_eq!(aws.calls("Invoke").len(), 1);
}

/// GitHub sends SIGINT, SIGTERM after 7.5 s, and kills the command 2.5 s later. Others send SIGTERM only.
#[test]
fn sigterm_is_what_ctrl_c_is_without_a_terminal() {
    for signals in [["INT", "INT"], ["INT", "TERM"], ["TERM", "INT"], ["TERM", "TERM"]] {
        let aws = FakeAws::start();
        aws.with(|state| state.rollback = Rollback::Hangs);
        let mut running = followed_without_terminal(&aws, &format!("signals-{}", signals.concat()));
        running.signal(signals[0]);
        running.wait_for("rolling back", 1);
        eventually(|| aws.calls("Invoke").len() == 1, || "the rollback is requested".to_owned());
        running.signal(signals[1]);
        assert_eq!(running.code(), 7, "{signals:?}: {}", running.shown());
        running.wait_for("left; the rollback was requested and continues without this command", 1);
    }
}

#[test]
fn under_nohup_a_closed_terminal_does_not_roll_back() {
    let aws = FakeAws::start();
    let file = experiment_file("signal-nohup");
    let line = format!("trap '' HUP; exec {SNAPBACK} run {} --name r", file.display());
    let mut running = Running::start_command(aws.command("sh", &["-c", &line]));
    running.wait_for("injected", 1);
    running.signal("HUP");
    let polls = aws.calls("DescribeExecution").len();
    eventually(|| aws.calls("DescribeExecution").len() > polls + 2, || "the command continues to poll".to_owned());
    aws.with(|state| (state.run, state.target, state.execution) = (RunStatus::Completed, "restored", "SUCCEEDED"));
    assert_eq!(running.code(), 0, "{}", running.shown());
    assert_eq!(aws.calls("Invoke"), Vec::<String>::new());
}

#[test]
fn an_impossible_rollback_reports_the_cause_and_the_fix() {
    let aws = FakeAws::start();
    aws.with(|state| state.rollback = Rollback::Throttled);
    for (arguments, retry) in [
        (&["rollback", "r"][..], "snapback rollback r --direct --region eu-west-1"),
        (&["lever", "engage"], "snapback lever engage --direct --region eu-west-1"),
        (&["lever", "disengage"], "snapback lever disengage --direct --region eu-west-1"),
    ] {
        let (code, out, err) = aws.snapback(&[arguments, &["--region", "eu-west-1"]].concat());
        assert!(code == 1 || code == 6, "{arguments:?}: {code}: {out}{err}");
        let happened = "the rollback function cannot be reached: Rate Exceeded.; doing it from this machine";
        assert!(err.contains(happened), "{arguments:?}: {err}");
        assert!(err.contains(retry), "{arguments:?}: {err}");
    }
    // The command has tried both: the function, and the ledger with the caller's own rights.
    assert!(aws.calls("Invoke").len() >= 3 && aws.calls("UpdateItem").len() >= 3, "{:?}", aws.calls(""));
}

#[test]
fn the_command_line_never_writes_to_the_ledger() {
    let aws = FakeAws::start();
    let file = experiment_file("no-writes");
    assert_eq!(aws.snapback(&["rollback", "r"]).0, 0);
    assert_eq!(aws.snapback(&["rollback", "--all"]).0, 0);
    assert_eq!(aws.snapback(&["lever", "engage", "--reason", "a test"]).0, 0);
    assert_eq!(aws.snapback(&["lever", "disengage"]).0, 0);
    assert_eq!(aws.snapback(&["run", file.to_str().unwrap(), "--name", "r"]).0, 4);
    assert_eq!(
        aws.rollbacks(),
        [
            json!({ "runId": "r" }),
            json!({ "all": true }),
            json!({ "lever": { "engaged": true, "reason": "a test" } }),
            json!({ "lever": { "engaged": false, "reason": "disengaged from the command line" } }),
        ]
    );
    let anna = r#"{"by":{"caller":"arn:aws:iam::123456789012:user/anna","via":"command line"},"runId":"r"}"#;
    assert_eq!(aws.calls("Invoke")[0], format!("Invoke {anna}"));
    let writes = ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem"];
    let calls = aws.with(|state| state.calls.clone());
    assert!(!calls.iter().any(|call| writes.contains(&call.as_str())), "{calls:?}");
}

/// Returns what the last started execution got as `startedBy`.
fn started_by(aws: &FakeAws) -> Value {
    let calls = aws.calls("StartExecution");
    let request: Value = serde_json::from_str(calls.last().unwrap().strip_prefix("StartExecution ").unwrap()).unwrap();
    let input: Value = serde_json::from_str(request["input"].as_str().unwrap()).unwrap();
    input["startedBy"].clone()
}

#[test]
fn a_run_states_who_starts_it_and_from_where() {
    let aws = FakeAws::start();
    let file = experiment_file("started-by");
    // From now on, each run has ended when the command reads it.
    assert_eq!(aws.snapback(&["rollback", "r"]).0, 0);
    let run = |environment: &[(&str, &str)]| {
        let arguments = ["run", file.to_str().unwrap(), "--name", "r"];
        let mut command = aws.command(env!("CARGO_BIN_EXE_snapback"), &arguments);
        assert!(command.envs(environment.iter().copied()).output().unwrap().status.code().is_some());
        started_by(&aws)
    };
    let anna = "arn:aws:iam::123456789012:user/anna";
    assert_eq!(run(&[]), json!({ "caller": anna, "via": "command line" }));
    let job = "https://gitlab.example/shop/-/jobs/7";
    let gitlab = [("GITLAB_CI", "true"), ("CI_JOB_URL", job)];
    assert_eq!(run(&gitlab), json!({ "caller": anna, "via": "GitLab CI", "url": job }));
    aws.with(|state| state.sts = false);
    assert_eq!(run(&gitlab), json!({ "via": "GitLab CI", "url": job }));
}

#[test]
fn a_stack_of_an_earlier_release_gets_no_unknown_field() {
    let aws = FakeAws::start();
    aws.with(|state| state.records_actors = false);
    let file = experiment_file("earlier-release");
    assert_eq!(aws.snapback(&["rollback", "r"]).0, 0);
    assert_eq!(aws.snapback(&["run", file.to_str().unwrap(), "--name", "r"]).0, 4);
    assert_eq!((aws.calls("Invoke"), started_by(&aws)), (vec![r#"Invoke {"runId":"r"}"#.to_owned()], Value::Null));
}
