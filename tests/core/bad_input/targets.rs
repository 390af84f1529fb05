//! Mistakes in targets.

use serde_json::{Value, json};

use super::Row;

pub const TARGETS: &[Row] = &[
    ("/targets", || json!([]), "`targets` has 0 entries; write 1 to 50"),
    ("/targets", || json!({ "function": "checkout" }), "targets: it is an object; write a list"),
    ("/targets", || json!("checkout"), "targets: `checkout` is text; write a list: `[{function: checkout}]`"),
    ("/targets", || json!(["checkout"]), "targets[0]: `checkout` is text; write `function: checkout`"),
    ("/targets", || json!([["checkout"]]), "targets[0]: it is a list; write an object"),
    ("/targets", || json!([null]), "targets[0]: it is null; write an object"),
    ("/targets", || json!([{}]), "targets[0]: names no function; write `function: NAME`, or `tags: {KEY: VALUE}`"),
    (
        "/targets",
        || json!([{ "function": "checkout", "tags": { "chaos": "allowed" } }]),
        "targets[0]: has both `function` and `tags`; write two targets, one with each",
    ),
    (
        "/targets",
        || json!([{ "function": "checkout", "select": "ALL" }]),
        "targets[0]: has `select` next to `function`, but it works only with `tags`; remove it",
    ),
    (
        "/targets",
        || json!([{ "select": "ALL" }]),
        "targets[0]: names no function; write `function: NAME`, or `tags: {KEY: VALUE}`",
    ),
    (
        "/targets",
        || json!([{ "function": "checkout" }, { "function": "checkout" }]),
        "targets[0] and targets[1] are the same; remove one",
    ),
    (
        "/targets",
        || json!([{ "tags": { "a": "b" } }, { "tags": { "a": "b" }, "select": "ALL" }]),
        "targets[0] and targets[1] are the same; remove one",
    ),
    (
        "/targets",
        || Value::Array((0..51).map(|n| json!({ "function": format!("f{n}") })).collect()),
        "`targets` has 51 entries; write 1 to 50",
    ),
    ("/targets", || json!([{ "tags": {} }]), "targets[0]: has `tags` with 0 entries; write 1 to 50"),
    ("/targets", || json!([{ "tags": ["chaos"] }]), "targets[0].tags: it is a list; write an object"),
    (
        "/targets",
        || json!([{ "tags": { "chaos": true } }]),
        "targets[0].tags.chaos: `true` is a boolean; write text, in quotes",
    ),
    (
        "/targets",
        || json!([{ "tags": { "team": "shop\u{202e}" } }]),
        "targets[0]: has the tag `team`, which no function can carry: `\\u{202e}` is not allowed; write letters, spaces, digits and + - = . _ : / @",
    ),
    (
        "/targets",
        || json!([{ "tags": { "": "x" } }]),
        "targets[0]: has the tag ``, which no function can carry; a key has 1 to 128 characters, a value up to 256",
    ),
    (
        "/targets",
        || json!([{ "tags": { "chaos": "x".repeat(257) } }]),
        "targets[0]: has the tag `chaos`, which no function can carry; a key has 1 to 128 characters, a value up to 256",
    ),
    (
        "/targets",
        || json!([{ "tags": { "chaos": "allowed" }, "select": "SOME" }]),
        "targets[0].select: `SOME` is not a selection; write ALL, COUNT(1 to 1000) or PERCENT(1 to 100)",
    ),
    (
        "/targets",
        || json!([{ "tags": { "chaos": "allowed" }, "select": "PERCENT(0)" }]),
        "targets[0].select: `PERCENT(0)` is not a selection; write ALL, COUNT(1 to 1000) or PERCENT(1 to 100)",
    ),
    (
        "/targets",
        || json!([{ "tags": { "chaos": "allowed" }, "select": "PERCENT(101)" }]),
        "targets[0].select: `PERCENT(101)` is not a selection; write ALL, COUNT(1 to 1000) or PERCENT(1 to 100)",
    ),
    (
        "/targets",
        || json!([{ "tags": { "chaos": "allowed" }, "select": "COUNT(-1)" }]),
        "targets[0].select: `COUNT(-1)` is not a selection; write ALL, COUNT(1 to 1000) or PERCENT(1 to 100)",
    ),
    (
        "/targets",
        || json!([{ "tags": { "chaos": "allowed" }, "select": 3 }]),
        "targets[0].select: `3` is a number; write text, in quotes",
    ),
    (
        "/targets/0/function",
        || json!(""),
        "targets[0].function: `` is not a function; write its name (up to 64 letters, digits, - and _) or its ARN, with :qualifier where it matters",
    ),
    (
        "/targets/0/function",
        || json!("check out"),
        "targets[0].function: `check out` is not a function; write its name (up to 64 letters, digits, - and _) or its ARN, with :qualifier where it matters",
    ),
    (
        "/targets/0/function",
        || json!("x".repeat(65)),
        "targets[0].function: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...` is not a function; write its name (up to 64 letters, digits, - and _) or its ARN, with :qualifier where it matters",
    ),
    (
        "/targets/0/function",
        || json!("arn:aws:lambda:eu-west-1:12345:function:checkout"),
        "targets[0].function: `arn:aws:lambda:eu-west-1:12345:function:checkout` is not a function; write its name (up to 64 letters, digits, - and _) or its ARN, with :qualifier where it matters",
    ),
    (
        "/targets/0/function",
        || json!("arn:aws:s3:::bucket"),
        "targets[0].function: `arn:aws:s3:::bucket` is not a function; write its name (up to 64 letters, digits, - and _) or its ARN, with :qualifier where it matters",
    ),
    (
        "/targets/0/function",
        || json!("checkout:no/such"),
        "targets[0].function: `checkout:no/such` is not a function; write its name (up to 64 letters, digits, - and _) or its ARN, with :qualifier where it matters",
    ),
    ("/targets/0/function", || json!(["checkout"]), "targets[0].function: it is a list; write text"),
];
