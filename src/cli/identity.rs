//! Shows the account, the Region and the caller before anything is injected.

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
}

/// JSON output of a command, with the identity that it acts as.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct Identified<'a, T> {
    pub(super) identity: &'a Identity,
    #[serde(flatten)]
    pub(super) view: &'a T,
}

/// Shows where and as whom the command will act. With JSON output, this goes to standard error, because it has to come
/// first.
pub(super) async fn show_identity(stack: &Stack, output: &Output) -> Identity {
    let region = stack.config.region().map(ToString::to_string).unwrap_or_default();
    let (account, caller, shown) = match caller(&stack.config).await {
        Ok((arn, account)) => (account, Some(arn.clone()), arn),
        // The stack's ARN also has the account.
        Err(why) => (stack.account.clone(), None, format!("unknown ({why})")),
    };
    let line = format!("account {account}, Region {region}, caller {shown}");
    match (output.quiet, output.as_json) {
        (true, _) => {}
        (false, true) => output.note(&line),
        (false, false) => output.print_line(&line),
    }
    Identity { account, region, caller }
}
