//! Event source mappings in a restore: each is a separate resource, read by its UUID where no listing shows it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::function::{Mapping, MappingState};
use crate::model::names::MappingId;
use crate::model::snapshot::{Change, Write};
use crate::model::time::Time;
use crate::ports::{FunctionError, World};

use super::rate_limiter::{Quota, RateLimiter};
use super::{MAX_CLOCK_SKEW, MAX_READ_STALENESS};

/// The mappings that these changes touch.
pub(super) fn touched(changes: &[Change]) -> impl Iterator<Item = &MappingId> {
    changes.iter().filter_map(|change| match change {
        Change::Mapping { id } => Some(id),
        _ => None,
    })
}

/// Reads those of the touched mappings that are not listed: their function was deleted, or they were given to another one.
/// What is not returned was deleted itself.
///
/// # Errors
/// The first read that fails.
pub(super) async fn unlisted(
    world: &impl World,
    limiter: &RateLimiter,
    changes: &[Change],
    listed: &[Mapping],
) -> Result<Vec<Mapping>, FunctionError> {
    let mut found = Vec::new();
    for id in touched(changes).filter(|id| !listed.iter().any(|mapping| mapping.id == **id)) {
        match limiter.read(world, &[Quota::ControlPlane], || world.mapping(id)).await {
            Ok(state) => found.push(Mapping { id: id.clone(), state }),
            Err(FunctionError::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// What one restore has heard of mappings whose function is gone. No page says what UpdateEventSourceMapping does with
/// one: it is known when it was tried.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// When Lambda last answered the call that enables one, and what it said where it refused.
    answers: BTreeMap<MappingId, (Time, Option<String>)>,
    /// Those that Lambda does not enable, each with what it says.
    stuck: BTreeMap<MappingId, String>,
    /// Those whose last observation may be stale.
    late: BTreeSet<MappingId>,
}

impl Orphans {
    /// Those that Lambda does not enable.
    pub(super) fn stuck(&self) -> &BTreeMap<MappingId, String> {
        &self.stuck
    }

    /// Lambda has taken the call.
    pub(super) fn took(&mut self, write: &Write, now: Time) {
        if let Write::Mapping { id, .. } = write {
            self.answers.insert(id.clone(), (now, None));
        }
    }

    /// Records that Lambda has refused the call permanently; returns whether the call was for a mapping.
    pub(super) fn refused(&mut self, write: &Write, error: &FunctionError, now: Time) -> bool {
        let (Write::Mapping { id, .. }, FunctionError::NotFound(_) | FunctionError::Rejected(_)) = (write, error)
        else {
            return false;
        };
        self.answers.insert(id.clone(), (now, Some(error.to_string())));
        true
    }

    /// What Lambda was asked to enable and a read that cannot be late still shows disabled, it does not enable. A refusal
    /// alone does not tell: any restore may have enabled the mapping right before its function was deleted. `leases_end_at` is
    /// when the last lease on the target ended: no call of a restore has landed since then.
    pub(super) fn record_observation(&mut self, mappings: &[Mapping], observed_at: Time, leases_end_at: Option<Time>) {
        self.stuck.clear();
        self.late.clear();
        for Mapping { id, .. } in mappings.iter().filter(|mapping| mapping.state == MappingState::Disabled) {
            let Some((answered_at, refusal)) = self.answers.get(id) else { continue };
            let last_call = leases_end_at.map_or(*answered_at, |leases_end_at| leases_end_at.max(*answered_at));
            if last_call + MAX_READ_STALENESS + MAX_CLOCK_SKEW > observed_at {
                self.late.insert(id.clone());
            } else {
                let why = refusal.clone().unwrap_or_else(|| "Lambda has disabled it again".to_owned());
                self.stuck.insert(id.clone(), why);
            }
        }
    }

    /// Whether the last observation may show a mapping as it was before a call that has landed.
    pub(super) fn may_be_late(&self, write: &Write) -> bool {
        matches!(write, Write::Mapping { id, .. } if self.late.contains(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::samples::mapping_id;

    #[test]
    fn a_read_is_late_for_as_long_as_it_may_be_and_no_longer() {
        let (id, taken_at) = (mapping_id("checkout"), Time(0));
        let write = Write::Mapping { id: id.clone(), enabled: true };
        let shown = [Mapping { id: id.clone(), state: MappingState::Disabled }];
        let mut orphans = Orphans::default();
        orphans.took(&write, taken_at);
        let latest = taken_at + MAX_READ_STALENESS + MAX_CLOCK_SKEW;
        orphans.record_observation(&shown, Time(latest.0 - 1), None);
        assert!(orphans.may_be_late(&write) && orphans.stuck().is_empty());
        orphans.record_observation(&shown, latest, None);
        assert!(!orphans.may_be_late(&write) && orphans.stuck().contains_key(&id));
    }
}
