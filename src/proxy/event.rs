//! Evaluates the conditions of faults on an event: pure.
//!
//! One pass over the event finds the values for all conditions of all faults. It stores the position of each value and
//! copies nothing, so memory depends neither on the size of the event nor on the size of the values.

use regex_lite::Regex;
use serde_json::Value;

use crate::model::invocation::{EventCondition, Operator, holds_headers};

use super::json::{self, Reader, characters, is_text};

/// The bytes of a text that a pattern is matched against. Matching takes time in proportion to the text, and the proxy
/// has one thread.
const MAX_MATCHED_BYTES: usize = 16 * 1024;

/// Returns for each fault whether all its conditions hold on the event. No condition holds on an event that is not
/// JSON.
pub(crate) fn which_hold(faults: &[&[EventCondition]], event: Option<&[u8]>) -> Vec<bool> {
    let Some(event) = event.and_then(json::valid) else {
        return faults.iter().map(|conditions| conditions.is_empty()).collect();
    };
    let found = find(faults.iter().copied().flatten(), event);
    let mut rest = found.as_slice();
    let holds = |conditions: &&[EventCondition]| {
        let (own, others) = rest.split_at(conditions.len());
        rest = others;
        conditions.iter().zip(own).all(|(condition, value)| is_met(&condition.operator, *value))
    };
    faults.iter().map(holds).collect()
}

/// Returns the value at the path of each condition, as it is written.
fn find<'e, 'c>(conditions: impl Iterator<Item = &'c EventCondition>, event: &'e str) -> Vec<Option<&'e str>> {
    let steps = conditions.map(|condition| condition.path.steps());
    let mut paths: Vec<Path<'c>> = steps.enumerate().map(|(place, steps)| Path { steps, place }).collect();
    let mut found = vec![None; paths.len()];
    // Sorting makes paths with a common beginning neighbors, the shortest first.
    paths.sort_unstable_by_key(|path| path.steps);
    look_up(&mut Reader::new(event), &paths, 0, &mut found);
    found
}

/// A path, and the position of its condition among all conditions.
struct Path<'c> {
    steps: &'c [String],
    place: usize,
}

/// Reads the next value, which is at the first `depth` steps of these paths. Recurses at most as deep as the longest
/// path.
fn look_up<'e>(reader: &mut Reader<'e>, paths: &[Path<'_>], depth: usize, found: &mut [Option<&'e str>]) {
    let (here, deeper) = paths.split_at(paths.partition_point(|path| path.steps.len() == depth));
    let kind = reader.peek();
    let start = reader.position();
    match kind {
        b'{' if !deeper.is_empty() => {
            let has_headers = depth > 0 && holds_headers(&deeper[0].steps[depth - 1]);
            reader.enter();
            while let Some(name) = reader.name() {
                let name = json::text(name);
                let step = if has_headers { name.to_ascii_lowercase().into() } else { name };
                look_up_step(reader, paths_through(&step, deeper, depth), depth, found);
            }
        }
        b'[' if !deeper.is_empty() => {
            let last = deeper.iter().filter_map(|path| position(&path.steps[depth])).max();
            let mut at = 0;
            reader.enter();
            while reader.more() {
                let next = last.filter(|last| at <= *last).map(|_| at.to_string());
                look_up_step(reader, next.map_or(&[], |step| paths_through(&step, deeper, depth)), depth, found);
                at += 1;
            }
        }
        _ => {
            reader.skip();
        }
    }
    here.iter().for_each(|path| found[path.place] = Some(reader.since(start)));
}

fn look_up_step<'e>(reader: &mut Reader<'e>, paths: &[Path<'_>], depth: usize, found: &mut [Option<&'e str>]) {
    if paths.is_empty() {
        reader.skip();
        return;
    }
    // If an object has a name twice, the last member counts, as in the runtimes.
    paths.iter().for_each(|path| found[path.place] = None);
    look_up(reader, paths, depth + 1, found);
}

/// Returns the paths whose next step is this one.
fn paths_through<'p, 'c>(step: &str, paths: &'p [Path<'c>], depth: usize) -> &'p [Path<'c>] {
    let begin = paths.partition_point(|path| path.steps[depth].as_str() < step);
    let end = paths.partition_point(|path| path.steps[depth].as_str() <= step);
    &paths[begin..end]
}

/// Parses a list position in the form of JSON Pointers (RFC 6901, section 4).
fn position(step: &str) -> Option<usize> {
    step.parse().ok().filter(|position: &usize| position.to_string() == step)
}

fn is_met(operator: &Operator, found: Option<&str>) -> bool {
    match operator {
        Operator::Exists(wanted) => found.is_some_and(|value| value != "null") == *wanted,
        Operator::Equals(wanted) => found.is_some_and(|value| is_same(value, wanted)),
        Operator::In(wanted) => found.is_some_and(|value| wanted.iter().any(|wanted| is_same(value, wanted))),
        Operator::StartsWith(prefix) => found.is_some_and(|value| starts_with(value, prefix)),
        Operator::Regex(regex) => found.is_some_and(|value| matches(value, regex)),
    }
}

fn is_same(value: &str, wanted: &Value) -> bool {
    match wanted {
        Value::String(wanted) => is_text(value) && characters(value).eq(wanted.chars()),
        Value::Number(wanted) => is_same_number(value, &wanted.to_string()),
        Value::Bool(true) => value == "true",
        Value::Bool(false) => value == "false",
        Value::Null => value == "null",
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// Whether a value is this number; in JSON, 1 and 1.0 are the same. Whole numbers are compared exactly, others as the
/// runtimes read them.
fn is_same_number(one: &str, other: &str) -> bool {
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one.parse::<f64>() == other.parse::<f64>(),
        _ => false,
    }
}

fn whole(number: &str) -> Option<i128> {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a conversion that round-trips is exact"
    )]
    let of_float = |float: f64| Some(float as i128).filter(|whole| *whole as f64 == float);
    number.parse().ok().or_else(|| number.parse().ok().and_then(of_float))
}

/// Returns the characters of a text, or of a number, `true` or `false` as written; `None` for any other value.
fn written(value: &str) -> Option<impl Iterator<Item = char>> {
    let (text, scalar) = match value.bytes().next() {
        Some(b'"') => (value, ""),
        Some(b'{' | b'[' | b'n') | None => return None,
        Some(_) => ("", value),
    };
    Some(characters(text).chain(scalar.chars()))
}

fn starts_with(value: &str, prefix: &str) -> bool {
    written(value).is_some_and(|mut characters| prefix.chars().all(|wanted| characters.next() == Some(wanted)))
}

/// Whether the pattern matches in the first bytes of a text. A pattern that refers to the end never matches a text that
/// is longer than these.
fn matches(value: &str, regex: &Regex) -> bool {
    let Some(characters) = written(value) else { return false };
    let mut seen = String::new();
    for character in characters {
        if seen.len() + character.len_utf8() > MAX_MATCHED_BYTES {
            let refers_to_the_end = ["$", r"\z"].iter().any(|end| regex.as_str().contains(end));
            return !refers_to_the_end && regex.is_match(&seen);
        }
        seen.push(character);
    }
    regex.is_match(&seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(conditions: &[EventCondition], event: &[u8]) -> bool {
        which_hold(&[conditions], Some(event)) == [true]
    }

    const EVENT: &str = r#"{"requestContext":{"http":{"method":"GET","path":"/api/config"},"n":null},"Records":
        [{"eventSource":"aws:sqs"},{"eventSource":"aws:s3","size":7}],"headers":{"x.debug":"1"},"flag":true}"#;

    fn check(condition: &str) -> bool {
        let condition = serde_json::from_str(condition).unwrap_or_else(|error| unreachable!("{condition}: {error}"));
        holds(&[condition], EVENT.as_bytes())
    }

    #[test]
    fn conditions_that_hold() {
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
            r#"{"path":"$.requestContext.http.method","equals":"GET"}"#,
            r#"{"path":"Records[1].size","startsWith":"7"}"#,
            r#"{"path":"$['headers']['x.debug']","equals":"1"}"#,
            r#"{"path":"flag","regex":"^true$"}"#,
            r#"{"path":"$","exists":true}"#,
        ] {
            assert!(check(condition), "{condition}");
        }
    }

    #[test]
    fn conditions_that_do_not_hold() {
        for condition in [
            r#"{"path":"requestContext.http.method","equals":"get"}"#,
            r#"{"path":"requestContext.http","equals":"GET"}"#,
            r#"{"path":"Records.1.size","equals":"7"}"#,
            r#"{"path":"requestContext.n","regex":"n"}"#,
            r#"{"path":"requestContext.http","startsWith":"{"}"#,
            r#"{"path":"Records","startsWith":""}"#,
            r#"{"path":"Records.00.eventSource","exists":true}"#,
            r#"{"path":"Records.+0.eventSource","exists":true}"#,
            r#"{"path":"missing","startsWith":""}"#,
            r#"{"path":"Records.-1","exists":true}"#,
            r#"{"path":"Records.1.size","equals":8}"#,
            r#"{"path":"Records.1.size","equals":7.5}"#,
        ] {
            assert!(!check(condition), "{condition}");
        }
    }

    fn holds_on(condition: &str, event: &str) -> bool {
        let condition = serde_json::from_str(condition).unwrap_or_else(|error| unreachable!("{condition}: {error}"));
        holds(&[condition], event.as_bytes())
    }

    /// The chaos handler reads the same samples (tests/handler/test_wire.py).
    #[test]
    fn the_shared_samples_hold_as_they_say() {
        let samples: Value =
            serde_json::from_str(include_str!("../../tests/wire/handler.json")).unwrap_or_else(|_| unreachable!());
        let event = samples["event"].to_string();
        for sample in samples["conditions"].as_array().unwrap_or_else(|| unreachable!()) {
            let condition = sample["condition"].to_string();
            assert_eq!(holds_on(&condition, &event), sample["holds"] == true, "{condition}");
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_does_not_equal_null() {
        for value in ["true", "-1", "1", "1.5", "\"b\"", "null", "[]", "{}", "[null]"] {
            assert!(!holds_on(r#"{"path":"a.b","equals":null}"#, &format!(r#"{{"a":{value}}}"#)), "{value}");
        }
        assert!(holds_on(r#"{"path":"a.b","equals":null}"#, r#"{"a":{"b":null}}"#));
    }

    #[test]
    fn true_and_false_equal_themselves_and_nothing_else() {
        for wanted in ["true", "false"] {
            for value in ["true", "false", "null", "1", "0", r#""true""#, r#""false""#] {
                let condition = format!(r#"{{"path":"a","equals":{wanted}}}"#);
                assert_eq!(holds_on(&condition, &format!(r#"{{"a":{value}}}"#)), value == wanted, "{wanted} {value}");
            }
        }
    }

    #[test]
    fn whole_numbers_are_compared_exactly() {
        for (wanted, event, same) in [
            ("9007199254740993", "9007199254740993", true),
            ("9007199254740993", "9007199254740992", false),
            ("9007199254740992.0", "9007199254740993", false),
            ("18446744073709551615", "18446744073709551616", false),
            ("18446744073709551616", "18446744073709551616", true),
            ("18446744073709551616", "18446744073709551615", false),
            ("-9223372036854775808", "-9223372036854775808", true),
            ("1e300", "1e300", true),
            ("7", "7.0", true),
            ("7", "0.7e1", true),
            ("0", "-0.0", true),
            ("0.1", "1e-1", true),
            ("0.1", "0.2", false),
            ("7", "7.5", false),
            ("7.5", "7", false),
            ("1", "\"1\"", false),
            ("1", "true", false),
            ("1e300", "1e999", false),
        ] {
            let condition = format!(r#"{{"path":"id","equals":{wanted}}}"#);
            assert_eq!(holds_on(&condition, &format!(r#"{{"id":{event}}}"#)), same, "{wanted} {event}");
        }
    }

    #[test]
    fn conditions_hold_on_all_json_that_runtimes_can_read() {
        let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
        let exists = r#"{"path":"a","exists":true}"#;
        for event in [deep.as_str(), r#"{"a":1e999}"#, r#"{"\ud83d":1,"a":"\ud83d"}"#] {
            assert!(holds_on(exists, event), "{event}");
        }
        let hello = r#"{"path":"message","startsWith":"hello"}"#;
        assert!(holds_on(hello, r#"{"message":"hello \ud83d","a":1}"#));
        assert!(holds_on(hello, r#"{"m\u0065ssage":"h\u0065llo"}"#));
        assert!(!holds_on(hello, r#"{"message":"hell"}"#));
        assert!(!holds_on(exists, r#"{"a":1}garbage"#));
    }

    #[test]
    fn the_last_member_counts_if_a_name_is_there_twice() {
        for (event, path, wanted) in [
            (r#"{"a":1,"a":2}"#, "a", "2"),
            (r#"{"a":{"b":1},"a":{"b":2}}"#, "a.b", "2"),
            (r#"{"a":{"b":1,"b":3},"c":{"b":2}}"#, "a.b", "3"),
        ] {
            assert!(holds_on(&format!(r#"{{"path":"{path}","equals":{wanted}}}"#), event), "{event}");
        }
        assert!(holds_on(r#"{"path":"a.b","exists":false}"#, r#"{"a":{"b":1},"a":3}"#));
    }

    #[test]
    fn header_names_match_in_any_case() {
        let event = r#"{"headers":{"X-Debug":"1"},"multiValueHeaders":{"x-DEBUG":["2"]},"query":{"X-Debug":"3"},
            "Records":[{"headers":{"HOST":[{"key":"Host"}]}}]}"#;
        for path in
            ["headers.x-debug", "headers.X-DEBUG", "multiValueHeaders.X-Debug.0", "/Records/0/headers/Host/0/key"]
        {
            assert!(holds_on(&format!(r#"{{"path":"{path}","exists":true}}"#), event), "{path}");
        }
        for path in ["query.x-debug", "Headers.X-Debug", "Records.0.headers.host.0.Key"] {
            assert!(holds_on(&format!(r#"{{"path":"{path}","exists":false}}"#), event), "{path}");
        }
    }

    #[test]
    fn one_pass_evaluates_the_conditions_of_several_faults() {
        let conditions = |list: &str| -> Vec<EventCondition> {
            serde_json::from_str(list).unwrap_or_else(|error| unreachable!("{list}: {error}"))
        };
        let faults = [
            conditions(r#"[{"path":"a.c","equals":2},{"path":"a.b","equals":1},{"path":"a","exists":true}]"#),
            conditions("[]"),
            conditions(r#"[{"path":"a.c","equals":2},{"path":"l.10","equals":"k"},{"path":"l.2","equals":"c"}]"#),
            conditions(r#"[{"path":"a.b","equals":1},{"path":"l.11","exists":true}]"#),
            conditions(r#"[{"path":"l.0","equals":"a"},{"path":"a.b","equals":1}]"#),
        ];
        let faults: Vec<&[EventCondition]> = faults.iter().map(Vec::as_slice).collect();
        let event = br#"{"a":{"b":1,"c":2},"l":["a","b","c","d","e","f","g","h","i","j","k"]}"#;
        assert_eq!(which_hold(&faults, Some(event)), [true, true, true, false, true]);
        assert_eq!(which_hold(&faults, Some(b"{}")), [false, true, false, false, false]);
        assert_eq!(which_hold(&faults, None), [false, true, false, false, false]);
    }

    #[test]
    fn a_pattern_sees_the_first_16_kb_of_a_text() {
        let event = |length: usize| format!(r#"{{"a":"{}end"}}"#, "x".repeat(length));
        for (pattern, length, holds) in [
            ("end", 16_384 - 3, true),
            ("end", 16_384 - 2, false),
            ("end$", MAX_MATCHED_BYTES - 3, true),
            ("x$", MAX_MATCHED_BYTES, false),
            (r"x\\z", MAX_MATCHED_BYTES, false),
            ("^x", MAX_MATCHED_BYTES, true),
        ] {
            let condition = format!(r#"{{"path":"a","regex":"{pattern}"}}"#);
            assert_eq!(holds_on(&condition, &event(length)), holds, "{pattern} {length}");
        }
    }

    #[test]
    fn no_condition_holds_on_an_event_that_is_not_json() {
        let exists = serde_json::from_str(r#"{"path":"a","exists":false}"#).unwrap_or_else(|_| unreachable!());
        let conditions = [exists];
        for event in [&b""[..], b"{", b"\xff\xfe", b"{\"a\":}", b"{\"b\":1}x"] {
            assert!(!holds(&conditions, event), "{}", event.escape_ascii());
        }
        assert!(holds(&conditions, b"3") && holds(&[], b""));
    }

    use proptest::prelude::*;

    /// JSON with few different names, so that random paths lead to values.
    fn value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[ab\"\\\\é\n]{0,3}".prop_map(Value::from),
        ];
        scalar.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[ab0\"]", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_path_finds_the_value_that_serde_json_finds(
            event in value(), paths in proptest::collection::vec("(/[ab01\"]){0,4}", 0..12),
        ) {
            let path = |pointer: &String| if pointer.is_empty() { "$".to_owned() } else { pointer.clone() };
            let condition = |pointer: &String| {
                let condition = serde_json::json!({ "path": path(pointer), "exists": true });
                serde_json::from_value(condition).unwrap_or_else(|error| unreachable!("{error}"))
            };
            let conditions: Vec<EventCondition> = paths.iter().map(condition).collect();
            let text = serde_json::to_string_pretty(&event).unwrap_or_default();
            for (pointer, found) in paths.iter().zip(find(conditions.iter(), &text)) {
                let found = found.map(|value| serde_json::from_str(value).unwrap_or_else(|error| unreachable!("{error}")));
                prop_assert_eq!(found.as_ref(), event.pointer(pointer), "{}", pointer);
            }
        }
    }
}
