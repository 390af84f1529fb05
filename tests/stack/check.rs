//! `snapback check` as a user runs it: every error of every file, each with its place. It needs no lab and no account.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::fake::{SNAPBACK, ended};

const WRONG: &str = "\
# What a user could write at the first attempt.
name: nightly
tragets: [lab-checkout]
faults:
  - latency:
      delayMs: 3s
      percent: 30
durration: PT5M
";

/// Creates the files of a test.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("check").join(test);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("wrong.yaml"), WRONG).unwrap();
    std::fs::write(folder.join("cut.yaml"), "name: a\n---\nname: b\n").unwrap();
    let good = "name: a\ntargets: [{function: f}]\nfaults: [{exit: {}}]\nduration: PT5M\n";
    std::fs::write(folder.join("good.yaml"), good).unwrap();
    folder
}

fn check(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(SNAPBACK);
    command.arg("check").args(arguments).current_dir(folder);
    ended(command)
}

#[test]
fn every_error_of_every_file_has_its_place() {
    let (code, out, err) = check(&folder("text"), &["wrong.yaml", "good.yaml", "cut.yaml", "missing.yaml", "."]);
    assert_eq!(
        err,
        "\
wrong.yaml:3:1: `tragets` is not a known field; did you mean `targets`?
wrong.yaml:3:11: targets[0]: `lab-checkout` is text; write `function: lab-checkout`
wrong.yaml:6:16: faults[0].latency.delayMs: `3s` is text; write a whole number from 0 to 900000, without quotes
wrong.yaml:7:7: faults[0].latency: `percent` is not a known field; did you mean `percentage`?
wrong.yaml:8:1: `durration` is not a known field; did you mean `duration`?
cut.yaml:3:1: a second document begins here; write one document per file
missing.yaml: there is no such file
.: this is a directory; name its files
"
    );
    assert_eq!(out, "valid: good.yaml: a: exit on 1 target for PT5M\n1 of 5 files are valid\n");
    assert_eq!(code, 2);
}

#[test]
fn json_has_every_error_as_an_entry() {
    let folder = folder("json");
    let (code, out, _) = check(&folder, &["wrong.yaml", "good.yaml", "--json"]);
    let checked: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &checked["valid"], checked["error"].as_str()), (2, &Value::Bool(false), Some("InvalidInput")));
    let errors = checked["files"][0]["errors"].as_array().unwrap();
    assert_eq!(errors.len(), 5);
    let fields = ["file", "line", "column", "field"].map(|field| errors[2][field].to_string());
    assert_eq!(fields, ["\"wrong.yaml\"", "6", "16", "\"faults[0].latency.delayMs\""]);
    let fixes =
        errors.iter().map(|error| [&error["value"], &error["fix"]].map(|part| part.as_str().unwrap_or_default()));
    let expected = [
        ["tragets", "did you mean `targets`?"],
        ["lab-checkout", "write `function: lab-checkout`"],
        ["3s", "write a whole number from 0 to 900000, without quotes"],
        ["percent", "did you mean `percentage`?"],
        ["durration", "did you mean `duration`?"],
    ];
    assert_eq!(fixes.collect::<Vec<_>>(), expected);
    assert_eq!(checked["files"][1]["experiment"], "a");
    let (code, out, _) = check(&folder, &["good.yaml", "--json"]);
    let checked: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &checked["valid"], &checked["experiment"]), (0, &Value::Bool(true), &Value::from("a")));
}

#[test]
fn an_experiment_is_printed_as_json() {
    let folder = folder("print");
    let (code, out, err) = check(&folder, &["good.yaml", "--print-json"]);
    assert_eq!((code, err.as_str()), (0, ""));
    std::fs::write(folder.join("good.json"), &out).unwrap();
    let printed: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&printed["name"], &printed["faults"][0]["exit"]), (&Value::from("a"), &serde_json::json!({})));
    // What was printed is an experiment, and is printed as it is.
    assert_eq!(check(&folder, &["good.json", "--print-json"]), (0, out, String::new()));
    let (code, out, err) = check(&folder, &["wrong.yaml", "--print-json"]);
    assert_eq!((code, out.as_str(), err.lines().count()), (2, "", 5));
    for (arguments, says) in [
        (&["good.yaml", "wrong.yaml", "--print-json"][..], "--print-json takes one file, not 2; name one"),
        (&["good.yaml", "--print-json", "--json"], "--print-json and --json exclude each other; use one of them"),
    ] {
        let (code, out, err) = check(&folder, arguments);
        assert!(code == 2 && (err + &out).contains(says), "{arguments:?}");
    }
}
