//! Reads the records of the ledger's DynamoDB stream.
//!
//! A record has the whole item before and after a write, so also the values of variables in snapshots. Only the
//! ledger's own types leave this module, and these keep such values behind `Secret`.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::model::notice::{LedgerChange, Origin};
use crate::model::time::Time;
use crate::ports::LedgerError;

use super::records::{Item, read_lever, read_run, read_run_alone, read_target, sort_key};

/// A record as a pipe sends it (eventbridge/latest/userguide/eb-pipes-dynamodb).
#[derive(Deserialize)]
struct Record {
    dynamodb: Images,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Images {
    old_image: Option<Map<String, Value>>,
    new_image: Option<Map<String, Value>>,
    sequence_number: String,
    /// Seconds since the epoch: a number in the stream's own API, and a text in some services that pass records on
    /// (lambda/latest/dg/with-ddb-filtering).
    approximate_creation_date_time: Option<Value>,
}

/// Reads a record: the change, and where it is from. Returns `None` for an item that has no transitions, and for a
/// deletion.
///
/// # Errors
/// If the record or its new item cannot be read. The error quotes no value.
pub fn read_change(record: &Value, stack: &str, now: Time) -> Result<Option<(LedgerChange, Origin)>, LedgerError> {
    let unreadable = || LedgerError::Unreadable("a record of the ledger's stream cannot be read".to_owned());
    let Record { dynamodb: images } = Record::deserialize(record).map_err(|_| unreadable())?;
    let Some(new) = images.new_image.as_ref().map(item) else { return Ok(None) };
    let old = images.old_image.as_ref().map(item);
    // The item was repaired if only the old one is unreadable. It counts as absent, so that nothing is missed: at worst,
    // a notice comes again, with its ID.
    let change = match sort_key(&new) {
        Some("RUN") => {
            let (run, experiment) = read_run_alone(&new)?;
            let old = old.and_then(|old| read_run(&old, &old).ok()).map(Box::new);
            LedgerChange::Run { old, new: Box::new(run), experiment }
        }
        Some("LEVER") => LedgerChange::Lever {
            old: old.as_ref().map(|old| Box::new(read_lever(old))),
            new: Box::new(read_lever(&new)),
        },
        Some(target) if target.starts_with("TARGET#") => LedgerChange::Target {
            old: old.and_then(|old| read_target(&old).ok()).map(Box::new),
            new: Box::new(read_target(&new)?),
        },
        _ => return Ok(None),
    };
    let written_at = images.approximate_creation_date_time.as_ref().and_then(seconds).unwrap_or(now);
    Ok(Some((change, Origin { stack: stack.to_owned(), written_at, sequence_number: images.sequence_number })))
}

/// Reads an item in DynamoDB's JSON. The ledger has only texts, numbers and booleans; any other value becomes NULL,
/// which no attribute of the ledger is, so an attribute with one is unreadable.
fn item(image: &Map<String, Value>) -> Item {
    let value = |value: &Value| {
        let of = |kind: &str| value.get(kind);
        let text = |kind: &str| of(kind).and_then(Value::as_str).map(str::to_owned);
        text("S")
            .map(AttributeValue::S)
            .or_else(|| text("N").map(AttributeValue::N))
            .or_else(|| of("BOOL").and_then(Value::as_bool).map(AttributeValue::Bool))
            .unwrap_or(AttributeValue::Null(true))
    };
    image.iter().map(|(name, attribute)| (name.clone(), value(attribute))).collect()
}

fn seconds(value: &Value) -> Option<Time> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.parse().ok())?;
    // A float holds the milliseconds of the next centuries exactly.
    #[allow(clippy::cast_possible_truncation)]
    let milliseconds = (seconds * 1000.0).round() as i64;
    Some(Time(milliseconds))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::run::{RunStatus, TargetStatus};
    use crate::testing::samples::SECRET;

    const NOW: Time = Time(1_780_272_000_000);

    fn read(images: Value) -> Result<Option<(LedgerChange, Origin)>, LedgerError> {
        read_change(&json!({ "eventID": "1", "eventName": "MODIFY", "dynamodb": images }), "snapback", NOW)
    }

    fn run(status: &str) -> Value {
        json!({ "pk": { "S": "RUN#r" }, "sk": { "S": "RUN" }, "status": { "S": status } })
    }

    fn target(status: &str) -> Value {
        let function = "TARGET#arn:aws:lambda:eu-west-1:123456789012:function:checkout";
        let original = json!({ "present": SECRET });
        let change =
            json!([{ "field": "variable", "name": "DB_PASSWORD", "original": original, "injected": "absent" }]);
        json!({
            "pk": { "S": "RUN#r" }, "sk": { "S": function }, "status": { "S": status },
            "changes": { "S": change.to_string() }, "lastVersion": { "N": "3" }, "rehearsed": { "BOOL": true }
        })
    }

    #[test]
    fn a_record_has_the_item_before_and_after() {
        let images = json!({
            "OldImage": run("pending"), "NewImage": run("running"), "SequenceNumber": "111",
            "ApproximateCreationDateTime": "1678831218.0"
        });
        let Ok(Some((LedgerChange::Run { old: Some(old), new, .. }, origin))) = read(images) else {
            unreachable!("a run's change is read")
        };
        assert_eq!((old.status, new.status), (RunStatus::Pending, RunStatus::Running));
        assert_eq!((origin.sequence_number.as_str(), origin.written_at), ("111", Time(1_678_831_218_000)));
    }

    #[test]
    fn a_run_with_many_targets_is_named_by_its_item_alone() {
        let mut item = run("running");
        item["experimentName"] = json!({ "S": "Everything slower" });
        item["deadline"] = json!({ "N": "7" });
        item["startedBy"] = json!({ "S": json!({ "via": "schedule" }).to_string() });
        let read = read(json!({ "OldImage": run("pending"), "NewImage": item, "SequenceNumber": "1" }));
        let Ok(Some((LedgerChange::Run { new, experiment, .. }, _))) = read else { unreachable!("{read:?}") };
        assert_eq!((experiment.as_deref(), new.deadline), (Some("Everything slower"), Time(7)));
        assert_eq!(new.started_by.map(|by| by.via.to_string()), Some("schedule".to_owned()));
    }

    #[test]
    fn a_target_is_read_and_its_values_stay_hidden() {
        let read = read(json!({ "NewImage": target("injected"), "SequenceNumber": "1" }));
        let Ok(Some((LedgerChange::Target { old: None, new }, origin))) = &read else {
            unreachable!("a target's change is read: {read:?}")
        };
        assert_eq!((new.status, origin.written_at), (TargetStatus::Injected, NOW));
        assert!(!format!("{read:?}").contains(SECRET));
    }

    #[test]
    fn other_items_and_deletions_have_no_transitions() {
        for sk in ["LOCK", "BODY", "RUN#r"] {
            let item = json!({ "pk": { "S": "ACTIVE" }, "sk": { "S": sk } });
            assert_eq!(read(json!({ "NewImage": item, "SequenceNumber": "1" })), Ok(None), "{sk}");
        }
        assert_eq!(read(json!({ "OldImage": run("failed"), "SequenceNumber": "1" })), Ok(None));
    }

    #[test]
    fn a_damaged_record_is_an_error_without_its_values() {
        let mut damaged = target("injected");
        damaged["status"] = json!({ "N": SECRET });
        for images in [
            json!({ "NewImage": damaged, "SequenceNumber": "1" }),
            json!({ "NewImage": { "sk": { "S": "RUN" }, "status": { "S": SECRET } }, "SequenceNumber": "1" }),
            json!({ "NewImage": run("running"), "SequenceNumber": 1 }),
            json!(SECRET),
        ] {
            let wrong = read(images).map_err(|wrong| wrong.to_string());
            assert!(wrong.as_ref().is_err_and(|wrong| !wrong.contains(SECRET)), "{wrong:?}");
        }
        // Only the item before the write is damaged: a repair must not stop the stream.
        let repaired = json!({ "OldImage": damaged, "NewImage": target("restored"), "SequenceNumber": "1" });
        assert!(matches!(read(repaired), Ok(Some((LedgerChange::Target { old: None, .. }, _)))));
    }
}
