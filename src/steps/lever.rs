//! The safety lever.

use crate::model::run::{EndReason, Lever};
use crate::ports::World;

use super::Budget;
use super::error::StepError;
use super::retry::retry;
use super::rollback::{RolledBack, roll_back_all};

/// Engages the lever, then rolls back what runs. In this order, nothing starts between the two.
///
/// # Errors
/// When the ledger cannot be used.
pub async fn engage(world: &impl World, reason: &str, budget: Budget) -> Result<Vec<RolledBack>, StepError> {
    let lever = Lever { engaged: true, since: world.now(), reason: reason.to_owned() };
    retry(world, || world.set_lever(&lever)).await?;
    roll_back_all(world, &EndReason::Lever, budget).await
}
