//! The port to AWS Step Functions.

use aws_sdk_sfn::operation::describe_execution::DescribeExecutionOutput;
#[cfg(feature = "cli")]
use aws_sdk_sfn::types::ExecutionListItem;
use aws_sdk_sfn::types::ExecutionStatus;
use serde_json::Value;

#[cfg(feature = "cli")]
use crate::model::actor::Actor;
#[cfg(feature = "cli")]
use crate::model::time::Time;
use crate::ports::Executions;

use super::AwsWorld;
use super::errors::{CallError, call_error};

/// The state of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutionState {
    /// It has not ended.
    Running,
    /// It ended without an error.
    Succeeded,
    /// It failed.
    Failed {
        /// The error's name, or the execution's status if it has no error.
        error: String,
        /// The cause, as the failed task wrote it.
        cause: String,
    },
    /// It was stopped, or timed out, for this reason. No Catch has run.
    Interrupted(String),
}

/// An execution, as a list has it.
#[cfg(feature = "cli")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedExecution {
    /// Its name, which is the run.
    pub name: String,
    /// Its ARN.
    pub arn: String,
    /// When it started.
    pub started_at: Time,
    /// Whether it has failed.
    pub has_failed: bool,
}

/// A failed execution: why, and what its input states.
#[cfg(feature = "cli")]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedExecution {
    /// The error's name.
    pub error: String,
    /// The cause, as the failed task wrote it.
    pub cause: String,
    /// The experiment's name, if the input has one.
    pub experiment: Option<String>,
    /// Who started it, as the starter stated it.
    pub started_by: Option<Actor>,
}

#[cfg(feature = "cli")]
impl FailedExecution {
    fn of(described: &DescribeExecutionOutput) -> Self {
        let input: Value = serde_json::from_str(described.input().unwrap_or_default()).unwrap_or_default();
        Self {
            error: described.error().unwrap_or_default().to_owned(),
            cause: described.cause().unwrap_or_default().to_owned(),
            experiment: input["name"].as_str().map(str::to_owned),
            started_by: serde_json::from_value(input["startedBy"].clone()).ok(),
        }
    }

    /// Whether it failed before it had a run. The state machine has names for a run that failed without a failed task.
    #[must_use]
    pub fn left_no_run(&self) -> bool {
        !["RunFailed", "RestoreFailed"].contains(&self.error.as_str())
    }
}

/// Why an execution was not seen to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartError {
    /// An earlier execution has this name, so this call has started nothing.
    NameTaken,
    /// There is no such state machine.
    NoStateMachine,
    /// Step Functions refused it, so this call has started nothing.
    Refused(String),
    /// There was no response, so the execution may have started.
    Unknown(String),
}

impl AwsWorld {
    /// Starts an execution of this name and returns its ARN. Step Functions starts a name only once: a repeated call
    /// with the same input returns the running execution (step-functions/latest/apireference/API_StartExecution).
    ///
    /// # Errors
    /// The reason, and whether it may have started.
    pub async fn start_execution(&self, state_machine: &str, name: &str, input: &Value) -> Result<String, StartError> {
        let start = self.sfn.start_execution().state_machine_arn(state_machine).name(name).input(input.to_string());
        let started = start.send().await.map_err(|error| call_error(&error));
        started.map(|started| started.execution_arn).map_err(|error| match error.code.as_str() {
            _ if !error.is_refusal => StartError::Unknown(error.text()),
            "ExecutionAlreadyExists" => StartError::NameTaken,
            "StateMachineDoesNotExist" => StartError::NoStateMachine,
            _ => StartError::Refused(error.text()),
        })
    }

    /// Reads the state of an execution.
    ///
    /// # Errors
    /// The reason for which the state is not known.
    pub async fn execution(&self, arn: &str) -> Result<ExecutionState, String> {
        self.describe(arn).await.map(state).map_err(|error| error.text())
    }

    /// Reads the state of an execution, and its output, which is empty until it has succeeded.
    ///
    /// # Errors
    /// The reason for which they are not known.
    #[cfg(feature = "cli")]
    pub async fn execution_and_output(&self, arn: &str) -> Result<(ExecutionState, String), String> {
        let described = self.describe(arn).await.map_err(|error| error.text())?;
        let output = described.output().unwrap_or_default().to_owned();
        Ok((state(described), output))
    }

    /// Lists the latest 1,000 executions, the newest first. Step Functions keeps closed ones for 90 days
    /// (step-functions/latest/dg/service-quotas).
    ///
    /// # Errors
    /// The reason for which they are not known.
    #[cfg(feature = "cli")]
    pub async fn latest_executions(&self, state_machine: &str) -> Result<Vec<ListedExecution>, String> {
        let list = self.sfn.list_executions().state_machine_arn(state_machine).max_results(1000);
        let page = list.send().await.map_err(|error| call_error(&error).text())?;
        let listed = |item: &ExecutionListItem| ListedExecution {
            name: item.name().to_owned(),
            arn: item.execution_arn().to_owned(),
            started_at: Time(item.start_date().to_millis().unwrap_or_default()),
            has_failed: *item.status() == ExecutionStatus::Failed,
        };
        Ok(page.executions().iter().map(listed).collect())
    }

    /// Reads why an execution has failed. Of its input, which can have values of variables, it returns names only.
    ///
    /// # Errors
    /// The reason for which it is not known.
    #[cfg(feature = "cli")]
    pub async fn failed_execution(&self, arn: &str) -> Result<FailedExecution, String> {
        self.describe(arn).await.map(|described| FailedExecution::of(&described)).map_err(|error| error.text())
    }

    /// Reads the execution of this name; `None` if there is no such execution. Of its input, it returns names only. One that
    /// has not failed has neither an error nor a cause.
    ///
    /// # Errors
    /// The reason for which it is not known.
    #[cfg(feature = "cli")]
    pub async fn execution_named(
        &self,
        state_machine: &str,
        name: &str,
    ) -> Result<Option<(ListedExecution, FailedExecution)>, String> {
        let described = self.describe_named(state_machine, name).await?;
        Ok(described.map(|described| {
            let listed = ListedExecution {
                name: name.to_owned(),
                arn: described.execution_arn().to_owned(),
                started_at: Time(described.start_date().to_millis().unwrap_or_default()),
                has_failed: *described.status() == ExecutionStatus::Failed,
            };
            (listed, FailedExecution::of(&described))
        }))
    }

    /// Returns the input of the execution of this name; `None` if there is no such execution.
    ///
    /// # Errors
    /// The reason for which it is not known.
    #[cfg(feature = "cli")]
    pub async fn execution_input(&self, state_machine: &str, name: &str) -> Result<Option<Value>, String> {
        let described = self.describe_named(state_machine, name).await?;
        Ok(described.map(|described| {
            let input = described.input().map(serde_json::from_str);
            input.and_then(Result::ok).unwrap_or_default()
        }))
    }

    #[cfg(feature = "cli")]
    async fn describe_named(&self, state_machine: &str, name: &str) -> Result<Option<DescribeExecutionOutput>, String> {
        // arn:PARTITION:states:REGION:ACCOUNT:stateMachine:NAME, and for its executions execution:NAME:EXECUTION
        // (service-authorization/latest/reference/list_awsstepfunctions).
        let arn = format!("{}:{name}", state_machine.replacen(":stateMachine:", ":execution:", 1));
        match self.describe(&arn).await {
            Ok(described) => Ok(Some(described)),
            Err(missing) if missing.code == "ExecutionDoesNotExist" => Ok(None),
            Err(other) => Err(other.text()),
        }
    }

    async fn describe(&self, arn: &str) -> Result<DescribeExecutionOutput, CallError> {
        self.sfn.describe_execution().execution_arn(arn).send().await.map_err(|error| call_error(&error))
    }
}

fn state(described: DescribeExecutionOutput) -> ExecutionState {
    match described.status() {
        ExecutionStatus::Running | ExecutionStatus::PendingRedrive => ExecutionState::Running,
        ExecutionStatus::Succeeded => ExecutionState::Succeeded,
        ExecutionStatus::TimedOut => ExecutionState::Interrupted("it timed out".to_owned()),
        ExecutionStatus::Aborted => {
            // StopExecution takes an error and a cause (step-functions/latest/apireference/API_StopExecution).
            let given = [described.error(), described.cause()].into_iter().flatten().collect::<Vec<_>>().join(": ");
            let given = if given.is_empty() { given } else { format!(", with {given}") };
            ExecutionState::Interrupted(format!("it was stopped{given}"))
        }
        status => ExecutionState::Failed {
            error: described.error().unwrap_or(status.as_str()).to_owned(),
            cause: described.cause().unwrap_or_default().to_owned(),
        },
    }
}

impl Executions for AwsWorld {
    async fn is_running(&self, execution_arn: &str) -> Result<bool, String> {
        match self.describe(execution_arn).await {
            Ok(execution) => Ok(state(execution) == ExecutionState::Running),
            Err(missing) if missing.code == "ExecutionDoesNotExist" => Ok(false),
            Err(other) => Err(other.text()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_that_was_ended_from_outside_has_not_failed() {
        let ended = |status: ExecutionStatus, given: Option<(&str, &str)>| {
            let (error, cause) = given.map(|(error, cause)| (error.to_owned(), cause.to_owned())).unzip();
            let built = DescribeExecutionOutput::builder().set_error(error).set_cause(cause).status(status);
            let arn = "arn:aws:states:eu-west-1:123456789012:x";
            let built =
                built.execution_arn(arn).state_machine_arn(arn).start_date(std::time::SystemTime::UNIX_EPOCH.into());
            state(built.build().unwrap_or_else(|missing| unreachable!("{missing}")))
        };
        let interrupted = |how: &str| ExecutionState::Interrupted(how.to_owned());
        assert_eq!(ended(ExecutionStatus::Aborted, None), interrupted("it was stopped"));
        assert_eq!(
            ended(ExecutionStatus::Aborted, Some(("GameDay", "is over"))),
            interrupted("it was stopped, with GameDay: is over")
        );
        assert_eq!(ended(ExecutionStatus::TimedOut, None), interrupted("it timed out"));
        let failed = ExecutionState::Failed { error: "AccessDenied".to_owned(), cause: "why".to_owned() };
        assert_eq!(ended(ExecutionStatus::Failed, Some(("AccessDenied", "why"))), failed);
    }
}
