//! Accepts the runtime's connections, and serves each in a task.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::model::invocation::ProxyConfig;

use super::connection::Connection;
use super::injector::Injector;
use super::upstream::Upstream;

/// How long the server waits after it could not accept a connection.
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// Serves all connections until the future is dropped, and injects the faults of the configuration.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve(listener: TcpListener, upstream: Upstream, config: Option<ProxyConfig>) -> io::Result<()> {
    serve_with(listener, upstream, config.map(|config| Injector::new(config, None))).await
}

/// Serves connections with an existing injector, which may hold the runtime's process.
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
            // A client may have reset its connection, or no descriptor may be left for now. Other connections continue.
            Err(_) => tokio::time::sleep(RETRY_DELAY).await,
        }
    }
}

fn serve_one(stream: TcpStream, upstream: &Arc<Upstream>, injector: &Option<Arc<Injector>>) {
    // Without this, small responses would wait for the acknowledgement of earlier ones.
    let _ = stream.set_nodelay(true);
    tokio::spawn(Connection::new(stream, Arc::clone(upstream), injector.clone()).serve());
}
