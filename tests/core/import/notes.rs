//! Nothing is dropped silently: what is not imported is noted.

use serde_json::{Value, json};

use super::{FIXTURES, outcome, source};

/// Every place in a value: fields and entries of lists.
fn places(value: &Value, at: &str) -> Vec<String> {
    let children: Vec<(String, &Value)> = match value {
        Value::Object(map) => {
            map.iter().map(|(key, inner)| (key.replace('~', "~0").replace('/', "~1"), inner)).collect()
        }
        Value::Array(list) => list.iter().enumerate().map(|(index, inner)| (index.to_string(), inner)).collect(),
        _ => Vec::new(),
    };
    children
        .into_iter()
        .flat_map(|(key, inner)| {
            let at = format!("{at}/{key}");
            let mut places = places(inner, &at);
            places.push(at);
            places
        })
        .collect()
}

/// Whether a note reports that the place, or something that contains it, is not imported.
pub fn is_noted(notes: &[String], place: &str) -> bool {
    let names: Vec<&str> = place[1..].split('/').collect();
    let paths: Vec<String> = (1..=names.len()).map(|length| names[..length].join(".")).collect();
    notes.iter().any(|note| {
        let (fields, rest) = note.split_once(": ").unwrap();
        // An entry of a list is `list[0]` in a note.
        let mut fields = fields.split(", ").map(|field| field.replace('[', ".").replace(']', ""));
        rest.starts_with("not imported") && fields.any(|field| paths.contains(&field))
    })
}

/// Places whose value is the default, so that the result is the same without them.
const WITHOUT_EFFECT: [&str; 3] =
    ["/targets/shop/resourceType", "/targets/machines/resourceType", "/actions/answer/parameters/preventExecution"];

#[test]
fn nothing_is_dropped_silently() {
    for (name, _, _) in FIXTURES {
        let whole = source(name);
        let before = outcome(&whole).unwrap();
        for place in places(&whole, "") {
            let (parent, key) = place.rsplit_once('/').unwrap();
            let mut without = whole.clone();
            match without.pointer_mut(parent).unwrap() {
                Value::Array(list) => drop(list.remove(key.parse().unwrap())),
                Value::Object(map) => drop(map.remove(key)),
                _ => unreachable!(),
            }
            let after = outcome(&without);
            let changed = after.as_ref() != Ok(&before);
            assert!(
                changed || is_noted(&before.notes, &place) || WITHOUT_EFFECT.contains(&place.as_str()),
                "{name}: {place} makes no difference, and no note reports it"
            );
        }
    }
}

#[test]
fn an_unknown_field_is_noted_at_every_place() {
    for (name, _, _) in FIXTURES {
        let whole = source(name);
        let before = outcome(&whole).unwrap();
        for place in places(&whole, "").into_iter().chain([String::new()]) {
            let mut with = whole.clone();
            let Some(map) = with.pointer_mut(&place).and_then(Value::as_object_mut) else { continue };
            map.insert("surprise".to_owned(), json!("5"));
            let at = format!("{place}/surprise");
            let said = match outcome(&with) {
                Ok(after) => {
                    is_noted(&after.notes, &at) || after.experiment != before.experiment || after.notes != before.notes
                }
                Err(wrong) => wrong.contains("surprise"),
            };
            assert!(said, "{name}: {at}");
        }
    }
}
