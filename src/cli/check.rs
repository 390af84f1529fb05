//! The command `check`: validates files, without any call to AWS.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::model::experiment::Experiment;
use crate::model::target::Target;

use super::Failure;
use super::exit::Exit;
use super::file::read_file;
use super::file_error::{FileError, shown};
use super::output::Output;
use super::words::targets;

/// The output of `check`.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct CheckView {
    /// Whether every file is valid.
    valid: bool,
    /// The experiment's name, if one file was checked and is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    experiment: Option<String>,
    /// `InvalidInput`, if a file is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'static str>,
    /// All errors in one text, if a file is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    files: Vec<CheckedFile>,
}

/// A file that was checked.
#[derive(Serialize, schemars::JsonSchema)]
struct CheckedFile {
    /// Its path; what is not UTF-8 in it is replaced.
    file: String,
    valid: bool,
    /// The experiment's name, if the file is valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    experiment: Option<String>,
    /// Every error of the file.
    errors: Vec<FileError>,
}

/// Validates files. A file that is not valid hides the result of no other.
pub(super) fn check(files: &[PathBuf], output: &Output) -> Result<Exit, Failure> {
    let read = |path: &PathBuf| (path.clone(), read_file(path).map(|(experiment, _)| experiment));
    let checked: Vec<_> = files.iter().map(read).collect();
    let failures: Vec<&Failure> = checked.iter().filter_map(|(_, result)| result.as_ref().err()).collect();
    let exit = if failures.is_empty() { Exit::Success } else { Exit::Invalid };
    if output.as_json {
        output.json(&view(&checked, &failures));
        return Ok(exit);
    }
    for (path, result) in &checked {
        match result {
            Ok(_) if output.quiet => {}
            Ok(experiment) => output.print_line(&valid_line(path, experiment, files.len())),
            Err(failure) => output.failure(failure),
        }
    }
    if files.len() > 1 && !output.quiet {
        output.print_line(&format!("{} of {} files are valid", files.len() - failures.len(), files.len()));
    }
    Ok(exit)
}

/// Validates one file, and prints its experiment as JSON.
pub(super) fn print(files: &[PathBuf], output: &Output) -> Result<Exit, Failure> {
    let [file] = files else {
        return Err(Failure::invalid(format!("--print-json takes one file, not {}; name one", files.len())));
    };
    let (_, experiment) = read_file(file)?;
    output.json(&experiment);
    Ok(Exit::Success)
}

fn view(checked: &[(PathBuf, Result<Experiment, Failure>)], failures: &[&Failure]) -> CheckView {
    let name = |result: &Result<Experiment, Failure>| Some(result.as_ref().ok()?.name.to_string());
    let file = |(path, result): &(PathBuf, Result<Experiment, Failure>)| CheckedFile {
        file: path.to_string_lossy().into_owned(),
        valid: result.is_ok(),
        experiment: name(result),
        errors: result.as_ref().err().map(|failure| failure.errors.clone()).unwrap_or_default(),
    };
    let causes: Vec<&str> = failures.iter().map(|failure| failure.cause.as_str()).collect();
    CheckView {
        valid: failures.is_empty(),
        experiment: if let [(_, result)] = checked { name(result) } else { None },
        error: (!failures.is_empty()).then_some("InvalidInput"),
        cause: (!failures.is_empty()).then(|| causes.join("\n")),
        files: checked.iter().map(file).collect(),
    }
}

fn valid_line(path: &Path, experiment: &Experiment, files: usize) -> String {
    let faults: Vec<&str> = experiment.faults.iter().map(|fault| fault.name()).collect();
    let has_tags = experiment.targets.iter().any(|target| matches!(target, Target::Tagged { .. }));
    let on = match (has_tags, experiment.targets.len()) {
        (false, count) => targets(count),
        (true, 1) => "the functions with its tags (plan resolves them)".to_owned(),
        (true, count) => format!("{count} entries of targets (plan resolves their tags)"),
    };
    let of = if files > 1 { format!("{}: ", shown(path)) } else { String::new() };
    format!("valid: {of}{}: {} on {on} for {}", experiment.name, faults.join(", "), experiment.duration)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_file_name_that_is_not_utf8_hides_no_result() {
        let path = PathBuf::from(OsStr::from_bytes(b"bad\xff.yaml"));
        let checked = [(path, Err(Failure::invalid("there is no such file")))];
        let failures: Vec<&Failure> = checked.iter().filter_map(|(_, result)| result.as_ref().err()).collect();
        let json = serde_json::to_value(view(&checked, &failures)).unwrap_or_default();
        assert_eq!((&json["valid"], &json["files"][0]["file"]), (&false.into(), &"bad\u{fffd}.yaml".into()));
    }
}
