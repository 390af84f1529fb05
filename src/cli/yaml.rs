//! Writes an experiment in YAML as a user would.

use serde_json::{Map, Value};

use crate::model::text::is_control;

/// Fields that come first, in this order; the others follow by name.
const FIRST: [&str; 10] =
    ["name", "targets", "faults", "duration", "stopConditions", "tags", "path", "statusCode", "type", "minMs"];

/// Formats a value as block-style YAML.
pub(super) fn text(value: &Value) -> String {
    let mut text = String::new();
    write(&mut text, value, 0);
    text
}

/// Writes the value after `key:` or `-`, and ends the line.
fn write(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in sorted(map) {
                indent(text, depth);
                text.push_str(&scalar(key));
                text.push(':');
                after_key(text, value, depth);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for value in list {
                indent(text, depth);
                text.push('-');
                match value {
                    // The first field follows the dash in the same line.
                    Value::Object(map) if !map.is_empty() => {
                        let mut fields = String::new();
                        write(&mut fields, value, depth + 1);
                        text.push(' ');
                        text.push_str(fields.trim_start());
                    }
                    _ => after_key(text, value, depth),
                }
            }
        }
        scalar => {
            text.push_str(&flow(scalar));
            text.push('\n');
        }
    }
}

fn after_key(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            text.push('\n');
            write(text, value, depth + 1);
        }
        Value::Array(list) if !list.is_empty() => {
            text.push('\n');
            write(text, value, depth + 1);
        }
        scalar => {
            text.push(' ');
            text.push_str(&flow(scalar));
            text.push('\n');
        }
    }
}

fn sorted(map: &Map<String, Value>) -> Vec<(&String, &Value)> {
    let rank = |key: &str| FIRST.iter().position(|first| *first == key).unwrap_or(FIRST.len());
    let mut fields: Vec<_> = map.iter().collect();
    fields.sort_by(|(a, _), (b, _)| rank(a).cmp(&rank(b)).then_with(|| a.cmp(b)));
    fields
}

fn indent(text: &mut String, depth: usize) {
    text.push_str(&"  ".repeat(depth));
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        // JSON is YAML: numbers, true, false, null, {} and [].
        other => other.to_string(),
    }
}

/// Formats a text, without quotes only where no reader can take it for anything but text.
pub(super) fn scalar(text: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || "_-./()".contains(c);
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.ends_with(word)
        && text.chars().all(|c| word(c) || c == ' ' || c == ':')
        && !text.contains(": ")
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_lowercase().as_str());
    if plain { text.to_owned() } else { quoted(text) }
}

/// In double quotes, with the escapes that JSON and YAML share, also for what would change how the line is shown.
fn quoted(text: &str) -> String {
    let json = Value::from(text).to_string();
    let escape = |c: char| if is_control(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    if json.contains(is_control) { json.chars().map(escape).collect() } else { json }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_as_a_person_would_write_it() {
        let experiment = json!({
            "duration": "PT5M",
            "faults": [
                { "latency": { "delayMs": 300, "match": [{ "exists": true, "path": "headers.x-debug" }], "percentage": 12.5 } },
                { "response": { "body": "", "headers": { "content-type": "text/plain" }, "statusCode": 503 } }
            ],
            "name": "checkout: slow",
            "stopConditions": [{ "alarm": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:errors" }],
            "targets": [{ "tags": { "team": "shop", "1": "yes" }, "select": "PERCENT(50)" }]
        });
        let expected = "\
name: \"checkout: slow\"
targets:
  - tags:
      \"1\": \"yes\"
      team: shop
    select: PERCENT(50)
faults:
  - latency:
      delayMs: 300
      match:
        - path: headers.x-debug
          exists: true
      percentage: 12.5
  - response:
      statusCode: 503
      body: \"\"
      headers:
        content-type: text/plain
duration: PT5M
stopConditions:
  - alarm: arn:aws:cloudwatch:eu-west-1:123456789012:alarm:errors
";
        assert_eq!(text(&experiment), expected);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            "[a-zA-Z:# .()\\-]{0,12}".prop_map(Value::from),
            Just("two\nlines\t\u{1}\u{85}\u{2028}\u{202e}\u{7f}".into()),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-z0-9:# ]{1,6}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn reads_back_as_what_it_was(value in values()) {
            let text = text(&value);
            prop_assert!(!text.contains(|c| is_control(c) && c != '\n'), "{}", text);
            prop_assert_eq!(serde_saphyr::from_str::<Value>(&text).map_err(|error| format!("{error}\n{text}")), Ok(value));
        }
    }
}
