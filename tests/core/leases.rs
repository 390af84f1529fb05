//! Leases: what they cover, and how soon they end.

use std::time::Duration;

use futures_util::future::join;
use snapback::model::names::{FunctionArn, RunId};
use snapback::model::run::{EndReason, Lease, LeaseKind, TargetKey, TargetStatus};
use snapback::model::snapshot::{Change, Snapshot};
use snapback::ports::{Clock, Ledger, WriteOutcome};
use snapback::steps::rollback::stop;
use snapback::steps::{
    ATTEMPT_TIMEOUT, INVOCATION_RESERVE, LEASE_DURATION, MAX_CLOCK_SKEW, MAX_LANDING_DELAY, MAX_READ_STALENESS,
    WRITE_WINDOW,
};
use snapback::testing::samples::{self, faults, function_arn, world};
use snapback::testing::{CallFailure, SimWorld};

use super::support::{Machine, block_on, budget, give_way, roll_back_by_user, survives, target_of};

/// An armed target, and the kind of leases that the test takes on it.
struct Held {
    world: SimWorld,
    run: RunId,
    function: FunctionArn,
    planned: Vec<Change>,
    kind: LeaseKind,
}

impl Held {
    fn armed(kind: LeaseKind) -> Self {
        let world = world(&["checkout"]);
        let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
        block_on(async {
            let functions = machine.prepare().await.unwrap().functions;
            machine.arm(&functions).await.unwrap();
            machine.rehearse(&functions).await.unwrap();
        });
        let (run, function) = (machine.run.clone(), function_arn("checkout"));
        let planned = target_of(&world, &run, "checkout").changes;
        Self { world, run, function, planned, kind }
    }

    fn lease(&self) -> Lease {
        Lease { kind: self.kind, holder: "one".into(), until: self.world.now() + LEASE_DURATION }
    }

    async fn begin(&self, lease: &Lease) -> bool {
        let Self { world, run, function, planned, kind } = self;
        let permit = match kind {
            LeaseKind::Inject => world.begin_inject(TargetKey::new(run, function), planned, lease, world.now()).await,
            LeaseKind::Restore => world.begin_restore(TargetKey::new(run, function), lease, world.now()).await,
        };
        permit.unwrap().is_some()
    }
}

/// A slow call that shortens a lease can land after the same holder has taken a newer lease. The newer one must continue,
/// because its call is in flight.
#[test]
fn a_late_call_to_shorten_does_not_touch_a_newer_lease() {
    for kind in [LeaseKind::Inject, LeaseKind::Restore] {
        let held = Held::armed(kind);
        block_on(async {
            let (world, run) = (&held.world, &held.run);
            let first = held.lease();
            assert!(held.begin(&first).await);
            let settled_at = world.now();
            world.advance(Duration::from_secs(1));
            let second = held.lease();
            assert!(held.begin(&second).await);
            world.shorten_lease(TargetKey::new(run, &held.function), &first, settled_at).await.unwrap();
            assert_eq!(target_of(world, run, "checkout").leases_end_at(), Some(second.until), "{kind:?}");
            world.shorten_lease(TargetKey::new(run, &held.function), &second, settled_at).await.unwrap();
            assert_eq!(target_of(world, run, "checkout").leases_end_at(), Some(settled_at), "{kind:?}");
        });
    }
}

/// A slow call that begins a lease must not touch a newer lease either.
#[test]
fn a_late_begin_does_not_shorten_a_newer_lease() {
    for kind in [LeaseKind::Inject, LeaseKind::Restore] {
        let held = Held::armed(kind);
        block_on(async {
            let (world, run) = (&held.world, &held.run);
            let first = held.lease();
            world.advance(Duration::from_secs(1));
            let second = held.lease();
            assert!(held.begin(&second).await, "{kind:?}");
            assert!(!held.begin(&first).await, "{kind:?}");
            assert_eq!(target_of(world, run, "checkout").leases_end_at(), Some(second.until), "{kind:?}");
            // A `begin` whose response was lost can be repeated unchanged.
            assert!(held.begin(&second).await, "{kind:?}");
            world.shorten_lease(TargetKey::new(run, &held.function), &second, world.now()).await.unwrap();
        });
    }
}

/// A record alone must not allow a restore: the function's lock must belong to the same run. Otherwise, a writer of
/// records could have any function changed.
#[test]
fn a_run_without_the_lock_gets_no_permit_to_restore() {
    for holder in [None, Some(samples::run_id("another"))] {
        let held = Held::armed(LeaseKind::Restore);
        held.world.with(|state| state.locks.values_mut().for_each(|lock| lock.run.clone_from(&holder)));
        block_on(async {
            assert!(!held.begin(&held.lease()).await, "{holder:?}");
            assert_eq!(target_of(&held.world, &held.run, "checkout").status, TargetStatus::Armed, "{holder:?}");
        });
    }
}

/// A new snapshot needs a new rehearsal.
#[test]
fn an_inject_needs_a_rehearsal_of_its_current_snapshot() {
    let held = Held::armed(LeaseKind::Inject);
    let Held { world, run, function, planned, .. } = &held;
    let snapshot = |changes: &[Change]| Snapshot { changes: changes.to_vec(), last_version: 0, runtime_version: None };
    block_on(async {
        let _ = world.arm(TargetKey::new(run, function), &snapshot(planned)).await.unwrap();
        assert!(!held.begin(&held.lease()).await, "taken again");
        assert_eq!(
            world.mark_rehearsed(TargetKey::new(run, function), &[]).await,
            Ok(WriteOutcome::ConditionFailed),
            "another snapshot"
        );
        assert!(!held.begin(&held.lease()).await, "another snapshot was rehearsed");
        assert_eq!(world.mark_rehearsed(TargetKey::new(run, function), planned).await, Ok(WriteOutcome::Applied));
        assert!(held.begin(&held.lease()).await, "rehearsed");
        assert_eq!(
            world.mark_rehearsed(TargetKey::new(run, function), planned).await,
            Ok(WriteOutcome::ConditionFailed),
            "begun"
        );
    });
}

/// No call can land after its lease, and no two leases of one holder end at the same time, which is how they are told apart.
#[test]
fn a_lease_covers_its_window_and_no_more() {
    let world = world(&[]);
    let now = world.now();
    let just_enough = (WRITE_WINDOW + INVOCATION_RESERVE).as_secs();
    let too_short = Duration::from_secs(5) - INVOCATION_RESERVE;
    for (seconds, expected) in [(900, WRITE_WINDOW), (30, WRITE_WINDOW), (just_enough, WRITE_WINDOW), (5, too_short)] {
        let budget = budget(&world, Duration::from_secs(seconds));
        let window = budget.window(LeaseKind::Restore, "restore-1", now);
        assert_eq!(window.last_call, now + expected, "{seconds}");
        assert!(
            window.last_call + ATTEMPT_TIMEOUT + MAX_LANDING_DELAY + MAX_READ_STALENESS + MAX_CLOCK_SKEW
                <= window.lease.until,
            "{seconds}"
        );
        assert_eq!(window.lease.until, now + LEASE_DURATION, "{seconds}");
        assert_ne!(
            window.lease,
            budget.window(LeaseKind::Restore, "restore-1", now + Duration::from_secs(1)).lease,
            "{seconds}"
        );
    }
}

/// The figure that the guarantee states.
#[test]
fn a_lease_lasts_35_seconds() {
    assert_eq!(LEASE_DURATION, Duration::from_secs(35));
}

/// After every call of an inject has returned, its lease lasts as long as a stale read may miss them.
#[test]
fn a_finished_inject_keeps_its_lease_while_reads_may_be_stale() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(machine.start()).unwrap();
    // Inject has read again one second after the response.
    let returned_at = world.now() - Duration::from_secs(1);
    assert_eq!(
        target_of(&world, &machine.run, "checkout").leases_end_at(),
        Some(returned_at + MAX_READ_STALENESS + MAX_CLOCK_SKEW)
    );
}

/// A pass starts after one second, and the last two seconds of an invocation are kept free.
#[test]
fn a_pass_that_would_end_too_late_waits_for_the_next_invocation() {
    let world = world(&[]);
    let allowed = |seconds: u64| budget(&world, Duration::from_secs(seconds)).allows(world.now());
    assert_eq!([2, 3, 4].map(allowed), [false, false, true]);
}

/// If a rollback with a timeout of fifteen minutes dies while it holds a lease, the next one waits only for that lease.
#[test]
fn a_dead_worker_blocks_others_only_for_its_lease() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(machine.start()).unwrap();
    world.advance(Duration::from_secs(60));
    let began = world.now();
    block_on(stop(&world, &machine.run, &EndReason::UserRequest.into())).unwrap();
    world.with(|state| {
        // The rollback reads, takes its lease, sends its call, which does not land, and dies before the response.
        state.call_failures = vec![("PutFunctionConcurrency", CallFailure::Lost)];
        state.calls_before_crash = Some(6);
    });
    let rollback = roll_back_by_user(&world, &machine.run, Duration::from_secs(900));
    assert!(survives(rollback).is_none());
    world.with(|state| {
        state.calls_before_crash = None;
        assert!(state.call_failures.is_empty(), "the rollback died before its call");
    });
    let lease = target_of(&world, &machine.run, "checkout").restore_lease.unwrap();
    assert_eq!(lease.until, began + LEASE_DURATION);
    block_on(roll_back_by_user(&world, &machine.run, Duration::from_secs(900))).unwrap();
    assert_eq!(target_of(&world, &machine.run, "checkout").status, TargetStatus::Restored);
    assert!(world.now() <= began + LEASE_DURATION + Duration::from_secs(5), "{:?}", began.until(world.now()));
}

/// A worker that is delayed between its lease and its call does not send the call after the lease's window, even if the
/// worker has time left, because another worker may already be writing.
#[test]
fn no_call_starts_after_its_leases_window() {
    let world = world(&["checkout"]);
    let machine = Machine::new(&world, "run-1", samples::experiment(&["checkout"], &faults()[0..1]));
    block_on(machine.start()).unwrap();
    world.advance(Duration::from_secs(60));
    let sent = || world.with(|state| state.calls.iter().filter(|call| *call == "PutFunctionConcurrency").count());
    let hold_up = async {
        while sent() < 2 {
            give_way().await;
        }
        world.advance(WRITE_WINDOW + Duration::from_secs(1));
        give_way().await;
        assert_eq!(world.with(|state| state.writes.len()), 1, "only the inject's call has landed");
    };
    let rollback = roll_back_by_user(&world, &machine.run, Duration::from_secs(900));
    let (rolled, ()) = block_on(join(rollback, hold_up));
    rolled.unwrap();
    assert_eq!((sent(), world.with(|state| state.writes.len())), (3, 2), "it was sent again, under another lease");
    assert_eq!(target_of(&world, &machine.run, "checkout").status, TargetStatus::Restored);
}
