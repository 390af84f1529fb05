//! What happens to events before the runtime has them.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::select;

use crate::model::invocation::InvocationFault;

use super::buffer;
use super::buffered::BufferedMessage;
use super::connection::{Connection, Flow, Side, write};
use super::disk;
use super::event::which_hold;
use super::framing::Framing;
use super::head::{Request, ResponseHead, value_of};
use super::injector::{Injector, now};
use super::log::log_line;
use super::message::{InvocationKey, own_answer};
use super::payload;
use super::pending::Pending;
use super::relay::{RelayError, read_response_head, receive};
use super::source::TransferError;
use super::verdict::{Instead, Invocation, Verdict};

const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
const DEADLINE: &str = "lambda-runtime-deadline-ms";
const INVOKED_ARN: &str = "lambda-runtime-invoked-function-arn";

/// A fault that is due, and its roll.
type Triggered = (&'static InvocationFault, u64);

/// An event that faults are due for.
struct Event {
    key: InvocationKey,
    /// When the invocation's time is up, in milliseconds since the epoch.
    deadline: Option<u64>,
    /// The answer that it comes in.
    answer: ResponseHead,
    /// The same in memory, where it was read for conditions.
    held: Option<BufferedMessage>,
}

/// What happened to an event.
enum Outcome {
    /// The runtime has it, and the connection may serve another request or not.
    Delivered(Flow),
    /// It was answered in the handler's place: the runtime still waits for one.
    Answered,
}

impl Connection {
    /// Gets the runtime its next event, and injects what is due before the handler runs.
    pub(super) async fn next(&mut self, request: &Request, injector: &Arc<Injector>) -> Result<Flow, RelayError> {
        let head = self.take_prefixed(request);
        loop {
            self.connect().await?;
            match self.poll(&head, injector).await? {
                Outcome::Delivered(flow) => return Ok(if request.keep { flow } else { Flow::Close }),
                Outcome::Answered => {}
            }
        }
    }

    /// Asks once for an event.
    async fn poll(&mut self, head: &[u8], injector: &Arc<Injector>) -> Result<Outcome, RelayError> {
        let Some(up) = &mut self.up else { return Err(RelayError::Api) };
        write(&mut up.writer, head).await?;
        let answer = select! {
            biased;
            answer = read_response_head(&mut up.source, false) => answer?,
            () = self.down.source.closed() => return Err(RelayError::Runtime),
        };
        let head = &up.source.buffer.filled()[..answer.length];
        let id = value_of(head, REQUEST_ID).filter(|_| answer.status == 200);
        let (Some(id), Some(_)) = (id, injector.left()) else { return self.deliver(None, &answer).await };
        let deadline = value_of(head, DEADLINE).and_then(|deadline| deadline.parse().ok());
        let invocation = Invocation { deadline, arn: value_of(head, INVOKED_ARN) };
        let due = injector.roll(id).triggered(injector.config(), invocation);
        if due.clone().next().is_none() {
            return self.deliver(None, &answer).await;
        }
        let key = InvocationKey::new(id, head);
        let mut due: Vec<Triggered> = due.collect();
        let mut held = None;
        // The event's body is read only for a fault that asks for it.
        if due.iter().any(|(fault, _)| !fault.rule().conditions.is_empty()) {
            (due, held) = judge(up, &answer, due).await;
        }
        let verdict = Verdict::new(due.into_iter(), Invocation { deadline, arn: None }, now());
        self.carry_out(verdict, Event { key, deadline, answer, held }, injector).await
    }

    /// Does what the verdict says, up to the moment when the runtime has the event.
    async fn carry_out(
        &mut self,
        verdict: Verdict<'static>,
        event: Event,
        injector: &Arc<Injector>,
    ) -> Result<Outcome, RelayError> {
        for (fault, delay) in verdict.delays {
            self.hold_event(fault, delay, &event.key.request, injector).await?;
        }
        // The time may be up by now.
        let instead = verdict.instead.filter(|_| injector.left().is_some());
        if let Some(instead) = instead {
            self.answer_instead(instead, event, injector).await?;
            return Ok(Outcome::Answered);
        }
        let Event { key, deadline, answer, held } = event;
        let disk = fill(&verdict.megabytes, &key.request, injector);
        let pending = Pending { after: verdict.after, disk, exits: verdict.exit.is_some() };
        if !pending.is_nothing() {
            injector.remember(&key, deadline, pending);
        }
        let delivered = self.deliver(held, &answer).await;
        if let Err(RelayError::Runtime | RelayError::Api) = delivered {
            // The runtime has no event, or not all of one: it will not answer.
            injector.forget(&key);
        }
        if let (Ok(_), Some(delay)) = (&delivered, verdict.exit) {
            tokio::spawn(exit(Arc::clone(injector), key, delay));
        }
        delivered
    }

    /// Keeps an event back while the runtime waits for it, and never longer than the faults last.
    async fn hold_event(&mut self, fault: &str, delay: u64, id: &str, injector: &Injector) -> Result<(), RelayError> {
        select! {
            biased;
            () = injector.delay(fault, delay, id) => Ok(()),
            () = self.down.source.closed() => Err(RelayError::Runtime),
        }
    }

    /// Gives the runtime the answer that stands in the buffer, or was taken out of it.
    async fn deliver(&mut self, held: Option<BufferedMessage>, answer: &ResponseHead) -> Result<Outcome, RelayError> {
        let Some(up) = &mut self.up else { return Err(RelayError::Api) };
        let Side { source, writer } = &mut self.down;
        let Some(held) = held else {
            let passed = select! {
                biased;
                passed = receive(&mut up.source, writer, false) => passed?,
                () = source.closed() => return Err(RelayError::Runtime),
            };
            return Ok(Outcome::Delivered(passed.into()));
        };
        writer.write_all(held.bytes()).await.map_err(|_| RelayError::Runtime)?;
        up.source.forward(writer, 0, &mut held.rest()).await.map_err(TransferError::of_a_response)?;
        Ok(Outcome::Delivered(answer.keep.into()))
    }

    /// Answers the invocation itself. The event goes nowhere.
    async fn answer_instead(
        &mut self,
        instead: Instead<'_>,
        event: Event,
        injector: &Injector,
    ) -> Result<(), RelayError> {
        let Some(up) = &mut self.up else { return Err(RelayError::Api) };
        let Event { key, answer, held, .. } = event;
        let mut rest = held.map_or_else(
            || {
                up.source.buffer.consume(answer.length);
                answer.framing
            },
            BufferedMessage::rest,
        );
        up.source.discard(&mut rest).await.map_err(|_| RelayError::Api)?;
        if !answer.keep {
            self.up = None;
        }
        self.connect().await?;
        let (fault, own) = match instead {
            Instead::Response(fault) => {
                ("response", own_answer(&self.upstream, &key, None, &payload::of_response(fault)))
            }
            Instead::Error(fault) => {
                ("error", own_answer(&self.upstream, &key, Some(&fault.error_type), &payload::of_error(fault)))
            }
        };
        injector.report(fault, 0, &key.request);
        self.post(&own).await
    }

    /// Sends a request of our own, once, and takes its acknowledgement.
    async fn post(&mut self, request: &[u8]) -> Result<(), RelayError> {
        let Some(up) = &mut self.up else { return Err(RelayError::Api) };
        write(&mut up.writer, request).await?;
        let answer = loop {
            let mut answer = read_response_head(&mut up.source, false).await.map_err(|_| RelayError::Api)?;
            up.source.buffer.consume(answer.length);
            up.source.discard(&mut answer.framing).await.map_err(|_| RelayError::Api)?;
            if answer.status >= 200 {
                break answer;
            }
        };
        if answer.status >= 300 {
            log_line(&format!("the Runtime API answered an injected answer with {}", answer.status));
        }
        if !answer.keep {
            self.up = None;
        }
        Ok(())
    }
}

/// Leaves the faults whose conditions hold. An event that fits into the buffer is looked at where it lies, and stays
/// there; any other is held. What does not come whole has nothing that conditions could hold on.
async fn judge(up: &mut Side, answer: &ResponseHead, due: Vec<Triggered>) -> (Vec<Triggered>, Option<BufferedMessage>) {
    let Some(size) = size_in_buffer(answer) else {
        let mut held = BufferedMessage::new(&mut up.source, answer.length, answer.framing.clone());
        held.read(&mut up.source).await;
        let body = held.body();
        return (holding(due, body.as_ref().map(|(body, _)| body.as_ref())), Some(held));
    };
    while up.source.buffer.filled().len() < size {
        if !matches!(up.source.fill().await, Ok(1..)) {
            return (holding(due, None), None);
        }
    }
    (holding(due, up.source.buffer.filled().get(answer.length..size)), None)
}

/// The bytes of a message with its head, where they fit into the buffer and its length is known.
fn size_in_buffer(answer: &ResponseHead) -> Option<usize> {
    let Framing::Length(body) = answer.framing else { return None };
    usize::try_from(body).ok()?.checked_add(answer.length).filter(|size| *size <= buffer::SIZE)
}

fn holding(due: Vec<Triggered>, event: Option<&[u8]>) -> Vec<Triggered> {
    let conditions: Vec<_> = due.iter().map(|(fault, _)| fault.rule().conditions).collect();
    let held = which_hold(&conditions, event);
    due.into_iter().zip(held).filter_map(|(due, holds)| holds.then_some(due)).collect()
}

fn fill(megabytes: &[u32], id: &str, injector: &Injector) -> Option<std::fs::File> {
    if megabytes.is_empty() || injector.left().is_none() {
        return None;
    }
    match disk::fill(megabytes.iter().sum()) {
        Ok(file) => {
            megabytes.iter().for_each(|_| injector.report("disk", 0, id));
            Some(file)
        }
        Err(error) => {
            log_line(&format!("cannot fill /tmp: {error}"));
            None
        }
    }
}

/// Kills the runtime a while after it has got the event, unless it has answered by then: that kills it, too.
async fn exit(injector: Arc<Injector>, key: InvocationKey, delay: u64) {
    injector.pause(delay).await;
    if injector.recall(&key.request, key.invocation.as_deref()).is_some() {
        injector.kill_runtime(&key.request);
    }
}
