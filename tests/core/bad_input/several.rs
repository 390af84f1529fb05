//! Several mistakes in one part of an experiment: each of them is reported, at its place.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use snapback::model::catalog::FAULT_CATALOG;
use snapback::model::findings::find_errors;

use super::{LAYER, good};

/// A list with one wrong entry, and the end of each error's pointer with a part of its message.
type Row = (&'static str, fn() -> Value, &'static [(&'static str, &'static str)]);

const FAULTS: &[Row] = &[
    (
        "faults",
        || json!({ "reservedConcurrency": { "limit": -1, "a": 1, "b": 2 } }),
        &[("/a", "`a` is not a known field"), ("/b", "`b` is not a known field"), ("/limit", "`-1` is out of range")],
    ),
    (
        "faults",
        || json!({ "reservedConcurrency": { "a": 1 } }),
        &[("/a", "`a` is not a known field"), ("", "`limit` is missing")],
    ),
    (
        "faults",
        || json!({ "timeout": { "timeout": "PT0S", "a": 1 } }),
        &[("/a", "`a` is not a known field"), ("/timeout", "`PT0S` is")],
    ),
    (
        "faults",
        || json!({ "memory": { "megabytes": 1, "a": 1 } }),
        &[("/a", "`a` is not a known field"), ("/megabytes", "`1` is out of range")],
    ),
    (
        "faults",
        || json!({ "eventSourceMapping": { "disable": "some", "a": 1 } }),
        &[("/a", "`a` is not a known field"), ("/disable", "`some` is")],
    ),
    (
        "faults",
        || json!({ "environment": { "set": { "1": "x", "AA": 1 }, "unset": ["BB", "2", "CC", "3"] } }),
        &[
            ("/set/1", "`1` is"),
            ("/set/AA", "the value (hidden) is not text"),
            ("/unset/1", "`2` is"),
            ("/unset/3", "`3` is"),
        ],
    ),
    (
        "faults",
        || json!({ "layer": { "layers": ["a", LAYER, "b"], "chainedWrapperVariable": "WW", "wrapper": 1 } }),
        &[("/layers/0", "`a` is"), ("/layers/2", "`b` is"), ("/wrapper", "`1` is a number")],
    ),
    (
        "faults",
        || json!({ "layer": { "layers": [], "chainedWrapperVariable": "WW", "environment": { "1": "x" } } }),
        &[
            ("/environment/1", "`1` is"),
            ("/layers", "has an empty `layers`"),
            ("/chainedWrapperVariable", "has `chainedWrapperVariable` without `wrapper`"),
        ],
    ),
    (
        "faults",
        || json!({ "handler": { "handler": "a b", "layers": ["x"], "memory": 1 } }),
        &[("/handler", "`a b` is"), ("/layers/0", "`x` is"), ("/memory", "`1` is out of range")],
    ),
    (
        "faults",
        || json!({ "handler": { "handler": "a.b", "exception": {}, "when": "after", "memory": 1 } }),
        &[
            ("/memory", "`1` is out of range"),
            ("/exception", "has `exception` next to `handler`"),
            ("/when", "has `when` next to `handler`"),
        ],
    ),
    (
        "faults",
        || {
            json!({ "handler": {
                "layers": [LAYER], "memory": 128, "exception": { "type": "a b", "message": "m".repeat(1025) },
                "qualifier": "a b", "match": [{ "path": "a", "equals": 1 }, { "path": "b", "regex": "(a+)+" }],
            } })
        },
        &[
            ("/layers", "has `layers` without `handler`"),
            ("/memory", "has `memory` without `handler`"),
            ("/qualifier", "`qualifier` is `a b`"),
            ("/match/1", "(a+)+"),
            ("/exception/type", "`type` is `a b`"),
            ("/exception/message", "`message` is too long"),
        ],
    ),
    (
        "faults",
        || json!({ "handler": { "latency": { "maxMs": -1, "a": 1 }, "response": {}, "when": "afer" } }),
        &[
            ("/latency/a", "`a` is not a known field"),
            ("/latency/maxMs", "`-1` is out of range"),
            ("/when", "`afer` is not a known name; did you mean `after`?"),
            ("/response", "has more than one of `exception`, `latency` and `response`"),
        ],
    ),
    (
        "faults",
        || json!({ "latency": { "minMs": 9, "maxMs": 1, "percentage": 101, "when": "never" } }),
        &[
            ("/percentage", "`101` is out of range"),
            ("/when", "`never` is not a known name"),
            ("/minMs", "`minMs` is 9 and `maxMs` 1"),
        ],
    ),
    (
        "faults",
        || {
            json!({ "latency": { "percentage": 101, "qualifier": "a b", "match": [
                { "path": "a" },
                { "path": "b", "equals": [], "regex": "(" },
                "c",
                { "path": "d..e", "like": 1 },
                { "path": "f", "exists": "yes" },
            ] } })
        },
        &[
            ("/match/2", "`c` is text"),
            ("/match/0", "has no operator"),
            ("/match/1/regex", "has the operators `equals` and `regex`; keep one"),
            ("/match/1/equals", "a condition compares with text"),
            ("/match/1/regex", "the pattern `(` cannot be used"),
            ("/match/3/like", "`like` is not a known field"),
            ("/match/3/path", "`d..e` is not a path"),
            ("/match/3", "has no operator"),
            ("/match/4/exists", "`yes` is text"),
            ("/percentage", "`101` is out of range"),
            ("/qualifier", "`qualifier` is `a b`"),
            ("", "needs exactly one delay"),
        ],
    ),
    (
        "faults",
        || json!({ "invocationTimeout": { "bufferMs": -1, "qualifier": "a b", "match": [{}] } }),
        &[
            ("/bufferMs", "`-1` is out of range"),
            ("/match/0", "`path` is missing"),
            ("/match/0", "has no operator"),
            ("/qualifier", "`qualifier` is `a b`"),
        ],
    ),
    (
        "faults",
        || json!({ "error": { "type": "a b", "message": "m".repeat(1025), "when": "x", "qualifier": "" } }),
        &[
            ("/when", "`x` is not a known name"),
            ("/qualifier", "`qualifier` is ``"),
            ("/type", "`type` is `a b`"),
            ("/message", "`message` is too long"),
        ],
    ),
    (
        "faults",
        || json!({ "response": { "statusCode": 99, "headers": { "a b": "x", "c": "\n", "d": 1 }, "raw": "x" } }),
        &[
            ("/headers/d", "`1` is a number"),
            ("/statusCode", "`99` is out of range"),
            ("/headers/a b", "has the name `a b`"),
            ("/headers/c", "as the value of `c`"),
            ("/raw", "has `raw` together with"),
        ],
    ),
    (
        "faults",
        || json!({ "corrupt": { "truncateBytes": -1, "mangle": "yes", "percentage": "x" } }),
        &[("/mangle", "`yes` is text"), ("/percentage", "`x` is text"), ("/truncateBytes", "`-1` is out of range")],
    ),
    (
        "faults",
        || json!({ "corrupt": { "percentage": -1, "qualifier": "a b" } }),
        &[
            ("/percentage", "`-1` is out of range"),
            ("/qualifier", "`qualifier` is `a b`"),
            ("", "needs exactly one kind of damage"),
        ],
    ),
    (
        "faults",
        || json!({ "disk": { "percentage": 101, "qualifier": "a b" } }),
        &[
            ("/percentage", "`101` is out of range"),
            ("", "`megabytes` is missing"),
            ("/qualifier", "`qualifier` is `a b`"),
        ],
    ),
    (
        "faults",
        || json!({ "init": { "fail": { "type": "", "message": "m".repeat(1025) }, "percentage": 101 } }),
        &[
            ("/percentage", "`101` is out of range"),
            ("/fail/type", "`type` is ``"),
            ("/fail/message", "`message` is too long"),
        ],
    ),
    (
        "faults",
        || json!({ "exit": { "delayMs": 900_001, "percentage": 101, "match": 1 } }),
        &[
            ("/delayMs", "`900001` is out of range"),
            ("/match", "`1` is a number; write a list"),
            ("/percentage", "`101` is out of range"),
        ],
    ),
    (
        "faults",
        || {
            json!({ "dependency": {
                "hosts": ["http://a", "db.shop", "10.0.0.1/8", "10.0.0.1"], "ports": [0, 443, 65_536],
                "latency": { "delayMs": -1 }, "unresolvable": "notFound", "percentage": 101,
            } })
        },
        &[
            ("/hosts/0", "`http://a` is a URL"),
            ("/hosts/2", "`10.0.0.1/8` begins in the middle of its range"),
            ("/latency/delayMs", "`-1` is out of range"),
            ("/percentage", "`101` is out of range"),
            ("/ports/0", "`0` is out of range"),
            ("/ports/2", "`65536` is out of range"),
            ("/unresolvable", "needs exactly one of `latency`"),
            ("/hosts/3", "has `unresolvable` for `10.0.0.1`"),
            ("/ports", "has `ports` with `unresolvable`"),
        ],
    ),
    (
        "faults",
        || json!({ "dependency": { "ports": ["443"], "percentage": 101 } }),
        &[
            ("/percentage", "`101` is out of range"),
            ("/ports/0", "`443` is text"),
            ("", "`hosts` is missing"),
            ("", "needs exactly one of `latency`"),
        ],
    ),
    (
        "faults",
        || json!({ "dependency": { "hosts": ["a:1"], "bandwidth": {}, "reset": [], "refuse": "yes" } }),
        &[
            ("/reset", "it is a list; write an object"),
            ("/bandwidth", "`bytesPerSecond` is missing"),
            ("/hosts/0", "`a:1` has a port or brackets"),
            ("/refuse", "`yes` is text"),
        ],
    ),
];

const OTHERS: &[Row] = &[
    (
        "targets",
        || json!({ "function": "a b", "select": "SOME", "tags": { "a*": "x", "b": "\n", "c": 1 } }),
        &[
            ("/function", "`a b` is"),
            ("/select", "`SOME` is not a selection"),
            ("/tags/c", "`1` is a number"),
            ("/tags/a*", "has the tag `a*`"),
            ("/tags/b", "has the tag `b`"),
        ],
    ),
    (
        "targets",
        || json!({ "functon": "f", "select": "ALL", "tags": {} }),
        &[
            ("/functon", "did you mean `function`?"),
            ("/tags", "has `tags` with 0 entries"),
            ("/tags", "has both `function` and `tags`"),
        ],
    ),
    (
        "stopConditions",
        || json!({ "alrm": "", "a": 1 }),
        &[("/a", "`a` is not a known field"), ("/alrm", "did you mean `alarm`?"), ("/alrm", "`` is not an alarm")],
    ),
    (
        "steadyState",
        || json!({ "metric": { "statistic": "p0", "period": "PT7S" }, "below": "x", "above": 1 }),
        &[
            ("/below", "`x` is text"),
            ("/metric/period", "`PT7S` is not a period"),
            ("/metric/statistic", "`p0` is not a statistic"),
            ("/metric", "`namespace` is missing"),
            ("/metric", "`name` is missing"),
        ],
    ),
    (
        "steadyState",
        || {
            json!({ "alarm": "a", "metric": {
                "namespace": ":", "name": "", "statistic": "Sum", "period": "PT1M",
                "dimensions": { "a": "", ":b": "x", "c": 1 },
            } })
        },
        &[
            ("/metric/dimensions/c", "`1` is a number"),
            ("/metric/namespace", "has a metric with the namespace `:`"),
            ("/metric/name", "has a metric with the name ``"),
            ("/metric/dimensions/:b", "has a metric with the dimension `:b`"),
            ("/metric/dimensions/a", "has a metric with the dimension value ``"),
            ("/alarm", "has more than `alarm`"),
        ],
    ),
    (
        "startedBy",
        || json!({ "via": "", "url": "x", "caller": "y", "a": 1 }),
        &[
            ("/a", "`a` is not a known field"),
            ("/caller", "`y` is not an ARN"),
            ("/url", "`x` is not a URL"),
            ("/via", "`` is not 1 to 64"),
        ],
    ),
];

/// Where the errors of a row are.
fn part(row: &Row) -> String {
    let fault = |fault: Value| fault.as_object().and_then(|fault| fault.keys().next().cloned());
    match row {
        ("faults", entry, _) => format!("/faults/0/{}", fault(entry()).unwrap_or_default()),
        ("startedBy", ..) => "/startedBy".to_owned(),
        (list, ..) => format!("/{list}/0"),
    }
}

/// The errors of an experiment with this entry.
fn errors(field: &str, entry: Value) -> Vec<(String, String)> {
    let mut experiment = good();
    experiment[field] = if field == "startedBy" { entry } else { json!([entry]) };
    find_errors(&experiment).into_iter().map(|found| (found.pointer, found.error.problem)).collect()
}

#[test]
fn every_mistake_in_one_entry_is_reported_at_its_place() {
    let mut wrong = Vec::new();
    for row in FAULTS.iter().chain(OTHERS) {
        let (field, entry, expected) = row;
        let found = errors(field, entry());
        let is_expected = |((pointer, problem), (at, text)): (&(String, String), &(&str, &str))| {
            *pointer == part(row) + at && problem.contains(text)
        };
        if found.len() != expected.len() || !found.iter().zip(*expected).all(is_expected) {
            wrong.push(format!("{}\n{found:#?}", entry()));
        }
    }
    assert!(wrong.is_empty(), "{} other reports:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_fault_has_an_entry_with_several_mistakes() {
    let names: BTreeSet<String> = FAULTS.iter().map(|row| part(row).replace("/faults/0/", "")).collect();
    assert_eq!(names, FAULT_CATALOG.iter().map(|info| info.name.to_owned()).collect());
    assert!(FAULTS.iter().chain(OTHERS).all(|(.., expected)| expected.len() > 1));
}

#[test]
fn mistakes_in_several_entries_and_between_them_are_reported() {
    let mut experiment = good();
    let fields = experiment.as_object_mut().expect("an experiment is an object");
    fields.remove("duration");
    fields.insert("seed".into(), json!(-1));
    fields.insert("targets".into(), json!([{ "function": "f" }, { "function": 1 }, { "function": "f" }]));
    fields.insert(
        "faults".into(),
        json!([{ "memory": { "megabytes": 1 } }, { "latency": 5 }, { "memory": { "megabytes": 128, "a": 1 } }, "exit"]),
    );
    fields.insert("stopConditions".into(), json!(vec![json!({ "alarm": "a" }); 6]));
    let found: Vec<String> =
        find_errors(&experiment).into_iter().map(|found| format!("{} {}", found.pointer, found.error)).collect();
    let expected = [
        "/targets/1/function targets[1].function: `1` is a number; write text, in quotes",
        "/targets/2 targets[0] and targets[2] are the same; remove one",
        "/faults/0/memory/megabytes faults[0].memory.megabytes: `1` is out of range",
        "/faults/1/latency faults[1].latency: `5` is a number; write an object",
        "/faults/2/memory/a faults[2].memory: `a` is not a known field",
        "/faults/3 faults[3]: `exit` is text",
        "/faults/2 faults[0] (memory) and faults[2] (memory) both claim the memory; keep it in one of them",
        " `duration` is missing; add it",
        "/stopConditions `stopConditions` has 6 entries; write at most 5",
        "/stopConditions/1 stopConditions[0] and stopConditions[1] are the same; remove one",
        "/stopConditions/2 stopConditions[0] and stopConditions[2] are the same; remove one",
        "/stopConditions/3 stopConditions[0] and stopConditions[3] are the same; remove one",
        "/stopConditions/4 stopConditions[0] and stopConditions[4] are the same; remove one",
        "/stopConditions/5 stopConditions[0] and stopConditions[5] are the same; remove one",
        "/seed seed: `-1` is out of range",
    ];
    let is_found = found.len() == expected.len()
        && found.iter().zip(expected).all(|(found, expected)| found.starts_with(expected));
    assert!(is_found, "{found:#?}");
}
