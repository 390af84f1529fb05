//! Plays many histories on all cores, and sums up their results.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::testing::cores::on_all_cores;
use crate::testing::dice::Dice;

use super::weakening::Weakening;
use super::{Outcome, play};

/// The results of many histories.
#[derive(Debug, Default)]
pub struct Soak {
    /// How many histories were played.
    pub histories: u64,
    /// The violations of each history that broke an invariant, by seed.
    pub broken: BTreeMap<u64, Vec<String>>,
    /// How many histories each situation came up in.
    pub reached: BTreeMap<&'static str, u64>,
    /// Calls in all histories.
    pub calls: u64,
    /// The most calls in one history, and its seed.
    pub longest: (u64, u64),
    /// The longest simulated time of one history, in milliseconds, and its seed.
    pub slowest: (i64, u64),
    /// How long the histories took.
    pub took: Duration,
}

impl Soak {
    fn add(&mut self, outcome: Outcome) {
        self.histories += 1;
        self.calls += outcome.calls;
        self.longest = self.longest.max((outcome.calls, outcome.seed));
        self.slowest = self.slowest.max((outcome.elapsed, outcome.seed));
        outcome.reached.into_iter().for_each(|what| *self.reached.entry(what).or_default() += 1);
        if !outcome.violations.is_empty() {
            self.broken.insert(outcome.seed, outcome.violations);
        }
    }

    fn merge(&mut self, other: Self) {
        self.histories += other.histories;
        self.calls += other.calls;
        self.longest = self.longest.max(other.longest);
        self.slowest = self.slowest.max(other.slowest);
        other.reached.into_iter().for_each(|(what, count)| *self.reached.entry(what).or_default() += count);
        self.broken.extend(other.broken);
    }

    /// Returns the histories per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.histories as f64 / self.took.as_secs_f64().max(0.001)
    }
}

/// The first seed that is derived from a text. It is far from the small seeds that every run plays.
const FIRST_DERIVED: u64 = 1_000_000_000;
/// The number of derived seeds. It keeps them short enough to type.
const DERIVED_SEEDS: u64 = 1_000_000_000_000;

/// Derives `count` consecutive seeds from a text, such as a commit's name. The same text always gives the same seeds.
#[must_use]
pub fn seeds_of(text: &str, count: u64) -> Range<u64> {
    let hash = text.bytes().fold(0, |hash, byte| Dice::new(hash ^ u64::from(byte)).number());
    let first = FIRST_DERIVED + hash % DERIVED_SEEDS;
    first..first + count
}

/// Plays the histories of these seeds, with a part of the protocol left out if a weakening is given.
#[must_use]
pub fn soak(seeds: Range<u64>, weakening: Option<Weakening>) -> Soak {
    let began = Instant::now();
    let next = AtomicU64::new(seeds.start);
    let worker = || {
        let mut part = Soak::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return part;
            }
            part.add(play(seed, weakening, false));
        }
    };
    let mut whole = Soak::default();
    on_all_cores(worker).into_iter().for_each(|part| whole.merge(part));
    whole.took = began.elapsed();
    whole
}

/// Returns the first of these seeds whose history detects the weakening, and the violations that it found.
#[must_use]
pub fn find(weakening: Weakening, seeds: Range<u64>) -> Option<(u64, Vec<String>)> {
    let mut outcomes = seeds.map(|seed| play(seed, Some(weakening), false));
    outcomes.find(|outcome| !outcome.violations.is_empty()).map(|outcome| (outcome.seed, outcome.violations))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_texts_give_different_seeds() {
        let (one, other) = (seeds_of("commit 6dafcc7", 20_000), seeds_of("commit 6dafcc8", 20_000));
        assert_eq!(one, seeds_of("commit 6dafcc7", 20_000));
        assert_eq!(one.end - one.start, 20_000);
        assert!(one.end <= other.start || other.end <= one.start, "{one:?} and {other:?}");
        assert!(one.start >= FIRST_DERIVED && other.start >= FIRST_DERIVED, "{one:?} and {other:?}");
    }
}
