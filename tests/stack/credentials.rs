//! Which credentials the command line uses, and that it prints their owner before it does anything.

use std::path::{Path, PathBuf};

use super::fake::{FakeAws, SNAPBACK, ended, experiment_file, last_line};

/// Writes the files in which AWS tools keep their profiles.
fn profiles(test: &str) -> [(&'static str, PathBuf); 2] {
    let file = |name: &str, text: &str| {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{name}"));
        std::fs::write(&path, text).unwrap();
        path
    };
    let config = "\
[profile staging]
region = eu-central-1
[profile role]
role_arn = arn:aws:iam::123456789012:role/chaos
source_profile = staging
[profile process]
credential_process = echo '{\"Version\":1,\"AccessKeyId\":\"PROCESSKEY\",\"SecretAccessKey\":\"s\"}'
[profile empty]
region = eu-central-1
";
    let credentials = "[staging]\naws_access_key_id = STAGINGKEY\naws_secret_access_key = s\n";
    [("AWS_CONFIG_FILE", file("config", config)), ("AWS_SHARED_CREDENTIALS_FILE", file("credentials", credentials))]
}

fn status(aws: &FakeAws, test: &str, arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = aws.command(SNAPBACK, &[&["status"], arguments].concat());
    command.envs(profiles(test)).envs(variables.iter().copied());
    ended(command)
}

#[test]
fn a_profile_is_the_only_source_of_credentials() {
    for (profile, keys) in
        [("staging", &["STAGINGKEY"][..]), ("role", &["ASSUMEDKEY", "STAGINGKEY"]), ("process", &["PROCESSKEY"])]
    {
        let aws = FakeAws::start();
        let (code, _, err) = status(&aws, &format!("only-{profile}"), &["--profile", profile], &[]);
        assert_eq!(code, 0, "{profile}: {err}");
        let signed = aws.with(|state| state.keys.iter().cloned().collect::<Vec<_>>());
        assert_eq!(signed, keys, "{profile}");
    }
}

#[test]
fn without_a_profile_the_environment_comes_first() {
    for variables in [&[][..], &[("AWS_PROFILE", "staging")]] {
        let aws = FakeAws::start();
        assert_eq!(status(&aws, "environment", &[], variables).0, 0);
        assert_eq!(aws.with(|state| state.keys.iter().cloned().collect::<Vec<_>>()), ["ENVIRONMENTKEY"]);
    }
}

#[test]
fn the_environment_can_name_the_stack() {
    let aws = FakeAws::start();
    let named = |name: &str| {
        let mut command = aws.command(SNAPBACK, &["report", "another"]);
        command.env("SNAPBACK_STACK", name);
        ended(command)
    };
    let (code, _, err) = named("lab");
    assert!(
        code == 2 && err.contains("there is no run another") && err.contains("snapback status --stack lab"),
        "{err}"
    );
    assert_eq!(named("").0, 2, "an empty name is refused");
}

#[test]
fn a_missing_profile_is_refused_by_its_name() {
    let aws = FakeAws::start();
    for (arguments, variables) in [
        (&["--profile", "nope"][..], &[][..]),
        (&[], &[("AWS_PROFILE", "nope")]),
        (&["--table", "t", "--profile", "nope"], &[]),
    ] {
        let (code, out, err) = status(&aws, "unknown", arguments, variables);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.starts_with("snapback: there is no AWS profile `nope` in the configuration"), "{err}");
    }
    assert_eq!(aws.with(|state| state.calls.len()), 0);
}

#[test]
fn a_profile_without_credentials_is_named() {
    let aws = FakeAws::start();
    let (code, _, err) = status(&aws, "empty", &["--profile", "empty"], &[]);
    assert_eq!(code, 1, "{err}");
    assert!(
        err.contains("the AWS profile `empty` has no usable credentials; see: aws sts get-caller-identity"),
        "{err}"
    );
}

#[test]
fn plan_and_run_begin_with_account_region_and_caller() {
    let aws = FakeAws::start();
    let file = experiment_file("identity");
    let file = file.to_str().unwrap();
    let line = "account 123456789012, Region eu-west-1, caller arn:aws:iam::123456789012:user/anna\n";
    // The fake AWS has no functions to plan with. The caller is printed before that fails.
    let (_, out, err) = aws.snapback(&["plan", file]);
    assert!(out.starts_with(line), "{out}{err}");
    aws.with(|state| (state.run, state.target, state.execution) = done());
    let (code, out, err) = aws.snapback(&["run", file, "--name", "r"]);
    assert!(code == 0 && out.starts_with(line), "{code}: {out}{err}");
    let (code, out, err) = aws.snapback(&["run", file, "--name", "r", "--json"]);
    let report = last_line(&out);
    assert!(code == 0 && err.starts_with(line), "{code}: {err}");
    let identity = serde_json::json!({
        "account": "123456789012", "region": "eu-west-1", "caller": "arn:aws:iam::123456789012:user/anna"
    });
    assert_eq!((&report["identity"], &report["runId"]), (&identity, &"r".into()));
}

#[test]
fn a_run_starts_without_a_response_of_sts() {
    let aws = FakeAws::start();
    aws.with(|state| {
        state.sts = false;
        (state.run, state.target, state.execution) = done();
    });
    let file = experiment_file("no-sts");
    let (code, out, err) = aws.snapback(&["run", file.to_str().unwrap(), "--name", "r"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.starts_with("account 123456789012, Region eu-west-1, caller unknown (STS refused the request)\n"),
        "{out}"
    );
}

fn done() -> (snapback::model::run::RunStatus, &'static str, &'static str) {
    (snapback::model::run::RunStatus::Completed, "restored", "SUCCEEDED")
}
