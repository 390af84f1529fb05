//! Each fault with each runtime: its effects on the Runtime API, the handler and the log.

use std::time::Duration;

use serde_json::{Value, json};

use super::http::Message;
use super::launch::{self, Kind, Launch, Running};
use super::processes;
use super::runtime_api::{Event, Received, RuntimeApi, now_ms};

#[test]
fn each_fault_works_with_python() {
    check_each_fault(Kind::Python);
}

#[test]
fn each_fault_works_with_node_js() {
    check_each_fault(Kind::NodeJs);
}

#[test]
fn each_fault_works_with_node_js_and_its_other_client() {
    check_each_fault(Kind::NodeJsAlternative);
}

#[test]
fn each_fault_works_with_rust() {
    check_each_fault(Kind::Rust);
}

#[test]
fn the_chaos_handler_injects_as_the_proxy_does() {
    for kind in Kind::WITH_HANDLER {
        let shared = |case: &Case| ["latency", "response"].iter().any(|fault| case.fault[*fault].is_object());
        let cases = delay_cases().into_iter().chain(replacement_cases()).chain(change_cases());
        // The runtime writes what a handler returns as JSON.
        for case in cases.filter(shared).filter(|case| case.fault["response"]["raw"] != "not JSON") {
            eprintln!("{kind:?}: {}", case.name);
            case.play(kind, By::Handler);
        }
        conditions_select(kind, By::Handler);
        a_qualifier_selects(kind, By::Handler);
        faults_expire(kind, By::Handler);
    }
}

/// What injects the faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Proxy,
    Handler,
}

impl By {
    fn launch(self, kind: Kind, faults: Value) -> Launch {
        match self {
            Self::Proxy => Launch::faulty(kind, faults),
            Self::Handler => Launch::chaos(kind, faults),
        }
    }

    fn launch_until(self, kind: Kind, faults: Value, until_ms: u64) -> Launch {
        let mut config = launch::config(faults);
        config["until"] = json!(until_ms);
        match self {
            Self::Proxy => Launch::configured(kind, config.to_string()),
            Self::Handler => Launch::ordered(kind, config.to_string()),
        }
    }

    /// Returns the fault that makes invocations fail.
    fn failure(self, settings: Value) -> Value {
        match self {
            Self::Proxy => json!({ "error": settings }),
            Self::Handler => json!({ "exception": settings }),
        }
    }
}

fn check_each_fault(kind: Kind) {
    for case in delay_cases().into_iter().chain(replacement_cases()).chain(change_cases()) {
        eprintln!("{kind:?}: {}", case.name);
        case.play(kind, By::Proxy);
    }
    let shared: [fn(Kind, By); 3] = [conditions_select, a_qualifier_selects, faults_expire];
    shared.iter().for_each(|play| play(kind, By::Proxy));
    let others: [fn(Kind); 4] = [the_disk_fills, init_is_slow, init_fails, the_runtime_exits];
    others.iter().for_each(|play| play(kind));
}

const MS: Duration = Duration::from_millis(1);

/// A completed invocation. Times are in milliseconds since the epoch.
struct Completed {
    offered_ms: u64,
    deadline_ms: u64,
    /// When the handler started, if it did.
    handled_ms: Option<u64>,
    result: Received,
}

impl Completed {
    fn body(&self) -> Value {
        self.result.message.json()
    }

    fn handled_ms(&self) -> u64 {
        self.handled_ms.expect("the handler did not run")
    }

    /// The time from the event to its handler.
    fn before(&self) -> Duration {
        Duration::from_millis(self.handled_ms() - self.offered_ms)
    }

    /// The time from the handler to the result.
    fn after(&self) -> Duration {
        Duration::from_millis(self.result.time_ms - self.handled_ms())
    }
}

/// A fault as in an experiment, an event, and a check of the invocation.
struct Case {
    name: &'static str,
    fault: Value,
    event: Value,
    check: fn(&Completed),
}

fn case(name: &'static str, fault: Value, event: Value, check: fn(&Completed)) -> Case {
    Case { name, fault, event, check }
}

/// Returns a response in HTTP form.
fn http_response() -> Value {
    json!({ "statusCode": 200, "headers": { "x-shop": "open", "etag": "1" }, "body": "{\"total\":12}" })
}

fn plain_event() -> Value {
    json!({ "shop": "checkout" })
}

/// Returns the settings of a fault that takes effect after the handler.
fn late(mut settings: Value) -> Value {
    settings["when"] = json!("after");
    settings
}

fn delay_cases() -> Vec<Case> {
    vec![
        case("latency", json!({ "latency": { "delayMs": 300 } }), plain_event(), |done| {
            assert!(done.before() >= 300 * MS, "{:?}", done.before());
            assert_eq!(done.body(), json!({ "shop": "checkout" }));
        }),
        case("latency, a range", json!({ "latency": { "minMs": 200, "maxMs": 250 } }), plain_event(), |done| {
            assert!(done.before() >= 200 * MS, "{:?}", done.before());
        }),
        case("latency, after", json!({ "latency": late(json!({ "delayMs": 300 })) }), plain_event(), |done| {
            assert!(done.after() >= 300 * MS, "{:?}", done.after());
            assert_eq!(done.body(), json!({ "shop": "checkout" }));
        }),
        case(
            "latency, after a failure",
            json!({ "latency": late(json!({ "delayMs": 300 })) }),
            json!({ "do": "fail" }),
            |done| {
                assert!(done.after() >= 300 * MS, "{:?}", done.after());
                assert_eq!(done.body()["errorMessage"], "the event asks for it");
            },
        ),
        case("timeout", json!({ "invocationTimeout": { "bufferMs": 59_700 } }), plain_event(), |done| {
            assert!(done.handled_ms() >= done.deadline_ms - 59_700, "{} of {}", done.handled_ms(), done.deadline_ms);
        }),
    ]
}

fn replacement_cases() -> Vec<Case> {
    let unavailable = json!({ "type": "Shop.Unavailable", "message": "closed" });
    vec![
        case("error", json!({ "error": unavailable.clone() }), plain_event(), |done| {
            assert_eq!(done.handled_ms, None, "the handler ran");
            assert_unavailable(&done.result.message);
        }),
        case("error, after", json!({ "error": late(unavailable) }), plain_event(), |done| {
            assert!(done.handled_ms.is_some(), "the handler did not run");
            assert_unavailable(&done.result.message);
        }),
        case("response", json!({ "response": { "statusCode": 503, "body": "busy" } }), plain_event(), |done| {
            assert_eq!(done.handled_ms, None, "the handler ran");
            assert!(done.result.message.start.ends_with("/response HTTP/1.1"), "{}", done.result.message.start);
            let body = done.body();
            assert_eq!((&body["statusCode"], &body["body"]), (&json!(503), &json!("busy")), "{body}");
        }),
        case("response, raw", json!({ "response": { "raw": "not JSON" } }), plain_event(), |done| {
            assert_eq!((done.handled_ms, done.result.message.text()), (None, "not JSON"));
        }),
        case("response, raw, after", json!({ "response": late(json!({ "raw": "null" })) }), plain_event(), |done| {
            assert!(done.handled_ms.is_some(), "the handler did not run");
            assert_eq!(done.result.message.text(), "null");
        }),
    ]
}

fn change_cases() -> Vec<Case> {
    vec![
        case(
            "response, after",
            json!({ "response": late(json!({ "statusCode": 404, "headers": { "X-Shop": "closed" } })) }),
            http_response(),
            |done| {
                let expected = json!({
                    "statusCode": 404, "headers": { "X-Shop": "closed", "etag": "1" }, "body": "{\"total\":12}",
                });
                assert!(done.handled_ms.is_some(), "the handler did not run");
                assert_eq!(done.body(), expected, "parts that are not given stay the handler's");
            },
        ),
        case(
            "response, after a failure",
            json!({ "response": late(json!({ "statusCode": 404 })) }),
            json!({ "do": "fail" }),
            |done| assert_eq!(done.body()["errorMessage"], "the event asks for it"),
        ),
        case("corrupt, truncated", json!({ "corrupt": { "truncateBytes": 7 } }), plain_event(), |done| {
            assert!(done.handled_ms.is_some(), "the handler did not run");
            assert_eq!(done.result.message.text().replace(' ', ""), r#"{"shop""#.get(..7).unwrap());
        }),
        case("corrupt, replaced", json!({ "corrupt": { "replace": "garbage" } }), http_response(), |done| {
            let body = done.body();
            assert_eq!((&body["body"], &body["statusCode"]), (&json!("garbage"), &json!(200)), "{body}");
        }),
        case("corrupt, mangled", json!({ "corrupt": { "mangle": true } }), http_response(), |done| {
            let body = done.body();
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

impl Case {
    /// Plays several invocations, because runtime and proxy keep their connections.
    fn play(&self, kind: Kind, by: By) {
        let api = RuntimeApi::start();
        let running = by.launch(kind, json!([self.fault])).start(&api);
        // Wait for the first poll, so that no time of the invocation passes while the runtime starts.
        api.until_poll(1);
        for id in ["first", "second", "third"] {
            (self.check)(&invoke(&api, &running, Event::new(id, &self.event)));
            // A failed handler has no response to change.
            let failed = self.event["do"] == "fail" && self.fault["response"].is_object();
            let (fault, _) = self.fault.as_object().unwrap().iter().next().unwrap();
            let expected = if failed { vec![] } else { vec![fault.clone()] };
            assert_eq!(running.reported(id), expected, "{}", self.name);
        }
        running.stop();
    }
}

fn invoke(api: &RuntimeApi, running: &Running, event: Event) -> Completed {
    let (id, deadline_ms, offered_ms) = (event.id.clone(), event.deadline_ms, now_ms());
    api.offer(event);
    let result = api.result(&id);
    Completed { offered_ms, deadline_ms, handled_ms: running.handled(&id), result }
}

fn is_error(done: &Completed) -> bool {
    done.result.message.start.ends_with("/error HTTP/1.1")
}

fn conditions_select(kind: Kind, by: By) {
    let api = RuntimeApi::start();
    let conditions = json!([{ "path": "shop.0.name", "regex": "^check" }, { "path": "vip", "exists": false }]);
    let running = by.launch(kind, json!([by.failure(json!({ "match": conditions }))])).start(&api);
    for (id, event, triggered) in [
        ("one", json!({ "shop": [{ "name": "checkout" }] }), true),
        ("two", json!({ "shop": [{ "name": "search" }] }), false),
        ("three", json!({ "shop": [{ "name": "checkout" }], "vip": 1 }), false),
        ("four", json!({ "shop": [{ "name": "checkout" }] }), true),
    ] {
        let done = invoke(&api, &running, Event::new(id, &event));
        assert_eq!((is_error(&done), done.handled_ms.is_some()), (triggered, !triggered), "{kind:?}: {event}");
        assert!(triggered || done.body() == event, "{kind:?}: an event that was checked has changed");
    }
    running.stop();
}

fn a_qualifier_selects(kind: Kind, by: By) {
    let api = RuntimeApi::start();
    let running = by.launch(kind, json!([by.failure(json!({ "qualifier": "blue" }))])).start(&api);
    for (id, qualifier, triggered) in [("one", ":blue", true), ("two", ":green", false), ("three", "", false)] {
        let mut event = Event::new(id, &json!({}));
        event.arn.push_str(qualifier);
        assert_eq!(is_error(&invoke(&api, &running, event)), triggered, "{kind:?}: {qualifier}");
    }
    running.stop();
}

/// A delayed event continues when the faults expire, and later ones pass.
fn faults_expire(kind: Kind, by: By) {
    let api = RuntimeApi::start();
    let until_ms = now_ms() + 4_000;
    let faults = json!([{ "latency": { "delayMs": 60_000 } }, by.failure(json!({ "when": "after" }))]);
    let running = by.launch_until(kind, faults, until_ms).start(&api);
    let done = invoke(&api, &running, Event::new("in-progress", &json!({})));
    assert!(done.handled_ms() >= until_ms, "{kind:?}: the delay ended before the faults");
    assert!(!is_error(&done), "{kind:?}: an error was injected after the expiry");
    let done = invoke(&api, &running, Event::new("later", &json!({ "shop": 1 })));
    assert_eq!(done.body(), json!({ "shop": 1 }), "{kind:?}");
    assert_eq!(running.reported("later"), [""; 0], "{kind:?}");
    running.stop();
}

fn the_disk_fills(kind: Kind) {
    const MEGABYTES: u64 = 48;
    let api = RuntimeApi::start();
    let mut running = Launch::faulty(kind, json!([{ "disk": { "megabytes": MEGABYTES } }])).start(&api);
    for id in ["one", "two"] {
        api.offer(Event::new(id, &json!({ "do": "wait", "ms": 1_000 })));
        running.eventually("the handler", |running| running.handled(id));
        let proxy = processes::proxy(running.leader()).expect("there is no proxy");
        // The file system also counts its own blocks, so there can be more bytes.
        let taken = processes::bytes_in_unnamed_files(proxy);
        assert!(taken >= MEGABYTES << 20, "{kind:?}: {taken} bytes while the handler runs");
        assert_eq!(api.result(id).message.json()["do"], "wait");
        assert_eq!(processes::bytes_in_unnamed_files(proxy), 0, "{kind:?}: space is still taken after the result");
        assert_eq!(running.reported(id), ["disk"]);
    }
    running.stop();
}

fn init_is_slow(kind: Kind) {
    let api = RuntimeApi::start();
    let running = Launch::faulty(kind, json!([{ "init": { "delayMs": 500 } }])).start(&api);
    let first = api.wait("the first poll", |received| received.is("GET", "invocation/next"));
    assert!(first.at.duration_since(running.began) >= 500 * MS, "{kind:?}");
    let done = invoke(&api, &running, Event::new("one", &json!({ "shop": 1 })));
    assert_eq!(done.body(), json!({ "shop": 1 }), "{kind:?}");
    assert_eq!(
        processes::group(running.leader()),
        [running.leader()],
        "{kind:?}: there is a proxy without faults to inject"
    );
    running.stop();
}

fn init_fails(kind: Kind) {
    let api = RuntimeApi::start();
    let failure = json!({ "type": "Shop.NoStart", "message": "no" });
    let mut running = Launch::faulty(kind, json!([{ "init": { "fail": failure } }])).start(&api);
    assert!(!running.wait_for_end().success(), "{kind:?}");
    let received = api.received();
    let starts: Vec<_> = received.iter().map(|received| received.message.start.as_str()).collect();
    assert_eq!(starts, ["POST /2018-06-01/runtime/init/error HTTP/1.1"], "{kind:?}");
    let error = &received[0].message;
    assert_eq!(error.header("Lambda-Runtime-Function-Error-Type"), Some("Shop.NoStart"));
    assert_eq!((&error.json()["errorType"], &error.json()["errorMessage"]), (&json!("Shop.NoStart"), &json!("no")));
}

/// The runtime is killed while its handler runs, or when it posts the result, which is never sent. The next runtime
/// works.
fn the_runtime_exits(kind: Kind) {
    let api = RuntimeApi::start();
    for (id, delay, event) in
        [("while-it-runs", 1_000, json!({ "do": "wait", "ms": 60_000 })), ("with-its-result", 30_000, json!({}))]
    {
        let fault = json!([{ "exit": { "delayMs": delay, "match": [{ "path": "well", "exists": false }] } }]);
        let mut running = Launch::faulty(kind, fault.clone()).start(&api);
        api.offer(Event::new(id, &event));
        let status = running.wait_for_end();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{kind:?}: {id}");
        assert!(running.handled(id).is_some(), "{kind:?}: {id}: the handler did not run");
        assert_eq!(running.reported(id), ["exit"], "{kind:?}");
        assert!(
            !api.received().iter().any(|received| received.message.start.contains(id)),
            "{kind:?}: a result was sent"
        );
        let next = Launch::faulty(kind, fault).start(&api);
        let well = format!("well-after-{id}");
        let done = invoke(&api, &next, Event::new(&well, &json!({ "well": true })));
        assert_eq!(done.body(), json!({ "well": true }), "{kind:?}");
        next.stop();
    }
}
