//! Whether a run's faults took effect, by the metrics of the proxy and of Lambda, and what its report states about that.

use std::time::Duration;

use serde_json::{Value, json};
use snapback::model::facts::Alias;
use snapback::model::run::{EndReason, RunStatus};
use snapback::plan::rendering::{Outcome, ReportView};
use snapback::ports::{AlarmError, Clock};
use snapback::steps::effect::MAX_EFFECT_WAIT;
use snapback::testing::samples::{self, faults, function_arn, runtime_version, world};
use snapback::testing::{CallFailure, SimWorld, State};

use super::support::{Machine, block_on, run_of, target_of};

#[test]
fn a_run_whose_faults_were_injected_is_held() {
    let (world, report) = play(inside(json!({})), |_| {});
    assert_eq!((report.status, report.outcome, &report.effect), (RunStatus::Completed, Outcome::Held, &None));
    let injected = report.injected.unwrap_or_default();
    // The last minute is not complete yet.
    assert_eq!(injected, "at least 120 x error; 30 or more invocations in whole minutes");
    assert_eq!(world.count("GetMetricData"), 2, "what the first read showed needs no second one");
}

#[test]
fn a_run_whose_faults_met_no_invocation_is_unproven() {
    let blind = |state: &mut State| state.traffic.meets_faults = false;
    let (world, report) = play(inside(json!({})), blind);
    assert_eq!((report.status, report.outcome), (RunStatus::Completed, Outcome::Unproven));
    assert_eq!(report.steady_state, Some("held"), "it held, which proves nothing here");
    let came = "60 invocations came while the faults were in place, and not one fault was injected";
    assert_eq!(report.effect.as_deref(), Some(came));
    assert_eq!(report.injected.as_deref(), Some("none; 60 or more invocations in whole minutes"));
    // The metrics may have been late, so the report polled every 30 s for three minutes.
    assert_eq!(world.count("GetMetricData"), 2 * 7);
    // The function is not invoked at all.
    let (_, report) = play(inside(json!({})), |state| state.traffic.per_minute = 0.0);
    assert_eq!(report.outcome, Outcome::Unproven);
    let idle = "no invocation came while the faults were in place, so nothing was injected";
    assert_eq!(report.effect.as_deref(), Some(idle));
}

#[test]
fn a_run_behind_an_alias_that_hides_the_fault_is_unproven() {
    let hide = |state: &mut State| {
        let function = state.functions.get_mut(&function_arn("checkout")).expect("the sample function");
        function.aliases.push(Alias { name: "live".into(), version: "1".into() });
        state.traffic.meets_faults = false;
    };
    let (_, report) = play(inside(json!({})), hide);
    assert_eq!(report.outcome, Outcome::Unproven);
    let note = "checkout: traffic through the aliases live will not see the fault";
    assert!(report.notes.iter().any(|shown| shown == note), "{:?}", report.notes);
}

#[test]
fn shares_and_conditions_can_spare_every_invocation() {
    let blind = |state: &mut State| state.traffic.meets_faults = false;
    for rule in [
        json!({ "percentage": 1 }),
        json!({ "match": [{ "path": "path", "equals": "/checkout" }] }),
        json!({ "qualifier": "$LATEST" }),
    ] {
        let (_, report) = play(inside(rule.clone()), blind);
        assert_eq!((report.outcome, &report.effect), (Outcome::Held, &None), "{rule}");
        let injected = report.injected.unwrap_or_default();
        assert!(injected.ends_with("; the faults' shares, conditions and qualifiers allow that"), "{injected}");
    }
    // 25 % of 60 invocations cannot spare all of them: 0.75 to the power of 60 is 0.3 in 10 million.
    assert_eq!(play(inside(json!({ "percentage": 25 })), blind).1.outcome, Outcome::Unproven);
}

#[test]
fn a_run_without_a_whole_minute_of_metrics_is_unproven() {
    for rule in [json!({}), json!({ "percentage": 1 }), json!({ "qualifier": "$LATEST" })] {
        let mut experiment = inside(rule.clone());
        experiment["duration"] = json!("PT1M");
        let (_, report) = play(experiment, |state| {
            state.traffic.meets_faults = false;
            // A run of one minute that starts 10 s after a full minute contains no whole minute.
            state.elapsed += 10_000;
        });
        assert_eq!((report.status, report.outcome), (RunStatus::Completed, Outcome::Unproven), "{rule}");
        let effect = report.effect.unwrap_or_default();
        assert!(effect.contains("it is not known how many invocations came"), "{effect}");
        assert_eq!(report.injected.as_deref(), Some("none"), "{rule}");
    }
}

#[test]
fn a_report_waits_for_late_metrics() {
    let world = world(&["checkout"]);
    world.with(|state| state.traffic.meets_faults = false);
    let machine = Machine::new(&world, "run-1", without_steady_state(inside(json!({}))));
    block_on(async {
        machine.start().await.unwrap();
        machine.observe().await.unwrap();
    });
    let late = async {
        while run_of(&world, &machine.run).stopping_at.is_none() {
            world.sleep(Duration::from_secs(1)).await;
        }
        world.sleep(Duration::from_secs(100)).await;
        world.with(|state| state.traffic.meets_faults = true);
    };
    let ended = block_on(futures_util::future::join(machine.end(None), late)).0;
    let report = ended.report.expect("the run has a report");
    assert_eq!((report.outcome, report.effect), (Outcome::NoSteadyState, None));
    let restored_at = target_of(&world, &machine.run, "checkout").ended_at.unwrap();
    let closed_at = run_of(&world, &machine.run).closed_at.unwrap();
    assert!(restored_at.until(closed_at) <= MAX_EFFECT_WAIT);
}

#[test]
fn unreadable_metrics_are_never_held() {
    let denied = |state: &mut State| {
        state.metric_errors.insert("InjectedFaults".into(), AlarmError::Unusable("access denied".into()));
    };
    let (_, report) = play(inside(json!({})), denied);
    assert_eq!(report.outcome, Outcome::Unproven);
    let text = "it is not known whether the faults took effect: CloudWatch cannot be used: access denied";
    assert_eq!(report.effect.as_deref(), Some(text));
    assert_eq!(report.injected.as_deref(), Some("unknown"));
}

#[test]
fn a_run_ended_by_an_alarm_does_not_wait_for_metrics() {
    let world = world(&["checkout"]);
    world.with(|state| state.traffic.meets_faults = false);
    let machine = Machine::new(&world, "run-1", without_steady_state(inside(json!({}))));
    let ended = block_on(async {
        machine.start().await.unwrap();
        world.with(|state| state.alarms.insert("errors".into(), true));
        machine.observe().await.unwrap();
        machine.end(None).await
    });
    let report = ended.report.expect("the run has a report");
    assert_eq!((report.outcome, report.reason.as_deref()), (Outcome::EndedEarly, Some("alarm errors went into ALARM")));
    assert_eq!(run_of(&world, &machine.run).reason, Some(EndReason::Alarm { alarm: "errors".into() }));
    let why = "the run was closed before its metrics came; the metric InjectedFaults in CloudWatch will have them";
    assert_eq!(report.injected.as_deref(), Some(format!("not known yet; {why}").as_str()), "never `none`");
    let effect = format!("it is not known yet whether the faults took effect: {why}");
    assert_eq!(report.effect, Some(effect), "the report has it anyway");
    let restored_at = target_of(&world, &machine.run, "checkout").ended_at.unwrap();
    assert_eq!(restored_at.until(run_of(&world, &machine.run).closed_at.unwrap()), Duration::ZERO);
}

#[test]
fn configuration_faults_need_no_metrics_as_proof() {
    let mut experiment = samples::experiment(&["checkout"], &faults()[4..5]);
    experiment["steadyState"] = json!([{ "alarm": "errors" }]);
    let (world, report) = play(experiment, |state| state.traffic.per_minute = 0.0);
    assert_eq!((report.outcome, report.injected, report.effect), (Outcome::Held, None, None));
    assert_eq!(world.count("GetMetricData"), 0);
}

#[test]
fn a_metric_that_cannot_be_computed_is_never_held() {
    let mut experiment = samples::experiment(&["checkout"], &faults()[4..5]);
    let metric = json!({ "namespace": "AWS/Lambda", "name": "Errors", "statistic": "Sum", "period": "PT1M" });
    experiment["steadyState"] = json!([{ "metric": metric, "below": 5 }]);
    let unknown = |state: &mut State| {
        state.metric_errors.insert("Errors".into(), AlarmError::Unavailable("Errors: InternalError".into()));
    };
    let text = "CloudWatch did not respond: Errors: InternalError";
    // Before the run, nothing starts.
    let world = world(&["checkout"]);
    world.with(unknown);
    let machine = Machine::new(&world, "run-1", experiment.clone());
    assert_eq!(block_on(machine.prepare()).unwrap_err().to_string(), text);
    // During the run, the run is rolled back; after the restore, the steady state is not evaluated.
    let ended = block_on(async {
        world.with(|state| state.metric_errors.clear());
        machine.start().await.unwrap();
        world.with(unknown);
        machine.end(machine.observe().await.err()).await
    });
    assert_eq!(ended.failure.unwrap().to_string(), text);
    assert_eq!(run_of(&world, &machine.run).deviations, None);
    assert_eq!(run_of(&world, &machine.run).reason.unwrap().to_string(), format!("Unavailable: {text}"));
}

#[test]
fn an_incomplete_period_does_not_end_a_healthy_run() {
    let mut experiment = samples::experiment(&["checkout"], &faults()[4..5]);
    let metric = json!({ "namespace": "Shop", "name": "Orders", "statistic": "Sum", "period": "PT1M" });
    experiment["steadyState"] = json!([{ "metric": metric, "above": 70 }]);
    // There are 100 orders a minute, of which the last minute shows only half so far.
    let (_, report) = play(experiment, |state| {
        state.metrics.insert("Orders".into(), 100.0);
    });
    assert_eq!((report.status, report.outcome), (RunStatus::Completed, Outcome::Held));
}

#[test]
fn a_report_names_both_runtime_versions_where_they_differ() {
    let newest = |state: &mut State| {
        let function = state.functions.get_mut(&function_arn("checkout")).expect("the sample function");
        function.newest_runtime = Some(runtime_version(2));
    };
    let (_, report) = play(samples::experiment(&["checkout"], &faults()[4..5]), newest);
    let moved = report.targets[0].runtime_version.clone().expect("it was moved");
    assert_eq!((moved.before, moved.after), (runtime_version(1), runtime_version(2)));
    let (_, report) = play(samples::experiment(&["checkout"], &faults()[4..5]), |_| {});
    assert_eq!(report.targets[0].runtime_version, None);
    // A fault that updates no configuration moves nothing.
    let (_, report) = play(samples::experiment(&["checkout"], &faults()[..1]), newest);
    assert_eq!(report.targets[0].runtime_version, None);
}

#[test]
fn a_report_keeps_ten_notes_and_counts_the_others() {
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let world = world(&names);
    world.with(|state| {
        for function in state.functions.values_mut() {
            function.aliases.push(Alias { name: "live".into(), version: "7".into() });
            function.seen.runtime = Some("python9.9".into());
        }
    });
    let machine = Machine::new(&world, "run-1", samples::experiment(&names, &faults()[4..5]));
    let report = block_on(machine.execute()).report.expect("the run has a report");
    assert_eq!(report.notes.len(), 11);
    assert_eq!(report.notes[10], "and 4 more notes; snapback plan shows all of them");
    let (_, report) = play(samples::experiment(&["checkout"], &faults()[4..5]), |_| {});
    assert!(report.notes.iter().all(|note| !note.contains("more notes")), "{:?}", report.notes);
}

#[test]
fn a_run_is_evaluated_once_after_all_targets_are_restored() {
    let mut experiment = samples::experiment(&["checkout"], &faults()[0..1]);
    experiment["steadyState"] = json!([{ "alarm": "errors" }]);
    for is_back in [true, false] {
        let world = world(&["checkout"]);
        let machine = Machine::new(&world, "run-1", experiment.clone());
        block_on(async {
            machine.start().await.unwrap();
            machine.observe().await.unwrap();
        });
        world.with(|state| match is_back {
            // An earlier report has evaluated the run but could not close it, and the alarm went off since then.
            true => {
                state.runs.get_mut(&machine.run).unwrap().deviations = Some(Vec::new());
                state.alarms.insert("errors".into(), true);
            }
            false => state.call_failures = vec![("PutFunctionConcurrency", CallFailure::Denied); 50],
        });
        block_on(machine.end(None));
        let deviations = run_of(&world, &machine.run).deviations;
        assert_eq!(deviations, is_back.then(Vec::new));
    }
}

/// An error in each invocation for two minutes, and an alarm as the steady state.
fn inside(rule: Value) -> Value {
    let mut experiment = samples::experiment(&["checkout"], &[("error", rule)]);
    experiment["duration"] = json!("PT2M");
    experiment["steadyState"] = json!([{ "alarm": "errors" }]);
    experiment
}

fn without_steady_state(mut experiment: Value) -> Value {
    experiment["steadyState"] = json!([]);
    experiment
}

/// Plays a whole run in a world that `spoil` has changed.
fn play(experiment: Value, spoil: impl FnOnce(&mut State)) -> (SimWorld, ReportView) {
    let world = world(&["checkout"]);
    world.with(spoil);
    let ended = block_on(Machine::new(&world, "run-1", experiment).execute());
    assert_eq!(ended.failure, None);
    (world, ended.report.expect("the run has a report"))
}
