//! The schema that `snapback schema` prints: it describes every experiment in `events/`, and `events/README.md` shows its
//! parameters. The schema of the events that snapback sends is in `events/event-schema.json`.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value, json};
use snapback::model::catalog::FAULT_CATALOG;
use snapback::model::experiment::Experiment;
use snapback::model::input::read_experiment;

use super::fake::SNAPBACK;

/// Returns each sample in `events/` with its path.
fn samples() -> impl Iterator<Item = (PathBuf, Value)> {
    let files = std::fs::read_dir(root().join("events")).unwrap().map(|entry| entry.unwrap().path());
    let samples = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    samples.map(|path| (path.clone(), serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()))
}

pub fn experiments() -> Vec<(PathBuf, Value)> {
    samples().filter(|(_, value)| value.get("faults").is_some()).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

#[test]
fn every_experiment_of_the_samples_validates() {
    let schema = serde_json::to_value(schemars::schema_for!(Experiment)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let experiments = experiments();
    assert!(experiments.len() >= 8, "the samples are there");
    for (path, experiment) in experiments {
        let errors: Vec<String> = validator.iter_errors(&experiment).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

#[test]
fn the_schema_refuses_what_the_types_refuse() {
    let schema = serde_json::to_value(schemars::schema_for!(Experiment)).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let good = json!({
        "name": "a", "targets": [{ "function": "f" }], "faults": [{ "reservedConcurrency": { "limit": 0 } }], "duration": "PT5M"
    });
    assert!(validator.is_valid(&good));
    for (pointer, wrong) in [
        ("/faults/0", json!({ "reservedConcurency": { "limit": 0 } })),
        ("/faults/0/reservedConcurrency/limit", json!(-1)),
        ("/faults/0/reservedConcurrency/limit", json!(1e9)),
        ("/targets/0", json!({ "functions": "f" })),
        ("/duration", json!(300)),
        ("/duration", json!("5 minutes")),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(pointer).unwrap() = wrong.clone();
        assert!(!validator.is_valid(&bad), "{pointer}: {wrong}");
    }
}

/// Returns the schema of the details of snapback's events, as the command line prints it.
fn notice_schema() -> Value {
    let printed = Command::new(SNAPBACK).args(["schema", "--of", "event"]).output().unwrap();
    serde_json::from_slice(&printed.stdout).unwrap()
}

/// Returns the validator of the details of snapback's events.
pub fn notices() -> jsonschema::Validator {
    jsonschema::validator_for(&notice_schema()).unwrap()
}

#[test]
fn the_schema_of_the_events_is_that_of_their_types() {
    let schema = notice_schema();
    let kept = include_str!("../../events/event-schema.json");
    let new = Path::new(env!("CARGO_TARGET_TMPDIR")).join("event-schema.json");
    std::fs::write(&new, format!("{schema:#}\n")).unwrap();
    let is_kept = serde_json::from_str::<Value>(kept).is_ok_and(|kept| kept == schema);
    assert!(is_kept, "the types have changed; copy {} to events/event-schema.json", new.display());
}

#[test]
fn the_schema_of_the_events_fits_the_samples_and_no_others() {
    let validator = notices();
    let mut types = std::collections::BTreeSet::new();
    for (_, event) in samples() {
        if event["source"] != "snapback" {
            continue;
        }
        let detail = &event["detail"];
        let errors: Vec<String> = validator.iter_errors(detail).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{detail}: {errors:?}");
        types.insert(detail["type"].as_str().unwrap().to_owned());
        for field in detail.as_object().unwrap().keys() {
            // These are absent if they are not known.
            if !["experiment", "deadline", "reason", "startedBy", "endedBy", "movedBy"].contains(&field.as_str()) {
                let mut without = detail.clone();
                without.as_object_mut().unwrap().remove(field);
                assert!(!validator.is_valid(&without), "{detail} without {field}");
            }
        }
        let mut other = detail.clone();
        other["type"] = json!("Run Paused");
        assert!(!validator.is_valid(&other));
    }
    assert_eq!(types.len(), 9, "{types:?}");
}

/// In the table of `events/README.md`, the parameters that all of the faults inside invocations but `init` have, and `handler`.
const COMMON: &str = "all faults inside invocations but `init`, and the chaos handler";

#[test]
fn the_docs_list_each_parameter_with_its_range() {
    let schema = serde_json::to_value(schemars::schema_for!(Experiment)).unwrap();
    let mut expected: Vec<[String; 4]> = schema["$defs"]["Fault"]["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|variant| variant["properties"].as_object().unwrap())
        .flat_map(|(fault, settings)| {
            let settings = schema.pointer(&settings["$ref"].as_str().unwrap()[1..]).unwrap();
            let is_required =
                |name: &str| settings["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
            let is_common = |all: &Map<String, Value>, name: &str| {
                all.contains_key("qualifier") && ["percentage", "match", "qualifier"].contains(&name)
            };
            let parameters = settings["properties"].as_object().unwrap();
            let row = |(name, parameter): (&String, &Value)| {
                let fault = if is_common(parameters, name) { COMMON } else { fault };
                let required = if is_required(name) { "required" } else { "" };
                [fault.to_owned(), name.clone(), range(parameter), required.to_owned()]
            };
            parameters.iter().map(row).collect::<Vec<_>>()
        })
        .collect();
    expected.sort();
    expected.dedup();
    let mut listed = listed_parameters();
    for row in &mut listed {
        let is_this = |other: &&[String; 4]| other[..2] == row[..2];
        // The schema has no ranges for texts and lists. Their rows may have one.
        if expected.iter().find(is_this).is_some_and(|row| row[2].is_empty()) {
            row[2].clear();
        }
    }
    listed.sort();
    assert_eq!(listed, expected, "events/README.md: the table of parameters differs from the schema");
}

/// Formats the range of a number: `0 to 900,000`. Other parameters have an empty one.
fn range(parameter: &Value) -> String {
    match (parameter["minimum"].as_u64(), parameter["maximum"].as_u64()) {
        (Some(least), Some(most)) => format!("{} to {}", with_commas(least), with_commas(most)),
        _ => String::new(),
    }
}

fn with_commas(number: u64) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", with_commas(number / 1_000), number % 1_000) }
}

/// Returns fault, parameter, range and `required` (or nothing) of each row in the table of `events/README.md`.
fn listed_parameters() -> Vec<[String; 4]> {
    let page = page("events/README.md");
    let (_, rest) = page.split_once("<!-- parameters:begin -->\n").expect("events/README.md has the table");
    let (table, _) = rest.split_once("<!-- parameters:end -->").expect("events/README.md marks its end");
    let mut fault = String::new();
    table
        .lines()
        .skip(2)
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            match cells[0].split('`').nth(1) {
                Some(name) if cells[0].starts_with('[') => name.clone_into(&mut fault),
                Some(_) => cells[0].clone_into(&mut fault),
                None => {}
            }
            let required = if cells[4] == "required" { "required" } else { "" };
            [fault.clone(), cells[1].trim_matches('`').to_owned(), cells[3].to_owned(), required.to_owned()]
        })
        .collect()
}

/// Reads an experiment of a document as the command line reads a file.
fn read(yaml: &str, place: &str) -> Experiment {
    let value: Value = serde_saphyr::from_str(yaml).unwrap_or_else(|wrong| panic!("{place}: {wrong}\n{yaml}"));
    read_experiment(&value).unwrap_or_else(|wrong| panic!("{place}: {wrong}\n{yaml}"))
}

/// Returns a short experiment with these fields.
fn with_fields(fields: &str) -> String {
    let base = [
        ("name", "name: a"),
        ("targets", "targets: [{function: f}]"),
        ("faults", "faults: [{reservedConcurrency: {limit: 0}}]"),
        ("duration", "duration: PT5M"),
    ];
    let kept = base.iter().filter(|(name, _)| !fields.starts_with(&format!("{name}:")));
    kept.map(|(_, line)| *line).chain([fields]).collect::<Vec<_>>().join("\n")
}

/// Returns the text between two marks.
fn between<'a>(page: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = page.split_once(begin).unwrap_or_else(|| panic!("there is no {begin}"));
    rest.split_once(end).unwrap_or_else(|| panic!("there is no {end}")).0
}

#[test]
fn each_fault_has_a_line_of_yaml_in_the_docs() {
    let page = page("events/README.md");
    let rows = between(&page, "<!-- faults:begin -->\n", "<!-- faults:end -->").lines().skip(2);
    let listed = rows.map(|row| {
        let code: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        let experiment = read(&with_fields(&format!("faults:\n  {}", code[1])), row);
        assert_eq!(experiment.faults[0].name(), code[0], "{row}");
        code[0].to_owned()
    });
    assert_eq!(listed.collect::<Vec<_>>(), FAULT_CATALOG.map(|fault| fault.name));
}

#[test]
fn the_experiments_in_the_docs_are_valid() {
    for name in ["README.md", "events/README.md"] {
        let page = page(name);
        let blocks: Vec<&str> = page.split("```yaml\n").skip(1).map(|rest| between(rest, "", "```")).collect();
        assert!(!blocks.is_empty(), "{name}");
        for block in blocks {
            read(block, name);
        }
    }
}

#[test]
fn the_recipes_of_the_readme_are_valid() {
    let page = page("README.md");
    let rows: Vec<&str> = between(&page, "## Recipes\n", "\n## ").lines().filter(|row| row.contains(": {")).collect();
    assert!(rows.len() > 8, "{rows:?}");
    for row in rows {
        let code = row.split('`').nth(1).unwrap();
        let is_field = ["targets:", "stopConditions:", "steadyState:"].iter().any(|field| code.starts_with(field));
        let fields = if is_field { code.to_owned() } else { format!("faults: [{{{code}}}]") };
        read(&with_fields(&fields), row);
    }
}
