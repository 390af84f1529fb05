//! Streamed responses of the runtimes that stream: their parts pass as they are sent, and have faults.

use std::time::Duration;

use serde_json::{Value, json};

use super::launch::{Kind, Launch};
use super::runtime_api::{Event, Received, RuntimeApi};

const MODE: &str = "Lambda-Runtime-Function-Response-Mode";
/// The text that the function streams.
const WHOLE: &str = "part 1\npart 2\npart 3\n";

/// Returns the result of one invocation, the faults that were reported for it, and whether its handler ran.
fn invoke(kind: Kind, faults: Value) -> (Received, Vec<String>, bool) {
    let api = RuntimeApi::start();
    let running = Launch::faulty(kind, faults).handler("function.stream").start(&api);
    api.offer(Event::new("one", &json!({ "parts": 3, "ms": 300 })));
    let result = api.result("one");
    let (reported, handled) = (running.reported("one"), running.handled("one").is_some());
    running.stop();
    (result, reported, handled)
}

/// Returns the parts without the head that Rust's runtime sends before them.
fn parts(result: &Received) -> &str {
    let text = result.message.text();
    text.find("part 1").map_or(text, |at| &text[at..])
}

#[test]
fn parts_pass_as_they_are_sent() {
    for kind in Kind::STREAMING {
        // The fault before the handler makes the proxy handle this invocation.
        let (result, reported, _) = invoke(kind, json!([{ "latency": { "delayMs": 100 } }]));
        let message = &result.message;
        assert_eq!((message.header(MODE), parts(&result)), (Some("streaming"), WHOLE), "{kind:?}");
        let (first, last) = (message.parts.first().unwrap(), message.parts.last().unwrap());
        assert!(
            last.duration_since(*first) >= Duration::from_millis(300),
            "{kind:?}: the proxy has held the parts until the last one"
        );
        assert_eq!(reported, ["latency"], "{kind:?}");
    }
}

#[test]
fn the_trailers_of_a_failed_stream_pass() {
    for kind in [Kind::NodeJs, Kind::NodeJsAlternative] {
        let api = RuntimeApi::start();
        let running =
            Launch::faulty(kind, json!([{ "error": { "percentage": 0 } }])).handler("function.stream").start(&api);
        api.offer(Event::new("one", &json!({ "parts": 2, "ms": 1, "fail": true })));
        let result = api.result("one");
        assert_eq!(parts(&result), "part 1\n", "{kind:?}");
        assert_eq!(result.message.trailer("Lambda-Runtime-Function-Error-Type"), Some("RangeError"), "{kind:?}");
        assert!(result.message.trailer("Lambda-Runtime-Function-Error-Body").is_some(), "{kind:?}");
        running.stop();
    }
}

#[test]
fn a_replaced_stream_is_no_longer_a_stream() {
    for kind in Kind::STREAMING {
        let (result, reported, handled) =
            invoke(kind, json!([{ "response": { "statusCode": 503, "body": "busy", "when": "after" } }]));
        assert_eq!((result.message.header(MODE), handled), (None, true), "{kind:?}: it is still a stream");
        assert_eq!(result.message.json()["statusCode"], 503, "{kind:?}");
        assert_eq!(reported, ["response"], "{kind:?}");

        let (result, reported, handled) = invoke(kind, json!([{ "error": { "when": "after" } }]));
        assert!(result.is("POST", "invocation/one/error") && handled, "{kind:?}: {}", result.message.start);
        assert_eq!((result.message.header(MODE), reported), (None, vec!["error".to_owned()]), "{kind:?}");
    }
}

#[test]
fn a_damaged_stream_keeps_its_head() {
    for kind in Kind::STREAMING {
        let (result, reported, _) = invoke(kind, json!([{ "corrupt": { "truncateBytes": 9 } }]));
        assert_eq!((result.message.header(MODE), parts(&result)), (Some("streaming"), "part 1\npa"), "{kind:?}");
        assert_eq!(reported, ["corrupt"], "{kind:?}");
    }
}
