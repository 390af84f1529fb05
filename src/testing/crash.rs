//! Crash anywhere: the runner of each demo and of each fault is cut off around every one of its calls, alone and in
//! pairs, and the reaper has to put everything right. Nothing here is left to chance: every place there is, is tried.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::model::facts::LayerFact;
use crate::model::function::Observation;
use crate::model::names::FunctionArn;
use crate::model::run::{RunStatus, TargetStatus};
use crate::plan::rendering::Outcome;
use crate::steps::reap::reap;

use super::cores::on_all_cores;
use super::execution::{Ended, Machine, budget, survives_watched};
use super::network::CrashPoint;
use super::samples::{self, experiments, observation};
use super::{SimWorld, State};

/// Seconds from a death to the reaper's next tick: at once, while every lease of the dead runs; in between; after them.
const FIRST_TICKS: [i64; 3] = [1, 20, 60];
/// Seconds between two ticks of the reaper.
const TICK: i64 = 60;
/// Seconds for which a tick may live, as in infra/template.yaml.
const TICK_LIVES: u64 = 55;
/// Ticks after the last cut within which everything is put right.
const MOST_TICKS: u32 = 2;
/// The demos, as they stand in events/.
const DEMOS: [(&str, &str); 3] = [
    ("demo 1", include_str!("../../events/demo-1-concurrency.json")),
    ("demo 2", include_str!("../../events/demo-2-handler.json")),
    ("demo 3", include_str!("../../events/demo-3-proxy.json")),
];

/// Where a runner is cut off: so many calls after the last cut or the beginning, and how.
pub type At = (u64, CrashPoint);

/// Something to be crashed.
#[derive(Clone, Debug)]
pub struct Case {
    /// For people.
    pub name: &'static str,
    /// What is executed.
    pub experiment: Value,
}

/// Every demo, every fault of the catalogue, and several of them at once.
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
    /// The same with the shortest duration: fewer looks of Observe, which are all alike.
    #[must_use]
    pub fn short(mut self) -> Self {
        self.experiment["duration"] = "PT5S".into();
        self
    }

    /// A world with what the experiment names, and a function that it does not.
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

/// What became of one world.
#[derive(Clone, Debug)]
pub struct World {
    /// How many of the cuts took place: the others are beyond the last call.
    pub struck: usize,
    /// Whether the last one that did was around a call that changes a function, and that was sent.
    pub at_a_write: bool,
    /// Calls that were made.
    pub calls: u64,
    /// The reaper's ticks from the last cut on, until nothing was left to do.
    pub ticks: u32,
    /// The first thing that did not hold.
    pub broken: Option<String>,
}

/// Executes the case, cuts it off at these places, and lets the reaper do its work, the first time so many seconds after
/// the execution is gone. The cuts that the execution does not live to see are the reaper's.
#[must_use]
pub fn play(case: &Case, cuts: &[At], first_tick: i64) -> World {
    let world = case.world();
    let mut watch = Watch { world: &world, originals: originals(&world), broken: None };
    let machine = Machine::new(&world, "run-1", case.experiment.clone());
    world.with(|state| state.crash_at(cuts.iter().copied()));
    let ended = survives_watched(machine.execute(), || watch.look());
    match &ended {
        Some(ended) => watch.expect(|_| survived(ended)),
        None => world.with(State::next_crash),
    }
    machine.kill();
    let ticks = reap_until_quiet(&world, &mut watch, first_tick);
    watch.expect(|state| is_put_right(state, ended.is_some()));
    let (left, calls, at_a_write) =
        world.with(|state| (state.crashes_left(), state.calls.len() as u64, state.crashed_at_write));
    let broken =
        watch.broken.map(|what| format!("{}, cut at {cuts:?}, reaped after {first_tick} s: {what}", case.name));
    World { struck: cuts.len() - left, at_a_write, calls, ticks, broken }
}

/// Ticks of the reaper, each a minute after the last one, until one has found nothing to do.
fn reap_until_quiet(world: &SimWorld, watch: &mut Watch<'_>, first_tick: i64) -> u32 {
    let (mut ticks, mut wait) = (0, first_tick);
    loop {
        world.pass(wait);
        let (began, left, quiet) = world.with(|state| (state.elapsed, state.crashes_left(), state.active.is_empty()));
        let tick = survives_watched(reap(world, budget(world, TICK_LIVES)), || watch.look());
        if tick.is_none() {
            world.with(State::next_crash);
        }
        let undisturbed = world.with(|state| state.crashes_left()) == left;
        if let Some((_, Some(error))) = tick.filter(|_| undisturbed) {
            watch.broken.get_or_insert(format!("an undisturbed tick fails: {error}"));
        }
        if quiet && undisturbed {
            return ticks;
        }
        ticks = if undisturbed { ticks + 1 } else { 0 };
        if ticks > MOST_TICKS {
            watch.broken.get_or_insert(format!("{ticks} ticks do not put it right"));
            return ticks;
        }
        let took = world.with(|state| state.elapsed) - began;
        wait = (TICK * 1000 - took).max(0) / 1000;
    }
}

fn originals(world: &SimWorld) -> BTreeMap<FunctionArn, Observation> {
    world.with(|state| {
        let picture = |arn: &FunctionArn| Some((arn.clone(), state.picture(arn)?));
        state.functions.keys().filter_map(picture).collect()
    })
}

/// Looks at the world after every step of whoever works on it.
struct Watch<'w> {
    world: &'w SimWorld,
    originals: BTreeMap<FunctionArn, Observation>,
    broken: Option<String>,
}

impl Watch<'_> {
    /// A final status is true and stays true; and a lock is held exactly as long as its target is not final.
    fn look(&mut self) {
        let originals = &self.originals;
        let wrong = self.world.with(|state| {
            state.targets.values().find_map(|target| {
                let (status, ours) = (target.status, Some(&target.run));
                let locked = state.locks.get(&target.function).and_then(|lock| lock.run.as_ref()) == ours;
                if status != TargetStatus::Pending && locked == status.is_final() {
                    return Some(format!("it is {status:?}, and locked: {locked}"));
                }
                let changed = || changed(state, originals, &target.function);
                status.is_final().then(changed)?.map(|what| format!("it is said to be {status:?}, and {what}"))
            })
        });
        self.broken = self.broken.take().or(wrong);
    }

    /// Notes what does not hold at the end.
    fn expect(&mut self, check: impl FnOnce(&State) -> Result<(), String>) {
        let originals = &self.originals;
        let wrong = self.world.with(|state| {
            let changed = state.functions.keys().find_map(|function| changed(state, originals, function));
            check(state).err().or(changed)
        });
        self.broken = self.broken.take().or(wrong);
    }
}

/// How a function differs from what it was, or will. Its revision and how an update goes are not its owner's.
fn changed(state: &State, originals: &BTreeMap<FunctionArn, Observation>, function: &FunctionArn) -> Option<String> {
    let (now, before) = (state.functions.get(function)?, originals.get(function)?);
    let seen = state.picture(function)?;
    let (revision_id, last_update) = (seen.revision_id.clone(), seen.last_update);
    if seen != (Observation { revision_id, last_update, ..before.clone() }) {
        return Some(format!("{} is not as it was", function.name()));
    }
    (!now.late.is_empty()).then(|| format!("a call to {} can land yet", function.name()))
}

/// An execution that only loses answers does not even notice.
fn survived(ended: &Ended) -> Result<(), String> {
    let came_to = ended.report.as_ref().map(|report| (report.status, report.outcome));
    match (&ended.failure, came_to) {
        (None, Some((RunStatus::Completed, Outcome::NoSteadyState))) => Ok(()),
        (failure, came_to) => Err(format!("it loses an answer, and comes to {came_to:?}, {failure:?}")),
    }
}

/// What holds when all is quiet, besides every function being as it was.
fn is_put_right(state: &State, survived: bool) -> Result<(), String> {
    let must = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    must(state.locks.values().all(|lock| lock.run.is_none()), "a lock stays")?;
    must(state.active.is_empty(), "a run stays on the list")?;
    must(state.alarm_runs.values().all(Vec::is_empty), "an alarm keeps a run")?;
    let targets: BTreeSet<_> = state.targets.values().map(|target| &target.function).collect();
    must(state.writes.iter().all(|(function, _)| targets.contains(function)), "another function was written")?;
    for target in state.targets.values() {
        must(target.drift.is_empty() && target.frozen_versions.is_empty(), "drift is said where there is none")?;
        match target.status {
            TargetStatus::Restored => {}
            TargetStatus::Untouched => must(state.writes.is_empty(), "it was written, and is said to be untouched")?,
            other => return Err(format!("its target is {other:?}")),
        }
    }
    must(state.runs.len() == 1 || state.runs.is_empty() && state.targets.is_empty(), "targets without a run")?;
    for run in state.runs.values() {
        let reason = run.reason.as_ref().ok_or("it has ended for no reason")?;
        must(run.status == reason.final_status(), &format!("it is {:?} because {reason}", run.status))?;
        let whole = run.ends_at.zip(run.stopping_at).is_some_and(|(due, stopped)| stopped >= due);
        let restored = state.targets.values().all(|target| target.status == TargetStatus::Restored);
        must(run.status != RunStatus::Completed || whole && restored, "it is completed before its time")?;
        must(run.status == RunStatus::Completed || !survived, "its execution has seen to it, and it is not completed")?;
    }
    Ok(())
}

/// What came of crashing everywhere.
#[derive(Debug, Default)]
pub struct Crashes {
    /// Worlds in which every cut took place: one for each call, or two, each way, and each time of the first tick.
    pub places: u64,
    /// Worlds that were played.
    pub worlds: u64,
    /// Calls in all of them.
    pub calls: u64,
    /// The most ticks that it took after the last cut.
    pub most_ticks: u32,
    /// What did not hold, and where.
    pub broken: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl Crashes {
    /// Counts a world in which so many cuts were to take place.
    fn add(&mut self, cuts: usize, world: World) {
        self.places += u64::from(world.struck == cuts);
        self.worlds += 1;
        self.calls += world.calls;
        self.most_ticks = self.most_ticks.max(world.ticks);
        self.broken.extend(world.broken);
    }

    /// Cuts off around the n-th call after these cuts, each way; says whether there is such a call.
    fn each_way(&mut self, case: &Case, before: &[At], n: u64, first_tick: i64) -> bool {
        let mut cut_off = |cut| {
            let cuts = [before, &[(n, cut)]].concat();
            let world = play(case, &cuts, first_tick);
            let (beyond, at_a_write) = (world.struck < cuts.len(), world.at_a_write);
            self.add(cuts.len(), world);
            (beyond, at_a_write)
        };
        let (beyond, at_a_write) = cut_off(CrashPoint::After);
        if !beyond {
            for way in ways(at_a_write).filter(|way| *way != CrashPoint::After) {
                cut_off(way);
            }
        }
        !beyond
    }

    fn merge(&mut self, other: Self) {
        self.places += other.places;
        self.worlds += other.worlds;
        self.calls += other.calls;
        self.most_ticks = self.most_ticks.max(other.most_ticks);
        self.broken.extend(other.broken);
    }
}

/// The ways around a call.
fn ways(is_a_write: bool) -> impl Iterator<Item = CrashPoint> {
    CrashPoint::ALL.into_iter().chain(CrashPoint::LATE.into_iter().filter(move |_| is_a_write))
}

/// One cut around each call of each case, each way, and the first tick after each of the times.
#[must_use]
pub fn alone(cases: &[Case]) -> Crashes {
    each_call(cases, |crashes, case, n| {
        for first_tick in FIRST_TICKS {
            crashes.each_way(case, &[], n, first_tick);
        }
    })
}

/// Two cuts: each way around each call of each case, and then each way around each call that follows, whether that is the
/// execution's (an answer was lost) or the reaper's, whose first tick comes while the leases of the dead run.
#[must_use]
pub fn pairs(cases: &[Case]) -> Crashes {
    each_call(cases, |crashes, case, n| {
        for way in ways(play(case, &[(n, CrashPoint::After)], FIRST_TICKS[0]).at_a_write) {
            let mut next = 0..;
            while next.next().is_some_and(|m| crashes.each_way(case, &[(n, way)], m, FIRST_TICKS[0])) {}
        }
    })
}

/// Does the work for each call of an undisturbed execution and of a tick after it, on all cores.
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
