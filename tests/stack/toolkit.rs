//! The Chaos Toolkit drives snapback through its extension, `infra/chaostoolkit-snapback`.

use super::lab::Lab;

/// Ends an experiment in each way, and compares what chaosaws leaves behind with the table in `docs/chaos-toolkit.md`
/// (`tests/toolkit/check.py`).
#[test]
fn the_chaos_toolkit_restores_however_it_ends() {
    Lab::start().check("toolkit/check.py");
}
