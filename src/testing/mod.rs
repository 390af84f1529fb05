//! The simulated world: the ports in memory, with virtual time, no sleeping, and every call counted.

pub mod calls;
mod cores;
pub mod crash;
pub mod dice;
pub mod drive;
pub mod execution;
mod functions;
mod guarded_write;
pub mod history;
mod ledger;
mod looks;
mod mappings;
pub mod network;
mod rates;
pub mod samples;
pub mod schedule;
pub mod state_machine;
pub mod worker;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::model::facts::{AlarmFact, LayerFact};
use crate::model::guarded_write::{Item, Omission};
use crate::model::names::{AlarmName, FunctionArn, LayerVersionArn, MappingId, RunId};
use crate::model::run::{Lever, Lock, Run, TargetRecord};
use crate::model::snapshot::Write;
use crate::model::steady_state::Metric;
use crate::model::time::{Time, whole_milliseconds};
use crate::ports::{AlarmError, Alarms, Clock, Executions, Stack};
use crate::steps::READ_ATTEMPTS;
use crate::steps::steady_state::MAX_METRIC_DELAY;

pub use functions::SimFunction;
pub use mappings::{Orphans, SimMapping};
pub use rates::Rates;

use calls::CallKind;
use drive::Drive;
use network::CrashPoint;

/// When simulated time begins: 2026-06-01, in milliseconds.
pub const BEGINNING: Time = Time(1_780_272_000_000);

/// A world in memory. Calls are counted under the names of the AWS calls that the real world makes for them.
#[derive(Debug, Default)]
pub struct SimWorld {
    state: Mutex<State>,
    random: AtomicU64,
    sleepers: AtomicU64,
}

/// Everything in it. Tests read it, and change it as other people would.
#[derive(Debug, Default)]
pub struct State {
    /// Milliseconds since [`BEGINNING`].
    pub elapsed: i64,
    /// The functions.
    pub functions: BTreeMap<FunctionArn, SimFunction>,
    /// The event source mappings, of which each has a life of its own.
    pub mappings: BTreeMap<MappingId, SimMapping>,
    /// What Lambda does with a mapping whose function is gone.
    pub orphans: Orphans,
    /// Layer versions; what is not here does not exist.
    pub layers: BTreeMap<LayerVersionArn, LayerFact>,
    /// Alarms by name, and whether each is in ALARM.
    pub alarms: BTreeMap<String, bool>,
    /// The value of each metric, by name, in every period.
    pub metrics: BTreeMap<String, f64>,
    /// Metrics that CloudWatch cannot compute, by name.
    pub metric_errors: BTreeMap<String, AlarmError>,
    /// What invokes the functions, as far as metrics show it.
    pub traffic: Traffic,
    /// Whether Step Functions is out of reach.
    pub executions_unreadable: bool,
    /// The role that makes the next call, where a task says so.
    pub role: Option<worker::Role>,
    /// Roles that have no right on the key that the environments are encrypted with, nor on any layer.
    pub without_rights: Vec<worker::Role>,
    /// Executions that are no longer running.
    pub dead_executions: Vec<String>,
    /// The runs.
    pub runs: BTreeMap<RunId, Run>,
    /// The runs whose record cannot be read.
    pub unreadable: BTreeSet<RunId>,
    /// The targets whose record cannot be read.
    pub unreadable_targets: BTreeSet<(RunId, FunctionArn)>,
    /// The targets.
    pub targets: BTreeMap<(RunId, FunctionArn), TargetRecord>,
    /// The locks.
    pub locks: BTreeMap<FunctionArn, Lock>,
    /// The runs of each alarm, by ARN.
    pub alarm_runs: BTreeMap<String, Vec<RunId>>,
    /// The runs that are not retired.
    pub active: Vec<RunId>,
    /// The lever.
    pub lever: Option<Lever>,
    /// When an item of the ledger expires, in seconds since 1970.
    pub expiries: BTreeMap<Item, i64>,
    /// The part of a guarded write that this ledger leaves out, to see whether anybody notices.
    pub omission: Option<Omission>,
    /// Every call that was made, in order.
    pub calls: Vec<String>,
    /// How often a call was sent while none was under way: the sequential round trips of a single task.
    pub round_trips: u64,
    /// Calls that were sent and are not answered.
    pub under_way: u64,
    /// The ledger's methods that were called.
    pub ledger_methods: BTreeSet<&'static str>,
    /// Until when each sleeper sleeps.
    asleep: BTreeMap<u64, i64>,
    /// The sleepers that were asked in vain since something has happened, and those that were asked again.
    asked: [BTreeSet<u64>; 2],
    /// Every write that Lambda took, in order.
    pub writes: Vec<(FunctionArn, Write)>,
    /// How many further calls the runner lives to make; `None` is for ever.
    pub calls_before_crash: Option<u64>,
    /// How it ends: around the call after those.
    pub crash_point: CrashPoint,
    /// The cuts after that one, each so many calls later.
    crashes: VecDeque<(u64, CrashPoint)>,
    /// Whether the last cut was around a call that changes a function, and that was sent.
    pub crashed_at_write: bool,
    /// What the next calls of these names are answered instead, one answer a call.
    pub call_failures: Vec<(&'static str, CallFailure)>,
    /// For how long a read of a function may miss what has landed: each is of a moment between then and now.
    pub staleness: Duration,
    /// Lambda's rates, where it keeps to them.
    pub rates: Option<Rates>,
    /// Ledger transactions that still meet another one.
    pub conflicts: u64,
    /// What is left of the account's concurrency to reserve, and how much of it must stay unreserved; `None` is plenty.
    pub pool: Option<(u32, u32)>,
    /// In a history, the world lives by a schedule.
    pub drive: Option<Drive>,
}

/// What invokes the functions, as far as metrics show it.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// Invocations of each function in a minute.
    pub per_minute: f64,
    /// Whether faults inside invocations are injected into them.
    pub meets_faults: bool,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { per_minute: 60.0, meets_faults: true }
    }
}

/// What can go wrong with a call to Lambda.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// It lands, and the answer is lost.
    ResponseLost,
    /// It does not land, and nobody says so.
    Lost,
    /// It lands this much later, and nobody says so.
    LandsLate(Duration),
    /// Refused: access denied.
    Denied,
    /// Refused: busy.
    Busy,
    /// Refused: throttled.
    Throttled,
}

impl SimWorld {
    /// Looks at the world, or changes it from outside.
    ///
    /// # Panics
    /// When a test has panicked while it held the world.
    pub fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        #[allow(clippy::unwrap_used, reason = "a poisoned lock is a test that has failed already")]
        let mut state = self.state.lock().unwrap();
        act(&mut state)
    }

    /// Carries a task out under the rights of its role, whatever else goes on meanwhile.
    pub async fn under<F: Future>(&self, role: worker::Role, task: F) -> F::Output {
        let mut task = std::pin::pin!(task);
        std::future::poll_fn(|context| {
            let other = self.with(|state| state.role.replace(role));
            let polled = task.as_mut().poll(context);
            self.with(|state| state.role = other);
            polled
        })
        .await
    }

    /// Lets time pass.
    pub fn pass(&self, seconds: i64) {
        self.with(|state| state.advance(seconds * 1000));
    }

    async fn pause(&self, milliseconds: u64) {
        Clock::sleep(self, Duration::from_millis(milliseconds)).await;
    }

    /// How often a call was made.
    pub fn count(&self, name: &str) -> usize {
        self.with(|state| state.calls.iter().filter(|call| *call == name).count())
    }
}

impl State {
    /// The simulated time.
    #[must_use]
    pub fn now(&self) -> Time {
        Time(BEGINNING.0 + self.elapsed)
    }

    /// The moment of which the next read is: any within the staleness, but always the same ones.
    fn read_at(&mut self) -> Time {
        let (staleness_ms, turn) = (whole_milliseconds(self.staleness), self.calls.len() as i64 * 7919);
        let age = match &mut self.drive {
            Some(drive) => match drive.dice.percent(drive.stale_percent) {
                true => drive.dice.between(0, staleness_ms),
                false => 0,
            },
            None => turn % (staleness_ms + 1),
        };
        Time(self.now().0 - age)
    }

    fn advance(&mut self, milliseconds: i64) {
        let (before, driven) = (self.now(), self.drive.is_some());
        // Nobody looks at the past of the many functions that rates are for, unless reads are stale.
        if self.rates.is_none() || !self.staleness.is_zero() {
            self.functions.values_mut().for_each(|function| function.remember(before, driven));
            self.remember_mappings(before);
        }
        let until = self.elapsed + milliseconds;
        self.land_until(until);
        self.elapsed = until;
        self.asked = Default::default();
        let now = self.now();
        self.catch_up(now);
    }

    /// Whether the caller may read neither environments nor layers.
    fn is_without_rights(&self) -> bool {
        self.role.is_some_and(|role| self.without_rights.contains(&role))
    }

    /// A metric's values: the same in each period, but for one that is not complete yet, of which half has come in.
    fn metric(&self, metric: &Metric, from: Time, until: Time) -> Result<Vec<f64>, AlarmError> {
        if let Some(error) = self.metric_errors.get(&metric.name) {
            return Err(error.clone());
        }
        let period = whole_milliseconds(metric.period.get());
        let traffic = self.traffic.per_minute * (period as f64) / 60_000.0;
        let value = match (self.metrics.get(&metric.name), metric.name.as_str()) {
            (Some(value), _) => *value,
            (None, "Invocations") if traffic > 0.0 => traffic,
            (None, "InjectedFaults") if traffic > 0.0 && self.traffic.meets_faults => traffic,
            _ => return Ok(Vec::new()),
        };
        let is_growing = |end: i64| metric.statistic.as_str() == "Sum" && end > (self.now() - MAX_METRIC_DELAY).0;
        let ends = (1..=(until.0 - from.0) / period).rev().map(|count| from.0 + count * period);
        Ok(ends.map(|end| if is_growing(end) { value / 2.0 } else { value }).collect())
    }

    fn take_failure(&mut self, call: &str) -> Option<CallFailure> {
        let at = self.call_failures.iter().position(|(name, _)| *name == call)?;
        Some(self.call_failures.remove(at).1)
    }
}

impl Stack for SimWorld {
    fn prefix(&self) -> Option<&str> {
        Some(samples::PREFIX)
    }
}

impl Clock for SimWorld {
    fn now(&self) -> Time {
        self.with(|state| state.now())
    }

    async fn sleep(&self, span: Duration) {
        let sleeper = self.sleepers.fetch_add(1, Ordering::Relaxed);
        self.with(|state| {
            let until = state.elapsed.saturating_add(whole_milliseconds(span));
            state.asleep.insert(sleeper, until);
        });
        Sleep { world: self, sleeper }.await;
    }

    fn random(&self) -> u64 {
        self.random.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Sleeping, until the time has come. Time is everybody's: it moves on to the earliest sleeper's end when all have been
/// asked in vain twice and no call is under way. Twice, for what has just begun stands behind the sleepers in its
/// executor's queue: after one round it may not have been asked at all.
struct Sleep<'a> {
    world: &'a SimWorld,
    sleeper: u64,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        self.world.with(|state| {
            if state.asleep.get(&self.sleeper).is_none_or(|until| *until <= state.elapsed) {
                return std::task::Poll::Ready(());
            }
            if let Some(until) = state.asleep.get(&self.sleeper).copied()
                && let Some(drive) = &mut state.drive
            {
                drive.timers.insert((until, self.sleeper), context.waker().clone());
                return std::task::Poll::Pending;
            }
            let asked_before = !state.asked[0].insert(self.sleeper);
            if asked_before {
                state.asked[1].insert(self.sleeper);
            }
            if state.under_way == 0 && state.asked[1].len() == state.asleep.len() {
                let next = state.asleep.values().min().copied().unwrap_or(state.elapsed);
                state.advance((next - state.elapsed).max(0));
            }
            context.waker().wake_by_ref();
            std::task::Poll::Pending
        })
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        self.world.with(|state| {
            let until = state.asleep.remove(&self.sleeper);
            if let Some((drive, until)) = state.drive.as_mut().zip(until) {
                drive.timers.remove(&(until, self.sleeper));
            }
            state.asked = Default::default();
        });
    }
}

/// Gives way to other tasks once.
struct Yield(bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        if self.0 {
            return std::task::Poll::Ready(());
        }
        self.0 = true;
        context.waker().wake_by_ref();
        std::task::Poll::Pending
    }
}

impl Alarms for SimWorld {
    async fn alarms(&self, names: &[AlarmName]) -> Result<Vec<Option<AlarmFact>>, AlarmError> {
        let names = names.to_vec();
        self.exchange(CallKind::Alarms, "DescribeAlarms", move |state| {
            let fact = |name: &AlarmName| {
                let in_alarm = *state.alarms.get(name.name())?;
                Some(AlarmFact { arn: samples::alarm_arn(name.name()), in_alarm })
            };
            Ok(names.iter().map(fact).collect())
        })
        .await
    }

    async fn metrics(&self, metrics: &[Metric], from: Time, until: Time) -> Result<Vec<Vec<f64>>, AlarmError> {
        let metrics = metrics.to_vec();
        self.exchange(CallKind::Alarms, "GetMetricData", move |state| {
            metrics.iter().map(|metric| state.metric(metric, from, until)).collect()
        })
        .await
    }
}

impl Executions for SimWorld {
    /// No step repeats this call, so it is attempted here as often as AWS's client attempts it.
    async fn is_running(&self, execution_arn: &str) -> Result<bool, String> {
        for attempt in 1..READ_ATTEMPTS {
            let answer = self.describe_execution(execution_arn).await;
            if answer.is_ok() {
                return answer;
            }
            self.pause(Clock::random(self) % (1000 << (attempt - 1))).await;
        }
        self.describe_execution(execution_arn).await
    }
}

impl SimWorld {
    async fn describe_execution(&self, execution_arn: &str) -> Result<bool, String> {
        let arn = execution_arn.to_owned();
        self.exchange(CallKind::Executions, "DescribeExecution", move |state| match state.executions_unreadable {
            true => Err("Step Functions is out of reach".to_owned()),
            false => Ok(!state.dead_executions.contains(&arn)),
        })
        .await
    }
}
