//! The yardstick: a plain TCP relay, which is tokio's `copy_bidirectional` with its default buffers on one thread.

use std::io;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use crate::server;

/// Relays every connection to `upstream` until it is killed.
pub fn run(upstream: String) -> io::Result<()> {
    let listener = server::listen("bench-proxy relay")?;
    listener.set_nonblocking(true)?;
    let runtime = Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(accept(listener, upstream))
}

async fn accept(listener: std::net::TcpListener, upstream: String) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let upstream: Arc<str> = upstream.into();
    loop {
        let (client, _) = listener.accept().await?;
        let upstream = Arc::clone(&upstream);
        tokio::task::spawn(async move {
            if let Err(error) = relay(client, &upstream).await {
                eprintln!("bench-proxy relay: {error}");
            }
        });
    }
}

async fn relay(mut client: TcpStream, upstream: &str) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
