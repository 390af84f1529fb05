//! `arm`: `{runId, function}` → `{function, status: armed | waiting | skipped, waitSeconds, waitingFor}`; or a batch of targets, see
//! `batch.rs`.

use serde_json::Value;

use crate::ports::World;
use crate::steps::Budget;
use crate::steps::arm::{ArmOutcome, arm};
use crate::steps::error::StepError;

use super::batch::{Batch, RetryLimits, TargetProgress, is_batch};

pub(super) async fn handle(world: &impl World, budget: Budget, payload: &Value) -> Result<Value, StepError> {
    if is_batch(payload) {
        return many(world, budget, Batch::of(payload)?).await;
    }
    let target = super::target_payload(payload)?;
    Ok(super::target_result(&target.function, arm(world, &target.run_id, &target.function).await?))
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
    Ok(batch.after(attempted, RetryLimits::FORWARD))
}
