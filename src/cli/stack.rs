//! Finding what was deployed.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use crate::aws::{AwsWorld, configuration};
use crate::plan::guardrails::Settings;
use crate::settings;
use crate::steps::error::failure_message;

use super::Failure;
use super::arguments::Arguments;
use super::exit::Exit;

/// The rollback function's own timeout, and a little.
const INVOCATION: Duration = Duration::from_secs(910);

/// The deployed control plane.
pub(super) struct Stack {
    pub(super) config: SdkConfig,
    pub(super) world: AwsWorld,
    pub(super) settings: Settings,
    pub(super) state_machine: String,
    rollback_function: String,
}

/// The ledger alone: with `--table` nothing else is asked for.
pub(super) async fn ledger(arguments: &Arguments) -> Result<AwsWorld, Failure> {
    match &arguments.table {
        Some(table) => Ok(AwsWorld::new(&config(arguments).await, table, None)),
        None => Ok(find(arguments).await?.world),
    }
}

async fn config(arguments: &Arguments) -> SdkConfig {
    configuration(arguments.profile.as_deref(), arguments.region.as_deref()).await
}

/// Reads the stack's outputs.
pub(super) async fn find(arguments: &Arguments) -> Result<Stack, Failure> {
    let config = config(arguments).await;
    let name = &arguments.stack;
    if config.region().is_none() {
        return Err(Failure {
            exit: Exit::Invalid,
            ..Failure::new("NoRegion", "no AWS region is set; use --region or AWS_REGION")
        });
    }
    let described = aws_sdk_cloudformation::Client::new(&config).describe_stacks().stack_name(name).send().await;
    let described = described.map_err(|error| {
        let why = match error.as_service_error() {
            Some(service) => service.message().unwrap_or("AWS gave no reason").to_owned(),
            None => "AWS did not answer; are there credentials, and is the endpoint right?".to_owned(),
        };
        Failure::new(
            "StackNotFound",
            format!("the stack {name} cannot be read: {why}; name yours with --stack, or deploy it: make deploy"),
        )
    })?;
    let outputs = described.stacks().first().map(|stack| stack.outputs()).unwrap_or_default();
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
    Ok(Stack {
        world: AwsWorld::new(&config, table, Some(&settings.prefix)),
        settings,
        state_machine: output("StateMachineArn")?,
        rollback_function: output("RollbackFunction")?,
        config,
    })
}

impl Stack {
    /// Calls the rollback function and waits for its answer.
    pub(super) async fn roll_back(&self, payload: &serde_json::Value) -> Result<(), Failure> {
        let patient = TimeoutConfig::builder().operation_attempt_timeout(INVOCATION).build();
        let lambda = aws_sdk_lambda::config::Builder::from(&self.config).timeout_config(patient).build();
        let call = aws_sdk_lambda::Client::from_conf(lambda).invoke().function_name(&self.rollback_function);
        let answer = call.payload(aws_sdk_lambda::primitives::Blob::new(payload.to_string())).send().await;
        let fix = "restore from here instead: snapback rollback --direct";
        let answer = answer.map_err(|error| {
            let why = error.as_service_error().and_then(|service| service.message()).unwrap_or("no answer").to_owned();
            Failure::new("RollbackFailed", format!("the rollback function could not be called: {why}; {fix}"))
        })?;
        if answer.function_error().is_none() {
            return Ok(());
        }
        let body = answer.payload().map(|blob| String::from_utf8_lossy(blob.as_ref()).into_owned()).unwrap_or_default();
        let why = failure_message(&body);
        Err(Failure::new("RollbackFailed", format!("the rollback function failed: {why}; {fix}")))
    }
}
