//! Passing messages on, byte for byte.

use std::future::pending;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::buffer::Buffer;
use super::framing::Framing;
use super::head::{Answer, Parsed};

/// Why a message cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The runtime's side is closed.
    Runtime,
    /// The Runtime API's side is closed.
    Api,
    /// This is not the protocol that we know: pass everything as it comes.
    Strange,
}

/// Which end of a transfer is closed, or that its length cannot be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    Source,
    Sink,
    Strange,
}

impl Stop {
    /// What it means where an answer goes from the Runtime API to the runtime.
    pub(crate) fn of_an_answer(self) -> Broken {
        match self {
            Self::Source => Broken::Api,
            Self::Sink => Broken::Runtime,
            Self::Strange => Broken::Strange,
        }
    }
}

/// Passes a message on: `lead` bytes that stand in the buffer already, usually its head, and the body behind them.
/// Bytes leave the buffer only when they were written, so that giving up in the middle loses and repeats none.
pub(crate) async fn forward(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut Buffer,
    writer: &mut (impl AsyncWrite + Unpin),
    lead: usize,
    framing: &mut Framing,
) -> Result<(), Stop> {
    let mut ready = lead + take(framing, &buffer.filled()[lead..])?;
    loop {
        while ready > 0 {
            match writer.write(&buffer.filled()[..ready]).await {
                Ok(count @ 1..) => {
                    buffer.consume(count);
                    ready -= count;
                }
                _ => return Err(Stop::Sink),
            }
        }
        if framing.is_done() {
            return Ok(());
        }
        if buffer.is_empty() {
            match buffer.fill(reader).await {
                Ok(1..) => {}
                Ok(0) if *framing == Framing::UntilClose => return Ok(()),
                _ => return Err(Stop::Source),
            }
        }
        ready = take(framing, buffer.filled())?;
    }
}

fn take(framing: &mut Framing, bytes: &[u8]) -> Result<usize, Stop> {
    framing.take(bytes).map_err(|_| Stop::Strange)
}

/// Reads the rest of a message and forgets it.
pub(crate) async fn discard(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut Buffer,
    framing: &mut Framing,
) -> Result<(), Stop> {
    forward(reader, buffer, &mut tokio::io::sink(), 0, framing).await
}

/// Sends a request on, with bytes of our own before it. Where the other side has stopped listening, the rest is read all
/// the same: it may have answered already, and a client looks at the answer only when it has sent everything.
pub(crate) async fn send(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut Buffer,
    writer: &mut (impl AsyncWrite + Unpin),
    own: &[u8],
    lead: usize,
    framing: &mut Framing,
) -> Result<(), Broken> {
    let sent = match writer.write_all(own).await {
        Ok(()) => forward(reader, buffer, writer, lead, framing).await,
        Err(_) => Err(Stop::Sink),
    };
    let sent = match sent {
        Err(Stop::Sink) => discard(reader, buffer, framing).await,
        sent => sent,
    };
    sent.map_err(|stop| if stop == Stop::Strange { Broken::Strange } else { Broken::Runtime })
}

/// An answer's head; it stays in the buffer.
pub(crate) async fn answer_head(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut Buffer,
    to_head: bool,
) -> Result<Answer, Broken> {
    loop {
        if !buffer.is_empty() {
            match Answer::parse(buffer.filled(), to_head) {
                Parsed::Whole(answer) => return Ok(answer),
                Parsed::Partial if !buffer.is_full() => {}
                Parsed::Partial | Parsed::Strange => return Err(Broken::Strange),
            }
        }
        match buffer.fill(reader).await {
            Ok(1..) => {}
            // What there is of a head goes on before the connection is closed.
            Ok(0) if !buffer.is_empty() => return Err(Broken::Strange),
            _ => return Err(Broken::Api),
        }
    }
}

/// Passes an answer on, with those that come before it (100 Continue). Says whether the connection may serve another.
pub(crate) async fn receive(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut Buffer,
    writer: &mut (impl AsyncWrite + Unpin),
    to_head: bool,
) -> Result<bool, Broken> {
    loop {
        let mut answer = answer_head(reader, buffer, to_head).await?;
        if answer.status == 101 {
            return Err(Broken::Strange);
        }
        let passed = forward(reader, buffer, writer, answer.length, &mut answer.framing).await;
        passed.map_err(Stop::of_an_answer)?;
        if answer.status >= 200 {
            return Ok(answer.keep);
        }
    }
}

/// Returns when the other side has closed the connection. What it sends meanwhile is kept for later.
pub(crate) async fn closed(reader: &mut (impl AsyncRead + Unpin), buffer: &mut Buffer) {
    while !buffer.is_full() {
        match buffer.fill(reader).await {
            Ok(1..) => {}
            _ => return,
        }
    }
    pending().await
}

/// Passes everything as it comes, both ways, until both sides are closed.
pub(crate) async fn tunnel(
    (down_reader, down_buffer, down_writer): (
        &mut (impl AsyncRead + Unpin),
        &mut Buffer,
        &mut (impl AsyncWrite + Unpin),
    ),
    (up_reader, up_buffer, up_writer): (&mut (impl AsyncRead + Unpin), &mut Buffer, &mut (impl AsyncWrite + Unpin)),
) {
    tokio::join!(drain(down_reader, down_buffer, up_writer), drain(up_reader, up_buffer, down_writer));
}

async fn drain(reader: &mut (impl AsyncRead + Unpin), buffer: &mut Buffer, writer: &mut (impl AsyncWrite + Unpin)) {
    let waiting = buffer.filled().len();
    let _ = forward(reader, buffer, writer, waiting, &mut Framing::UntilClose).await;
    let _ = writer.shutdown().await;
}
