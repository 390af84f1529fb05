//! `observe`: `{runId, sampleFrom}` → `{status: running | stopping, waitSeconds, sampleFrom}`. The
//! result's `sampleFrom` is part of the next payload.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::input::read;
use crate::model::names::RunId;
use crate::model::time::seconds_up;
use crate::ports::World;
use crate::steps::Budget;
use crate::steps::error::StepError;
use crate::steps::observe::{ObserveOutcome, observe};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Payload {
    run_id: RunId,
    #[serde(default)]
    sample_from: usize,
}

pub(super) async fn handle(world: &impl World, budget: Budget, payload: &Value) -> Result<Value, StepError> {
    let payload: Payload = read(payload)?;
    Ok(match observe(world, &payload.run_id, payload.sample_from, budget).await? {
        ObserveOutcome::Running { wait, sample_from } => {
            json!({ "status": "running", "waitSeconds": seconds_up(wait), "sampleFrom": sample_from })
        }
        ObserveOutcome::Stopping => json!({ "status": "stopping", "waitSeconds": 0 }),
    })
}
