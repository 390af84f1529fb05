//! The simulated bucket for reports.

use crate::plan::evidence::Evidence;
use crate::ports::{ReportStore, ReportStoreError, WriteOutcome};

use super::SimWorld;
use super::calls::CallKind;

impl ReportStore for SimWorld {
    fn has_report_bucket(&self) -> bool {
        self.with(|state| state.reports.is_some())
    }

    async fn put_report(&self, key: &str, page: String) -> Result<WriteOutcome, ReportStoreError> {
        let key = key.to_owned();
        self.exchange(CallKind::WriteReport, "PutObject", move |state| {
            if let Some(why) = &state.reports_refused {
                return Err(ReportStoreError::Refused(why.clone()));
            }
            let Some(reports) = &mut state.reports else {
                return Err(ReportStoreError::Refused("there is no bucket".into()));
            };
            if reports.contains_key(&key) {
                return Ok(WriteOutcome::ConditionFailed);
            }
            reports.insert(key, page);
            Ok(WriteOutcome::Applied)
        })
        .await
    }
}

/// Draws a page of the simulated world: all that the real page is drawn from.
///
/// # Errors
/// Never.
pub fn outline(evidence: &Evidence) -> Result<String, String> {
    Ok(format!("{evidence:?}"))
}
