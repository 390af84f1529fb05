//! What happens to the runtime's answers.

use tokio::io::AsyncWriteExt;
use tokio::select;

use super::buffered::{BufferedMessage, MAX_BUFFERED};
use super::connection::{Connection, Flow, write};
use super::framing::Framing;
use super::head::Request;
use super::injector::Injector;
use super::log::log_line;
use super::message::{InvocationKey, changed, has_failed, own_answer};
use super::payload;
use super::pending::Pending;
use super::relay::RelayError;
use super::source::TransferError;
use super::verdict::After;

impl Connection {
    /// Passes the runtime's answer on, after what is due has been done to it.
    pub(super) async fn answer(
        &mut self,
        request: &Request,
        injector: &Injector,
        id: &str,
        pending: Pending,
        is_error: bool,
    ) -> Result<Flow, RelayError> {
        let Pending { after, disk, exits } = pending;
        drop(disk);
        if exits && injector.kill_runtime(id) {
            // It is gone by now, and this with it.
            return Err(RelayError::Runtime);
        }
        for delay in &after.delays {
            injector.delay("latency", *delay, id).await;
        }
        let changes = !after.responses.is_empty() || !after.corruptions.is_empty() || after.error.is_some();
        // A handler that has failed has no answer that could be replaced or damaged.
        if !changes || is_error && after.error.is_none() {
            return self.pass(request).await;
        }
        self.change(request, injector, id, &after).await
    }

    /// Sends another answer in place of the runtime's, unless the faults' time is up before that is all here.
    async fn change(
        &mut self,
        request: &Request,
        injector: &Injector,
        id: &str,
        after: &After<'_>,
    ) -> Result<Flow, RelayError> {
        if injector.left().is_none() {
            return self.pass(request).await;
        }
        if request.expects {
            self.down.writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(|_| RelayError::Runtime)?;
        }
        let mut held = BufferedMessage::new(&mut self.down.source, request.length, request.framing.clone());
        select! {
            () = held.read(&mut self.down.source) => {}
            () = injector.end() => {}
        }
        self.connect().await?;
        match held.stop() {
            // Half an answer is none.
            Some(TransferError::Source) => return Err(RelayError::Runtime),
            Some(stop) => {
                self.send_held(request, &held).await?;
                return Err(stop.of_a_request());
            }
            None if injector.left().is_none() => return self.pass_held(request, held).await,
            None => {}
        }
        if let Some(fault) = after.error {
            injector.report("error", 0, id);
            let own = own_answer(
                &self.upstream,
                &InvocationKey::new(id, held.head()),
                Some(&fault.error_type),
                &payload::of_error(fault),
            );
            return self.replace(request, held, &own).await;
        }
        let Some((body, trailers)) = held.body() else {
            return self.change_unseen(request, injector, id, after, held).await;
        };
        let (changed, injected) = changed(held.head(), self.upstream.prefix(), &body, after);
        if injected.is_empty() || has_failed(trailers) {
            return self.pass_held(request, held).await;
        }
        injected.iter().for_each(|fault| injector.report(fault, 0, id));
        self.replace(request, held, &changed).await
    }

    /// An answer that is too long to be held is replaced as a whole where that is asked, and passes undamaged otherwise.
    async fn change_unseen(
        &mut self,
        request: &Request,
        injector: &Injector,
        id: &str,
        after: &After<'_>,
        held: BufferedMessage,
    ) -> Result<Flow, RelayError> {
        let Some(fault) = after.responses.last() else {
            log_line(&format!("an answer of more than {MAX_BUFFERED} bytes passes undamaged"));
            return self.pass_held(request, held).await;
        };
        injector.report("response", 0, id);
        let own = own_answer(&self.upstream, &InvocationKey::new(id, held.head()), None, &payload::of_response(fault));
        self.replace(request, held, &own).await
    }

    /// Sends a request of our own in place of the runtime's, and passes its answer back.
    async fn replace(&mut self, request: &Request, held: BufferedMessage, own: &[u8]) -> Result<Flow, RelayError> {
        self.down.source.discard(&mut held.rest()).await.map_err(TransferError::of_a_request)?;
        self.transfer(&Request { framing: Framing::NONE, ..request.clone() }, own, 0).await
    }

    /// Passes what was held on, as it came, and what follows it.
    async fn pass_held(&mut self, request: &Request, held: BufferedMessage) -> Result<Flow, RelayError> {
        let own = self.upstream.prefixed(held.bytes(), request.path.start);
        self.transfer(&Request { framing: held.rest(), ..request.clone() }, &own, 0).await
    }

    async fn send_held(&mut self, request: &Request, held: &BufferedMessage) -> Result<(), RelayError> {
        let own = self.upstream.prefixed(held.bytes(), request.path.start);
        let Some(up) = &mut self.up else { return Err(RelayError::Api) };
        write(&mut up.writer, &own).await
    }
}
