//! Repeated tasks and events: at any moment of a run, a repeat changes nothing that the first time has not changed.
//!
//! `scenarios::every_task_may_be_repeated` repeats each task several times in a row. `crashes` runs two of each concurrently.

use std::collections::BTreeMap;
use std::time::Duration;

use snapback::model::function::Observation;
use snapback::model::names::{FunctionArn, RunId};
use snapback::model::run::{EndReason, Lock, Run, RunStatus, TargetRecord};
use snapback::steps::reap::reap;
use snapback::steps::rollback::{roll_back_alarm, roll_back_all, stop};
use snapback::testing::SimWorld;
use snapback::testing::samples::{alarm_arn, function_arn, world};

use super::stage::{assert_final_is_true, experiments, interleave, machine};
use super::support::{
    Machine, assert_nothing_stays, block_on, budget, mutating, observation, reap_for, roll_back_by_user,
};

/// One act: a task of the state machine, or an event from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Prepare,
    Arm,
    Inject,
    Observe,
    BeginRestore,
    Restore,
    Report,
    /// The execution is started again under its name.
    Execute,
    AlarmEvent,
    /// The event of an alarm that belongs to no run.
    StrangeEvent,
    Person,
    Everything,
    Tick,
    /// A tick of the reaper after the execution was stopped.
    TickAfterDeath,
}

/// The tasks of a run, in order.
const TASKS: [Act; 7] =
    [Act::Prepare, Act::Arm, Act::Inject, Act::Observe, Act::BeginRestore, Act::Restore, Act::Report];
/// Events from outside.
const EVENTS: [Act; 7] =
    [Act::Execute, Act::AlarmEvent, Act::StrangeEvent, Act::Person, Act::Everything, Act::Tick, Act::TickAfterDeath];

async fn perform(machine: &Machine<'_>, act: Act) {
    let (world, run, functions) = (machine.world, &machine.run, &[function_arn("checkout")]);
    match act {
        Act::Prepare => assert!(machine.prepare().await.is_ok()),
        Act::Arm => machine.arm(functions).await.unwrap(),
        Act::Inject => machine.inject(functions).await.unwrap(),
        Act::Observe => machine.observe().await.unwrap(),
        Act::BeginRestore => drop(stop(world, run, &EndReason::DurationElapsed.into()).await.unwrap()),
        Act::Restore => {
            // The task stops the run first, as it does for a direct call.
            let run = stop(world, run, &EndReason::UserRequest.into()).await.unwrap();
            machine.restore(&run).await.unwrap();
        }
        Act::Report => drop(snapback::steps::report::report(world, run).await.unwrap()),
        Act::Execute => assert_eq!(machine.execute().await.failure, None),
        Act::AlarmEvent => {
            world.with(|state| state.alarms.insert("errors".into(), true));
            roll_back_alarm(world, &alarm_arn("errors"), "errors", budget(world, Duration::from_secs(120)))
                .await
                .unwrap();
        }
        Act::StrangeEvent => {
            let rolled =
                roll_back_alarm(world, &alarm_arn("strange"), "strange", budget(world, Duration::from_secs(120)))
                    .await
                    .unwrap();
            assert!(rolled.is_empty());
        }
        Act::Person => drop(roll_back_by_user(world, run, Duration::from_secs(120)).await.unwrap()),
        Act::Everything => drop(
            roll_back_all(world, &EndReason::UserRequest.into(), budget(world, Duration::from_secs(120)))
                .await
                .unwrap(),
        ),
        Act::Tick => assert_eq!(reap(world, budget(world, Duration::from_secs(55))).await.1, None),
        Act::TickAfterDeath => {
            machine.kill();
            assert_eq!(reap(world, budget(world, Duration::from_secs(55))).await.1, None);
        }
    }
}

/// Everything that outlasts an act.
#[derive(Clone, Debug, PartialEq)]
struct Lasting {
    checkout: Observation,
    runs: BTreeMap<RunId, Run>,
    targets: BTreeMap<(RunId, FunctionArn), TargetRecord>,
    locks: BTreeMap<FunctionArn, Lock>,
    alarm_runs: BTreeMap<String, Vec<RunId>>,
    active: Vec<RunId>,
    mutating: Vec<String>,
}

fn lasting_state(world: &SimWorld) -> Lasting {
    let (checkout, mutating) = (observation(world, "checkout"), mutating(world));
    world.with(|state| Lasting {
        checkout,
        runs: state.runs.clone(),
        targets: state.targets.clone(),
        locks: state.locks.clone(),
        alarm_runs: state.alarm_runs.clone(),
        active: state.active.clone(),
        mutating,
    })
}

/// Plays the first `tasks` tasks of a run.
async fn play_first_tasks(machine: &Machine<'_>, tasks: usize) {
    for task in &TASKS[..tasks] {
        perform(machine, *task).await;
    }
}

/// Asserts that the reaper ends the run and that the function is restored.
fn assert_ends(machine: &Machine<'_>, before: &Observation, note: &str) {
    let ended = block_on(machine.end(None));
    assert_eq!(ended.failure, None, "{note}");
    assert_eq!(observation(machine.world, "checkout"), *before, "{note}");
    assert_nothing_stays(machine.world);
}

#[test]
fn repeating_a_completed_task_changes_nothing() {
    // Arm after Inject, Inject after Restore, Prepare after Report, and all the others.
    for (fault, experiment) in experiments() {
        for tasks in 1..=TASKS.len() {
            let world = world(&["checkout"]);
            let before = observation(&world, "checkout");
            let machine = machine(&world, &experiment);
            block_on(play_first_tasks(&machine, tasks));
            let once = lasting_state(&world);
            for task in TASKS[..tasks].iter().chain(TASKS[..tasks].iter().rev()) {
                block_on(perform(&machine, *task));
                let note = format!("{fault}: {task:?} again after {:?}", TASKS[tasks - 1]);
                assert_eq!(lasting_state(&world), once, "{note}");
            }
            assert_ends(&machine, &before, fault);
        }
    }
}

#[test]
fn three_repeats_of_an_act_equal_one() {
    // Each act comes at every moment, even out of order: Restore before Inject and before Arm, Report while the run is active.
    for (fault, experiment) in experiments() {
        for tasks in 1..=TASKS.len() {
            for act in TASKS.into_iter().chain(EVENTS) {
                let world = world(&["checkout"]);
                let before = observation(&world, "checkout");
                let machine = machine(&world, &experiment);
                block_on(play_first_tasks(&machine, tasks));
                let note = format!("{fault}: {act:?} after {:?}", TASKS[tasks - 1]);
                let injected = mutating(&world).len();
                block_on(perform(&machine, act));
                let once = lasting_state(&world);
                let restores = [Act::Restore, Act::AlarmEvent, Act::Person, Act::Everything, Act::TickAfterDeath];
                if restores.contains(&act) {
                    assert_eq!(once.checkout, before, "{note}");
                    assert!(tasks > 2 || once.mutating.len() == injected, "{note}: {:?}", once.mutating);
                }
                for _ in 0..2 {
                    block_on(perform(&machine, act));
                    assert_eq!(lasting_state(&world), once, "{note}");
                }
                assert_ends(&machine, &before, &note);
            }
        }
    }
}

#[test]
fn no_task_starts_after_the_act_that_ended_a_run() {
    for (fault, experiment) in experiments() {
        for tasks in 1..=3 {
            for act in [Act::AlarmEvent, Act::Person, Act::Everything, Act::TickAfterDeath] {
                let world = world(&["checkout"]);
                let before = observation(&world, "checkout");
                let machine = machine(&world, &experiment);
                block_on(play_first_tasks(&machine, tasks));
                block_on(perform(&machine, act));
                let once = lasting_state(&world);
                for task in &TASKS[..TASKS.len() - 1] {
                    block_on(perform(&machine, *task));
                    assert_eq!(lasting_state(&world), once, "{fault}: {task:?} after {act:?} after {tasks} tasks");
                }
                assert_ends(&machine, &before, fault);
                let run = lasting_state(&world).runs.remove(&machine.run).unwrap();
                let status = if act == Act::TickAfterDeath { RunStatus::Failed } else { RunStatus::Stopped };
                assert_eq!(run.status, status, "{fault}: {act:?} after {tasks} tasks");
            }
        }
    }
}

#[test]
fn every_event_can_arrive_twice_concurrently() {
    let events = [Act::AlarmEvent, Act::Person, Act::Everything, Act::TickAfterDeath, Act::Execute];
    for (fault, experiment) in experiments() {
        for event in events {
            for seed in 0..20 {
                let world = world(&["checkout"]);
                let before = observation(&world, "checkout");
                let machine = machine(&world, &experiment);
                block_on(play_first_tasks(&machine, 3));
                let check = || assert_final_is_true(&world, &before, fault);
                block_on(interleave(seed, perform(&machine, event), perform(&machine, event), check));
                let note = format!("{fault}: {event:?} twice, seed {seed}");
                assert_eq!(observation(&world, "checkout"), before, "{note}");
                assert_ends(&machine, &before, &note);
                let done = lasting_state(&world);
                reap_for(&world, 2);
                assert_eq!(lasting_state(&world), done, "{note}");
            }
        }
    }
}
