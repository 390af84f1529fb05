//! The summary of a plan or a run in Markdown, for a job's page or a comment on a pull request.
//!
//! Names and reasons come from AWS and from files. They are escaped, so that none of them can form Markdown or HTML. GitHub itself still
//! makes links of addresses.

use crate::model::text::escape_controls;
use crate::plan::checks::{Check, CheckResult, Subject};
use crate::plan::field_row::FieldRow;
use crate::plan::outcome_text::{outcome_text, status_text};
use crate::plan::preview::PlanView;

use super::Failure;
use super::finished::Finished;
use super::identity::Identity;
use super::plan_text::summary;
use super::words::joined;

/// The most bytes of a summary: a comment on GitHub has at most 65,536 characters, which is less than a job's page may have
/// (docs.github.com/en/rest/issues/comments; inferred: the page gives no figure, the service's error message does).
const MAX_BYTES: usize = 60_000;

/// Renders what came out of a run.
pub(super) fn run_summary(experiment: &str, outcome: Result<&Finished, &Failure>) -> String {
    let mut text = Summary::new(experiment);
    match outcome {
        Ok(finished) => {
            let view = &finished.view;
            text.line(&format!("**{}**", escape(&outcome_text(view))));
            text.item("run", &format!("{}: {}", view.run_id, status_text(view.status, view.reason.as_deref())));
            text.item("from", &format!("{} to {}", view.created_at, view.closed_at.as_deref().unwrap_or("now")));
            for (label, actor) in [("started by", &view.started_by), ("ended by", &view.ended_by)] {
                if let Some(actor) = actor {
                    text.item(label, &actor.to_string());
                }
            }
            for effect in [&view.injected, &view.effect].into_iter().flatten() {
                text.item("effect", effect);
            }
            text.line("");
            text.table(&["check", "result"], finished.checks().iter().map(row));
        }
        Err(failure) => {
            text.line(&format!("**{}**", escape(&failure.error)));
            text.line("");
            for line in failure.cause.lines() {
                text.line(&format!("- {}", escape(line.trim())));
            }
        }
    }
    text.finished()
}

/// Renders a plan.
pub(super) fn plan_summary(view: &PlanView, identity: &Identity) -> String {
    let mut text = Summary::new(&view.experiment);
    let verdict = match view.refusals.len() {
        0 => "ready to run; nothing was changed".to_owned(),
        1 => "refused, for 1 reason; nothing was changed".to_owned(),
        count => format!("refused, for {count} reasons; nothing was changed"),
    };
    text.line(&format!("**{verdict}**"));
    text.line("");
    text.item("where", &identity.to_string());
    let mut label = "";
    for (next, line) in summary(view) {
        label = if next.is_empty() { label } else { next };
        text.item(label, &line);
    }
    let functions: Vec<&str> = view.targets.iter().map(|target| target.function.as_str()).collect();
    let refusals: Vec<String> = view.refusals.iter().map(ToString::to_string).collect();
    for (label, texts) in [("refused", &refusals), ("note", &view.warnings)] {
        joined(texts, &functions).iter().for_each(|line| text.item(label, line));
    }
    text.line("");
    let rows =
        view.targets.iter().flat_map(|target| target.fields.iter().map(|field| of_field(&target.function, field)));
    text.table(&["function", "field", "before", "during", "after"], rows);
    text.finished()
}

fn row(check: &Check) -> Vec<String> {
    let result = match &check.result {
        CheckResult::Passed if matches!(check.subject, Subject::Restore(_)) => "restored exactly".to_owned(),
        CheckResult::Passed => "passed".to_owned(),
        CheckResult::Failed(why) => format!("FAILED: {why}"),
        CheckResult::Skipped(why) => format!("not checked: {why}"),
    };
    vec![check.subject.to_string(), result]
}

fn of_field(function: &str, row: &FieldRow) -> Vec<String> {
    [function, &row.field, &row.before, &row.during_text(), &row.after].map(str::to_owned).into()
}

/// A Markdown text that is being written.
pub(super) struct Summary {
    text: String,
    /// The table rows that were left out, because the text would be too long.
    left_out: usize,
}

impl Summary {
    pub(super) fn new(experiment: &str) -> Self {
        Self { text: format!("## snapback: {}\n\n", escape(experiment)), left_out: 0 }
    }

    /// Adds a line that is Markdown already.
    pub(super) fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    pub(super) fn item(&mut self, label: &str, value: &str) {
        if self.text.len() < MAX_BYTES / 2 {
            self.line(&format!("- {label}: {}", escape(value)));
        } else {
            self.left_out += 1;
        }
    }

    pub(super) fn table(&mut self, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
        self.line(&format!("| {} |", head.join(" | ")));
        self.line(&format!("|{}", "---|".repeat(head.len())));
        for row in rows {
            let cells: Vec<String> = row.iter().map(|cell| escape(cell)).collect();
            let line = format!("| {} |", cells.join(" | "));
            if self.text.len() + line.len() < MAX_BYTES {
                self.line(&line);
            } else {
                self.left_out += 1;
            }
        }
    }

    pub(super) fn finished(mut self) -> String {
        if self.left_out > 0 {
            self.line(&format!("\n{} more lines were left out.", self.left_out));
        }
        self.line("");
        self.text
    }
}

/// Escapes a text from outside for one line of Markdown. Each ASCII punctuation character may follow a backslash
/// (spec.commonmark.org, section 2.4); an entity also stops GitHub from reading an `@` as a mention.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in escape_controls(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '@' => escaped.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '#' | '|' | '~' | '!' | '$' => {
                escaped.push('\\');
                escaped.push(c);
            }
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::preview::{ConditionNow, TargetPlan};

    #[test]
    fn a_text_from_outside_cannot_become_markdown() {
        let text = "[x](http://y) <b> @team `a` | **b** _c_ # 1 \\ &amp; ![i](j)\u{202e}\nz";
        let expected = "\\[x\\](http://y) &lt;b&gt; &#64;team \\`a\\` \\| \\*\\*b\\*\\* \\_c\\_ \\# 1 \\\\ &amp;amp; \
                        \\!\\[i\\](j)\\\\u\\{202e\\}\\\\nz";
        assert_eq!(escape(text), expected);
    }

    fn plan(targets: usize) -> PlanView {
        let row = || ["timeout", "3 s", "1 s", "3 s"].map(str::to_owned);
        let target = |number: usize| {
            let [field, before, during, after] = row();
            let fields = vec![FieldRow { field, before, during, after, values: None }];
            TargetPlan { function: format!("function_{number}"), arn: String::new(), fields }
        };
        PlanView {
            experiment: "a | b".into(),
            faults: vec!["timeout".into()],
            duration: "PT5M".into(),
            duration_seconds: 300,
            stop_conditions: vec!["errors".into()],
            stop_conditions_now: vec![ConditionNow {
                condition: "errors".into(),
                now: "not in ALARM".into(),
                value: None,
                in_alarm: Some(false),
                holds: true,
            }],
            steady_state: Vec::new(),
            steady_state_now: Vec::new(),
            seed: None,
            seed_is_drawn: false,
            draws: Vec::new(),
            target_count: targets,
            targets: (0..targets).map(target).collect(),
            warnings: vec!["one".into()],
            refusals: Vec::new(),
        }
    }

    #[test]
    fn a_plan_is_a_table_of_fields() {
        let text = plan_summary(&plan(1), &Identity::sample());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "## snapback: a \\| b",
                "",
                "**ready to run; nothing was changed**",
                "",
                "- where: account 123456789012, Region eu-west-1, caller arn:aws:iam::123456789012:user/anna",
                "- faults: timeout",
                "- on: 1 target: function\\_0",
                "- ends: after 5 min; earlier if the alarm errors goes into ALARM (now not in ALARM), if a user rolls it back, or \
                 if the safety lever is engaged",
                "- note: one",
                "",
                "| function | field | before | during | after |",
                "|---|---|---|---|---|",
                "| function\\_0 | timeout | 3 s | 1 s | 3 s |",
                "",
            ]
        );
    }

    #[test]
    fn a_summary_of_a_thousand_targets_fits_into_a_comment() {
        let text = plan_summary(&plan(2_000), &Identity::sample());
        assert!(text.len() < 65_000, "{}", text.len());
        let listed = text.lines().filter(|line| line.starts_with("| function\\_")).count();
        assert!(text.contains(&format!("{} more lines were left out.", 2_000 - listed)), "{listed}");
    }

    #[test]
    fn a_refused_run_lists_its_reasons() {
        let failure = Failure::new("Refused", "refused, and nothing was changed:\n  checkout: locked\n  payment: *");
        let text = run_summary("a", Err(&failure));
        assert!(
            text.contains("**Refused**\n\n- refused, and nothing was changed:\n- checkout: locked\n- payment: \\*\n"),
            "{text}"
        );
    }
}
