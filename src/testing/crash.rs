//! Crashes around every call: the runner of each demo and of each fault crashes around each of its calls, and the
//! reaper has to restore everything. A second crash can follow, also in the reaper. Nothing here is random: every place
//! is tried.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::model::facts::LayerFact;
use crate::model::function::Observation;
use crate::model::names::FunctionArn;
use crate::model::run::{RunStatus, TargetStatus};
use crate::plan::rendering::Outcome;
use crate::ports::Clock;
use crate::steps::error::StepError;
use crate::steps::keep_reports::keep_reports;
use crate::steps::reap::{Tick, reap};

use super::cores::on_all_cores;
use super::execution::{Ended, Machine, budget, survives_watched};
use super::network::CrashPoint;
use super::reports::outline;
use super::samples::{self, experiments, observation};
use super::{SimWorld, State};

/// Time from a crash to the reaper's next tick: while every lease of the dead runner is valid, in between, and after
/// the leases have expired.
const FIRST_TICKS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(20), Duration::from_secs(60)];
/// Time between two ticks of the reaper.
const TICK: Duration = Duration::from_secs(60);
/// The time limit of a tick, as in infra/template.yaml.
const TICK_TIMEOUT: Duration = Duration::from_secs(55);
/// The number of ticks after the last crash within which everything must be restored.
const MAX_TICKS: u32 = 2;
/// The demos of events/.
const DEMOS: [(&str, &str); 3] = [
    ("demo 1", include_str!("../../events/demo-1-concurrency.json")),
    ("demo 2", include_str!("../../events/demo-2-handler.json")),
    ("demo 3", include_str!("../../events/demo-3-proxy.json")),
];

/// Where a runner crashes: the number of calls since the last crash or the beginning, and the point around the next
/// call.
pub type At = (u64, CrashPoint);

/// An experiment whose runner crashes.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name in messages.
    pub name: &'static str,
    /// The input of the execution.
    pub experiment: Value,
}

/// Returns every demo, every fault of the catalog, and experiments with several faults.
#[must_use]
pub fn cases() -> Vec<Case> {
    let read = |(name, text): (&'static str, &str)| match serde_json::from_str(text) {
        Ok(experiment) => Case { name, experiment },
        Err(wrong) => unreachable!("{name}: {wrong}"),
    };
    let faults = experiments().into_iter().map(|(name, experiment)| Case { name, experiment });
    DEMOS.into_iter().map(read).chain(faults).collect()
}

impl Case {
    /// Shortens the experiment to the minimum, which leaves out repetitions of Observe.
    #[must_use]
    pub fn short(mut self) -> Self {
        self.experiment["duration"] = "PT5S".into();
        self
    }

    /// Creates a world with everything that the experiment names, and one function that it does not name.
    fn world(&self) -> SimWorld {
        let (world, text) = (SimWorld::default(), |value: &Value| value.as_str().unwrap_or_default().to_owned());
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        world.with(|state| {
            let targets = list(&self.experiment["targets"]).into_iter().map(|target| text(&target["function"]));
            for name in targets.chain(["bystander".to_owned()]) {
                state.add_function(observation(&name));
            }
            let mut layers = Vec::new();
            for fault in list(&self.experiment["faults"]) {
                let named = ["handler", "layer"].iter().flat_map(|kind| list(&fault[kind]["layers"]));
                layers.extend(named.filter_map(|layer| text(&layer).try_into().ok()));
            }
            state.layers = samples::layers();
            state.layers.extend(layers.into_iter().map(|layer| (layer, LayerFact::plain())));
            let stops = list(&self.experiment["stopConditions"]);
            state.alarms.extend(stops.iter().map(|stop| (text(&stop["alarm"]), false)));
        });
        world
    }
}

/// The result of one world.
#[derive(Clone, Debug)]
pub struct World {
    /// How many of the crashes took place. The others would be after the last call.
    pub crashed: usize,
    /// Whether the last of them was around a call that changes a function, and that was sent.
    pub at_write: bool,
    /// How many calls were made.
    pub calls: u64,
    /// The reaper's ticks since the last crash, until nothing was left to do.
    pub ticks: u32,
    /// The first broken invariant.
    pub broken: Option<String>,
}

/// Executes the case with these crashes, and lets the reaper do its work, for the first time `first_tick` after the
/// execution has stopped. Crashes that the execution does not reach happen in the reaper.
#[must_use]
pub fn play(case: &Case, crashes: &[At], first_tick: Duration) -> World {
    let world = case.world();
    let mut watch = Watch { world: &world, originals: originals(&world), broken: None };
    let machine = Machine::new(&world, "run-1", case.experiment.clone());
    world.with(|state| state.crash_at(crashes.iter().copied()));
    let ended = survives_watched(machine.execute(), || watch.check_targets());
    match &ended {
        Some(ended) => watch.check_end(|_| check_survivor(ended)),
        None => world.with(State::next_crash),
    }
    machine.kill();
    let ticks = reap_until_quiet(&world, &mut watch, first_tick);
    watch.check_end(|state| check_restored(state, ended.is_some()));
    let (left, calls, at_write) =
        world.with(|state| (state.crashes_left(), state.calls.len() as u64, state.crashed_at_write));
    let broken =
        watch.broken.map(|what| format!("{}, crash at {crashes:?}, reaped after {first_tick:?}: {what}", case.name));
    World { crashed: crashes.len() - left, at_write, calls, ticks, broken }
}

/// Runs one tick of the reaper, as its task does.
async fn tick_of(world: &SimWorld) -> (Tick, Option<StepError>) {
    let budget = budget(world, TICK_TIMEOUT);
    let reaped = reap(world, budget).await;
    keep_reports(world, outline, budget).await;
    reaped
}

/// Runs the reaper every minute until a tick finds nothing to do. Returns the ticks since the last crash.
fn reap_until_quiet(world: &SimWorld, watch: &mut Watch<'_>, first_tick: Duration) -> u32 {
    let (mut ticks, mut wait) = (0, first_tick);
    loop {
        world.advance(wait);
        let began = world.now();
        let (left, quiet) = world.with(|state| (state.crashes_left(), state.active.is_empty()));
        let tick = survives_watched(tick_of(world), || watch.check_targets());
        if tick.is_none() {
            world.with(State::next_crash);
        }
        let undisturbed = world.with(|state| state.crashes_left()) == left;
        if let Some((_, Some(error))) = tick.filter(|_| undisturbed) {
            watch.broken.get_or_insert(format!("a tick fails without a crash: {error}"));
        }
        if quiet && undisturbed {
            return ticks;
        }
        ticks = if undisturbed { ticks + 1 } else { 0 };
        if ticks > MAX_TICKS {
            watch.broken.get_or_insert(format!("{ticks} ticks do not restore everything"));
            return ticks;
        }
        wait = world.now().until(began + TICK);
    }
}

fn originals(world: &SimWorld) -> BTreeMap<FunctionArn, Observation> {
    world.with(|state| {
        let observation = |arn: &FunctionArn| Some((arn.clone(), state.observation(arn)?));
        state.functions.keys().filter_map(observation).collect()
    })
}

/// Checks the world after every step of the execution and of the reaper.
struct Watch<'w> {
    world: &'w SimWorld,
    originals: BTreeMap<FunctionArn, Observation>,
    broken: Option<String>,
}

impl Watch<'_> {
    /// Checks that a final status is true and stays true, and that a lock is held exactly until its target ends.
    fn check_targets(&mut self) {
        let originals = &self.originals;
        let wrong = self.world.with(|state| {
            state.targets.values().find_map(|target| {
                let (status, run) = (target.status, Some(&target.run));
                let locked = state.locks.get(&target.function).and_then(|lock| lock.run.as_ref()) == run;
                if status != TargetStatus::Pending && locked == status.is_final() {
                    return Some(format!("the target is {status:?}, but locked: {locked}"));
                }
                let changed = || changed(state, originals, &target.function);
                status.is_final().then(changed)?.map(|what| format!("the target is recorded as {status:?}, but {what}"))
            })
        });
        self.broken = self.broken.take().or(wrong);
    }

    /// Checks that every function is as it was, and whatever else `check` checks.
    fn check_end(&mut self, check: impl FnOnce(&State) -> Result<(), String>) {
        let originals = &self.originals;
        let wrong = self.world.with(|state| {
            let changed = state.functions.keys().find_map(|function| changed(state, originals, function));
            check(state).err().or(changed)
        });
        self.broken = self.broken.take().or(wrong);
    }
}

/// Describes how a function differs from what it was, or will. Its revision and the state of its update do not count.
fn changed(state: &State, originals: &BTreeMap<FunctionArn, Observation>, function: &FunctionArn) -> Option<String> {
    let (now, before) = (state.functions.get(function)?, originals.get(function)?);
    let seen = state.observation(function)?;
    let (revision_id, last_update) = (seen.revision_id.clone(), seen.last_update);
    if seen != (Observation { revision_id, last_update, ..before.clone() }) {
        return Some(format!("{} is not as it was", function.name()));
    }
    (!now.late_writes.is_empty()).then(|| format!("a call to {} can still land", function.name()))
}

/// Checks that lost responses do not change the result of an execution.
fn check_survivor(ended: &Ended) -> Result<(), String> {
    let result = ended.report.as_ref().map(|report| (report.status, report.outcome));
    match (&ended.failure, result) {
        (None, Some((RunStatus::Completed, Outcome::NoSteadyState))) => Ok(()),
        (failure, result) => Err(format!("the execution ends with {result:?}, {failure:?} after a lost response")),
    }
}

/// Checks the ledger and the writes once nothing is left to do.
fn check_restored(state: &State, survived: bool) -> Result<(), String> {
    let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    must(state.locks.values().all(|lock| lock.run.is_none()), "a lock was not released")?;
    must(state.active.is_empty(), "a run is still listed as active")?;
    must(state.alarm_runs.values().all(Vec::is_empty), "an alarm still lists a run")?;
    let targets: BTreeSet<_> = state.targets.values().map(|target| &target.function).collect();
    must(
        state.writes.iter().all(|(function, _)| targets.contains(function)),
        "a function was written that is no target",
    )?;
    for target in state.targets.values() {
        must(
            target.drift.is_empty() && target.frozen_versions.is_empty(),
            "drift is reported, but nothing has drifted",
        )?;
        match target.status {
            TargetStatus::Restored => {}
            TargetStatus::Untouched => must(state.writes.is_empty(), "an untouched target was written")?,
            other => return Err(format!("the target is {other:?}")),
        }
    }
    must(
        state.runs.len() == 1 || state.runs.is_empty() && state.targets.is_empty(),
        "there are targets without a run",
    )?;
    for run in state.runs.values() {
        let reason = run.reason.as_ref().ok_or("the run ended without a reason")?;
        must(
            run.status == reason.final_status(),
            &format!("the run is {:?}, but its reason is: {reason}", run.status),
        )?;
        let whole = run.ends_at.zip(run.stopping_at).is_some_and(|(end, stopped)| stopped >= end);
        let restored = state.targets.values().all(|target| target.status == TargetStatus::Restored);
        must(run.status != RunStatus::Completed || whole && restored, "the run is completed before its end")?;
        must(run.status == RunStatus::Completed || !survived, "the execution survived, but its run is not completed")?;
    }
    Ok(())
}

/// The results of crashing around every call.
#[derive(Debug, Default)]
pub struct Crashes {
    /// How many worlds had all of their crashes: one for each call (or pair of calls), crash point, and time of the
    /// first tick.
    pub places: u64,
    /// How many worlds were played.
    pub worlds: u64,
    /// How many calls they made.
    pub calls: u64,
    /// The most ticks that a world needed after its last crash.
    pub most_ticks: u32,
    /// The broken invariants, and where each broke.
    pub broken: Vec<String>,
    /// How long the worlds took.
    pub took: Duration,
}

impl Crashes {
    /// Counts a world for which this many crashes were scheduled.
    fn add(&mut self, crashes: usize, world: World) {
        self.places += u64::from(world.crashed == crashes);
        self.worlds += 1;
        self.calls += world.calls;
        self.most_ticks = self.most_ticks.max(world.ticks);
        self.broken.extend(world.broken);
    }

    /// Crashes at each point around the n-th call after these crashes. Returns whether there is such a call.
    fn crash_around(&mut self, case: &Case, before: &[At], n: u64, first_tick: Duration) -> bool {
        let mut crash = |point| {
            let crashes = [before, &[(n, point)]].concat();
            let world = play(case, &crashes, first_tick);
            let (has_call, at_write) = (world.crashed == crashes.len(), world.at_write);
            self.add(crashes.len(), world);
            (has_call, at_write)
        };
        let (has_call, at_write) = crash(CrashPoint::After);
        if has_call {
            for point in crash_points(at_write).filter(|point| *point != CrashPoint::After) {
                crash(point);
            }
        }
        has_call
    }

    fn merge(&mut self, other: Self) {
        self.places += other.places;
        self.worlds += other.worlds;
        self.calls += other.calls;
        self.most_ticks = self.most_ticks.max(other.most_ticks);
        self.broken.extend(other.broken);
    }
}

/// Returns the crash points around a call.
fn crash_points(is_write: bool) -> impl Iterator<Item = CrashPoint> {
    CrashPoint::ALL.into_iter().chain(CrashPoint::LATE.into_iter().filter(move |_| is_write))
}

/// Crashes once around each call of each case, at each point, with the first tick after each of the times.
#[must_use]
pub fn alone(cases: &[Case]) -> Crashes {
    each_call(cases, |crashes, case, n| {
        for first_tick in FIRST_TICKS {
            crashes.crash_around(case, &[], n, first_tick);
        }
    })
}

/// Crashes twice: at each point around each call of each case, and then at each point around each call that follows.
/// That is a call of the execution, if only a response was lost, or of the reaper, whose first tick comes before the
/// leases expire.
#[must_use]
pub fn pairs(cases: &[Case]) -> Crashes {
    each_call(cases, |crashes, case, n| {
        for point in crash_points(play(case, &[(n, CrashPoint::After)], FIRST_TICKS[0]).at_write) {
            let mut next = 0..;
            while next.next().is_some_and(|m| crashes.crash_around(case, &[(n, point)], m, FIRST_TICKS[0])) {}
        }
    })
}

/// Does the work on all cores, for each call of an execution without crashes and of a tick after it.
fn each_call(cases: &[Case], work: impl Fn(&mut Crashes, &Case, u64) + Sync) -> Crashes {
    let began = Instant::now();
    let calls = |case: &Case| play(case, &[], FIRST_TICKS[0]).calls;
    let places: Vec<(&Case, u64)> = cases.iter().flat_map(|case| (0..calls(case)).map(move |n| (case, n))).collect();
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut part = Crashes::default();
        while let Some((case, n)) = places.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(&mut part, case, *n);
        }
        part
    };
    let mut whole = Crashes::default();
    on_all_cores(worker).into_iter().for_each(|part| whole.merge(part));
    whole.took = began.elapsed();
    whole
}
