//! A proxy process with a peer on each side. All connections are on 127.0.0.1, and no wait is longer than [`PATIENCE`].

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longer than any step takes, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const PROXY: &str = env!("CARGO_BIN_EXE_snapback-proxy");
/// A poll.
pub const NEXT: &str =
    "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1:1\r\nUser-Agent: a-runtime\r\n\r\n";
/// The event of [`Stage::invoke`] and [`Stage::deliver`].
const EVENT: &str = r#"{"path":"/config","n":1}"#;
/// A streamed response with a trailer.
pub const STREAM: &str = "POST /2018-06-01/runtime/invocation/a-1/response HTTP/1.1\r\nHost: x\r\nX-Own: kept\r\n\
    Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: application/octet-stream\r\n\
    Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\nX-Sum: 7\r\n\r\n";
/// How the Runtime API acknowledges a result.
pub const ACCEPTED: &str = "HTTP/1.1 202 Accepted\r\nContent-Length: 16\r\n\r\n{\"status\":\"OK\"}\n";

/// One side of a connection.
pub struct Peer(pub BufReader<TcpStream>);

impl Peer {
    fn new(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    pub fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).unwrap())
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.get_mut().write_all(bytes.as_ref()).unwrap();
    }

    /// Reads exactly these bytes.
    pub fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let mut got = vec![0; bytes.len()];
        let mut filled = 0;
        while filled < got.len() {
            match self.0.read(&mut got[filled..]) {
                Ok(count @ 1..) => filled += count,
                end => panic!("{end:?} after {}", got[..filled].escape_ascii()),
            }
        }
        if got != bytes {
            let at = got.iter().zip(bytes).position(|(a, b)| a != b).unwrap();
            let show =
                |bytes: &[u8]| bytes[at..].iter().take(80).copied().collect::<Vec<_>>().escape_ascii().to_string();
            panic!("differs at byte {at}: got {}, not {}", show(&got), show(bytes));
        }
    }

    /// Reads a message whose body has a `Content-Length`.
    pub fn message(&mut self) -> Message {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut head).unwrap(), 0, "the stream ends after {head:?}");
        }
        let mut message = Message { head, body: Vec::new() };
        let length = message.header("content-length").map_or(0, |length| length.parse().unwrap());
        message.body = vec![0; length];
        self.0.read_exact(&mut message.body).unwrap();
        message
    }

    /// Reads the end of the stream, without another byte before it.
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => assert!(rest.is_empty(), "more bytes: {}", rest.escape_ascii()),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }

    /// Waits, and reads no byte.
    pub fn expect_silence(&mut self, how_long: Duration) {
        self.0.get_ref().set_read_timeout(Some(how_long)).unwrap();
        let got = self.0.fill_buf().map(<[u8]>::to_vec);
        self.0.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(matches!(&got, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{got:?}");
    }

    pub fn close(self) {
        self.0.get_ref().shutdown(Shutdown::Both).unwrap();
    }
}

#[derive(Debug)]
pub struct Message {
    pub head: String,
    pub body: Vec<u8>,
}

impl Message {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body.escape_ascii()))
    }
}

/// A Runtime API played by a test.
pub struct Api(TcpListener);

impl Api {
    pub fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// Accepts the next connection.
    pub fn accept(&self) -> Peer {
        self.try_accept(PATIENCE).expect("no connection arrived")
    }

    pub fn try_accept(&self, patience: Duration) -> Option<Peer> {
        self.0.set_nonblocking(true).unwrap();
        let began = std::time::Instant::now();
        while began.elapsed() < patience {
            if let Ok((stream, _)) = self.0.accept() {
                stream.set_nonblocking(false).unwrap();
                return Some(Peer::new(stream));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        None
    }
}

/// A standalone proxy and the Runtime API behind it. Dropping the value ends the proxy.
pub struct Stage {
    pub api: Api,
    pub proxy: Child,
    pub address: SocketAddr,
    output: BufReader<ChildStdout>,
    errors: BufReader<ChildStderr>,
}

impl Stage {
    /// Starts a proxy with a JSON list of faults; `""` starts one without a configuration.
    pub fn new(faults: &str) -> Self {
        Self::at(Api::new(), "", faults, Duration::from_secs(600))
    }

    /// Starts a proxy for this Runtime API below a path, with faults that last this long.
    pub fn at(api: Api, path: &str, faults: &str, lasting: Duration) -> Self {
        let mut command = Command::new(PROXY);
        command.args(["--listen", "127.0.0.1:0"]);
        let scheme = if path.is_empty() { "" } else { "http://" };
        command.env("AWS_LAMBDA_RUNTIME_API", format!("{scheme}{}{path}", api.address()));
        if !faults.is_empty() {
            command.env("SNAPBACK_FAULTS", config(faults, lasting));
        }
        let mut proxy = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut errors = BufReader::new(proxy.stderr.take().unwrap());
        errors.read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("snapback-proxy: listening on ").unwrap_or_else(|| panic!("{line:?}"));
        let output = BufReader::new(proxy.stdout.take().unwrap());
        Self { api, address: address.parse().unwrap(), proxy, output, errors }
    }

    pub fn client(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// Connects a client, sends its first request, and returns the client and the connection to the Runtime API on
    /// which that request has arrived.
    pub fn connected(&self, request: &str) -> (Peer, Peer) {
        let mut client = self.client();
        client.send(request);
        let mut api = self.api.accept();
        api.expect(request);
        (client, api)
    }

    /// Lets a runtime poll, and the Runtime API send it an event.
    pub fn invoke(&self, id: &str) -> (Peer, Peer) {
        let (client, mut api) = self.connected(NEXT);
        api.send(event(id, EVENT));
        (client, api)
    }

    /// Lets a runtime poll and receive an event.
    pub fn deliver(&self, id: &str) -> (Peer, Peer) {
        let (mut client, mut api) = self.connected(NEXT);
        let event = event(id, EVENT);
        api.send(&event);
        client.expect(&event);
        (client, api)
    }

    /// Kills the proxy, and returns its log without the address that it listens on.
    pub fn log_after_kill(mut self) -> String {
        self.proxy.kill().unwrap();
        let mut log = String::new();
        self.errors.read_to_string(&mut log).unwrap();
        log
    }

    /// Returns the proxy's files in /tmp: whether each has no name, and its bytes on the disk.
    pub fn unnamed_files(&self) -> Vec<(bool, u64)> {
        let entries = std::fs::read_dir(format!("/proc/{}/fd", self.proxy.id())).unwrap();
        let open = entries.filter_map(|entry| {
            let path = entry.unwrap().path();
            let target = std::fs::read_link(&path).ok()?;
            target.starts_with("/tmp/").then(|| std::fs::metadata(&path).unwrap())
        });
        open.map(|file| (file.nlink() == 0, file.blocks() * 512)).collect()
    }

    /// Reads the next metric: fault, milliseconds, request.
    pub fn metric(&mut self) -> (String, u64, String) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let metric: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert_eq!((&metric["Experiment"], &metric["Run"]), (&"an experiment".into(), &"run-1".into()));
        assert_eq!(metric["InjectedFaults"], 1);
        assert!(metric["_aws"]["CloudWatchMetrics"][0]["Dimensions"][0].as_array().unwrap().len() == 3, "{metric}");
        let text = |name: &str| metric[name].as_str().unwrap_or_default().to_owned();
        (text("Fault"), metric["InjectedDelay"].as_u64().unwrap(), text("RequestId"))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

/// Passes bytes from one peer to the other while both work, as large messages need.
pub fn pass(from: &mut Peer, to: &mut Peer, bytes: impl AsRef<[u8]> + Sync) {
    std::thread::scope(|scope| {
        scope.spawn(|| from.send(&bytes));
        to.expect(&bytes);
    });
}

/// Acknowledges a result.
pub fn acknowledge(client: &mut Peer, api: &mut Peer) {
    api.send(ACCEPTED);
    client.expect(ACCEPTED);
}

/// Acknowledges a result, and lets the runtime poll and receive the next event.
pub fn next_invocation(client: &mut Peer, api: &mut Peer, id: &str) {
    acknowledge(client, api);
    client.send(NEXT);
    api.expect(NEXT);
    api.send(event(id, "{}"));
    client.message();
}

/// Returns a configuration with faults that last this long.
pub fn config(faults: &str, lasting: Duration) -> String {
    format!(
        r#"{{"until":{},"experiment":"an experiment","run":"run-1","seed":1,"faults":{faults}}}"#,
        milliseconds() + u64::try_from(lasting.as_millis()).unwrap()
    )
}

/// Returns the milliseconds since the epoch.
pub fn milliseconds() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Returns an event as Lambda sends it.
pub fn event(id: &str, body: &str) -> String {
    event_until(id, body, Duration::from_secs(30))
}

/// Returns an event with this time until its deadline.
pub fn event_until(id: &str, body: &str, remaining: Duration) -> String {
    let deadline = milliseconds() + u64::try_from(remaining.as_millis()).unwrap();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: {id}\r\n\
         Lambda-Runtime-Deadline-Ms: {deadline}\r\n\
         Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:123456789012:function:checkout:live\r\n\
         Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Adds a header after all others of a message.
pub fn with_header(message: &str, header: &str) -> String {
    message.replacen("\r\n\r\n", &format!("\r\n{header}\r\n\r\n"), 1)
}

/// Returns the request with which a runtime posts a result.
pub fn post(id: &str, kind: &str, body: &str) -> String {
    format!(
        "POST /2018-06-01/runtime/invocation/{id}/{kind} HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\
         Content-Type: application/json\r\nX-Own: kept\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
