//! For any bytes from both sides, the proxy ends, and the received bytes are a prefix of the sent ones.
//!
//! The first byte of an input selects whether there are faults, the second one is the length of the runtime's part. The
//! rest is what the runtime and the Runtime API send.
#![no_main]

use std::net::TcpListener as StdListener;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use snapback::model::invocation::ProxyConfig;
use snapback::proxy::{Upstream, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// All faults that neither wait nor kill.
const FAULTS: &str = r#"{"until":9999999999999,"experiment":"e","run":"r","seed":1,"faults":[
    {"error":{"match":[{"path":"a.0.b","exists":true},{"path":"c","regex":"x+"}]}},
    {"response":{"statusCode":404,"when":"after","percentage":50}},{"corrupt":{"mangle":true}},
    {"error":{"when":"after","percentage":10}}]}"#;
/// The longest time of an exchange, in which nothing waits; it allows for a very busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fuzz_target!(|input: &[u8]| {
    let Some(([first, split], rest)) = input.split_at_checked(2).map(|(head, rest)| ([head[0], head[1]], rest)) else {
        return;
    };
    let faults = first % 2 == 1;
    let (runtime, api) = rest.split_at(usize::from(split).min(rest.len()));
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (requests, responses) = threads
        .block_on(async { tokio::time::timeout(PATIENCE, exchange(runtime, api, faults)).await })
        .expect("the exchange hangs");
    if !faults {
        assert!(runtime.starts_with(&requests), "the Runtime API received {}", requests.escape_ascii());
        assert!(api.starts_with(&responses), "the runtime received {}", responses.escape_ascii());
    }
});

/// Returns the bytes that the Runtime API has received over all connections, and those that the runtime has received.
async fn exchange(runtime: &[u8], api: &[u8], faults: bool) -> (Vec<u8>, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let upstream = Upstream::parse(&listener.local_addr().expect("an address").to_string()).expect("an upstream");
    let entrance = StdListener::bind("127.0.0.1:0").expect("a port");
    let address = entrance.local_addr().expect("an address");
    let config = faults.then(|| ProxyConfig::parse(FAULTS).expect("config"));
    let mut requests = Vec::new();
    let client = async {
        let mut client = TcpStream::connect(address).await.expect("a connection");
        let mut responses = Vec::new();
        let (mut reader, mut writer) = client.split();
        // When one side closes its connection, the other one has to end as well.
        let send = async {
            let _ = writer.write_all(runtime).await;
            let _ = writer.shutdown().await;
        };
        let _ = tokio::join!(send, reader.read_to_end(&mut responses));
        responses
    };
    let responses = tokio::select! {
        responses = client => responses,
        served = serve(entrance, upstream, config) => unreachable!("{served:?}"),
        () = play(&listener, api, &mut requests) => unreachable!("it never ends"),
    };
    (requests, responses)
}

/// Sends the responses on the first connection, and nothing on any other one.
async fn play(listener: &TcpListener, api: &[u8], requests: &mut Vec<u8>) {
    let mut responses = api;
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let (mut reader, mut writer) = stream.split();
        let send = async {
            let _ = writer.write_all(std::mem::take(&mut responses)).await;
            let _ = writer.shutdown().await;
        };
        let _ = tokio::join!(send, reader.read_to_end(requests));
    }
}
