//! Streamed answers, through the runtimes that stream: parts pass as they come, and faults on them.

use serde_json::{Value, json};

use super::launch::{Kind, Launch};
use super::runtime_api::{Event, Received, RuntimeApi};

const MODE: &str = "Lambda-Runtime-Function-Response-Mode";
/// What the function streams.
const WHOLE: &str = "part 1\npart 2\npart 3\n";

fn invoke(kind: Kind, faults: Value) -> (Received, Vec<String>, bool) {
    let api = RuntimeApi::start();
    let running = Launch::faulty(kind, faults).handler("function.stream").start(&api);
    api.offer(Event::new("one", &json!({ "parts": 3, "ms": 300 })));
    let answer = api.answer("one");
    let seen = (running.reported("one"), running.handled("one").is_some());
    running.stop();
    (answer, seen.0, seen.1)
}

/// Rust's runtime puts a head before the parts.
fn parts(answer: &Received) -> &str {
    let text = answer.message.text();
    text.find("part 1").map_or(text, |at| &text[at..])
}

#[test]
fn parts_pass_as_they_come() {
    for kind in Kind::STREAMING {
        // A fault that is due before the handler, so that the proxy has had to do with this invocation.
        let (answer, reported, _) = invoke(kind, json!([{ "latency": { "delayMs": 100 } }]));
        let message = &answer.message;
        assert_eq!((message.header(MODE), parts(&answer)), (Some("streaming"), WHOLE), "{kind:?}");
        let (first, last) = (message.parts.first().unwrap(), message.parts.last().unwrap());
        assert!(last.duration_since(*first).as_millis() >= 300, "{kind:?}: not held until the last one is there");
        assert_eq!(reported, ["latency"], "{kind:?}");
    }
}

#[test]
fn trailers_say_that_a_stream_has_failed() {
    for kind in [Kind::NodeJs, Kind::NodeJsAlternative] {
        let api = RuntimeApi::start();
        let running =
            Launch::faulty(kind, json!([{ "error": { "percentage": 0 } }])).handler("function.stream").start(&api);
        api.offer(Event::new("one", &json!({ "parts": 2, "ms": 1, "fail": true })));
        let answer = api.answer("one");
        assert_eq!(parts(&answer), "part 1\n", "{kind:?}");
        assert_eq!(answer.message.trailer("Lambda-Runtime-Function-Error-Type"), Some("RangeError"), "{kind:?}");
        assert!(answer.message.trailer("Lambda-Runtime-Function-Error-Body").is_some(), "{kind:?}");
        running.stop();
    }
}

#[test]
fn an_answer_of_another_kind_takes_their_place() {
    for kind in Kind::STREAMING {
        let (answer, reported, handled) =
            invoke(kind, json!([{ "response": { "statusCode": 503, "body": "busy", "when": "after" } }]));
        assert_eq!((answer.message.header(MODE), handled), (None, true), "{kind:?}: it is no stream any more");
        assert_eq!(answer.message.json()["statusCode"], 503, "{kind:?}");
        assert_eq!(reported, ["response"], "{kind:?}");

        let (answer, reported, handled) = invoke(kind, json!([{ "error": { "when": "after" } }]));
        assert!(answer.is("POST", "invocation/one/error") && handled, "{kind:?}: {}", answer.message.start);
        assert_eq!((answer.message.header(MODE), reported), (None, vec!["error".to_owned()]), "{kind:?}");
    }
}

#[test]
fn a_damaged_stream_keeps_its_head() {
    for kind in Kind::STREAMING {
        let (answer, reported, _) = invoke(kind, json!([{ "corrupt": { "truncateBytes": 9 } }]));
        assert_eq!((answer.message.header(MODE), parts(&answer)), (Some("streaming"), "part 1\npa"), "{kind:?}");
        assert_eq!(reported, ["corrupt"], "{kind:?}");
    }
}
