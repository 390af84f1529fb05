//! The memory that the proxy takes for payloads of Lambda's largest size, for every fault and condition that reads one.

use std::fmt::Write as _;
use std::io::{BufRead, Read};

use super::support::{NEXT, Stage, acknowledge, event, next_invocation, pass, post};

/// The most kilobytes that may be resident at any time: about five times the payload.
const MAX_RESIDENT_KB: u64 = 32 * 1024;
/// A little less than Lambda's limit (lambda/latest/dg/gettingstarted-limits).
const PAYLOAD_BYTES: usize = 6_200_000;

const STREAM_HEAD: &str = "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nHost: x\r\n\
    Lambda-Runtime-Function-Response-Mode: streaming\r\n\
    Content-Type: application/vnd.awslambda.http-integration-response\r\nTransfer-Encoding: chunked\r\n\r\n";

/// Returns as many small objects as fit. `write` writes one of them, by its number.
fn small_objects(mut write: impl FnMut(&mut String, usize)) -> String {
    let mut objects = String::with_capacity(PAYLOAD_BYTES + 64);
    for number in 0.. {
        if objects.len() >= PAYLOAD_BYTES {
            break;
        }
        if number > 0 {
            objects.push(',');
        }
        write(&mut objects, number);
    }
    objects
}

fn list() -> String {
    format!("[{}]", small_objects(|out, _| out.push_str(r#"{"id":1}"#)))
}

/// Returns an HTTP response with many names at its top level.
fn names() -> String {
    let names = small_objects(|out, number| write!(out, r#""n{number}":{number}"#).unwrap());
    format!(r#"{{"statusCode":200,{names},"body":"b"}}"#)
}

/// Returns an HTTP response with a body of JSON, which has a backslash before each quotation mark.
fn body() -> String {
    format!(r#"{{"statusCode":200,"body":"[{}]"}}"#, small_objects(|out, _| out.push_str(r#"{\"id\":1}"#)))
}

/// Returns an HTTP response with many headers.
fn headers() -> String {
    let names = small_objects(|out, number| write!(out, r#""N{number}":"1""#).unwrap());
    format!(r#"{{"statusCode":200,"headers":{{{names}}},"body":""}}"#)
}

#[test]
fn every_damage_of_six_megabytes_takes_under_32_mb() {
    for (name, response) in [("list", list()), ("names", names()), ("body", body()), ("headers", headers())] {
        for fault in [
            r#"{"corrupt":{"mangle":true}}"#,
            r#"{"corrupt":{"truncateBytes":3000000}}"#,
            r#"{"corrupt":{"replace":"x"}}"#,
            r#"{"response":{"headers":{"n1":"2"},"when":"after"}}"#,
            r#"{"response":{"statusCode":404,"body":"no","when":"after"}}"#,
            r#"{"error":{"when":"after"}}"#,
        ] {
            let stage = Stage::new(&format!("[{fault}]"));
            let (mut client, mut api) = stage.deliver("a-1");
            std::thread::scope(|scope| {
                scope.spawn(|| client.send(post("a-1", "response", &response)));
                api.message();
            });
            acknowledge(&mut client, &mut api);
            let most = resident_kilobytes(&stage, "VmHWM:");
            assert!(most < MAX_RESIDENT_KB, "{name}: {fault}: {most} kB");
        }
    }
}

#[test]
fn every_damage_of_a_six_megabyte_stream_takes_under_32_mb() {
    let body = format!("{{\"statusCode\":200}}\0\0\0\0\0\0\0\0{}", list());
    let chunks = body
        .as_bytes()
        .chunks(64 * 1024)
        .map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat());
    let stream = [STREAM_HEAD.as_bytes(), &chunks.collect::<Vec<_>>().concat(), b"0\r\n\r\n"].concat();
    for fault in [
        r#"{"corrupt":{"mangle":true}}"#,
        r#"{"corrupt":{"truncateBytes":6000000}}"#,
        r#"{"response":{"statusCode":404,"when":"after"}}"#,
        r#"{"response":{"statusCode":404,"body":"no","when":"after"}}"#,
    ] {
        let stage = Stage::new(&format!("[{fault}]"));
        let (mut client, mut api) = stage.deliver("a-1");
        std::thread::scope(|scope| {
            scope.spawn(|| client.send(&stream));
            let head = api.message();
            if head.header("transfer-encoding").is_some() {
                let mut size = String::new();
                api.0.read_line(&mut size).unwrap();
                let size = usize::from_str_radix(size.trim(), 16).unwrap();
                std::io::copy(&mut api.0.by_ref().take(size as u64), &mut std::io::sink()).unwrap();
                api.expect("\r\n0\r\n\r\n");
            }
        });
        acknowledge(&mut client, &mut api);
        let most = resident_kilobytes(&stage, "VmHWM:");
        assert!(most < MAX_RESIDENT_KB, "{fault}: {most} kB");
    }
}

#[test]
fn every_condition_on_six_megabytes_takes_under_32_mb() {
    let event = event("a-1", &format!(r#"{{"Records":{},"text":"x"}}"#, list()));
    for condition in [
        r#"{"path":"Records","exists":false}"#,
        r#"{"path":"Records","equals":1}"#,
        r#"{"path":"Records.600000.id","in":[2,3]}"#,
        r#"{"path":"text","startsWith":"y"}"#,
        r#"{"path":"text","regex":"[yz]"}"#,
    ] {
        let stage = Stage::new(&format!(r#"[{{"error":{{"match":[{condition}]}}}}]"#));
        let (mut client, mut api) = stage.connected(NEXT);
        pass(&mut api, &mut client, &event);
        let most = resident_kilobytes(&stage, "VmHWM:");
        assert!(most < MAX_RESIDENT_KB, "{condition}: {most} kB");
    }
}

#[test]
fn memory_does_not_grow_with_the_number_of_faults() {
    let mut stage = Stage::new(
        r#"[{"disk":{"megabytes":1}},{"latency":{"delayMs":0,"when":"after"}},{"corrupt":{"truncateBytes":1}}]"#,
    );
    let (mut client, mut api) = stage.deliver("a-0");
    let mut resident = Vec::new();
    for number in 0..3000 {
        if number % 1000 == 999 {
            resident.push(resident_kilobytes(&stage, "VmRSS:"));
        }
        client.send(post(&format!("a-{number}"), "response", "{}"));
        assert_eq!(api.message().body, b"{");
        (0..3).for_each(|_| drop(stage.metric()));
        next_invocation(&mut client, &mut api, &format!("a-{}", number + 1));
    }
    // A few hundred bytes for each invocation would exceed this.
    assert!(resident[2] < resident[0] + 256, "{resident:?}");
}

/// Reads a field of the proxy's status: `VmRSS:` is the memory that is resident now, `VmHWM:` the most so far.
fn resident_kilobytes(stage: &Stage, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stage.proxy.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
