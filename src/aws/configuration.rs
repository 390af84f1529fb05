//! How AWS's clients are configured: for a user, who may choose a profile and a Region, and for a Lambda function.

use std::time::Duration;

#[cfg(feature = "cli")]
use aws_config::ConfigLoader;
#[cfg(feature = "task")]
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
#[cfg(feature = "task")]
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::{Connector, tls};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::steps::{ATTEMPT_TIMEOUT, READ_ATTEMPTS};

#[cfg(feature = "cli")]
use super::profile::{self, ProfileError};

/// The longest time for establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Reads Region, credentials and endpoint as every AWS tool does. `region` takes precedence over the environment, and a given
/// `profile` is the only source of credentials.
///
/// # Errors
/// If the profile does not exist, whether it is given or named by AWS_PROFILE.
#[cfg(feature = "cli")]
pub async fn user_configuration(profile: Option<&str>, region: Option<&str>) -> Result<SdkConfig, ProfileError> {
    let named = profile.map(str::to_owned).or_else(profile_of_environment);
    if let Some(name) = &named {
        profile::require(name).await?;
    }
    let http = http_client();
    let loader = || {
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http.clone())
            .timeout_config(timeouts())
            .retry_config(retries());
        let loader = profile.into_iter().fold(loader, ConfigLoader::profile_name);
        region.into_iter().fold(loader, |loader, region| loader.region(Region::new(region.to_owned())))
    };
    let config = loader().load().await;
    let Some(profile) = profile else { return Ok(config) };
    let credentials = profile::credentials(profile, config.region().cloned(), http.clone());
    Ok(loader().credentials_provider(credentials).load().await)
}

/// Returns AWS_PROFILE, unless it names the default profile, which need not exist.
#[cfg(feature = "cli")]
fn profile_of_environment() -> Option<String> {
    std::env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty() && name != "default")
}

/// Reads Region and credentials from the environment that Lambda gives a function (lambda/latest/dg/configuration-envvars),
/// and an endpoint, if there is one, from the variable that all AWS tools read (sdkref/latest/guide/feature-ss-endpoints).
///
/// The chain of an AWS tool would also look at profiles, web identities and metadata services. A function has none of these, and
/// without the chain the binary is smaller and starts sooner.
#[cfg(feature = "task")]
#[must_use]
pub fn function_configuration() -> SdkConfig {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http_client())
        .timeout_config(timeouts())
        .retry_config(retries())
        .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()));
    config.set_region(variable("AWS_REGION").map(Region::new));
    config.set_endpoint_url(variable("AWS_ENDPOINT_URL"));
    config.build()
}

/// Makes one connection's client, for a request that no SDK sends. The caller limits its time.
pub(super) fn connector() -> Connector {
    Connector::builder().tls_provider(tls_provider()).build()
}

/// Uses ring instead of the default aws-lc, because it is smaller, starts faster, and cross-compiles with any C compiler.
fn tls_provider() -> tls::Provider {
    tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)
}

fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(tls_provider()).build_https()
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(READ_ATTEMPTS)
}
