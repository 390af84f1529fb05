//! The ledger's contract: random sequences of its operations, by two callers who repeat themselves and come late, played
//! on the simulated world and on the table's client before moto's DynamoDB. After every step the answers must be the same,
//! and so must everything that the ledger holds.
//!
//! moto is one process without any concurrency: transactions never meet there, so that `Conflict` is not compared. It
//! deletes nothing that has expired; when an item expires is compared instead.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what went wrong by failing")]

mod sequence;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::guarded_write::{GuardedWrite, Item as Place, Omission};
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{Lever, Lock, Run, TargetKey, TargetRecord};
use crate::ports::{Ledger, LedgerError, WriteOutcome};
use crate::testing::SimWorld;
use crate::testing::execution::block_on;
use crate::testing::samples::alarm_arn;

use super::AwsWorld;
use super::moto::Moto;
use super::records::{Item, function_of, read_lever, read_lock, read_run, read_target, run_of};
use sequence::{Call, Sequence, Step, every_write};

/// Sequences that every test run plays.
const SEQUENCES: u64 = 2_000;
/// Servers that play them side by side.
const SERVERS: usize = 2;

/// Everything that a ledger holds.
#[derive(Debug, Default, PartialEq)]
struct Whole {
    runs: BTreeMap<RunId, Run>,
    targets: BTreeMap<(RunId, FunctionArn), TargetRecord>,
    locks: BTreeMap<FunctionArn, Lock>,
    active: BTreeSet<RunId>,
    alarms: BTreeSet<(String, RunId)>,
    lever: Option<Lever>,
    expiries: BTreeMap<Place, i64>,
    /// What is wrong with its items.
    damage: Vec<String>,
}

/// A ledger that the contract is played on.
trait Subject {
    /// The port.
    fn ledger(&self) -> &impl Ledger;
    /// Sends one write by itself.
    async fn send(&self, write: &GuardedWrite) -> Result<WriteOutcome, LedgerError>;
    /// Everything that it holds.
    fn whole(&self) -> Whole;
}

impl Subject for SimWorld {
    fn ledger(&self) -> &impl Ledger {
        self
    }

    async fn send(&self, write: &GuardedWrite) -> Result<WriteOutcome, LedgerError> {
        self.guarded(write.clone()).await
    }

    fn whole(&self) -> Whole {
        self.with(|state| Whole {
            runs: state.runs.clone(),
            targets: state.targets.clone(),
            locks: state.locks.clone(),
            active: state.active.iter().cloned().collect(),
            alarms: state
                .alarm_runs
                .iter()
                .flat_map(|(alarm, runs)| runs.iter().map(|run| (alarm.clone(), run.clone())))
                .collect(),
            lever: state.lever.clone(),
            expiries: state.expiries.clone(),
            damage: Vec::new(),
        })
    }
}

/// The table's client, and the table itself.
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

    fn whole(&self) -> Whole {
        let items = self.moto.items();
        let mut whole = Whole::default();
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
                        whole.damage.push(format!("{run} does not expire as a whole"));
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
                (Some(("LOCK", function)), _) => {
                    let function = FunctionArn::try_from(function).unwrap();
                    match read_lock(item) {
                        Ok(read) => drop(whole.locks.insert(function.clone(), read)),
                        Err(error) => whole.damage.push(format!("{function}: {error}")),
                    }
                    Place::Lock(function)
                }
                (Some(("ALARM", alarm)), _) => {
                    whole.alarms.insert((alarm.to_owned(), listed()));
                    Place::Alarm(alarm.to_owned(), listed())
                }
                _ if pk == "ACTIVE" => {
                    whole.active.insert(listed());
                    Place::Active(listed())
                }
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

fn shown<T: Debug>(answer: Result<T, LedgerError>) -> String {
    format!("{answer:?}")
}

/// Makes a call, and shows what is answered.
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
        Call::TakeLock(run, function) => shown(ledger.take_lock(TargetKey::new(run, function)).await),
        Call::Arm(run, function, snapshot) => shown(ledger.arm(TargetKey::new(run, function), snapshot).await),
        Call::MarkRehearsed(run, function, planned) => {
            shown(ledger.mark_rehearsed(TargetKey::new(run, function), planned).await)
        }
        Call::BeginInject(run, function, planned, lease) => {
            shown(ledger.begin_inject(TargetKey::new(run, function), planned, lease, now).await)
        }
        Call::Injected(run, function) => shown(ledger.mark_injected(TargetKey::new(run, function)).await),
        Call::BeginRestore(run, function, lease) => {
            shown(ledger.begin_restore(TargetKey::new(run, function), lease, now).await)
        }
        Call::Settle(run, function, lease, until) => {
            shown(ledger.shorten_lease(TargetKey::new(run, function), lease, *until).await)
        }
        Call::Finish(ending) => shown(ledger.end_target(ending, now).await),
        Call::RestoreFailed(run, function) => {
            shown(ledger.record_restore_error(TargetKey::new(run, function), "denied").await)
        }
        Call::Waiting(run, function, why) => shown(ledger.record_waiting(TargetKey::new(run, function), *why).await),
        Call::RemovedFaults(run, function, seen) => {
            shown(ledger.record_removed_faults(TargetKey::new(run, function), seen).await)
        }
        Call::SetLever(lever) => shown(ledger.set_lever(lever).await),
        Call::Late(write) => shown(subject.send(write).await),
        Call::Read(run, function) => {
            let mut text = shown(ledger.run(run).await);
            text += &shown(ledger.targets(run).await);
            text += &shown(ledger.target(TargetKey::new(run, function)).await);
            text += &shown(ledger.active_runs().await);
            text += &shown(ledger.all_runs().await);
            text += &shown(ledger.runs_of_alarm(&alarm_arn("errors")).await);
            text += &shown(ledger.lock(function).await);
            text + &shown(ledger.lever().await)
        }
    }
}

/// A step, and what the simulated world made of it.
struct Played {
    step: Step,
    answer: String,
    whole: Whole,
}

/// The sequence of a seed, as the simulated world plays it.
fn reference(seed: u64) -> Vec<Played> {
    let world = SimWorld::default();
    let mut sequence = Sequence::new(seed);
    let mut played = Vec::new();
    while let Some(step) = world.with(|state| sequence.next(state)) {
        let answer = block_on(make(&world, &step));
        let whole = world.whole();
        played.push(Played { step, answer, whole });
    }
    played
}

/// The first step at which a ledger answers, or holds, something else than the simulated one.
async fn difference(subject: &impl Subject, reference: &[Played]) -> Option<String> {
    for (at, Played { step, answer, whole }) in reference.iter().enumerate() {
        let (other_answer, other) = (make(subject, step).await, subject.whole());
        if *answer != other_answer {
            return Some(format!("step {at}: {step:?}\n  the simulation answers {answer}\n  the other {other_answer}"));
        }
        if *whole != other {
            let differing = differing_lines(&format!("{whole:#?}"), &format!("{other:#?}"));
            return Some(format!("step {at}: {step:?}\n  they hold different things:\n{differing}"));
        }
    }
    None
}

/// The lines that only one of two texts has.
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

/// The seed to begin with: one that is given repeats a failure.
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
            assert_eq!(found, None, "again with CONTRACT_SEED={seed}");
        }
    };
    std::thread::scope(|scope| (0..SERVERS).for_each(|_| drop(scope.spawn(play))));
}

/// Each condition and each effect of every guarded write is left out once, of the table's client, and a sequence finds it.
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

/// The sequences in which the same omission makes a difference to the simulated world; without any, the first ones.
fn likely(omission: Omission, references: &[Vec<Played>]) -> Vec<usize> {
    let shows = |seed: &usize| {
        let world = SimWorld::default();
        world.with(|state| state.omission = Some(omission));
        block_on(difference(&world, &references[*seed])).is_some()
    };
    let likely: Vec<usize> = (0..references.len()).filter(shows).take(2).collect();
    if likely.is_empty() { (0..200).collect() } else { likely }
}
