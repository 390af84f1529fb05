//! A plan as text: what will happen to which functions, what would end it, and each field that changes.

use crate::model::refusal::{Guardrail, Refusal};
use crate::model::time::span_text;
use crate::plan::field_row::FieldRow;
use crate::plan::preview::{ConditionNow, PlanView};

use super::pen::{Pen, Tone};
use super::table::{Grid, facts};
use super::words::{grouped, joined, named, plural, targets};

/// The groups of targets with different changes that are shown; JSON output has all.
const MAX_GROUPS: usize = 10;

/// Renders a plan.
pub(super) fn plan_text(view: &PlanView, pen: Pen) -> String {
    let mut text = format!("{}\n", view.experiment);
    text.push_str(&facts(&summary(view), pen, 2));
    text.push_str(&changes(view, pen));
    let functions: Vec<&str> = view.targets.iter().map(|target| target.function.as_str()).collect();
    let warnings = joined(&view.warnings, &functions);
    if !warnings.is_empty() {
        text.push('\n');
    }
    for warning in warnings {
        text.push_str(&format!("{} {warning}\n", pen.paint(Tone::Warning, "note")));
    }
    text.push('\n');
    text + &refusals(&view.refusals, &functions, pen)
}

/// What will happen, to which functions, and what would end it: labels with texts.
pub(super) fn summary(view: &PlanView) -> Vec<(&'static str, String)> {
    let mut facts: Vec<(&str, String)> = Vec::new();
    let mut add = |label: &'static str, lines: Vec<String>| {
        for (at, line) in lines.into_iter().enumerate() {
            facts.push((if at == 0 { label } else { "" }, line));
        }
    };
    add("faults", view.faults.clone());
    let names: Vec<&str> = view.targets.iter().map(|target| target.function.as_str()).collect();
    let on = match (view.target_count, names.is_empty()) {
        (count, true) => targets(count),
        (count, false) => format!("{}: {}", targets(count), named(&names)),
    };
    add("on", [vec![on], draws(view)].concat());
    add("ends", vec![ends(view)]);
    let now = |condition: &ConditionNow| {
        let state = if condition.holds { "" } else { ", which deviates" };
        format!("{}; now {}{state}", condition.condition, condition.now)
    };
    add("steady", view.steady_state_now.iter().map(now).collect());
    facts
}

fn draws(view: &PlanView) -> Vec<String> {
    let seed = match view.seed {
        Some(seed) if view.seed_is_drawn => {
            format!(", drawn with seed {seed}; a run draws again; use --seed {seed} for these targets")
        }
        Some(seed) => format!(", drawn with seed {seed}"),
        None => String::new(),
    };
    let draw = |draw: &crate::model::facts::Draw| match draw.drawn == draw.matching {
        true => format!("all {} functions with {}", draw.matching, draw.tags),
        false => format!("{} of {} functions with {}{seed}", draw.drawn, draw.matching, draw.tags),
    };
    view.draws.iter().filter(|draw| draw.matching > 0).map(draw).collect()
}

fn ends(view: &PlanView) -> String {
    let mut early: Vec<String> = view
        .stop_conditions_now
        .iter()
        .map(|alarm| format!("the alarm {} goes into ALARM (now {})", alarm.condition, alarm.now))
        .collect();
    if !view.steady_state.is_empty() {
        early.push("the steady state deviates".to_owned());
    }
    early.push("a user rolls it back".to_owned());
    format!(
        "after {}; earlier if {}, or if the safety lever is engaged",
        span_text(view.duration_seconds.into()),
        early.join(", if ")
    )
}

/// One table for all targets with the same changes. A target that another run has locked has none: a note has the reason.
fn changes(view: &PlanView, pen: Pen) -> String {
    let locked: Vec<&str> =
        view.refusals.iter().filter(|no| no.guardrail == Guardrail::Unlocked).map(|no| no.subject.as_str()).collect();
    let planned = view.targets.iter().filter(|target| !locked.contains(&target.function.as_str()));
    let mut groups = grouped(planned, |target| target.fields.clone());
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.len()));
    let mut text = String::new();
    for (fields, group) in groups.iter().take(MAX_GROUPS) {
        let names: Vec<&str> = group.iter().map(|target| target.function.as_str()).collect();
        text.push_str(&format!("\n{}\n{}", named(&names), rows(fields, pen)));
    }
    let left_out: usize = groups.iter().skip(MAX_GROUPS).map(|(_, group)| group.len()).sum();
    if left_out > 0 {
        text.push_str(&format!("\nand {} with other values; --json lists them\n", self::targets(left_out)));
    }
    text
}

fn rows(fields: &[FieldRow], pen: Pen) -> String {
    if fields.is_empty() {
        return "  nothing would change\n".to_owned();
    }
    let mut grid = Grid::new(&["field", "before", "during", "after"]);
    for row in fields {
        grid.row(None, vec![row.field.clone(), row.before.clone(), row.during_text().into_owned(), row.after.clone()]);
    }
    grid.draw(pen, 2)
}

fn refusals(refusals: &[Refusal], functions: &[&str], pen: Pen) -> String {
    if refusals.is_empty() {
        return format!("{}\n", pen.paint(Tone::Good, "ready to run; nothing was changed"));
    }
    let texts: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    let reasons = joined(&texts, functions);
    let count = reasons.len();
    let head = format!("refused, for {count} reason{}; nothing was changed", plural(count));
    let lines: String = reasons.iter().map(|reason| format!("  {reason}\n")).collect();
    format!("{}\n{lines}", pen.paint(Tone::Bad, &head))
}
