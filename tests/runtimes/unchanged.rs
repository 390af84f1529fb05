//! While no fault is triggered, a runtime and the Runtime API exchange the same messages as without a proxy.

use serde_json::{Value, json};

use super::launch::{Kind, Launch};
use super::runtime_api::{Event, Received, RuntimeApi};

/// Bytes of the largest event and its response: a little less than Lambda's limit of 6 MB.
const LARGE: usize = 6 * 1024 * 1024 - 100;

#[test]
fn messages_of_python_pass_unchanged() {
    everything_passes(Kind::Python, "function.handler", &events());
}

#[test]
fn messages_of_node_js_pass_unchanged() {
    everything_passes(Kind::NodeJs, "function.handler", &events());
}

#[test]
fn messages_of_node_js_with_its_other_client_pass_unchanged() {
    everything_passes(Kind::NodeJsAlternative, "function.handler", &events());
}

#[test]
fn messages_of_rust_pass_unchanged() {
    everything_passes(Kind::Rust, "function.handler", &events());
}

#[test]
fn streams_pass_unchanged() {
    for kind in Kind::STREAMING {
        let mut events =
            vec![Event::new("a", &json!({ "parts": 3, "ms": 1 })), Event::new("b", &json!({ "parts": 0 }))];
        if kind != Kind::Rust {
            // These runtimes report an error in trailers. Rust's sends it as a part.
            events.push(Event::new("c", &json!({ "parts": 2, "ms": 1, "fail": true })));
        }
        everything_passes(kind, "function.stream", &events);
    }
}

#[test]
fn a_failed_initialization_passes_unchanged() {
    for kind in [Kind::Python, Kind::NodeJs, Kind::NodeJsAlternative] {
        let errors = [Launch::direct(kind), Launch::faulty(kind, idle()[0].clone())].map(|launch| {
            let api = RuntimeApi::start();
            let mut running = launch.handler("missing.handler").start(&api);
            let error = api.wait("the error", |received| received.is("POST", "init/error"));
            if kind == Kind::Python {
                running.wait_for_end();
            }
            comparable(&error)
        });
        assert_eq!(errors[0], errors[1], "{kind:?}");
    }
}

fn events() -> Vec<Event> {
    let filler = "0123456789abcdef".repeat(LARGE / 16 - 1);
    vec![
        Event::new("plain", &json!({ "text": "ü 𐍈 \u{0} \\", "number": 1.5, "list": [true, null, {}] })),
        Event::new("empty", &json!("")),
        Event::new("http", &json!({ "statusCode": 200, "body": "iVBORw0KGgo=", "isBase64Encoded": true })),
        Event::new("fails", &json!({ "do": "fail" })),
        Event::new("described", &json!({ "do": "describe" })),
        Event::new("large", &json!({ "filler": filler })),
        Event::new("plain-again", &json!({})),
    ]
}

/// Returns faults that are never triggered, but make the proxy check each invocation.
fn idle() -> [Value; 2] {
    let never = json!({ "path": "never", "equals": true });
    [
        json!([
            { "latency": { "delayMs": 60_000, "percentage": 0 } },
            { "error": { "percentage": 0 } },
            { "exit": { "percentage": 0 } },
        ]),
        json!([
            { "response": { "statusCode": 503, "match": [never] } },
            { "corrupt": { "mangle": true, "match": [never] } },
            { "disk": { "megabytes": 1, "qualifier": "blue" } },
        ]),
    ]
}

fn everything_passes(kind: Kind, handler: &'static str, events: &[Event]) {
    let direct = play(Launch::direct(kind).handler(handler), events);
    assert_eq!(direct.iter().filter(|(start, ..)| start.starts_with("POST ")).count(), events.len());
    for faults in idle() {
        let passed = play(Launch::faulty(kind, faults).handler(handler), events);
        let starts = |played: &[Comparable]| played.iter().map(|(start, ..)| start.clone()).collect::<Vec<_>>();
        assert_eq!(starts(&direct), starts(&passed), "{kind:?}");
        for (direct, passed) in direct.iter().zip(&passed) {
            // Print only the heads: one body has 6 MB.
            assert!(
                direct == passed,
                "{kind:?}: {} {:?} without the proxy, {} {:?} with it",
                direct.0,
                direct.1,
                passed.0,
                passed.1
            );
        }
    }
}

type Comparable = (String, Vec<(String, String)>, Vec<u8>, Vec<(String, String)>);

/// Plays the events, and returns all requests up to the poll after the last result.
fn play(launch: Launch, events: &[Event]) -> Vec<Comparable> {
    let api = RuntimeApi::start();
    let running = launch.start(&api);
    for event in events {
        api.offer(event.clone());
    }
    api.result(&events.last().unwrap().id);
    let received = api.until_poll(events.len() + 1);
    running.stop();
    let mut played: Vec<_> = received.iter().map(comparable).collect();
    // Some runtimes poll while the end of a stream is still in transit, so the order is random.
    played.sort_by(|one, other| one.0.cmp(&other.0));
    played
}

/// Returns a request as it arrived, without the address of the Runtime API, which differs with the proxy.
fn comparable(received: &Received) -> Comparable {
    let message = received.message.clone();
    let headers = message.headers.into_iter().map(|(name, value)| {
        let value = if name.eq_ignore_ascii_case("host") { "the Runtime API".to_owned() } else { value };
        (name, value)
    });
    (message.start, headers.collect(), message.body, message.trailers)
}
