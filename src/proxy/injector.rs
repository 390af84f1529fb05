//! What all connections share: the orders, the dice, and what is still to happen to answers.

use std::collections::HashMap;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::invocation::Orders;

use super::dice::Dice;
use super::log::{Metrics, say};
use super::process::Process;
use super::verdict::{After, Rolls};

/// Invocations whose answers are still to be changed, at most. Lambda gives an environment few at once.
const MAX_PENDING: usize = 1024;

/// What is still to happen to an invocation that the runtime has got.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// What happens to its answer.
    pub(crate) after: After<'static>,
    /// Space in /tmp, freed with this.
    pub(crate) disk: Option<File>,
    /// The runtime does not survive it.
    pub(crate) exits: bool,
}

/// Injects the faults of one run.
#[derive(Debug)]
pub struct Injector {
    orders: &'static Orders,
    dice: Mutex<Dice>,
    pending: Mutex<HashMap<String, Pending>>,
    metrics: Metrics,
    runtime: Option<Process>,
    /// Whether somebody waits for the end to free what is still filled.
    frees_disk: AtomicBool,
}

impl Injector {
    /// For orders, which it keeps as long as the process lives.
    pub(crate) fn new(orders: Orders, runtime: Option<Process>) -> Arc<Self> {
        Arc::new(Self {
            dice: Mutex::new(Dice::new(orders.seed)),
            orders: Box::leak(Box::new(orders)),
            pending: Mutex::default(),
            metrics: Metrics::new(),
            runtime,
            frees_disk: AtomicBool::new(false),
        })
    }

    pub(crate) fn orders(&self) -> &'static Orders {
        self.orders
    }

    /// Milliseconds until everything passes; `None` when that time has come.
    pub(crate) fn left(&self) -> Option<u64> {
        self.orders.left(now())
    }

    /// Whether invocations have to be looked at.
    pub(crate) fn is_active(&self) -> bool {
        self.orders.concern_invocations() && self.left().is_some()
    }

    pub(crate) fn roll(&self, request: &str) -> Rolls {
        Rolls::new(self.orders, &mut lock(&self.dice), request)
    }

    /// Says that a fault is injected now, with its delay in milliseconds.
    pub(crate) fn report(&self, fault: &str, delay: u64, request: &str) {
        self.metrics.injected(self.orders, fault, delay, request, now());
    }

    /// Remembers what happens to the answer of an invocation.
    pub(crate) fn remember(self: &Arc<Self>, request: &str, pending: Pending) {
        let has_disk = pending.disk.is_some();
        {
            let mut all = lock(&self.pending);
            if all.len() >= MAX_PENDING {
                drop(all);
                say("more invocations at once than can be kept in mind; one passes unchanged");
                return;
            }
            all.insert(request.to_owned(), pending);
        }
        if has_disk && !self.frees_disk.swap(true, Ordering::Relaxed) {
            tokio::spawn(free_disk(Arc::clone(self)));
        }
    }

    /// What happens to this answer; nothing any more when the time is up.
    pub(crate) fn recall(&self, request: &str) -> Option<Pending> {
        let pending = {
            let mut all = lock(&self.pending);
            if all.is_empty() { None } else { all.remove(request) }
        };
        pending.filter(|_| self.left().is_some())
    }

    /// Kills the runtime, if the time is not up.
    pub(crate) fn kill_runtime(&self, request: &str) -> bool {
        let Some(runtime) = self.runtime.as_ref().filter(|_| self.left().is_some()) else { return false };
        self.report("exit", 0, request);
        match runtime.kill() {
            Ok(()) => true,
            Err(error) => {
                say(&format!("cannot kill the runtime: {error}"));
                false
            }
        }
    }
}

/// A fault ends with its time, also where an invocation does not.
async fn free_disk(injector: Arc<Injector>) {
    while let Some(left) = injector.left() {
        tokio::time::sleep(Duration::from_millis(left)).await;
    }
    lock(&injector.pending).values_mut().for_each(|pending| pending.disk = None);
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
