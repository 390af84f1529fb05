//! One connection of the runtime, and the one to the Runtime API that belongs to it.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::pin;
use tokio::select;

use super::buffer::Buffer;
use super::head::{Parsed, Request};
use super::injector::Injector;
use super::relay::{Broken, closed, receive, send, tunnel};
use super::route::Route;
use super::upstream::Upstream;

/// How long a client may go on with a request that is answered already.
const LINGER: Duration = Duration::from_secs(5);

/// One end of the connection, and what was read from it.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) reader: OwnedReadHalf,
    pub(super) writer: OwnedWriteHalf,
    pub(super) buffer: Buffer,
}

impl From<TcpStream> for Side {
    fn from(stream: TcpStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self { reader, writer, buffer: Buffer::new() }
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
                Err(Broken::Strange) => return self.tunnel().await,
                Ok(Flow::Close) | Err(Broken::Runtime | Broken::Api) => return,
            }
        }
    }

    /// One request and its answer.
    async fn exchange(&mut self) -> Result<Flow, Broken> {
        let request = self.request().await?;
        match (&request.route, self.injector.clone()) {
            (Route::Next, Some(injector)) if request.framing.is_done() && injector.is_active() => {
                self.next(&request, &injector).await
            }
            (Route::Answer { id, is_error }, Some(injector)) => {
                let start = request.path.start;
                let id = &self.down.buffer.filled()[start + id.start..start + id.end];
                let id = std::str::from_utf8(id).unwrap_or_default();
                match injector.recall(id).map(|pending| (id.to_owned(), pending)) {
                    Some((id, pending)) => self.answer(&request, &injector, &id, pending, *is_error).await,
                    None => self.pass(&request).await,
                }
            }
            _ => self.pass(&request).await,
        }
    }

    /// The next request's head; it stays in the buffer.
    async fn request(&mut self) -> Result<Request, Broken> {
        loop {
            if !self.down.buffer.is_empty() {
                match Request::parse(self.down.buffer.filled()) {
                    Parsed::Whole(request) => return Ok(request),
                    Parsed::Partial if !self.down.buffer.is_full() => {}
                    Parsed::Partial | Parsed::Strange => return Err(Broken::Strange),
                }
            }
            let idle = async {
                match &mut self.up {
                    // Nothing was asked, so whatever comes is an end.
                    Some(up) => drop(up.buffer.fill(&mut up.reader).await),
                    None => std::future::pending().await,
                }
            };
            // The end of the idle connection first: it may have come together with the next request.
            select! {
                biased;
                () = idle => self.up = None,
                read = self.down.buffer.fill(&mut self.down.reader) => {
                    if !matches!(read, Ok(1..)) {
                        return Err(Broken::Runtime);
                    }
                }
            }
        }
    }

    /// Passes a request on, and its answer back.
    pub(super) async fn pass(&mut self, request: &Request) -> Result<Flow, Broken> {
        self.connect().await?;
        if self.upstream.prefix().is_empty() {
            return self.transfer(request, &[], request.length).await;
        }
        let head = self.prefixed(request);
        self.down.buffer.consume(request.length);
        self.transfer(request, &head, 0).await
    }

    /// Sends `own` bytes, then `lead` bytes of the buffer and the request's body, and passes the answer back.
    pub(super) async fn transfer(&mut self, request: &Request, own: &[u8], lead: usize) -> Result<Flow, Broken> {
        let Some(up) = &mut self.up else { return Err(Broken::Api) };
        let down = &mut self.down;
        let mut framing = request.framing.clone();
        let answer = receive(&mut up.reader, &mut up.buffer, &mut down.writer, request.is_head);
        pin!(answer);
        {
            let sent = send(&mut down.reader, &mut down.buffer, &mut up.writer, own, lead, &mut framing);
            pin!(sent);
            select! {
                biased;
                sent = &mut sent => sent?,
                answer = &mut answer => {
                    // It was answered before it was sent. Closing now could take the answer from the runtime: the kernel
                    // forgets what was not read when more comes in.
                    let keep = answer?;
                    let rest = tokio::time::timeout(LINGER, sent).await;
                    return Ok(Flow::from(keep && request.keep && matches!(rest, Ok(Ok(())))));
                }
            }
        }
        let keep = select! {
            biased;
            answer = &mut answer => answer?,
            // A poll nobody waits for must not take an event.
            () = closed(&mut down.reader, &mut down.buffer), if request.is_poll => return Err(Broken::Runtime),
        };
        Ok(Flow::from(keep && request.keep))
    }

    /// The head that stands in the buffer, with the upstream's prefix before its path.
    pub(super) fn prefixed(&self, request: &Request) -> Vec<u8> {
        let head = self.down.buffer.filled().get(..request.length).unwrap_or_default();
        self.upstream.prefixed(head, request.path.start)
    }

    /// Connects to the Runtime API, unless that is so already. Only while nothing is asked: whatever comes on the idle
    /// connection then is its end.
    pub(super) async fn connect(&mut self) -> Result<(), Broken> {
        if let Some(up) = &mut self.up {
            let ended = select! {
                biased;
                _ = up.buffer.fill(&mut up.reader) => true,
                () = std::future::ready(()) => false,
            };
            if ended || !up.buffer.is_empty() {
                self.up = None;
            }
        }
        if self.up.is_none() {
            self.up = Some(self.upstream.connect().await.map_err(|_| Broken::Api)?.into());
        }
        Ok(())
    }

    async fn tunnel(mut self) {
        // Where there is a connection, an answer may be under way on it.
        if self.up.is_none() && self.connect().await.is_err() {
            return;
        }
        let (Some(up), down) = (&mut self.up, &mut self.down) else { return };
        tunnel(
            (&mut down.reader, &mut down.buffer, &mut down.writer),
            (&mut up.reader, &mut up.buffer, &mut up.writer),
        )
        .await;
    }
}

/// Writes all of it to the Runtime API.
pub(super) async fn write(writer: &mut OwnedWriteHalf, bytes: &[u8]) -> Result<(), Broken> {
    tokio::io::AsyncWriteExt::write_all(writer, bytes).await.map_err(|_| Broken::Api)
}
