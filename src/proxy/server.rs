//! Serving the runtime's connections.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::model::invocation::ProxyConfig;

use super::connection::Connection;
use super::injector::Injector;
use super::upstream::Upstream;

/// Between two tries to take a connection.
const PAUSE: Duration = Duration::from_millis(10);

/// Serves every connection until the future is dropped, and injects the faults of this configuration.
///
/// # Errors
/// Where the socket cannot be used.
pub async fn serve(listener: TcpListener, upstream: Upstream, config: Option<ProxyConfig>) -> io::Result<()> {
    serve_with(listener, upstream, config.map(|config| Injector::new(config, None))).await
}

/// The same, for an injector that may know the runtime.
pub(super) async fn serve_with(
    listener: TcpListener,
    upstream: Upstream,
    injector: Option<Arc<Injector>>,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let upstream = Arc::new(upstream);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => serve_one(stream, &upstream, &injector),
            // One client's trouble, or no descriptor left for now: the others go on.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn serve_one(stream: TcpStream, upstream: &Arc<Upstream>, injector: &Option<Arc<Injector>>) {
    // Without it, small answers would wait for each other.
    let _ = stream.set_nodelay(true);
    tokio::spawn(Connection::new(stream, Arc::clone(upstream), injector.clone()).serve());
}
