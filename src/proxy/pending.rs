//! The invocations that the runtime has and that something is still to happen to.

use std::collections::HashMap;
use std::fs::File;

use super::message::InvocationKey;
use super::verdict::After;

/// Invocations that are kept in mind at most. Lambda gives an environment few at once.
const MAX_PENDING: usize = 1024;
/// Milliseconds after its deadline for which an invocation is kept in mind. Lambda has ended it by then, and on Managed
/// Instances, where the handler runs on, refuses its answer (lambda/latest/dg/lambda-managed-instances-execution-environment).
const GRACE_MS: u64 = 10_000;
/// Milliseconds that an invocation may take at most (lambda/latest/dg/gettingstarted-limits): for one without a deadline.
const MAX_INVOCATION_MS: u64 = 900_000;

/// What is still to happen to an invocation.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    /// What happens to its answer.
    pub(crate) after: After<'static>,
    /// Space in /tmp, freed with this.
    pub(crate) disk: Option<File>,
    /// The runtime does not survive it.
    pub(crate) exits: bool,
}

impl Pending {
    pub(crate) fn is_nothing(&self) -> bool {
        self.after.is_nothing() && self.disk.is_none() && !self.exits
    }
}

/// All of them, by request.
#[derive(Debug, Default)]
pub(crate) struct PendingInvocations {
    by_request: HashMap<String, Entry>,
    /// How many were ever added.
    added: u64,
}

#[derive(Debug)]
struct Entry {
    pending: Pending,
    invocation: Option<String>,
    /// The number that it was added as.
    number: u64,
    /// Milliseconds since the epoch.
    expires: u64,
}

impl PendingInvocations {
    /// Adds one, and forgets those that have expired; and the oldest, if there are still too many: then this returns
    /// true.
    pub(super) fn add(&mut self, key: &InvocationKey, pending: Pending, deadline: Option<u64>, now: u64) -> bool {
        self.expire(now);
        let is_full = self.by_request.len() >= MAX_PENDING && !self.by_request.contains_key(&key.request);
        if is_full {
            let oldest =
                self.by_request.iter().min_by_key(|(_, entry)| entry.number).map(|(request, _)| request.clone());
            oldest.and_then(|request| self.by_request.remove(&request));
        }
        // A deadline that has passed is no reason to forget an invocation that begins: local tools give odd ones.
        let expires = deadline.map_or(now + MAX_INVOCATION_MS, |deadline| deadline.max(now)).saturating_add(GRACE_MS);
        self.added += 1;
        let entry = Entry { pending, invocation: key.invocation.clone(), number: self.added, expires };
        self.by_request.insert(key.request.clone(), entry);
        is_full
    }

    /// Takes one out. An answer that names another invocation of the same request is late: its invocation has timed out.
    pub(super) fn take(&mut self, request: &str, invocation: Option<&str>) -> Option<Pending> {
        let own = self.by_request.get(request)?.invocation.as_deref();
        if own.zip(invocation).is_some_and(|(own, other)| own != other) {
            return None;
        }
        self.by_request.remove(request).map(|entry| entry.pending)
    }

    /// Forgets those that will not be answered any more.
    pub(super) fn expire(&mut self, now: u64) {
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

    fn key(request: usize) -> InvocationKey {
        InvocationKey { request: request.to_string(), invocation: None }
    }

    fn exits() -> Pending {
        Pending { exits: true, ..Pending::default() }
    }

    #[test]
    fn the_oldest_goes_first_when_there_are_too_many() {
        let mut all = PendingInvocations::default();
        for number in 0..MAX_PENDING {
            assert!(!all.add(&key(number), exits(), Some(9_000_000), 1));
        }
        assert!(!all.add(&key(5), exits(), Some(9_000_000), 1), "it is known already");
        assert!(all.add(&key(MAX_PENDING), exits(), Some(9_000_000), 1));
        assert!(all.take("0", None).is_none());
        assert!(all.take("1", None).is_some() && all.take("1", None).is_none());
        assert!(all.take(&MAX_PENDING.to_string(), None).is_some());
    }

    #[test]
    fn what_was_not_answered_in_time_is_forgotten() {
        let mut all = PendingInvocations::default();
        let now = 1_000_000;
        all.add(&key(1), exits(), Some(now + 1), now);
        all.add(&key(2), exits(), Some(now + 3_000), now);
        // A deadline in the past, and none at all.
        all.add(&key(3), exits(), Some(12), now);
        all.add(&key(4), exits(), None, now);
        all.expire(now + GRACE_MS);
        assert!(all.take("3", None).is_none());
        all.expire(now + GRACE_MS + 1);
        assert!(all.take("1", None).is_none() && all.take("2", None).is_some());
        all.expire(now + MAX_INVOCATION_MS + GRACE_MS - 1);
        assert!(all.take("4", None).is_some());
    }

    #[test]
    fn a_late_answer_to_another_invocation_of_the_request_takes_nothing() {
        let mut all = PendingInvocations::default();
        let retried = InvocationKey { invocation: Some("second".to_owned()), ..key(1) };
        all.add(&retried, exits(), None, 1);
        assert!(all.take("1", Some("first")).is_none());
        assert!(all.take("1", Some("second")).is_some());
        all.add(&retried, exits(), None, 1);
        assert!(all.take("1", None).is_some(), "an older client does not name it");
    }
}
