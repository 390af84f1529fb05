//! Mistakes in the experiment as a whole: its fields, its name and its durations.

use serde_json::json;

use snapback::testing::samples::SECRET;

use super::{Row, good};

pub const WHOLE: &[Row] = &[
    ("", || json!(null), "an experiment is an object with name, targets, faults and duration; this is null"),
    ("", || json!("PT5M"), "an experiment is an object with name, targets, faults and duration; this is text"),
    ("", || json!(5), "an experiment is an object with name, targets, faults and duration; this is a number"),
    ("", || json!(true), "an experiment is an object with name, targets, faults and duration; this is a boolean"),
    ("", || json!([good()]), "an experiment is an object with name, targets, faults and duration; this is a list"),
    ("", || json!({}), "`name` is missing; add it"),
    (
        "",
        || json!({ "experiment": good() }),
        "`experiment` is not a known field; write one of name, targets, faults, duration, startWithin, stopConditions, steadyState, recovery, seed, startedBy",
    ),
];

pub const STARTED_BY: &[Row] = &[
    ("/startedBy", || json!("ana"), "startedBy: `ana` is text; write an object"),
    ("/startedBy", || json!(["ana"]), "startedBy: it is a list; write an object"),
    ("/startedBy", || json!({}), "startedBy: `via` is missing; add it"),
    (
        "/startedBy",
        || json!({ "via": "CI", "user": "ana" }),
        "startedBy: `user` is not a known field; write one of caller, via, url, reason",
    ),
    (
        "/startedBy",
        || json!({ "via": "CI", "caller": "ana" }),
        "startedBy.caller: `ana` is not an ARN; write one, such as arn:aws:iam::123456789012:user/ana",
    ),
    (
        "/startedBy",
        || json!({ "via": "C\u{202e}I" }),
        "startedBy.via: `C\\u{202e}I` is not 1 to 64 printable characters, such as `command line`",
    ),
    (
        "/startedBy",
        || json!({ "via": "CI", "url": format!("https://ana:{SECRET}@ci/1") }),
        "startedBy.url: `http(hidden)` has credentials before its host; write it without them",
    ),
];

pub const UNKNOWN_FIELDS: &[Row] = &[
    ("/duraton", || json!("PT5M"), "`duraton` is not a known field; did you mean `duration`?"),
    ("/stopCondition", || json!([]), "`stopCondition` is not a known field; did you mean `stopConditions`?"),
    ("/stop_conditions", || json!([]), "`stop_conditions` is not a known field; did you mean `stopConditions`?"),
    (
        "/comment",
        || json!("mine"),
        "`comment` is not a known field; write one of name, targets, faults, duration, startWithin, stopConditions, steadyState, recovery, seed, startedBy",
    ),
    (
        "/targets/0/functon",
        || json!("checkout"),
        "targets[0]: `functon` is not a known field; did you mean `function`?",
    ),
    (
        "/targets/0/qualifier",
        || json!("live"),
        "targets[0]: `qualifier` is not a known field; write one of function, tags, select",
    ),
    (
        "/faults/0/reservedConcurrency/limt",
        || json!(1),
        "faults[0].reservedConcurrency: `limt` is not a known field; did you mean `limit`?",
    ),
    (
        "/stopConditions/0/alarmName",
        || json!("errors"),
        "stopConditions[0]: `alarmName` is not a known field; write `alarm`",
    ),
];

pub const NAMES: &[Row] = &[
    ("/name", || json!(""), "name: `` is not a name; write 1 to 128 printable characters"),
    ("/name", || json!("   "), "name: `   ` is not a name; write 1 to 128 printable characters"),
    ("/name", || json!("a\u{1b}[2J"), "name: `a\\u{1b}[2J` is not a name; write 1 to 128 printable characters"),
    ("/name", || json!("a\u{202e}b"), "name: `a\\u{202e}b` is not a name; write 1 to 128 printable characters"),
    ("/name", || json!("a\nb"), "name: `a\\nb` is not a name; write 1 to 128 printable characters"),
    (
        "/name",
        || json!("x".repeat(129)),
        "name: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...` is not a name; write 1 to 128 printable characters",
    ),
    ("/name", || json!(7), "name: `7` is a number; write text, in quotes"),
    ("/name", || json!(null), "name: it is null; write text"),
];

pub const DURATIONS: &[Row] = &[
    ("/duration", || json!(300), "duration: `300` is a number; did you mean `PT300S`?"),
    (
        "/duration",
        || json!(null),
        "duration: it is null; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/duration",
        || json!(""),
        "duration: `` is not a duration of hours, minutes and seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/duration",
        || json!("5m"),
        "duration: `5m` is not a duration of hours, minutes and seconds; did you mean `PT5M`?",
    ),
    (
        "/duration",
        || json!("300"),
        "duration: `300` is not a duration of hours, minutes and seconds; did you mean `PT300S`?",
    ),
    (
        "/duration",
        || json!("1h 30m"),
        "duration: `1h 30m` is not a duration of hours, minutes and seconds; did you mean `PT1H30M`?",
    ),
    (
        "/duration",
        || json!(4),
        "duration: `4` is a number; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/duration",
        || json!("4s"),
        "duration: `4s` is not a duration of hours, minutes and seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/duration",
        || json!("PT"),
        "duration: `PT` is not a duration of hours, minutes and seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/duration",
        || json!("PT4S"),
        "duration: `PT4S` is out of range; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/duration",
        || json!("PT12H1S"),
        "duration: `PT12H1S` is out of range; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/duration",
        || json!("P1D"),
        "duration: `P1D` is not a duration of hours, minutes and seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/duration",
        || json!("-PT5M"),
        "duration: `-PT5M` is not a duration of hours, minutes and seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/duration",
        || json!("PT1.5S"),
        "duration: `PT1.5S` is not a whole number of seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/duration",
        || json!("P1Y"),
        "duration: `P1Y` is not a duration of hours, minutes and seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/duration",
        || json!("PT99999999999999999999S"),
        "duration: `PT99999999999999999999S` is not a duration of hours, minutes and seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/startWithin",
        || json!("PT9S"),
        "startWithin: `PT9S` is out of range; write PT10S to PT10M as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/startWithin",
        || json!("PT601S"),
        "startWithin: `PT601S` is out of range; write PT10S to PT10M as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/recovery",
        || json!("PT16M"),
        "recovery: `PT16M` is out of range; write PT0S to PT15M as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    ("/recovery", || json!(60), "recovery: `60` is a number; did you mean `PT60S`?"),
];
