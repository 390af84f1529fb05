//! An execution whose invocations are plain function calls, without a schedule and without random failures, and an
//! executor that needs no threads.

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

/// Runs a future to its end. Simulated calls and sleeps can always continue, so polling again is enough.
///
/// # Panics
/// If it does not end.
pub fn block_on<F: Future>(future: F) -> F::Output {
    watch(future, || {})
}

/// Runs a future to its end, and calls `check` after each of its steps.
///
/// # Panics
/// If it does not end.
pub fn watch<F: Future>(future: F, mut check: impl FnMut()) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..10_000_000_u64 {
        let polled = future.as_mut().poll(&mut context);
        check();
        if let Poll::Ready(output) = polled {
            return output;
        }
    }
    unreachable!("the future does not end");
}

/// Runs a future until it ends or its runner dies. Returns `None` after a death.
///
/// # Panics
/// If it panics for any other reason, such as a failed assertion.
pub fn survives<F: Future>(future: F) -> Option<F::Output> {
    survives_watched(future, || {})
}

/// Runs a future until it ends or its runner dies, and calls `check` after each of its steps. Returns `None` after a
/// death.
///
/// # Panics
/// If it panics for any other reason, such as a failed assertion.
pub fn survives_watched<F: Future>(future: F, check: impl FnMut()) -> Option<F::Output> {
    let died = |cause: Box<dyn std::any::Any + Send>| {
        if cause.downcast_ref::<&str>() != Some(&"the runner died") {
            std::panic::resume_unwind(cause);
        }
    };
    catch_unwind(AssertUnwindSafe(|| watch(future, check))).map_err(died).ok()
}

/// Returns the budget of an invocation that starts now and has this time limit.
#[must_use]
pub fn budget(world: &SimWorld, span: Duration) -> Budget {
    Budget { deadline: world.now() + span }
}

/// How an execution ended.
pub type Ended = state_machine::Ended<StepError>;

/// An execution whose invocations are function calls.
pub struct Machine<'a> {
    /// The world in which it runs.
    pub world: &'a SimWorld,
    /// Its name.
    pub run: RunId,
    /// Its input.
    pub experiment: Value,
    /// The stack's settings.
    pub settings: Settings,
    /// How often each task is invoked, as it happens when a response is lost and Step Functions retries.
    pub times: u32,
}

impl<'a> Machine<'a> {
    /// Creates an execution with the sample settings.
    #[must_use]
    pub fn new(world: &'a SimWorld, run: &str, experiment: Value) -> Self {
        Self { world, run: run_id(run), experiment, settings: settings(), times: 1 }
    }

    /// Returns its ARN.
    #[must_use]
    pub fn execution(&self) -> String {
        format!("execution-{}", self.run)
    }

    /// Stops the execution. No Catch runs, and nothing continues it.
    pub fn kill(&self) {
        self.world.with(|state| state.dead_executions.push(self.execution()));
    }

    /// Runs the whole execution.
    pub async fn execute(&self) -> Ended {
        self.state_machine().execute().await
    }

    /// Runs Prepare.
    ///
    /// # Errors
    /// The error of the task.
    pub async fn prepare(&self) -> Result<Prepared, StepError> {
        self.state_machine().prepare().await
    }

    /// Runs from Arm to the end of Observe. Every target is rehearsed before the first one is injected.
    ///
    /// # Errors
    /// The error of the first task that failed.
    pub async fn go(&self, functions: &[FunctionArn]) -> Result<(), StepError> {
        self.state_machine().play_until_restore("ArmTargets", functions).await
    }

    /// Runs Prepare, Arm, Rehearse and Inject.
    ///
    /// # Errors
    /// The error of the first task that failed.
    pub async fn start(&self) -> Result<(), StepError> {
        let prepared = self.prepare().await?;
        self.arm(&prepared.functions).await?;
        self.rehearse(&prepared.functions).await?;
        self.inject(&prepared.functions).await
    }

    /// Runs Arm for each target.
    ///
    /// # Errors
    /// The error of the first task that failed.
    pub async fn arm(&self, functions: &[FunctionArn]) -> Result<(), StepError> {
        self.state_machine().map("ArmTargets", functions, None).await
    }

    /// Runs Rehearse for each target.
    ///
    /// # Errors
    /// The error of the first task that failed.
    pub async fn rehearse(&self, functions: &[FunctionArn]) -> Result<(), StepError> {
        self.state_machine().map("RehearseTargets", functions, None).await
    }

    /// Runs Inject for each target.
    ///
    /// # Errors
    /// The error of the first task that failed.
    pub async fn inject(&self, functions: &[FunctionArn]) -> Result<(), StepError> {
        self.state_machine().map("InjectTargets", functions, None).await
    }

    /// Runs Observe until the run is being stopped.
    ///
    /// # Errors
    /// The error of the task.
    pub async fn observe(&self) -> Result<(), StepError> {
        self.state_machine().play_until_restore("Observe", &[]).await
    }

    /// Runs from BeginRestore to the end.
    pub async fn end(&self, failure: Option<StepError>) -> Ended {
        self.state_machine().end(failure).await
    }

    /// Runs Restore for each target.
    ///
    /// # Errors
    /// The error of the first task that failed.
    pub async fn restore(&self, run: &Run) -> Result<(), StepError> {
        self.state_machine().map("RestoreTargets", &run.functions, Some(run)).await
    }

    fn state_machine(&self) -> StateMachine<'_, Self> {
        let Self { run, experiment, settings, .. } = self;
        StateMachine { lambda: self, run, execution_arn: self.execution(), experiment, settings }
    }
}

/// Each invocation is a call of the step with the rights of its role. Every retry waits one second, because nothing is
/// random.
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
