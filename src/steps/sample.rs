//! Samples: while a run is observed, its targets are observed in turn, because a deploy can remove a fault.
//!
//! A sample uses `GetFunction`, which has its own rate of 100 requests per second
//! (lambda/latest/dg/gettingstarted-limits). Event source mappings count for the 15 requests per second of all other
//! calls, so a sample takes fewer targets where mappings are touched.
//!
//! Safe to repeat because it writes to no function, and because the ledger keeps the first time at which a fault was
//! missing.

use std::time::Duration;

use futures_util::future::{join, join_all};

use crate::model::experiment::Experiment;
use crate::model::function::Observation;
use crate::model::names::FunctionArn;
use crate::model::run::{Run, TargetRecord, TargetStatus};
use crate::model::snapshot::RemovedFault;
use crate::model::time::Time;
use crate::plan::removal::removed_faults;
use crate::ports::{FunctionError, PortError, World};

use super::error::StepError;
use super::rate_limiter::{Quota, RateLimiter};
use super::retry::retry;
use super::{Budget, MAX_CONCURRENCY};

/// The maximum number of targets in one sample. It uses half of Lambda's rate for `GetFunction`, 100/s.
const MAX_TARGETS: usize = 50;
/// The maximum number of targets in one sample if mappings have to be read. It uses half of Lambda's rate for all other
/// control-plane requests, 15/s.
const MAX_TARGETS_WITH_MAPPINGS: usize = 8;
/// After this time, a sample begins no further observations: the alarms wait for their next check in the meantime.
const MAX_SAMPLE_TIME: Duration = Duration::from_secs(5);

/// Observes the run's next targets, from this index in its list, and records each fault that was removed. Returns the
/// index from which the next sample continues.
///
/// # Errors
/// When the ledger cannot be used, or a function may not be observed.
pub(super) async fn sample(world: &impl World, run: &Run, from: usize, budget: Budget) -> Result<usize, StepError> {
    let mappings = run.experiment.as_ref().is_some_and(Experiment::needs_mappings);
    let most = if mappings { MAX_TARGETS_WITH_MAPPINGS } else { MAX_TARGETS };
    let until = budget.last_call().min(world.now() + MAX_SAMPLE_TIME);
    let sampler = &Sampler { world, run, mappings, limiter: RateLimiter::until(until) };
    let all = run.functions.len();
    let from = if from < all { from } else { 0 };
    let places: Vec<usize> = (from..all).chain(0..from).take(most).collect();
    let mut next = from;
    for places in places.chunks(MAX_CONCURRENCY) {
        // The next sample begins where this one ends.
        if world.now() > until {
            break;
        }
        let samples = places.iter().map(|place| sampler.sample(&run.functions[*place]));
        join_all(samples).await.into_iter().collect::<Result<(), StepError>>()?;
        next = places.last().map_or(next, |last| last + 1);
    }
    Ok(if next < all { next } else { 0 })
}

struct Sampler<'a, W> {
    world: &'a W,
    run: &'a Run,
    mappings: bool,
    limiter: RateLimiter,
}

impl<W: World> Sampler<'_, W> {
    async fn sample(&self, function: &FunctionArn) -> Result<(), StepError> {
        let observed_at = self.world.now();
        let observe = || self.world.observe(function.as_str(), self.mappings);
        let (target, seen) = join(
            retry(self.world, || self.world.target(self.run.target_key(function))),
            self.limiter.read(self.world, Quota::of_observation(self.mappings), observe),
        )
        .await;
        let Some(target) = target? else { return Ok(()) };
        let seen = match seen {
            Ok(seen) => seen,
            // Deleted: the restore finds out. Throttled, or without a response: the next sample observes it.
            Err(FunctionError::NotFound(_)) => return Ok(()),
            Err(error) if error.is_transient() => return Ok(()),
            Err(error) => return Err(StepError::function(function.name(), error)),
        };
        record_removed(self.world, &target, &removed(&target, &seen, observed_at)).await
    }
}

/// The fields whose fault was removed, if this observation can show that: the fault was seen in place, no read can
/// still miss it, and no restore of this run has begun.
pub(super) fn removed(target: &TargetRecord, seen: &Observation, observed_at: Time) -> Vec<String> {
    let in_place = target.status == TargetStatus::Injected && target.restore_lease.is_none();
    match target.leases_end_at() {
        Some(leases_end_at) if in_place && leases_end_at <= observed_at => removed_faults(&target.changes, seen),
        _ => Vec::new(),
    }
}

/// Records these fields as seen now, where they are not recorded already. The observation may have begun long before it
/// was made, for it waits for its turn.
pub(super) async fn record_removed(
    world: &impl World,
    target: &TargetRecord,
    fields: &[String],
) -> Result<(), StepError> {
    let known = |field: &String| target.removed_faults.iter().any(|fault| fault.field == *field);
    let seen_at = world.now();
    let new = fields.iter().filter(|field| !known(field));
    let new: Vec<RemovedFault> = new.map(|field| RemovedFault { field: field.clone(), seen_at }).collect();
    if new.is_empty() {
        return Ok(());
    }
    Ok(retry(world, || world.record_removed_faults(target.key(), &new)).await?)
}

#[cfg(test)]
mod tests {
    use super::super::INVOCATION_RESERVE;
    use super::*;
    use crate::model::run::{Lease, LeaseKind};
    use crate::model::snapshot::Change;
    use crate::testing::execution::{Machine, block_on, budget};
    use crate::testing::samples::{experiment, faults, function_arn, observation, run_id, world};

    #[test]
    fn a_fault_is_out_where_no_read_is_late_and_no_restore_began() {
        let mut target = TargetRecord::new(run_id("run-1"), function_arn("checkout"));
        target.changes = vec![Change::Timeout { original: 10, injected: 1 }];
        target.status = TargetStatus::Injected;
        let lease = Lease { kind: LeaseKind::Inject, holder: String::new(), until: Time(1_000) };
        target.inject_lease = Some(lease.clone());
        let seen = observation("checkout");
        let at = |target: &TargetRecord, observed_at| removed(target, &seen, Time(observed_at)).len();
        assert_eq!((at(&target, 999), at(&target, 1_000)), (0, 1));
        target.status = TargetStatus::Restoring;
        assert_eq!(at(&target, 1_000), 0);
        (target.status, target.restore_lease) = (TargetStatus::Injected, Some(lease));
        assert_eq!(at(&target, 1_000), 0);
    }

    #[test]
    fn a_sample_begins_no_observation_after_its_budget() {
        let world = world(&["checkout"]);
        let machine = Machine::new(&world, "run-1", experiment(&["checkout"], &faults()[..1]));
        assert!(block_on(machine.start()).is_ok());
        let run = world.with(|state| state.runs[&machine.run].clone());
        let reserve = INVOCATION_RESERVE.as_secs();
        for (seconds, observed) in [(reserve, 1), (reserve - 1, 0)] {
            let before = world.count("GetFunction");
            assert!(block_on(sample(&world, &run, 0, budget(&world, Duration::from_secs(seconds)))).is_ok());
            assert_eq!(world.count("GetFunction") - before, observed, "{seconds} s before the end");
        }
    }
}
