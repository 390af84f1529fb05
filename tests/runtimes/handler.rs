//! The chaos handler with real runtimes: how it loads a function, and how it raises exceptions.

use serde_json::{Value, json};

use super::http::Message;
use super::launch::{Kind, Launch, Running};
use super::runtime_api::{Event, RuntimeApi};

/// Starts a function with the chaos handler, and returns the result of one invocation and the output.
fn invoke(launch: &Launch, event: &Value) -> (Message, Running) {
    let api = RuntimeApi::start();
    let running = launch.start(&api);
    api.offer(Event::new("one", event));
    (api.result("one").message, running.with_api(api))
}

fn is_error(message: &Message) -> bool {
    message.start.ends_with("/error HTTP/1.1")
}

/// A fault that no invocation triggers, so that every call passes.
fn no_fault() -> Value {
    json!([{ "exception": { "percentage": 0 } }])
}

#[test]
fn it_loads_handlers_as_the_runtime_does() {
    let node = ["nested/waits.api.handler", "nested/common.handler", "./nested/common.handler"];
    let python = ["nested/inner/relative.handler", "nested.inner.relative.handler"];
    for (kind, handlers) in [(Kind::Python, &python[..]), (Kind::NodeJs, &node[..])] {
        for handler in handlers {
            for faults in [no_fault(), json!([{ "latency": { "delayMs": 1 } }])] {
                let (message, running) = invoke(&Launch::chaos(kind, faults).handler(handler), &json!({}));
                assert_eq!(message.json(), json!({ "greeting": "hello" }), "{handler}");
                running.stop();
            }
        }
    }
}

#[test]
fn a_load_error_is_the_one_without_it() {
    let handlers = [
        "missing.handler",
        "attribute.handler",
        "function.missing",
        "fails.handler",
        "broken.handler",
        "needs.handler",
        "nested/no.handler",
    ];
    for kind in [Kind::Python, Kind::NodeJs] {
        for handler in handlers {
            let report = |launch: Launch| {
                let api = RuntimeApi::start();
                let mut running = launch.handler(handler).start(&api);
                assert!(!running.wait_for_end().success(), "{kind:?}: {handler}");
                let received = api.received();
                assert!(received[0].is("POST", "init/error"), "{kind:?}: {handler}: {}", received[0].message.start);
                let message = &received[0].message;
                let kind = message.header("Lambda-Runtime-Function-Error-Type").map(str::to_owned);
                let body = message.json();
                (kind, body["errorType"].clone(), body["errorMessage"].clone(), body["stackTrace"].clone())
            };
            assert_eq!(report(Launch::chaos(kind, no_fault())), report(Launch::direct(kind)), "{kind:?}: {handler}");
        }
    }
}

#[test]
fn an_exception_is_raised_in_the_functions_own_frame_in_python() {
    let fault = json!([{ "exception": { "type": "OutOfStock", "message": "none left" } }]);
    let (message, running) = invoke(&Launch::chaos(Kind::Python, fault).handler("guarded.handler"), &json!({}));
    assert!(is_error(&message), "{}", message.start);
    let body = message.json();
    assert_eq!((&body["errorType"], &body["errorMessage"]), (&json!("OutOfStock"), &json!("none left")));
    let frames: Vec<&str> = body["stackTrace"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let (last, above) = frames.split_last().unwrap();
    assert!(last.contains("functions/guarded.py") && last.contains("in handler"), "{frames:?}");
    assert!(above[0].contains("snapback_handler/faults.py"), "the handler's own frames are the outermost: {frames:?}");
    let output = running.output();
    assert!(output.contains("reported OutOfStock none left"), "a decorator of the function sees it: {output}");
    assert!(!output.contains("handled one"), "nothing of the handler has run: {output}");
    running.stop();
}

#[test]
fn exceptions_are_of_the_functions_class_or_the_languages() {
    let cases = [
        (Kind::Python, "LookupError", "LookupError", "none left"),
        (Kind::Python, "errors.OutOfStock", "OutOfStock", "none left"),
        (Kind::Python, "NeedsTwo", "RuntimeError", "it cannot be created from a message alone"),
        (Kind::Python, "SystemExit", "RuntimeError", "has an exception class with this name"),
        (Kind::Python, "Missing", "RuntimeError", "snapback was to raise Missing"),
        (Kind::NodeJs, "RangeError", "RangeError", "none left"),
        (Kind::NodeJs, "OutOfStock", "OutOfStock", "none left"),
        (Kind::NodeJs, "NeedsTwo", "Error", "it cannot be created from a message alone"),
        (Kind::NodeJs, "Map", "Error", "has an error class with this name"),
        (Kind::NodeJs, "Missing", "Error", "snapback was to throw Missing"),
        (Kind::NodeJsAlternative, "OutOfStock", "OutOfStock", "none left"),
    ];
    for (kind, name, error_type, text) in cases {
        for when in ["before", "after"] {
            let fault = json!([{ "exception": { "type": name, "message": "none left", "when": when } }]);
            let (message, running) = invoke(&Launch::chaos(kind, fault).handler("guarded.handler"), &json!({}));
            let body = message.json();
            assert!(is_error(&message) && body["errorType"] == error_type, "{kind:?} {name}: {body}");
            assert!(body["errorMessage"].as_str().unwrap().contains(text), "{kind:?} {name}: {body}");
            assert_eq!(running.output().contains("handled one"), when == "after", "{kind:?} {name} {when}");
            assert_eq!(running.reported("one"), ["exception"], "{kind:?} {name}");
            running.stop();
        }
    }
}

#[test]
fn an_exception_is_raised_in_a_thread_a_partial_and_an_object() {
    let fault = json!([{ "exception": { "type": "OutOfStock", "message": "none left" } }]);
    for handler in ["inside.thread", "inside.partial", "inside.called"] {
        let (message, running) = invoke(&Launch::chaos(Kind::Python, fault.clone()).handler(handler), &json!({}));
        assert_eq!(message.json(), json!({ "handled": "none left" }), "{handler}: its own `except` sees it");
        assert!(!running.output().contains("handled one"), "{handler}: nothing of it has run");
        running.stop();
    }
}

/// The search for the class runs the function's code, which may fail.
#[test]
fn a_failed_search_for_a_class_does_not_replace_the_fault() {
    let cases = [
        ("LookupError", "LookupError", "none left"),
        ("Missing", "RuntimeError", "has an exception class with this name"),
        ("Exits", "RuntimeError", "it cannot be created from a message alone"),
    ];
    for (name, error_type, text) in cases {
        let fault = json!([{ "exception": { "type": name, "message": "none left" } }]);
        let (message, running) = invoke(&Launch::chaos(Kind::Python, fault).handler("strict.handler"), &json!({}));
        let body = message.json();
        assert!(is_error(&message) && body["errorType"] == error_type, "{name}: {body}");
        assert!(body["errorMessage"].as_str().unwrap().contains(text), "{name}: {body}");
        running.stop();
    }
}

#[test]
fn an_own_error_of_the_function_stays_as_it_is() {
    for kind in Kind::WITH_HANDLER {
        let report = |launch: Launch| {
            let (message, running) = invoke(&launch, &json!({ "do": "fail" }));
            running.stop();
            let mut body = message.json();
            // In Node.js, the trace continues with frames of the runtime, and with one of the chaos handler.
            body.as_object_mut().unwrap().remove("trace");
            (is_error(&message), body)
        };
        assert_eq!(report(Launch::chaos(kind, no_fault())), report(Launch::direct(kind)), "{kind:?}");
    }
}

#[test]
fn what_cannot_be_read_is_logged_once_and_passes() {
    let unknown = super::launch::config(json!([{ "melt": {} }, { "exception": { "tenant": "a" } }])).to_string();
    for kind in Kind::WITH_HANDLER {
        for (orders, expected) in [("{", 1), ("{\"until\":1}", 1), (&unknown, 2)] {
            let api = RuntimeApi::start();
            let running = Launch::ordered(kind, orders.to_owned()).start(&api);
            for id in ["one", "two"] {
                api.offer(Event::new(id, &json!({ "shop": 1 })));
                assert_eq!(api.result(id).message.json(), json!({ "shop": 1 }), "{kind:?}: {orders}");
            }
            let lines = running.output().lines().filter(|line| line.starts_with("snapback-handler: ")).count();
            assert_eq!(lines, expected, "{kind:?}: {orders}: {}", running.output());
            running.stop();
        }
    }
}

/// Its files that are loaded after the function's module need the same as those before it.
#[test]
fn what_a_function_replaces_does_not_matter_in_python() {
    let starts = |text: &str| json!([{ "path": "shop", "startsWith": text }]);
    let faults = json!([
        { "exception": { "type": "ValueError", "match": starts("9") } },
        { "response": { "raw": "[]", "when": "after", "match": starts("8") } },
        { "latency": { "delayMs": 1, "match": starts("7") } },
    ]);
    let mut orders = super::launch::config(faults);
    // Without a seed, the numbers are from the system.
    orders.as_object_mut().unwrap().remove("seed");
    let api = RuntimeApi::start();
    let running = Launch::ordered(Kind::Python, orders.to_string()).handler("replaces.handler").start(&api);
    let sell = |id: &str, shop: u32| {
        api.offer(Event::new(id, &json!({ "shop": shop })));
        api.result(id).message
    };
    assert_eq!(sell("none", 1).json(), json!({ "shop": 1 }));
    assert_eq!(sell("exception", 95).json()["errorType"], "ValueError");
    assert_eq!(sell("response", 80).json(), json!([]));
    assert_eq!(sell("latency", 70).json(), json!({ "shop": 70 }));
    for id in ["exception", "response", "latency"] {
        assert_eq!(running.reported(id), [id]);
    }
    running.stop();
    // This function has no standard error.
    let launch = Launch::ordered(Kind::Python, "{".to_owned()).handler("replaces.handler");
    let (message, running) = invoke(&launch, &json!({}));
    assert_eq!(message.json(), json!({}));
    assert!(running.output().contains("snapback-handler: "), "{}", running.output());
    running.stop();
}

/// A fault whose response cannot be read is skipped alone.
#[test]
fn a_response_with_too_many_levels_is_skipped_alone() {
    let raw = "[".repeat(50_000) + &"]".repeat(50_000);
    let faults = json!([{ "response": { "raw": raw } }, { "latency": { "delayMs": 1 } }]);
    let (message, running) = invoke(&Launch::chaos(Kind::Python, faults), &json!({}));
    assert_eq!(message.json(), json!({}));
    assert_eq!(running.reported("one"), ["latency"]);
    let output = running.output();
    assert_eq!(output.matches("snapback-handler: ").count(), 1, "{output}");
    running.stop();
}

/// The function's code finds the variables that it would have without the chaos handler.
#[test]
fn the_functions_environment_has_nothing_of_it() {
    for kind in [Kind::Python, Kind::NodeJs] {
        let environment = |launch: Launch| {
            let (message, running) = invoke(&launch, &json!({ "do": "inspect" }));
            running.stop();
            let mut environment = message.json()["environment"].clone();
            for name in ["AWS_LAMBDA_RUNTIME_API", "PYTHONPATH", "_X_AMZN_TRACE_ID"] {
                environment.as_object_mut().unwrap().remove(name);
            }
            environment
        };
        assert_eq!(environment(Launch::chaos(kind, no_fault())), environment(Launch::direct(kind)), "{kind:?}");
    }
}

#[test]
fn a_handler_that_streams_still_streams() {
    let parts = json!({ "parts": 2, "ms": 1 });
    for kind in [Kind::NodeJs, Kind::NodeJsAlternative] {
        for faults in
            [no_fault(), json!([{ "latency": { "delayMs": 20 } }, { "response": { "raw": "[]", "when": "after" } }])]
        {
            let launch = Launch::chaos(kind, faults).handler("function.stream");
            let (message, running) = invoke(&launch, &parts);
            assert_eq!(message.header("Lambda-Runtime-Function-Response-Mode"), Some("streaming"), "{kind:?}");
            assert_eq!(message.text(), "part 1\npart 2\n", "{kind:?}");
            running.stop();
        }
        let response = json!([{ "response": { "statusCode": 503, "headers": { "a": "b" }, "body": "busy" } }]);
        let (message, running) = invoke(&Launch::chaos(kind, response).handler("function.stream"), &parts);
        let (head, body) = message.text().split_once("\0\0\0\0\0\0\0\0").expect("it has a head");
        let head: Value = serde_json::from_str(head).unwrap();
        assert_eq!((&head["statusCode"], &head["headers"]["a"], body), (&json!(503), &json!("b"), "busy"), "{kind:?}");
        running.stop();
        let exception = json!([{ "exception": { "type": "RangeError" } }]);
        let (message, running) = invoke(&Launch::chaos(kind, exception).handler("function.stream"), &parts);
        let failed = is_error(&message) || message.trailer("Lambda-Runtime-Function-Error-Type").is_some();
        assert!(failed && !running.output().contains("handled one"), "{kind:?}: {}", message.start);
        running.stop();
    }
}
