//! The simulated world: the ports in memory, in virtual time.
//!
//! Nothing here really sleeps, every call is counted, and a test can make any call fail. Calls have the names of the
//! AWS calls that the real ports make in their place.

pub mod calls;
mod cores;
pub mod crash;
pub mod dice;
pub mod drive;
pub mod execution;
mod functions;
mod guarded_write;
pub mod history;
mod lambda_writes;
mod ledger;
mod mappings;
pub mod network;
pub mod outbox;
mod rates;
mod reads;
pub mod reports;
pub mod samples;
pub mod schedule;
mod sim_function;
pub mod state_machine;
pub mod worker;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::model::facts::{AlarmFact, LayerFact};
use crate::model::guarded_write::{Item, Omission};
use crate::model::kept_metrics::KeptMetrics;
use crate::model::names::{AlarmName, FunctionArn, LayerVersionArn, MappingId, RunId};
use crate::model::run::{Lever, Lock, Run, TargetRecord};
use crate::model::snapshot::Write;
use crate::model::steady_state::Metric;
use crate::model::time::{Time, whole_milliseconds};
use crate::ports::{AlarmError, Alarms, Clock, Executions, Stack};
use crate::steps::READ_ATTEMPTS;
use crate::steps::steady_state::MAX_METRIC_DELAY;

pub use mappings::{Orphans, SimMapping};
pub use rates::Rates;
pub use sim_function::SimFunction;

use calls::CallKind;
use drive::Drive;
use network::CrashPoint;

/// The time at which simulated time begins: 2026-06-01.
pub const BEGINNING: Time = Time(1_780_272_000_000);

/// A world in memory.
#[derive(Debug, Default)]
pub struct SimWorld {
    state: Mutex<State>,
    random: AtomicU64,
    sleepers: AtomicU64,
}

/// The state of a world. Tests read it, and change it in the part of users and deploys.
#[derive(Debug, Default)]
pub struct State {
    /// The time since [`BEGINNING`], in milliseconds.
    pub elapsed: i64,
    /// The functions.
    pub functions: BTreeMap<FunctionArn, SimFunction>,
    /// The event source mappings, which are separate resources.
    pub mappings: BTreeMap<MappingId, SimMapping>,
    /// What Lambda does when asked to enable a mapping of a deleted function.
    pub orphans: Orphans,
    /// The layer versions that exist.
    pub layers: BTreeMap<LayerVersionArn, LayerFact>,
    /// The alarms by name, and whether each is in ALARM.
    pub alarms: BTreeMap<String, bool>,
    /// The value that each metric has in every period, by name.
    pub metrics: BTreeMap<String, f64>,
    /// The errors of metrics that CloudWatch cannot compute, by name.
    pub metric_errors: BTreeMap<String, AlarmError>,
    /// The invocations of the functions that metrics show.
    pub traffic: Traffic,
    /// Whether calls to Step Functions fail.
    pub executions_unreadable: bool,
    /// The role of the worker that makes the next call, if it has one.
    pub role: Option<worker::Role>,
    /// The roles that may use neither the key that encrypts the environments nor any layer.
    pub without_rights: Vec<worker::Role>,
    /// The executions that are no longer running.
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
    /// The runs whose metrics are still to be kept.
    pub awaiting_metrics: Vec<RunId>,
    /// The metrics that are kept.
    pub kept_metrics: BTreeMap<RunId, KeptMetrics>,
    /// The pages in the bucket for reports, by key; `None` for a stack without one.
    pub reports: Option<BTreeMap<String, String>>,
    /// Why S3 refuses pages, if it does.
    pub reports_refused: Option<String>,
    /// The lever.
    pub lever: Option<Lever>,
    /// The notices about the writes to the ledger.
    pub outbox: outbox::Outbox,
    /// When each item of the ledger expires, in seconds since 1970.
    pub expiries: BTreeMap<Item, i64>,
    /// The part of a guarded write that this ledger leaves out, to prove that a test detects it.
    pub omission: Option<Omission>,
    /// The names of all calls, in order.
    pub calls: Vec<String>,
    /// How often a call was sent while none was in flight: the sequential round trips of a single task.
    pub round_trips: u64,
    /// How many calls are in flight.
    pub in_flight: u64,
    /// The ledger's methods that were called.
    pub ledger_methods: BTreeSet<&'static str>,
    /// When each sleeper wakes up, in elapsed milliseconds.
    asleep: BTreeMap<u64, i64>,
    /// The sleepers that were polled in vain since the last event, and those that were polled in vain twice.
    polled_in_vain: [BTreeSet<u64>; 2],
    /// The writes that Lambda accepted, in order.
    pub writes: Vec<(FunctionArn, Write)>,
    /// How many calls the runner makes before it crashes; `None` if it does not crash.
    pub calls_before_crash: Option<u64>,
    /// What happens around the call after those.
    pub crash_point: CrashPoint,
    /// The crashes after that one, each with the number of calls before it.
    crashes: VecDeque<(u64, CrashPoint)>,
    /// Whether the last crash was around a call that changes a function, and that was sent.
    pub crashed_at_write: bool,
    /// The failures of the next calls of these names, one per call.
    pub call_failures: Vec<(&'static str, CallFailure)>,
    /// How stale a read of a function may be. Each read shows a time between then and now.
    pub staleness: Duration,
    /// Lambda's rates, if it enforces them.
    pub rates: Option<Rates>,
    /// How many of the next ledger transactions conflict with another one.
    pub conflicts: u64,
    /// The account's concurrency, and how much of it must stay unreserved; `None` for more than any test needs.
    pub pool: Option<(u32, u32)>,
    /// In a history, what drives it.
    pub drive: Option<Drive>,
}

/// The invocations of the functions that metrics show.
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// Invocations of each function per minute.
    pub per_minute: f64,
    /// Whether the invocations meet the faults inside invocations.
    pub meets_faults: bool,
}

impl Default for Traffic {
    fn default() -> Self {
        Self { per_minute: 60.0, meets_faults: true }
    }
}

/// A failure of a call to Lambda.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// The call lands, and the response is lost.
    ResponseLost,
    /// The call does not land, and no response comes.
    Lost,
    /// The call lands this much later, and no response comes.
    LandsLate(Duration),
    /// Lambda refuses: access denied.
    Denied,
    /// Lambda refuses: another update is in progress.
    Busy,
    /// Lambda throttles the call.
    Throttled,
}

impl SimWorld {
    /// Reads or changes the state from outside.
    ///
    /// # Panics
    /// If a test has panicked while it held the state.
    pub fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        #[allow(clippy::unwrap_used, reason = "a poisoned lock is a test that has failed already")]
        let mut state = self.state.lock().unwrap();
        act(&mut state)
    }

    /// Runs a task with the rights of its role. Other tasks can run concurrently with theirs.
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

    /// Advances the simulated time.
    pub fn advance(&self, span: Duration) {
        self.with(|state| state.advance(whole_milliseconds(span)));
    }

    async fn pause(&self, milliseconds: u64) {
        Clock::sleep(self, Duration::from_millis(milliseconds)).await;
    }

    /// Returns how often a call was made.
    pub fn count(&self, name: &str) -> usize {
        self.with(|state| state.calls.iter().filter(|call| *call == name).count())
    }
}

impl State {
    /// Returns the simulated time.
    #[must_use]
    pub fn now(&self) -> Time {
        Time(BEGINNING.0 + self.elapsed)
    }

    /// Chooses the time that the next read shows. Outside of a history, the same calls always get the same times.
    fn choose_read_time(&mut self) -> Time {
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
        // Tests with rates have many functions. Only stale reads need their past, so it is not recorded without them.
        if self.rates.is_none() || !self.staleness.is_zero() {
            self.functions.values_mut().for_each(|function| function.record_past(before, driven));
            self.record_mappings_past(before);
        }
        let until = self.elapsed + milliseconds;
        self.land_until(until);
        self.elapsed = until;
        self.polled_in_vain = Default::default();
        let now = self.now();
        self.advance_lambda(now);
    }

    /// Whether the role of the next call may read neither environments nor layers.
    fn lacks_rights(&self) -> bool {
        self.role.is_some_and(|role| self.without_rights.contains(&role))
    }

    /// Returns a metric's periods. Each has the same value, except that a recent sum has only half of it yet.
    fn metric_periods(&self, metric: &Metric, from: Time, until: Time) -> Result<Vec<(Time, f64)>, AlarmError> {
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
        Ok(ends.map(|end| (Time(end - period), if is_growing(end) { value / 2.0 } else { value })).collect())
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

/// A sleep until a simulated time.
///
/// Time advances to the end of the earliest sleep when every sleeper was polled in vain twice and no call is in flight.
/// Twice, because a new task stands behind the sleepers in its executor's queue, and may not have been polled in the
/// first round.
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
            let polled_before = !state.polled_in_vain[0].insert(self.sleeper);
            if polled_before {
                state.polled_in_vain[1].insert(self.sleeper);
            }
            if state.in_flight == 0 && state.polled_in_vain[1].len() == state.asleep.len() {
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
            state.polled_in_vain = Default::default();
        });
    }
}

/// Yields to other tasks once.
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

    async fn periods(&self, metrics: &[Metric], from: Time, until: Time) -> Result<Vec<Vec<(Time, f64)>>, AlarmError> {
        let metrics = metrics.to_vec();
        self.exchange(CallKind::Alarms, "GetMetricData", move |state| {
            metrics.iter().map(|metric| state.metric_periods(metric, from, until)).collect()
        })
        .await
    }
}

impl Executions for SimWorld {
    /// No step retries this call, so it is attempted here as often as AWS's client attempts it.
    async fn is_running(&self, execution_arn: &str) -> Result<bool, String> {
        for attempt in 1..READ_ATTEMPTS {
            let response = self.describe_execution(execution_arn).await;
            if response.is_ok() {
                return response;
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
            true => Err("Step Functions is unavailable".to_owned()),
            false => Ok(!state.dead_executions.contains(&arn)),
        })
        .await
    }
}
