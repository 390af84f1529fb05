//! One connection of the runtime, and the one to the Runtime API that belongs to it.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::pin;
use tokio::select;

use super::head::{Request, Unrecognized, value_of};
use super::injector::Injector;
use super::message::INVOCATION_ID;
use super::process::limit_send_buffer;
use super::relay::{RelayError, drain, receive, send};
use super::route::Route;
use super::source::Source;
use super::upstream::Upstream;

/// How long a client may go on with a request that is answered already.
const LINGER: Duration = Duration::from_secs(5);

/// One end of the connection.
#[derive(Debug)]
pub(super) struct Side {
    /// What it sends.
    pub(super) source: Source,
    /// Where it gets what the other end sends.
    pub(super) writer: OwnedWriteHalf,
}

/// Bytes of a send buffer, which the kernel doubles. Everything is on one machine, so more would make nothing faster: a
/// large body is moved while it is still in the processor's cache, and less of the function's memory is taken.
const SEND_BUFFER: i32 = 128 * 1024;

impl From<TcpStream> for Side {
    fn from(stream: TcpStream) -> Self {
        limit_send_buffer(&stream, SEND_BUFFER);
        let (reader, writer) = stream.into_split();
        Self { source: Source::new(reader), writer }
    }
}

/// Whether the connection may serve another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Keep,
    Close,
}

impl From<bool> for Flow {
    fn from(keep: bool) -> Self {
        if keep { Self::Keep } else { Self::Close }
    }
}

/// A connection of the runtime.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(super) down: Side,
    /// Connected when it is needed: what was closed while the environment was frozen is noticed before it is used, so
    /// that no request is lost on it, and none has to be sent twice.
    pub(super) up: Option<Side>,
    pub(super) upstream: Arc<Upstream>,
    pub(super) injector: Option<Arc<Injector>>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, upstream: Arc<Upstream>, injector: Option<Arc<Injector>>) -> Self {
        Self { down: stream.into(), up: None, upstream, injector }
    }

    /// Serves the connection until either side closes it.
    pub(crate) async fn serve(mut self) {
        loop {
            match self.exchange().await {
                Ok(Flow::Keep) => {}
                Err(RelayError::Unrecognized(why)) => return self.tunnel(why).await,
                Ok(Flow::Close) | Err(RelayError::Runtime | RelayError::Api) => return,
            }
        }
    }

    /// One request and its answer.
    async fn exchange(&mut self) -> Result<Flow, RelayError> {
        let request = self.request().await?;
        let Some(injector) = self.injector.clone() else { return self.pass(&request).await };
        match &request.route {
            Route::Next => {
                injector.note_poll();
                if request.framing.is_done() && injector.is_active() {
                    return self.next(&request, &injector).await;
                }
            }
            Route::Answer { id, is_error } => {
                let head = self.down.source.buffer.filled().get(..request.length).unwrap_or_default();
                let start = request.path.start;
                let id = std::str::from_utf8(&head[start + id.start..start + id.end]).unwrap_or_default();
                if let Some(pending) = injector.recall(id, value_of(head, INVOCATION_ID)) {
                    let id = id.to_owned();
                    return self.answer(&request, &injector, &id, pending, *is_error).await;
                }
            }
            Route::Other => {}
        }
        self.pass(&request).await
    }

    /// The next request's head; it stays in the buffer.
    async fn request(&mut self) -> Result<Request, RelayError> {
        loop {
            if let Some(request) = self.down.source.head(Request::parse)? {
                return Ok(request);
            }
            let idle = async {
                match &mut self.up {
                    // Nothing was asked, so whatever comes is an end.
                    Some(up) => drop(up.source.fill().await),
                    None => std::future::pending().await,
                }
            };
            // The end of the idle connection first: it may have come together with the next request.
            select! {
                biased;
                () = idle => self.up = None,
                read = self.down.source.fill() => {
                    if !matches!(read, Ok(1..)) {
                        return Err(RelayError::Runtime);
                    }
                }
            }
        }
    }

    /// Passes a request on, and its answer back.
    pub(super) async fn pass(&mut self, request: &Request) -> Result<Flow, RelayError> {
        self.connect().await?;
        if self.upstream.prefix().is_empty() {
            return self.transfer(request, &[], request.length).await;
        }
        let head = self.take_prefixed(request);
        self.transfer(request, &head, 0).await
    }

    /// Sends `own` bytes, then `lead` bytes of the buffer and the request's body, and passes the answer back.
    pub(super) async fn transfer(&mut self, request: &Request, own: &[u8], lead: usize) -> Result<Flow, RelayError> {
        let Some(up) = &mut self.up else { return Err(RelayError::Api) };
        let down = &mut self.down;
        let mut framing = request.framing.clone();
        let answer = receive(&mut up.source, &mut down.writer, request.is_head);
        pin!(answer);
        let sent = send(&mut down.source, &mut up.writer, own, lead, &mut framing);
        let keep = match sent_or_answered(sent, answer.as_mut()).await? {
            Progress::Answered { keep } => keep,
            Progress::Sent => select! {
                biased;
                answer = answer => answer?,
                // A poll nobody waits for must not take an event.
                () = down.source.closed(), if request.is_poll => return Err(RelayError::Runtime),
            },
        };
        Ok(Flow::from(keep && request.keep))
    }

    /// Takes the head out of the buffer, and puts the upstream's prefix before its path.
    pub(super) fn take_prefixed(&mut self, request: &Request) -> Vec<u8> {
        let buffer = &mut self.down.source.buffer;
        let head = buffer.filled().get(..request.length).unwrap_or_default();
        let prefixed = self.upstream.prefixed(head, request.path.start);
        buffer.consume(request.length);
        prefixed
    }

    /// Connects to the Runtime API, unless that is so already. Only while nothing is asked: whatever comes on the idle
    /// connection then is its end.
    pub(super) async fn connect(&mut self) -> Result<(), RelayError> {
        if let Some(up) = &mut self.up {
            let ended = select! {
                biased;
                _ = up.source.fill() => true,
                () = std::future::ready(()) => false,
            };
            if ended || !up.source.buffer.is_empty() {
                self.up = None;
            }
        }
        if self.up.is_none() {
            self.up = Some(self.upstream.connect().await.map_err(|_| RelayError::Api)?.into());
        }
        Ok(())
    }

    /// Passes everything as it comes, both ways, until both sides are closed.
    async fn tunnel(mut self, why: Unrecognized) {
        if let Some(injector) = &self.injector {
            injector.report_tunnel(why);
        }
        // Where there is a connection, an answer may be under way on it.
        if self.up.is_none() && self.connect().await.is_err() {
            return;
        }
        let (Some(up), down) = (&mut self.up, &mut self.down) else { return };
        tokio::join!(drain(&mut down.source, &mut up.writer), drain(&mut up.source, &mut down.writer));
    }
}

/// How far an exchange has come.
enum Progress {
    /// The request was sent; its answer is still to come.
    Sent,
    /// The request was answered, and the connection may serve another one or not.
    Answered { keep: bool },
}

/// Waits for the first of the two. A request that is answered before it was sent is still read to its end, for a while:
/// closing the connection could take the answer from the runtime, since the kernel forgets what was not read when more
/// comes in.
async fn sent_or_answered(
    sent: impl Future<Output = Result<(), RelayError>>,
    answer: impl Future<Output = Result<bool, RelayError>>,
) -> Result<Progress, RelayError> {
    pin!(sent);
    let keep = select! {
        biased;
        sent = &mut sent => return sent.map(|()| Progress::Sent),
        answer = answer => answer?,
    };
    let rest = tokio::time::timeout(LINGER, sent).await;
    Ok(Progress::Answered { keep: keep && matches!(rest, Ok(Ok(()))) })
}

/// Writes all of it to the Runtime API.
pub(super) async fn write(writer: &mut OwnedWriteHalf, bytes: &[u8]) -> Result<(), RelayError> {
    tokio::io::AsyncWriteExt::write_all(writer, bytes).await.map_err(|_| RelayError::Api)
}
