//! The contract of the ledger's two implementations. Random sequences of calls run on the simulated ledger and on the
//! DynamoDB client with moto's DynamoDB. After every step, both must have returned the same, and must contain the same.
//!
//! The calls come from two callers, who repeat calls and make late ones. moto has no concurrency, so transactions never
//! conflict there, and `Conflict` is not compared. moto does not delete expired items, so the times of expiry are
//! compared instead.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test reports errors by failing")]

mod sequence;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::join;

use crate::model::guarded_write::{GuardedWrite, Item as Place, Omission};
use crate::model::kept_metrics::KeptMetrics;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{EndReason, Lever, Lock, Run, RunStatus, TargetKey, TargetRecord};
use crate::ports::{Ledger, LedgerError, WriteOutcome};
use crate::testing::SimWorld;
use crate::testing::execution::block_on;
use crate::testing::samples::alarm_arn;

use super::AwsWorld;
use super::kept_metrics::{AWAITS_METRICS, read_metrics};
use super::moto::Moto;
use super::records::{Item, function_of, read_lever, read_lock, read_run, read_target, run_of};
use sequence::{Call, Sequence, Step, every_write};

/// The number of sequences in a test run.
const SEQUENCES: u64 = 2_000;
/// The number of servers that run sequences concurrently.
const SERVERS: usize = 2;

/// The complete content of a ledger.
#[derive(Debug, Default, PartialEq)]
struct Contents {
    runs: BTreeMap<RunId, Run>,
    targets: BTreeMap<(RunId, FunctionArn), TargetRecord>,
    locks: BTreeMap<FunctionArn, Lock>,
    active: BTreeSet<RunId>,
    alarms: BTreeSet<(String, RunId)>,
    kept_metrics: BTreeMap<RunId, KeptMetrics>,
    awaiting_metrics: BTreeSet<RunId>,
    lever: Option<Lever>,
    expiries: BTreeMap<Place, i64>,
    /// The items that are wrong, and why.
    damage: Vec<String>,
}

/// A ledger that must keep the contract.
trait Subject {
    /// The port.
    fn ledger(&self) -> &impl Ledger;
    /// Sends one guarded write.
    async fn send(&self, write: &GuardedWrite) -> Result<WriteOutcome, LedgerError>;
    /// Returns the complete content.
    fn contents(&self) -> Contents;
}

impl Subject for SimWorld {
    fn ledger(&self) -> &impl Ledger {
        self
    }

    async fn send(&self, write: &GuardedWrite) -> Result<WriteOutcome, LedgerError> {
        self.guarded(write.clone()).await
    }

    fn contents(&self) -> Contents {
        self.with(|state| Contents {
            runs: state.runs.clone(),
            targets: state.targets.clone(),
            locks: state.locks.clone(),
            active: state.active.iter().cloned().collect(),
            alarms: state
                .alarm_runs
                .iter()
                .flat_map(|(alarm, runs)| runs.iter().map(|run| (alarm.clone(), run.clone())))
                .collect(),
            kept_metrics: state.kept_metrics.clone(),
            awaiting_metrics: state.awaiting_metrics.iter().cloned().collect(),
            lever: state.lever.clone(),
            expiries: state.expiries.clone(),
            damage: Vec::new(),
        })
    }
}

impl Contents {
    /// Adds the entry of a run in the list with this `pk`.
    fn add_entry(&mut self, pk: &str, run: RunId) -> Place {
        match pk.strip_prefix("ALARM#") {
            Some(alarm) => {
                self.alarms.insert((alarm.to_owned(), run.clone()));
                Place::Alarm(alarm.to_owned(), run)
            }
            None if pk == AWAITS_METRICS => {
                self.awaiting_metrics.insert(run.clone());
                Place::AwaitsMetrics(run)
            }
            None => {
                self.active.insert(run.clone());
                Place::Active(run)
            }
        }
    }
}

/// The DynamoDB client, and moto with the table.
struct Table<'a> {
    world: AwsWorld,
    moto: &'a Moto,
}

impl Subject for Table<'_> {
    fn ledger(&self) -> &impl Ledger {
        &self.world
    }

    async fn send(&self, write: &GuardedWrite) -> Result<WriteOutcome, LedgerError> {
        self.world.guarded(write).await
    }

    fn contents(&self) -> Contents {
        let items = self.moto.items();
        let mut whole = Contents::default();
        let text = |item: &Item, name: &str| item[name].as_s().unwrap().clone();
        let body =
            |run: &RunId| items.iter().find(|item| text(item, "sk") == "BODY" && run_of(item).as_ref() == Some(run));
        for item in &items {
            let (pk, sk) = (text(item, "pk"), text(item, "sk"));
            let listed = || RunId::try_from(sk.strip_prefix("RUN#").unwrap()).unwrap();
            let place = match (pk.split_once('#'), sk.split('#').next()) {
                (Some(("RUN", _)), Some("RUN")) => {
                    let run = run_of(item).unwrap();
                    let body = body(&run).unwrap_or(item);
                    if item.get("expiresAt") != body.get("expiresAt") {
                        whole.damage.push(format!("the items of {run} expire at different times"));
                    }
                    match read_run(item, body) {
                        Ok(read) => drop(whole.runs.insert(run.clone(), read)),
                        Err(error) => whole.damage.push(format!("{run}: {error}")),
                    }
                    Place::Run(run)
                }
                (Some(("RUN", _)), Some("BODY")) => continue,
                (Some(("RUN", _)), Some("TARGET")) => {
                    let key = (run_of(item).unwrap(), function_of(item).unwrap());
                    match read_target(item) {
                        Ok(read) => drop(whole.targets.insert(key.clone(), read)),
                        Err(error) => whole.damage.push(format!("{key:?}: {error}")),
                    }
                    Place::Target(key.0, key.1)
                }
                (Some(("RUN", _)), Some("METRICS")) => {
                    let run = run_of(item).unwrap();
                    whole.kept_metrics.insert(run.clone(), read_metrics(item));
                    Place::Metrics(run)
                }
                (Some(("LOCK", function)), _) => {
                    let function = FunctionArn::try_from(function).unwrap();
                    match read_lock(item) {
                        Ok(read) => drop(whole.locks.insert(function.clone(), read)),
                        Err(error) => whole.damage.push(format!("{function}: {error}")),
                    }
                    Place::Lock(function)
                }
                (Some(_), _) | (None, Some("RUN")) => whole.add_entry(&pk, listed()),
                _ => {
                    whole.lever = Some(read_lever(item));
                    Place::Lever
                }
            };
            if let Some(at) = item.get("expiresAt") {
                whole.expiries.insert(place, at.as_n().unwrap().parse().unwrap());
            }
        }
        whole
    }
}

fn shown<T: Debug>(result: Result<T, LedgerError>) -> String {
    format!("{result:?}")
}

/// Makes a call, and returns its result as text.
async fn make(subject: &impl Subject, step: &Step) -> String {
    let (ledger, now) = (subject.ledger(), step.now);
    match &step.call {
        Call::CreateRun(run) => shown(ledger.create_run(run).await),
        Call::AddTargets(run, functions) => shown(ledger.add_targets(run, functions).await),
        Call::StartRun(run) => shown(ledger.start_run(run).await),
        Call::StopRun(run, reason) => shown(ledger.stop_run(run, reason, now).await),
        Call::BeginObserving(run, ends_at) => shown(ledger.begin_observing(run, *ends_at).await),
        Call::RecordFindings(run, findings) => shown(ledger.record_findings(run, findings).await),
        Call::CloseRun(run, status) => shown(ledger.close_run(run, *status, now).await),
        Call::RetireRun(run) => shown(ledger.retire_run(run, now).await),
        Call::KeepMetrics(run, metrics) => shown(ledger.keep_metrics(run, metrics, now).await),
        Call::EndKeeping(run) => shown(ledger.end_keeping(run).await),
        Call::TakeLock(run, function) => shown(ledger.take_lock(TargetKey::new(run, function)).await),
        Call::Arm(run, function, snapshot) => shown(ledger.arm(TargetKey::new(run, function), snapshot).await),
        Call::MarkRehearsed(run, function, planned) => {
            shown(ledger.mark_rehearsed(TargetKey::new(run, function), planned).await)
        }
        Call::BeginInject(run, function, planned, lease) => {
            shown(ledger.begin_inject(TargetKey::new(run, function), planned, lease, now).await)
        }
        Call::MarkInjected(run, function) => shown(ledger.mark_injected(TargetKey::new(run, function)).await),
        Call::BeginRestore(run, function, lease) => {
            shown(ledger.begin_restore(TargetKey::new(run, function), lease, now).await)
        }
        Call::ShortenLease(run, function, lease, until) => {
            shown(ledger.shorten_lease(TargetKey::new(run, function), lease, *until).await)
        }
        Call::EndTarget(ending) => shown(ledger.end_target(ending, now).await),
        Call::RecordRestoreError(run, function) => {
            shown(ledger.record_restore_error(TargetKey::new(run, function), "denied").await)
        }
        Call::RecordWaiting(run, function, why) => {
            shown(ledger.record_waiting(TargetKey::new(run, function), *why).await)
        }
        Call::RecordRemovedFaults(run, function, seen) => {
            shown(ledger.record_removed_faults(TargetKey::new(run, function), seen).await)
        }
        Call::RelistRun(run) => shown(ledger.relist_run(run).await),
        Call::SetLever(lever) => shown(ledger.set_lever(lever).await),
        Call::Late(write) => shown(subject.send(write).await),
        Call::Read(run, function) => {
            let mut text = shown(ledger.run(run).await);
            text += &shown(ledger.targets(run).await);
            text += &shown(ledger.target(TargetKey::new(run, function)).await);
            text += &shown(ledger.active_runs().await);
            text += &shown(ledger.unlisted_runs().await);
            text += &shown(ledger.all_runs().await);
            text += &shown(ledger.runs_of_alarm(&alarm_arn("errors")).await);
            text += &shown(ledger.runs_awaiting_metrics().await);
            text += &shown(ledger.kept_metrics(run).await);
            text += &shown(ledger.lock(function).await);
            text + &shown(ledger.lever().await)
        }
    }
}

/// A step, with its result and the content of the simulated ledger after it.
struct Played {
    step: Step,
    result: String,
    contents: Contents,
}

/// Plays the sequence of a seed on the simulated ledger.
fn reference(seed: u64) -> Vec<Played> {
    let world = SimWorld::default();
    let mut sequence = Sequence::new(seed);
    let mut played = Vec::new();
    while let Some(step) = world.with(|state| sequence.next(state)) {
        let result = block_on(make(&world, &step));
        let contents = world.contents();
        played.push(Played { step, result, contents });
    }
    played
}

/// Returns the first step after which a ledger returns or contains something else than the simulated one.
async fn difference(subject: &impl Subject, reference: &[Played]) -> Option<String> {
    for (at, Played { step, result, contents }) in reference.iter().enumerate() {
        let (other_result, other) = (make(subject, step).await, subject.contents());
        if *result != other_result {
            return Some(format!("step {at}: {step:?}\n  the simulation returns {result}\n  the other {other_result}"));
        }
        if *contents != other {
            let differing = differing_lines(&format!("{contents:#?}"), &format!("{other:#?}"));
            return Some(format!("step {at}: {step:?}\n  their contents differ:\n{differing}"));
        }
    }
    None
}

/// Returns the lines that only one of two texts has.
fn differing_lines(simulation: &str, other: &str) -> String {
    let only = |sign: char, lines: &str, others: &str| -> String {
        let others: BTreeSet<&str> = others.lines().collect();
        lines.lines().filter(|line| !others.contains(line)).map(|line| format!("{sign}{line}\n")).collect()
    };
    only('-', simulation, other) + &only('+', other, simulation)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Returns the seeds to play. `CONTRACT_SEED` names one, to repeat a failure.
fn seeds() -> std::ops::Range<u64> {
    match std::env::var("CONTRACT_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 0..SEQUENCES,
    }
}

#[test]
fn the_table_and_the_simulated_ledger_keep_one_contract() {
    let seeds = seeds();
    let next = AtomicU64::new(seeds.start);
    let play = || {
        let (moto, runtime) = (Moto::start(), runtime());
        let table = Table { world: moto.world(), moto: &moto };
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            moto.clear();
            let found = runtime.block_on(difference(&table, &reference(seed)));
            assert_eq!(found, None, "repeat it with CONTRACT_SEED={seed}");
        }
    };
    std::thread::scope(|scope| (0..SERVERS).for_each(|_| drop(scope.spawn(play))));
}

/// The update of a rollback meets no run, and `Prepare` writes it before the rollback reads: the run that it finds is not stopped.
#[test]
fn a_rollback_that_meets_a_new_run_is_repeated() {
    let (moto, runtime) = (Moto::start(), runtime());
    let world = moto.world();
    let created = |played: Played| if let Call::CreateRun(run) = played.step.call { Some(run) } else { None };
    let runs = (0..200).filter_map(|seed| reference(seed).into_iter().find_map(created));
    let met = runs.take(20).filter(|run| {
        moto.clear();
        let ending = EndReason::UserRequest.into();
        let both = join(world.stop_run(&run.id, &ending, run.created_at), world.create_run(run));
        match runtime.block_on(both).0 {
            Ok(stopped) => assert!(!stopped.status.may_become(RunStatus::Stopping), "{stopped:?}"),
            Err(error) => assert_eq!(error, LedgerError::Conflict, "the call is repeated"),
        }
        runtime.block_on(world.run(&run.id)).unwrap().unwrap().status == RunStatus::Pending
    });
    assert!(met.count() > 0, "no rollback met a run that was being written");
}

/// Leaves each condition and each effect of every guarded write out of the DynamoDB client once. A sequence must detect
/// each.
#[test]
fn every_part_of_every_guarded_write_is_needed() {
    let omissions: Vec<Omission> = every_write().iter().flat_map(GuardedWrite::omissions).collect();
    assert!(omissions.len() > 60, "{}", omissions.len());
    let references: Vec<Vec<Played>> = (0..SEQUENCES).map(reference).collect();
    let (moto, runtime) = (Moto::start(), runtime());
    let mut missed = Vec::new();
    for omission in omissions {
        let found = |table: &Table<'_>, seed: usize| {
            moto.clear();
            runtime.block_on(difference(table, &references[seed])).is_some()
        };
        let table = Table { world: AwsWorld { omission: Some(omission), ..moto.world() }, moto: &moto };
        let seeds = likely(omission, &references);
        if !seeds.into_iter().any(|seed| found(&table, seed)) {
            missed.push(omission);
        }
    }
    assert_eq!(missed, []);
}

/// Returns sequences in which the same omission changes the simulated ledger, or the first sequences if there are none.
fn likely(omission: Omission, references: &[Vec<Played>]) -> Vec<usize> {
    let shows = |seed: &usize| {
        let world = SimWorld::default();
        world.with(|state| state.omission = Some(omission));
        block_on(difference(&world, &references[*seed])).is_some()
    };
    let likely: Vec<usize> = (0..references.len()).filter(shows).take(2).collect();
    if likely.is_empty() { (0..200).collect() } else { likely }
}
