//! The port to the bucket for reports, if the stack has one.

use std::future::Future;

use super::{PortError, Retryable, WriteOutcome};

/// Why a page was not put into the bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportStoreError {
    /// No response, throttling, an internal error, or another write to the same object: it may have been put.
    #[error("S3 did not respond: {0}")]
    Unavailable(String),
    /// Access denied, no such bucket, or a bucket of another account or Region.
    #[error("S3 refuses it: {0}")]
    Refused(String),
}

impl PortError for ReportStoreError {
    fn retryable(&self) -> Retryable {
        match self {
            Self::Unavailable(_) => Retryable::SameCall,
            Self::Refused(_) => Retryable::Never,
        }
    }
}

/// The bucket for reports.
pub trait ReportStore {
    /// Whether the stack has a bucket for reports.
    fn has_report_bucket(&self) -> bool;

    /// Puts a page into the bucket under this key, in one attempt. `ConditionFailed` if an object has this key: it stays
    /// as it is.
    fn put_report(
        &self,
        key: &str,
        page: String,
    ) -> impl Future<Output = Result<WriteOutcome, ReportStoreError>> + Send;
}
