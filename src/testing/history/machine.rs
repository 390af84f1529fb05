//! The state machine as a task of a history: each of its invocations is one on the [`Stage`], which continues when the
//! execution is stopped.

use std::time::Duration;

use serde_json::Value;

use crate::model::names::RunId;
use crate::model::settings::Settings;
use crate::steps::Budget;
use crate::steps::error::StepError;
use crate::testing::State;
use crate::testing::state_machine::{self, InvocationError, Lambda, StateMachine};
use crate::testing::worker::{Role, Worker};

use super::stage::{Invoked, Stage};
use super::weakening::Weakening;

/// An execution.
#[derive(Clone)]
pub struct Machine<'w> {
    /// Where its tasks are invoked.
    pub stage: Stage<'w>,
    /// Its name.
    pub run: RunId,
    /// Its input.
    pub experiment: Value,
    /// The stack's settings.
    pub settings: Settings,
}

/// How an execution ended: with the name of its first failure.
pub type Ended = state_machine::Ended<String>;

impl Machine<'_> {
    /// Its ARN.
    #[must_use]
    pub fn execution(&self) -> String {
        format!("execution-{}", self.run)
    }

    /// From Prepare to the end.
    pub async fn execute(self) -> Ended {
        let Self { stage, run, experiment, settings } = &self;
        StateMachine { lambda: stage, run, execution_arn: self.execution(), experiment, settings }.execute().await
    }
}

/// What failed is known by its name, as `ErrorEquals` knows it.
impl InvocationError for String {
    fn name(&self) -> &str {
        self
    }

    fn cause(&self) -> String {
        String::new()
    }
}

impl<'w> Lambda<'w> for Stage<'w> {
    type Ports = Worker<'w>;
    type Access = Worker<'w>;
    type Error = String;

    async fn invoke<T: 'w, F: Future<Output = Result<T, StepError>> + 'w>(
        &self,
        role: Role,
        run: &RunId,
        call: impl Fn(Worker<'w>, Budget) -> F,
    ) -> Result<T, String> {
        match Stage::invoke(self, role, run.as_str(), &call).await {
            Invoked::Done(Ok(result)) => Ok(result),
            Invoked::Done(Err(error)) => {
                self.note(|| format!("{role:?} of {run}: {error}"));
                Err(error.name().to_owned())
            }
            Invoked::Crashed => Err("Runtime.ExitError".to_owned()),
            Invoked::Silent => Err("Sandbox.Timedout".to_owned()),
        }
    }

    async fn wait(&self, span: Duration) {
        Stage::wait(self, span).await;
    }

    async fn back_off(&self, longest: Duration) {
        self.jitter(longest.as_secs().cast_signed()).await;
    }

    fn skips_rehearsal(&self) -> bool {
        let weakening = |state: &mut State| state.drive.as_ref().and_then(|drive| drive.weakening);
        self.world.with(weakening) == Some(Weakening::NoRehearsal)
    }
}
