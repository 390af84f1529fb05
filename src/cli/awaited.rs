//! What a run whose targets are all restored still waits for.

use crate::model::experiment::Experiment;
use crate::model::run::{EndReason, Run, RunStatus, TargetRecord};
use crate::steps::steady_state::checked_by;

/// Whether nothing is left to restore, so that leaving the run leaves no fault.
pub(super) fn is_restored(run: &Run, targets: &[TargetRecord]) -> bool {
    let is_ending = run.status == RunStatus::Stopping || run.status.is_final();
    is_ending && targets.iter().all(|target| target.status.is_final())
}

/// What a restored run waits for before it is closed, and until when at most; `None` once it is closed, and while a
/// target is not restored.
pub(super) fn awaited(run: &Run, targets: &[TargetRecord]) -> Option<String> {
    if run.status.is_final() || !is_restored(run, targets) {
        return None;
    }
    let waiting = match run.experiment.as_ref().filter(|_| run.deviations.is_none()) {
        Some(experiment) => reasons(run, experiment),
        None => Vec::new(),
    };
    let restored_at = targets.iter().filter_map(|target| target.ended_at).max();
    let until = run.experiment.as_ref().zip(restored_at).map(|(experiment, at)| at + checked_by(experiment));
    Some(match (&*waiting, until) {
        ([], _) => "everything is restored; the run is being closed".to_owned(),
        (waiting, Some(until)) => {
            format!("everything is restored; waiting until {until} at most for {}", waiting.join(" and for "))
        }
        (waiting, None) => {
            format!("everything is restored; waiting for {}", waiting.join(" and for "))
        }
    })
}

fn reasons(run: &Run, experiment: &Experiment) -> Vec<&'static str> {
    let mut reasons = Vec::new();
    // The report waits for metrics only where the faults had their full duration.
    if experiment.counts_faults() && run.ends_at.is_some() && run.reason == Some(EndReason::DurationElapsed) {
        reasons.push("the metrics that show the effect");
    }
    if !experiment.steady_state.is_empty() {
        reasons.push("the steady state to hold again");
    }
    reasons
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::input::read_experiment;
    use crate::model::marker::stopped_marker;
    use crate::model::run::TargetStatus;
    use crate::model::time::Time;
    use crate::testing::samples::{experiment, faults, function_arn, run_id};

    fn run(experiment: &Value) -> (Run, TargetRecord) {
        let mut run = stopped_marker(&run_id("r"), &EndReason::DurationElapsed.into(), Time(0));
        (run.status, run.ends_at) = (RunStatus::Stopping, Some(Time(0)));
        run.experiment = read_experiment(experiment).ok();
        let mut target = TargetRecord::new(run_id("r"), function_arn("checkout"));
        (target.status, target.ended_at) = (TargetStatus::Restored, Some(Time(0)));
        (run, target)
    }

    #[test]
    fn a_restored_run_says_what_it_waits_for_and_until_when() {
        let fault = |name: &str| {
            let fault = faults().into_iter().find(|(other, _)| *other == name);
            experiment(&["checkout"], &fault.into_iter().collect::<Vec<_>>())
        };
        let text = |(run, target): (Run, TargetRecord)| awaited(&run, &[target]).unwrap_or_default();
        assert_eq!(text(run(&fault("timeout"))), "everything is restored; the run is being closed");
        assert_eq!(
            text(run(&fault("latency"))),
            "everything is restored; waiting until 1970-01-01T00:03:00Z at most for the metrics that show the effect"
        );
        let mut steady = fault("timeout");
        steady["steadyState"] = json!([{ "alarm": "latency" }]);
        let expected =
            "everything is restored; waiting until 1970-01-01T00:01:00Z at most for the steady state to hold again";
        assert!(text(run(&steady)).starts_with(expected), "{}", text(run(&steady)));
    }

    #[test]
    fn a_run_with_something_to_restore_or_closed_waits_for_nothing() {
        let (open, mut target) = run(&experiment(&["checkout"], &faults()[..1]));
        target.status = TargetStatus::Restoring;
        assert_eq!(awaited(&open, &[target.clone()]), None);
        target.status = TargetStatus::Restored;
        assert!(awaited(&open, &[target.clone()]).is_some());
        let closed = Run { status: RunStatus::Completed, ..open.clone() };
        assert_eq!(awaited(&closed, &[target.clone()]), None);
        let running = Run { status: RunStatus::Running, ..open };
        assert_eq!(awaited(&running, &[target]), None);
    }
}
