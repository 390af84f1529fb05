//! `observe`: `{runId}` → `{status: running | stopping, waitSeconds}`.

use serde_json::{Value, json};

use crate::ports::World;
use crate::steps::error::StepError;
use crate::steps::observe::{Observed, observe};

pub(super) async fn handle(world: &impl World, payload: &Value) -> Result<Value, StepError> {
    Ok(match observe(world, &super::run_payload(payload)?.run_id).await? {
        Observed::Running(seconds) => json!({ "status": "running", "waitSeconds": seconds }),
        Observed::Stopping => json!({ "status": "stopping", "waitSeconds": 0 }),
    })
}
