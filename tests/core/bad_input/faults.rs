//! Mistakes in faults of any kind: their form, their numbers, and two faults that claim one field.

use serde_json::{Value, json};
use snapback::testing::samples::SECRET;

use super::{LAYER, Row, layer};

pub const FORM: &[Row] = &[
    ("/faults", || json!([]), "`faults` has 0 entries; write 1 to 20"),
    ("/faults", || json!({ "timeout": { "timeout": "PT1S" } }), "faults: it is an object; write a list"),
    (
        "/faults",
        || json!(["timeout"]),
        "faults[0]: `timeout` is text; write an object with one fault, such as {memory: {megabytes: 256}}",
    ),
    ("/faults", || json!([{}]), "faults[0]: names no fault; write one, such as {memory: {megabytes: 256}}"),
    (
        "/faults",
        || json!([null]),
        "faults[0]: it is null; write an object with one fault, such as {memory: {megabytes: 256}}",
    ),
    (
        "/faults",
        || json!([[{ "timeout": { "timeout": "PT1S" } }]]),
        "faults[0]: it is a list; write an object with one fault, such as {memory: {megabytes: 256}}",
    ),
    (
        "/faults",
        || json!([{ "timeout": { "timeout": "PT1S" }, "memory": { "megabytes": 128 } }]),
        "faults[0]: has more than one name (`memory`, `timeout`); write each fault as a separate entry",
    ),
    (
        "/faults",
        || json!([{ "reservedConcurency": { "limit": 0 } }]),
        "faults[0]: `reservedConcurency` is not a known name; did you mean `reservedConcurrency`?",
    ),
    (
        "/faults",
        || json!([{ "reserved_concurrency": { "limit": 0 } }]),
        "faults[0]: `reserved_concurrency` is not a known name; did you mean `reservedConcurrency`?",
    ),
    (
        "/faults",
        || json!([{ "latency": { "delay_ms": 100 } }]),
        "faults[0].latency: `delay_ms` is not a known field; did you mean `delayMs`?",
    ),
    (
        "/faults",
        || json!([{ "throttle": { "limit": 0 } }]),
        "faults[0]: `throttle` is not a known name; write one of reservedConcurrency, handler, layer, environment, timeout, memory, eventSourceMapping, latency, invocationTimeout, error, response, corrupt, disk, init, exit, dependency",
    ),
    (
        "/faults",
        || json!([{ "timeout": "PT1S" }]),
        "faults[0].timeout: `PT1S` is text; write an object, such as {timeout: PT2S}",
    ),
    (
        "/faults",
        || json!([{ "timeout": null }]),
        "faults[0].timeout: it is null; write its settings, such as `timeout: {timeout: PT2S}`",
    ),
    (
        "/faults",
        || json!([{ "timeout": 2 }]),
        "faults[0].timeout: `2` is a number; write an object, such as {timeout: PT2S}",
    ),
    ("/faults", || json!([{ "exit": null }]), "faults[0].exit: it is null; write `exit: {}`"),
    (
        "/faults",
        || json!([{ "latency": null, "delayMs": 200 }]),
        "faults[0]: has `delayMs` next to `latency`, which is empty; indent `delayMs` further than `latency`",
    ),
    (
        "/faults",
        || json!([{ "handler": null, "timeout": "PT2S" }]),
        "faults[0]: has `timeout` next to `handler`, which is empty; indent `timeout` further than `handler`",
    ),
    (
        "/faults",
        || json!([{ "exit": null, "timeout": { "timeout": "PT1S" } }]),
        "faults[0]: has more than one name (`exit`, `timeout`); write each fault as a separate entry",
    ),
    ("/faults", || json!([{ "timeout": {} }]), "faults[0].timeout: `timeout` is missing; add it"),
    (
        "/faults",
        || json!([{ "memory": [128] }]),
        "faults[0].memory: it is a list; write an object, such as {megabytes: 256}",
    ),
    (
        "/faults",
        || Value::Array((0..21).map(|_| json!({ "timeout": { "timeout": "PT1S" } })).collect()),
        "`faults` has 21 entries; write 1 to 20",
    ),
];

pub const NUMBERS: &[Row] = &[
    (
        "/faults/0/reservedConcurrency/limit",
        || json!(-1),
        "faults[0].reservedConcurrency.limit: `-1` is out of range; write a whole number from 0 to 100000",
    ),
    (
        "/faults/0/reservedConcurrency/limit",
        || json!(0.5),
        "faults[0].reservedConcurrency.limit: `0.5` is not a whole number; write one from 0 to 100000",
    ),
    (
        "/faults/0/reservedConcurrency/limit",
        || json!(5.0),
        "faults[0].reservedConcurrency.limit: it is not written as a whole number; write `5`, without a decimal point or an exponent",
    ),
    (
        "/faults/0/reservedConcurrency/limit",
        || json!(1e300),
        "faults[0].reservedConcurrency.limit: `1e300` is not a whole number; write one from 0 to 100000",
    ),
    (
        "/faults/0/reservedConcurrency/limit",
        || json!(18_446_744_073_709_551_615_u64),
        "faults[0].reservedConcurrency.limit: `18446744073709551615` is out of range; write a whole number from 0 to 100000",
    ),
    (
        "/faults/0/reservedConcurrency/limit",
        || json!(100_001),
        "faults[0].reservedConcurrency.limit: `100001` is out of range; write a whole number from 0 to 100000",
    ),
    (
        "/faults/0/reservedConcurrency/limit",
        || json!("0"),
        "faults[0].reservedConcurrency.limit: `0` is text; write a whole number from 0 to 100000, without quotes",
    ),
    (
        "/faults/0/reservedConcurrency/limit",
        || json!(null),
        "faults[0].reservedConcurrency.limit: it is null; write a whole number from 0 to 100000",
    ),
    (
        "/faults/0/reservedConcurrency/limit",
        || json!(true),
        "faults[0].reservedConcurrency.limit: `true` is a boolean; write a whole number from 0 to 100000",
    ),
    (
        "/faults/0/reservedConcurrency/limit",
        || json!([0]),
        "faults[0].reservedConcurrency.limit: it is a list; write a whole number from 0 to 100000",
    ),
    (
        "/faults",
        || json!([{ "memory": { "megabytes": 127 } }]),
        "faults[0].memory.megabytes: `127` is out of range; write a whole number from 128 to 10240",
    ),
    (
        "/faults",
        || json!([{ "memory": { "megabytes": 10_241 } }]),
        "faults[0].memory.megabytes: `10241` is out of range; write a whole number from 128 to 10240",
    ),
    (
        "/faults",
        || json!([{ "memory": { "megabytes": "512 MB" } }]),
        "faults[0].memory.megabytes: `512 MB` is text; write a whole number from 128 to 10240, without quotes",
    ),
    (
        "/faults",
        || json!([{ "timeout": { "timeout": 5 } }]),
        "faults[0].timeout.timeout: `5` is a number; did you mean `PT5S`?",
    ),
    (
        "/faults",
        || json!([{ "timeout": { "timeout": "PT0S" } }]),
        "faults[0].timeout.timeout: `PT0S` is out of range; write PT1S to PT15M as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    (
        "/faults",
        || json!([{ "timeout": { "timeout": "PT15M1S" } }]),
        "faults[0].timeout.timeout: `PT15M1S` is out of range; write PT1S to PT15M as an ISO 8601 duration, such as PT90S or PT5M",
    ),
    ("/seed", || json!(-1), "seed: `-1` is out of range; write a whole number from 0 to 4294967295"),
    ("/seed", || json!(1.5), "seed: `1.5` is not a whole number; write one from 0 to 4294967295"),
    (
        "/seed",
        || json!(4_294_967_296_u64),
        "seed: `4294967296` is out of range; write a whole number from 0 to 4294967295",
    ),
    ("/seed", || json!("seven"), "seed: `seven` is text; write a whole number from 0 to 4294967295, without quotes"),
];

pub const CLAIMS: &[Row] = &[
    (
        "/faults",
        || json!([{ "timeout": { "timeout": "PT1S" } }, { "timeout": { "timeout": "PT2S" } }]),
        "faults[0] (timeout) and faults[1] (timeout) both claim the timeout; keep it in one of them",
    ),
    (
        "/faults",
        || json!([{ "memory": { "megabytes": 128 } }, { "handler": { "handler": "a.b", "memory": 256 } }]),
        "faults[0] (memory) and faults[1] (handler) both claim the memory; keep it in one of them",
    ),
    (
        "/faults",
        || json!([{ "handler": { "handler": "a.b" } }, { "handler": { "handler": "c.d" } }]),
        "faults[0] (handler) and faults[1] (handler) both claim the handler; keep it in one of them",
    ),
    (
        "/faults",
        || json!([{ "reservedConcurrency": { "limit": 0 } }, { "reservedConcurrency": { "limit": 1 } }]),
        "faults[0] (reservedConcurrency) and faults[1] (reservedConcurrency) both claim the reserved concurrency; keep it in one of them",
    ),
    (
        "/faults",
        || json!([{ "layer": { "layers": [layer(1)] } }, { "handler": { "handler": "a.b", "layers": [layer(2)] } }]),
        "faults[0] (layer) and faults[1] (handler) both claim the layer arn:aws:lambda:eu-west-1:123456789012:layer:chaos; keep it in one of them",
    ),
    (
        "/faults",
        || json!([{ "layer": { "layers": [layer(1), layer(1)] } }]),
        "faults[0] (layer) claims the layer arn:aws:lambda:eu-west-1:123456789012:layer:chaos twice; keep it once",
    ),
    (
        "/faults",
        || json!([{ "environment": { "set": { "MODE": SECRET } } }, { "environment": { "unset": ["MODE"] } }]),
        "faults[0] (environment) and faults[1] (environment) both claim the variable MODE; keep it in one of them",
    ),
    (
        "/faults",
        || json!([{ "environment": { "set": { "MODE": SECRET }, "unset": ["MODE"] } }]),
        "faults[0] (environment) claims the variable MODE twice; keep it once",
    ),
    (
        "/faults",
        || json!([{ "environment": { "unset": ["MODE", "MODE"] } }]),
        "faults[0] (environment) claims the variable MODE twice; keep it once",
    ),
    (
        "/faults",
        || json!([{ "environment": { "set": { "AWS_LAMBDA_EXEC_WRAPPER": "/opt/a" } } }, { "layer": { "layers": [LAYER], "wrapper": "/opt/b" } }]),
        "faults[0] (environment) and faults[1] (layer) both claim the variable AWS_LAMBDA_EXEC_WRAPPER; keep it in one of them",
    ),
    (
        "/faults",
        || json!([{ "latency": { "delayMs": 1 } }, { "layer": { "layers": [LAYER], "wrapper": "/opt/chaos" } }]),
        "faults[0] (latency) and faults[1] (layer) both claim the variable AWS_LAMBDA_EXEC_WRAPPER; keep it in one of them",
    ),
    (
        "/faults",
        || json!([{ "environment": { "unset": ["SNAPBACK_FAULTS"] } }, { "error": {} }, { "exit": {} }]),
        "faults[0] (environment) and faults[1] (error) both claim the variable SNAPBACK_FAULTS; keep it in one of them",
    ),
    (
        "/faults",
        || json!([{ "disk": { "megabytes": 1 } }, { "environment": { "set": { "SNAPBACK_CHAINED_WRAPPER": "/opt/x" } } }]),
        "faults[0] (disk) and faults[1] (environment) both claim the variable SNAPBACK_CHAINED_WRAPPER; keep it in one of them",
    ),
];
