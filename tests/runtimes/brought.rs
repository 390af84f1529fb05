//! Functions that already use chaos_lambda or failure-lambda, the real packages: they keep what they have.

use std::io::BufReader;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::http;
use super::launch::{Kind, Launch, tool};
use super::runtime_api::{Event, RuntimeApi};

/// Serves one configuration in the two ways that these packages read it: as a parameter of SSM, by POST, and as one of the
/// extension of AppConfig, by GET. Returns its port.
fn serve_configuration(configuration: Value) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    // The thread ends with the test's process.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let text = configuration.to_string();
            // A client that has ended fails its own test.
            std::thread::spawn(move || respond(&stream, &text));
        }
    });
    port
}

fn respond(stream: &TcpStream, configuration: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = http::read(&mut reader, || Ok(()))? {
        let parameter = json!({ "Name": "chaos", "Type": "String", "Value": configuration, "Version": 1 });
        let parameters = json!({ "Parameters": [parameter], "InvalidParameters": [] }).to_string();
        let body = if request.start.starts_with("POST") { parameters.as_str() } else { configuration };
        let content = [("Content-Type".to_owned(), "application/json".to_owned())];
        http::write(&mut &*stream, "HTTP/1.1 200 OK", &content, body.as_bytes())?;
    }
    Ok(())
}

/// A function with one of the packages, and what the package is to do.
struct Brought {
    launch: fn(Launch, port: u16) -> Launch,
    kind: Kind,
    handler: &'static str,
    disabled: Value,
    enabled: Value,
    /// A frame of the package, which is around the function's handler.
    frame: &'static str,
}

fn brought() -> [Brought; 2] {
    [
        Brought {
            launch: |launch, port| {
                let lab = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/venv");
                let layer = lab.join("chaos-lambda/python");
                assert!(layer.exists(), "{} is not installed; run `make tools-lab`", layer.display());
                // As Lambda's runtime does, the lab's tools have boto3.
                let program = [lab.join("bin/python"), PathBuf::from("-m"), PathBuf::from("awslambdaric")];
                launch
                    .on(&program)
                    .variable("PYTHONPATH", layer.to_str().unwrap())
                    .variable("CHAOS_PARAM", "chaos")
                    .variable("AWS_ENDPOINT_URL_SSM", format!("http://127.0.0.1:{port}"))
                    .variable("AWS_DEFAULT_REGION", "eu-west-1")
                    .variable("AWS_ACCESS_KEY_ID", "test")
                    .variable("AWS_SECRET_ACCESS_KEY", "test")
            },
            kind: Kind::Python,
            handler: "decorated.handler",
            disabled: json!({ "is_enabled": false }),
            enabled: json!({ "is_enabled": true, "fault_type": "exception", "exception_msg": "its own", "rate": 1 }),
            frame: "chaos_lambda.py",
        },
        Brought {
            launch: |launch, port| {
                launch
                    .variable("NODE_PATH", tool("node/node_modules").to_str().unwrap())
                    .variable("FAILURE_APPCONFIG_CONFIGURATION", "chaos")
                    .variable("AWS_APPCONFIG_EXTENSION_HTTP_PORT", port.to_string())
                    .variable("AWS_REGION", "eu-west-1")
            },
            kind: Kind::NodeJs,
            handler: "wrapped.handler",
            disabled: json!({ "isEnabled": false }),
            enabled: json!({ "isEnabled": true, "failureMode": "exception", "exceptionMsg": "its own", "rate": 1 }),
            frame: "",
        },
    ]
}

#[test]
fn functions_with_other_packages_keep_what_they_have() {
    for each in brought() {
        let fault = json!([{ "exception": {
            "type": "OutOfStock", "message": "none left", "match": [{ "path": "fault", "equals": true }]
        } }]);
        let name = each.handler;
        for (configuration, is_enabled) in [(&each.disabled, false), (&each.enabled, true)] {
            let port = serve_configuration(configuration.clone());
            let api = RuntimeApi::start();
            let launch = Launch::chaos(each.kind, fault.clone()).handler(each.handler);
            let running = (each.launch)(launch, port).start(&api);
            for (id, event) in [("passes", json!({ "fault": false })), ("fails", json!({ "fault": true }))] {
                api.offer(Event::new(id, &event));
                let message = api.result(id).message;
                let body = message.json();
                match (is_enabled, id) {
                    (false, "passes") => assert_eq!(body, event, "{name}: {}", running.output()),
                    // In Python, the exception is raised inside the decorator, which may answer before it.
                    (true, _) if id == "passes" || each.kind == Kind::Python => {
                        assert_eq!(body["errorMessage"], "its own", "{name}: {id}: {body}");
                    }
                    _ => {
                        assert_eq!(body["errorType"], "OutOfStock", "{name}: {id}: {body}");
                        assert!(message.text().contains(each.frame), "{name}: {body}");
                    }
                }
            }
            running.stop();
        }
    }
}
