//! Function, proxy and layer under AWS's Runtime Interface Emulator, as an invoker of the function observes them.
//!
//! The layer's files are at /opt, in the emulator's own mount namespace. The emulator ignores the wrapper variable, so
//! its bootstrap executes the wrapper, as the bootstraps of the managed runtimes do.

use std::io::{self, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use snapback::model::invocation::{FAULTS_VARIABLE, PROXY_PATH};

use super::http::{self, Message};
use super::launch::{Kind, Running, config, functions, tool};
use super::processes;
use super::runtime_api::{PATIENCE, now_ms};

/// The timeout of a function in tests that do not need one.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(1);

/// The arguments of `unshare` for separate namespaces. All processes in them end with the one that creates them.
const NAMESPACES: [&str; 8] =
    ["--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"];

/// Installs the layer and the bootstrap, and executes the emulator.
const SETUP: &str = r#"
set -eu
mount -t tmpfs layer /opt
cp "$PROXY_FILE" "$AWS_LAMBDA_EXEC_WRAPPER"
printf '%s\n' '#!/bin/sh' "exec \"\$AWS_LAMBDA_EXEC_WRAPPER\" $RUNTIME" >/opt/bootstrap
chmod +x /opt/bootstrap
unset PROXY_FILE RUNTIME
exec "$@" /opt/bootstrap "$_HANDLER"
"#;

#[test]
fn an_invoker_of_python_observes_each_fault() {
    check_each_fault(Kind::Python);
}

#[test]
fn an_invoker_of_node_js_observes_each_fault() {
    check_each_fault(Kind::NodeJs);
}

#[test]
fn an_invoker_of_rust_observes_each_fault() {
    check_each_fault(Kind::Rust);
}

fn check_each_fault(kind: Kind) {
    if let Err(why) = namespaces() {
        // Write directly to stderr, because the harness hides the output of a test that passes.
        let _ =
            writeln!(io::stderr(), "SKIPPED: {kind:?} under the emulator, because namespaces are not available: {why}");
        return;
    }
    let plays: [fn(Kind); 8] = [
        everything_passes,
        latency_delays,
        an_error_replaces_the_result,
        a_response_replaces_the_result,
        damage_truncates,
        an_invocation_times_out,
        a_runtime_exits,
        an_initialization_is_slow_or_fails,
    ];
    plays.iter().for_each(|play| play(kind));
}

/// Checks that this user may create namespaces: root may, other users only if the kernel allows it.
fn namespaces() -> Result<(), String> {
    let tried = Command::new("unshare").args(NAMESPACES).args(["mount", "-t", "tmpfs", "layer", "/opt"]).output();
    let tried = tried.map_err(|error| format!("unshare: {error}"))?;
    if tried.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&tried.stderr).trim().to_owned()) }
}

fn everything_passes(kind: Kind) {
    for fault in [json!({ "error": { "percentage": 0 } }), json!({ "disk": { "megabytes": 8 } })] {
        let is_disk = fault["disk"].is_object();
        let emulator = Emulator::start(kind, json!([fault]));
        let filler = "0123456789abcdef".repeat(300_000);
        for event in [json!({ "text": "ü \u{0}" }), json!({ "filler": filler }), json!([])] {
            let (message, _) = emulator.invoke(&event);
            assert!(message.json() == event, "{kind:?}");
        }
        let (message, _) = emulator.invoke(&json!({ "do": "fail" }));
        assert_eq!(message.json()["errorMessage"], "the event asks for it", "{kind:?}");
        assert_eq!(emulator.running.all_reported(), vec!["disk"; if is_disk { 4 } else { 0 }], "{kind:?}");
    }
}

fn latency_delays(kind: Kind) {
    for moment in ["before", "after"] {
        let emulator = Emulator::start(kind, json!([{ "latency": { "delayMs": 300, "when": moment } }]));
        for _ in 0..2 {
            let (message, took) = emulator.invoke(&json!({ "shop": 1 }));
            assert!(message.json() == json!({ "shop": 1 }) && took >= Duration::from_millis(300), "{kind:?}: {took:?}");
        }
    }
    // A delay of most of a minute ends when the faults expire.
    let until_ms = now_ms() + 4_000;
    let faults = json!([{ "latency": { "delayMs": 50_000 } }]);
    let emulator = Emulator::with(kind, faults, until_ms, DEFAULT_TIMEOUT);
    let (message, _) = emulator.invoke(&json!({ "shop": 1 }));
    assert!(message.json() == json!({ "shop": 1 }) && now_ms() >= until_ms, "{kind:?}");
    emulator.invoke(&json!({}));
    assert_eq!(emulator.running.all_reported(), ["latency"], "{kind:?}: a fault was injected after the expiry");
}

fn an_error_replaces_the_result(kind: Kind) {
    for (moment, runs) in [("before", 0), ("after", 1)] {
        let fault = json!({ "type": "Shop.Unavailable", "message": "closed", "when": moment });
        let emulator = Emulator::start(kind, json!([{ "error": fault }]));
        for invocations in 1..=2 {
            let error = emulator.invoke(&json!({ "shop": 1 })).0.json();
            assert_eq!((&error["errorType"], &error["errorMessage"]), (&json!("Shop.Unavailable"), &json!("closed")));
            assert_eq!(emulator.handled(), runs * invocations, "{kind:?}: {moment}");
        }
    }
}

fn a_response_replaces_the_result(kind: Kind) {
    let response = json!({ "statusCode": 200, "body": "open" });
    for (moment, body, runs) in [("before", "", 0), ("after", "open", 1)] {
        let emulator = Emulator::start(kind, json!([{ "response": { "statusCode": 503, "when": moment } }]));
        for invocations in 1..=2 {
            let invoked = emulator.invoke(&response).0.json();
            assert_eq!((&invoked["statusCode"], &invoked["body"]), (&json!(503), &json!(body)), "{kind:?}");
            assert_eq!(emulator.handled(), runs * invocations, "{kind:?}: {moment}");
        }
    }
}

fn damage_truncates(kind: Kind) {
    let only = json!([{ "path": "shop", "equals": 1 }]);
    let emulator = Emulator::start(kind, json!([{ "corrupt": { "truncateBytes": 5, "match": only } }]));
    assert_eq!(emulator.invoke(&json!({ "shop": 1 })).0.text(), "{\"sho", "{kind:?}");
    assert_eq!(
        emulator.invoke(&json!({ "shop": 2 })).0.json(),
        json!({ "shop": 2 }),
        "{kind:?}: the condition does not hold"
    );
}

/// The environment of the last invocation has ended, and another one serves.
fn assert_served_in_another_environment(emulator: &Emulator, kind: Kind) {
    assert_eq!(
        emulator.invoke(&json!({ "shop": 1 })).0.json(),
        json!({ "shop": 1 }),
        "{kind:?}: in another environment"
    );
    assert_eq!(
        processes::proxies_below(emulator.running.leader()).len(),
        1,
        "{kind:?}: the first environment has ended"
    );
}

fn an_invocation_times_out(kind: Kind) {
    let only = json!([{ "path": "slow", "exists": true }]);
    let faults = json!([{ "invocationTimeout": { "bufferMs": 1_000, "match": only } }]);
    let emulator = Emulator::with(kind, faults, now_ms() + 600_000, Duration::from_secs(3));
    emulator.invoke(&json!({}));
    let (message, _) = emulator.invoke(&json!({ "slow": true, "do": "wait", "ms": 2_000 }));
    assert!(message.text().contains("Task timed out after 3.00 seconds"), "{kind:?}: {}", message.text());
    assert_eq!(emulator.handled(), 2, "{kind:?}: the handler ran in the time that was left");
    assert_served_in_another_environment(&emulator, kind);
}

fn a_runtime_exits(kind: Kind) {
    let only = json!([{ "path": "last", "exists": true }]);
    let emulator = Emulator::start(kind, json!([{ "exit": { "delayMs": 100, "match": only } }]));
    for _ in 0..2 {
        let error = emulator.invoke(&json!({ "last": true })).0.json();
        assert_eq!(error["errorType"], "Runtime.ExitError", "{kind:?}: {error}");
        assert_served_in_another_environment(&emulator, kind);
    }
}

fn an_initialization_is_slow_or_fails(kind: Kind) {
    let emulator = Emulator::start(kind, json!([{ "init": { "delayMs": 500 } }]));
    let (message, took) = emulator.invoke(&json!({ "shop": 1 }));
    assert!(message.json() == json!({ "shop": 1 }) && took >= Duration::from_millis(500), "{kind:?}: {took:?}");
    let emulator = Emulator::start(kind, json!([{ "init": { "fail": { "type": "Shop.NoStart" } } }]));
    for _ in 0..2 {
        let error = emulator.invoke(&json!({})).0.json();
        assert_eq!((&error["errorType"], emulator.handled()), (&json!("Shop.NoStart"), 0), "{kind:?}: {error}");
    }
}

/// An emulator with one function. Dropping it ends the emulator, even when the test fails.
struct Emulator {
    running: Running,
    port: u16,
}

impl Emulator {
    fn start(kind: Kind, faults: Value) -> Self {
        Self::with(kind, faults, now_ms() + 600_000, DEFAULT_TIMEOUT)
    }

    /// Starts it with faults until this time in milliseconds since the epoch, and a function with this timeout.
    fn with(kind: Kind, faults: Value, until_ms: u64, timeout: Duration) -> Self {
        let handler = "function.handler";
        let mut config = config(faults);
        config["until"] = json!(until_ms);
        let words: Vec<_> = kind.command(handler).iter().map(|word| format!("'{}'", word.display())).collect();
        let [port, api] = free_ports();
        let mut command = Command::new("unshare");
        command.args(NAMESPACES).args(["sh", "-c", SETUP, "sh"]).arg(tool("bin/aws-lambda-rie"));
        command.args(["--runtime-interface-emulator-address", &format!("127.0.0.1:{port}")]);
        command.args(["--runtime-api-address", &format!("127.0.0.1:{api}")]);
        command.env_clear().envs(kind.variables(handler)).current_dir(functions());
        command.env("PROXY_FILE", env!("CARGO_BIN_EXE_snapback-proxy")).env("RUNTIME", words.join(" "));
        command.env("AWS_LAMBDA_EXEC_WRAPPER", PROXY_PATH).env(FAULTS_VARIABLE, config.to_string());
        command.env("AWS_LAMBDA_FUNCTION_TIMEOUT", timeout.as_secs().to_string());
        let mut running = Running::start(command);
        running.eventually("the emulator", |_| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        Self { running, port }
    }

    /// Invokes the function. Returns its response, and how long it took.
    fn invoke(&self, event: &Value) -> (Message, Duration) {
        let began = Instant::now();
        let message = self.post(event.to_string().as_bytes()).unwrap().expect("no response");
        (message, began.elapsed())
    }

    fn post(&self, event: &[u8]) -> io::Result<Option<Message>> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let headers = [("Host".to_owned(), "localhost".to_owned())];
        let start = "POST /2015-03-31/functions/function/invocations HTTP/1.1";
        http::write(&mut stream, start, &headers, event)?;
        stream.flush()?;
        http::read(&mut BufReader::new(stream), || Ok(()))
    }

    /// Returns how often a handler has run.
    fn handled(&self) -> usize {
        self.running.output().matches("handled ").count()
    }
}

/// Finds two free ports, because the emulator cannot choose them itself.
fn free_ports() -> [u16; 2] {
    let listeners = [0, 0].map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
