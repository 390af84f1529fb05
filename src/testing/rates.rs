//! Lambda's rates: it throttles calls that exceed them, with status 429.

use std::time::Duration;

use crate::model::time::Time;
use crate::ports::FunctionError;

use super::State;

/// The cost of a call. A bucket is counted in thousandths of a token.
const CALL_COST: i64 = 1_000;

/// The two token buckets of an account and Region: `GetFunction` has 100 calls per second, and all other control-plane
/// calls share 15 (lambda/latest/dg/gettingstarted-limits). No page has the size of a bucket. Inferred: one second's
/// calls.
#[derive(Debug)]
pub struct Rates {
    get_function: Bucket,
    other_calls: Bucket,
    /// How many calls were throttled.
    pub throttled: u64,
}

impl Rates {
    /// Creates full buckets.
    #[must_use]
    pub fn new(now: Time) -> Self {
        Self { get_function: Bucket::full(100, now), other_calls: Bucket::full(15, now), throttled: 0 }
    }

    fn take(&mut self, call: &str, now: Time) -> Result<(), FunctionError> {
        let bucket = if call == "GetFunction" { &mut self.get_function } else { &mut self.other_calls };
        if bucket.take(now) {
            return Ok(());
        }
        self.throttled += 1;
        Err(FunctionError::Throttled(Duration::from_secs(1)))
    }
}

#[derive(Debug)]
struct Bucket {
    /// Tokens per second, which is also thousandths of a token per millisecond.
    rate: i64,
    level: i64,
    filled: Time,
}

impl Bucket {
    fn full(rate: i64, now: Time) -> Self {
        Self { rate, level: rate * CALL_COST, filled: now }
    }

    fn take(&mut self, now: Time) -> bool {
        let passed = now.0 - self.filled.0;
        self.filled = now;
        self.level = (self.level + passed * self.rate).min(self.rate * CALL_COST);
        let enough = self.level >= CALL_COST;
        self.level -= if enough { CALL_COST } else { 0 };
        enough
    }
}

impl State {
    /// Makes Lambda enforce its rates from now on.
    pub fn limit_rates(&mut self) {
        self.rates = Some(Rates::new(self.now()));
    }

    /// Counts a call against the rates, or throttles it.
    pub(super) fn admit(&mut self, call: &str) -> Result<(), FunctionError> {
        let now = self.now();
        self.rates.as_mut().map_or(Ok(()), |rates| rates.take(call, now))
    }
}
