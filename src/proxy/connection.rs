//! One connection of the runtime, and the connection to the Runtime API that belongs to it.

use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::select;

use super::head::{Request, Unrecognized, value_of};
use super::injector::Injector;
use super::message::INVOCATION_ID;
use super::relay::{Duplex, RelayError};
use super::route::Route;
use super::side::Side;
use super::upstream::Upstream;

/// Whether the connection can serve another request.
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
    /// The runtime's side.
    pub(super) down: Side,
    /// The Runtime API's side. It is connected just before it is used: if it was closed while the environment was
    /// frozen, the proxy notices that first. So no request is lost on a dead connection, and none has to be sent twice.
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
            match self.serve_request().await {
                Ok(Flow::Keep) => {}
                Err(RelayError::Unrecognized(why)) => return self.tunnel(why).await,
                Ok(Flow::Close) | Err(RelayError::Runtime | RelayError::Api) => return,
            }
        }
    }

    /// Serves one request.
    async fn serve_request(&mut self) -> Result<Flow, RelayError> {
        let request = self.read_request().await?;
        let Some(injector) = self.injector.clone() else { return self.pass(&request).await };
        match &request.route {
            Route::Next => {
                injector.note_poll();
                if request.framing.is_done() && injector.is_active() {
                    return self.serve_next(&request, &injector).await;
                }
            }
            Route::Result { id, .. } => {
                let head = self.down.source.buffer.filled().get(..request.length).unwrap_or_default();
                let start = request.path.start;
                let id = std::str::from_utf8(&head[start + id.start..start + id.end]).unwrap_or_default();
                if let Some(pending) = injector.recall(id, value_of(head, INVOCATION_ID)) {
                    let id = id.to_owned();
                    return self.serve_result(&request, &injector, &id, pending).await;
                }
            }
            Route::Other => {}
        }
        self.pass(&request).await
    }

    /// Reads the head of the next request, and leaves it in the buffer.
    async fn read_request(&mut self) -> Result<Request, RelayError> {
        loop {
            if let Some(request) = self.down.source.head(Request::parse)? {
                return Ok(request);
            }
            let idle = async {
                match &mut self.up {
                    // No request is under way, so anything that arrives means the end of the connection.
                    Some(up) => drop(up.source.fill().await),
                    None => std::future::pending().await,
                }
            };
            // The idle connection comes first: it may have ended together with the arrival of the next request.
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

    /// Passes a request on unchanged, and its response back.
    pub(super) async fn pass(&mut self, request: &Request) -> Result<Flow, RelayError> {
        self.connect().await?;
        if self.upstream.prefix().is_empty() {
            return self.exchange(request, &[], request.length).await;
        }
        let head = self.take_prefixed(request);
        self.exchange(request, &head, 0).await
    }

    /// Sends `own` bytes, `lead` bytes of the buffer and the request's body, and passes the response back.
    pub(super) async fn exchange(&mut self, request: &Request, own: &[u8], lead: usize) -> Result<Flow, RelayError> {
        let Some(up) = &mut self.up else { return Err(RelayError::Api) };
        let keep = Duplex::new(&mut self.down, up).exchange(request, own, lead).await?;
        Ok(Flow::from(keep && request.keep))
    }

    /// Takes the head out of the buffer, and inserts the upstream's prefix before its path.
    pub(super) fn take_prefixed(&mut self, request: &Request) -> Vec<u8> {
        let buffer = &mut self.down.source.buffer;
        let head = buffer.filled().get(..request.length).unwrap_or_default();
        let prefixed = self.upstream.prefixed(head, request.path.start);
        buffer.consume(request.length);
        prefixed
    }

    /// Connects to the Runtime API, unless there is a live connection. Must be called while no request is under way:
    /// anything that has arrived on the idle connection then means its end.
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

    /// Passes all bytes as they come, in both directions, until both sides have closed their connections.
    async fn tunnel(mut self, why: Unrecognized) {
        if let Some(injector) = &self.injector {
            injector.report_tunnel(why);
        }
        // An existing connection is kept: a response may be under way on it.
        if self.up.is_none() && self.connect().await.is_err() {
            return;
        }
        let Some(up) = &mut self.up else { return };
        Duplex::new(&mut self.down, up).tunnel().await;
    }
}
