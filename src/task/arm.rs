//! `arm`: `{runId, function}` → `{function, status: armed | waiting | skipped, waitSeconds, waitingFor}`; or a batch of targets, see
//! `batch.rs`.

use std::time::Duration;

use serde_json::Value;

use crate::ports::World;
use crate::steps::Budget;
use crate::steps::arm::{ArmOutcome, arm};
use crate::steps::error::StepError;
use crate::steps::waiting::TOMBSTONE;

use super::batch::{Batch, RetryLimits, TargetProgress, is_batch};

/// The same limits as in the state machine for a single target.
const TRIES: RetryLimits = RetryLimits { transient: 6, permanent: 1 };

pub(super) async fn handle(world: &impl World, budget: Budget, payload: &Value) -> Result<Value, StepError> {
    if is_batch(payload) {
        return many(world, budget, Batch::of(payload)?).await;
    }
    let target = super::target_payload(payload)?;
    let (status, wait, waiting_for) = match arm(world, &target.run_id, &target.function).await? {
        ArmOutcome::Armed => ("armed", Duration::ZERO, None),
        ArmOutcome::Waiting(wait) => ("waiting", wait, Some(TOMBSTONE.to_owned())),
        ArmOutcome::Skipped => ("skipped", Duration::ZERO, None),
    };
    Ok(super::target_result(&target.function, status, wait, waiting_for))
}

async fn many(world: &impl World, budget: Budget, batch: Batch) -> Result<Value, StepError> {
    let run = &batch.run_id;
    let step = |function| async move {
        Ok(match arm(world, run, function).await? {
            ArmOutcome::Armed | ArmOutcome::Skipped => TargetProgress::Done,
            ArmOutcome::Waiting(wait) => TargetProgress::Requeue(wait),
        })
    };
    let attempted = Batch::each(&batch.functions, world, budget, step).await;
    Ok(batch.after(attempted, TRIES))
}
