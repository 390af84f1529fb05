//! The release's template, as a user of the CDK and of Terraform deploys it.

use super::lab::Lab;

/// Compiles and synthesizes the CDK package, reads the Terraform module, and deploys both (`tests/packages/check.py`).
#[test]
fn the_cdk_and_terraform_deploy_the_releases_template() {
    Lab::start().check("packages/check.py");
}
