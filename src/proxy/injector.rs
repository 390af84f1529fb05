//! What all connections share: the configuration, the dice, and the faults that still have to take effect.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::invocation::ProxyConfig;

use super::dependency::Breakages;
use super::dice::Dice;
use super::head::Unrecognized;
use super::log::{Metrics, log_line};
use super::message::InvocationKey;
use super::pending::{PendingEffects, PendingInvocations};
use super::process::Process;
use super::verdict::FaultRolls;

/// How often a wait reads the wall clock, which may jump where the timers' clock does not: for instance when a snapshot
/// of the environment is resumed.
const CLOCK_INTERVAL: Duration = Duration::from_secs(1);

/// Injects the faults of one run.
#[derive(Debug)]
pub struct Injector {
    config: &'static ProxyConfig,
    dice: Mutex<Dice>,
    pending: Mutex<PendingInvocations>,
    metrics: Metrics,
    /// What breaks dependencies, if a fault does.
    breakages: Option<Arc<Breakages>>,
    runtime: Option<Process>,
    /// The wall clock: the time since the epoch.
    clock: fn() -> Duration,
    /// Whether a task is running that frees the disk.
    frees_disk: AtomicBool,
    /// Whether the runtime has asked for an event.
    polled: AtomicBool,
    /// What was logged already, and is logged only once.
    logged_tunnel: AtomicBool,
    logged_full: AtomicBool,
}

impl Injector {
    /// Creates an injector for a configuration, which it keeps as long as the process lives.
    pub(crate) fn new(config: ProxyConfig, runtime: Option<Process>) -> Arc<Self> {
        let config: &'static ProxyConfig = Box::leak(Box::new(config));
        Arc::new(Self {
            dice: Mutex::new(Dice::new(config.seed)),
            config,
            breakages: Breakages::new(config, now),
            pending: Mutex::default(),
            metrics: Metrics::new(),
            runtime,
            clock: now,
            frees_disk: AtomicBool::new(false),
            polled: AtomicBool::new(false),
            logged_tunnel: AtomicBool::new(false),
            logged_full: AtomicBool::new(false),
        })
    }

    pub(crate) fn config(&self) -> &'static ProxyConfig {
        self.config
    }

    /// Returns what breaks dependencies; `None` if no fault does.
    pub(crate) fn breakages(&self) -> Option<&Arc<Breakages>> {
        self.breakages.as_ref()
    }

    /// Returns the time until the faults expire; `None` once they have.
    pub(crate) fn remaining(&self) -> Option<Duration> {
        self.config.remaining((self.clock)())
    }

    /// Whether invocations can have faults now.
    pub(crate) fn is_active(&self) -> bool {
        self.config.concerns_invocations() && self.remaining().is_some()
    }

    pub(crate) fn roll(&self, request: &str) -> FaultRolls {
        FaultRolls::new(self.config, &mut lock(&self.dice), request)
    }

    /// Writes the metrics of a fault that is injected now, with the delay that it causes.
    pub(crate) fn report(&self, fault: &str, delay: Duration, request: &str) {
        self.metrics.injected(self.config, fault, delay, &[("RequestId", request)], now());
    }

    /// Delays an event or a result, but never past the end of the faults.
    pub(crate) async fn delay(&self, fault: &str, delay: Duration, request: &str) {
        let Some(remaining) = self.remaining() else { return };
        self.report(fault, delay.min(remaining), request);
        self.pause(delay).await;
    }

    /// Waits for this long, or until the faults expire, whichever comes first.
    pub(crate) async fn pause(&self, delay: Duration) {
        // A timer takes a millisecond even for no time at all.
        if !delay.is_zero() {
            let _ = tokio::time::timeout(delay, self.end()).await;
        }
    }

    /// Waits until the faults expire.
    pub(crate) async fn end(&self) {
        while let Some(remaining) = self.remaining() {
            tokio::time::sleep(remaining.min(CLOCK_INTERVAL)).await;
        }
    }

    /// Remembers what has to happen to an invocation after the runtime has received its event.
    pub(crate) fn remember(self: &Arc<Self>, key: &InvocationKey, deadline: Option<Duration>, pending: PendingEffects) {
        let has_disk = pending.disk.is_some();
        let is_full = lock(&self.pending).add(key, pending, deadline, now());
        if is_full && !self.logged_full.swap(true, Ordering::Relaxed) {
            log_line("too many invocations without a result; the oldest ones lose their faults");
        }
        if has_disk && !self.frees_disk.swap(true, Ordering::Relaxed) {
            tokio::spawn(free_disk(Arc::clone(self)));
        }
    }

    /// Forgets an invocation that was remembered.
    pub(crate) fn forget(&self, key: &InvocationKey) {
        drop(lock(&self.pending).take(&key.request, key.invocation.as_deref()));
    }

    /// Takes out what has to happen to a result; `None` if that is nothing, or the faults have expired.
    pub(crate) fn recall(&self, request: &str, invocation: Option<&str>) -> Option<PendingEffects> {
        lock(&self.pending).take(request, invocation).filter(|_| self.remaining().is_some())
    }

    /// Notes that the runtime has asked for an event.
    pub(crate) fn note_poll(&self) {
        self.polled.store(true, Ordering::Relaxed);
    }

    pub(crate) fn was_polled(&self) -> bool {
        self.polled.load(Ordering::Relaxed)
    }

    /// Returns the environment of the runtime's program, if the proxy has the runtime's process and may read it.
    pub(crate) fn runtime_environment(&self) -> Option<Vec<u8>> {
        self.runtime.as_ref()?.environment().ok()
    }

    /// Logs, once, that a connection passes unparsed, so that no invocation on it has a fault.
    pub(crate) fn report_tunnel(&self, why: Unrecognized) {
        // A response that ended early ends its connection as well, so no fault is lost.
        if why != Unrecognized::Ended && self.is_active() && !self.logged_tunnel.swap(true, Ordering::Relaxed) {
            log_line(&format!("a connection of the runtime passes unchanged, without faults: {why}"));
        }
    }

    /// Kills the runtime, unless the faults have expired. Returns whether it did.
    pub(crate) fn kill_runtime(&self, request: &str) -> bool {
        let Some(runtime) = self.runtime.as_ref().filter(|_| self.remaining().is_some()) else { return false };
        self.report("exit", Duration::ZERO, request);
        match runtime.kill() {
            Ok(()) => true,
            Err(error) => {
                log_line(&format!("cannot kill the runtime: {error}"));
                false
            }
        }
    }
}

/// Frees the disk when the faults expire, even if an invocation still runs; and when an invocation expires, even if it
/// has no result.
async fn free_disk(injector: Arc<Injector>) {
    while tokio::time::timeout(CLOCK_INTERVAL, injector.end()).await.is_err() {
        lock(&injector.pending).expire(now());
    }
    lock(&injector.pending).free_disk();
}

/// Returns the time since the epoch, in whole milliseconds as Lambda's deadlines are.
pub(crate) fn now() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Locks a mutex, even a poisoned one: no code panics while it holds one of these locks.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    static WALL_CLOCK_MS: AtomicU64 = AtomicU64::new(0);

    #[tokio::test]
    async fn a_delay_ends_when_the_wall_clock_passes_the_end() {
        let config = ProxyConfig::parse(r#"{"until":1000000,"experiment":"","run":"","faults":[]}"#);
        let config = config.unwrap_or_else(|error| unreachable!("{error}"));
        let mut injector = Injector::new(config, None);
        let clock = || Duration::from_millis(WALL_CLOCK_MS.load(Ordering::Relaxed));
        Arc::get_mut(&mut injector).unwrap_or_else(|| unreachable!()).clock = clock;
        let jump = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            WALL_CLOCK_MS.store(1_000_000, Ordering::Relaxed);
            std::future::pending().await
        };
        tokio::select! {
            () = injector.pause(Duration::from_mins(15)) => {}
            () = jump => {}
            () = tokio::time::sleep(20 * CLOCK_INTERVAL) => panic!("the delay did not end"),
        }
    }
}
