//! The commands `history` and `compare`: how long runs took to detect, to roll back and to recover, side by side.

use std::time::Duration;

use maud::{Markup, html};
use serde::Serialize;

use crate::model::kept_metrics::Series;
use crate::model::names::{ExperimentName, RunId};
use crate::model::run::Run;
use crate::model::text::capitalized;
use crate::page::{DrawingError, Marks, count, date_and_time, described, document, draw, known_span, text};
use crate::plan::conclusion::Conclusion;
use crate::plan::evidence::RunTimes;
use crate::plan::rendering::{Outcome, report_view};
use crate::ports::{Ledger, World};
use crate::steps::error::StepError;
use crate::steps::retry::retry;
use crate::steps::run_targets::run_targets;

use super::super::arguments::{Arguments, HistoryOptions};
use super::super::artifacts::Artifact;
use super::super::exit::Exit;
use super::super::output::Output;
use super::super::pen::{Pen, Tone};
use super::super::records::Records;
use super::super::report_text::outcome_tone;
use super::super::table::Grid;
use super::super::{Failure, stack};
use super::{undrawn, write};

/// One run among others, as `history` and `compare` print it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Row {
    run_id: String,
    /// The experiment's name.
    experiment: String,
    /// RFC 3339.
    started_at: String,
    outcome: Outcome,
    /// How many targets it has.
    targets: usize,
    /// From the faults being in place until an alarm or a deviation ended the run; null if neither did.
    detection_milliseconds: Option<u64>,
    /// From the beginning of the rollback until the last target was restored; null before that.
    rollback_milliseconds: Option<u64>,
    /// From the restore until the run was closed with a steady state that held; null if it did not, or none was given.
    recovery_milliseconds: Option<u64>,
    #[serde(skip)]
    times: RunTimes,
    #[serde(skip)]
    conclusion: Conclusion,
}

impl Row {
    fn spans(&self) -> [Option<Duration>; 3] {
        [self.times.detection, self.times.rollback, self.times.recovery]
    }
}

const HEAD: [&str; 3] = ["detected in", "rolled back in", "recovered in"];

/// Shows the runs of an experiment, the newest first.
pub(in super::super) async fn history(
    arguments: &Arguments,
    experiment: &ExperimentName,
    options: &HistoryOptions,
    output: &Output,
) -> Result<Exit, Failure> {
    let world = stack::ledger(arguments).await?;
    let named = |run: &Run| run.experiment.as_ref().is_some_and(|own| own.name.as_str() == experiment.as_str());
    let runs: Vec<Run> = retry(&world, || world.all_runs()).await?.into_iter().filter(named).collect();
    if runs.is_empty() {
        let cause = format!("the ledger has no run of an experiment `{experiment}`; see snapback status");
        return Err(Failure { exit: Exit::Invalid, ..Failure::new("NoRuns", cause) });
    }
    show(experiment.as_str(), &rows(&world, &runs).await?, options, output)
}

/// Shows some runs, in the order in which they are named.
pub(in super::super) async fn compare(
    arguments: &Arguments,
    ids: &[RunId],
    options: &HistoryOptions,
    output: &Output,
) -> Result<Exit, Failure> {
    let records = Records::open(arguments).await?;
    let world = &records.world;
    let mut runs = Vec::new();
    for id in ids {
        match retry(world, || world.run(id)).await? {
            Some(run) => runs.push(run),
            None => return Err(records.explained(id, StepError::NoSuchRun(id.clone()).into()).await),
        }
    }
    show(&count(runs.len(), "run"), &rows(world, &runs).await?, options, output)
}

async fn rows(world: &impl World, runs: &[Run]) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for run in runs {
        let targets = run_targets(world, run).await?;
        let (view, times) = (report_view(run, &targets), RunTimes::of(run, &targets));
        let milliseconds = |span: Option<Duration>| span.and_then(|span| u64::try_from(span.as_millis()).ok());
        rows.push(Row {
            conclusion: Conclusion::of(&view),
            run_id: view.run_id,
            experiment: view.experiment,
            started_at: view.created_at,
            outcome: view.outcome,
            targets: targets.len(),
            detection_milliseconds: milliseconds(times.detection),
            rollback_milliseconds: milliseconds(times.rollback),
            recovery_milliseconds: milliseconds(times.recovery),
            times,
        });
    }
    Ok(rows)
}

fn show(title: &str, rows: &[Row], options: &HistoryOptions, output: &Output) -> Result<Exit, Failure> {
    if let [Some(file)] = Artifact::open_all([options.html.as_deref()])? {
        write(file, &page(title, rows).map_err(|error| undrawn(&error))?, output);
    }
    if output.as_json {
        output.json(&rows);
    } else {
        output.print_text(&table(rows, output.pen));
    }
    Ok(Exit::Success)
}

fn table(rows: &[Row], pen: Pen) -> String {
    let mut grid = Grid::new(&["run", "started", HEAD[0], HEAD[1], HEAD[2], "outcome"]);
    for row in rows {
        let [detection, rollback, recovery] = row.spans().map(known_span);
        let cells = vec![
            row.run_id.clone(),
            row.started_at.clone(),
            detection,
            rollback,
            recovery,
            row.conclusion.phrase().to_owned(),
        ];
        let tone = Some(outcome_tone(row.outcome)).filter(|tone| *tone != Tone::Good);
        grid.row(tone, cells);
    }
    grid.draw(pen, 0)
}

fn page(title: &str, rows: &[Row]) -> Result<String, DrawingError> {
    let charts = (0..HEAD.len()).map(|at| chart(rows, at)).collect::<Result<Vec<Markup>, _>>()?;
    let body = html! {
        header {
            p.eyebrow { b { "snapback" } " · history" }
            h1 { (text(title)) }
            p.by { (count(rows.len(), "run")) }
        }
        main {
            h2 { "Over the runs" }
            div.charts { @for chart in &charts { (chart) } }
            h2 { "Each run" }
            div.card.tables.scroll tabindex="0" role="region" aria-label="runs" {
                table {
                    thead { tr {
                        th { "run" } th { "started" } @for head in HEAD { th.number { (head) } } th.number { "functions" } th { "outcome" }
                    } }
                    tbody { @for row in rows {
                        tr {
                            td { code { (text(&row.run_id)) } }
                            td { (date_and_time(row.times.created_at)) }
                            @for time in row.spans() { td.number { (known_span(time)) } }
                            td.number { (row.targets) }
                            td { (row.conclusion.phrase()) }
                        }
                    } }
                }
            }
        }
        footer { p { "Times are in UTC. Written by snapback " (env!("CARGO_PKG_VERSION")) "." } }
    };
    Ok(document(title, body).into_string())
}

/// Draws one of the times over the starts of the runs, in seconds.
fn chart(rows: &[Row], at: usize) -> Result<Markup, DrawingError> {
    let time = |row: &Row| row.spans().get(at).copied().flatten();
    let mut points: Vec<(i64, f64)> =
        rows.iter().filter_map(|row| Some((row.times.created_at.epoch_seconds(), time(row)?.as_secs_f64()))).collect();
    points.sort_by_key(|(at, _)| *at);
    let title = HEAD.get(at).copied().unwrap_or_default();
    if points.is_empty() {
        return Ok(html! { p.note.card { "No run has a time for: " (title) "." } });
    }
    let starts = || rows.iter().map(|row| row.times.created_at);
    let (first, last) = (starts().min().unwrap_or_default(), starts().max().unwrap_or_default());
    let margin = (first.until(last) / 20).max(Duration::from_secs(60));
    let marks = Marks { span: (first - margin, last + margin), ..Marks::default() };
    let series = Series { statistic: "Maximum".to_owned(), points, ..Series::default() };
    let svg = draw(&[&series], &marks)?;
    Ok(html! {
        figure.card {
            figcaption { b { (capitalized(title)) } span { "seconds" } }
            (described(&svg, &format!("{title}, in seconds, for each run")))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::layouts::in_every_size;
    use super::*;
    use crate::model::time::Time;
    use crate::page::samples::{HOSTILE, keep};

    fn row(number: i64, detection: Option<u64>) -> Row {
        let created_at = Time(1_780_272_000_000 + number * 86_400_000);
        let times = RunTimes {
            created_at,
            detection: detection.map(Duration::from_secs),
            rollback: Some(Duration::from_millis(6_300)),
            ..RunTimes::default()
        };
        Row {
            run_id: format!("nightly-{number}"),
            experiment: "n".into(),
            started_at: created_at.to_string(),
            outcome: Outcome::EndedEarly,
            targets: 3,
            detection_milliseconds: detection.map(|seconds| seconds * 1000),
            rollback_milliseconds: Some(6_300),
            recovery_milliseconds: None,
            times,
            conclusion: Conclusion::EndedEarly,
        }
    }

    #[test]
    fn runs_are_a_table_with_a_dash_for_an_unknown_time() {
        let table = table(&[row(1, Some(12)), row(12, None)], Pen::PLAIN);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "run         started               detected in  rolled back in  recovered in  outcome");
        assert_eq!(
            lines[2],
            "nightly-12  2026-06-13T00:00:00Z  –            6.3 s           –             ended early"
        );
        let json = serde_json::to_value(row(1, Some(12))).unwrap_or_default();
        assert_eq!((&json["detectionMilliseconds"], &json["outcome"]), (&12_000.into(), &"endedEarly".into()));
    }

    #[test]
    fn a_history_fits_every_terminal() {
        in_every_size(
            |count, pen| {
                let rows: Vec<Row> = (0..count).map(|at| row(i64::try_from(at).unwrap_or(0), Some(12))).collect();
                table(&rows, pen)
            },
            |lines, width, count| {
                for line in lines {
                    assert!(line.chars().count() <= width, "{width} columns: {line}");
                }
                assert_eq!(lines.iter().filter(|line| line.starts_with("nightly-")).count(), count);
            },
        );
    }

    #[test]
    fn a_history_has_a_chart_of_each_known_time() {
        let rows: Vec<Row> = (0..5).map(|at| row(at, Some(12 + at.unsigned_abs() * 7))).collect();
        let page = page(HOSTILE, &rows).unwrap_or_else(|error| unreachable!("{error}"));
        keep("history.html", &page);
        assert_eq!((page.matches("<svg ").count(), page.matches("<script").count()), (2, 0));
        assert!(page.contains("No run has a time for: recovered in."));
    }
}
