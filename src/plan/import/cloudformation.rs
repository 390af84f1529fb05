//! Finds a resource in a CloudFormation template, a part of a template, or a single resource, and resolves the
//! references that the template itself can resolve.

use serde_json::{Map, Value, json};

use crate::model::input::InvalidInput;

/// CloudFormation's functions that have a short form in YAML
/// (AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference), except `Ref` and `Condition`.
const FUNCTIONS: [&str; 15] = [
    "And",
    "Base64",
    "Cidr",
    "Equals",
    "FindInMap",
    "GetAZs",
    "GetAtt",
    "If",
    "ImportValue",
    "Join",
    "Not",
    "Or",
    "Select",
    "Split",
    "Sub",
];

/// A resource of a template.
#[derive(Debug)]
pub(super) struct Resource {
    /// The path of its properties.
    pub(super) path: String,
    /// Its properties, with the references resolved that the template can resolve.
    pub(super) properties: Value,
    /// The paths of everything else in the template.
    pub(super) rest: Vec<String>,
}

/// Finds the resource of this type. `source` is a template, a part of one, or the resource itself.
///
/// # Errors
/// If there are several.
pub(super) fn find(source: &Value, kind: &str) -> Result<Option<Resource>, InvalidInput> {
    let is_one = |resource: &Value| resource["Type"] == kind && resource["Properties"].is_object();
    let inside = |path: &str| if path.is_empty() { "Properties".to_owned() } else { format!("{path}.Properties") };
    if is_one(source) {
        let rest = others(source, "", &["Type", "Properties"]);
        let properties = resolved(&source["Properties"], &json!({}));
        return Ok(Some(Resource { path: inside(""), properties, rest }));
    }
    let (prefix, resources) = match &source["Resources"] {
        Value::Object(resources) => ("Resources.", resources),
        // A part of a template, without the line `Resources:`.
        _ => match source {
            Value::Object(resources) => ("", resources),
            _ => return Ok(None),
        },
    };
    let found: Vec<&String> = resources.iter().filter(|(_, resource)| is_one(resource)).map(|(name, _)| name).collect();
    match found.as_slice() {
        [] => Ok(None),
        [name] => {
            let mut rest = if prefix.is_empty() { Vec::new() } else { others(source, "", &["Resources"]) };
            rest.extend(resources.keys().filter(|other| other != name).map(|other| format!("{prefix}{other}")));
            let path = format!("{prefix}{name}");
            rest.extend(others(&resources[*name], &path, &["Type", "Properties"]));
            let properties = resolved(&resources[*name]["Properties"], source);
            Ok(Some(Resource { path: inside(&path), properties, rest }))
        }
        several => {
            let names: Vec<String> = several.iter().map(|name| format!("{prefix}{name}")).collect();
            let problem = format!("each is a {kind}, but only one can be imported; remove the others");
            Err(InvalidInput { field: names.join(", "), problem })
        }
    }
}

fn others(value: &Value, path: &str, known: &[&str]) -> Vec<String> {
    let keys = value.as_object().into_iter().flat_map(Map::keys).filter(|key| !known.contains(&key.as_str()));
    keys.map(|key| if path.is_empty() { key.clone() } else { format!("{path}.{key}") }).collect()
}

/// Resolves the references in a value that the template itself can resolve: parameters with a default, and resources
/// with an explicit name. All others stay references.
fn resolved(value: &Value, template: &Value) -> Value {
    match value {
        Value::Object(map) => {
            if let Some(known) = reference(value).and_then(|(function, argument)| resolve(function, argument, template))
            {
                return known;
            }
            Value::Object(map.iter().map(|(key, value)| (key.clone(), resolved(value, template))).collect())
        }
        Value::Array(list) => list.iter().map(|value| resolved(value, template)).collect(),
        other => other.clone(),
    }
}

/// Returns the function and the argument of a reference.
fn reference(value: &Value) -> Option<(&str, &Value)> {
    let (key, argument) = value.as_object().filter(|map| map.len() == 1)?.iter().next()?;
    let function = if key == "Ref" { "Ref" } else { key.strip_prefix("Fn::")? };
    Some((function, argument))
}

/// Returns a reference as it is written in YAML, for display; `None` if the value is not a reference.
pub(super) fn shown_reference(value: &Value) -> Option<String> {
    let (function, argument) = reference(value)?;
    let argument = match argument {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("."),
        _ => "...".to_owned(),
    };
    Some(format!("!{function} {argument}"))
}

fn resolve(function: &str, argument: &Value, template: &Value) -> Option<Value> {
    let attribute = || match argument {
        Value::String(text) => text.split_once('.').map(|(name, attribute)| (name.to_owned(), attribute.to_owned())),
        Value::Array(parts) => Some((parts.first()?.as_str()?.to_owned(), parts.get(1)?.as_str()?.to_owned())),
        _ => None,
    };
    match function {
        "Ref" => {
            let name = argument.as_str()?;
            let default = template["Parameters"][name].get("Default").filter(|default| !default.is_object());
            default.cloned().or_else(|| physical_name(&template["Resources"][name]))
        }
        "GetAtt" => {
            let (name, attribute) = attribute()?;
            // Every field that accepts the ARN also accepts the name.
            (attribute == "Arn").then(|| physical_name(&template["Resources"][name]))?
        }
        "Sub" => {
            let text = argument.as_str()?;
            let mut parts = text.split("${");
            let mut whole = parts.next()?.to_owned();
            for part in parts {
                let (name, rest) = part.split_once('}')?;
                let value = template["Parameters"][name].get("Default")?;
                whole.push_str(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                whole.push_str(rest);
            }
            Some(whole.into())
        }
        _ => None,
    }
}

/// Returns the explicit name of an alarm or a function.
fn physical_name(resource: &Value) -> Option<Value> {
    let property = match resource["Type"].as_str()? {
        "AWS::CloudWatch::Alarm" | "AWS::CloudWatch::CompositeAlarm" => "AlarmName",
        "AWS::Lambda::Function" | "AWS::Serverless::Function" => "FunctionName",
        _ => return None,
    };
    resource["Properties"].get(property).filter(|name| name.is_string()).cloned()
}

/// Replaces the short forms of references (`!Ref Alarm`) in YAML with the long forms (`{"Ref": "Alarm"}`). A YAML
/// parser drops an unknown tag, and would treat the reference as text. Only scalars on the same line as the tag are
/// replaced.
#[must_use]
pub fn without_short_forms(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(long_form).collect();
    lines.join("\n")
}

fn long_form(line: &str) -> String {
    let mut written = String::new();
    let mut rest = line;
    while let Some((before, tag, after)) = next_tag(rest) {
        let Some((argument, remaining)) = scalar(after, written.chars().chain(before.chars())) else {
            written.push_str(&rest[..rest.len() - after.len()]);
            rest = after;
            continue;
        };
        let key = if tag == "Ref" || tag == "Condition" { tag.to_owned() } else { format!("Fn::{tag}") };
        written.push_str(before);
        written.push_str(&json!({ key: argument }).to_string());
        rest = remaining;
    }
    written + rest
}

/// Finds the next tag outside of quotes and comments. Returns the text before it, its name, and the text after it.
fn next_tag(line: &str) -> Option<(&str, &str, &str)> {
    let mut quote = None;
    let mut previous = ' ';
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') if " [{,:-".contains(previous) => quote = Some(c),
            (None, '#') if previous == ' ' => return None,
            (None, '!') if " [{,".contains(previous) => {
                let (tag, after) = line[at + 1..].split_once(' ')?;
                if FUNCTIONS.contains(&tag) || tag == "Ref" || tag == "Condition" {
                    return Some((&line[..at], tag, after.trim_start()));
                }
            }
            _ => {}
        }
        previous = c;
    }
    None
}

/// Reads the scalar after a tag. Returns it and the remaining text. Within brackets, it ends at a comma or the closing
/// bracket.
fn scalar(text: &str, before: impl Iterator<Item = char>) -> Option<(String, &str)> {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            let (argument, remaining) = inner.split_once(quote)?;
            return Some((argument.to_owned(), remaining));
        }
    }
    let open = before.fold(0_i32, |depth, c| match c {
        '[' | '{' => depth + 1,
        ']' | '}' => depth - 1,
        _ => depth,
    });
    let end = match open > 0 {
        true => text.find([',', ']', '}']),
        false => text.find(" #"),
    };
    let (argument, remaining) = text.split_at(end.unwrap_or(text.len()));
    let argument = argument.trim();
    // A list, an object or a block is not a single value.
    let is_scalar = !argument.is_empty() && !argument.starts_with(['[', '{', '|', '>', '!']);
    is_scalar.then(|| (argument.to_owned(), remaining))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_written_out() {
        for (short, long) in [
            ("Value: !Ref Alarm", "Value: {\"Ref\":\"Alarm\"}"),
            ("Value: !GetAtt Alarm.Arn # the alarm\r", "Value: {\"Fn::GetAtt\":\"Alarm.Arn\"} # the alarm\r"),
            ("- !GetAtt 'Checkout.Arn'", "- {\"Fn::GetAtt\":\"Checkout.Arn\"}"),
            ("a: [!Ref A, !Sub \"x-${B}\"]", "a: [{\"Ref\":\"A\"}, {\"Fn::Sub\":\"x-${B}\"}]"),
            ("a: {b: !Ref A, c: d}", "a: {b: {\"Ref\":\"A\"}, c: d}"),
            // What is not a reference, or not in one line, stays as it is.
            ("a: 'see !Ref A'", "a: 'see !Ref A'"),
            ("# !Ref A", "# !Ref A"),
            ("a: !Join [',', [x]]", "a: !Join [',', [x]]"),
            ("a: !Sub |", "a: !Sub |"),
            ("a: hello! Ref A", "a: hello! Ref A"),
            ("a: !!str 5", "a: !!str 5"),
        ] {
            assert_eq!(without_short_forms(short), long);
        }
        assert_eq!(without_short_forms("a: !Ref A\nb: !Ref B\n"), "a: {\"Ref\":\"A\"}\nb: {\"Ref\":\"B\"}\n");
    }
}
