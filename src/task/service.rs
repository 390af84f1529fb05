//! The Lambda runtime: one invocation after the other, each with its deadline, one log line each.

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::{Value, json};

use crate::aws::{AwsWorld, configuration};
use crate::model::time::Time;
use crate::steps::Budget;
use crate::steps::error::StepError;

use crate::settings;

use super::{Task, handle};

/// A failed invocation; Step Functions matches its name.
#[derive(Debug)]
struct Failed(StepError);

impl From<Failed> for Diagnostic {
    fn from(Failed(error): Failed) -> Self {
        Diagnostic { error_type: error.name().to_owned(), error_message: error.to_string() }
    }
}

/// Serves invocations until the environment ends.
///
/// # Errors
/// When the function is set up wrongly, or the Runtime API fails.
pub async fn serve() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let variable = |name: &str| std::env::var(name).ok();
    let name = variable("_HANDLER").unwrap_or_default();
    let task = Task::named(&name)?;
    let (table, settings) = settings::from_environment(variable)?;
    let world = AwsWorld::new(&configuration(None, None).await, table);
    let (world, settings, name) = (&world, &settings, &name);
    let serve_one = move |event: LambdaEvent<Value>| async move {
        let deadline = Time(i64::try_from(event.context.deadline).unwrap_or(i64::MAX));
        // Boxed: the future of all tasks together is too deep a type for the compiler.
        let result = Box::pin(handle(task, world, settings, Budget { deadline }, &event.payload)).await;
        log(name, &event, &result);
        result.map_err(Failed)
    };
    lambda_runtime::run(service_fn(serve_one)).await
}

/// Results and errors hold no variable's value; a payload may (an experiment sets some), so of it only the run is said.
fn log(task: &str, event: &LambdaEvent<Value>, result: &Result<Value, StepError>) {
    let run = event.payload.get("runId").or_else(|| event.payload.pointer("/execution/name"));
    let mut line = json!({ "task": task, "runId": run, "requestId": event.context.request_id });
    match result {
        Ok(result) => line["result"] = result.clone(),
        Err(error) => {
            line["error"] = json!(error.name());
            line["cause"] = json!(error.to_string());
        }
    }
    println!("{line}");
}
