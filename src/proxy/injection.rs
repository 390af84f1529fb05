//! Carrying out what was decided about an invocation.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::select;

use crate::model::invocation::InvocationFault;

use super::buffer;
use super::connection::{Connection, Flow, Side, write};
use super::disk;
use super::event::holds;
use super::framing::Framing;
use super::head::{Answer, Request, lines, value_of};
use super::injector::{Injector, Pending, now};
use super::log::say;
use super::payload;
use super::relay::{Broken, Stop, answer_head, closed, discard, forward, receive};
use super::verdict::{After, Instead, Invocation, Verdict};

/// Bytes of an event or an answer that are held at once, so that they can be looked into or changed: Lambda's own
/// limit of 6 MB for a payload (lambda/latest/dg/gettingstarted-limits), and room for what frames it.
const MAX_HELD: usize = 6 * 1024 * 1024 + 128 * 1024;

const REQUEST_ID: &str = "lambda-runtime-aws-request-id";
const DEADLINE: &str = "lambda-runtime-deadline-ms";
const INVOKED_ARN: &str = "lambda-runtime-invoked-function-arn";
const RESPONSE_MODE: &str = "lambda-runtime-function-response-mode";

/// A message that was read in full or as far as may be held.
struct Held {
    head: usize,
    bytes: Vec<u8>,
    /// What of its body is still to come; done where it is whole.
    framing: Framing,
}

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
        let Some(head) = self.rewritten(request).or_else(|| self.own_head(request)) else {
            return Err(Broken::Strange);
        };
        self.down.buffer.consume(request.length);
        loop {
            self.connect().await?;
            match self.poll(&head, injector).await? {
                Outcome::Delivered(flow) => return Ok(if request.keep { flow } else { Flow::Close }),
                Outcome::Answered => {}
            }
        }
    }

    fn own_head(&self, request: &Request) -> Option<Vec<u8>> {
        self.down.buffer.filled().get(..request.length).map(<[u8]>::to_vec)
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
        let (Some(id), Some(_)) = (id, injector.left()) else { return self.deliver(None).await };
        let invocation = Invocation {
            deadline: value_of(event, DEADLINE).and_then(|deadline| deadline.parse().ok()),
            arn: value_of(event, INVOKED_ARN),
        };
        let due = injector.roll(&id).due(injector.orders(), invocation);
        if due.clone().next().is_none() {
            return self.deliver(None).await;
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
        let disk = verdict.megabytes.and_then(|megabytes| fill(megabytes, id, injector));
        let pending = Pending { after: verdict.after, disk, exits: verdict.exit.is_some() };
        if !pending.after.is_nothing() || pending.disk.is_some() || pending.exits {
            injector.remember(id, pending);
        }
        let delivered = self.deliver(held).await?;
        if let Some(delay) = verdict.exit {
            tokio::spawn(exit(Arc::clone(injector), id.to_owned(), delay));
        }
        Ok(delivered)
    }

    /// Keeps an invocation or its answer back, and never longer than the faults last.
    async fn wait(&mut self, fault: &str, delay: u64, id: &str, injector: &Injector) -> Result<(), Broken> {
        let Some(delay) = injector.left().map(|left| delay.min(left)) else { return Ok(()) };
        injector.report(fault, delay, id);
        select! {
            () = tokio::time::sleep(Duration::from_millis(delay)) => Ok(()),
            () = closed(&mut self.down.reader, &mut self.down.buffer) => Err(Broken::Runtime),
        }
    }

    /// Gives the runtime the answer that stands in the buffer, or was taken out of it.
    async fn deliver(&mut self, held: Option<Held>) -> Result<Outcome, Broken> {
        let Some(up) = &mut self.up else { return Err(Broken::Api) };
        let writer = &mut self.down.writer;
        let Some(mut held) = held else {
            let passed = select! {
                biased;
                passed = receive(&mut up.reader, &mut up.buffer, writer, false) => passed?,
                () = closed(&mut self.down.reader, &mut self.down.buffer) => return Err(Broken::Runtime),
            };
            return Ok(Outcome::Delivered(passed.into()));
        };
        writer.write_all(&held.bytes).await.map_err(|_| Broken::Runtime)?;
        forward(&mut up.reader, &mut up.buffer, writer, 0, &mut held.framing).await.map_err(|stop| match stop {
            Stop::Source => Broken::Api,
            Stop::Sink => Broken::Runtime,
            Stop::Strange => Broken::Strange,
        })?;
        Ok(Outcome::Delivered(Flow::Keep))
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
            |held| held.framing,
        );
        discard(&mut up.reader, &mut up.buffer, &mut rest).await.map_err(|_| Broken::Api)?;
        if !answer.keep {
            self.up = None;
        }
        let (name, kind, error_type, body) = match instead {
            Instead::Response(fault) => ("response", "response", None, payload::of_response(fault)),
            Instead::Error(fault) => ("error", "error", Some(fault.error_type.as_str()), payload::of_error(fault)),
        };
        injector.report(name, 0, id);
        self.connect().await?;
        let head = own_request(&self.upstream, id, kind, error_type, body.len());
        self.post(&[head.as_bytes(), &body].concat()).await
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

    /// Passes the runtime's answer on, after what is due has been done to it.
    pub(super) async fn answer(
        &mut self,
        request: &Request,
        injector: &Arc<Injector>,
        id: &str,
        pending: Pending,
        is_error: bool,
    ) -> Result<Flow, Broken> {
        let Pending { after, disk, exits } = pending;
        drop(disk);
        if exits && injector.kill_runtime(id) {
            // It is gone by now, and this with it.
            return Err(Broken::Runtime);
        }
        if after.delay > 0 {
            self.wait("latency", after.delay, id, injector).await?;
        }
        let changes = !after.responses.is_empty() || !after.corruptions.is_empty() || after.error.is_some();
        // A handler that has failed has no answer that could be replaced or damaged.
        if !changes || is_error && after.error.is_none() || injector.left().is_none() {
            return self.pass(request).await;
        }
        self.change(request, injector, id, &after).await
    }

    /// Sends another answer in place of the runtime's.
    async fn change(
        &mut self,
        request: &Request,
        injector: &Injector,
        id: &str,
        after: &After<'_>,
    ) -> Result<Flow, Broken> {
        if request.expects {
            self.down.writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(|_| Broken::Runtime)?;
        }
        let held = hold(&mut self.down, request.length, request.framing.clone()).await;
        if !held.framing.is_done() && held.bytes.len() < MAX_HELD {
            // Half an answer is none.
            return Err(Broken::Runtime);
        }
        self.connect().await?;
        let Some((own, false)) = held.body().map(|body| (body, after.error.is_some())) else {
            return self.replace_unseen(request, injector, id, after, held).await;
        };
        after.responses.iter().for_each(|_| injector.report("response", 0, id));
        after.corruptions.iter().for_each(|_| injector.report("corrupt", 0, id));
        let changed = changed(&held.bytes[..held.head], self.upstream.prefix(), own, after);
        self.exchange_own(request, &changed).await
    }

    /// An error in place of the answer needs nothing of it; an answer that is too long to be held is replaced as a
    /// whole where that is asked, and passes undamaged otherwise.
    async fn replace_unseen(
        &mut self,
        request: &Request,
        injector: &Injector,
        id: &str,
        after: &After<'_>,
        mut held: Held,
    ) -> Result<Flow, Broken> {
        let (kind, error_type, body) = match (after.error, after.responses.last()) {
            (Some(fault), _) => ("error", Some(fault.error_type.as_str()), payload::of_error(fault)),
            (None, Some(fault)) => ("response", None, payload::of_response(fault)),
            (None, None) => return self.pass_undamaged(request, held).await,
        };
        injector.report(kind, 0, id);
        let rest = discard(&mut self.down.reader, &mut self.down.buffer, &mut held.framing);
        rest.await.map_err(|_| Broken::Runtime)?;
        let head = own_request(&self.upstream, id, kind, error_type, body.len());
        self.exchange_own(request, &[head.as_bytes(), &body].concat()).await
    }

    async fn pass_undamaged(&mut self, request: &Request, held: Held) -> Result<Flow, Broken> {
        say(&format!("an answer of more than {MAX_HELD} bytes passes undamaged"));
        let Some(up) = &mut self.up else { return Err(Broken::Api) };
        let (before, behind) = held.bytes.split_at(request.path.start);
        for part in [before, self.upstream.prefix().as_bytes(), behind] {
            write(&mut up.writer, part).await?;
        }
        self.transfer(&Request { framing: held.framing, ..request.clone() }, 0).await
    }

    /// Sends a request of our own in place of the runtime's, which was read, and passes its answer back.
    async fn exchange_own(&mut self, request: &Request, own: &[u8]) -> Result<Flow, Broken> {
        let Some(up) = &mut self.up else { return Err(Broken::Api) };
        write(&mut up.writer, own).await?;
        self.transfer(&Request { framing: Framing::NONE, ..request.clone() }, 0).await
    }
}

impl Held {
    /// The body without its framing; `None` where it is not all here.
    fn body(&self) -> Option<Vec<u8>> {
        let (head, body) = self.bytes.split_at(self.head);
        if !self.framing.is_done() {
            return None;
        }
        let chunked = value_of(head, "transfer-encoding").is_some();
        if chunked { Framing::chunked().decode(body).ok() } else { Some(body.to_vec()) }
    }
}

/// Leaves the faults whose conditions hold. An event that fits into the buffer is looked at where it lies, and stays
/// there; any other is held. What does not come whole has nothing that conditions could hold on.
async fn judge(up: &mut Side, answer: &Answer, due: Vec<Due>) -> (Vec<Due>, Option<Held>) {
    let Some(size) = size_in_buffer(answer) else {
        let held = hold(up, answer.length, answer.framing.clone()).await;
        return (holding(due, held.body().as_deref()), Some(held));
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
    let is_met = |(fault, _): &Due| {
        let conditions = fault.rule().conditions;
        conditions.is_empty() || event.is_some_and(|event| holds(conditions, event))
    };
    due.into_iter().filter(is_met).collect()
}

/// Reads a message with its head into memory, until it is whole, or more than may be held, or breaks off.
async fn hold(side: &mut Side, head: usize, mut framing: Framing) -> Held {
    let mut bytes = side.buffer.filled()[..head].to_vec();
    side.buffer.consume(head);
    while !framing.is_done() && bytes.len() < MAX_HELD {
        if side.buffer.is_empty() && !matches!(side.buffer.fill(&mut side.reader).await, Ok(1..)) {
            break;
        }
        let Ok(count) = framing.take(side.buffer.filled()) else {
            // Nobody knows where it ends: it goes on as it comes.
            framing = Framing::UntilClose;
            break;
        };
        bytes.extend_from_slice(&side.buffer.filled()[..count]);
        side.buffer.consume(count);
    }
    Held { head, bytes, framing }
}

fn fill(megabytes: u32, id: &str, injector: &Injector) -> Option<std::fs::File> {
    injector.left()?;
    match disk::fill(megabytes) {
        Ok(file) => {
            injector.report("disk", 0, id);
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

/// The head of an answer that we give in the runtime's place.
fn own_request(
    upstream: &super::upstream::Upstream,
    id: &str,
    kind: &str,
    error_type: Option<&str>,
    length: usize,
) -> String {
    let error = error_type.map_or_else(String::new, |name| format!("Lambda-Runtime-Function-Error-Type: {name}\r\n"));
    format!(
        "POST {}/2018-06-01/runtime/invocation/{id}/{kind} HTTP/1.1\r\nHost: {}\r\n{error}\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
        upstream.prefix(),
        upstream.authority(),
    )
}

/// The runtime's own answer, with another body.
fn changed(head: &[u8], prefix: &str, own: Vec<u8>, after: &After<'_>) -> Vec<u8> {
    let replaced = !after.responses.is_empty();
    let body = after.responses.iter().fold(own, |body, fault| payload::merged(&body, fault));
    let streamed =
        value_of(head, RESPONSE_MODE).is_some_and(|mode| mode.eq_ignore_ascii_case("streaming")) && !replaced;
    let typed = value_of(head, "content-type").unwrap_or_default();
    let has_head = typed.eq_ignore_ascii_case(payload::HTTP_INTEGRATION);
    let body = after.corruptions.iter().fold(body, |body, fault| match streamed {
        true => payload::corrupted_stream(&body, has_head, fault),
        false => payload::corrupted(&body, fault),
    });
    let head = changed_head(head, prefix, streamed, body.len());
    [head, if streamed { one_chunk(&body) } else { body }].concat()
}

/// The head of the runtime's own answer, for another body. No trailers follow it. What was replaced is no stream any
/// more, and is JSON; what was damaged stays what it was.
fn changed_head(head: &[u8], prefix: &str, stays_streamed: bool, length: usize) -> Vec<u8> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).replacen(' ', &format!(" {prefix}"), 1);
    let mut changed = format!("{line}\r\n");
    let streamed = value_of(head, RESPONSE_MODE).is_some() && !stays_streamed;
    for (name, value) in lines(head) {
        let is = |names: &[&str]| names.iter().any(|other| name.eq_ignore_ascii_case(other));
        let of_stream = streamed && is(&[RESPONSE_MODE, "content-type"]);
        if !of_stream && !is(&["content-length", "transfer-encoding", "trailer", "te", "expect"]) {
            changed.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if streamed {
        changed.push_str("Content-Type: application/json\r\n");
    }
    let framing = match stays_streamed {
        true => "Transfer-Encoding: chunked".to_owned(),
        false => format!("Content-Length: {length}"),
    };
    changed.push_str(&format!("{framing}\r\n\r\n"));
    changed.into_bytes()
}

fn one_chunk(body: &[u8]) -> Vec<u8> {
    match body.is_empty() {
        // An empty chunk would be the last one.
        true => b"0\r\n\r\n".to_vec(),
        false => [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"].concat(),
    }
}
