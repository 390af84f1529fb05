//! What must hold, checked while a history goes on: on every write that lands, on every ending, after every move.
//!
//! The oracle shares no code with the decisions that it checks: it keeps each function as it would be without us, and
//! compares field by field, as text.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::model::function::{Environment, Mapping, MappingState, Observation, Slot};
use crate::model::names::{FunctionArn, LayerVersionArn, RunId};
use crate::model::run::{EndReason, RunStatus, TargetEnding, TargetRecord, TargetStatus};
use crate::model::snapshot::{Change, Write};
use crate::model::time::Time;
use crate::steps::{ATTEMPT_TIMEOUT, MAX_CLOCK_SKEW, MAX_LANDING_DELAY, MAX_READ_STALENESS};

use super::super::calls::Sending;
use super::super::{Orphans, State};

/// The fields of a function, by name, as text.
pub type Fields = BTreeMap<String, String>;

/// The time from the moment at which a task reads the targets of a run until its closing of that run lands: it lives for
/// thirty seconds, and what it has sent can land after that.
const MAX_CLOSING_DELAY: Duration = Duration::from_secs(30).saturating_add(MAX_LANDING_DELAY);

/// What is known of the world beside the ledger, and what was seen to be wrong.
#[derive(Debug, Default)]
pub struct Monitor {
    /// Each function with what other people did to it, and nothing else.
    pub law: BTreeMap<FunctionArn, Observation>,
    /// What is broken.
    pub violations: Vec<String>,
    /// Fields of which nothing can be asked for: somebody changed one between our look and a write that AWS gives no
    /// guard for, or gave it just the value that we had injected.
    pub excused: BTreeSet<(FunctionArn, String)>,
    /// Mappings that Lambda did not enable while their function was gone, which was reported.
    named: BTreeSet<(FunctionArn, String)>,
    edits: Vec<(Time, FunctionArn, String)>,
    wrote: BTreeSet<(RunId, FunctionArn)>,
    /// The last version's number of each deleted function: its versions went with it, and no number is used again
    /// (lambda/latest/dg/configuration-versions).
    pub deleted: BTreeMap<FunctionArn, u64>,
    /// When a run last had a target that was refused and not over.
    refused_at: BTreeMap<RunId, Time>,
    /// When each function was created again, in order.
    created_at: BTreeMap<FunctionArn, Vec<Time>>,
    frozen: Vec<(Time, RunId, FunctionArn, u64)>,
    reasons: BTreeMap<RunId, EndReason>,
    created: BTreeMap<RunId, Time>,
}

/// A function's fields.
#[must_use]
pub fn fields(function: &Observation) -> Fields {
    let mut fields = Fields::from([
        ("reserved concurrency".to_owned(), slot(&function.concurrency)),
        ("handler".to_owned(), format!("{:?}", function.handler)),
        ("timeout".to_owned(), function.timeout.to_string()),
        ("memory".to_owned(), function.memory.to_string()),
        ("runtime".to_owned(), format!("{:?}", function.runtime)),
        ("layers".to_owned(), layers(&function.layers)),
    ]);
    if let Environment::Readable(variables) = &function.environment {
        fields.extend(variables.iter().map(|(name, value)| (format!("variable {name}"), value.expose().to_owned())));
    }
    fields.extend(mapping_fields(&function.mappings));
    fields
}

/// The fields of a function as it is now; where it is gone, those of its mappings, which outlive it.
#[must_use]
pub fn fields_now(state: &State, function: &FunctionArn) -> Fields {
    match state.picture(function) {
        Some(seen) => fields(&seen),
        None => mapping_fields(&state.mappings_at(function, state.now())),
    }
}

fn mapping_fields(mappings: &[Mapping]) -> Fields {
    let mapping = |mapping: &Mapping| (format!("event source mapping {}", mapping.id), format!("{:?}", mapping.state));
    mappings.iter().map(mapping).collect()
}

fn slot(slot: &Slot<u32>) -> String {
    slot.as_option().map_or_else(|| "absent".to_owned(), u32::to_string)
}

fn layers(layers: &[LayerVersionArn]) -> String {
    layers.iter().map(|layer| format!("{layer} ")).collect()
}

fn value<'a>(fields: &'a Fields, field: &str) -> &'a str {
    fields.get(field).map_or("absent", String::as_str)
}

fn differing(one: &Fields, other: &Fields) -> BTreeSet<String> {
    let names = one.keys().chain(other.keys());
    names.filter(|name| value(one, name) != value(other, name)).cloned().collect()
}

/// The original and the injected value of a changed field; of layers, the list, or that it has ours.
fn values(change: &Change) -> (String, String) {
    let text = |slot: &Slot<crate::model::secret::Secret>| {
        slot.as_option().map_or_else(|| "absent".to_owned(), |secret| secret.expose().to_owned())
    };
    match change {
        Change::ReservedConcurrency { original, injected } => (slot(original), injected.to_string()),
        Change::Handler { original, injected } => (format!("{:?}", Some(original)), format!("{:?}", Some(injected))),
        Change::Timeout { original, injected } | Change::Memory { original, injected } => {
            (original.to_string(), injected.to_string())
        }
        Change::Variable { original, injected, .. } => (text(original), text(injected)),
        Change::Mapping { .. } => (format!("{:?}", MappingState::Enabled), format!("{:?}", MappingState::Disabled)),
        Change::Layers { original, .. } => (layers(original), "with ours".to_owned()),
    }
}

/// The value of a changed field.
fn current(change: &Change, function: &Observation) -> String {
    match change {
        Change::Layers { added, .. } if function.layers.iter().any(|layer| added.contains(layer)) => "with ours".into(),
        _ => value(&fields(function), &change.field().to_string()).to_owned(),
    }
}

/// The fields that a call sends; of an environment, those are what differs afterwards.
fn sent(write: &Write) -> Vec<String> {
    match write {
        Write::Concurrency(_) => vec!["reserved concurrency".to_owned()],
        Write::Mapping { id, .. } => vec![format!("event source mapping {id}")],
        Write::Configuration(update) => {
            let sent = [
                ("handler", update.handler.is_some()),
                ("layers", update.layers.is_some()),
                ("timeout", update.timeout.is_some()),
                ("memory", update.memory.is_some()),
            ];
            sent.into_iter().filter(|(_, sent)| *sent).map(|(name, _)| name.to_owned()).collect()
        }
    }
}

/// Whether an ending says that a mapping is left disabled.
fn is_named(ending: &TargetEnding, field: &str) -> bool {
    ending.drift.iter().any(|drift| drift.field == field && drift.note.contains("is left disabled"))
}

/// What is wrong with the ending of a target whose function is gone: a mapping that we have disabled is enabled again, or
/// is named, and then only where Lambda does not enable it.
fn left_disabled(state: &State, ending: &TargetEnding, changes: &[Change], since: Time) -> Option<String> {
    let monitor = &state.drive.as_ref()?.monitor;
    let (name, function) = (ending.function.name(), &ending.function);
    changes.iter().filter(|change| matches!(change, Change::Mapping { .. })).find_map(|change| {
        let field = change.field().to_string();
        let disabled = fields_now(state, function).get(&field).is_some_and(|now| *now == values(change).1);
        let named = is_named(ending, &field);
        match (disabled, named) {
            _ if monitor.edited_since(since, function, &field)
                || monitor.excused.contains(&(function.clone(), field.clone())) =>
            {
                None
            }
            (true, false) => Some(format!("{name} is said to be {:?}, and its {field} is disabled", ending.status)),
            (false, true) => Some(format!("{name}'s {field} is said to be left disabled, and is not")),
            (true, true) if state.orphans == Orphans::Updated => {
                Some(format!("{name}'s {field} is left disabled, although Lambda would enable it"))
            }
            _ => None,
        }
    })
}

/// A write of ours that lands.
pub struct Landing {
    sending: Sending,
    before: Fields,
    sent: Vec<String>,
    guarded: bool,
}

impl Landing {
    /// Before it lands. `None` outside of a history.
    #[must_use]
    pub fn begin(state: &State, function: &FunctionArn, write: &Write) -> Option<Self> {
        let sending = state.drive.as_ref()?.caller.sending.clone()?;
        let before = fields_now(state, function);
        Some(Self { sending, before, sent: sent(write), guarded: matches!(write, Write::Configuration(_)) })
    }

    /// After it has landed: the lock is its run's, the target is not over, and only touched fields are written.
    /// Says whether it has changed anything.
    pub fn end(self, state: &mut State) -> bool {
        let Sending { run, function, read_at } = &self.sending;
        let after = fields_now(state, function);
        let changed = differing(&self.before, &after);
        let holder = state.locks.get(function).and_then(|lock| lock.run.clone());
        let record = state.targets.get(&(run.clone(), function.clone()));
        let status = record.map(|record| record.status);
        let touched: BTreeSet<String> = record
            .map(|record| record.changes.iter().map(|change| change.field().to_string()).collect())
            .unwrap_or_default();
        let now = state.now();
        let Some(drive) = &mut state.drive else { return false };
        if let Some(journal) = &mut drive.journal {
            journal.extend(changed.iter().map(|field| {
                format!(
                    "{:11}-> {} {field}: {} -> {}",
                    "",
                    function.name(),
                    hidden(&self.before, field),
                    hidden(&after, field)
                )
            }));
        }
        let monitor = &mut drive.monitor;
        monitor.wrote.insert((run.clone(), function.clone()));
        if holder.as_ref() != Some(run) {
            monitor.violate(format!("{run} writes to {}, whose lock is {holder:?}'s", function.name()));
        }
        if status.is_none_or(TargetStatus::is_final) {
            monitor.violate(format!("a call of {run} lands on {}, which is said to be {status:?}", function.name()));
        }
        for field in changed.iter().chain(&self.sent).filter(|field| !touched.contains(*field)) {
            monitor.violate(format!("{run} writes the {field} of {}, which it does not touch", function.name()));
        }
        if !self.guarded {
            for field in &self.sent {
                if monitor.edited_since(*read_at, function, field) && *read_at < now {
                    monitor.excused.insert((function.clone(), field.clone()));
                }
            }
        }
        !changed.is_empty()
    }
}

/// A value for a journal: no variable's.
fn hidden<'a>(fields: &'a Fields, field: &str) -> &'a str {
    match value(fields, field) {
        "absent" => "absent",
        _ if field.starts_with("variable ") => "(hidden)",
        value => value,
    }
}

impl Monitor {
    /// Something that must hold does not.
    pub fn violate(&mut self, what: String) {
        if !self.violations.contains(&what) {
            self.violations.push(what);
        }
    }

    /// A function was deleted, with all of its versions (lambda/latest/api/API_DeleteFunction).
    pub fn deleted(&mut self, function: &FunctionArn, last_version: u64) {
        self.deleted.insert(function.clone(), last_version);
        self.frozen.retain(|(_, _, frozen, _)| frozen != function);
    }

    /// A function was created again, as its owner wants it: everything of it is theirs.
    pub fn created_again(&mut self, function: &FunctionArn, now: Time) {
        self.created_at.entry(function.clone()).or_default().push(now);
        let names = self.law.get(function).map(fields).unwrap_or_default().into_keys();
        let own = names.filter(|name| !name.starts_with("event source mapping"));
        self.edits.extend(own.map(|name| (now, function.clone(), name)));
    }

    /// Whether a function was created again at such a time.
    fn was_created_again(&self, function: &FunctionArn, when: impl Fn(Time) -> bool) -> bool {
        self.created_at.get(function).is_some_and(|all| all.iter().any(|at| when(*at)))
    }

    /// Whether a run was in the ledger before that moment.
    #[must_use]
    pub fn was_there(&self, run: &RunId, before: Time) -> bool {
        self.created.get(run).is_some_and(|created| *created < before)
    }

    fn edited_since(&self, since: Time, function: &FunctionArn, field: &str) -> bool {
        self.edits.iter().any(|(at, edited, name)| *at >= since && edited == function && name == field)
    }

    /// Somebody else has changed a function that looked like `before`, and would have looked like `without` without us.
    pub fn edited(state: &mut State, function: &FunctionArn, before: &Fields, without: &Fields) {
        let law = state.drive.as_ref().and_then(|drive| drive.monitor.law.get(function)).map(fields);
        let after = fields_now(state, function);
        let mut changed = differing(before, &after);
        // To give a field the value that we had given it already is an edit, too, although none that can be seen.
        changed.extend(differing(without, &law.unwrap_or_default()));
        let (now, elapsed) = (state.now(), state.elapsed);
        let open = state.targets.values().filter(|target| target.function == *function && !target.status.is_final());
        let ours: Vec<String> = open
            .flat_map(|target| &target.changes)
            .filter(|change| !matches!(change, Change::Layers { .. }))
            .filter(|change| value(&after, &change.field().to_string()) == values(change).1)
            .map(|change| change.field().to_string())
            .filter(|field| changed.contains(field))
            .collect();
        let Some(drive) = &mut state.drive else { return };
        for field in &changed {
            drive.note(elapsed, || {
                format!(
                    "somebody else: the {field} of {}: {} -> {}",
                    function.name(),
                    hidden(before, field),
                    hidden(&after, field)
                )
            });
            drive.monitor.edits.push((now, function.clone(), field.clone()));
        }
        drive.monitor.excused.extend(ours.into_iter().map(|field| (function.clone(), field)));
    }

    /// A snapshot is taken. An edit that the look missed, because reads can be late, and that gave a field just the value
    /// that will be injected, looks as ours from now on.
    pub fn armed(state: &mut State, function: &FunctionArn, changes: &[Change]) {
        let (Some(drive), Some(now)) = (&state.drive, state.picture(function)) else { return };
        let since = state.now() - (MAX_READ_STALENESS + ATTEMPT_TIMEOUT);
        let missed = |change: &&Change| {
            drive.monitor.edited_since(since, function, &change.field().to_string())
                && current(change, &now) == values(change).1
        };
        let missed: Vec<String> = changes.iter().filter(missed).map(|change| change.field().to_string()).collect();
        if let Some(drive) = &mut state.drive {
            drive.monitor.excused.extend(missed.into_iter().map(|field| (function.clone(), field)));
        }
    }

    /// Somebody has published a version: what of the faults it keeps for good is to be reported.
    pub fn published(state: &mut State, function: &FunctionArn, version: u64) {
        let Some(seen) = state.functions.get(function) else { return };
        let now = state.now();
        let faulty = |change: &&Change| {
            let (original, injected) = values(change);
            let configuration = change.surface() == crate::model::snapshot::Surface::Configuration;
            configuration && original != injected && current(change, &seen.serving) == injected
        };
        let open = state.targets.values().filter(|target| target.function == *function && !target.status.is_final());
        let begun = open.filter(|target| target.status != TargetStatus::Armed);
        let runs: Vec<RunId> = begun
            .filter(|target| target.changes.iter().find(faulty).is_some())
            .map(|target| target.run.clone())
            .collect();
        let Some(drive) = &mut state.drive else { return };
        drive.monitor.frozen.extend(runs.into_iter().map(|run| (now, run, function.clone(), version)));
    }

    /// A target is said to be over: then nothing of ours is in place or can land, and what is not as it was is reported.
    pub fn ended(state: &mut State, ending: &TargetEnding, changes: &[Change]) {
        let Some(drive) = &state.drive else { return };
        let TargetEnding { run, function, status, .. } = ending;
        let name = function.name();
        let mut wrong = Vec::new();
        if drive.can_land(run, function) {
            wrong.push(format!("{name} is said to be {status:?} while a call of {run} can land"));
        }
        let since = ending.observed_at - (MAX_CLOCK_SKEW + state.staleness + Duration::from_secs(1));
        let monitor = &drive.monitor;
        let untouched = *status == TargetStatus::Untouched || ending.from == TargetStatus::Armed;
        if untouched && monitor.wrote.contains(&(run.clone(), function.clone())) {
            wrong.push(format!("{name} is said to be {status:?} from {:?}, and {run} has written to it", ending.from));
        }
        let record = state.targets.get(&(run.clone(), function.clone()));
        let removed = record.map(|record| record.removed_faults.clone()).unwrap_or_default();
        for fault in &removed {
            // An edit is seen by those whose clock is behind, and a seen one was made.
            let seen_by = fault.seen_at + MAX_CLOCK_SKEW;
            let created_again = monitor.was_created_again(function, |at| at <= seen_by);
            let edited =
                |(at, f, field): &(Time, FunctionArn, String)| f == function && *field == fault.field && *at <= seen_by;
            if !created_again && !monitor.edits.iter().any(edited) {
                wrong.push(format!(
                    "{name}'s {} is said to have been taken out, and nobody has changed it",
                    fault.field
                ));
            }
        }
        if (ending.from, *status) == (TargetStatus::Injected, TargetStatus::Restored) {
            // No restore of the run has begun, so somebody else has put back whatever is back.
            for change in changes {
                let (field, (original, injected)) = (change.field().to_string(), values(change));
                if original != injected && !removed.iter().any(|fault| fault.field == field) {
                    wrong.push(format!("{name}'s {field} was taken out by somebody else, and that is not recorded"));
                }
            }
        }
        match (status, state.functions.get(function), state.picture(function)) {
            (TargetStatus::Deleted, Some(_), _) if !monitor.was_created_again(function, |at| at >= since) => {
                wrong.push(format!("{name} is said to be gone, and is there"));
            }
            (TargetStatus::Deleted | TargetStatus::Drifted, None, _) if !untouched => {
                wrong.extend(left_disabled(state, ending, changes, since));
            }
            (TargetStatus::Restored | TargetStatus::Drifted, Some(now), Some(seen)) if !untouched => {
                for change in changes {
                    let field = change.field().to_string();
                    if monitor.edited_since(since, function, &field)
                        || monitor.excused.contains(&(function.clone(), field.clone()))
                    {
                        continue;
                    }
                    let (original, injected) = values(change);
                    let (shown, serving) = (current(change, &seen), current(change, &now.serving));
                    let reported = ending.drift.iter().any(|drift| drift.field == field);
                    // Created again since the look that showed it gone: what that look said of the mapping was true.
                    let created = monitor.was_created_again(function, |at| at >= since);
                    if created && is_named(ending, &field) {
                        continue;
                    }
                    if original != injected && (shown == injected || serving == injected) {
                        wrong.push(format!("{name} is said to be {status:?}, and the fault's {field} is in place"));
                    } else if shown == original && reported {
                        wrong.push(format!("{name}'s {field} is said to have drifted, and is as it was"));
                    } else if shown != original && !reported {
                        wrong.push(format!("{name} is said to be {status:?}, and its {field} is not as it was"));
                    }
                }
                let unknown = ending.frozen_versions.iter().any(|version| version.starts_with("unknown"));
                for (at, _, _, version) in monitor.frozen.iter().filter(|(_, r, f, _)| r == run && f == function) {
                    if *at < since && !unknown && !ending.frozen_versions.contains(&version.to_string()) {
                        wrong.push(format!("version {version} of {name} keeps the fault, and is not reported"));
                    }
                }
            }
            _ => {}
        }
        if let Some(drive) = &mut state.drive {
            wrong.into_iter().for_each(|what| drive.monitor.violate(what));
            // What is named as left disabled is no secret, and nobody touches it any more.
            let left = ending.drift.iter().filter(|drift| drift.note.contains("is left disabled"));
            drive.monitor.named.extend(left.map(|drift| (function.clone(), drift.field.clone())));
        }
    }

    /// A run is closed: it has not failed only because its targets take their time.
    pub fn closing(state: &mut State, id: &RunId, status: RunStatus) {
        let Some(run) = state.runs.get(id).filter(|run| run.status.may_become(status)) else { return };
        let due = run.reason.as_ref().map_or(RunStatus::Failed, EndReason::final_status);
        let open = state.targets.values().any(|target| target.run == *id && !target.status.is_final());
        // A target that was refused can be restored by another task after the one that closes the run has read it.
        let lately = state.now() - MAX_CLOSING_DELAY;
        let refused = state.drive.as_ref().and_then(|drive| drive.monitor.refused_at.get(id));
        let was_refused = status == RunStatus::Failed && refused.is_some_and(|at| *at >= lately);
        let wrong = if open { status != RunStatus::Failed } else { status != due && !was_refused };
        if let Some(drive) = state.drive.as_mut().filter(|_| wrong) {
            drive.monitor.violate(format!("{id} is closed as {status:?}, and it should be {due:?} (open: {open})"));
        }
    }

    /// After every move: a lock goes exactly when its target is over, and the first reason stays.
    pub fn check(state: &mut State) {
        let mut wrong = Vec::new();
        for target in state.targets.values() {
            let holder = state.locks.get(&target.function).and_then(|lock| lock.run.as_ref());
            let (held, name) = (holder == Some(&target.run), target.function.name());
            if target.status.is_final() && held {
                wrong.push(format!("{name} is {:?}, and {} holds its lock", target.status, target.run));
            }
            if !target.status.is_final() && target.status != TargetStatus::Pending && !held {
                wrong.push(format!("{name} is {:?}, and {} does not hold its lock", target.status, target.run));
            }
        }
        let now = state.now();
        let Some(drive) = &mut state.drive else { return };
        let refused = |target: &&TargetRecord| target.restore_error.is_some() && !target.status.is_final();
        let refused = state.targets.values().filter(refused);
        drive.monitor.refused_at.extend(refused.map(|target| (target.run.clone(), now)));
        for run in state.runs.values() {
            if !drive.monitor.created.contains_key(&run.id) {
                drive.monitor.created.insert(run.id.clone(), now);
            }
            let Some(reason) = &run.reason else { continue };
            match drive.monitor.reasons.get(&run.id) {
                Some(first) if first == reason => {}
                Some(first) => wrong.push(format!("{} ended because {first}, and now says that {reason}", run.id)),
                None => drop(drive.monitor.reasons.insert(run.id.clone(), reason.clone())),
            }
        }
        wrong.into_iter().for_each(|what| drive.monitor.violate(what));
    }

    /// Once it is quiet, every function is as other people left it.
    pub fn quiet(state: &mut State) {
        let mut wrong = Vec::new();
        let Some(drive) = &state.drive else { return };
        for (arn, law) in &drive.monitor.law {
            // Of a function that is gone, its mappings are left.
            let there = state.functions.contains_key(arn);
            let law = if there { fields(law) } else { mapping_fields(&law.mappings) };
            let now = fields_now(state, arn);
            for field in differing(&law, &now) {
                let field_of = (arn.clone(), field.clone());
                if !drive.monitor.excused.contains(&field_of) && !drive.monitor.named.contains(&field_of) {
                    wrong.push(format!(
                        "the {field} of {} is {}, and without us it would be {}",
                        arn.name(),
                        hidden(&now, &field),
                        hidden(&law, &field)
                    ));
                }
            }
        }
        if let Some(drive) = &mut state.drive {
            wrong.into_iter().for_each(|what| drive.monitor.violate(what));
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

    /// What is said of a run that a person stopped, and that is closed as failed this long after a target of it was
    /// refused, which has been restored since.
    fn closed_after(delay: Duration) -> Vec<String> {
        let world = SimWorld::default();
        let id = run_id("run-1");
        world.with(|state| {
            let mut run = stopped_marker(&id, &EndReason::UserRequest, Time(0));
            run.status = RunStatus::Stopping;
            state.runs.insert(id.clone(), run);
            let mut target = TargetRecord::new(id.clone(), function_arn("checkout"));
            target.status = TargetStatus::Pending;
            target.restore_error = Some("access denied".into());
            state.targets.insert((id.clone(), function_arn("checkout")), target);
            state.drive = Some(Drive::default());
            Monitor::check(state);
        });
        world.pass(delay.as_secs().cast_signed());
        world.with(|state| {
            state.targets.clear();
            Monitor::closing(state, &id, RunStatus::Failed);
            state.drive.take().unwrap_or_default().monitor.violations
        })
    }

    #[test]
    fn a_run_may_be_closed_as_failed_for_a_target_that_was_refused_a_moment_ago() {
        assert_eq!(closed_after(Duration::from_secs(4)), Vec::<String>::new());
        assert_eq!(closed_after(MAX_CLOSING_DELAY + Duration::from_secs(1)).len(), 1);
    }
}
