//! The state machine where each invocation is a function call: no schedule, no chance, and an executor without threads.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde_json::Value;

use crate::model::names::{FunctionArn, RunId};
use crate::model::run::Run;
use crate::model::settings::Settings;
use crate::ports::Clock;
use crate::steps::Budget;
use crate::steps::error::StepError;
use crate::steps::prepare::Prepared;

use super::SimWorld;
use super::samples::{run_id, settings};
use super::state_machine::{self, Lambda, StateMachine};
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
    unreachable!("the simulated world never ends");
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
pub fn budget(world: &SimWorld, span: Duration) -> Budget {
    Budget { deadline: world.now() + span }
}

/// How an execution ended.
pub type Ended = state_machine::Ended<StepError>;

/// An execution whose invocations are function calls.
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

    /// It is stopped: no Catch runs, and nothing continues.
    pub fn kill(&self) {
        self.world.with(|state| state.dead_executions.push(self.execution()));
    }

    /// A whole execution.
    pub async fn execute(&self) -> Ended {
        self.state_machine().execute().await
    }

    /// Prepare.
    ///
    /// # Errors
    /// What the task fails with.
    pub async fn prepare(&self) -> Result<Prepared, StepError> {
        self.state_machine().prepare().await
    }

    /// From Arm to the end of Observe: every target is rehearsed before the first one is injected.
    ///
    /// # Errors
    /// What the first task that failed did so with.
    pub async fn go(&self, functions: &[FunctionArn]) -> Result<(), StepError> {
        self.state_machine().play_until_restore("ArmTargets", functions).await
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
        self.state_machine().map("ArmTargets", functions, None).await
    }

    /// Rehearse, for each target.
    ///
    /// # Errors
    /// What the first task that failed did so with.
    pub async fn rehearse(&self, functions: &[FunctionArn]) -> Result<(), StepError> {
        self.state_machine().map("RehearseTargets", functions, None).await
    }

    /// Inject, for each target.
    ///
    /// # Errors
    /// What the first task that failed did so with.
    pub async fn inject(&self, functions: &[FunctionArn]) -> Result<(), StepError> {
        self.state_machine().map("InjectTargets", functions, None).await
    }

    /// Observe, until the run is being stopped.
    ///
    /// # Errors
    /// What the task fails with.
    pub async fn observe(&self) -> Result<(), StepError> {
        self.state_machine().play_until_restore("Observe", &[]).await
    }

    /// From BeginRestore to the end.
    pub async fn end(&self, failure: Option<StepError>) -> Ended {
        self.state_machine().end(failure).await
    }

    /// Restore, for each target.
    ///
    /// # Errors
    /// What the first task that failed did so with.
    pub async fn restore(&self, run: &Run) -> Result<(), StepError> {
        self.state_machine().map("RestoreTargets", &run.functions, Some(run)).await
    }

    fn state_machine(&self) -> StateMachine<'_, Self> {
        let Self { run, experiment, settings, .. } = self;
        StateMachine { lambda: self, run, execution_arn: self.execution(), experiment, settings }
    }
}

/// Each invocation is a call of the step, under the rights of its role. Every retry waits a second: there is no chance.
impl<'w> Lambda<'w> for Machine<'w> {
    type Ports = SimWorld;
    type Access = &'w SimWorld;
    type Error = StepError;

    async fn invoke<T: 'w, F: Future<Output = Result<T, StepError>> + 'w>(
        &self,
        role: Role,
        _: &RunId,
        call: impl Fn(Self::Access, Budget) -> F,
    ) -> Result<T, StepError> {
        let once = || self.world.under(role, call(self.world, budget(self.world, role.timeout())));
        for _ in 1..self.times {
            let _ = once().await;
        }
        once().await
    }

    async fn wait(&self, span: Duration) {
        self.world.sleep(span).await;
    }

    async fn back_off(&self, longest: Duration) {
        self.wait(longest.min(Duration::from_secs(1))).await;
    }
}
