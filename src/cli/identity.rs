//! Where a command acts, and as whom: the first thing to look at before anything is injected.

use serde::Serialize;

use crate::aws::caller;

use super::output::Output;
use super::stack::Stack;

/// Account, Region and caller.
#[derive(Serialize)]
pub(super) struct Identity {
    account: String,
    region: String,
    caller: Option<String>,
}

/// What is shown as JSON, with where it acts.
#[derive(Serialize)]
pub(super) struct Identified<'a, T> {
    pub(super) identity: &'a Identity,
    #[serde(flatten)]
    pub(super) view: &'a T,
}

/// Shows where the command acts, before it does anything; with JSON on standard error, so that it comes first there, too.
pub(super) async fn show_identity(stack: &Stack, output: &Output) -> Identity {
    let region = stack.config.region().map(ToString::to_string).unwrap_or_default();
    let (account, caller, shown) = match caller(&stack.config).await {
        Ok((arn, account)) => (account, Some(arn.clone()), arn),
        // The stack's ARN has the account, too.
        Err(why) => (stack.account.clone(), None, format!("unknown ({why})")),
    };
    let line = format!("account {account}, Region {region}, caller {shown}");
    if output.as_json {
        output.note(&line);
    } else {
        output.print_line(&line);
    }
    Identity { account, region, caller }
}
