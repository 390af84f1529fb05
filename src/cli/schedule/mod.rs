//! The command `schedule`: experiments that EventBridge Scheduler starts.

mod times;
mod view;

use crate::aws::{ListedExecution, ScheduleError, Schedules};
use crate::model::schedule::{Schedule, ScheduleName, ScheduledStart};
use crate::model::time::Time;

use super::arguments::Arguments;
use super::exit::Exit;
use super::file::{invalid, read_file};
use super::output::Output;
use super::schedule_arguments::{NewSchedule, ScheduleAction};
use super::stack::Stack;
use super::{Failure, stack};

pub(super) use view::ScheduleView;
use view::{StartView, starts};

/// What `schedule list` prints as JSON.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(super) struct ScheduleList {
    schedules: Vec<ScheduleView>,
}

/// What `schedule pause`, `schedule resume` and `schedule remove` print as JSON.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub(super) struct ScheduleChange<'a> {
    /// The schedule's name.
    schedule: &'a str,
    /// `paused`, `on` or `removed`; `paused already` or `on already` if nothing has changed.
    state: &'a str,
}

/// The starts that `show` shows at most.
const MAX_STARTS: usize = 10;

/// Adds, lists, shows, pauses, resumes or removes schedules.
pub(super) async fn schedule(arguments: &Arguments, action: &ScheduleAction, output: &Output) -> Result<Exit, Failure> {
    match action {
        ScheduleAction::Add(new) => add(arguments, new, output).await?,
        ScheduleAction::List => list(arguments, output).await?,
        ScheduleAction::Show { name } => show(arguments, name, output).await?,
        ScheduleAction::Pause { name } => set_paused(arguments, name, true, output).await?,
        ScheduleAction::Resume { name } => set_paused(arguments, name, false, output).await?,
        ScheduleAction::Remove { name } => {
            let stack = stack::find(arguments).await?;
            stack.schedules()?.delete(name.as_str()).await.map_err(|error| failure(name, error))?;
            done(name, "removed", output);
        }
    }
    Ok(Exit::Success)
}

/// Adds a schedule. Everything that can be checked without the account is checked before the first call.
async fn add(arguments: &Arguments, new: &NewSchedule, output: &Output) -> Result<(), Failure> {
    let (_, mut experiment) = read_file(&new.file)?;
    // The schedule states who starts its runs.
    if let Some(fields) = experiment.as_object_mut() {
        fields.remove("startedBy");
    }
    let expression = [&new.rate, &new.cron, &new.at].into_iter().find_map(Option::as_ref);
    let expression = expression.ok_or_else(|| Failure::invalid("write one of --rate, --cron and --at".to_owned()))?;
    let now = Time(jiff::Timestamp::now().as_millisecond());
    times::check_zone(&new.time_zone, expression, now).map_err(Failure::invalid)?;
    let span = times::span(new, expression, now).map_err(Failure::invalid)?;
    // Its length does not depend on the machine's ARN by much.
    let start = |state_machine: &str| {
        let start = ScheduledStart { state_machine: state_machine.to_owned(), experiment: experiment.clone() };
        start.input(&new.name).map_err(|problem| invalid(&new.file, &problem))
    };
    start("")?;
    let stack = stack::find(arguments).await?;
    let schedules = stack.schedules()?;
    let schedule = Schedule {
        name: new.name.to_string(),
        expression: expression.to_string(),
        time_zone: new.time_zone.clone(),
        window_minutes: new.window.map(|window| window.get()),
        begins_at: span.begins_at,
        ends_at: span.ends_at,
        is_paused: false,
        input: start(&stack.state_machine)?,
    };
    let schedule = create_or_replace(&schedules, schedule, new).await.map_err(|error| match error {
        ScheduleError::Exists => {
            Failure::invalid(format!("the schedule {} exists; to replace it, use --replace", new.name))
        }
        error => failure(&new.name, error),
    })?;
    let view = ScheduleView::of(&schedule, Vec::new());
    if output.as_json {
        output.json(&view);
    } else {
        view.print(output);
    }
    Ok(())
}

/// Creates a schedule, or replaces the one of its name; returns it as it is now.
async fn create_or_replace(schedules: &Schedules, new: Schedule, how: &NewSchedule) -> Result<Schedule, ScheduleError> {
    if how.replace {
        match schedules.read(&new.name).await {
            Ok(old) => {
                let new = Schedule { is_paused: old.is_paused, ..new };
                return schedules.replace(&new).await.map(|()| new);
            }
            Err(ScheduleError::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    schedules.create(&new).await.map(|()| new)
}

async fn list(arguments: &Arguments, output: &Output) -> Result<(), Failure> {
    let stack = stack::find(arguments).await?;
    let schedules = stack.schedules()?;
    let names = schedules.names().await.map_err(|error| Failure::new("ScheduleFailed", text(error)))?;
    let mut views = Vec::new();
    let executions = if names.is_empty() { Vec::new() } else { executions(&stack, output).await };
    for name in names {
        match schedules.read(&name).await {
            Ok(schedule) => {
                let starts = latest(&stack, &executions, &name, 1, output).await;
                views.push(ScheduleView::of(&schedule, starts));
            }
            // It was removed after it was listed.
            Err(ScheduleError::NotFound) => {}
            Err(error) => return Err(Failure::new("ScheduleFailed", text(error))),
        }
    }
    if output.as_json {
        output.json(&ScheduleList { schedules: views });
        return Ok(());
    }
    if views.is_empty() {
        output.print_line("there are no schedules");
    }
    for view in views {
        view.print(output);
    }
    Ok(())
}

async fn show(arguments: &Arguments, name: &ScheduleName, output: &Output) -> Result<(), Failure> {
    let stack = stack::find(arguments).await?;
    let schedule = stack.schedules()?.read(name.as_str()).await.map_err(|error| failure(name, error))?;
    let executions = executions(&stack, output).await;
    let starts = latest(&stack, &executions, name.as_str(), MAX_STARTS, output).await;
    let view = ScheduleView::of(&schedule, starts);
    if output.as_json {
        output.json(&view);
        return Ok(());
    }
    view.print(output);
    if view.starts.is_empty() {
        output.print_line("  it has started nothing among the latest runs");
    }
    Ok(())
}

async fn set_paused(
    arguments: &Arguments,
    name: &ScheduleName,
    is_paused: bool,
    output: &Output,
) -> Result<(), Failure> {
    let stack = stack::find(arguments).await?;
    let changed = stack.schedules()?.set_paused(name.as_str(), is_paused).await;
    let changed = changed.map_err(|error| failure(name, error))?;
    let state = if is_paused { "paused" } else { "on" };
    done(name, &if changed { state.to_owned() } else { format!("{state} already") }, output);
    Ok(())
}

/// Lists the latest executions. A user who may not read them sees the schedules anyway.
async fn executions(stack: &Stack, output: &Output) -> Vec<ListedExecution> {
    let listed = stack.world.latest_executions(&stack.state_machine).await;
    listed.unwrap_or_else(|why| {
        output.note(&format!("snapback: the latest starts cannot be read: {why}"));
        Vec::new()
    })
}

async fn latest(
    stack: &Stack,
    executions: &[ListedExecution],
    name: &str,
    most: usize,
    output: &Output,
) -> Vec<StartView> {
    starts(stack, executions, name, most).await.unwrap_or_else(|why| {
        output.note(&format!("snapback: the latest starts of {name} cannot be read: {why}"));
        Vec::new()
    })
}

fn done(name: &ScheduleName, what: &str, output: &Output) {
    if output.as_json {
        return output.json(&ScheduleChange { schedule: name.as_str(), state: what });
    }
    output.print_line(&format!("schedule {name}: {what}"));
}

fn failure(name: &ScheduleName, error: ScheduleError) -> Failure {
    match error {
        ScheduleError::NotFound => {
            let cause = format!("there is no schedule {name}; see snapback schedule list");
            Failure { exit: Exit::Invalid, ..Failure::new("NoSuchSchedule", cause) }
        }
        error => Failure::new("ScheduleFailed", format!("schedule {name}: {}", text(error))),
    }
}

fn text(error: ScheduleError) -> String {
    match error {
        ScheduleError::Failed(why) => why,
        ScheduleError::Exists => "it exists already".to_owned(),
        ScheduleError::NotFound => "it does not exist".to_owned(),
    }
}
