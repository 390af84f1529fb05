//! Experiments that AWS FIS starts and stops.

use super::lab::Lab;

/// Plays AWS FIS and SSM Automation on the deployed `infra/fis.yaml`. FIS stops experiments before, in and after each step
/// of the document (`tests/fis/check.py`).
#[test]
fn every_ending_of_a_fis_experiment_restores_exactly() {
    Lab::start().check("fis/check.py");
}
