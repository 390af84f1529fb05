//! What other people do in a history, and what they expect of it.

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
use super::monitor::{Monitor, fields, fields_now};
use super::script::Act;
use super::stage::{Invoked, Stage};

/// Somebody.
pub(super) struct Actor<'w> {
    pub(super) stage: Stage<'w>,
    pub(super) executions: Executions,
}

impl Actor<'_> {
    pub(super) async fn act(&self, act: Act) {
        self.stage.note(|| format!("{act:?}"));
        match act {
            Act::Trip(deliveries) => self.trip(&deliveries),
            Act::Clear => self.alarm(false),
            Act::StrangeAlarm => self.deliver("strange", 100),
            Act::RollBack(run) => self.roll_back(&run).await,
            Act::RollBackAll => self.roll_back_all().await,
            Act::Lever(engaged) => self.change(|state| {
                state.lever = Some(Lever { engaged, since: state.now(), reason: "a drill".into() });
            }),
            Act::StopExecution(run) => self.stop_execution(&run),
            Act::Deploy(name, edits, busy, fails) => {
                let edit = |seen: &mut Observation| edits.iter().for_each(|edit| edit.apply(seen));
                self.deploy(&function_arn(&name), busy, fails, edit).await;
            }
            Act::UpdateCode(name, busy) => self.deploy(&function_arn(&name), busy, false, |_| {}).await,
            Act::SetConcurrency(name, slot) => self.edit(&function_arn(&name), |seen| seen.concurrency = slot),
            Act::SwitchMapping(name, enabled) => self.switch(&function_arn(&name), enabled).await,
            Act::PutBack(name) => self.put_back(&function_arn(&name)).await,
            Act::Publish(name) => self.publish(&function_arn(&name)),
            Act::DropTag(name) => self.change(|state| {
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
                let before = fields_now(state, &arn);
                state.mappings.retain(|_, mapping| mapping.function != arn);
                after_edit(state, &arn, &before, |seen| seen.mappings.clear());
            }),
        }
    }

    /// A function is deleted; its event source mappings stay.
    fn delete(&self, arn: &FunctionArn) {
        self.change(|state| {
            let Some(deleted) = state.functions.remove(arn) else { return };
            if let Some(drive) = &mut state.drive {
                drive.monitor.deleted(arn, deleted.last_version());
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
            let Some(law) = drive.monitor.law.get(arn).cloned() else { return };
            let revision_id = format!("created-{}", now.0);
            let mut function = SimFunction::new(Observation { revision_id, mappings: Vec::new(), ..law });
            function.continue_versions(drive.monitor.deleted.get(arn).copied().unwrap_or_default());
            function.begin_revisions(now);
            drive.note(now.0 - crate::testing::BEGINNING.0, || format!("{} is created again", arn.name()));
            drive.monitor.created_again(arn, now);
            state.functions.insert(arn.clone(), function);
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.stage.world.with(change);
    }

    fn alarm(&self, in_alarm: bool) {
        self.change(|state| {
            state.alarms.insert("errors".into(), in_alarm);
        });
    }

    fn trip(&self, deliveries: &[i64]) {
        self.alarm(true);
        deliveries.iter().for_each(|after| self.deliver("errors", *after));
    }

    /// EventBridge delivers an event, and tries again twice where the function fails.
    fn deliver(&self, alarm: &'static str, after: i64) {
        let stage = self.stage.clone();
        self.stage.schedule.spawn(async move {
            stage.sleep(after).await;
            for pause in [60_000, 120_000, 0] {
                let began = stage.world.with(|state| state.now());
                let handled = stage
                    .invoke(Role::Rollback, alarm, &|worker, budget| async move {
                        roll_back_alarm(&worker, &alarm_arn(alarm), alarm, budget).await
                    })
                    .await;
                if matches!(handled, Invoked::Done(Ok(_))) {
                    return stage.world.with(|state| expect_stopped(state, alarm, began));
                }
                stage.sleep(pause).await;
            }
        });
    }

    async fn roll_back(&self, run: &str) {
        let run = run_id(run);
        // Nobody asks for a run that is not there.
        if !self.stage.world.with(|state| state.runs.contains_key(&run)) {
            return;
        }
        let run = &run;
        self.stage
            .invoke(Role::Rollback, "a person", &|worker, budget| {
                let run = run.clone();
                async move { roll_back(&worker, &run, &EndReason::UserRequest, budget).await.is_ok() }
            })
            .await;
    }

    async fn roll_back_all(&self) {
        self.stage
            .invoke(Role::Rollback, "a person", &|worker, budget| async move {
                roll_back_all(&worker, &EndReason::UserRequest, budget).await.is_ok()
            })
            .await;
    }

    fn stop_execution(&self, run: &str) {
        let jobs = self.executions.1.borrow();
        for (_, job) in jobs.iter().filter(|(name, _)| name == run) {
            if self.stage.schedule.kill(*job) {
                self.change(|state| state.dead_executions.push(format!("execution-{run}")));
            }
        }
    }

    /// Edits what has no update to wait for.
    fn edit(&self, arn: &FunctionArn, edit: impl Fn(&mut Observation)) {
        self.change(|state| {
            let before = fields_now(state, arn);
            let Some(function) = state.functions.get_mut(arn) else { return };
            function.edit(&edit);
            after_edit(state, arn, &before, edit);
        });
    }

    /// Updates the configuration; while another update is in progress, Lambda refuses that, and it is tried again.
    async fn deploy(&self, arn: &FunctionArn, busy: i64, fails: bool, edit: impl Fn(&mut Observation)) {
        for _ in 0..90 {
            let over = self.stage.world.with(|state| {
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
                let before = fields_now(state, arn);
                let Some(function) = state.functions.get_mut(arn) else { return true };
                function.deploy(now, busy, fails, &edit);
                after_edit(state, arn, &before, &edit);
                true
            });
            if over {
                return;
            }
            self.stage.sleep(1_000).await;
        }
    }

    async fn switch(&self, arn: &FunctionArn, enabled: bool) {
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
            let before = fields_now(world, arn);
            world.set_mappings(arn, state);
            after_edit(world, arn, &before, |seen| seen.mappings.iter_mut().for_each(|mapping| mapping.state = state));
        });
    }

    /// Gives a function by hand what it had: what the operator sees as ours goes.
    async fn put_back(&self, arn: &FunctionArn) {
        let law = self.stage.world.with(|state| state.drive.as_ref()?.monitor.law.get(arn).cloned());
        let Some(law) = law else { return };
        self.edit(arn, |seen| seen.concurrency = law.concurrency);
        self.deploy(arn, 1_000, false, |seen| {
            let last_update = seen.last_update;
            let kept = (seen.tags.clone(), seen.concurrency, seen.mappings.clone(), seen.revision_id.clone());
            *seen = law.clone();
            // The function's own list is empty, and the law's is not.
            (seen.tags, seen.concurrency, seen.mappings, seen.revision_id) = kept;
            seen.last_update = last_update;
        })
        .await;
    }

    fn publish(&self, arn: &FunctionArn) {
        self.change(|state| {
            let now = state.now();
            let Some(function) = state.functions.get_mut(arn) else { return };
            // Lambda does not publish in the middle of an update.
            if function.seen.last_update == LastUpdate::InProgress {
                return;
            }
            let version = function.publish(now);
            Monitor::published(state, arn, version);
        });
    }

    /// The owner of a function whose layer was deleted takes it off the list: nobody else can.
    pub(super) async fn heal(&self) {
        self.expect_visible();
        let arns: Vec<FunctionArn> = self.stage.world.with(|state| state.functions.keys().cloned().collect());
        for arn in arns {
            let layers = self.stage.world.with(|state| state.layers.clone());
            let missing = self.stage.world.with(|state| {
                let function = state.functions.get(&arn);
                function.is_some_and(|f| f.seen.layers.iter().any(|layer| !layers.contains_key(layer)))
            });
            if missing {
                self.stage.note(|| format!("the owner of {} takes the deleted layers off", arn.name()));
                self.deploy(&arn, 1_000, false, |seen| seen.layers.retain(|layer| layers.contains_key(layer))).await;
            }
        }
    }

    /// What cannot be restored is to be seen: with its snapshot and a reason, in a run that failed.
    fn expect_visible(&self) {
        self.change(|state| {
            let hidden = hidden_refusals(state);
            let Some(drive) = &mut state.drive else { return };
            for name in hidden {
                drive.monitor.violate(format!("{name} cannot be restored, and nobody is told why"));
            }
        });
    }
}

/// The functions whose layers cannot be restored, because another one of them was deleted, while nobody is told.
fn hidden_refusals(state: &State) -> Vec<String> {
    let refused = |target: &&TargetRecord| {
        let Some(function) = state.functions.get(&target.function) else { return false };
        let ours = |change: &Change| match change {
            Change::Layers { added, .. } => function.seen.layers.iter().any(|layer| added.contains(layer)),
            _ => false,
        };
        let others = |layer: &&LayerVersionArn| {
            let added = |change: &Change| matches!(change, Change::Layers { added, .. } if added.contains(layer));
            !target.changes.iter().any(added)
        };
        let missing = function.seen.layers.iter().filter(others).any(|layer| !state.layers.contains_key(layer));
        target.status == TargetStatus::Restoring && target.changes.iter().any(ours) && missing
    };
    let told = |target: &&TargetRecord| {
        let run = state.runs.get(&target.run);
        let failed = run.is_some_and(|run| run.status == RunStatus::Failed);
        // As long as its execution lives and tries again, a run has not failed.
        let tries = run.is_some_and(|run| !state.dead_executions.contains(&run.execution_arn));
        target.restore_error.is_some() && (failed || tries)
    };
    let hidden = state.targets.values().filter(refused).filter(|target| !told(target));
    hidden.map(|target| target.function.name().to_owned()).collect()
}

/// An event that was handled leaves no run of its alarm that was there before running.
fn expect_stopped(state: &mut State, alarm: &str, began: Time) {
    let arn = alarm_arn(alarm);
    let there = |run: &RunId| state.drive.as_ref().is_some_and(|drive| drive.monitor.was_there(run, began));
    let runs = state.runs.values().filter(|run| run.alarms.contains(&arn) && there(&run.id));
    let running = runs.filter(|run| matches!(run.status, RunStatus::Pending | RunStatus::Running));
    let running: Vec<String> = running.map(|run| run.id.to_string()).collect();
    if let Some(drive) = &mut state.drive {
        for run in running {
            drive.monitor.violate(format!("the event of {alarm} was handled, and {run} goes on"));
        }
    }
}

/// The law has the edit, too.
fn after_edit(state: &mut State, arn: &FunctionArn, before: &super::monitor::Fields, edit: impl Fn(&mut Observation)) {
    let law = state.drive.as_mut().and_then(|drive| drive.monitor.law.get_mut(arn));
    let without = law.map_or_else(Default::default, |law| {
        let without = fields(law);
        edit(law);
        without
    });
    Monitor::edited(state, arn, before, &without);
}

impl super::script::Script {
    /// When the last thing of the script is over, in milliseconds.
    pub(super) fn quiet_at(&self) -> i64 {
        let acts = self.acts.iter().map(|(at, act)| match act {
            Act::Trip(deliveries) => at + deliveries.iter().max().copied().unwrap_or_default(),
            Act::Deploy(_, _, busy, _) | Act::Recreate(_, busy) => at + busy,
            _ => *at,
        });
        // The one that follows waits a hundred seconds at most.
        let runs = self.runs.iter().map(|run| run.at + if run.follows { 100_000 } else { 0 });
        let storms = self.storms.iter().map(|storm| storm.until);
        acts.chain(runs).chain(storms).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::samples::{layer_arn, world};

    /// A target that is being restored, on a function that has lost its layer `shared`, in a run that has ended so.
    fn refused(fault_is_there: bool, told: bool, status: RunStatus) -> Vec<String> {
        let (world, function) = (world(&["checkout"]), function_arn("checkout"));
        world.with(|state| {
            state.layers.remove(&layer_arn("shared"));
            let mut target = TargetRecord::new(run_id("run-1"), function.clone());
            target.status = TargetStatus::Restoring;
            target.changes = vec![Change::Layers { original: Vec::new(), added: vec![layer_arn("chaos")] }];
            target.restore_error = told.then(|| "there is no layer version".to_owned());
            let mut run = crate::model::marker::stopped_marker(&run_id("run-1"), &EndReason::ExecutionStopped, Time(0));
            run.status = status;
            state.dead_executions.extend((status != RunStatus::Running).then(String::new));
            state.runs.insert(run.id.clone(), run);
            state.targets.insert((run_id("run-1"), function.clone()), target);
            if let Some(function) = state.functions.get_mut(&function).filter(|_| fault_is_there) {
                function.edit(|seen| seen.layers.push(layer_arn("chaos")));
            }
            hidden_refusals(state)
        })
    }

    #[test]
    fn only_layers_that_are_still_to_be_restored_are_refused_for_a_deleted_one() {
        use RunStatus::{Failed, Running, Stopping};
        let hidden = vec!["checkout".to_owned()];
        assert_eq!((refused(true, false, Failed), refused(true, true, Failed)), (hidden.clone(), Vec::new()));
        // A fault that never reached the layers leaves nothing in them to restore.
        assert_eq!(refused(false, false, Failed), Vec::<String>::new());
        // The reason is there from the beginning; that the run has failed is said when its execution has ended.
        assert_eq!((refused(true, true, Stopping), refused(true, true, Running)), (hidden.clone(), Vec::new()));
        assert_eq!(refused(true, false, Running), hidden);
    }
}
