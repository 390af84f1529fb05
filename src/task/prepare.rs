//! `prepare`: `{execution: {id, name}, experiment}` → `{runId, functions, status}`.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::input::read;
use crate::model::names::RunId;
use crate::model::settings::Settings;
use crate::ports::World;
use crate::steps::error::StepError;
use crate::steps::prepare::{Request, prepare};

use super::missed_runs::refused_start;

#[derive(Deserialize)]
struct Payload {
    execution: Execution,
    experiment: Value,
}

#[derive(Deserialize)]
struct Execution {
    id: String,
    name: RunId,
}

pub(super) async fn handle(world: &impl World, settings: &Settings, payload: &Value) -> Result<Value, StepError> {
    let Payload { execution, experiment } = read(payload)?;
    let request = Request { run: execution.name, execution_arn: execution.id, experiment };
    let prepared = prepare(world, settings, &request).await.inspect_err(|error| {
        if let Some(missed) = refused_start(settings, &request.experiment, error, world.now()) {
            println!("{missed}");
        }
    })?;
    Ok(json!({ "runId": request.run, "functions": prepared.functions, "status": prepared.status }))
}
