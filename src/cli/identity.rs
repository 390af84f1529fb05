//! Shows the account, the Region and the caller before anything is injected.

use std::fmt;

use serde::Serialize;

use crate::aws::caller;

use super::output::Output;
use super::stack::Stack;

/// Account, Region and caller.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct Identity {
    account: String,
    region: String,
    pub(super) caller: Option<String>,
    /// Why the caller is not known.
    #[serde(skip)]
    unknown: String,
}

/// JSON output of a command, with the identity that it acts as.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct Identified<'a, T> {
    pub(super) identity: &'a Identity,
    #[serde(flatten)]
    pub(super) view: &'a T,
}

#[cfg(test)]
impl Identity {
    pub(super) fn sample() -> Self {
        let caller = Some("arn:aws:iam::123456789012:user/anna".to_owned());
        let (account, region) = ("123456789012".to_owned(), "eu-west-1".to_owned());
        Self { account, region, caller, unknown: String::new() }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { account, region, .. } = self;
        write!(f, "account {account}, Region {region}, caller ")?;
        match (&self.caller, &self.unknown) {
            (Some(caller), _) => f.write_str(caller),
            (None, why) => write!(f, "unknown ({why})"),
        }
    }
}

/// Reads where and as whom the command will act.
pub(super) async fn read_identity(stack: &Stack) -> Identity {
    let region = stack.config.region().map(ToString::to_string).unwrap_or_default();
    match caller(&stack.config).await {
        Ok((caller, account)) => Identity { account, region, caller: Some(caller), unknown: String::new() },
        // The stack's ARN also has the account.
        Err(why) => Identity { account: stack.account.clone(), region, caller: None, unknown: why.to_string() },
    }
}

/// Shows where and as whom the command will act. With JSON output, this goes to standard error, because it has to come
/// first.
pub(super) async fn show_identity(stack: &Stack, output: &Output) -> Identity {
    let identity = read_identity(stack).await;
    match (output.quiet, output.as_json) {
        (true, _) => {}
        (false, true) => output.note(&identity.to_string()),
        (false, false) => output.print_line(&identity.to_string()),
    }
    identity
}
