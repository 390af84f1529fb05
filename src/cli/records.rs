//! What is recorded of a run: in the ledger and, of a start that left no record there, in Step Functions.

use crate::aws::{AwsWorld, FailedExecution, ListedExecution};
use crate::model::names::RunId;
use crate::plan::conclusion::StartOutcome;
use crate::plan::rendering::ReportView;
use crate::ports::Ledger;
use crate::steps::retry::retry;

use super::arguments::Arguments;
use super::exit::Exit;
use super::listed::FailedStart;
use super::{Failure, stack};

/// The ledger and the state machine.
pub(super) struct Records {
    pub(super) world: AwsWorld,
    /// Not known if only the table is named.
    pub(super) state_machine: Option<String>,
}

impl Records {
    /// Opens the ledger. With `--table`, the stack is not read.
    pub(super) async fn open(arguments: &Arguments) -> Result<Self, Failure> {
        match arguments.table {
            Some(_) => Ok(Self { world: stack::ledger(arguments).await?, state_machine: None }),
            None => {
                let stack = stack::find(arguments).await?;
                Ok(Self { world: stack.world, state_machine: Some(stack.state_machine) })
            }
        }
    }

    /// Replaces the failure to find a run by the reason for which its start left none.
    pub(super) async fn explained(&self, run: &RunId, failure: Failure) -> Failure {
        let may_be_unknown = failure.exit == Exit::Invalid;
        if !may_be_unknown || !matches!(retry(&self.world, || self.world.run(run)).await, Ok(None)) {
            return failure;
        }
        match self.execution(run.as_str()).await.filter(Execution::left_no_run) {
            Some(execution) => Failure { cause: no_run(&execution.failed_start()), ..failure },
            None => failure,
        }
    }

    /// Adds to the report what the marker of a prevented start lacks. Its execution has it, if there was one.
    pub(super) async fn complete(&self, view: &mut ReportView) {
        if view.experiment.is_empty()
            && let Some(execution) = self.execution(&view.run_id).await
        {
            execution.complete(view);
        }
    }

    /// Reads the execution of this name. A user who may not read executions gets `None`.
    pub(super) async fn execution(&self, run: &str) -> Option<Execution> {
        let found = self.world.execution_named(self.state_machine.as_deref()?, run).await.ok().flatten();
        found.map(|(listed, described)| Execution { listed, described })
    }
}

/// An execution of the state machine.
pub(super) struct Execution {
    listed: ListedExecution,
    described: FailedExecution,
}

impl Execution {
    /// Whether it failed and left no run.
    pub(super) fn left_no_run(&self) -> bool {
        self.listed.has_failed && self.described.left_no_run()
    }

    /// Returns the start of an execution that left no run.
    pub(super) fn failed_start(self) -> FailedStart {
        FailedStart::of(&self.listed, self.described)
    }

    /// Adds to the report what the marker of a prevented start lacks.
    pub(super) fn complete(self, view: &mut ReportView) {
        view.experiment = self.described.experiment.unwrap_or_default();
        view.started_by = self.described.started_by;
    }
}

/// Tells why a start left no run. Each reason of a refusal has a line.
fn no_run(start: &FailedStart) -> String {
    let run = &start.run_id;
    match start.outcome {
        StartOutcome::Refused if start.cause.contains('\n') => {
            format!("{run} was refused:\n  {}", start.cause.replace('\n', "\n  "))
        }
        StartOutcome::Refused => format!("{run} was refused: {}", start.cause),
        StartOutcome::FailedStart => format!("{run} failed to start: {}: {}", start.error, start.cause),
    }
}
