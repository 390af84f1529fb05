//! Serves the Lambda runtime: one invocation at a time, each with its deadline and one log line.

use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde_json::{Value, json};

use crate::aws::{AwsWorld, function_configuration};
use crate::model::report_bucket::ReportBucket;
use crate::model::time::Time;
use crate::steps::Budget;
use crate::steps::error::StepError;

use crate::model::settings;

use super::{Task, handle};

/// A failed invocation; Step Functions matches its name.
#[derive(Debug)]
struct Failed(StepError);

impl From<Failed> for Diagnostic {
    fn from(Failed(error): Failed) -> Self {
        Diagnostic { error_type: error.name().to_owned(), error_message: clipped(error.to_string()) }
    }
}

/// The most bytes of an error's message: a failed execution's cause has 32,768 characters
/// (step-functions/latest/apireference/API_ExecutionFailedEventDetails), some of which Lambda adds around this.
const MOST_MESSAGE: usize = 16_000;

/// Clips a message. A thousand targets can have a thousand refusals, and the error must keep its name.
fn clipped(mut message: String) -> String {
    if message.len() > MOST_MESSAGE {
        message.truncate(message.floor_char_boundary(MOST_MESSAGE));
        message.push_str("\n... and more; snapback plan shows all of them");
    }
    message
}

/// Serves invocations until the environment ends.
///
/// # Errors
/// When the configuration of the function is invalid, or the Runtime API fails.
pub async fn serve() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let variable = |name: &str| std::env::var(name).ok();
    let name = variable("_HANDLER").unwrap_or_default();
    let task = Task::named(&name)?;
    let (table, settings) = settings::from_environment(variable)?;
    let configuration = function_configuration();
    let world = AwsWorld::new(&configuration, table, Some(&settings.prefix))
        .with_report_bucket(&configuration, ReportBucket::from_environment(variable));
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

/// Logs one invocation. Results and errors hold no value of a variable. A payload may, so only its run is logged.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::refusal::{Guardrail, Refusal};

    #[test]
    fn a_thousand_refusals_keep_their_name_and_fit() {
        let refusal = |number: usize| Refusal {
            guardrail: Guardrail::OptIn,
            subject: format!("function-{number}"),
            reason: "ü".repeat(60),
            fix: "tag it".into(),
        };
        let error = StepError::Refused((0..1000).map(refusal).collect());
        let long = error.to_string().len();
        let said = Diagnostic::from(Failed(error));
        assert_eq!(said.error_type, "Refused");
        assert!(long > 100_000 && said.error_message.len() < MOST_MESSAGE + 100, "{long}");
        assert!(said.error_message.contains("function-0") && said.error_message.ends_with("shows all of them"));
    }

    #[test]
    fn a_message_that_fits_is_whole() {
        assert_eq!(clipped("short".into()), "short");
    }
}
