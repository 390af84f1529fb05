//! Starts that left no run: each command tells why, also if a rollback has prevented the start afterwards.

use serde_json::{Value, json};

use super::fake::{FakeAws, Rollback};

const LOCKED: &str = r#"{"errorType":"Refused","errorMessage":"checkout: the run dup-1 has locked it"}"#;

/// An account in which the start of `r` has failed.
fn failed(error: &'static str, cause: &'static str) -> FakeAws {
    let aws = FakeAws::start();
    aws.with(|state| {
        (state.execution, state.failure) = ("FAILED", Some((error, cause)));
        (state.recorded, state.rollback) = (false, Rollback::Unknown);
        state.input = Some(json!({ "name": "a test", "startedBy": { "via": "GitLab CI" } }).to_string());
    });
    aws
}

#[test]
fn every_command_tells_why_a_start_left_no_run() {
    for (error, cause, expected) in [
        ("Refused", LOCKED, "r was refused: checkout: the run dup-1 has locked it"),
        ("AccessDenied", "denied", "r failed to start: AccessDenied: denied"),
        ("RunFailed", "everything is restored", "there is no run r; to list the runs: snapback status"),
    ] {
        let aws = failed(error, cause);
        for command in
            ["report r", "report r --markdown /dev/null", "status r", "status r --watch", "rollback r", "compare r s"]
        {
            let (code, out, err) = aws.snapback(&command.split(' ').collect::<Vec<_>>());
            assert!(code == 2 && err.contains(expected), "{command}: {code}: {out}{err}");
        }
    }
}

#[test]
fn a_prevented_start_that_was_refused_stays_refused() {
    let aws = failed("Refused", LOCKED);
    aws.with(|state| (state.recorded, state.prevented) = (true, true));
    let (code, out, err) = aws.snapback(&["status"]);
    assert!(code == 0 && out.contains("r: refused: checkout: the run dup-1 has locked it"), "{code}: {out}{err}");
    assert!(!out.contains("stopped by a user"), "{out}");
    let status: Value = serde_json::from_str(&aws.snapback(&["status", "--json"]).1).unwrap();
    let start = &status["failedStarts"][0];
    assert_eq!((&status["runs"], &start["experiment"]), (&json!([]), &json!("a test")), "{status}");
    assert_eq!((&start["outcome"], &start["startedBy"]["via"]), (&json!("refused"), &json!("GitLab CI")), "{status}");
}

#[test]
fn a_prevented_start_has_the_experiment_of_its_execution() {
    let aws = failed("RunFailed", "everything is restored");
    aws.with(|state| (state.recorded, state.prevented) = (true, true));
    for command in ["report r", "status", "status r"] {
        let (_, out, err) = aws.snapback(&command.split(' ').collect::<Vec<_>>());
        assert!(out.contains("a test") && out.contains("GitLab CI"), "{command}: {out}{err}");
        assert!(out.contains("ended early: stopped by a user"), "{command}: {out}{err}");
    }
}
