//! Imports of Chaos Toolkit experiments.

use serde_json::{Value, json};
use snapback::model::names::FunctionName;
use snapback::plan::import::{Imported, import};

use super::{imported, outcome, source};

#[test]
fn a_chaos_toolkit_experiment_keeps_faults_alarms_and_pauses() {
    let Imported { experiment, notes } = imported("chaos-toolkit.json");
    assert_eq!(
        experiment,
        json!({
            "name": "Checkout survives a busy day",
            "targets": [{ "function": "checkout" }],
            "faults": [
                { "reservedConcurrency": { "limit": 3 } },
                { "latency": { "delayMs": 2000, "percentage": 25 } }
            ],
            "duration": "PT1M15S",
            "steadyState": [{ "alarm": "checkout-errors" }, { "alarm": "checkout-slow" }]
        })
    );
    assert_eq!(
        notes,
        [
            "configuration.function.key, configuration.function.type: not imported: only the Chaos Toolkit reads the value; its default is used",
            "method[0]: not imported: it is not an action, and snapback evaluates only the steady state's probes",
            "method[0].pauses.before: not imported: no fault is in place then",
            "method[1].name: not imported: an experiment has no such field",
            "method[1].pauses.before: not imported: no fault is in place then",
            "method[2].provider.arguments.layer: not imported: snapback adds its own layer instead of chaos-lambda-extension",
            "method[2].provider.arguments.delay: not imported: the fault for add_latency has no such field",
            "method[2].background, method[2].name, method[2].provider.secrets: not imported: an experiment has no such field",
            "method[3]: not imported: it refers to `memory`; write the activity out",
            "method[4]: not imported: its provider is chaosaws.ec2.actions, but snapback injects only into functions",
            "method[5]: not imported: its provider is no Python module, but snapback injects only into functions",
            "method[6]: not imported: snapback restores what it has changed, at the end of the duration",
            "method[6].pauses.after: not imported: no fault is in place then",
            "duration: the method pauses for PT75S while its faults are in place; that is used",
            "steady-state-hypothesis.probes[0]: its tolerance is OK; a steady state also holds while the alarm lacks data",
            "steady-state-hypothesis.probes[0].name, steady-state-hypothesis.probes[0].provider.secrets: not imported: an experiment has no such field",
            "steady-state-hypothesis.probes[1].provider.arguments.note: not imported: an alarm has only a name",
            "steady-state-hypothesis.probes[1].name: not imported: an experiment has no such field",
            "steady-state-hypothesis.probes[2]: not imported: only chaosaws.cloudwatch.probes.get_alarm_state_value is imported; write a steady state for it",
            "steady-state-hypothesis.title: not imported: an experiment has no such field",
            "rollbacks[0]: not imported: snapback restores what it has changed",
            "rollbacks[1]: not imported: snapback has no other rollbacks than the restore",
            "description: not imported: the title is the experiment's name",
            "secrets: not imported: snapback's functions have their own roles",
            "controls: not imported: snapback has none; to keep them, start the run from the Chaos Toolkit",
            "runtime: not imported: snapback always restores",
            "configuration.aws_region: not imported: nothing that is imported uses it",
            "contributions: not imported: an experiment has no such field",
            "tags: not imported: an experiment has no such field",
            "version: not imported: an experiment has no such field"
        ]
    );
}

/// An experiment whose method has these actions of chaosaws, each with its arguments.
fn method(actions: &[(&str, Value)]) -> Value {
    let actions = actions.iter().map(|(func, arguments)| {
        let provider =
            json!({ "type": "python", "module": "chaosaws.awslambda.actions", "func": func, "arguments": arguments });
        json!({ "type": "action", "name": func, "provider": provider })
    });
    json!({ "title": "t", "method": actions.collect::<Vec<_>>() })
}

fn throttled(function: &str) -> (&'static str, Value) {
    ("put_function_concurrency", json!({ "function_name": function, "concurrent_executions": 0 }))
}

#[test]
fn faults_on_different_functions_are_refused() {
    let wrong = outcome(&method(&[throttled("a"), throttled("b")])).unwrap_err();
    assert!(
        wrong.starts_with(
            "method[0].provider.arguments.function_name, method[1].provider.arguments.function_name: they have different \
             functions, but an experiment injects each fault into all targets"
        ),
        "{wrong}"
    );
}

#[test]
fn what_only_the_toolkit_knows_is_never_lost() {
    let mut source = method(&[throttled("${function}")]);
    let wrong = import(&source, None, &[]).unwrap_err().to_string();
    assert!(wrong.contains("of the Chaos Toolkit names no function; name the targets with --function"), "{wrong}");
    let named = import(&source, None, &[FunctionName::try_from("checkout").unwrap()]).unwrap();
    assert_eq!(named.experiment["targets"], json!([{ "function": "checkout" }]));
    let expected = "method[0].provider.arguments.function_name: not imported: `${function}`, which only the Chaos Toolkit \
                    can resolve; name it with --function";
    assert!(named.notes.iter().any(|note| note == expected), "{:#?}", named.notes);

    source = method(&[throttled("checkout")]);
    for (arguments, expected) in [
        (
            json!({ "alarm_name": "${alarm}" }),
            "alarm_name: `${alarm}`, which only the Chaos Toolkit can resolve; write",
        ),
        (json!({}), "alarm_name: is missing; add it"),
        (json!({ "alarm_name": 5 }), "`alarm_name` is `5`, and not text"),
    ] {
        source["steady-state-hypothesis"] = json!({ "probes": [alarm_probe(&json!("OK"), &arguments)] });
        let wrong = outcome(&source).unwrap_err();
        assert!(wrong.contains(expected) && wrong.contains("probes[0].provider.arguments"), "{wrong}");
    }
}

fn alarm_probe(tolerance: &Value, arguments: &Value) -> Value {
    let provider = json!({
        "type": "python", "module": "chaosaws.cloudwatch.probes", "func": "get_alarm_state_value", "arguments": arguments
    });
    json!({ "type": "probe", "name": "alarm", "tolerance": tolerance, "provider": provider })
}

#[test]
fn a_tolerance_other_than_ok_is_noted() {
    let mut source = method(&[throttled("checkout")]);
    for (tolerance, is_imported) in [
        (json!("OK"), true),
        (json!(["OK", "INSUFFICIENT_DATA"]), true),
        (json!("ALARM"), false),
        (json!("INSUFFICIENT_DATA"), false),
        (json!(["OK", "ALARM"]), false),
        (json!({ "type": "regex", "pattern": "OK" }), false),
        (Value::Null, false),
    ] {
        let probe = alarm_probe(&tolerance, &json!({ "alarm_name": "checkout-errors" }));
        source["steady-state-hypothesis"] = json!({ "probes": [probe] });
        let Imported { experiment, notes } = outcome(&source).unwrap();
        assert_eq!(experiment.get("steadyState").is_some(), is_imported, "{tolerance}");
        let is_noted = notes.iter().any(|note| {
            note.starts_with("steady-state-hypothesis.probes[0]: not imported: its tolerance is ")
                && note.ends_with("but a steady state requires that an alarm is not in ALARM; write OK")
        });
        assert_eq!(is_noted, !is_imported, "{tolerance}: {notes:#?}");
    }
}

#[test]
fn pauses_that_are_no_duration_are_noted() {
    let mut source = method(&[throttled("checkout")]);
    for (after, expected) in [
        (json!(2), "duration: the method pauses for PT2S while its faults are in place; "),
        (json!("long"), "method[0].pauses: `after` is `long`, and not a number; it does not count for the duration"),
    ] {
        source["method"][0]["pauses"] = json!({ "after": after });
        let Imported { experiment, notes } = outcome(&source).unwrap();
        assert_eq!(experiment["duration"], "PT5M");
        assert!(notes.iter().any(|note| note.starts_with(expected)), "{notes:#?}");
        assert!(notes.iter().any(|note| note == "duration: the Chaos Toolkit has none; PT5M is used"), "{notes:#?}");
    }
}

#[test]
fn chaos_toolkit_experiments_without_a_fault_are_refused() {
    let layer = json!({ "function_name": "f", "layer": "chaos" });
    for (source, expected) in [
        (json!({ "method": [] }), "nothing to import: it has no faults"),
        (json!({ "method": ["x"] }), "method[0]: text is not an object"),
        (json!({ "method": [], "rollbacks": 5 }), "rollbacks: `5` is not a list; write one, of activities"),
        (json!({ "method": [{ "ref": "a" }] }), "method[0]: not imported: it refers to `a`; write the activity out"),
        (
            json!({ "method": [{ "type": "action", "provider": { "type": "http", "url": "x" } }] }),
            "its provider is no Python module, but snapback injects only into functions",
        ),
        (
            json!({ "method": [{ "type": "action", "provider": {
                "type": "python", "module": "chaossnapback.actions", "func": "start_run", "arguments": {}
            } }] }),
            "method[0]: not imported: it drives an experiment of snapback's already; use that one",
        ),
        (method(&[("remove_layer", json!({ "function_name": "f" }))]), "no fault does what remove_layer does without"),
        (method(&[("put_function_concurrency", json!({ "concurrent_executions": 0 }))]), "it has no function_name"),
        (method(&[("put_function_concurrency", json!({ "function_name": "f" }))]), "it has no concurrent_executions"),
        (method(&[("put_function_timeout", json!({ "function_name": "f", "timeout": 901 }))]), "number from 1 to 900"),
        (method(&[("add_layer", layer)]), "`chaos` is not a layer version"),
        (method(&[("add_latency", json!({ "function_name": "f", "latency": 901 }))]), "number from 0 to 900000"),
        (method(&[("add_error", json!({ "function_name": "f", "probability": -1 }))]), "not a share from 0 to 1"),
        (method(&[("toggle_event_source_mapping_state", json!({ "event_uuid": "u" }))]), "it has no enabled"),
        (method(&[("restart", json!({}))]), "`restart` is not an action on functions that is known here"),
    ] {
        let wrong = outcome(&source).unwrap_err();
        assert!(wrong.contains(expected), "{source}: {wrong}");
    }
    let wrong = import(&json!({ "title": "t" }), Some(snapback::plan::import::Format::ChaosToolkit), &[]);
    assert_eq!(wrong.unwrap_err().to_string(), "method: is missing; add it");
}

#[test]
fn defaults_of_chaosaws_are_used_and_noted() {
    let given = json!({ "function_name": "checkout" });
    let Imported { experiment, notes } =
        outcome(&method(&[("add_latency", given.clone()), ("add_error", given)])).unwrap();
    assert_eq!(experiment["faults"][0], json!({ "latency": { "delayMs": 1000, "percentage": 90 } }));
    assert_eq!(experiment["faults"][1]["response"]["percentage"], 90);
    for expected in [
        "method[0]: it has no latency; chaosaws's default, 1 second, is used",
        "method[0]: it has no probability; chaosaws's default, 0.9, is used",
        "method[1]: it has no body; chaosaws's default response is used",
    ] {
        assert!(notes.iter().any(|note| note == expected), "{expected}: {notes:#?}");
    }
}

#[test]
fn the_fixture_reads_the_same_without_its_environment() {
    let mut source = source("chaos-toolkit.json");
    let before = imported("chaos-toolkit.json").experiment;
    source["configuration"]["function"] = json!("checkout");
    assert_eq!(outcome(&source).unwrap().experiment, before);
    source["configuration"]["function"] = json!({ "type": "env", "key": "FUNCTION" });
    assert!(outcome(&source).unwrap_err().contains("only the Chaos Toolkit can resolve"));
}
