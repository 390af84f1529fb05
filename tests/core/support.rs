//! What the tests share: an executor without threads, and the state machine's order of steps.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use futures_util::future::join_all;
use serde_json::Value;
use snapback::model::function::{LastUpdate, Observation};
use snapback::model::names::{FunctionArn, RunId};
use snapback::model::run::{EndReason, Run, RunStatus, TargetRecord};
use snapback::plan::guardrails::Settings;
use snapback::plan::rendering::ReportView;
use snapback::ports::Clock;
use snapback::steps::Budget;
use snapback::steps::arm::{Armed, arm};
use snapback::steps::error::StepError;
use snapback::steps::inject::{Injected, inject};
use snapback::steps::observe::{Observed, observe};
use snapback::steps::prepare::{Prepared, Request, prepare};
use snapback::steps::reap::reap;
use snapback::steps::report::{Reported, report};
use snapback::steps::restore::{Restored, restore};
use snapback::steps::rollback::stop;
use snapback::testing::SimWorld;
use snapback::testing::samples::{function_arn, run_id, settings};

/// Runs a future to its end. Simulated calls and sleeps are always ready to go on, so polling again is enough.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..10_000_000_u64 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("the simulated world goes on for ever");
}

/// Runs a future until it ends or its runner dies.
pub fn survives<F: Future>(future: F) -> Option<F::Output> {
    let died = |cause: Box<dyn std::any::Any + Send>| {
        // A failed assertion is no death of a runner.
        assert_eq!(cause.downcast_ref::<&str>(), Some(&"the runner died"));
    };
    catch_unwind(AssertUnwindSafe(|| block_on(future))).map_err(died).ok()
}

/// Lets the others go on once.
pub async fn give_way() {
    let mut given = false;
    std::future::poll_fn(|_| if std::mem::replace(&mut given, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// What a function looks like to those who own it: its revision and how an update goes are not theirs.
pub fn picture(world: &SimWorld, name: &str) -> Observation {
    let mut seen = world.with(|state| state.functions[&function_arn(name)].seen.clone());
    seen.revision_id.clear();
    seen.last_update = LastUpdate::Successful;
    seen
}

pub fn run_of(world: &SimWorld, run: &RunId) -> Run {
    world.with(|state| state.runs[run].clone())
}

pub fn target_of(world: &SimWorld, run: &RunId, name: &str) -> TargetRecord {
    world.with(|state| state.targets[&(run.clone(), function_arn(name))].clone())
}

/// Nothing is locked, nothing is active, and nothing is on its way to any function.
pub fn assert_nothing_stays(world: &SimWorld) {
    world.with(|state| {
        assert!(state.locks.values().all(|lock| lock.run.is_none()), "{:?}", state.locks);
        assert_eq!(state.active, Vec::<RunId>::new());
        assert!(state.alarm_runs.values().all(Vec::is_empty), "{:?}", state.alarm_runs);
        assert!(state.functions.values().all(|function| function.late.is_empty()));
    });
}

/// The mutating calls of Lambda's among those that were made.
pub fn mutating(world: &SimWorld) -> Vec<String> {
    let mutates = |call: &&String| {
        ["Put", "Delete", "Update"].iter().any(|verb| call.starts_with(verb)) && !call.ends_with("Item")
    };
    world.with(|state| state.calls.iter().filter(mutates).cloned().collect())
}

/// What a task's invocation may take, as in infra/template.yaml.
pub fn budget(world: &SimWorld, seconds: i64) -> Budget {
    Budget { deadline: world.now().plus(seconds) }
}

/// Some ticks of the reaper, a minute apart.
pub fn reap_for(world: &SimWorld, ticks: u32) {
    for _ in 0..ticks {
        world.pass(60);
        let (_, error) = block_on(reap(world, budget(world, 55)));
        assert_eq!(error, None);
    }
}

/// How an execution ended.
#[derive(Debug)]
pub struct Ended {
    /// What it failed with.
    pub failure: Option<StepError>,
    /// Its report, if it came that far.
    pub report: Option<ReportView>,
}

/// The state machine of infra/statemachine.asl.json, in Rust: the same steps, in the same order, with the same retries.
pub struct Machine<'a> {
    pub world: &'a SimWorld,
    pub run: RunId,
    pub experiment: Value,
    pub settings: Settings,
    /// How often each task is done: an answer can be lost, and then Step Functions does it again.
    pub times: u32,
}

impl<'a> Machine<'a> {
    pub fn new(world: &'a SimWorld, run: &str, experiment: Value) -> Self {
        Self { world, run: run_id(run), experiment, settings: settings(), times: 1 }
    }

    pub fn execution(&self) -> String {
        format!("execution-{}", self.run)
    }

    pub fn kill(&self) {
        self.world.with(|state| state.dead_executions.push(self.execution()));
    }

    /// A whole execution.
    pub async fn execute(&self) -> Ended {
        let failure = match self.prepare().await {
            Ok(prepared) if prepared.status == RunStatus::Running => self.go(&prepared.functions).await.err(),
            Ok(_) => None,
            Err(refused @ (StepError::Refused(_) | StepError::InvalidInput(_))) => {
                return Ended { failure: Some(refused), report: None };
            }
            Err(error) => Some(error),
        };
        self.end(failure).await
    }

    pub async fn prepare(&self) -> Result<Prepared, StepError> {
        let (run, experiment) = (self.run.clone(), self.experiment.clone());
        let request = Request { run, execution_arn: self.execution(), experiment };
        self.task(5, 0, || prepare(self.world, &self.settings, &request)).await
    }

    /// From Arm to the end of Observe.
    pub async fn go(&self, functions: &[FunctionArn]) -> Result<(), StepError> {
        self.arm(functions).await?;
        self.inject(functions).await?;
        self.observe().await
    }

    /// Prepare, Arm and Inject.
    pub async fn start(&self) -> Result<(), StepError> {
        let prepared = self.prepare().await?;
        self.arm(&prepared.functions).await?;
        self.inject(&prepared.functions).await
    }

    pub async fn arm(&self, functions: &[FunctionArn]) -> Result<(), StepError> {
        all(functions.iter().map(|function| async move {
            while let Armed::Waiting(seconds) = self.task(5, 0, || arm(self.world, &self.run, function)).await? {
                self.wait(seconds).await;
            }
            Ok(())
        }))
        .await
    }

    pub async fn inject(&self, functions: &[FunctionArn]) -> Result<(), StepError> {
        all(functions.iter().map(|function| async move {
            let once = || inject(self.world, &self.run, function, budget(self.world, 30));
            while let Injected::Pending(seconds) = self.task(5, 0, once).await? {
                self.wait(seconds).await;
            }
            Ok(())
        }))
        .await
    }

    pub async fn observe(&self) -> Result<(), StepError> {
        while let Observed::Running(seconds) = self.task(5, 0, || observe(self.world, &self.run)).await? {
            self.wait(seconds).await;
        }
        Ok(())
    }

    /// From BeginRestore to the end.
    pub async fn end(&self, mut failure: Option<StepError>) -> Ended {
        let reason = match &failure {
            Some(error) => EndReason::Error { error: error.name().to_owned(), cause: error.to_string() },
            None => EndReason::DurationElapsed,
        };
        let run = match self.task(20, 3, || stop(self.world, &self.run, &reason)).await {
            Ok(run) => run,
            Err(error) => return Ended { failure: failure.or(Some(error)), report: None },
        };
        if let Err(error) = self.restore(&run).await {
            failure.get_or_insert(error);
        }
        loop {
            match self.task(20, 3, || report(self.world, &self.run)).await {
                Ok(Reported::Pending(seconds)) => self.wait(seconds).await,
                Ok(Reported::Closed(view)) => return Ended { failure, report: Some(*view) },
                Err(error) => return Ended { failure: failure.or(Some(error)), report: None },
            }
        }
    }

    pub async fn restore(&self, run: &Run) -> Result<(), StepError> {
        all(run.functions.iter().map(|function| async move {
            let once = || restore(self.world, run, function, budget(self.world, 30));
            while let Restored::Pending(seconds) = self.task(20, 3, once).await? {
                self.wait(seconds).await;
            }
            Ok(())
        }))
        .await
    }

    async fn wait(&self, seconds: u64) {
        self.world.sleep(seconds * 1000).await;
    }

    /// A task with its retries: so many of what may pass, so many of everything else.
    async fn task<T, F>(&self, mut unavailable: u32, mut other: u32, call: impl Fn() -> F) -> Result<T, StepError>
    where
        F: Future<Output = Result<T, StepError>>,
    {
        loop {
            for _ in 1..self.times {
                let _ = call().await;
            }
            let error = match call().await {
                Ok(output) => return Ok(output),
                Err(error) => error,
            };
            let left = if error.name() == "Unavailable" { &mut unavailable } else { &mut other };
            if *left == 0 {
                return Err(error);
            }
            *left -= 1;
            self.wait(1).await;
        }
    }
}

/// A Map: every iteration goes on to its end; the first failure is the Map's.
async fn all<F: Future<Output = Result<(), StepError>>>(iterations: impl Iterator<Item = F>) -> Result<(), StepError> {
    join_all(iterations).await.into_iter().collect()
}
