//! The table in `docs/import.md`: what the import does with each setting.

use std::fmt::Write;

use serde_json::{Value, json};

use super::outcome;

const PAGE: &str = include_str!("../../../docs/import.md");
const BEGIN: &str = "<!-- import:begin -->\n";
const END: &str = "<!-- import:end -->";

/// A setting of another tool: the tool, what the setting is called there, and a configuration that has it.
type Setting = (&'static str, &'static str, fn() -> Value);

const SETTINGS: &[Setting] = &[
    (
        "AWS FIS",
        "`aws:lambda:invocation-add-delay` with `startupDelayMilliseconds` 1500, `invocationPercentage` 25",
        || {
            fis(
                "aws:lambda:invocation-add-delay",
                json!({ "startupDelayMilliseconds": "1500", "invocationPercentage": "25" }),
            )
        },
    ),
    ("AWS FIS", "`aws:lambda:invocation-error` with `preventExecution` true", || {
        fis("aws:lambda:invocation-error", json!({ "preventExecution": "true" }))
    }),
    ("AWS FIS", "`aws:lambda:invocation-error` with `preventExecution` false", || {
        fis("aws:lambda:invocation-error", json!({ "preventExecution": "false" }))
    }),
    (
        "AWS FIS",
        "`aws:lambda:invocation-http-integration-response` with `statusCode` 503, `contentTypeHeader`, \
             `preventExecution` true",
        || {
            fis(
                "aws:lambda:invocation-http-integration-response",
                json!({ "statusCode": "503", "contentTypeHeader": "text/plain", "preventExecution": "true" }),
            )
        },
    ),
    ("AWS FIS", "the same with `preventExecution` false", || {
        fis(
            "aws:lambda:invocation-http-integration-response",
            json!({ "statusCode": "503", "contentTypeHeader": "text/plain", "preventExecution": "false" }),
        )
    }),
    ("failure-lambda", "`latency` with `min_latency` 100, `max_latency` 400, `percentage` 50", || {
        flag("latency", json!({ "min_latency": 100, "max_latency": 400, "percentage": 50 }))
    }),
    ("failure-lambda", "`timeout` with `timeout_buffer_ms` 500", || {
        flag("timeout", json!({ "timeout_buffer_ms": 500 }))
    }),
    ("failure-lambda", "`diskspace` with `disk_space` 100", || flag("diskspace", json!({ "disk_space": 100 }))),
    ("failure-lambda", "`denylist` with `deny_list`", || {
        flag("denylist", json!({ "deny_list": ["s3.*.amazonaws.com"] }))
    }),
    ("failure-lambda", "`statuscode` with `status_code` 404", || flag("statuscode", json!({ "status_code": 404 }))),
    ("failure-lambda", "`exception` with `exception_msg`", || flag("exception", json!({ "exception_msg": "sorry" }))),
    ("failure-lambda", "`corruption` with `body`", || flag("corruption", json!({ "body": "sorry" }))),
    ("failure-lambda", "`corruption` without one", || flag("corruption", json!({}))),
    ("failure-lambda", "`match` with `value`", || matching(json!({ "path": "http.method", "value": "GET" }))),
    ("failure-lambda", "`match` with `operator` `startsWith`", || {
        matching(json!({ "path": "http.path", "operator": "startsWith", "value": "/api" }))
    }),
    ("failure-lambda", "`match` with `operator` `regex`", || {
        matching(json!({ "path": "http.method", "operator": "regex", "value": "^(GET|HEAD)$" }))
    }),
    ("failure-lambda", "`match` with `operator` `exists`", || {
        matching(json!({ "path": "headers.x-debug", "operator": "exists" }))
    }),
    (
        "failure-lambda 0.x",
        "`failureMode` `latency` with `minLatency` 100, `maxLatency` 400, `rate` 0.5",
        || json!({ "isEnabled": true, "failureMode": "latency", "rate": 0.5, "minLatency": 100, "maxLatency": 400 }),
    ),
    ("chaos_lambda", "`fault_type` `latency` with `delay` 400, `rate` 0.5", || chaos("latency", "delay", json!(400))),
    ("chaos_lambda", "`fault_type` `exception` with `exception_msg`, `rate` 0.5", || {
        chaos("exception", "exception_msg", json!("sorry"))
    }),
    ("chaos_lambda", "`fault_type` `status_code` with `error_code` 404, `rate` 0.5", || {
        chaos("status_code", "error_code", json!(404))
    }),
    (
        "chaos-lambda-extension",
        "`CHAOS_EXTENSION__LAMBDA__ENABLE_LATENCY`, `CHAOS_EXTENSION__LAMBDA__LATENCY_VALUE` 2, `CHAOS_EXTENSION__LAMBDA__LATENCY_PROBABILITY` 0.25",
        || {
            extension(&[
                ("LAMBDA__ENABLE_LATENCY", "true"),
                ("LAMBDA__LATENCY_VALUE", "2"),
                ("LAMBDA__LATENCY_PROBABILITY", "0.25"),
            ])
        },
    ),
    (
        "chaos-lambda-extension",
        "`CHAOS_EXTENSION__RESPONSE__ENABLE_CHANGE_REPONSE_BODY`, `CHAOS_EXTENSION__RESPONSE__DEFAULT_RESPONSE`, `CHAOS_EXTENSION__RESPONSE__CHANGE_RESPONSE_PROBABILITY` 0.5",
        || {
            extension(&[
                ("RESPONSE__ENABLE_CHANGE_REPONSE_BODY", "true"),
                ("RESPONSE__DEFAULT_RESPONSE", "{\"statusCode\":500}"),
                ("RESPONSE__CHANGE_RESPONSE_PROBABILITY", "0.5"),
            ])
        },
    ),
    ("Chaos Toolkit", "`put_function_concurrency` with `concurrent_executions` 0", || {
        chaosaws("put_function_concurrency", json!({ "concurrent_executions": 0 }))
    }),
    ("Chaos Toolkit", "`put_function_timeout` with `timeout` 1", || {
        chaosaws("put_function_timeout", json!({ "timeout": 1 }))
    }),
    ("Chaos Toolkit", "`put_function_memory_size` with `memory_size` 128", || {
        chaosaws("put_function_memory_size", json!({ "memory_size": 128 }))
    }),
    ("Chaos Toolkit", "`toggle_event_source_mapping_state` with `enabled` false, `event_uuid`", || {
        let id = "14e0db71-5d35-4eb5-b481-8945cf9d10c2";
        chaosaws("toggle_event_source_mapping_state", json!({ "enabled": false, "event_uuid": id }))
    }),
    ("Chaos Toolkit", "`add_layer` with `layer`", || {
        chaosaws("add_layer", json!({ "layer": "arn:aws:lambda:eu-west-1:123456789012:layer:chaos:1" }))
    }),
    ("Chaos Toolkit", "`add_latency` with `latency` 2, `probability` 0.25", || {
        chaosaws("add_latency", json!({ "latency": 2, "probability": 0.25 }))
    }),
    ("Chaos Toolkit", "`add_error` with `body`, `probability` 0.5", || {
        chaosaws("add_error", json!({ "body": "{\"statusCode\":500}", "probability": 0.5 }))
    }),
    ("Chaos Toolkit", "`delete_event_source_mapping`", || {
        chaosaws("delete_event_source_mapping", json!({ "event_uuid": "x" }))
    }),
    ("Chaos Toolkit", "`invoke_function`", || chaosaws("invoke_function", json!({}))),
];

/// An experiment with one action of chaosaws.
fn chaosaws(func: &str, mut arguments: Value) -> Value {
    arguments["function_name"] = "checkout".into();
    let provider =
        json!({ "type": "python", "module": "chaosaws.awslambda.actions", "func": func, "arguments": arguments });
    json!({ "title": "t", "method": [{ "type": "action", "name": "a", "provider": provider }] })
}

fn fis(id: &str, parameters: Value) -> Value {
    let target = json!({ "resourceType": "aws:lambda:function", "resourceTags": { "team": "shop" } });
    let action = json!({ "actionId": id, "parameters": parameters, "targets": { "Functions": "shop" } });
    json!({ "actions": { "a": action }, "targets": { "shop": target } })
}

fn flag(name: &str, mut settings: Value) -> Value {
    settings["enabled"] = true.into();
    json!({ name: settings })
}

fn matching(condition: Value) -> Value {
    flag("timeout", json!({ "match": [condition] }))
}

fn chaos(kind: &str, key: &str, value: Value) -> Value {
    json!({ "is_enabled": true, "fault_type": kind, "rate": 0.5, key: value })
}

fn extension(pairs: &[(&str, &str)]) -> Value {
    let pairs = pairs.iter().map(|(name, value)| (format!("CHAOS_EXTENSION__{name}"), Value::from(*value)));
    Value::Object(pairs.collect())
}

/// As YAML in one line.
fn flow(value: &Value) -> String {
    let list = |parts: Vec<String>| parts.join(", ");
    match value {
        Value::Object(map) => {
            format!("{{{}}}", list(map.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect()))
        }
        Value::Array(values) => format!("[{}]", list(values.iter().map(flow).collect())),
        Value::String(text) if !text.is_empty() && !text.contains(|c: char| "{}[]\"^| ".contains(c)) => text.clone(),
        Value::String(text) => format!("'{}'", text.replace('|', "\\|")),
        other => other.to_string(),
    }
}

fn table() -> String {
    let mut table = String::from("| from | there | here |\n|---|---|---|\n");
    for (tool, setting, source) in SETTINGS {
        let source = source();
        for name in setting.split('`').skip(1).step_by(2) {
            assert!(source.to_string().contains(name), "{setting}: {name}");
        }
        let here = match outcome(&source) {
            Ok(imported) => {
                let fault = &imported.experiment["faults"][0];
                // Conditions go with every fault.
                let matching =
                    fault.as_object().and_then(|fault| fault.values().next()).and_then(|fault| fault.get("match"));
                let shown = matching.map_or_else(|| flow(fault), |matching| flow(&json!({ "match": matching })));
                format!("`{}`", shown.strip_prefix('{').and_then(|fault| fault.strip_suffix('}')).unwrap())
            }
            Err(wrong) => format!("nothing: {}", wrong.rsplit(": ").next().unwrap()),
        };
        writeln!(table, "| {tool} | {setting} | {here} |").unwrap();
    }
    table
}

#[test]
fn the_import_page_shows_each_setting() {
    let table = table();
    let between = PAGE.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END));
    let (shown, _) = between.unwrap_or_else(|| panic!("docs/import.md: no {BEGIN}...{END}; add this table:\n{table}"));
    assert!(shown.trim() == table.trim(), "docs/import.md: the table of settings is outdated; replace it by:\n{table}");
}
