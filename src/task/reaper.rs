//! `reaper`: any payload → what the tick found and did, also as metrics in CloudWatch's embedded format, which need no
//! permission (AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification).

use serde_json::{Value, json};

use crate::plan::guardrails::Settings;
use crate::ports::World;
use crate::steps::Budget;
use crate::steps::error::StepError;
use crate::steps::reap::{Tick, reap};

pub(super) async fn handle(world: &impl World, settings: &Settings, budget: Budget) -> Result<Value, StepError> {
    let (tick, error) = reap(world, budget).await;
    println!("{}", metrics(settings, &tick, world.now().0));
    match error {
        Some(error) => Err(error),
        None => Ok(json!({
            "active": tick.active, "overdue": tick.overdue, "handled": tick.handled, "failedRestores": tick.failed_restores
        })),
    }
}

fn metrics(settings: &Settings, tick: &Tick, timestamp: i64) -> Value {
    let names = ["OverdueRuns", "FailedRestores"];
    let metrics: Vec<Value> = names.iter().map(|name| json!({ "Name": name, "Unit": "Count" })).collect();
    json!({
        "_aws": {
            "Timestamp": timestamp,
            "CloudWatchMetrics": [{ "Namespace": "snapback", "Dimensions": [["Stack"]], "Metrics": metrics }]
        },
        "Stack": settings.prefix,
        "OverdueRuns": tick.overdue,
        "FailedRestores": tick.failed_restores,
    })
}
