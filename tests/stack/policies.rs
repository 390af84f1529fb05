//! The policies that the template has for users, and what all of its roles have in common.

use std::collections::BTreeSet;

use super::roles::{ROLES, actions, allowed, resource, template};

/// DynamoDB uses the table's key for its caller, so a role without it could not read the ledger.
#[test]
fn every_role_of_the_ledger_may_use_its_key() {
    let template = template();
    let policy = resource(&template, "UseDataKey");
    for (_, role) in ROLES {
        let uses_ledger = allowed(&template, role).iter().any(|action| action.starts_with("dynamodb:"));
        assert_eq!(policy.contains(&format!("- !Ref {role}\n")), uses_ledger, "{role}");
    }
    assert!(policy.contains("- !If [HasEvents, !Ref EventPipeRole, !Ref AWS::NoValue]"));
}

#[test]
fn every_role_has_the_permissions_boundary() {
    let of_fis = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/infra/fis.yaml")).unwrap();
    for (template, least) in [(template(), ROLES.len() + 3), (of_fis, 2)] {
        let roles: Vec<&str> = template.split("    Type: AWS::IAM::Role\n").skip(1).collect();
        assert!(roles.len() >= least, "{}", roles.len());
        for role in roles {
            let block = role.split("AssumeRolePolicyDocument").next().unwrap();
            let boundary = "PermissionsBoundary: !If [HasBoundary, !Ref PermissionsBoundaryArn, !Ref AWS::NoValue]";
            assert!(block.contains(boundary), "{block}");
        }
        assert!(template.contains("  HasBoundary: !Not [!Equals [!Ref PermissionsBoundaryArn, \"\"]]\n"));
    }
}

/// An operator plans with the same reads as prepare, and neither policy changes functions or writes to the ledger.
#[test]
fn the_policies_of_users_allow_plans_and_no_changes() {
    let template = template();
    let viewer = actions(&resource(&template, "ViewerPolicy"));
    let operator: BTreeSet<String> = actions(&resource(&template, "OperatorPolicy")).union(&viewer).cloned().collect();
    let read: BTreeSet<String> =
        allowed(&template, "PrepareRole").into_iter().filter(|action| !action.starts_with("dynamodb:")).collect();
    assert_eq!(read.difference(&operator).collect::<Vec<_>>(), Vec::<&String>::new());
    for action in &operator {
        let (service, verb) = action.split_once(':').unwrap();
        let is_read = ["Get", "List", "Describe", "Query", "Scan"].iter().any(|read| verb.starts_with(read));
        assert!(is_read || ["lambda:InvokeFunction", "states:StartExecution"].contains(&&**action), "{service} {verb}");
    }
}
