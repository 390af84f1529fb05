//! The reads of one invocation of fields for which AWS has no conditional write.
//!
//! A write of such a field can overwrite an edit that came after the read on which it was decided. The monitor excuses
//! that, and nothing else, so it has to know the time of that read.

use std::collections::BTreeMap;

use crate::model::function::{MappingState, Observation, Slot};
use crate::model::names::{FunctionArn, MappingId};
use crate::model::snapshot::{Change, Write};
use crate::model::time::Time;

/// The reads of one invocation, in their order. Two targets of one invocation can be the same function, in two runs, so
/// the last read is not always the one on which a write was decided.
#[derive(Debug, Default)]
pub(super) struct UnguardedReads {
    concurrency: BTreeMap<FunctionArn, Vec<(Slot<u32>, Time)>>,
    mappings: BTreeMap<MappingId, Vec<(MappingState, Time)>>,
}

impl UnguardedReads {
    /// Adds a read of a function.
    pub(super) fn add(&mut self, seen: &Observation, read_at: Time) {
        add(self.concurrency.entry(seen.arn.clone()).or_default(), seen.concurrency, read_at);
        seen.mappings.iter().for_each(|mapping| self.add_mapping(&mapping.id, mapping.state, read_at));
    }

    /// Adds a read of a mapping.
    pub(super) fn add_mapping(&mut self, id: &MappingId, state: MappingState, read_at: Time) {
        add(self.mappings.entry(id.clone()).or_default(), state, read_at);
    }

    /// Returns the time of the read on which a write of an unguarded field was decided: the last one that shows the
    /// value that the write replaces. A write without such a read has no excuse, which the largest time expresses.
    pub(super) fn read_before(&self, function: &FunctionArn, write: &Write, changes: &[Change]) -> Time {
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

fn add<T: PartialEq>(reads: &mut Vec<(T, Time)>, value: T, read_at: Time) {
    match reads.last_mut() {
        Some((last, at)) if *last == value => *at = read_at,
        _ => reads.push((value, read_at)),
    }
}

fn last<T: PartialEq>(reads: Option<&Vec<(T, Time)>>, value: T) -> Option<Time> {
    reads?.iter().rev().find(|(shown, _)| *shown == value).map(|(_, at)| *at)
}

/// Returns the reserved concurrency that a write replaces: the fault's value by a restore, the original by an inject.
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

    fn reads(shown: &[(i64, u32)]) -> UnguardedReads {
        let mut reads = UnguardedReads::default();
        let mut seen = observation("checkout");
        for (read_at, concurrency) in shown {
            seen.concurrency = Slot::Present(*concurrency);
            reads.add(&seen, Time(*read_at));
        }
        reads
    }

    fn read_before(reads: &UnguardedReads, concurrency: u32, changes: &[Change]) -> Time {
        reads.read_before(&function_arn("checkout"), &Write::Concurrency(Slot::Present(concurrency)), changes)
    }

    #[test]
    fn a_write_is_based_on_the_last_read_of_the_replaced_value() {
        // The read for one run's target shows its fault; then a read for another run's target shows a newer edit. The
        // first run's restore was decided on the first of these reads.
        let reads = reads(&[(1, 0), (2, 2), (3, 2), (9, 7)]);
        assert_eq!((read_before(&reads, 0, &CHANGES), read_before(&reads, 2, &CHANGES)), (Time(3), Time(1)));
    }

    #[test]
    fn a_write_of_a_value_that_was_never_read_has_no_excuse() {
        assert_eq!(read_before(&reads(&[(1, 0), (2, 7)]), 0, &CHANGES), Time(i64::MAX));
        assert_eq!(read_before(&reads(&[(1, 2)]), 0, &[]), Time(i64::MAX));
    }

    #[test]
    fn a_switched_mapping_was_read_in_the_other_state() {
        let id = observation("checkout").mappings[0].id.clone();
        let mut reads = reads(&[(1, 5)]);
        reads.add_mapping(&id, MappingState::Disabled, Time(2));
        reads.add_mapping(&id, MappingState::Enabled, Time(3));
        let read_before =
            |enabled| reads.read_before(&function_arn("checkout"), &Write::Mapping { id: id.clone(), enabled }, &[]);
        assert_eq!((read_before(true), read_before(false)), (Time(2), Time(3)));
    }
}
