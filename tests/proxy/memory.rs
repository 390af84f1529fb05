//! How much the proxy holds of a payload of Lambda's own size, for every fault and condition that reads one.

use std::fmt::Write as _;
use std::io::{BufRead, Read};

use super::support::{ACCEPTED, NEXT, Stage, event, post};

/// Kilobytes that the proxy may have had resident at any time: about five times the payload.
const MAX_RESIDENT: u64 = 32 * 1024;
/// Lambda's own limit, less a little (lambda/latest/dg/gettingstarted-limits).
const PAYLOAD_BYTES: usize = 6_200_000;

const STREAM_HEAD: &str = "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nHost: x\r\n\
    Lambda-Runtime-Function-Response-Mode: streaming\r\n\
    Content-Type: application/vnd.awslambda.http-integration-response\r\nTransfer-Encoding: chunked\r\n\r\n";

/// As many small objects as fit, written by `one`, which gets their number.
fn small_objects(mut one: impl FnMut(&mut String, usize)) -> String {
    let mut objects = String::with_capacity(PAYLOAD_BYTES + 64);
    for number in 0.. {
        if objects.len() >= PAYLOAD_BYTES {
            break;
        }
        if number > 0 {
            objects.push(',');
        }
        one(&mut objects, number);
    }
    objects
}

fn list() -> String {
    format!("[{}]", small_objects(|out, _| out.push_str(r#"{"id":1}"#)))
}

/// One object with many names, at the top level of an HTTP answer.
fn names() -> String {
    let names = small_objects(|out, number| write!(out, r#""n{number}":{number}"#).unwrap());
    format!(r#"{{"statusCode":200,{names},"body":"b"}}"#)
}

/// An HTTP answer whose body is JSON, and so has a backslash before each quotation mark.
fn body() -> String {
    format!(r#"{{"statusCode":200,"body":"[{}]"}}"#, small_objects(|out, _| out.push_str(r#"{\"id\":1}"#)))
}

/// An HTTP answer with many headers.
fn headers() -> String {
    let names = small_objects(|out, number| write!(out, r#""N{number}":"1""#).unwrap());
    format!(r#"{{"statusCode":200,"headers":{{{names}}},"body":""}}"#)
}

#[test]
fn six_megabytes_of_small_objects_stay_under_32_mb_for_every_damage() {
    for (name, answer) in [("list", list()), ("names", names()), ("body", body()), ("headers", headers())] {
        for fault in [
            r#"{"corrupt":{"mangle":true}}"#,
            r#"{"corrupt":{"truncateBytes":3000000}}"#,
            r#"{"corrupt":{"replace":"x"}}"#,
            r#"{"response":{"headers":{"n1":"2"},"when":"after"}}"#,
            r#"{"response":{"statusCode":404,"body":"no","when":"after"}}"#,
            r#"{"error":{"when":"after"}}"#,
        ] {
            let stage = Stage::new(&format!("[{fault}]"));
            let (mut client, mut api) = stage.connected(NEXT);
            api.send(event("a-1", "{}"));
            client.message();
            std::thread::scope(|scope| {
                scope.spawn(|| client.send(post("a-1", "response", &answer)));
                api.message();
            });
            api.send(ACCEPTED);
            client.expect(ACCEPTED);
            let most = most_resident_kilobytes(&stage);
            assert!(most < MAX_RESIDENT, "{name}: {fault}: {most} kB");
        }
    }
}

#[test]
fn six_megabytes_of_small_objects_in_a_stream_stay_under_32_mb() {
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
        let (mut client, mut api) = stage.connected(NEXT);
        api.send(event("a-1", "{}"));
        client.message();
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
        api.send(ACCEPTED);
        client.expect(ACCEPTED);
        let most = most_resident_kilobytes(&stage);
        assert!(most < MAX_RESIDENT, "{fault}: {most} kB");
    }
}

#[test]
fn six_megabytes_of_small_objects_stay_under_32_mb_for_every_condition() {
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
        std::thread::scope(|scope| {
            scope.spawn(|| api.send(&event));
            client.expect(&event);
        });
        let most = most_resident_kilobytes(&stage);
        assert!(most < MAX_RESIDENT, "{condition}: {most} kB");
    }
}

fn most_resident_kilobytes(stage: &Stage) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", stage.proxy.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
