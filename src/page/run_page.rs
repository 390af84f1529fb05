//! The report of a run as one HTML file. It loads nothing and runs no script.
//!
//! `maud` escapes every text, so that a name with markup in it stays text.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::model::time::Time;
use crate::plan::evidence::{Asked, Evidence, Moment, MomentKind, Phase, PhaseKind};

use super::charts::charts;
use super::format::{clock, count, date_and_time, dollars, figure, known_figure, known_span, span, text, time_of_day};
use super::tables::{checks, targets};
use super::verdict::{Sentence, happened, restored};

const STYLE: &str = include_str!("style.css");

/// Renders the page.
///
/// # Errors
/// If a chart cannot be drawn.
pub(crate) fn run_page(evidence: &Evidence) -> Result<String, super::DrawingError> {
    let report = &evidence.report;
    let body = html! {
        header {
            p.eyebrow { b { "snapback" } " · run " code { (text(&report.run_id)) } }
            h1 { (text(report.title())) }
            p.by { (started(evidence)) }
        }
        main {
            div.verdict {
                (sentence("What happened", &happened(evidence)))
                (sentence("What was restored", &restored(evidence)))
            }
            (figures(evidence))
            h2 { "Timeline" }
            (timeline(evidence))
            h2 { "Metrics" }
            (charts(evidence)?)
            @if let Some(found) = &evidence.asked {
                h2 { "What was asked" }
                (asked(evidence, found))
            }
            h2 { "Checks" }
            (checks(evidence))
            h2 { "Each field before, during and after" }
            (targets(evidence))
            @if !report.notes.is_empty() {
                h2 { "Notes of the plan" }
                ul.list.card { @for note in &report.notes { li { (text(note)) } } }
            }
        }
        footer { (ending(evidence)) }
    };
    Ok(document(report.title(), body).into_string())
}

/// Wraps the body of a page. The policy lets a browser load nothing, also if something got past the escaping.
pub(crate) fn document(title: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (text(title)) " · snapback" }
                style { (PreEscaped(STYLE)) }
            }
            body { (body) }
        }
    }
}

fn started(evidence: &Evidence) -> String {
    let report = &evidence.report;
    let at = date_and_time(evidence.times.created_at);
    match &report.started_by {
        Some(actor) => format!("Started by {} at {at}", text(&actor.to_string())),
        None => format!("Started at {at}"),
    }
}

fn sentence(label: &str, sentence: &Sentence) -> Markup {
    html! {
        div class=(sentence.tone.class()) {
            p.label { (label) }
            p.say { (text(&sentence.text)) }
            @if !sentence.more.is_empty() { p.more { (text(&sentence.more)) } }
        }
    }
}

fn figures(evidence: &Evidence) -> Markup {
    let times = &evidence.times;
    let detected = if times.detection.is_some() { "from fault in place to rollback" } else { "no alarm ended the run" };
    let recovered = if times.recovery.is_some() { "at most, until the steady state held" } else { "not checked" };
    html! {
        dl.figures.card {
            div { dt { "Detected in" } dd { (known_span(times.detection)) small { (detected) } } }
            div { dt { "Rolled back in" } dd { (known_span(times.rollback)) small { "until the last function was restored" } } }
            div { dt { "Recovered in" } dd { (known_span(times.recovery)) small { (recovered) } } }
            (hits(evidence))
            div { dt { "Cost" } dd { (dollars(evidence.cost_dollars)) small { "estimate from list prices" } } }
        }
    }
}

/// Shows how many invocations met the fault, in the figure that says most about it.
fn hits(evidence: &Evidence) -> Markup {
    let injected = evidence.report.injected.as_deref();
    let (value, about) = match &evidence.hits {
        Some(hits) if !hits.injected.is_empty() => {
            let total: f64 = hits.injected.iter().map(|(_, count)| count).sum();
            let invocations = known_figure(hits.invocations);
            (figure(total), format!("faults injected; {invocations} invocations {}", minutes(hits.counted)))
        }
        Some(hits) => (
            known_figure(hits.invocations.map(|count| count + hits.throttles)),
            format!("{} throttled, {} failed, {}", figure(hits.throttles), figure(hits.errors), minutes(hits.counted)),
        ),
        None => ("–".to_owned(), injected.unwrap_or("no metrics were read").to_owned()),
    };
    html! { div { dt { "Requests during the fault" } dd { (value) small { (text(&about)) } } } }
}

/// Names the whole minutes that a tile counts: they are longer than the fault.
fn minutes((from, until): (Time, Time)) -> String {
    format!("from {} to {}, partly without the fault", clock(from), clock(until))
}

fn timeline(evidence: &Evidence) -> Markup {
    html! {
        div.card.timeline {
            @if !evidence.phases.is_empty() {
                div.phases aria-hidden="true" {
                    @for phase in &evidence.phases {
                        span class=(class(phase.kind)) style=(format!("flex-grow:{}", length(phase))) {}
                    }
                }
                ul.key {
                    @for phase in &evidence.phases {
                        li { i class=(class(phase.kind)) {} (phase.kind.name()) " " b { (span(phase.from.until(phase.until))) } }
                    }
                }
            }
            ol.moments { @for moment in &evidence.moments { (one_moment(moment, evidence)) } }
        }
    }
}

fn class(kind: PhaseKind) -> &'static str {
    match kind {
        PhaseKind::Start => "start",
        PhaseKind::Fault => "fault",
        PhaseKind::Restore => "restore",
        PhaseKind::Check => "check",
    }
}

fn length(phase: &Phase) -> u128 {
    phase.from.until(phase.until).as_millis().max(1)
}

fn one_moment(moment: &Moment, evidence: &Evidence) -> Markup {
    let class = match moment.kind {
        MomentKind::Step => "is-step",
        MomentKind::Fault => "is-fault",
        MomentKind::Warning => "is-warning",
        MomentKind::Restored => "is-restored",
    };
    html! {
        li class=(class) {
            time datetime=(moment.at) { (time_of_day(moment.at)) }
            span.after { "+" (span(evidence.times.created_at.until(moment.at))) }
            span.text { (text(&moment.text)) }
        }
    }
}

fn asked(evidence: &Evidence, asked: &Asked) -> Markup {
    let conditions = &asked.steady_state;
    html! {
        dl.asked.card {
            dt { "Faults" }
            dd { ul { @for fault in &asked.faults { li { (text(fault)) } } } }
            dt { "On" }
            dd {
                (count(evidence.report.targets.len(), "function"))
                @if let Some(seed) = evidence.report.seed { ", drawn with seed " (seed) }
            }
            dt { "For" }
            dd { (asked.duration) }
            dt { "Stops on" }
            dd {
                @if asked.stop_conditions.is_empty() { "no alarm" }
                @for (at, alarm) in asked.stop_conditions.iter().enumerate() { @if at > 0 { ", " } "alarm " code { (text(alarm)) } }
            }
            dt { "Steady state" }
            dd {
                @if conditions.is_empty() { "none" }
                @else { ul { @for condition in conditions { li { (text(condition)) } } } }
            }
        }
    }
}

fn ending(evidence: &Evidence) -> Markup {
    html! {
        p {
            "Times are in UTC. "
            @if let Some(metrics) = evidence.metrics.as_ref().filter(|metrics| metrics.missing.is_none()) {
                "Metrics were read from CloudWatch at " (date_and_time(metrics.read_at)) ". "
            }
            "This file loads nothing and contains no value of an environment variable. Written by snapback " (env!("CARGO_PKG_VERSION")) "."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{HOSTILE, hostile, keep, no_data, one_target, prevented, thousand_targets};
    use super::*;
    use crate::testing::samples::SECRET;

    fn drawn(name: &str, evidence: &Evidence) -> String {
        let page = run_page(evidence).unwrap_or_else(|error| unreachable!("{error}"));
        keep(name, &page);
        page
    }

    #[test]
    fn a_page_says_first_what_happened_and_what_was_restored() {
        let page = drawn("one-target.html", &one_target());
        let found = |text: &str| page.find(text).unwrap_or_else(|| unreachable!("{text} is missing"));
        let order = [
            "Checkout stays usable",
            "assumed-role/Developer/ana",
            "Ended early: alarm checkout-errors went into ALARM",
            "Restored exactly",
            "As before: 1 of 1 function; each changed field was read back",
            "Detected in",
            "<dd>3 min 34 s",
            "Rolled back in",
            "<dd>6.3 s",
            "Timeline",
            "aria-label=\"Invocations Sum: at most ",
            "latency +3000 ms on 30 % of invocations",
            "same as before",
        ];
        let places: Vec<usize> = order.iter().map(|text| found(text)).collect();
        assert!(places.is_sorted(), "{places:?}");
        assert_eq!(page.matches("<svg ").count(), 6, "Throttles have no values, and three durations share a chart");
        assert!(page.contains("CloudWatch has no values of Throttles"));
    }

    #[test]
    fn a_page_loads_nothing_and_shows_no_value_of_a_variable() {
        for evidence in [one_target(), thousand_targets(), no_data(), hostile()] {
            let page = run_page(&evidence).unwrap_or_default();
            assert!(!page.contains(SECRET));
            // The only address is the name space of SVG, which no browser loads.
            let outside = page.replace("http://www.w3.org/2000/svg", "");
            assert!(
                !["http:", "https:", "url(", "@import", "<script", "<link"].iter().any(|word| outside.contains(word))
            );
        }
    }

    #[test]
    fn markup_in_names_alarms_and_errors_stays_text() {
        let page = drawn("hostile.html", &hostile());
        assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
        assert!(page.matches("&lt;script&gt;").count() >= 8, "{}", page.matches("&lt;script&gt;").count());
        assert!(page.contains("NOT restored yet") && !page.contains(HOSTILE));
    }

    #[test]
    fn a_thousand_targets_fit_and_exceptions_come_first() {
        let page = drawn("thousand-targets.html", &thousand_targets());
        assert!(page.len() < 1_500_000, "{}", page.len());
        let place = |text: &str| page.find(text).unwrap_or_else(|| unreachable!("{text} is missing"));
        assert!(place("was 30 s, injected 5 s, now 20 s") < place("997 functions restored exactly"));
        assert!(page.contains("As before: 997 of 1,000 functions") && page.contains("of the first 100 functions"));
    }

    #[test]
    fn the_tile_of_requests_names_the_minutes_that_it_counts() {
        let mut evidence = one_target();
        let page = run_page(&evidence).unwrap_or_default();
        assert!(page.contains(" invocations from 00:10 to 00:15, partly without the fault"), "{page}");
        if let Some(hits) = &mut evidence.hits {
            hits.invocations = None;
        }
        assert!(run_page(&evidence).unwrap_or_default().contains("; – invocations from 00:10"));
    }

    #[test]
    fn a_prevented_start_leaves_no_gaps_on_its_page() {
        let page = drawn("prevented.html", &prevented());
        assert!(page.contains("Ended early: stopped by a user") && page.contains("<h1>checkout-1</h1>"), "{page}");
        assert!(page.contains("the run was closed as stopped") && !page.contains("What was asked"), "{page}");
    }

    #[test]
    fn a_run_without_data_says_what_is_missing() {
        let page = drawn("no-data.html", &no_data());
        assert!(page.contains("CloudWatch has no values of Invocations, Errors"), "{page}");
        assert!(!page.contains("<svg "));
    }
}
