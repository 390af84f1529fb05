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

    /// Returns the start of this name if it failed and left no run. A user who may not read executions gets `None`.
    pub(super) async fn failed_start(&self, run: &str) -> Option<FailedStart> {
        let (listed, failed) = self.execution(run).await?;
        (listed.has_failed && failed.left_no_run()).then(|| FailedStart::of(&listed, failed))
    }

    /// Replaces the failure to find a run by the reason for which its start left none.
    pub(super) async fn explained(&self, run: &RunId, failure: Failure) -> Failure {
        let may_be_unknown = failure.exit == Exit::Invalid;
        if !may_be_unknown || !matches!(retry(&self.world, || self.world.run(run)).await, Ok(None)) {
            return failure;
        }
        match self.failed_start(run.as_str()).await {
            Some(start) => Failure { cause: no_run(&start), ..failure },
            None => failure,
        }
    }

    /// Adds to the report what the marker of a prevented start lacks. Its execution has it, if there was one.
    pub(super) async fn complete(&self, view: &mut ReportView) {
        if !view.experiment.is_empty() {
            return;
        }
        if let Some((_, execution)) = self.execution(&view.run_id).await {
            view.experiment = execution.experiment.unwrap_or_default();
            view.started_by = execution.started_by;
        }
    }

    async fn execution(&self, run: &str) -> Option<(ListedExecution, FailedExecution)> {
        self.world.execution_named(self.state_machine.as_deref()?, run).await.ok().flatten()
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
