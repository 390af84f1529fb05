//! The report of a run as one HTML file, and the charts that other pages share with it.
//!
//! Everything here is pure: a page is a function of [`crate::plan::evidence::Evidence`], so the command line and the
//! reaper draw the same page of a run.

mod chart;
mod charts;
mod format;
mod run_page;
#[cfg(test)]
pub(crate) mod samples;
mod tables;
mod verdict;

use std::error::Error;

pub(crate) use run_page::run_page;

#[cfg(feature = "cli")]
pub(crate) use chart::{Marks, draw};
#[cfg(feature = "cli")]
pub(crate) use charts::described;
#[cfg(feature = "cli")]
pub(crate) use format::{
    clock, count, date_and_time, dollars, figure, known_figure, known_span, span, text, time_of_day,
};
#[cfg(feature = "cli")]
pub(crate) use run_page::document;
#[cfg(feature = "cli")]
pub(crate) use tables::after;
#[cfg(feature = "cli")]
pub(crate) use verdict::{happened, restored};

/// Why a chart could not be drawn.
pub(crate) type DrawingError = Box<dyn Error + Send + Sync>;
