//! What is refused, with the fix.

use serde_json::json;
use snapback::plan::import::{Format, import};

use super::{outcome, source};

#[test]
fn refusals_name_the_fix() {
    for (source, expected) in [
        (json!({ "name": "x" }), "unrecognized configuration; if it comes from one of fis, "),
        (json!([]), "unrecognized configuration; if it comes from one of fis, "),
        (json!({ "latency": { "enabled": false } }), "latency: not imported: `enabled` is false; set it to true"),
        (json!({ "denylist": { "enabled": true } }), "nothing to import: denylist: not imported"),
        (json!({ "isEnabled": false, "failureMode": "latency" }), "isEnabled: not imported: it is not true"),
        (json!({ "isEnabled": true, "failureMode": "chaos" }), "`chaos` is not a failure mode"),
        (json!({ "is_enabled": true, "fault_type": "latency" }), "it has no delay, which latency needs"),
        (json!({ "is_enabled": true, "fault_type": "disk" }), "`disk` is not one of latency, exception, status_code"),
        (json!({ "is_enabled": true, "delay": 1.5 }), "`delay` is 1.5, and not a whole number from 0 to 900000"),
        (
            json!({ "is_enabled": true, "delay": 1, "rate": 1e-7 }),
            "`rate` is 1e-7, which is less than the smallest share",
        ),
        (
            json!({ "latency": { "enabled": true, "percentage": 0.000_01 } }),
            "`percentage` is 1e-5, which is less than the smallest share, 0.0001 %; raise it",
        ),
        (
            json!({
                "CHAOS_EXTENSION__LAMBDA__ENABLE_LATENCY": "true",
                "CHAOS_EXTENSION__LAMBDA__LATENCY_PROBABILITY": "0.0000001"
            }),
            "`CHAOS_EXTENSION__LAMBDA__LATENCY_PROBABILITY` is 1e-7, which is less than the smallest share",
        ),
        (json!({ "is_enabled": true, "delay": 1, "rate": -1 }), "`rate` is -1, and not a share from 0 to 1"),
        (json!({ "latency": { "enabled": true, "percentage": 101 } }), "`percentage` is 101, and not a percentage"),
        (json!({ "latency": { "enabled": true, "min_latency": 2, "max_latency": 1 } }), "write the smaller one"),
        (json!({ "statuscode": { "enabled": true, "status_code": 99 } }), "not a whole number from 100 to 599"),
        (json!({ "actions": {} }), "nothing to import: it has no faults"),
        (json!({ "actions": { "a": { "actionId": "aws:fis:wait" } } }), "its actionId is aws:fis:wait"),
        (json!({ "actions": [] }), "unrecognized configuration; if it comes from one of fis, "),
        (json!({ "CHAOS_EXTENSION__X": "1" }), "ENABLE_LATENCY: not imported: it is not true"),
    ] {
        let wrong = outcome(&source).unwrap_err();
        assert!(wrong.contains(expected), "{source}: {wrong}");
    }
    let wrong = import(&source("chaos-lambda.json"), None, &[]).unwrap_err().to_string();
    assert!(wrong.contains("names no function; name the targets with --function NAME"), "{wrong}");
    let other_prefix = json!({ "ENABLE_LATENCY": "true", "CHAOS_LATENCY_VALUE": "hunter2", "X": "hunter2" });
    let expected = "no variable begins with CHAOS_EXTENSION__; it has CHAOS_LATENCY_VALUE, ENABLE_LATENCY; \
                    chaos-lambda-extension reads CHAOS_EXTENSION__LAMBDA__ENABLE_LATENCY, \
                    CHAOS_EXTENSION__LAMBDA__LATENCY_VALUE, CHAOS_EXTENSION__LAMBDA__LATENCY_PROBABILITY, \
                    CHAOS_EXTENSION__RESPONSE__ENABLE_CHANGE_REPONSE_BODY, CHAOS_EXTENSION__RESPONSE__DEFAULT_RESPONSE, \
                    CHAOS_EXTENSION__RESPONSE__CHANGE_RESPONSE_PROBABILITY";
    assert_eq!(import(&other_prefix, None, &[]).unwrap_err().to_string(), expected);
    let wrong = import(&json!({ "Y": "hunter2" }), Some(Format::ChaosLambdaExtension), &[]).unwrap_err().to_string();
    assert!(wrong.starts_with("no variable begins with CHAOS_EXTENSION__; it has Y; "), "{wrong}");
    let environment = json!({ "Environment": "API_KEY=hunter2" });
    let wrong = import(&environment, Some(Format::ChaosLambdaExtension), &[]).unwrap_err().to_string();
    assert_eq!(wrong, "Environment: text is not an object; write one, with names and values");
    let wrong = import(&json!([]), Some(Format::Fis), &[]).unwrap_err().to_string();
    assert_eq!(wrong, "a list is not an object; write one, with names and values");
}
