//! `snapback import` as a user runs it. It needs no lab and no account.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

/// Runs the command line and returns its exit code, standard output and standard error.
fn snapback(arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_snapback"));
    command.args(arguments).current_dir(fixtures()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    // Not every command reads its standard input.
    let _ = running.stdin.take().unwrap().write_all(input.as_bytes());
    let output = running.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/core/import/fixtures")
}

#[test]
fn check_accepts_what_import_prints() {
    let mut files = 0;
    for entry in std::fs::read_dir(fixtures()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let (code, yaml, notes) = snapback(&["import", &name, "--function", "checkout"], "");
        assert_eq!(code, 0, "{name}: {notes}");
        assert!(!notes.is_empty() && notes.lines().all(|line| line.starts_with("note ")), "{name}: {notes}");
        let (code, valid, wrong) = snapback(&["check", "-"], &yaml);
        assert_eq!((code, wrong.as_str()), (0, ""), "{name}: {yaml}");
        assert!(valid.contains("on 1 target for "), "{name}: {valid}");

        let (code, json, _) = snapback(&["import", &name, "--function", "checkout", "--json"], "");
        assert_eq!(code, 0, "{name}");
        let json: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_saphyr::from_str::<Value>(&yaml).unwrap(), json, "{name}");
        files += 1;
    }
    assert!(files >= 8, "{files}");
}

#[test]
fn import_reads_standard_input_and_lines_of_variables() {
    let lines = "CHAOS_EXTENSION__LAMBDA__ENABLE_LATENCY=true\nCHAOS_EXTENSION__LAMBDA__LATENCY_VALUE=1\n";
    let (code, yaml, _) = snapback(&["import", "-", "--function", "a", "--function", "b"], lines);
    assert_eq!(code, 0);
    assert!(yaml.contains("  - function: a\n  - function: b\n") && yaml.contains("delayMs: 1000"), "{yaml}");
}

#[test]
fn import_reads_a_yaml_template_with_short_references() {
    let template = "\
Resources:
  Errors:
    Type: AWS::CloudWatch::Alarm
    Properties: {AlarmName: checkout-errors}
  Slow:
    Type: AWS::FIS::ExperimentTemplate
    Properties:
      Description: !Sub '${AWS::StackName} is slow'
      RoleArn: !GetAtt Role.Arn
      Actions:
        slow:
          ActionId: aws:lambda:invocation-add-delay
          Parameters: {duration: PT2M, invocationPercentage: '50', startupDelayMilliseconds: '500'}
          Targets: {Functions: shop}
      Targets:
        shop: {ResourceType: aws:lambda:function, ResourceTags: {team: shop}, SelectionMode: ALL}
      StopConditions:
        - Source: aws:cloudwatch:alarm
          Value: !GetAtt Errors.Arn # checkout's
";
    let (code, yaml, notes) = snapback(&["import", "-"], template);
    assert_eq!(code, 0, "{notes}");
    assert!(yaml.contains("stopConditions:\n  - alarm: checkout-errors\n"), "{yaml}");
    assert!(notes.contains("note Resources.Slow.Properties.RoleArn: not imported"), "{notes}");
    let unknown = template.replace("Errors.Arn", "Other.Arn");
    let (code, out, err) = snapback(&["import", "-"], &unknown);
    assert_eq!((code, out.as_str()), (2, ""), "a reference is not an alarm's name");
    assert!(err.contains("`!GetAtt Other.Arn`, which only CloudFormation can resolve"), "{err}");
}

#[test]
fn import_reads_a_file_written_on_windows() {
    let text = std::fs::read_to_string(fixtures().join("fis.json")).unwrap();
    let (_, plain, _) = snapback(&["import", "-"], &text);
    let bytes: Vec<u8> = std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("windows.json");
    std::fs::write(&path, bytes).unwrap();
    let (code, yaml, err) = snapback(&["import", path.to_str().unwrap()], "");
    assert_eq!((code, &yaml), (0, &plain), "{err}");
    let experiment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("windows.yaml");
    let yaml: Vec<u8> = yaml.encode_utf16().flat_map(u16::to_be_bytes).collect();
    std::fs::write(&experiment, yaml).unwrap();
    let (code, out, err) = snapback(&["check", experiment.to_str().unwrap()], "");
    assert_eq!(code, 0, "{out}{err}");
    std::fs::write(&experiment, b"name: gr\xfc\xdfe\n").unwrap();
    let (code, _, err) = snapback(&["check", experiment.to_str().unwrap()], "");
    assert!(code == 2 && err.contains("is not in UTF-8, first in line 1; save it as UTF-8"), "{err}");
}

#[test]
fn an_import_without_an_experiment_ends_with_2() {
    for (arguments, expected) in [
        (&["import", "chaos-lambda.json"][..], "names no function; name the targets with --function NAME"),
        (&["import", "no-such-file.json"], "there is no such file"),
        (
            &["import", "fis.json", "--from", "gremlin"],
            "write one of fis, failure-lambda, chaos-lambda, chaos-lambda-ext",
        ),
        (&["import", "fis.json", "--from", "chaos-lambda"], "nothing to import"),
        (&["import", "fis.json", "--function", "a b"], "`a b` is not a function"),
        (&["import", "-"], "unrecognized configuration"),
    ] {
        let (code, out, err) = snapback(arguments, "{}");
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(err.contains(expected), "{arguments:?}: {err}");
    }
}
