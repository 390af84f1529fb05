//! The arguments of `schedule`, and their help texts.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::model::schedule::{ScheduleExpression, ScheduleName, WindowMinutes};
use crate::model::time::Time;

#[derive(Debug, Subcommand)]
pub(super) enum ScheduleAction {
    /// Check an experiment, and add a schedule that starts it.
    Add(Box<NewSchedule>),
    /// List the schedules, each with its last start.
    List,
    /// Show a schedule, with its latest starts and the outcome of each.
    Show {
        /// The schedule.
        #[arg(value_parser = name)]
        name: ScheduleName,
    },
    /// Pause a schedule: it starts nothing until it is resumed; active runs continue.
    Pause {
        /// The schedule.
        #[arg(value_parser = name)]
        name: ScheduleName,
    },
    /// Let a paused schedule start its experiment again.
    Resume {
        /// The schedule.
        #[arg(value_parser = name)]
        name: ScheduleName,
    },
    /// Delete a schedule; active runs continue.
    Remove {
        /// The schedule.
        #[arg(value_parser = name)]
        name: ScheduleName,
    },
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("when").required(true).args(["rate", "cron", "at"]))]
pub(super) struct NewSchedule {
    /// The schedule's name: 1 to 40 letters, digits and -, beginning with a letter or a digit.
    #[arg(value_parser = new_name, allow_hyphen_values = true)]
    pub(super) name: ScheduleName,
    /// The experiment: a file in JSON or YAML; - reads standard input.
    pub(super) file: PathBuf,
    /// Start at this interval, such as "7 days"; the first start is at --start, or one interval from now.
    #[arg(long, value_name = "RATE", value_parser = ScheduleExpression::rate, allow_hyphen_values = true)]
    pub(super) rate: Option<ScheduleExpression>,
    /// Start at the times of a cron expression with six fields, for instance "0 9 ? * MON-FRI *".
    #[arg(long, value_name = "FIELDS", value_parser = ScheduleExpression::cron, allow_hyphen_values = true)]
    pub(super) cron: Option<ScheduleExpression>,
    /// Start once, for instance at 2026-12-01T09:00:00.
    #[arg(long, value_name = "TIME", value_parser = ScheduleExpression::at, allow_hyphen_values = true)]
    pub(super) at: Option<ScheduleExpression>,
    /// The time zone of --cron and --at, for instance Europe/Berlin.
    #[arg(long, value_name = "ZONE", default_value = "UTC", conflicts_with = "rate")]
    pub(super) time_zone: String,
    /// Start at any time within 1 to 1440 minutes; by default within the minute.
    #[arg(long, value_name = "MINUTES", value_parser = window, allow_hyphen_values = true)]
    pub(super) window: Option<WindowMinutes>,
    /// Start nothing before this time, for instance 2026-12-01T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = instant, allow_hyphen_values = true, conflicts_with = "at")]
    pub(super) start: Option<Time>,
    /// Start nothing after this time.
    #[arg(long, value_name = "TIME", value_parser = instant, allow_hyphen_values = true, conflicts_with = "at")]
    pub(super) end: Option<Time>,
    /// Replace the schedule of this name, if there is one; a paused one stays paused.
    #[arg(long)]
    pub(super) replace: bool,
}

fn name(text: &str) -> Result<ScheduleName, String> {
    ScheduleName::try_from(text)
}

/// A new name: one that begins with a hyphen would be taken for an option by other commands.
fn new_name(text: &str) -> Result<ScheduleName, String> {
    match text.starts_with('-') {
        true => Err("write 1 to 40 letters, digits and -, beginning with a letter or a digit".to_owned()),
        false => ScheduleName::try_from(text),
    }
}

fn window(text: &str) -> Result<WindowMinutes, String> {
    WindowMinutes::try_from(text)
}

fn instant(text: &str) -> Result<Time, String> {
    let instant: Result<jiff::Timestamp, _> = text.parse();
    instant
        .map(|instant| Time(instant.as_second().saturating_mul(1000)))
        .map_err(|_| "write a date and time with its offset, such as 2026-12-01T00:00:00Z".to_owned())
}
