//! The state machine's order of steps, where each task is a function call: no schedule, no chance, and an executor
//! without threads.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{EndReason, Run, RunStatus};
use crate::model::settings::Settings;
use crate::model::time::in_whole_seconds;
use crate::plan::rendering::ReportView;
use crate::ports::Clock;
use crate::steps::Budget;
use crate::steps::arm::{ArmOutcome, arm};
use crate::steps::error::{StepError, StepErrorKind};
use crate::steps::inject::{InjectOutcome, inject};
use crate::steps::observe::{ObserveOutcome, observe};
use crate::steps::prepare::{Prepared, Request, prepare};
use crate::steps::rehearse::{Rehearsal, RehearseOutcome};
use crate::steps::report::{ReportOutcome, report};
use crate::steps::restore::{RestoreOutcome, restore};
use crate::steps::rollback::stop;

use super::SimWorld;
use super::samples::{run_id, settings};
use super::worker::Role;

/// Runs a future to its end. Simulated calls and sleeps are always ready to go on, so polling again is enough.
///
/// # Panics
/// When it has no end.
pub fn block_on<F: Future>(future: F) -> F::Output {
    watch(future, || {})
}

/// Runs a future to its end, and looks at the world after each of its steps.
///
/// # Panics
/// When it has no end.
pub fn watch<F: Future>(future: F, mut look: impl FnMut()) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..10_000_000_u64 {
        let polled = future.as_mut().poll(&mut context);
        look();
        if let Poll::Ready(output) = polled {
            return output;
        }
    }
    unreachable!("the simulated world goes on for ever");
}

/// Runs a future until it ends or its runner dies.
///
/// # Panics
/// When it panics: a failed assertion is no death of a runner.
pub fn survives<F: Future>(future: F) -> Option<F::Output> {
    survives_watched(future, || {})
}

/// Runs a future until it ends or its runner dies, and looks at the world after each of its steps.
///
/// # Panics
/// When it panics: a failed assertion is no death of a runner.
pub fn survives_watched<F: Future>(future: F, look: impl FnMut()) -> Option<F::Output> {
    let died = |cause: Box<dyn std::any::Any + Send>| {
        if cause.downcast_ref::<&str>() != Some(&"the runner died") {
            std::panic::resume_unwind(cause);
        }
    };
    catch_unwind(AssertUnwindSafe(|| watch(future, look))).map_err(died).ok()
}

/// What a task's invocation may take, as in infra/template.yaml.
#[must_use]
pub fn budget(world: &SimWorld, seconds: u64) -> Budget {
    Budget { deadline: world.now() + Duration::from_secs(seconds) }
}

/// How often a task is done again: for what may pass, and for everything else.
type Retries = (u32, u32);
const FORWARD: Retries = (5, 0);
const BACK: Retries = (20, 3);

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
    /// Where it runs.
    pub world: &'a SimWorld,
    /// Its name.
    pub run: RunId,
    /// Its input.
    pub experiment: Value,
    /// The stack's settings.
    pub settings: Settings,
    /// How often each task is done: an answer can be lost, and then Step Functions does it again.
    pub times: u32,
}

impl<'a> Machine<'a> {
    /// An execution with the settings of every sample.
    #[must_use]
    pub fn new(world: &'a SimWorld, run: &str, experiment: Value) -> Self {
        Self { world, run: run_id(run), experiment, settings: settings(), times: 1 }
    }

    /// Its ARN.
    #[must_use]
    pub fn execution(&self) -> String {
        format!("execution-{}", self.run)
    }

    /// It is stopped: no Catch runs, and nobody is left to go on.
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

    /// Prepare.
    ///
    /// # Errors
    /// What the task fails with.
    pub async fn prepare(&self) -> Result<Prepared, StepError> {
        let (run, experiment) = (self.run.clone(), self.experiment.clone());
        let request = Request { run, execution_arn: self.execution(), experiment };
        self.task(Role::Prepare, FORWARD, || prepare(self.world, &self.settings, &request)).await
    }

    /// From Arm to the end of Observe: every target is rehearsed before the first one is injected.
    ///
    /// # Errors
    /// What the first task that failed did so with.
    pub async fn go(&self, functions: &[FunctionArn]) -> Result<(), StepError> {
        self.arm(functions).await?;
        self.rehearse(functions).await?;
        self.inject(functions).await?;
        self.observe().await
    }

    /// Prepare, Arm, Rehearse and Inject.
    ///
    /// # Errors
    /// What the first task that failed did so with.
    pub async fn start(&self) -> Result<(), StepError> {
        let prepared = self.prepare().await?;
        self.arm(&prepared.functions).await?;
        self.rehearse(&prepared.functions).await?;
        self.inject(&prepared.functions).await
    }

    /// Arm, for each target.
    ///
    /// # Errors
    /// What the first task that failed did so with.
    pub async fn arm(&self, functions: &[FunctionArn]) -> Result<(), StepError> {
        all(functions.iter().map(|function| async move {
            while let ArmOutcome::Waiting(wait) =
                self.task(Role::Arm, FORWARD, || arm(self.world, &self.run, function)).await?
            {
                self.wait(wait).await;
            }
            Ok(())
        }))
        .await
    }

    /// Rehearse, for each target.
    ///
    /// # Errors
    /// What the first task that failed did so with.
    pub async fn rehearse(&self, functions: &[FunctionArn]) -> Result<(), StepError> {
        all(functions.iter().map(|function| async move {
            while let RehearseOutcome::Waiting(wait) = self.rehearse_once(function).await? {
                self.wait(wait).await;
            }
            Ok(())
        }))
        .await
    }

    async fn rehearse_once(&self, function: &FunctionArn) -> Result<RehearseOutcome, StepError> {
        let once = || async { Rehearsal::new(self.world, &self.run, budget(self.world, 30)).rehearse(function).await };
        self.task(Role::Restore, FORWARD, once).await
    }

    /// Inject, for each target.
    ///
    /// # Errors
    /// What the first task that failed did so with.
    pub async fn inject(&self, functions: &[FunctionArn]) -> Result<(), StepError> {
        all(functions.iter().map(|function| async move {
            loop {
                let once = || inject(self.world, &self.run, function, budget(self.world, 30));
                match self.task(Role::Inject, FORWARD, once).await? {
                    InjectOutcome::Pending { wait, .. } => self.wait(wait).await,
                    InjectOutcome::Unrehearsed => drop(self.rehearse_once(function).await?),
                    InjectOutcome::Injected | InjectOutcome::Skipped => return Ok(()),
                }
            }
        }))
        .await
    }

    /// Observe, until the run is being stopped.
    ///
    /// # Errors
    /// What the task fails with.
    pub async fn observe(&self) -> Result<(), StepError> {
        let mut from = 0;
        loop {
            let once = || observe(self.world, &self.run, from, budget(self.world, 30));
            let ObserveOutcome::Running { wait, sample_from } = self.task(Role::Observe, FORWARD, once).await? else {
                return Ok(());
            };
            from = sample_from;
            self.wait(wait).await;
        }
    }

    /// From BeginRestore to the end.
    pub async fn end(&self, mut failure: Option<StepError>) -> Ended {
        let reason = match &failure {
            Some(error) => EndReason::Error { error: error.name().to_owned(), cause: error.to_string() },
            None => EndReason::DurationElapsed,
        };
        let run = match self.task(Role::Restore, BACK, || stop(self.world, &self.run, &reason)).await {
            Ok(run) => run,
            Err(error) => return Ended { failure: failure.or(Some(error)), report: None },
        };
        if let Err(error) = self.restore(&run).await {
            failure.get_or_insert(error);
        }
        loop {
            match self.task(Role::Report, BACK, || report(self.world, &self.run)).await {
                Ok(ReportOutcome::Pending(wait)) => self.wait(wait).await,
                Ok(ReportOutcome::Closed(view)) => return Ended { failure, report: Some(*view) },
                Err(error) => return Ended { failure: failure.or(Some(error)), report: None },
            }
        }
    }

    /// Restore, for each target.
    ///
    /// # Errors
    /// What the first task that failed did so with.
    pub async fn restore(&self, run: &Run) -> Result<(), StepError> {
        all(run.functions.iter().map(|function| async move {
            let once = || restore(self.world, run, function, budget(self.world, 30));
            while let RestoreOutcome::Pending { wait, .. } = self.task(Role::Restore, BACK, once).await? {
                self.wait(wait).await;
            }
            Ok(())
        }))
        .await
    }

    /// Waits as a Wait state does: whole seconds.
    async fn wait(&self, wait: Duration) {
        self.world.sleep(in_whole_seconds(wait)).await;
    }

    /// A task with its retries, under the rights of its role.
    async fn task<T, F>(
        &self,
        role: Role,
        (mut unavailable, mut other): Retries,
        call: impl Fn() -> F,
    ) -> Result<T, StepError>
    where
        F: Future<Output = Result<T, StepError>>,
    {
        loop {
            for _ in 1..self.times {
                let _ = self.world.under(role, call()).await;
            }
            let error = match self.world.under(role, call()).await {
                Ok(output) => return Ok(output),
                Err(error) => error,
            };
            let left = if error.kind() == StepErrorKind::Unavailable { &mut unavailable } else { &mut other };
            if *left == 0 {
                return Err(error);
            }
            *left -= 1;
            self.wait(Duration::from_secs(1)).await;
        }
    }
}

/// A Map: every iteration goes on to its end; the first failure is the Map's.
async fn all<F: Future<Output = Result<(), StepError>>>(iterations: impl Iterator<Item = F>) -> Result<(), StepError> {
    join_all(iterations).await.into_iter().collect()
}
