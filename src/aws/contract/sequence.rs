//! Random sequences of calls, most of which make sense where the ledger stands.

use std::time::Duration;

use crate::model::function::Slot;
use crate::model::guarded_write::{self as writes, GuardedWrite};
use crate::model::input::read_experiment;
use crate::model::marker::stopped_marker;
use crate::model::names::{FunctionArn, RunId, VariableName};
use crate::model::run::{
    EndReason, Findings, Lease, LeaseKind, Lever, Run, RunStatus, TargetEnding, TargetRecord, TargetStatus,
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
    StopRun(RunId, EndReason),
    BeginObserving(RunId, Time),
    RecordFindings(RunId, Findings),
    CloseRun(RunId, RunStatus),
    RetireRun(Box<Run>),
    TakeLock(RunId, FunctionArn),
    Arm(RunId, FunctionArn, Snapshot),
    MarkRehearsed(RunId, FunctionArn, Vec<Change>),
    BeginInject(RunId, FunctionArn, Vec<Change>, Lease),
    Injected(RunId, FunctionArn),
    BeginRestore(RunId, FunctionArn, Lease),
    Settle(RunId, FunctionArn, Lease, Time),
    Finish(Box<TargetEnding>),
    RestoreFailed(RunId, FunctionArn),
    Waiting(RunId, FunctionArn, Option<&'static str>),
    RemovedFaults(RunId, FunctionArn, Vec<RemovedFault>),
    SetLever(Lever),
    /// The write of a method that has read before, with what it may have read a while ago.
    Late(GuardedWrite),
    Read(RunId, FunctionArn),
}

/// A call at its time.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) call: Call,
    pub(super) now: Time,
}

/// Targets of a run whose body is a separate item.
const MANY: usize = 41;

/// The sequence of one seed: two runs, two functions, two callers.
pub(super) struct Sequence {
    dice: Dice,
    now: Time,
    left: i64,
    many: bool,
    /// The percentage of calls that are sensible, or repeat an earlier call.
    sense: i64,
    done: Vec<Step>,
}

impl Sequence {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        // Many short ones, and some that mostly keep to the protocol and reach the end of a run.
        let short = dice.percent(75);
        let left = if short { dice.between(6, 10) } else { dice.between(12, 24) };
        let sense = if short { 75 } else { 92 };
        let many = dice.percent(3);
        Self { dice, now: BEGINNING, left, many, sense, done: Vec::new() }
    }

    /// The next step of a ledger that stands so.
    pub(super) fn next(&mut self, state: &State) -> Option<Step> {
        self.left -= 1;
        if self.left < 0 {
            return None;
        }
        self.now = self.moment(0, 12);
        let run = run_id(if self.dice.percent(75) { "run-1" } else { "run-2" });
        let function = function_arn(if self.dice.percent(85) { "function-00" } else { "function-01" });
        let again = self.dice.pick(&self.done).cloned();
        let step = match (self.dice.between(0, 99), again) {
            // One that was slow, or whose answer was lost.
            (0..10, Some(again)) if !matches!(again.call, Call::RetireRun(_)) => again,
            (at, _) if at < self.sense => Step { call: self.sensible(state, &run, &function), now: self.now },
            _ => Step { call: self.any(state, &run, &function), now: self.now },
        };
        self.done.push(step.clone());
        Some(step)
    }

    /// A call that the protocol would make next.
    fn sensible(&mut self, state: &State, id: &RunId, function: &FunctionArn) -> Call {
        let Some(run) = state.runs.get(id) else { return Call::CreateRun(Box::new(self.run(id))) };
        let target = state.targets.get(&(id.clone(), function.clone()));
        let held = state.locks.get(function).is_some_and(|lock| lock.run.as_ref() == Some(id));
        let (run_id, on) = (id.clone(), function.clone());
        match (run.status, target.map(|target| (target, target.status))) {
            (RunStatus::Pending, None) => Call::AddTargets(run_id, run.functions.clone()),
            (RunStatus::Pending, _) => Call::StartRun(run_id),
            (RunStatus::Running, Some((_, TargetStatus::Pending))) if !held => Call::TakeLock(run_id, on),
            (RunStatus::Running, Some((_, TargetStatus::Pending))) => Call::Arm(run_id, on, self.snapshot()),
            (RunStatus::Running, Some((_, TargetStatus::Armed))) if self.dice.percent(12) => {
                Call::BeginRestore(run_id, on, self.lease(LeaseKind::Restore))
            }
            (RunStatus::Running, Some((target, TargetStatus::Armed))) if !target.rehearsed && self.dice.percent(80) => {
                Call::MarkRehearsed(run_id, on, self.planned(target))
            }
            (RunStatus::Running, Some((_, TargetStatus::Armed))) if self.dice.percent(20) => {
                Call::Arm(run_id, on, self.snapshot())
            }
            (RunStatus::Running, Some((target, TargetStatus::Armed))) => {
                Call::BeginInject(run_id, on, self.planned(target), self.lease(LeaseKind::Inject))
            }
            (RunStatus::Running, Some((target, TargetStatus::Injecting))) if self.dice.percent(40) => {
                self.settle(target, LeaseKind::Inject)
            }
            (RunStatus::Running, Some((target, TargetStatus::Restoring))) if !target.rehearsed => {
                Call::MarkRehearsed(run_id, on, target.changes.clone())
            }
            (
                RunStatus::Running,
                Some((target, TargetStatus::Injecting | TargetStatus::Injected | TargetStatus::Restoring)),
            ) if self.dice.percent(20) => {
                Call::BeginInject(run_id, on, target.changes.clone(), self.lease(LeaseKind::Inject))
            }
            (RunStatus::Running, Some((_, TargetStatus::Injecting))) => Call::Injected(run_id, on),
            (_, Some((target, TargetStatus::Injected))) if self.dice.percent(35) => match self.dice.between(0, 1) {
                0 => Call::Late(self.late(target)),
                _ => Call::RemovedFaults(run_id, on, self.removed()),
            },
            (RunStatus::Running, Some((_, TargetStatus::Injected))) if self.dice.percent(40) => {
                Call::BeginRestore(run_id, on, self.lease(LeaseKind::Restore))
            }
            (RunStatus::Running, Some((_, status))) if status.is_final() && self.dice.percent(60) => {
                Call::TakeLock(run_id, on)
            }
            (RunStatus::Running, Some((target, TargetStatus::Restoring))) if self.dice.percent(40) => {
                Call::Finish(Box::new(self.ending(target)))
            }
            (_, Some((target, TargetStatus::Restoring))) if self.dice.percent(50) => match self.dice.between(0, 4) {
                0 => Call::RestoreFailed(run_id, on),
                1 => Call::Waiting(run_id, on, Some("busy")),
                2 => Call::Late(self.late(target)),
                3 => Call::RemovedFaults(run_id, on, self.removed()),
                _ => Call::BeginRestore(run_id, on, self.lease(LeaseKind::Restore)),
            },
            (RunStatus::Running, _) => Call::StopRun(run_id, self.reason()),
            (_, Some((target, status))) if !status.is_final() => match status {
                TargetStatus::Injecting | TargetStatus::Injected if self.dice.percent(75) => {
                    Call::BeginRestore(run_id, on, self.lease(LeaseKind::Restore))
                }
                TargetStatus::Restoring if self.dice.percent(50) => self.settle(target, LeaseKind::Restore),
                _ => Call::Finish(Box::new(self.ending(target))),
            },
            (RunStatus::Stopping, _) if self.dice.percent(30) => Call::RecordFindings(run_id, self.findings()),
            (RunStatus::Stopping, _) => Call::CloseRun(run_id, self.final_status()),
            _ => Call::RetireRun(Box::new(run.clone())),
        }
    }

    /// Any call, whether it makes sense or not.
    fn any(&mut self, state: &State, id: &RunId, function: &FunctionArn) -> Call {
        let new = TargetRecord::new(id.clone(), function.clone());
        let target = state.targets.get(&(id.clone(), function.clone())).unwrap_or(&new);
        let stored = state.runs.get(id).cloned();
        let (run, on) = (id.clone(), function.clone());
        let kind = if self.dice.percent(50) { LeaseKind::Inject } else { LeaseKind::Restore };
        match self.dice.between(0, 23) {
            0 => Call::CreateRun(Box::new(self.run(id))),
            1 => Call::AddTargets(run, vec![on, function_arn("function-02")]),
            2 => Call::StartRun(run),
            3 => Call::StopRun(run, self.reason()),
            4 => Call::BeginObserving(run, self.moment(0, 60)),
            5 => Call::RecordFindings(run, self.findings()),
            6 => Call::CloseRun(run, self.final_status()),
            // Where a record cannot be read, a marker takes its place.
            7 => {
                let stored = stored.filter(|_| self.dice.percent(80));
                Call::RetireRun(Box::new(
                    stored.unwrap_or_else(|| stopped_marker(id, &EndReason::SafetyLever, self.now)),
                ))
            }
            8 => Call::TakeLock(run, on),
            9 => Call::Arm(run, on, self.snapshot()),
            10 => Call::MarkRehearsed(run, on, self.planned(target)),
            11 => Call::BeginInject(run, on, self.planned(target), self.lease(LeaseKind::Inject)),
            12 => Call::Injected(run, on),
            13 => Call::BeginRestore(run, on, self.lease(LeaseKind::Restore)),
            14 => self.settle(target, kind),
            15 => Call::Finish(Box::new(self.ending(target))),
            16 => Call::RestoreFailed(run, on),
            17 | 18 => Call::Waiting(run, on, *self.dice.pick(&[None, Some("busy"), Some("a lease")]).unwrap()),
            19 => Call::RemovedFaults(run, on, self.removed()),
            20 => Call::SetLever(Lever { engaged: self.dice.percent(50), since: self.now, reason: "why".into() }),
            21 | 22 => Call::Late(self.late(target)),
            _ => Call::Read(run, on),
        }
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
            reason: None,
            stopping_at: None,
            closed_at: None,
            ..stopped_marker(id, &EndReason::UserRequest, self.now)
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
    fn moment(&mut self, from_seconds: i64, to_seconds: i64) -> Time {
        Time(self.now.0 + self.dice.between(from_seconds, to_seconds) * 1000)
    }

    fn lease(&mut self, kind: LeaseKind) -> Lease {
        let holder = if self.dice.percent(50) { "one" } else { "two" };
        Lease { kind, holder: holder.into(), until: self.moment(1, 40) }
    }

    fn settle(&mut self, target: &TargetRecord, kind: LeaseKind) -> Call {
        let mut lease = target.lease(kind).cloned().unwrap_or_else(|| self.lease(kind));
        match self.dice.between(0, 9) {
            0 => lease.until = lease.until + Duration::from_secs(1),
            1 => lease.holder = "three".into(),
            _ => {}
        }
        Call::Settle(target.run.clone(), target.function.clone(), lease, self.moment(-1, 7))
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

    fn removed(&mut self) -> Vec<RemovedFault> {
        let field = *self.dice.pick(&["timeout", "variable NAME"]).unwrap();
        vec![RemovedFault { field: field.into(), seen_at: self.now }]
    }

    /// What two looks of one method would not see at once.
    fn late(&mut self, target: &TargetRecord) -> GuardedWrite {
        let run = &target.run;
        let stale = TargetRecord { removed_faults: Vec::new(), status: TargetStatus::Injected, ..target.clone() };
        match self.dice.between(0, 4) {
            0 => writes::end_target(&self.ending(target), self.now, true),
            1 => writes::create_marker(&stopped_marker(run, &self.reason(), self.now), self.now),
            _ => writes::record_removed_faults(&stale, &self.removed())
                .unwrap_or_else(|| writes::end_target(&self.ending(target), self.now, true)),
        }
    }

    fn reason(&mut self) -> EndReason {
        let error = EndReason::Error { error: "FunctionFailed".into(), cause: "no".into() };
        self.dice.pick(&[EndReason::DurationElapsed, EndReason::UserRequest, error]).unwrap().clone()
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

/// Each guarded write once.
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
    all.extend(writes::record_removed_faults(&target, &sequence.removed()));
    all.extend([
        writes::create_run(&run),
        writes::create_marker(&run, now),
        writes::start_run(&id),
        writes::stop_run(&id, &EndReason::UserRequest, now),
        writes::begin_observing(&id, now),
        writes::record_findings(&id, &sequence.findings()),
        writes::close_run(&id, RunStatus::Failed, now),
        writes::retire_run(&run, now),
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
