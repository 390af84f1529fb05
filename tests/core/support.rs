//! Shared helpers: assertions about the end of a run, and ticks of the reaper.

use std::task::Poll;
use std::time::Duration;

use serde_json::Value;
use snapback::model::function::{LastUpdate, Observation};
use snapback::model::names::RunId;
use snapback::model::run::{EndReason, Run, TargetRecord};
use snapback::steps::error::StepError;
use snapback::steps::reap::reap;
use snapback::steps::rollback::{RolledBack, roll_back};
use snapback::testing::SimWorld;
pub use snapback::testing::execution::{Ended, Machine, block_on, budget, survives};
use snapback::testing::samples::function_arn;

/// Yields once, so other futures can continue.
pub async fn give_way() {
    let mut given = false;
    std::future::poll_fn(|_| if std::mem::replace(&mut given, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// The function as its owners see it, without its revision and the progress of updates.
pub fn observation(world: &SimWorld, name: &str) -> Observation {
    let mut seen = world.with(|state| state.observation(&function_arn(name))).expect("the function is there");
    seen.revision_id.clear();
    seen.last_update = LastUpdate::Successful;
    seen
}

/// Changes the function `checkout`, as another user does.
pub fn edit(world: &SimWorld, edit: impl FnOnce(&mut Observation)) {
    world.with(|state| state.functions.get_mut(&function_arn("checkout")).unwrap().edit(edit));
}

/// Returns the value of a variable of a function.
pub fn variable(seen: &Observation, name: &str) -> Option<String> {
    let value = seen.environment.variable(name).expect("it can be read");
    value.as_option().map(|value| value.expose().to_owned())
}

/// Plays a run and returns the function as it is while the fault is in place. Asserts that the run restores it.
pub fn during(world: &SimWorld, experiment: Value) -> Observation {
    let before = observation(world, "checkout");
    let machine = Machine::new(world, "run-1", experiment);
    block_on(machine.start()).unwrap();
    let during = observation(world, "checkout");
    let ended = block_on(machine.end(None));
    assert_eq!(ended.failure, None);
    assert_eq!(observation(world, "checkout"), before);
    assert_nothing_stays(world);
    during
}

pub fn run_of(world: &SimWorld, run: &RunId) -> Run {
    world.with(|state| state.runs[run].clone())
}

pub fn target_of(world: &SimWorld, run: &RunId, name: &str) -> TargetRecord {
    world.with(|state| state.targets[&(run.clone(), function_arn(name))].clone())
}

/// Asserts that nothing is locked or active, and that no call to any function is in flight.
pub fn assert_nothing_stays(world: &SimWorld) {
    assert_nothing_is_active(world);
    world.with(|state| assert!(state.alarm_runs.values().all(Vec::is_empty), "{:?}", state.alarm_runs));
}

/// Asserts the same for a run whose record is lost. Only the record names its alarms, so their lists keep the run until it
/// expires.
pub fn assert_nothing_is_active(world: &SimWorld) {
    world.with(|state| {
        assert!(state.locks.values().all(|lock| lock.run.is_none()), "{:?}", state.locks);
        assert_eq!(state.active, Vec::<RunId>::new());
        assert!(state.functions.values().all(|function| function.late_writes.is_empty()));
    });
}

/// Returns the mutating calls to Lambda so far.
pub fn mutating(world: &SimWorld) -> Vec<String> {
    let mutates = |call: &&String| {
        ["Put", "Delete", "Update"].iter().any(|verb| call.starts_with(verb)) && !call.ends_with("Item")
    };
    world.with(|state| state.calls.iter().filter(mutates).cloned().collect())
}

/// Rolls a run back as a user does, in an invocation that has this time.
pub async fn roll_back_by_user(world: &SimWorld, run: &RunId, span: Duration) -> Result<RolledBack, StepError> {
    roll_back(world, run, &EndReason::UserRequest.into(), budget(world, span)).await
}

/// Runs the reaper `ticks` times, a minute apart.
pub fn reap_for(world: &SimWorld, ticks: u32) {
    for _ in 0..ticks {
        world.advance(Duration::from_secs(60));
        let (_, error) = block_on(reap(world, budget(world, Duration::from_secs(55))));
        assert_eq!(error, None);
    }
}
