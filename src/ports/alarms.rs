//! The port to Amazon CloudWatch.

use std::future::Future;

use crate::model::facts::AlarmFact;
use crate::model::names::AlarmName;
use crate::model::steady_state::Metric;
use crate::model::time::Time;

use super::{PortError, Retryable};

/// Why CloudWatch could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlarmError {
    /// Throttling, no response, or an internal error.
    #[error("CloudWatch did not respond: {0}")]
    Unavailable(String),
    /// Access denied or a request that it refuses.
    #[error("CloudWatch cannot be used: {0}")]
    Unusable(String),
}

impl PortError for AlarmError {
    fn retryable(&self) -> Retryable {
        match self {
            Self::Unavailable(_) => Retryable::SameCall,
            Self::Unusable(_) => Retryable::Never,
        }
    }
}

/// Amazon CloudWatch.
pub trait Alarms: Sync {
    /// The alarms, metric and composite, in the order of `names`; `None` for a name without an alarm.
    fn alarms(&self, names: &[AlarmName]) -> impl Future<Output = Result<Vec<Option<AlarmFact>>, AlarmError>> + Send;

    /// For each metric, in the order of `metrics`, its periods from `from` to `until`, newest first: when each begins, and
    /// its value. A period without data is absent. A metric that CloudWatch could not compute is an error, and never a
    /// metric without data.
    fn periods(
        &self,
        metrics: &[Metric],
        from: Time,
        until: Time,
    ) -> impl Future<Output = Result<Vec<Vec<(Time, f64)>>, AlarmError>> + Send;

    /// As [`Alarms::periods`], without their times.
    fn metrics(
        &self,
        metrics: &[Metric],
        from: Time,
        until: Time,
    ) -> impl Future<Output = Result<Vec<Vec<f64>>, AlarmError>> + Send {
        async move {
            let found = self.periods(metrics, from, until).await?;
            Ok(found.into_iter().map(|periods| periods.into_iter().map(|(_, value)| value).collect()).collect())
        }
    }
}
