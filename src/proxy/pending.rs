//! The invocations whose results still have faults to come.

use std::collections::HashMap;
use std::fs::File;
use std::time::Duration;

use super::dependency::Breaking;
use super::message::InvocationKey;
use super::verdict::ResultChanges;

/// The most invocations that are remembered. Lambda gives one environment few at the same time.
const MAX_PENDING: usize = 1024;
/// How long an invocation is remembered after its deadline. Lambda has ended it by that time; on Managed Instances,
/// where the handler keeps running, it refuses the result
/// (lambda/latest/dg/lambda-managed-instances-execution-environment).
const GRACE: Duration = Duration::from_secs(10);
/// The longest time that an invocation may take (lambda/latest/dg/gettingstarted-limits); assumed for one without a
/// deadline.
const MAX_INVOCATION: Duration = Duration::from_mins(15);

/// What still has to happen to an invocation.
#[derive(Debug, Default)]
pub(crate) struct PendingEffects {
    /// What happens to its result.
    pub(crate) result_changes: ResultChanges<'static>,
    /// The file that takes space in /tmp; dropping it frees the space.
    pub(crate) disk: Option<File>,
    /// What breaks dependencies; dropping it repairs them.
    pub(crate) breaking: Option<Breaking>,
    /// Whether the runtime is killed before it can post the result.
    pub(crate) exits: bool,
}

impl PendingEffects {
    pub(crate) fn is_empty(&self) -> bool {
        self.result_changes.is_empty() && self.disk.is_none() && self.breaking.is_none() && !self.exits
    }
}

/// All pending invocations, by request.
#[derive(Debug, Default)]
pub(crate) struct PendingInvocations {
    by_request: HashMap<String, Entry>,
    /// How many were ever added.
    added: u64,
}

#[derive(Debug)]
struct Entry {
    pending: PendingEffects,
    invocation: Option<String>,
    /// The count of added invocations when this one was added.
    number: u64,
    /// Since the epoch.
    expires: Duration,
}

impl PendingInvocations {
    /// Adds an invocation and forgets the expired ones. If there are still too many, it also forgets the oldest one and
    /// returns true. Deadline and `now` are since the epoch.
    pub(super) fn add(
        &mut self,
        key: &InvocationKey,
        pending: PendingEffects,
        deadline: Option<Duration>,
        now: Duration,
    ) -> bool {
        self.expire(now);
        let is_full = self.by_request.len() >= MAX_PENDING && !self.by_request.contains_key(&key.request);
        if is_full {
            let oldest =
                self.by_request.iter().min_by_key(|(_, entry)| entry.number).map(|(request, _)| request.clone());
            oldest.and_then(|request| self.by_request.remove(&request));
        }
        // Local tools send deadlines in the past; an invocation that is just starting is remembered nevertheless.
        let expires = deadline.map_or(now + MAX_INVOCATION, |deadline| deadline.max(now)).saturating_add(GRACE);
        self.added += 1;
        let entry = Entry { pending, invocation: key.invocation.clone(), number: self.added, expires };
        self.by_request.insert(key.request.clone(), entry);
        is_full
    }

    /// Takes an invocation out. A result that names another invocation of the same request is late: its own invocation
    /// has timed out.
    pub(super) fn take(&mut self, request: &str, invocation: Option<&str>) -> Option<PendingEffects> {
        let own = self.by_request.get(request)?.invocation.as_deref();
        if own.zip(invocation).is_some_and(|(own, other)| own != other) {
            return None;
        }
        self.by_request.remove(request).map(|entry| entry.pending)
    }

    /// Forgets the invocations that will not have a result any more.
    pub(super) fn expire(&mut self, now: Duration) {
        self.by_request.retain(|_, entry| entry.expires > now);
    }

    /// Frees all space in /tmp.
    pub(super) fn free_disk(&mut self) {
        self.by_request.values_mut().for_each(|entry| entry.pending.disk = None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);
    const NOW: Duration = Duration::from_secs(1_000);

    fn key(request: usize) -> InvocationKey {
        InvocationKey { request: request.to_string(), invocation: None }
    }

    fn exits() -> PendingEffects {
        PendingEffects { exits: true, ..PendingEffects::default() }
    }

    #[test]
    fn the_oldest_invocation_is_forgotten_when_there_are_too_many() {
        let mut all = PendingInvocations::default();
        let deadline = Some(9 * NOW);
        for number in 0..MAX_PENDING {
            assert!(!all.add(&key(number), exits(), deadline, NOW));
        }
        assert!(!all.add(&key(5), exits(), deadline, NOW), "the request is known already");
        assert!(all.add(&key(MAX_PENDING), exits(), deadline, NOW));
        assert!(all.take("0", None).is_none());
        assert!(all.take("1", None).is_some() && all.take("1", None).is_none());
        assert!(all.take(&MAX_PENDING.to_string(), None).is_some());
    }

    #[test]
    fn an_invocation_without_a_result_expires_after_its_deadline() {
        let mut all = PendingInvocations::default();
        all.add(&key(1), exits(), Some(NOW + MS), NOW);
        all.add(&key(2), exits(), Some(NOW + 3_000 * MS), NOW);
        // A deadline in the past, and none at all.
        all.add(&key(3), exits(), Some(12 * MS), NOW);
        all.add(&key(4), exits(), None, NOW);
        all.expire(NOW + GRACE);
        assert!(all.take("3", None).is_none());
        all.expire(NOW + GRACE + MS);
        assert!(all.take("1", None).is_none() && all.take("2", None).is_some());
        all.expire(NOW + MAX_INVOCATION + GRACE - MS);
        assert!(all.take("4", None).is_some());
    }

    #[test]
    fn a_late_result_of_another_invocation_takes_nothing() {
        let mut all = PendingInvocations::default();
        let retried = InvocationKey { invocation: Some("second".to_owned()), ..key(1) };
        all.add(&retried, exits(), None, NOW);
        assert!(all.take("1", Some("first")).is_none());
        assert!(all.take("1", Some("second")).is_some());
        all.add(&retried, exits(), None, NOW);
        assert!(all.take("1", None).is_some(), "an older client does not name the invocation");
    }
}
