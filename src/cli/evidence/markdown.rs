//! The report of a run as Markdown, for a wiki or a comment. It has the page's facts without its charts.

use crate::model::time::Time;
use crate::plan::checks::CheckResult;
use crate::plan::evidence::Evidence;

use super::super::summary::{Summary, escape};
use super::format::{count, date_and_time, dollars, figure, span};
use super::verdict::{happened, restored};

/// Renders the report.
pub(super) fn markdown(evidence: &Evidence) -> String {
    let report = &evidence.report;
    let mut text = Summary::new(&report.experiment);
    for sentence in [happened(evidence), restored(evidence)] {
        text.line(&format!("**{}.** {}\n", escape(&sentence.text), escape(&sentence.more)));
    }
    head(evidence, &mut text);
    text.line("\n### What was asked\n");
    evidence.asked.faults.iter().for_each(|fault| text.item("fault", fault));
    text.item("for", &evidence.asked.duration);
    evidence.asked.stop_conditions.iter().for_each(|alarm| text.item("stops on", alarm));
    evidence.asked.steady_state.iter().for_each(|condition| text.item("steady state", condition));
    text.line("\n### Timeline\n");
    let moment = |at: Time| date_and_time(at).split(' ').nth(1).unwrap_or_default().to_owned();
    text.table(&["UTC", "what"], evidence.moments.iter().map(|each| vec![moment(each.at), each.text.clone()]));
    text.line("\n### Checks\n");
    text.table(
        &["check", "result"],
        evidence.checks.iter().map(|check| {
            let result = match &check.result {
                CheckResult::Passed => "passed".to_owned(),
                CheckResult::Failed(why) => format!("FAILED: {why}"),
                CheckResult::Skipped(why) => format!("not checked: {why}"),
            };
            vec![check.subject.to_string(), result]
        }),
    );
    text.line("\n### Each field\n");
    let rows = report.targets.iter().flat_map(|target| {
        let row = |field: &crate::plan::rendering::FieldRow| {
            [&target.function, &field.field, &field.before, &field.during, &field.after].map(Clone::clone).into()
        };
        target.fields.iter().map(row)
    });
    text.table(&["function", "field", "before", "during", "after"], rows);
    for note in &report.notes {
        text.item("note", note);
    }
    text.finished()
}

fn head(evidence: &Evidence, text: &mut Summary) {
    let (report, times) = (&evidence.report, &evidence.times);
    text.item("run", &report.run_id);
    text.item("on", &count(report.targets.len(), "function"));
    for (label, actor) in [("started by", &report.started_by), ("ended by", &report.ended_by)] {
        actor.iter().for_each(|actor| text.item(label, &actor.to_string()));
    }
    for (label, time) in
        [("detected in", times.detection), ("rolled back in", times.rollback), ("recovered in at most", times.recovery)]
    {
        time.into_iter().for_each(|time| text.item(label, &span(time)));
    }
    if let Some(hits) = &evidence.hits {
        let figures = [hits.invocations, hits.errors, hits.throttles].map(figure);
        let [invocations, errors, throttles] = figures;
        text.item("during the fault", &format!("{invocations} invocations, {errors} failed, {throttles} throttled"));
        for (kind, times) in &hits.injected {
            text.item("injected", &format!("{} x {kind}", figure(*times)));
        }
    }
    text.item("cost", &dollars(evidence.cost_dollars));
}
