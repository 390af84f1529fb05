//! What makes a world live by a schedule of its own, out of one seed: calls take time, get lost, land late or twice as
//! slowly as usual, and what is on its way when its caller dies may land yet.

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

/// The longest time for which a caller waits for an answer, in milliseconds: as long as the SDK does.
const PATIENCE: i64 = 8_000;

/// The schedule and the troubles of a history.
#[derive(Debug, Default)]
pub struct Drive {
    /// Everything that is left to chance.
    pub dice: Dice,
    /// When something goes wrong, and what.
    pub storms: Vec<Storm>,
    /// In a hundred calls, so many meet a trouble of their own at any time.
    pub failure_percent: u32,
    /// Of a hundred reads of functions, so many are late.
    pub stale_percent: u32,
    /// What must hold, and what was seen not to.
    pub monitor: Monitor,
    /// The history for people, where somebody wants to read it.
    pub journal: Option<Vec<String>>,
    /// The part of the protocol that is switched off, to see whether the checks notice.
    pub weakening: Option<Weakening>,
    /// What each function looked like when it was last armed.
    pub armed: BTreeMap<FunctionArn, Observation>,
    /// What each function looked like before a run first asked for its lock, where a weakening asks.
    pub unlocked: BTreeMap<(RunId, FunctionArn), Observation>,
    /// Calls so far.
    pub calls: u64,
    /// When the last invocation died that had not ended, in milliseconds: a death is a trouble like any other.
    pub died_at: i64,
    /// Who makes the next call, and what it is about.
    pub caller: Caller,
    /// Who waits until when.
    pub(super) timers: BTreeMap<(i64, u64), Waker>,
    pub(super) late: BTreeMap<(i64, u64), Late>,
    pub(super) sent: u64,
    pub(super) under_way: BTreeMap<u64, Sending>,
}

/// A time of trouble.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storm {
    /// From this millisecond of the history on.
    pub from: i64,
    /// Until this one.
    pub until: i64,
    /// What goes wrong.
    pub kind: StormKind,
}

/// What goes wrong for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StormKind {
    /// Calls that change a function are denied.
    WritesDenied,
    /// Every call about functions is denied.
    LambdaDenied,
    /// Half of the calls to Lambda have no answer.
    LambdaUnclear,
    /// Most calls to Lambda are throttled.
    LambdaThrottled,
    /// Functions are busy all the time.
    LambdaBusy,
    /// Updates of functions fail after they were taken.
    UpdatesFail,
    /// Somebody else has taken the account's unreserved concurrency.
    PoolTaken,
    /// The ledger does not answer.
    LedgerDown,
    /// A third of the calls to the ledger have no answer.
    LedgerFlaky,
    /// Most transactions meet another one.
    Conflicts,
    /// CloudWatch does not answer.
    AlarmsDown,
    /// Step Functions does not answer.
    ExecutionsDown,
    /// The reaper's ticks are missed.
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
    /// Whether this goes wrong now.
    #[must_use]
    pub fn has_storm(&self, kind: StormKind, elapsed: i64) -> bool {
        self.storms.iter().any(|storm| storm.kind == kind && storm.from <= elapsed && elapsed < storm.until)
    }

    /// Calls for a run's function that were sent and can land yet.
    #[must_use]
    pub fn can_land(&self, run: &RunId, function: &FunctionArn) -> bool {
        self.under_way.values().any(|sending| sending.run == *run && sending.function == *function)
    }

    /// Writes down what happens, if somebody reads it.
    pub fn note(&mut self, elapsed: i64, line: impl FnOnce() -> String) {
        if let Some(journal) = &mut self.journal {
            journal.push(format!("{:>9.3}  {}", elapsed as f64 / 1000.0, line()));
        }
    }

    /// The earliest work that lands by then.
    fn due(&mut self, elapsed: i64) -> Option<(i64, Late)> {
        let at = *self.late.keys().next().filter(|(at, _)| *at <= elapsed)?;
        self.late.remove(&at).map(|late| (at.0, late))
    }

    fn fate(&mut self, kind: CallKind, elapsed: i64) -> Fate {
        for at in 0..self.storms.len() {
            let Storm { from, until, kind: storm } = self.storms[at];
            if from <= elapsed
                && elapsed < until
                && let Some(fate) = self.struck(storm, kind)
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
            (CallKind::Write | CallKind::Transaction, 4) => Fate::Refused(CallError::Busy),
            (CallKind::Look | CallKind::Write, 5) => Fate::Refused(self.throttled()),
            _ => Fate::ResponseLost,
        }
    }

    fn struck(&mut self, storm: StormKind, kind: CallKind) -> Option<Fate> {
        let lambda = matches!(kind, CallKind::Look | CallKind::Write);
        let ledger = matches!(kind, CallKind::Read | CallKind::Update | CallKind::Transaction);
        Some(match storm {
            StormKind::WritesDenied if kind == CallKind::Write => Fate::Refused(CallError::Denied),
            StormKind::LambdaDenied if lambda => Fate::Refused(CallError::Denied),
            StormKind::LambdaUnclear if lambda && self.dice.percent(50) => self.unclear(kind),
            StormKind::LambdaThrottled if lambda && self.dice.percent(80) => Fate::Refused(self.throttled()),
            StormKind::LambdaBusy if kind == CallKind::Write && self.dice.percent(90) => Fate::Refused(CallError::Busy),
            StormKind::LedgerDown if ledger => Fate::Lost,
            StormKind::LedgerFlaky if ledger && self.dice.percent(33) => self.unclear(kind),
            StormKind::Conflicts if kind == CallKind::Transaction && self.dice.percent(70) => {
                Fate::Refused(CallError::Busy)
            }
            StormKind::AlarmsDown if kind == CallKind::Alarms => Fate::Lost,
            StormKind::ExecutionsDown if kind == CallKind::Executions => Fate::Lost,
            _ => return None,
        })
    }

    /// A 429 says how long to wait, mostly a second.
    fn throttled(&mut self) -> CallError {
        CallError::Throttled(Duration::from_secs(*self.dice.pick(&[1, 1, 1, 2, 5, 30]).unwrap_or(&1)))
    }

    fn unclear(&mut self, kind: CallKind) -> Fate {
        match self.dice.between(0, 2) {
            0 if kind.changes() => Fate::Late,
            1 => Fate::ResponseLost,
            _ => Fate::Lost,
        }
    }

    /// Milliseconds on the way: mostly few, sometimes many.
    fn latency(&mut self) -> u64 {
        let most = match self.dice.between(0, 99) {
            0 => 3_000,
            1..4 => 500,
            _ => 40,
        };
        self.dice.between(1, most).unsigned_abs()
    }
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Done,
    Refused(CallError),
    ResponseLost,
    Lost,
    Late,
}

/// A call on its way.
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
    /// Milliseconds to AWS.
    pub(super) there: u64,
    /// Milliseconds back.
    pub(super) back: u64,
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
            let (id, caller, fate) = (drive.sent, std::mem::take(&mut drive.caller), drive.fate(kind, elapsed));
            // For people, what the ledger was asked says more than how DynamoDB is.
            let name = caller.method.unwrap_or(name);
            if let Some(sending) = &caller.sending {
                drive.under_way.insert(id, sending.clone());
            }
            let (there, mut back) = (drive.latency(), drive.latency());
            // Nobody says that a call was lost: its caller waits until its patience ends.
            if matches!(fate, Fate::Lost | Fate::Late | Fate::ResponseLost) {
                back = drive.dice.between(50, PATIENCE - 3_000).unsigned_abs();
            }
            Self { world, kind, name, work: Some(work), fate, id, caller, there, back }
        })
    }

    /// The moment at which AWS gets it.
    pub(super) fn land(&mut self) -> Result<Result<T, E>, CallError> {
        let fate = self.fate;
        match fate {
            Fate::Late => return Err(CallError::NoResponse),
            Fate::Refused(no) => self.vanish(&format!("{no:?}")),
            Fate::Lost => self.vanish("lost on its way"),
            Fate::Done | Fate::ResponseLost => {}
        }
        match (fate, self.work.take()) {
            (Fate::Refused(no), _) => Err(no),
            (Fate::Done | Fate::ResponseLost, Some(work)) => {
                let answer = self.world.with(|state| arrive(state, self.id, &self.caller, self.name, work));
                if fate == Fate::Done {
                    return Ok(answer);
                }
                self.note("answered, and the answer is lost");
                Err(CallError::NoResponse)
            }
            _ => Err(CallError::NoResponse),
        }
    }

    fn vanish(&mut self, how: &str) {
        self.work = None;
        self.world.with(|state| state.drive.as_mut().map(|drive| drive.under_way.remove(&self.id)));
        self.note(how);
    }

    /// Writes down what becomes of the call, if somebody reads it.
    fn note(&self, how: &str) {
        self.world.with(|state| {
            let elapsed = state.elapsed;
            if let Some(drive) = &mut state.drive {
                drive.note(elapsed, || format!("{}: {} is {how}", self.caller, self.name));
            }
        });
    }
}

impl<W, T, E> Drop for Flight<'_, W, T, E>
where
    W: FnOnce(&mut State) -> Result<T, E> + Send + 'static,
    E: std::fmt::Display,
{
    /// Its caller has given it up, or is dead; what is on its way may land yet.
    fn drop(&mut self) {
        let Some(work) = self.work.take() else { return };
        self.world.with(|state| {
            let elapsed = state.elapsed;
            let Some(drive) = &mut state.drive else { return };
            if !self.kind.changes() || self.fate != Fate::Late && drive.dice.percent(50) {
                drive.under_way.remove(&self.id);
                return;
            }
            let at = elapsed + drive.dice.between(0, whole_milliseconds(MAX_LANDING_DELAY));
            let (id, caller, name) = (self.id, self.caller.clone(), self.name);
            drive.note(elapsed, || format!("{caller}: {name} is given up, and lands later"));
            let who = caller.clone();
            let work = move |state: &mut State| drop(arrive(state, id, &who, name, work));
            drive.late.insert((at, id), Late { work: Box::new(work), flight: id, caller, name });
        });
    }
}

/// AWS does what it is asked.
fn arrive<T, E: std::fmt::Display>(
    state: &mut State,
    flight: u64,
    caller: &Caller,
    name: &str,
    work: impl FnOnce(&mut State) -> Result<T, E>,
) -> Result<T, E> {
    if let Some(drive) = &mut state.drive {
        drive.under_way.remove(&flight);
        drive.caller = caller.clone();
    }
    let answer = work(state);
    let elapsed = state.elapsed;
    if let Some(drive) = &mut state.drive {
        drive.caller = Caller::default();
        drive.note(elapsed, || match &answer {
            Ok(_) => format!("{caller}: {name}"),
            Err(error) => format!("{caller}: {name}: {error}"),
        });
    }
    answer
}

impl State {
    /// Lets everything land that is due by then, each at its own time.
    pub(super) fn land_until(&mut self, elapsed: i64) {
        while let Some((at, late)) = self.drive.as_mut().and_then(|drive| drive.due(elapsed)) {
            self.elapsed = self.elapsed.max(at);
            let now = self.now();
            self.catch_up(now);
            if let Some(drive) = &mut self.drive {
                drive.under_way.remove(&late.flight);
                drive.note(at, || format!("{}: {} lands late", late.caller, late.name));
            }
            (late.work)(self);
            self.functions.values_mut().for_each(|function| function.remember(now, true));
            self.remember_mappings(now);
        }
    }

    /// Does something a little later, whatever becomes of whoever asked for it.
    pub(super) fn later(&mut self, milliseconds: i64, work: impl FnOnce(&mut State) + Send + 'static) {
        let at = self.elapsed + milliseconds;
        let Some(drive) = &mut self.drive else { return };
        drive.sent += 1;
        let caller = Caller { name: "Lambda".into(), ..Caller::default() };
        let late = Late { work: Box::new(work), flight: drive.sent, caller, name: "what it was asked for" };
        drive.late.insert((at, drive.sent), late);
    }
}
