//! Noticing a runtime that has its events from somewhere else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::injector::Injector;
use super::log::log_line;
use super::upstream::{API_VARIABLE, Upstream};

/// When the runtime's environment is read for the first time: a wrapper that points it elsewhere has done so by then.
const FIRST_LOOK: Duration = Duration::from_secs(5);
/// And for the second time. A runtime that has not asked for an event by then has either not initialised within the 10 s
/// that Lambda gives it (lambda/latest/dg/lambda-runtime-environment), or never will.
const SECOND_LOOK: Duration = Duration::from_secs(7);

/// Says, once, that a runtime which lives does not ask the proxy for events. `own` is the proxy's address. Nothing of its
/// environment but the Runtime API's address is ever shown.
pub(super) async fn watch(injector: Arc<Injector>, own: SocketAddr) {
    for wait in [FIRST_LOOK, SECOND_LOOK] {
        sleep(wait).await;
        if injector.was_polled() || injector.left().is_none() {
            return;
        }
        let environment = injector.runtime_environment().unwrap_or_default();
        if let Some(other) = other_api(&environment, own) {
            return log_line(&format!("the runtime talks to {other}, not to the proxy; no faults are injected"));
        }
    }
    log_line(&format!(
        "the runtime has not asked the proxy for an event in {} s; no faults are injected before it does, and none at all \
         if something else takes its events, such as an extension",
        (FIRST_LOOK + SECOND_LOOK).as_secs()
    ));
}

/// Where a process with this environment finds the Runtime API, if not here.
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
    fn only_the_address_is_read_of_an_environment() {
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
