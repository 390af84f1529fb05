//! A thousand targets rolled back together, at Lambda's rates, in virtual time.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::join;
use serde_json::{Value, json};
use snapback::model::names::FunctionArn;
use snapback::model::run::{EndReason, TargetStatus};
use snapback::model::time::seconds_up;
use snapback::ports::Clock;
use snapback::steps::MAX_CONCURRENCY;
use snapback::steps::reap::reap;
use snapback::steps::restore::RestoreOutcome;
use snapback::steps::rollback::{RolledBack, roll_back, roll_back_all};
use snapback::testing::samples::{self, faults, function_arn, layer_arn, observation, world};
use snapback::testing::{CallFailure, SimWorld, State};

use super::support::{Machine, block_on, budget, roll_back_by_user};

/// The rollback function's timeout in `infra/template.yaml`.
const INVOCATION: Duration = Duration::from_secs(900);

/// Adds functions that carry their team's tag, so one target of an experiment selects them all.
fn add_team(world: &SimWorld, team: &str, count: usize) -> Vec<FunctionArn> {
    let names: Vec<String> = (0..count).map(|n| format!("{team}-{n:04}")).collect();
    world.with(|state| {
        for name in &names {
            let mut seen = observation(name);
            seen.tags = snapback::model::function::Tags::Known(
                [("chaos", "allowed"), ("team", team)].map(|(key, value)| (key.into(), value.into())).into(),
            );
            state.add_function(seen);
        }
    });
    names.iter().map(|name| function_arn(name)).collect()
}

/// Injects this fault into all of a team's functions, by the real steps.
fn injected<'a>(world: &'a SimWorld, run: &str, team: &str, fault: &(&'static str, Value)) -> Machine<'a> {
    let mut experiment = samples::experiment(&[], std::slice::from_ref(fault));
    experiment["targets"] = json!([{ "tags": { "team": team } }]);
    let mut machine = Machine::new(world, run, experiment);
    machine.settings.target_limit = 1_000;
    block_on(machine.start()).unwrap();
    world.advance(Duration::from_secs(60));
    machine
}

/// Prepares `count` functions with this fault, from a run whose execution was stopped. From here on, Lambda's rates apply.
fn team_with_fault(count: usize, fault: &(&'static str, Value)) -> (SimWorld, Vec<FunctionArn>) {
    let world = world(&[]);
    let functions = add_team(&world, "shop", count);
    injected(&world, "run-1", "shop", fault).kill();
    limit(&world);
    (world, functions)
}

fn limit(world: &SimWorld) {
    world.with(|state| {
        state.calls.clear();
        state.writes.clear();
        state.limit_rates();
    });
}

/// Counts the calls to which Lambda applies its 15 per second.
fn control_calls(world: &SimWorld) -> u32 {
    let control = [
        "PutFunction",
        "DeleteFunction",
        "UpdateFunction",
        "UpdateEvent",
        "List",
        "GetLayer",
        "GetFunctionCode",
        "GetCode",
        "GetRuntime",
        "GetAccount",
    ];
    let counts = |call: &&String| control.iter().any(|name| call.starts_with(name));
    world.with(|state| state.calls.iter().filter(counts).count()).try_into().unwrap()
}

/// Asserts that everything is restored and that nothing else was changed.
fn assert_all_restored(world: &SimWorld, functions: &[FunctionArn], fault: &str) {
    world.with(|state| {
        for function in functions {
            let (now, before) = (&state.observation(function).unwrap(), observation(function.name()));
            let fields = (&now.concurrency, &now.handler, &now.layers, &now.environment, now.timeout, now.memory);
            let mappings = (&now.mappings, &before.mappings);
            let original = (
                &before.concurrency,
                &before.handler,
                &before.layers,
                &before.environment,
                before.timeout,
                before.memory,
            );
            assert!(fields == original && mappings.0 == mappings.1, "{fault}: {now:?}");
            let lock = &state.locks[function];
            assert_eq!((&lock.run, lock.released_at.is_some()), (&None, true), "{fault}: {function}");
        }
        assert_eq!(state.targets.len(), functions.len(), "{fault}");
        let restored = state.targets.values().filter(|target| target.status == TargetStatus::Restored);
        assert_eq!(restored.count(), functions.len(), "{fault}");
    });
}

fn assert_all_ended(rolled_back: &RolledBack, count: usize) {
    assert_eq!(rolled_back.targets.len(), count);
    for (function, result) in &rolled_back.targets {
        assert_eq!(*result, Ok(RestoreOutcome::Ended(TargetStatus::Restored)), "{function}");
    }
}

/// Runs a worker and returns the most calls that it had in flight.
async fn with_most_calls_in_flight<T>(world: &SimWorld, worker: impl Future<Output = T>) -> (T, u64) {
    let (mut worker, mut most) = (pin!(worker), 0);
    std::future::poll_fn(|context| {
        let polled = worker.as_mut().poll(context);
        most = most.max(world.with(|state| state.in_flight));
        match polled {
            Poll::Ready(output) => Poll::Ready((output, most)),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Limits the worker's time and its calls in flight. One pass makes two calls concurrently, for the target and for the
/// function.
#[test]
fn a_thousand_targets_are_rolled_back_at_lambdas_rate() {
    for fault in [&faults()[0], &faults()[1]] {
        let (world, functions) = team_with_fault(1_000, fault);
        let began = world.now();
        let run = samples::run_id("run-1");
        let rollback = roll_back_by_user(&world, &run, INVOCATION);
        let (rolled_back, most) = block_on(with_most_calls_in_flight(&world, rollback));
        assert_all_ended(&rolled_back.unwrap(), 1_000);
        assert_all_restored(&world, &functions, fault.0);
        let calls = control_calls(&world);
        let (took, least) = ((world.now().0 - began.0) as f64 / 1000.0, f64::from(calls) / 15.0);
        let (passes, refused) =
            (world.count("GetFunction"), world.with(|state| state.rates.as_ref().unwrap().throttled));
        println!(
            "{}: 1000 targets in {took:.1} s; {calls} calls at 15 a second take {least:.1} s: {:.3} times; \
             {passes} passes, {refused} calls refused, {most} calls in flight at most",
            fault.0,
            took / least
        );
        assert!(took <= 1.1 * least, "{}: {took:.1} s for {least:.1} s", fault.0);
        assert_eq!(refused, 0, "{}: a single worker stays below the rates", fault.0);
        assert!(most <= 2 * 2 * MAX_CONCURRENCY as u64, "{}: {most} calls were in flight", fault.0);
        assert_eq!(world.with(|state| state.writes.len()), 1_000, "{}: one restoring call for each", fault.0);
        no_listing_delays_a_restoring_call(&world);
    }
}

/// A listing at the end of a target comes after the restoring calls of all targets.
fn no_listing_delays_a_restoring_call(world: &SimWorld) {
    world.with(|state| {
        let last = state.calls.iter().rposition(|call| call.starts_with("Update") && call != "UpdateItem").unwrap_or(0);
        let listings = state.calls[..last].iter().filter(|call| call.starts_with("ListVersions")).count();
        assert!(listings <= 2 * MAX_CONCURRENCY, "{listings} listings came before the last restoring call");
    });
}

/// Faults that do not expire on their own come first, regardless of the age of their runs.
#[test]
fn the_most_urgent_targets_come_first() {
    let world = world(&[]);
    let expiring = json!({ "layers": [layer_arn("chaos")], "deadlineVariable": "CHAOS_DEADLINE_MS" });
    let patient = add_team(&world, "a-patient", 100);
    let urgent = add_team(&world, "b-urgent", 100);
    injected(&world, "run-1", "a-patient", &("layer", expiring));
    injected(&world, "run-2", "b-urgent", &faults()[4]);
    limit(&world);
    block_on(roll_back_all(&world, &EndReason::UserRequest.into(), budget(&world, INVOCATION))).unwrap();
    let order: Vec<FunctionArn> =
        world.with(|state| state.writes.iter().map(|(function, _)| function.clone()).collect());
    assert_eq!(order, [urgent.clone(), patient.clone()].concat());
    assert_all_restored(&world, &[patient, urgent].concat(), "both");
}

/// A rollback and the reaper work on the same targets. They conflict, and both finish.
#[test]
fn two_workers_on_the_same_targets_both_finish() {
    for fault in [&faults()[0], &faults()[4]] {
        let (world, functions) = team_with_fault(200, fault);
        let run = samples::run_id("run-1");
        let budget = budget(&world, INVOCATION);
        let ending = EndReason::UserRequest.into();
        let rollback = roll_back(&world, &run, &ending, budget);
        let (rolled_back, (tick, error)) = block_on(join(rollback, reap(&world, budget)));
        assert_all_ended(&rolled_back.unwrap(), 200);
        assert_eq!((error, tick.handled, tick.failed_restores), (None, 1, 0), "{}", fault.0);
        assert_all_restored(&world, &functions, fault.0);
        assert_eq!(world.with(|state| state.writes.len()), 200, "{}: each is written once", fault.0);
    }
}

/// A rollback and the reaper, each with a separate run, together make twice the calls that Lambda allows. They are
/// throttled and pause, and neither gives up.
#[test]
fn two_workers_over_the_rates_both_finish() {
    for fault in [&faults()[0], &faults()[4], &faults()[6]] {
        let world = world(&[]);
        let functions = ["shop", "bank"].map(|team| add_team(&world, team, 300));
        let first = injected(&world, "run-1", "shop", fault);
        injected(&world, "run-2", "bank", fault).kill();
        limit(&world);
        let (began, budget) = (world.now(), budget(&world, INVOCATION));
        let ending = EndReason::UserRequest.into();
        let rollback = roll_back(&world, &first.run, &ending, budget);
        let (rolled_back, (tick, error)) = block_on(join(rollback, reap(&world, budget)));
        assert_all_ended(&rolled_back.unwrap(), 300);
        assert_eq!((error, tick.handled, tick.failed_restores), (None, 1, 0), "{}", fault.0);
        assert_all_restored(&world, &functions.concat(), fault.0);
        let refused = world.with(|state| state.rates.as_ref().unwrap().throttled);
        let taken = u64::from(control_calls(&world)) - refused;
        let (took, least) = ((world.now().0 - began.0) as f64 / 1000.0, taken as f64 / 15.0);
        println!(
            "{}: two workers, 600 targets in {took:.1} s; {taken} calls at 15 a second take {least:.1} s: {:.2} times; \
             {refused} more were refused",
            fault.0,
            took / least
        );
        assert!(refused > 0, "{}: they were never over the rates", fault.0);
        assert!(took < 2.0 * least, "{}: they paused for too long", fault.0);
    }
}

/// One 429 pauses the whole worker for as long as AWS asks, because other calls would be refused, too.
#[test]
fn a_429_pauses_the_calls_for_all_targets() {
    let (world, functions) = team_with_fault(40, &faults()[0]);
    world.with(|state| state.call_failures = vec![("PutFunctionConcurrency", CallFailure::Throttled)]);
    let run = samples::run_id("run-1");
    let rollback = roll_back_by_user(&world, &run, INVOCATION);
    let watch = async {
        world.sleep(Duration::from_millis(200)).await;
        let early = world.with(|state| state.writes.len());
        world.sleep(Duration::from_millis(790)).await;
        assert_eq!(world.with(|state| state.writes.len()), early, "within the second that AWS asked for");
        assert!(early < 2 * MAX_CONCURRENCY, "{early} of 40: only the calls in flight");
    };
    assert_all_ended(&block_on(join(rollback, watch)).0.unwrap(), 40);
    assert_all_restored(&world, &functions, "reservedConcurrency");
}

/// The reads of the guardrails stay within the rates as well.
#[test]
fn a_hundred_targets_are_checked_within_the_rates() {
    let world = world(&[]);
    add_team(&world, "shop", 100);
    world.with(State::limit_rates);
    let mut experiment = samples::experiment(&[], &faults()[1..2]);
    experiment["targets"] = json!([{ "tags": { "team": "shop" } }]);
    let mut machine = Machine::new(&world, "run-1", experiment);
    machine.settings.target_limit = 100;
    let began = world.now();
    assert_eq!(block_on(machine.prepare()).unwrap().functions.len(), 100);
    assert_eq!(world.with(|state| state.rates.as_ref().unwrap().throttled), 0);
    let took = began.until(world.now());
    assert!(seconds_up(took) <= u64::from(control_calls(&world)).div_ceil(15), "{took:?}");
}
