//! CloudFormation's spelling of a resource: as a whole template, as a resource, or as its properties alone; with what
//! can be known of its references.

use serde_json::{Map, Value, json};

use crate::model::input::InvalidInput;

/// CloudFormation's functions with a short form in YAML
/// (AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference), `Ref` and `Condition` aside.
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
    /// Where its properties are.
    pub(super) path: String,
    /// With the references resolved that can be.
    pub(super) properties: Value,
    /// Where the rest of the template is.
    pub(super) rest: Vec<String>,
}

/// The resource of this type in a template, or the one that this is; `None` where there is none.
///
/// # Errors
/// Where a template has several.
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
        // A part of a template, without the line above it.
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
            let problem = format!("each is a {kind}, and one experiment comes of one; take the others out");
            Err(InvalidInput { field: names.join(", "), problem })
        }
    }
}

fn others(value: &Value, path: &str, known: &[&str]) -> Vec<String> {
    let keys = value.as_object().into_iter().flat_map(Map::keys).filter(|key| !known.contains(&key.as_str()));
    keys.map(|key| if path.is_empty() { key.clone() } else { format!("{path}.{key}") }).collect()
}

/// A value with the references in it that the template itself answers: parameters with a default, and names that are
/// written out. What only a stack knows stays a reference.
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

/// The function and its argument, where this is a reference.
fn reference(value: &Value) -> Option<(&str, &Value)> {
    let (key, argument) = value.as_object().filter(|map| map.len() == 1)?.iter().next()?;
    let function = if key == "Ref" { "Ref" } else { key.strip_prefix("Fn::")? };
    Some((function, argument))
}

/// A reference as it is written in YAML, for people; `None` where this is none.
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
            // Whoever takes the ARN takes the name as well.
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

/// The name that an alarm or a function is given in the template.
fn physical_name(resource: &Value) -> Option<Value> {
    let property = match resource["Type"].as_str()? {
        "AWS::CloudWatch::Alarm" | "AWS::CloudWatch::CompositeAlarm" => "AlarmName",
        "AWS::Lambda::Function" | "AWS::Serverless::Function" => "FunctionName",
        _ => return None,
    };
    resource["Properties"].get(property).filter(|name| name.is_string()).cloned()
}

/// YAML with the short forms of references (`!Ref Alarm`) written out (`{"Ref": "Alarm"}`): a reader of YAML drops a tag
/// that it does not know, and would take the reference for a text. Only scalars on the tag's own line.
#[must_use]
pub fn without_short_forms(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(long_form).collect();
    lines.join("\n")
}

fn long_form(line: &str) -> String {
    let mut written = String::new();
    let mut rest = line;
    while let Some((before, tag, after)) = next_tag(rest) {
        let Some((argument, behind)) = scalar(after, written.chars().chain(before.chars())) else {
            written.push_str(&rest[..rest.len() - after.len()]);
            rest = after;
            continue;
        };
        let key = if tag == "Ref" || tag == "Condition" { tag.to_owned() } else { format!("Fn::{tag}") };
        written.push_str(before);
        written.push_str(&json!({ key: argument }).to_string());
        rest = behind;
    }
    written + rest
}

/// What is before a tag, its name, and what is after it and a blank; not in quotes, and not in a comment.
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

/// The scalar that a tag stands before, and what is behind it. Within brackets it ends with them.
fn scalar(text: &str, before: impl Iterator<Item = char>) -> Option<(String, &str)> {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            let (argument, behind) = inner.split_once(quote)?;
            return Some((argument.to_owned(), behind));
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
    let (argument, behind) = text.split_at(end.unwrap_or(text.len()));
    let argument = argument.trim();
    // A list, an object or a block: what is in there is no one value.
    let is_scalar = !argument.is_empty() && !argument.starts_with(['[', '{', '|', '>', '!']);
    is_scalar.then(|| (argument.to_owned(), behind))
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
