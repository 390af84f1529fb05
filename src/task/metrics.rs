//! Metrics in CloudWatch's embedded format: lines of a function's log, which need no permission
//! (AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification).

use serde_json::{Value, json};

use crate::model::time::Time;

/// Makes a line with counts. Each set of dimensions makes a separate metric of each count.
pub(super) fn line(sets: &[&[(&str, &str)]], counts: &[(&str, u64)], time: Time) -> Value {
    let names = |set: &&[(&str, &str)]| set.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
    let dimensions: Vec<Vec<String>> = sets.iter().map(names).collect();
    let metrics: Vec<Value> = counts.iter().map(|(name, _)| json!({ "Name": name, "Unit": "Count" })).collect();
    let mut line = json!({
        "_aws": {
            "Timestamp": time.0,
            "CloudWatchMetrics": [{ "Namespace": "snapback", "Dimensions": dimensions, "Metrics": metrics }]
        }
    });
    sets.iter().flat_map(|set| set.iter()).for_each(|(name, value)| line[*name] = json!(value));
    counts.iter().for_each(|(name, count)| line[*name] = json!(count));
    line
}
