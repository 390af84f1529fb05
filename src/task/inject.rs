//! `inject`: `{runId, function}` → `{function, status: injected | pending | skipped, waitSeconds}`.

use serde_json::{Value, json};

use crate::ports::World;
use crate::steps::Budget;
use crate::steps::error::StepError;
use crate::steps::inject::{Injected, inject};

pub(super) async fn handle(world: &impl World, budget: Budget, payload: &Value) -> Result<Value, StepError> {
    let target = super::target_payload(payload)?;
    let (status, wait) = match inject(world, &target.run_id, &target.function, budget).await? {
        Injected::Injected => ("injected", 0),
        Injected::Pending(seconds) => ("pending", seconds),
        Injected::Skipped => ("skipped", 0),
    };
    Ok(json!({ "function": target.function, "status": status, "waitSeconds": wait }))
}
