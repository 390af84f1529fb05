//! What a restore does next: decided on one fresh observation, never on what we believe to have done.

use crate::model::function::{LastUpdate, Observation};
use crate::model::snapshot::{Change, Drift, Surface, Write};

use super::standing::{Standing, standing};
use super::writes::{Direction, writes};

/// What to write, what to leave alone, and what to look at again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RestorePlan {
    /// Calls to make now.
    pub writes: Vec<Write>,
    /// Fields that are somebody else's by now.
    pub drift: Vec<Drift>,
    /// Why another look is needed whatever was written.
    pub unsettled: Option<&'static str>,
}

impl RestorePlan {
    /// Whether this observation shows every touched field at its original, or somebody else's.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.writes.is_empty() && self.unsettled.is_none()
    }
}

/// Decides the restore of one function.
#[must_use]
pub fn plan_restore(changes: &[Change], now: &Observation) -> RestorePlan {
    let mut plan = RestorePlan::default();
    let mut back: Vec<&Change> = Vec::new();
    for change in changes {
        let configuration = change.surface() == Surface::Configuration;
        match standing(change, now) {
            Standing::Foreign(drift) => plan.drift.push(drift),
            Standing::Unknown(why) => plan.unsettled = Some(why),
            // Lambda refuses an update during an update; and until this one is through, the old configuration serves.
            _ if configuration && now.last_update == LastUpdate::InProgress => {
                plan.unsettled = Some("an update of the function is in progress");
            }
            // A failed update leaves the configuration before it in service: the fault, if the update was ours.
            Standing::Original if configuration && now.last_update == LastUpdate::Failed => back.push(change),
            Standing::Original => {}
            Standing::Injected => back.push(change),
        }
    }
    plan.writes = writes(&back, now, Direction::Restore);
    plan
}
