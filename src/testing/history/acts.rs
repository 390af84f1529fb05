//! The acts of everyone but snapback in a history (users, deploys, CloudWatch), and the checks of what they may expect.

use crate::model::function::{LastUpdate, MappingState, Observation, Tags};
use crate::model::names::{FunctionArn, LayerVersionArn, RunId};
use crate::model::run::{EndReason, Lever, RunStatus, TargetRecord, TargetStatus};
use crate::model::snapshot::Change;
use crate::model::time::Time;
use crate::steps::rollback::{roll_back, roll_back_alarm, roll_back_all};
use crate::testing::drive::StormKind;
use crate::testing::samples::{alarm_arn, function_arn, run_id};
use crate::testing::worker::Role;
use crate::testing::{SimFunction, State};

use super::Executions;
use super::fields::{Fields, current_fields, fields};
use super::monitor::Monitor;
use super::script::{Act, Script};
use super::stage::{Invoked, Stage};

/// Plays the part of everyone but snapback.
pub(super) struct Actor<'w> {
    pub(super) stage: Stage<'w>,
    pub(super) executions: Executions,
}

impl Actor<'_> {
    pub(super) async fn act(&self, act: Act) {
        self.stage.note(|| format!("{act:?}"));
        match act {
            Act::TripAlarm(delays) => self.trip_alarm(&delays),
            Act::ClearAlarm => self.set_alarm(false),
            Act::UnusedAlarm => self.deliver_event("unused", 100),
            Act::RollBack(run) => self.roll_back(&run).await,
            Act::RollBackAll => self.roll_back_all().await,
            Act::SetLever(engaged) => self.change(|state| {
                state.lever = Some(Lever { engaged, since: state.now(), reason: "a drill".into(), by: None });
            }),
            Act::StopExecution(run) => self.stop_execution(&run),
            Act::Deploy(name, edits, busy, fails) => {
                let edit = |seen: &mut Observation| edits.iter().for_each(|edit| edit.apply(seen));
                self.deploy(&function_arn(&name), busy, fails, edit).await;
            }
            Act::UpdateCode(name, busy) => self.deploy(&function_arn(&name), busy, false, |_| {}).await,
            Act::SetConcurrency(name, slot) => self.edit(&function_arn(&name), |seen| seen.concurrency = slot),
            Act::SwitchMapping(name, enabled) => self.switch_mappings(&function_arn(&name), enabled).await,
            Act::RestoreByHand(name) => self.restore_by_hand(&function_arn(&name)).await,
            Act::Publish(name) => self.publish(&function_arn(&name)),
            Act::RemoveTag(name) => self.change(|state| {
                if let Some(function) = state.functions.get_mut(&function_arn(&name)) {
                    function.edit(|seen| seen.tags = Tags::Known(std::collections::BTreeMap::new()));
                }
            }),
            Act::DeleteLayer(name) => self.change(|state| {
                state.layers.remove(&crate::testing::samples::layer_arn(name));
            }),
            Act::Delete(name) => self.delete(&function_arn(&name)),
            Act::Recreate(name, after) => {
                self.delete(&function_arn(&name));
                self.stage.sleep(after).await;
                self.create(&function_arn(&name));
            }
            Act::DeleteMappings(name) => self.change(|state| {
                let arn = function_arn(&name);
                let before = current_fields(state, &arn);
                state.mappings.retain(|_, mapping| mapping.function != arn);
                record_edit(state, &arn, &before, |seen| seen.mappings.clear());
            }),
        }
    }

    /// Deletes a function. Its event source mappings stay.
    fn delete(&self, arn: &FunctionArn) {
        self.change(|state| {
            let Some(deleted) = state.functions.remove(arn) else { return };
            if let Some(drive) = &mut state.drive {
                drive.monitor.on_delete(arn, deleted.last_version());
            }
        });
    }

    /// Creates a function again, as its owner last deployed it.
    fn create(&self, arn: &FunctionArn) {
        self.change(|state| {
            if state.functions.contains_key(arn) {
                return;
            }
            let now = state.now();
            let Some(drive) = &mut state.drive else { return };
            let Some(expected) = drive.monitor.expected.get(arn).cloned() else { return };
            let revision_id = format!("created-{}", now.0);
            let mut function = SimFunction::new(Observation { revision_id, mappings: Vec::new(), ..expected });
            function.continue_versions(drive.monitor.last_versions.get(arn).copied().unwrap_or_default());
            function.start_revisions(now);
            drive.note(now.0 - crate::testing::BEGINNING.0, || format!("{} is created again", arn.name()));
            drive.monitor.on_recreate(arn, now);
            state.functions.insert(arn.clone(), function);
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.stage.world.with(change);
    }

    fn set_alarm(&self, in_alarm: bool) {
        self.change(|state| {
            state.alarms.insert("errors".into(), in_alarm);
        });
    }

    fn trip_alarm(&self, delays_ms: &[i64]) {
        self.set_alarm(true);
        delays_ms.iter().for_each(|delay_ms| self.deliver_event("errors", *delay_ms));
    }

    /// Delivers an alarm's event as EventBridge does, with two retries if the function fails.
    fn deliver_event(&self, alarm: &'static str, delay_ms: i64) {
        let stage = self.stage.clone();
        self.stage.schedule.spawn(async move {
            stage.sleep(delay_ms).await;
            for pause in [60_000, 120_000, 0] {
                let began = stage.world.with(|state| state.now());
                let handled = stage
                    .invoke(Role::Rollback, alarm, &|worker, budget| async move {
                        roll_back_alarm(&worker, &alarm_arn(alarm), alarm, budget).await
                    })
                    .await;
                if matches!(handled, Invoked::Done(Ok(_))) {
                    return stage.world.with(|state| check_stopped(state, alarm, began));
                }
                stage.sleep(pause).await;
            }
        });
    }

    async fn roll_back(&self, run: &str) {
        // It may not have been written yet: a user can stop what has only just begun.
        let run = &run_id(run);
        let rolled_back = self
            .stage
            .invoke(Role::Rollback, "a user", &|worker, budget| {
                let run = run.clone();
                async move { roll_back(&worker, &run, &EndReason::UserRequest.into(), budget).await.is_ok() }
            })
            .await;
        if matches!(rolled_back, Invoked::Done(true)) {
            self.stage.world.with(|state| check_rolled_back(state, run));
        }
    }

    async fn roll_back_all(&self) {
        self.stage
            .invoke(Role::Rollback, "a user", &|worker, budget| async move {
                roll_back_all(&worker, &EndReason::UserRequest.into(), budget).await.is_ok()
            })
            .await;
    }

    fn stop_execution(&self, run: &str) {
        let jobs = self.executions.jobs.borrow();
        for (_, job) in jobs.iter().filter(|(name, _)| name == run) {
            if self.stage.schedule.kill(*job) {
                self.change(|state| state.dead_executions.push(format!("execution-{run}")));
            }
        }
    }

    /// Edits a function in a way that takes effect immediately, without an update in progress.
    fn edit(&self, arn: &FunctionArn, edit: impl Fn(&mut Observation)) {
        self.change(|state| {
            let before = current_fields(state, arn);
            let Some(function) = state.functions.get_mut(arn) else { return };
            function.edit(&edit);
            record_edit(state, arn, &before, edit);
        });
    }

    /// Updates the configuration. Lambda refuses that while another update is in progress; then the deploy is retried.
    async fn deploy(&self, arn: &FunctionArn, update_ms: i64, fails: bool, edit: impl Fn(&mut Observation)) {
        for _ in 0..90 {
            let done = self.stage.world.with(|state| {
                let (now, fails) = (state.now(), fails || state.has_storm(StormKind::UpdatesFail));
                let Some(function) = state.functions.get_mut(arn) else { return true };
                let mut after = function.seen.clone();
                edit(&mut after);
                if after.layers != function.seen.layers && after.layers.iter().any(|l| !state.layers.contains_key(l)) {
                    return true;
                }
                if function.seen.last_update == LastUpdate::InProgress {
                    return false;
                }
                let before = current_fields(state, arn);
                let Some(function) = state.functions.get_mut(arn) else { return true };
                function.deploy(now, update_ms, fails, &edit);
                record_edit(state, arn, &before, &edit);
                true
            });
            if done {
                return;
            }
            self.stage.sleep(1_000).await;
        }
    }

    async fn switch_mappings(&self, arn: &FunctionArn, enabled: bool) {
        let state = if enabled { MappingState::Enabled } else { MappingState::Disabled };
        let busy = || {
            self.stage.world.with(|world| {
                let mut mappings = world.mappings.values().filter(|mapping| mapping.function == *arn);
                mappings.any(|mapping| mapping.state == MappingState::Busy)
            })
        };
        while busy() {
            self.stage.sleep(500).await;
        }
        self.change(|world| {
            let before = current_fields(world, arn);
            world.set_mappings(arn, state);
            record_edit(world, arn, &before, |seen| seen.mappings.iter_mut().for_each(|mapping| mapping.state = state));
        });
    }

    /// Restores a function by hand, as a user does who removes the fault.
    async fn restore_by_hand(&self, arn: &FunctionArn) {
        let expected = self.stage.world.with(|state| state.drive.as_ref()?.monitor.expected.get(arn).cloned());
        let Some(expected) = expected else { return };
        self.edit(arn, |seen| seen.concurrency = expected.concurrency);
        self.deploy(arn, 1_000, false, |seen| {
            let last_update = seen.last_update;
            let kept = (seen.tags.clone(), seen.concurrency, seen.mappings.clone(), seen.revision_id.clone());
            *seen = expected.clone();
            // The simulated function keeps no list of mappings, but the expected observation has one.
            (seen.tags, seen.concurrency, seen.mappings, seen.revision_id) = kept;
            seen.last_update = last_update;
        })
        .await;
    }

    fn publish(&self, arn: &FunctionArn) {
        self.change(|state| {
            let now = state.now();
            let Some(function) = state.functions.get_mut(arn) else { return };
            // Lambda does not publish while an update is in progress.
            if function.seen.last_update == LastUpdate::InProgress {
                return;
            }
            let version = function.publish(now);
            Monitor::on_publish(state, arn, version);
        });
    }

    /// Plays the owners who remove deleted layer versions from their functions. Only they can: Lambda refuses any
    /// update of a list with a deleted layer version.
    pub(super) async fn remove_deleted_layers(&self) {
        self.check_refusals_are_reported();
        let arns: Vec<FunctionArn> = self.stage.world.with(|state| state.functions.keys().cloned().collect());
        for arn in arns {
            let layers = self.stage.world.with(|state| state.layers.clone());
            let missing = self.stage.world.with(|state| {
                let function = state.functions.get(&arn);
                function.is_some_and(|f| f.seen.layers.iter().any(|layer| !layers.contains_key(layer)))
            });
            if missing {
                self.stage.note(|| format!("the owner of {} removes the deleted layers", arn.name()));
                self.deploy(&arn, 1_000, false, |seen| seen.layers.retain(|layer| layers.contains_key(layer))).await;
            }
        }
    }

    /// Checks that a target that cannot be restored is visible, with a reason, in a run that failed.
    fn check_refusals_are_reported(&self) {
        self.change(|state| {
            let unreported = unreported_refusals(state);
            let Some(drive) = &mut state.drive else { return };
            for name in unreported {
                drive.monitor.add_violation(format!("{name} cannot be restored, but no reason is reported"));
            }
        });
    }
}

/// Returns the functions whose layers cannot be restored, because another of their layers was deleted, and for which
/// the ledger has no reason.
fn unreported_refusals(state: &State) -> Vec<String> {
    let refused = |target: &&TargetRecord| {
        let Some(function) = state.functions.get(&target.function) else { return false };
        let has_fault = |change: &Change| match change {
            Change::Layers { added, .. } => function.seen.layers.iter().any(|layer| added.contains(layer)),
            _ => false,
        };
        let others = |layer: &&LayerVersionArn| {
            let added = |change: &Change| matches!(change, Change::Layers { added, .. } if added.contains(layer));
            !target.changes.iter().any(added)
        };
        let missing = function.seen.layers.iter().filter(others).any(|layer| !state.layers.contains_key(layer));
        target.status == TargetStatus::Restoring && target.changes.iter().any(has_fault) && missing
    };
    let is_reported = |target: &&TargetRecord| {
        let run = state.runs.get(&target.run);
        let failed = run.is_some_and(|run| run.status == RunStatus::Failed);
        // A run does not fail while its execution is running and retries.
        let retries = run.is_some_and(|run| !state.dead_executions.contains(&run.execution_arn));
        target.restore_error.is_some() && (failed || retries)
    };
    let unreported = state.targets.values().filter(refused).filter(|target| !is_reported(target));
    unreported.map(|target| target.function.name().to_owned()).collect()
}

/// Checks that the handling of an alarm's event stopped every run of the alarm that existed before.
fn check_stopped(state: &mut State, alarm: &str, began: Time) {
    let arn = alarm_arn(alarm);
    let existed = |run: &RunId| state.drive.as_ref().is_some_and(|drive| drive.monitor.existed_before(run, began));
    let runs = state.runs.values().filter(|run| run.alarms.contains(&arn) && existed(&run.id));
    let running = runs.filter(|run| matches!(run.status, RunStatus::Pending | RunStatus::Running));
    let running: Vec<String> = running.map(|run| run.id.to_string()).collect();
    if let Some(drive) = &mut state.drive {
        for run in running {
            drive.monitor.add_violation(format!("the event of {alarm} was handled, but {run} is still running"));
        }
    }
}

/// Checks that a run whose rollback has returned has been stopped.
fn check_rolled_back(state: &mut State, id: &RunId) {
    let status = state.runs.get(id).map(|run| run.status);
    let is_stopped = status.is_some_and(|status| !status.may_become(RunStatus::Stopping));
    if let Some(drive) = state.drive.as_mut().filter(|_| !is_stopped) {
        drive.monitor.add_violation(format!("{id} was rolled back, and it is {status:?}"));
    }
}

/// Makes an edit also on the function as it would be without snapback, and tells the monitor.
fn record_edit(state: &mut State, arn: &FunctionArn, before: &Fields, edit: impl Fn(&mut Observation)) {
    let expected = state.drive.as_mut().and_then(|drive| drive.monitor.expected.get_mut(arn));
    let without = expected.map_or_else(Default::default, |expected| {
        let without = fields(expected);
        edit(expected);
        without
    });
    Monitor::on_edit(state, arn, before, &without);
}

impl Script {
    /// Returns when the last act of the script has ended, in milliseconds.
    pub(super) fn ends_at(&self) -> i64 {
        let acts = self.acts.iter().map(|(at, act)| match act {
            Act::TripAlarm(delays) => at + delays.iter().max().copied().unwrap_or_default(),
            Act::Deploy(_, _, duration, _) | Act::Recreate(_, duration) => at + duration,
            _ => *at,
        });
        // A run that follows another one waits for at most a hundred seconds.
        let runs = self.runs.iter().map(|run| run.at + if run.follows { 100_000 } else { 0 });
        let storms = self.storms.iter().map(|storm| storm.until);
        acts.chain(runs).chain(storms).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::samples::{layer_arn, world};

    /// Returns the unreported refusals for a target that is being restored, whose layer `shared` was deleted.
    fn unreported(fault_is_in_place: bool, has_reason: bool, status: RunStatus) -> Vec<String> {
        let (world, function) = (world(&["checkout"]), function_arn("checkout"));
        world.with(|state| {
            state.layers.remove(&layer_arn("shared"));
            let mut target = TargetRecord::new(run_id("run-1"), function.clone());
            target.status = TargetStatus::Restoring;
            target.changes = vec![Change::Layers { original: Vec::new(), added: vec![layer_arn("chaos")] }];
            target.restore_error = has_reason.then(|| "there is no layer version".to_owned());
            let mut run =
                crate::model::marker::stopped_marker(&run_id("run-1"), &EndReason::ExecutionStopped.into(), Time(0));
            run.status = status;
            state.dead_executions.extend((status != RunStatus::Running).then(String::new));
            state.runs.insert(run.id.clone(), run);
            state.targets.insert((run_id("run-1"), function.clone()), target);
            if let Some(function) = state.functions.get_mut(&function).filter(|_| fault_is_in_place) {
                function.edit(|seen| seen.layers.push(layer_arn("chaos")));
            }
            unreported_refusals(state)
        })
    }

    #[test]
    fn a_refused_restore_needs_a_reason_and_a_failed_run() {
        use RunStatus::{Failed, Running, Stopping};
        let checkout = vec!["checkout".to_owned()];
        assert_eq!((unreported(true, false, Failed), unreported(true, true, Failed)), (checkout.clone(), Vec::new()));
        // If the fault never reached the layers, there is nothing to restore.
        assert_eq!(unreported(false, false, Failed), Vec::<String>::new());
        // The reason must exist from the beginning. A run fails only after its execution has ended.
        assert_eq!((unreported(true, true, Stopping), unreported(true, true, Running)), (checkout.clone(), Vec::new()));
        assert_eq!(unreported(true, false, Running), checkout);
    }
}
