//! Decides what a restore does next, from one fresh observation and never from what snapback assumes it has done.
//!
//! Lambda applies a configuration update some time after it has accepted it, or not at all. So for fields of the
//! configuration, the value in an observation is not always the one that serves invocations: while an update is in
//! progress, and after one has failed, invocations use the configuration before it (lambda/latest/dg/functions-states).
//! A field counts as restored only when it serves.

use std::collections::BTreeMap;

use crate::model::function::{LastUpdate, Mapping, Observation};
use crate::model::names::MappingId;
use crate::model::snapshot::{Change, Drift, Surface, Write};

use super::field_state::{FieldState, mapping_field_state, restored_state};
use super::writes::{Direction, with_resent, writes};

/// What to write, what to leave alone, and whether to observe again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestorePlan {
    /// The observed runtime version, if the function has one.
    pub runtime_version: Option<String>,
    /// The calls to make now.
    pub writes: Vec<Write>,
    /// The fields that changed outside the run.
    pub drift: Vec<Drift>,
    /// Why another observation is needed, regardless of the writes.
    pub pending_reason: Option<&'static str>,
}

impl RestorePlan {
    /// Whether this observation shows every touched field with its original value, or with one that was set outside the
    /// run.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.writes.is_empty() && self.pending_reason.is_none()
    }
}

/// Decides the restore of one function.
#[must_use]
pub fn plan_restore(changes: &[Change], now: &Observation) -> RestorePlan {
    let mut plan = RestorePlan { runtime_version: now.runtime_version.clone(), ..RestorePlan::default() };
    let (mut to_restore, mut to_resend): (Vec<&Change>, Vec<&Change>) = Default::default();
    for change in changes {
        let configuration = change.surface() == Surface::Configuration;
        match restored_state(change, now) {
            FieldState::Unknown(why) => plan.pending_reason = Some(why),
            // Wait for the update in progress, because Lambda refuses another one. Until it ends, the fault may still
            // serve.
            _ if configuration && now.last_update == LastUpdate::InProgress => {
                plan.pending_reason = Some("an update of the function is in progress");
            }
            FieldState::Drifted(drift) => {
                // The update that changed this field has failed, so the fault still serves. Sending the new value again
                // makes that value serve.
                if configuration && now.last_update == LastUpdate::Failed {
                    plan.pending_reason = Some("an update from outside this run failed, and is sent again");
                    to_resend.push(change);
                }
                plan.drift.push(drift);
            }
            // The update that restored this field has failed, so the fault still serves.
            FieldState::Original if configuration && now.last_update == LastUpdate::Failed => to_restore.push(change),
            FieldState::Original => {}
            FieldState::Injected => to_restore.push(change),
        }
    }
    plan.writes = with_resent(writes(&to_restore, now, Direction::Restore), &to_resend, now);
    plan
}

/// Decides the restore of a deleted function's event source mappings. They outlive the function
/// (lambda/latest/api/API_DeleteFunction), and a disabled one would invoke nothing after the function is created again.
/// `stuck` has the mappings that Lambda does not enable, each with Lambda's reason; they are reported as drift. A
/// mapping that was deleted has nothing to restore.
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
        match (mapping_field_state(mapping.state), stuck.get(id)) {
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
        // The configuration before the failed update serves. The concurrency changes immediately.
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
        let restoring = plan(5, 10, LastUpdate::InProgress);
        assert!(restoring.writes.is_empty() && !restoring.is_done(), "{restoring:?}");
        // The value of the update in progress does not serve yet; the fault may.
        let drifting = plan(5, 77, LastUpdate::InProgress);
        assert!(!drifting.is_done() && drifting.drift.is_empty(), "{drifting:?}");
        let drifted = plan(5, 77, LastUpdate::Successful);
        assert!(drifted.is_done() && drifted.drift.len() == 1, "{drifted:?}");
    }

    #[test]
    fn a_value_from_outside_whose_update_failed_is_sent_again() {
        // The fault serves. The value from outside is sent again, and no other field.
        let failed = plan(5, 77, LastUpdate::Failed);
        assert_eq!((timeouts(&failed), failed.writes.len(), failed.is_done()), (vec![Some(77)], 1, false));
        assert_eq!((failed.drift.len(), failed.pending_reason.is_some()), (1, true));
        // The concurrency changes immediately.
        let concurrency = plan(9, 10, LastUpdate::Successful);
        assert!(concurrency.is_done() && concurrency.drift.len() == 1, "{concurrency:?}");
    }

    #[test]
    fn a_changed_layer_list_is_drift_without_the_faults_layers() {
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
        // The fault's layers are removed first.
        let injected = plan(&["a", "c"], LastUpdate::Successful);
        assert_eq!((layers(&injected), injected.drift), (Some(arns(&["a"])), vec![]));
        // During an update and after a failed one, the list before it serves, which has the fault's layer.
        let updating = plan(&["a"], LastUpdate::InProgress);
        assert!(!updating.is_done() && updating.writes.is_empty() && updating.drift.is_empty(), "{updating:?}");
        let failed = plan(&["a"], LastUpdate::Failed);
        assert_eq!((layers(&failed), failed.drift.len(), failed.is_done()), (Some(arns(&["a"])), 1, false));
    }

    #[test]
    fn the_mappings_of_a_deleted_function_are_enabled_or_reported() {
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
