//! What happens to an invocation before its event reaches the runtime.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::model::invocation::InvocationFault;

use super::buffer;
use super::buffered::BufferedMessage;
use super::connection::{Connection, Flow};
use super::disk;
use super::event::which_hold;
use super::framing::Framing;
use super::half_duplex::HalfDuplex;
use super::head::{Request, ResponseHead, value_of};
use super::injector::{Injector, now};
use super::log::log_line;
use super::message::{InvocationKey, result_request};
use super::payload;
use super::pending::PendingEffects;
use super::relay::{RelayError, read_response_head, while_connected, write_to_api};
use super::side::Side;
use super::source::TransferError;
use super::verdict::{Instead, Invocation, Verdict};

const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
const DEADLINE: &str = "lambda-runtime-deadline-ms";
const INVOKED_ARN: &str = "lambda-runtime-invoked-function-arn";

/// A triggered fault, and its roll.
type Triggered = (&'static InvocationFault, u64);

/// An event that triggers faults.
struct Event {
    key: InvocationKey,
    /// When the invocation times out, since the epoch.
    deadline: Option<Duration>,
    /// The response that carries the event.
    response: ResponseHead,
    /// The whole response, if it was read into memory for conditions.
    buffered: Option<BufferedMessage>,
}

/// The outcome of an event.
enum Outcome {
    /// The runtime has it. The connection can serve another request, or not.
    Delivered(Flow),
    /// The proxy has posted a result in the handler's place, so the runtime still waits for an event.
    Replaced,
}

impl Connection {
    /// Serves a request for the next event, and injects the faults that take effect before the handler runs.
    pub(super) async fn serve_next(&mut self, request: &Request, injector: &Arc<Injector>) -> Result<Flow, RelayError> {
        let head = self.take_prefixed(request);
        loop {
            self.connect().await?;
            match self.poll(&head, injector).await? {
                Outcome::Delivered(flow) => return Ok(if request.keep { flow } else { Flow::Close }),
                Outcome::Replaced => {}
            }
        }
    }

    /// Polls the Runtime API once for an event.
    async fn poll(&mut self, head: &[u8], injector: &Arc<Injector>) -> Result<Outcome, RelayError> {
        let Some(up) = &mut self.up else { return Err(RelayError::Api) };
        write_to_api(&mut up.writer, head).await?;
        let response = while_connected(&mut self.down.source, read_response_head(&mut up.source, false)).await?;
        let head = &up.source.buffer.filled()[..response.length];
        let id = value_of(head, REQUEST_ID).filter(|_| response.status == 200);
        let (Some(id), Some(_)) = (id, injector.remaining()) else { return self.deliver(None, &response).await };
        let deadline = value_of(head, DEADLINE).and_then(|deadline| deadline.parse().ok()).map(Duration::from_millis);
        let invocation = Invocation { deadline, arn: value_of(head, INVOKED_ARN) };
        let triggered = injector.roll(id).triggered(injector.config(), invocation);
        if triggered.clone().next().is_none() {
            return self.deliver(None, &response).await;
        }
        let key = InvocationKey::new(id, head);
        let mut triggered: Vec<Triggered> = triggered.collect();
        let mut buffered = None;
        // The event's body is read only if a fault has conditions on it.
        if triggered.iter().any(|(fault, _)| !fault.rule().conditions.is_empty()) {
            (triggered, buffered) = check_conditions(up, &response, triggered).await;
        }
        let verdict = Verdict::new(triggered.into_iter(), Invocation { deadline, arn: None }, now());
        self.carry_out(verdict, Event { key, deadline, response, buffered }, injector).await
    }

    /// Carries out the verdict, up to the moment when the runtime has the event.
    async fn carry_out(
        &mut self,
        verdict: Verdict<'static>,
        event: Event,
        injector: &Arc<Injector>,
    ) -> Result<Outcome, RelayError> {
        for (fault, delay) in verdict.delays {
            self.hold_event(fault, delay, &event.key.request, injector).await?;
        }
        // The faults may have expired during the delays.
        let instead = verdict.instead.filter(|_| injector.remaining().is_some());
        if let Some(instead) = instead {
            self.post_instead(instead, event, injector).await?;
            return Ok(Outcome::Replaced);
        }
        let Event { key, deadline, response, buffered } = event;
        let disk = fill_disk(&verdict.megabytes, &key.request, injector);
        let breakages = injector.breakages().filter(|_| !verdict.dependencies.is_empty());
        let breaking = breakages.map(|breakages| breakages.begin(&verdict.dependencies, &key.request));
        let (result_changes, exits) = (verdict.result_changes, verdict.exit.is_some());
        let pending = PendingEffects { result_changes, disk, breaking, exits };
        if !pending.is_empty() {
            injector.remember(&key, deadline, pending);
        }
        let delivered = self.deliver(buffered, &response).await;
        if let Err(RelayError::Runtime | RelayError::Api) = delivered {
            // The runtime does not have the whole event, so it will not post a result.
            injector.forget(&key);
        }
        if let (Ok(_), Some(delay)) = (&delivered, verdict.exit) {
            tokio::spawn(exit(Arc::clone(injector), key, delay));
        }
        delivered
    }

    /// Delays an event while the runtime waits for it, but never past the end of the faults.
    async fn hold_event(
        &mut self,
        fault: &str,
        delay: Duration,
        id: &str,
        injector: &Injector,
    ) -> Result<(), RelayError> {
        let delayed = async {
            injector.delay(fault, delay, id).await;
            Ok(())
        };
        while_connected(&mut self.down.source, delayed).await
    }

    /// Passes the response with the event to the runtime: from the source's buffer, or the one that was read into
    /// memory.
    async fn deliver(
        &mut self,
        buffered: Option<BufferedMessage>,
        response: &ResponseHead,
    ) -> Result<Outcome, RelayError> {
        let Some(up) = &mut self.up else { return Err(RelayError::Api) };
        let Side { source: runtime, writer } = &mut self.down;
        let mut responses = HalfDuplex::new(&mut up.source, writer);
        let Some(buffered) = buffered else {
            let keep = while_connected(runtime, responses.receive(false)).await?;
            return Ok(Outcome::Delivered(keep.into()));
        };
        responses.writer.write_all(buffered.bytes()).await.map_err(|_| RelayError::Runtime)?;
        responses.framing = buffered.rest();
        responses.forward().await.map_err(TransferError::of_a_response)?;
        Ok(Outcome::Delivered(response.keep.into()))
    }

    /// Posts a result in the handler's place, and drops the event.
    async fn post_instead(
        &mut self,
        instead: Instead<'_>,
        event: Event,
        injector: &Injector,
    ) -> Result<(), RelayError> {
        let Some(up) = &mut self.up else { return Err(RelayError::Api) };
        let Event { key, response, buffered, .. } = event;
        let mut rest = buffered.map_or_else(
            || {
                up.source.buffer.consume(response.length);
                response.framing
            },
            BufferedMessage::rest,
        );
        up.source.discard(&mut rest).await.map_err(|_| RelayError::Api)?;
        if !response.keep {
            self.up = None;
        }
        self.connect().await?;
        let (fault, request) = match instead {
            Instead::Response(fault) => {
                ("response", result_request(&self.upstream, &key, None, &payload::of_response(fault)))
            }
            Instead::Error(fault) => {
                ("error", result_request(&self.upstream, &key, Some(&fault.error_type), &payload::of_error(fault)))
            }
        };
        injector.report(fault, Duration::ZERO, &key.request);
        self.post(&request).await
    }

    /// Sends a request of the proxy itself, once, and reads its response.
    async fn post(&mut self, request: &[u8]) -> Result<(), RelayError> {
        let Some(up) = &mut self.up else { return Err(RelayError::Api) };
        write_to_api(&mut up.writer, request).await?;
        let response = loop {
            let mut response = read_response_head(&mut up.source, false).await.map_err(|_| RelayError::Api)?;
            up.source.buffer.consume(response.length);
            up.source.discard(&mut response.framing).await.map_err(|_| RelayError::Api)?;
            if response.status >= 200 {
                break response;
            }
        };
        if response.status >= 300 {
            log_line(&format!("the Runtime API refused an injected result with status {}", response.status));
        }
        if !response.keep {
            self.up = None;
        }
        Ok(())
    }
}

/// Keeps the faults whose conditions hold. An event that fits into the source's buffer is read there and stays there;
/// any other is copied into memory. On an incomplete event, no condition holds.
async fn check_conditions(
    up: &mut Side,
    response: &ResponseHead,
    triggered: Vec<Triggered>,
) -> (Vec<Triggered>, Option<BufferedMessage>) {
    let Some(size) = size_in_buffer(response) else {
        let mut buffered = BufferedMessage::new(&mut up.source, response.length, response.framing.clone());
        buffered.read(&mut up.source).await;
        let body = buffered.body();
        return (with_held_conditions(triggered, body.as_ref().map(|(body, _)| body.as_ref())), Some(buffered));
    };
    while up.source.buffer.filled().len() < size {
        if !matches!(up.source.fill().await, Ok(1..)) {
            return (with_held_conditions(triggered, None), None);
        }
    }
    (with_held_conditions(triggered, up.source.buffer.filled().get(response.length..size)), None)
}

/// Returns the bytes of a message with its head; `None` if its length is unknown or larger than the buffer.
fn size_in_buffer(response: &ResponseHead) -> Option<usize> {
    let Framing::Length(body) = response.framing else { return None };
    usize::try_from(body).ok()?.checked_add(response.length).filter(|size| *size <= buffer::SIZE)
}

fn with_held_conditions(triggered: Vec<Triggered>, event: Option<&[u8]>) -> Vec<Triggered> {
    let conditions: Vec<_> = triggered.iter().map(|(fault, _)| fault.rule().conditions).collect();
    let held = which_hold(&conditions, event);
    triggered.into_iter().zip(held).filter_map(|(fault, holds)| holds.then_some(fault)).collect()
}

fn fill_disk(megabytes: &[u32], id: &str, injector: &Injector) -> Option<std::fs::File> {
    if megabytes.is_empty() || injector.remaining().is_none() {
        return None;
    }
    match disk::fill(megabytes.iter().sum()) {
        Ok(file) => {
            megabytes.iter().for_each(|_| injector.report("disk", Duration::ZERO, id));
            Some(file)
        }
        Err(error) => {
            log_line(&format!("cannot fill /tmp: {error}"));
            None
        }
    }
}

/// Kills the runtime some time after it has received the event. A result that comes earlier kills it as well.
async fn exit(injector: Arc<Injector>, key: InvocationKey, delay: Duration) {
    injector.pause(delay).await;
    if injector.recall(&key.request, key.invocation.as_deref()).is_some() {
        injector.kill_runtime(&key.request);
    }
}
