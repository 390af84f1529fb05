//! Reads an experiment, or another tool's configuration, from a file in JSON or YAML.

use std::io::{self, Read};
use std::path::Path;

use serde_json::Value;

use crate::model::experiment::Experiment;
use crate::model::findings::{MAX_FINDINGS, find_errors};
use crate::model::input::read_experiment;
use crate::plan::import::{variables, without_short_forms};

use super::Failure;
use super::encoding::decode;
use super::file_error::FileError;
use super::places::Places;
use super::syntax::{SyntaxError, parse};

/// Step Functions takes 256 KiB of input (step-functions/latest/dg/service-quotas).
const MAX_BYTES: u64 = 256 * 1024;

/// Reads the experiment in a file; returns it parsed, and as JSON for the state machine. The failure has every error.
pub(super) fn read_file(path: &Path) -> Result<(Experiment, Value), Failure> {
    let text = read_text(path).map_err(|problem| invalid(path, &problem))?;
    let value = parse(&text).map_err(|wrong| syntax_error(path, &wrong))?;
    if value.is_null() {
        let fix = "write name, targets, faults and duration, or begin with: snapback init latency --function NAME";
        return Err(invalid(path, &format!("the file is empty; {fix}")));
    }
    let experiment = read_experiment(&value).map_err(|_| all_of(every_error(path, &text, &value)))?;
    Ok((experiment, value))
}

/// The first errors of an experiment by their places, and at the end how many more there are.
fn every_error(path: &Path, text: &str, value: &Value) -> Vec<FileError> {
    let places = Places::of(text);
    let errors = find_errors(value).into_iter().map(|found| {
        let place = places.find(&found.pointer, found.is_about_name);
        FileError::found(path, place, &found, value)
    });
    let mut errors: Vec<FileError> = errors.collect();
    errors.sort_by_key(FileError::place);
    let more = errors.len().saturating_sub(MAX_FINDINGS);
    errors.truncate(MAX_FINDINGS);
    if more > 0 {
        let are = if more == 1 { "error is" } else { "errors are" };
        let problem = format!("at least {more} more {are} not shown; correct these, and check the file again");
        errors.push(FileError::new(path, None, "", &problem));
    }
    errors
}

/// Reads the experiment in a file; a given `seed` replaces the file's.
pub(super) fn read_seeded(path: &Path, seed: Option<u32>) -> Result<(Experiment, Value), Failure> {
    let (mut experiment, mut value) = read_file(path)?;
    if let Some(seed) = seed {
        experiment.seed = Some(seed);
        value["seed"] = seed.into();
    }
    Ok((experiment, value))
}

/// Reads another tool's file: JSON, YAML or lines `NAME=VALUE`.
pub(super) fn read_foreign(path: &Path) -> Result<Value, Failure> {
    let text = read_text(path).map_err(|problem| invalid(path, &problem))?;
    match variables(&text) {
        Some(variables) => Ok(variables),
        None => parse(&without_short_forms(&text)).map_err(|wrong| syntax_error(path, &wrong)),
    }
}

/// The failure for one error of a whole file.
pub(super) fn invalid(path: &Path, problem: &str) -> Failure {
    all_of(vec![FileError::new(path, None, "", problem)])
}

/// The failure for all errors of one or more files.
pub(super) fn all_of(errors: Vec<FileError>) -> Failure {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Failure { errors, ..Failure::invalid(lines.join("\n")) }
}

fn syntax_error(path: &Path, wrong: &SyntaxError) -> Failure {
    all_of(vec![FileError::new(path, wrong.place, "", wrong.problem)])
}

fn read_text(path: &Path) -> Result<String, String> {
    // UTF-16 takes at most two bytes for each byte of UTF-8, and two for its byte order mark.
    let most = 2 * MAX_BYTES + 2;
    let mut bytes = Vec::new();
    let read = match path.to_str() {
        Some("-") => io::stdin().take(most + 1).read_to_end(&mut bytes),
        _ => std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "the file cannot be read: permission denied".to_owned(),
        io::ErrorKind::IsADirectory => "this is a directory; name its files".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    })?;
    let too_long =
        || format!("has more than the {MAX_BYTES} bytes that Step Functions takes; write a shorter experiment");
    if bytes.len() as u64 > most {
        return Err(too_long());
    }
    let text = decode(&bytes)?;
    if text.len() as u64 > MAX_BYTES { Err(too_long()) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a file with this text, and returns the lines of the failure.
    fn refused(name: &str, text: &str) -> Vec<String> {
        let path = std::env::temp_dir().join(format!("snapback-file-{name}-{}.yaml", std::process::id()));
        assert!(std::fs::write(&path, text).is_ok());
        let failure = read_file(&path).err();
        drop(std::fs::remove_file(&path));
        let cause = failure.map(|failure| failure.cause).unwrap_or_default();
        cause.lines().map(|line| line.replace(&path.display().to_string(), "FILE")).collect()
    }

    #[test]
    fn an_empty_file_says_what_to_write() {
        for text in ["", "\n", "# only a comment\n", "null\n"] {
            let lines = refused("empty", text);
            assert_eq!(lines.len(), 1, "{lines:?}");
            let expected =
                "FILE: the file is empty; write name, targets, faults and duration, or begin with: snapback init ";
            assert!(lines[0].starts_with(expected), "{lines:?}");
        }
    }

    #[test]
    fn errors_that_are_not_shown_are_mentioned() {
        let fields = |count: usize| (0..count).map(|at| format!("x{at}: 1\n")).collect::<String>();
        let valid = "name: a test\ntargets: [{function: f}]\nfaults: [{memory: {megabytes: 256}}]\nduration: PT5M\n";
        let lines = refused("all", &format!("{valid}{}", fields(MAX_FINDINGS)));
        assert_eq!(lines.len(), MAX_FINDINGS, "{lines:?}");
        assert!(lines.iter().all(|line| line.contains("is not a known field")), "{lines:?}");
        let lines = refused("more", &format!("{valid}{}", fields(MAX_FINDINGS + 50)));
        assert!(lines[0].starts_with("FILE:5:1: `x0` ") && lines[99].starts_with("FILE:104:1: `x99` "), "{lines:?}");
        let last = "FILE: at least 50 more errors are not shown; correct these, and check the file again";
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (MAX_FINDINGS + 1, Some(last)));
    }
}
