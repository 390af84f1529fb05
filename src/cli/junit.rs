//! The report of a run in JUnit's XML format, which CI systems show like the result of tests.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, SerializeError, TestCase, TestCaseStatus, TestSuite};

use crate::plan::checks::{Check, CheckResult, Subject};
use crate::plan::outcome_text::outcome_text;

use super::Failure;
use super::finished::Finished;

/// Renders what came out of a run.
pub(super) fn junit(experiment: &str, outcome: Result<&Finished, &Failure>) -> Result<String, SerializeError> {
    let mut suite = TestSuite::new(experiment);
    match outcome {
        Ok(finished) => {
            suite.add_property(("run", finished.view.run_id.as_str()));
            suite.add_property(("outcome", outcome_text(&finished.view).as_str()));
            let last = finished.run.closed_at.unwrap_or(finished.run.deadline);
            suite.set_time(finished.run.created_at.until(last));
            suite.add_test_cases(finished.checks().iter().map(|check| of_check(experiment, check)));
        }
        Err(failure) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type(&failure.error).set_message(&failure.cause);
            suite.add_test_case(of(experiment, &Subject::Run, status));
        }
    }
    let mut report = Report::new("snapback");
    report.set_time(suite.time.unwrap_or(Duration::ZERO));
    report.add_test_suite(suite);
    report.to_string()
}

fn of_check(experiment: &str, check: &Check) -> TestCase {
    let status = match &check.result {
        CheckResult::Passed => TestCaseStatus::success(),
        CheckResult::Failed(why) => {
            let mut failed = TestCaseStatus::non_success(NonSuccessKind::Failure);
            failed.set_message(why);
            failed
        }
        CheckResult::Skipped(why) => {
            let mut skipped = TestCaseStatus::skipped();
            skipped.set_message(why);
            skipped
        }
    };
    of(experiment, &check.subject, status)
}

fn of(experiment: &str, subject: &Subject, status: TestCaseStatus) -> TestCase {
    let mut case = TestCase::new(subject.to_string(), status);
    case.set_classname(format!("snapback.{experiment}"));
    case
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit::Exit;
    use crate::model::marker::stopped_marker;
    use crate::model::run::{EndReason, RunStatus, TargetRecord, TargetStatus};
    use crate::model::snapshot::Change;
    use crate::model::time::Time;
    use crate::plan::rendering::report_view;
    use crate::testing::samples::{function_arn, run_id};

    /// A run of a minute that has restored `checkout` to this status.
    fn finished(status: RunStatus, target: TargetStatus) -> Finished {
        let mut run = stopped_marker(&run_id("run-1"), &EndReason::DurationElapsed.into(), Time(0));
        (run.status, run.closed_at) = (status, Some(Time(60_000)));
        let mut record = TargetRecord::new(run_id("run-1"), function_arn("checkout"));
        record.changes = vec![Change::Timeout { original: 3, injected: 1 }];
        record.status = target;
        let view = report_view(&run, &[record]);
        Finished { run, view }
    }

    fn suite(xml: &str) -> TestSuite {
        let report = Report::deserialize_from_str(xml).unwrap_or_else(|wrong| unreachable!("{wrong}\n{xml}"));
        report.test_suites.into_iter().next().unwrap_or_else(|| unreachable!("{xml}"))
    }

    #[test]
    fn a_run_that_held_is_a_suite_without_failures() {
        let finished = finished(RunStatus::Completed, TargetStatus::Restored);
        let suite = suite(&junit("a & b", Ok(&finished)).unwrap_or_default());
        assert_eq!((suite.name.as_str(), suite.tests, suite.failures, suite.errors), ("a & b", 2, 0, 0));
        assert_eq!(suite.time, Some(Duration::from_secs(60)));
        let names: Vec<&str> = suite.test_cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names, ["run", "restore: checkout"]);
    }

    #[test]
    fn an_open_restore_is_a_failure() {
        let finished = finished(RunStatus::Failed, TargetStatus::Restoring);
        let xml = junit("a", Ok(&finished)).unwrap_or_default();
        assert_eq!((suite(&xml).failures, xml.matches("message=\"NOT restored yet\"").count()), (2, 1), "{xml}");
    }

    #[test]
    fn what_could_not_be_tested_is_an_error() {
        let cause = "refused:\n  checkout \u{1b}[31m<locked>".to_owned();
        let failure = Failure { exit: Exit::Refused, ..Failure::new("Refused", cause) };
        let xml = junit("a", Err(&failure)).unwrap_or_default();
        assert_eq!(
            (suite(&xml).errors, xml.contains("type=\"Refused\""), xml.contains('\u{1b}')),
            (1, true, false),
            "{xml}"
        );
    }
}
