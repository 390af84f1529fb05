//! What an inject does next.

use crate::model::function::{LastUpdate, Observation};
use crate::model::snapshot::{Change, Surface, Write};

use super::standing::{Standing, is_untouched, standing};
use super::writes::{Direction, writes};

/// What to do next to inject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InjectPlan {
    /// Make these calls.
    Write(Vec<Write>),
    /// The fault is in place and serves.
    Injected,
    /// Look again: something is under way.
    Wait(&'static str),
    /// A touched field is no longer what the snapshot says: do not inject.
    Stale(String),
}

/// Decides the first inject of one function: every touched field must be what the snapshot took down.
#[must_use]
pub fn plan_first_inject(changes: &[Change], now: &Observation) -> InjectPlan {
    if let Some(changed) = changes.iter().find(|change| !is_untouched(change, now)) {
        if let Standing::Unknown(why) = standing(changed, now) {
            return InjectPlan::Wait(why);
        }
        return InjectPlan::Stale(changed.field().to_string());
    }
    plan_inject(changes, now)
}

/// Decides an inject that may have begun before: what is in place stays, what is not is written.
#[must_use]
pub fn plan_inject(changes: &[Change], now: &Observation) -> InjectPlan {
    let configuration = changes.iter().any(|change| change.surface() == Surface::Configuration);
    if configuration && now.last_update == LastUpdate::InProgress {
        return InjectPlan::Wait("an update of the function is in progress");
    }
    let mut due: Vec<&Change> = Vec::new();
    for change in changes {
        match standing(change, now) {
            Standing::Original => due.push(change),
            Standing::Injected => {}
            Standing::Foreign(drift) => return InjectPlan::Stale(drift.field),
            Standing::Unknown(why) => return InjectPlan::Wait(why),
        }
    }
    match due.is_empty() {
        true if configuration && now.last_update == LastUpdate::Failed => {
            InjectPlan::Stale("configuration (its update failed)".to_owned())
        }
        true => InjectPlan::Injected,
        false => InjectPlan::Write(writes(&due, now, Direction::Inject)),
    }
}
