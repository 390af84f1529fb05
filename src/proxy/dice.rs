//! Numbers to roll percentages with.

use std::hash::{BuildHasher, Hasher};

/// splitmix64: one addition and a few shifts a number, and every seed makes a good sequence.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The same sequence for the same seed; another one each time without.
    pub(crate) fn new(seed: Option<u32>) -> Self {
        // The standard library seeds each of its hashers at random.
        Self(seed.map_or_else(|| std::hash::RandomState::new().build_hasher().finish(), u64::from))
    }

    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// A number from `least` to `most`, by a roll.
pub(crate) fn between(least: u32, most: u32, roll: u64) -> u32 {
    let span = u64::from(most.saturating_sub(least)) + 1;
    // The upper half, which no percentage is rolled with. The product has at most 65 bits less 32.
    let offset = ((roll >> 32) * span) >> 32;
    least.saturating_add(u32::try_from(offset).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_its_sequence() {
        let rolls = |seed| {
            let mut dice = Dice::new(Some(seed));
            (0..9).map(|_| dice.roll()).collect::<Vec<_>>()
        };
        assert_eq!(rolls(7), rolls(7));
        assert_ne!(rolls(7), rolls(8));
        assert_ne!(Dice::new(None).roll(), Dice::new(None).roll());
    }

    #[test]
    fn every_delay_of_a_range_comes_up() {
        let mut dice = Dice::new(Some(1));
        let delays: std::collections::BTreeSet<u32> = (0..1000).map(|_| between(3, 7, dice.roll())).collect();
        assert_eq!(delays, (3..=7).collect());
        assert_eq!((between(5, 5, u64::MAX), between(0, u32::MAX, u64::MAX)), (5, u32::MAX));
    }
}
