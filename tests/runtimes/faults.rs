//! Each fault through each runtime: one row each, and what the Runtime API, the handler and the log see of it.

use serde_json::{Value, json};

use super::http::Message;
use super::launch::{Kind, Launch, Running};
use super::processes;
use super::runtime_api::{Event, Received, RuntimeApi, now};

#[test]
fn each_through_python() {
    each_through(Kind::Python);
}

#[test]
fn each_through_node_js() {
    each_through(Kind::NodeJs);
}

#[test]
fn each_through_node_js_with_its_other_client() {
    each_through(Kind::NodeJsAlternative);
}

#[test]
fn each_through_rust() {
    each_through(Kind::Rust);
}

fn each_through(kind: Kind) {
    for row in rows() {
        eprintln!("{kind:?}: {}", row.name);
        row.play(kind);
    }
    let others: [fn(Kind); 7] =
        [match_holds, qualifier_holds, until_is_past, disk_is_full, init_is_slow, init_fails, the_runtime_exits];
    others.iter().for_each(|play| play(kind));
}

/// An invocation, over.
struct Seen {
    /// Milliseconds since the epoch: when the event was there, and when its handler got it, if it did.
    offered: u64,
    deadline: u64,
    handled: Option<u64>,
    answer: Received,
}

impl Seen {
    fn body(&self) -> Value {
        self.answer.message.json()
    }

    /// Milliseconds from the event to its handler.
    fn before(&self) -> u64 {
        self.handled.expect("the handler runs") - self.offered
    }

    /// Milliseconds from the handler to the answer.
    fn after(&self) -> u64 {
        self.answer.time - self.handled.expect("the handler runs")
    }
}

/// One fault, in the experiment's words, on an event, and what has to come of it.
struct Row {
    name: &'static str,
    fault: Value,
    event: Value,
    check: fn(&Seen),
}

fn row(name: &'static str, fault: Value, event: Value, check: fn(&Seen)) -> Row {
    Row { name, fault, event, check }
}

/// An answer for an HTTP caller.
fn http_answer() -> Value {
    json!({ "statusCode": 200, "headers": { "x-shop": "open", "etag": "1" }, "body": "{\"total\":12}" })
}

fn rows() -> Vec<Row> {
    let plain = json!({ "shop": "checkout" });
    let unavailable = json!({ "type": "Shop.Unavailable", "message": "closed" });
    let late = |mut fault: Value| {
        fault["when"] = json!("after");
        fault
    };
    vec![
        row("latency", json!({ "latency": { "delayMs": 300 } }), plain.clone(), |seen| {
            assert!(seen.before() >= 300, "{}", seen.before());
            assert_eq!(seen.body(), json!({ "shop": "checkout" }));
        }),
        row("latency, a range", json!({ "latency": { "minMs": 200, "maxMs": 250 } }), plain.clone(), |seen| {
            assert!(seen.before() >= 200, "{}", seen.before());
        }),
        row("latency, after", json!({ "latency": late(json!({ "delayMs": 300 })) }), plain.clone(), |seen| {
            assert!(seen.after() >= 300, "{}", seen.after());
            assert_eq!(seen.body(), json!({ "shop": "checkout" }));
        }),
        row(
            "latency, after a failure",
            json!({ "latency": late(json!({ "delayMs": 300 })) }),
            json!({ "do": "fail" }),
            |seen| {
                assert!(seen.after() >= 300, "{}", seen.after());
                assert_eq!(seen.body()["errorMessage"], "the event says so");
            },
        ),
        row("timeout", json!({ "invocationTimeout": { "bufferMs": 59_700 } }), plain.clone(), |seen| {
            let handled = seen.handled.expect("the handler runs");
            assert!(handled >= seen.deadline - 59_700, "{handled} of {}", seen.deadline);
        }),
        row("error", json!({ "error": unavailable }), plain.clone(), |seen| {
            assert_eq!(seen.handled, None, "the handler does not run");
            assert_unavailable(&seen.answer.message);
        }),
        row("error, after", json!({ "error": late(unavailable) }), plain.clone(), |seen| {
            assert!(seen.handled.is_some(), "the handler runs");
            assert_unavailable(&seen.answer.message);
        }),
        row("response", json!({ "response": { "statusCode": 503, "body": "busy" } }), plain.clone(), |seen| {
            assert_eq!(seen.handled, None, "the handler does not run");
            assert!(seen.answer.message.start.ends_with("/response HTTP/1.1"), "{}", seen.answer.message.start);
            let body = seen.body();
            assert_eq!((&body["statusCode"], &body["body"]), (&json!(503), &json!("busy")), "{body}");
        }),
        row("response, raw", json!({ "response": { "raw": "not JSON" } }), plain.clone(), |seen| {
            assert_eq!((seen.handled, seen.answer.message.text()), (None, "not JSON"));
        }),
        row("response, raw, after", json!({ "response": late(json!({ "raw": "null" })) }), plain.clone(), |seen| {
            assert!(seen.handled.is_some(), "the handler runs");
            assert_eq!(seen.answer.message.text(), "null");
        }),
        row(
            "response, after",
            json!({ "response": late(json!({ "statusCode": 404, "headers": { "X-Shop": "closed" } })) }),
            http_answer(),
            |seen| {
                let expected = json!({
                    "statusCode": 404, "headers": { "X-Shop": "closed", "etag": "1" }, "body": "{\"total\":12}",
                });
                assert!(seen.handled.is_some(), "the handler runs");
                assert_eq!(seen.body(), expected, "what is not given stays the handler's");
            },
        ),
        row(
            "response, after a failure",
            json!({ "response": late(json!({ "statusCode": 404 })) }),
            json!({ "do": "fail" }),
            |seen| assert_eq!(seen.body()["errorMessage"], "the event says so"),
        ),
        row("corrupt, cut off", json!({ "corrupt": { "truncateBytes": 7 } }), plain.clone(), |seen| {
            assert!(seen.handled.is_some(), "the handler runs");
            assert_eq!(seen.answer.message.text().replace(' ', ""), r#"{"shop""#.get(..7).unwrap());
        }),
        row("corrupt, replaced", json!({ "corrupt": { "replace": "garbage" } }), http_answer(), |seen| {
            let body = seen.body();
            assert_eq!((&body["body"], &body["statusCode"]), (&json!("garbage"), &json!(200)), "{body}");
        }),
        row("corrupt, mangled", json!({ "corrupt": { "mangle": true } }), http_answer(), |seen| {
            let body = seen.body();
            let inner: Value = serde_json::from_str(body["body"].as_str().unwrap()).unwrap();
            assert!(inner["total"].is_i64() && inner["total"] != 12, "{body}");
            assert_eq!(body["statusCode"], 200, "{body}");
        }),
    ]
}

fn assert_unavailable(message: &Message) {
    assert!(message.start.ends_with("/error HTTP/1.1"), "{}", message.start);
    assert_eq!(message.header("Lambda-Runtime-Function-Error-Type"), Some("Shop.Unavailable"));
    let body = message.json();
    assert_eq!((&body["errorType"], &body["errorMessage"]), (&json!("Shop.Unavailable"), &json!("closed")));
}

impl Row {
    /// More than once, as the runtime and the proxy go on with what they have.
    fn play(&self, kind: Kind) {
        let api = RuntimeApi::start();
        let running = Launch::faulty(kind, json!([self.fault])).start(&api);
        // An invocation's time does not pass while its runtime starts.
        api.until_poll(1);
        for id in ["first", "second", "third"] {
            (self.check)(&invoke(&api, &running, Event::new(id, &self.event)));
            // A handler that has failed has no answer to change.
            let failed = self.event["do"] == "fail" && self.fault["response"].is_object();
            let (fault, _) = self.fault.as_object().unwrap().iter().next().unwrap();
            let expected = if failed { vec![] } else { vec![fault.clone()] };
            assert_eq!(running.reported(id), expected, "{}", self.name);
        }
        running.stop();
    }
}

fn invoke(api: &RuntimeApi, running: &Running, event: Event) -> Seen {
    let (id, deadline, offered) = (event.id.clone(), event.deadline, now());
    api.offer(event);
    let answer = api.answer(&id);
    Seen { offered, deadline, handled: running.handled(&id), answer }
}

fn is_error(seen: &Seen) -> bool {
    seen.answer.message.start.ends_with("/error HTTP/1.1")
}

fn match_holds(kind: Kind) {
    let api = RuntimeApi::start();
    let conditions = json!([{ "path": "shop.0.name", "regex": "^check" }, { "path": "vip", "exists": false }]);
    let running = Launch::faulty(kind, json!([{ "error": { "match": conditions } }])).start(&api);
    for (id, event, due) in [
        ("one", json!({ "shop": [{ "name": "checkout" }] }), true),
        ("two", json!({ "shop": [{ "name": "search" }] }), false),
        ("three", json!({ "shop": [{ "name": "checkout" }], "vip": 1 }), false),
        ("four", json!({ "shop": [{ "name": "checkout" }] }), true),
    ] {
        let seen = invoke(&api, &running, Event::new(id, &event));
        assert_eq!((is_error(&seen), seen.handled.is_some()), (due, !due), "{kind:?}: {event}");
        assert!(due || seen.body() == event, "{kind:?}: what was looked into passes all the same");
    }
    running.stop();
}

fn qualifier_holds(kind: Kind) {
    let api = RuntimeApi::start();
    let running = Launch::faulty(kind, json!([{ "error": { "qualifier": "blue" } }])).start(&api);
    for (id, qualifier, due) in [("one", ":blue", true), ("two", ":green", false), ("three", "", false)] {
        let mut event = Event::new(id, &json!({}));
        event.arn.push_str(qualifier);
        assert_eq!(is_error(&invoke(&api, &running, event)), due, "{kind:?}: {qualifier}");
    }
    running.stop();
}

/// What is under way then goes on at once, and what comes after it passes.
fn until_is_past(kind: Kind) {
    let api = RuntimeApi::start();
    let until = now() + 4_000;
    let faults = json!([{ "latency": { "delayMs": 60_000 } }, { "error": { "when": "after" } }]);
    let running = Launch::faulty_until(kind, faults, until).start(&api);
    let seen = invoke(&api, &running, Event::new("under-way", &json!({})));
    assert!(seen.handled.unwrap() >= until, "{kind:?}: kept until the faults are over");
    assert!(!is_error(&seen), "{kind:?}: and not an injected error behind that");
    let seen = invoke(&api, &running, Event::new("after-it", &json!({ "shop": 1 })));
    assert_eq!(seen.body(), json!({ "shop": 1 }), "{kind:?}");
    assert_eq!(running.reported("after-it"), [""; 0], "{kind:?}");
    running.stop();
}

fn disk_is_full(kind: Kind) {
    const MEGABYTES: u64 = 48;
    let api = RuntimeApi::start();
    let mut running = Launch::faulty(kind, json!([{ "disk": { "megabytes": MEGABYTES } }])).start(&api);
    for id in ["one", "two"] {
        api.offer(Event::new(id, &json!({ "do": "wait", "ms": 1_000 })));
        running.eventually("the handler", |running| running.handled(id));
        let proxy = processes::proxy(running.leader()).expect("the proxy runs");
        // The file system counts what it needs for itself, too.
        let held = processes::held_without_a_name(proxy);
        assert!(held >= MEGABYTES << 20, "{kind:?}: {held} bytes while the handler runs");
        assert_eq!(api.answer(id).message.json()["do"], "wait");
        assert_eq!(processes::held_without_a_name(proxy), 0, "{kind:?}: nothing when it has answered");
        assert_eq!(running.reported(id), ["disk"]);
    }
    running.stop();
}

fn init_is_slow(kind: Kind) {
    let api = RuntimeApi::start();
    let running = Launch::faulty(kind, json!([{ "init": { "delayMs": 500 } }])).start(&api);
    let first = api.wait("the first poll", |received| received.is("GET", "invocation/next"));
    assert!(first.at.duration_since(running.began).as_millis() >= 500, "{kind:?}");
    let seen = invoke(&api, &running, Event::new("one", &json!({ "shop": 1 })));
    assert_eq!(seen.body(), json!({ "shop": 1 }), "{kind:?}");
    assert_eq!(processes::group(running.leader()), [running.leader()], "{kind:?}: nothing is left to inject");
    running.stop();
}

fn init_fails(kind: Kind) {
    let api = RuntimeApi::start();
    let failure = json!({ "type": "Shop.NoStart", "message": "no" });
    let mut running = Launch::faulty(kind, json!([{ "init": { "fail": failure } }])).start(&api);
    assert!(!running.ended().success(), "{kind:?}");
    let received = api.received();
    let starts: Vec<_> = received.iter().map(|received| received.message.start.as_str()).collect();
    assert_eq!(starts, ["POST /2018-06-01/runtime/init/error HTTP/1.1"], "{kind:?}");
    let error = &received[0].message;
    assert_eq!(error.header("Lambda-Runtime-Function-Error-Type"), Some("Shop.NoStart"));
    assert_eq!((&error.json()["errorType"], &error.json()["errorMessage"]), (&json!("Shop.NoStart"), &json!("no")));
}

/// While its handler runs, or when that has answered: the answer never gets out. The next runtime goes on.
fn the_runtime_exits(kind: Kind) {
    let api = RuntimeApi::start();
    for (id, delay, event) in
        [("while-it-runs", 1_000, json!({ "do": "wait", "ms": 60_000 })), ("when-it-has-answered", 30_000, json!({}))]
    {
        let fault = json!([{ "exit": { "delayMs": delay, "match": [{ "path": "well", "exists": false }] } }]);
        let mut running = Launch::faulty(kind, fault.clone()).start(&api);
        api.offer(Event::new(id, &event));
        let status = running.ended();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{kind:?}: {id}");
        assert!(running.handled(id).is_some(), "{kind:?}: {id}: the handler has run");
        assert_eq!(running.reported(id), ["exit"], "{kind:?}");
        assert!(!api.received().iter().any(|received| received.message.start.contains(id)), "{kind:?}: no answer");
        let next = Launch::faulty(kind, fault).start(&api);
        let well = format!("well-after-{id}");
        let seen = invoke(&api, &next, Event::new(&well, &json!({ "well": true })));
        assert_eq!(seen.body(), json!({ "well": true }), "{kind:?}");
        next.stop();
    }
}
