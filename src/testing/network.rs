//! What lies between a caller and AWS: every call goes this way, is counted, takes its time, and may meet trouble.

use crate::ports::{AlarmError, FunctionError, LedgerError};
use crate::steps::MAX_LANDING_DELAY;

use super::calls::{CallError, CallKind};
use super::drive::Flight;
use super::{CallFailure, SimWorld, State, Yield};

/// Where the runner is cut off, around its last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CrashPoint {
    /// It dies before the call is sent.
    #[default]
    Before,
    /// It dies after the call has landed, before the answer comes.
    After,
    /// It lives, the call lands, and the answer is lost; the calls after it go well.
    ResponseLost,
    /// It dies, and its call lands only [`MAX_LANDING_DELAY`] later, if it changes a function.
    AfterLate,
    /// It lives, the answer is lost, and its call lands only [`MAX_LANDING_DELAY`] later, if it changes a function.
    ResponseLostLate,
}

impl CrashPoint {
    /// Every way around any call.
    pub const ALL: [Self; 3] = [Self::Before, Self::After, Self::ResponseLost];
    /// The ways around a call that changes a function, besides those.
    pub const LATE: [Self; 2] = [Self::AfterLate, Self::ResponseLostLate];
}

impl State {
    /// Cuts off the runner, or the next one, around its n-th call, counted from 0, and then again so many calls later.
    pub fn crash_at(&mut self, cuts: impl IntoIterator<Item = (u64, CrashPoint)>) {
        self.crashes = cuts.into_iter().collect();
        self.next_crash();
    }

    /// What was due has happened: the next one counts from here.
    pub fn next_crash(&mut self) {
        let next = self.crashes.pop_front();
        self.calls_before_crash = next.map(|(life, _)| life);
        self.crash_point = next.map_or(CrashPoint::default(), |(_, cut)| cut);
    }

    /// How many cuts have not happened yet.
    #[must_use]
    pub fn crashes_left(&self) -> usize {
        self.crashes.len() + usize::from(self.calls_before_crash.is_some())
    }
}

/// An error of a port, made from what AWS says.
pub(super) trait Failure {
    fn of(no: CallError, call: &str) -> Self;
}

impl Failure for FunctionError {
    fn of(no: CallError, call: &str) -> Self {
        match no {
            CallError::NoResponse => Self::Unclear("the answer was lost".into()),
            CallError::Denied => Self::Denied(call.into()),
            CallError::Busy => Self::Busy(call.into()),
            CallError::Throttled(retry_after) => Self::Throttled(retry_after),
        }
    }
}

impl Failure for LedgerError {
    fn of(no: CallError, call: &str) -> Self {
        match no {
            CallError::Busy => Self::Conflict,
            CallError::Denied => Self::Unusable(format!("{call}: access denied")),
            CallError::NoResponse | CallError::Throttled(_) => {
                Self::Unavailable(format!("{call}: the answer was lost"))
            }
        }
    }
}

impl Failure for AlarmError {
    fn of(no: CallError, call: &str) -> Self {
        match no {
            CallError::Denied => Self::Unusable(format!("{call}: access denied")),
            _ => Self::Unavailable(format!("{call}: the answer was lost")),
        }
    }
}

impl Failure for String {
    fn of(_: CallError, call: &str) -> Self {
        format!("{call}: Step Functions is out of reach")
    }
}

impl SimWorld {
    /// Sends a call, lets it do its work on the world, and brings the answer back.
    pub(super) async fn exchange<T, E>(
        &self,
        kind: CallKind,
        name: &'static str,
        work: impl FnOnce(&mut State) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failure + std::fmt::Display + Send + 'static,
    {
        if self.with(|state| state.drive.is_some()) {
            return self.travel(kind, name, work).await;
        }
        let cut = self.call(name).await;
        let answer = self.with(|state| {
            if let Some(cut) = cut {
                state.crashed_at_write = kind == CallKind::Write;
                if state.crashed_at_write && CrashPoint::LATE.contains(&cut) {
                    state.call_failures.insert(0, (name, CallFailure::LandsLate(MAX_LANDING_DELAY)));
                }
            }
            work(state)
        });
        match cut {
            None => answer,
            Some(CrashPoint::ResponseLost | CrashPoint::ResponseLostLate) => Err(E::of(CallError::NoResponse, name)),
            Some(_) => die(),
        }
    }

    /// Counts a call and gives way once, so that others' calls can come between its sending and its effect. The runner
    /// is cut off at the end of its life.
    pub(super) async fn call(&self, name: &str) -> Option<CrashPoint> {
        let cut = self.with(|state| {
            let cut = (state.calls_before_crash == Some(0)).then_some(state.crash_point);
            match cut {
                Some(CrashPoint::Before) => return cut,
                Some(CrashPoint::ResponseLost | CrashPoint::ResponseLostLate) => state.next_crash(),
                Some(CrashPoint::After | CrashPoint::AfterLate) => {}
                None => state.calls_before_crash = state.calls_before_crash.map(|life| life - 1),
            }
            state.calls.push(name.to_owned());
            state.round_trips += u64::from(state.under_way == 0);
            state.under_way += 1;
            state.asked = Default::default();
            cut
        });
        if cut == Some(CrashPoint::Before) {
            die();
        }
        let _under_way = UnderWay(self);
        Yield(false).await;
        cut
    }

    /// The same in a history: it takes its time there and back, and the seed decides what becomes of it.
    async fn travel<T, E>(
        &self,
        kind: CallKind,
        name: &'static str,
        work: impl FnOnce(&mut State) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: Failure + std::fmt::Display + Send + 'static,
    {
        let mut flight = Flight::begin(self, kind, name, work);
        self.pause(flight.there).await;
        let answer = flight.land();
        self.pause(flight.back).await;
        match answer {
            Ok(answer) => answer,
            Err(no) => Err(E::of(no, name)),
        }
    }
}

/// A runner's death is a panic that the test catches.
fn die() -> ! {
    std::panic::resume_unwind(Box::new("the runner died"))
}

/// A call that was sent and is not answered; it is over, too, when its runner dies.
struct UnderWay<'a>(&'a SimWorld);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.with(|state| state.under_way -= 1);
    }
}
