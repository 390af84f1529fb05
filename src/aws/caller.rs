//! Who calls AWS.

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;

/// The ARN of the user or role whose credentials these are, and its account. It needs no permission
/// (STS/latest/APIReference/API_GetCallerIdentity), but STS may be out of reach where the other services are not: it is
/// asked once.
///
/// # Errors
/// Why it is not known.
pub async fn caller(config: &SdkConfig) -> Result<(String, String), &'static str> {
    let once = aws_sdk_sts::config::Builder::from(config).retry_config(RetryConfig::disabled()).build();
    let identity = aws_sdk_sts::Client::from_conf(once).get_caller_identity().send().await;
    let identity = identity.map_err(|error| match error.as_service_error() {
        Some(_) => "STS refuses to say",
        None => "STS did not answer",
    })?;
    let arn = identity.arn().ok_or("STS does not say")?;
    let account = identity.account().ok_or("STS does not say")?;
    Ok((arn.to_owned(), account.to_owned()))
}
