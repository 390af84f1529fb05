//! Invokes a Lambda function and waits for its response.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_lambda::primitives::Blob;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde_json::Value;

/// The response of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionResponse {
    /// The response's payload, as text.
    pub payload: String,
    /// Whether the function failed. Then the payload has `errorType` and `errorMessage`.
    pub is_error: bool,
}

/// Invokes a function and waits for its response, for at most `timeout` including all attempts.
///
/// # Errors
/// The reason for which Lambda did not run the function, or that there was no response.
pub async fn invoke(
    config: &SdkConfig,
    function: &str,
    payload: &Value,
    timeout: Duration,
) -> Result<FunctionResponse, String> {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(timeout).operation_timeout(timeout).build();
    let lambda = aws_sdk_lambda::config::Builder::from(config).timeout_config(timeouts).build();
    let call = aws_sdk_lambda::Client::from_conf(lambda).invoke().function_name(function);
    let response = call.payload(Blob::new(payload.to_string())).send().await;
    let response = response.map_err(|error| {
        let service = error.as_service_error();
        service.and_then(|service| service.message().or(service.code())).unwrap_or("no response").to_owned()
    })?;
    let payload = response.payload().map(|blob| String::from_utf8_lossy(blob.as_ref()).into_owned());
    Ok(FunctionResponse { payload: payload.unwrap_or_default(), is_error: response.function_error().is_some() })
}
