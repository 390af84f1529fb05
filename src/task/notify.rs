//! `notify`: an array of records of the ledger's stream → an array with a notice for each transition among them, which
//! the pipe that calls it sends to the event bus. It calls nothing, so its role may only write its log.

use serde_json::{Value, json};

use crate::aws::stream::read_change;
use crate::model::input::InvalidInput;
use crate::model::notice::Notice;
use crate::model::settings::Settings;
use crate::model::time::Time;
use crate::plan::notices::notice_of;
use crate::steps::error::StepError;

pub(super) fn handle(settings: &Settings, now: Time, payload: &Value) -> Result<Value, StepError> {
    let Some(records) = payload.as_array() else {
        let problem = "this is not an array of records of a DynamoDB stream; let the pipe call this function";
        return Err(InvalidInput::whole(problem).into());
    };
    let mut notices: Vec<Notice> = Vec::new();
    for record in records {
        let change = read_change(record, &settings.prefix, now)?;
        notices.extend(change.and_then(|(change, origin)| notice_of(&change, &origin)));
    }
    Ok(json!(notices))
}
