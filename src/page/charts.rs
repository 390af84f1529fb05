//! The charts of a run's page: one for each metric, all over the same time.

use maud::{Markup, PreEscaped, html};

use crate::model::kept_metrics::{KeptMetrics, Series};
use crate::model::time::Time;
use crate::plan::evidence::Evidence;

use super::DrawingError;
use super::chart::{Marks, color_number, draw};
use super::format::{count, figure, span, text};

/// Returns the charts, or a sentence about why there are none.
///
/// # Errors
/// If one cannot be drawn.
pub(crate) fn charts(evidence: &Evidence) -> Result<Markup, DrawingError> {
    let Some(metrics) = &evidence.metrics else { return Ok(note("The run has no metrics.")) };
    if let Some(missing) = &metrics.missing {
        return Ok(note(&format!("The metrics could not be read: {missing}.")));
    }
    let groups = groups(&metrics.series);
    let (shown, empty): (Vec<_>, Vec<_>) = groups.into_iter().partition(|group| has_points(group));
    let marks = marks(evidence, metrics);
    let figures: Vec<Markup> =
        shown.iter().map(|group| one(group, &marks, metrics)).collect::<Result<_, DrawingError>>()?;
    let names: Vec<String> = empty.iter().map(|group| title(group)).collect();
    Ok(html! {
        div.stack {
            @if !figures.is_empty() {
                ul.key {
                    li { i.fault {} "fault in place" }
                    @if marks.alarm.is_some() { li { i style="background:var(--alarm)" {} "what ended the run" } }
                    li { i.restore {} "everything restored" }
                    @if metrics.functions < evidence.report.targets.len() {
                        li { "of the first " (count(metrics.functions, "function")) }
                    }
                }
                div.charts { @for figure in &figures { (figure) } }
            }
            @if !names.is_empty() { (note(&format!("CloudWatch has no values of {} for this time.", names.join(", ")))) }
        }
    })
}

fn note(sentence: &str) -> Markup {
    html! { p.note.card { (text(sentence)) } }
}

fn has_points(group: &[&Series]) -> bool {
    group.iter().any(|series| !series.points.is_empty())
}

/// Groups the series that one chart shows: those of a metric, and each condition of the steady state alone.
fn groups(series: &[Series]) -> Vec<Vec<&Series>> {
    let mut groups: Vec<Vec<&Series>> = Vec::new();
    for series in series {
        match groups.last_mut() {
            Some(group) if joins(group, series) => group.push(series),
            _ => groups.push(vec![series]),
        }
    }
    groups
}

fn joins(group: &[&Series], series: &Series) -> bool {
    group.iter().all(|other| other.metric == series.metric && !other.is_condition()) && !series.is_condition()
}

fn marks(evidence: &Evidence, metrics: &KeptMetrics) -> Marks {
    let times = &evidence.times;
    Marks {
        span: (metrics.from, metrics.until.max(Time(metrics.from.0 + 60_000))),
        fault: times.fault(),
        alarm: times.stopping_at.filter(|_| times.detection.is_some()),
        restored: times.restored_at,
    }
}

fn one(group: &[&Series], marks: &Marks, metrics: &KeptMetrics) -> Result<Markup, DrawingError> {
    let svg = draw(group, marks)?;
    let series = group.first();
    let unit = series.map_or(String::new(), |series| about(series, metrics));
    Ok(html! {
        figure.card {
            figcaption {
                b { (title(group)) }
                @if group.len() > 1 {
                    span.legend { @for (at, series) in group.iter().enumerate() {
                        i class=(format!("c{}", color_number(at))) {} (label(series))
                    } }
                } @else { span { (unit) } }
            }
            (described(&svg, &description(group)))
        }
    })
}

/// Gives a drawing a description. The library's element has none, so the page opens the element itself.
pub(crate) fn described(svg: &str, description: &str) -> Markup {
    let rest = svg.strip_prefix("<svg ").unwrap_or(svg);
    html! { (PreEscaped("<svg role=\"img\" aria-label=\"")) (description) (PreEscaped("\" ")) (PreEscaped(rest)) }
}

fn title(group: &[&Series]) -> String {
    match group.first() {
        Some(series) if series.is_condition() => {
            format!("Steady state: {}", text(series.of.as_deref().unwrap_or(&series.metric)))
        }
        Some(series) if series.metric == "Duration" => "Duration in ms".to_owned(),
        Some(series) if group.len() == 1 && series.of.is_some() => {
            format!("{} · {}", text(&series.metric), label(series))
        }
        Some(series) => text(&series.metric),
        None => String::new(),
    }
}

fn label(series: &Series) -> String {
    text(series.of.as_deref().unwrap_or(&series.statistic))
}

fn about(series: &Series, metrics: &KeptMetrics) -> String {
    let period = span(std::time::Duration::from_secs(u64::from(series.period_seconds)));
    let period = if series.period_seconds == 60 { "minute".to_owned() } else { period };
    let join = match (series.statistic.as_str(), metrics.functions) {
        ("Sum", _) => String::new(),
        (statistic, 0 | 1) => format!("{statistic} "),
        _ if series.is_condition() => format!("{} ", series.statistic),
        _ => "highest of any function ".to_owned(),
    };
    format!("{join}per {period}")
}

/// Describes a chart for those who cannot see it.
fn description(group: &[&Series]) -> String {
    let one = |series: &&Series| {
        let highest = series.points.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        let last = series.points.last().map_or(0.0, |(_, value)| *value);
        format!("{} {}: at most {}, at the end {}", series.metric, label(series), figure(highest), figure(last))
    };
    group.iter().map(one).collect::<Vec<_>>().join("; ")
}
