//! Event source mappings in a restore. Each is a separate resource, which is read by its UUID if the function's list
//! does not have it.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::function::{Mapping, MappingState};
use crate::model::names::MappingId;
use crate::model::snapshot::{Change, Write};
use crate::model::time::Time;
use crate::ports::{FunctionError, World};

use super::rate_limiter::{Quota, RateLimiter};
use super::{MAX_CLOCK_SKEW, MAX_READ_STALENESS};

/// Returns the mappings that these changes touch.
pub(super) fn touched(changes: &[Change]) -> impl Iterator<Item = &MappingId> {
    changes.iter().filter_map(|change| match change {
        Change::Mapping { id } => Some(id),
        _ => None,
    })
}

/// Reads the touched mappings that are not listed, because their function was deleted or because they were moved to
/// another function. A mapping that is not returned was deleted.
///
/// # Errors
/// The error of the first read that fails.
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

/// What one restore has learned about mappings of a deleted function. AWS does not document what
/// UpdateEventSourceMapping does with such a mapping, so the restore tries it.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// When Lambda last responded to the call that enables a mapping, and its message if it refused.
    responses: BTreeMap<MappingId, (Time, Option<String>)>,
    /// The mappings that Lambda does not enable, each with the reason.
    stuck: BTreeMap<MappingId, String>,
    /// The mappings whose last observation may be stale.
    stale: BTreeSet<MappingId>,
}

impl Orphans {
    /// Returns the mappings that Lambda does not enable, each with the reason.
    pub(super) fn stuck(&self) -> &BTreeMap<MappingId, String> {
        &self.stuck
    }

    /// Records that Lambda has accepted the call.
    pub(super) fn accepted(&mut self, write: &Write, now: Time) {
        if let Write::Mapping { id, .. } = write {
            self.responses.insert(id.clone(), (now, None));
        }
    }

    /// Records that Lambda has refused the call permanently. Returns whether the call was for a mapping.
    pub(super) fn refused(&mut self, write: &Write, error: &FunctionError, now: Time) -> bool {
        let (Write::Mapping { id, .. }, FunctionError::NotFound(_) | FunctionError::Rejected(_)) = (write, error)
        else {
            return false;
        };
        self.responses.insert(id.clone(), (now, Some(error.to_string())));
        true
    }

    /// Records an observation. Lambda does not enable a mapping if a read that cannot be stale still shows it disabled
    /// after the call. A refusal alone proves nothing: another restore may have enabled the mapping right before its
    /// function was deleted. `leases_end_at` is the time when the last lease on the target ended; no call of a restore
    /// has landed after it.
    pub(super) fn record_observation(&mut self, mappings: &[Mapping], observed_at: Time, leases_end_at: Option<Time>) {
        self.stuck.clear();
        self.stale.clear();
        for Mapping { id, .. } in mappings.iter().filter(|mapping| mapping.state == MappingState::Disabled) {
            let Some((responded_at, refusal)) = self.responses.get(id) else { continue };
            let last_call = leases_end_at.map_or(*responded_at, |leases_end_at| leases_end_at.max(*responded_at));
            if last_call + MAX_READ_STALENESS + MAX_CLOCK_SKEW > observed_at {
                self.stale.insert(id.clone());
            } else {
                let why = refusal.clone().unwrap_or_else(|| "Lambda has disabled it again".to_owned());
                self.stuck.insert(id.clone(), why);
            }
        }
    }

    /// Whether the last observation may show a mapping as it was before a call that has landed.
    pub(super) fn may_be_stale(&self, write: &Write) -> bool {
        matches!(write, Write::Mapping { id, .. } if self.stale.contains(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::samples::mapping_id;

    #[test]
    fn an_observation_counts_as_stale_only_within_the_bound() {
        let (id, accepted_at) = (mapping_id("checkout"), Time(0));
        let write = Write::Mapping { id: id.clone(), enabled: true };
        let shown = [Mapping { id: id.clone(), state: MappingState::Disabled }];
        let mut orphans = Orphans::default();
        orphans.accepted(&write, accepted_at);
        let latest = accepted_at + MAX_READ_STALENESS + MAX_CLOCK_SKEW;
        orphans.record_observation(&shown, Time(latest.0 - 1), None);
        assert!(orphans.may_be_stale(&write) && orphans.stuck().is_empty());
        orphans.record_observation(&shown, latest, None);
        assert!(!orphans.may_be_stale(&write) && orphans.stuck().contains_key(&id));
    }
}
