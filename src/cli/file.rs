//! Reading an experiment from a file: JSON for machines, YAML for people, the same types.

use std::io::Read;
use std::path::Path;

use serde_json::Value;

use crate::model::experiment::Experiment;
use crate::model::input::{InvalidInput, read_experiment};
use crate::plan::import::{variables, without_short_forms};

use super::Failure;
use super::encoding::decode;
use super::exit::Exit;

/// Step Functions takes 256 KiB of input (step-functions/latest/dg/service-quotas).
const MAX_BYTES: u64 = 256 * 1024;

/// The experiment in a file, parsed and as JSON for the state machine.
pub(super) fn read_file(path: &Path) -> Result<(Experiment, Value), Failure> {
    let text = read_text(path).map_err(|problem| invalid(path, &problem))?;
    let value = parse(&text).map_err(|wrong| invalid(path, &wrong.to_string()))?;
    let experiment = read_experiment(&value).map_err(|wrong| invalid(path, &wrong.to_string()))?;
    Ok((experiment, value))
}

/// The same, with a seed that takes the place of the file's.
pub(super) fn read_seeded(path: &Path, seed: Option<u32>) -> Result<(Experiment, Value), Failure> {
    let (mut experiment, mut value) = read_file(path)?;
    if let Some(seed) = seed {
        experiment.seed = Some(seed);
        value["seed"] = seed.into();
    }
    Ok((experiment, value))
}

/// What is in another tool's file, JSON, YAML or lines `NAME=VALUE`.
pub(super) fn read_foreign(path: &Path) -> Result<Value, Failure> {
    let text = read_text(path).map_err(|problem| invalid(path, &problem))?;
    match variables(&text) {
        Some(variables) => Ok(variables),
        None => parse(&without_short_forms(&text)).map_err(|wrong| invalid(path, &wrong.to_string())),
    }
}

pub(super) fn invalid(path: &Path, problem: &str) -> Failure {
    Failure { error: "InvalidInput".into(), cause: format!("{}: {problem}", path.display()), exit: Exit::Invalid }
}

fn read_text(path: &Path) -> Result<String, String> {
    // Two bytes a character are the most that a text of this length has where it is not in UTF-8.
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

/// JSON is YAML too, and this parser refuses duplicate keys and anchors that would grow without end.
fn parse(text: &str) -> Result<Value, InvalidInput> {
    serde_saphyr::from_str(text).map_err(|error| {
        // The parser's text goes on with an excerpt of the file, which may hold values of variables.
        let first = error.to_string().lines().next().unwrap_or_default().to_owned();
        InvalidInput::whole(format!("this is neither JSON nor YAML: {first}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_and_yaml_read_the_same() {
        let yaml = "name: a\ntargets:\n  - function: f\nfaults:\n  - reservedConcurrency: {limit: 0}\nduration: PT5M\n";
        let json = r#"{"name":"a","targets":[{"function":"f"}],"faults":[{"reservedConcurrency":{"limit":0}}],"duration":"PT5M"}"#;
        assert_eq!(parse(yaml), parse(json));
    }

    #[test]
    fn a_bomb_of_anchors_is_refused() {
        let mut yaml = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let inner = vec![format!("*a{}", level - 1); 10].join(", ");
            yaml.push_str(&format!("a{level}: &a{level} [{inner}]\n"));
        }
        assert!(parse(&yaml).is_err());
    }

    #[test]
    fn a_key_that_stands_twice_is_refused() {
        assert!(parse("duration: PT5M\nduration: PT6M\n").is_err());
        assert!(parse(r#"{"duration":"PT5M","duration":"PT6M"}"#).is_err());
    }
}
