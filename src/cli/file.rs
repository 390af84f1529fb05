//! Reads an experiment, or another tool's configuration, from a file in JSON or YAML.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::model::experiment::Experiment;
use crate::model::input::read_experiment;
use crate::plan::import::{variables, without_short_forms};

use super::Failure;
use super::encoding::decode;
use super::exit::Exit;
use super::syntax::parse;

/// Step Functions takes 256 KiB of input (step-functions/latest/dg/service-quotas).
const MAX_BYTES: u64 = 256 * 1024;

/// Reads the experiment in a file; returns it parsed, and as JSON for the state machine.
pub(super) fn read_file(path: &Path) -> Result<(Experiment, Value), Failure> {
    let text = read_text(path).map_err(|problem| invalid(path, &problem))?;
    let value = parse(&text).map_err(|wrong| invalid(path, &wrong))?;
    let experiment = read_experiment(&value).map_err(|wrong| invalid(path, &wrong.to_string()))?;
    Ok((experiment, value))
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
        None => parse(&without_short_forms(&text)).map_err(|wrong| invalid(path, &wrong)),
    }
}

pub(super) fn invalid(path: &Path, problem: &str) -> Failure {
    let name = if path.as_os_str() == "-" { "standard input".to_owned() } else { path.display().to_string() };
    Failure { error: "InvalidInput".into(), cause: format!("{name}: {problem}"), exit: Exit::Invalid }
}

fn read_text(path: &Path) -> Result<String, String> {
    // UTF-16 takes at most two bytes for each byte of UTF-8, and two for its byte order mark.
    let most = 2 * MAX_BYTES + 2;
    let mut bytes = Vec::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().take(most + 1).read_to_end(&mut bytes),
        _ => std::fs::File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)),
    };
    read.map_err(|error| format!("cannot be read: {error}"))?;
    let too_long =
        || format!("has more than the {MAX_BYTES} bytes that Step Functions takes; write a shorter experiment");
    if bytes.len() as u64 > most {
        return Err(too_long());
    }
    let text = decode(&bytes)?;
    if text.len() as u64 > MAX_BYTES { Err(too_long()) } else { Ok(text) }
}
