//! About what a run cost: an estimate from list prices, as in "Cost" of docs/operations.md.

use std::time::Duration;

use crate::model::experiment::observe_interval;
use crate::model::run::{Run, TargetRecord};
use crate::plan::metric_reads::{MAX_FUNCTIONS, OF_FUNCTIONS};

use super::times::RunTimes;

/// Prices of us-east-1, in US dollars, from AWS's pricing pages (aws.amazon.com/step-functions/pricing,
/// aws.amazon.com/dynamodb/pricing/on-demand, aws.amazon.com/cloudwatch/pricing).
const STATE_TRANSITION: f64 = 0.000_025;
const WRITE_UNIT: f64 = 0.000_000_625;
const READ_UNIT: f64 = 0.000_000_125;
const METRIC_READ: f64 = 0.000_01;
/// Short invocations of snapback's functions, and their requests to the table, for each run.
const INVOCATIONS: f64 = 0.001;
/// State transitions of each run, of each round of Observe, of each target of a small run, and of each batch of a large one.
const TRANSITIONS: [f64; 4] = [24.0, 3.0, 6.0, 32.0];
/// The number of targets that one inline Map carries, and the size of a batch beyond that.
const INLINE_TARGETS: usize = 40;
const BATCH_TARGETS: usize = 20;
/// The write units of a target's transactions, and the read units of the large body of a run with many targets.
const TARGET_WRITES: f64 = 30.0;
const BODY_READS: f64 = 155.0;

/// Estimates what a run cost in US dollars.
#[must_use]
pub fn cost_dollars(run: &Run, targets: &[TargetRecord], times: &RunTimes) -> f64 {
    let fault = times.in_place_at.zip(times.stopping_at).map_or(Duration::ZERO, |(from, until)| from.until(until));
    let rounds = fault.as_secs().div_ceil(observe_interval(fault).as_secs()) as f64;
    let count = targets.len();
    let [each_run, each_round, each_target, each_batch] = TRANSITIONS;
    let of_targets = match count {
        0..=INLINE_TARGETS => each_target * count as f64,
        _ => each_batch * count.div_ceil(BATCH_TARGETS) as f64,
    };
    let transitions = each_run + each_round * rounds + of_targets;
    let body_reads = if count > INLINE_TARGETS { BODY_READS * count as f64 } else { 0.0 };
    let metrics = (OF_FUNCTIONS.len() * run.functions.len().min(MAX_FUNCTIONS)) as f64;
    transitions * STATE_TRANSITION
        + TARGET_WRITES * count as f64 * WRITE_UNIT
        + body_reads * READ_UNIT
        + metrics * METRIC_READ
        + INVOCATIONS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::run::EndReason;
    use crate::model::time::Time;
    use crate::testing::samples::{function_arn, run_id};

    fn cost(functions: usize) -> f64 {
        let mut run = crate::model::marker::stopped_marker(&run_id("r"), &EndReason::UserRequest.into(), Time(0));
        run.functions = (0..functions).map(|at| function_arn(&format!("f-{at}"))).collect();
        let targets: Vec<_> = run.functions.iter().map(|f| TargetRecord::new(run.id.clone(), f.clone())).collect();
        let times = RunTimes { in_place_at: Some(Time(0)), stopping_at: Some(Time(300_000)), ..RunTimes::default() };
        cost_dollars(&run, &targets, &times)
    }

    #[test]
    fn the_costs_of_the_documentation_come_out() {
        // docs/operations.md: less than one cent for one function, and less than ten cents for a thousand.
        assert!((0.005..0.01).contains(&cost(1)), "{}", cost(1));
        assert!((0.06..0.11).contains(&cost(1000)), "{}", cost(1000));
    }
}
