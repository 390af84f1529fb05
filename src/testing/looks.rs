//! What one invocation saw in the fields that AWS gives no guard for, and when: a write of such a field is excused for
//! overwriting what came after the look that it was decided on, and for nothing else.

use crate::model::function::{Mapping, MappingState, Observation, Slot};
use crate::model::snapshot::{Change, Write};
use crate::model::time::Time;

/// The looks of one invocation at one function, in their order. Two targets of one invocation can be the same function,
/// in two runs: the last look need not be the one that a write was decided on.
#[derive(Debug, Default)]
pub(super) struct Looks(Vec<Look>);

#[derive(Debug)]
struct Look {
    /// The moment that it showed.
    read_at: Time,
    concurrency: Slot<u32>,
    mappings: Vec<Mapping>,
}

impl Looks {
    /// Adds a look.
    pub(super) fn add(&mut self, seen: &Observation, read_at: Time) {
        match self.0.last_mut() {
            Some(last) if last.concurrency == seen.concurrency && last.mappings == seen.mappings => {
                last.read_at = read_at;
            }
            _ => {
                let (concurrency, mappings) = (seen.concurrency, seen.mappings.clone());
                self.0.push(Look { read_at, concurrency, mappings });
            }
        }
    }

    /// The moment of the look that this write was decided on: the last one that shows what it replaces. A write that no
    /// such look came before has no excuse: that is the end of time.
    pub(super) fn behind(&self, write: &Write, changes: &[Change]) -> Time {
        let shows = |look: &&Look| match write {
            Write::Configuration(_) => true,
            Write::Concurrency(slot) => replaced(*slot, changes) == Some(look.concurrency),
            Write::Mapping { id, enabled } => {
                let state = if *enabled { MappingState::Disabled } else { MappingState::Enabled };
                look.mappings.iter().any(|mapping| mapping.id == *id && mapping.state == state)
            }
        };
        self.0.iter().rev().find(shows).map_or(Time(i64::MAX), |look| look.read_at)
    }
}

/// The reserved concurrency that a write of this one replaces: the fault's is written over the original, and back.
fn replaced(written: Slot<u32>, changes: &[Change]) -> Option<Slot<u32>> {
    changes.iter().find_map(|change| match change {
        Change::ReservedConcurrency { original, injected } if written == *original => Some(Slot::Present(*injected)),
        Change::ReservedConcurrency { original, .. } => Some(*original),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::samples::observation;

    const CHANGES: [Change; 1] = [Change::ReservedConcurrency { original: Slot::Present(0), injected: 2 }];

    fn looks(shown: &[(i64, u32)]) -> Looks {
        let mut looks = Looks::default();
        let mut seen = observation("checkout");
        for (read_at, concurrency) in shown {
            seen.concurrency = Slot::Present(*concurrency);
            looks.add(&seen, Time(*read_at));
        }
        looks
    }

    #[test]
    fn a_write_rests_on_the_last_look_that_shows_what_it_replaces() {
        // Late reads: the look of one run's target shows our fault, and then another run's shows a newer value of
        // somebody else's. The first run's restore was decided on its own look.
        let looks = looks(&[(1, 0), (2, 2), (3, 2), (9, 7)]);
        assert_eq!(looks.behind(&Write::Concurrency(Slot::Present(0)), &CHANGES), Time(3));
        assert_eq!(looks.behind(&Write::Concurrency(Slot::Present(2)), &CHANGES), Time(1));
    }

    #[test]
    fn a_write_without_such_a_look_has_no_excuse() {
        let write = Write::Concurrency(Slot::Present(0));
        assert_eq!(looks(&[(1, 0), (2, 7)]).behind(&write, &CHANGES), Time(i64::MAX));
        assert_eq!(looks(&[(1, 2)]).behind(&write, &[]), Time(i64::MAX));
    }

    #[test]
    fn a_mapping_that_is_switched_was_seen_in_the_other_state() {
        let mut seen = observation("checkout");
        let id = seen.mappings[0].id.clone();
        let mut looks = looks(&[(1, 5)]);
        seen.mappings[0].state = MappingState::Disabled;
        looks.add(&seen, Time(2));
        seen.mappings[0].state = MappingState::Enabled;
        looks.add(&seen, Time(3));
        assert_eq!(looks.behind(&Write::Mapping { id: id.clone(), enabled: true }, &[]), Time(2));
        assert_eq!(looks.behind(&Write::Mapping { id, enabled: false }, &[]), Time(3));
    }
}
