//! The identity of the caller.

use aws_config::SdkConfig;
use aws_config::retry::RetryConfig;

/// Returns the ARN of the caller's user or role, and the account. The call needs no permission
/// (STS/latest/APIReference/API_GetCallerIdentity). It is made only once, because STS can be unreachable where other
/// services are reachable.
///
/// # Errors
/// The reason for which the caller is not known.
pub async fn caller(config: &SdkConfig) -> Result<(String, String), &'static str> {
    let once = aws_sdk_sts::config::Builder::from(config).retry_config(RetryConfig::disabled()).build();
    let identity = aws_sdk_sts::Client::from_conf(once).get_caller_identity().send().await;
    let identity = identity.map_err(|error| match error.as_service_error() {
        Some(_) => "STS refused the request",
        None => "STS did not respond",
    })?;
    let arn = identity.arn().ok_or("STS returned no ARN")?;
    let account = identity.account().ok_or("STS returned no account")?;
    Ok((arn.to_owned(), account.to_owned()))
}
