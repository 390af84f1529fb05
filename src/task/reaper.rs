//! `reaper`: any payload → the counts of this tick, also as metrics.

use serde_json::{Value, json};

use crate::model::settings::Settings;
use crate::model::time::Time;
use crate::page::run_page;
use crate::plan::evidence::Evidence;
use crate::ports::World;
use crate::steps::Budget;
use crate::steps::error::StepError;
use crate::steps::keep_reports::keep_reports;
use crate::steps::reap::{Tick, reap};

use super::metrics::line;

pub(super) async fn handle(world: &impl World, settings: &Settings, budget: Budget) -> Result<Value, StepError> {
    let (tick, error) = reap(world, budget).await;
    println!("{}", metrics(settings, &tick, world.now()));
    // Last: a report must not delay a restore, nor the metrics that tell of one.
    let kept = keep_reports(world, draw, budget).await;
    for failure in &kept.failures {
        println!("{failure}");
    }
    if world.has_report_bucket() {
        println!("{}", line(&[&[("Stack", settings.prefix.as_str())]], &[(UNSTORED, kept.pages_failed)], world.now()));
    }
    match error {
        Some(error) => Err(error),
        None => Ok(json!({
            "active": tick.active, "overdue": tick.overdue, "handled": tick.handled, "failedRestores": tick.failed_restores,
            "reportsStored": kept.pages, "reportsNotStored": kept.pages_failed
        })),
    }
}

/// The metric of pages that the bucket for reports did not take.
const UNSTORED: &str = "UnstoredReports";

fn draw(evidence: &Evidence) -> Result<String, String> {
    run_page(evidence).map_err(|error| error.to_string())
}

/// Each metric of the reaper, and its value.
fn counts(tick: &Tick) -> [(&'static str, u64); 4] {
    [
        ("OverdueRuns", tick.overdue),
        ("FailedRestores", tick.failed_restores),
        ("WaitingRestores", tick.waiting_restores),
        ("UnreadableRecords", tick.unreadable),
    ]
}

fn metrics(settings: &Settings, tick: &Tick, time: Time) -> Value {
    line(&[&[("Stack", settings.prefix.as_str())]], &counts(tick), time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::samples::settings;

    const TEMPLATE: &str = include_str!("../../infra/template.yaml");

    #[test]
    fn each_metric_is_written_with_its_value() {
        let tick = Tick { overdue: 1, failed_restores: 2, waiting_restores: 4, unreadable: 3, ..Tick::default() };
        let line = metrics(&settings(), &tick, Time(7));
        let values = ["OverdueRuns", "FailedRestores", "UnreadableRecords", "WaitingRestores"].map(|name| &line[name]);
        assert_eq!(values, [&json!(1), &json!(2), &json!(3), &json!(4)]);
        let named = line.pointer("/_aws/CloudWatchMetrics/0/Metrics").and_then(Value::as_array).map(Vec::len);
        assert_eq!(named, Some(counts(&tick).len()));
    }

    #[test]
    fn each_metric_except_waits_has_an_alarm() {
        // A wait that takes too long shows as an overdue run.
        let counts = counts(&Tick::default()).into_iter().map(|(name, _)| name).chain([UNSTORED]);
        for name in counts.filter(|name| *name != "WaitingRestores") {
            assert!(TEMPLATE.contains(&format!("MetricName: {name}\n")), "{name}");
        }
    }
}
