//! Finding what was deployed, and calling its rollback function.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_sdk_cloudformation::error::SdkError;
use aws_sdk_cloudformation::operation::describe_stacks::DescribeStacksError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use serde::Deserialize;
use serde_json::Value;

use crate::aws::{AwsWorld, configuration, lacks_credentials};
use crate::model::names::RunId;
use crate::model::settings;
use crate::model::settings::Settings;
use crate::steps::error::{StepErrorKind, failure_message};

use super::Failure;
use super::arguments::Arguments;
use super::exit::Exit;

/// The rollback function's own timeout, and a little; for all attempts together.
const INVOCATION: Duration = Duration::from_secs(910);

/// The deployed control plane.
pub(super) struct Stack {
    pub(super) config: SdkConfig,
    pub(super) world: AwsWorld,
    pub(super) settings: Settings,
    pub(super) state_machine: String,
    pub(super) account: String,
    rollback_function: String,
}

/// Why the rollback function has not done what it was asked.
pub(super) enum RollbackError {
    /// It was not reached, or does not run: it has done nothing, or nobody knows what.
    Unreachable(String),
    /// It ran, and says why it failed.
    Failed(Failure),
}

/// The ledger alone: with `--table` nothing else is asked for.
pub(super) async fn ledger(arguments: &Arguments) -> Result<AwsWorld, Failure> {
    match &arguments.table {
        Some(table) => Ok(AwsWorld::new(&config(arguments).await?, table, None)),
        None => Ok(find(arguments).await?.world),
    }
}

async fn config(arguments: &Arguments) -> Result<SdkConfig, Failure> {
    let invalid = |error: &str, cause: String| Failure { exit: Exit::Invalid, ..Failure::new(error, cause) };
    let config = configuration(arguments.profile.as_deref(), arguments.region.as_deref()).await;
    let config = config.map_err(|wrong| invalid("NoProfile", wrong.to_string()))?;
    match config.region() {
        Some(_) => Ok(config),
        None => Err(invalid("NoRegion", "no AWS region is set; use --region or AWS_REGION".into())),
    }
}

/// Reads the stack's outputs.
pub(super) async fn find(arguments: &Arguments) -> Result<Stack, Failure> {
    let config = config(arguments).await?;
    let name = &arguments.stack;
    let described = aws_sdk_cloudformation::Client::new(&config).describe_stacks().stack_name(name).send().await;
    let described = described.map_err(|error| not_found(arguments, &error))?;
    let stack = described.stacks().first();
    let outputs = stack.map(|stack| stack.outputs()).unwrap_or_default();
    let output = |key: &str| {
        let found =
            outputs.iter().find(|output| output.output_key() == Some(key)).and_then(|output| output.output_value());
        let missing = || {
            Failure::new(
                "StackNotFound",
                format!("the stack {name} has no output {key}; is it snapback's? deploy it again: make deploy"),
            )
        };
        found.map(str::to_owned).ok_or_else(missing)
    };
    // A stack of an earlier release does not say both of these; what does not need them works there as it did.
    let proxy_layers = output("ProxyLayers").unwrap_or_default();
    let reserved = output("RollbackReservedConcurrency").unwrap_or_default();
    let (prefix, opt_in, limit) = (output("Prefix")?, output("OptInTag")?, output("TargetLimit")?);
    let settings = settings::parse(&prefix, &opt_in, &limit, &proxy_layers, &reserved);
    let settings = settings
        .map_err(|wrong| Failure::new("StackNotFound", format!("the stack {name} is set up wrongly: {wrong}")))?;
    let table = arguments.table.clone().map_or_else(|| output("LedgerTable"), Ok)?;
    let id = stack.and_then(|stack| stack.stack_id()).unwrap_or_default();
    Ok(Stack {
        world: AwsWorld::new(&config, table, Some(&settings.prefix)),
        settings,
        state_machine: output("StateMachineArn")?,
        // arn:PARTITION:cloudformation:REGION:ACCOUNT:stack/NAME/ID
        account: id.split(':').nth(4).unwrap_or("unknown").to_owned(),
        rollback_function: output("RollbackFunction")?,
        config,
    })
}

fn not_found(arguments: &Arguments, error: &SdkError<DescribeStacksError>) -> Failure {
    let name = &arguments.stack;
    match error.as_service_error() {
        Some(service) => {
            let why = service.message().unwrap_or("AWS gave no reason");
            let fix = "name yours with --stack, or deploy it: make deploy";
            Failure::new("StackNotFound", format!("the stack {name} cannot be read: {why}; {fix}"))
        }
        None if lacks_credentials(error) => {
            let cause = match &arguments.profile {
                Some(profile) => format!(
                    "the AWS profile `{profile}` gives no credentials; see: aws sts get-caller-identity --profile {profile}"
                ),
                None => "there are no AWS credentials; name a profile with --profile, or log in".to_owned(),
            };
            Failure::new("NoCredentials", cause)
        }
        None => Failure::new(
            "Unavailable",
            format!("the stack {name} cannot be read: AWS did not answer; is the endpoint right, and the network up?"),
        ),
    }
}

/// What the rollback function says of the runs that it has rolled back.
#[derive(Deserialize)]
struct RolledBack {
    runs: Vec<RolledBackRun>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RolledBackRun {
    run_id: RunId,
}

impl Stack {
    /// Calls the rollback function and waits for its answer; returns the runs that it has rolled back.
    pub(super) async fn roll_back(&self, payload: &Value) -> Result<Vec<RunId>, RollbackError> {
        let patient =
            TimeoutConfig::builder().operation_attempt_timeout(INVOCATION).operation_timeout(INVOCATION).build();
        let lambda = aws_sdk_lambda::config::Builder::from(&self.config).timeout_config(patient).build();
        let call = aws_sdk_lambda::Client::from_conf(lambda).invoke().function_name(&self.rollback_function);
        let answer = call.payload(aws_sdk_lambda::primitives::Blob::new(payload.to_string())).send().await;
        let answer = answer.map_err(|error| {
            let service = error.as_service_error();
            let why = service.and_then(|service| service.message().or(service.code())).unwrap_or("no answer");
            RollbackError::Unreachable(why.to_owned())
        })?;
        let body = answer.payload().map(|blob| String::from_utf8_lossy(blob.as_ref()).into_owned()).unwrap_or_default();
        if answer.function_error().is_some() {
            return Err(failed(&body));
        }
        // A function of another release may say it otherwise; that it has answered is what counts.
        let rolled_back = serde_json::from_str::<RolledBack>(&body).map(|answer| answer.runs).unwrap_or_default();
        Ok(rolled_back.into_iter().map(|run| run.run_id).collect())
    }
}

/// Its own errors have names of ours; those of Lambda's begin with `Runtime.` or `Sandbox.`: then it is broken itself.
/// Inferred from lambda/latest/dg/runtimes-logs-api and lambda/latest/dg/troubleshooting-invocation.
fn failed(body: &str) -> RollbackError {
    let parsed: Value = serde_json::from_str(body).unwrap_or_default();
    let kind = parsed["errorType"].as_str().unwrap_or_default();
    let why = failure_message(body);
    if kind.starts_with("Runtime.") || kind.starts_with("Sandbox.") {
        return RollbackError::Unreachable(format!("it does not run: {why}"));
    }
    let exit = match StepErrorKind::from_name(kind) {
        Some(StepErrorKind::InvalidInput | StepErrorKind::NoSuchRun) => Exit::Invalid,
        _ => Exit::Error,
    };
    let cause = format!("the rollback function failed: {why}");
    RollbackError::Failed(Failure { exit, ..Failure::new("RollbackFailed", cause) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_fails_is_told_apart_from_one_that_does_not_run() {
        let unreachable = |body: &str| matches!(failed(body), RollbackError::Unreachable(_));
        assert!(unreachable(r#"{"errorType":"Runtime.ExitError","errorMessage":"exit status 1"}"#));
        assert!(unreachable(
            r#"{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out after 900.00 seconds"}"#
        ));
        for (body, exit) in [
            (r#"{"errorType":"NoSuchRun","errorMessage":"there is no run r"}"#, Exit::Invalid),
            (r#"{"errorType":"LedgerUnusable","errorMessage":"the ledger cannot be used"}"#, Exit::Error),
            ("", Exit::Error),
        ] {
            match failed(body) {
                RollbackError::Failed(failure) => assert_eq!(failure.exit, exit, "{body}"),
                RollbackError::Unreachable(why) => unreachable!("{body}: {why}"),
            }
        }
    }
}
