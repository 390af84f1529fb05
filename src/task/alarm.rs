//! Reads what CloudWatch sends about an alarm: an EventBridge event, a Lambda action or an SNS notification.

use serde::Deserialize;
use serde_json::Value;

use crate::model::input::{InvalidInput, read};

/// An alarm that has changed state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct AlarmChange {
    pub(super) arn: String,
    pub(super) name: String,
    pub(super) in_alarm: bool,
}

/// A `CloudWatch Alarm State Change` event (AmazonCloudWatch/latest/monitoring/cloudwatch-and-eventbridge).
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    resources: Vec<String>,
    detail: Detail,
}

/// The part that an event and a Lambda action share.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    alarm_name: String,
    state: State,
}

#[derive(Deserialize)]
struct State {
    value: String,
}

/// The payload of an alarm's Lambda action (AmazonCloudWatch/latest/monitoring/alarms-and-actions-Lambda).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Action {
    alarm_arn: String,
    alarm_data: Detail,
}

/// The payload of an SNS notification (lambda/latest/dg/with-sns).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notifications {
    records: Vec<Record>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    sns: Message,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    message: String,
}

/// The message that an alarm's SNS action sends (AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes).
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Notification {
    alarm_name: String,
    alarm_arn: String,
    new_state_value: String,
}

/// Reads the alarms in a payload; `None` where it does not come from CloudWatch.
///
/// # Errors
/// Names the field that is missing.
pub(super) fn read_alarms(payload: &Value) -> Result<Option<Vec<AlarmChange>>, InvalidInput> {
    if payload.get("Records").is_none() {
        return Ok(read_change(payload)?.map(|change| vec![change]));
    }
    let notifications: Notifications = read(payload)?;
    let mut changes = Vec::new();
    for (at, record) in notifications.records.iter().enumerate() {
        // A topic carries other messages too. They are skipped: an error would only make SNS send them again.
        let Ok(message) = serde_json::from_str::<Value>(&record.sns.message) else { continue };
        let change = read_change(&message).map_err(|wrong| InvalidInput {
            field: format!("Records[{at}].Sns.Message.{}", wrong.field).trim_end_matches('.').to_owned(),
            problem: wrong.problem,
        })?;
        changes.extend(change);
    }
    Ok(Some(changes))
}

fn read_change(payload: &Value) -> Result<Option<AlarmChange>, InvalidInput> {
    let change = |arn: String, name: String, state: &str| AlarmChange { arn, name, in_alarm: state == "ALARM" };
    if payload.get("detail-type").is_some() {
        let event: Event = read(payload)?;
        let Some(arn) = event.resources.into_iter().next() else {
            let problem = "is empty; send the alarm's event, which has the alarm's ARN there".to_owned();
            return Err(InvalidInput { field: "resources".into(), problem });
        };
        return Ok(Some(change(arn, event.detail.alarm_name, &event.detail.state.value)));
    }
    if payload.get("alarmData").is_some() {
        let action: Action = read(payload)?;
        return Ok(Some(change(action.alarm_arn, action.alarm_data.alarm_name, &action.alarm_data.state.value)));
    }
    if payload.get("NewStateValue").is_some() {
        let notification: Notification = read(payload)?;
        return Ok(Some(change(notification.alarm_arn, notification.alarm_name, &notification.new_state_value)));
    }
    Ok(None)
}
