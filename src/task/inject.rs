//! `inject`: `{runId, function}` → `{function, status: injected | pending | unrehearsed | skipped, waitSeconds, waitingFor}`; or a batch of targets,
//! see `batch.rs`.

use serde_json::Value;

use crate::ports::World;
use crate::steps::Budget;
use crate::steps::error::StepError;
use crate::steps::inject::{InjectOutcome, inject};

use super::batch::{Batch, RetryLimits, TargetProgress, is_batch};

pub(super) async fn handle(world: &impl World, budget: Budget, payload: &Value) -> Result<Value, StepError> {
    if is_batch(payload) {
        return many(world, budget, Batch::of(payload)?).await;
    }
    let target = super::target_payload(payload)?;
    Ok(super::target_result(&target.function, inject(world, &target.run_id, &target.function, budget).await?))
}

async fn many(world: &impl World, budget: Budget, batch: Batch) -> Result<Value, StepError> {
    let run = &batch.run_id;
    let step = |function| async move {
        Ok(match inject(world, run, function, budget).await? {
            InjectOutcome::Injected | InjectOutcome::Skipped => TargetProgress::Done,
            InjectOutcome::Unrehearsed => TargetProgress::Unrehearsed,
            InjectOutcome::Pending { wait, .. } => TargetProgress::Requeue(wait),
        })
    };
    let attempted = Batch::each(&batch.functions, world, budget, step).await;
    Ok(batch.after(attempted, RetryLimits::FORWARD))
}
