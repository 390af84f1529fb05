//! Reports as values for display.

use serde::{Deserialize, Serialize};

use crate::model::actor::Actor;
use crate::model::experiment::Experiment;
use crate::model::run::{EndReason, Run, RunStatus, TargetRecord, TargetStatus};
use crate::model::snapshot::{Change, Drift, RemovedFault};

use super::field_row::{FieldRow, FieldValues, field_row};

/// The outcome of a run, in one word of JSON. People read the phrase of its [`Conclusion`](super::conclusion::Conclusion).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The run has not ended.
    Unfinished,
    /// Ended at the end of its duration; the steady state held, and everything is restored.
    Held,
    /// Ended at the end of its duration; everything is restored, and no steady state was given.
    NoSteadyState,
    /// Ended at the end of its duration; everything is restored and nothing deviated. But nothing shows that the faults
    /// took effect, so nothing is proven.
    Unproven,
    /// Restored, but the steady state deviated, or an alarm, a user or the lever ended the run, or it failed before its
    /// end.
    EndedEarly,
    /// Restored, except for what was changed or deleted outside of this run; or a fault was removed before the end, or
    /// a version that was published during the run keeps it.
    Drifted,
    /// A target is not restored.
    RestoreFailed,
}

impl Outcome {
    /// The name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unfinished => "unfinished",
            Self::Held => "held",
            Self::NoSteadyState => "noSteadyState",
            Self::Unproven => "unproven",
            Self::EndedEarly => "endedEarly",
            Self::Drifted => "drifted",
            Self::RestoreFailed => "restoreFailed",
        }
    }
}

/// The versions of a runtime before and after a run, by ARN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RuntimeMove {
    /// When the target was armed.
    pub before: String,
    /// When the target had ended.
    pub after: String,
}

/// One target of a report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TargetReport {
    /// The function's name.
    pub function: String,
    /// Its ARN.
    pub arn: String,
    /// Its status.
    pub status: TargetStatus,
    /// What was changed.
    pub fields: Vec<FieldRow>,
    /// What was left alone.
    pub drift: Vec<Drift>,
    /// Versions that were published during the run.
    pub frozen_versions: Vec<String>,
    /// Faults that were removed outside this run, before its end.
    pub removed_faults: Vec<RemovedFaultView>,
    /// What the inject or the restore waits for.
    pub waiting_for: Option<String>,
    /// The runtime's versions, if an update during the run has changed them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_version: Option<RuntimeMove>,
    /// Why the last attempt to restore failed.
    pub restore_error: Option<String>,
}

/// A fault that was removed outside this run, before its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct RemovedFaultView {
    /// The field.
    pub field: String,
    /// When it was first seen without its fault; RFC 3339.
    pub seen_at: String,
}

/// The steady state before, during and after a run, each `held`, `deviated` or `not judged`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SteadyStatePhases {
    /// Before the run: one that deviates is refused.
    pub before: &'static str,
    /// While the faults were in place.
    pub during: &'static str,
    /// After the restore.
    pub after: &'static str,
}

/// A whole report.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ReportView {
    /// The run.
    pub run_id: String,
    /// The experiment's name.
    pub experiment: String,
    /// The run's status.
    pub status: RunStatus,
    /// Its outcome.
    pub outcome: Outcome,
    /// Who started it, as the starter stated it.
    pub started_by: Option<Actor>,
    /// Why it ended, for display.
    pub reason: Option<String>,
    /// Who ended it: snapback itself, an alarm, or a user, as the user stated it.
    pub ended_by: Option<Actor>,
    /// The seed with which `select` drew, if it chose at random.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339; the end of the duration once it has begun, else the deadline.
    pub due: String,
    /// RFC 3339.
    pub closed_at: Option<String>,
    /// `held`, `deviated`, `not judged`, or absent without a steady state or before the run is over.
    pub steady_state: Option<&'static str>,
    /// The steady state before, during and after the run; absent without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steady_state_phases: Option<SteadyStatePhases>,
    /// The conditions that deviated.
    pub deviations: Vec<String>,
    /// How often faults inside invocations were injected; absent without such a fault or before the report.
    pub injected: Option<String>,
    /// Why nothing shows that the faults took effect.
    pub effect: Option<String>,
    /// What the plan noted.
    pub notes: Vec<String>,
    /// The targets.
    pub targets: Vec<TargetReport>,
    /// How many targets are not listed, because of the size limit.
    #[serde(skip_serializing_if = "is_zero")]
    pub targets_left_out: usize,
}

/// Takes a reference, because serde passes one.
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl ReportView {
    /// The title of a page about the run: the experiment's name or, if that is not known, the run's.
    #[must_use]
    pub fn title(&self) -> &str {
        if self.experiment.is_empty() { &self.run_id } else { &self.experiment }
    }

    /// Limits the targets to a number, and to a size in bytes as JSON. The targets that a user has to check come first,
    /// so none of them is left out while a restored one is listed.
    #[must_use]
    pub fn shortened(mut self, most: usize, bytes: usize) -> Self {
        self.targets.sort_by_key(urgency);
        let mut size = 0;
        let fitting = self.targets.iter().take(most).take_while(|target| {
            // Each target has a comma.
            size += serde_json::to_string(target).map_or(bytes, |json| json.len()) + 1;
            size <= bytes
        });
        let listed = fitting.count();
        self.targets_left_out += self.targets.len() - listed;
        self.targets.truncate(listed);
        self
    }
}

/// Returns the order in which a user should check the targets: not restored first, then those with drift, then the
/// others.
fn urgency(target: &TargetReport) -> u8 {
    match target.status {
        TargetStatus::Restored | TargetStatus::Untouched
            if target.frozen_versions.is_empty() && target.removed_faults.is_empty() =>
        {
            2
        }
        status if status.is_final() => 1,
        _ => 0,
    }
}

/// Whether there is a version that was published during a run. If the versions could not be listed, the list has the
/// reason in their place.
#[must_use]
pub fn has_version(frozen: &[String]) -> bool {
    frozen.iter().any(|version| version.parse::<u64>().is_ok())
}

/// Renders a run and its targets.
#[must_use]
pub fn report_view(run: &Run, targets: &[TargetRecord]) -> ReportView {
    let deviations = run.deviations.clone().unwrap_or_default();
    ReportView {
        run_id: run.id.to_string(),
        experiment: match &run.experiment {
            Some(experiment) => experiment.name.to_string(),
            None => run.unread.clone().unwrap_or_default(),
        },
        status: status(run, targets),
        outcome: outcome(run, targets),
        started_by: run.started_by.clone(),
        reason: run.reason_text(),
        ended_by: run.ended_by.clone(),
        seed: run.seed,
        created_at: run.created_at.to_string(),
        due: run.expected_end().to_string(),
        closed_at: run.closed_at.map(|time| time.to_string()),
        steady_state: steady_state(run),
        steady_state_phases: steady_state_phases(run),
        deviations,
        injected: run.injected.clone(),
        effect: missing_effect(run, targets),
        notes: run.notes.clone(),
        targets: targets.iter().map(target_report).collect(),
        targets_left_out: 0,
    }
}

/// A marker can be in the place of a lost record, and then targets can still have to be restored.
fn status(run: &Run, targets: &[TargetRecord]) -> RunStatus {
    match targets.iter().all(|target| target.status.is_final()) {
        true => run.reported_status(),
        false => run.status,
    }
}

fn target_report(target: &TargetRecord) -> TargetReport {
    TargetReport {
        function: target.function.name().to_owned(),
        arn: target.function.to_string(),
        status: target.status,
        fields: target.changes.iter().map(|change| reported_row(change, &target.drift)).collect(),
        drift: target.drift.clone(),
        frozen_versions: target.frozen_versions.clone(),
        removed_faults: target.removed_faults.iter().map(removed_fault).collect(),
        waiting_for: target.waiting_for.clone(),
        runtime_version: runtime_move(target),
        restore_error: target.restore_error.clone(),
    }
}

/// Marks a field that was left alone: after the run it does not have its original value, and its drift has the current
/// one.
fn reported_row(change: &Change, drift: &[Drift]) -> FieldRow {
    let mut row = field_row(change);
    if drift.iter().any(|drift| drift.field == row.field) {
        "see drift".clone_into(&mut row.after);
        row.values = row.values.map(FieldValues::without_after);
    }
    row
}

fn removed_fault(fault: &RemovedFault) -> RemovedFaultView {
    RemovedFaultView { field: fault.field.clone(), seen_at: fault.seen_at.to_string() }
}

fn runtime_move(target: &TargetRecord) -> Option<RuntimeMove> {
    let (before, after) = target.runtime_version.as_ref().zip(target.runtime_version_at_end.as_ref())?;
    (before != after).then(|| RuntimeMove { before: before.clone(), after: after.clone() })
}

/// Returns why nothing shows that the faults of an ended run took effect.
fn missing_effect(run: &Run, targets: &[TargetRecord]) -> Option<String> {
    if !run.status.is_final() {
        return None;
    }
    if let Some(effect) = &run.effect {
        return Some(effect.clone());
    }
    let has_none = |target: &&TargetRecord| {
        let is_over = matches!(target.status, TargetStatus::Restored | TargetStatus::Untouched);
        is_over && target.changes.is_empty()
    };
    if let Some(target) = targets.iter().find(has_none) {
        return Some(format!("nothing was injected into {}", target.function.name()));
    }
    let is_inside = run.experiment.as_ref().is_some_and(Experiment::counts_faults);
    let unknown = "it was not checked whether the faults took effect";
    (is_inside && run.ends_at.is_some() && run.deviations.is_none()).then(|| unknown.to_owned())
}

/// An unreadable experiment may have a steady state.
fn has_steady_state(run: &Run) -> bool {
    run.unread.is_some() || run.experiment.as_ref().is_some_and(|experiment| !experiment.steady_state.is_empty())
}

fn steady_state(run: &Run) -> Option<&'static str> {
    match &run.deviations {
        _ if !has_steady_state(run) => None,
        Some(found) if found.is_empty() => Some("held"),
        Some(_) => Some("deviated"),
        None => run.status.is_final().then_some("not judged"),
    }
}

fn steady_state_phases(run: &Run) -> Option<SteadyStatePhases> {
    if !has_steady_state(run) {
        return None;
    }
    let watched = match &run.reason {
        Some(EndReason::Deviated { .. }) => "deviated",
        // Nothing has watched the steady state to the end of such a run.
        Some(EndReason::Error { .. } | EndReason::ExecutionStopped | EndReason::Overdue) => "not judged",
        _ if run.ends_at.is_none() => "not judged",
        _ => "held",
    };
    Some(SteadyStatePhases {
        before: if run.experiment.is_some() { "held" } else { "not judged" },
        during: watched,
        after: steady_state(run).unwrap_or("not judged"),
    })
}

fn outcome(run: &Run, targets: &[TargetRecord]) -> Outcome {
    if !run.status.is_final() {
        return Outcome::Unfinished;
    }
    if targets.iter().any(|target| !target.status.is_final()) {
        return Outcome::RestoreFailed;
    }
    let drifted = |target: &TargetRecord| {
        matches!(target.status, TargetStatus::Drifted | TargetStatus::Deleted)
            || !target.removed_faults.is_empty()
            || has_version(&target.frozen_versions)
    };
    if targets.iter().any(drifted) {
        return Outcome::Drifted;
    }
    // Without a check, the steady state is not held: the run was closed before it was checked again.
    let held = if has_steady_state(run) { run.deviations.as_ref().is_some_and(Vec::is_empty) } else { true };
    match () {
        () if run.status != RunStatus::Completed || !held => Outcome::EndedEarly,
        // An unreadable experiment does not tell which conditions it has.
        () if run.unread.is_some() => Outcome::EndedEarly,
        () if missing_effect(run, targets).is_some() => Outcome::Unproven,
        () if !has_steady_state(run) => Outcome::NoSteadyState,
        () => Outcome::Held,
    }
}
