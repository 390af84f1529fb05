//! The metric `MissedRuns`: starts by a schedule that were refused, and runs of a schedule that failed. Nobody looks at
//! those when they happen, so an alarm has to tell.

use serde_json::Value;

use crate::model::actor::{Actor, VIA_SCHEDULE};
use crate::model::input::read;
use crate::model::run::RunStatus;
use crate::model::settings::Settings;
use crate::model::time::Time;
use crate::plan::rendering::{Outcome, ReportView};
use crate::steps::error::{StepError, StepErrorKind};

use super::metrics::line;

const NAME: &str = "MissedRuns";

/// The metric of a start that Prepare did not allow. A transient failure does not count: the step is tried again.
pub(super) fn refused_start(settings: &Settings, experiment: &Value, error: &StepError, now: Time) -> Option<Value> {
    let actor: Actor = read(experiment.get("startedBy")?).ok()?;
    (error.kind() != StepErrorKind::Unavailable).then(|| metric(settings, &actor, now)).flatten()
}

/// The metric of a closed run that failed. A restore that failed has its own alarm.
pub(super) fn failed_run(settings: &Settings, report: &ReportView, now: Time) -> Option<Value> {
    let is_missed = report.status == RunStatus::Failed && report.outcome != Outcome::RestoreFailed;
    is_missed.then(|| metric(settings, report.started_by.as_ref()?, now)).flatten()
}

fn metric(settings: &Settings, actor: &Actor, now: Time) -> Option<Value> {
    if actor.via.as_str() != VIA_SCHEDULE {
        return None;
    }
    let stack = ("Stack", settings.prefix.as_str());
    let counts = [(NAME, 1)];
    // arn:PARTITION:scheduler:REGION:ACCOUNT:schedule/GROUP/NAME
    let name = actor.caller.as_ref().and_then(|arn| arn.as_str().split_once(":schedule/")?.1.split_once('/'));
    Some(match name {
        Some((_, name)) => line(&[&[stack], &[stack, ("Schedule", name)]], &counts, now),
        None => line(&[&[stack]], &counts, now),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::input::InvalidInput;
    use crate::testing::samples::settings;

    const ARN: &str = "arn:aws:scheduler:eu-west-1:123456789012:schedule/snapback/nightly";

    fn refused(started_by: &Value, error: &StepError) -> Option<Value> {
        refused_start(&settings(), &json!({ "startedBy": started_by }), error, Time(7))
    }

    #[test]
    fn a_refused_start_counts_for_its_stack_and_its_schedule() {
        let line = refused(&json!({ "via": "schedule", "caller": ARN }), &StepError::Refused(Vec::new()));
        let line = line.unwrap_or_default();
        let described = &line["_aws"]["CloudWatchMetrics"][0];
        assert_eq!(described["Dimensions"], json!([["Stack"], ["Stack", "Schedule"]]));
        assert_eq!(described["Metrics"], json!([{ "Name": "MissedRuns", "Unit": "Count" }]));
        assert_eq!((&line["MissedRuns"], &line["Schedule"]), (&json!(1), &json!("nightly")));
        assert_eq!(line["Stack"], json!(settings().prefix));
    }

    #[test]
    fn missed_runs_have_an_alarm() {
        assert!(include_str!("../../infra/template.yaml").contains(&format!("MetricName: {NAME}\n")));
    }

    #[test]
    fn a_start_counts_by_a_schedule_only_and_once() {
        let invalid: StepError = InvalidInput { field: "name".into(), problem: "is missing".into() }.into();
        let by_schedule = json!({ "via": "schedule" });
        assert!(refused(&by_schedule, &invalid).is_some());
        assert_eq!(refused(&by_schedule, &StepError::Executions("throttled".into())), None);
        assert_eq!(refused(&json!({ "via": "command line", "caller": ARN }), &invalid), None);
        assert_eq!(refused(&Value::Null, &invalid), None);
    }
}
