//! What happened in a run, in order: the history that the ledger has of it.

use crate::model::actor::Actor;
use crate::model::run::{EndReason, Run, TargetRecord, TargetStatus};
use crate::model::time::Time;

use super::times::RunTimes;

/// The most targets whose endings are listed one by one.
const MAX_LISTED_TARGETS: usize = 10;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Time,
    /// What, for display.
    pub text: String,
    /// What it means for the run.
    pub kind: MomentKind,
}

/// What a moment means for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MomentKind {
    /// A step of the run.
    Step,
    /// The fault is in place.
    Fault,
    /// An alarm, a deviation, an error, or a change outside the run.
    Warning,
    /// Something was restored.
    Restored,
}

/// A part of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Its kind.
    pub kind: PhaseKind,
    /// When it began.
    pub from: Time,
    /// When it ended.
    pub until: Time,
}

/// The kind of a phase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PhaseKind {
    /// Snapshots, rehearsal and injection.
    Start,
    /// Every fault is in place.
    Fault,
    /// The restore.
    Restore,
    /// The check after the restore.
    Check,
}

impl PhaseKind {
    /// Returns the name for display.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Fault => "fault in place",
            Self::Restore => "restore",
            Self::Check => "check",
        }
    }
}

/// Returns the phases of a run that have ended.
pub(super) fn phases(run: &Run, times: &RunTimes) -> Vec<Phase> {
    let began = times.in_place_at.or(times.stopping_at);
    let bounds = [
        (PhaseKind::Start, Some(run.created_at), began),
        (PhaseKind::Fault, times.in_place_at, times.stopping_at),
        (PhaseKind::Restore, times.stopping_at, times.restored_at),
        (PhaseKind::Check, times.restored_at, times.closed_at),
    ];
    let phase = |(kind, from, until): (PhaseKind, Option<Time>, Option<Time>)| {
        let (from, until) = from.zip(until)?;
        (from < until).then_some(Phase { kind, from, until })
    };
    bounds.into_iter().filter_map(phase).collect()
}

/// Returns what happened, in order.
pub(super) fn moments(run: &Run, targets: &[TargetRecord], times: &RunTimes) -> Vec<Moment> {
    let mut moments = Vec::new();
    let mut add = |at: Option<Time>, text: String, kind| {
        moments.extend(at.filter(|at| at.0 != 0).map(|at| Moment { at, text, kind }));
    };
    let by = |actor: &Option<Actor>| actor.as_ref().map_or(String::new(), |by| format!(", by {by}"));
    add(Some(run.created_at), format!("the run was recorded{}", by(&run.started_by)), MomentKind::Step);
    let count = targets.len();
    add(times.in_place_at, format!("the faults were in place in {}", functions(count)), MomentKind::Fault);
    for target in targets {
        for fault in &target.removed_faults {
            let text = format!("{}: the fault's {} was changed outside the run", target.function.name(), fault.field);
            add(Some(fault.seen_at), text, MomentKind::Warning);
        }
    }
    if let Some(reason) = run.reason_text() {
        let kind = match run.reason {
            Some(EndReason::DurationElapsed) => MomentKind::Step,
            _ => MomentKind::Warning,
        };
        add(run.stopping_at, format!("the rollback began: {reason}{}", by(&run.ended_by)), kind);
    }
    if count <= MAX_LISTED_TARGETS {
        for target in targets {
            let kind = match target.status {
                TargetStatus::Drifted | TargetStatus::Deleted => MomentKind::Warning,
                _ => MomentKind::Restored,
            };
            add(target.ended_at, format!("{}: {}", target.function.name(), target.status.name()), kind);
        }
    } else {
        let first = targets.iter().filter_map(|target| target.ended_at).min();
        add(first, format!("the first of {count} functions was restored"), MomentKind::Restored);
        let text = format!("the last of {count} functions was restored");
        add(times.restored_at, text, MomentKind::Restored);
    }
    add(run.closed_at, format!("the run was closed as {}", run.reported_status().name()), MomentKind::Step);
    moments.sort_by_key(|moment| moment.at);
    moments
}

fn functions(count: usize) -> String {
    if count == 1 { "1 function".to_owned() } else { format!("{count} functions") }
}
