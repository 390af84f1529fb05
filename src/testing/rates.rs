//! Lambda's rates: what goes over them is answered 429.

use std::time::Duration;

use crate::model::time::Time;
use crate::ports::FunctionError;

use super::State;

/// A token, in the thousandths that a bucket is counted in.
const CALL: i64 = 1_000;

/// Two token buckets, as AWS has them for each account and region: `GetFunction` has 100 calls a second, and all other
/// control-plane calls together have 15 (lambda/latest/dg/gettingstarted-limits). No page says how much a bucket holds:
/// here it is one second's worth.
#[derive(Debug)]
pub struct Rates {
    looks: Bucket,
    control: Bucket,
    /// Calls that were answered 429.
    pub refused: u64,
}

impl Rates {
    /// Full buckets.
    #[must_use]
    pub fn new(now: Time) -> Self {
        Self { looks: Bucket::full(100, now), control: Bucket::full(15, now), refused: 0 }
    }

    fn take(&mut self, call: &str, now: Time) -> Result<(), FunctionError> {
        let bucket = if call == "GetFunction" { &mut self.looks } else { &mut self.control };
        if bucket.take(now) {
            return Ok(());
        }
        self.refused += 1;
        Err(FunctionError::Throttled(Duration::from_secs(1)))
    }
}

#[derive(Debug)]
struct Bucket {
    /// Tokens a second, and thousandths of a token a millisecond.
    rate: i64,
    level: i64,
    filled: Time,
}

impl Bucket {
    fn full(rate: i64, now: Time) -> Self {
        Self { rate, level: rate * CALL, filled: now }
    }

    fn take(&mut self, now: Time) -> bool {
        let passed = now.0 - self.filled.0;
        self.filled = now;
        self.level = (self.level + passed * self.rate).min(self.rate * CALL);
        let enough = self.level >= CALL;
        self.level -= if enough { CALL } else { 0 };
        enough
    }
}

impl State {
    /// Lambda keeps to its rates from now on.
    pub fn limit_rates(&mut self) {
        self.rates = Some(Rates::new(self.now()));
    }

    /// Whether Lambda takes a call now that was sent.
    pub(super) fn admit(&mut self, call: &str) -> Result<(), FunctionError> {
        let now = self.now();
        self.rates.as_mut().map_or(Ok(()), |rates| rates.take(call, now))
    }
}
