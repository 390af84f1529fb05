//! Every right of the roles is needed, a missing one does no harm, and other principals can do only what is documented.

use super::lab::Lab;

/// Takes each single right out of each role, generated from the deployed template (`tests/rights/check.py`).
#[test]
fn a_missing_right_is_named_and_does_no_harm() {
    Lab::start().check("rights/check.py");
}

/// Calls AWS directly, with the credentials of roles and users (`tests/rights/principals.py`).
#[test]
fn principals_can_do_what_is_documented_and_no_more() {
    Lab::start().check("rights/principals.py");
}
