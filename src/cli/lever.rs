//! `lever`.

use serde_json::json;

use crate::model::run::{EndReason, Lever};
use crate::plan::rendering::ReportView;
use crate::ports::{Clock, Ledger};
use crate::steps::retry::retry;

use super::arguments::{Arguments, LeverAction};
use super::exit::Exit;
use super::output::{Output, Tone};
use super::rollback::{from_here, settled, worst};
use super::{Failure, say, stack};

/// Moves or shows the safety lever.
pub(super) async fn lever(arguments: &Arguments, action: &LeverAction, output: &Output) -> Result<Exit, Failure> {
    let world = stack::ledger(arguments).await?;
    let mut views = Vec::new();
    match action {
        LeverAction::Show => {}
        LeverAction::Release => {
            let released =
                Lever { engaged: false, since: world.now(), reason: "released from the command line".into() };
            retry(&world, || world.set_lever(&released)).await?;
        }
        LeverAction::Engage { reason, direct } => {
            // The lever first: nothing starts between it and the rollback.
            let engaged = Lever { engaged: true, since: world.now(), reason: reason.clone() };
            retry(&world, || world.set_lever(&engaged)).await?;
            let runs = retry(&world, || world.active_runs()).await?.runs;
            if *direct {
                if let Some(failure) = from_here(&world, &runs, &EndReason::Lever).await {
                    output.failure(&failure);
                }
            } else if !runs.is_empty() {
                stack::find(arguments).await?.roll_back(&json!({ "all": true })).await?;
            }
            views = settled(&world, &runs).await?;
        }
    }
    show(retry(&world, || world.lever()).await?.as_ref(), &views, output);
    Ok(worst(&views))
}

fn show(lever: Option<&Lever>, views: &[ReportView], output: &Output) {
    if output.as_json {
        let engaged = lever.is_some_and(|lever| lever.engaged);
        return output.json(&json!({ "engaged": engaged, "lever": lever, "runs": views }));
    }
    for view in views {
        output.report(view);
    }
    match lever {
        Some(lever) if lever.engaged => {
            say(&output.paint(Tone::Bad, &format!("engaged since {}: {}; nothing starts", lever.since, lever.reason)));
        }
        Some(lever) => say(&format!("released since {}; experiments may start", lever.since)),
        None => say("released; experiments may start"),
    }
}
