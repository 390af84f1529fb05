//! Checks after the restore, from metrics, whether the faults inside invocations took effect.
//!
//! Safe to repeat because it only reads. The report records the result.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::experiment::Experiment;
use crate::model::run::{EndReason, Run, TargetRecord};
use crate::model::steady_state::Metric;
use crate::model::time::Time;
use crate::plan::effect::{Effect, MINUTE_SECONDS, Seen, evaluate_effect, injected_faults, kinds, of_function};
use crate::ports::{AlarmError, World};

use super::retry::retry;

/// The longest time after the restore for which a report waits for the metrics of the faults. Inferred, because no page
/// has a figure: Lambda's metrics arrive within a minute or two, and the proxy's go through the function's log.
pub const MAX_EFFECT_WAIT: Duration = Duration::from_secs(180);
/// Time between two reads of the metrics.
const EFFECT_POLL_INTERVAL: Duration = Duration::from_secs(30);
const MINUTE_MS: i64 = MINUTE_SECONDS as i64 * 1000;

/// The result of one check.
pub(super) enum EffectCheck {
    /// The metrics may still arrive; retry after this time.
    Requeue(Duration),
    /// The conclusion from the metrics.
    Done(Effect),
}

/// Checks the metrics of the faults of a run whose targets were all restored by `restored_at`.
pub(super) async fn check_effect(
    world: &impl World,
    run: &Run,
    experiment: &Experiment,
    targets: &[TargetRecord],
    restored_at: Time,
) -> EffectCheck {
    let (effect, is_final) = match seen(world, run, experiment, targets, restored_at).await {
        Ok(seen) => {
            let effect = evaluate_effect(experiment, &seen);
            let was_injected = seen.injected.values().any(|count| *count > 0.0);
            (effect, was_injected)
        }
        Err(error) => {
            let missing = format!("it is not known whether the faults took effect: {error}");
            let is_final = matches!(error, AlarmError::Unusable(_));
            (Effect { missing: Some(missing), injected: "unknown".to_owned() }, is_final)
        }
    };
    let left = world.now().until(restored_at + MAX_EFFECT_WAIT);
    match run.reason {
        _ if is_final || left.is_zero() => EffectCheck::Done(effect),
        Some(EndReason::DurationElapsed) => EffectCheck::Requeue(left.min(EFFECT_POLL_INTERVAL)),
        // A run that was ended early does not wait for metrics, so their absence means nothing.
        _ => EffectCheck::Done(Effect::not_known_yet()),
    }
}

async fn seen(
    world: &impl World,
    run: &Run,
    experiment: &Experiment,
    targets: &[TargetRecord],
    restored_at: Time,
) -> Result<Seen, AlarmError> {
    let kinds = kinds(experiment);
    let injected: Vec<Metric> =
        kinds.iter().filter_map(|kind| injected_faults(experiment, run, kind, MINUTE_SECONDS)).collect();
    let (from, until) = (down(run.created_at), up(restored_at));
    let counts = retry(world, || world.metrics(&injected, from, until)).await?;
    let injected = kinds.into_iter().zip(counts.iter().map(|values| sum(values))).collect();
    let invocations = match minutes(run) {
        Some((from, until)) => {
            let functions: BTreeSet<&str> = targets.iter().map(|target| target.function.name()).collect();
            let invocations = |function: &str| of_function(function, "Invocations", "Sum", MINUTE_SECONDS);
            let metrics: Vec<Metric> = functions.into_iter().filter_map(invocations).collect();
            let counts = retry(world, || world.metrics(&metrics, from, until)).await?;
            Some(total(counts.iter().map(|values| sum(values))))
        }
        None => None,
    };
    Ok(Seen { injected, invocations })
}

/// Returns the whole minutes between the end of the injection and the beginning of the restore.
fn minutes(run: &Run) -> Option<(Time, Time)> {
    let (from, until) = (up(run.in_place_at()?), down(run.stopping_at?));
    (from < until).then_some((from, until))
}

fn down(time: Time) -> Time {
    Time(time.0.div_euclid(MINUTE_MS) * MINUTE_MS)
}

fn up(time: Time) -> Time {
    down(Time(time.0 + MINUTE_MS - 1))
}

/// Adds values. Without any, the result is 0, not -0 as with the standard library's `sum`.
fn total(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, |sum, value| sum + value)
}

fn sum(values: &[f64]) -> f64 {
    total(values.iter().copied())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::input::read_experiment;
    use crate::testing::samples::{experiment, faults, run_id};

    #[test]
    fn only_whole_minutes_with_all_faults_in_place_are_asked_for() {
        let one = read_experiment(&experiment(&["checkout"], &faults()[..1])).unwrap_or_else(|e| unreachable!("{e}"));
        let mut run = crate::model::marker::stopped_marker(&run_id("r"), &EndReason::DurationElapsed.into(), Time(0));
        run.experiment = Some(one);
        // It lasts a minute: from 10 s after a full minute there is no whole one in it, and from 0 s there is.
        let at = |seconds: i64| Time(seconds * 1000);
        (run.ends_at, run.stopping_at) = (Some(at(670)), Some(at(670)));
        assert_eq!(minutes(&run), None);
        (run.ends_at, run.stopping_at) = (Some(at(660)), Some(at(661)));
        assert_eq!(minutes(&run), Some((at(600), at(660))));
        run.stopping_at = Some(at(659));
        assert_eq!(minutes(&run), None);
    }

    #[test]
    fn a_count_without_metrics_is_0_and_not_minus_0() {
        assert_eq!((sum(&[]).to_string(), total(std::iter::empty()).to_string()), ("0".to_owned(), "0".to_owned()));
        assert_eq!(sum(&[1.0, 2.0]).to_string(), "3");
    }

    #[test]
    fn metrics_are_named_as_the_proxy_names_them() {
        let one = read_experiment(&experiment(&["checkout"], &faults()[7..8])).unwrap_or_else(|e| unreachable!("{e}"));
        let run = crate::model::marker::stopped_marker(&run_id("r"), &EndReason::DurationElapsed.into(), Time(0));
        let metric = injected_faults(&one, &run, "latency", MINUTE_SECONDS)
            .map(|metric| (metric.namespace, metric.name, metric.dimensions));
        let dimensions = [("Experiment", "a test"), ("Fault", "latency"), ("Run", "r")];
        let dimensions = dimensions.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(metric, Some(("snapback".into(), "InjectedFaults".into(), BTreeMap::from(dimensions))));
        assert!(of_function("checkout", "Invocations", "Sum", MINUTE_SECONDS).is_some());
    }
}
