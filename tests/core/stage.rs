//! Experiments to play, deploys during a run, and the invariants of every moment.

use serde_json::Value;
use snapback::model::function::{Environment, Observation, Slot};
use snapback::model::invocation::FAULTS_VARIABLE;
use snapback::model::names::Handler;
use snapback::model::run::RunStatus;
use snapback::model::secret::Secret;
use snapback::model::snapshot::Write;
use snapback::model::time::Time;
use snapback::plan::rendering::Outcome;
use snapback::testing::SimWorld;
pub use snapback::testing::samples::experiments;
use snapback::testing::samples::{function_arn, layer_arn};

use super::support::{Ended, Machine, observation};

pub fn machine<'a>(world: &'a SimWorld, experiment: &Value) -> Machine<'a> {
    Machine::new(world, "run-1", experiment.clone())
}

pub fn outcome(ended: &Ended) -> (RunStatus, Outcome) {
    let report = ended.report.as_ref().expect("the run has a report");
    (report.status, report.outcome)
}

/// Whether the proxy injects this fault.
pub fn is_inside_invocations(fault: &str) -> bool {
    let inside = [
        "latency",
        "invocationTimeout",
        "error",
        "response",
        "corrupt",
        "disk",
        "init",
        "exit",
        "dependency",
        "several inside invocations",
    ];
    inside.contains(&fault)
}

/// The number of mutating calls of an inject, and of a restore: one for each surface that the fault changes.
pub fn surfaces(fault: &str) -> usize {
    if fault == "several at once" { 3 } else { 1 }
}

/// Changes one field that the fault touches, as a deploy would; returns what to compare it by.
pub fn deploy_over(world: &SimWorld, fault: &str) {
    world.with(|state| {
        if fault == "eventSourceMapping" {
            state.mappings.clear();
        }
        let function = state.functions.get_mut(&function_arn("checkout")).unwrap();
        function.edit(|seen| match fault {
            "reservedConcurrency" | "several at once" => seen.concurrency = Slot::Present(77),
            "handler" | "the chaos handler" | "the chaos handler next to the proxy" => {
                seen.handler = Some(Handler::try_from("deployed.handler").unwrap());
            }
            "layer" => set(seen, "CHAOS_RATE", "deployed"),
            "environment" => set(seen, "RUST_LOG", "deployed"),
            "timeout" => seen.timeout = 77,
            "memory" => seen.memory = 777,
            "eventSourceMapping" => {}
            inside if is_inside_invocations(inside) => set(seen, FAULTS_VARIABLE, "deployed"),
            other => panic!("{other}"),
        });
    });
}

/// Changes fields that no fault touches.
pub fn deploy_other_fields(world: &SimWorld) {
    world.with(|state| {
        state.layers.insert(layer_arn("deployed"), snapback::model::facts::LayerFact::plain());
        let function = state.functions.get_mut(&function_arn("checkout")).unwrap();
        function.edit(|seen| {
            set(seen, "DEPLOYED", "yes");
            seen.layers.insert(1, layer_arn("deployed"));
            seen.runtime = Some("python3.13".into());
        });
    });
}

pub fn set(seen: &mut Observation, name: &str, value: &str) {
    let Environment::Readable(variables) = &mut seen.environment else { panic!("it is readable") };
    variables.insert(name.into(), Secret::new(value));
}

/// Returns `seen` with the deploy of `deploy_other_fields`.
pub fn with_other_fields_deployed(mut seen: Observation) -> Observation {
    set(&mut seen, "DEPLOYED", "yes");
    seen.layers.insert(1, layer_arn("deployed"));
    seen.runtime = Some("python3.13".into());
    seen
}

/// The name of the call that injects, and of the one that restores.
pub fn call_names(fault: &str) -> (&'static str, &'static str) {
    match fault {
        "reservedConcurrency" | "several at once" => ("PutFunctionConcurrency", "PutFunctionConcurrency"),
        "eventSourceMapping" => ("UpdateEventSourceMapping", "UpdateEventSourceMapping"),
        _ => ("UpdateFunctionConfiguration", "UpdateFunctionConfiguration"),
    }
}

/// Polls two futures in an order that a seed decides, until both have completed.
pub async fn interleave<A: Future, B: Future>(
    seed: u64,
    a: A,
    b: B,
    mut after_each: impl FnMut(),
) -> (A::Output, B::Output) {
    use std::task::Poll;
    let (mut a, mut b) = (Box::pin(a), Box::pin(b));
    let (mut first, mut second) = (None, None);
    let mut dice = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::future::poll_fn(move |context| {
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        if (dice >> 32).is_multiple_of(2) || second.is_some() {
            if first.is_none()
                && let Poll::Ready(output) = a.as_mut().poll(context)
            {
                first = Some(output);
            }
        } else if let Poll::Ready(output) = b.as_mut().poll(context) {
            second = Some(output);
        }
        after_each();
        match (first.take(), second.take()) {
            (Some(a), Some(b)) => Poll::Ready((a, b)),
            (a, b) => {
                (first, second) = (a, b);
                Poll::Pending
            }
        }
    })
    .await
}

/// Asserts that the function of a target with a final status is restored, and that no call in flight can change it.
pub fn assert_final_is_true(world: &SimWorld, original: &Observation, fault: &str) {
    let ended = world.with(|state| {
        let finals = state.targets.values().filter(|target| target.status.is_final());
        finals.map(|target| target.status).collect::<Vec<_>>()
    });
    if ended.is_empty() {
        return;
    }
    assert_eq!(observation(world, "checkout"), *original, "{fault}: it is reported as {ended:?}");
    world.with(|state| {
        let late = &state.functions[&function_arn("checkout")].late_writes;
        let harmful: Vec<&(Time, Write)> = late.iter().collect();
        assert!(harmful.is_empty(), "{fault}: it is reported as {ended:?}, and {harmful:?} can land");
    });
}

pub fn over(run: &snapback::model::run::Run) -> bool {
    run.status.is_final()
}
