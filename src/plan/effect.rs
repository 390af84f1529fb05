//! Decides whether the faults inside invocations took effect, from the number of invocations and of injected faults.
//!
//! The proxy counts each injected fault in a metric (`InjectedFaults`). A run without any proves nothing, regardless of
//! its steady state. A fault for a share of the invocations can miss all of them by chance. That is accepted only if
//! its probability is at least 1 in 10,000.

use std::collections::BTreeMap;

use crate::model::experiment::Experiment;
use crate::model::fault::Fault;
use crate::model::invocation::{HandlerOrder, InvocationFault};
use crate::model::run::Run;
use crate::model::steady_state::Metric;

/// The period of Lambda's metrics (lambda/latest/dg/monitoring-metrics-types).
pub const MINUTE_SECONDS: u32 = 60;
/// The smallest probability with which chance is accepted as the reason for no injected fault.
const MIN_CHANCE: f64 = 1e-4;

/// The figures from CloudWatch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// How often each kind of fault was injected during the run.
    pub injected: BTreeMap<&'static str, f64>,
    /// How often the targets were invoked in the whole minutes in which all faults were in place; `None` if there is no
    /// such minute.
    pub invocations: Option<f64>,
}

/// The conclusion from the figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effect {
    /// Why nothing shows that the faults took effect; `None` if something does, or if nothing had to.
    pub missing: Option<String>,
    /// What was injected, for the report.
    pub injected: String,
}

impl Effect {
    /// The conclusion of a run that is closed before its metrics can have arrived.
    #[must_use]
    pub fn not_known_yet() -> Self {
        let why = "the run was closed before its metrics came; the metric InjectedFaults in CloudWatch will have them";
        Self {
            missing: Some(format!("it is not known yet whether the faults took effect: {why}")),
            injected: format!("not known yet; {why}"),
        }
    }
}

/// The metric that the proxy and the chaos handler write for each kind of fault (src/proxy/log.rs).
#[must_use]
pub fn injected_faults(experiment: &Experiment, run: &Run, kind: &str, period_seconds: u32) -> Option<Metric> {
    let dimensions = [("Experiment", experiment.name.as_str()), ("Run", run.id.as_str()), ("Fault", kind)];
    Metric::named("snapback", "InjectedFaults", &dimensions, "Sum", period_seconds)
}

/// A metric of a function through all of its aliases and versions (lambda/latest/dg/monitoring-metrics-types).
#[must_use]
pub fn of_function(function: &str, name: &str, statistic: &str, period_seconds: u32) -> Option<Metric> {
    Metric::named("AWS/Lambda", name, &[("FunctionName", function)], statistic, period_seconds)
}

/// Returns the kinds of an experiment's faults that metrics count.
#[must_use]
pub fn kinds(experiment: &Experiment) -> Vec<&'static str> {
    let mut kinds: Vec<&'static str> = experiment.faults.iter().filter_map(Fault::counted_as).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Compares the injected faults with the number that the experiment and the traffic make likely.
#[must_use]
pub fn evaluate_effect(experiment: &Experiment, seen: &Seen) -> Effect {
    if seen.injected.values().any(|count| *count > 0.0) {
        let counts: Vec<String> = seen.injected.iter().map(|(kind, count)| format!("{count} x {kind}")).collect();
        // "At least", because CloudWatch may not have all values yet.
        return Effect { missing: None, injected: format!("at least {}{}", counts.join(", "), among(seen)) };
    }
    let faults: Vec<Selection> = experiment.faults.iter().filter_map(Selection::of).collect();
    let nothing =
        |missing: Option<String>, note: &str| Effect { missing, injected: format!("none{}{note}", among(seen)) };
    match seen.invocations {
        Some(0.0) => {
            nothing(Some("no invocation came while the faults were in place, so nothing was injected".to_owned()), "")
        }
        // Without the number of invocations, chance cannot be the reason even for a small share.
        None => {
            let unknown = "no whole minute of the clock lies within the time in which all faults were in place, and CloudWatch \
                           counts by these minutes; so it is not known how many invocations came, and not one fault was \
                           injected; use a duration of at least PT2M";
            nothing(Some(unknown.to_owned()), "")
        }
        Some(count) if chance_of_none(&faults, experiment.seed.is_some(), count) < MIN_CHANCE => {
            let came = format!("{count} invocations came while the faults were in place, and");
            nothing(Some(format!("{came} not one fault was injected")), "")
        }
        Some(_) => nothing(None, "; the faults' shares, conditions and qualifiers allow that"),
    }
}

fn among(seen: &Seen) -> String {
    seen.invocations.map_or(String::new(), |count| format!("; {count} or more invocations in whole minutes"))
}

/// How a fault selects invocations, as far as it bears on chance.
struct Selection {
    share: f64,
    /// Whether conditions or a qualifier select as well.
    is_narrowed: bool,
    is_of_initializations: bool,
}

impl Selection {
    fn of(fault: &Fault) -> Option<Self> {
        let invocation = fault.invocation();
        let rule = fault.order().map(HandlerOrder::rule).or_else(|| invocation.as_ref().map(InvocationFault::rule))?;
        Some(Self {
            share: rule.percentage.share(),
            is_narrowed: !rule.conditions.is_empty() || rule.qualifier.is_some(),
            is_of_initializations: matches!(fault, Fault::Init(_)),
        })
    }
}

/// Returns the probability that none of this number of invocations was selected. It is 1 if it cannot be known: with
/// conditions or qualifiers, and with a seed, which gives each environment the same rolls.
fn chance_of_none(faults: &[Selection], is_seeded: bool, invocations: f64) -> f64 {
    let chance = |fault: &Selection| {
        let spared = 1.0 - fault.share;
        if fault.is_narrowed || (is_seeded && spared > 0.0) {
            return 1.0;
        }
        // The update has ended all earlier environments, so at least one was initialized during the run.
        if fault.is_of_initializations { spared } else { spared.powf(invocations) }
    };
    faults.iter().map(chance).product()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::input::read_experiment;
    use serde_json::{Value, json};

    fn experiment(faults: Value, seed: Option<u32>) -> Experiment {
        let mut experiment =
            json!({ "name": "n", "targets": [{ "function": "f" }], "faults": faults, "duration": "PT1M" });
        if let Some(seed) = seed {
            experiment["seed"] = json!(seed);
        }
        read_experiment(&experiment).unwrap_or_else(|wrong| unreachable!("{wrong}"))
    }

    fn missing(faults: Value, seed: Option<u32>, invocations: Option<f64>) -> Option<String> {
        evaluate_effect(&experiment(faults, seed), &Seen { injected: BTreeMap::from([("error", 0.0)]), invocations })
            .missing
    }

    #[test]
    fn what_was_injected_is_counted() {
        let injected = BTreeMap::from([("error", 20.0), ("latency", 100.0)]);
        let faults = experiment(json!([{ "latency": { "delayMs": 5 } }, { "error": {} }, { "error": {} }]), None);
        assert_eq!(kinds(&faults), ["error", "latency"]);
        let seen = Seen { injected, invocations: Some(120.0) };
        let text = "at least 20 x error, 100 x latency; 120 or more invocations in whole minutes".to_owned();
        assert_eq!(evaluate_effect(&faults, &seen), Effect { missing: None, injected: text });
    }

    #[test]
    fn a_fault_for_every_invocation_is_missed_at_the_first() {
        let always = json!([{ "error": {} }]);
        let came = Some("1 invocations came while the faults were in place, and not one fault was injected".to_owned());
        assert_eq!(missing(always.clone(), None, Some(1.0)), came);
        assert_eq!(missing(always.clone(), Some(7), Some(1.0)), came);
        assert!(missing(always.clone(), None, None).is_some());
        let idle = Some("no invocation came while the faults were in place, so nothing was injected".to_owned());
        assert_eq!(missing(always, None, Some(0.0)), idle);
    }

    #[test]
    fn a_share_is_missed_when_chance_is_below_one_in_ten_thousand() {
        // 0.9 to the power of 87 is 1.05 in 10,000, and of 88 it is 0.94.
        let share = json!([{ "error": { "percentage": 10 } }]);
        assert_eq!(missing(share.clone(), None, Some(87.0)), None);
        assert!(missing(share.clone(), None, Some(88.0)).is_some());
        // Two that are independent are missed sooner.
        let two = json!([{ "error": { "percentage": 10 } }, { "disk": { "megabytes": 1, "percentage": 10 } }]);
        assert_eq!(missing(two.clone(), None, Some(43.0)), None);
        assert!(missing(two, None, Some(44.0)).is_some());
        // With a seed, each environment rolls the same numbers: a thousand first rolls are one.
        assert_eq!(missing(share, Some(7), Some(1000.0)), None);
    }

    #[test]
    fn without_a_count_of_invocations_no_fault_is_unproven() {
        let rules = [
            json!({}),
            json!({ "percentage": 1 }),
            json!({ "match": [{ "path": "a", "exists": true }] }),
            json!({ "qualifier": "live" }),
        ];
        for rule in rules {
            let missing = missing(json!([{ "error": rule }]), Some(7), None).unwrap_or_default();
            assert!(missing.contains("it is not known how many invocations came"), "{rule}: {missing}");
            assert!(
                missing.starts_with("no whole minute of the clock lies within") && missing.ends_with("PT2M"),
                "{missing}"
            );
        }
    }

    #[test]
    fn conditions_make_it_unknowable() {
        for rule in [json!({ "match": [{ "path": "a", "exists": true }] }), json!({ "qualifier": "live" })] {
            assert_eq!(missing(json!([{ "error": rule }]), None, Some(1000.0)), None);
        }
        let none = json!({ "qualifier": "live" });
        assert!(missing(json!([{ "exit": none }, { "error": {} }]), None, Some(1.0)).is_some());
    }

    #[test]
    fn an_initialization_rolls_once_for_all_of_its_invocations() {
        assert!(missing(json!([{ "init": { "delayMs": 1 } }]), None, Some(1.0)).is_some());
        assert_eq!(missing(json!([{ "init": { "delayMs": 1, "percentage": 50 } }]), None, Some(1000.0)), None);
    }
}
