//! The common failures of `events/failures`, in a lab.

use super::lab::Lab;

/// Runs all of them at the same time, each on its own function, and ends them with one rollback (`tests/failures/check.py`).
pub fn common_failures_are_felt_and_restored(lab: &Lab) {
    lab.check("failures/check.py");
}
