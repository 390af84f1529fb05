//! Reports that are shortened to fit into a step of the state machine.

use snapback::model::run::{Run, TargetRecord, TargetStatus};
use snapback::plan::rendering::{Outcome, ReportView, report_view};
use snapback::ports::Clock;
use snapback::testing::SimWorld;
use snapback::testing::samples::{function_arn, run_id};

fn run() -> Run {
    let now = SimWorld::default().now();
    Run {
        id: run_id("r"),
        status: snapback::model::run::RunStatus::Completed,
        experiment: None,
        unread: None,
        started_by: None,
        execution_arn: "arn:execution:r".into(),
        functions: Vec::new(),
        alarms: Vec::new(),
        proxy_layers: Default::default(),
        notes: Vec::new(),
        seed: None,
        created_at: now,
        deadline: now,
        ends_at: None,
        stopping_at: None,
        reason: None,
        ended_by: None,
        closed_at: None,
        deviations: None,
        effect: None,
        injected: None,
    }
}

fn report(statuses: &[TargetStatus]) -> ReportView {
    let run = run();
    let target = |(number, status): (usize, &TargetStatus)| {
        let mut target = TargetRecord::new(run.id.clone(), function_arn(&format!("f-{number:04}")));
        target.status = *status;
        target
    };
    let targets: Vec<TargetRecord> = statuses.iter().enumerate().map(target).collect();
    report_view(&run, &targets)
}

fn listed(view: &ReportView) -> Vec<&str> {
    view.targets.iter().map(|target| target.function.as_str()).collect()
}

#[test]
fn a_shortened_report_lists_unrestored_targets_first() {
    use TargetStatus::{Deleted, Drifted, Injected, Restored, Untouched};
    let mut view = report(&[Restored, Drifted, Untouched, Injected, Deleted, Restored, Restored]);
    view.targets[5].frozen_versions.push("7".into());
    let short = view.clone().shortened(5, usize::MAX);
    assert_eq!(listed(&short), ["f-0003", "f-0001", "f-0004", "f-0005", "f-0000"]);
    assert_eq!(short.targets_left_out, 2);
    assert_eq!(short.outcome, view.outcome, "all targets count for the outcome");
}

#[test]
fn a_report_that_fits_is_not_shortened() {
    let view = report(&[TargetStatus::Restored; 3]);
    assert_eq!(view.clone().shortened(3, usize::MAX), view);
    assert!(!serde_json::to_string(&view).unwrap().contains("LeftOut"));
}

#[test]
fn a_shortened_report_stays_within_its_bytes() {
    let mut view = report(&[TargetStatus::Restored; 100]);
    for target in &mut view.targets {
        target.restore_error = Some("x".repeat(10_000));
    }
    let short = view.shortened(100, 200_000);
    let bytes = serde_json::to_string(&short.targets).unwrap().len();
    assert!((180_000..=200_001).contains(&bytes), "{bytes}");
    assert_eq!(short.targets.len() + short.targets_left_out, 100);
    assert!(serde_json::to_string(&short).unwrap().contains("\"targetsLeftOut\":"));
}

#[test]
fn a_shortened_report_counts_each_target_with_its_comma() {
    let view = report(&[TargetStatus::Restored; 3]);
    let all = 3 * (serde_json::to_string(&view.targets[0]).unwrap().len() + 1);
    let fitting = [all, all - 1].map(|bytes| view.clone().shortened(3, bytes).targets.len());
    assert_eq!(fitting, [3, 2]);
}

#[test]
fn a_run_that_cannot_be_read_has_not_held() {
    let mut run = run();
    assert_eq!(report_view(&run, &[]).outcome, Outcome::NoSteadyState);
    run.unread = Some("its record cannot be read".into());
    // Another release may have evaluated the run by conditions that this release cannot read.
    for deviations in [None, Some(Vec::new())] {
        run.deviations = deviations;
        assert_eq!(report_view(&run, &[]).outcome, Outcome::EndedEarly);
    }
}
