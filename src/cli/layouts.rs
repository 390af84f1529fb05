//! Tests of what users see: at 40, 60, 80 and 140 columns, with and without colors, with 1, 53 and 1,000 targets.

use anstream::adapter::strip_str;

use super::listed::{FailedStart, Listed};
use super::output::Output;
use super::pen::{Pen, Tone};
use super::place_options::PlaceOptions;
use super::plan_text::plan_text;
use super::progress_text::ShownTargets;
use super::report_text::report_text;
use super::screen::{fitted, question};
use super::status_text::{armed_text, status_table};
use super::wrap::wrapped;
use crate::aws::{FailedExecution, ListedExecution};
use crate::model::marker::stopped_marker;
use crate::model::refusal::{Guardrail, Refusal};
use crate::model::run::{EndReason, RunStatus, TargetRecord, TargetStatus};
use crate::model::snapshot::Change;
use crate::model::time::Time;
use crate::plan::field_row::FieldRow;
use crate::plan::preview::{ConditionNow, PlanView, TargetPlan};
use crate::plan::rendering::{ReportView, report_view};
use crate::testing::samples::{function_arn, run_id};

const WIDTHS: [usize; 4] = [40, 60, 80, 140];
const TARGETS: [usize; 3] = [1, 53, 1000];

/// Checks a rendering in every size: with colors it is the same text, and of the lines that are laid out, none is wider than
/// the terminal. Calls `check` with the lines, the columns and the number of targets.
pub(super) fn in_every_size(render: impl Fn(usize, Pen) -> String, check: impl Fn(&[&str], usize, usize)) {
    for count in TARGETS {
        for width in WIDTHS {
            let [plain, colored] = [false, true].map(|colors| render(count, Pen { colors, width: Some(width) }));
            assert!(colored.contains("\u{1b}[") && !plain.contains('\u{1b}'), "{colored}");
            assert_eq!(strip_str(&colored).to_string(), plain, "{count} targets, {width} columns");
            let lines: Vec<&str> = plain.lines().collect();
            check(&lines, width, count);
        }
    }
}

/// What is printed of a text that has sentences.
fn sentences(text: &str, pen: Pen) -> String {
    text.lines().map(|line| wrapped(line, pen.width) + "\n").collect()
}

fn row(field: &str, before: &str, during: &str) -> FieldRow {
    let [field, before, during, after] = [field, before, during, before].map(str::to_owned);
    FieldRow { field, before, during, after, values: None }
}

fn plan(count: usize) -> PlanView {
    let target = |number: usize| TargetPlan {
        function: format!("crowd-{number:03}"),
        arn: function_arn("crowd").to_string(),
        fields: vec![
            row("reserved concurrency", "none", "0"),
            row("layers", "otel:1, shared:1", "otel:1, shared:1, snapback-proxy-arm64:1"),
            row(
                "variable SNAPBACK_FAULTS",
                "absent",
                "{'until':1795630704958,'run':'a-run-20261126100000-abcd','faults':[{'latency':{'delayMs':3000}}]}",
            ),
        ],
    };
    let now = |condition: &str, now: &str| ConditionNow {
        condition: condition.into(),
        now: now.into(),
        value: None,
        in_alarm: None,
        holds: true,
    };
    let warning =
        |number: usize| format!("crowd-{number:03}: a version that is published during the run keeps the fault");
    PlanView {
        experiment: "checkout survives a slow payment provider".into(),
        faults: vec!["latency +3000 ms on 30 % of invocations where path = /checkout".into(), "timeout 2 s".into()],
        duration: "PT5M".into(),
        duration_seconds: 300,
        stop_conditions: vec!["errors".into()],
        stop_conditions_now: vec![now("errors", "not in ALARM")],
        steady_state: vec!["alarm latency not in ALARM".into()],
        steady_state_now: vec![now("Sum of AWS/Lambda Errors {FunctionName=crowd-000} per 1 min < 5", "3")],
        seed: None,
        seed_is_drawn: false,
        draws: Vec::new(),
        target_count: count,
        targets: (0..count).map(target).collect(),
        warnings: (0..count).map(warning).collect(),
        refusals: vec![Refusal::new(Guardrail::Lever, "safety lever", "it is engaged", "disengage it")],
    }
}

#[test]
fn a_plan_fits_every_terminal() {
    in_every_size(
        |count, pen| sentences(&plan_text(&plan(count), pen), pen),
        |lines, width, count| {
            let text = lines.join("\n");
            assert!(lines.len() <= 45, "{count} targets, {width} columns: {text}");
            for line in lines {
                assert!(line.chars().count() <= width, "{width} columns: {line}");
            }
            assert!(text.contains("snapback-proxy-arm64:1"), "no word is broken: {text}");
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains("the faults above"), "{text}");
            assert_eq!(text.matches("reserved concurrency").count(), 1, "{text}");
            assert_eq!(words.matches("a version that is published during").count(), 1, "{text}");
            let on = if count == 1 { "1 target: crowd-000" } else { "crowd-000, crowd-001, crowd-002 and" };
            assert!(text.replace("\n          ", " ").contains(on), "{width} columns: {text}");
        },
    );
}

#[test]
fn a_plan_at_80_columns_says_what_will_happen() {
    let text = plan_text(&plan(1), Pen { colors: false, width: Some(80) });
    let expected = "checkout survives a slow payment provider
  faults  latency +3000 ms on 30 % of invocations where path = /checkout
          timeout 2 s
  on      1 target: crowd-000
  ends    after 5 min; earlier if the alarm errors goes into ALARM (now not in
          ALARM), if a user rolls it back, or if the safety lever is engaged
";
    assert!(text.replace("if the steady state deviates, ", "").starts_with(&expected[..150]), "{text}");
}

#[test]
fn a_locked_target_has_no_table_of_fields() {
    let mut view = plan(2);
    view.refusals = vec![Refusal::new(Guardrail::Unlocked, "crowd-000", "the run r has locked it", "wait")];
    view.targets[0].fields.clear();
    let text = plan_text(&view, Pen { colors: false, width: None });
    assert!(!text.contains("nothing would change") && !text.contains("\ncrowd-000\n"), "{text}");
    assert!(text.contains("\ncrowd-001\n") && text.contains("crowd-000: the run r has locked it; wait"), "{text}");
}

fn report(count: usize) -> ReportView {
    let mut run = stopped_marker(&run_id("r"), &EndReason::UserRequest.into(), Time(0));
    run.status = RunStatus::Stopped;
    let target = |number: usize| {
        let mut record = TargetRecord::new(run_id("r"), function_arn(&format!("crowd-{number:03}")));
        record.changes = vec![Change::Timeout { original: 3, injected: 1 }];
        record.status = if number == 7 { TargetStatus::Deleted } else { TargetStatus::Restored };
        record
    };
    report_view(&run, &(0..count).map(target).collect::<Vec<_>>())
}

#[test]
fn a_report_counts_many_targets_and_lists_the_exceptions() {
    in_every_size(
        |count, pen| report_text(&report(count), pen),
        |lines, _, count| {
            assert!(lines.len() <= 10, "{lines:?}");
            let text = lines.join("\n");
            match count {
                1 => assert!(text.contains("  crowd-000: restored (timeout)"), "{text}"),
                _ => {
                    let counts = format!("  {} of {count} restored, 1 of {count} deleted", count - 1);
                    assert!(text.contains(&counts) && text.contains("  crowd-007: deleted (timeout)"), "{text}");
                    assert!(!text.contains("crowd-008"), "{text}");
                }
            }
        },
    );
}

const LONG_ID: &str = "checkout-survives-throttling-20261126100000-abcd";

/// A run of one hour ago, and one that runs and waits.
fn listed(count: usize) -> Vec<Listed> {
    let run = |id: &str, status: RunStatus, target: TargetStatus, created_at: Time| {
        let mut run = stopped_marker(&run_id(id), &EndReason::UserRequest.into(), Time(0));
        (run.status, run.created_at) = (status, created_at);
        run.started_by =
            serde_json::from_str(r#"{"via":"command line","caller":"arn:aws:iam::123456789012:user/anna"}"#).ok();
        if status.is_final() {
            run.closed_at = Some(created_at + std::time::Duration::from_secs(90));
        } else {
            (run.ends_at, run.deadline) = (Some(Time(4_000_000)), Time(4_000_000));
            (run.reason, run.closed_at) = (None, None);
        }
        let target = |number: usize| {
            let mut record = TargetRecord::new(run_id(id), function_arn(&format!("crowd-{number:03}")));
            record.status = target;
            record.waiting_for = (!target.is_final()).then(|| "another restore to end".to_owned());
            record
        };
        let targets: Vec<TargetRecord> = (0..count).map(target).collect();
        let view = report_view(&run, &targets);
        Listed { is_active: !status.is_final(), is_chosen: true, run, targets, view }
    };
    vec![
        run(LONG_ID, RunStatus::Stopped, TargetStatus::Restored, Time(3_700_000)),
        run("r-1", RunStatus::Running, TargetStatus::Injected, Time(3_600_000)),
    ]
}

#[test]
fn a_status_fits_every_terminal_and_begins_with_what_runs() {
    in_every_size(
        |count, pen| status_table(&listed(count), &[], Time(3_900_000), pen),
        |lines, width, count| {
            let text = lines.join("\n");
            for line in lines.iter().take_while(|line| !line.is_empty()) {
                // A name is never broken, because it may be copied.
                assert!(line.chars().count() <= width || line.trim() == LONG_ID, "{width} columns: {line}");
            }
            assert!(text.contains(LONG_ID), "{text}");
            assert!(text.find("r-1") < text.find(LONG_ID), "{text}");
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            if width < 140 {
                assert!(words.contains("running, 100 s left") && words.contains("took 1 min 30 s"), "{text}");
                assert!(words.contains("ended early: stopped by a user") && words.contains("anna"), "{text}");
            } else {
                assert!(lines[0].starts_with("run ") && lines[0].ends_with(" targets"), "{text}");
                assert!(text.contains(&format!("{count}")), "{text}");
            }
        },
    );
}

#[test]
fn a_status_shows_commands_whole_and_does_not_pad_rows_for_them() {
    let mut runs = listed(1);
    runs[1].targets[0].waiting_for = Some("it is damaged; correct it, then run: snapback rollback r-1".to_owned());
    let cause = format!("the run {LONG_ID} holds crowd-000; wait for it, or end it: snapback rollback {LONG_ID}");
    let execution = ListedExecution { name: "r-2".into(), arn: String::new(), started_at: Time(0), has_failed: true };
    let failed = FailedExecution { error: "Refused".into(), cause, ..FailedExecution::default() };
    let starts = [FailedStart::of(&execution, failed)];
    let stack = "snapback-lab-survives".to_owned();
    let output = Output::new(false).with_places(PlaceOptions::new([("stack", Some(&stack))]));
    for width in [Some(40), Some(60), Some(80), Some(140), Some(160), None] {
        let text = status_table(&runs, &starts, Time(3_900_000), Pen { colors: false, width });
        let printed: String = text.lines().map(|line| output.complete(line) + "\n").collect();
        for run in ["r-1", LONG_ID] {
            let command = format!(": snapback rollback {run} --stack snapback-lab-survives\n");
            assert!(printed.contains(&command), "{width:?}: {printed}");
        }
        let (table, _) = printed.split_once("\n\n").unwrap_or_default();
        assert!(table.contains("r-2") && table.contains("refused"), "{width:?}: {printed}");
        assert!(table.lines().all(|line| line.chars().count() < 170), "{width:?}: {printed}");
    }
}

#[test]
fn what_is_armed_is_counted_by_run() {
    assert_eq!(armed_text(&listed(1)[..1], &[]), None);
    let text = armed_text(&listed(53), &[]);
    let expected = "armed: 53 targets of the run r-1 (crowd-000, crowd-001, crowd-002 and 50 more functions)";
    assert_eq!(text.as_deref(), Some(expected));
}

/// What `run` shows while its targets are injected and then wait for an update: its news, and the line that changes.
fn progress(count: usize, pen: Pen) -> String {
    let listed = &listed(count)[1];
    let (mut shown, mut targets) = (ShownTargets::default(), listed.targets.clone());
    let mut lines = Vec::new();
    for (status, waiting_for) in [
        (TargetStatus::Injecting, None),
        (TargetStatus::Injected, None),
        (TargetStatus::Restoring, Some("an update of the function by a deploy that began before the restore")),
    ] {
        for target in &mut targets {
            (target.status, target.waiting_for) = (status, waiting_for.map(str::to_owned));
        }
        lines.extend(shown.news(&targets, pen));
    }
    let live = shown.remaining(&listed.run, &targets, Time(3_900_000));
    lines.push(pen.paint(Tone::Faint, &fitted(&live, pen.width)));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_progress_of_a_run_counts_targets_and_fits_its_line() {
    in_every_size(progress, |lines, width, count| {
        let text = lines.join("\n");
        assert_eq!(lines.len(), 5, "{text}");
        let injected =
            if count == 1 { "crowd-000 injected".to_owned() } else { format!("{count} of {count} injected") };
        assert_eq!(lines[1], injected);
        assert_eq!(text.matches("before the restore").count(), if width == 140 { 2 } else { 1 }, "{text}");
        // The terminal would break a longer line, and the next one would be drawn below its first part.
        let live = lines[4];
        assert!(live.chars().count() < width && live.starts_with("100 s left; "), "{width} columns: {live}");
    });
}

#[test]
fn the_question_whether_to_roll_back_fits_one_line() {
    for width in WIDTHS {
        let question = question(Some(width));
        // Where the reply is typed, there is room for a word.
        assert!(question.chars().count() + 4 <= width && question.contains("[Y/n/l] "), "{question}");
    }
    assert!(question(None).contains("l: leave it running"));
}

/// `rollback --all` prints the report of each run.
#[test]
fn a_rollback_counts_the_targets_of_each_run() {
    in_every_size(
        |count, pen| [report(count), report(1)].map(|view| report_text(&view, pen)).concat(),
        |lines, width, count| {
            let text = lines.join("\n");
            assert!(lines.len() <= 14, "{width} columns, {count} targets: {text}");
            assert_eq!(text.matches("run r: ").count(), 2, "{text}");
        },
    );
}
