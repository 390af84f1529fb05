//! `rollback`: a `CloudWatch Alarm State Change` event, `{runId}` or `{all: true}` → what became of each run.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::input::{InvalidInput, read};
use crate::model::names::RunId;
use crate::model::run::EndReason;
use crate::ports::World;
use crate::steps::Budget;
use crate::steps::error::StepError;
use crate::steps::restore::Restored;
use crate::steps::retry::retry;
use crate::steps::rollback::{RolledBack, roll_back, roll_back_alarm, roll_back_all};

/// What a person or another tool asks for.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Direct {
    #[serde(default)]
    run_id: Option<RunId>,
    #[serde(default)]
    all: bool,
}

/// The part of an alarm's event that matters here
/// (AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge).
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct AlarmChange {
    alarm_name: String,
    state: AlarmState,
}

#[derive(Deserialize, Serialize)]
struct AlarmState {
    value: String,
}

pub(super) async fn handle(world: &impl World, budget: Budget, payload: &Value) -> Result<Value, StepError> {
    let rolled_back = if payload.get("detail-type").is_some() {
        let event: EventBridgeEvent<AlarmChange> = read(payload)?;
        on_alarm(world, budget, &event).await?
    } else {
        on_request(world, budget, read(payload)?).await?
    };
    Ok(json!({ "runs": rolled_back.iter().map(shown).collect::<Vec<_>>() }))
}

async fn on_alarm(
    world: &impl World,
    budget: Budget,
    event: &EventBridgeEvent<AlarmChange>,
) -> Result<Vec<RolledBack>, StepError> {
    // The rule lets only these through; an event of another kind is answered, not failed, so that it is not sent again.
    if event.detail.state.value != "ALARM" {
        return Ok(Vec::new());
    }
    let Some(arn) = event.resources.as_ref().and_then(|resources| resources.first()) else {
        let problem = "is empty; an alarm's event names the alarm's ARN there".to_owned();
        return Err(InvalidInput { field: "resources".into(), problem }.into());
    };
    roll_back_alarm(world, arn, &event.detail.alarm_name, budget).await
}

async fn on_request(world: &impl World, budget: Budget, direct: Direct) -> Result<Vec<RolledBack>, StepError> {
    match direct {
        Direct { run_id: Some(run), all: false } => {
            // Stopping a run that was never there would keep its name from being used.
            if retry(world, || world.run(&run)).await?.is_none() {
                return Err(StepError::NoSuchRun(run));
            }
            Ok(vec![roll_back(world, &run, &EndReason::Person, budget).await?])
        }
        Direct { run_id: None, all: true } => {
            let engaged = retry(world, || world.lever()).await?.is_some_and(|lever| lever.engaged);
            let reason = if engaged { EndReason::Lever } else { EndReason::Person };
            roll_back_all(world, &reason, budget).await
        }
        _ => Err(InvalidInput::whole(
            "a rollback names one run or all of them; send {\"runId\": \"RUN\"} or {\"all\": true}",
        )
        .into()),
    }
}

fn shown(rolled_back: &RolledBack) -> Value {
    let targets: Vec<Value> = rolled_back
        .targets
        .iter()
        .map(|(function, result)| match result {
            Ok(Restored::Ended(status)) => json!({ "function": function, "status": status }),
            Ok(Restored::Pending { waiting_for, .. }) => {
                json!({ "function": function, "status": "pending", "waitingFor": waiting_for })
            }
            Err(error) => {
                json!({ "function": function, "status": "failed", "error": error.name(), "cause": error.to_string() })
            }
        })
        .collect();
    json!({ "runId": rolled_back.run.id, "targets": targets })
}
