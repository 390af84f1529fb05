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
use crate::steps::step_status::StepStatus;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Payload {
    run_id: RunId,
    #[serde(default)]
    sample_from: usize,
}

pub(super) async fn handle(world: &impl World, budget: Budget, payload: &Value) -> Result<Value, StepError> {
    let payload: Payload = read(payload)?;
    let observed = observe(world, &payload.run_id, payload.sample_from, budget).await?;
    let status = StepStatus::from(&observed);
    let mut result = json!({ "status": status.name, "waitSeconds": seconds_up(status.wait) });
    if let ObserveOutcome::Running { sample_from, .. } = observed {
        result["sampleFrom"] = json!(sample_from);
    }
    Ok(result)
}
