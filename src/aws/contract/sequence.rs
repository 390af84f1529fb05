//! Random sequences of calls. Most calls make sense for the ledger's current content.

use std::time::Duration;

use crate::model::actor::Actor;
use crate::model::function::Slot;
use crate::model::guarded_write::{self as writes, GuardedWrite};
use crate::model::input::read_experiment;
use crate::model::kept_metrics::{KeptMetrics, Series};
use crate::model::marker::stopped_marker;
use crate::model::names::{FunctionArn, RunId, VariableName};
use crate::model::run::{
    EndReason, Findings, Lease, LeaseKind, Lever, Run, RunEnding, RunStatus, TargetEnding, TargetRecord, TargetStatus,
};
use crate::model::secret::Secret;
use crate::model::snapshot::{Change, Drift, RemovedFault, Snapshot};
use crate::model::time::Time;
use crate::testing::dice::Dice;
use crate::testing::samples::{alarm_arn, experiment, faults, function_arn, run_id};
use crate::testing::{BEGINNING, State};

/// One call of the port.
#[derive(Clone, Debug)]
pub(super) enum Call {
    CreateRun(Box<Run>),
    AddTargets(RunId, Vec<FunctionArn>),
    StartRun(RunId),
    StopRun(RunId, RunEnding),
    BeginObserving(RunId, Time),
    RecordFindings(RunId, Findings),
    CloseRun(RunId, RunStatus),
    RetireRun(Box<Run>),
    KeepMetrics(RunId, KeptMetrics),
    EndKeeping(RunId),
    TakeLock(RunId, FunctionArn),
    Arm(RunId, FunctionArn, Snapshot),
    MarkRehearsed(RunId, FunctionArn, Vec<Change>),
    BeginInject(RunId, FunctionArn, Vec<Change>, Lease),
    MarkInjected(RunId, FunctionArn),
    BeginRestore(RunId, FunctionArn, Lease),
    ShortenLease(RunId, FunctionArn, Lease, Time),
    EndTarget(Box<TargetEnding>),
    RecordRestoreError(RunId, FunctionArn),
    RecordWaiting(RunId, FunctionArn, Option<&'static str>),
    RecordRemovedFaults(RunId, FunctionArn, Vec<RemovedFault>),
    RelistRun(RunId),
    SetLever(Lever),
    /// A guarded write that was made from an earlier read.
    Late(GuardedWrite),
    Read(RunId, FunctionArn),
}

/// A call at its time.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) call: Call,
    pub(super) now: Time,
}

/// The number of targets of a run whose body is a separate item.
const MANY: usize = 41;

/// The sequence of one seed, with two runs, two functions and two callers.
pub(super) struct Sequence {
    dice: Dice,
    now: Time,
    left: i64,
    many: bool,
    /// The percentage of calls that make sense, or repeat an earlier call.
    sensible_percent: i64,
    done: Vec<Step>,
}

impl Sequence {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        // Most sequences are short. The others keep to the protocol most of the time, and reach the end of a run.
        let short = dice.percent(75);
        let left = if short { dice.between(6, 10) } else { dice.between(12, 24) };
        let sensible_percent = if short { 75 } else { 92 };
        let many = dice.percent(3);
        Self { dice, now: BEGINNING, left, many, sensible_percent, done: Vec::new() }
    }

    /// Returns the next step for a ledger with this content, or `None` at the end.
    pub(super) fn next(&mut self, state: &State) -> Option<Step> {
        self.left -= 1;
        if self.left < 0 {
            return None;
        }
        self.now = self.time_between(0, 12);
        let run = run_id(if self.dice.percent(75) { "run-1" } else { "run-2" });
        let function = function_arn(if self.dice.percent(85) { "function-00" } else { "function-01" });
        let again = self.dice.pick(&self.done).cloned();
        let step = match (self.dice.between(0, 99), again) {
            // Repeats a call that was slow, or whose response was lost.
            (0..10, Some(again)) if !matches!(again.call, Call::RetireRun(_)) => again,
            (at, _) if at < self.sensible_percent => {
                Step { call: self.sensible(state, &run, &function), now: self.now }
            }
            _ => Step { call: self.any(state, &run, &function), now: self.now },
        };
        self.done.push(step.clone());
        Some(step)
    }

    /// Returns a call that the protocol would make next.
    fn sensible(&mut self, state: &State, id: &RunId, function: &FunctionArn) -> Call {
        let Some(run) = state.runs.get(id) else { return Call::CreateRun(Box::new(self.run(id))) };
        let held = state.locks.get(function).is_some_and(|lock| lock.run.as_ref() == Some(id));
        let run_id = id.clone();
        match (run.status, state.targets.get(&(id.clone(), function.clone()))) {
            (RunStatus::Pending, None) => Call::AddTargets(run_id, run.functions.clone()),
            (RunStatus::Pending, _) => Call::StartRun(run_id),
            (RunStatus::Running, target) => match target.and_then(|target| self.while_running(target, held)) {
                Some(call) => call,
                None => Call::StopRun(run_id, self.run_ending()),
            },
            (_, Some(target)) if !target.status.is_final() => self.while_stopping(target),
            (RunStatus::Stopping, _) if self.dice.percent(30) => Call::RecordFindings(run_id, self.findings()),
            (RunStatus::Stopping, _) => Call::CloseRun(run_id, self.final_status()),
            _ if state.awaiting_metrics.contains(id) && self.dice.percent(50) => {
                Call::KeepMetrics(run_id, self.metrics())
            }
            _ if state.awaiting_metrics.contains(id) => Call::EndKeeping(run_id),
            _ => Call::RetireRun(Box::new(run.clone())),
        }
    }

    /// Returns a call for a target of a running run, or `None` to stop the run.
    fn while_running(&mut self, target: &TargetRecord, held: bool) -> Option<Call> {
        let (run, on) = (target.run.clone(), target.function.clone());
        Some(match target.status {
            TargetStatus::Pending if !held => Call::TakeLock(run, on),
            TargetStatus::Pending => Call::Arm(run, on, self.snapshot()),
            TargetStatus::Armed => self.while_armed(target),
            TargetStatus::Injecting if self.dice.percent(40) => self.shorten_lease(target, LeaseKind::Inject),
            TargetStatus::Injecting if self.dice.percent(20) => Call::RecordWaiting(run, on, Some("busy")),
            TargetStatus::Restoring if !target.rehearsed => Call::MarkRehearsed(run, on, target.changes.clone()),
            TargetStatus::Injecting | TargetStatus::Injected | TargetStatus::Restoring if self.dice.percent(20) => {
                Call::BeginInject(run, on, target.changes.clone(), self.lease(LeaseKind::Inject))
            }
            TargetStatus::Injecting => Call::MarkInjected(run, on),
            TargetStatus::Injected => match self.record_about_injected(target) {
                None if self.dice.percent(40) => Call::BeginRestore(run, on, self.lease(LeaseKind::Restore)),
                call => return call,
            },
            TargetStatus::Restoring if self.dice.percent(40) => Call::EndTarget(Box::new(self.ending(target))),
            TargetStatus::Restoring => return self.record_about_restoring(target),
            _ if self.dice.percent(60) => Call::TakeLock(run, on),
            _ => return None,
        })
    }

    fn while_armed(&mut self, target: &TargetRecord) -> Call {
        let (run, on) = (target.run.clone(), target.function.clone());
        if self.dice.percent(12) {
            Call::BeginRestore(run, on, self.lease(LeaseKind::Restore))
        } else if !target.rehearsed && self.dice.percent(80) {
            Call::MarkRehearsed(run, on, self.planned(target))
        } else if self.dice.percent(20) {
            Call::Arm(run, on, self.snapshot())
        } else {
            Call::BeginInject(run, on, self.planned(target), self.lease(LeaseKind::Inject))
        }
    }

    /// Returns a call for a target that has not ended, of a run that is being stopped.
    fn while_stopping(&mut self, target: &TargetRecord) -> Call {
        let call = match target.status {
            TargetStatus::Injected => self.record_about_injected(target),
            TargetStatus::Restoring => self.record_about_restoring(target),
            _ => None,
        };
        match (call, target.status) {
            (Some(call), _) => call,
            (None, TargetStatus::Injecting | TargetStatus::Injected) if self.dice.percent(75) => {
                Call::BeginRestore(target.run.clone(), target.function.clone(), self.lease(LeaseKind::Restore))
            }
            (None, TargetStatus::Restoring) if self.dice.percent(50) => self.shorten_lease(target, LeaseKind::Restore),
            _ => Call::EndTarget(Box::new(self.ending(target))),
        }
    }

    fn record_about_injected(&mut self, target: &TargetRecord) -> Option<Call> {
        let (run, on) = (target.run.clone(), target.function.clone());
        self.dice.percent(35).then(|| match self.dice.between(0, 1) {
            0 => Call::Late(self.late_write(target)),
            _ => Call::RecordRemovedFaults(run, on, self.removed_faults()),
        })
    }

    fn record_about_restoring(&mut self, target: &TargetRecord) -> Option<Call> {
        let (run, on) = (target.run.clone(), target.function.clone());
        self.dice.percent(50).then(|| match self.dice.between(0, 4) {
            0 => Call::RecordRestoreError(run, on),
            1 => Call::RecordWaiting(run, on, Some("busy")),
            2 => Call::Late(self.late_write(target)),
            3 => Call::RecordRemovedFaults(run, on, self.removed_faults()),
            _ => Call::BeginRestore(run, on, self.lease(LeaseKind::Restore)),
        })
    }

    /// Returns any call, whether it makes sense or not.
    fn any(&mut self, state: &State, id: &RunId, function: &FunctionArn) -> Call {
        let new = TargetRecord::new(id.clone(), function.clone());
        let target = state.targets.get(&(id.clone(), function.clone())).unwrap_or(&new);
        let stored = state.runs.get(id).cloned();
        let (run, on) = (id.clone(), function.clone());
        let kind = if self.dice.percent(50) { LeaseKind::Inject } else { LeaseKind::Restore };
        match self.dice.between(0, 24) {
            0 => Call::CreateRun(Box::new(self.run(id))),
            1 => Call::AddTargets(run, vec![on, function_arn("function-02")]),
            2 => Call::StartRun(run),
            3 => Call::StopRun(run, self.run_ending()),
            4 => Call::BeginObserving(run, self.time_between(0, 60)),
            5 => Call::RecordFindings(run, self.findings()),
            6 => Call::CloseRun(run, self.final_status()),
            // A marker replaces an unreadable record.
            7 => {
                let stored = stored.filter(|_| self.dice.percent(80));
                Call::RetireRun(Box::new(
                    stored.unwrap_or_else(|| stopped_marker(id, &EndReason::SafetyLever.into(), self.now)),
                ))
            }
            8 => Call::TakeLock(run, on),
            9 => Call::Arm(run, on, self.snapshot()),
            10 => Call::MarkRehearsed(run, on, self.planned(target)),
            11 => Call::BeginInject(run, on, self.planned(target), self.lease(LeaseKind::Inject)),
            12 => Call::MarkInjected(run, on),
            13 => Call::BeginRestore(run, on, self.lease(LeaseKind::Restore)),
            14 => self.shorten_lease(target, kind),
            15 => Call::EndTarget(Box::new(self.ending(target))),
            16 => Call::RecordRestoreError(run, on),
            17 | 18 => Call::RecordWaiting(run, on, *self.dice.pick(&[None, Some("busy"), Some("a lease")]).unwrap()),
            19 => Call::RecordRemovedFaults(run, on, self.removed_faults()),
            20 => Call::SetLever(self.lever()),
            23 => Call::RelistRun(run),
            21 | 22 => Call::Late(self.late_write(target)),
            _ => Call::Read(run, on),
        }
    }

    fn lever(&mut self) -> Lever {
        Lever { engaged: self.dice.percent(50), since: self.now, reason: "why".into(), by: self.actor() }
    }

    fn metrics(&mut self) -> KeptMetrics {
        let series = Series { metric: "Errors".into(), points: vec![(60, 0.5)], ..Series::default() };
        KeptMetrics { read_at: self.now, series: vec![series], ..KeptMetrics::default() }
    }

    fn run(&mut self, id: &RunId) -> Run {
        let fault = &faults()[3..4];
        let experiment = read_experiment(&experiment(&["function-00"], fault)).unwrap();
        let count = if self.many { MANY } else { 2 };
        Run {
            status: RunStatus::Pending,
            deadline: experiment.deadline(self.now),
            experiment: Some(experiment),
            execution_arn: format!("arn:execution:{id}"),
            functions: (0..count).map(|at| function_arn(&format!("function-{at:02}"))).collect(),
            alarms: vec![alarm_arn("errors"), alarm_arn("latency")],
            notes: vec!["a note".into()],
            seed: self.dice.percent(50).then_some(u64::MAX),
            started_by: self.actor(),
            reason: None,
            ended_by: None,
            stopping_at: None,
            closed_at: None,
            ..stopped_marker(id, &EndReason::UserRequest.into(), self.now)
        }
    }

    fn snapshot(&mut self) -> Snapshot {
        let secret = |text: &str| Slot::Present(Secret::new(text));
        let name = VariableName::try_from("NAME").unwrap();
        let variable = Change::Variable { name, original: secret("before"), injected: secret("after") };
        let timeout = Change::Timeout { original: 3, injected: u32::try_from(self.dice.between(1, 2)).unwrap() };
        let runtime_version = self.dice.percent(50).then(|| "arn:runtime:1".to_owned());
        let last_version = self.dice.number() % 3;
        Snapshot { changes: vec![timeout, variable], last_version, runtime_version }
    }

    fn planned(&mut self, target: &TargetRecord) -> Vec<Change> {
        if self.dice.percent(70) { target.changes.clone() } else { self.snapshot().changes }
    }

    /// Returns a random moment between these two offsets from now, in seconds; negative ones are in the past.
    fn time_between(&mut self, from_seconds: i64, to_seconds: i64) -> Time {
        Time(self.now.0 + self.dice.between(from_seconds, to_seconds) * 1000)
    }

    fn lease(&mut self, kind: LeaseKind) -> Lease {
        let holder = if self.dice.percent(50) { "one" } else { "two" };
        Lease { kind, holder: holder.into(), until: self.time_between(1, 40) }
    }

    fn shorten_lease(&mut self, target: &TargetRecord, kind: LeaseKind) -> Call {
        let mut lease = target.lease(kind).cloned().unwrap_or_else(|| self.lease(kind));
        match self.dice.between(0, 9) {
            0 => lease.until = lease.until + Duration::from_secs(1),
            1 => lease.holder = "three".into(),
            _ => {}
        }
        Call::ShortenLease(target.run.clone(), target.function.clone(), lease, self.time_between(-1, 7))
    }

    fn ending(&mut self, target: &TargetRecord) -> TargetEnding {
        let any = *self.dice.pick(&TargetStatus::ALL).unwrap();
        let from = if self.dice.percent(85) { target.status } else { any };
        let fitting: Vec<_> =
            TargetStatus::ALL.into_iter().filter(|next| next.is_final() && from.may_become(*next)).collect();
        let fitting = self.dice.pick(&fitting).copied();
        let some = self.dice.percent(50);
        let drift = Drift { field: "timeout".into(), note: "is 4".into() };
        TargetEnding {
            run: target.run.clone(),
            function: target.function.clone(),
            from,
            status: fitting.filter(|_| self.dice.percent(90)).unwrap_or(any),
            observed_at: match target.leases_end_at() {
                Some(leases_end_at) if self.dice.percent(50) => leases_end_at.max(self.now),
                _ => Time(self.now.0 - self.dice.between(0, 20) * 1000),
            },
            drift: some.then_some(drift).into_iter().collect(),
            frozen_versions: some.then(|| "7".to_owned()).into_iter().collect(),
            runtime_version: some.then(|| "arn:runtime:2".to_owned()),
            redacted: target.changes.iter().map(Change::redacted).collect(),
        }
    }

    fn removed_faults(&mut self) -> Vec<RemovedFault> {
        let field = *self.dice.pick(&["timeout", "variable NAME"]).unwrap();
        vec![RemovedFault { field: field.into(), seen_at: self.now }]
    }

    /// Returns a write that a method would make after the target has changed since its read.
    fn late_write(&mut self, target: &TargetRecord) -> GuardedWrite {
        let run = &target.run;
        let stale = TargetRecord { removed_faults: Vec::new(), status: TargetStatus::Injected, ..target.clone() };
        match self.dice.between(0, 4) {
            0 => writes::end_target(&self.ending(target), self.now, true),
            1 => writes::create_marker(&stopped_marker(run, &self.run_ending(), self.now), self.now),
            _ => writes::record_removed_faults(&stale, &self.removed_faults())
                .unwrap_or_else(|| writes::end_target(&self.ending(target), self.now, true)),
        }
    }

    fn run_ending(&mut self) -> RunEnding {
        let error = EndReason::Error { error: "FunctionFailed".into(), cause: "no".into() };
        let alarm =
            RunEnding::by(EndReason::Alarm { alarm: "errors".into() }, Some(Actor::alarm(&alarm_arn("errors"))));
        let endings = [EndReason::DurationElapsed.into(), EndReason::UserRequest.into(), error.into(), alarm];
        self.dice.pick(&endings).unwrap().clone()
    }

    fn actor(&mut self) -> Option<Actor> {
        self.dice.percent(50).then(|| Actor::alarm(&alarm_arn("latency")))
    }

    fn final_status(&mut self) -> RunStatus {
        *self.dice.pick(&[RunStatus::Completed, RunStatus::Stopped, RunStatus::Failed, RunStatus::Stopping]).unwrap()
    }

    fn findings(&mut self) -> Findings {
        let deviations = self.dice.percent(50).then(|| "a deviation".to_owned()).into_iter().collect();
        let some = |dice: &mut Dice, text: &str| dice.percent(50).then(|| text.to_owned());
        Findings { deviations, effect: some(&mut self.dice, "not seen"), injected: some(&mut self.dice, "3 times") }
    }
}

/// Returns each guarded write once.
pub(super) fn every_write() -> Vec<GuardedWrite> {
    let mut sequence = Sequence::new(0);
    let (id, function, now) = (run_id("run-1"), function_arn("function-00"), BEGINNING);
    let run = sequence.run(&id);
    let snapshot = sequence.snapshot();
    let target = TargetRecord { status: TargetStatus::Injected, ..TargetRecord::new(id.clone(), function.clone()) };
    let ending =
        TargetEnding { status: TargetStatus::Restored, from: TargetStatus::Restoring, ..sequence.ending(&target) };
    let (inject, restore) = (sequence.lease(LeaseKind::Inject), sequence.lease(LeaseKind::Restore));
    let key = run.target_key(&function);
    let mut all = writes::add_targets(&id, &run.functions);
    all.extend(writes::record_removed_faults(&target, &sequence.removed_faults()));
    all.extend([
        writes::create_run(&run),
        writes::create_marker(&run, now),
        writes::start_run(&id),
        writes::stop_run(&id, &EndReason::UserRequest.into(), now),
        writes::begin_observing(&id, now),
        writes::record_findings(&id, &sequence.findings()),
        writes::close_run(&id, RunStatus::Failed, now),
        writes::retire_run(&run, now),
        writes::relist_run(&id),
        writes::set_lever(&sequence.lever()),
        writes::keep_metrics(&id, &sequence.metrics(), now),
        writes::end_keeping(&id),
        writes::take_lock(key),
        writes::arm(key, &snapshot),
        writes::mark_rehearsed(key, &snapshot.changes),
        writes::begin_inject(key, &snapshot.changes, &inject, now),
        writes::mark_injected(key),
        writes::begin_restore(key, &restore, now),
        writes::shorten_lease(key, &restore, now),
        writes::end_target(&ending, now, true),
        writes::record_restore_error(key, "denied"),
        writes::record_waiting(key, None),
    ]);
    all
}
