//! Decides which write to the ledger is a transition that people care about, and words its notice.
//!
//! One write is at most one such transition. The order of notices is the order of the writes.

use crate::model::actor::Actor;
use crate::model::notice::{
    DriftedField, EndStatus, LedgerChange, MAX_LISTED, MAX_TEXT_CHARS, Notice, NoticeReason, Origin, ReasonKind,
    RunName, TargetName, Transition,
};
use crate::model::run::{EndReason, Lever, Run, RunStatus, TargetRecord, TargetStatus};
use crate::model::text::{capitalized, escape_controls};
use crate::model::time::Time;

use super::conclusion::Conclusion;

/// Returns the notice about a write, or `None` if it is no transition that people care about.
#[must_use]
pub fn notice_of(change: &LedgerChange, origin: &Origin) -> Option<Notice> {
    let (transition, time) = match change {
        LedgerChange::Run { old, new, experiment } => run_transition(old.as_deref(), new, experiment.as_deref())?,
        LedgerChange::Target { old, new } => target_transition(old.as_deref(), new)?,
        LedgerChange::Lever { old, new } => lever_transition(old.as_deref(), new)?,
    };
    Some(Notice {
        id: notice_id(&transition, origin),
        stack: origin.stack.clone(),
        time: time.unwrap_or(origin.written_at).to_string(),
        summary: summary(&transition),
        transition,
    })
}

/// A transition, and its time if the item has it.
type Timed = (Transition, Option<Time>);

fn run_transition(old: Option<&Run>, new: &Run, experiment: Option<&str>) -> Option<Timed> {
    let run = RunName {
        run_id: new.id.clone(),
        experiment: experiment.map(str::to_owned),
        started_by: new.started_by.clone(),
    };
    let ended_by = new.ended_by.clone();
    let reason = new.reason.as_ref().map(|reason| reason_of(reason, new));
    if old.is_some_and(|old| old.status == new.status) {
        // A run that is already stopping does not observe, although its duration can still be recorded.
        let begins = new.status == RunStatus::Running && old.is_some_and(|old| old.ends_at.is_none());
        let ends_at = new.ends_at.filter(|_| begins)?;
        return Some((Transition::RunObserving { run, ends_at: ends_at.to_string() }, None));
    }
    match new.status {
        RunStatus::Pending => None,
        RunStatus::Running => {
            let deadline = (new.deadline != Time(0)).then(|| new.deadline.to_string());
            Some((Transition::RunStarted { run, deadline }, None))
        }
        RunStatus::Stopping => Some((Transition::RunStopping { run, reason, ended_by }, new.stopping_at)),
        RunStatus::Completed | RunStatus::Stopped | RunStatus::Failed => {
            let status = EndStatus::of(new.reported_status())?;
            // No deviation means `held` only if there is a steady state.
            let has_steady_state =
                new.experiment.as_ref().is_some_and(|experiment| !experiment.steady_state.is_empty());
            let deviations = new.deviations.as_ref().filter(|found| has_steady_state || !found.is_empty());
            let deviations = deviations.map(|all| all.iter().take(MAX_LISTED).map(|text| clip(text)).collect());
            let effect = new.effect.as_deref().map(clip);
            Some((Transition::RunEnded { run, status, reason, ended_by, deviations, effect }, new.closed_at))
        }
    }
}

fn target_transition(old: Option<&TargetRecord>, new: &TargetRecord) -> Option<Timed> {
    let target = TargetName { run_id: new.run.clone(), function: new.function.clone() };
    if let Some(error) = &new.restore_error
        && old.and_then(|old| old.restore_error.as_ref()) != Some(error)
    {
        return Some((Transition::RestoreFailed { target, error: clip(error) }, None));
    }
    if old.is_some_and(|old| old.status == new.status) {
        return None;
    }
    let frozen_versions = || new.frozen_versions.iter().take(MAX_LISTED).cloned().collect();
    let transition = match new.status {
        TargetStatus::Restored => Transition::TargetRestored { target, frozen_versions: frozen_versions() },
        TargetStatus::Drifted => {
            let drift = new.drift.iter().take(MAX_LISTED).map(DriftedField::from).collect();
            Transition::TargetDrifted { target, drift, frozen_versions: frozen_versions() }
        }
        TargetStatus::Deleted => Transition::TargetDeleted { target },
        TargetStatus::Pending
        | TargetStatus::Armed
        | TargetStatus::Injecting
        | TargetStatus::Injected
        | TargetStatus::Restoring
        | TargetStatus::Untouched => return None,
    };
    Some((transition, new.ended_at))
}

fn lever_transition(old: Option<&Lever>, new: &Lever) -> Option<Timed> {
    let moved = old != Some(new);
    moved.then(|| {
        let (reason, moved_by) = (clip(&new.reason), new.by.clone());
        (Transition::LeverMoved { engaged: new.engaged, reason, moved_by }, Some(new.since))
    })
}

fn reason_of(reason: &EndReason, run: &Run) -> NoticeReason {
    let alarm = match reason {
        EndReason::Alarm { alarm } | EndReason::AlarmDeleted { alarm } => Some(alarm.clone()),
        _ => None,
    };
    NoticeReason { kind: reason.into(), text: clip(&run.reason_text().unwrap_or_default()), alarm }
}

/// Limits a text that snapback has not written itself, and makes it fit for one line.
fn clip(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT_CHARS) {
        Some((at, _)) => format!("{}...", escape_controls(&text[..at])),
        None => escape_controls(text).into_owned(),
    }
}

/// Names the transition. Most happen once to a run or a target. Those that can happen again also have the number of
/// their write.
fn notice_id(transition: &Transition, origin: &Origin) -> String {
    let Origin { stack, sequence_number, .. } = origin;
    let of_run = |run: &RunName, what: &str| format!("{stack}/{}/{what}", run.run_id);
    let of_target = |target: &TargetName, what: &str| format!("{stack}/{}/{}/{what}", target.run_id, target.function);
    match transition {
        Transition::RunStarted { run, .. } => of_run(run, "started"),
        Transition::RunObserving { run, .. } => of_run(run, "observing"),
        Transition::RunStopping { run, .. } => of_run(run, "stopping"),
        Transition::RunEnded { run, .. } => of_run(run, "ended"),
        Transition::TargetRestored { target, .. } => of_target(target, "restored"),
        Transition::TargetDrifted { target, .. } => of_target(target, "drifted"),
        Transition::TargetDeleted { target } => of_target(target, "deleted"),
        Transition::RestoreFailed { target, .. } => of_target(target, &format!("restore-failed/{sequence_number}")),
        Transition::LeverMoved { .. } => format!("{stack}/lever/{sequence_number}"),
    }
}

/// Words a transition in one sentence, or in two.
fn summary(transition: &Transition) -> String {
    match transition {
        Transition::RunStarted { run, deadline } => {
            let by = deadline.as_ref().map(|deadline| format!("; it ends by {deadline}")).unwrap_or_default();
            format!("{} has started{by}.{}", title(run), who("Started", run.started_by.as_ref()))
        }
        Transition::RunObserving { run, ends_at } => {
            format!("{} has injected its faults and ends at {ends_at}.", title(run))
        }
        Transition::RunStopping { run, reason, ended_by } => {
            let who = who("Ended", ended_by.as_ref());
            format!("{} is being rolled back{}.{who}", title(run), because(reason))
        }
        Transition::RunEnded { run, status, reason, deviations, effect, .. } => {
            let ends_so = |kind| matches!(kind, ReasonKind::Error | ReasonKind::ExecutionStopped | ReasonKind::Overdue);
            let is_open = *status == EndStatus::Failed && !reason.as_ref().is_some_and(|reason| ends_so(reason.kind));
            let open = if is_open { said(Conclusion::RestoreFailed, None) } else { String::new() };
            let ended = match status {
                EndStatus::Completed => "has completed",
                EndStatus::Stopped => Conclusion::EndedEarly.phrase(),
                EndStatus::Failed => Conclusion::Failed.phrase(),
            };
            let steady = match deviations.as_deref() {
                None => String::new(),
                Some([]) if *status == EndStatus::Completed => said(Conclusion::Held, None),
                Some([]) => " The steady state's conditions held after the restore.".to_owned(),
                Some(all) => said(Conclusion::Deviated, Some(&all.join("; "))),
            };
            let effect = effect.as_ref().map(|why| said(Conclusion::Unproven, Some(why))).unwrap_or_default();
            format!("{} {ended}{}.{open}{steady}{effect}", title(run), because(reason))
        }
        Transition::TargetRestored { target, frozen_versions } => {
            format!("{} is restored after run {}.{}", name(target), target.run_id, frozen(frozen_versions))
        }
        Transition::TargetDrifted { target, drift, frozen_versions } => {
            let fields: Vec<&str> = drift.iter().map(|drift| drift.field.as_str()).collect();
            let (name, run, frozen) = (name(target), &target.run_id, frozen(frozen_versions));
            format!(
                "{name} is restored after run {run}, except for what changed outside the run: {}.{frozen}",
                fields.join(", ")
            )
        }
        Transition::TargetDeleted { target } => format!("{} was deleted during run {}.", name(target), target.run_id),
        Transition::RestoreFailed { target, error } => {
            format!("{} could not be restored after run {}: {error}.", name(target), target.run_id)
        }
        Transition::LeverMoved { engaged, reason, moved_by } => {
            let engaged = if *engaged { "engaged: active runs are rolled back" } else { "disengaged: runs can start" };
            let reason = if reason.is_empty() { String::new() } else { format!(" The reason given: {reason}.") };
            format!("The safety lever was {engaged}.{reason}{}", who("Moved", moved_by.as_ref()))
        }
    }
}

/// Words a conclusion as a sentence that follows another one.
fn said(conclusion: Conclusion, why: Option<&str>) -> String {
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    format!(" {}{why}.", capitalized(conclusion.phrase()))
}

fn title(run: &RunName) -> String {
    match &run.experiment {
        Some(experiment) => format!("Run {} of \"{experiment}\"", run.run_id),
        None => format!("Run {}", run.run_id),
    }
}

fn name(target: &TargetName) -> &str {
    target.function.name()
}

fn because(reason: &Option<NoticeReason>) -> String {
    reason.as_ref().map(|reason| format!(": {}", reason.text)).unwrap_or_default()
}

/// Names who did it, unless that is snapback itself.
fn who(did: &str, actor: Option<&Actor>) -> String {
    let actor = actor.filter(|actor| **actor != Actor::snapback());
    actor.map(|actor| format!(" {did} by {actor}.")).unwrap_or_default()
}

fn frozen(versions: &[String]) -> String {
    match versions {
        [] => String::new(),
        versions => format!(" These published versions keep the fault: {}.", versions.join(", ")),
    }
}
