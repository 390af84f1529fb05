//! Draws one chart as SVG.
//!
//! The colors here are those on a light background. `style.css` replaces each by its value on a dark one. No name from
//! outside is drawn: only times, numbers and two fixed words.

use std::error::Error;

use plotters::coord::Shift;
use plotters::coord::combinators::WithKeyPoints;
use plotters::coord::types::{RangedCoordf64, RangedCoordi64};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::model::kept_metrics::Series;
use crate::model::time::Time;

use super::format::{clock, day, figure};

/// The size of a chart in its own units. The page scales it.
const SIZE: (u32, u32) = (560, 200);
/// The share of its period that a bar fills.
const BAR_SHARE: f64 = 0.78;
/// The most labels on the axis of time.
const MAX_TIME_LABELS: i64 = 6;
/// From this length on, the labels on the axis of time are days and no times of day.
const DAYS_FROM_S: i64 = 2 * 86_400;
/// About how many labels the axis of values has.
const MAX_VALUE_LABELS: usize = 5;
/// Steps between two labels on the axis of time, in seconds.
const TIME_STEPS: [i64; 17] = [
    60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 14_400, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000,
    7_776_000,
];

const GRID: RGBColor = RGBColor(0xE3, 0xE6, 0xEB);
const TEXT: RGBColor = RGBColor(0x5B, 0x64, 0x75);
const FAULT: RGBColor = RGBColor(0xF0, 0xA0, 0x4B);
const ALARM: RGBColor = RGBColor(0xC6, 0x2F, 0x2F);
const RESTORED: RGBColor = RGBColor(0x1F, 0x8A, 0x5B);
const LIMIT: RGBColor = RGBColor(0x8A, 0x5A, 0x01);
/// The colors of series, in order. `style.css` names them in the same order.
const SERIES: [RGBColor; 5] = [
    RGBColor(0x2F, 0x6F, 0xDE),
    RGBColor(0x12, 0x9C, 0x8F),
    RGBColor(0x8B, 0x5C, 0xD6),
    RGBColor(0xB7, 0x79, 0x1F),
    RGBColor(0xC2, 0x4D, 0x87),
];

/// What is marked in every chart of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Marks {
    /// The beginning and the end of the time of all charts.
    pub(crate) span: (Time, Time),
    /// The time in which the fault was in place.
    pub(crate) fault: Option<(Time, Time)>,
    /// When an alarm or a deviation ended the run.
    pub(crate) alarm: Option<Time>,
    /// When the last target was restored.
    pub(crate) restored: Option<Time>,
}

/// Returns the number of the color of a series.
pub(crate) fn color_number(at: usize) -> usize {
    at % SERIES.len() + 1
}

/// Draws series that share a unit, with the marks of the run.
///
/// # Errors
/// If the drawing library fails.
pub(crate) fn draw(series: &[&Series], marks: &Marks) -> Result<String, Box<dyn Error + Send + Sync>> {
    draw_into(series, marks).map_err(|error| error.to_string().into())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<WithKeyPoints<RangedCoordi64>, RangedCoordf64>>;

fn draw_into(series: &[&Series], marks: &Marks) -> Result<String, Box<dyn Error>> {
    let (from, until) = (seconds(marks.span.0), seconds(marks.span.1));
    let step = value_step(highest(series));
    let top = (highest(series) / step).ceil().max(1.0) * step * 1.04;
    let mut svg = String::new();
    {
        let area: Area<'_> = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let mut chart: Chart<'_> = ChartBuilder::on(&area)
            .margin_top(18)
            .margin_right(12)
            .x_label_area_size(24)
            .y_label_area_size(48)
            .build_cartesian_2d((from..until).with_key_points(time_labels(from, until)), 0f64..top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .y_labels(MAX_VALUE_LABELS)
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(GRID)
            .label_style(("sans-serif", 14).into_font().color(&TEXT))
            .x_label_formatter(&|at| {
                if until - from > DAYS_FROM_S { day(Time(*at * 1000)) } else { clock(Time(*at * 1000)) }
            })
            .y_label_formatter(&|value| figure(*value))
            .draw()?;
        if let Some((from, end)) = marks.fault.map(|(from, end)| (seconds(from), seconds(end).min(until))) {
            let corners = [(from, 0.0), (end.max(from + 1), top)];
            chart.draw_series([Rectangle::new(corners, FAULT.mix(0.2).filled())])?;
        }
        for (at, series) in series.iter().enumerate() {
            let color = SERIES.get(at % SERIES.len()).copied().unwrap_or(TEXT);
            draw_series(&mut chart, series, color)?;
            if let Some(limit) = series.below.or(series.above) {
                let ends = [(from, limit), (until, limit)];
                chart.draw_series(DashedLineSeries::new(ends, 5, 4, LIMIT.stroke_width(1)))?;
            }
        }
        for (at, color, word) in [(marks.alarm, ALARM, "stopped"), (marks.restored, RESTORED, "restored")] {
            let Some(at) = at.map(seconds) else { continue };
            chart.draw_series([PathElement::new([(at, 0.0), (at, top)], color.stroke_width(2))])?;
            // The words stand on both sides, because a restore often takes only seconds.
            let (x, y) = chart.backend_coord(&(at, top));
            let (side, shift) = if word == "stopped" { (HPos::Right, -1) } else { (HPos::Left, 1) };
            let style = ("sans-serif", 13).into_font().color(&color).pos(Pos::new(side, VPos::Bottom));
            area.draw(&Text::new(word, (x + shift, y - 2), style))?;
        }
        area.present()?;
    }
    Ok(svg)
}

/// Draws counts as bars, and other values as a line with points.
fn draw_series(chart: &mut Chart<'_>, series: &Series, color: RGBColor) -> Result<(), Box<dyn Error>> {
    let period = i64::from(series.period_seconds);
    if series.statistic == "Sum" {
        let inset = (f64::from(series.period_seconds) * (1.0 - BAR_SHARE) / 2.0) as i64;
        let bar = |(at, value): &(i64, f64)| {
            Rectangle::new([(at + inset, 0.0), (at + period - inset, *value)], color.mix(0.85).filled())
        };
        chart.draw_series(series.points.iter().map(bar)).map_err(|error| error.to_string())?;
        return Ok(());
    }
    // A value belongs to the whole period, so its point is in the middle.
    let points = || series.points.iter().map(|(at, value)| (at + period / 2, *value));
    let line = LineSeries::new(points(), color.stroke_width(2));
    chart.draw_series(line).map_err(|error| error.to_string())?;
    let dots = points().map(|point| Circle::new(point, 2, color.filled()));
    chart.draw_series(dots).map_err(|error| error.to_string())?;
    Ok(())
}

fn seconds(at: Time) -> i64 {
    at.epoch_seconds()
}

/// Returns the highest value or limit.
fn highest(series: &[&Series]) -> f64 {
    let values = series.iter().flat_map(|series| series.points.iter().map(|(_, value)| *value));
    let limits = series.iter().filter_map(|series| series.below.or(series.above));
    values.chain(limits).filter(|value| value.is_finite()).fold(0.0, f64::max)
}

/// Returns a round step between labels: 1, 2 or 5 times a power of ten, with three to five labels.
fn value_step(highest: f64) -> f64 {
    if highest <= 0.0 {
        return 1.0;
    }
    let rough = highest / 4.0;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * power).find(|step| *step >= rough);
    step.unwrap_or(rough)
}

fn time_labels(from: i64, until: i64) -> Vec<i64> {
    let step = TIME_STEPS.into_iter().find(|step| (until - from) / step <= MAX_TIME_LABELS).unwrap_or(7_776_000);
    let first = (from + step - 1).div_euclid(step) * step;
    // A label at the very end would not fit.
    (0..=MAX_TIME_LABELS).map(|at| first + at * step).take_while(|at| *at < until - step / 4).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_round_and_few() {
        for highest in [0.2, 1.0, 3.0, 7.0, 12.0, 99.0, 1234.0] {
            let count = (highest / value_step(highest)).ceil();
            assert!((2.0..=5.0).contains(&count), "{highest}: {count}");
        }
        assert_eq!(time_labels(30, 660), [120, 240, 360, 480, 600]);
        assert!(time_labels(0, 12 * 3600).len() <= 7);
        let year = 366 * 86_400;
        assert!(time_labels(0, year).last().is_some_and(|last| *last > year / 2));
    }

    #[test]
    fn a_chart_without_values_is_drawn() {
        let marks = Marks { span: (Time(0), Time(600_000)), ..Marks::default() };
        assert!(draw(&[&Series::default()], &marks).is_ok_and(|svg| svg.starts_with("<svg ")));
        assert!(draw(&[], &Marks::default()).is_ok());
    }
}
