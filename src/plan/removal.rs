//! Detects faults that were removed outside the run, before its restore.

use crate::model::function::{LastUpdate, Observation};
use crate::model::snapshot::{Change, Surface};

use super::field_state::{FieldState, field_state};

/// Returns the fields of an injected target that do not have the injected value, because a deploy or a user has changed
/// them.
///
/// The caller must ensure two things. The fault was observed in place so long before this observation began that a
/// stale read cannot miss it. And no restore of the run had begun at that time.
#[must_use]
pub fn removed_faults(changes: &[Change], now: &Observation) -> Vec<String> {
    changes.iter().filter(|change| is_removed(change, now)).map(|change| change.field().to_string()).collect()
}

fn is_removed(change: &Change, now: &Observation) -> bool {
    // An observation shows an update that is in progress or has failed, but the configuration before it serves, which
    // has the fault (lambda/latest/dg/functions-states).
    if change.surface() == Surface::Configuration && now.last_update != LastUpdate::Successful {
        return false;
    }
    if let Change::Layers { added, .. } = change {
        return !added.iter().all(|layer| now.layers.contains(layer));
    }
    match field_state(change, now) {
        FieldState::Injected | FieldState::Unknown(_) => false,
        FieldState::Drifted(_) => true,
        FieldState::Original => changes_something(change),
    }
}

/// Whether the injected value differs from the original. If it does not, a field with its original value has the fault.
fn changes_something(change: &Change) -> bool {
    match change {
        Change::ReservedConcurrency { original, injected } => original.as_option() != Some(injected),
        Change::Handler { original, injected } => original != injected,
        Change::Variable { original, injected, .. } => original != injected,
        Change::Timeout { original, injected } | Change::Memory { original, injected } => original != injected,
        Change::Layers { .. } | Change::Mapping { .. } => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::function::{Environment, MappingState, Slot};
    use crate::model::names::{MappingId, VariableName};
    use crate::model::secret::Secret;
    use crate::testing::samples::{MAPPING, layer_arn, observation};

    fn removed(change: &Change, edit: impl FnOnce(&mut Observation)) -> bool {
        let mut now = observation("checkout");
        edit(&mut now);
        !removed_faults(std::slice::from_ref(change), &now).is_empty()
    }

    const TIMEOUT: Change = Change::Timeout { original: 10, injected: 1 };

    #[test]
    fn the_original_or_another_value_shows_that_a_fault_is_gone() {
        assert!(!removed(&TIMEOUT, |now| now.timeout = 1));
        assert!(removed(&TIMEOUT, |now| now.timeout = 10));
        assert!(removed(&TIMEOUT, |now| now.timeout = 77));
    }

    #[test]
    fn a_fault_that_changes_nothing_cannot_be_taken_out() {
        let same = Change::ReservedConcurrency { original: Slot::Present(5), injected: 5 };
        assert!(!removed(&same, |_| {}));
        assert!(removed(&same, |now| now.concurrency = Slot::Present(7)));
        let zero = Change::ReservedConcurrency { original: Slot::Absent, injected: 0 };
        assert!(removed(&zero, |now| now.concurrency = Slot::Absent));
    }

    #[test]
    fn an_update_that_does_not_serve_takes_no_fault_out() {
        for last_update in [LastUpdate::InProgress, LastUpdate::Failed] {
            assert!(!removed(&TIMEOUT, |now| (now.timeout, now.last_update) = (77, last_update)), "{last_update:?}");
        }
        // The reserved concurrency changes immediately.
        let zero = Change::ReservedConcurrency { original: Slot::Present(5), injected: 0 };
        assert!(removed(&zero, |now| now.last_update = LastUpdate::InProgress));
    }

    #[test]
    fn every_added_layer_belongs_to_the_fault() {
        let layers = Change::Layers { original: vec![], added: vec![layer_arn("chaos"), layer_arn("more")] };
        assert!(!removed(&layers, |now| now.layers.extend([layer_arn("more"), layer_arn("chaos")])));
        assert!(removed(&layers, |now| now.layers.push(layer_arn("chaos"))));
    }

    #[test]
    fn what_cannot_be_seen_is_not_called_removed() {
        let Ok(name) = VariableName::try_from("RUST_LOG") else { unreachable!("it is a name") };
        let variable = Change::Variable { name, original: Slot::Absent, injected: Slot::Present(Secret::new("trace")) };
        assert!(!removed(&variable, |now| now.environment = Environment::Unreadable));
        let Ok(id) = MappingId::try_from(MAPPING) else { unreachable!("it is an identifier") };
        let mapping = Change::Mapping { id };
        assert!(!removed(&mapping, |now| now.mappings[0].state = MappingState::Busy));
        assert!(removed(&mapping, |now| now.mappings[0].state = MappingState::Enabled));
    }
}
