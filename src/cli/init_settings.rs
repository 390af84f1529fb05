//! The settings of a fault that its example does not have, as lines that a user can uncomment.

use serde_json::{Map, Value, json};

use crate::model::input::read_experiment;

use super::syntax;

/// Columns of a comment.
const WIDTH: usize = 100;

/// The depth of a fault's settings.
const INDENT: &str = "      ";

/// A value for each setting, as YAML in one line. A test reads each of them in an experiment.
const VALUES: [(&str, &str); 33] = [
    ("bandwidth", "{bytesPerSecond: 1000}"),
    ("blackhole", "true"),
    ("body", "try again"),
    ("bufferMs", "500"),
    ("chainedWrapperVariable", "CHAINED_WRAPPER"),
    ("deadlineVariable", "DEADLINE"),
    ("delayMs", "100"),
    ("environment", "{NAME: VALUE}"),
    ("fail", "{type: NoStart}"),
    ("handler", "chaos.handler"),
    ("headers", "{retry-after: '5'}"),
    ("latency", "{delayMs: 2000}"),
    ("layers", "['arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1']"),
    ("match", "[{path: rawPath, startsWith: /pay}]"),
    ("maxMs", "900"),
    ("memory", "256"),
    ("message", "the stock is not known"),
    ("minMs", "100"),
    ("originalHandlerVariable", "ORIGINAL_HANDLER"),
    ("percentage", "50"),
    ("ports", "[443]"),
    ("qualifier", "live"),
    ("raw", "not JSON"),
    ("replace", "not JSON"),
    ("reset", "{afterBytes: 0}"),
    ("response", "{statusCode: 503}"),
    ("timeout", "PT2S"),
    ("truncateBytes", "10"),
    ("type", "ValueError"),
    ("unresolvable", "notFound"),
    ("unset", "[OTHER_NAME]"),
    ("when", "after"),
    ("wrapper", "/opt/wrapper"),
];

/// How a setting goes together with those of the example.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Use {
    /// It can be added.
    Added,
    /// It replaces this one.
    InsteadOf(String),
    /// It needs another one that the example does not have.
    WithOthers,
}

impl Use {
    fn of(fault: &str, example: &Map<String, Value>, setting: &str, value: &Value) -> Self {
        let mut all = example.clone();
        all.insert(setting.to_owned(), value.clone());
        let without = |key: &&String| {
            let rest = all.iter().filter(|(other, _)| other != key);
            is_valid(fault, &rest.map(|(key, value)| (key.clone(), value.clone())).collect())
        };
        match is_valid(fault, &all) {
            true => Self::Added,
            false => example.keys().find(without).map_or(Self::WithOthers, |key| Self::InsteadOf(key.clone())),
        }
    }

    fn heading(&self, example: &Map<String, Value>) -> String {
        match self {
            Self::Added if example.is_empty() => "Further settings, in place of {}:".to_owned(),
            Self::Added => "Further settings:".to_owned(),
            Self::InsteadOf(key) => format!("Instead of {key}, one of:"),
            Self::WithOthers => "Only with another setting, which may replace one of the example:".to_owned(),
        }
    }
}

fn is_valid(fault: &str, settings: &Map<String, Value>) -> bool {
    let experiment = json!({
        "name": "n", "targets": [{ "function": "f" }], "faults": [{ fault: settings }], "duration": "PT5M",
    });
    read_experiment(&experiment).is_ok()
}

/// The settings of a fault that its example does not have, as comments: what each does, and a line to uncomment.
pub(super) fn other_settings(schema: &Value, fault: &str, example: &Value) -> String {
    let variants = schema["$defs"]["Fault"]["oneOf"].as_array();
    let reference = variants.into_iter().flatten().find_map(|variant| variant["properties"][fault]["$ref"].as_str());
    let settings = reference.and_then(|reference| schema.pointer(&reference[1..]));
    let properties = settings.and_then(|settings| settings["properties"].as_object());
    let example = example.as_object().cloned().unwrap_or_default();
    let others = properties.into_iter().flatten().filter(|(name, _)| !example.contains_key(*name));
    let mut entries: Vec<(Use, String)> = others
        .filter_map(|(name, setting)| {
            let (_, value) = VALUES.iter().find(|(known, _)| known == name)?;
            let used = Use::of(fault, &example, name, &syntax::parse(value).ok()?);
            let sentence = comment(INDENT, description(setting));
            Some((used, format!("{sentence}{INDENT}# {name}: {value}\n")))
        })
        .collect();
    entries.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mut text = String::new();
    for group in entries.chunk_by(|(one, _), (other, _)| one == other) {
        text.push_str(&format!("{INDENT}#\n{}", comment(INDENT, &group[0].0.heading(&example))));
        group.iter().for_each(|(_, lines)| text.push_str(lines));
    }
    text
}

/// A description in one paragraph.
pub(super) fn description(schema: &Value) -> &str {
    schema["description"].as_str().unwrap_or_default().split("\n\n").next().unwrap_or_default()
}

/// Breaks a text into the lines of a comment.
pub(super) fn comment(indent: &str, text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if indent.len() + line.len() + word.len() + 3 <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| format!("{indent}# {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalog::FAULT_CATALOG;
    use crate::model::experiment::Experiment;

    fn schema() -> Value {
        serde_json::to_value(schemars::schema_for!(Experiment)).unwrap_or_default()
    }

    fn settings_of(fault: &str) -> Vec<String> {
        let schema = schema();
        let variants = schema["$defs"]["Fault"]["oneOf"].as_array().cloned().unwrap_or_default();
        let reference = variants.iter().find_map(|variant| variant["properties"][fault]["$ref"].as_str());
        let settings = reference.and_then(|reference| schema.pointer(&reference[1..])).cloned().unwrap_or_default();
        settings["properties"].as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default()
    }

    /// Each group of the comments, as its heading and the lines to uncomment.
    fn groups(text: &str) -> Vec<(String, Map<String, Value>)> {
        let mut groups: Vec<(String, Map<String, Value>)> = Vec::new();
        for line in text.lines().filter_map(|line| line.trim_start().strip_prefix("# ")) {
            let name = line.split(": ").next().unwrap_or_default();
            match (VALUES.iter().any(|(known, _)| *known == name), groups.last_mut()) {
                (true, Some((_, lines))) => {
                    let parsed = syntax::parse(line).unwrap_or_else(|wrong| unreachable!("{line}: {wrong:?}"));
                    lines.extend(parsed.as_object().cloned().unwrap_or_default());
                }
                _ if line.ends_with(':') => groups.push((line.to_owned(), Map::new())),
                _ => {}
            }
        }
        groups
    }

    #[test]
    fn each_setting_has_a_line_that_can_be_uncommented() {
        for fault in FAULT_CATALOG {
            let example = syntax::parse(fault.example).unwrap_or_else(|wrong| unreachable!("{wrong:?}"));
            let text = other_settings(&schema(), fault.name, &example);
            let example = example.as_object().cloned().unwrap_or_default();
            let groups = groups(&text);
            for name in settings_of(fault.name) {
                let is_shown = groups.iter().any(|(_, lines)| lines.contains_key(&name));
                assert_ne!(is_shown, example.contains_key(&name), "{}: {name}\n{text}", fault.name);
            }
            for (heading, lines) in groups.iter().filter(|(heading, _)| !heading.starts_with("Only with another")) {
                let replaced = heading.strip_prefix("Instead of ").and_then(|rest| rest.split(',').next());
                for (name, value) in lines {
                    let mut settings = example.clone();
                    replaced.and_then(|key| settings.remove(key));
                    settings.insert(name.clone(), value.clone());
                    assert!(is_valid(fault.name, &settings), "{}: {settings:?}\n{text}", fault.name);
                }
            }
            let (single, together): (Vec<_>, Vec<_>) =
                groups.iter().partition(|(heading, _)| !heading.starts_with("Only with another"));
            for (_, lines) in together {
                let in_place = |(name, value): (&String, &Value)| {
                    let mut settings = lines.clone();
                    settings.insert(name.clone(), value.clone());
                    let added = example.clone().into_iter().chain(settings.clone()).collect();
                    is_valid(fault.name, &settings) || is_valid(fault.name, &added)
                };
                let mut others = single.iter().flat_map(|(_, lines)| lines);
                assert!(is_valid(fault.name, lines) || others.any(in_place), "{}: {lines:?}\n{text}", fault.name);
            }
        }
    }

    #[test]
    fn a_dependency_shows_each_way_to_break_it() {
        let fault = FAULT_CATALOG.iter().find(|fault| fault.name == "dependency");
        let example = fault.map(|fault| syntax::parse(fault.example).unwrap_or_default()).unwrap_or_default();
        assert_eq!(example["hosts"].as_array().map(Vec::len), Some(1), "a first try breaks one host");
        assert!(example["percentage"].as_u64().is_some_and(|share| share < 100), "and few invocations: {example}");
        let text = other_settings(&schema(), "dependency", &example);
        let (further, instead) = text.split_once("# Instead of refuse, one of:\n").unwrap_or_default();
        for line in ["# match: [", "# ports: [443]\n", "# qualifier: live\n"] {
            assert!(further.contains(line), "{line}\n{text}");
        }
        for line in [
            "# latency: {delayMs: 2000}\n",
            "# bandwidth: {bytesPerSecond: 1000}\n",
            "# reset: {afterBytes: 0}\n",
            "# blackhole: true\n",
            "# unresolvable: notFound\n",
        ] {
            assert!(instead.contains(line), "{line}\n{text}");
        }
    }
}
