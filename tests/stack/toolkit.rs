//! Other tools of chaos engineering: chaos_lambda in a layer of the user, and the Chaos Toolkit, which drives snapback through its extension, `infra/chaostoolkit-snapback`.

use super::lab::Lab;

/// Ends an experiment in each way, and compares what chaosaws leaves behind with the table in `docs/chaos-toolkit.md`
/// (`tests/toolkit/check.py`).
#[test]
fn the_chaos_toolkit_restores_however_it_ends() {
    let lab = Lab::start();
    lab.check("toolkit/check.py");
    // A handler of the user from another package, on the same lab: events/handler-chaos-lambda.json (`tests/brought/check.py`).
    lab.check("brought/check.py");
}
