//! `report`: `{runId}` → the report, or `{status: pending, waitSeconds}` while the steady state may still recover.

use serde_json::{Value, json};

use crate::ports::World;
use crate::steps::error::StepError;
use crate::steps::report::{Reported, report};

pub(super) async fn handle(world: &impl World, payload: &Value) -> Result<Value, StepError> {
    match report(world, &super::run_payload(payload)?.run_id).await? {
        Reported::Pending(seconds) => Ok(json!({ "status": "pending", "waitSeconds": seconds })),
        Reported::Closed(view) => Ok(json!(view)),
    }
}
