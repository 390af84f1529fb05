//! Finds the deployed stack, and calls its rollback function.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::aws::{AwsWorld, ScheduleResources, Schedules, SdkConfig, invoke, stack_outputs, user_configuration};
use crate::model::actor::Actor;
use crate::model::names::RunId;
use crate::model::settings;
use crate::model::settings::Settings;
use crate::steps::error::{StepErrorKind, failure_message};

use super::Failure;
use super::arguments::Arguments;
use super::exit::Exit;
use super::output::Output;
use super::stack_failure::{check_endpoints, check_region, unreadable};

/// The rollback function's timeout plus ten seconds, for all attempts together.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(910);

/// The deployed control plane, from the outputs of its stack.
pub(super) struct Stack {
    pub(super) config: SdkConfig,
    pub(super) world: AwsWorld,
    pub(super) settings: Settings,
    pub(super) state_machine: String,
    pub(super) account: String,
    /// Whether its functions take who starts or ends a run. Those of earlier releases refuse the field.
    pub(super) records_actors: bool,
    /// Whether its functions take why a user starts or ends a run. Those of earlier releases refuse the field.
    pub(super) records_reasons: bool,
    rollback_function: String,
    /// Absent from a stack of an earlier release.
    schedules: Option<ScheduleResources>,
}

/// The reason for which the rollback function did not roll back.
pub(super) enum RollbackError {
    /// It could not be reached or cannot run, so what it did is unknown.
    Unreachable(String),
    /// It ran and failed.
    Failed(Failure),
}

/// Opens the ledger. With `--table`, the stack is not read.
pub(super) async fn ledger(arguments: &Arguments) -> Result<AwsWorld, Failure> {
    Ok(ledger_access(arguments).await?.0)
}

/// Opens the ledger, and returns the configuration with which it was opened.
pub(super) async fn ledger_access(arguments: &Arguments) -> Result<(AwsWorld, SdkConfig), Failure> {
    match &arguments.table {
        Some(table) => {
            let config = config(arguments).await?;
            Ok((AwsWorld::new(&config, table, None), config))
        }
        None => find(arguments).await.map(|stack| (stack.world, stack.config)),
    }
}

async fn config(arguments: &Arguments) -> Result<SdkConfig, Failure> {
    let invalid = |error: &str, cause: String| Failure { exit: Exit::Invalid, ..Failure::new(error, cause) };
    check_endpoints(std::env::vars_os()).map_err(|wrong| invalid("InvalidEndpoint", wrong))?;
    let config = user_configuration(arguments.profile.as_deref(), arguments.region.as_deref()).await;
    let config = config.map_err(|wrong| invalid("NoProfile", wrong.to_string()))?;
    let Some(region) = config.region() else {
        return Err(invalid("NoRegion", "no AWS Region is set; use --region or AWS_REGION".into()));
    };
    check_region(region.as_ref()).map_err(|wrong| invalid("NoRegion", wrong))?;
    Ok(config)
}

/// Reads the stack's outputs.
pub(super) async fn find(arguments: &Arguments) -> Result<Stack, Failure> {
    let config = config(arguments).await?;
    let name = &arguments.stack;
    let stack = match stack_outputs(&config, name).await {
        Ok(stack) => stack,
        Err(error) => return Err(unreadable(arguments, &config, error).await),
    };
    let output = |key: &str| {
        let missing = || {
            Failure::new(
                "StackNotFound",
                format!(
                    "the stack {name} has no output {key}; is it a snapback stack? to deploy it again: make deploy"
                ),
            )
        };
        stack.outputs.get(key).cloned().ok_or_else(missing)
    };
    // A stack of an earlier release may lack these outputs. Everything that does not need them works there as well.
    let proxy_layers = output("ProxyLayers").unwrap_or_default();
    let reserved = output("RollbackReservedConcurrency").unwrap_or_default();
    let (prefix, opt_in, limit) = (output("Prefix")?, output("OptInTag")?, output("TargetLimit")?);
    let settings = settings::parse(&prefix, &opt_in, &limit, &proxy_layers, &reserved);
    let settings = settings
        .map_err(|wrong| Failure::new("StackNotFound", format!("the stack {name} has an invalid output: {wrong}")))?;
    let table = arguments.table.clone().map_or_else(|| output("LedgerTable"), Ok)?;
    Ok(Stack {
        world: AwsWorld::new(&config, table, Some(&settings.prefix)),
        settings,
        state_machine: output("StateMachineArn")?,
        // arn:PARTITION:cloudformation:REGION:ACCOUNT:stack/NAME/ID
        account: stack.id.split(':').nth(4).unwrap_or("unknown").to_owned(),
        records_actors: output("RecordsActors").is_ok(),
        records_reasons: output("RecordsReasons").is_ok(),
        schedules: schedule_resources(|key| output(key).ok()),
        rollback_function: output("RollbackFunction")?,
        config,
    })
}

fn schedule_resources(output: impl Fn(&str) -> Option<String>) -> Option<ScheduleResources> {
    let (group, role) = (output("ScheduleGroup")?, output("ScheduleRoleArn")?);
    Some(ScheduleResources { group, role, queue: output("DeadLetterQueueArn")? })
}

/// The response of the rollback function.
#[derive(Deserialize)]
pub(super) struct RolledBack {
    /// The runs that it has rolled back.
    pub(super) runs: Vec<RolledBackRun>,
    /// Whether it has moved the lever. Earlier releases always do, and do not state it.
    #[serde(default = "always")]
    pub(super) moved: bool,
}

impl RolledBack {
    /// What the ledger tells of a run that is closed and restored.
    pub(super) fn closed(run: &RunId) -> Self {
        Self { runs: vec![RolledBackRun { run_id: run.clone(), targets: Vec::new() }], moved: true }
    }
}

fn always() -> bool {
    true
}

/// A run that the rollback function has rolled back.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RolledBackRun {
    /// The run.
    pub(super) run_id: RunId,
    #[serde(default)]
    targets: Vec<RolledBackTarget>,
}

#[derive(Deserialize)]
struct RolledBackTarget {
    /// The name of the kind of error for which it was not restored.
    #[serde(default)]
    error: Option<String>,
    /// Why it was not restored.
    #[serde(default)]
    cause: Option<String>,
}

impl RolledBackRun {
    /// Why targets were not restored, each reason once.
    pub(super) fn failures(&self) -> BTreeSet<&str> {
        self.targets.iter().filter_map(|target| target.cause.as_deref()).collect()
    }

    /// Whether the restore of a target was refused: waiting restores it only after a user has removed the cause.
    pub(super) fn is_refused(&self) -> bool {
        let mut kinds = self.targets.iter().filter_map(|target| StepErrorKind::from_name(target.error.as_deref()?));
        kinds.any(|kind| kind != StepErrorKind::Unavailable)
    }
}

impl Stack {
    /// Opens the stack's schedules.
    pub(super) fn schedules(&self) -> Result<Schedules, Failure> {
        let cause = "the stack is of a release without schedules; deploy it again: make deploy";
        let shared = self.schedules.clone().ok_or_else(|| Failure::new("NoSchedules", cause))?;
        Ok(Schedules::new(&self.config, shared, &self.state_machine))
    }

    /// The actor that the stack's functions take: those of earlier releases refuse a reason, and it must not prevent a rollback.
    pub(super) fn recorded(&self, actor: &Actor, output: &Output) -> Actor {
        if actor.reason.is_some() && !self.records_reasons {
            output.note("snapback: the stack is of a release that records no reasons; to record this one, deploy it again: make deploy");
            return Actor { reason: None, ..actor.clone() };
        }
        actor.clone()
    }

    /// Calls the rollback function and waits for its response.
    pub(super) async fn roll_back(&self, payload: &Value) -> Result<RolledBack, RollbackError> {
        let invoked = invoke(&self.config, &self.rollback_function, payload, ROLLBACK_TIMEOUT).await;
        let response = invoked.map_err(RollbackError::Unreachable)?;
        if response.is_error {
            return Err(failed(&response.payload));
        }
        // A function of another release may respond in another form. Any response means that it has rolled back.
        let unknown = |_| RolledBack { runs: Vec::new(), moved: true };
        Ok(serde_json::from_str(&response.payload).unwrap_or_else(unknown))
    }
}

/// Distinguishes a rollback that failed from a function that cannot run. Lambda's own error types start with `Runtime.`
/// or `Sandbox.`; the function's never do. Inferred from lambda/latest/dg/runtimes-logs-api and
/// lambda/latest/dg/troubleshooting-invocation.
fn failed(body: &str) -> RollbackError {
    let parsed: Value = serde_json::from_str(body).unwrap_or_default();
    let kind = parsed["errorType"].as_str().unwrap_or_default();
    let why = failure_message(body);
    if kind.starts_with("Runtime.") || kind.starts_with("Sandbox.") {
        return RollbackError::Unreachable(format!("it cannot run: {why}"));
    }
    let (exit, cause) = match StepErrorKind::from_name(kind) {
        // The function works: what was asked of it is wrong.
        Some(StepErrorKind::NoSuchRun) => (Exit::Invalid, why),
        Some(StepErrorKind::InvalidInput) => (Exit::Invalid, format!("the rollback function failed: {why}")),
        _ => (Exit::Error, format!("the rollback function failed: {why}")),
    };
    RollbackError::Failed(Failure { exit, ..Failure::new("RollbackFailed", cause) })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_reason_of_a_failed_rollback_is_named_once() {
        let failed =
            |function| json!({ "function": function, "status": "failed", "error": "AccessDenied", "cause": "denied" });
        let targets = [failed("a"), failed("b"), json!({ "function": "c", "status": "restored" })];
        let response = json!({ "runs": [{ "runId": "r", "targets": targets }, { "runId": "of-another-release" }] });
        let RolledBack { runs, .. } = serde_json::from_value(response).unwrap_or_else(|error| unreachable!("{error}"));
        assert_eq!(runs.iter().map(RolledBackRun::failures).collect::<Vec<_>>(), [["denied"].into(), [].into()]);
    }

    #[test]
    fn a_release_that_does_not_state_it_has_moved_the_lever() {
        let moved = |response: Value| serde_json::from_value(response).map(|RolledBack { moved, .. }| moved).ok();
        assert_eq!(moved(json!({ "runs": [] })), Some(true));
        assert_eq!(moved(json!({ "runs": [], "moved": false })), Some(false));
    }

    #[test]
    fn a_target_that_only_has_to_be_retried_is_not_refused() {
        let run = |error: Option<&str>| {
            let target = json!({ "function": "a", "status": "failed", "error": error, "cause": "why" });
            let run = serde_json::from_value(json!({ "runId": "r", "targets": [{ "function": "b" }, target] }));
            run.unwrap_or_else(|error| unreachable!("{error}"))
        };
        let is_refused = |error| RolledBackRun::is_refused(&run(error));
        assert_eq!(["AccessDenied", "LedgerUnusable", "Unavailable"].map(Some).map(is_refused), [true, true, false]);
        assert!(!is_refused(Some("OfAnotherRelease")) && !is_refused(None));
    }

    #[test]
    fn a_failed_rollback_differs_from_a_function_that_cannot_run() {
        let unreachable = |body: &str| matches!(failed(body), RollbackError::Unreachable(_));
        assert!(unreachable(r#"{"errorType":"Runtime.ExitError","errorMessage":"exit status 1"}"#));
        assert!(unreachable(
            r#"{"errorType":"Sandbox.Timedout","errorMessage":"Task timed out after 900.00 seconds"}"#
        ));
        for (body, exit) in [
            (r#"{"errorType":"NoSuchRun","errorMessage":"there is no run r"}"#, Exit::Invalid),
            (r#"{"errorType":"LedgerUnusable","errorMessage":"the ledger cannot be used"}"#, Exit::Error),
            ("", Exit::Error),
        ] {
            match failed(body) {
                RollbackError::Failed(failure) => {
                    assert_eq!(failure.exit, exit, "{body}");
                    let is_invalid = failure.cause == "there is no run r";
                    assert!(is_invalid || failure.cause.starts_with("the rollback function failed"), "{failure:?}");
                    assert_eq!(is_invalid, exit == Exit::Invalid, "{failure:?}");
                }
                RollbackError::Unreachable(why) => unreachable!("{body}: {why}"),
            }
        }
    }
}
