//! Retries of one call, with jitter: conflicts in the ledger and throttled reads are normal.

use std::future::Future;
use std::time::Duration;

use crate::ports::{Clock, PortError, Retryable};

/// Tries of one call, at most.
const TRIES: u32 = 8;
/// The longest first pause, in milliseconds; it doubles with each try.
const INITIAL_PAUSE_MS: u64 = 50;
/// The longest pause, in milliseconds.
const MAX_PAUSE_MS: u64 = 2_000;

/// Makes a repeatable call until it succeeds, fails permanently, or has used up its tries.
///
/// # Errors
/// The last error.
pub async fn retry<C, T, E, F, A>(clock: &C, mut call: F) -> Result<T, E>
where
    C: Clock + Sync,
    E: PortError,
    F: FnMut() -> A,
    A: Future<Output = Result<T, E>>,
{
    let mut pause_ms = INITIAL_PAUSE_MS;
    for _ in 1..TRIES {
        match call().await {
            Err(error) if error.retryable() == Retryable::SameCall => {}
            result => return result,
        }
        // Full jitter: forty writers that met once should not meet again.
        clock.sleep(Duration::from_millis(1 + clock.random() % pause_ms)).await;
        pause_ms = (pause_ms * 2).min(MAX_PAUSE_MS);
    }
    call().await
}
