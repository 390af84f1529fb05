//! What one invocation saw in the fields that AWS gives no guard for, and when: a write of such a field is excused for
//! overwriting what came after the look that it was decided on, and for nothing else.

use std::collections::BTreeMap;

use crate::model::function::{MappingState, Observation, Slot};
use crate::model::names::{FunctionArn, MappingId};
use crate::model::snapshot::{Change, Write};
use crate::model::time::Time;

/// The looks of one invocation, in their order. Two targets of one invocation can be the same function, in two runs: the
/// last look at it need not be the one that a write was decided on.
#[derive(Debug, Default)]
pub(super) struct Looks {
    concurrency: BTreeMap<FunctionArn, Vec<(Slot<u32>, Time)>>,
    mappings: BTreeMap<MappingId, Vec<(MappingState, Time)>>,
}

impl Looks {
    /// Adds a look at a function.
    pub(super) fn add(&mut self, seen: &Observation, read_at: Time) {
        add(self.concurrency.entry(seen.arn.clone()).or_default(), seen.concurrency, read_at);
        seen.mappings.iter().for_each(|mapping| self.add_mapping(&mapping.id, mapping.state, read_at));
    }

    /// Adds a look at a mapping.
    pub(super) fn add_mapping(&mut self, id: &MappingId, state: MappingState, read_at: Time) {
        add(self.mappings.entry(id.clone()).or_default(), state, read_at);
    }

    /// The moment of the look that a write of an unguarded field was decided on: the last one that shows what it
    /// replaces. A write that no such look came before has no excuse: that is the end of time.
    pub(super) fn behind(&self, function: &FunctionArn, write: &Write, changes: &[Change]) -> Time {
        let found = match write {
            Write::Configuration(_) => None,
            Write::Concurrency(slot) => {
                replaced(*slot, changes).and_then(|value| last(self.concurrency.get(function), value))
            }
            Write::Mapping { id, enabled } => {
                let state = if *enabled { MappingState::Disabled } else { MappingState::Enabled };
                last(self.mappings.get(id), state)
            }
        };
        found.unwrap_or(Time(i64::MAX))
    }
}

fn add<T: PartialEq>(looks: &mut Vec<(T, Time)>, value: T, read_at: Time) {
    match looks.last_mut() {
        Some((last, at)) if *last == value => *at = read_at,
        _ => looks.push((value, read_at)),
    }
}

fn last<T: PartialEq>(looks: Option<&Vec<(T, Time)>>, value: T) -> Option<Time> {
    looks?.iter().rev().find(|(shown, _)| *shown == value).map(|(_, at)| *at)
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
    use crate::testing::samples::{function_arn, observation};

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

    fn behind(looks: &Looks, concurrency: u32, changes: &[Change]) -> Time {
        looks.behind(&function_arn("checkout"), &Write::Concurrency(Slot::Present(concurrency)), changes)
    }

    #[test]
    fn a_write_rests_on_the_last_look_that_shows_what_it_replaces() {
        // Late reads: the look of one run's target shows our fault, and then another run's shows a newer value of
        // somebody else's. The first run's restore was decided on its own look.
        let looks = looks(&[(1, 0), (2, 2), (3, 2), (9, 7)]);
        assert_eq!((behind(&looks, 0, &CHANGES), behind(&looks, 2, &CHANGES)), (Time(3), Time(1)));
    }

    #[test]
    fn a_write_without_such_a_look_has_no_excuse() {
        assert_eq!(behind(&looks(&[(1, 0), (2, 7)]), 0, &CHANGES), Time(i64::MAX));
        assert_eq!(behind(&looks(&[(1, 2)]), 0, &[]), Time(i64::MAX));
    }

    #[test]
    fn a_mapping_that_is_switched_was_seen_in_the_other_state() {
        let id = observation("checkout").mappings[0].id.clone();
        let mut looks = looks(&[(1, 5)]);
        looks.add_mapping(&id, MappingState::Disabled, Time(2));
        looks.add_mapping(&id, MappingState::Enabled, Time(3));
        let behind =
            |enabled| looks.behind(&function_arn("checkout"), &Write::Mapping { id: id.clone(), enabled }, &[]);
        assert_eq!((behind(true), behind(false)), (Time(2), Time(3)));
    }
}
