//! The report of a run as Markdown, for a wiki or a comment. It has the page's facts without its charts.

use crate::page::{after, clock, count, dollars, figure, happened, known_figure, restored, span, time_of_day};
use crate::plan::checks::CheckResult;
use crate::plan::evidence::Evidence;
use crate::plan::field_row::FieldRow;

use super::super::summary::{Summary, escape};

/// Renders the report.
pub(in super::super) fn markdown(evidence: &Evidence) -> String {
    let report = &evidence.report;
    let mut text = Summary::new(report.title());
    for sentence in [happened(evidence), restored(evidence)] {
        text.line(&format!("**{}.** {}\n", escape(&sentence.text), escape(&sentence.more)));
    }
    head(evidence, &mut text);
    if let Some(asked) = &evidence.asked {
        text.line("\n### What was asked\n");
        asked.faults.iter().for_each(|fault| text.item("fault", fault));
        text.item("for", &asked.duration);
        asked.stop_conditions.iter().for_each(|alarm| text.item("stops on", alarm));
        asked.steady_state.iter().for_each(|condition| text.item("steady state", condition));
    }
    text.line("\n### Timeline\n");
    text.table(&["UTC", "what"], evidence.moments.iter().map(|each| vec![time_of_day(each.at), each.text.clone()]));
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
    let rows = report.targets.iter().flat_map(|target| {
        let row = |field: &FieldRow| {
            let texts = [&target.function, &field.field, &field.before, &field.during_text().into_owned()];
            [texts.map(Clone::clone).as_slice(), &[after(target, field)]].concat()
        };
        target.fields.iter().map(row)
    });
    if report.targets.iter().any(|target| !target.fields.is_empty()) {
        text.line("\n### Each field\n");
        text.table(&["function", "field", "before", "during", "after"], rows);
    }
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
        let invocations = known_figure(hits.invocations);
        let [errors, throttles] = [hits.errors, hits.throttles].map(figure);
        let (from, until) = (clock(hits.counted.0), clock(hits.counted.1));
        let figures = format!(
            "{invocations} invocations, {errors} failed, {throttles} throttled in the minutes {from} to {until}, which also \
             contain time without the fault"
        );
        text.item("during the fault", &figures);
        for (kind, times) in &hits.injected {
            text.item("injected", &format!("{} x {kind}", figure(*times)));
        }
    }
    text.item("cost", &dollars(evidence.cost_dollars));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::samples::{HOSTILE, hostile, one_target, prevented, thousand_targets};
    use crate::testing::samples::SECRET;

    #[test]
    fn the_facts_of_the_page_are_in_markdown() {
        let text = markdown(&one_target());
        for expected in [
            "## snapback: Checkout stays usable when a third of its calls is slow",
            "**Ended early: alarm checkout-errors went into ALARM.**",
            "**Restored exactly.**",
            "- detected in: 3 min 34 s",
            " throttled in the minutes 00:10 to 00:15, which also contain time without the fault",
            "- injected: 117 x latency",
            "| 00:14:07 | shop-checkout-0000: restored |",
            "| shop-checkout-0000 | timeout | 30 s | 5 s | 30 s |",
        ] {
            assert!(text.contains(expected), "{expected}:\n{text}");
        }
    }

    #[test]
    fn a_prevented_start_leaves_no_gaps_in_markdown() {
        let text = markdown(&prevented());
        assert!(text.starts_with("## snapback: checkout-1\n\n**Ended early: stopped by a user.** "), "{text}");
        assert!(!text.lines().any(|line| line.ends_with(": ")) && !text.contains("What was asked"), "{text}");
        assert!(!text.contains("Each field"), "{text}");
    }

    #[test]
    fn markdown_is_bounded_and_holds_neither_markup_nor_values() {
        let text = markdown(&thousand_targets());
        assert!(text.len() < 65_000 && text.contains("more lines were left out") && !text.contains(SECRET));
        assert!(!markdown(&hostile()).contains(HOSTILE));
        assert!(markdown(&hostile()).contains("| 5 s | not known |"));
    }
}
