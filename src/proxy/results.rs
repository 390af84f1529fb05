//! What happens to an invocation's result before it reaches the Runtime API.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::select;

use super::buffered::{BufferedMessage, MAX_BUFFERED};
use super::connection::{Connection, Flow};
use super::framing::Framing;
use super::head::Request;
use super::injector::Injector;
use super::log::log_line;
use super::message::{InvocationKey, changed, has_failed, result_request};
use super::payload;
use super::pending::PendingEffects;
use super::relay::{RelayError, write_to_api};
use super::route::Route;
use super::source::TransferError;
use super::verdict::ResultChanges;

/// A result that a fault changes.
struct Changed<'c> {
    /// The runtime's request that posts the result.
    request: &'c Request,
    injector: &'c Injector,
    /// The request id of the invocation.
    id: &'c str,
    /// The faults that change it.
    result_changes: ResultChanges<'static>,
}

impl Changed<'_> {
    /// Reports that a fault was injected.
    fn report(&self, fault: &str) {
        self.injector.report(fault, Duration::ZERO, self.id);
    }
}

impl Connection {
    /// Serves a request that posts a result, after the faults that take effect on it.
    pub(super) async fn serve_result(
        &mut self,
        request: &Request,
        injector: &Injector,
        id: &str,
        pending: PendingEffects,
    ) -> Result<Flow, RelayError> {
        let PendingEffects { result_changes, disk, breaking, exits } = pending;
        drop((disk, breaking));
        if exits && injector.kill_runtime(id) {
            // The runtime is dead, and with it this connection.
            return Err(RelayError::Runtime);
        }
        for delay in &result_changes.delays {
            injector.delay("latency", *delay, id).await;
        }
        let changes = !result_changes.responses.is_empty()
            || !result_changes.corruptions.is_empty()
            || result_changes.error.is_some();
        let is_error = matches!(request.route, Route::Result { is_error: true, .. });
        // A failed handler has no response that could be replaced or damaged.
        if !changes || is_error && result_changes.error.is_none() {
            return self.pass(request).await;
        }
        self.change_result(&Changed { request, injector, id, result_changes }).await
    }

    /// Sends a changed result, unless the faults expire before the runtime's own one was read.
    async fn change_result(&mut self, result: &Changed<'_>) -> Result<Flow, RelayError> {
        let Changed { request, injector, id, result_changes } = result;
        if injector.remaining().is_none() {
            return self.pass(request).await;
        }
        if request.expects {
            self.down.writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(|_| RelayError::Runtime)?;
        }
        let mut buffered = BufferedMessage::new(&mut self.down.source, request.length, request.framing.clone());
        select! {
            () = buffered.read(&mut self.down.source) => {}
            () = injector.end() => {}
        }
        self.connect().await?;
        match buffered.stop() {
            // An incomplete result is never completed by the proxy.
            Some(TransferError::Source) => return Err(RelayError::Runtime),
            Some(stop) => {
                self.send_buffered(request, &buffered).await?;
                return Err(stop.of_a_request());
            }
            None if injector.remaining().is_none() => return self.pass_buffered(request, buffered).await,
            None => {}
        }
        if let Some(fault) = result_changes.error {
            result.report("error");
            let key = InvocationKey::new(id, buffered.head());
            let own = result_request(&self.upstream, &key, Some(&fault.error_type), &payload::of_error(fault));
            return self.send_instead(request, buffered, &own).await;
        }
        let Some((body, trailers)) = buffered.body() else { return self.replace_oversized(result, buffered).await };
        let (changed, injected) = changed(buffered.head(), self.upstream.prefix(), &body, result_changes);
        if injected.is_empty() || has_failed(trailers) {
            return self.pass_buffered(request, buffered).await;
        }
        injected.iter().for_each(|fault| result.report(fault));
        self.send_instead(request, buffered, &changed).await
    }

    /// Replaces a response that is too large for the buffer as a whole, if a fault asks for that; otherwise it passes
    /// undamaged.
    async fn replace_oversized(&mut self, result: &Changed<'_>, buffered: BufferedMessage) -> Result<Flow, RelayError> {
        let Some(fault) = result.result_changes.responses.last() else {
            log_line(&format!("a response of more than {MAX_BUFFERED} bytes passes undamaged"));
            return self.pass_buffered(result.request, buffered).await;
        };
        result.report("response");
        let key = InvocationKey::new(result.id, buffered.head());
        let own = result_request(&self.upstream, &key, None, &payload::of_response(fault));
        self.send_instead(result.request, buffered, &own).await
    }

    /// Sends the proxy's own request in place of the runtime's, and passes the response back.
    async fn send_instead(
        &mut self,
        request: &Request,
        buffered: BufferedMessage,
        own: &[u8],
    ) -> Result<Flow, RelayError> {
        self.down.source.discard(&mut buffered.rest()).await.map_err(TransferError::of_a_request)?;
        self.exchange(&Request { framing: Framing::NONE, ..request.clone() }, own, 0).await
    }

    /// Passes the buffered part of a request and the rest of it on unchanged, and the response back.
    async fn pass_buffered(&mut self, request: &Request, buffered: BufferedMessage) -> Result<Flow, RelayError> {
        let own = self.upstream.prefixed(buffered.bytes(), request.path.start);
        self.exchange(&Request { framing: buffered.rest(), ..request.clone() }, &own, 0).await
    }

    async fn send_buffered(&mut self, request: &Request, buffered: &BufferedMessage) -> Result<(), RelayError> {
        let own = self.upstream.prefixed(buffered.bytes(), request.path.start);
        let Some(up) = &mut self.up else { return Err(RelayError::Api) };
        write_to_api(&mut up.writer, &own).await
    }
}
