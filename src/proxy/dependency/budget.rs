//! How many connections may go through the relay, so that descriptors remain for the Runtime API.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::proxy::log::log_line;

/// The places for connections that are free. A connection has two descriptors.
#[derive(Debug)]
pub(super) struct Budget {
    free: AtomicUsize,
    logged_full: AtomicBool,
}

/// The place of one connection, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place(Arc<Budget>);

impl Budget {
    /// Gives connections three quarters of this process's descriptors. Lambda allows 1,024
    /// (lambda/latest/dg/gettingstarted-limits).
    pub(super) fn new(max_descriptors: usize) -> Arc<Self> {
        Arc::new(Self { free: AtomicUsize::new(max_descriptors / 8 * 3), logged_full: AtomicBool::new(false) })
    }

    /// Takes a place; `None` if no one is free, which is logged once.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let taken = self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |free| free.checked_sub(1));
        if taken.is_err() && !self.logged_full.swap(true, Ordering::Relaxed) {
            log_line("too many connections to dependencies are open; further ones have no faults");
        }
        taken.ok().map(|_| Place(Arc::clone(self)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.free.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_remain_for_the_runtime_api() {
        let budget = Budget::new(1024);
        let places: Vec<Place> = std::iter::from_fn(|| budget.take()).collect();
        assert_eq!(places.len(), 384);
        drop(places);
        assert!(budget.take().is_some());
    }
}
