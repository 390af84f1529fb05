//! Mistakes in faults inside invocations.

use serde_json::json;

use super::{MAPPING, Row};

pub const INVOCATIONS: &[Row] = &[
    (
        "/faults",
        || json!([{ "latency": null }]),
        "faults[0].latency: it is null; write its settings, such as `latency: {delayMs: 200}`",
    ),
    (
        "/faults",
        || json!([{ "latency": [100] }]),
        "faults[0].latency: it is a list; write an object, such as {delayMs: 200}",
    ),
    (
        "/faults",
        || json!([{ "latency": 100 }]),
        "faults[0].latency: `100` is a number; write an object, such as {delayMs: 200}",
    ),
    (
        "/faults",
        || json!([{ "latency": {} }]),
        "faults[0].latency: needs exactly one delay; write `delayMs`, or both `minMs` and `maxMs`",
    ),
    (
        "/faults",
        || json!([{ "error": {} }, { "latency": { "minMs": 500, "maxMs": 200 } }]),
        "faults[1].latency: `minMs` is 500 and `maxMs` 200; write the smaller one in `minMs`",
    ),
    (
        "/faults",
        || json!([{ "latency": { "delayMs": 900_001 } }]),
        "faults[0].latency.delayMs: `900001` is out of range; write a whole number from 0 to 900000",
    ),
    (
        "/faults",
        || json!([{ "latency": { "delayMs": 1, "when": "during" } }]),
        "faults[0].latency.when: `during` is not a known name; write one of before, after",
    ),
    (
        "/faults",
        || json!([{ "latency": { "delayMs": 1, "when": 5 } }]),
        "faults[0].latency.when: `5` is a number; write one of its names",
    ),
    (
        "/faults",
        || json!([{ "latency": { "delayMs": 1, "percentage": 101 } }]),
        "faults[0].latency.percentage: `101` is out of range; write a percentage from 0 to 100",
    ),
    (
        "/faults",
        || json!([{ "latency": { "delayMs": 1, "percentage": "50" } }]),
        "faults[0].latency.percentage: `50` is text; write a percentage from 0 to 100, without quotes",
    ),
    (
        "/faults",
        || json!([{ "latency": { "delayMs": 1, "percentage": null } }]),
        "faults[0].latency.percentage: it is null; write a percentage from 0 to 100",
    ),
    (
        "/faults",
        || json!([{ "latency": { "delayMs": 1, "match": { "path": "a", "exists": true } } }]),
        "faults[0].latency.match: it is an object; write a list",
    ),
    (
        "/faults",
        || json!([{ "latency": { "delayMs": 1, "match": [{ "path": "a", "exists": true }, ["a", "x"]] } }]),
        "faults[0].latency.match[1]: it is a list; write an object with a path and one operator, such as {path: a.b, equals: x}",
    ),
    (
        "/faults",
        || json!([{ "exit": { "match": ["a"] } }]),
        "faults[0].exit.match[0]: `a` is text; write an object with a path and one operator, such as {path: a.b, equals: x}",
    ),
    (
        "/faults",
        || json!([{ "exit": { "match": [{ "path": "a" }] } }]),
        "faults[0].exit.match[0]: has no operator; write one of equals, exists, startsWith, regex, in",
    ),
    (
        "/faults",
        || json!([{ "exit": { "match": [{ "path": "a", "like": "x" }] } }]),
        "faults[0].exit.match[0]: `like` is not a known field; write one of path, equals, exists, startsWith, regex, in",
    ),
    (
        "/faults",
        || json!([{ "exit": { "match": [{ "path": "a", "exists": "yes" }] } }]),
        "faults[0].exit.match[0].exists: `yes` is text; write true or false",
    ),
    (
        "/faults",
        || json!([{ "exit": { "match": [{ "path": "$.Records[*].eventSource", "exists": true }] } }]),
        "faults[0].exit.match[0].path: `$.Records[*].eventSource` is not a path to one place in the event; write names and list positions, such as requestContext.http.method or Records[0].eventSource, or a JSON Pointer, such as /headers/x.debug, of up to 256 bytes",
    ),
    (
        "/faults",
        || json!([{ "exit": { "match": [{ "path": "a", "regex": "(?:a{0,900})b" }] } }]),
        "faults[0].exit.match[0]: the pattern `(?:a{0,900})b` has too many repetitions and would delay invocations; write smaller counts",
    ),
    (
        "/faults",
        || json!([{ "exit": { "match": [{ "path": "a", "equals": ["x"] }] } }]),
        "faults[0].exit.match[0]: a condition compares with text, a number, true, false or null; write one of these",
    ),
    (
        "/faults",
        || json!([{ "exit": { "match": [{ "path": "a", "in": "x" }] } }]),
        "faults[0].exit.match[0].in: `x` is text; write a list",
    ),
    (
        "/faults",
        || json!([{ "exit": { "match": vec![json!({ "path": "a", "exists": true }); 11] } }]),
        "faults[0].exit: `match` has 11 conditions; write at most 10",
    ),
    (
        "/faults",
        || json!([{ "exit": { "qualifier": "live!" } }]),
        "faults[0].exit: `qualifier` is `live!`, which is not an alias or a version; write an alias, a version number, or $LATEST",
    ),
    (
        "/faults",
        || json!([{ "error": { "type": "not a type" } }]),
        "faults[0].error: `type` is `not a type`; write 1 to 128 ASCII characters without white space, such as Service.Unavailable",
    ),
    (
        "/faults",
        || json!([{ "response": {} }]),
        "faults[0].response: has no response; write `statusCode`, with `headers` and `body`, or `raw`",
    ),
    (
        "/faults",
        || json!([{ "response": { "statusCode": 200, "raw": "x" } }]),
        "faults[0].response: has `raw` together with `statusCode`, `headers` or `body`; keep one form",
    ),
    (
        "/faults",
        || json!([{ "response": { "statusCode": 99 } }]),
        "faults[0].response.statusCode: `99` is out of range; write a whole number from 100 to 599",
    ),
    (
        "/faults",
        || json!([{ "response": { "statusCode": 200, "body": { "ok": true } } }]),
        "faults[0].response.body: it is an object; write text",
    ),
    (
        "/faults",
        || json!([{ "corrupt": { "mangle": "yes" } }]),
        "faults[0].corrupt.mangle: `yes` is text; write true or false",
    ),
    (
        "/faults",
        || json!([{ "corrupt": { "mangle": true, "replace": "x" } }]),
        "faults[0].corrupt: needs exactly one kind of damage; write `truncateBytes`, `replace`, or `mangle: true`",
    ),
    ("/faults", || json!([{ "disk": {} }]), "faults[0].disk: `megabytes` is missing; add it"),
    ("/faults", || json!([{ "init": {} }]), "faults[0].init: changes nothing; write `delayMs`, `fail: {}`, or both"),
    ("/faults", || json!([{ "init": { "fail": ["x"] } }]), "faults[0].init.fail: it is a list; write an object"),
    (
        "/faults",
        || json!([{ "init": { "delayMs": 1, "match": [] } }]),
        "faults[0].init: `match` is not a known field; write one of delayMs, fail, percentage",
    ),
    (
        "/faults",
        || json!([{ "invocationTimeout": { "bufferMs": 0.5 } }]),
        "faults[0].invocationTimeout.bufferMs: `0.5` is not a whole number; write one from 0 to 900000",
    ),
    (
        "/faults",
        || json!([{ "eventSourceMapping": { "disable": "ALL" } }, { "eventSourceMapping": { "disable": MAPPING } }]),
        "faults[0] (eventSourceMapping) and faults[1] (eventSourceMapping) both claim the same event source mapping; keep it in one of them",
    ),
];
