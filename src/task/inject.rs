//! `inject`: `{runId, function}` → `{function, status: injected | pending | unrehearsed | skipped, waitSeconds, waitingFor}`; or a batch of targets,
//! see `batch.rs`.

use std::time::Duration;

use serde_json::Value;

use crate::ports::World;
use crate::steps::Budget;
use crate::steps::error::StepError;
use crate::steps::inject::{InjectOutcome, inject};

use super::batch::{Batch, RetryLimits, TargetProgress, is_batch};

/// The same limits as in the state machine for a single target.
const TRIES: RetryLimits = RetryLimits { transient: 6, permanent: 1 };

pub(super) async fn handle(world: &impl World, budget: Budget, payload: &Value) -> Result<Value, StepError> {
    if is_batch(payload) {
        return many(world, budget, Batch::of(payload)?).await;
    }
    let target = super::target_payload(payload)?;
    let (status, wait, waiting_for) = match inject(world, &target.run_id, &target.function, budget).await? {
        InjectOutcome::Injected => ("injected", Duration::ZERO, None),
        InjectOutcome::Pending { wait, waiting_for } => ("pending", wait, waiting_for),
        InjectOutcome::Unrehearsed => ("unrehearsed", Duration::ZERO, None),
        InjectOutcome::Skipped => ("skipped", Duration::ZERO, None),
    };
    Ok(super::target_result(&target.function, status, wait, waiting_for))
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
    Ok(batch.after(attempted, TRIES))
}
