//! The chaos handler on every version of Python and Node.js that `make tools-versions` has found or installed.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::http::Message;
use super::launch::{Kind, Launch, Running, tool};
use super::runtime_api::{Event, RuntimeApi};

/// A version of a runtime, with the command that starts it except for the handler.
struct Version {
    kind: Kind,
    name: String,
    number: u32,
    program: Vec<PathBuf>,
}

/// The last version whose runtime knows callbacks.
const LAST_WITH_CALLBACKS: u32 = 22;

impl Version {
    fn chaos(&self, faults: Value) -> Launch {
        Launch::chaos(self.kind, faults).on(&self.program)
    }

    /// Returns the result of each event, and the output.
    fn invoke(&self, launch: &Launch, events: &[Value]) -> (Vec<Message>, String) {
        let api = RuntimeApi::start();
        let running = launch.start(&api);
        let results = events.iter().enumerate().map(|(at, event)| {
            let id = format!("{}-{at}", self.number);
            api.offer(Event::new(&id, event));
            api.result(&id).message
        });
        let results = results.collect();
        let output = running.output();
        running.stop();
        (results, output)
    }
}

/// Returns the versions in a folder of tools, by the numbers after `prefix`.
fn versions(kind: Kind, folder: &str, prefix: &str, program: impl Fn(u32, PathBuf) -> Vec<PathBuf>) -> Vec<Version> {
    let listed = std::fs::read_dir(tool(folder)).unwrap();
    let names = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let numbers = names.filter_map(|name| name.strip_prefix(prefix)?.parse().ok());
    let mut found: Vec<Version> = numbers
        .map(|number| {
            let home = tool(folder).join(format!("{prefix}{number}"));
            Version { kind, name: format!("{kind:?} {prefix}{number}"), number, program: program(number, home) }
        })
        .collect();
    found.sort_by_key(|version| version.number);
    found
}

fn pythons() -> Vec<Version> {
    let command = |_, home: PathBuf| vec![home.join("bin/python"), "-m".into(), "awslambdaric".into()];
    versions(Kind::Python, "pythons", "3.", command)
}

fn nodes() -> Vec<Version> {
    let client = |number| {
        if number <= LAST_WITH_CALLBACKS {
            tool("node/node_modules/aws-lambda-ric/bin/index.mjs")
        } else {
            tool("ric/node_modules/aws-lambda-ric/index.mjs")
        }
    };
    let mut found = versions(Kind::NodeJs, "nodes", "", |number, home| vec![home.join("bin/node"), client(number)]);
    // The usual one is installed from a wheel.
    let program = vec![tool("nodejs/bin/node"), client(24)];
    found.push(Version { kind: Kind::NodeJs, name: "NodeJs 24".into(), number: 24, program });
    found
}

/// Plays a test on every version, two at the same time, because the machine may have two cores.
fn on_each(found: &[Version], play: fn(&Version)) {
    let names: Vec<&str> = found.iter().map(|version| version.name.as_str()).collect();
    println!("versions: {}", names.join(", "));
    assert!(!found.is_empty());
    for two in found.chunks(2) {
        std::thread::scope(|scope| two.iter().for_each(|version| drop(scope.spawn(|| play(version)))));
    }
}

fn is_error(message: &Message) -> bool {
    message.start.ends_with("/error HTTP/1.1")
}

/// One fault of each kind, before and after the handler. The event selects it by name.
fn each_fault() -> (Value, Vec<Value>) {
    let selected = |name: &str, mut settings: Value| {
        settings["match"] = json!([{ "path": "fault", "equals": name }]);
        settings
    };
    let exception = json!({ "type": "OutOfStock", "message": "none left" });
    let late = json!({ "type": "OutOfStock", "message": "none left", "when": "after" });
    let faults = json!([
        { "exception": selected("exception", exception) },
        { "exception": selected("late exception", late) },
        { "latency": selected("latency", json!({ "delayMs": 5 })) },
        { "latency": selected("late latency", json!({ "delayMs": 5, "when": "after" })) },
        { "response": selected("response", json!({ "statusCode": 503 })) },
        { "response": selected("late response", json!({ "raw": "[]", "when": "after" })) },
    ]);
    let names = ["none", "latency", "late latency", "exception", "late exception", "response", "late response", "none"];
    (faults, names.map(|name| json!({ "fault": name })).into())
}

fn each_fault_is_injected(version: &Version) {
    let name = &version.name;
    let (faults, events) = each_fault();
    let (results, output) = version.invoke(&version.chaos(faults).handler("guarded.handler"), &events);
    let [first, latency, late_latency, exception, late_exception, response, late_response, last] = &results[..] else {
        panic!("{name}: {results:?}");
    };
    for (message, event) in [(first, &events[0]), (latency, &events[1]), (late_latency, &events[2]), (last, &events[7])]
    {
        assert_eq!(&message.json(), event, "{name}");
    }
    for message in [exception, late_exception] {
        let body = message.json();
        assert!(is_error(message), "{name}: {body}");
        assert_eq!((&body["errorType"], &body["errorMessage"]), (&json!("OutOfStock"), &json!("none left")), "{name}");
    }
    assert!(is_raised_where_it_should_be(&exception.json()), "{name}: {}", exception.text());
    assert_eq!((&response.json()["statusCode"], late_response.json()), (&json!(503), json!([])), "{name}");
    // All but those of which a fault takes the place.
    assert_eq!(handled(&output), 6, "{name}: {output}");
    assert_eq!(output.matches("\"InjectedFaults\":1").count(), 6, "{name}: {output}");
}

/// Counts the invocations that the function has handled. In Node.js, the runtime writes a time before the line.
fn handled(output: &str) -> usize {
    output.lines().filter(|line| line.starts_with("handled ") || line.contains("\tINFO\thandled ")).count()
}

/// Whether the innermost frame is the one that the page names: in Python that of the function's handler, and in Node.js
/// snapback's, because JavaScript cannot raise in a function that has not begun.
fn is_raised_where_it_should_be(error: &Value) -> bool {
    let frames = error["stackTrace"].as_array().or_else(|| error["trace"].as_array()).unwrap();
    let frames: Vec<&str> = frames.iter().filter_map(Value::as_str).collect();
    let last =
        frames.last().is_some_and(|frame| frame.contains("functions/guarded.py") && frame.contains("in handler"));
    let once = frames.iter().filter(|frame| frame.contains("in handler")).count() == 1;
    let first = frames.iter().find(|frame| frame.trim_start().starts_with("at "));
    (last && once) || first.is_some_and(|frame| frame.contains("snapback_handler/faults.mjs"))
}

/// Compares the report of a failed load with the one without snapback.
fn load_errors_are_the_same(version: &Version, handlers: &[&'static str]) {
    for handler in handlers {
        let report = |launch: Launch| {
            let api = RuntimeApi::start();
            let mut running: Running = launch.handler(handler).on(&version.program).start(&api);
            assert!(!running.wait_for_end().success(), "{}: {handler}", version.name);
            let received = api.received();
            let body = received[0].message.json();
            (body["errorType"].clone(), body["errorMessage"].clone(), body["stackTrace"].clone())
        };
        let faults = json!([{ "exception": {} }]);
        let (chaos, direct) = (Launch::chaos(version.kind, faults), Launch::direct(version.kind));
        assert_eq!(report(chaos), report(direct), "{}: {handler}", version.name);
    }
}

#[test]
fn the_chaos_handler_runs_on_each_python() {
    on_each(&pythons(), |version| {
        each_fault_is_injected(version);
        load_errors_are_the_same(version, &["attribute.handler", "needs.handler", "broken.handler"]);
        let relative = version.chaos(each_fault().0).handler("nested/inner/relative.handler");
        assert_eq!(version.invoke(&relative, &[json!({})]).0[0].json(), json!({ "greeting": "hello" }));
        // The handler's own `except` sees the exception, which is raised after its `try:`.
        let events = ["none", "exception"].map(|name| json!({ "fault": name }));
        let (careful, _) = version.invoke(&version.chaos(each_fault().0).handler("careful.handler"), &events);
        let expected = [json!({ "sold": events[0] }), json!({ "handled": "none left" })];
        assert_eq!(careful.iter().map(Message::json).collect::<Vec<_>>(), expected, "{}", version.name);
        // The class is found in the handler's own module, also where the handler is an object of another one.
        let (adapted, _) = version
            .invoke(&version.chaos(each_fault().0).handler("adapter.handler"), &[json!({ "fault": "exception" })]);
        assert_eq!(adapted[0].json()["errorType"], "OutOfStock", "{}", version.name);
    });
}

#[test]
fn the_chaos_handler_runs_on_each_node_js() {
    let found = nodes();
    assert_eq!(found.iter().map(|version| version.number).collect::<Vec<_>>(), [20, 22, 26, 24]);
    on_each(&found, |version| {
        each_fault_is_injected(version);
        load_errors_are_the_same(version, &["fails.handler", "function.missing"]);
        // The runtimes before Node.js 24 respond with null to what a handler returns that is not a promise.
        let value = if version.number <= LAST_WITH_CALLBACKS { Value::Null } else { json!({ "greeting": "hello" }) };
        for (handler, expected) in
            [("nested/waits.api.handler", json!({ "greeting": "hello" })), ("nested/common.handler", value)]
        {
            let launch = version.chaos(each_fault().0).handler(handler);
            let response = version.invoke(&launch, &[json!({})]).0[0].json();
            assert_eq!(response, expected, "{}: {handler}", version.name);
        }
        streams_are_changed_before_their_end(version);
        unusual_functions_run_as_others(version);
        if version.number <= LAST_WITH_CALLBACKS {
            handlers_end_in_every_way(version);
        }
    });
}

/// A fault after a handler that streams takes effect before the end of the stream.
fn streams_are_changed_before_their_end(version: &Version) {
    let events = ["none", "late latency", "late exception", "late response", "none"]
        .map(|name| json!({ "fault": name, "parts": 2, "ms": 1 }));
    let (results, output) = version.invoke(&version.chaos(each_fault().0).handler("function.stream"), &events);
    for (result, event) in results.iter().zip(&events) {
        assert_eq!(result.text(), "part 1\npart 2\n", "{}: {event}", version.name);
        let failure = result.trailer("Lambda-Runtime-Function-Error-Type");
        assert_eq!(failure.is_some(), event["fault"] == "late exception", "{}: {event}: {failure:?}", version.name);
    }
    let lines = output.lines().filter(|line| line.starts_with("snapback-handler: "));
    assert_eq!(lines.count(), 1, "{}: a response after it is not injected, which is logged: {output}", version.name);
}

/// The faults apply, no matter which built-in functions the function replaces, and how it ends its stream.
fn unusual_functions_run_as_others(version: &Version) {
    let (mut faults, _) = each_fault();
    faults[0]["exception"]["type"] = json!("RangeError");
    let (results, output) =
        version.invoke(&version.chaos(faults).handler("unusual.handler"), &[json!({ "fault": "exception" })]);
    assert_eq!(results[0].json()["errorType"], "RangeError", "{}: {output}", version.name);
    for handler in ["unusual.late", "unusual.twice"] {
        let events = ["late latency", "late exception", "none"].map(|name| json!({ "fault": name }));
        let (results, _) = version.invoke(&version.chaos(each_fault().0).handler(handler), &events);
        for (result, event) in results.iter().zip(&events) {
            assert_eq!(result.text(), "whole", "{}: {handler}: {event}", version.name);
            let failure = result.trailer("Lambda-Runtime-Function-Error-Type");
            assert_eq!(failure.is_some(), event["fault"] == "late exception", "{}: {handler}: {event}", version.name);
        }
        let (response, _) = version.invoke(
            &version.chaos(json!([{ "response": { "raw": "{\"statusCode\":204}" } }])).handler(handler),
            &events[..1],
        );
        assert_eq!(response[0].text(), "{\"statusCode\":204}\0\0\0\0\0\0\0\0", "{}: {handler}", version.name);
    }
}

/// A handler ends with its callback, with a method of its context, with a promise, or with the end of the event loop.
fn handlers_end_in_every_way(version: &Version) {
    let (faults, _) = each_fault();
    for handler in ["endings.callback", "endings.context", "endings.promise"] {
        let events = ["none", "latency", "late latency", "late response"].map(|name| json!({ "fault": name }));
        let (results, _) = version.invoke(&version.chaos(faults.clone()).handler(handler), &events);
        for (result, event) in results.iter().zip(&events).take(3) {
            let expected = json!({ "fault": event["fault"], "ended": true });
            assert_eq!(result.json(), expected, "{}: {handler}", version.name);
        }
        assert_eq!(results[3].json(), json!([]), "{}: {handler}", version.name);
    }
    for handler in ["endings.callback", "endings.context"] {
        let events = ["none", "latency", "late latency"].map(|name| json!({ "fault": name, "fail": true }));
        let (results, _) = version.invoke(&version.chaos(faults.clone()).handler(handler), &events);
        for result in results {
            assert!(is_error(&result) && result.json()["errorType"] == "RangeError", "{}: {handler}", version.name);
        }
    }
    let events = ["late latency", "none"].map(|name| json!({ "fault": name }));
    let (_, output) = version.invoke(&version.chaos(faults.clone()).handler("endings.pending"), &events);
    assert_eq!(
        output.matches("saved").count(),
        2,
        "{}: the response waits for the pending work: {output}",
        version.name
    );
    let events = ["none", "latency"].map(|name| json!({ "fault": name }));
    let (results, _) = version.invoke(&version.chaos(faults).handler("endings.nothing"), &events);
    assert!(results.iter().all(|result| result.json().is_null()), "{}: {results:?}", version.name);
}
