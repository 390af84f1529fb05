//! What happens to events before the runtime has them.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::select;

use crate::model::invocation::InvocationFault;

use super::buffer;
use super::connection::{Connection, Flow, Side, write};
use super::disk;
use super::event::which_hold;
use super::framing::Framing;
use super::head::{Answer, Request, value_of};
use super::held::Held;
use super::injector::{Injector, Pending, now};
use super::log::say;
use super::message::own_answer;
use super::payload;
use super::relay::{Broken, Stop, answer_head, closed, discard, forward, receive};
use super::verdict::{Instead, Invocation, Verdict};

const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
const DEADLINE: &str = "lambda-runtime-deadline-ms";
const INVOKED_ARN: &str = "lambda-runtime-invoked-function-arn";

/// A fault that is due, and its roll.
type Due = (&'static InvocationFault, u64);

/// What happened to an event.
enum Outcome {
    /// The runtime has it, and the connection may serve another request or not.
    Delivered(Flow),
    /// It was answered in the handler's place: the runtime still waits for one.
    Answered,
}

impl Connection {
    /// Gets the runtime its next event, and injects what is due before the handler runs.
    pub(super) async fn next(&mut self, request: &Request, injector: &Arc<Injector>) -> Result<Flow, Broken> {
        let head = self.prefixed(request);
        self.down.buffer.consume(request.length);
        loop {
            self.connect().await?;
            match self.poll(&head, injector).await? {
                Outcome::Delivered(flow) => return Ok(if request.keep { flow } else { Flow::Close }),
                Outcome::Answered => {}
            }
        }
    }

    /// Asks once for an event.
    async fn poll(&mut self, head: &[u8], injector: &Arc<Injector>) -> Result<Outcome, Broken> {
        let Some(up) = &mut self.up else { return Err(Broken::Api) };
        write(&mut up.writer, head).await?;
        let answer = select! {
            biased;
            answer = answer_head(&mut up.reader, &mut up.buffer, false) => answer?,
            () = closed(&mut self.down.reader, &mut self.down.buffer) => return Err(Broken::Runtime),
        };
        let event = &up.buffer.filled()[..answer.length];
        let id = value_of(event, REQUEST_ID).filter(|_| answer.status == 200).map(str::to_owned);
        let (Some(id), Some(_)) = (id, injector.left()) else { return self.deliver(None, &answer).await };
        let invocation = Invocation {
            deadline: value_of(event, DEADLINE).and_then(|deadline| deadline.parse().ok()),
            arn: value_of(event, INVOKED_ARN),
        };
        let due = injector.roll(&id).due(injector.orders(), invocation);
        if due.clone().next().is_none() {
            return self.deliver(None, &answer).await;
        }
        // The event's body is read only for a fault that asks for it.
        if due.clone().all(|(fault, _)| fault.rule().conditions.is_empty()) {
            let verdict = Verdict::new(due, invocation, now());
            return self.carry_out(verdict, &id, None, answer, injector).await;
        }
        let deadline = invocation.deadline;
        let (due, held) = judge(up, &answer, due.collect()).await;
        let verdict = Verdict::new(due.into_iter(), Invocation { deadline, arn: None }, now());
        self.carry_out(verdict, &id, held, answer, injector).await
    }

    /// Does what the verdict says, up to the moment when the runtime has the event.
    async fn carry_out(
        &mut self,
        verdict: Verdict<'static>,
        id: &str,
        held: Option<Held>,
        answer: Answer,
        injector: &Arc<Injector>,
    ) -> Result<Outcome, Broken> {
        for (fault, delay) in verdict.delays {
            self.wait(fault, delay, id, injector).await?;
        }
        // The time may be up by now.
        let instead = verdict.instead.filter(|_| injector.left().is_some());
        if let Some(instead) = instead {
            self.answer_instead(instead, id, held, answer, injector).await?;
            return Ok(Outcome::Answered);
        }
        let disk = fill(&verdict.megabytes, id, injector);
        let pending = Pending { after: verdict.after, disk, exits: verdict.exit.is_some() };
        if !pending.after.is_nothing() || pending.disk.is_some() || pending.exits {
            injector.remember(id, pending);
        }
        let delivered = self.deliver(held, &answer).await?;
        if let Some(delay) = verdict.exit {
            tokio::spawn(exit(Arc::clone(injector), id.to_owned(), delay));
        }
        Ok(delivered)
    }

    /// Keeps an invocation or its answer back, and never longer than the faults last.
    pub(super) async fn wait(&mut self, fault: &str, delay: u64, id: &str, injector: &Injector) -> Result<(), Broken> {
        let Some(delay) = injector.left().map(|left| delay.min(left)) else { return Ok(()) };
        injector.report(fault, delay, id);
        select! {
            () = tokio::time::sleep(Duration::from_millis(delay)) => Ok(()),
            () = closed(&mut self.down.reader, &mut self.down.buffer) => Err(Broken::Runtime),
        }
    }

    /// Gives the runtime the answer that stands in the buffer, or was taken out of it.
    async fn deliver(&mut self, held: Option<Held>, answer: &Answer) -> Result<Outcome, Broken> {
        let Some(up) = &mut self.up else { return Err(Broken::Api) };
        let writer = &mut self.down.writer;
        let Some(held) = held else {
            let passed = select! {
                biased;
                passed = receive(&mut up.reader, &mut up.buffer, writer, false) => passed?,
                () = closed(&mut self.down.reader, &mut self.down.buffer) => return Err(Broken::Runtime),
            };
            return Ok(Outcome::Delivered(passed.into()));
        };
        writer.write_all(held.bytes()).await.map_err(|_| Broken::Runtime)?;
        let passed = forward(&mut up.reader, &mut up.buffer, writer, 0, &mut held.rest()).await;
        passed.map_err(Stop::of_an_answer)?;
        Ok(Outcome::Delivered(answer.keep.into()))
    }

    /// Answers the invocation itself. The event goes nowhere.
    async fn answer_instead(
        &mut self,
        instead: Instead<'_>,
        id: &str,
        held: Option<Held>,
        answer: Answer,
        injector: &Injector,
    ) -> Result<(), Broken> {
        let Some(up) = &mut self.up else { return Err(Broken::Api) };
        let mut rest = held.map_or_else(
            || {
                up.buffer.consume(answer.length);
                answer.framing
            },
            Held::rest,
        );
        discard(&mut up.reader, &mut up.buffer, &mut rest).await.map_err(|_| Broken::Api)?;
        if !answer.keep {
            self.up = None;
        }
        self.connect().await?;
        let (fault, own) = match instead {
            Instead::Response(fault) => {
                ("response", own_answer(&self.upstream, id, None, &payload::of_response(fault)))
            }
            Instead::Error(fault) => {
                ("error", own_answer(&self.upstream, id, Some(&fault.error_type), &payload::of_error(fault)))
            }
        };
        injector.report(fault, 0, id);
        self.post(&own).await
    }

    /// Sends a request of our own, once, and takes its acknowledgement.
    async fn post(&mut self, request: &[u8]) -> Result<(), Broken> {
        let Some(up) = &mut self.up else { return Err(Broken::Api) };
        write(&mut up.writer, request).await?;
        let answer = loop {
            let mut answer = answer_head(&mut up.reader, &mut up.buffer, false).await.map_err(|_| Broken::Api)?;
            up.buffer.consume(answer.length);
            discard(&mut up.reader, &mut up.buffer, &mut answer.framing).await.map_err(|_| Broken::Api)?;
            if answer.status >= 200 {
                break answer;
            }
        };
        if answer.status >= 300 {
            say(&format!("the Runtime API answered an injected answer with {}", answer.status));
        }
        if !answer.keep {
            self.up = None;
        }
        Ok(())
    }
}

/// Leaves the faults whose conditions hold. An event that fits into the buffer is looked at where it lies, and stays
/// there; any other is held. What does not come whole has nothing that conditions could hold on.
async fn judge(up: &mut Side, answer: &Answer, due: Vec<Due>) -> (Vec<Due>, Option<Held>) {
    let Some(size) = size_in_buffer(answer) else {
        let mut held = Held::new(up, answer.length, answer.framing.clone());
        held.read(up).await;
        let body = held.body();
        return (holding(due, body.as_ref().map(|(body, _)| body.as_slice())), Some(held));
    };
    while up.buffer.filled().len() < size {
        if !matches!(up.buffer.fill(&mut up.reader).await, Ok(1..)) {
            return (holding(due, None), None);
        }
    }
    (holding(due, up.buffer.filled().get(answer.length..size)), None)
}

/// The bytes of a message with its head, where they fit into the buffer and its length is known.
fn size_in_buffer(answer: &Answer) -> Option<usize> {
    let Framing::Length(body) = answer.framing else { return None };
    usize::try_from(body).ok()?.checked_add(answer.length).filter(|size| *size <= buffer::SIZE)
}

fn holding(due: Vec<Due>, event: Option<&[u8]>) -> Vec<Due> {
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
            say(&format!("cannot fill /tmp: {error}"));
            None
        }
    }
}

/// Kills the runtime a while after it has got the event, unless it has answered by then: that kills it, too.
async fn exit(injector: Arc<Injector>, id: String, delay: u64) {
    tokio::time::sleep(Duration::from_millis(delay)).await;
    if injector.recall(&id).is_some() {
        injector.kill_runtime(&id);
    }
}
