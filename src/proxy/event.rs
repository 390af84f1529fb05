//! What an invocation's event says, as far as a fault asks.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use crate::model::invocation::{EventCondition, Operator};

/// Whether all conditions hold on the event. On what is not JSON, none does.
pub(crate) fn holds(conditions: &[EventCondition], event: &[u8]) -> bool {
    conditions.iter().all(|condition| {
        let mut json = serde_json::Deserializer::from_slice(event);
        let found = At(condition.path.steps()).deserialize(&mut json);
        found.is_ok_and(|found| is_met(&condition.operator, found.as_ref()))
    })
}

fn is_met(operator: &Operator, found: Option<&Value>) -> bool {
    match operator {
        Operator::Exists(wanted) => found.is_some_and(|value| !value.is_null()) == *wanted,
        Operator::Equals(wanted) => found.is_some_and(|value| is_same(value, wanted)),
        Operator::In(wanted) => found.is_some_and(|value| wanted.iter().any(|wanted| is_same(value, wanted))),
        Operator::StartsWith(prefix) => text(found).is_some_and(|text| text.starts_with(prefix)),
        Operator::Regex(regex) => text(found).is_some_and(|text| regex.is_match(text)),
    }
}

fn text(found: Option<&Value>) -> Option<&str> {
    found.and_then(Value::as_str)
}

/// 1 and 1.0 are one number in JSON.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one.is_f64() || other.is_f64(), one.as_f64(), other.as_f64()) {
        (true, Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// Reads one value out of JSON and skips the rest: nothing else of the event is stored.
struct At<'s>(&'s [String]);

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<Value>, D::Error> {
        if self.0.is_empty() {
            return serde::Deserialize::deserialize(deserializer).map(Some);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Value>, A::Error> {
        let mut found = None;
        let Some((step, rest)) = self.0.split_first() else { return Ok(None) };
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if name == step.as_str() {
                found = map.next_value_seed(At(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Option<Value>, A::Error> {
        let Some((step, rest)) = self.0.split_first() else { return Ok(None) };
        let mut found = None;
        if let Ok(at) = step.parse::<usize>() {
            let mut skipped = 0;
            while skipped < at && list.next_element::<IgnoredAny>()?.is_some() {
                skipped += 1;
            }
            if skipped == at {
                found = list.next_element_seed(At(rest))?.flatten();
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }

    // A path that goes on where the event does not leads nowhere.
    fn visit_bool<E>(self, _: bool) -> Result<Option<Value>, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Option<Value>, E> {
        Ok(None)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Option<Value>, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Option<Value>, E> {
        Ok(None)
    }

    fn visit_str<E>(self, _: &str) -> Result<Option<Value>, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"requestContext":{"http":{"method":"GET","path":"/api/orders"},"n":null},"Records":
        [{"eventSource":"aws:sqs"},{"eventSource":"aws:s3","size":7}],"headers":{"x.debug":"1"},"flag":true}"#;

    fn check(condition: &str) -> bool {
        let condition = serde_json::from_str(condition).unwrap_or_else(|error| unreachable!("{condition}: {error}"));
        holds(&[condition], EVENT.as_bytes())
    }

    #[test]
    fn what_holds() {
        for condition in [
            r#"{"path":"requestContext.http.method","equals":"GET"}"#,
            r#"{"path":"requestContext.http.path","startsWith":"/api"}"#,
            r#"{"path":"requestContext.http.method","regex":"^(GET|HEAD)$"}"#,
            r#"{"path":"Records.1.size","equals":7.0}"#,
            r#"{"path":"Records.0.eventSource","in":["aws:sns","aws:sqs"]}"#,
            r#"{"path":"/headers/x.debug","exists":true}"#,
            r#"{"path":"requestContext.n","exists":false}"#,
            r#"{"path":"requestContext.n","equals":null}"#,
            r#"{"path":"Records.2","exists":false}"#,
            r#"{"path":"Records.x","exists":false}"#,
            r#"{"path":"flag.deeper","exists":false}"#,
            r#"{"path":"flag","in":[1,true]}"#,
            r#"{"path":"requestContext.http","exists":true}"#,
        ] {
            assert!(check(condition), "{condition}");
        }
    }

    #[test]
    fn what_does_not() {
        for condition in [
            r#"{"path":"requestContext.http.method","equals":"get"}"#,
            r#"{"path":"requestContext.http","equals":"GET"}"#,
            r#"{"path":"Records.1.size","startsWith":"7"}"#,
            r#"{"path":"Records.1.size","equals":"7"}"#,
            r#"{"path":"flag","regex":"."}"#,
            r#"{"path":"missing","startsWith":""}"#,
            r#"{"path":"Records.-1","exists":true}"#,
            r#"{"path":"Records.1.size","equals":8}"#,
            r#"{"path":"Records.1.size","equals":7.5}"#,
        ] {
            assert!(!check(condition), "{condition}");
        }
    }

    #[test]
    fn behind_what_holds_nothing_there_is_nothing_not_even_null() {
        let within = |value: &str| {
            let condition = r#"{"path":"a.b","equals":null}"#;
            let condition = serde_json::from_str(condition).unwrap_or_else(|_| unreachable!());
            holds(&[condition], format!(r#"{{"a":{value}}}"#).as_bytes())
        };
        for value in ["true", "-1", "1", "1.5", "\"b\"", "null", "[]", "{}", "[null]"] {
            assert!(!within(value), "{value}");
        }
        assert!(within(r#"{"b":null}"#));
    }

    #[test]
    fn large_numbers_are_compared_to_their_last_digit() {
        let condition = r#"{"path":"id","equals":9007199254740993}"#;
        let condition = [serde_json::from_str(condition).unwrap_or_else(|_| unreachable!())];
        assert!(holds(&condition, br#"{"id":9007199254740993}"#) && !holds(&condition, br#"{"id":9007199254740992}"#));
    }

    #[test]
    fn on_what_is_not_json_nothing_holds() {
        let exists = serde_json::from_str(r#"{"path":"a","exists":false}"#).unwrap_or_else(|_| unreachable!());
        let conditions = [exists];
        for event in [&b""[..], b"{", b"\xff\xfe", b"{\"a\":}"] {
            assert!(!holds(&conditions, event), "{}", event.escape_ascii());
        }
        assert!(holds(&conditions, b"3") && holds(&[], b""));
    }
}
