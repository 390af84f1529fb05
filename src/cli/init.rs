//! The command `init`: writes a commented experiment, with one fault or for a common failure.

use serde_json::json;

use crate::model::catalog::{FAULT_CATALOG, FaultInfo};
use crate::model::experiment::Experiment;
use crate::model::names::FunctionName;

use super::init_settings::{comment, description, other_settings};
use super::{Failure, syntax, yaml};

/// The common failures of `events/failures`, by name.
const FAILURES: [(&str, &str); 10] = [
    ("bad-configuration", include_str!("../../events/failures/bad-configuration.yaml")),
    ("cold-starts", include_str!("../../events/failures/cold-starts.yaml")),
    ("failing-handler", include_str!("../../events/failures/failing-handler.yaml")),
    ("full-disk", include_str!("../../events/failures/full-disk.yaml")),
    ("poison-message", include_str!("../../events/failures/poison-message.yaml")),
    ("queue-not-read", include_str!("../../events/failures/queue-not-read.yaml")),
    ("slow-dependency", include_str!("../../events/failures/slow-dependency.yaml")),
    ("throttled", include_str!("../../events/failures/throttled.yaml")),
    ("too-little-memory", include_str!("../../events/failures/too-little-memory.yaml")),
    ("unreachable-dependency", include_str!("../../events/failures/unreachable-dependency.yaml")),
];

/// The function in the files of `events/failures`.
const EXAMPLE_FUNCTION: &str = "checkout";

/// The first line of each experiment: editors find the schema by it.
const SCHEMA_LINE: &str = "# yaml-language-server: $schema=snapback.schema.json";

/// What an experiment can begin with: every fault, and every common failure.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FAULT_CATALOG.iter().map(|fault| fault.name).chain(FAILURES.iter().map(|(name, _)| *name))
}

/// Writes the experiment of this name for a function.
pub(super) fn init(name: &str, function: &FunctionName) -> Result<String, Failure> {
    let unknown = || Failure::invalid(format!("there is no fault or failure {name}; see snapback init --help"));
    if let Some(fault) = FAULT_CATALOG.iter().find(|fault| fault.name == name) {
        return with_fault(fault, function);
    }
    let (_, text) = FAILURES.iter().find(|(failure, _)| *failure == name).ok_or_else(unknown)?;
    let target = format!("function: {EXAMPLE_FUNCTION}\n");
    let (head, rest) = text.split_once(&target).ok_or_else(unknown)?;
    let named = |text: &str| text.replace(EXAMPLE_FUNCTION, short_name(function));
    let (comments, name) = head.split_once("\nname: ").ok_or_else(unknown)?;
    let (name, targets) = name.split_once('\n').ok_or_else(unknown)?;
    let (name, target) = (yaml::scalar(&named(name)), yaml::scalar(&function.to_string()));
    Ok(format!("{}\nname: {name}\n{targets}function: {target}\n{}", named(comments), named(rest)))
}

/// The function's name, also where its ARN was given.
fn short_name(function: &FunctionName) -> &str {
    let unqualified = function.unqualified();
    unqualified.rsplit(':').next().unwrap_or(unqualified)
}

fn with_fault(fault: &FaultInfo, function: &FunctionName) -> Result<String, Failure> {
    let internal = |_| Failure::new("NoExample", format!("the example of {} cannot be read", fault.name));
    let settings = syntax::parse(fault.example).map_err(internal)?;
    let faults = yaml::text(&json!({ "faults": [{ fault.name: &settings }] }));
    let schema = serde_json::to_value(schemars::schema_for!(Experiment)).unwrap_or_default();
    let mut text = format!("{SCHEMA_LINE}\n# The schema is written by: snapback schema >snapback.schema.json\n\n");
    text.push_str(&comment("", fault.sentence));
    let name = format!("{} with {}", short_name(function), fault.name);
    text.push_str(&format!("name: {}\n\n", yaml::scalar(&name)));
    text.push_str(&comment(
        "",
        "Up to 50 entries. Each function needs the tag that the stack asks for: chaos=allowed.",
    ));
    text.push_str(&format!("targets:\n  - function: {}\n", yaml::scalar(&function.to_string())));
    text.push_str("  # Or the functions with a tag, all or some of them:\n  # - tags: {team: shop}\n  #   select: PERCENT(50)\n\n");
    text.push_str(&faults);
    text.push_str(&other_settings(&schema, fault.name, &settings));
    text.push('\n');
    for field in ["duration", "startWithin", "stopConditions", "steadyState", "recovery", "seed"] {
        text.push_str(&comment("", description(&schema["properties"][field])));
        text.push_str(match field {
            "duration" => "duration: PT5M\n",
            "startWithin" => "# startWithin: PT2M\n",
            "stopConditions" => "# stopConditions:\n#   - alarm: NAME\n",
            "steadyState" => STEADY_STATE,
            "recovery" => "# recovery: PT1M\n",
            _ => "# seed: 7\n",
        });
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    Ok(text + "\n")
}

const STEADY_STATE: &str = "\
# steadyState:
#   - alarm: NAME
#   - metric:
#       namespace: AWS/Lambda
#       name: Errors
#       dimensions: {FunctionName: NAME}
#       statistic: Sum
#       period: PT1M
#     below: 5
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::read_experiment;
    use crate::model::target::Target;

    fn function(name: &str) -> FunctionName {
        FunctionName::try_from(name).unwrap_or_else(|wrong| unreachable!("{wrong}"))
    }

    #[test]
    fn each_name_gives_a_valid_experiment_for_the_function() {
        for function in ["worker", "arn:aws:lambda:eu-west-1:123456789012:function:worker"].map(function) {
            for name in names() {
                let text = init(name, &function).unwrap_or_else(|failure| unreachable!("{name}: {}", failure.cause));
                let value = syntax::parse(&text).unwrap_or_else(|wrong| unreachable!("{name}: {wrong:?}\n{text}"));
                let experiment =
                    read_experiment(&value).unwrap_or_else(|wrong| unreachable!("{name}: {wrong}\n{text}"));
                assert_eq!(experiment.targets, [Target::Function(function.clone())], "{name}");
                assert!(text.starts_with(SCHEMA_LINE) && !text.contains(EXAMPLE_FUNCTION), "{name}\n{text}");
                assert!(text.lines().all(|line| line.chars().count() <= 110), "{name}\n{text}");
            }
        }
    }

    #[test]
    fn a_name_that_yaml_would_read_as_something_else_is_quoted() {
        for text in ["007", "1e5", "0x1f", "1_000", "null", "yes", "Off", "true", "-", "--", "---", "_"] {
            for name in ["latency", "slow-dependency"] {
                let written = init(name, &function(text)).unwrap_or_else(|failure| unreachable!("{}", failure.cause));
                let value = syntax::parse(&written).unwrap_or_else(|wrong| unreachable!("{text}: {wrong:?}"));
                let experiment = read_experiment(&value).unwrap_or_else(|wrong| unreachable!("{text}: {wrong}"));
                assert_eq!(experiment.targets, [Target::Function(function(text))], "{text}");
                assert!(experiment.name.as_str().starts_with(&format!("{text} ")), "{text}: {}", experiment.name);
            }
        }
    }

    #[test]
    fn each_failure_says_what_to_expect() {
        for (name, text) in FAILURES {
            for part in ["# Hypothesis\n", "# What good looks like\n", "# What to alarm on\n"] {
                let (_, rest) = text.split_once(part).unwrap_or_else(|| unreachable!("{name} has no {part}"));
                assert!(rest.starts_with("#   "), "{name}: nothing follows {part}");
            }
        }
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("events/failures");
        let files = std::fs::read_dir(folder).map_or(0, Iterator::count);
        assert_eq!(files, FAILURES.len(), "each file of events/failures is a failure here");
    }

    #[test]
    fn every_setting_of_a_fault_is_explained() {
        let text = init("latency", &function("worker")).unwrap_or_else(|failure| unreachable!("{}", failure.cause));
        for setting in [
            "      delayMs: 200\n",
            "# percentage: 50\n",
            "# match: [{",
            "# when: after\n",
            "# qualifier: ",
            "# stopConditions:\n",
        ] {
            assert!(text.contains(setting), "{setting}\n{text}");
        }
    }

    #[test]
    fn the_yaml_of_the_comments_is_valid_too() {
        let text = init("memory", &function("worker")).unwrap_or_else(|failure| unreachable!("{}", failure.cause));
        let (_, steady) = text.split_once("# steadyState:\n").unwrap_or_default();
        let lines = steady.lines().take_while(|line| line.starts_with('#'));
        let uncommented: String = lines.map(|line| format!("{}\n", &line[2..])).collect();
        let conditions = syntax::parse(&uncommented);
        assert!(conditions.is_ok_and(|list| list.as_array().is_some_and(|list| list.len() == 2)), "{uncommented}");
    }
}
