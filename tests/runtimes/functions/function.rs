//! A function whose event selects its behavior; function.py and function.mjs behave the same.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lambda_runtime::streaming::{Body, Response, channel};
use lambda_runtime::{Context, Error, LambdaEvent, run, run_concurrent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    // A Rust function has one handler. Here the setting selects one of two, as in the other languages.
    match std::env::var("_HANDLER")?.as_str() {
        "function.stream" => run(service_fn(stream)).await,
        // Handles concurrent invocations if the environment allows them, as on Lambda Managed Instances.
        _ => run_concurrent(service_fn(handler)).await,
    }
}

fn handled(context: &Context) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    println!("handled {} {}", context.request_id, now.as_millis());
}

async fn handler(invoked: LambdaEvent<Value>) -> Result<Value, Error> {
    let LambdaEvent { payload: event, context } = invoked;
    handled(&context);
    match event["do"].as_str() {
        Some("fail") => Err("the event asks for it".into()),
        Some("wait") => {
            tokio::time::sleep(Duration::from_millis(event["ms"].as_u64().unwrap_or_default())).await;
            Ok(event)
        }
        Some("describe") => Ok(describe(&context)),
        Some("inspect") => inspect(),
        _ => Ok(event),
    }
}

/// Streams its response in parts, with pauses between them.
async fn stream(invoked: LambdaEvent<Value>) -> Result<Response<Body>, Error> {
    let LambdaEvent { payload: event, context } = invoked;
    handled(&context);
    let (mut response, body) = channel();
    tokio::spawn(async move {
        for part in 1..=event["parts"].as_u64().unwrap_or_default() {
            if part > 1 {
                tokio::time::sleep(Duration::from_millis(event["ms"].as_u64().unwrap_or_default())).await;
            }
            if response.send_data(format!("part {part}\n").into()).await.is_err() {
                return;
            }
        }
    });
    Ok(Response::from(body))
}

/// Returns what the runtime has made of the headers of the event.
fn describe(context: &Context) -> Value {
    json!({
        "id": context.request_id,
        "arn": context.invoked_function_arn,
        "deadline": context.deadline,
        "trace": context.xray_trace_id,
        "client": context.client_context.as_ref().map(|client| &client.custom),
        "identity": context.identity.as_ref().map(|identity| &identity.identity_id),
    })
}

/// Returns what a process can observe about its start.
fn inspect() -> Result<Value, Error> {
    let mut children = Vec::new();
    for task in fs::read_dir("/proc/self/task")? {
        let listed = fs::read_to_string(task?.path().join("children"))?;
        children.extend(listed.split_whitespace().map(str::to_owned));
    }
    let descriptors: Vec<_> = fs::read_dir("/proc/self/fd")?
        // The descriptor of the listing may be closed already.
        .filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok())
        .collect();
    Ok(json!({
        "environment": std::env::vars().collect::<std::collections::BTreeMap<_, _>>(),
        "children": children,
        "descriptors": descriptors,
        "status": fs::read_to_string("/proc/self/status")?,
        "limits": fs::read_to_string("/proc/self/limits")?,
        "arguments": fs::read_to_string("/proc/self/cmdline")?,
        "directory": std::env::current_dir()?,
    }))
}
