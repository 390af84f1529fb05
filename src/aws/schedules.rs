//! The schedules of a stack, in its group of EventBridge Scheduler.

use aws_config::SdkConfig;
use aws_sdk_scheduler::Client;
use aws_sdk_scheduler::operation::get_schedule::GetScheduleOutput;
use aws_sdk_scheduler::types::{
    DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode, RetryPolicy, ScheduleState, Target,
};
use aws_smithy_types::DateTime;

use crate::model::schedule::Schedule;
use crate::model::time::Time;

use super::errors::{CallError, call_error};

/// A start that cannot be delivered is tried again for this long, and this often; then it goes to the dead-letter queue. It
/// is dropped rather than late.
const MAX_EVENT_AGE_S: i32 = 300;
const MAX_RETRIES: i32 = 3;

/// The reason for which a call about a schedule failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleError {
    /// There is a schedule of this name already.
    Exists,
    /// There is no schedule of this name.
    NotFound,
    /// The scheduler refused the call, or did not respond.
    Failed(String),
}

/// What every schedule of a stack shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleResources {
    /// The name of the group.
    pub group: String,
    /// The ARN of the role that starts executions.
    pub role: String,
    /// The ARN of the queue for starts that could not be delivered.
    pub queue: String,
}

/// A stack's schedules.
#[derive(Clone, Debug)]
pub struct Schedules {
    client: Client,
    shared: ScheduleResources,
    partition: String,
}

/// Gives a request all settings of a schedule. Those that create one and that replace one are separate types of the SDK.
macro_rules! with_settings {
    ($request:expr, $schedules:expr, $schedule:expr) => {
        $request
            .name(&$schedule.name)
            .group_name(&$schedules.shared.group)
            .schedule_expression(&$schedule.expression)
            .schedule_expression_timezone(&$schedule.time_zone)
            .flexible_time_window(window($schedule).map_err(invalid)?)
            .set_start_date($schedule.begins_at.map(date))
            .set_end_date($schedule.ends_at.map(date))
            .state(state($schedule))
            .target($schedules.target($schedule)?)
    };
}

impl Schedules {
    /// Creates the port for the schedules that start this state machine.
    #[must_use]
    pub fn new(config: &SdkConfig, shared: ScheduleResources, state_machine: &str) -> Self {
        let partition = state_machine.split(':').nth(1).unwrap_or("aws").to_owned();
        Self { client: Client::new(config), shared, partition }
    }

    /// Creates a schedule. A repeated request has the same token, so it creates nothing twice.
    ///
    /// # Errors
    /// `Exists` if there is one of this name.
    pub async fn create(&self, schedule: &Schedule) -> Result<(), ScheduleError> {
        let create = with_settings!(self.client.create_schedule(), self, schedule);
        create.send().await.map(drop).map_err(|error| failure(&call_error(&error)))
    }

    /// Replaces all settings of an existing schedule.
    ///
    /// # Errors
    /// `NotFound` if no schedule has this name.
    pub async fn replace(&self, schedule: &Schedule) -> Result<(), ScheduleError> {
        let update = with_settings!(self.client.update_schedule(), self, schedule);
        update.send().await.map(drop).map_err(|error| failure(&call_error(&error)))
    }

    /// Reads a schedule.
    ///
    /// # Errors
    /// `NotFound` if no schedule has this name.
    pub async fn read(&self, name: &str) -> Result<Schedule, ScheduleError> {
        self.get(name).await.map(|found| schedule(name, &found))
    }

    async fn get(&self, name: &str) -> Result<GetScheduleOutput, ScheduleError> {
        let get = self.client.get_schedule().name(name).group_name(&self.shared.group);
        get.send().await.map_err(|error| failure(&call_error(&error)))
    }

    /// Pauses or resumes a schedule. Returns whether that changed anything. Everything else about it stays, also what
    /// another tool has set.
    ///
    /// # Errors
    /// `NotFound` if no schedule has this name.
    pub async fn set_paused(&self, name: &str, is_paused: bool) -> Result<bool, ScheduleError> {
        let found = self.get(name).await?;
        let wanted = if is_paused { ScheduleState::Disabled } else { ScheduleState::Enabled };
        if found.state() == Some(&wanted) {
            return Ok(false);
        }
        // An update replaces all settings, so it repeats them (scheduler/latest/APIReference/API_UpdateSchedule).
        let update = self.client.update_schedule().name(name).group_name(&self.shared.group).state(wanted);
        let update = update
            .set_schedule_expression(found.schedule_expression)
            .set_schedule_expression_timezone(found.schedule_expression_timezone)
            .set_flexible_time_window(found.flexible_time_window)
            .set_start_date(found.start_date)
            .set_end_date(found.end_date)
            .set_description(found.description)
            .set_kms_key_arn(found.kms_key_arn)
            .set_action_after_completion(found.action_after_completion)
            .set_target(found.target);
        update.send().await.map(|_| true).map_err(|error| failure(&call_error(&error)))
    }

    /// Returns the names of all schedules.
    ///
    /// # Errors
    /// If the scheduler refuses the call, or does not respond.
    pub async fn names(&self) -> Result<Vec<String>, ScheduleError> {
        let mut pages = self.client.list_schedules().group_name(&self.shared.group).into_paginator().send();
        let mut names = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| failure(&call_error(&error)))?;
            names.extend(page.schedules().iter().filter_map(|found| found.name().map(str::to_owned)));
        }
        names.sort();
        Ok(names)
    }

    /// Deletes a schedule.
    ///
    /// # Errors
    /// `NotFound` if no schedule has this name.
    pub async fn delete(&self, name: &str) -> Result<(), ScheduleError> {
        let delete = self.client.delete_schedule().name(name).group_name(&self.shared.group);
        delete.send().await.map(drop).map_err(|error| failure(&call_error(&error)))
    }

    /// A universal target, because the templated one has no execution name.
    fn target(&self, schedule: &Schedule) -> Result<Target, ScheduleError> {
        let retries =
            RetryPolicy::builder().maximum_event_age_in_seconds(MAX_EVENT_AGE_S).maximum_retry_attempts(MAX_RETRIES);
        let target = Target::builder()
            .arn(format!("arn:{}:scheduler:::aws-sdk:sfn:startExecution", self.partition))
            .role_arn(&self.shared.role)
            .input(&schedule.input)
            .dead_letter_config(DeadLetterConfig::builder().arn(&self.shared.queue).build())
            .retry_policy(retries.build());
        target.build().map_err(invalid)
    }
}

fn window(schedule: &Schedule) -> Result<FlexibleTimeWindow, aws_smithy_types::error::operation::BuildError> {
    let mode = match schedule.window_minutes {
        Some(_) => FlexibleTimeWindowMode::Flexible,
        None => FlexibleTimeWindowMode::Off,
    };
    let minutes = schedule.window_minutes.map(i32::from);
    FlexibleTimeWindow::builder().mode(mode).set_maximum_window_in_minutes(minutes).build()
}

fn state(schedule: &Schedule) -> ScheduleState {
    if schedule.is_paused { ScheduleState::Disabled } else { ScheduleState::Enabled }
}

fn date(time: Time) -> DateTime {
    DateTime::from_secs(time.epoch_seconds())
}

fn schedule(name: &str, found: &GetScheduleOutput) -> Schedule {
    let time = |date: &DateTime| Time(date.secs().saturating_mul(1000));
    let window = found.flexible_time_window().and_then(FlexibleTimeWindow::maximum_window_in_minutes);
    Schedule {
        name: name.to_owned(),
        expression: found.schedule_expression().unwrap_or_default().to_owned(),
        time_zone: found.schedule_expression_timezone().unwrap_or("UTC").to_owned(),
        window_minutes: window.and_then(|minutes| u16::try_from(minutes).ok()),
        begins_at: found.start_date().map(time),
        ends_at: found.end_date().map(time),
        is_paused: found.state() == Some(&ScheduleState::Disabled),
        input: found.target().and_then(Target::input).unwrap_or_default().to_owned(),
    }
}

/// The codes are from the pages of the calls (scheduler/latest/APIReference).
fn failure(error: &CallError) -> ScheduleError {
    match error.code.as_str() {
        "ConflictException" => ScheduleError::Exists,
        // It may also be about the group.
        "ResourceNotFoundException" if !error.message.contains("group does not exist") => ScheduleError::NotFound,
        _ => ScheduleError::Failed(error.text()),
    }
}

fn invalid(error: aws_smithy_types::error::operation::BuildError) -> ScheduleError {
    ScheduleError::Failed(error.to_string())
}
