//! Output that cannot be written is an error of every command, except to a closed pipe.

use std::fs::OpenOptions;
use std::process::Stdio;

use super::fake::{FakeAws, SNAPBACK, ended, experiment_file};

/// Each command that prints something, with its exit code.
fn commands() -> Vec<(Vec<String>, i32)> {
    let file = experiment_file("output").to_str().unwrap().to_owned();
    let fis = format!("{}/tests/core/import/fixtures/fis.json", env!("CARGO_MANIFEST_DIR"));
    [
        ("schema", 0),
        ("--help", 0),
        ("--version", 0),
        ("help run", 0),
        ("completions bash", 0),
        ("man", 0),
        ("init latency --function checkout", 0),
        (&format!("check {file}"), 0),
        (&format!("--json check {file}"), 0),
        (&format!("import {fis}"), 0),
        (&format!("--json import {fis}"), 0),
        ("status", 0),
        ("status r", 0),
        ("--json status", 0),
        ("report r", 0),
        ("lever show", 0),
        ("--json lever show", 0),
        ("lever engage", 0),
        ("rollback r", 0),
        (&format!("run {file} --name r"), 0),
        (&format!("--json run {file} --name r"), 0),
    ]
    .iter()
    .map(|(line, code)| (line.split(' ').map(str::to_owned).collect(), *code))
    .collect()
}

fn finished() -> FakeAws {
    let aws = FakeAws::start();
    aws.with(|state| {
        state.run = snapback::model::run::RunStatus::Completed;
        (state.target, state.execution) = ("restored", "SUCCEEDED");
    });
    aws
}

#[test]
fn a_full_disk_is_an_error_of_every_command() {
    for (arguments, _) in commands() {
        let aws = finished();
        let mut command = aws.command(SNAPBACK, &[]);
        command.args(&arguments).stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
        let output = command.output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {err}");
        assert!(err.contains("snapback: the output could not be written: "), "{arguments:?}: {err}");
    }
}

#[test]
fn a_closed_standard_output_is_an_error_of_every_command() {
    for (arguments, _) in commands() {
        let aws = finished();
        let words: Vec<&str> =
            ["-c", "exec \"$@\" >&-", "sh", SNAPBACK].into_iter().chain(arguments.iter().map(|word| &**word)).collect();
        let (code, _, err) = ended(aws.command("sh", &words));
        assert_eq!(code, 1, "{arguments:?}: {err}");
        assert!(err.contains("snapback: the output could not be written: it is closed"), "{arguments:?}: {err}");
    }
}

#[test]
fn a_closed_pipe_and_dev_null_are_no_errors() {
    for (arguments, expected) in commands() {
        let aws = finished();
        // A pipe whose reader has closed it.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        for stdout in [Stdio::from(writer), Stdio::null()] {
            let mut command = aws.command(SNAPBACK, &[]);
            command.args(&arguments).stdout(stdout);
            let output = command.output().unwrap();
            let err = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(expected), "{arguments:?}: {err}");
            assert!(!err.contains("could not be written"), "{arguments:?}: {err}");
        }
    }
}

#[test]
fn a_failure_goes_to_standard_error_if_json_cannot_be_written() {
    let aws = finished();
    let mut command = aws.command(SNAPBACK, &["--json", "report", "another"]);
    command.stdout(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let output = command.output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{err}");
    assert!(err.contains("there is no run another"), "{err}");
}

#[test]
fn a_report_is_printed_even_if_its_file_cannot_be_written() {
    let aws = finished();
    let files = [
        ["report", "r", "--html"].as_slice(),
        &["report", "r", "--markdown"],
        &["history", "a test", "--html"],
        &["compare", "r", "r", "--html"],
    ];
    for words in files {
        let (code, out, err) = aws.snapback(&[words, &["/dev/full"]].concat());
        assert_eq!(code, 1, "{words:?}: {err}");
        assert!(err.starts_with("snapback: the output could not be written: /dev/full: "), "{words:?}: {err}");
        assert!(out.contains("steady state"), "{words:?}: {out}");
    }
}

#[test]
fn a_path_that_cannot_take_a_report_is_refused() {
    let aws = finished();
    let folder = std::env::temp_dir().join(format!("snapback-report-paths-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let [pipe, page] = ["pipe", "page"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for (options, wrong) in [
        (vec!["report", "r", "--html", &pipe], format!("{pipe}: is a pipe; write the path of a file; ")),
        (vec!["compare", "r", "r", "--html", &pipe], format!("{pipe}: is a pipe; write the path of a file; ")),
        (
            vec!["report", "r", "--html", &page, "--markdown", &page],
            format!("{page}: is the file of another option too; "),
        ),
        (vec!["report", "r", "--html", "-"], "-: is not a file; write the path of one, or /dev/stdout; ".to_owned()),
    ] {
        let (code, out, err) = aws.snapback(&options);
        assert_eq!((code, &*out), (2, ""), "{options:?}: {err}");
        assert!(err.contains(&wrong), "{options:?}: {err}");
    }
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_status_says_that_no_run_matches_what_was_asked() {
    let (code, out, err) = finished().snapback(&["status", "--experiment", "nope", "--since", "2099-01-01"]);
    assert_eq!(code, 0, "{err}");
    let expected = "nothing is armed\nno run matches --experiment `nope` and --since 2099-01-01T00:00:00Z\n";
    assert!(out.ends_with(expected), "{out}");
}
