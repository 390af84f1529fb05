//! Passing requests and responses on, byte for byte.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::{pin, select};

use super::framing::Framing;
use super::half_duplex::HalfDuplex;
use super::head::{Request, ResponseHead, Unrecognized};
use super::side::Side;
use super::source::{Source, TransferError};

/// How long a client may take to send the rest of a request that was already answered.
const LINGER: Duration = Duration::from_secs(5);

/// Why an exchange ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RelayError {
    /// The runtime has closed its connection.
    Runtime,
    /// The Runtime API has closed its connection.
    Api,
    /// The bytes are not the expected protocol: they have to pass unparsed.
    Unrecognized(Unrecognized),
}

impl From<Unrecognized> for RelayError {
    fn from(why: Unrecognized) -> Self {
        Self::Unrecognized(why)
    }
}

impl TransferError {
    /// Translates the error of a request, which goes from the runtime to the Runtime API.
    pub(crate) fn of_a_request(self) -> RelayError {
        match self {
            Self::Source => RelayError::Runtime,
            Self::Sink => RelayError::Api,
            Self::Unrecognized(why) => RelayError::Unrecognized(why),
        }
    }

    /// Translates the error of a response, which goes from the Runtime API to the runtime.
    pub(crate) fn of_a_response(self) -> RelayError {
        match self {
            Self::Source => RelayError::Api,
            Self::Sink => RelayError::Runtime,
            Self::Unrecognized(why) => RelayError::Unrecognized(why),
        }
    }
}

/// Both directions between the runtime and the Runtime API.
#[derive(Debug)]
pub(super) struct Duplex<'c> {
    requests: HalfDuplex<'c>,
    responses: HalfDuplex<'c>,
}

/// How far an exchange is when its request needs no more attention.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    /// The request was sent; its response is still to come.
    AwaitingResponse,
    /// The response has passed, perhaps before the end of the request; `keep` tells whether the connection can serve
    /// another request.
    Answered { keep: bool },
}

impl<'c> Duplex<'c> {
    pub(super) fn new(runtime: &'c mut Side, api: &'c mut Side) -> Self {
        Self {
            requests: HalfDuplex::new(&mut runtime.source, &mut api.writer),
            responses: HalfDuplex::new(&mut api.source, &mut runtime.writer),
        }
    }

    /// Sends `own` bytes, `lead` bytes of the buffer and the request's body, and passes the response back. Returns
    /// whether the Runtime API keeps the connection open.
    pub(super) async fn exchange(self, request: &Request, own: &[u8], lead: usize) -> Result<bool, RelayError> {
        let Self { mut requests, mut responses } = self;
        (requests.lead, requests.framing) = (lead, request.framing.clone());
        let response = responses.receive(request.is_head);
        pin!(response);
        match send_or_receive(requests.send(own), response.as_mut(), LINGER).await? {
            Progress::Answered { keep } => Ok(keep),
            // A poll that no runtime waits for must not take an event.
            Progress::AwaitingResponse if request.is_poll => while_connected(requests.source, response).await,
            Progress::AwaitingResponse => response.await,
        }
    }

    /// Passes all bytes as they come, in both directions, until both sides have closed their connections.
    pub(super) async fn tunnel(self) {
        let Self { mut requests, mut responses } = self;
        tokio::join!(requests.drain(), responses.drain());
    }
}

impl HalfDuplex<'_> {
    /// Sends a request after `own` bytes. If the Runtime API stops reading, the rest of the request is still read: the
    /// response may be on its way already, and a client reads it only after it has sent everything.
    async fn send(&mut self, own: &[u8]) -> Result<(), RelayError> {
        let sent = match self.writer.write_all(own).await {
            Ok(()) => self.forward().await,
            Err(_) => Err(TransferError::Sink),
        };
        let sent = match sent {
            Err(TransferError::Sink) => self.discard().await,
            sent => sent,
        };
        sent.map_err(TransferError::of_a_request)
    }

    /// Passes a response on, and the interim ones before it (100 Continue). Returns whether the connection can serve
    /// another request.
    pub(super) async fn receive(&mut self, to_head: bool) -> Result<bool, RelayError> {
        loop {
            let response = read_response_head(self.source, to_head).await?;
            if response.status == 101 {
                return Err(Unrecognized::Switched.into());
            }
            (self.lead, self.framing) = (response.length, response.framing);
            self.forward().await.map_err(TransferError::of_a_response)?;
            if response.status >= 200 {
                return Ok(response.keep);
            }
        }
    }

    /// Passes all bytes as they come until the source is closed, and then closes the other side.
    async fn drain(&mut self) {
        (self.lead, self.framing) = (self.source.buffer.filled().len(), Framing::UntilClose);
        let _ = self.forward().await;
        let _ = self.writer.shutdown().await;
    }
}

/// Waits until the request was sent or its response has passed, whichever is first. After an early response, the rest
/// of the request is still read for a while: if the connection were closed with bytes unread, the kernel would reset
/// it, and the runtime could lose the response.
async fn send_or_receive(
    sent: impl Future<Output = Result<(), RelayError>>,
    response: impl Future<Output = Result<bool, RelayError>>,
    linger: Duration,
) -> Result<Progress, RelayError> {
    pin!(sent);
    let keep = select! {
        biased;
        sent = &mut sent => return sent.map(|()| Progress::AwaitingResponse),
        keep = response => keep?,
    };
    let rest = tokio::time::timeout(linger, sent).await;
    Ok(Progress::Answered { keep: keep && matches!(rest, Ok(Ok(()))) })
}

/// Waits for `work`, but gives up if the runtime closes its connection first.
pub(super) async fn while_connected<T>(
    runtime: &mut Source,
    work: impl Future<Output = Result<T, RelayError>>,
) -> Result<T, RelayError> {
    select! {
        biased;
        done = work => done,
        () = runtime.closed() => Err(RelayError::Runtime),
    }
}

/// Reads the head of a response, and leaves it in the buffer.
pub(crate) async fn read_response_head(source: &mut Source, to_head: bool) -> Result<ResponseHead, RelayError> {
    loop {
        if let Some(response) = source.head(|bytes| ResponseHead::parse(bytes, to_head))? {
            return Ok(response);
        }
        match source.fill().await {
            Ok(1..) => {}
            // An incomplete head still passes before the connection is closed.
            Ok(0) if !source.buffer.is_empty() => return Err(Unrecognized::Ended.into()),
            _ => return Err(RelayError::Api),
        }
    }
}

/// Writes all bytes to the Runtime API.
pub(super) async fn write_to_api(writer: &mut OwnedWriteHalf, bytes: &[u8]) -> Result<(), RelayError> {
    writer.write_all(bytes).await.map_err(|_| RelayError::Api)
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    const SHORT: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn a_request_that_was_sent_awaits_its_response() {
        let progress = send_or_receive(ready(Ok(())), ready(Ok(true)), SHORT).await;
        assert_eq!(progress, Ok(Progress::AwaitingResponse));
        let broken = send_or_receive(ready(Err(RelayError::Runtime)), pending(), SHORT).await;
        assert_eq!(broken, Err(RelayError::Runtime));
    }

    #[tokio::test]
    async fn an_early_response_keeps_the_connection_if_the_request_ends() {
        let in_a_while = async {
            tokio::time::sleep(SHORT).await;
            Ok(())
        };
        let progress = send_or_receive(in_a_while, ready(Ok(true)), 1000 * SHORT).await;
        assert_eq!(progress, Ok(Progress::Answered { keep: true }));
        let closing = send_or_receive(
            async {
                tokio::time::sleep(SHORT).await;
                Ok(())
            },
            ready(Ok(false)),
            1000 * SHORT,
        );
        assert_eq!(closing.await, Ok(Progress::Answered { keep: false }));
    }

    #[tokio::test]
    async fn an_early_response_does_not_wait_for_an_endless_request() {
        let progress = send_or_receive(pending(), ready(Ok(true)), SHORT).await;
        assert_eq!(progress, Ok(Progress::Answered { keep: false }));
    }
}
