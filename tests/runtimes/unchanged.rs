//! With no fault due, a runtime and the Runtime API see of each other what they see without a proxy.

use serde_json::{Value, json};

use super::launch::{Kind, Launch};
use super::runtime_api::{Event, Received, RuntimeApi};

/// Bytes of the largest event, with which its answer is just as large: a little less than Lambda's limit of 6 MB.
const LARGE: usize = 6 * 1024 * 1024 - 100;

#[test]
fn python_is_left_alone() {
    everything_passes(Kind::Python, "function.handler", &events());
}

#[test]
fn node_js_is_left_alone() {
    everything_passes(Kind::NodeJs, "function.handler", &events());
}

#[test]
fn node_js_with_its_other_client_is_left_alone() {
    everything_passes(Kind::NodeJsAlternative, "function.handler", &events());
}

#[test]
fn rust_is_left_alone() {
    everything_passes(Kind::Rust, "function.handler", &events());
}

#[test]
fn streams_are_left_alone() {
    for kind in Kind::STREAMING {
        let mut events =
            vec![Event::new("a", &json!({ "parts": 3, "ms": 1 })), Event::new("b", &json!({ "parts": 0 }))];
        if kind != Kind::Rust {
            // Its error comes in trailers, where Rust's comes as a part.
            events.push(Event::new("c", &json!({ "parts": 2, "ms": 1, "fail": true })));
        }
        everything_passes(kind, "function.stream", &events);
    }
}

#[test]
fn a_failed_initialisation_is_left_alone() {
    for kind in [Kind::Python, Kind::NodeJs, Kind::NodeJsAlternative] {
        let seen = [Launch::direct(kind), Launch::faulty(kind, idle()[0].clone())].map(|launch| {
            let api = RuntimeApi::start();
            let mut running = launch.handler("missing.handler").start(&api);
            let error = api.wait("the error", |received| received.is("POST", "init/error"));
            if kind == Kind::Python {
                running.ended();
            }
            comparable(&error)
        });
        assert_eq!(seen[0], seen[1], "{kind:?}");
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

/// Faults that are there and never due, so that the proxy has to look at each invocation.
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
            // Not printed as a whole: one of them has 6 MB.
            assert!(
                direct == passed,
                "{kind:?}: {} {:?}, and behind the proxy {} {:?}",
                direct.0,
                direct.1,
                passed.0,
                passed.1
            );
        }
    }
}

type Comparable = (String, Vec<(String, String)>, Vec<u8>, Vec<(String, String)>);

/// Every request up to the poll behind the last answer.
fn play(launch: Launch, events: &[Event]) -> Vec<Comparable> {
    let api = RuntimeApi::start();
    let running = launch.start(&api);
    for event in events {
        api.offer(event.clone());
    }
    api.answer(&events.last().unwrap().id);
    let received = api.until_poll(events.len() + 1);
    running.stop();
    let mut played: Vec<_> = received.iter().map(comparable).collect();
    // Some ask for the next event while the end of a stream is still under way: which comes first is chance.
    played.sort_by(|one, other| one.0.cmp(&other.0));
    played
}

/// A request as it came, but for the address that the runtime knows and the proxy has taken.
fn comparable(received: &Received) -> Comparable {
    let message = received.message.clone();
    let headers = message.headers.into_iter().map(|(name, value)| {
        let value = if name.eq_ignore_ascii_case("host") { "the Runtime API".to_owned() } else { value };
        (name, value)
    });
    (message.start, headers.collect(), message.body, message.trailers)
}
