//! Faults that expire on their own, because they know the run's deadline.

use std::time::Duration;

use serde_json::{Value, json};
use snapback::model::input::read_experiment;
use snapback::testing::samples::{self, faults, layer_arn, world};

use super::support::{Machine, block_on, observation, run_of};

fn experiment(faults: &[(&'static str, Value)]) -> snapback::Experiment {
    read_experiment(&samples::experiment(&["checkout"], faults)).unwrap()
}

#[test]
fn the_fault_gets_the_runs_deadline() {
    for fault in &faults()[1..3] {
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], std::slice::from_ref(fault)));
        block_on(machine.start()).unwrap();
        let deadline = run_of(&world, &machine.run).deadline;
        // The deadline is in a variable like any other, which only the fault reads.
        let given = observation(&world, "checkout").environment.variable("CHAOS_DEADLINE_MS").unwrap();
        let given = given.as_option().map(|value| value.expose().to_owned());
        assert_eq!(given, Some(deadline.0.to_string()), "{}", fault.0);
        block_on(machine.end(None));
        assert_eq!(observation(&world, "checkout"), before, "{}", fault.0);
    }
}

/// The deadline is written before the duration begins, so the time to arm and inject is part of it.
#[test]
fn an_experiment_that_must_start_soon_has_an_early_deadline() {
    for (limit, seconds) in [(None, 600), (Some("PT10S"), 10), (Some("PT10M"), 600)] {
        let world = world(&["checkout"]);
        let mut experiment = samples::experiment(&["checkout"], &[("latency", json!({ "delayMs": 300 }))]);
        if let Some(limit) = limit {
            experiment["startWithin"] = json!(limit);
        }
        let machine = Machine::new(&world, "run-1", experiment);
        block_on(machine.start()).unwrap();
        let run = run_of(&world, &machine.run);
        let duration = run.experiment.as_ref().unwrap().duration.get();
        assert_eq!(run.created_at.until(run.deadline), duration + Duration::from_secs(seconds));
    }
}

/// A fault that stays after the deadline does not expire on its own, nor does an experiment with such a fault.
#[test]
fn an_experiment_expires_only_if_all_its_faults_do() {
    let layer = json!({ "layers": [layer_arn("chaos")], "deadlineVariable": "UNTIL" });
    let handler = |more: Value| {
        let mut fault = json!({ "handler": "chaos.handler", "deadlineVariable": "UNTIL_TOO" });
        fault.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ("handler", fault)
    };
    let settings = json!({ "environment": { "CHAOS_RATE": "50" }, "originalHandlerVariable": "ORIGINAL" });
    for (faults, expected) in [
        (vec![("layer", layer.clone())], true),
        (vec![handler(settings)], true),
        (vec![("layer", layer.clone()), handler(json!({}))], true),
        (vec![("latency", json!({ "delayMs": 5 })), ("init", json!({ "delayMs": 5 }))], true),
        (vec![("latency", json!({ "delayMs": 5 })), ("timeout", json!({ "timeout": "PT1S" }))], false),
        (vec![handler(json!({ "timeout": "PT20S" }))], false),
        (vec![handler(json!({ "memory": 512 }))], false),
        (vec![("layer", json!({ "layers": [layer_arn("chaos")] }))], false),
        (vec![("handler", json!({ "handler": "chaos.handler" }))], false),
        (vec![("layer", layer.clone()), ("reservedConcurrency", json!({ "limit": 0 }))], false),
        (vec![("environment", json!({ "set": { "UNTIL": "0" } }))], false),
    ] {
        assert_eq!(experiment(&faults).expires_by_itself(), expected, "{faults:?}");
    }
}

/// The deadline's variable is claimed like every other variable that a fault sets.
#[test]
fn no_other_fault_may_set_the_deadline_variable() {
    let chaos = json!([layer_arn("chaos")]);
    for (faults, why) in [
        (
            vec![("layer", json!({ "layers": chaos, "deadlineVariable": "UNTIL", "environment": { "UNTIL": "0" } }))],
            "faults[0] (layer) claims the variable UNTIL twice; keep it once",
        ),
        (
            vec![
                ("handler", json!({ "handler": "a.b", "deadlineVariable": "UNTIL" })),
                ("environment", json!({ "unset": ["UNTIL"] })),
            ],
            "faults[0] (handler) and faults[1] (environment) both claim the variable UNTIL; keep it in one of them",
        ),
    ] {
        let refused = read_experiment(&samples::experiment(&["checkout"], &faults)).unwrap_err();
        assert!(refused.to_string().ends_with(why), "{refused}");
    }
}
