//! The ports on AWS. This is the only module that names an SDK.

mod alarms;
mod caller;
mod configuration;
#[cfg(all(test, feature = "testing"))]
mod contract;
mod errors;
mod executions;
mod expressions;
mod functions;
#[cfg(feature = "cli")]
mod invoke;
mod kept_metrics;
#[cfg(all(test, feature = "testing"))]
mod kept_records;
mod ledger;
#[cfg(all(test, feature = "testing"))]
mod moto;
#[cfg(feature = "cli")]
mod profile;
mod records;
mod report_bucket;
#[cfg(feature = "cli")]
mod schedules;
#[cfg(feature = "cli")]
mod stacks;
#[cfg(feature = "task")]
pub mod stream;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::retry::RetryConfig;

use crate::model::report_bucket::ReportBucket;
use crate::model::time::Time;
use crate::ports::{Clock, Stack};

pub use aws_config::SdkConfig;
pub use caller::caller;
#[cfg(feature = "task")]
pub use configuration::function_configuration;
#[cfg(feature = "cli")]
pub use configuration::user_configuration;
pub use executions::{ExecutionState, StartError};
#[cfg(feature = "cli")]
pub use executions::{FailedExecution, ListedExecution};
#[cfg(feature = "cli")]
pub use invoke::{FunctionResponse, invoke};
#[cfg(feature = "cli")]
pub use profile::ProfileError;
#[cfg(feature = "cli")]
use profile::lacks_credentials;
#[cfg(feature = "cli")]
pub use schedules::{ScheduleError, ScheduleResources, Schedules};
#[cfg(feature = "cli")]
pub use stacks::{StackError, StackOutputs, stack_outputs};

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
    report_bucket: Option<Arc<report_bucket::BucketClient>>,
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
            report_bucket: None,
        }
    }

    /// Lets pages be put into this bucket, if there is one.
    #[must_use]
    pub fn with_report_bucket(self, config: &SdkConfig, bucket: Option<ReportBucket>) -> Self {
        Self { report_bucket: bucket.map(|bucket| Arc::new(report_bucket::BucketClient::new(config, bucket))), ..self }
    }
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
