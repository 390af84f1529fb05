//! Whole runs in the simulated world: their ordinary ends, and everything that may be repeated.

use std::time::Duration;

use futures_util::future::{join, join_all};
use serde_json::{Value, json};
use snapback::model::function::{Observation, Slot};
use snapback::model::run::{EndReason, RunStatus, TargetStatus};
use snapback::plan::rendering::Outcome;
use snapback::ports::Clock;
use snapback::steps::MAX_READ_STALENESS;
use snapback::steps::prepare::{Request, prepare};
use snapback::steps::restore::{RestoreOutcome, restore};
use snapback::steps::rollback::roll_back_all;
use snapback::testing::samples::{self, faults, function_arn, run_id, settings, world};

use super::stage::{experiments, machine, outcome, over, surfaces};
use super::support::{
    Machine, assert_nothing_stays, block_on, budget, give_way, mutating, observation, roll_back_by_user, run_of,
    target_of,
};

#[test]
fn a_normal_end_restores_exactly() {
    for (fault, experiment) in experiments() {
        let world = world(&["checkout", "bystander"]);
        let (before, bystander) = (observation(&world, "checkout"), observation(&world, "bystander"));
        let machine = machine(&world, &experiment);
        let during = async {
            world.sleep(Duration::from_secs(30)).await;
            (observation(&world, "checkout"), run_of(&world, &machine.run), target_of(&world, &machine.run, "checkout"))
        };
        let (ended, (during, run, target)) = block_on(join(machine.execute(), during));
        assert_eq!(ended.failure, None, "{fault}");
        assert_ne!(during, before, "{fault}: the fault was not in place");
        assert_eq!((run.status, target.status), (RunStatus::Running, TargetStatus::Injected), "{fault}");
        assert_eq!(outcome(&ended), (RunStatus::Completed, Outcome::NoSteadyState), "{fault}");
        assert_eq!(ended.report.unwrap().targets[0].status, TargetStatus::Restored, "{fault}");
        assert_eq!(observation(&world, "checkout"), before, "{fault}");
        assert_eq!(observation(&world, "bystander"), bystander, "{fault}");
        assert_eq!(mutating(&world).len(), 2 * surfaces(fault), "{fault}: {:?}", mutating(&world));
        assert_nothing_stays(&world);
        // The fault was in place for the whole duration, and not much longer.
        let closed = run_of(&world, &machine.run);
        let length = closed.closed_at.unwrap().0 - closed.created_at.0;
        assert!((60_000..80_000).contains(&length), "{fault}: {length} ms");
    }
}

#[test]
fn absent_concurrency_is_restored_as_absent_and_zero_as_zero() {
    for original in [Slot::Absent, Slot::Present(0), Slot::Present(5)] {
        let world = world(&["checkout"]);
        world.with(|state| {
            state.functions.get_mut(&function_arn("checkout")).unwrap().edit(|seen| seen.concurrency = original)
        });
        let fault = ("reservedConcurrency", json!({ "limit": 1 }));
        let ended = block_on(machine(&world, &samples::experiment(&["checkout"], &[fault])).execute());
        assert_eq!(outcome(&ended), (RunStatus::Completed, Outcome::NoSteadyState));
        assert_eq!(observation(&world, "checkout").concurrency, original);
        let deletes = usize::from(original == Slot::Absent);
        assert_eq!(world.count("DeleteFunctionConcurrency"), deletes);
    }
}

#[test]
fn a_fault_with_nothing_to_change_writes_nothing() {
    let world = world(&["checkout"]);
    let machine = machine(&world, &samples::experiment(&["checkout"], &faults()[4..5]));
    let ended = block_on(async {
        let prepared = machine.prepare().await.unwrap();
        // A deploy sets the very timeout that the fault would set.
        world.with(|state| state.functions.get_mut(&function_arn("checkout")).unwrap().edit(|seen| seen.timeout = 1));
        machine.end(machine.go(&prepared.functions).await.err()).await
    });
    assert_eq!(outcome(&ended), (RunStatus::Completed, Outcome::Unproven));
    let report = ended.report.expect("the run has a report");
    assert_eq!(report.effect.as_deref(), Some("nothing was injected into checkout"));
    assert_eq!(mutating(&world), Vec::<String>::new());
    assert_nothing_stays(&world);
}

#[test]
fn a_deviation_rolls_back_a_run_and_is_reported_after_it() {
    let mut experiment = experiments()[4].1.clone();
    experiment["steadyState"] = json!([{
        "metric": { "namespace": "AWS/Lambda", "name": "Errors", "statistic": "Sum", "period": "PT1M" }, "below": 5
    }]);
    // The steady state deviates during the run.
    let during = world(&["checkout"]);
    let run = machine(&during, &experiment);
    let deviate = async {
        during.sleep(Duration::from_secs(20)).await;
        during.with(|state| state.metrics.insert("Errors".into(), 9.0));
        during.sleep(Duration::from_secs(15)).await;
        during.with(|state| state.metrics.insert("Errors".into(), 0.0));
    };
    let (ended, ()) = block_on(join(run.execute(), deviate));
    assert_eq!(outcome(&ended), (RunStatus::Stopped, Outcome::EndedEarly));
    let report = ended.report.unwrap();
    assert_eq!(
        report.reason.unwrap(),
        "the steady state deviated: Sum of AWS/Lambda Errors per 1 min < 5, but it is 9"
    );
    assert_eq!(report.steady_state, Some("held"), "it has recovered");
    // After the run, the steady state recovers in time, or it does not.
    for (recovers_after, status) in [(30, "held"), (200, "deviated")] {
        let after = world(&["checkout"]);
        let run = machine(&after, &experiment);
        let deviate = async {
            while !after.with(|state| state.runs.values().any(|run| run.status == RunStatus::Stopping)) {
                after.sleep(Duration::from_millis(500)).await;
            }
            after.with(|state| state.metrics.insert("Errors".into(), 9.0));
            after.sleep(Duration::from_secs(recovers_after)).await;
            after.with(|state| state.metrics.insert("Errors".into(), 0.0));
        };
        let (ended, ()) = block_on(join(run.execute(), deviate));
        let held = if status == "held" { Outcome::Held } else { Outcome::EndedEarly };
        assert_eq!(outcome(&ended), (RunStatus::Completed, held), "{status}");
        assert_eq!(ended.report.unwrap().steady_state, Some(status));
        assert_nothing_stays(&after);
    }
}

#[test]
fn restoring_again_changes_nothing() {
    for (fault, experiment) in experiments() {
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let machine = machine(&world, &experiment);
        block_on(machine.start()).unwrap();
        let rolled = block_on(roll_back_by_user(&world, &machine.run, Duration::from_secs(120))).unwrap();
        let writes = mutating(&world);
        for _ in 0..3 {
            let again = block_on(restore(
                &world,
                &rolled.run,
                &function_arn("checkout"),
                budget(&world, Duration::from_secs(30)),
            ));
            assert_eq!(again, Ok(RestoreOutcome::Ended(TargetStatus::Restored)), "{fault}");
        }
        for _ in 0..3 {
            block_on(roll_back_by_user(&world, &machine.run, Duration::from_secs(120))).unwrap();
            block_on(roll_back_all(&world, &EndReason::UserRequest.into(), budget(&world, Duration::from_secs(120))))
                .unwrap();
            assert_eq!(outcome(&block_on(machine.end(None))), (RunStatus::Stopped, Outcome::EndedEarly), "{fault}");
        }
        assert_eq!(mutating(&world), writes, "{fault}");
        assert_eq!(observation(&world, "checkout"), before, "{fault}");
        assert_nothing_stays(&world);
    }
}

#[test]
fn every_task_may_be_repeated() {
    for (fault, experiment) in experiments() {
        let world = world(&["checkout"]);
        let before = observation(&world, "checkout");
        let ended = block_on(Machine { times: 3, ..machine(&world, &experiment) }.execute());
        assert_eq!(ended.failure, None, "{fault}");
        assert_eq!(outcome(&ended), (RunStatus::Completed, Outcome::NoSteadyState), "{fault}");
        assert_eq!(mutating(&world).len(), 2 * surfaces(fault), "{fault}: {:?}", mutating(&world));
        assert_eq!(observation(&world, "checkout"), before, "{fault}");
        assert_nothing_stays(&world);
    }
}

#[test]
fn a_deleted_target_is_closed_and_delays_nothing() {
    // The target is deleted after each call of a whole run in turn, from the moment that the targets are written.
    for (fault, mut experiment) in experiments() {
        experiment["targets"] = json!([{ "function": "checkout" }, { "function": "payment" }]);
        let mut statuses = Vec::new();
        for calls in 1.. {
            let world = world(&["checkout", "payment"]);
            let payment = observation(&world, "payment");
            let machine = machine(&world, &experiment);
            let prepared = block_on(machine.prepare()).unwrap();
            let from = world.with(|state| state.calls.len());
            let delete = async {
                while world.with(|state| state.calls.len()) < from + calls
                    && !world.with(|state| state.runs.values().any(over))
                {
                    give_way().await;
                }
                let over = world.with(|state| state.runs.values().any(over));
                world.with(|state| state.functions.remove(&function_arn("checkout")));
                over
            };
            let rest = async { machine.end(machine.go(&prepared.functions).await.err()).await };
            let (ended, over) = block_on(join(rest, delete));
            let note = format!("{fault}, after call {calls}");
            assert_eq!(ended.failure, None, "{note}");
            let status = target_of(&world, &machine.run, "checkout").status;
            assert!(
                matches!(status, TargetStatus::Deleted | TargetStatus::Untouched | TargetStatus::Restored),
                "{note}: {status:?}"
            );
            let outcomes = match status {
                TargetStatus::Deleted => Outcome::Drifted,
                // The target was deleted before anything could be injected.
                TargetStatus::Untouched => Outcome::Unproven,
                _ => Outcome::NoSteadyState,
            };
            assert_eq!(outcome(&ended), (RunStatus::Completed, outcomes), "{note}");
            assert_eq!(target_of(&world, &machine.run, "payment").status, TargetStatus::Restored, "{note}");
            assert_eq!(observation(&world, "payment"), payment, "{note}");
            assert_nothing_stays(&world);
            statuses.push(status);
            if over {
                break;
            }
        }
        statuses.dedup();
        assert_eq!(statuses, [TargetStatus::Untouched, TargetStatus::Deleted, TargetStatus::Restored], "{fault}");
    }
}

#[test]
fn a_version_published_during_the_run_is_reported() {
    for (fault, experiment) in experiments() {
        let world = world(&["checkout"]);
        let publish = |version: u64| {
            world.with(|state| state.functions.get_mut(&function_arn("checkout")).unwrap().versions.push(version))
        };
        publish(6);
        publish(7);
        let machine = machine(&world, &experiment);
        block_on(machine.start()).unwrap();
        publish(9);
        publish(8);
        let ended = block_on(machine.end(None));
        let frozen = ended.report.unwrap().targets[0].frozen_versions.clone();
        // Reserved concurrency and mappings do not belong to a version.
        let expected: &[&str] =
            if ["reservedConcurrency", "eventSourceMapping"].contains(&fault) { &[] } else { &["8", "9"] };
        assert_eq!(frozen, expected, "{fault}");
    }
}

#[test]
fn forty_targets_run_concurrently() {
    let names: Vec<String> = (0..40).map(|n| format!("f{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for (fault, _) in experiments() {
        let world = world(&names);
        let before: Vec<Observation> = names.iter().map(|name| observation(&world, name)).collect();
        let faults: Vec<(&str, Value)> = faults().into_iter().filter(|(name, _)| *name == fault).collect();
        if faults.is_empty() {
            continue;
        }
        let mut machine = machine(&world, &samples::experiment(&names, &faults));
        machine.settings.target_limit = 40;
        world.with(|state| state.conflicts = 40);
        let ended = block_on(machine.execute());
        assert_eq!(ended.failure, None, "{fault}");
        assert_eq!(outcome(&ended), (RunStatus::Completed, Outcome::NoSteadyState), "{fault}");
        assert_eq!(mutating(&world).len(), 80, "{fault}");
        let after: Vec<Observation> = names.iter().map(|name| observation(&world, name)).collect();
        assert_eq!(after, before, "{fault}");
        assert_nothing_stays(&world);
    }
}

#[test]
fn a_function_belongs_to_one_run_at_a_time() {
    let (_, experiment) = &experiments()[0];
    let world = world(&["checkout"]);
    let before = observation(&world, "checkout");
    let names = ["run-1", "run-2", "run-3", "run-4"];
    let machines: Vec<Machine<'_>> = names.iter().map(|name| Machine::new(&world, name, experiment.clone())).collect();
    let ended = block_on(join_all(machines.iter().map(Machine::execute)));
    let completed = ended.iter().filter(|ended| ended.failure.is_none()).count();
    assert_eq!(completed, 1);
    for failure in ended.iter().filter_map(|ended| ended.failure.as_ref()) {
        assert_eq!(failure.name(), "Locked", "{failure}");
    }
    assert_eq!(mutating(&world).len(), 2);
    assert_eq!(observation(&world, "checkout"), before);
    assert_nothing_stays(&world);
}

#[test]
fn a_run_waits_until_no_read_can_show_the_previous_fault() {
    let (_, experiment) = &experiments()[0];
    let world = world(&["checkout"]);
    block_on(machine(&world, experiment).execute());
    let released = world.with(|state| state.locks[&function_arn("checkout")].released_at.unwrap());
    let second = Machine::new(&world, "run-2", experiment.clone());
    let armed_at = block_on(async {
        let prepared = second.prepare().await.unwrap();
        second.arm(&prepared.functions).await.unwrap();
        world.now()
    });
    assert!(armed_at >= released + MAX_READ_STALENESS, "{released} to {armed_at}");
}

#[test]
fn a_function_that_is_named_and_tagged_is_one_target() {
    for name in ["checkout", "123456789012:function:checkout", function_arn("checkout").as_str(), "checkout:$LATEST"] {
        let world = world(&["checkout", "payment", "unasked-checkout"]);
        world.with(|state| {
            let other = state.functions.get_mut(&function_arn("unasked-checkout")).unwrap();
            other.seen.tags =
                snapback::model::function::Tags::Known([("chaos".to_owned(), "allowed".to_owned())].into());
        });
        let mut experiment = experiments()[0].1.clone();
        experiment["targets"] = json!([{ "function": name }, { "tags": { "team": "shop" } }]);
        let request = Request { run: run_id("run-1"), execution_arn: "execution-1".into(), experiment };
        let prepared = block_on(prepare(&world, &settings(), &request)).unwrap();
        assert_eq!(prepared.functions.len(), 2, "{name}");
    }
}
