//! Reads the outputs of a CloudFormation stack.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::lacks_credentials;

/// A deployed stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StackOutputs {
    /// Its ARN: `arn:PARTITION:cloudformation:REGION:ACCOUNT:stack/NAME/ID`.
    pub id: String,
    /// Its outputs, by their keys.
    pub outputs: BTreeMap<String, String>,
}

/// The reason for which a stack's outputs cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StackError {
    /// CloudFormation refused the call with this message: there is no such stack, or access is denied.
    Refused(String),
    /// There were no credentials to sign the call with.
    NoCredentials,
    /// CloudFormation did not respond.
    NoResponse,
}

/// Reads the outputs of the stack of this name.
///
/// # Errors
/// If CloudFormation refuses or does not respond, or if there are no credentials.
pub async fn stack_outputs(config: &SdkConfig, name: &str) -> Result<StackOutputs, StackError> {
    let described = aws_sdk_cloudformation::Client::new(config).describe_stacks().stack_name(name).send().await;
    let described = described.map_err(|error| match error.as_service_error() {
        Some(service) => StackError::Refused(service.message().unwrap_or("AWS gave no reason").to_owned()),
        None if lacks_credentials(&error) => StackError::NoCredentials,
        None => StackError::NoResponse,
    })?;
    let Some(stack) = described.stacks().first() else { return Ok(StackOutputs::default()) };
    let output = |output: &aws_sdk_cloudformation::types::Output| {
        Some((output.output_key()?.to_owned(), output.output_value()?.to_owned()))
    };
    Ok(StackOutputs {
        id: stack.stack_id().unwrap_or_default().to_owned(),
        outputs: stack.outputs().iter().filter_map(output).collect(),
    })
}
