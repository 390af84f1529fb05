//! Values of environment variables are never shown, and stored only while a restore needs them.

use std::time::Duration;

use serde_json::json;
use snapback::plan::guardrails::evaluate;
use snapback::plan::preview::plan_view;
use snapback::plan::rendering::report_view;
use snapback::steps::facts::collect_facts;
use snapback::steps::restore::restore;
use snapback::testing::samples::{SECRET, function_arn, settings, world};
use snapback::testing::{CallFailure, SimWorld};

use super::stage::{call_names, experiments, machine, set};
use super::support::{assert_nothing_stays, block_on, budget, run_of, target_of};

#[test]
fn no_value_of_a_variable_is_shown() {
    let shows = |text: &str| text.contains("hunter2");
    for (fault, mut experiment) in experiments() {
        if fault == "environment" {
            experiment["faults"] = json!([{ "environment": { "set": { "API_KEY": SECRET, "RUST_LOG": SECRET }, "unset": ["DB_PASSWORD"] } }]);
        }
        let world = world(&["checkout"]);
        let machine = machine(&world, &experiment);
        // The plan.
        let parsed = snapback::model::input::read_experiment(&experiment).unwrap();
        let facts = block_on(collect_facts(&world, &settings(), &parsed)).unwrap();
        let evaluation = evaluate(&parsed, &facts);
        let plan = plan_view(&parsed, &facts, &evaluation);
        assert!(
            !shows(&serde_json::to_string(&plan).unwrap())
                && !shows(&format!("{plan:?} {evaluation:?} {facts:?} {parsed:?}")),
            "{fault}"
        );
        // The run, in which a deploy has set another secret.
        block_on(machine.start()).unwrap();
        world.with(|state| {
            let function = state.functions.get_mut(&function_arn("checkout")).unwrap();
            function.edit(|seen| {
                ["RUST_LOG", "CHAOS_RATE", "CHAOS_DELAY_MS", "DB_PASSWORD"]
                    .iter()
                    .for_each(|name| set(seen, name, "hunter2-too"))
            });
            state.call_failures = vec![(call_names(fault).1, CallFailure::Denied)];
        });
        let run = run_of(&world, &machine.run);
        let error = block_on(restore(&world, &run, &function_arn("checkout"), budget(&world, Duration::from_secs(30))));
        assert!(!shows(&format!("{error:?}")), "{fault}: {error:?}");
        let ended = block_on(machine.end(None));
        let (run, target) = (run_of(&world, &machine.run), target_of(&world, &machine.run, "checkout"));
        let view = report_view(&run, std::slice::from_ref(&target));
        assert!(!shows(&format!("{ended:?} {run:?} {target:?} {view:?}")), "{fault}");
        assert!(!shows(&serde_json::to_string(&view).unwrap()), "{fault}");
        // The whole world, which holds every write and every observation.
        world.with(|state| assert!(!shows(&format!("{state:?}")), "{fault}"));
        assert_nothing_stays(&world);
    }
}

#[test]
fn the_ledger_keeps_overwritten_values_only_until_the_run_ends() {
    let stored = |world: &SimWorld| {
        world.with(|state| {
            let targets: Vec<_> = state.targets.values().collect();
            let runs: Vec<_> = state.runs.values().collect();
            serde_json::to_string(&(targets, runs, &state.locks.values().collect::<Vec<_>>())).unwrap()
        })
    };
    for (fault, experiment) in experiments() {
        let world = world(&["checkout"]);
        let machine = machine(&world, &experiment);
        block_on(machine.start()).unwrap();
        // The sample of `environment` unsets the password.
        let needed = ["environment", "several at once"].contains(&fault);
        assert_eq!(stored(&world).contains(SECRET), needed, "{fault}");
        block_on(machine.end(None));
        assert!(!stored(&world).contains(SECRET), "{fault}");
    }
}
