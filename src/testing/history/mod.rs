//! Random histories: one seed determines functions, experiments, failures and the edits of others.
//!
//! The real steps run through a history in simulated time. The monitor checks the invariants at every move, and at the
//! end.

mod acts;
mod ending;
mod fields;
pub mod landing;
mod machine;
pub mod monitor;
mod notices;
pub mod script;
pub mod soak;
mod stage;
pub mod weakening;

use std::cell::RefCell;
use std::rc::Rc;

use crate::model::facts::LayerFact;
use crate::model::run::{EndReason, Run, RunStatus, TargetStatus};
use crate::model::time::whole_milliseconds;
use crate::steps::keep_reports::keep_reports;
use crate::steps::reap::reap;
use crate::steps::{LEASE_DURATION, MAX_LANDING_DELAY};

use super::dice::Dice;
use super::drive::{Drive, StormKind};
use super::lambda_writes::MAX_UPDATE_MS;
use super::reports::outline;
use super::samples::{layer_arn, layers, run_id, settings};
use super::schedule::Schedule;
use super::worker::Role;
use super::{SimWorld, State};

use acts::Actor;
use machine::{Ended, Machine};
use monitor::Monitor;
use script::{Script, draw_script};
use stage::Stage;
use weakening::Weakening;

/// Time between two ticks of the reaper, in milliseconds.
const TICK_MS: i64 = 60_000;
/// The longest lease, in milliseconds.
const MAX_LEASE_MS: i64 = whole_milliseconds(LEASE_DURATION);
/// How long nothing must happen before a history is over, in milliseconds: an invocation can start late and keep
/// running, and a call that it has sent can land late.
const QUIET_MS: i64 = 60_000 + whole_milliseconds(MAX_LANDING_DELAY);
/// Time from the last failure until an owner repairs what only an owner can, in milliseconds.
const REPAIR_DELAY_MS: i64 = 3 * TICK_MS;
/// How long a tick and the retries of a state machine may take, in milliseconds.
const MAX_WORK_MS: i64 = 60_000;

/// The result of a history.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// The invariants that it broke.
    pub violations: Vec<String>,
    /// Calls that were made.
    pub calls: u64,
    /// Simulated time, in milliseconds.
    pub elapsed: i64,
    /// The situations that came up.
    pub reached: Vec<&'static str>,
    /// A readable record of the history, one event a line.
    pub journal: Vec<String>,
}

/// Plays the history of a seed, to its end or until an invariant is broken. Keeps a journal if asked.
#[must_use]
pub fn play(seed: u64, weakening: Option<Weakening>, with_journal: bool) -> Outcome {
    let mut dice = Dice::new(seed);
    let script = draw_script(&mut dice);
    let world = set_up(&script, dice, weakening, with_journal);
    let schedule = Rc::new(Schedule::new(&world));
    let stage = Stage { world: &world, schedule: Rc::clone(&schedule), death_percent: script.death_percent };
    let executions = start(&stage, &script);
    let history = History { script: &script, executions: &executions };
    // Play until everything is over, and then for as long as anything could still land or start.
    loop {
        schedule.run(|| world.with(|state| history.is_over(state)));
        let over_at = world.with(|state| state.elapsed);
        schedule.run(|| world.with(|state| history.is_broken(state) || state.elapsed > over_at + QUIET_MS));
        if world.with(|state| history.is_over(state)) {
            break;
        }
    }
    world.with(|state| history.check_end(state));
    schedule.end();
    world.with(|state| history.outcome(seed, state))
}

fn set_up(script: &Script, dice: Dice, weakening: Option<Weakening>, with_journal: bool) -> SimWorld {
    let world = SimWorld::default();
    world.with(|state| {
        let mut monitor = Monitor::default();
        for (_, seen) in &script.functions {
            monitor.expected.insert(seen.arn.clone(), seen.clone());
            state.add_function(seen.clone());
        }
        state.layers = layers();
        state.layers.insert(layer_arn("deployed"), LayerFact::plain());
        state.alarms.insert("errors".into(), false);
        state.staleness = script.staleness;
        if script.undo_lacks_rights {
            state.without_rights = vec![Role::Restore, Role::Rollback, Role::Reaper];
        }
        state.limit_rates();
        state.pool = script.pool_is_tight.then_some((120, 100));
        state.orphans = script.orphans;
        let journal = with_journal.then(|| script.summary());
        state.drive = Some(Drive {
            dice,
            storms: script.storms.clone(),
            failure_percent: script.failure_percent,
            stale_percent: script.stale_percent,
            monitor,
            journal,
            weakening,
            ..Drive::default()
        });
    });
    world
}

/// Returns the time after which nothing fails any more: the end of the script, or the last death of an invocation.
fn calm_at(script_ends_at: i64, state: &State) -> i64 {
    script_ends_at.max(state.drive.as_ref().map_or(0, |drive| drive.died_at))
}

/// Starts everything that is in the script, and the reaper.
fn start<'w>(stage: &Stage<'w>, script: &Script) -> Executions {
    let executions = Executions::default();
    for run in script.runs.clone() {
        let machine =
            Machine { stage: stage.clone(), run: run_id(&run.name), experiment: run.experiment, settings: settings() };
        let (ends, on, name) = (executions.clone(), stage.clone(), run.name.clone());
        let job = stage.schedule.spawn(async move {
            on.sleep_until(run.at).await;
            if run.follows {
                on.first_run_ended().await;
            }
            on.note(|| format!("{} starts", run.name));
            let arn = machine.execution();
            let ended = machine.execute().await;
            on.note(|| format!("{} ends: {:?}", run.name, ended.failure));
            on.world.with(|state| state.dead_executions.push(arn));
            ends.ended.borrow_mut().push((run.name, ended));
        });
        executions.jobs.borrow_mut().push((name, job));
    }
    for (at, act) in script.acts.clone() {
        let actor = Actor { stage: stage.clone(), executions: executions.clone() };
        stage.schedule.spawn(async move {
            actor.stage.sleep_until(at).await;
            actor.act(act).await;
        });
    }
    let owner = Actor { stage: stage.clone(), executions: executions.clone() };
    let script_ends_at = script.ends_at();
    stage.schedule.spawn(async move {
        // An invocation that dies reports nothing. Three ticks later, the reaper must have reported it.
        let repair_at = || owner.stage.world.with(|state| calm_at(script_ends_at, state)) + REPAIR_DELAY_MS;
        while owner.stage.elapsed() < repair_at() {
            owner.stage.sleep_until(repair_at()).await;
        }
        owner.remove_deleted_layers().await;
    });
    let on = stage.clone();
    stage.schedule.spawn(async move {
        on.jitter(60).await;
        loop {
            tick(&on);
            on.sleep(TICK_MS).await;
        }
    });
    executions
}

/// Starts a tick of the reaper. EventBridge does not wait for its end.
fn tick(stage: &Stage<'_>) {
    let asleep = stage.world.with(|state| {
        let elapsed = state.elapsed;
        state.drive.as_ref().is_some_and(|drive| drive.has_storm(StormKind::ReaperAsleep, elapsed))
    });
    if asleep {
        return stage.note(|| "the reaper's tick is missed".to_owned());
    }
    let on = stage.clone();
    stage.schedule.spawn(async move {
        on.invoke(Role::Reaper, "all", &|worker, budget| async move {
            let reaped = reap(&worker, budget).await;
            keep_reports(&worker, outline, budget).await;
            reaped
        })
        .await;
    });
}

/// The executions of a history, by name.
#[derive(Clone, Default)]
struct Executions {
    /// Those that have ended.
    ended: Rc<RefCell<Vec<(String, Ended)>>>,
    /// The scheduled job of each.
    jobs: Rc<RefCell<Vec<(String, u64)>>>,
}

struct History<'a> {
    script: &'a Script,
    executions: &'a Executions,
}

impl History<'_> {
    fn is_broken(&self, state: &State) -> bool {
        state.drive.as_ref().is_some_and(|drive| !drive.monitor.violations.is_empty())
    }

    /// Whether every run has ended, or an invariant is broken.
    fn is_over(&self, state: &mut State) -> bool {
        if self.is_broken(state) {
            return true;
        }
        if state.elapsed <= self.script.ends_at() {
            return false;
        }
        let open = !state.active.is_empty() || state.dead_executions.len() < self.script.runs.len();
        if open && state.elapsed > self.latest_end(state) {
            let left: Vec<String> = state
                .targets
                .values()
                .map(|t| format!("{} of {} is {:?}", t.function.name(), t.run, t.status))
                .collect();
            if let Some(drive) = &mut state.drive {
                drive.monitor.add_violation(format!("not ended in time: {}", left.join(", ")));
            }
            return true;
        }
        !open
    }

    /// Returns the time at which every run must have ended. It is the latest of the runs' deadlines, the last failure
    /// and the owner's repair, plus two ticks of the reaper, the longest lease, the longest update, and the time for
    /// the work itself.
    fn latest_end(&self, state: &State) -> i64 {
        // A run that is stopped early must also end early.
        let deadline = |run: &Run| {
            run.stopping_at.map_or(run.expected_end(), |since| since.min(run.expected_end())).0 - super::BEGINNING.0
        };
        let deadline = state.runs.values().map(deadline).max().unwrap_or_default();
        let calm_at = calm_at(self.script.ends_at(), state);
        let repaired_at = if self.needs_repair(state) { calm_at + REPAIR_DELAY_MS } else { 0 };
        calm_at.max(deadline).max(repaired_at) + 2 * TICK_MS + MAX_LEASE_MS + MAX_UPDATE_MS + MAX_WORK_MS
    }

    /// Whether a layer that a restore has to attach was deleted. Only the function's owner can repair that.
    fn needs_repair(&self, state: &State) -> bool {
        ["otel", "shared", "chaos"].iter().any(|name| !state.layers.contains_key(&layer_arn(name)))
    }

    /// Checks the functions and the ledger once everything is over.
    fn check_end(&self, state: &mut State) {
        if self.is_broken(state) {
            return;
        }
        Monitor::check_functions(state);
        let mut wrong = notices::violations(state);
        if let Some(lock) = state.locks.values().find(|lock| lock.run.is_some()) {
            wrong.push(format!("a lock was not released: {lock:?}"));
        }
        if let Some((alarm, runs)) = state.alarm_runs.iter().find(|(_, runs)| !runs.is_empty()) {
            wrong.push(format!("the alarm {alarm} still lists {runs:?}"));
        }
        for run in state.runs.values() {
            if !run.status.is_final() {
                wrong.push(format!("{} is {:?}", run.id, run.status));
            }
            if self.script.is_calm() && !matches!(run.status, RunStatus::Completed) && !self.locked_out(run) {
                wrong.push(format!("nothing disturbed {}, but it is {:?}: {:?}", run.id, run.status, run.reason));
            }
            let expected = run.reason.as_ref().map(EndReason::final_status);
            if run.status != RunStatus::Failed && Some(run.status) != expected {
                wrong.push(format!("{} is {:?}, but its reason is {:?}", run.id, run.status, run.reason));
            }
        }
        if let Some(drive) = &mut state.drive {
            wrong.into_iter().for_each(|what| drive.monitor.add_violation(what));
        }
    }

    /// Whether the run failed because another run had the lock of one of its functions.
    fn locked_out(&self, run: &Run) -> bool {
        matches!(&run.reason, Some(EndReason::Error { error, .. }) if error == "Locked")
    }

    fn outcome(&self, seed: u64, state: &mut State) -> Outcome {
        let reached = self.reached(state);
        let (calls, violations, journal) = match &mut state.drive {
            Some(drive) => {
                (drive.calls, std::mem::take(&mut drive.monitor.violations), drive.journal.take().unwrap_or_default())
            }
            None => Default::default(),
        };
        Outcome { seed, violations, calls, elapsed: state.elapsed, reached, journal }
    }

    /// Returns the situations that came up, because histories in which nothing happens would prove nothing.
    fn reached(&self, state: &State) -> Vec<&'static str> {
        let mut reached: Vec<&str> = state.targets.values().map(|target| target.status.name()).collect();
        reached.extend(state.runs.values().map(|run| run.status.name()));
        reached.extend(state.runs.values().filter_map(|run| run.reason.as_ref()).map(|reason| match reason {
            EndReason::DurationElapsed => "duration elapsed",
            EndReason::Alarm { .. } => "alarm",
            EndReason::AlarmDeleted { .. } => "alarm deleted",
            EndReason::Deviated { .. } => "deviation",
            EndReason::UserRequest => "user request",
            EndReason::SafetyLever => "lever",
            EndReason::Error { .. } => "error",
            EndReason::ExecutionStopped => "execution stopped",
            EndReason::Overdue => "overdue",
        }));
        let frozen = state
            .targets
            .values()
            .any(|target| !target.frozen_versions.is_empty() && target.status != TargetStatus::Untouched);
        reached.extend(frozen.then_some("version keeps the fault"));
        let ended = self.executions.ended.borrow();
        let failed = |name: &str| ended.iter().any(|(_, ended)| ended.failure.as_deref() == Some(name));
        let removed = state.targets.values().any(|target| !target.removed_faults.is_empty());
        reached.extend(removed.then_some("fault removed"));
        for name in
            ["Refused", "Locked", "Overtaken", "RehearsalFailed", "AccessDenied", "FunctionFailed", "Unavailable"]
        {
            reached.extend(failed(name).then_some(name));
        }
        if let Some(drive) = &state.drive {
            reached.extend((!drive.monitor.excused.is_empty()).then_some("excused"));
            reached.extend((!state.writes.is_empty()).then_some("written"));
        }
        reached.sort_unstable();
        reached.dedup();
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_death_postpones_the_latest_end() {
        let world = SimWorld::default();
        world.with(|state| {
            state.drive = Some(Drive { died_at: 5_000, ..Drive::default() });
            assert_eq!((calm_at(1_000, state), calm_at(9_000, state)), (5_000, 9_000));
        });
    }
}
