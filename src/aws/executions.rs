//! AWS Step Functions.

use aws_sdk_sfn::types::ExecutionStatus;

use crate::ports::Executions;

use super::AwsWorld;
use super::errors::answer;

impl Executions for AwsWorld {
    async fn is_running(&self, execution_arn: &str) -> Result<bool, String> {
        match self.sfn.describe_execution().execution_arn(execution_arn).send().await {
            Ok(execution) => {
                Ok(matches!(execution.status(), ExecutionStatus::Running | ExecutionStatus::PendingRedrive))
            }
            Err(error) => match answer(&error) {
                gone if gone.code == "ExecutionDoesNotExist" => Ok(false),
                other => Err(other.text()),
            },
        }
    }
}
