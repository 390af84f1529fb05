//! Tests that every output has the same phrase for an outcome, so that a reader finds it in all of them.

use super::evidence::markdown;
use super::finished::Finished;
use super::junit::junit;
use super::listed::Listed;
use super::pen::Pen;
use super::report_text::report_text;
use super::status_text::status_table;
use super::summary::run_summary;
use crate::model::input::read_experiment;
use crate::model::marker::stopped_marker;
use crate::model::run::{EndReason, Run, RunStatus, TargetRecord, TargetStatus};
use crate::model::snapshot::Change;
use crate::model::time::Time;
use crate::page::run_page;
use crate::plan::conclusion::Conclusion;
use crate::plan::evidence::Evidence;
use crate::plan::rendering::{ReportView, report_view};
use crate::testing::samples::{experiment, faults, function_arn, run_id};

/// A run with one target that has this conclusion.
fn run_of(conclusion: Conclusion) -> (Run, TargetRecord) {
    let mut run = stopped_marker(&run_id("r"), &EndReason::DurationElapsed.into(), Time(0));
    let mut asked = experiment(&["checkout"], &faults()[4..5]);
    if conclusion != Conclusion::NoSteadyState {
        asked["steadyState"] = serde_json::json!([{ "alarm": "latency" }]);
    }
    run.experiment = read_experiment(&asked).ok();
    (run.status, run.deviations) = (RunStatus::Completed, Some(Vec::new()));
    (run.created_at, run.ends_at, run.closed_at) = (Time(1_000), Some(Time(60_000)), Some(Time(90_000)));
    let mut target = TargetRecord::new(run_id("r"), function_arn("checkout"));
    target.changes = vec![Change::Timeout { original: 3, injected: 1 }];
    target.status = TargetStatus::Restored;
    match conclusion {
        Conclusion::Unfinished => (run.status, run.closed_at) = (RunStatus::Running, None),
        Conclusion::Held | Conclusion::NoSteadyState => {}
        Conclusion::Unproven => run.effect = Some("no invocation came".to_owned()),
        Conclusion::EndedEarly => (run.status, run.reason) = (RunStatus::Stopped, Some(EndReason::UserRequest)),
        Conclusion::Deviated => run.deviations = Some(vec!["alarm latency is in ALARM".to_owned()]),
        Conclusion::NotJudged => run.deviations = None,
        Conclusion::Failed => (run.status, run.reason) = (RunStatus::Failed, Some(EndReason::ExecutionStopped)),
        Conclusion::Drifted => target.status = TargetStatus::Drifted,
        Conclusion::RestoreFailed => (run.status, target.status) = (RunStatus::Failed, TargetStatus::Restoring),
    }
    (run, target)
}

fn table(run: Run, target: TargetRecord, view: ReportView) -> String {
    let listed = Listed { is_active: false, is_chosen: true, run, targets: vec![target], view };
    status_table(&[listed], &[], Time(100_000), Pen::PLAIN)
}

#[test]
fn every_output_has_the_same_phrase_for_an_outcome() {
    for conclusion in Conclusion::ALL {
        let (run, target) = run_of(conclusion);
        let view = report_view(&run, std::slice::from_ref(&target));
        assert_eq!(Conclusion::of(&view), conclusion);
        let evidence = Evidence::of(&run, std::slice::from_ref(&target), None);
        let finished = Finished { run: run.clone(), view: view.clone() };
        let outputs = [
            ("report", report_text(&view, Pen::PLAIN)),
            ("summary", run_summary("a", Ok(&finished))),
            ("JUnit", junit("a", Ok(&finished)).unwrap_or_default()),
            ("page", run_page(&evidence).unwrap_or_default()),
            ("Markdown", markdown(&evidence)),
            ("status", table(run, target, view)),
        ];
        let phrase = conclusion.phrase();
        for (output, text) in outputs {
            if output == "status" && conclusion == Conclusion::Unfinished {
                // Of a run that is not over, the table has the status, which follows the phrase in the report.
                assert!(text.contains("running, "), "{text}");
                continue;
            }
            // A phrase may begin a sentence.
            assert!(text.to_lowercase().contains(&phrase.to_lowercase()), "{phrase} is not in {output}: {text}");
            let others = Conclusion::ALL.into_iter().filter(|other| *other != conclusion);
            let also: Vec<&str> = others.map(Conclusion::phrase).filter(|other| text.contains(other)).collect();
            assert!(also.is_empty(), "{output} of {phrase} also has {also:?}: {text}");
        }
    }
}
