//! The state machine of infra/statemachine.asl.json as a task of a history: the same steps, in the same order, with the
//! same retries, each an invocation of its own that goes on when the execution is stopped.

use futures_util::future::join_all;
use serde_json::Value;

use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{EndReason, Run, RunStatus};
use crate::model::settings::Settings;
use crate::steps::Budget;
use crate::steps::arm::{ArmOutcome, arm};
use crate::steps::error::{StepError, StepErrorKind};
use crate::steps::inject::{InjectOutcome, inject};
use crate::steps::observe::{ObserveOutcome, observe};
use crate::steps::prepare::{Request, prepare};
use crate::steps::rehearse::{Rehearsal, RehearseOutcome};
use crate::steps::report::{ReportOutcome, report};
use crate::steps::restore::{RestoreOutcome, restore};
use crate::steps::rollback::stop;
use crate::testing::State;
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

/// How an execution ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The first thing that failed, by name.
    pub failure: Option<String>,
}

/// How often a task is done again: for what may pass, and for everything else.
type Retries = (u32, u32);
const FORWARD: Retries = (5, 0);
const BACK: Retries = (20, 3);

impl<'w> Machine<'w> {
    /// Its ARN.
    #[must_use]
    pub fn execution(&self) -> String {
        format!("execution-{}", self.run)
    }

    /// From Prepare to the end.
    pub async fn execute(self) -> Ended {
        let (run, execution_arn, experiment) = (self.run.clone(), self.execution(), self.experiment.clone());
        let request = Request { run, execution_arn, experiment };
        let (settings, request) = (&self.settings, &request);
        let prepared = self
            .task(Role::Prepare, FORWARD, |worker, _| {
                let (settings, request) = (settings.clone(), request.clone());
                async move { prepare(&worker, &settings, &request).await }
            })
            .await;
        let failure = match prepared {
            Ok(prepared) if prepared.status == RunStatus::Running => self.go(&prepared.functions).await.err(),
            Ok(_) => None,
            Err(name) if name == StepErrorKind::Refused.name() || name == StepErrorKind::InvalidInput.name() => {
                return Ended { failure: Some(name) };
            }
            Err(name) => Some(name),
        };
        self.end(failure).await
    }

    async fn go(&self, functions: &[FunctionArn]) -> Result<(), String> {
        all(functions.iter().map(|function| self.arm(function))).await?;
        all(functions.iter().map(|function| self.rehearse(function))).await?;
        all(functions.iter().map(|function| self.inject(function))).await?;
        let mut from = 0;
        loop {
            let run = self.run.clone();
            let observed = self.task(Role::Observe, FORWARD, move |worker, budget| {
                let run = run.clone();
                async move { observe(&worker, &run, from, budget).await }
            });
            match observed.await? {
                ObserveOutcome::Running { wait, sample_from } => {
                    from = sample_from;
                    self.stage.wait(wait).await;
                }
                ObserveOutcome::Stopping => return Ok(()),
            }
        }
    }

    async fn arm(&self, function: &FunctionArn) -> Result<(), String> {
        loop {
            let at = (self.run.clone(), function.clone());
            let armed = self.task(Role::Arm, FORWARD, move |worker, _| {
                let (run, function) = at.clone();
                async move { arm(&worker, &run, &function).await }
            });
            match armed.await? {
                ArmOutcome::Waiting(wait) => self.stage.wait(wait).await,
                _ => return Ok(()),
            }
        }
    }

    async fn rehearse(&self, function: &FunctionArn) -> Result<(), String> {
        let left_out = |state: &mut State| state.drive.as_ref().and_then(|drive| drive.weakening);
        if self.stage.world.with(left_out) == Some(Weakening::NoRehearsal) {
            return Ok(());
        }
        while let RehearseOutcome::Waiting(wait) = self.rehearse_once(function).await? {
            self.stage.wait(wait).await;
        }
        Ok(())
    }

    async fn rehearse_once(&self, function: &FunctionArn) -> Result<RehearseOutcome, String> {
        let at = (self.run.clone(), function.clone());
        let rehearsed = self.task(Role::Restore, FORWARD, move |worker, budget| {
            let (run, function) = at.clone();
            async move { Rehearsal::new(&worker, &run, budget).rehearse(&function).await }
        });
        rehearsed.await
    }

    async fn inject(&self, function: &FunctionArn) -> Result<(), String> {
        loop {
            let at = (self.run.clone(), function.clone());
            let injected = self.task(Role::Inject, FORWARD, move |worker, budget| {
                let (run, function) = at.clone();
                async move { inject(&worker, &run, &function, budget).await }
            });
            match injected.await? {
                InjectOutcome::Pending { wait, .. } => self.stage.wait(wait).await,
                InjectOutcome::Unrehearsed => drop(self.rehearse_once(function).await?),
                InjectOutcome::Injected | InjectOutcome::Skipped => return Ok(()),
            }
        }
    }

    /// From BeginRestore to the end.
    async fn end(&self, mut failure: Option<String>) -> Ended {
        let reason = match &failure {
            Some(error) => EndReason::Error { error: error.clone(), cause: String::new() },
            None => EndReason::DurationElapsed,
        };
        let id = self.run.clone();
        let begun = self.task(Role::Restore, BACK, move |worker, _| {
            let (id, reason) = (id.clone(), reason.clone());
            async move { stop(&worker, &id, &reason).await }
        });
        let run = match begun.await {
            Ok(run) => run,
            Err(error) => return Ended { failure: failure.or(Some(error)) },
        };
        if let Err(error) = all(run.functions.iter().map(|function| self.restore(&run, function))).await {
            failure.get_or_insert(error);
        }
        loop {
            let id = self.run.clone();
            let reported = self.task(Role::Report, BACK, move |worker, _| {
                let id = id.clone();
                async move { report(&worker, &id).await }
            });
            match reported.await {
                Ok(ReportOutcome::Pending(wait)) => self.stage.wait(wait).await,
                Ok(ReportOutcome::Closed(_)) => return Ended { failure },
                Err(error) => return Ended { failure: failure.or(Some(error)) },
            }
        }
    }

    async fn restore(&self, run: &Run, function: &FunctionArn) -> Result<(), String> {
        loop {
            let at = (run.clone(), function.clone());
            let restored = self.task(Role::Restore, BACK, move |worker, budget| {
                let (run, function) = at.clone();
                async move { restore(&worker, &run, &function, budget).await }
            });
            match restored.await? {
                RestoreOutcome::Pending { wait, .. } => self.stage.wait(wait).await,
                RestoreOutcome::Ended(_) => return Ok(()),
            }
        }
    }

    /// A task with its retries; what fails for good is known by its name, as `ErrorEquals` knows it.
    async fn task<T, F>(
        &self,
        role: Role,
        (mut unavailable, mut other): Retries,
        call: impl Fn(Worker<'w>, Budget) -> F,
    ) -> Result<T, String>
    where
        T: 'w,
        F: Future<Output = Result<T, StepError>> + 'w,
    {
        let mut pause = 1;
        loop {
            let name = match self.stage.invoke(role, self.run.as_str(), &call).await {
                Invoked::Done(Ok(output)) => return Ok(output),
                Invoked::Done(Err(error)) => {
                    self.stage.note(|| format!("{role:?} of {}: {error}", self.run));
                    error.name()
                }
                Invoked::Crashed => "Runtime.ExitError",
                Invoked::Silent => StepErrorKind::Unavailable.name(),
            };
            let left = if name == StepErrorKind::Unavailable.name() { &mut unavailable } else { &mut other };
            if *left == 0 {
                return Err(name.to_owned());
            }
            *left -= 1;
            self.stage.jitter(pause).await;
            pause = (pause * 2).min(if other > 0 { 30 } else { 10 });
        }
    }
}

/// A Map: every iteration goes on to its end; the first failure is the Map's.
async fn all<F: Future<Output = Result<(), String>>>(iterations: impl Iterator<Item = F>) -> Result<(), String> {
    join_all(iterations).await.into_iter().collect()
}
