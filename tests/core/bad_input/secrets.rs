//! Experiments with a secret where the value of a variable belongs, or where a user may put one by mistake.

use serde_json::{Value, json};
use snapback::testing::samples::SECRET;

use super::LAYER;

/// The faults, and the message, which must not show the secret.
type Row = (fn() -> Value, &'static str);

pub const SECRETS: &[Row] = &[
    (
        || environment(json!({ "set": { "DB_PASSWORD": [SECRET] } })),
        "faults[0].environment.set.DB_PASSWORD: the value (hidden) is not text; write text, in quotes",
    ),
    (
        || environment(json!({ "set": { "DB_PASSWORD": { "value": SECRET } } })),
        "faults[0].environment.set.DB_PASSWORD: the value (hidden) is not text; write text, in quotes",
    ),
    (|| environment(json!({ "set": [SECRET] })), "faults[0].environment.set: it is a list; write an object"),
    (
        || environment(json!({ "set": SECRET })),
        "faults[0].environment.set: the value (hidden) is text; write an object",
    ),
    (
        || environment(json!({ "set": { "not a name": SECRET } })),
        "faults[0].environment.set.not a name: `not a name` is not a variable name; write a letter, then letters, digits and _, at least two characters in all",
    ),
    (
        || environment(json!({ "set": { "AWS_SECRET_ACCESS_KEY": SECRET } })),
        "faults[0].environment.set.AWS_SECRET_ACCESS_KEY: `AWS_SECRET_ACCESS_KEY` is reserved by Lambda, which would refuse it; use another variable",
    ),
    (
        || environment(json!({ "set": { format!("DB_PASSWORD={SECRET}"): "" } })),
        "faults[0].environment.set.DB_PASSWORD=(hidden): `DB_PASSWORD=(hidden)` is not a variable name; write a letter, then letters, digits and _, at least two characters in all",
    ),
    // `{DB_PASSWORD:value}` is a name in YAML where the space after the colon is missing.
    (
        || environment(json!({ "set": { format!("DB_PASSWORD:{SECRET}"): null } })),
        "faults[0].environment.set.DB_PASSWORD:(hidden): `DB_PASSWORD:(hidden)` is not a variable name; write a letter, then letters, digits and _, at least two characters in all",
    ),
    (
        || environment(json!({ format!("DB_PASSWORD={SECRET}"): "" })),
        "faults[0].environment: `DB_PASSWORD=(hidden)` is not a known field; write one of set, unset",
    ),
    (
        || environment(json!({ "unset": [format!("DB_PASSWORD={SECRET}")] })),
        "faults[0].environment.unset[0]: `DB_PASSWORD=(hidden)` is not a variable name; write a letter, then letters, digits and _, at least two characters in all",
    ),
    (
        || environment(json!({ "unset": { "DB_PASSWORD": SECRET } })),
        "faults[0].environment.unset: it is an object; write a list",
    ),
    (
        || environment(json!({ "DB_PASSWORD": SECRET })),
        "faults[0].environment: `DB_PASSWORD` is not a known field; write one of set, unset",
    ),
    (
        || json!([{ "environment": null, "set": { "DB_PASSWORD": SECRET } }]),
        "faults[0]: has `set` next to `environment`, which is empty; indent `set` further than `environment`",
    ),
    (
        || environment(json!([SECRET])),
        "faults[0].environment: it is a list; write an object, such as {set: {NAME: VALUE}}",
    ),
    (
        || environment(json!(SECRET)),
        "faults[0].environment: the value (hidden) is text; write an object, such as {set: {NAME: VALUE}}",
    ),
    (
        || json!([{ "layer": { "layers": [LAYER], "environment": SECRET } }]),
        "faults[0].layer.environment: the value (hidden) is text; write an object",
    ),
    (
        || json!([{ "layer": { "layers": [LAYER], "environment": { "DB_PASSWORD": 5 } } }]),
        "faults[0].layer.environment.DB_PASSWORD: the value (hidden) is not text; write text, in quotes",
    ),
    (
        || json!([{ "handler": { "handler": "a.b", "environment": [SECRET] } }]),
        "faults[0].handler.environment: it is a list; write an object",
    ),
    (
        || json!([{ "handler": { "handler": "a.b", "environment": { "DB_PASSWORD": null } } }]),
        "faults[0].handler.environment.DB_PASSWORD: the value (hidden) is not text; write text, in quotes",
    ),
];

fn environment(fault: Value) -> Value {
    json!([{ "environment": fault }])
}
