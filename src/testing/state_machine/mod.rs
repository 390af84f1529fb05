//! An interpreter of `infra/statemachine.asl.json`: the order of its states, its choices, retries, waits and catchers are those
//! of the file. Only the tasks themselves are Rust: the real steps, invoked by a [`Lambda`].
//!
//! What it does not play: batches of targets (a run has at most 40 targets here), timeouts of a state, and `MaxConcurrency`. The
//! iterations of a Map all run concurrently, which is the hardest case.

pub mod definition;

use std::borrow::Borrow;
use std::future::Future;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;

use crate::model::names::{FunctionArn, RunId};
use crate::model::run::{EndReason, Run};
use crate::model::settings::Settings;
use crate::plan::rendering::ReportView;
use crate::ports::World;
use crate::steps::Budget;
use crate::steps::arm::arm;
use crate::steps::error::StepError;
use crate::steps::inject::inject;
use crate::steps::observe::{ObserveOutcome, observe};
use crate::steps::prepare::{Prepared, Request, prepare};
use crate::steps::rehearse::{Rehearsal, RehearseOutcome};
use crate::steps::report::{ReportOutcome, report};
use crate::steps::restore::restore;
use crate::steps::rollback::stop;
use crate::steps::step_status::StepStatus;

use super::worker::Role;
use definition::{Choice, DEFINITION, Facts, FailureRule, Map, Scope, State, Task};

/// Why an invocation failed, as the state machine sees it.
pub trait InvocationError {
    /// The name that `ErrorEquals` lists.
    fn name(&self) -> &str;

    /// The text for people.
    fn cause(&self) -> String;
}

impl InvocationError for StepError {
    fn name(&self) -> &str {
        StepError::name(self)
    }

    fn cause(&self) -> String {
        self.to_string()
    }
}

/// How a simulated state machine invokes its functions, and waits.
pub trait Lambda<'w> {
    /// The ports that an invocation uses.
    type Ports: World;
    /// An invocation's access to them.
    type Access: Borrow<Self::Ports> + 'w;
    /// What a failed invocation results in.
    type Error: InvocationError;

    /// Invokes a function once.
    fn invoke<T: 'w, F: Future<Output = Result<T, StepError>> + 'w>(
        &self,
        role: Role,
        run: &RunId,
        call: impl Fn(Self::Access, Budget) -> F,
    ) -> impl Future<Output = Result<T, Self::Error>>;

    /// Lets this time pass.
    fn wait(&self, span: Duration) -> impl Future<Output = ()>;

    /// Waits before a retry: with jitter, and no longer than this.
    fn back_off(&self, longest: Duration) -> impl Future<Output = ()>;

    /// Whether the rehearsal is left out, to show that it is needed.
    fn skips_rehearsal(&self) -> bool {
        false
    }
}

/// One execution.
#[derive(Debug)]
pub struct StateMachine<'m, L> {
    /// How it invokes functions.
    pub lambda: &'m L,
    /// Its name.
    pub run: &'m RunId,
    /// Its ARN.
    pub execution_arn: String,
    /// Its input.
    pub experiment: &'m Value,
    /// The stack's settings.
    pub settings: &'m Settings,
}

/// How an execution ended.
#[derive(Clone, Debug)]
pub struct Ended<E> {
    /// What it failed with.
    pub failure: Option<E>,
    /// Its report, if it came that far.
    pub report: Option<ReportView>,
}

/// The variables of an execution.
#[derive(Debug)]
pub struct Variables<E> {
    /// `$failure`.
    pub failure: Option<E>,
    /// The run's targets: from Prepare, then from the ledger.
    pub functions: Vec<FunctionArn>,
    /// The run, once its restore has begun.
    pub run: Option<Run>,
    sample_from: usize,
    report: Option<ReportView>,
}

impl<E> Default for Variables<E> {
    fn default() -> Self {
        Self { failure: None, functions: Vec::new(), run: None, sample_from: 0, report: None }
    }
}

/// The result of a task.
struct Output {
    status: StepStatus,
    data: Data,
}

/// What a task's result sets.
enum Data {
    Nothing,
    Functions(Vec<FunctionArn>),
    SampleFrom(usize),
    Run(Box<Run>),
    Report(Box<ReportView>),
}

impl Output {
    fn of(status: impl Into<StepStatus>) -> Self {
        Self { status: status.into(), data: Data::Nothing }
    }
}

impl<'m, 'w, L: Lambda<'w>> StateMachine<'m, L> {
    /// A whole execution.
    pub async fn execute(&self) -> Ended<L::Error> {
        let mut variables = Variables::default();
        self.play(&DEFINITION.start_at, None, &mut variables).await;
        Ended { failure: variables.failure, report: variables.report }
    }

    /// From BeginRestore to the end.
    pub async fn end(&self, failure: Option<L::Error>) -> Ended<L::Error> {
        let mut variables = Variables { failure, ..Variables::default() };
        self.play("BeginRestore", None, &mut variables).await;
        Ended { failure: variables.failure, report: variables.report }
    }

    /// From this state until BeginRestore.
    ///
    /// # Errors
    /// With the first failure.
    pub async fn play_until_restore(&self, from: &str, functions: &[FunctionArn]) -> Result<(), L::Error> {
        let mut variables = Variables { functions: functions.to_vec(), ..Variables::default() };
        self.play(from, Some("BeginRestore"), &mut variables).await;
        variables.failure.map_or(Ok(()), Err)
    }

    /// Prepare alone, with its retries.
    ///
    /// # Errors
    /// With its last failure.
    pub async fn prepare(&self) -> Result<Prepared, L::Error> {
        let State::Task(task) = DEFINITION.state("Prepare") else { unreachable!("Prepare is a task") };
        self.prepare_by(task).await
    }

    /// One Map alone.
    ///
    /// # Errors
    /// With its first failure.
    pub async fn map(&self, name: &str, functions: &[FunctionArn], run: Option<&Run>) -> Result<(), L::Error> {
        let State::Map(map) = DEFINITION.state(name) else { unreachable!("{name} is a Map") };
        let variables = Variables { functions: functions.to_vec(), run: run.cloned(), ..Variables::default() };
        self.iterate(map, &variables).await
    }

    async fn play(&self, from: &str, until: Option<&str>, variables: &mut Variables<L::Error>) {
        let (mut name, mut input) = (from, StepStatus::done(""));
        while until != Some(name) {
            name = match DEFINITION.state(name) {
                State::Task(task) => match self.task(name, task, None, variables).await {
                    Ok(output) => {
                        variables.set(output.data);
                        input = output.status;
                        &task.next
                    }
                    Err(failure) => {
                        let Some(caught) = task.caught(failure.name()) else { unreachable!("{name} catches all") };
                        variables.fail(caught.failure, failure);
                        caught.next
                    }
                },
                State::Map(map) => {
                    if let Err(failure) = self.iterate(map, variables).await {
                        variables.fail(map.failure(), failure);
                    }
                    &map.next
                }
                State::Choice(choice) => variables.next(choice, &input),
                State::Wait(wait) => {
                    self.lambda.wait(wait.span(input.wait)).await;
                    &wait.next
                }
                State::Pass {} => unreachable!("the simulation plays no batches: {name}"),
                State::Succeed {} | State::Fail {} => return,
            };
        }
    }

    /// Every iteration runs to its end; the first failure, in the order of the targets, is the Map's.
    async fn iterate(&self, map: &Map, variables: &Variables<L::Error>) -> Result<(), L::Error> {
        let scope = &map.item_processor;
        let iterations = variables.functions.iter().map(|function| self.iteration(scope, function, variables));
        join_all(iterations).await.into_iter().collect()
    }

    async fn iteration(
        &self,
        scope: &Scope,
        function: &FunctionArn,
        variables: &Variables<L::Error>,
    ) -> Result<(), L::Error> {
        let (mut name, mut input, mut result) = (scope.start_at.as_str(), StepStatus::done(""), Ok(()));
        loop {
            name = match scope.state(name) {
                State::Task(task) => match self.task(name, task, Some(function), variables).await {
                    Ok(output) => {
                        input = output.status;
                        &task.next
                    }
                    Err(failure) => {
                        let Some(caught) = task.caught(failure.name()) else { unreachable!("{name} catches all") };
                        input = StepStatus::done("failed");
                        result = Err(failure);
                        caught.next
                    }
                },
                State::Choice(choice) => variables.next(choice, &input),
                State::Wait(wait) => {
                    self.lambda.wait(wait.span(input.wait)).await;
                    &wait.next
                }
                State::Map(_) | State::Pass {} => unreachable!("the simulation does not know {name} in a Map"),
                State::Succeed {} | State::Fail {} => return result,
            };
        }
    }

    /// The task of this state, with its retries.
    async fn task(
        &self,
        name: &str,
        task: &Task,
        function: Option<&FunctionArn>,
        variables: &Variables<L::Error>,
    ) -> Result<Output, L::Error> {
        match (name, function) {
            ("Prepare", None) => {
                let Prepared { functions, status } = self.prepare_by(task).await?;
                Ok(Output { status: StepStatus::done(status.name()), data: Data::Functions(functions) })
            }
            ("Observe", None) => self.observe(task, variables.sample_from).await,
            ("BeginRestore", None) => self.begin_restore(task, variables.failure.as_ref()).await,
            ("Report", None) => self.report(task).await,
            ("Rehearse", Some(_)) if self.lambda.skips_rehearsal() => Ok(Output::of(RehearseOutcome::Rehearsed)),
            (_, Some(function)) => self.task_of_target(name, task, function, variables.run.as_ref()).await,
            (_, None) => unreachable!("the simulation does not know the task {name}"),
        }
    }

    async fn prepare_by(&self, task: &Task) -> Result<Prepared, L::Error> {
        let (run, execution_arn) = (self.run.clone(), self.execution_arn.clone());
        let request = Request { run, execution_arn, experiment: self.experiment.clone() };
        self.retried(task, Role::Prepare, |access, _| {
            let (settings, request) = (self.settings.clone(), request.clone());
            async move { prepare(access.borrow(), &settings, &request).await }
        })
        .await
    }

    async fn observe(&self, task: &Task, from: usize) -> Result<Output, L::Error> {
        let observed = self.retried(task, Role::Observe, |access, budget| {
            let run = self.run.clone();
            async move { observe(access.borrow(), &run, from, budget).await }
        });
        let observed = observed.await?;
        let data = match observed {
            ObserveOutcome::Running { sample_from, .. } => Data::SampleFrom(sample_from),
            ObserveOutcome::Stopping => Data::Nothing,
        };
        Ok(Output { status: StepStatus::from(&observed), data })
    }

    async fn begin_restore(&self, task: &Task, failure: Option<&L::Error>) -> Result<Output, L::Error> {
        let reason = match failure {
            Some(error) => EndReason::Error { error: error.name().to_owned(), cause: error.cause() },
            None => EndReason::DurationElapsed,
        };
        let stopped = self.retried(task, Role::Restore, |access, _| {
            let (run, ending) = (self.run.clone(), reason.clone().into());
            async move { stop(access.borrow(), &run, &ending).await }
        });
        Ok(Output { status: StepStatus::done(""), data: Data::Run(Box::new(stopped.await?)) })
    }

    async fn report(&self, task: &Task) -> Result<Output, L::Error> {
        let reported = self.retried(task, Role::Report, |access, _| {
            let run = self.run.clone();
            async move { report(access.borrow(), &run).await }
        });
        let reported = reported.await?;
        let status = StepStatus::from(&reported);
        let data = match reported {
            ReportOutcome::Pending(_) => Data::Nothing,
            ReportOutcome::Closed(view) => Data::Report(view),
        };
        Ok(Output { status, data })
    }

    async fn task_of_target(
        &self,
        name: &str,
        task: &Task,
        function: &FunctionArn,
        run: Option<&Run>,
    ) -> Result<Output, L::Error> {
        let target = || (self.run.clone(), function.clone());
        match name {
            "Arm" => {
                let armed = self.retried(task, Role::Arm, |access, _| {
                    let (run, function) = target();
                    async move { arm(access.borrow(), &run, &function).await }
                });
                armed.await.map(Output::of)
            }
            "Rehearse" | "RehearseAgain" => {
                let rehearsed = self.retried(task, Role::Restore, |access, budget| {
                    let (run, function) = target();
                    async move { Rehearsal::new(access.borrow(), &run, budget).rehearse(&function).await }
                });
                rehearsed.await.map(Output::of)
            }
            "Inject" => {
                let injected = self.retried(task, Role::Inject, |access, budget| {
                    let (run, function) = target();
                    async move { inject(access.borrow(), &run, &function, budget).await }
                });
                injected.await.map(Output::of)
            }
            "Restore" => {
                let Some(run) = run else { unreachable!("BeginRestore has set the run") };
                let restored = self.retried(task, Role::Restore, |access, budget| {
                    let (run, function) = (run.clone(), function.clone());
                    async move { restore(access.borrow(), &run, &function, budget).await }
                });
                restored.await.map(Output::of)
            }
            _ => unreachable!("the simulation does not know the task {name}"),
        }
    }

    /// Invokes a function as often as the state's retriers say. Each retrier counts its own attempts
    /// (step-functions/latest/dg/concepts-error-handling).
    async fn retried<T, F>(&self, task: &Task, role: Role, call: impl Fn(L::Access, Budget) -> F) -> Result<T, L::Error>
    where
        T: 'w,
        F: Future<Output = Result<T, StepError>> + 'w,
    {
        let mut repeated = vec![0; task.retry.len()];
        loop {
            let error = match self.lambda.invoke(role, self.run, &call).await {
                Ok(result) => return Ok(result),
                Err(error) => error,
            };
            let Some(at) = task.retrier(error.name()) else { return Err(error) };
            let retrier = &task.retry[at];
            if repeated[at] == retrier.max_attempts {
                return Err(error);
            }
            self.lambda.back_off(retrier.longest_wait(repeated[at])).await;
            repeated[at] += 1;
        }
    }
}

impl<E> Variables<E> {
    fn set(&mut self, data: Data) {
        match data {
            Data::Nothing => {}
            Data::Functions(functions) => self.functions = functions,
            Data::SampleFrom(from) => self.sample_from = from,
            Data::Run(run) => {
                self.functions.clone_from(&run.functions);
                self.run = Some(*run);
            }
            Data::Report(view) => self.report = Some(*view),
        }
    }

    fn fail(&mut self, rule: Option<FailureRule>, failure: E) {
        match rule {
            Some(FailureRule::Last) => self.failure = Some(failure),
            Some(FailureRule::First | FailureRule::FirstIteration) => {
                self.failure.get_or_insert(failure);
            }
            Some(FailureRule::FirstBatch) | None => unreachable!("the state keeps the failure"),
        }
    }

    fn next<'d>(&self, choice: &'d Choice, input: &StepStatus) -> &'d str {
        let (has_failed, targets) = (self.failure.is_some(), self.functions.len());
        choice.next(Facts { status: input.name, has_failed, targets })
    }
}
