//! The port to Lambda on the simulated world.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join;

use crate::model::facts::{AccountConcurrency, Alias, CodeSigning, LayerFact, RuntimeUpdates};
use crate::model::function::{Environment, MappingState, Observation, Slot, Tags};
use crate::model::names::{FunctionArn, LayerVersionArn, MappingId};
use crate::model::snapshot::Write;
use crate::model::time::Time;
use crate::ports::{FunctionError, Functions, Permit, VersionPage};

use super::calls::{CallError, CallKind};
use super::network::Failure;
use super::{CallFailure, SimFunction, SimWorld, State};

/// Finds a function by its ARN or its name.
pub(super) fn find<'a>(state: &'a mut State, function: &str) -> Result<&'a mut SimFunction, FunctionError> {
    let named = |arn: &FunctionArn| {
        arn.as_str().strip_suffix(function).is_some_and(|rest| rest.is_empty() || rest.ends_with(':'))
    };
    let found = state.functions.iter_mut().find(|(arn, function)| named(arn) && !function.ghost);
    found.map(|(_, function)| function).ok_or_else(|| FunctionError::NotFound(function.to_owned()))
}

/// Returns the AWS call that makes a write.
fn call_name(write: &Write) -> &'static str {
    match write {
        Write::Concurrency(Slot::Present(_)) => "PutFunctionConcurrency",
        Write::Concurrency(Slot::Absent) => "DeleteFunctionConcurrency",
        Write::Mapping { .. } => "UpdateEventSourceMapping",
        Write::Configuration(_) => "UpdateFunctionConfiguration",
    }
}

impl SimWorld {
    /// Observes a function. Returns also the time that the read shows, which staleness puts in the past.
    pub(super) async fn observe_with_time(
        &self,
        function: &str,
        with_mappings: bool,
    ) -> Result<(Observation, Time), FunctionError> {
        let name = function.to_owned();
        let lacks_rights = self.with(|state| state.lacks_rights());
        let seen = self.exchange(CallKind::ReadLambda, "GetFunction", move |state| {
            state.admit("GetFunction")?;
            if with_mappings {
                state.admit("ListEventSourceMappings")?;
            }
            match state.take_failure("GetFunction") {
                Some(CallFailure::Denied) => return Err(FunctionError::of(CallError::Denied, "GetFunction")),
                Some(CallFailure::Throttled) => {
                    return Err(FunctionError::of(CallError::Throttled(Duration::from_secs(1)), "GetFunction"));
                }
                _ => {}
            }
            let (then, now) = (state.choose_read_time(), state.now());
            let mut seen = find(state, &name)?.seen_at(then, now).clone();
            if with_mappings {
                seen.mappings = state.mappings_at(&seen.arn, then);
            }
            if lacks_rights {
                seen.environment = Environment::Unreadable;
            }
            Ok((seen, then))
        });
        let mappings = async {
            if with_mappings && self.with(|state| state.drive.is_none()) {
                self.call("ListEventSourceMappings").await;
            }
        };
        join(seen, mappings).await.0
    }
}

impl Functions for SimWorld {
    async fn observe(&self, function: &str, with_mappings: bool) -> Result<Observation, FunctionError> {
        self.observe_with_time(function, with_mappings).await.map(|(seen, _)| seen)
    }

    async fn write(&self, permit: &Permit, write: &Write, not_after: Time) -> Result<(), FunctionError> {
        let (function, write, name) = (permit.function().clone(), write.clone(), call_name(write));
        self.exchange(CallKind::WriteLambda, name, move |state| {
            let now = state.now();
            if now > not_after {
                return Err(FunctionError::Throttled(Duration::ZERO));
            }
            state.admit(name)?;
            let failure = state.take_failure(name);
            state.check_write(&write)?;
            match failure {
                None => state.write(&function, &write),
                Some(CallFailure::Lost) => Err(FunctionError::of(CallError::NoResponse, name)),
                Some(CallFailure::LandsLate(delay)) => {
                    find(state, function.as_str())?.late_writes.push((now + delay, write));
                    Err(FunctionError::of(CallError::NoResponse, name))
                }
                Some(CallFailure::Denied) => Err(FunctionError::of(CallError::Denied, name)),
                Some(CallFailure::Busy) => Err(FunctionError::of(CallError::Busy, name)),
                Some(CallFailure::Throttled) => {
                    Err(FunctionError::of(CallError::Throttled(Duration::from_secs(1)), name))
                }
                Some(CallFailure::ResponseLost) => {
                    state.write(&function, &write)?;
                    Err(FunctionError::of(CallError::NoResponse, name))
                }
            }
        })
        .await
    }

    async fn mapping(&self, id: &MappingId) -> Result<MappingState, FunctionError> {
        self.read_mapping(id).await.map(|(state, _)| state)
    }

    async fn layer(&self, layer: &LayerVersionArn) -> Result<LayerFact, FunctionError> {
        let layer = layer.clone();
        let lacks_rights = self.with(|state| state.lacks_rights());
        self.exchange(CallKind::ReadLambda, "GetLayerVersion", move |state| {
            state.admit("GetLayerVersion")?;
            if lacks_rights {
                return Ok(LayerFact::Denied);
            }
            Ok(state.layers.get(&layer).cloned().unwrap_or(LayerFact::Missing))
        })
        .await
    }

    async fn code_signing(&self, function: &FunctionArn) -> Result<CodeSigning, FunctionError> {
        let function = function.clone();
        let found = self.exchange(CallKind::ReadLambda, "GetFunctionCodeSigningConfig", move |state| {
            state.admit("GetFunctionCodeSigningConfig")?;
            find(state, function.as_str()).map(|function| function.code_signing.clone())
        });
        let found = found.await?;
        if !matches!(found, CodeSigning::On { .. }) {
            return Ok(found);
        }
        self.exchange(CallKind::ReadLambda, "GetCodeSigningConfig", move |state| {
            state.admit("GetCodeSigningConfig")?;
            Ok(found.clone())
        })
        .await
    }

    async fn aliases(&self, function: &FunctionArn) -> Result<Vec<Alias>, FunctionError> {
        let function = function.clone();
        self.exchange(CallKind::ReadLambda, "ListAliases", move |state| {
            state.admit("ListAliases")?;
            find(state, function.as_str()).map(|function| function.aliases.clone())
        })
        .await
    }

    async fn versions(&self, function: &FunctionArn, page: Option<&str>) -> Result<VersionPage, FunctionError> {
        let (function, from) = (function.clone(), page.and_then(|page| page.parse().ok()).unwrap_or(0));
        self.exchange(CallKind::ReadLambda, "ListVersionsByFunction", move |state| {
            state.admit("ListVersionsByFunction")?;
            match state.take_failure("ListVersionsByFunction") {
                Some(CallFailure::Denied) => {
                    return Err(FunctionError::of(CallError::Denied, "ListVersionsByFunction"));
                }
                Some(CallFailure::Throttled) => {
                    return Err(FunctionError::of(
                        CallError::Throttled(Duration::from_secs(1)),
                        "ListVersionsByFunction",
                    ));
                }
                _ => {}
            }
            let then = state.choose_read_time();
            find(state, function.as_str()).map(|function| function.versions_at(then, from))
        })
        .await
    }

    async fn runtime_updates(&self, function: &FunctionArn) -> Result<RuntimeUpdates, FunctionError> {
        let function = function.clone();
        self.exchange(CallKind::ReadLambda, "GetRuntimeManagementConfig", move |state| {
            state.admit("GetRuntimeManagementConfig")?;
            find(state, function.as_str()).map(|function| function.runtime_updates)
        })
        .await
    }

    async fn account(&self) -> Result<AccountConcurrency, FunctionError> {
        self.exchange(CallKind::ReadLambda, "GetAccountSettings", move |state| {
            state.admit("GetAccountSettings")?;
            if let Some(CallFailure::Denied) = state.take_failure("GetAccountSettings") {
                return Err(FunctionError::of(CallError::Denied, "GetAccountSettings"));
            }
            let reserved: u32 = state.functions.values().filter_map(|other| other.seen.concurrency.as_option()).sum();
            let total = state.pool.map_or(1000, |(total, _)| total);
            Ok(AccountConcurrency { total, unreserved: total.saturating_sub(reserved) })
        })
        .await
    }

    async fn mapping_tags(&self, _: &FunctionArn, mapping: &MappingId) -> Result<Tags, FunctionError> {
        let mapping = mapping.clone();
        self.exchange(CallKind::ReadLambda, "ListTags", move |state| {
            state.admit("ListTags")?;
            let found = state.mappings.get(&mapping).map(|mapping| mapping.tags.clone());
            found.ok_or_else(|| FunctionError::NotFound("mapping".into()))
        })
        .await
    }

    async fn tagged(&self, tags: &BTreeMap<String, String>) -> Result<Vec<FunctionArn>, FunctionError> {
        let tags = tags.clone();
        self.exchange(CallKind::ReadLambda, "GetResources", move |state| {
            let carries = |function: &&SimFunction| match &function.seen.tags {
                Tags::Known(own) => tags.iter().all(|(key, value)| own.get(key) == Some(value)),
                Tags::Unknown => false,
            };
            Ok(state.functions.values().filter(carries).map(|function| function.seen.arn.clone()).collect())
        })
        .await
    }
}
