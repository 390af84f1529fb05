//! The port to AWS Lambda.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_lambda::operation::get_function::GetFunctionOutput;
use aws_sdk_lambda::types::{
    CodeSigningConfig, CodeSigningPolicy, Environment as LambdaEnvironment, EventSourceMappingConfiguration,
    FunctionConfiguration, LastUpdateStatus, PackageType, State, UpdateRuntimeOn,
};

use futures_util::future::join;

use crate::model::facts::{AccountConcurrency, Alias, CodeSigning, LayerFact, RuntimeUpdates};
use crate::model::function::{
    Environment, LastUpdate, Lifecycle, Mapping, MappingState, Observation, Package, Slot, Tags,
};
use crate::model::names::{FunctionArn, Handler, LayerVersionArn, MappingId};
use crate::model::secret::Secret;
use crate::model::snapshot::{ConfigurationUpdate, Write};
use crate::model::time::Time;
use crate::ports::{Clock, FunctionError, Functions, Permit, VersionPage};

use super::AwsWorld;
use super::errors::{call_error, function_error};

impl Functions for AwsWorld {
    async fn observe(&self, function: &str, with_mappings: bool) -> Result<Observation, FunctionError> {
        self.check_region(function)?;
        let configuration = self.lambda.get_function().function_name(function).send();
        // Both calls run concurrently, because every round trip between an alarm's event and the first restoring call
        // counts.
        let (output, mappings) =
            join(configuration, async { if with_mappings { self.mappings(function).await } else { Ok(Vec::new()) } })
                .await;
        let mut seen = observation(&output.map_err(function_error)?)?;
        seen.mappings = mappings?;
        Ok(seen)
    }

    /// This also reads a mapping whose function was deleted (lambda/latest/api/API_GetEventSourceMapping takes only a
    /// UUID).
    async fn mapping(&self, id: &MappingId) -> Result<MappingState, FunctionError> {
        let found = self.lambda.get_event_source_mapping().uuid(id.as_str()).send().await.map_err(function_error)?;
        let state =
            found.state().ok_or_else(|| FunctionError::Unclear("GetEventSourceMapping returned no state".into()))?;
        Ok(mapping_state(state))
    }

    async fn write(&self, permit: &Permit, write: &Write, not_after: Time) -> Result<(), FunctionError> {
        if self.now() > not_after {
            return Err(FunctionError::Throttled(Duration::ZERO));
        }
        let function = permit.function();
        self.check_region(function.as_str())?;
        let lambda = &self.lambda_once;
        match write {
            Write::Concurrency(Slot::Present(limit)) => {
                let limit = i32::try_from(*limit).unwrap_or(i32::MAX);
                let call = lambda.put_function_concurrency().function_name(function.as_str());
                call.reserved_concurrent_executions(limit).send().await.map(drop).map_err(function_error)
            }
            Write::Concurrency(Slot::Absent) => {
                let call = lambda.delete_function_concurrency().function_name(function.as_str());
                call.send().await.map(drop).map_err(function_error)
            }
            Write::Mapping { id, enabled } => {
                let call = lambda.update_event_source_mapping().uuid(id.as_str()).enabled(*enabled);
                call.send().await.map(drop).map_err(function_error)
            }
            Write::Configuration(update) => self.configure(function, update).await,
        }
    }

    async fn layer(&self, layer: &LayerVersionArn) -> Result<LayerFact, FunctionError> {
        match self.lambda.get_layer_version_by_arn().arn(layer.as_str()).send().await {
            Ok(found) => {
                let architectures = found.compatible_architectures().iter().map(|a| a.as_str().to_owned());
                let signer = found.content().and_then(|content| content.signing_profile_version_arn());
                Ok(LayerFact::Here { architectures: architectures.collect(), signer: signer.map(str::to_owned) })
            }
            Err(error) => match function_error(error) {
                FunctionError::NotFound(_) => Ok(LayerFact::Missing),
                FunctionError::Denied(_) => Ok(LayerFact::Denied),
                error => Err(error),
            },
        }
    }

    async fn code_signing(&self, function: &FunctionArn) -> Result<CodeSigning, FunctionError> {
        let found = self.lambda.get_function_code_signing_config().function_name(function.as_str()).send().await;
        match found.map_err(function_error) {
            Ok(found) => self.signing(found.code_signing_config_arn()).await,
            Err(FunctionError::NotFound(_)) => Ok(CodeSigning::Off),
            Err(FunctionError::Denied(_)) => Ok(CodeSigning::Unknown),
            Err(error) => Err(error),
        }
    }

    async fn aliases(&self, function: &FunctionArn) -> Result<Vec<Alias>, FunctionError> {
        let mut pages = self.lambda.list_aliases().function_name(function.as_str()).into_paginator().items().send();
        let mut aliases = Vec::new();
        while let Some(alias) = pages.next().await {
            let alias = alias.map_err(function_error)?;
            aliases.push(Alias {
                name: alias.name().unwrap_or_default().to_owned(),
                version: alias.function_version().unwrap_or_default().to_owned(),
            });
        }
        Ok(aliases)
    }

    async fn versions(&self, function: &FunctionArn, page: Option<&str>) -> Result<VersionPage, FunctionError> {
        let request = self.lambda.list_versions_by_function().function_name(function.as_str());
        let listed = request.set_marker(page.map(str::to_owned)).send().await.map_err(function_error)?;
        // The list includes `$LATEST`, which has no number.
        let number = |version: &FunctionConfiguration| version.version()?.parse::<u64>().ok();
        let next = listed.next_marker().filter(|marker| !marker.is_empty()).map(str::to_owned);
        Ok(VersionPage { versions: listed.versions().iter().filter_map(number).collect(), next })
    }

    async fn runtime_updates(&self, function: &FunctionArn) -> Result<RuntimeUpdates, FunctionError> {
        let found = self.lambda.get_runtime_management_config().function_name(function.as_str()).send().await;
        match found.map_err(function_error) {
            Ok(found) => Ok(match found.update_runtime_on() {
                Some(UpdateRuntimeOn::Auto) => RuntimeUpdates::Auto,
                Some(UpdateRuntimeOn::FunctionUpdate) => RuntimeUpdates::FunctionUpdate,
                Some(UpdateRuntimeOn::Manual) => RuntimeUpdates::Manual,
                _ => RuntimeUpdates::Unknown,
            }),
            // A failure is acceptable, because only a note depends on it.
            Err(FunctionError::Denied(_)) => Ok(RuntimeUpdates::Denied),
            Err(FunctionError::NotFound(_) | FunctionError::Rejected(_)) => Ok(RuntimeUpdates::Unknown),
            Err(error) => Err(error),
        }
    }

    async fn account(&self) -> Result<AccountConcurrency, FunctionError> {
        let found = self.lambda.get_account_settings().send().await.map_err(function_error)?;
        let limit = found.account_limit();
        let figure = |figure: Option<i32>| {
            let missing = || FunctionError::Unreadable("GetAccountSettings returned no concurrency".to_owned());
            figure.and_then(|figure| u32::try_from(figure).ok()).ok_or_else(missing)
        };
        Ok(AccountConcurrency {
            total: figure(limit.map(|limit| limit.concurrent_executions()))?,
            unreserved: figure(limit.and_then(|limit| limit.unreserved_concurrent_executions()))?,
        })
    }

    async fn mapping_tags(&self, function: &FunctionArn, mapping: &MappingId) -> Result<Tags, FunctionError> {
        let account = function.as_str().split(":function:").next().unwrap_or_default();
        let arn = format!("{account}:event-source-mapping:{mapping}");
        match self.lambda.list_tags().resource(arn).send().await {
            Ok(tags) => {
                Ok(Tags::Known(tags.tags().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect()))
            }
            Err(error) => match function_error(error) {
                FunctionError::Denied(_) => Ok(Tags::Unknown),
                error => Err(error),
            },
        }
    }

    async fn tagged(&self, tags: &BTreeMap<String, String>) -> Result<Vec<FunctionArn>, FunctionError> {
        use aws_sdk_resourcegroupstagging::types::TagFilter;
        let filters = tags.iter().map(|(key, value)| TagFilter::builder().key(key).values(value).build());
        let request = self.tagging.get_resources().resource_type_filters("lambda:function");
        let mut pages = request.set_tag_filters(Some(filters.collect())).into_paginator().items().send();
        let mut functions = Vec::new();
        while let Some(resource) = pages.next().await {
            let resource = resource.map_err(function_error)?;
            // Some responses also have other resources of this type. Only a function's ARN is a target.
            functions.extend(resource.resource_arn().and_then(|arn| FunctionArn::try_from(arn).ok()));
        }
        Ok(functions)
    }
}

impl AwsWorld {
    /// Refuses a function of another Region. There, the client would find nothing, which must not be taken for a
    /// deleted function. A name without a Region belongs to the client's Region.
    fn check_region(&self, function: &str) -> Result<(), FunctionError> {
        let (Some(client), Some(of_function)) = (self.lambda.config().region(), region_of(function)) else {
            return Ok(());
        };
        if client.as_ref() == of_function {
            return Ok(());
        }
        Err(FunctionError::OtherRegion { function: of_function.to_owned(), client: client.to_string() })
    }

    /// Reads a code signing configuration. A function without one has an empty ARN here
    /// (lambda/latest/api/API_GetFunctionCodeSigningConfig).
    async fn signing(&self, arn: &str) -> Result<CodeSigning, FunctionError> {
        if arn.is_empty() {
            return Ok(CodeSigning::Off);
        }
        match self.lambda.get_code_signing_config().code_signing_config_arn(arn).send().await.map_err(function_error) {
            Ok(found) => Ok(found.code_signing_config().map_or(CodeSigning::Unknown, code_signing)),
            Err(FunctionError::Denied(_)) => Ok(CodeSigning::Unknown),
            Err(error) => Err(error),
        }
    }

    async fn mappings(&self, function: &str) -> Result<Vec<Mapping>, FunctionError> {
        let mut pages =
            self.lambda.list_event_source_mappings().function_name(function).into_paginator().items().send();
        let mut mappings = Vec::new();
        while let Some(found) = pages.next().await {
            mappings.extend(mapping(&found.map_err(function_error)?));
        }
        Ok(mappings)
    }

    async fn configure(&self, function: &FunctionArn, update: &ConfigurationUpdate) -> Result<(), FunctionError> {
        let variables = |environment: &BTreeMap<String, Secret>| {
            let variables = environment.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
            LambdaEnvironment::builder().set_variables(Some(variables.collect())).build()
        };
        let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
        let call = self
            .lambda_once
            .update_function_configuration()
            .function_name(function.as_str())
            .revision_id(&update.revision_id)
            .set_handler(update.handler.as_ref().map(ToString::to_string))
            .set_layers(update.layers.as_ref().map(|layers| layers.iter().map(ToString::to_string).collect()))
            .set_environment(update.environment.as_ref().map(variables))
            .set_timeout(update.timeout.map(number))
            .set_memory_size(update.memory.map(number));
        match call.send().await {
            Ok(_) => Ok(()),
            Err(error) => {
                let mut error = call_error(&error);
                if update.environment.is_some() {
                    error.withhold_message();
                }
                Err(error.into_function_error())
            }
        }
    }
}

/// Returns the Region in a function's ARN.
fn region_of(function: &str) -> Option<&str> {
    function.strip_prefix("arn:")?.split(':').nth(2)
}

fn observation(output: &GetFunctionOutput) -> Result<Observation, FunctionError> {
    let unreadable = |what: &str| FunctionError::Unclear(format!("GetFunction returned no {what}"));
    let found = output.configuration().ok_or_else(|| unreadable("configuration"))?;
    let arn = found.function_arn().ok_or_else(|| unreadable("ARN"))?;
    Ok(Observation {
        arn: FunctionArn::unqualified(arn).map_err(FunctionError::Unreadable)?,
        revision_id: found.revision_id().unwrap_or_default().to_owned(),
        state: match found.state() {
            None | Some(State::Active) => Lifecycle::Active,
            Some(other) => Lifecycle::Other(other.as_str().to_owned()),
        },
        last_update: match found.last_update_status() {
            Some(LastUpdateStatus::InProgress) => LastUpdate::InProgress,
            Some(LastUpdateStatus::Failed) => LastUpdate::Failed,
            _ => LastUpdate::Successful,
        },
        package: if found.package_type() == Some(&PackageType::Image) { Package::Image } else { Package::Zip },
        runtime: found.runtime().map(|runtime| runtime.as_str().to_owned()),
        runtime_version: found
            .runtime_version_config()
            .and_then(|config| config.runtime_version_arn())
            .map(str::to_owned),
        managed_instances: found.capacity_provider_config().is_some(),
        durable: found.durable_config().is_some(),
        architecture: found.architectures().first().map_or("x86_64", |architecture| architecture.as_str()).to_owned(),
        handler: found.handler().and_then(|handler| Handler::try_from(handler).ok()),
        layers: layers(found)?,
        environment: environment(found),
        timeout: found.timeout().and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or_default(),
        memory: found.memory_size().and_then(|megabytes| u32::try_from(megabytes).ok()).unwrap_or_default(),
        concurrency: concurrency(output),
        tags: match output.tags_error() {
            Some(_) => Tags::Unknown,
            None => Tags::Known(output.tags().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect()),
        },
        mappings: Vec::new(),
    })
}

fn layers(found: &FunctionConfiguration) -> Result<Vec<LayerVersionArn>, FunctionError> {
    // Fail on an ARN that cannot be parsed: without it, a write of the list would remove the layer.
    let arn = |arn: &str| LayerVersionArn::try_from(arn).map_err(FunctionError::Unreadable);
    found.layers().iter().filter_map(|layer| layer.arn()).map(arn).collect()
}

fn environment(found: &FunctionConfiguration) -> Environment {
    match found.environment() {
        Some(environment) if environment.error().is_some() => Environment::Unreadable,
        environment => {
            let variables = environment.and_then(|environment| environment.variables()).into_iter().flatten();
            Environment::Readable(variables.map(|(name, value)| (name.clone(), Secret::new(value.clone()))).collect())
        }
    }
}

fn concurrency(output: &GetFunctionOutput) -> Slot<u32> {
    let reserved = output.concurrency().and_then(|concurrency| concurrency.reserved_concurrent_executions());
    reserved.and_then(|reserved| u32::try_from(reserved).ok()).into()
}

/// A configuration without a policy only warns (lambda/latest/api/API_CodeSigningPolicies).
fn code_signing(found: &CodeSigningConfig) -> CodeSigning {
    let policy = found.code_signing_policies().and_then(|policies| policies.untrusted_artifact_on_deployment());
    let trusted = found.allowed_publishers().map(|publishers| publishers.signing_profile_version_arns().to_vec());
    CodeSigning::On { enforced: policy == Some(&CodeSigningPolicy::Enforce), trusted: trusted.unwrap_or_default() }
}

fn mapping(found: &EventSourceMappingConfiguration) -> Option<Mapping> {
    Some(Mapping { id: MappingId::try_from(found.uuid()?).ok()?, state: mapping_state(found.state()?) })
}

/// The names are from lambda/latest/api/API_EventSourceMappingConfiguration.
fn mapping_state(name: &str) -> MappingState {
    match name {
        "Enabled" => MappingState::Enabled,
        "Disabled" => MappingState::Disabled,
        _ => MappingState::Busy,
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use aws_config::{BehaviorVersion, Region, SdkConfig};

    use super::*;
    use crate::testing::samples::function_arn;

    /// Returns a client that reaches no server, so it can refuse a call, but not make one.
    fn client(region: &'static str) -> AwsWorld {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .endpoint_url("http://127.0.0.1:9")
            .build();
        AwsWorld::new(&config, "ledger", None)
    }

    #[tokio::test]
    async fn a_function_of_another_region_is_an_error_and_not_deleted() {
        let (function, world) = (function_arn("checkout"), client("us-east-1"));
        let other = FunctionError::OtherRegion { function: "eu-west-1".into(), client: "us-east-1".into() };
        assert_eq!(world.observe(function.as_str(), true).await.err(), Some(other.clone()));
        let permit = Permit::granted(&function);
        let write = Write::Concurrency(Slot::Absent);
        assert_eq!(world.write(&permit, &write, Time(i64::MAX)).await, Err(other.clone()));
        assert!(other.to_string().contains("eu-west-1") && other.to_string().contains("us-east-1"), "{other}");
    }

    #[test]
    fn a_name_belongs_to_the_region_of_the_client() {
        assert_eq!(client("us-east-1").check_region("checkout"), Ok(()));
        assert_eq!(client("eu-west-1").check_region(function_arn("checkout").as_str()), Ok(()));
    }
}
