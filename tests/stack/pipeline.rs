//! What `run` offers to a pipeline: its files, its timeout and its exit codes, on a fake AWS.

use std::path::{Path, PathBuf};

use serde_json::json;
use snapback::model::run::RunStatus;

use super::fake::{FakeAws, Rollback, eventually, experiment_file};

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    folder
}

/// Returns an AWS in which the run has held.
fn held() -> FakeAws {
    let aws = FakeAws::start();
    aws.with(|state| (state.run, state.target, state.execution) = (RunStatus::Completed, "restored", "SUCCEEDED"));
    aws
}

#[test]
fn a_path_that_cannot_be_written_is_refused_before_the_start() {
    let (folder, file) = (folder("refused-paths"), experiment_file("refused-paths"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (missing, link, both) = (text(&folder.join("no/junit.xml")), folder.join("link"), text(&folder.join("both")));
    std::fs::hard_link(&file, &link).unwrap();
    let (before, file) = (std::fs::read(&file).unwrap(), text(&file));
    for (options, wrong) in [
        (["--junit", &missing].as_slice(), format!("{missing}: cannot be written: ")),
        (&["--summary", &text(&folder)], format!("{}: cannot be written: ", text(&folder))),
        (&["--junit", &file], format!("{file}: is the experiment's file; write another path")),
        (&["--summary", &text(&link)], format!("{}: is the experiment's file; write another path", text(&link))),
        (&["--junit", &both, "--summary", &both], format!("{both}: is the JUnit file too; write another path")),
        (&["--timeout", "30m"], "`30m` is not a duration of hours, minutes and seconds; did you mean `PT30M`?".into()),
        (&["--timeout", "PT0S"], "`PT0S` is out of range".into()),
        (&["--timeout", "PT1M", "--detach"], "exclude each other; use one of them".into()),
    ] {
        let aws = held();
        let (code, out, err) = aws.snapback(&[&["run", &file, "--name", "r"], options].concat());
        assert_eq!((code, &*out), (2, ""), "{options:?}: {err}");
        assert!(err.contains(&wrong), "{options:?}: {err}");
        assert_eq!(aws.with(|state| state.calls.clone()), Vec::<String>::new(), "{options:?}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let (code, _, err) = held().snapback(&["plan", &file, "--summary", &missing]);
    assert!(code == 2 && err.contains(&missing), "{code}: {err}");
}

#[test]
fn a_run_writes_its_files() {
    let (folder, file) = (folder("files"), experiment_file("files"));
    let (junit, summary) = (folder.join("junit.xml"), folder.join("summary.md"));
    std::fs::write(&junit, "of an earlier run ".repeat(1_000)).unwrap();
    std::fs::write(&summary, "of an earlier step\n").unwrap();
    let [run, junit_path, summary_path] = [&file, &junit, &summary].map(|path| path.to_str().unwrap());
    let arguments = ["run", run, "--name", "r", "--junit", junit_path, "--summary", summary_path];
    let (code, out, err) = held().snapback(&arguments);
    assert_eq!(code, 0, "{out}{err}");
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(
        xml.starts_with("<?xml ") && xml.contains("tests=\"2\" skipped=\"0\" failures=\"0\" errors=\"0\""),
        "{xml}"
    );
    let text = std::fs::read_to_string(&summary).unwrap();
    assert!(text.starts_with("of an earlier step\n## snapback: "), "{text}");
    assert!(text.contains("| restore: checkout | restored exactly |"), "{text}");
}

#[test]
fn a_file_that_cannot_be_written_at_the_end_is_an_error() {
    let file = experiment_file("full-files");
    for option in ["--junit", "--summary"] {
        let (code, _, err) = held().snapback(&["run", file.to_str().unwrap(), "--name", "r", option, "/dev/full"]);
        assert_eq!(code, 1, "{option}: {err}");
        assert!(err.contains("the output could not be written: /dev/full: "), "{option}: {err}");
    }
}

#[test]
fn a_run_that_could_not_be_followed_is_an_error_in_its_files() {
    let (folder, file) = (folder("unfollowed"), experiment_file("unfollowed"));
    let junit = folder.join("junit.xml");
    let aws = FakeAws::start();
    aws.with(|state| state.ledger_denied = true);
    let arguments = ["run", file.to_str().unwrap(), "--name", "r", "--junit", junit.to_str().unwrap()];
    let (code, _, err) = aws.snapback(&arguments);
    assert_eq!(code, 1, "{err}");
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("errors=\"1\"") && xml.contains("the run continues without this command"), "{xml}");
}

#[test]
fn a_timeout_rolls_back_and_ends_with_9() {
    let (aws, file) = (FakeAws::start(), experiment_file("timeout"));
    let mut running = aws.begin(&["run", file.to_str().unwrap(), "--name", "r", "--timeout", "PT1S"]);
    assert_eq!(running.code(), 9, "{}", running.shown());
    running.wait_for("the timeout has elapsed; rolling back", 1);
    assert_eq!(aws.rollbacks(), [json!({ "stop": "r" })]);
    let asked = aws.calls("Invoke");
    assert!(asked[0].contains(", --timeout\""), "the report says that the timeout has ended it: {asked:?}");
}

#[test]
fn an_early_signal_leaves_no_empty_file() {
    let (folder, file) = (folder("early"), experiment_file("early"));
    let junit = folder.join("junit.xml");
    let aws = FakeAws::start();
    aws.with(|state| state.stacks_hang = true);
    let mut running = aws.begin(&["run", file.to_str().unwrap(), "--name", "r", "--junit", junit.to_str().unwrap()]);
    eventually(|| !aws.calls("DescribeStacks").is_empty(), || "the stack is read".to_owned());
    running.signal("TERM");
    assert_eq!(running.code(), 4, "{}", running.shown());
    let xml = std::fs::read_to_string(&junit).unwrap();
    assert!(xml.contains("errors=\"1\"") && xml.contains("interrupted; nothing was started"), "{xml}");
    assert_eq!(aws.calls("StartExecution"), Vec::<String>::new());
}

#[test]
fn a_timeout_never_leaves_a_rollback() {
    let (aws, file) = (FakeAws::start(), experiment_file("timeout-slow"));
    aws.with(|state| state.rollback = Rollback::Hangs);
    let mut running = aws.begin(&["run", file.to_str().unwrap(), "--name", "r", "--timeout", "PT1S"]);
    running.wait_for("injected", 1);
    running.signal("TERM");
    running.wait_for("rolling back", 1);
    let polls = || aws.calls("DescribeExecution").len();
    let before = polls();
    eventually(|| polls() > before + 3, || "the command continues to poll".to_owned());
    assert!(running.is_running());
    aws.with(|state| (state.run, state.target, state.execution) = (RunStatus::Stopped, "restored", "SUCCEEDED"));
    drop(running);
    assert_eq!(aws.rollbacks().len(), 1);
}

#[test]
fn a_run_that_ends_in_time_has_its_own_exit_code() {
    let file = experiment_file("in-time");
    assert_eq!(held().snapback(&["run", file.to_str().unwrap(), "--name", "r", "--timeout", "PT1M"]).0, 0);
}
