//! The ports on AWS. This is the only module that names an SDK.

mod alarms;
mod caller;
#[cfg(all(test, feature = "testing"))]
mod contract;
mod errors;
mod executions;
mod expressions;
mod functions;
#[cfg(feature = "cli")]
mod invoke;
#[cfg(all(test, feature = "testing"))]
mod kept_records;
mod ledger;
#[cfg(all(test, feature = "testing"))]
mod moto;
mod profile;
mod records;
#[cfg(feature = "cli")]
mod stacks;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region};
use aws_smithy_http_client::tls;

use crate::model::time::Time;
use crate::ports::{Clock, Stack};
use crate::steps::{ATTEMPT_TIMEOUT, READ_ATTEMPTS};

pub use aws_config::SdkConfig;
pub use caller::caller;
pub use executions::ExecutionState;
#[cfg(feature = "cli")]
pub use invoke::{FunctionResponse, invoke};
pub use profile::ProfileError;
#[cfg(feature = "cli")]
use profile::lacks_credentials;
#[cfg(feature = "cli")]
pub use stacks::{StackError, StackOutputs, stack_outputs};

/// The longest time for establishing a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The ports on AWS.
#[derive(Clone, Debug)]
pub struct AwsWorld {
    lambda: aws_sdk_lambda::Client,
    /// Makes each call once. The step decides whether to retry, because a retry must fit into its lease.
    lambda_once: aws_sdk_lambda::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    cloudwatch: aws_sdk_cloudwatch::Client,
    sfn: aws_sdk_sfn::Client,
    tagging: aws_sdk_resourcegroupstagging::Client,
    table: String,
    /// The part of a guarded write that is left out, to prove that the contract's sequences detect it.
    #[cfg(test)]
    omission: Option<crate::model::guarded_write::Omission>,
    prefix: Option<String>,
}

impl AwsWorld {
    /// Creates the ports for an account and Region, with this table as the ledger, and the prefix of the stack's
    /// function names if it is known.
    #[must_use]
    pub fn new(config: &SdkConfig, table: impl Into<String>, prefix: Option<&str>) -> Self {
        let once = aws_sdk_lambda::config::Builder::from(config).retry_config(RetryConfig::disabled()).build();
        Self {
            lambda: aws_sdk_lambda::Client::new(config),
            lambda_once: aws_sdk_lambda::Client::from_conf(once),
            dynamodb: aws_sdk_dynamodb::Client::new(config),
            cloudwatch: aws_sdk_cloudwatch::Client::new(config),
            sfn: aws_sdk_sfn::Client::new(config),
            tagging: aws_sdk_resourcegroupstagging::Client::new(config),
            table: table.into(),
            #[cfg(test)]
            omission: None,
            prefix: prefix.map(str::to_owned),
        }
    }
}

/// Reads Region, credentials and endpoint as every AWS tool does. `region` takes precedence over the environment, and a
/// given `profile` is the only source of credentials.
///
/// # Errors
/// If the profile does not exist, whether it is given or named by AWS_PROFILE.
pub async fn configuration(profile: Option<&str>, region: Option<&str>) -> Result<SdkConfig, ProfileError> {
    let named = profile.map(str::to_owned).or_else(profile_of_environment);
    if let Some(name) = &named {
        profile::require(name).await?;
    }
    // ring instead of the default aws-lc, because it is smaller, starts faster, and cross-compiles with any C compiler.
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    let loader = || {
        let loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http.clone())
            .timeout_config(timeouts.clone())
            .retry_config(RetryConfig::standard().with_max_attempts(READ_ATTEMPTS));
        let loader = profile.into_iter().fold(loader, ConfigLoader::profile_name);
        region.into_iter().fold(loader, |loader, region| loader.region(Region::new(region.to_owned())))
    };
    let config = loader().load().await;
    let Some(profile) = profile else { return Ok(config) };
    let credentials = profile::credentials(profile, config.region().cloned(), http.clone());
    Ok(loader().credentials_provider(credentials).load().await)
}

/// Returns AWS_PROFILE, unless it names the default profile, which need not exist.
fn profile_of_environment() -> Option<String> {
    std::env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty() && name != "default")
}

impl Stack for AwsWorld {
    fn prefix(&self) -> Option<&str> {
        self.prefix.as_deref()
    }
}

impl Clock for AwsWorld {
    fn now(&self) -> Time {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
    }

    async fn sleep(&self, span: Duration) {
        tokio::time::sleep(span).await;
    }

    /// The standard library seeds its hashers at random, which is random enough for jitter and names.
    fn random(&self) -> u64 {
        use std::hash::{BuildHasher, Hasher};
        let mut hasher = std::hash::RandomState::new().build_hasher();
        hasher.write_i64(self.now().0);
        hasher.finish()
    }
}
