//! Random numbers that percentages and delays are rolled with.

use std::hash::{BuildHasher, RandomState};

/// The source of rolls.
#[derive(Debug)]
pub(crate) enum Dice {
    /// One sequence, the same for each use of the seed.
    Seeded(SplitMix64),
    /// A new sequence for each request and each attempt. Environments restored from one snapshot (SnapStart) share
    /// their random state, but never serve the same request; and a request that Lambda retries rolls again.
    Random(RandomState, u64),
}

impl Dice {
    pub(crate) fn new(seed: Option<u32>) -> Self {
        seed.map_or_else(|| Self::Random(RandomState::new(), 0), |seed| Self::Seeded(SplitMix64(u64::from(seed))))
    }

    /// Returns `needed` rolls at the beginning of the array; the others are 0.
    pub(crate) fn roll<const COUNT: usize>(&mut self, request: &str, needed: usize) -> [u64; COUNT] {
        let mut own;
        let rolls = match self {
            Self::Seeded(rolls) => rolls,
            Self::Random(state, times) => {
                *times += 1;
                own = SplitMix64(state.hash_one((request, *times)));
                &mut own
            }
        };
        let mut rolled = [0; COUNT];
        rolled.iter_mut().take(needed).for_each(|roll| *roll = rolls.next());
        rolled
    }
}

/// The generator splitmix64: one addition and a few shifts for each number, and every seed gives a good sequence.
#[derive(Debug)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// Maps a roll to a number from `least` to `most`.
pub(crate) fn between(least: u32, most: u32, roll: u64) -> u32 {
    let span = u64::from(most.saturating_sub(least)) + 1;
    // Use the upper half of the roll: it is nearly independent of the remainder that decides the percentage. The
    // product is less than 2^64.
    let offset = ((roll >> 32) * span) >> 32;
    least.saturating_add(u32::try_from(offset).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_sequence_for_any_requests() {
        let rolls = |seed, request| {
            let mut dice = Dice::new(Some(seed));
            (0..9).map(|_| dice.roll::<3>(request, 3)).collect::<Vec<_>>()
        };
        assert_eq!(rolls(7, "a"), rolls(7, "b"));
        assert_ne!(rolls(7, "a"), rolls(8, "a"));
        assert_eq!(Dice::new(Some(7)).roll::<3>("", 1)[1..], [0, 0]);
    }

    /// A user who repeats a run with its seed, on another version of the proxy, expects the same faults.
    #[test]
    fn a_seed_gives_the_sequence_of_splitmix64() {
        // Printed by the author's program: prng.di.unimi.it/splitmix64.c.
        let known = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(Dice::new(Some(1_234_567)).roll("", 3), known);
    }

    /// The chaos handler reads the same samples (tests/handler/test_wire.py).
    #[test]
    fn a_seed_gives_the_shared_samples() {
        let samples: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/wire/handler.json")).unwrap_or_default();
        let rolls = &samples["rolls"];
        let shares: Vec<crate::model::invocation::Percentage> =
            serde_json::from_value(rolls["percentages"].clone()).unwrap_or_default();
        let mut dice = Dice::new(rolls["seed"].as_u64().and_then(|seed| seed.try_into().ok()));
        let invocations = rolls["invocations"].as_array().map(Vec::as_slice).unwrap_or_default();
        assert_eq!((shares.len(), invocations.len()), (4, 12));
        for invocation in invocations {
            let rolled = dice.roll::<4>("", 4);
            let triggered: Vec<usize> = (0..4).filter(|at| shares[*at].includes(rolled[*at])).collect();
            assert_eq!(serde_json::json!(triggered), invocation["triggered"]);
            assert_eq!(invocation["delay"], between(5, 904, rolled[2]));
        }
    }

    #[test]
    fn unseeded_rolls_differ_by_request_attempt_and_process() {
        let mut dice = Dice::new(None);
        assert_ne!(dice.roll::<1>("a", 1), dice.roll::<1>("b", 1));
        assert_ne!(dice.roll::<1>("a", 1), dice.roll::<1>("a", 1), "a retried request");
        assert_ne!(Dice::new(None).roll::<1>("a", 1), Dice::new(None).roll::<1>("a", 1));
    }

    #[test]
    fn every_number_of_a_range_is_rolled() {
        let rolls = Dice::new(Some(1)).roll::<1000>("", 1000);
        let delays: std::collections::BTreeSet<u32> = rolls.iter().map(|roll| between(3, 7, *roll)).collect();
        assert_eq!(delays, (3..=7).collect());
        assert_eq!((between(5, 5, u64::MAX), between(0, u32::MAX, u64::MAX)), (5, u32::MAX));
    }
}
