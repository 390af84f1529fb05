//! How fast the bytes of one direction may pass.

use std::time::{Duration, Instant};

/// How far a direction may be behind its rate and still catch up. A timer wakes a task late, and without this each time
/// would be lost.
const MAX_LAG: Duration = Duration::from_millis(20);
/// A direction waits only if it is further ahead than this: a timer has a resolution of one millisecond.
const MIN_PAUSE: Duration = Duration::from_millis(2);

/// When the next bytes of a direction are due.
#[derive(Debug)]
pub(super) struct Pace {
    next: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { next: now }
    }

    /// Notes bytes that have passed, and returns how long the next ones must wait.
    pub(super) fn pause(&mut self, now: Instant, count: usize, bytes_per_second: u32) -> Duration {
        let earliest = now.checked_sub(MAX_LAG).unwrap_or(now);
        let took = Duration::from_nanos(count as u64 * 1_000_000_000 / u64::from(bytes_per_second.max(1)));
        self.next = self.next.max(earliest) + took;
        let ahead = self.next.saturating_duration_since(now);
        if ahead > MIN_PAUSE { ahead } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes bytes with a timer that wakes two milliseconds late, and returns how long they took.
    fn pass(total: usize, at_once: usize, bytes_per_second: u32) -> Duration {
        let began = Instant::now();
        let (mut now, mut pace) = (began, Pace::new(began));
        for _ in 0..total / at_once {
            let pause = pace.pause(now, at_once, bytes_per_second);
            if !pause.is_zero() {
                now += pause + Duration::from_millis(2);
            }
        }
        now - began
    }

    #[test]
    fn each_rate_is_reached_and_not_exceeded() {
        for (at_once, rate) in [(50, 1_000), (50_000, 1_000_000), (64_000, 100_000_000), (64_000, 1_000_000_000)] {
            let took = pass(2 * rate as usize, at_once, rate).as_secs_f64();
            assert!((1.9..2.1).contains(&took), "{rate} bytes per second: {took} s");
        }
    }

    #[test]
    fn a_pause_of_the_program_is_not_made_up_for() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        assert_eq!(pace.pause(began + Duration::from_secs(60), 1_000, 1_000), Duration::from_secs(1) - MAX_LAG);
    }
}
