//! A Runtime API for tests: it sends the events that a test offers, and keeps all requests that it receives.

use std::collections::VecDeque;
use std::io::{self, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::http::{self, Message};

/// The longest wait for anything that has to happen, on two slow and shared cores.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often a poll checks that its connection is still open.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);

/// Returns the milliseconds since the epoch.
pub fn now_ms() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// An event, with the headers that come with it.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: String,
    pub arn: String,
    /// Milliseconds since the epoch.
    pub deadline_ms: u64,
    pub body: Vec<u8>,
}

impl Event {
    pub fn new(id: &str, body: &Value) -> Self {
        Self {
            id: id.to_owned(),
            arn: "arn:aws:lambda:eu-west-1:123456789012:function:checkout".to_owned(),
            deadline_ms: now_ms() + 60_000,
            body: body.to_string().into_bytes(),
        }
    }

    fn headers(&self) -> Vec<(String, String)> {
        [
            ("Content-Type", "application/json"),
            ("Lambda-Runtime-Aws-Request-Id", &self.id),
            ("Lambda-Runtime-Deadline-Ms", &self.deadline_ms.to_string()),
            ("Lambda-Runtime-Invoked-Function-Arn", &self.arn),
            ("Lambda-Runtime-Trace-Id", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0"),
            (
                "Lambda-Runtime-Client-Context",
                r#"{"client":{"installation_id":"i","app_title":"t","app_version_name":"n","app_version_code":"c","app_package_name":"p"},"custom":{"key":"value"},"env":{}}"#,
            ),
            (
                "Lambda-Runtime-Cognito-Identity",
                r#"{"cognitoIdentityId":"eu-west-1:1","cognitoIdentityPoolId":"eu-west-1:2"}"#,
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }
}

/// A complete request.
#[derive(Clone, Debug)]
pub struct Received {
    pub at: Instant,
    /// Milliseconds since the epoch.
    pub time_ms: u64,
    pub message: Message,
}

impl Received {
    /// Whether the request has this method and this path.
    pub fn is(&self, method: &str, path: &str) -> bool {
        self.message.start == format!("{method} /2018-06-01/runtime/{path} HTTP/1.1")
    }
}

#[derive(Default)]
struct State {
    events: VecDeque<Event>,
    received: Vec<Received>,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The Runtime API. Dropping it ends its thread, even when the test fails.
pub struct RuntimeApi {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
}

impl RuntimeApi {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if served.state().ended {
                    return;
                }
                let shared = Arc::clone(&served);
                // A broken connection means that the runtime has ended, which the test checks elsewhere.
                std::thread::spawn(move || shared.serve(&stream));
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Queues an event.
    pub fn offer(&self, event: Event) {
        self.shared.state().events.push_back(event);
        self.shared.changed.notify_all();
    }

    /// Waits for the result of an invocation: its response or its error.
    pub fn result(&self, id: &str) -> Received {
        self.wait(&format!("the result of {id}"), |received| {
            received.is("POST", &format!("invocation/{id}/response"))
                || received.is("POST", &format!("invocation/{id}/error"))
        })
    }

    /// Waits for the poll with this number, after which the previous invocations are complete. Returns all requests up
    /// to then.
    pub fn until_poll(&self, number: usize) -> Vec<Received> {
        let is_poll = |received: &&Received| received.is("GET", "invocation/next");
        self.wait_until(&format!("poll {number}"), |received| {
            (received.iter().filter(is_poll).count() >= number).then(|| received.to_vec())
        })
    }

    /// Waits for the first request that is `wanted`.
    pub fn wait(&self, what: &str, wanted: impl Fn(&Received) -> bool) -> Received {
        self.wait_until(what, |received| received.iter().find(|received| wanted(received)).cloned())
    }

    fn wait_until<T>(&self, what: &str, find: impl Fn(&[Received]) -> Option<T>) -> T {
        let began = Instant::now();
        let mut state = self.shared.state();
        loop {
            if let Some(found) = find(&state.received) {
                return found;
            }
            let starts: Vec<_> = state.received.iter().map(|received| &received.message.start).collect();
            assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}; only {starts:?}");
            state = self.shared.changed.wait_timeout(state, CHECK_INTERVAL).unwrap().0;
        }
    }

    /// Returns all requests that were received so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.state().received.clone()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.shared.changed.notify_all();
        // Connect again, because the thread waits in `accept`.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Ignore the poison, so that a test that has failed in another thread still ends.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut writer = stream;
        let mut reader = BufReader::new(stream);
        let proceed = || io::Write::write_all(&mut { stream }, b"HTTP/1.1 100 Continue\r\n\r\n");
        while let Some(message) = http::read(&mut reader, proceed)? {
            let received = Received { at: Instant::now(), time_ms: now_ms(), message };
            let is_poll = received.is("GET", "invocation/next");
            self.state().received.push(received);
            self.changed.notify_all();
            if is_poll {
                let Some(event) = self.next(stream)? else { return Ok(()) };
                http::write(&mut writer, "HTTP/1.1 200 OK", &event.headers(), &event.body)?;
            } else {
                let headers = [("Content-Type".to_owned(), "application/json".to_owned())];
                http::write(&mut writer, "HTTP/1.1 202 Accepted", &headers, br#"{"status":"OK"}"#)?;
            }
        }
        Ok(())
    }

    /// Waits for the next event; `None` if the connection was closed before.
    fn next(&self, stream: &TcpStream) -> io::Result<Option<Event>> {
        let mut state = self.state();
        loop {
            if state.ended || is_closed(stream)? {
                return Ok(None);
            }
            if let Some(event) = state.events.pop_front() {
                return Ok(Some(event));
            }
            state = self.changed.wait_timeout(state, CHECK_INTERVAL).unwrap().0;
        }
    }
}

fn is_closed(stream: &TcpStream) -> io::Result<bool> {
    stream.set_nonblocking(true)?;
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false)?;
    Ok(match peeked {
        Ok(count) => count == 0,
        Err(error) => error.kind() != io::ErrorKind::WouldBlock,
    })
}
