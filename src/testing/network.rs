//! The network between a caller and AWS: it counts every call, lets it take time, and can make it fail.

use crate::ports::{AlarmError, FunctionError, LedgerError, ReportStoreError};
use crate::steps::MAX_LANDING_DELAY;

use super::calls::{CallError, CallKind};
use super::drive::Flight;
use super::{CallFailure, SimWorld, State, Yield};

/// What happens around the call that is chosen for a crash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CrashPoint {
    /// The runner dies before it sends the call.
    #[default]
    Before,
    /// The runner dies after the call has landed, before it receives the response.
    After,
    /// The call lands and its response is lost. The runner lives, and its next calls succeed.
    ResponseLost,
    /// The runner dies. If the call changes a function, it lands only [`MAX_LANDING_DELAY`] later.
    AfterLate,
    /// The response is lost, and the runner lives. If the call changes a function, it lands only [`MAX_LANDING_DELAY`]
    /// later.
    ResponseLostLate,
}

impl CrashPoint {
    /// The crash points for any call.
    pub const ALL: [Self; 3] = [Self::Before, Self::After, Self::ResponseLost];
    /// The further crash points for a call that changes a function.
    pub const LATE: [Self; 2] = [Self::AfterLate, Self::ResponseLostLate];
}

impl State {
    /// Schedules crashes. Each has the number of calls before it, counted from the previous crash.
    pub fn crash_at(&mut self, crashes: impl IntoIterator<Item = (u64, CrashPoint)>) {
        self.crashes = crashes.into_iter().collect();
        self.next_crash();
    }

    /// Activates the next scheduled crash; its calls count from now on.
    pub fn next_crash(&mut self) {
        let next = self.crashes.pop_front();
        self.calls_before_crash = next.map(|(calls, _)| calls);
        self.crash_point = next.map_or(CrashPoint::default(), |(_, point)| point);
    }

    /// Returns how many crashes have not happened yet.
    #[must_use]
    pub fn crashes_left(&self) -> usize {
        self.crashes.len() + usize::from(self.calls_before_crash.is_some())
    }
}

/// Turns the failure of a call into an error of a port.
pub(super) trait Failure {
    fn of(error: CallError, call: &str) -> Self;
}

impl Failure for FunctionError {
    fn of(error: CallError, call: &str) -> Self {
        match error {
            CallError::NoResponse => Self::Unclear("the response was lost".into()),
            CallError::Denied => Self::Denied(call.into()),
            CallError::Busy => Self::Busy(call.into()),
            CallError::Throttled(retry_after) => Self::Throttled(retry_after),
        }
    }
}

impl Failure for LedgerError {
    fn of(error: CallError, call: &str) -> Self {
        match error {
            CallError::Busy => Self::Conflict,
            CallError::Denied => Self::Unusable(format!("{call}: access denied")),
            CallError::NoResponse | CallError::Throttled(_) => {
                Self::Unavailable(format!("{call}: the response was lost"))
            }
        }
    }
}

impl Failure for AlarmError {
    fn of(error: CallError, call: &str) -> Self {
        match error {
            CallError::Denied => Self::Unusable(format!("{call}: access denied")),
            _ => Self::Unavailable(format!("{call}: the response was lost")),
        }
    }
}

impl Failure for ReportStoreError {
    fn of(error: CallError, call: &str) -> Self {
        match error {
            CallError::Denied => Self::Refused(format!("{call}: access denied")),
            _ => Self::Unavailable(format!("{call}: the response was lost")),
        }
    }
}

impl Failure for String {
    fn of(_: CallError, call: &str) -> Self {
        format!("{call}: Step Functions is unavailable")
    }
}

impl SimWorld {
    /// Sends a call, lets it do its work on the world, and returns its response.
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
            return self.exchange_in_history(kind, name, work).await;
        }
        let crash = self.call(name).await;
        let response = self.with(|state| {
            if let Some(crash) = crash {
                state.crashed_at_write = kind == CallKind::WriteLambda;
                if state.crashed_at_write && CrashPoint::LATE.contains(&crash) {
                    state.call_failures.insert(0, (name, CallFailure::LandsLate(MAX_LANDING_DELAY)));
                }
            }
            work(state)
        });
        match crash {
            None => response,
            Some(CrashPoint::ResponseLost | CrashPoint::ResponseLostLate) => Err(E::of(CallError::NoResponse, name)),
            Some(_) => die(),
        }
    }

    /// Counts a call and yields once, so that other calls can come between its sending and its effect. Crashes the
    /// runner if this is the call to crash at.
    pub(super) async fn call(&self, name: &str) -> Option<CrashPoint> {
        let crash = self.with(|state| {
            let crash = (state.calls_before_crash == Some(0)).then_some(state.crash_point);
            match crash {
                Some(CrashPoint::Before) => return crash,
                Some(CrashPoint::ResponseLost | CrashPoint::ResponseLostLate) => state.next_crash(),
                Some(CrashPoint::After | CrashPoint::AfterLate) => {}
                None => state.calls_before_crash = state.calls_before_crash.map(|calls| calls - 1),
            }
            state.calls.push(name.to_owned());
            state.round_trips += u64::from(state.in_flight == 0);
            state.in_flight += 1;
            state.polled_in_vain = Default::default();
            crash
        });
        if crash == Some(CrashPoint::Before) {
            die();
        }
        let _in_flight = InFlight(self);
        Yield(false).await;
        crash
    }

    /// Sends a call in a history, where it takes time in both directions and the seed determines whether it fails.
    async fn exchange_in_history<T, E>(
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
        self.pause(flight.request_ms).await;
        let response = flight.land();
        self.pause(flight.response_ms).await;
        match response {
            Ok(response) => response,
            Err(error) => Err(E::of(error, name)),
        }
    }
}

/// Ends the runner by a panic, which the test catches.
fn die() -> ! {
    std::panic::resume_unwind(Box::new("the runner died"))
}

/// Counts a call as in flight until its response arrives or its runner dies.
struct InFlight<'a>(&'a SimWorld);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.with(|state| state.in_flight -= 1);
    }
}
