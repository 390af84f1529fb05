//! While no fault is triggered, every byte passes unchanged: each test sends bytes, and expects the same bytes on the
//! other side. Each test runs three times: without faults, with faults at 0 % or of another qualifier, and with faults
//! whose conditions do not hold.

use std::time::Duration;

use super::support::{ACCEPTED, Api, NEXT, Peer, Stage, acknowledge, event, pass, post};

const MODES: [&str; 3] = [
    "",
    r#"[{"error":{"percentage":0}},{"corrupt":{"mangle":true,"qualifier":"other"}}]"#,
    r#"[{"error":{"match":[{"path":"no.such.path","exists":true}]}},{"response":{"statusCode":100,"match":[{"path":"a","equals":"b"}]}}]"#,
];

fn in_each_mode(test: impl Fn(&Stage)) {
    for mode in MODES {
        test(&Stage::new(mode));
    }
}

/// Passes a request, and its response back.
fn exchange(client: &mut Peer, api: &mut Peer, request: impl AsRef<[u8]>, response: impl AsRef<[u8]>) {
    client.send(&request);
    api.expect(&request);
    api.send(&response);
    client.expect(&response);
}

#[test]
fn an_invocation_passes_with_every_header_as_written() {
    in_each_mode(|stage| {
        let (mut client, mut api) = stage.connected(NEXT);
        let event = "HTTP/1.1 200 Fine by me\r\nlambda-RUNTIME-aws-request-id:  a-1 \r\nLambda-Runtime-Deadline-Ms: 12\r\n\
            Lambda-Runtime-Client-Context: {\"client\":{}}\r\nLambda-Runtime-Cognito-Identity: {}\r\nX-Twice: 1\r\nX-Twice: 2\r\n\
            X-Empty:\r\nContent-Type: application/vnd.odd; charset=\"x\"\r\nContent-Length: 3\r\n\r\n{ }";
        api.send(event);
        client.expect(event);
        for _ in 0..3 {
            let response = post("a-1", "response", "\u{0}\u{1}\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
            exchange(&mut client, &mut api, response, ACCEPTED);
            exchange(&mut client, &mut api, NEXT, event);
        }
    });
}

#[test]
fn six_megabytes_pass_both_ways() {
    let body: String = (0..6 * 1024 * 1024 / 8).map(|number| format!("{number:08}")).collect();
    in_each_mode(|stage| {
        let (mut client, mut api) = stage.connected(NEXT);
        let event = event("a-1", &body);
        pass(&mut api, &mut client, &event);
        let response = post("a-1", "response", &body);
        pass(&mut client, &mut api, &response);
        acknowledge(&mut client, &mut api);
        exchange(&mut client, &mut api, NEXT, chunked_event());
    });
}

fn chunked_event() -> &'static str {
    "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a-2\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
     5;note=kept\r\n{\"a\":\r\n0A\r\n[1,2,3,4]}\r\n000\r\nX-Sum: 7\r\nX-Other: a\r\n\r\n"
}

#[test]
fn a_chunked_event_passes_with_its_chunks_and_trailers() {
    in_each_mode(|stage| {
        let (mut client, mut api) = stage.connected(NEXT);
        for byte in chunked_event().as_bytes() {
            api.send([*byte]);
        }
        client.expect(chunked_event());
        exchange(&mut client, &mut api, post("a-2", "response", "{}"), ACCEPTED);
    });
}

#[test]
fn a_stream_passes_piece_by_piece_with_its_trailers() {
    in_each_mode(|stage| {
        let (mut client, mut api) = stage.connected(NEXT);
        let event = event("a-1", "{}");
        api.send(&event);
        client.expect(&event);
        let head = "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nHost: x\r\n\
            Lambda-Runtime-Function-Response-Mode: streaming\r\n\
            Content-Type: application/vnd.awslambda.http-integration-response\r\nTransfer-Encoding: chunked\r\n\
            Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n\r\n";
        // Each piece arrives before the next one is sent, so the proxy does not wait for the end.
        for piece in [head, "4\r\nfour\r\n", "9\r\n and more\r\n"] {
            client.send(piece);
            api.expect(piece);
        }
        let end = "0\r\nLambda-Runtime-Function-Error-Type: Midway\r\nLambda-Runtime-Function-Error-Body: e30=\r\n\r\n";
        exchange(&mut client, &mut api, end, ACCEPTED);
        exchange(&mut client, &mut api, NEXT, chunked_event());
    });
}

#[test]
fn errors_and_acknowledgements_pass_with_headers_and_body() {
    in_each_mode(|stage| {
        let error = "POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: x\r\n\
            Lambda-Runtime-Function-Error-Type: Runtime.NoSuchModule\r\nContent-Length: 2\r\n\r\n{}";
        let (mut client, mut api) = stage.connected(error);
        let acknowledged =
            "HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 15\r\n\r\n{\"status\":\"OK\"}";
        api.send(acknowledged);
        client.expect(acknowledged);
        let error = "POST /2018-06-01/runtime/invocation/a-1/error HTTP/1.1\r\nHost: x\r\n\
            Lambda-Runtime-Function-Error-Type: Handler.Failed\r\nLambda-Runtime-Function-XRay-Error-Cause: {}\r\n\
            Content-Length: 4\r\n\r\nnull";
        exchange(&mut client, &mut api, error, acknowledged);
    });
}

#[test]
fn unknown_requests_pass_with_their_headers() {
    in_each_mode(|stage| {
        let restore = "GET /2018-06-01/runtime/restore/next HTTP/1.1\r\nHost: x\r\nX-New: yes\r\n\r\n";
        let (mut client, mut api) = stage.connected(restore);
        api.send("HTTP/1.1 200 OK\r\nX-Restored: 1\r\nContent-Length: 0\r\n\r\n");
        client.expect("HTTP/1.1 200 OK\r\nX-Restored: 1\r\nContent-Length: 0\r\n\r\n");
        let future = "PATCH /2031-01-01/runtime/whatever?comes=next HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
            1\r\nx\r\n0\r\n\r\n";
        exchange(&mut client, &mut api, future, "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n");
        let head = "HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n";
        exchange(&mut client, &mut api, head, "HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n");
        exchange(&mut client, &mut api, restore, "HTTP/1.1 304 Not Modified\r\n\r\n");
        exchange(&mut client, &mut api, restore, ACCEPTED);
    });
}

#[test]
fn a_poll_with_a_body_passes_with_it() {
    in_each_mode(|stage| {
        let poll = NEXT.replace("User-Agent: a-runtime", "Content-Length: 5") + "hello";
        let (mut client, mut api) = stage.connected(&poll);
        exchange(&mut client, &mut api, "", event("a-1", "{}"));
        exchange(&mut client, &mut api, NEXT, event("a-2", "{}"));
    });
}

#[test]
fn refusals_pass_on_every_path() {
    in_each_mode(|stage| {
        let (mut client, mut api) = stage.connected("GET /warm HTTP/1.1\r\n\r\n");
        acknowledge(&mut client, &mut api);
        for status in [400, 403, 404, 413, 429, 500, 503] {
            let refusal = format!(
                "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: a-1\r\n\
                 Content-Length: 20\r\n\r\n{{\"errorType\":\"Nope\"}}"
            );
            exchange(&mut client, &mut api, NEXT, &refusal);
            exchange(&mut client, &mut api, post("a-1", "response", "{}"), &refusal);
            exchange(&mut client, &mut api, post("a-1", "error", "{}"), &refusal);
            exchange(&mut client, &mut api, "GET /2018-06-01/runtime/restore/next HTTP/1.1\r\n\r\n", &refusal);
        }
    });
}

#[test]
fn a_body_that_waits_for_100_continue_passes() {
    in_each_mode(|stage| {
        let head = "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
        let (mut client, mut api) = stage.connected(head);
        api.send("HTTP/1.1 100 Continue\r\n\r\n");
        client.expect("HTTP/1.1 100 Continue\r\n\r\n");
        exchange(&mut client, &mut api, "null", ACCEPTED);
        client.send(head);
        api.expect(head);
        api.send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
        client.expect("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n");
    });
}

#[test]
fn pipelined_requests_get_their_responses_in_order() {
    in_each_mode(|stage| {
        let mut client = stage.client();
        client.send(format!("{NEXT}{}", post("a-1", "response", "{}")));
        let mut api = stage.api.accept();
        api.expect(NEXT);
        api.expect_silence(Duration::from_millis(100));
        let event = event("a-1", "{}");
        api.send(&event);
        client.expect(&event);
        api.expect(post("a-1", "response", "{}"));
        acknowledge(&mut client, &mut api);
    });
}

#[test]
fn the_prefix_of_the_upstream_is_added_to_each_path() {
    let stage = Stage::at(Api::new(), "/.rt/checkout", "", Duration::from_secs(60));
    let mut client = stage.client();
    client.send(NEXT);
    let mut api = stage.api.accept();
    api.expect(NEXT.replace(" /2018", " /.rt/checkout/2018"));
    let event = event("a-1", "{}");
    api.send(&event);
    client.expect(&event);
    client.send(post("a-1", "response", "{}"));
    api.expect(post("a-1", "response", "{}").replace(" /2018", " /.rt/checkout/2018"));
}

#[test]
fn bytes_that_are_not_http_pass() {
    in_each_mode(|stage| {
        let odd = "HELLO \u{1}\r\nwho: are you\r\n\r\n";
        let (mut client, mut api) = stage.connected(odd);
        exchange(&mut client, &mut api, "\u{7}more", "and back");
        let upgrade = "GET /socket HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: something\r\n\r\n";
        let (mut client, mut api) = stage.connected(upgrade);
        exchange(&mut client, &mut api, "", "HTTP/1.1 101 Switching Protocols\r\n\r\n\u{1}\u{2}");
        exchange(&mut client, &mut api, "\u{3}", "\u{4}");
        let twisted = "POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnot-a-size\r\nrest";
        let (mut client, mut api) = stage.connected(twisted);
        exchange(&mut client, &mut api, "more", "HTTP/1.1 400 Bad Request\r\n\r\n");
    });
}

#[test]
fn a_head_of_a_megabyte_passes_and_keeps_the_connection() {
    in_each_mode(|stage| {
        let long = format!("GET /x HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(1 << 20));
        let (mut client, mut api) = stage.connected(&long);
        exchange(&mut client, &mut api, "", format!("HTTP/1.1 204 Fine\r\nX-Long: {}\r\n\r\n", "y".repeat(1 << 20)));
        let many: String = (0..200).map(|number| format!("X-{number}: {number}\r\n")).collect();
        let response = format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 2\r\n\r\n{{}}");
        exchange(&mut client, &mut api, format!("GET /y HTTP/1.1\r\n{many}\r\n"), response);
    });
}

#[test]
fn a_head_beyond_the_limit_passes() {
    in_each_mode(|stage| {
        let long = format!("GET /x HTTP/1.1\r\nX-Long: {}\r\n\r\n", "x".repeat(2 << 20));
        let mut client = stage.client();
        let mut api = std::thread::scope(|scope| {
            scope.spawn(|| client.send(&long));
            let mut api = stage.api.accept();
            api.expect(&long);
            api
        });
        let response = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n", "y".repeat(2 << 20));
        pass(&mut api, &mut client, &response);
    });
}

#[test]
fn long_chunks_pass_both_ways_between_short_ones() {
    let chunks: String =
        [1, 300_000, 70_000, 5, 2_000_000].map(|size| format!("{size:x};n=v\r\n{}\r\n", "z".repeat(size))).concat();
    let event = format!(
        "HTTP/1.1 200 OK\r\nLambda-Runtime-Aws-Request-Id: a-1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\nX-Sum: 7\r\n\r\n"
    );
    let response = format!(
        "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    );
    in_each_mode(|stage| {
        let (mut client, mut api) = stage.connected(NEXT);
        pass(&mut api, &mut client, &event);
        pass(&mut client, &mut api, &response);
        exchange(&mut client, &mut api, "", ACCEPTED);
        exchange(&mut client, &mut api, NEXT, chunked_event());
    });
}

#[test]
fn an_incomplete_large_body_ends_after_the_same_byte() {
    let body: String = (0..1024 * 1024 / 8).map(|number| format!("{number:08}")).collect();
    in_each_mode(|stage| {
        let (mut client, mut api) = stage.connected(NEXT);
        let event = event("a-1", &body);
        let part = &event[..event.len() - 200_001];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                api.send(part);
                api.close();
            });
            client.expect(part);
        });
        client.expect_end();
    });
}
