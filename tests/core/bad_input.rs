//! Bad experiments: each is refused with one exact message, before any call is made.

use serde_json::{Value, json};
use snapback::model::input::read_experiment;
use snapback::steps::error::StepError;
use snapback::steps::prepare::{Request, prepare};
use snapback::testing::samples::{SECRET, run_id, settings, world};

use super::support::block_on;

/// A good experiment, which each row of the corpus spoils in one place.
fn good() -> Value {
    json!({
        "name": "a test",
        "targets": [{ "function": "checkout" }],
        "faults": [{ "reservedConcurrency": { "limit": 0 } }],
        "duration": "PT5M",
        "stopConditions": [{ "alarm": "errors" }]
    })
}

const LAYER: &str = "arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1";
const MAPPING: &str = "11111111-2222-3333-4444-555555555555";

/// Where the experiment is spoiled (a JSON pointer), with what, and the whole message.
fn corpus() -> Vec<(&'static str, Value, &'static str)> {
    let layer = |version: u32| format!("arn:aws:lambda:eu-west-1:123456789012:layer:chaos:{version}");
    let metric = json!({ "namespace": "AWS/Lambda", "name": "Errors", "statistic": "Sum", "period": "PT1M" });
    let with = |key: &str, value: Value| {
        let mut metric = metric.clone();
        metric[key] = value;
        json!([{ "metric": metric, "below": 5 }])
    };
    vec![
        // The input as a whole.
        ("", json!(null), "an experiment is an object with name, targets, faults and duration; this is null"),
        ("", json!("PT5M"), "an experiment is an object with name, targets, faults and duration; this is text"),
        ("", json!(5), "an experiment is an object with name, targets, faults and duration; this is a number"),
        ("", json!(true), "an experiment is an object with name, targets, faults and duration; this is a boolean"),
        ("", json!([good()]), "an experiment is an object with name, targets, faults and duration; this is a list"),
        ("", json!({}), "`name` is missing; add it"),
        (
            "",
            json!({ "experiment": good() }),
            "`experiment` is not a known field; write one of name, targets, faults, duration, startWithin, stopConditions, steadyState, recovery, seed",
        ),
        // Unknown fields.
        ("/duraton", json!("PT5M"), "`duraton` is not a known field; did you mean `duration`?"),
        ("/stopCondition", json!([]), "`stopCondition` is not a known field; did you mean `stopConditions`?"),
        ("/stop_conditions", json!([]), "`stop_conditions` is not a known field; did you mean `stopConditions`?"),
        (
            "/comment",
            json!("mine"),
            "`comment` is not a known field; write one of name, targets, faults, duration, startWithin, stopConditions, steadyState, recovery, seed",
        ),
        (
            "/targets/0/functon",
            json!("checkout"),
            "targets[0]: `functon` is not a known field; did you mean `function`?",
        ),
        (
            "/targets/0/qualifier",
            json!("live"),
            "targets[0]: `qualifier` is not a known field; write one of function, tags, select",
        ),
        (
            "/faults/0/reservedConcurrency/limt",
            json!(1),
            "faults[0].reservedConcurrency: `limt` is not a known field; did you mean `limit`?",
        ),
        (
            "/stopConditions/0/alarmName",
            json!("errors"),
            "stopConditions[0]: `alarmName` is not a known field; write `alarm`",
        ),
        (
            &*format!("/{}", "x".repeat(5_000)).leak(),
            json!(1),
            "`xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...` is not a known field; write one of name, targets, faults, duration, startWithin, stopConditions, steadyState, recovery, seed",
        ),
        // Names.
        ("/name", json!(""), "name: `` is not a name; write 1 to 128 printable characters"),
        ("/name", json!("   "), "name: `   ` is not a name; write 1 to 128 printable characters"),
        ("/name", json!("a\u{1b}[2J"), "name: `a\\u{1b}[2J` is not a name; write 1 to 128 printable characters"),
        ("/name", json!("a\u{202e}b"), "name: `a\\u{202e}b` is not a name; write 1 to 128 printable characters"),
        ("/name", json!("a\nb"), "name: `a\\nb` is not a name; write 1 to 128 printable characters"),
        (
            "/name",
            json!("x".repeat(129)),
            "name: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...` is not a name; write 1 to 128 printable characters",
        ),
        ("/name", json!(7), "name: `7` is a number; write text, in quotes"),
        ("/name", json!(null), "name: it is null; write text"),
        // Targets.
        ("/targets", json!([]), "`targets` has 0 entries; write 1 to 50"),
        ("/targets", json!({ "function": "checkout" }), "targets: it is an object; write a list"),
        ("/targets", json!("checkout"), "targets: `checkout` is text; write a list"),
        ("/targets", json!(["checkout"]), "targets[0]: `checkout` is text; write an object"),
        ("/targets", json!([["checkout"]]), "targets[0]: it is a list; write an object"),
        ("/targets", json!([null]), "targets[0]: it is null; write an object"),
        ("/targets", json!([{}]), "targets[0]: names no function; write `function: NAME`, or `tags: {KEY: VALUE}`"),
        (
            "/targets",
            json!([{ "function": "checkout", "tags": { "chaos": "allowed" } }]),
            "targets[0]: has both `function` and `tags`; write two targets, one with each",
        ),
        (
            "/targets",
            json!([{ "function": "checkout", "select": "ALL" }]),
            "targets[0]: has `select` next to `function`, but it works only with `tags`; remove it",
        ),
        (
            "/targets",
            json!([{ "select": "ALL" }]),
            "targets[0]: names no function; write `function: NAME`, or `tags: {KEY: VALUE}`",
        ),
        (
            "/targets",
            json!([{ "function": "checkout" }, { "function": "checkout" }]),
            "targets[0] and targets[1] are the same; remove one",
        ),
        (
            "/targets",
            json!([{ "tags": { "a": "b" } }, { "tags": { "a": "b" }, "select": "ALL" }]),
            "targets[0] and targets[1] are the same; remove one",
        ),
        (
            "/targets",
            Value::Array((0..51).map(|n| json!({ "function": format!("f{n}") })).collect()),
            "`targets` has 51 entries; write 1 to 50",
        ),
        ("/targets", json!([{ "tags": {} }]), "targets[0]: has `tags` with 0 entries; write 1 to 50"),
        ("/targets", json!([{ "tags": ["chaos"] }]), "targets[0].tags: it is a list; write an object"),
        (
            "/targets",
            json!([{ "tags": { "chaos": true } }]),
            "targets[0].tags.chaos: `true` is a boolean; write text, in quotes",
        ),
        (
            "/targets",
            json!([{ "tags": { "team": "shop\u{202e}" } }]),
            "targets[0]: has the tag `team`, which no function can carry: `\\u{202e}` is not allowed; write letters, spaces, digits and + - = . _ : / @",
        ),
        (
            "/targets",
            json!([{ "tags": { "": "x" } }]),
            "targets[0]: has the tag ``, which no function can carry; a key has 1 to 128 characters, a value up to 256",
        ),
        (
            "/targets",
            json!([{ "tags": { "chaos": "x".repeat(257) } }]),
            "targets[0]: has the tag `chaos`, which no function can carry; a key has 1 to 128 characters, a value up to 256",
        ),
        (
            "/targets",
            json!([{ "tags": { "chaos": "allowed" }, "select": "SOME" }]),
            "targets[0].select: `SOME` is not a selection; write ALL, COUNT(1 to 1000) or PERCENT(1 to 100)",
        ),
        (
            "/targets",
            json!([{ "tags": { "chaos": "allowed" }, "select": "PERCENT(0)" }]),
            "targets[0].select: `PERCENT(0)` is not a selection; write ALL, COUNT(1 to 1000) or PERCENT(1 to 100)",
        ),
        (
            "/targets",
            json!([{ "tags": { "chaos": "allowed" }, "select": "PERCENT(101)" }]),
            "targets[0].select: `PERCENT(101)` is not a selection; write ALL, COUNT(1 to 1000) or PERCENT(1 to 100)",
        ),
        (
            "/targets",
            json!([{ "tags": { "chaos": "allowed" }, "select": "COUNT(-1)" }]),
            "targets[0].select: `COUNT(-1)` is not a selection; write ALL, COUNT(1 to 1000) or PERCENT(1 to 100)",
        ),
        (
            "/targets",
            json!([{ "tags": { "chaos": "allowed" }, "select": 3 }]),
            "targets[0].select: `3` is a number; write text, in quotes",
        ),
        (
            "/targets/0/function",
            json!(""),
            "targets[0].function: `` is not a function; write its name (up to 64 letters, digits, - and _) or its ARN, with :qualifier where it matters",
        ),
        (
            "/targets/0/function",
            json!("check out"),
            "targets[0].function: `check out` is not a function; write its name (up to 64 letters, digits, - and _) or its ARN, with :qualifier where it matters",
        ),
        (
            "/targets/0/function",
            json!("x".repeat(65)),
            "targets[0].function: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...` is not a function; write its name (up to 64 letters, digits, - and _) or its ARN, with :qualifier where it matters",
        ),
        (
            "/targets/0/function",
            json!("arn:aws:lambda:eu-west-1:12345:function:checkout"),
            "targets[0].function: `arn:aws:lambda:eu-west-1:12345:function:checkout` is not a function; write its name (up to 64 letters, digits, - and _) or its ARN, with :qualifier where it matters",
        ),
        (
            "/targets/0/function",
            json!("arn:aws:s3:::bucket"),
            "targets[0].function: `arn:aws:s3:::bucket` is not a function; write its name (up to 64 letters, digits, - and _) or its ARN, with :qualifier where it matters",
        ),
        (
            "/targets/0/function",
            json!("checkout:no/such"),
            "targets[0].function: `checkout:no/such` is not a function; write its name (up to 64 letters, digits, - and _) or its ARN, with :qualifier where it matters",
        ),
        ("/targets/0/function", json!(["checkout"]), "targets[0].function: it is a list; write text"),
        // Faults.
        ("/faults", json!([]), "`faults` has 0 entries; write 1 to 20"),
        ("/faults", json!({ "timeout": { "timeout": "PT1S" } }), "faults: it is an object; write a list"),
        (
            "/faults",
            json!(["timeout"]),
            "faults[0]: `timeout` is text; write an object with one fault, such as {memory: {megabytes: 256}}",
        ),
        ("/faults", json!([{}]), "faults[0]: names no fault; write one, such as {memory: {megabytes: 256}}"),
        (
            "/faults",
            json!([null]),
            "faults[0]: it is null; write an object with one fault, such as {memory: {megabytes: 256}}",
        ),
        (
            "/faults",
            json!([[{ "timeout": { "timeout": "PT1S" } }]]),
            "faults[0]: it is a list; write an object with one fault, such as {memory: {megabytes: 256}}",
        ),
        (
            "/faults",
            json!([{ "timeout": { "timeout": "PT1S" }, "memory": { "megabytes": 128 } }]),
            "faults[0]: has more than one name (`memory`, `timeout`); write each fault as a separate entry",
        ),
        (
            "/faults",
            json!([{ "reservedConcurency": { "limit": 0 } }]),
            "faults[0]: `reservedConcurency` is not a known name; did you mean `reservedConcurrency`?",
        ),
        (
            "/faults",
            json!([{ "reserved_concurrency": { "limit": 0 } }]),
            "faults[0]: `reserved_concurrency` is not a known name; did you mean `reservedConcurrency`?",
        ),
        (
            "/faults",
            json!([{ "latency": { "delay_ms": 100 } }]),
            "faults[0].latency: `delay_ms` is not a known field; did you mean `delayMs`?",
        ),
        (
            "/faults",
            json!([{ "throttle": { "limit": 0 } }]),
            "faults[0]: `throttle` is not a known name; write one of reservedConcurrency, handler, layer, environment, timeout, memory, eventSourceMapping, latency, invocationTimeout, error, response, corrupt, disk, init, exit",
        ),
        (
            "/faults",
            json!([{ "timeout": "PT1S" }]),
            "faults[0].timeout: `PT1S` is text; write an object, such as {timeout: PT2S}",
        ),
        (
            "/faults",
            json!([{ "timeout": null }]),
            "faults[0].timeout: it is null; write its settings, such as `timeout: {timeout: PT2S}`",
        ),
        (
            "/faults",
            json!([{ "timeout": 2 }]),
            "faults[0].timeout: `2` is a number; write an object, such as {timeout: PT2S}",
        ),
        ("/faults", json!([{ "exit": null }]), "faults[0].exit: it is null; write `exit: {}`"),
        (
            "/faults",
            json!([{ "latency": null, "delayMs": 200 }]),
            "faults[0]: has `delayMs` next to `latency`, which is empty; indent `delayMs` further than `latency`",
        ),
        (
            "/faults",
            json!([{ "handler": null, "timeout": "PT2S" }]),
            "faults[0]: has `timeout` next to `handler`, which is empty; indent `timeout` further than `handler`",
        ),
        (
            "/faults",
            json!([{ "exit": null, "timeout": { "timeout": "PT1S" } }]),
            "faults[0]: has more than one name (`exit`, `timeout`); write each fault as a separate entry",
        ),
        ("/faults", json!([{ "timeout": {} }]), "faults[0].timeout: `timeout` is missing; add it"),
        (
            "/faults",
            json!([{ "memory": [128] }]),
            "faults[0].memory: it is a list; write an object, such as {megabytes: 256}",
        ),
        (
            "/faults",
            Value::Array((0..21).map(|_| json!({ "timeout": { "timeout": "PT1S" } })).collect()),
            "`faults` has 21 entries; write 1 to 20",
        ),
        // Numbers.
        (
            "/faults/0/reservedConcurrency/limit",
            json!(-1),
            "faults[0].reservedConcurrency.limit: `-1` is out of range; write a whole number from 0 to 100000",
        ),
        (
            "/faults/0/reservedConcurrency/limit",
            json!(0.5),
            "faults[0].reservedConcurrency.limit: `0.5` is not a whole number; write one from 0 to 100000",
        ),
        (
            "/faults/0/reservedConcurrency/limit",
            json!(5.0),
            "faults[0].reservedConcurrency.limit: `5.0` is not a whole number; write one from 0 to 100000",
        ),
        (
            "/faults/0/reservedConcurrency/limit",
            json!(1e300),
            "faults[0].reservedConcurrency.limit: `1e300` is not a whole number; write one from 0 to 100000",
        ),
        (
            "/faults/0/reservedConcurrency/limit",
            json!(18_446_744_073_709_551_615_u64),
            "faults[0].reservedConcurrency.limit: `18446744073709551615` is out of range; write a whole number from 0 to 100000",
        ),
        (
            "/faults/0/reservedConcurrency/limit",
            json!(100_001),
            "faults[0].reservedConcurrency.limit: `100001` is out of range; write a whole number from 0 to 100000",
        ),
        (
            "/faults/0/reservedConcurrency/limit",
            json!("0"),
            "faults[0].reservedConcurrency.limit: `0` is text; write a whole number from 0 to 100000, without quotes",
        ),
        (
            "/faults/0/reservedConcurrency/limit",
            json!(null),
            "faults[0].reservedConcurrency.limit: it is null; write a whole number from 0 to 100000",
        ),
        (
            "/faults/0/reservedConcurrency/limit",
            json!(true),
            "faults[0].reservedConcurrency.limit: `true` is a boolean; write a whole number from 0 to 100000",
        ),
        (
            "/faults/0/reservedConcurrency/limit",
            json!([0]),
            "faults[0].reservedConcurrency.limit: it is a list; write a whole number from 0 to 100000",
        ),
        (
            "/faults",
            json!([{ "memory": { "megabytes": 127 } }]),
            "faults[0].memory.megabytes: `127` is out of range; write a whole number from 128 to 10240",
        ),
        (
            "/faults",
            json!([{ "memory": { "megabytes": 10_241 } }]),
            "faults[0].memory.megabytes: `10241` is out of range; write a whole number from 128 to 10240",
        ),
        (
            "/faults",
            json!([{ "memory": { "megabytes": "512 MB" } }]),
            "faults[0].memory.megabytes: `512 MB` is text; write a whole number from 128 to 10240, without quotes",
        ),
        (
            "/faults",
            json!([{ "timeout": { "timeout": 5 } }]),
            "faults[0].timeout.timeout: `5` is a number; did you mean `PT5S`?",
        ),
        (
            "/faults",
            json!([{ "timeout": { "timeout": "PT0S" } }]),
            "faults[0].timeout.timeout: `PT0S` is out of range; write PT1S to PT15M as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/faults",
            json!([{ "timeout": { "timeout": "PT15M1S" } }]),
            "faults[0].timeout.timeout: `PT15M1S` is out of range; write PT1S to PT15M as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        ("/seed", json!(-1), "seed: `-1` is out of range; write a whole number from 0 to 4294967295"),
        ("/seed", json!(1.5), "seed: `1.5` is not a whole number; write one from 0 to 4294967295"),
        (
            "/seed",
            json!(4_294_967_296_u64),
            "seed: `4294967296` is out of range; write a whole number from 0 to 4294967295",
        ),
        ("/seed", json!("seven"), "seed: `seven` is text; write a whole number from 0 to 4294967295, without quotes"),
        // Durations.
        ("/duration", json!(300), "duration: `300` is a number; did you mean `PT300S`?"),
        (
            "/duration",
            json!(null),
            "duration: it is null; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/duration",
            json!(""),
            "duration: `` is not a duration of hours, minutes and seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/duration",
            json!("5m"),
            "duration: `5m` is not a duration of hours, minutes and seconds; did you mean `PT5M`?",
        ),
        (
            "/duration",
            json!("300"),
            "duration: `300` is not a duration of hours, minutes and seconds; did you mean `PT300S`?",
        ),
        (
            "/duration",
            json!("1h 30m"),
            "duration: `1h 30m` is not a duration of hours, minutes and seconds; did you mean `PT1H30M`?",
        ),
        (
            "/duration",
            json!(4),
            "duration: `4` is a number; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/duration",
            json!("4s"),
            "duration: `4s` is not a duration of hours, minutes and seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/duration",
            json!("PT"),
            "duration: `PT` is not a duration of hours, minutes and seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/duration",
            json!("PT4S"),
            "duration: `PT4S` is out of range; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/duration",
            json!("PT12H1S"),
            "duration: `PT12H1S` is out of range; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/duration",
            json!("P1D"),
            "duration: `P1D` is not a duration of hours, minutes and seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/duration",
            json!("-PT5M"),
            "duration: `-PT5M` is not a duration of hours, minutes and seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/duration",
            json!("PT1.5S"),
            "duration: `PT1.5S` is not a whole number of seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/duration",
            json!("P1Y"),
            "duration: `P1Y` is not a duration of hours, minutes and seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/duration",
            json!("PT99999999999999999999S"),
            "duration: `PT99999999999999999999S` is not a duration of hours, minutes and seconds; write PT5S to PT12H as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/startWithin",
            json!("PT9S"),
            "startWithin: `PT9S` is out of range; write PT10S to PT10M as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/startWithin",
            json!("PT601S"),
            "startWithin: `PT601S` is out of range; write PT10S to PT10M as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/recovery",
            json!("PT16M"),
            "recovery: `PT16M` is out of range; write PT0S to PT15M as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        ("/recovery", json!(60), "recovery: `60` is a number; did you mean `PT60S`?"),
        // Handlers and layers.
        (
            "/faults",
            json!([{ "handler": { "handler": "" } }]),
            "faults[0].handler.handler: `` is not a handler; write 1 to 128 printable characters without white space, such as app.handler",
        ),
        (
            "/faults",
            json!([{ "handler": { "handler": "app handler" } }]),
            "faults[0].handler.handler: `app handler` is not a handler; write 1 to 128 printable characters without white space, such as app.handler",
        ),
        (
            "/faults",
            json!([{ "handler": { "handler": "x".repeat(129) } }]),
            "faults[0].handler.handler: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...` is not a handler; write 1 to 128 printable characters without white space, such as app.handler",
        ),
        ("/faults", json!([{ "handler": { "layers": [LAYER] } }]), "faults[0].handler: `handler` is missing; add it"),
        (
            "/faults",
            json!([{ "handler": "app.handler" }]),
            "faults[0].handler: `app.handler` is text; write an object, such as {handler: chaos.handler}",
        ),
        (
            "/faults",
            json!([{ "handler": { "handler": "a.b", "timeout": 20 } }]),
            "faults[0].handler.timeout: `20` is a number; did you mean `PT20S`?",
        ),
        (
            "/faults",
            json!([{ "handler": { "handler": "a.b", "memory": 64 } }]),
            "faults[0].handler.memory: `64` is out of range; write a whole number from 128 to 10240",
        ),
        (
            "/faults",
            json!([{ "layer": { "layers": [] } }]),
            "faults[0].layer: has an empty `layers`; write 1 to 5 layer version ARNs, or use the `environment` fault",
        ),
        (
            "/faults",
            json!([{ "layer": { "layers": LAYER } }]),
            "faults[0].layer.layers: `arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1` is text; write a list",
        ),
        (
            "/faults",
            json!([{ "layer": { "layer": [LAYER] } }]),
            "faults[0].layer: `layer` is not a known field; did you mean `layers`?",
        ),
        (
            "/faults",
            json!([{ "layer": { "layers": ["chaos:1"] } }]),
            "faults[0].layer.layers[0]: `chaos:1` is not a layer version ARN; write arn:aws:lambda:REGION:ACCOUNT:layer:NAME:VERSION",
        ),
        (
            "/faults",
            json!([{ "layer": { "layers": ["arn:aws:lambda:eu-west-1:123456789012:layer:chaos"] } }]),
            "faults[0].layer.layers[0]: `arn:aws:lambda:eu-west-1:123456789012:layer:chaos` is not a layer version ARN; write arn:aws:lambda:REGION:ACCOUNT:layer:NAME:VERSION",
        ),
        (
            "/faults",
            json!([{ "layer": { "layers": ["arn:aws:lambda:eu-west-1:123456789012:layer:chaos:0"] } }]),
            "faults[0].layer.layers[0]: `arn:aws:lambda:eu-west-1:123456789012:layer:chaos:0` is not a layer version ARN; write arn:aws:lambda:REGION:ACCOUNT:layer:NAME:VERSION",
        ),
        (
            "/faults",
            json!([{ "layer": { "layers": [LAYER], "wrapper": "chaos-wrapper" } }]),
            "faults[0].layer.wrapper: `chaos-wrapper` is not the path of a wrapper; write an absolute path, such as /opt/chaos-wrapper",
        ),
        (
            "/faults",
            json!([{ "layer": { "layers": [LAYER], "chainedWrapperVariable": "CHAINED" } }]),
            "faults[0].layer: has `chainedWrapperVariable` without `wrapper`; add the wrapper, or take it out",
        ),
        // Variables.
        (
            "/faults",
            json!([{ "environment": {} }]),
            "faults[0].environment: changes nothing; write `set: {NAME: VALUE}` or `unset: [NAME]`",
        ),
        (
            "/faults",
            json!([{ "environment": { "set": {} } }]),
            "faults[0].environment: changes nothing; write `set: {NAME: VALUE}` or `unset: [NAME]`",
        ),
        (
            "/faults",
            json!([{ "environment": { "set": { "A-B": "x" } } }]),
            "faults[0].environment.set.A-B: `A-B` is not a variable name; write a letter, then letters, digits and _, at least two characters in all",
        ),
        (
            "/faults",
            json!([{ "environment": { "set": { "1A": "x" } } }]),
            "faults[0].environment.set.1A: `1A` is not a variable name; write a letter, then letters, digits and _, at least two characters in all",
        ),
        (
            "/faults",
            json!([{ "environment": { "set": { "AWS_LAMBDA_RUNTIME_API": "x" } } }]),
            "faults[0].environment.set.AWS_LAMBDA_RUNTIME_API: `AWS_LAMBDA_RUNTIME_API` is reserved by Lambda, which would refuse it; use another variable",
        ),
        (
            "/faults",
            json!([{ "environment": { "unset": ["_HANDLER"] } }]),
            "faults[0].environment.unset[0]: `_HANDLER` is reserved by Lambda, which would refuse it; use another variable",
        ),
        (
            "/faults",
            json!([{ "environment": { "unset": "DB_PASSWORD" } }]),
            "faults[0].environment.unset: the value (hidden) is text; write a list",
        ),
        (
            "/faults",
            json!([{ "environment": { "unset": [1] } }]),
            "faults[0].environment.unset[0]: the value (hidden) is a number; write text, in quotes",
        ),
        (
            "/faults",
            json!([{ "handler": { "handler": "a.b", "originalHandlerVariable": "AWS_REGION" } }]),
            "faults[0].handler.originalHandlerVariable: `AWS_REGION` is reserved by Lambda, which would refuse it; use another variable",
        ),
        (
            "/faults",
            json!([{ "handler": { "handler": "a.b", "deadlineVariable": "_HANDLER" } }]),
            "faults[0].handler.deadlineVariable: `_HANDLER` is reserved by Lambda, which would refuse it; use another variable",
        ),
        (
            "/faults",
            json!([{ "layer": { "layers": [LAYER], "deadlineVariable": "2LATE" } }]),
            "faults[0].layer.deadlineVariable: `2LATE` is not a variable name; write a letter, then letters, digits and _, at least two characters in all",
        ),
        // Event source mappings.
        (
            "/faults",
            json!([{ "eventSourceMapping": { "disable": "all" } }]),
            "faults[0].eventSourceMapping.disable: `all` is not an event source mapping; write its UUID, or ALL",
        ),
        (
            "/faults",
            json!([{ "eventSourceMapping": { "disable": true } }]),
            "faults[0].eventSourceMapping.disable: `true` is a boolean; write text, in quotes",
        ),
        (
            "/faults",
            json!([{ "eventSourceMapping": { "disable": [MAPPING] } }]),
            "faults[0].eventSourceMapping.disable: it is a list; write text",
        ),
        (
            "/faults",
            json!([{ "eventSourceMapping": "ALL" }]),
            "faults[0].eventSourceMapping: `ALL` is text; write an object, such as {disable: ALL}",
        ),
        // Two faults that claim one field.
        (
            "/faults",
            json!([{ "timeout": { "timeout": "PT1S" } }, { "timeout": { "timeout": "PT2S" } }]),
            "faults[0] (timeout) and faults[1] (timeout) both claim the timeout; keep it in one of them",
        ),
        (
            "/faults",
            json!([{ "memory": { "megabytes": 128 } }, { "handler": { "handler": "a.b", "memory": 256 } }]),
            "faults[0] (memory) and faults[1] (handler) both claim the memory; keep it in one of them",
        ),
        (
            "/faults",
            json!([{ "handler": { "handler": "a.b" } }, { "handler": { "handler": "c.d" } }]),
            "faults[0] (handler) and faults[1] (handler) both claim the handler; keep it in one of them",
        ),
        (
            "/faults",
            json!([{ "reservedConcurrency": { "limit": 0 } }, { "reservedConcurrency": { "limit": 1 } }]),
            "faults[0] (reservedConcurrency) and faults[1] (reservedConcurrency) both claim the reserved concurrency; keep it in one of them",
        ),
        (
            "/faults",
            json!([{ "layer": { "layers": [layer(1)] } }, { "handler": { "handler": "a.b", "layers": [layer(2)] } }]),
            "faults[0] (layer) and faults[1] (handler) both claim the layer arn:aws:lambda:eu-west-1:123456789012:layer:chaos; keep it in one of them",
        ),
        (
            "/faults",
            json!([{ "layer": { "layers": [layer(1), layer(1)] } }]),
            "faults[0] (layer) claims the layer arn:aws:lambda:eu-west-1:123456789012:layer:chaos twice; keep it once",
        ),
        (
            "/faults",
            json!([{ "environment": { "set": { "MODE": SECRET } } }, { "environment": { "unset": ["MODE"] } }]),
            "faults[0] (environment) and faults[1] (environment) both claim the variable MODE; keep it in one of them",
        ),
        (
            "/faults",
            json!([{ "environment": { "set": { "MODE": SECRET }, "unset": ["MODE"] } }]),
            "faults[0] (environment) claims the variable MODE twice; keep it once",
        ),
        (
            "/faults",
            json!([{ "environment": { "unset": ["MODE", "MODE"] } }]),
            "faults[0] (environment) claims the variable MODE twice; keep it once",
        ),
        (
            "/faults",
            json!([{ "environment": { "set": { "AWS_LAMBDA_EXEC_WRAPPER": "/opt/a" } } }, { "layer": { "layers": [LAYER], "wrapper": "/opt/b" } }]),
            "faults[0] (environment) and faults[1] (layer) both claim the variable AWS_LAMBDA_EXEC_WRAPPER; keep it in one of them",
        ),
        (
            "/faults",
            json!([{ "latency": { "delayMs": 1 } }, { "layer": { "layers": [LAYER], "wrapper": "/opt/chaos" } }]),
            "faults[0] (latency) and faults[1] (layer) both claim the variable AWS_LAMBDA_EXEC_WRAPPER; keep it in one of them",
        ),
        (
            "/faults",
            json!([{ "environment": { "unset": ["SNAPBACK_FAULTS"] } }, { "error": {} }, { "exit": {} }]),
            "faults[0] (environment) and faults[1] (error) both claim the variable SNAPBACK_FAULTS; keep it in one of them",
        ),
        (
            "/faults",
            json!([{ "disk": { "megabytes": 1 } }, { "environment": { "set": { "SNAPBACK_CHAINED_WRAPPER": "/opt/x" } } }]),
            "faults[0] (disk) and faults[1] (environment) both claim the variable SNAPBACK_CHAINED_WRAPPER; keep it in one of them",
        ),
        // Faults inside invocations.
        (
            "/faults",
            json!([{ "latency": null }]),
            "faults[0].latency: it is null; write its settings, such as `latency: {delayMs: 200}`",
        ),
        (
            "/faults",
            json!([{ "latency": [100] }]),
            "faults[0].latency: it is a list; write an object, such as {delayMs: 200}",
        ),
        (
            "/faults",
            json!([{ "latency": 100 }]),
            "faults[0].latency: `100` is a number; write an object, such as {delayMs: 200}",
        ),
        (
            "/faults",
            json!([{ "latency": {} }]),
            "faults[0].latency: needs exactly one delay; write `delayMs`, or both `minMs` and `maxMs`",
        ),
        (
            "/faults",
            json!([{ "error": {} }, { "latency": { "minMs": 500, "maxMs": 200 } }]),
            "faults[1].latency: `minMs` is 500 and `maxMs` 200; write the smaller one in `minMs`",
        ),
        (
            "/faults",
            json!([{ "latency": { "delayMs": 900_001 } }]),
            "faults[0].latency.delayMs: `900001` is out of range; write a whole number from 0 to 900000",
        ),
        (
            "/faults",
            json!([{ "latency": { "delayMs": 1, "when": "during" } }]),
            "faults[0].latency.when: `during` is not a known name; write one of before, after",
        ),
        (
            "/faults",
            json!([{ "latency": { "delayMs": 1, "when": 5 } }]),
            "faults[0].latency.when: `5` is a number; write one of its names",
        ),
        (
            "/faults",
            json!([{ "latency": { "delayMs": 1, "percentage": 101 } }]),
            "faults[0].latency.percentage: `101` is out of range; write a percentage from 0 to 100",
        ),
        (
            "/faults",
            json!([{ "latency": { "delayMs": 1, "percentage": "50" } }]),
            "faults[0].latency.percentage: `50` is text; write a percentage from 0 to 100, without quotes",
        ),
        (
            "/faults",
            json!([{ "latency": { "delayMs": 1, "percentage": null } }]),
            "faults[0].latency.percentage: it is null; write a percentage from 0 to 100",
        ),
        (
            "/faults",
            json!([{ "latency": { "delayMs": 1, "match": { "path": "a", "exists": true } } }]),
            "faults[0].latency.match: it is an object; write a list",
        ),
        (
            "/faults",
            json!([{ "latency": { "delayMs": 1, "match": [{ "path": "a", "exists": true }, ["a", "x"]] } }]),
            "faults[0].latency.match[1]: it is a list; write an object with a path and one operator, such as {path: a.b, equals: x}",
        ),
        (
            "/faults",
            json!([{ "exit": { "match": ["a"] } }]),
            "faults[0].exit.match[0]: `a` is text; write an object with a path and one operator, such as {path: a.b, equals: x}",
        ),
        (
            "/faults",
            json!([{ "exit": { "match": [{ "path": "a" }] } }]),
            "faults[0].exit.match[0]: the condition on `a` does not have exactly one operator; write one of equals, exists, startsWith, regex, in",
        ),
        (
            "/faults",
            json!([{ "exit": { "match": [{ "path": "a", "like": "x" }] } }]),
            "faults[0].exit.match[0]: `like` is not a known field; write one of path, equals, exists, startsWith, regex, in",
        ),
        (
            "/faults",
            json!([{ "exit": { "match": [{ "path": "a", "exists": "yes" }] } }]),
            "faults[0].exit.match[0].exists: `yes` is text; write true or false",
        ),
        (
            "/faults",
            json!([{ "exit": { "match": [{ "path": "$.Records[*].eventSource", "exists": true }] } }]),
            "faults[0].exit.match[0].path: `$.Records[*].eventSource` is not a path to one place in the event; write names and list positions, such as requestContext.http.method or Records[0].eventSource, or a JSON Pointer, such as /headers/x.debug, of up to 256 bytes",
        ),
        (
            "/faults",
            json!([{ "exit": { "match": [{ "path": "a", "regex": "(?:a{0,900})b" }] } }]),
            "faults[0].exit.match[0]: the pattern `(?:a{0,900})b` has too many repetitions and would delay invocations; write smaller counts",
        ),
        (
            "/faults",
            json!([{ "exit": { "match": [{ "path": "a", "equals": ["x"] }] } }]),
            "faults[0].exit.match[0]: a condition compares with text, a number, true, false or null; write one of these",
        ),
        (
            "/faults",
            json!([{ "exit": { "match": [{ "path": "a", "in": "x" }] } }]),
            "faults[0].exit.match[0].in: `x` is text; write a list",
        ),
        (
            "/faults",
            json!([{ "exit": { "match": vec![json!({ "path": "a", "exists": true }); 11] } }]),
            "faults[0].exit: `match` has 11 conditions; write at most 10",
        ),
        (
            "/faults",
            json!([{ "exit": { "qualifier": "live!" } }]),
            "faults[0].exit: `qualifier` is `live!`, which is not an alias or a version; write an alias, a version number, or $LATEST",
        ),
        (
            "/faults",
            json!([{ "error": { "type": "not a type" } }]),
            "faults[0].error: `type` is `not a type`; write 1 to 128 ASCII characters without white space, such as Service.Unavailable",
        ),
        (
            "/faults",
            json!([{ "response": {} }]),
            "faults[0].response: has no response; write `statusCode`, with `headers` and `body`, or `raw`",
        ),
        (
            "/faults",
            json!([{ "response": { "statusCode": 200, "raw": "x" } }]),
            "faults[0].response: has `raw` together with `statusCode`, `headers` or `body`; keep one form",
        ),
        (
            "/faults",
            json!([{ "response": { "statusCode": 99 } }]),
            "faults[0].response.statusCode: `99` is out of range; write a whole number from 100 to 599",
        ),
        (
            "/faults",
            json!([{ "response": { "statusCode": 200, "body": { "ok": true } } }]),
            "faults[0].response.body: it is an object; write text",
        ),
        (
            "/faults",
            json!([{ "corrupt": { "mangle": "yes" } }]),
            "faults[0].corrupt.mangle: `yes` is text; write true or false",
        ),
        (
            "/faults",
            json!([{ "corrupt": { "mangle": true, "replace": "x" } }]),
            "faults[0].corrupt: needs exactly one kind of damage; write `truncateBytes`, `replace`, or `mangle: true`",
        ),
        ("/faults", json!([{ "disk": {} }]), "faults[0].disk: `megabytes` is missing; add it"),
        ("/faults", json!([{ "init": {} }]), "faults[0].init: changes nothing; write `delayMs`, `fail: {}`, or both"),
        ("/faults", json!([{ "init": { "fail": ["x"] } }]), "faults[0].init.fail: it is a list; write an object"),
        (
            "/faults",
            json!([{ "init": { "delayMs": 1, "match": [] } }]),
            "faults[0].init: `match` is not a known field; write one of delayMs, fail, percentage",
        ),
        (
            "/faults",
            json!([{ "invocationTimeout": { "bufferMs": 0.5 } }]),
            "faults[0].invocationTimeout.bufferMs: `0.5` is not a whole number; write one from 0 to 900000",
        ),
        (
            "/faults",
            json!([{ "eventSourceMapping": { "disable": "ALL" } }, { "eventSourceMapping": { "disable": MAPPING } }]),
            "faults[0] (eventSourceMapping) and faults[1] (eventSourceMapping) both claim the same event source mapping; keep it in one of them",
        ),
        // Stop conditions.
        ("/stopConditions", json!(["errors"]), "stopConditions[0]: `errors` is text; write an object"),
        ("/stopConditions", json!({ "alarm": "errors" }), "stopConditions: it is an object; write a list"),
        ("/stopConditions", json!([["errors"]]), "stopConditions[0]: it is a list; write an object"),
        ("/stopConditions", json!([{}]), "stopConditions[0]: `alarm` is missing; add it"),
        (
            "/stopConditions",
            json!([{ "alarm": "" }]),
            "stopConditions[0].alarm: `` is not an alarm; write its name (1 to 255 printable characters) or arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME",
        ),
        (
            "/stopConditions",
            json!([{ "alarm": "two\nlines" }]),
            "stopConditions[0].alarm: `two\\nlines` is not an alarm; write its name (1 to 255 printable characters) or arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME",
        ),
        (
            "/stopConditions",
            json!([{ "alarm": "x".repeat(256) }]),
            "stopConditions[0].alarm: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...` is not an alarm; write its name (1 to 255 printable characters) or arn:aws:cloudwatch:REGION:ACCOUNT:alarm:NAME",
        ),
        (
            "/stopConditions",
            json!([{ "alarm": "a" }, { "alarm": "b" }, { "alarm": "c" }, { "alarm": "d" }, { "alarm": "e" }, { "alarm": "f" }]),
            "`stopConditions` has 6 entries; write at most 5",
        ),
        // The steady state.
        (
            "/steadyState",
            with("namespace", json!("")),
            "steadyState[0]: has a metric with the namespace ``; write 1 to 255 printable characters that do not begin with a colon",
        ),
        (
            "/steadyState",
            with("namespace", json!(":a")),
            "steadyState[0]: has a metric with the namespace `:a`; write 1 to 255 printable characters that do not begin with a colon",
        ),
        (
            "/steadyState",
            with("name", json!("a\u{1b}b")),
            "steadyState[0]: has a metric with the name `a\\u{1b}b`; write 1 to 255 printable characters",
        ),
        (
            "/steadyState",
            with("name", json!("決".repeat(256))),
            &*format!(
                "steadyState[0]: has a metric with the name `{}...`; write 1 to 255 printable characters",
                "決".repeat(60)
            )
            .leak(),
        ),
        (
            "/steadyState",
            with(
                "dimensions",
                (0..31).map(|at| (format!("d{at}"), json!("x"))).collect::<serde_json::Map<_, _>>().into(),
            ),
            "steadyState[0]: has a metric with 31 dimensions; write at most 30",
        ),
        (
            "/steadyState",
            with("dimensions", json!({ "größe": "x" })),
            "steadyState[0]: has a metric with the dimension `größe`; write 1 to 255 printable ASCII characters that do not begin with a colon",
        ),
        (
            "/steadyState",
            with("dimensions", json!({ "FunctionName": " " })),
            "steadyState[0]: has a metric with the dimension value ` `; write 1 to 1024 printable ASCII characters",
        ),
        ("/steadyState", json!([{}]), "steadyState[0]: names neither `alarm` nor `metric`; write one of them"),
        (
            "/steadyState",
            json!([{ "alarm": "errors", "below": 5 }]),
            "steadyState[0]: has more than `alarm`; write one condition for the alarm and one for the metric",
        ),
        (
            "/steadyState",
            json!([{ "alarm": "errors", "metric": metric, "below": 5 }]),
            "steadyState[0]: has more than `alarm`; write one condition for the alarm and one for the metric",
        ),
        (
            "/steadyState",
            json!([{ "metric": metric }]),
            "steadyState[0]: has `metric` without `below` or `above`; write one of them",
        ),
        (
            "/steadyState",
            json!([{ "metric": metric, "below": 5, "above": 1 }]),
            "steadyState[0]: has both `below` and `above`; write two conditions, one with each",
        ),
        (
            "/steadyState",
            json!([{ "metric": metric, "below": "5" }]),
            "steadyState[0].below: `5` is text; write a number",
        ),
        (
            "/steadyState",
            json!([{ "below": 5 }]),
            "steadyState[0]: names neither `alarm` nor `metric`; write one of them",
        ),
        (
            "/steadyState",
            json!([{ "metric": ["AWS/Lambda", "Errors"], "below": 5 }]),
            "steadyState[0].metric: it is a list; write an object",
        ),
        (
            "/steadyState",
            with("statistic", json!("Median")),
            "steadyState[0].metric.statistic: `Median` is not a statistic; write Sum, Average, Minimum, Maximum, SampleCount or a percentile such as p99",
        ),
        (
            "/steadyState",
            with("statistic", json!("p101")),
            "steadyState[0].metric.statistic: `p101` is not a statistic; write Sum, Average, Minimum, Maximum, SampleCount or a percentile such as p99",
        ),
        (
            "/steadyState",
            with("period", json!("PT7S")),
            "steadyState[0].metric.period: `PT7S` is not a period of CloudWatch's; write PT1S, PT5S, PT10S, PT20S, PT30S or whole minutes",
        ),
        (
            "/steadyState",
            with("period", json!("PT25H")),
            "steadyState[0].metric.period: `PT25H` is out of range; write PT1S to PT24H as an ISO 8601 duration, such as PT90S or PT5M",
        ),
        (
            "/steadyState",
            with("period", json!(60)),
            "steadyState[0].metric.period: `60` is a number; did you mean `PT60S`?",
        ),
        (
            "/steadyState",
            with("dimension", json!({})),
            "steadyState[0].metric: `dimension` is not a known field; did you mean `dimensions`?",
        ),
        (
            "/steadyState",
            with("dimensions", json!([{ "Name": "FunctionName", "Value": "checkout" }])),
            "steadyState[0].metric.dimensions: it is a list; write an object",
        ),
        ("/steadyState", json!({ "alarm": "errors" }), "steadyState: it is an object; write a list"),
    ]
}

/// Experiments with the secret where a value of a variable stands, or where somebody may put one by mistake.
fn secrets() -> Vec<(Value, &'static str)> {
    let environment = |fault: Value| json!([{ "environment": fault }]);
    vec![
        (
            environment(json!({ "set": { "DB_PASSWORD": [SECRET] } })),
            "faults[0].environment.set.DB_PASSWORD: the value (hidden) is not text; write text, in quotes",
        ),
        (
            environment(json!({ "set": { "DB_PASSWORD": { "value": SECRET } } })),
            "faults[0].environment.set.DB_PASSWORD: the value (hidden) is not text; write text, in quotes",
        ),
        (environment(json!({ "set": [SECRET] })), "faults[0].environment.set: it is a list; write an object"),
        (
            environment(json!({ "set": SECRET })),
            "faults[0].environment.set: the value (hidden) is text; write an object",
        ),
        (
            environment(json!({ "set": { "not a name": SECRET } })),
            "faults[0].environment.set.not a name: `not a name` is not a variable name; write a letter, then letters, digits and _, at least two characters in all",
        ),
        (
            environment(json!({ "set": { "AWS_SECRET_ACCESS_KEY": SECRET } })),
            "faults[0].environment.set.AWS_SECRET_ACCESS_KEY: `AWS_SECRET_ACCESS_KEY` is reserved by Lambda, which would refuse it; use another variable",
        ),
        (
            environment(json!({ "set": { format!("DB_PASSWORD={SECRET}"): "" } })),
            "faults[0].environment.set.DB_PASSWORD=(hidden): `DB_PASSWORD=(hidden)` is not a variable name; write a letter, then letters, digits and _, at least two characters in all",
        ),
        // `{DB_PASSWORD:value}` is what YAML makes a name of, where the space behind the colon is missing.
        (
            environment(json!({ "set": { format!("DB_PASSWORD:{SECRET}"): null } })),
            "faults[0].environment.set.DB_PASSWORD:(hidden): `DB_PASSWORD:(hidden)` is not a variable name; write a letter, then letters, digits and _, at least two characters in all",
        ),
        (
            environment(json!({ format!("DB_PASSWORD={SECRET}"): "" })),
            "faults[0].environment: `DB_PASSWORD=(hidden)` is not a known field; write one of set, unset",
        ),
        (
            environment(json!({ "unset": [format!("DB_PASSWORD={SECRET}")] })),
            "faults[0].environment.unset[0]: `DB_PASSWORD=(hidden)` is not a variable name; write a letter, then letters, digits and _, at least two characters in all",
        ),
        (
            environment(json!({ "unset": { "DB_PASSWORD": SECRET } })),
            "faults[0].environment.unset: it is an object; write a list",
        ),
        (
            environment(json!({ "DB_PASSWORD": SECRET })),
            "faults[0].environment: `DB_PASSWORD` is not a known field; write one of set, unset",
        ),
        (
            json!([{ "environment": null, "set": { "DB_PASSWORD": SECRET } }]),
            "faults[0]: has `set` next to `environment`, which is empty; indent `set` further than `environment`",
        ),
        (
            environment(json!([SECRET])),
            "faults[0].environment: it is a list; write an object, such as {set: {NAME: VALUE}}",
        ),
        (
            environment(json!(SECRET)),
            "faults[0].environment: the value (hidden) is text; write an object, such as {set: {NAME: VALUE}}",
        ),
        (
            json!([{ "layer": { "layers": [LAYER], "environment": SECRET } }]),
            "faults[0].layer.environment: the value (hidden) is text; write an object",
        ),
        (
            json!([{ "layer": { "layers": [LAYER], "environment": { "DB_PASSWORD": 5 } } }]),
            "faults[0].layer.environment.DB_PASSWORD: the value (hidden) is not text; write text, in quotes",
        ),
        (
            json!([{ "handler": { "handler": "a.b", "environment": [SECRET] } }]),
            "faults[0].handler.environment: it is a list; write an object",
        ),
        (
            json!([{ "handler": { "handler": "a.b", "environment": { "DB_PASSWORD": null } } }]),
            "faults[0].handler.environment.DB_PASSWORD: the value (hidden) is not text; write text, in quotes",
        ),
    ]
}

fn spoiled(pointer: &str, value: Value) -> Value {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return value };
    let mut experiment = good();
    match experiment.pointer_mut(parent).expect("the corpus points into the experiment") {
        Value::Object(fields) => drop(fields.insert(key.to_owned(), value)),
        other => panic!("{pointer} points into {other}"),
    }
    experiment
}

#[test]
fn every_bad_experiment_is_refused_with_its_message_before_any_call() {
    assert!(corpus().len() >= 45);
    assert_eq!(read_experiment(&good()).err(), None);
    let mut wrong = Vec::new();
    for (pointer, value, expected) in corpus() {
        let got = refuse(spoiled(pointer, value.clone()));
        if got != expected {
            wrong.push(format!("{} {}\n    {got}", shown(pointer), shown(&value.to_string())));
        }
    }
    assert!(wrong.is_empty(), "{} other messages:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn no_message_shows_the_value_of_a_variable() {
    let mut wrong = Vec::new();
    for (faults, expected) in secrets() {
        let got = refuse(spoiled("/faults", faults.clone()));
        assert!(!got.contains("hunter2"), "{got}");
        if got != expected {
            wrong.push(format!("{faults}\n    {got}"));
        }
    }
    assert!(wrong.is_empty(), "{} other messages:\n{}", wrong.len(), wrong.join("\n"));
}

/// The message with which `prepare` refuses, having called nobody.
fn refuse(experiment: Value) -> String {
    let world = world(&["checkout"]);
    let request = Request { run: run_id("run-1"), execution_arn: "execution-1".into(), experiment };
    let error = block_on(prepare(&world, &settings(), &request)).expect_err("a bad experiment was taken");
    assert!(matches!(error, StepError::InvalidInput(_)), "{error:?}");
    world.with(|state| assert_eq!(state.calls, Vec::<String>::new(), "{error}"));
    assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
    error.to_string()
}

fn shown(text: &str) -> &str {
    text.get(..100).unwrap_or(text)
}
