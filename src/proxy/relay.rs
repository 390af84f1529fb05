//! Passing messages on, byte for byte.

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;

use super::framing::Framing;
use super::head::{ResponseHead, Unrecognized};
use super::source::{Source, TransferError};

/// Why an exchange cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RelayError {
    /// The runtime's side is closed.
    Runtime,
    /// The Runtime API's side is closed.
    Api,
    /// This is not the protocol that we know: pass everything as it comes.
    Unrecognized(Unrecognized),
}

impl From<Unrecognized> for RelayError {
    fn from(why: Unrecognized) -> Self {
        Self::Unrecognized(why)
    }
}

impl TransferError {
    /// What it means where a request goes from the runtime to the Runtime API.
    pub(crate) fn of_a_request(self) -> RelayError {
        match self {
            Self::Source => RelayError::Runtime,
            Self::Sink => RelayError::Api,
            Self::Unrecognized(why) => RelayError::Unrecognized(why),
        }
    }

    /// What it means where an answer goes from the Runtime API to the runtime.
    pub(crate) fn of_a_response(self) -> RelayError {
        match self {
            Self::Source => RelayError::Api,
            Self::Sink => RelayError::Runtime,
            Self::Unrecognized(why) => RelayError::Unrecognized(why),
        }
    }
}

/// Sends a request on, with bytes of our own before it. If the other side has stopped listening, the rest is read anyway:
/// it may have answered already, and a client reads the answer only after it has sent everything.
pub(crate) async fn send(
    source: &mut Source,
    writer: &mut OwnedWriteHalf,
    own: &[u8],
    lead: usize,
    framing: &mut Framing,
) -> Result<(), RelayError> {
    let sent = match writer.write_all(own).await {
        Ok(()) => source.forward(writer, lead, framing).await,
        Err(_) => Err(TransferError::Sink),
    };
    let sent = match sent {
        Err(TransferError::Sink) => source.discard(framing).await,
        sent => sent,
    };
    sent.map_err(TransferError::of_a_request)
}

/// An answer's head; it stays in the buffer.
pub(crate) async fn read_response_head(source: &mut Source, to_head: bool) -> Result<ResponseHead, RelayError> {
    loop {
        if let Some(answer) = source.head(|bytes| ResponseHead::parse(bytes, to_head))? {
            return Ok(answer);
        }
        match source.fill().await {
            Ok(1..) => {}
            // What there is of a head goes on before the connection is closed.
            Ok(0) if !source.buffer.is_empty() => return Err(Unrecognized::Ended.into()),
            _ => return Err(RelayError::Api),
        }
    }
}

/// Passes an answer on, with those that come before it (100 Continue). Says whether the connection may serve another.
pub(crate) async fn receive(
    source: &mut Source,
    writer: &mut OwnedWriteHalf,
    to_head: bool,
) -> Result<bool, RelayError> {
    loop {
        let mut answer = read_response_head(source, to_head).await?;
        if answer.status == 101 {
            return Err(Unrecognized::Switched.into());
        }
        let passed = source.forward(writer, answer.length, &mut answer.framing).await;
        passed.map_err(TransferError::of_a_response)?;
        if answer.status >= 200 {
            return Ok(answer.keep);
        }
    }
}

/// Passes everything as it comes until the source is closed, and closes the other side then.
pub(crate) async fn drain(source: &mut Source, writer: &mut OwnedWriteHalf) {
    let waiting = source.buffer.filled().len();
    let _ = source.forward(writer, waiting, &mut Framing::UntilClose).await;
    let _ = writer.shutdown().await;
}
