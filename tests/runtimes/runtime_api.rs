//! A Runtime API that belongs to a test: it gives out the events that it is offered, and keeps all that it gets.

use std::collections::VecDeque;
use std::io::{self, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::http::{self, Message};

/// For everything that happens by itself in the end, on two slow cores that others share.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks whether a poll's connection is still there.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Milliseconds since the epoch.
pub fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// An event, with the headers that come with it.
#[derive(Clone, Debug)]
pub struct Event {
    pub id: String,
    pub arn: String,
    /// Milliseconds since the epoch.
    pub deadline: u64,
    pub body: Vec<u8>,
}

impl Event {
    pub fn new(id: &str, body: &Value) -> Self {
        Self {
            id: id.to_owned(),
            arn: "arn:aws:lambda:eu-west-1:123456789012:function:checkout".to_owned(),
            deadline: now() + 60_000,
            body: body.to_string().into_bytes(),
        }
    }

    fn headers(&self) -> Vec<(String, String)> {
        [
            ("Content-Type", "application/json"),
            ("Lambda-Runtime-Aws-Request-Id", &self.id),
            ("Lambda-Runtime-Deadline-Ms", &self.deadline.to_string()),
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

/// A request that has come to its end.
#[derive(Clone, Debug)]
pub struct Received {
    pub at: Instant,
    /// Milliseconds since the epoch.
    pub time: u64,
    pub message: Message,
}

impl Received {
    /// Method and path.
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

/// It ends with the test, also when that fails.
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
                // A connection that breaks is a runtime that has ended: the test sees that elsewhere.
                std::thread::spawn(move || shared.serve(&stream));
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Gives out an event, after those offered before.
    pub fn offer(&self, event: Event) {
        self.shared.state().events.push_back(event);
        self.shared.changed.notify_all();
    }

    /// What an invocation was answered with: its response or its error.
    pub fn answer(&self, id: &str) -> Received {
        self.wait(&format!("an answer to {id}"), |received| {
            received.is("POST", &format!("invocation/{id}/response"))
                || received.is("POST", &format!("invocation/{id}/error"))
        })
    }

    /// Everything up to the poll of that number, which says that the invocations before it are over.
    pub fn until_poll(&self, number: usize) -> Vec<Received> {
        let is_poll = |received: &&Received| received.is("GET", "invocation/next");
        self.wait_until(&format!("poll {number}"), |received| {
            (received.iter().filter(is_poll).count() >= number).then(|| received.to_vec())
        })
    }

    /// The first request that is looked for, as soon as it is here.
    pub fn wait(&self, what: &str, wanted: impl Fn(&Received) -> bool) -> Received {
        self.wait_until(what, |received| received.iter().find(|received| wanted(received)).cloned())
    }

    fn wait_until<T>(&self, what: &str, look: impl Fn(&[Received]) -> Option<T>) -> T {
        let began = Instant::now();
        let mut state = self.shared.state();
        loop {
            if let Some(found) = look(&state.received) {
                return found;
            }
            let starts: Vec<_> = state.received.iter().map(|received| &received.message.start).collect();
            assert!(began.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}, only {starts:?}");
            state = self.shared.changed.wait_timeout(state, LOOK_EVERY).unwrap().0;
        }
    }

    /// Everything so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.state().received.clone()
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.shared.changed.notify_all();
        // The listener waits for one more connection.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // A test that has failed elsewhere still ends.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut writer = stream;
        let mut reader = BufReader::new(stream);
        let proceed = || io::Write::write_all(&mut { stream }, b"HTTP/1.1 100 Continue\r\n\r\n");
        while let Some(message) = http::read(&mut reader, proceed)? {
            let received = Received { at: Instant::now(), time: now(), message };
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

    /// The next event; `None` where nobody is there any more to take it.
    fn next(&self, stream: &TcpStream) -> io::Result<Option<Event>> {
        let mut state = self.state();
        loop {
            if state.ended || is_closed(stream)? {
                return Ok(None);
            }
            if let Some(event) = state.events.pop_front() {
                return Ok(Some(event));
            }
            state = self.changed.wait_timeout(state, LOOK_EVERY).unwrap().0;
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
