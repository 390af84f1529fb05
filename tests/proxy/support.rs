//! A proxy process with a peer on either side. Everything is on 127.0.0.1, and no wait is longer than [`PATIENCE`].

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub const PATIENCE: Duration = Duration::from_secs(20);
pub const PROXY: &str = env!("CARGO_BIN_EXE_snapback-proxy");
pub const NEXT: &str =
    "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: 127.0.0.1:1\r\nUser-Agent: a-runtime\r\n\r\n";
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

    /// Exactly these bytes come next.
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

    /// A message with its head and a body by `Content-Length`.
    pub fn message(&mut self) -> Message {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(self.0.read_line(&mut head).unwrap(), 0, "the end, after {head:?}");
        }
        let mut message = Message { head, body: Vec::new() };
        let length = message.header("content-length").map_or(0, |length| length.parse().unwrap());
        message.body = vec![0; length];
        self.0.read_exact(&mut message.body).unwrap();
        message
    }

    /// The other side closes the connection, without another byte.
    pub fn expect_end(&mut self) {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => assert!(rest.is_empty(), "more: {}", rest.escape_ascii()),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }

    /// Nothing comes for a while.
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

/// A Runtime API that a test plays.
pub struct Api(TcpListener);

impl Api {
    pub fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    /// The next connection.
    pub fn accept(&self) -> Peer {
        self.try_accept(PATIENCE).expect("no connection came")
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

/// A standalone proxy, and the Runtime API behind it. It ends with this value.
pub struct Stage {
    pub api: Api,
    pub proxy: Child,
    pub address: SocketAddr,
    output: BufReader<ChildStdout>,
    errors: BufReader<ChildStderr>,
}

impl Stage {
    /// With these faults, a JSON list; `""` is none at all.
    pub fn new(faults: &str) -> Self {
        Self::at(Api::new(), "", faults, Duration::from_secs(600))
    }

    pub fn at(api: Api, path: &str, faults: &str, lasting: Duration) -> Self {
        let mut command = Command::new(PROXY);
        command.args(["--listen", "127.0.0.1:0"]);
        let scheme = if path.is_empty() { "" } else { "http://" };
        command.env("AWS_LAMBDA_RUNTIME_API", format!("{scheme}{}{path}", api.address()));
        if !faults.is_empty() {
            command.env("SNAPBACK_FAULTS", config(faults, lasting));
        }
        let mut proxy = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut errors = BufReader::new(proxy.stderr.take().unwrap());
        errors.read_line(&mut said).unwrap();
        let address = said.trim().strip_prefix("snapback-proxy: listening on ").unwrap_or_else(|| panic!("{said:?}"));
        let output = BufReader::new(proxy.stdout.take().unwrap());
        Self { api, address: address.parse().unwrap(), proxy, output, errors }
    }

    pub fn client(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// A client with its first request, and the connection to the Runtime API on which that request arrived.
    pub fn connected(&self, request: &str) -> (Peer, Peer) {
        let mut client = self.client();
        client.send(request);
        let mut api = self.api.accept();
        api.expect(request);
        (client, api)
    }

    /// Ends the proxy. What it has said in the log, but for where it listens.
    pub fn last_words(mut self) -> String {
        self.proxy.kill().unwrap();
        let mut said = String::new();
        self.errors.read_to_string(&mut said).unwrap();
        said
    }

    /// The next metric: fault, milliseconds, request.
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

pub fn config(faults: &str, lasting: Duration) -> String {
    format!(
        r#"{{"until":{},"experiment":"an experiment","run":"run-1","seed":1,"faults":{faults}}}"#,
        milliseconds() + u64::try_from(lasting.as_millis()).unwrap()
    )
}

pub fn milliseconds() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// An event as Lambda gives it.
pub fn event(id: &str, body: &str) -> String {
    event_until(id, body, Duration::from_secs(30))
}

pub fn event_until(id: &str, body: &str, left: Duration) -> String {
    let deadline = milliseconds() + u64::try_from(left.as_millis()).unwrap();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLambda-Runtime-Aws-Request-Id: {id}\r\n\
         Lambda-Runtime-Deadline-Ms: {deadline}\r\n\
         Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:eu-west-1:123456789012:function:checkout:live\r\n\
         Lambda-Runtime-Trace-Id: Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The same message with another header, after all others.
pub fn with_header(message: &str, header: &str) -> String {
    message.replacen("\r\n\r\n", &format!("\r\n{header}\r\n\r\n"), 1)
}

/// What a runtime posts.
pub fn post(id: &str, kind: &str, body: &str) -> String {
    format!(
        "POST /2018-06-01/runtime/invocation/{id}/{kind} HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\
         Content-Type: application/json\r\nX-Own: kept\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}
