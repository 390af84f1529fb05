//! What the fake AWS has of the account: the stack and the caller.

use super::fake::State;

pub const MACHINE: &str = "arn:aws:states:eu-west-1:123456789012:stateMachine:snapback-experiment";
pub const EXECUTION: &str = "arn:aws:states:eu-west-1:123456789012:execution:snapback-experiment:r";

pub fn stacks(state: &State) -> (u16, String) {
    if let Some((code, message)) = state.no_stack {
        let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        return (400, format!("<ErrorResponse>{error}</ErrorResponse>"));
    }
    let outputs = [
        ("Prefix", "snapback"),
        ("OptInTag", "chaos=allowed"),
        ("TargetLimit", "10"),
        ("ProxyLayers", ""),
        ("LedgerTable", "snapback-ledger"),
        ("StateMachineArn", MACHINE),
        ("RollbackFunction", "snapback-rollback"),
        ("RecordsActors", "true"),
        ("RecordsReasons", "true"),
    ];
    let member = |(key, value): &(&str, &str)| {
        format!("<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>")
    };
    let outputs: String = outputs
        .iter()
        .filter(|(key, _)| match *key {
            "RecordsActors" => state.records_actors,
            "RecordsReasons" => state.records_actors && state.records_reasons,
            _ => true,
        })
        .map(member)
        .collect();
    let response = format!(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>snapback</StackName>\
         <StackId>arn:aws:cloudformation:eu-west-1:123456789012:stack/snapback/1</StackId>\
         <CreationTime>2026-06-01T00:00:00Z</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>\
         <Outputs>{outputs}</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    );
    (200, response)
}

pub fn caller() -> String {
    "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/anna</Arn>\
     <UserId>AIDA</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
        .to_owned()
}

pub fn assumed() -> String {
    "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASSUMEDKEY</AccessKeyId>\
     <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>\
     </Credentials><AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/chaos/x</Arn>\
     <AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser></AssumeRoleResult></AssumeRoleResponse>"
        .to_owned()
}
