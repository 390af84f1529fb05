//! The drive of a history: one seed determines how long each call takes, and whether it is lost, refused or lands late.
//!
//! A call that is in flight when its caller dies may still land.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::Duration;

use crate::model::function::Observation;
use crate::model::names::{FunctionArn, RunId};
use crate::model::time::whole_milliseconds;
use crate::steps::MAX_LANDING_DELAY;

use super::calls::{CallError, CallKind, Caller, Sending};
use super::dice::Dice;
use super::history::monitor::Monitor;
use super::history::weakening::Weakening;
use super::{SimWorld, State};

/// The longest time for which a caller waits for a response, in milliseconds. It is the SDK's.
const CALL_TIMEOUT_MS: i64 = 8_000;

/// The timers, the failures and the monitor of a history.
#[derive(Debug, Default)]
pub struct Drive {
    /// The source of everything random.
    pub dice: Dice,
    /// The periods in which one kind of call fails.
    pub storms: Vec<Storm>,
    /// How many calls in a hundred fail outside of storms.
    pub failure_percent: u32,
    /// How many reads of functions in a hundred are stale.
    pub stale_percent: u32,
    /// The checks of the invariants.
    pub monitor: Monitor,
    /// A readable record of the history, if one was asked for.
    pub journal: Option<Vec<String>>,
    /// The part of the protocol that is left out, to prove that the checks detect it.
    pub weakening: Option<Weakening>,
    /// The observation of each function with which it was last armed.
    pub armed: BTreeMap<FunctionArn, Observation>,
    /// The observation of each function before a run first asked for its lock, for the weakening that trusts it.
    pub unlocked: BTreeMap<(RunId, FunctionArn), Observation>,
    /// How many calls were made.
    pub calls: u64,
    /// When the last invocation died, in elapsed milliseconds.
    pub died_at: i64,
    /// The caller of the next call.
    pub caller: Caller,
    /// The sleepers, by the time in elapsed milliseconds at which they wake up.
    pub(super) timers: BTreeMap<(i64, u64), Waker>,
    /// The work that lands later, by its time in elapsed milliseconds.
    pub(super) late: BTreeMap<(i64, u64), Late>,
    pub(super) sent: u64,
    /// The calls in flight that change a function.
    pub(super) in_flight: BTreeMap<u64, Sending>,
}

/// A period in which one kind of call fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storm {
    /// Its start, in elapsed milliseconds.
    pub from: i64,
    /// Its end, in elapsed milliseconds.
    pub until: i64,
    /// What fails.
    pub kind: StormKind,
}

/// What fails during a storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StormKind {
    /// Calls that change a function are denied.
    WritesDenied,
    /// Every call about functions is denied.
    LambdaDenied,
    /// Half of the calls to Lambda get no response.
    LambdaUnclear,
    /// Most calls to Lambda are throttled.
    LambdaThrottled,
    /// Most writes meet an update in progress.
    LambdaBusy,
    /// Lambda accepts updates of functions, but they fail.
    UpdatesFail,
    /// Other functions have reserved the account's concurrency.
    PoolTaken,
    /// The ledger does not respond.
    LedgerDown,
    /// A third of the calls to the ledger get no response.
    LedgerFlaky,
    /// Most transactions conflict with another one.
    Conflicts,
    /// CloudWatch does not respond.
    AlarmsDown,
    /// Step Functions does not respond.
    ExecutionsDown,
    /// EventBridge does not start the reaper.
    ReaperAsleep,
}

/// Work that lands later.
pub(super) struct Late {
    work: Box<dyn FnOnce(&mut State) + Send>,
    flight: u64,
    caller: Caller,
    name: &'static str,
}

impl std::fmt::Debug for Late {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {}", self.name, self.caller.name)
    }
}

impl Drive {
    /// Whether calls fail in this way now.
    #[must_use]
    pub fn has_storm(&self, kind: StormKind, elapsed: i64) -> bool {
        self.storms.iter().any(|storm| storm.kind == kind && storm.from <= elapsed && elapsed < storm.until)
    }

    /// Whether a call for a run's function is in flight and can still land.
    #[must_use]
    pub fn can_land(&self, run: &RunId, function: &FunctionArn) -> bool {
        self.in_flight.values().any(|sending| sending.run == *run && sending.function == *function)
    }

    /// Adds a line to the journal, if there is one.
    pub fn note(&mut self, elapsed: i64, line: impl FnOnce() -> String) {
        if let Some(journal) = &mut self.journal {
            journal.push(format!("{:>9.3}  {}", elapsed as f64 / 1000.0, line()));
        }
    }

    /// Takes the earliest late work whose time has come.
    fn next_late(&mut self, elapsed: i64) -> Option<(i64, Late)> {
        let at = *self.late.keys().next().filter(|(at, _)| *at <= elapsed)?;
        self.late.remove(&at).map(|late| (at.0, late))
    }

    fn draw_fate(&mut self, kind: CallKind, elapsed: i64) -> Fate {
        for at in 0..self.storms.len() {
            let Storm { from, until, kind: storm } = self.storms[at];
            if from <= elapsed
                && elapsed < until
                && let Some(fate) = self.fate_in_storm(storm, kind)
            {
                return fate;
            }
        }
        if !self.dice.percent(self.failure_percent) {
            return Fate::Done;
        }
        match (kind, self.dice.between(0, 5)) {
            (_, 0) => Fate::ResponseLost,
            (_, 1) => Fate::Lost,
            (kind, 2 | 3) if kind.changes() => Fate::Late,
            (CallKind::WriteLambda | CallKind::Transaction, 4) => Fate::Refused(CallError::Busy),
            (CallKind::ReadLambda | CallKind::WriteLambda, 5) => Fate::Refused(self.throttled()),
            _ => Fate::ResponseLost,
        }
    }

    fn fate_in_storm(&mut self, storm: StormKind, kind: CallKind) -> Option<Fate> {
        let lambda = matches!(kind, CallKind::ReadLambda | CallKind::WriteLambda);
        let ledger = matches!(kind, CallKind::ReadLedger | CallKind::WriteItem | CallKind::Transaction);
        Some(match storm {
            StormKind::WritesDenied if kind == CallKind::WriteLambda => Fate::Refused(CallError::Denied),
            StormKind::LambdaDenied if lambda => Fate::Refused(CallError::Denied),
            StormKind::LambdaUnclear if lambda && self.dice.percent(50) => self.no_response(kind),
            StormKind::LambdaThrottled if lambda && self.dice.percent(80) => Fate::Refused(self.throttled()),
            StormKind::LambdaBusy if kind == CallKind::WriteLambda && self.dice.percent(90) => {
                Fate::Refused(CallError::Busy)
            }
            StormKind::LedgerDown if ledger => Fate::Lost,
            StormKind::LedgerFlaky if ledger && self.dice.percent(33) => self.no_response(kind),
            StormKind::Conflicts if kind == CallKind::Transaction && self.dice.percent(70) => {
                Fate::Refused(CallError::Busy)
            }
            StormKind::AlarmsDown if kind == CallKind::Alarms => Fate::Lost,
            StormKind::ExecutionsDown if kind == CallKind::Executions => Fate::Lost,
            _ => return None,
        })
    }

    /// Returns a 429, whose `Retry-After` is mostly a second.
    fn throttled(&mut self) -> CallError {
        CallError::Throttled(Duration::from_secs(*self.dice.pick(&[1, 1, 1, 2, 5, 30]).unwrap_or(&1)))
    }

    fn no_response(&mut self, kind: CallKind) -> Fate {
        match self.dice.between(0, 2) {
            0 if kind.changes() => Fate::Late,
            1 => Fate::ResponseLost,
            _ => Fate::Lost,
        }
    }

    /// Returns the latency of one direction in milliseconds. It is mostly short, and sometimes long.
    fn draw_latency_ms(&mut self) -> u64 {
        let max_ms = match self.dice.between(0, 99) {
            0 => 3_000,
            1..4 => 500,
            _ => 40,
        };
        self.dice.between(1, max_ms).unsigned_abs()
    }
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It lands, and the response arrives.
    Done,
    /// It is refused with an error.
    Refused(CallError),
    /// It lands, and the response is lost.
    ResponseLost,
    /// It never lands, and no response comes.
    Lost,
    /// It lands after its caller has given up.
    Late,
}

/// A call in flight.
pub(super) struct Flight<'a, W, T, E>
where
    W: FnOnce(&mut State) -> Result<T, E> + Send + 'static,
    E: std::fmt::Display,
{
    world: &'a SimWorld,
    kind: CallKind,
    name: &'static str,
    work: Option<W>,
    fate: Fate,
    id: u64,
    caller: Caller,
    /// The time until AWS receives the request, in milliseconds.
    pub(super) request_ms: u64,
    /// The time until the caller receives the response or gives up, in milliseconds.
    pub(super) response_ms: u64,
}

impl<'a, W, T, E> Flight<'a, W, T, E>
where
    W: FnOnce(&mut State) -> Result<T, E> + Send + 'static,
    E: std::fmt::Display,
{
    pub(super) fn begin(world: &'a SimWorld, kind: CallKind, name: &'static str, work: W) -> Self {
        world.with(|state| {
            let elapsed = state.elapsed;
            let drive = state.drive.get_or_insert_default();
            drive.calls += 1;
            drive.sent += 1;
            let (id, caller, fate) = (drive.sent, std::mem::take(&mut drive.caller), drive.draw_fate(kind, elapsed));
            // In the journal, the ledger's method says more than DynamoDB's operation.
            let name = caller.method.unwrap_or(name);
            if let Some(sending) = &caller.sending {
                drive.in_flight.insert(id, sending.clone());
            }
            let (request_ms, mut response_ms) = (drive.draw_latency_ms(), drive.draw_latency_ms());
            // A caller is not told that its call was lost. It waits until its timeout.
            if matches!(fate, Fate::Lost | Fate::Late | Fate::ResponseLost) {
                response_ms = drive.dice.between(50, CALL_TIMEOUT_MS - 3_000).unsigned_abs();
            }
            Self { world, kind, name, work: Some(work), fate, id, caller, request_ms, response_ms }
        })
    }

    /// Lets the request arrive at AWS. Returns its response, or the error that the caller gets instead.
    pub(super) fn land(&mut self) -> Result<Result<T, E>, CallError> {
        let fate = self.fate;
        match fate {
            Fate::Late => return Err(CallError::NoResponse),
            Fate::Refused(error) => self.vanish(&format!("is refused: {error:?}")),
            Fate::Lost => self.vanish("is lost"),
            Fate::Done | Fate::ResponseLost => {}
        }
        match (fate, self.work.take()) {
            (Fate::Refused(error), _) => Err(error),
            (Fate::Done | Fate::ResponseLost, Some(work)) => {
                let response = self.world.with(|state| arrive(state, self.id, &self.caller, self.name, work));
                if fate == Fate::Done {
                    return Ok(response);
                }
                self.note("lands, and its response is lost");
                Err(CallError::NoResponse)
            }
            _ => Err(CallError::NoResponse),
        }
    }

    fn vanish(&mut self, how: &str) {
        self.work = None;
        self.world.with(|state| state.drive.as_mut().map(|drive| drive.in_flight.remove(&self.id)));
        self.note(how);
    }

    /// Adds what happens to the call to the journal, if there is one.
    fn note(&self, how: &str) {
        self.world.with(|state| {
            let elapsed = state.elapsed;
            if let Some(drive) = &mut state.drive {
                drive.note(elapsed, || format!("{}: {} {how}", self.caller, self.name));
            }
        });
    }
}

impl<W, T, E> Drop for Flight<'_, W, T, E>
where
    W: FnOnce(&mut State) -> Result<T, E> + Send + 'static,
    E: std::fmt::Display,
{
    /// The caller has given up or died. The call may still land.
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        self.world.with(|state| {
            let elapsed = state.elapsed;
            let Some(drive) = &mut state.drive else { return };
            if !self.kind.changes() || self.fate != Fate::Late && drive.dice.percent(50) {
                drive.in_flight.remove(&self.id);
                return;
            }
            let at = elapsed + drive.dice.between(0, whole_milliseconds(MAX_LANDING_DELAY));
            let (id, caller, name) = (self.id, self.caller.clone(), self.name);
            drive.note(elapsed, || format!("{caller}: {name} lands after its caller has given up"));
            let who = caller.clone();
            let work = move |state: &mut State| drop(arrive(state, id, &who, name, work));
            drive.late.insert((at, id), Late { work: Box::new(work), flight: id, caller, name });
        });
    }
}

/// Does the work of a call when it arrives at AWS.
fn arrive<T, E: std::fmt::Display>(
    state: &mut State,
    flight: u64,
    caller: &Caller,
    name: &str,
    work: impl FnOnce(&mut State) -> Result<T, E>,
) -> Result<T, E> {
    if let Some(drive) = &mut state.drive {
        drive.in_flight.remove(&flight);
        drive.caller = caller.clone();
    }
    let response = work(state);
    let elapsed = state.elapsed;
    if let Some(drive) = &mut state.drive {
        drive.caller = Caller::default();
        drive.note(elapsed, || match &response {
            Ok(_) => format!("{caller}: {name}"),
            Err(error) => format!("{caller}: {name}: {error}"),
        });
    }
    response
}

impl State {
    /// Lets all late work land whose time comes until `elapsed`, each at its own time.
    pub(super) fn land_until(&mut self, elapsed: i64) {
        while let Some((at, late)) = self.drive.as_mut().and_then(|drive| drive.next_late(elapsed)) {
            self.elapsed = self.elapsed.max(at);
            let now = self.now();
            self.advance_lambda(now);
            if let Some(drive) = &mut self.drive {
                drive.in_flight.remove(&late.flight);
                drive.note(at, || format!("{}: {} lands late", late.caller, late.name));
            }
            (late.work)(self);
            self.functions.values_mut().for_each(|function| function.record_past(now, true));
            self.record_mappings_past(now);
        }
    }

    /// Does work this many milliseconds later, even if the caller that asked for it dies.
    pub(super) fn run_later(&mut self, delay_ms: i64, work: impl FnOnce(&mut State) + Send + 'static) {
        let at = self.elapsed + delay_ms;
        let Some(drive) = &mut self.drive else { return };
        drive.sent += 1;
        let caller = Caller { name: "Lambda".into(), ..Caller::default() };
        let late = Late { work: Box::new(work), flight: drive.sent, caller, name: "a switch of a mapping" };
        drive.late.insert((at, drive.sent), late);
    }
}
