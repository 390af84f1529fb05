//! What is typed wrongly, and places that cannot be reached: one message for each cause, which a program can read too.

use std::process::Command;

use serde_json::{Value, json};

use super::fake::{FakeAws, SNAPBACK, ended, experiment_file};

fn snapback(line: &str, variables: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = Command::new(SNAPBACK);
    command.args(line.split(' ')).env_clear().envs(variables.iter().copied());
    command.env("AWS_EC2_METADATA_DISABLED", "true").env("AWS_MAX_ATTEMPTS", "1");
    ended(command)
}

#[test]
fn wrong_usage_is_json_where_json_was_asked_for() {
    for (line, says) in [
        ("stop --json", "`stop` is not a command of snapback; did you mean rollback?"),
        ("rollback --json", "RUN or --all is missing; see snapback rollback --help"),
        ("--json run e.yaml --seed -1", "write a whole number from 0 to 4294967295"),
        ("--json", "a command is missing; see snapback --help"),
        ("man --json", "man prints no JSON, so --json has no effect; leave it out"),
    ] {
        let (code, out, err) = snapback(line, &[]);
        let failure: Value = serde_json::from_str(&out).unwrap_or_else(|wrong| panic!("{line}: {wrong}: {out}"));
        assert_eq!((code, failure["error"].as_str(), err.as_str()), (2, Some("WrongUsage"), ""), "{line}");
        assert!(failure["cause"].as_str().unwrap().contains(says), "{line}: {out}");
    }
    for (line, says) in [
        ("stop", "`stop` is not a command of snapback; did you mean rollback?"),
        ("check e.yaml --stack lab", "check needs no account, so --stack has no effect; leave it out"),
    ] {
        let (code, out, err) = snapback(line, &[]);
        assert_eq!((code, out.as_str(), err), (2, "", format!("snapback: {says}\n")));
    }
    let (code, out, _) = snapback("schema", &[("SNAPBACK_STACK", "lab")]);
    assert!(code == 0 && out.starts_with('{'), "a variable is meant for other commands, too");
}

#[test]
fn completions_and_the_man_page_name_every_command() {
    let (_, script, _) = snapback("completions fish", &[]);
    assert!(
        script.contains("subcommand plan\" -l stack") && script.contains("subcommand status\" -l table"),
        "{script}"
    );
    assert!(!script.contains("subcommand check\" -l stack"), "an option without an effect is completed");
    for line in ["completions bash", "completions zsh", "completions fish", "man"] {
        let (code, out, err) = snapback(line, &[]);
        assert_eq!((code, err.as_str()), (0, ""), "{line}");
        for command in ["check", "plan", "run", "rollback", "lever", "schedule", "completions"] {
            assert!(out.contains(command), "{line}: {command}");
        }
    }
}

/// Variables of the command line, by name.
type Variables<'a> = &'a [(&'a str, &'a str)];

#[test]
fn each_cause_for_which_a_stack_cannot_be_read_has_its_message() {
    let keys = [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s")];
    let nowhere = [("AWS_CONFIG_FILE", "/nonexistent"), ("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")];
    let closed = ("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let region = ("AWS_REGION", "eu-west-1");
    let nothing = [("AWS_ENDPOINT_URL", ""), ("AWS_ENDPOINT_URL_DYNAMODB", ""), ("AWS_PROFILE", "")];
    let cases: [(&str, &[Variables], i32, &str); 7] = [
        (
            "status",
            &[&keys, &nothing, &[region, ("AWS_ENDPOINT_URL_CLOUDFORMATION", "http://127.0.0.1:1")]],
            1,
            "the stack snapback in Region eu-west-1 cannot be read: nothing listens there; check the network, and that the Region exists",
        ),
        ("status", &[&keys, &nothing, &[("AWS_REGION", "")]], 2, "no AWS Region is set; use --region or AWS_REGION"),
        (
            "status",
            &[&keys, &[region, closed]],
            1,
            "the stack snapback in Region eu-west-1 (endpoint http://127.0.0.1:1) cannot be read: nothing listens there; start what should listen at this endpoint, or correct AWS_ENDPOINT_URL",
        ),
        (
            "status",
            &[&keys, &[region, ("AWS_ENDPOINT_URL", "nonsense")]],
            2,
            "AWS_ENDPOINT_URL is `nonsense`, which is not a URL; write one such as http://127.0.0.1:4566, or unset it to reach AWS",
        ),
        (
            "status --region mars",
            &[&keys, &[closed]],
            2,
            "`mars` is not an AWS Region; write one such as eu-west-1, as --region or AWS_REGION",
        ),
        ("status", &[&keys], 2, "no AWS Region is set; use --region or AWS_REGION"),
        (
            "status",
            &[&nowhere, &[region, closed]],
            1,
            "no AWS credentials were found; name a profile with --profile, or log in",
        ),
    ];
    for (line, variables, expected, says) in cases {
        let variables: Vec<_> = variables.iter().copied().flatten().copied().collect();
        let (code, _, err) = snapback(line, &variables);
        assert_eq!((code, err.as_str()), (expected, format!("snapback: {says}\n").as_str()), "{variables:?}");
    }
}

#[test]
fn a_stack_that_aws_does_not_show_is_named_with_its_place() {
    let aws = FakeAws::start();
    let refuse = |code, message| aws.with(|state| state.no_stack = Some((code, message)));
    refuse("ValidationError", "Stack with id lab does not exist");
    let (code, _, err) = aws.snapback(&["status", "--stack", "lab"]);
    assert_eq!(code, 1);
    let start =
        "snapback: there is no stack lab in Region eu-west-1 of account 123456789012 (endpoint http://127.0.0.1:";
    assert!(err.starts_with(start), "{err}");
    assert!(
        err.ends_with("); name yours with --stack and its Region with --region, or deploy it: make deploy\n"),
        "{err}"
    );
    refuse("AccessDenied", "User: anna is not authorized");
    let (code, _, err) = aws.snapback(&["status"]);
    let says = "cannot be read: access denied: User: anna is not authorized; your credentials need cloudformation:DescribeStacks on it\n";
    assert!(code == 1 && err.ends_with(says), "{err}");
    refuse("ExpiredToken", "The security token included in the request is expired");
    let (code, _, err) = aws.snapback(&["status"]);
    assert!(code == 2 && err.ends_with("is expired; log in again, or name another profile with --profile\n"), "{err}");
}

#[test]
fn a_quiet_run_prints_only_its_report() {
    let aws = FakeAws::start();
    aws.with(|state| {
        (state.run, state.target, state.execution) =
            (snapback::model::run::RunStatus::Completed, "restored", "SUCCEEDED");
    });
    let file = experiment_file("quiet");
    let (_, out, err) = aws.snapback(&["run", file.to_str().unwrap(), "--name", "r", "--quiet"]);
    assert!(out.starts_with("run r: ") && !out.contains("  0:0"), "{out}{err}");
}

#[test]
fn a_reason_is_sent_unless_the_stack_is_of_an_earlier_release() {
    for records in [true, false] {
        let aws = FakeAws::start();
        aws.with(|state| state.records_reasons = records);
        let (code, out, err) = aws.snapback(&["rollback", "r", "--reason", "customers complain"]);
        assert_eq!(code, 0, "{out}{err}");
        let [call] = &aws.calls("Invoke")[..] else { panic!("{:?}", aws.calls("Invoke")) };
        assert_eq!(call.contains(r#""reason":"customers complain""#), records, "{call}");
        assert_eq!(err.contains("records no reasons"), !records, "{err}");
    }
}

/// Checks a value against the schema that the command line prints.
fn assert_fits(document: &str, value: &Value) {
    let (code, schema, err) = snapback(&format!("schema --of {document}"), &[]);
    assert_eq!(code, 0, "{err}");
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(value).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{document}: {errors:?}: {value:#}");
    let other = if value.is_array() { json!([{}]) } else { json!({}) };
    assert!(!validator.is_valid(&other), "{document} has required fields");
}

#[test]
fn what_a_command_prints_fits_its_schema() {
    let aws = FakeAws::start();
    aws.with(|state| {
        (state.run, state.target, state.execution) =
            (snapback::model::run::RunStatus::Completed, "restored", "SUCCEEDED");
    });
    let file = experiment_file("schema");
    let (_, out, err) = aws.snapback(&["run", file.to_str().unwrap(), "--name", "r", "--json"]);
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.len() >= 3, "{out}{err}");
    assert_eq!((&lines[0]["type"], &lines[0]["runId"]), (&"started".into(), &"r".into()));
    assert_eq!(lines.last().unwrap()["type"], "report");
    for line in &lines {
        assert_fits("run", line);
    }
    let print = |arguments: &[&str]| serde_json::from_str(&aws.snapback(arguments).1).unwrap();
    assert_fits("report", &print(&["report", "r", "--json"]));
    assert_fits("check", &print(&["check", file.to_str().unwrap(), "--json"]));
    assert_fits("status", &print(&["status", "--json"]));
    assert_fits("history", &print(&["compare", "r", "r", "--json"]));
    assert_fits("lever", &print(&["lever", "show", "--json"]));
    assert_fits("lever", &print(&["lever", "engage", "--json"]));
    assert_fits("rollback", &print(&["rollback", "r", "--json"]));
    assert_fits("experiment", &print(&["check", file.to_str().unwrap(), "--print-json"]));
    assert_fits("failure", &print(&["report", "another", "--json"]));
    assert_fits("failure", &print(&["stop", "--json"]));
}

#[test]
fn a_refused_run_lists_its_reasons_as_objects() {
    let aws = FakeAws::start();
    let cause = r#"{"errorType":"Refused","errorMessage":"checkout: it has no tag; tag it\nsafety lever: it is engaged (reason: a; b); to disengage it: snapback lever disengage"}"#;
    aws.with(|state| (state.execution, state.failure, state.recorded) = ("FAILED", Some(("Refused", cause)), false));
    let file = experiment_file("refused");
    let (code, out, err) = aws.snapback(&["run", file.to_str().unwrap(), "--name", "r", "--json", "--stack", "lab"]);
    let failure: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((code, failure["error"].as_str()), (3, Some("Refused")), "{out}{err}");
    let expected = json!([
        { "subject": "checkout", "reason": "it has no tag", "fix": "tag it" },
        {
            "subject": "safety lever",
            "reason": "it is engaged (reason: a; b)",
            "fix": "to disengage it: snapback lever disengage --stack lab"
        }
    ]);
    assert_eq!(failure["refusals"], expected);
    assert_fits("run", &failure);
    assert_fits("failure", &failure);
}

#[test]
fn every_command_has_a_man_page_with_its_options() {
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("man");
    let _ = std::fs::remove_dir_all(&folder);
    let (code, out, err) = snapback(&format!("man --folder {}", folder.display()), &[]);
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    let mut names: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|page| page.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let page = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap_or_default().replace('\\', "");
    for (name, option) in [
        ("snapback.1", "--stack"),
        ("snapback-run.1", "--timeout"),
        ("snapback-status.1", "--outcome"),
        ("snapback-schedule-add.1", "--time-zone"),
        ("snapback-lever-engage.1", "--reason"),
        ("snapback-check.1", "--print-json"),
    ] {
        assert!(page(name).contains(option), "{name} in {names:?}: {}", page(name));
    }
    // Every page that a page refers to is there, and no other.
    let referred: std::collections::BTreeSet<String> = names
        .iter()
        .flat_map(|name| page(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter(|word| word.starts_with("snapback-") && word.ends_with("(1)"))
        .map(|word| word.replace("(1)", ".1"))
        .collect();
    let others: std::collections::BTreeSet<String> =
        names.iter().filter(|name| *name != "snapback.1").cloned().collect();
    assert_eq!(referred, others);
    let (_, one, _) = snapback("man schedule add", &[]);
    assert_eq!(one.replace('\\', ""), page("snapback-schedule-add.1"));
    let (code, _, err) = snapback("man schedule ad", &[]);
    assert!(code == 2 && err.contains("`ad` is not a command of schedule; write one of add, list"), "{err}");
}
