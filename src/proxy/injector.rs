//! What all connections share: the configuration, the dice, and what is still to happen to answers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::invocation::ProxyConfig;

use super::dice::Dice;
use super::head::Unrecognized;
use super::log::{Metrics, log_line};
use super::message::InvocationKey;
use super::pending::{Pending, PendingInvocations};
use super::process::Process;
use super::verdict::FaultRolls;

/// How often the wall clock is read while something waits. It may jump where the timers' clock does not, for instance
/// when a snapshot of the environment is resumed.
const STEP: Duration = Duration::from_secs(1);

/// Injects the faults of one run.
#[derive(Debug)]
pub struct Injector {
    config: &'static ProxyConfig,
    dice: Mutex<Dice>,
    pending: Mutex<PendingInvocations>,
    metrics: Metrics,
    runtime: Option<Process>,
    /// The wall clock.
    clock: fn() -> u64,
    /// Whether a task frees what is still filled when it is time.
    frees_disk: AtomicBool,
    /// Whether the runtime has asked for an event.
    polled: AtomicBool,
    /// What was said once already.
    said_tunnel: AtomicBool,
    said_full: AtomicBool,
}

impl Injector {
    /// For a configuration, which it keeps as long as the process lives.
    pub(crate) fn new(config: ProxyConfig, runtime: Option<Process>) -> Arc<Self> {
        Arc::new(Self {
            dice: Mutex::new(Dice::new(config.seed)),
            config: Box::leak(Box::new(config)),
            pending: Mutex::default(),
            metrics: Metrics::new(),
            runtime,
            clock: now,
            frees_disk: AtomicBool::new(false),
            polled: AtomicBool::new(false),
            said_tunnel: AtomicBool::new(false),
            said_full: AtomicBool::new(false),
        })
    }

    pub(crate) fn config(&self) -> &'static ProxyConfig {
        self.config
    }

    /// Milliseconds until everything passes; `None` when that time has come.
    pub(crate) fn left(&self) -> Option<u64> {
        self.config.left((self.clock)())
    }

    /// Whether invocations have to be looked at.
    pub(crate) fn is_active(&self) -> bool {
        self.config.concern_invocations() && self.left().is_some()
    }

    pub(crate) fn roll(&self, request: &str) -> FaultRolls {
        FaultRolls::new(self.config, &mut lock(&self.dice), request)
    }

    /// Says that a fault is injected now, with its delay in milliseconds.
    pub(crate) fn report(&self, fault: &str, delay: u64, request: &str) {
        self.metrics.injected(self.config, fault, delay, request, now());
    }

    /// Delays an invocation or its answer, and never longer than the faults last.
    pub(crate) async fn delay(&self, fault: &str, delay: u64, request: &str) {
        let Some(left) = self.left() else { return };
        self.report(fault, delay.min(left), request);
        self.pause(delay).await;
    }

    /// Waits for so many milliseconds, or for the faults' end, whichever comes first.
    pub(crate) async fn pause(&self, delay: u64) {
        // A timer takes a millisecond even for nothing.
        if delay > 0 {
            let _ = tokio::time::timeout(Duration::from_millis(delay), self.end()).await;
        }
    }

    /// Waits for the faults' end.
    pub(crate) async fn end(&self) {
        while let Some(left) = self.left() {
            tokio::time::sleep(Duration::from_millis(left).min(STEP)).await;
        }
    }

    /// Remembers what happens to an invocation after the runtime has got its event.
    pub(crate) fn remember(self: &Arc<Self>, key: &InvocationKey, deadline: Option<u64>, pending: Pending) {
        let has_disk = pending.disk.is_some();
        let is_full = lock(&self.pending).add(key, pending, deadline, now());
        if is_full && !self.said_full.swap(true, Ordering::Relaxed) {
            log_line("more invocations at once than can be kept in mind; the oldest pass unchanged");
        }
        if has_disk && !self.frees_disk.swap(true, Ordering::Relaxed) {
            tokio::spawn(free_disk(Arc::clone(self)));
        }
    }

    /// Undoes that.
    pub(crate) fn forget(&self, key: &InvocationKey) {
        drop(lock(&self.pending).take(&key.request, key.invocation.as_deref()));
    }

    /// What happens to this answer; nothing any more when the time is up.
    pub(crate) fn recall(&self, request: &str, invocation: Option<&str>) -> Option<Pending> {
        lock(&self.pending).take(request, invocation).filter(|_| self.left().is_some())
    }

    /// Notes that the runtime asks for an event.
    pub(crate) fn note_poll(&self) {
        self.polled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_polled(&self) -> bool {
        self.polled.load(Ordering::Relaxed)
    }

    /// The environment of the runtime's program, if there is a runtime and it may be read.
    pub(crate) fn runtime_environment(&self) -> Option<Vec<u8>> {
        self.runtime.as_ref()?.environment().ok()
    }

    /// Says, once, that the bytes of a connection pass as they come, so that none of its invocations has a fault.
    pub(crate) fn report_tunnel(&self, why: Unrecognized) {
        // An answer that has ended is the end of its connection, too, which nothing is lost by.
        if why != Unrecognized::Ended && self.is_active() && !self.said_tunnel.swap(true, Ordering::Relaxed) {
            log_line(&format!("a connection of the runtime passes unchanged, and no faults are injected on it: {why}"));
        }
    }

    /// Kills the runtime, if the time is not up.
    pub(crate) fn kill_runtime(&self, request: &str) -> bool {
        let Some(runtime) = self.runtime.as_ref().filter(|_| self.left().is_some()) else { return false };
        self.report("exit", 0, request);
        match runtime.kill() {
            Ok(()) => true,
            Err(error) => {
                log_line(&format!("cannot kill the runtime: {error}"));
                false
            }
        }
    }
}

/// A fault ends with its time, also where an invocation does not; and with its invocation, also where that is not
/// answered.
async fn free_disk(injector: Arc<Injector>) {
    while tokio::time::timeout(STEP, injector.end()).await.is_err() {
        lock(&injector.pending).expire(now());
    }
    lock(&injector.pending).free_disk();
}

/// Milliseconds since the epoch.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Nothing panics while it holds one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    static WALL_CLOCK: AtomicU64 = AtomicU64::new(0);

    #[tokio::test]
    async fn a_delay_ends_when_the_wall_clock_passes_the_end() {
        let config = ProxyConfig::parse(r#"{"until":1000000,"experiment":"","run":"","faults":[]}"#);
        let config = config.unwrap_or_else(|error| unreachable!("{error}"));
        let mut injector = Injector::new(config, None);
        Arc::get_mut(&mut injector).unwrap_or_else(|| unreachable!()).clock = || WALL_CLOCK.load(Ordering::Relaxed);
        let jump = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            WALL_CLOCK.store(1_000_000, Ordering::Relaxed);
            std::future::pending().await
        };
        tokio::select! {
            () = injector.pause(900_000) => {}
            () = jump => {}
            () = tokio::time::sleep(20 * STEP) => panic!("it still waits"),
        }
    }
}
