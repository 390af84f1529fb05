//! Random histories: one seed gives functions, experiments, troubles and other people's doings; the real steps go
//! through them in simulated time, and what must hold is checked at every move and once it is quiet.

mod acts;
mod machine;
pub mod monitor;
pub mod script;
pub mod soak;
mod stage;
pub mod weakening;

use std::cell::RefCell;
use std::rc::Rc;

use crate::model::facts::LayerFact;
use crate::model::run::{EndReason, Run, RunStatus, TargetStatus};
use crate::model::time::whole_milliseconds;
use crate::steps::reap::reap;
use crate::steps::{LEASE_DURATION, MAX_LANDING_DELAY};

use super::dice::Dice;
use super::drive::{Drive, StormKind};
use super::functions::LONGEST_UPDATE;
use super::samples::{layer_arn, layers, run_id, settings};
use super::schedule::Schedule;
use super::worker::Role;
use super::{SimWorld, State};

use acts::Actor;
use machine::{Ended, Machine};
use monitor::Monitor;
use script::{Script, script};
use stage::Stage;
use weakening::Weakening;

/// Milliseconds between two ticks of the reaper.
const TICK: i64 = 60_000;
/// The longest lease, in milliseconds.
const LONGEST_LEASE: i64 = whole_milliseconds(LEASE_DURATION);
/// How long it has to be quiet, in milliseconds: an invocation can start late, live on, and what it sends can land late.
const STILLNESS: i64 = 60_000 + whole_milliseconds(MAX_LANDING_DELAY);
/// How long after the last trouble an owner heals what nobody else can, in milliseconds.
const HEALING: i64 = 3 * TICK;
/// How long a tick and the retries of a state machine may take, in milliseconds.
const WORK: i64 = 60_000;

/// What came of a history.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its seed.
    pub seed: u64,
    /// What must hold and did not.
    pub violations: Vec<String>,
    /// Calls that were made.
    pub calls: u64,
    /// Simulated milliseconds.
    pub elapsed: i64,
    /// What was reached.
    pub reached: Vec<&'static str>,
    /// The history for people.
    pub journal: Vec<String>,
}

/// Plays the history of a seed, to its end or until something is wrong.
#[must_use]
pub fn play(seed: u64, weakening: Option<Weakening>, readable: bool) -> Outcome {
    let mut dice = Dice::new(seed);
    let script = script(&mut dice);
    let world = set_up(&script, dice, weakening, readable);
    let schedule = Rc::new(Schedule::new(&world));
    let stage = Stage { world: &world, schedule: Rc::clone(&schedule), death_percent: script.death_percent };
    let executions = begin(&stage, &script);
    let history = History { script: &script, executions: &executions };
    // Until it is quiet, and has been for as long as anything can land or start yet.
    loop {
        schedule.run(|| world.with(|state| history.over(state)));
        let quiet = world.with(|state| state.elapsed);
        schedule.run(|| world.with(|state| history.broken(state) || state.elapsed > quiet + STILLNESS));
        if world.with(|state| history.over(state)) {
            break;
        }
    }
    world.with(|state| history.check_end(state));
    schedule.end();
    world.with(|state| history.outcome(seed, state))
}

fn set_up(script: &Script, dice: Dice, weakening: Option<Weakening>, readable: bool) -> SimWorld {
    let world = SimWorld::default();
    world.with(|state| {
        let mut monitor = Monitor::default();
        for (_, seen) in &script.functions {
            monitor.law.insert(seen.arn.clone(), seen.clone());
            state.add_function(seen.clone());
        }
        state.layers = layers();
        state.layers.insert(layer_arn("deployed"), LayerFact::plain());
        state.alarms.insert("errors".into(), false);
        state.staleness = script.staleness;
        if script.blind {
            state.without_rights = vec![Role::Restore, Role::Rollback, Role::Reaper];
        }
        state.limit_rates();
        state.pool = script.floor.then_some((120, 100));
        state.orphans = script.orphans;
        let journal = readable.then(|| script.shown());
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

/// When the last trouble is over: what the script says, and deaths.
fn calm_at(quiet_at: i64, state: &State) -> i64 {
    quiet_at.max(state.drive.as_ref().map_or(0, |drive| drive.died_at))
}

/// Begins everything that the script says, and the reaper.
fn begin<'w>(stage: &Stage<'w>, script: &Script) -> Executions {
    let executions = Executions::default();
    for run in script.runs.clone() {
        let machine =
            Machine { stage: stage.clone(), run: run_id(&run.name), experiment: run.experiment, settings: settings() };
        let (ends, on, name) = (executions.clone(), stage.clone(), run.name.clone());
        let job = stage.schedule.spawn(async move {
            on.until(run.at).await;
            if run.follows {
                on.first_is_over().await;
            }
            on.note(|| format!("{} starts", run.name));
            let arn = machine.execution();
            let ended = machine.execute().await;
            on.note(|| format!("{} ends: {:?}", run.name, ended.failure));
            on.world.with(|state| state.dead_executions.push(arn));
            ends.0.borrow_mut().push((run.name, ended));
        });
        executions.1.borrow_mut().push((name, job));
    }
    for (at, act) in script.acts.clone() {
        let actor = Actor { stage: stage.clone(), executions: executions.clone() };
        stage.schedule.spawn(async move {
            actor.stage.until(at).await;
            actor.act(act).await;
        });
    }
    let healer = Actor { stage: stage.clone(), executions: executions.clone() };
    let quiet_at = script.quiet_at();
    stage.schedule.spawn(async move {
        // What dies has told nobody anything: three ticks after that, somebody has.
        let healing = || healer.stage.world.with(|state| calm_at(quiet_at, state)) + HEALING;
        while healer.stage.elapsed() < healing() {
            healer.stage.until(healing()).await;
        }
        healer.heal().await;
    });
    let on = stage.clone();
    stage.schedule.spawn(async move {
        on.jitter(60).await;
        loop {
            tick(&on);
            on.sleep(TICK).await;
        }
    });
    executions
}

/// A tick of the reaper: EventBridge starts it and does not wait.
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
        on.invoke(Role::Reaper, "all", &|worker, budget| async move { reap(&worker, budget).await }).await;
    });
}

/// The executions that have ended, and the tasks of all of them.
#[derive(Clone, Default)]
struct Executions(Rc<RefCell<Vec<(String, Ended)>>>, Rc<RefCell<Vec<(String, u64)>>>);

struct History<'a> {
    script: &'a Script,
    executions: &'a Executions,
}

impl History<'_> {
    fn broken(&self, state: &State) -> bool {
        state.drive.as_ref().is_some_and(|drive| !drive.monitor.violations.is_empty())
    }

    /// Whether it is quiet, or something is wrong already.
    fn over(&self, state: &mut State) -> bool {
        if self.broken(state) {
            return true;
        }
        if state.elapsed <= self.script.quiet_at() {
            return false;
        }
        let open = !state.active.is_empty() || state.dead_executions.len() < self.script.runs.len();
        if open && state.elapsed > self.bound(state) {
            let left: Vec<String> = state
                .targets
                .values()
                .map(|t| format!("{} of {} is {:?}", t.function.name(), t.run, t.status))
                .collect();
            if let Some(drive) = &mut state.drive {
                drive.monitor.violate(format!("too late: {}", left.join(", ")));
            }
            return true;
        }
        !open
    }

    /// When everything has to be over: within the deadline (or the end of the last trouble), two ticks of the reaper,
    /// the longest lease and the longest update, and the time that the work itself takes.
    fn bound(&self, state: &State) -> i64 {
        // What is being stopped is due from then on, and not only when its time would have been up.
        let due = |run: &Run| {
            run.stopping_at.map_or(run.expected_end(), |since| since.min(run.expected_end())).0 - super::BEGINNING.0
        };
        let due = state.runs.values().map(due).max().unwrap_or_default();
        let calm_at = calm_at(self.script.quiet_at(), state);
        let healed = if self.needs_healing(state) { calm_at + HEALING } else { 0 };
        calm_at.max(due).max(healed) + 2 * TICK + LONGEST_LEASE + LONGEST_UPDATE + WORK
    }

    /// Whether a layer that has to be put back was deleted: nobody but its owner can help.
    fn needs_healing(&self, state: &State) -> bool {
        ["otel", "shared", "chaos"].iter().any(|name| !state.layers.contains_key(&layer_arn(name)))
    }

    fn check_end(&self, state: &mut State) {
        if self.broken(state) {
            return;
        }
        Monitor::quiet(state);
        let mut wrong = Vec::new();
        if let Some(lock) = state.locks.values().find(|lock| lock.run.is_some()) {
            wrong.push(format!("a lock stays: {lock:?}"));
        }
        if let Some((alarm, runs)) = state.alarm_runs.iter().find(|(_, runs)| !runs.is_empty()) {
            wrong.push(format!("the alarm {alarm} still ends {runs:?}"));
        }
        for run in state.runs.values() {
            if !run.status.is_final() {
                wrong.push(format!("{} is {:?}", run.id, run.status));
            }
            if self.script.is_calm() && !matches!(run.status, RunStatus::Completed) && !self.locked_out(run) {
                wrong.push(format!("nothing came in between, and {} is {:?}: {:?}", run.id, run.status, run.reason));
            }
            let due = run.reason.as_ref().map(EndReason::final_status);
            if run.status != RunStatus::Failed && Some(run.status) != due {
                wrong.push(format!("{} is {:?}, and it ended because {:?}", run.id, run.status, run.reason));
            }
        }
        if let Some(drive) = &mut state.drive {
            wrong.into_iter().for_each(|what| drive.monitor.violate(what));
        }
    }

    /// Whether another run had one of its functions.
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

    /// What came up in this history: histories in which nothing happens would prove nothing.
    fn reached(&self, state: &State) -> Vec<&'static str> {
        let mut reached: Vec<&str> = state.targets.values().map(|target| target.status.name()).collect();
        reached.extend(state.runs.values().map(|run| run.status.name()));
        reached.extend(state.runs.values().filter_map(|run| run.reason.as_ref()).map(|reason| match reason {
            EndReason::DurationElapsed => "its time was up",
            EndReason::Alarm { .. } => "an alarm",
            EndReason::AlarmDeleted { .. } => "an alarm gone",
            EndReason::Deviated { .. } => "a deviation",
            EndReason::UserRequest => "a person",
            EndReason::SafetyLever => "the lever",
            EndReason::Error { .. } => "an error",
            EndReason::ExecutionStopped => "an execution gone",
            EndReason::Overdue => "overdue",
        }));
        let written = state
            .targets
            .values()
            .any(|target| !target.frozen_versions.is_empty() && target.status != TargetStatus::Untouched);
        reached.extend(written.then_some("a version that keeps the fault"));
        let ended = self.executions.0.borrow();
        let failed = |name: &str| ended.iter().any(|(_, ended)| ended.failure.as_deref() == Some(name));
        let removed = state.targets.values().any(|target| !target.removed_faults.is_empty());
        reached.extend(removed.then_some("a fault that was taken out"));
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
    fn a_death_is_a_trouble_that_puts_off_what_is_due() {
        let world = SimWorld::default();
        world.with(|state| {
            state.drive = Some(Drive { died_at: 5_000, ..Drive::default() });
            assert_eq!((calm_at(1_000, state), calm_at(9_000, state)), (5_000, 9_000));
        });
    }
}
