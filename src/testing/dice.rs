//! Random numbers that can be repeated: a seed determines a history.

/// A generator of random numbers (splitmix64).
#[derive(Clone, Debug, Default)]
pub struct Dice(u64);

impl Dice {
    /// Creates the generator of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from `least` to `most`, both included.
    pub fn between(&mut self, least: i64, most: i64) -> i64 {
        let span = (most - least).max(0).unsigned_abs() + 1;
        least + (self.number() % span).cast_signed()
    }

    /// Returns true in this many of a hundred draws.
    pub fn percent(&mut self, percent: u32) -> bool {
        self.number() % 100 < u64::from(percent)
    }

    /// Picks an element; `None` from an empty slice.
    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        let at = usize::try_from(self.number() % (of.len().max(1) as u64)).unwrap_or_default();
        of.get(at)
    }
}
