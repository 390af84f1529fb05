//! Which dependencies are broken now: those whose faults are triggered for an invocation under way.
//!
//! A connection does not tell which invocation it serves. If an environment has several at the same time, a dependency
//! is broken for all of them while at least one of them has triggered the fault.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::model::invocation::{Breakage, DependencyFault, ProxyConfig};
use crate::proxy::log::Metrics;

use super::hosts::{NamedHost, faults, faults_of, hosts};
use super::wire::HostSet;

/// The faults of one run that break dependencies.
#[derive(Debug)]
pub(crate) struct Breakages {
    config: &'static ProxyConfig,
    metrics: Metrics,
    clock: fn() -> Duration,
    faults: Vec<&'static DependencyFault>,
    hosts: Vec<NamedHost>,
    /// The triggered faults, as bits.
    triggered: AtomicU32,
    /// How many invocations have ever triggered a fault: a connection can tell by it whether a new one has begun.
    began: AtomicU32,
    invocations: Mutex<Vec<Invocations>>,
}

/// The invocations that have triggered one fault.
#[derive(Clone, Debug, Default)]
struct Invocations {
    under_way: u32,
    /// The request id of the last one.
    last: String,
    /// Whether its metrics were written.
    is_reported: bool,
}

/// Keeps faults triggered until it is dropped.
#[derive(Debug)]
pub(crate) struct Breaking {
    breakages: Arc<Breakages>,
    faults: u32,
}

impl Breakages {
    /// Creates it for a configuration; `None` if that has no such fault.
    pub(crate) fn new(config: &'static ProxyConfig, clock: fn() -> Duration) -> Option<Arc<Self>> {
        let faults: Vec<_> = faults(config).collect();
        (!faults.is_empty()).then(|| {
            Arc::new(Self {
                config,
                metrics: Metrics::new(),
                clock,
                invocations: Mutex::new(vec![Invocations::default(); faults.len()]),
                faults,
                hosts: hosts(config),
                triggered: AtomicU32::new(0),
                began: AtomicU32::new(0),
            })
        })
    }

    /// Breaks the dependencies of these faults for an invocation.
    pub(crate) fn begin(self: &Arc<Self>, triggered: &[&'static DependencyFault], request: &str) -> Breaking {
        let is_triggered = |fault: &DependencyFault| triggered.iter().any(|other| std::ptr::eq(*other, fault));
        let mut bits = 0;
        let mut invocations = self.invocations.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, fault) in invocations.iter_mut().enumerate().filter(|(at, _)| is_triggered(self.faults[*at])) {
            bits |= 1 << at;
            fault.under_way += 1;
            request.clone_into(&mut fault.last);
            fault.is_reported = false;
        }
        self.began.fetch_add(1, Ordering::Relaxed);
        self.triggered.fetch_or(bits, Ordering::Relaxed);
        Breaking { breakages: Arc::clone(self), faults: bits }
    }

    /// Returns the faults that name one of these hosts, as bits.
    pub(super) fn faults_of(&self, hosts: HostSet) -> u32 {
        faults_of(&self.hosts, hosts)
    }

    /// Whether one of these faults is triggered now.
    pub(super) fn are_triggered(&self, faults: u32) -> bool {
        self.triggered.load(Ordering::Relaxed) & faults != 0 && !self.are_over()
    }

    /// Whether the faults have expired.
    pub(super) fn are_over(&self) -> bool {
        self.config.remaining((self.clock)()).is_none()
    }

    /// Returns the time until the faults expire.
    pub(super) fn remaining(&self) -> Duration {
        self.config.remaining((self.clock)()).unwrap_or_default()
    }

    /// Returns the number of invocations that have ever triggered a fault.
    pub(super) fn began(&self) -> u32 {
        self.began.load(Ordering::Relaxed)
    }

    /// Returns the triggered ones of these faults, each with its position and its breakage.
    pub(super) fn triggered(&self, faults: u32) -> impl Iterator<Item = (usize, Breakage)> {
        let bits = if self.are_over() { 0 } else { self.triggered.load(Ordering::Relaxed) & faults };
        let all = self.faults.iter().enumerate().filter(move |(at, _)| bits & (1 << at) != 0);
        all.filter_map(|(at, fault)| Some((at, fault.breakage()?)))
    }

    /// Writes the metrics of a fault that breaks one of these hosts, once for each invocation.
    pub(super) fn report(&self, fault: usize, hosts: HostSet, delay: Duration) {
        let mut invocations = self.invocations.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(invocation) = invocations.get_mut(fault).filter(|invocation| !invocation.is_reported) else { return };
        invocation.is_reported = true;
        let named = self.hosts.iter().enumerate().find(|(at, named)| named.fault == fault && hosts.contains(*at));
        let host = named.map_or("", |(_, named)| named.host.as_str());
        let properties = [("RequestId", invocation.last.as_str()), ("Host", host)];
        self.metrics.injected(self.config, "dependency", delay, &properties, (self.clock)());
    }
}

impl Drop for Breaking {
    fn drop(&mut self) {
        let breakages = &self.breakages;
        let mut invocations = breakages.invocations.lock().unwrap_or_else(PoisonError::into_inner);
        for (at, fault) in invocations.iter_mut().enumerate().filter(|(at, _)| self.faults & (1 << at) != 0) {
            fault.under_way = fault.under_way.saturating_sub(1);
            if fault.under_way == 0 {
                breakages.triggered.fetch_and(!(1 << at), Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_lasts_until_the_last_of_its_invocations_ends() {
        let text = r#"{"until":9,"experiment":"e","run":"r","faults":[
            {"dependency":{"hosts":["a"],"refuse":true}},{"dependency":{"hosts":["b"],"refuse":true}}]}"#;
        let config = ProxyConfig::parse(text).unwrap_or_else(|error| unreachable!("{error}"));
        let config: &'static ProxyConfig = Box::leak(Box::new(config));
        let breakages = Breakages::new(config, || Duration::ZERO).unwrap_or_else(|| unreachable!());
        let [first, second] = [0, 1].map(|at| breakages.faults[at]);
        let both = breakages.begin(&[first, second], "both");
        let one = breakages.begin(&[second], "one");
        let broken = || breakages.triggered(0b11).map(|(at, _)| at).collect::<Vec<_>>();
        assert_eq!(broken(), [0, 1]);
        drop(both);
        assert_eq!(broken(), [1]);
        assert!(!breakages.are_triggered(0b01) && breakages.are_triggered(0b10));
        drop(one);
        assert_eq!(broken(), [0; 0]);
    }
}
