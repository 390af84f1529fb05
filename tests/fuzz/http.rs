//! Whatever either side sends: the proxy ends, and what arrives is the beginning of what was sent, byte for byte.
//!
//! The first byte of an input says whether faults are due and where the runtime's part ends; the rest is what the
//! runtime and the Runtime API send.
#![no_main]

use std::net::TcpListener as StdListener;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use snapback::model::invocation::ProxyConfig;
use snapback::proxy::{Upstream, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Every fault that does not wait or kill.
const FAULTS: &str = r#"{"until":9999999999999,"experiment":"e","run":"r","seed":1,"faults":[
    {"error":{"match":[{"path":"a.0.b","exists":true},{"path":"c","regex":"x+"}]}},
    {"response":{"statusCode":404,"when":"after","percentage":50}},{"corrupt":{"mangle":true}},
    {"error":{"when":"after","percentage":10}}]}"#;
/// Nothing waits for anything: this is a machine that is very busy.
const PATIENCE: Duration = Duration::from_secs(20);

fuzz_target!(|input: &[u8]| {
    let Some(([first, split], rest)) = input.split_at_checked(2).map(|(head, rest)| ([head[0], head[1]], rest)) else {
        return;
    };
    let faults = first % 2 == 1;
    let (runtime, api) = rest.split_at(usize::from(split).min(rest.len()));
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (asked, answered) = threads
        .block_on(async { tokio::time::timeout(PATIENCE, exchange(runtime, api, faults)).await })
        .expect("it hangs");
    if !faults {
        assert!(runtime.starts_with(&asked), "the Runtime API got {}", asked.escape_ascii());
        assert!(api.starts_with(&answered), "the runtime got {}", answered.escape_ascii());
    }
});

/// What the Runtime API has got, over all connections, and what the runtime has got.
async fn exchange(runtime: &[u8], api: &[u8], faults: bool) -> (Vec<u8>, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let upstream = Upstream::parse(&listener.local_addr().expect("an address").to_string()).expect("an upstream");
    let entrance = StdListener::bind("127.0.0.1:0").expect("a port");
    let address = entrance.local_addr().expect("an address");
    let config = faults.then(|| ProxyConfig::parse(FAULTS).expect("config"));
    let mut asked = Vec::new();
    let client = async {
        let mut client = TcpStream::connect(address).await.expect("a connection");
        let mut answered = Vec::new();
        let (mut reader, mut writer) = client.split();
        // Whichever side is closed first, the other one ends too.
        let send = async {
            let _ = writer.write_all(runtime).await;
            let _ = writer.shutdown().await;
        };
        let _ = tokio::join!(send, reader.read_to_end(&mut answered));
        answered
    };
    let answered = tokio::select! {
        answered = client => answered,
        served = serve(entrance, upstream, config) => unreachable!("{served:?}"),
        () = play(&listener, api, &mut asked) => unreachable!("it never ends"),
    };
    (asked, answered)
}

/// The first connection gets the answers, each further one nothing.
async fn play(listener: &TcpListener, api: &[u8], asked: &mut Vec<u8>) {
    let mut answers = api;
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let (mut reader, mut writer) = stream.split();
        let send = async {
            let _ = writer.write_all(std::mem::take(&mut answers)).await;
            let _ = writer.shutdown().await;
        };
        let _ = tokio::join!(send, reader.read_to_end(asked));
    }
}
