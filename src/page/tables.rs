//! The tables of a run's page: the checks, and each field of each target before, during and after.

use maud::{Markup, html};

use crate::model::run::TargetStatus;
use crate::model::time::Time;
use crate::plan::checks::{CheckResult, Subject};
use crate::plan::evidence::{Evidence, is_exact};
use crate::plan::field_row::FieldRow;
use crate::plan::rendering::{TargetReport, has_version};

use super::format::{count, text, time_of_day};

/// With more targets than this, those that are restored exactly are folded away.
const MAX_OPEN_TARGETS: usize = 25;
/// The most checks that are listed: those of restored targets are left out first, because the next table has them.
const MAX_LISTED_RESTORES: usize = 25;

/// Returns the checks that passed or failed.
pub(crate) fn checks(evidence: &Evidence) -> Markup {
    let is_restore = |subject: &Subject| matches!(subject, Subject::Restore(_));
    let restores = evidence.checks.iter().filter(|check| is_restore(&check.subject)).count();
    let is_listed = |subject: &Subject, result: &CheckResult| {
        restores <= MAX_LISTED_RESTORES || !is_restore(subject) || *result != CheckResult::Passed
    };
    let left_out = evidence.checks.iter().filter(|check| !is_listed(&check.subject, &check.result)).count();
    html! {
        div.card.tables.scroll tabindex="0" role="region" aria-label="checks" {
            table {
                thead { tr { th { "check" } th { "result" } } }
                tbody {
                    @for check in evidence.checks.iter().filter(|check| is_listed(&check.subject, &check.result)) {
                        tr { td { (text(&check.subject.to_string())) } (result(&check.result)) }
                    }
                    @if left_out > 0 { tr { td { "restore: " (count(left_out, "further function")) } td.ok { "passed" } } }
                }
            }
        }
    }
}

fn result(result: &CheckResult) -> Markup {
    match result {
        CheckResult::Passed => html! { td.ok { "passed" } },
        CheckResult::Failed(why) => html! { td { span.no { "failed: " } (text(why)) } },
        CheckResult::Skipped(why) => html! { td { span.odd { "not checked: " } (text(why)) } },
    }
}

type Row<'a> = (&'a TargetReport, Option<Time>);

/// Returns the fields of each target. Targets that a user has to look at come first.
pub(crate) fn targets(evidence: &Evidence) -> Markup {
    let rows = evidence.report.targets.iter().zip(evidence.ended_at.iter().copied());
    let (exact, odd): (Vec<Row<'_>>, Vec<Row<'_>>) = rows.partition(|(target, _)| is_exact(target));
    let folded = exact.len() > MAX_OPEN_TARGETS;
    html! {
        div.stack {
            @if odd.is_empty() && exact.is_empty() { p.note.card { "No function was touched." } }
            @if !odd.is_empty() { div.card.tables.scroll tabindex="0" role="region" aria-label="functions that are not exactly as before" { (table(&odd, "Not exactly as before")) } }
            @if !exact.is_empty() && folded {
                details.card.tables { summary { (count(exact.len(), "function")) " restored exactly" } div.scroll tabindex="0" role="region" aria-label="functions" { (table(&exact, "")) } }
            } @else if !exact.is_empty() {
                div.card.tables.scroll tabindex="0" role="region" aria-label="functions" { (table(&exact, if odd.is_empty() { "" } else { "Restored exactly" })) }
            }
        }
    }
}

fn table(rows: &[Row<'_>], caption: &str) -> Markup {
    html! {
        table.fields {
            @if !caption.is_empty() { caption { (caption) } }
            thead { tr { th { "function" } th { "field" } th { "before" } th { "during" } th { "after" } th { "proof" } } }
            tbody { @for row in rows { (target(row)) } }
        }
    }
}

fn target((target, ended_at): &Row<'_>) -> Markup {
    let remarks = remarks(target);
    let span = target.fields.len().max(1) + usize::from(!remarks.is_empty());
    html! {
        @if target.fields.is_empty() {
            tr {
                th scope="rowgroup" rowspan=(span) { (text(&target.function)) }
                td colspan="5" { (target.status.name()) ": nothing was changed" }
            }
        }
        @for (at, field) in target.fields.iter().enumerate() {
            tr {
                @if at == 0 { th scope="rowgroup" rowspan=(span) { (text(&target.function)) } }
                td { (text(&field.field)) }
                td { code { (text(&field.before)) } }
                td.during { code { (text(&field.during_text())) } }
                td { code { (after(target, field)) } }
                (proof(target, &field.field, *ended_at))
            }
        }
        @if !remarks.is_empty() {
            tr { td colspan="5" { @for remark in &remarks { p { span.odd { (remark.0) ": " } (text(&remark.1)) } } } }
        }
    }
}

/// Returns the value after the run. Before the restore, it is not known.
pub(crate) fn after(target: &TargetReport, field: &FieldRow) -> String {
    if target.status.is_final() { text(&field.after) } else { "not known".to_owned() }
}

/// States what proves the value after the run.
fn proof(target: &TargetReport, field: &str, ended_at: Option<Time>) -> Markup {
    let at = ended_at.map_or(String::new(), |at| format!(" at {}", time_of_day(at)));
    let has_drift = target.drift.iter().any(|drift| drift.field == field);
    match target.status {
        TargetStatus::Restored => html! { td { span.ok { "same as before" } ", read back" (at) } },
        TargetStatus::Drifted if has_drift => {
            html! { td { span.odd { "changed outside the run" } ", left alone" (at) } }
        }
        TargetStatus::Drifted => html! { td { span.ok { "same as before" } ", read back" (at) } },
        TargetStatus::Deleted => html! { td { span.odd { "the function was deleted" } (at) } },
        TargetStatus::Untouched => html! { td { span.ok { "never changed" } } },
        _ => html! { td { span.no { "not restored yet" } " (" (target.status.name()) ")" } },
    }
}

/// Returns what a user has to know about a target beyond its fields.
fn remarks(target: &TargetReport) -> Vec<(&'static str, String)> {
    let mut remarks: Vec<(&str, String)> =
        target.drift.iter().map(|drift| ("drift", format!("{}: {}", drift.field, drift.note))).collect();
    remarks.extend(target.removed_faults.iter().map(|fault| {
        ("fault removed", format!("{} was changed outside the run; seen at {}", fault.field, fault.seen_at))
    }));
    if !target.frozen_versions.is_empty() {
        let what = if has_version(&target.frozen_versions) { "versions with the fault in them" } else { "versions" };
        remarks.push((what, target.frozen_versions.join(", ")));
    }
    if let Some(moved) = &target.runtime_version {
        remarks.push(("runtime version", format!("was {}, is {}", moved.before, moved.after)));
    }
    remarks.extend(target.waiting_for.iter().map(|why| ("waits", why.clone())));
    remarks.extend(target.restore_error.iter().map(|why| ("the restore failed", why.clone())));
    remarks
}
