//! The port to AWS Lambda, and why a call through it fails.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use crate::model::facts::{AccountConcurrency, Alias, CodeSigning, LayerFact, RuntimeUpdates};
use crate::model::function::{MappingState, Observation, Tags};
use crate::model::names::{FunctionArn, LayerVersionArn, MappingId};
use crate::model::snapshot::Write;
use crate::model::time::Time;

use super::{Permit, PortError, Retryable};

/// Why a call about a function failed. Texts never carry a variable's value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FunctionError {
    /// There is no such function, layer or mapping.
    #[error("not found: {0}")]
    NotFound(String),
    /// 409: an update is in progress, or the mapping is changing. Nothing was changed.
    #[error("busy: {0}")]
    Busy(String),
    /// 412: the function has changed since it was observed. Nothing was changed.
    #[error("the function has changed since it was observed")]
    Changed,
    /// 429, with the time after which AWS accepts a retry (`Retry-After`; one second where it gives none, zero
    /// where the call was not sent at all because its time had passed). Nothing was changed.
    #[error("Lambda throttled the call")]
    Throttled(Duration),
    /// 403. Nothing was changed.
    #[error("access denied: {0}")]
    Denied(String),
    /// AWS refused the request as it is. Nothing was changed.
    #[error("refused by AWS: {0}")]
    Rejected(String),
    /// The function is in another Region than the client that was to call it. The call was not made.
    #[error(
        "it is in the Region {function}, and this is a client of {client}, which does not see it; use the stack of {function}, \
         or pass its Region"
    )]
    OtherRegion {
        /// The function's Region.
        function: String,
        /// The client's Region.
        client: String,
    },
    /// AWS's response has something that snapback does not know. Nothing was changed.
    #[error("AWS's response is not understood: {0}")]
    Unreadable(String),
    /// No response, or an internal error: the call may have landed, or may still land.
    #[error("no clear response: {0}")]
    Unclear(String),
}

impl FunctionError {
    /// Whether the call can have changed something, or still can.
    #[must_use]
    pub fn may_have_landed(&self) -> bool {
        matches!(self, Self::Unclear(_))
    }
}

impl PortError for FunctionError {
    fn retryable(&self) -> Retryable {
        match self {
            Self::Throttled(_) | Self::Unclear(_) => Retryable::SameCall,
            Self::Busy(_) | Self::Changed => Retryable::NewObservation,
            Self::NotFound(_)
            | Self::Denied(_)
            | Self::Rejected(_)
            | Self::OtherRegion { .. }
            | Self::Unreadable(_) => Retryable::Never,
        }
    }
}

/// One page of a list of versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionPage {
    /// The numbers of published versions.
    pub versions: Vec<u64>,
    /// Names the next page; `None` on the last one.
    pub next: Option<String>,
}

/// AWS Lambda.
pub trait Functions {
    /// The function as it is now (reads may be stale by [`crate::steps::MAX_READ_STALENESS`]); its event source
    /// mappings only `with_mappings`. `function` is a name or an ARN, without a qualifier.
    fn observe(
        &self,
        function: &str,
        with_mappings: bool,
    ) -> impl Future<Output = Result<Observation, FunctionError>> + Send;

    /// The state of an event source mapping, by its UUID: it is a separate resource, and outlives its function
    /// (lambda/latest/api/API_DeleteFunction). `NotFound` where the mapping itself was deleted.
    fn mapping(&self, id: &MappingId) -> impl Future<Output = Result<MappingState, FunctionError>> + Send;

    /// Makes one call, once, without retries, for a writer whose lease is durable. On `Ok` it has landed; the errors
    /// say whether it may have. No attempt starts after `not_after`.
    fn write(
        &self,
        permit: &Permit,
        write: &Write,
        not_after: Time,
    ) -> impl Future<Output = Result<(), FunctionError>> + Send;

    /// What is known of a layer version.
    fn layer(&self, layer: &LayerVersionArn) -> impl Future<Output = Result<LayerFact, FunctionError>> + Send;

    /// What a function's code signing does with layers. For zip packages: container images have none, and Lambda
    /// refuses the question.
    fn code_signing(&self, function: &FunctionArn) -> impl Future<Output = Result<CodeSigning, FunctionError>> + Send;

    /// All aliases of a function.
    fn aliases(&self, function: &FunctionArn) -> impl Future<Output = Result<Vec<Alias>, FunctionError>> + Send;

    /// One page of the numbers of a function's published versions; `None` is the first page. A page has at most 50
    /// versions (lambda/latest/api/API_ListVersionsByFunction).
    fn versions(
        &self,
        function: &FunctionArn,
        page: Option<&str>,
    ) -> impl Future<Output = Result<VersionPage, FunctionError>> + Send;

    /// When Lambda moves a function to a newer version of its runtime; `Unknown` where that may not be read. Not for
    /// container images, which have none.
    fn runtime_updates(
        &self,
        function: &FunctionArn,
    ) -> impl Future<Output = Result<RuntimeUpdates, FunctionError>> + Send;

    /// The account's concurrency in this Region.
    fn account(&self) -> impl Future<Output = Result<AccountConcurrency, FunctionError>> + Send;

    /// The tags of an event source mapping: it has its own, and IAM sees only those when one is updated.
    fn mapping_tags(
        &self,
        function: &FunctionArn,
        mapping: &MappingId,
    ) -> impl Future<Output = Result<Tags, FunctionError>> + Send;

    /// The functions that carry all of these tags, in no particular order.
    fn tagged(
        &self,
        tags: &BTreeMap<String, String>,
    ) -> impl Future<Output = Result<Vec<FunctionArn>, FunctionError>> + Send;
}
