//! What an inject or a restore waits for is in the ledger, so that every reader sees it. The common path costs no call
//! for it: only a wait that lasts is recorded, and only where the record says something else.

use std::time::Duration;

use crate::model::run::TargetKey;
use crate::model::time::Time;
use crate::ports::World;

use super::retry::retry;

/// The wait after which its reason is recorded. Inferred: most configuration updates take less.
const MIN_RECORDED_WAIT: Duration = Duration::from_secs(10);

/// What arming waits for after the lock was released.
pub const TOMBSTONE: &str =
    "the function's lock was released so recently that a read could still show the previous run's fault";

/// The reason to wait while a call without a clear response may still land, or a read may miss one that has landed.
pub(super) fn in_doubt_until(until: Time) -> String {
    format!("a call that may still land until {until}")
}

/// What one target waits for, across the passes of one invocation.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The reason, and the beginning of the wait.
    now: Option<(String, Time)>,
    /// The reason in the target's record.
    pub(super) recorded: Option<String>,
}

impl Waiting {
    /// Records what is waited for, if this was the invocation's last pass or the wait has already lasted long. A failed
    /// record must not fail a restore: the next pass records again.
    pub(super) async fn record(&mut self, world: &impl World, target: TargetKey<'_>, why: Option<&str>, is_last: bool) {
        let Some(why) = why else {
            self.now = None;
            return;
        };
        let now = world.now();
        let since = match &self.now {
            Some((known, since)) if known == why => *since,
            _ => now,
        };
        self.now = Some((why.to_owned(), since));
        let lasts = is_last || now >= since + MIN_RECORDED_WAIT;
        if lasts
            && self.recorded.as_deref() != Some(why)
            && retry(world, || world.record_waiting(target, Some(why))).await.is_ok()
        {
            self.recorded = Some(why.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::execution::{Machine, block_on};
    use crate::testing::samples::{experiment, faults, function_arn, world};

    #[test]
    fn what_is_waited_for_is_recorded_once_it_has_lasted() {
        let world = world(&["checkout"]);
        let machine = Machine::new(&world, "run-1", experiment(&["checkout"], &faults()[..1]));
        assert!(block_on(machine.prepare()).is_ok());
        let (function, mut waiting) = (function_arn("checkout"), Waiting::default());
        let mut after = |seconds: u64, why: Option<&str>| {
            world.advance(Duration::from_secs(seconds));
            block_on(waiting.record(&world, TargetKey::new(&machine.run, &function), why, false));
            waiting.recorded.clone()
        };
        let lasting = MIN_RECORDED_WAIT.as_secs();
        assert_eq!(after(0, Some("one thing")), None);
        assert_eq!(after(lasting - 1, Some("one thing")), None);
        // Another thing lasts from when it begins, and so does the same one after a break.
        assert_eq!(after(1, Some("another")), None);
        assert_eq!(after(lasting - 1, None), None);
        assert_eq!(after(1, Some("another")), None);
        assert_eq!(after(lasting, Some("another")).as_deref(), Some("another"));
    }
}
