//! The checks of a target's ending: when the ledger calls a target ended, no fault is in place, no call of snapback can
//! land any more, and every field that is not as it was is reported.

use std::time::Duration;

use crate::model::function::Observation;
use crate::model::run::{TargetEnding, TargetStatus};
use crate::model::snapshot::{Change, RemovedFault};
use crate::model::time::Time;
use crate::steps::MAX_CLOCK_SKEW;
use crate::testing::{Orphans, SimFunction, State};

use super::fields::{current_fields, observed_value, original_and_injected};
use super::monitor::Monitor;

/// How long before the recorded observation an edit can have happened that the observation missed, in addition to clock
/// skew and staleness.
const OBSERVATION_SLACK: Duration = Duration::from_secs(1);

impl Monitor {
    /// Checks the ending of a target that the ledger has just recorded.
    pub fn check_ending(state: &mut State, ending: &TargetEnding, changes: &[Change]) {
        let violations = violations(state, ending, changes);
        let Some(drive) = &mut state.drive else { return };
        violations.into_iter().for_each(|what| drive.monitor.add_violation(what));
        // A mapping that is reported as left disabled is visible to users, and snapback does not touch it any more.
        let fields = ending.drift.iter().map(|drift| &drift.field);
        let disabled = fields.filter(|field| reports_disabled(ending, field));
        drive.monitor.reported_disabled.extend(disabled.map(|field| (ending.function.clone(), field.clone())));
    }
}

/// Returns what is wrong with an ending that the ledger has just recorded.
fn violations(state: &State, ending: &TargetEnding, changes: &[Change]) -> Vec<String> {
    let Some(drive) = &state.drive else { return Vec::new() };
    let record = state.targets.get(&(ending.run.clone(), ending.function.clone()));
    let check = EndingCheck {
        state,
        monitor: &drive.monitor,
        ending,
        changes,
        removed_faults: record.map(|record| record.removed_faults.as_slice()).unwrap_or_default(),
        since: ending.observed_at - (MAX_CLOCK_SKEW + state.staleness + OBSERVATION_SLACK),
    };
    let mut found = Vec::new();
    if drive.can_land(&ending.run, &ending.function) {
        found.push(format!("{} while a call of {} can still land", check.recorded(), ending.run));
    }
    found.extend(check.unrecorded_write());
    found.extend(check.false_removals());
    found.extend(check.unrecorded_removals());
    found.extend(check.current_function());
    found
}

/// Returns whether an ending reports a mapping as left disabled.
fn reports_disabled(ending: &TargetEnding, field: &str) -> bool {
    ending.drift.iter().any(|drift| drift.field == field && drift.note.contains("is left disabled"))
}

struct EndingCheck<'a> {
    state: &'a State,
    monitor: &'a Monitor,
    ending: &'a TargetEnding,
    changes: &'a [Change],
    removed_faults: &'a [RemovedFault],
    /// An edit after this time may be missing in the observation that the ending is based on.
    since: Time,
}

impl EndingCheck<'_> {
    fn name(&self) -> &str {
        self.ending.function.name()
    }

    fn recorded(&self) -> String {
        format!("{} is recorded as {:?}", self.name(), self.ending.status)
    }

    /// Whether the run never injected into this target, according to the ledger.
    fn is_untouched(&self) -> bool {
        self.ending.status == TargetStatus::Untouched || self.ending.from == TargetStatus::Armed
    }

    fn was_recreated(&self) -> bool {
        self.monitor.was_recreated(&self.ending.function, |at| at >= self.since)
    }

    /// Whether nothing can be asserted about a field, because it was edited too late or is excused.
    fn is_uncertain(&self, field: &str) -> bool {
        let function = &self.ending.function;
        self.monitor.edited_since(self.since, function, field)
            || self.monitor.excused.contains(&(function.clone(), field.to_owned()))
    }

    fn unrecorded_write(&self) -> Option<String> {
        let TargetEnding { run, function, from, .. } = self.ending;
        let is_written = self.monitor.written.contains(&(run.clone(), function.clone()));
        (self.is_untouched() && is_written)
            .then(|| format!("{} from {from:?}, but {run} has written to it", self.recorded()))
    }

    /// A fault that is recorded as removed must have been removed.
    fn false_removals(&self) -> impl Iterator<Item = String> {
        self.removed_faults.iter().filter(|fault| !self.was_removed(fault)).map(|fault| {
            format!("the fault's {} of {} is recorded as removed, but nothing changed it", fault.field, self.name())
        })
    }

    fn was_removed(&self, fault: &RemovedFault) -> bool {
        // The time is that of a worker whose clock can be behind the edit's.
        let latest = fault.seen_at + MAX_CLOCK_SKEW;
        self.monitor.was_recreated(&self.ending.function, |at| at <= latest)
            || self.monitor.edited_before(latest, &self.ending.function, &fault.field)
    }

    /// A target goes from injected to restored only if no restore of the run has begun, so something outside the run
    /// has restored every field, and each must be recorded.
    fn unrecorded_removals(&self) -> Vec<String> {
        if (self.ending.from, self.ending.status) != (TargetStatus::Injected, TargetStatus::Restored) {
            return Vec::new();
        }
        let unrecorded = self.changes.iter().filter_map(|change| {
            let (field, (original, injected)) = (change.field().to_string(), original_and_injected(change));
            let recorded = self.removed_faults.iter().any(|fault| fault.field == field);
            (original != injected && !recorded).then_some(field)
        });
        unrecorded
            .map(|field| {
                format!("the fault's {field} of {} was removed outside the run; no record says it", self.name())
            })
            .collect()
    }

    /// The function must be in the state that the ending claims.
    fn current_function(&self) -> Vec<String> {
        let (state, ending) = (self.state, self.ending);
        let function = state.functions.get(&ending.function).zip(state.observation(&ending.function));
        match (ending.status, function) {
            (TargetStatus::Deleted, Some(_)) if !self.was_recreated() => {
                vec![format!("{}, but the function exists", self.recorded())]
            }
            (TargetStatus::Deleted | TargetStatus::Drifted, None) if !self.is_untouched() => {
                self.mapping_of_deleted_function().into_iter().collect()
            }
            (TargetStatus::Restored | TargetStatus::Drifted, Some((function, seen))) if !self.is_untouched() => {
                let fields = self.changes.iter().filter_map(|change| self.field(change, function, &seen));
                fields.chain(self.unreported_versions()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// A mapping that the fault disabled must be enabled again although its function was deleted. If Lambda does not
    /// enable it, the ending must report that.
    fn mapping_of_deleted_function(&self) -> Option<String> {
        let mut mappings = self.changes.iter().filter(|change| matches!(change, Change::Mapping { .. }));
        mappings.find_map(|change| {
            let field = change.field().to_string();
            let now = current_fields(self.state, &self.ending.function);
            let disabled = now.get(&field).is_some_and(|now| *now == original_and_injected(change).1);
            match (disabled, reports_disabled(self.ending, &field)) {
                _ if self.is_uncertain(&field) => None,
                (true, false) => Some(format!("{}, but its {field} is disabled", self.recorded())),
                (false, true) => Some(format!("the {field} of {} is reported as disabled, but is not", self.name())),
                (true, true) if self.state.orphans == Orphans::Updated => {
                    Some(format!("the {field} of {} stays disabled, although Lambda would enable it", self.name()))
                }
                _ => None,
            }
        })
    }

    fn field(&self, change: &Change, function: &SimFunction, seen: &Observation) -> Option<String> {
        let field = change.field().to_string();
        // A function that was created again since: when it did not exist, the mapping was as reported.
        let was_true = self.was_recreated() && reports_disabled(self.ending, &field);
        if self.is_uncertain(&field) || was_true {
            return None;
        }
        let (original, injected) = original_and_injected(change);
        let (shown, serving) = (observed_value(change, seen), observed_value(change, &function.serving));
        let reported = self.ending.drift.iter().any(|drift| drift.field == field);
        if original != injected && (shown == injected || serving == injected) {
            Some(format!("{}, but the fault's {field} is in place", self.recorded()))
        } else if shown == original && reported {
            Some(format!("the {field} of {} is reported as drifted, but is as it was", self.name()))
        } else if shown != original && !reported {
            Some(format!("{}, but its {field} is not as it was", self.recorded()))
        } else {
            None
        }
    }

    fn unreported_versions(&self) -> impl Iterator<Item = String> {
        let TargetEnding { run, function, frozen_versions, .. } = self.ending;
        let unknown = frozen_versions.iter().any(|version| version.starts_with("unknown"));
        let frozen =
            self.monitor.frozen.iter().filter(move |frozen| frozen.run == *run && frozen.function == *function);
        let missed = frozen.filter(move |frozen| {
            frozen.published_at < self.since && !unknown && !frozen_versions.contains(&frozen.version.to_string())
        });
        missed
            .map(|frozen| format!("version {} of {} keeps the fault, but is not reported", frozen.version, self.name()))
    }
}
