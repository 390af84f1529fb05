//! Event source mappings in a restore: each is a resource of its own, read by its UUID where no listing shows it.

use std::collections::BTreeMap;

use crate::model::function::{Mapping, MappingState};
use crate::model::names::MappingId;
use crate::model::snapshot::{Change, Write};
use crate::model::time::Time;
use crate::ports::{FunctionError, World};

use super::pace::{Kind, Pace};
use super::{SKEW, STALENESS};

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
    pace: &Pace,
    changes: &[Change],
    listed: &[Mapping],
) -> Result<Vec<Mapping>, FunctionError> {
    let mut found = Vec::new();
    for id in touched(changes).filter(|id| !listed.iter().any(|mapping| mapping.id == **id)) {
        match pace.read(world, &[Kind::Control], || world.mapping(id)).await {
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
    /// Those that Lambda does not enable, each with what it says.
    stuck: BTreeMap<MappingId, String>,
    /// When Lambda last took the call that enables one.
    enabled_at: BTreeMap<MappingId, Time>,
}

impl Orphans {
    /// Those that Lambda does not enable.
    pub(super) fn stuck(&self) -> &BTreeMap<MappingId, String> {
        &self.stuck
    }

    /// Lambda has taken the call.
    pub(super) fn took(&mut self, write: &Write, now: Time) {
        if let Write::Mapping { id, .. } = write {
            self.enabled_at.insert(id.clone(), now);
        }
    }

    /// Lambda has refused the call for good; says whether that is about a mapping.
    pub(super) fn refused(&mut self, write: &Write, error: &FunctionError) -> bool {
        let (Write::Mapping { id, .. }, FunctionError::NotFound(_) | FunctionError::Rejected(_)) = (write, error)
        else {
            return false;
        };
        self.stuck.insert(id.clone(), error.to_string());
        true
    }

    /// What Lambda took and a read that cannot be late still shows disabled, it has disabled again itself.
    pub(super) fn look(&mut self, mappings: &[Mapping], observed_at: Time) {
        for Mapping { id, .. } in mappings.iter().filter(|mapping| mapping.state == MappingState::Disabled) {
            if self.enabled_at.get(id).is_some_and(|at| at.plus(STALENESS + SKEW) <= observed_at) {
                self.stuck.entry(id.clone()).or_insert_with(|| "Lambda has disabled it again".to_owned());
            }
        }
    }

    /// Whether a read that is late may still show a mapping as it was before the call that Lambda took.
    pub(super) fn may_be_late(&self, write: &Write, observed_at: Time) -> bool {
        let Write::Mapping { id, .. } = write else { return false };
        self.enabled_at.get(id).is_some_and(|at| at.plus(STALENESS + SKEW) > observed_at)
    }
}
