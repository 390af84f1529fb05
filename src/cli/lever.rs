//! The command `lever`.

use serde::Serialize;

use crate::model::names::LeverReason;
use crate::model::run::Lever;
use crate::plan::rendering::ReportView;
use crate::ports::Ledger;
use crate::steps::retry::retry;

use super::Failure;
use super::arguments::{Arguments, LeverAction};
use super::exit::Exit;
use super::lever_text::{LeverView, show_lever};
use super::output::Output;
use super::records::Records;
use super::rollback::{carry_out, wait_until_closed, worst};
use super::stack;
use super::undo::Undo;

/// What `lever` prints as JSON.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct LeverOutput<'a> {
    /// Whether the lever is engaged. One that was never moved is not.
    engaged: bool,
    /// The lever; null if it was never moved.
    lever: Option<LeverView<'a>>,
    /// The report of each run that was rolled back.
    runs: &'a [ReportView],
}

/// Moves or shows the safety lever.
pub(super) async fn lever(arguments: &Arguments, action: &LeverAction, output: &Output) -> Result<Exit, Failure> {
    match action {
        LeverAction::Show => {
            let world = stack::ledger(arguments).await?;
            show(retry(&world, || world.lever()).await?.as_ref(), &[], output);
            Ok(Exit::Success)
        }
        LeverAction::Engage { reason, direct } => set(arguments, true, reason, *direct, output).await,
        LeverAction::Disengage { reason, direct } => set(arguments, false, reason, *direct, output).await,
    }
}

async fn set(
    arguments: &Arguments,
    engaged: bool,
    reason: &LeverReason,
    direct: bool,
    output: &Output,
) -> Result<Exit, Failure> {
    let (Records { world, .. }, undone) =
        carry_out(arguments, Undo::Lever { engaged, reason }, None, direct, output).await?;
    let (views, undone) = wait_until_closed(&world, undone, output).await;
    if undone.lever_stayed {
        let position = if engaged { "engaged" } else { "disengaged" };
        output.note(&format!("snapback: the safety lever was {position} already; its time and its reason stay"));
    }
    show(retry(&world, || world.lever()).await?.as_ref(), &views, output);
    Ok(worst(&views, &undone))
}

fn show(lever: Option<&Lever>, views: &[ReportView], output: &Output) {
    if output.as_json {
        let engaged = lever.is_some_and(|lever| lever.engaged);
        let lever = lever.map(LeverView::of);
        return output.json(&LeverOutput { engaged, lever, runs: views });
    }
    for view in views {
        output.report(view);
    }
    show_lever(lever, output);
}
