//! `rollback`: an alarm (an EventBridge event, a Lambda action or an SNS notification), `{runId}`, `{all: true}`,
//! `{stop: RUN}` or `{lever: {engaged, reason}}` → `{runs, lever, moved}`: the outcome of each run, the lever if it was to be
//! moved, and whether it was: one that is in that position already stays as it is.
//! Except for an alarm, `by: {caller, via, url, reason}` states who asks for it, and why.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::actor::Actor;
use crate::model::input::{InvalidInput, check_no_list, read};
use crate::model::names::{LeverReason, RunId};
use crate::model::run::{EndReason, Lever, RunEnding};
use crate::ports::{LedgerError, World};
use crate::steps::Budget;
use crate::steps::error::StepError;
use crate::steps::restore::RestoreOutcome;
use crate::steps::retry::retry;
use crate::steps::rollback::{RolledBack, roll_back, roll_back_alarm, roll_back_all};

use super::alarm::{AlarmChange, read_alarms};

/// The request of a user or another tool: exactly one of these, and who asks for it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Request {
    /// Roll back this run.
    #[serde(default)]
    run_id: Option<RunId>,
    /// Roll back every run.
    #[serde(default)]
    all: bool,
    /// Roll back this run; if it is not in the ledger yet, prevent its start.
    #[serde(default)]
    stop: Option<RunId>,
    /// Move the safety lever; where that engages it, roll back every run.
    #[serde(default)]
    lever: Option<LeverRequest>,
    /// Who asks for it, for the report.
    #[serde(default)]
    by: Option<Actor>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeverRequest {
    engaged: bool,
    reason: LeverReason,
}

pub(super) async fn handle(world: &impl World, budget: Budget, payload: &Value) -> Result<Value, StepError> {
    if let Some(alarms) = read_alarms(payload)? {
        return Ok(json!({ "runs": shown(&on_alarms(world, budget, &alarms).await?) }));
    }
    check_no_list("by", &payload["by"])?;
    let request: Request = read(payload)?;
    let user_request = RunEnding::by(EndReason::UserRequest, request.by.clone());
    match request {
        Request { run_id: Some(run), all: false, stop: None, lever: None, .. } => {
            // Stopping an unknown run would block its name. A run whose record cannot be read exists.
            match retry(world, || world.run(&run)).await {
                Ok(None) => return Err(StepError::NoSuchRun(run)),
                Ok(Some(_)) | Err(LedgerError::Unusable(_) | LedgerError::Unreadable(_)) => {}
                Err(error) => return Err(error.into()),
            }
            let rolled_back = roll_back(world, &run, &user_request, budget).await?;
            Ok(json!({ "runs": shown(&[rolled_back]) }))
        }
        Request { run_id: None, all: false, stop: Some(run), lever: None, .. } => {
            let rolled_back = roll_back(world, &run, &user_request, budget).await?;
            Ok(json!({ "runs": shown(&[rolled_back]) }))
        }
        Request { run_id: None, all: true, stop: None, lever: None, by } => {
            let engaged = retry(world, || world.lever()).await?.is_some_and(|lever| lever.engaged);
            let reason = if engaged { EndReason::SafetyLever } else { EndReason::UserRequest };
            Ok(json!({ "runs": shown(&roll_back_all(world, &RunEnding::by(reason, by), budget).await?) }))
        }
        Request { run_id: None, all: false, stop: None, lever: Some(request), by } => {
            on_lever(world, budget, request, by).await
        }
        _ => Err(InvalidInput::whole(
            "name exactly one thing to end; send {\"runId\": \"RUN\"}, {\"all\": true}, {\"stop\": \"RUN\"} or \
             {\"lever\": {\"engaged\": true, \"reason\": \"WHY\"}}",
        )
        .into()),
    }
}

/// Rolls back the runs of each alarm. One alarm's failure does not block the others; the first failure is returned.
async fn on_alarms(world: &impl World, budget: Budget, alarms: &[AlarmChange]) -> Result<Vec<RolledBack>, StepError> {
    let mut rolled_back = Vec::new();
    let mut failure = None;
    // An alarm that is OK again, or has no data, ends no run. That is no error, so that the event is not sent again.
    for alarm in alarms.iter().filter(|alarm| alarm.in_alarm) {
        match roll_back_alarm(world, &alarm.arn, &alarm.name, budget).await {
            Ok(runs) => rolled_back.extend(runs),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    failure.map_or(Ok(rolled_back), Err)
}

/// Moves the lever, then rolls back: in this order, nothing starts in between.
async fn on_lever(
    world: &impl World,
    budget: Budget,
    request: LeverRequest,
    by: Option<Actor>,
) -> Result<Value, StepError> {
    let wanted = Lever { engaged: request.engaged, since: world.now(), reason: request.reason.into(), by };
    let lever = retry(world, || world.set_lever(&wanted)).await?;
    let rolled_back = match lever.engaged {
        true => roll_back_all(world, &lever.ending(), budget).await?,
        false => Vec::new(),
    };
    Ok(json!({ "lever": lever, "moved": lever == wanted, "runs": shown(&rolled_back) }))
}

fn shown(rolled_back: &[RolledBack]) -> Vec<Value> {
    rolled_back.iter().map(run_shown).collect()
}

fn run_shown(rolled_back: &RolledBack) -> Value {
    let targets: Vec<Value> = rolled_back
        .targets
        .iter()
        .map(|(function, result)| match result {
            Ok(RestoreOutcome::Ended(status)) => json!({ "function": function, "status": status }),
            Ok(RestoreOutcome::Pending { waiting_for, .. }) => {
                json!({ "function": function, "status": "pending", "waitingFor": waiting_for })
            }
            Err(error) => {
                json!({ "function": function, "status": "failed", "error": error.name(), "cause": error.to_string() })
            }
        })
        .collect();
    json!({ "runId": rolled_back.run.id, "targets": targets })
}
