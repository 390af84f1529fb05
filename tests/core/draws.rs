//! The random choice of `select`: each run draws anew, and its report shows the seed.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use snapback::model::names::FunctionArn;
use snapback::model::run::Run;
use snapback::plan::guardrails::evaluate;
use snapback::plan::preview::plan_view;
use snapback::plan::rendering::report_view;
use snapback::read_experiment;
use snapback::steps::facts::collect_facts;
use snapback::steps::prepare::{Request, prepare};
use snapback::testing::SimWorld;
use snapback::testing::samples::{experiment, faults, run_id, settings, world};

use super::support::{block_on, run_of};

const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

fn drawing(select: &str, seed: Option<u32>) -> Value {
    let mut experiment = experiment(&["a"], &faults()[..1]);
    experiment["targets"] = json!([{ "tags": { "chaos": "allowed" }, "select": select }]);
    if let Some(seed) = seed {
        experiment["seed"] = seed.into();
    }
    experiment
}

fn prepared(world: &SimWorld, name: &str, experiment: &Value) -> Run {
    let request =
        Request { run: run_id(name), execution_arn: format!("arn:execution:{name}"), experiment: experiment.clone() };
    block_on(prepare(world, &settings(), &request)).unwrap();
    run_of(world, &run_id(name))
}

#[test]
fn each_run_draws_anew_and_records_its_seed() {
    let world = world(&NAMES);
    let runs: Vec<Run> = (0..6).map(|at| prepared(&world, &format!("r{at}"), &drawing("COUNT(3)", None))).collect();
    let drawn: BTreeSet<Vec<FunctionArn>> = runs.iter().map(|run| run.functions.clone()).collect();
    assert!(drawn.len() > 1, "always the same: {drawn:?}");
    for run in runs {
        assert_eq!(run.experiment.as_ref().unwrap().seed, None, "the percentages of its faults stay unrepeatable");
        let seed = run.seed.unwrap();
        assert_eq!(report_view(&run, &[]).seed, Some(seed));
        let again = prepared(&world, &format!("{}-again", run.id), &drawing("COUNT(3)", u32::try_from(seed).ok()));
        assert_eq!(
            (again.functions, again.seed),
            (run.functions, Some(seed)),
            "the seed in the report repeats the draw"
        );
    }
}

#[test]
fn a_plan_shows_its_seed_and_whether_a_run_draws_the_same() {
    let world = world(&NAMES);
    let plan = |experiment: Value| {
        let experiment = read_experiment(&experiment).unwrap();
        let facts = block_on(collect_facts(&world, &settings(), &experiment)).unwrap();
        let view = plan_view(&experiment, &facts, &evaluate(&experiment, &facts));
        let functions: Vec<String> = view.targets.iter().map(|target| target.function.clone()).collect();
        (view.seed, view.seed_is_drawn, functions)
    };
    let (seed, is_drawn, functions) = plan(drawing("PERCENT(50)", None));
    assert!(seed.is_some() && is_drawn && functions.len() == 4, "{seed:?} {functions:?}");
    assert_eq!(plan(drawing("PERCENT(50)", seed)), (seed, false, functions));
    assert_eq!(plan(drawing("ALL", None)).0, None);
    assert_eq!(plan(experiment(&["a"], &faults()[..1])).0, None);
}

#[test]
fn an_experiment_without_random_choices_has_no_seed() {
    let world = world(&NAMES);
    assert_eq!(prepared(&world, "all", &drawing("ALL", Some(7))).seed, None);
    assert_eq!(prepared(&world, "named", &experiment(&["b"], &faults()[..1])).seed, None);
}
