//! The monitor checks the invariants while a history runs: at every write that lands, at every ending, and after every
//! move.
//!
//! It keeps each function as it would be without snapback, and compares that with the simulated one field by field.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::function::Observation;
use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{EndReason, RunStatus, TargetRecord, TargetStatus};
use crate::model::snapshot::{Change, Surface};
use crate::model::time::Time;
use crate::steps::{ATTEMPT_TIMEOUT, MAX_LANDING_DELAY, MAX_READ_STALENESS};
use crate::testing::State;

use super::fields::{
    Fields, current_fields, differing, fields, mapping_fields, observed_value, original_and_injected, shown, value,
};

/// The longest time from a task's read of a run's targets until its closing of that run lands: the task lives for
/// thirty seconds, and a call that it has sent can land after that.
const MAX_CLOSING_DELAY: Duration = Duration::from_secs(30).saturating_add(MAX_LANDING_DELAY);

/// What is known about a history in addition to the ledger, and which invariants it broke.
#[derive(Debug, Default)]
pub struct Monitor {
    /// Each function as it would be without snapback: with the edits that others made, and nothing else.
    pub expected: BTreeMap<FunctionArn, Observation>,
    /// The invariants that were broken.
    pub violations: Vec<String>,
    /// Fields about which nothing can be asserted: an edit landed between snapback's read and a write for which AWS has
    /// no condition, or it set just the value that the fault had set.
    pub excused: BTreeSet<(FunctionArn, String)>,
    /// The last version number of each deleted function. Its versions were deleted with it, and no number is used again
    /// (lambda/latest/dg/configuration-versions).
    pub last_versions: BTreeMap<FunctionArn, u64>,
    /// The targets that a run has written to.
    pub(super) written: BTreeSet<(RunId, FunctionArn)>,
    /// The versions that were published with a fault in them.
    pub(super) frozen: Vec<FrozenVersion>,
    /// Mappings that are reported as left disabled, because Lambda did not enable them while their function was
    /// deleted.
    pub(super) reported_disabled: BTreeSet<(FunctionArn, String)>,
    edits: Vec<FieldEdit>,
    /// When each function was created again, in order.
    recreated_at: BTreeMap<FunctionArn, Vec<Time>>,
    /// When a run last had a target whose restore was refused and that had not ended.
    refused_at: BTreeMap<RunId, Time>,
    run_created_at: BTreeMap<RunId, Time>,
    first_reasons: BTreeMap<RunId, EndReason>,
}

/// A change of one field from outside snapback.
#[derive(Debug)]
struct FieldEdit {
    at: Time,
    function: FunctionArn,
    field: String,
}

/// A version that was published while a run's fault was in place: it keeps the fault permanently.
#[derive(Debug)]
pub(super) struct FrozenVersion {
    pub(super) published_at: Time,
    pub(super) run: RunId,
    pub(super) function: FunctionArn,
    pub(super) version: u64,
}

// What happens in the world.
impl Monitor {
    /// Records that a function was deleted, with all of its versions (lambda/latest/api/API_DeleteFunction).
    pub fn on_delete(&mut self, function: &FunctionArn, last_version: u64) {
        self.last_versions.insert(function.clone(), last_version);
        self.frozen.retain(|frozen| frozen.function != *function);
    }

    /// Records that a function was created again as its owner wants it, so each of its fields counts as edited.
    pub fn on_recreate(&mut self, function: &FunctionArn, now: Time) {
        self.recreated_at.entry(function.clone()).or_default().push(now);
        let names = self.expected.get(function).map(fields).unwrap_or_default().into_keys();
        let own = names.filter(|name| !name.starts_with("event source mapping"));
        self.edits.extend(own.map(|field| FieldEdit { at: now, function: function.clone(), field }));
    }

    /// Records an edit from outside. The function was `before`, and without snapback it would have been `without`.
    pub fn on_edit(state: &mut State, function: &FunctionArn, before: &Fields, without: &Fields) {
        let expected = state.drive.as_ref().and_then(|drive| drive.monitor.expected.get(function)).map(fields);
        let after = current_fields(state, function);
        let mut changed = differing(before, &after);
        // An edit that sets the value that the fault has already set is an edit, too, although it is not visible.
        changed.extend(differing(without, &expected.unwrap_or_default()));
        let (now, elapsed) = (state.now(), state.elapsed);
        let open = state.targets.values().filter(|target| target.function == *function && !target.status.is_final());
        let as_injected: Vec<String> = open
            .flat_map(|target| &target.changes)
            .filter(|change| !matches!(change, Change::Layers { .. }))
            .filter(|change| value(&after, &change.field().to_string()) == original_and_injected(change).1)
            .map(|change| change.field().to_string())
            .filter(|field| changed.contains(field))
            .collect();
        let Some(drive) = &mut state.drive else { return };
        for field in changed {
            drive.note(elapsed, || {
                let (name, before, after) = (function.name(), shown(before, &field), shown(&after, &field));
                format!("edit: the {field} of {name}: {before} -> {after}")
            });
            drive.monitor.edits.push(FieldEdit { at: now, function: function.clone(), field });
        }
        drive.monitor.excused.extend(as_injected.into_iter().map(|field| (function.clone(), field)));
    }

    /// Records that a version was published. If a fault is in it, the fault's run must report the version.
    pub fn on_publish(state: &mut State, function: &FunctionArn, version: u64) {
        let Some(seen) = state.functions.get(function) else { return };
        let published_at = state.now();
        let is_in_place = |change: &&Change| {
            let (original, injected) = original_and_injected(change);
            let configuration = change.surface() == Surface::Configuration;
            configuration && original != injected && observed_value(change, &seen.serving) == injected
        };
        let open = state.targets.values().filter(|target| target.function == *function && !target.status.is_final());
        let begun = open.filter(|target| target.status != TargetStatus::Armed);
        let faulty = begun.filter(|target| target.changes.iter().find(is_in_place).is_some());
        let frozen: Vec<FrozenVersion> = faulty
            .map(|target| FrozenVersion { published_at, run: target.run.clone(), function: function.clone(), version })
            .collect();
        let Some(drive) = &mut state.drive else { return };
        drive.monitor.frozen.extend(frozen);
    }

    /// Records that a snapshot was stored. Its read can have missed an edit, because reads can be stale. If that edit
    /// set the value that is about to be injected, snapback cannot tell the two apart, so the field is excused.
    pub fn on_arm(state: &mut State, function: &FunctionArn, changes: &[Change]) {
        let (Some(drive), Some(now)) = (&state.drive, state.observation(function)) else { return };
        let since = state.now() - (MAX_READ_STALENESS + ATTEMPT_TIMEOUT);
        let missed = |change: &&Change| {
            drive.monitor.edited_since(since, function, &change.field().to_string())
                && observed_value(change, &now) == original_and_injected(change).1
        };
        let missed: Vec<String> = changes.iter().filter(missed).map(|change| change.field().to_string()).collect();
        if let Some(drive) = &mut state.drive {
            drive.monitor.excused.extend(missed.into_iter().map(|field| (function.clone(), field)));
        }
    }
}

// What the checks ask.
impl Monitor {
    /// Adds a broken invariant, once.
    pub fn add_violation(&mut self, what: String) {
        if !self.violations.contains(&what) {
            self.violations.push(what);
        }
    }

    /// Whether a run was in the ledger before that time.
    #[must_use]
    pub fn existed_before(&self, run: &RunId, time: Time) -> bool {
        self.run_created_at.get(run).is_some_and(|created| *created < time)
    }

    /// Whether a function was created again at such a time.
    pub(super) fn was_recreated(&self, function: &FunctionArn, when: impl Fn(Time) -> bool) -> bool {
        self.recreated_at.get(function).is_some_and(|all| all.iter().any(|at| when(*at)))
    }

    pub(super) fn edited_since(&self, since: Time, function: &FunctionArn, field: &str) -> bool {
        self.edits.iter().any(|edit| edit.at >= since && edit.function == *function && edit.field == field)
    }

    pub(super) fn edited_before(&self, latest: Time, function: &FunctionArn, field: &str) -> bool {
        self.edits.iter().any(|edit| edit.at <= latest && edit.function == *function && edit.field == field)
    }
}

// The checks.
impl Monitor {
    /// Checks the closing of a run: a run does not fail only because its targets take their time.
    pub fn check_closing(state: &mut State, id: &RunId, status: RunStatus) {
        let Some(run) = state.runs.get(id).filter(|run| run.status.may_become(status)) else { return };
        let expected = run.reason.as_ref().map_or(RunStatus::Failed, EndReason::final_status);
        let open = state.targets.values().any(|target| target.run == *id && !target.status.is_final());
        // Another task can restore a refused target after the task that closes the run has read it.
        let lately = state.now() - MAX_CLOSING_DELAY;
        let refused = state.drive.as_ref().and_then(|drive| drive.monitor.refused_at.get(id));
        let was_refused = status == RunStatus::Failed && refused.is_some_and(|at| *at >= lately);
        let wrong = if open { status != RunStatus::Failed } else { status != expected && !was_refused };
        if let Some(drive) = state.drive.as_mut().filter(|_| wrong) {
            drive
                .monitor
                .add_violation(format!("{id} is closed as {status:?}, expected {expected:?} (open targets: {open})"));
        }
    }

    /// Checks after every move that each lock is released exactly when its target ends, and that a run keeps its first
    /// reason.
    pub fn check_locks_and_reasons(state: &mut State) {
        let mut wrong = Vec::new();
        for target in state.targets.values() {
            let holder = state.locks.get(&target.function).and_then(|lock| lock.run.as_ref());
            let (held, name) = (holder == Some(&target.run), target.function.name());
            if target.status.is_final() && held {
                wrong.push(format!("{name} is {:?}, but {} holds its lock", target.status, target.run));
            }
            if !target.status.is_final() && target.status != TargetStatus::Pending && !held {
                wrong.push(format!("{name} is {:?}, but {} does not hold its lock", target.status, target.run));
            }
        }
        let now = state.now();
        let Some(drive) = &mut state.drive else { return };
        let refused = |target: &&TargetRecord| target.restore_error.is_some() && !target.status.is_final();
        let refused = state.targets.values().filter(refused);
        drive.monitor.refused_at.extend(refused.map(|target| (target.run.clone(), now)));
        for run in state.runs.values() {
            if !drive.monitor.run_created_at.contains_key(&run.id) {
                drive.monitor.run_created_at.insert(run.id.clone(), now);
            }
            let Some(reason) = &run.reason else { continue };
            match drive.monitor.first_reasons.get(&run.id) {
                Some(first) if first == reason => {}
                Some(first) => wrong.push(format!("the reason of {} was {first}, and is now {reason}", run.id)),
                None => drop(drive.monitor.first_reasons.insert(run.id.clone(), reason.clone())),
            }
        }
        wrong.into_iter().for_each(|what| drive.monitor.add_violation(what));
    }

    /// Checks at the end of a history that every function is as it would be without snapback.
    pub fn check_functions(state: &mut State) {
        let mut wrong = Vec::new();
        let Some(drive) = &state.drive else { return };
        for (arn, expected) in &drive.monitor.expected {
            // Only the mappings are left of a deleted function.
            let exists = state.functions.contains_key(arn);
            let expected = if exists { fields(expected) } else { mapping_fields(&expected.mappings) };
            let now = current_fields(state, arn);
            for field in differing(&expected, &now) {
                let key = (arn.clone(), field.clone());
                if !drive.monitor.excused.contains(&key) && !drive.monitor.reported_disabled.contains(&key) {
                    let (name, is, expected) = (arn.name(), shown(&now, &field), shown(&expected, &field));
                    wrong.push(format!("the {field} of {name} is {is}; without snapback it would be {expected}"));
                }
            }
        }
        if let Some(drive) = &mut state.drive {
            wrong.into_iter().for_each(|what| drive.monitor.add_violation(what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::marker::stopped_marker;
    use crate::testing::SimWorld;
    use crate::testing::drive::Drive;
    use crate::testing::samples::{function_arn, run_id};

    /// Closes a run as failed this long after the restore of its target was refused; the target has been restored
    /// since. Returns the violations.
    fn close_after(delay: Duration) -> Vec<String> {
        let world = SimWorld::default();
        let id = run_id("run-1");
        world.with(|state| {
            let mut run = stopped_marker(&id, &EndReason::UserRequest.into(), Time(0));
            run.status = RunStatus::Stopping;
            state.runs.insert(id.clone(), run);
            let mut target = TargetRecord::new(id.clone(), function_arn("checkout"));
            target.status = TargetStatus::Pending;
            target.restore_error = Some("access denied".into());
            state.targets.insert((id.clone(), function_arn("checkout")), target);
            state.drive = Some(Drive::default());
            Monitor::check_locks_and_reasons(state);
        });
        world.advance(delay);
        world.with(|state| {
            state.targets.clear();
            Monitor::check_closing(state, &id, RunStatus::Failed);
            state.drive.take().unwrap_or_default().monitor.violations
        })
    }

    #[test]
    fn a_run_may_fail_for_a_target_that_was_refused_a_moment_ago() {
        assert_eq!(close_after(Duration::from_secs(4)), Vec::<String>::new());
        assert_eq!(close_after(MAX_CLOSING_DELAY + Duration::from_secs(1)).len(), 1);
    }
}
