//! Mistakes in faults of the configuration.

use serde_json::json;

use super::{LAYER, MAPPING, Row};

pub const HANDLERS_AND_LAYERS: &[Row] = &[
    (
        "/faults",
        || json!([{ "handler": { "handler": "" } }]),
        "faults[0].handler.handler: `` is not a handler; write 1 to 128 printable characters without white space, such as app.handler",
    ),
    (
        "/faults",
        || json!([{ "handler": { "handler": "app handler" } }]),
        "faults[0].handler.handler: `app handler` is not a handler; write 1 to 128 printable characters without white space, such as app.handler",
    ),
    (
        "/faults",
        || json!([{ "handler": { "handler": "x".repeat(129) } }]),
        "faults[0].handler.handler: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...` is not a handler; write 1 to 128 printable characters without white space, such as app.handler",
    ),
    (
        "/faults",
        || json!([{ "handler": { "layers": [LAYER] } }]),
        "faults[0].handler: has `layers` without `handler`; add the name of your handler, or remove `layers` to use snapback's own",
    ),
    (
        "/faults",
        || json!([{ "handler": { "exception": [] } }]),
        "faults[0].handler.exception: it is a list; write an object",
    ),
    (
        "/faults",
        || json!([{ "handler": { "exception": { "type": "no such class" } } }]),
        "faults[0].handler: `type` is `no such class`, which is not the name of a class; write a name such as ValueError or orders.errors.OutOfStock, of up to 128 characters",
    ),
    (
        "/faults",
        || json!([{ "handler": { "exception": {}, "latency": { "delayMs": 1 } } }]),
        "faults[0].handler: has more than one of `exception`, `latency` and `response`; write a separate `handler` fault for each",
    ),
    (
        "/faults",
        || json!([{ "handler": { "handler": "a.b" } }, { "handler": {} }]),
        "faults[0] (handler) and faults[1] (handler) both claim the handler; keep it in one of them",
    ),
    (
        "/faults",
        || json!([{ "handler": "app.handler" }]),
        "faults[0].handler: `app.handler` is text; write an object, such as {exception: {type: ValueError}}",
    ),
    (
        "/faults",
        || json!([{ "handler": { "handler": "a.b", "timeout": 20 } }]),
        "faults[0].handler.timeout: `20` is a number; did you mean `PT20S`?",
    ),
    (
        "/faults",
        || json!([{ "handler": { "handler": "a.b", "memory": 64 } }]),
        "faults[0].handler.memory: `64` is out of range; write a whole number from 128 to 10240",
    ),
    (
        "/faults",
        || json!([{ "layer": { "layers": [] } }]),
        "faults[0].layer: has an empty `layers`; write 1 to 5 layer version ARNs, or use the `environment` fault",
    ),
    (
        "/faults",
        || json!([{ "layer": { "layers": LAYER } }]),
        "faults[0].layer.layers: `arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1` is text; write a list",
    ),
    (
        "/faults",
        || json!([{ "layer": { "layer": [LAYER] } }]),
        "faults[0].layer: `layer` is not a known field; did you mean `layers`?",
    ),
    (
        "/faults",
        || json!([{ "layer": { "layers": ["chaos:1"] } }]),
        "faults[0].layer.layers[0]: `chaos:1` is not a layer version ARN; write arn:aws:lambda:REGION:ACCOUNT:layer:NAME:VERSION",
    ),
    (
        "/faults",
        || json!([{ "layer": { "layers": ["arn:aws:lambda:eu-west-1:123456789012:layer:chaos"] } }]),
        "faults[0].layer.layers[0]: `arn:aws:lambda:eu-west-1:123456789012:layer:chaos` is not a layer version ARN; write arn:aws:lambda:REGION:ACCOUNT:layer:NAME:VERSION",
    ),
    (
        "/faults",
        || json!([{ "layer": { "layers": ["arn:aws:lambda:eu-west-1:123456789012:layer:chaos:0"] } }]),
        "faults[0].layer.layers[0]: `arn:aws:lambda:eu-west-1:123456789012:layer:chaos:0` is not a layer version ARN; write arn:aws:lambda:REGION:ACCOUNT:layer:NAME:VERSION",
    ),
    (
        "/faults",
        || json!([{ "layer": { "layers": [LAYER], "wrapper": "chaos-wrapper" } }]),
        "faults[0].layer.wrapper: `chaos-wrapper` is not the path of a wrapper; write an absolute path, such as /opt/chaos-wrapper",
    ),
    (
        "/faults",
        || json!([{ "layer": { "layers": [LAYER], "chainedWrapperVariable": "CHAINED" } }]),
        "faults[0].layer: has `chainedWrapperVariable` without `wrapper`; add the wrapper, or remove `chainedWrapperVariable`",
    ),
];

pub const VARIABLES: &[Row] = &[
    (
        "/faults",
        || json!([{ "environment": {} }]),
        "faults[0].environment: changes nothing; write `set: {NAME: VALUE}` or `unset: [NAME]`",
    ),
    (
        "/faults",
        || json!([{ "environment": { "set": {} } }]),
        "faults[0].environment: changes nothing; write `set: {NAME: VALUE}` or `unset: [NAME]`",
    ),
    (
        "/faults",
        || json!([{ "environment": { "set": { "A-B": "x" } } }]),
        "faults[0].environment.set.A-B: `A-B` is not a variable name; write a letter, then letters, digits and _, at least two characters in all",
    ),
    (
        "/faults",
        || json!([{ "environment": { "set": { "1A": "x" } } }]),
        "faults[0].environment.set.1A: `1A` is not a variable name; write a letter, then letters, digits and _, at least two characters in all",
    ),
    (
        "/faults",
        || json!([{ "environment": { "set": { "AWS_LAMBDA_RUNTIME_API": "x" } } }]),
        "faults[0].environment.set.AWS_LAMBDA_RUNTIME_API: `AWS_LAMBDA_RUNTIME_API` is reserved by Lambda, which would refuse it; use another variable",
    ),
    (
        "/faults",
        || json!([{ "environment": { "unset": ["_HANDLER"] } }]),
        "faults[0].environment.unset[0]: `_HANDLER` is reserved by Lambda, which would refuse it; use another variable",
    ),
    (
        "/faults",
        || json!([{ "environment": { "unset": "DB_PASSWORD" } }]),
        "faults[0].environment.unset: the value (hidden) is text; write a list",
    ),
    (
        "/faults",
        || json!([{ "environment": { "unset": [1] } }]),
        "faults[0].environment.unset[0]: the value (hidden) is a number; write text, in quotes",
    ),
    (
        "/faults",
        || json!([{ "handler": { "handler": "a.b", "originalHandlerVariable": "AWS_REGION" } }]),
        "faults[0].handler.originalHandlerVariable: `AWS_REGION` is reserved by Lambda, which would refuse it; use another variable",
    ),
    (
        "/faults",
        || json!([{ "handler": { "handler": "a.b", "deadlineVariable": "_HANDLER" } }]),
        "faults[0].handler.deadlineVariable: `_HANDLER` is reserved by Lambda, which would refuse it; use another variable",
    ),
    (
        "/faults",
        || json!([{ "layer": { "layers": [LAYER], "deadlineVariable": "2LATE" } }]),
        "faults[0].layer.deadlineVariable: `2LATE` is not a variable name; write a letter, then letters, digits and _, at least two characters in all",
    ),
];

pub const MAPPINGS: &[Row] = &[
    (
        "/faults",
        || json!([{ "eventSourceMapping": { "disable": "all" } }]),
        "faults[0].eventSourceMapping.disable: `all` is not an event source mapping; write its UUID, or ALL",
    ),
    (
        "/faults",
        || json!([{ "eventSourceMapping": { "disable": true } }]),
        "faults[0].eventSourceMapping.disable: `true` is a boolean; write text, in quotes",
    ),
    (
        "/faults",
        || json!([{ "eventSourceMapping": { "disable": [MAPPING] } }]),
        "faults[0].eventSourceMapping.disable: it is a list; write text",
    ),
    (
        "/faults",
        || json!([{ "eventSourceMapping": "ALL" }]),
        "faults[0].eventSourceMapping: `ALL` is text; write an object, such as {disable: ALL}",
    ),
];
