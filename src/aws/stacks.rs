//! Reads the outputs of a CloudFormation stack.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::errors::without_code;
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
    /// There is no such stack.
    NotFound,
    /// The caller may not read it, as this message says.
    Denied(String),
    /// The credentials are not valid, or no longer, as this message says.
    InvalidCredentials(String),
    /// CloudFormation refused the call with this message.
    Refused(String),
    /// There were no credentials to sign the call with.
    NoCredentials,
    /// CloudFormation did not respond, or something else did, for this reason.
    NoResponse(String),
}

/// Reads the outputs of the stack of this name.
///
/// # Errors
/// If CloudFormation refuses or does not respond, or if there are no credentials.
pub async fn stack_outputs(config: &SdkConfig, name: &str) -> Result<StackOutputs, StackError> {
    let described = aws_sdk_cloudformation::Client::new(config).describe_stacks().stack_name(name).send().await;
    let described = described.map_err(|error| match error.as_service_error() {
        Some(service) => match service.code() {
            Some(code) => refused(code, service.message().unwrap_or("AWS gave no reason")),
            None => StackError::NoResponse(error.raw_response().map(without_code).unwrap_or_default()),
        },
        None if lacks_credentials(&error) => StackError::NoCredentials,
        None => StackError::NoResponse(no_response(&error).to_owned()),
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

/// The codes are those of all calls (AWSCloudFormation/latest/APIReference/CommonErrors). A stack that does not exist is a
/// `ValidationError` with this text (AWSCloudFormation/latest/APIReference/API_DescribeStacks; the text is inferred).
fn refused(code: &str, message: &str) -> StackError {
    let message = message.to_owned();
    match code {
        "ValidationError" if message.ends_with("does not exist") => StackError::NotFound,
        "AccessDenied" | "AccessDeniedException" | "NotAuthorized" => StackError::Denied(message),
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => StackError::InvalidCredentials(message),
        _ => StackError::Refused(message),
    }
}

/// Why there was no response. The library's own texts are not shown.
fn no_response(error: &(dyn std::error::Error + 'static)) -> &'static str {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut kinds = causes.filter_map(|cause| cause.downcast_ref::<std::io::Error>()).map(std::io::Error::kind);
    match kinds.any(|kind| kind == std::io::ErrorKind::ConnectionRefused) {
        true => "nothing listens there",
        false => "AWS did not respond",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_cause() {
        let text = || "why".to_owned();
        for (code, expected) in [
            ("AccessDenied", StackError::Denied(text())),
            ("ExpiredToken", StackError::InvalidCredentials(text())),
            ("Throttling", StackError::Refused(text())),
            ("ValidationError", StackError::Refused(text())),
        ] {
            assert_eq!(refused(code, "why"), expected, "{code}");
        }
        assert_eq!(refused("ValidationError", "Stack with id lab does not exist"), StackError::NotFound);
    }
}
