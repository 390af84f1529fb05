//! The protocol by which an inject or a restore changes a function: each call is made under a lease, within Lambda's
//! rate.
//!
//! 1. Wait for the turns of all calls. First, because a lease must not run down while its holder waits.
//! 2. Record a lease. The ledger then grants a [`Permit`], and no other writer of this kind gets one.
//! 3. Make each call once, while the window lasts. A call without a clear response is in doubt until the lease ends.
//! 4. Shorten the lease, unless a call is in doubt: also one that was made under an earlier lease of this invocation,
//!    because the ledger keeps only the last lease of each kind.
//!
//! A target is ended only after every lease, which [`crate::ports::Ledger::end_target`] checks. So a lease may be
//! shortened only when no read can be mistaken any more.
//!
//! # Differences between the two writers
//! - How long a lease runs on after its last response ([`run_on`]): an inject's for as long as a read may be stale, a
//!   restore's not at all.
//! - What follows from a failed write, which each writer decides in its own loop. An inject stops at the first one,
//!   because what is not injected need not be restored. A restore tries the other writes, because each of them takes a
//!   fault away.

use std::time::Duration;

use crate::model::run::{Lease, LeaseKind, TargetKey};
use crate::model::snapshot::{Change, Write};
use crate::model::time::Time;
use crate::ports::{FunctionError, Permit, World};

use super::error::StepError;
use super::rate_limiter::{Quota, RateLimiter};
use super::retry::retry;
use super::{Budget, LEASE_DURATION, MAX_CLOCK_SKEW, MAX_READ_STALENESS, WRITE_WINDOW};

/// What a writer without a turn waits for.
pub(super) const TURN: &str = "a turn within Lambda's rate";

/// What a lease is taken for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose<'a> {
    /// To write the fault: these changes, on which the writes were decided.
    Inject(&'a [Change]),
    /// To write the original.
    Restore,
}

impl Purpose<'_> {
    fn kind(self) -> LeaseKind {
        match self {
            Self::Inject(_) => LeaseKind::Inject,
            Self::Restore => LeaseKind::Restore,
        }
    }
}

/// Until when a call of this invocation may still land, over all of its leases on one target.
#[derive(Debug, Default)]
pub(super) struct InDoubt(Option<Time>);

/// One writer on one target.
#[derive(Debug)]
pub(super) struct LeasedWriter<'a, W> {
    pub(super) world: &'a W,
    pub(super) limiter: &'a RateLimiter,
    pub(super) budget: Budget,
    /// The name of this invocation in its leases.
    pub(super) holder: &'a str,
    pub(super) target: TargetKey<'a>,
}

/// The result of asking for a lease.
pub(super) enum Begun<'a, W> {
    /// The lease is durable: write.
    Granted(Leased<'a, W>),
    /// The turn comes too late; retry after this time.
    NoTurn(Duration),
    /// The ledger declined the lease.
    NoPermit,
}

/// A lease that is held. End it with [`Leased::finish`]; dropped, it runs until its end.
#[must_use]
pub(super) struct Leased<'a, W> {
    writer: &'a LeasedWriter<'a, W>,
    permit: Permit,
    window: Window,
    landed: Vec<Write>,
    in_doubt: bool,
}

/// The result of one write.
#[derive(Debug)]
pub(super) enum Sent {
    /// It has landed.
    Landed,
    /// It was not sent, because an earlier write may have replaced the revision that it was decided on.
    Overtaken,
    /// No clear response: it may have landed, and may still land.
    Uncertain,
    /// Nothing was changed.
    Failed(FunctionError),
}

impl<W: World> LeasedWriter<'_, W> {
    /// Waits for the turns of `calls` writes, and takes a lease for them.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(super) async fn begin(&self, purpose: Purpose<'_>, calls: usize) -> Result<Begun<'_, W>, StepError> {
        if let Err(wait) = self.limiter.acquire(self.world, calls).await {
            return Ok(Begun::NoTurn(wait));
        }
        Ok(self.take_lease(purpose).await?.map_or(Begun::NoPermit, Begun::Granted))
    }

    /// Takes a lease; `None` if the ledger declines it.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(super) async fn take_lease(&self, purpose: Purpose<'_>) -> Result<Option<Leased<'_, W>>, StepError> {
        let (world, target) = (self.world, self.target);
        let window = self.budget.window(purpose.kind(), self.holder, world.now());
        let lease = &window.lease;
        let permit = match purpose {
            Purpose::Inject(planned) => {
                retry(world, || world.begin_inject(target, planned, lease, world.now())).await?
            }
            Purpose::Restore => retry(world, || world.begin_restore(target, lease, world.now())).await?,
        };
        Ok(permit.map(|permit| Leased { writer: self, permit, window, landed: Vec::new(), in_doubt: false }))
    }
}

impl<W: World> Leased<'_, W> {
    /// Makes one call, once.
    pub(super) async fn write(&mut self, write: &Write) -> Sent {
        if is_overtaken(&self.landed, write) {
            return Sent::Overtaken;
        }
        let LeasedWriter { world, limiter, .. } = self.writer;
        match world.write(&self.permit, write, self.window.last_call).await {
            Ok(()) => {
                self.landed.push(write.clone());
                Sent::Landed
            }
            Err(error) if error.may_have_landed() => {
                self.in_doubt = true;
                Sent::Uncertain
            }
            Err(error) => {
                limiter.on_throttle(*world, Quota::ControlPlane, &error);
                Sent::Failed(error)
            }
        }
    }

    /// Ends the lease as early as is safe. Returns until when a call of this lease may still land, if one is in doubt.
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub(super) async fn finish(self, in_doubt: &mut InDoubt) -> Result<Option<Time>, StepError> {
        let Self { writer: LeasedWriter { world, target, .. }, window: Window { lease, .. }, .. } = self;
        if self.in_doubt {
            // Leases of one holder end in the order in which they were taken, so this one ends last.
            in_doubt.0 = Some(lease.until);
            return Ok(in_doubt.0);
        }
        let now = world.now();
        let is_in_doubt = in_doubt.0.is_some_and(|until| until > now);
        if !is_in_doubt {
            let until = now + run_on(lease.kind);
            retry(*world, || world.shorten_lease(*target, &lease, until)).await?;
        }
        Ok(None)
    }
}

/// How long a lease must run on when every call has got its response.
fn run_on(kind: LeaseKind) -> Duration {
    match kind {
        // A read that misses an injected value shows the original: a restore would call the target restored.
        LeaseKind::Inject => MAX_READ_STALENESS + MAX_CLOCK_SKEW,
        // A read that misses a restored value shows the injected one: a restore would only write the original again.
        LeaseKind::Restore => Duration::ZERO,
    }
}

/// Whether a write was decided on a revision that snapback's own calls may have replaced. AWS does not document whether
/// setting the reserved concurrency gives the function a new revision. So a configuration update waits for the next
/// pass: sent immediately, it could be refused (412) without need.
fn is_overtaken(landed: &[Write], write: &Write) -> bool {
    matches!(write, Write::Configuration(_)) && landed.iter().any(|landed| matches!(landed, Write::Concurrency(_)))
}

/// A lease and its window for writing. Made right before the lease is taken, because the lease runs from then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// The lease.
    pub lease: Lease,
    /// No call starts under it after this.
    pub last_call: Time,
}

impl Budget {
    /// A lease that starts now, and the last moment at which calls may start under it.
    #[must_use]
    pub fn window(self, kind: LeaseKind, holder: &str, now: Time) -> Window {
        // The lease is not shortened to the invocation's end: two leases of the same holder would then end at the same
        // moment, and `shorten_lease` could not tell them apart.
        let lease = Lease { kind, holder: holder.to_owned(), until: now + LEASE_DURATION };
        Window { lease, last_call: self.last_call().min(now + WRITE_WINDOW) }
    }
}
