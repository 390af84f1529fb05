//! `arm`: `{runId, function}` → `{function, status: armed | waiting | skipped, waitSeconds}`.

use serde_json::{Value, json};

use crate::ports::World;
use crate::steps::arm::{Armed, arm};
use crate::steps::error::StepError;

pub(super) async fn handle(world: &impl World, payload: &Value) -> Result<Value, StepError> {
    let target = super::target_payload(payload)?;
    let (status, wait) = match arm(world, &target.run_id, &target.function).await? {
        Armed::Armed => ("armed", 0),
        Armed::Waiting(seconds) => ("waiting", seconds),
        Armed::Skipped => ("skipped", 0),
    };
    Ok(json!({ "function": target.function, "status": status, "waitSeconds": wait }))
}
