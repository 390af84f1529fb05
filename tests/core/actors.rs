//! Who started a run, and who ended it: both are stored with the run and shown in its report.

use std::time::Duration;

use serde_json::{Value, json};
use snapback::model::actor::Actor;
use snapback::model::input::read;
use snapback::model::names::LeverReason;
use snapback::model::run::{EndReason, Lever, Run, RunEnding};
use snapback::steps::rollback::{roll_back, roll_back_alarm};
use snapback::testing::SimWorld;
use snapback::testing::samples::{alarm_arn, faults, world};

use super::stage::experiments;
use super::support::{Machine, block_on, budget, reap_for, roll_back_by_user, run_of};

const LONG: Duration = Duration::from_secs(120);

/// An experiment with a stop condition and a steady state, and with the user who starts it.
fn experiment() -> Value {
    let mut experiment = snapback::testing::samples::experiment(&["checkout"], &faults()[..1]);
    experiment["steadyState"] = json!([{ "alarm": "latency" }]);
    experiment["startedBy"] = json!(ana());
    experiment
}

fn ana() -> Actor {
    let caller = "arn:aws:sts::123456789012:assumed-role/Admin/ana";
    read(&json!({ "caller": caller, "via": "GitHub Actions", "url": "https://x/1" })).unwrap()
}

fn ben() -> Actor {
    read(&json!({ "caller": "arn:aws:iam::123456789012:user/ben", "via": "command line" })).unwrap()
}

fn lever() -> Lever {
    Lever { engaged: true, since: snapback::testing::BEGINNING, reason: "an incident".into(), by: Some(ben()) }
}

/// Starts a run, lets `end` end it, and returns its record and its report.
fn ended(end: impl FnOnce(&SimWorld, &Machine<'_>)) -> (Run, Value) {
    let world = world(&["checkout"]);
    world.with(|state| state.alarms.insert("latency".into(), false));
    let machine = Machine::new(&world, "run-1", experiment());
    block_on(machine.start()).unwrap();
    end(&world, &machine);
    let view = block_on(machine.end(None)).report.unwrap();
    (run_of(&world, &machine.run), serde_json::to_value(view).unwrap())
}

fn ended_by(end: impl FnOnce(&SimWorld, &Machine<'_>)) -> Option<Actor> {
    let (run, view) = ended(end);
    assert_eq!(run.started_by, Some(ana()), "retiring a run keeps who started it");
    assert_eq!((&view["startedBy"], &view["endedBy"]), (&json!(ana()), &json!(run.ended_by)));
    run.ended_by
}

fn observe(_: &SimWorld, machine: &Machine<'_>) {
    block_on(machine.observe()).unwrap();
}

#[test]
fn the_experiment_is_stored_without_its_starter() {
    let (run, _) = ended(observe);
    let stored = serde_json::to_value(&run).unwrap();
    assert_eq!(stored["startedBy"], json!(ana()));
    assert_eq!(stored["experiment"].get("startedBy"), None, "an earlier release reads the experiment");
}

#[test]
fn snapback_itself_ends_a_run_for_time_and_steady_state() {
    assert_eq!(ended_by(observe), Some(Actor::snapback()));
    let deviated = ended_by(|world, machine| {
        world.with(|state| state.alarms.insert("latency".into(), true));
        observe(world, machine);
        assert!(matches!(run_of(world, &machine.run).reason, Some(EndReason::Deviated { .. })));
    });
    assert_eq!(deviated, Some(Actor::snapback()));
}

#[test]
fn an_alarm_ends_a_run_under_its_arn() {
    let alarm = Some(Actor::alarm(&alarm_arn("errors")));
    assert!(alarm.as_ref().unwrap().caller.is_some());
    let by_event = ended_by(|world, _| {
        drop(block_on(roll_back_alarm(world, &alarm_arn("errors"), "errors", budget(world, LONG))).unwrap());
    });
    let by_observe = ended_by(|world, machine| {
        world.with(|state| state.alarms.insert("errors".into(), true));
        observe(world, machine);
    });
    assert_eq!([by_event, by_observe], [alarm.clone(), alarm]);
}

#[test]
fn a_lever_ends_a_run_for_the_one_who_moved_it_and_their_reason() {
    let engage = |world: &SimWorld| world.with(|state| state.lever = Some(lever()));
    let by_observe = ended_by(|world, machine| {
        engage(world);
        observe(world, machine);
    });
    let by_reaper = ended_by(|world, machine| {
        engage(world);
        machine.kill();
        reap_for(world, 1);
    });
    let because = |by: Actor| Some(Actor { reason: LeverReason::try_from("an incident").ok(), ..by });
    assert_eq!([by_observe, by_reaper], [because(ben()), because(ben())]);
    let unnamed = ended_by(|world, machine| {
        world.with(|state| state.lever = Some(Lever { by: None, ..lever() }));
        observe(world, machine);
    });
    assert_eq!(unnamed.unwrap().to_string(), "an unknown caller, via safety lever; reason: an incident");
}

#[test]
fn a_user_ends_a_run_by_name_and_the_first_one_stays() {
    let by = ended_by(|world, machine| {
        let ending = RunEnding::by(EndReason::UserRequest, Some(ben()));
        drop(block_on(roll_back(world, &machine.run, &ending, budget(world, LONG))).unwrap());
        let later = RunEnding::by(EndReason::UserRequest, Some(ana()));
        drop(block_on(roll_back(world, &machine.run, &later, budget(world, LONG))).unwrap());
    });
    assert_eq!(by, Some(ben()));
    let unnamed = ended_by(|world, machine| {
        drop(block_on(roll_back_by_user(world, &machine.run, LONG)).unwrap());
    });
    assert_eq!(unnamed, None);
}

#[test]
fn who_stopped_an_execution_is_not_known() {
    let by = ended_by(|world, machine| {
        machine.kill();
        reap_for(world, 2);
        assert_eq!(run_of(world, &machine.run).reason, Some(EndReason::ExecutionStopped));
    });
    assert_eq!(by, None);
}

#[test]
fn a_run_without_a_stated_starter_has_none() {
    let (_, experiment) = &experiments()[0];
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", experiment.clone());
    assert_eq!(block_on(machine.execute()).failure, None);
    let run = run_of(&world, &machine.run);
    assert_eq!((run.started_by, run.ended_by), (None, Some(Actor::snapback())));
}
