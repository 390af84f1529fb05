//! A run at the end of its command: what its report, its files and its exit code are made from.

use crate::model::run::Run;
use crate::plan::checks::{Check, checks};
use crate::plan::rendering::ReportView;

/// A run that was followed to its end.
pub(super) struct Finished {
    /// Its record.
    pub(super) run: Run,
    /// Its report.
    pub(super) view: ReportView,
}

impl Finished {
    /// The checks that it has passed or failed.
    pub(super) fn checks(&self) -> Vec<Check> {
        checks(&self.run, &self.view)
    }
}
