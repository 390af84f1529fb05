//! Detects a runtime that does not ask the proxy for events.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::injector::Injector;
use super::log::log_line;
use super::upstream::{API_VARIABLE, Upstream};

/// How long after its start the runtime's environment is read for the first time. A wrapper that gives the runtime
/// another address has done so by then.
const FIRST_CHECK: Duration = Duration::from_secs(5);
/// How long after the first check the second one is. A runtime that still has not asked for an event either exceeds the
/// 10 s that Lambda allows for its initialization (lambda/latest/dg/lambda-runtime-environment), or will never ask.
const SECOND_CHECK: Duration = Duration::from_secs(7);

/// Logs, once, that a living runtime does not ask the proxy for events. `own` is the proxy's address. Of the runtime's
/// environment, only the address of the Runtime API is ever logged.
pub(super) async fn watch(injector: Arc<Injector>, own: SocketAddr) {
    for wait in [FIRST_CHECK, SECOND_CHECK] {
        sleep(wait).await;
        if injector.was_polled() || injector.remaining().is_none() {
            return;
        }
        let environment = injector.runtime_environment().unwrap_or_default();
        if let Some(other) = other_api(&environment, own) {
            return log_line(&format!("the runtime talks to {other}, not to the proxy; no faults are injected"));
        }
    }
    log_line(&format!(
        "the runtime has not asked the proxy for an event in {} s; no faults are injected until it does, and none at all if \
         another process, such as an extension, takes its events",
        (FIRST_CHECK + SECOND_CHECK).as_secs()
    ));
}

/// Returns the address of the Runtime API in an environment, unless it is the proxy's own.
fn other_api(environment: &[u8], own: SocketAddr) -> Option<String> {
    let mut variables = environment.split(|byte| *byte == 0);
    let value = variables.find_map(|line| line.strip_prefix(API_VARIABLE.as_bytes())?.strip_prefix(b"="))?;
    let upstream = Upstream::parse(std::str::from_utf8(value).ok()?).ok()?;
    Some(upstream.authority().to_owned()).filter(|authority| *authority != own.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_address_of_an_environment_is_read() {
        let own = SocketAddr::from(([127, 0, 0, 1], 4000));
        for (environment, wanted) in [
            ("A=b\0AWS_LAMBDA_RUNTIME_API=127.0.0.1:9000\0PASSWORD=x\0", Some("127.0.0.1:9000")),
            ("AWS_LAMBDA_RUNTIME_API=http://127.0.0.1:9000/path", Some("127.0.0.1:9000")),
            ("AWS_LAMBDA_RUNTIME_API=127.0.0.1:4000\0", None),
            ("AWS_LAMBDA_RUNTIME_API=\0", None),
            ("AWS_LAMBDA_RUNTIME_API_X=127.0.0.1:9000\0XAWS_LAMBDA_RUNTIME_API=127.0.0.1:9000", None),
            ("", None),
        ] {
            assert_eq!(other_api(environment.as_bytes(), own).as_deref(), wanted, "{environment:?}");
        }
    }
}
