//! The GitHub Action and the GitLab job: their own scripts run in order against the lab, with bash.
//!
//! GitHub's expressions are evaluated as far as the action uses them. Steps that use another action are left out.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::lab::{Lab, steady_experiment};
use super::pages;

const SNAPBACK: &str = env!("CARGO_BIN_EXE_snapback");
const PULL_REQUEST: &str = "17";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&std::fs::read_to_string(root().join(path)).unwrap()).unwrap()
}

/// A job on a runner: a separate folder, and its environment.
struct Job {
    folder: PathBuf,
    environment: BTreeMap<String, String>,
}

impl Job {
    /// Prepares a job with the lab's credentials, and with `snapback` and `gh` on its path.
    fn new(lab: &Lab, name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("ci-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(folder.join("bin")).unwrap();
        std::os::unix::fs::symlink(SNAPBACK, folder.join("bin/snapback")).unwrap();
        // The machine's own Python may be too old.
        let [python, gh] = [".tools/venv/bin/python", "tests/stack/gh.py"].map(|path| root().join(path));
        let script = format!("#!/bin/sh\nexec '{}' '{}' \"$@\"\n", python.display(), gh.display());
        std::fs::write(folder.join("bin/gh"), script).unwrap();
        std::fs::set_permissions(folder.join("bin/gh"), PermissionsExt::from_mode(0o755)).unwrap();
        let mut environment = lab.environment().clone();
        let path = format!("{}:{}", folder.join("bin").display(), std::env::var("PATH").unwrap());
        environment.extend([("PATH".into(), path), ("HOME".into(), folder.display().to_string())]);
        Self { folder, environment }
    }

    fn set(&mut self, variables: &[(&str, &str)]) {
        self.environment.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }

    /// Runs a script as a runner does; returns its exit code, and what it has printed.
    fn bash(&self, script: &str, environment: &[(String, String)]) -> (i32, String) {
        let file = self.folder.join("step.sh");
        std::fs::write(&file, script).unwrap();
        let mut bash = Command::new("env");
        bash.args(["--default-signal=HUP,INT,QUIT,TERM", "bash", "--noprofile", "--norc", "-eo", "pipefail"])
            .arg(&file);
        bash.env_clear().envs(&self.environment).envs(environment.iter().cloned()).current_dir(&self.folder);
        let output = bash.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file)).unwrap_or_default()
    }

    fn json(&self, file: &str) -> Value {
        let text = self.read(file);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}: {text}"))
    }
}

/// Runs the action's steps in order with these inputs, and returns the exit code of the first that failed, and all output.
fn run_action(job: &mut Job, given: &[(&str, &str)]) -> (i32, String) {
    let files =
        ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"].map(|name| (name, job.folder.join(name).display().to_string()));
    job.set(&files.each_ref().map(|(name, path)| (*name, path.as_str())));
    job.set(&[
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_SERVER_URL", "https://github.com"),
        ("GITHUB_REPOSITORY", "shop/checkout"),
        ("GITHUB_RUN_ID", "7"),
        ("GITHUB_RUN_ATTEMPT", "1"),
    ]);
    let action = yaml("infra/github-action/action.yml");
    let mut context = Context::of(&action, given);
    let (mut code, mut shown) = (0, String::new());
    for step in action["runs"]["steps"].as_array().unwrap() {
        let Some(script) = step["run"].as_str() else { continue };
        assert!(!script.contains("${{"), "an expression in a script could become a command: {script}");
        if !context.holds(step["if"].as_str().unwrap_or(""), code) {
            continue;
        }
        let no_variables = serde_json::Map::new();
        let variables = step["env"].as_object().unwrap_or(&no_variables).iter();
        let environment: Vec<_> =
            variables.map(|(name, value)| (name.clone(), context.evaluate(value.as_str().unwrap()))).collect();
        let (ended, text) = job.bash(script, &environment);
        shown.push_str(&text);
        code = if code == 0 { ended } else { code };
        if let Some(id) = step["id"].as_str() {
            let outputs = job.read("GITHUB_OUTPUT");
            let named = outputs.lines().filter_map(|line| line.split_once('='));
            context.0.extend(named.map(|(name, value)| (format!("steps.{id}.outputs.{name}"), value.to_owned())));
        }
    }
    (code, shown)
}

/// The values of GitHub's contexts.
struct Context(BTreeMap<String, String>);

impl Context {
    fn of(action: &Value, given: &[(&str, &str)]) -> Self {
        let mut context = Self(
            [("github.token", "a-token"), ("github.event.pull_request.number", PULL_REQUEST)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        );
        for (name, input) in action["inputs"].as_object().unwrap() {
            let given = given.iter().find(|(other, _)| other == name).map(|(_, value)| (*value).to_owned());
            let value = given.unwrap_or_else(|| {
                assert_eq!(input["required"], Value::Null, "the input {name} is required");
                context.evaluate(input["default"].as_str().unwrap())
            });
            context.0.insert(format!("inputs.{name}"), value);
        }
        context
    }

    /// Evaluates a text that is one expression, or none.
    fn evaluate(&self, text: &str) -> String {
        match text.strip_prefix("${{ ").and_then(|text| text.strip_suffix(" }}")) {
            Some(name) => self.0.get(name).cloned().unwrap_or_default(),
            None => text.to_owned(),
        }
    }

    /// Evaluates a condition: parts that are joined by `&&`, each `always()` or the comparison of an input with a text.
    fn holds(&self, condition: &str, code: i32) -> bool {
        let parts: Vec<&str> = condition.split(" && ").filter(|part| !part.is_empty()).collect();
        let holds = |part: &&str| match (*part, part.split_once(" == "), part.split_once(" != ")) {
            ("always()", ..) => true,
            (_, Some((name, text)), _) => self.0[name] == text.trim_matches('\''),
            (_, _, Some((name, text))) => self.0[name] != text.trim_matches('\''),
            _ => panic!("{condition}: the test does not know this condition"),
        };
        (code == 0 || parts.contains(&"always()")) && parts.iter().all(holds)
    }
}

/// Runs the GitLab job's scripts as its runner does; returns the exit code of the first, and all output.
fn run_gitlab_job(job: &mut Job, variables: &[(&str, &str)]) -> (i32, String) {
    let definition = &yaml("infra/gitlab/snapback.gitlab-ci.yml")["snapback"];
    let lines = |name: &str| {
        let lines: Vec<&str> = definition[name].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
        lines.join("\n")
    };
    let folder = job.folder.display().to_string();
    job.set(&[
        ("GITLAB_CI", "true"),
        ("CI_JOB_ID", "4711"),
        ("CI_PROJECT_DIR", &folder),
        ("CI_JOB_URL", "https://gitlab.example/shop/-/jobs/4711"),
        ("SNAPBACK_TOKEN", "a-token"),
    ]);
    for (name, value) in definition["variables"].as_object().unwrap() {
        let value = value.as_str().unwrap().replace("$CI_PROJECT_DIR", &folder).replace("$CI_JOB_ID", "4711");
        job.set(&[(name, &value)]);
    }
    job.set(variables);
    let (code, mut shown) = job.bash(&lines("script"), &[]);
    job.set(&[("CI_JOB_STATUS", if code == 0 { "success" } else { "failed" })]);
    shown.push_str(&job.bash(&lines("after_script"), &[]).1);
    (code, shown)
}

fn count(text: &str, what: &str) -> usize {
    text.matches(what).count()
}

/// Held and deviated in GitHub, and a timeout in GitLab, at the same time on separate functions; then plans. The pages of two
/// of these runs then go into the bucket for reports (`pages.rs`), because a lab takes longer to start than that.
#[test]
fn the_pipelines_scripts_run_on_a_deployed_stack() {
    let lab = Lab::with_parameters(pages::PARAMETERS);
    let before = ["lab-search", "lab-stock", "lab-payment"].map(|function| lab.function(function));
    for alarm in ["ci-held", "ci-deviated"] {
        create_alarm(&lab, alarm);
    }
    let action = |name: &'static str, experiment: PathBuf| {
        let (mut job, stack) = (Job::new(&lab, name), lab.stack().to_owned());
        std::thread::spawn(move || {
            let file = experiment.display().to_string();
            let inputs = [("command", "run"), ("experiment", &*file), ("stack", &stack), ("name", name)];
            let (code, shown) = run_action(&mut job, &inputs);
            (job, code, shown)
        })
    };
    let held = action("ci-held", steady_experiment("ci-held", "lab-search", "PT5S", "ci-held"));
    let deviated = action("ci-deviated", steady_experiment("ci-deviated", "lab-stock", "PT300S", "ci-deviated"));
    let slow = steady_experiment("ci-slow", "lab-payment", "PT300S", "ci-held");
    let (mut job, stack) = (Job::new(&lab, "gitlab"), lab.stack().to_owned());
    let gitlab = std::thread::spawn(move || {
        let file = slow.display().to_string();
        let variables = [("SNAPBACK_EXPERIMENT", &*file), ("SNAPBACK_TIMEOUT", "PT15S"), ("SNAPBACK_STACK", &*stack)];
        let (code, shown) = run_gitlab_job(&mut job, &variables);
        (job, code, shown)
    });
    lab.wait_for_fault("ci-deviated");
    put_metric(&lab, "ci-deviated", "9");

    let (job, code, shown) = held.join().unwrap();
    assert_eq!(code, 0, "{shown}");
    check_held(&job);
    let (job, code, shown) = deviated.join().unwrap();
    assert_eq!(code, 4, "{shown}");
    check_deviated(&job);
    let (job, code, shown) = gitlab.join().unwrap();
    assert_eq!(code, 9, "{shown}");
    check_timed_out(&job);
    let after = ["lab-search", "lab-stock", "lab-payment"].map(|function| lab.function(function));
    assert_eq!(after, before);
    plans_are_commented(&lab);
    let runs = [("ci-held", "ci-held", "lab-search"), ("ci-deviated", "ci-deviated", "lab-stock")];
    pages::pages_reach_the_bucket(&lab, runs);
}

fn check_held(job: &Job) {
    let report = job.json("snapback-report/report.json");
    assert_eq!(report["outcome"], "held", "{report}");
    let by = &report["startedBy"];
    let page = "https://github.com/shop/checkout/actions/runs/7/attempts/1";
    assert_eq!((&by["via"], &by["url"]), (&"GitHub Actions".into(), &page.into()), "{report}");
    assert!(by["caller"].as_str().unwrap().starts_with("arn:aws:"), "{report}");
    assert_eq!(report["endedBy"], serde_json::json!({ "via": "snapback" }), "{report}");
    let xml = job.read("snapback-report/junit.xml");
    assert!(xml.contains("tests=\"3\" skipped=\"0\" failures=\"0\" errors=\"0\""), "{xml}");
    let summary = job.read("GITHUB_STEP_SUMMARY");
    assert!(summary.contains("| steady state: alarm ci-held not in ALARM | passed |"), "{summary}");
    assert_eq!(job.read("GITHUB_OUTPUT"), "run=ci-held\n");
}

fn check_deviated(job: &Job) {
    let report = job.json("snapback-report/report.json");
    assert_eq!((&report["status"], &report["outcome"]), (&"stopped".into(), &"endedEarly".into()), "{report}");
    let xml = job.read("snapback-report/junit.xml");
    assert_eq!((count(&xml, "<failure "), count(&xml, "alarm ci-deviated is in ALARM") >= 2), (2, true), "{xml}");
    let summary = job.read("GITHUB_STEP_SUMMARY");
    assert!(summary.contains("| restore: lab-stock | restored exactly |"), "{summary}");
}

fn check_timed_out(job: &Job) {
    let report = job.json("snapback.json");
    let by = |field: &str| report[field]["via"].clone();
    assert_eq!((by("startedBy"), by("endedBy")), ("GitLab CI".into(), "GitLab CI, --timeout".into()), "{report}");
    assert_eq!(report["endedBy"]["url"], "https://gitlab.example/shop/-/jobs/4711", "{report}");
    assert!(
        job.read("snapback.xml").contains("<failure message=\"ended early: stopped by the timeout of the command"),
        "{report}"
    );
    assert!(job.read("snapback.md").contains("| restore: lab-payment | restored exactly |"), "{report}");
    assert!(!job.folder.join(".snapback-token").exists(), "the token is deleted");
}

/// A plan is one comment on the pull request, which the next plan replaces, also one that is refused.
fn plans_are_commented(lab: &Lab) {
    let mut job = Job::new(lab, "plan");
    let plan = |job: &mut Job, function: &str| {
        let file = steady_experiment("ci-plan", function, "PT5S", "ci-held").display().to_string();
        run_action(job, &[("command", "plan"), ("experiment", &file), ("stack", lab.stack())])
    };
    let (code, shown) = plan(&mut job, "lab-search");
    assert_eq!(code, 0, "{shown}");
    let comments = |job: &Job| job.json("comments.json").as_array().unwrap().clone();
    let first = comments(&job);
    let body = first[0]["body"].as_str().unwrap();
    assert!(body.starts_with("<!-- snapback plan ") && body.contains("| lab-search | memory |"), "{body}");
    assert_eq!((first.len(), first[0]["issue"].as_str()), (1, Some(PULL_REQUEST)));
    let (code, shown) = plan(&mut job, "snapback-restore");
    assert_eq!(code, 3, "{shown}");
    let second = comments(&job);
    let body = second[0]["body"].as_str().unwrap();
    assert!(second.len() == 1 && body.contains("**refused, for "), "{second:?}");
    assert!(job.read("GITHUB_STEP_SUMMARY").contains("ready to run; nothing was changed"));
    let (code, shown) = run_action(&mut job, &[("command", "destroy"), ("experiment", "none")]);
    assert!(code == 2 && shown.contains("write plan or run"), "{code}: {shown}");
}

/// Creates an alarm on a separate metric, in the state OK.
fn create_alarm(lab: &Lab, name: &str) {
    let threshold = ["--threshold", "5", "--comparison-operator", "GreaterThanThreshold"];
    let every = ["--statistic", "Sum", "--period", "60", "--evaluation-periods", "1"];
    let what = ["cloudwatch", "put-metric-alarm", "--alarm-name", name, "--namespace", "Shop", "--metric-name", name];
    lab.aws(&[&what[..], &every, &threshold].concat());
    put_metric(lab, name, "0");
}

fn put_metric(lab: &Lab, name: &str, value: &str) {
    lab.aws(&["cloudwatch", "put-metric-data", "--namespace", "Shop", "--metric-name", name, "--value", value]);
}
