//! What a restore does next: decided on one fresh observation, never on what we believe to have done.

use std::collections::BTreeMap;

use crate::model::function::{LastUpdate, Mapping, Observation};
use crate::model::names::MappingId;
use crate::model::snapshot::{Change, Drift, Surface, Write};

use super::field_state::{FieldState, mapping_standing, restored_state};
use super::writes::{Direction, with_theirs, writes};

/// What to write, what to leave as it is, and what to observe again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestorePlan {
    /// The runtime version that was seen, where the function has one.
    pub runtime_version: Option<String>,
    /// Calls to make now.
    pub writes: Vec<Write>,
    /// Fields that have changed outside the run.
    pub drift: Vec<Drift>,
    /// Why another observation is needed, regardless of the writes.
    pub pending_reason: Option<&'static str>,
}

impl RestorePlan {
    /// Whether this observation shows every touched field with its original value, or with one that was set outside the run.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.writes.is_empty() && self.pending_reason.is_none()
    }
}

/// Decides the restore of one function.
#[must_use]
pub fn plan_restore(changes: &[Change], now: &Observation) -> RestorePlan {
    let mut plan = RestorePlan { runtime_version: now.runtime_version.clone(), ..RestorePlan::default() };
    let (mut back, mut theirs): (Vec<&Change>, Vec<&Change>) = Default::default();
    for change in changes {
        let configuration = change.surface() == Surface::Configuration;
        match restored_state(change, now) {
            FieldState::Unknown(why) => plan.pending_reason = Some(why),
            // Lambda refuses an update during an update; and until this one ends, the old configuration serves: the
            // fault, even where a deploy is about to replace it.
            _ if configuration && now.last_update == LastUpdate::InProgress => {
                plan.pending_reason = Some("an update of the function is in progress");
            }
            FieldState::Drifted(drift) => {
                // Their update has failed, so what served before it, the fault, serves until the next one.
                if configuration && now.last_update == LastUpdate::Failed {
                    plan.pending_reason = Some("an update from outside this run failed, and is sent again");
                    theirs.push(change);
                }
                plan.drift.push(drift);
            }
            // A failed update leaves the configuration before it in service: the fault, if the update was ours.
            FieldState::Original if configuration && now.last_update == LastUpdate::Failed => back.push(change),
            FieldState::Original => {}
            FieldState::Injected => back.push(change),
        }
    }
    plan.writes = with_theirs(writes(&back, now, Direction::Restore), &theirs, now);
    plan
}

/// Decides the restore of a function that was deleted: its event source mappings outlive it
/// (lambda/latest/api/API_DeleteFunction), and one that stays disabled would invoke nothing when the function is created
/// again. `stuck` are those that Lambda does not enable, each with what it says. A mapping that was deleted itself has
/// nothing left to restore.
#[must_use]
pub fn plan_restore_of_mappings(
    changes: &[Change],
    mappings: &[Mapping],
    stuck: &BTreeMap<MappingId, String>,
) -> RestorePlan {
    let mut plan = RestorePlan::default();
    for change in changes {
        let Change::Mapping { id } = change else { continue };
        let Some(mapping) = mappings.iter().find(|mapping| mapping.id == *id) else { continue };
        match (mapping_standing(mapping.state), stuck.get(id)) {
            (FieldState::Unknown(why), _) => plan.pending_reason = Some(why),
            (FieldState::Injected, Some(why)) => {
                let note = format!(
                    "was enabled, injected disabled; mapping {id} is left disabled, because its function was deleted: {why}"
                );
                plan.drift.push(Drift { field: change.field().to_string(), note });
            }
            (FieldState::Injected, None) => plan.writes.push(Write::Mapping { id: id.clone(), enabled: true }),
            (FieldState::Original | FieldState::Drifted(_), _) => {}
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::function::{MappingState, Slot};
    use crate::testing::samples::{layer_arn, observation};

    const CHANGES: [Change; 2] = [
        Change::ReservedConcurrency { original: Slot::Present(5), injected: 0 },
        Change::Timeout { original: 10, injected: 1 },
    ];

    fn plan(concurrency: u32, timeout: u32, last_update: LastUpdate) -> RestorePlan {
        let mut now = observation("checkout");
        (now.concurrency, now.timeout, now.last_update) = (Slot::Present(concurrency), timeout, last_update);
        plan_restore(&CHANGES, &now)
    }

    fn timeouts(plan: &RestorePlan) -> Vec<Option<u32>> {
        let timeout = |write: &Write| match write {
            Write::Configuration(update) => Some(update.timeout),
            _ => None,
        };
        plan.writes.iter().filter_map(timeout).collect()
    }

    #[test]
    fn an_original_whose_update_failed_is_written_again() {
        // What serves is the configuration before it; the concurrency has no such updates.
        let failed = plan(5, 10, LastUpdate::Failed);
        assert_eq!((timeouts(&failed), failed.writes.len(), failed.is_done()), (vec![Some(10)], 1, false));
        assert!(plan(5, 10, LastUpdate::Successful).is_done());
    }

    #[test]
    fn during_an_update_only_the_concurrency_is_restored() {
        for timeout in [1, 10] {
            let plan = plan(0, timeout, LastUpdate::InProgress);
            assert_eq!(plan.writes, [Write::Concurrency(Slot::Present(5))]);
            assert_eq!(plan.pending_reason, Some("an update of the function is in progress"));
        }
        let settled = plan(5, 10, LastUpdate::InProgress);
        assert!(settled.writes.is_empty() && !settled.is_done(), "{settled:?}");
        // The value of the pending update does not serve yet: the fault does.
        let drifting = plan(5, 77, LastUpdate::InProgress);
        assert!(!drifting.is_done() && drifting.drift.is_empty(), "{drifting:?}");
        let drifted = plan(5, 77, LastUpdate::Successful);
        assert!(drifted.is_done() && drifted.drift.len() == 1, "{drifted:?}");
    }

    #[test]
    fn a_value_from_outside_whose_update_failed_is_sent_again() {
        // What serves is the fault; the value from outside is sent as it is, and nothing else of the configuration.
        let failed = plan(5, 77, LastUpdate::Failed);
        assert_eq!((timeouts(&failed), failed.writes.len(), failed.is_done()), (vec![Some(77)], 1, false));
        assert_eq!((failed.drift.len(), failed.pending_reason.is_some()), (1, true));
        // The concurrency has no such updates.
        let concurrency = plan(9, 10, LastUpdate::Successful);
        assert!(concurrency.is_done() && concurrency.drift.len() == 1, "{concurrency:?}");
    }

    #[test]
    fn a_changed_layer_list_is_drift_once_ours_are_out_of_it() {
        let arns = |names: &[&str]| names.iter().map(|name| layer_arn(name)).collect::<Vec<_>>();
        let changes = [Change::Layers { original: arns(&["a", "b"]), added: arns(&["c"]) }];
        let plan = |names: &[&str], last_update| {
            let mut now = observation("checkout");
            (now.layers, now.last_update) = (arns(names), last_update);
            plan_restore(&changes, &now)
        };
        let layers = |plan: &RestorePlan| match plan.writes.as_slice() {
            [Write::Configuration(update)] => update.layers.clone(),
            _ => None,
        };
        let restored = plan(&["a", "b"], LastUpdate::Successful);
        assert!(restored.is_done() && restored.drift.is_empty(), "{restored:?}");
        let drifted = plan(&["a"], LastUpdate::Successful);
        assert!(drifted.is_done(), "{drifted:?}");
        assert_eq!(drifted.drift[0].note, "was a:1, b:1, injected a:1, b:1 and c:1, now a:1; left alone");
        // Ours go first.
        let injected = plan(&["a", "c"], LastUpdate::Successful);
        assert_eq!((layers(&injected), injected.drift), (Some(arns(&["a"])), vec![]));
        // While the update is in progress, or after it has failed, what serves is the list before it, with ours.
        let updating = plan(&["a"], LastUpdate::InProgress);
        assert!(!updating.is_done() && updating.writes.is_empty() && updating.drift.is_empty(), "{updating:?}");
        let failed = plan(&["a"], LastUpdate::Failed);
        assert_eq!((layers(&failed), failed.drift.len(), failed.is_done()), (Some(arns(&["a"])), 1, false));
    }

    #[test]
    fn the_mappings_of_a_deleted_function_are_enabled_or_named() {
        let ids = ["a", "b", "c", "d", "e"].map(crate::testing::samples::mapping_id);
        let changes: Vec<Change> = ids.iter().map(|id| Change::Mapping { id: id.clone() }).collect();
        let states = [MappingState::Enabled, MappingState::Disabled, MappingState::Disabled];
        let mut mappings: Vec<Mapping> =
            ids.iter().cloned().zip(states).map(|(id, state)| Mapping { id, state }).collect();
        let stuck = BTreeMap::from([(ids[2].clone(), "refused".to_owned())]);
        let plan = plan_restore_of_mappings(&[&CHANGES[..], &changes].concat(), &mappings, &stuck);
        assert_eq!(plan.writes, [Write::Mapping { id: ids[1].clone(), enabled: true }]);
        assert_eq!(plan.drift.len(), 1);
        assert!(plan.drift[0].note.contains(&format!("mapping {} is left disabled", ids[2])), "{:?}", plan.drift);
        mappings[1].state = MappingState::Busy;
        let plan = plan_restore_of_mappings(&changes, &mappings, &stuck);
        assert!(plan.writes.is_empty() && !plan.is_done(), "{plan:?}");
    }
}
