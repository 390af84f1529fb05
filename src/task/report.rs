//! `report`: `{runId}` → the report, or `{status: pending, waitSeconds}` while the steady state may still recover. Of many
//! targets it lists at most `MOST_TARGETS`; `snapback report` lists all of them.

use serde_json::{Value, json};

use crate::model::settings::Settings;
use crate::model::time::seconds_up;
use crate::ports::World;
use crate::steps::error::StepError;
use crate::steps::report::{ReportOutcome, report};
use crate::steps::step_status::StepStatus;

use super::missed_runs::failed_run;

/// The most targets in the output.
const MOST_TARGETS: usize = 100;
/// The most bytes of targets in the output: an execution's output holds 256 KiB (step-functions/latest/dg/service-quotas),
/// and the rest of the report needs some of them.
const MOST_BYTES: usize = 200_000;

pub(super) async fn handle(world: &impl World, settings: &Settings, payload: &Value) -> Result<Value, StepError> {
    let reported = report(world, &super::run_payload(payload)?.run_id).await?;
    let StepStatus { name, wait, .. } = StepStatus::from(&reported);
    Ok(match reported {
        ReportOutcome::Pending(_) => json!({ "status": name, "waitSeconds": seconds_up(wait) }),
        ReportOutcome::Closed(view) => {
            if let Some(missed) = failed_run(settings, &view, world.now()) {
                println!("{missed}");
            }
            json!(view.shortened(MOST_TARGETS, MOST_BYTES))
        }
    })
}
