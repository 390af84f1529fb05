//! The variables of a Chaos Toolkit experiment: `${name}` in its texts, and the values that its configuration has for them
//! (chaostoolkit.org/reference/api/experiment).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::draft::Draft;
use super::fields::Fields;

/// The values of the configuration.
#[derive(Debug, Default)]
pub(super) struct Variables<'v> {
    values: BTreeMap<&'v str, &'v Value>,
    used: BTreeSet<&'v str>,
}

impl<'v> Variables<'v> {
    /// Reads the configuration. Of a value that comes from the environment, the default is used.
    pub(super) fn of(configuration: Option<Fields<'v>>, draft: &mut Draft) -> Self {
        let mut values = BTreeMap::new();
        let Some(mut configuration) = configuration else { return Self::default() };
        for name in configuration.keys() {
            let field = configuration.at(name);
            let Some(value) = configuration.take(name) else { continue };
            match value.get("type") {
                None => drop(values.insert(name, value)),
                Some(_) => {
                    let others = value.as_object().into_iter().flat_map(serde_json::Map::keys);
                    let others: Vec<String> =
                        others.filter(|key| *key != "default").map(|key| format!("{field}.{key}")).collect();
                    let default = value.get("default");
                    let used = if default.is_some() { "its default is used" } else { "it has no default" };
                    draft.left(&others, &format!("only the Chaos Toolkit reads the value; {used}"));
                    values.extend(default.map(|default| (name, default)));
                }
            }
        }
        Self { values, used: BTreeSet::new() }
    }

    /// Replaces the variables in a value. One that is the whole text keeps its type; an unknown one stays as it is.
    pub(super) fn resolve(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => self.resolve_text(text),
            Value::Array(list) => list.iter().map(|value| self.resolve(value)).collect(),
            Value::Object(map) => {
                Value::Object(map.iter().map(|(key, value)| (key.clone(), self.resolve(value))).collect())
            }
            other => other.clone(),
        }
    }

    fn resolve_text(&mut self, text: &str) -> Value {
        let mut resolved = String::new();
        let mut rest = text;
        while let Some((before, name, after)) = next_variable(rest) {
            resolved.push_str(before);
            match self.values.get_key_value(name) {
                Some((name, value)) => {
                    self.used.insert(name);
                    if before.is_empty() && after.is_empty() && resolved.is_empty() {
                        return (*value).clone();
                    }
                    resolved.push_str(&value.as_str().map_or_else(|| value.to_string(), str::to_owned));
                }
                None => resolved.push_str(&rest[before.len()..rest.len() - after.len()]),
            }
            rest = after;
        }
        Value::String(resolved + rest)
    }

    /// Notes the values that nothing imported uses.
    pub(super) fn note_unused(&self, draft: &mut Draft) {
        let unused = self.values.keys().filter(|name| !self.used.contains(*name));
        let unused: Vec<String> = unused.map(|name| format!("configuration.{name}")).collect();
        draft.left(&unused, "nothing that is imported uses it");
    }
}

/// Whether a text still has a variable.
pub(super) fn is_unresolved(text: &str) -> bool {
    next_variable(text).is_some()
}

/// Finds the next variable; returns the text before it, its name, and the text after it.
fn next_variable(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once("${")?;
    let (name, after) = rest.split_once('}')?;
    Some((before, name, after))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_variable_that_is_the_whole_text_keeps_its_type() {
        let configuration =
            json!({ "limit": 5, "team": "shop", "stage": { "type": "env", "key": "S", "default": "t" } });
        let mut draft = Draft::default();
        let fields = Fields::of("configuration", &configuration).ok();
        let mut variables = Variables::of(fields, &mut draft);
        for (text, expected) in [
            ("${limit}", json!(5)),
            ("${team}", json!("shop")),
            ("${team}-${stage}-${limit}!", json!("shop-t-5!")),
            ("${unknown}", json!("${unknown}")),
            ("${team} ${unknown}", json!("shop ${unknown}")),
            ("$team ${team", json!("$team ${team")),
        ] {
            assert_eq!(variables.resolve(&json!([text])), json!([expected]), "{text}");
        }
    }
}
