//! A rate limiter for Lambda's control plane. Each worker has one, which all of its calls about functions share.
//!
//! Lambda allows 100 `GetFunction` requests per second and 15 of all other control-plane requests, per account and
//! Region. Neither can be raised (lambda/latest/dg/gettingstarted-limits). Lambda responds to further requests with
//! 429. Workers do not know about each other: each limits its own rate, and all pause when AWS throttles them.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::time::{Time, in_whole_seconds};
use crate::ports::{Clock, FunctionError};

use super::retry::retry;
use super::{MAX_CONCURRENCY, MAX_READ_STALENESS};

/// The longest time for which one 429 stops a worker's calls.
const MAX_HOLD: Duration = Duration::from_secs(10);
/// The longest random addition to a hold, in milliseconds. It prevents workers that were throttled together from
/// continuing together.
const HOLD_JITTER_MS: u64 = 1_000;

/// The rate of Lambda for which a call counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quota {
    /// The rate of `GetFunction`: 100 per second.
    GetFunction,
    /// The rate of all other control-plane calls together, reads and writes: 15 per second.
    ControlPlane,
}

impl Quota {
    /// Returns the rates for which an observation counts. The function's mappings are listed by a separate call.
    #[must_use]
    pub const fn of_observation(with_mappings: bool) -> &'static [Self] {
        if with_mappings { &[Self::GetFunction, Self::ControlPlane] } else { &[Self::GetFunction] }
    }

    /// Returns the number of calls that a worker can make without a wait at its start. It is small, because the worker
    /// does not know how much of the rate others have used: one call for each target of the first lane, so that a run
    /// with up to eight functions is restored without any wait. `tests/core/scale.rs` checks that a restore of a
    /// thousand targets, which takes 67 s at 15 calls per second, takes at most 1.1 times as long.
    const fn burst(self) -> i64 {
        match self {
            // First and later passes share this rate.
            Self::GetFunction => 2 * MAX_CONCURRENCY as i64,
            Self::ControlPlane => MAX_CONCURRENCY as i64,
        }
    }

    /// Returns the time between two calls in microseconds, rounded up.
    const fn interval_us(self) -> i64 {
        match self {
            Self::GetFunction => 10_000,
            Self::ControlPlane => 66_667,
        }
    }
}

/// The time of the next call that counts for one rate.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// When the next call is allowed once the burst is used up, in microseconds since the epoch.
    next: i64,
    /// The time before which nothing is sent.
    held_until: Time,
    /// How often the bucket was put on hold. A reservation from before a hold is void.
    holds: u64,
}

impl Bucket {
    const FRESH: Self = Self { next: i64::MIN, held_until: Time(i64::MIN), holds: 0 };
}

/// Limits one worker's calls, from the beginning of an invocation to its last call.
#[derive(Debug)]
pub struct RateLimiter {
    buckets: Mutex<[Bucket; 2]>,
    until: Time,
}

impl RateLimiter {
    /// Creates the limiter of a worker that makes no call after `until`. A call whose turn comes later fails
    /// immediately.
    #[must_use]
    pub fn until(until: Time) -> Self {
        Self { buckets: Mutex::new([Bucket::FRESH; 2]), until }
    }

    /// Makes a read that counts for these rates when its turn has come, and retries it like [`retry`].
    ///
    /// # Errors
    /// The last error, or `Throttled` if the turn does not come in time.
    pub async fn read<C, T, F, A>(&self, clock: &C, kinds: &[Quota], call: F) -> Result<T, FunctionError>
    where
        C: Clock + Sync,
        F: Fn() -> A,
        A: Future<Output = Result<T, FunctionError>>,
    {
        let in_turn = || async {
            for kind in kinds {
                self.wait(clock, *kind, 1, self.until).await.map_err(FunctionError::Throttled)?;
            }
            let result = call().await;
            if let Err(error) = &result {
                kinds.iter().for_each(|kind| self.on_throttle(clock, *kind, error));
            }
            result
        };
        retry(clock, in_turn).await
    }

    /// Waits for the turns of `calls` writes. Must be called before the lease is taken, because a lease must not run
    /// down while its holder waits. Waits at most as long as a read may be stale, because the writes were decided on an
    /// observation.
    ///
    /// # Errors
    /// The time after which to retry, if the turn comes later than that.
    pub async fn acquire(&self, clock: &(impl Clock + Sync), calls: usize) -> Result<(), Duration> {
        let patience = self.until.min(clock.now() + MAX_READ_STALENESS);
        self.wait(clock, Quota::ControlPlane, calls, patience).await
    }

    /// Charges a call that is made without waiting, so that later calls wait longer.
    pub fn charge(&self, clock: &impl Clock) {
        // Without a latest time, a reservation cannot fail.
        let _ = self.reserve(Quota::ControlPlane, 1, clock.now(), Time(i64::MAX));
    }

    /// Puts this kind of call on hold if AWS has responded with 429.
    pub fn on_throttle(&self, clock: &impl Clock, kind: Quota, error: &FunctionError) {
        let FunctionError::Throttled(retry_after) = error else { return };
        if retry_after.is_zero() {
            return;
        }
        let jitter = Duration::from_millis(clock.random() % HOLD_JITTER_MS);
        let until = clock.now() + (*retry_after).min(MAX_HOLD) + jitter;
        let bucket = &mut self.buckets()[kind as usize];
        bucket.held_until = bucket.held_until.max(until);
        bucket.holds += 1;
        // All reservations are void, and there is no burst after the hold.
        bucket.next = bucket.held_until.0.saturating_mul(1000);
    }

    /// Waits for the turns of `calls` calls. If that takes too long, returns that time immediately.
    async fn wait(
        &self,
        clock: &(impl Clock + Sync),
        kind: Quota,
        calls: usize,
        patience: Time,
    ) -> Result<(), Duration> {
        loop {
            let now = clock.now();
            let turn = self.reserve(kind, calls, now, patience)?;
            let wait = now.until(turn.at);
            if wait.is_zero() {
                return Ok(());
            }
            clock.sleep(wait).await;
            if self.buckets()[kind as usize].holds == turn.holds {
                return Ok(());
            }
        }
    }

    fn reserve(&self, kind: Quota, calls: usize, now: Time, patience: Time) -> Result<Reservation, Duration> {
        let calls = i64::try_from(calls).unwrap_or(i64::MAX);
        let bucket = &mut self.buckets()[kind as usize];
        let microseconds = now.0.saturating_mul(1000);
        // Unused calls add up to the burst.
        let first = bucket.next.max(microseconds.saturating_sub(kind.interval_us() * (kind.burst() - 1)));
        let last = first.saturating_add(kind.interval_us().saturating_mul(calls - 1));
        let at = Time(last.max(microseconds).saturating_add(999) / 1000).max(bucket.held_until);
        if at > patience {
            // The result is in whole seconds, like AWS's `Retry-After`.
            return Err(in_whole_seconds(now.until(at)));
        }
        bucket.next = last.saturating_add(kind.interval_us());
        Ok(Reservation { at, holds: bucket.holds })
    }

    fn buckets(&self) -> MutexGuard<'_, [Bucket; 2]> {
        // Every update of a bucket is complete, so it is still valid after a panic elsewhere.
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A reserved turn for one or more calls.
struct Reservation {
    at: Time,
    holds: u64,
}

#[cfg(test)]
mod tests {
    use futures_util::future::{join, join_all};

    use super::*;
    use crate::model::time::whole_milliseconds;
    use crate::testing::SimWorld;

    /// When `count` turns came that were requested together, in milliseconds from now.
    async fn turns(world: &SimWorld, limiter: &RateLimiter, count: usize) -> Vec<i64> {
        let began = world.now().0;
        let turn = || async {
            assert_eq!(limiter.wait(world, Quota::ControlPlane, 1, Time(i64::MAX)).await, Ok(()));
            world.now().0 - began
        };
        join_all((0..count).map(|_| turn())).await
    }

    #[tokio::test]
    async fn a_burst_comes_at_once_and_the_rest_at_the_rate() {
        let world = SimWorld::default();
        let limiter = RateLimiter::until(Time(i64::MAX));
        let turns = turns(&world, &limiter, 38).await;
        assert_eq!(turns[..MAX_CONCURRENCY], [0; MAX_CONCURRENCY]);
        assert_eq!((turns[MAX_CONCURRENCY], turns[37]), (67, 2_001));
        let most =
            turns.iter().map(|from| turns.iter().filter(|at| (*from..*from + 1_000).contains(*at)).count()).max();
        assert!(most <= Some(15 + MAX_CONCURRENCY), "{most:?} within one second");
    }

    #[tokio::test]
    async fn reads_have_a_separate_burst_and_rate() {
        let world = SimWorld::default();
        let limiter = RateLimiter::until(Time(i64::MAX));
        let began = world.now().0;
        for turn in 0..=2 * MAX_CONCURRENCY {
            assert_eq!(limiter.wait(&world, Quota::GetFunction, 1, Time(i64::MAX)).await, Ok(()));
            assert_eq!(world.now().0 - began, if turn < 2 * MAX_CONCURRENCY { 0 } else { 10 }, "turn {turn}");
        }
    }

    /// A clock whose chance is always the same, and whose time moves by sleeping only.
    struct Chance(std::sync::atomic::AtomicI64);

    impl Clock for Chance {
        fn now(&self) -> Time {
            Time(self.0.load(std::sync::atomic::Ordering::Relaxed))
        }

        async fn sleep(&self, span: Duration) {
            self.0.fetch_add(whole_milliseconds(span), std::sync::atomic::Ordering::Relaxed);
        }

        fn random(&self) -> u64 {
            7 * HOLD_JITTER_MS + HOLD_JITTER_MS / 2
        }
    }

    #[tokio::test]
    async fn a_hold_is_as_long_as_aws_asks_and_a_little_longer_by_chance() {
        let clock = Chance(0.into());
        let limiter = RateLimiter::until(Time(i64::MAX));
        limiter.on_throttle(&clock, Quota::ControlPlane, &FunctionError::Throttled(Duration::from_secs(2)));
        assert_eq!(limiter.wait(&clock, Quota::ControlPlane, 1, Time(i64::MAX)).await, Ok(()));
        assert_eq!(clock.now(), Time(2_000 + (HOLD_JITTER_MS / 2).cast_signed()));
    }

    #[tokio::test]
    async fn a_429_holds_those_that_were_given_their_turn_already() {
        let world = SimWorld::default();
        let limiter = RateLimiter::until(Time(i64::MAX));
        turns(&world, &limiter, MAX_CONCURRENCY).await;
        let began = world.now();
        let waiting = async {
            assert_eq!(limiter.acquire(&world, 1).await, Ok(()));
            world.now()
        };
        let refused = async {
            limiter.on_throttle(&world, Quota::ControlPlane, &FunctionError::Throttled(Duration::from_secs(2)))
        };
        let (came, ()) = join(waiting, refused).await;
        assert!(
            ((began + Duration::from_secs(2))..began + Duration::from_secs(3)).contains(&came),
            "{} ms",
            came.0 - began.0
        );
        limiter.on_throttle(&world, Quota::ControlPlane, &FunctionError::Throttled(Duration::from_secs(2)));
        let read = limiter.wait(&world, Quota::GetFunction, 1, came).await;
        assert_eq!((read, world.now()), (Ok(()), came), "the other kind is not held");
    }

    #[tokio::test]
    async fn a_hold_has_a_bound_and_a_turn_that_comes_too_late_is_none() {
        let world = SimWorld::default();
        let limiter = RateLimiter::until(world.now() + Duration::from_secs(60));
        limiter.on_throttle(&world, Quota::ControlPlane, &FunctionError::Throttled(Duration::from_secs(3_600)));
        let began = world.now();
        // A write does not wait that long for its turn.
        let turn = limiter.acquire(&world, 1).await;
        assert!(matches!(turn, Err(wait) if [10, 11].contains(&wait.as_secs())), "{turn:?}");
        assert_eq!(world.now(), began);
        let (limiter, late) =
            (RateLimiter::until(began + Duration::from_secs(1)), RateLimiter::until(began - Duration::from_secs(1)));
        assert_eq!((limiter.acquire(&world, 20).await, late.acquire(&world, 1).await), (Ok(()), Err(Duration::ZERO)));
    }

    #[tokio::test]
    async fn a_call_that_waited_for_no_turn_counts_too() {
        let world = SimWorld::default();
        let limiter = RateLimiter::until(Time(i64::MAX));
        (0..MAX_CONCURRENCY).for_each(|_| limiter.charge(&world));
        assert_eq!(turns(&world, &limiter, 1).await, [67]);
    }

    #[tokio::test]
    async fn what_was_not_sent_holds_nobody() {
        let world = SimWorld::default();
        let limiter = RateLimiter::until(Time(i64::MAX));
        limiter.on_throttle(&world, Quota::ControlPlane, &FunctionError::Throttled(Duration::ZERO));
        limiter.on_throttle(&world, Quota::ControlPlane, &FunctionError::Busy(String::new()));
        assert_eq!(turns(&world, &limiter, 1).await, [0]);
    }
}
