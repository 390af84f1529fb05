//! The records of kept metrics as DynamoDB items: a run's metrics, and the list of runs whose metrics are still to be
//! kept.

use crate::model::kept_metrics::KeptMetrics;
use crate::model::names::RunId;

use super::records::{Item, key, parsed, run_pk};

/// The `pk` of the runs whose metrics are still to be kept.
pub(super) const AWAITS_METRICS: &str = "METRICS";

pub(super) fn metrics_key(run: &RunId) -> Item {
    key(run_pk(run), "METRICS")
}

pub(super) fn awaits_metrics_key(run: &RunId) -> Item {
    key(AWAITS_METRICS, run_pk(run))
}

/// Reads kept metrics. They are only shown, so a record that this release cannot read counts as none, with the reason.
pub(super) fn read_metrics(item: &Item) -> KeptMetrics {
    let unreadable = || KeptMetrics::without("their record cannot be read");
    parsed(item, "metrics").ok().flatten().unwrap_or_else(unreadable)
}
