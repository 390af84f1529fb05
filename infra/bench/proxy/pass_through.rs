//! The reference for large messages: a straightforward pass-through made of hyper, which streams bodies both ways.

use std::io;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::server::conn::http1 as server_http;
use hyper::service::service_fn;
use hyper::{Request, client::conn::http1 as client_http};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::Mutex;

use crate::server;

/// Passes every request of every connection to `upstream` until it is killed. Each connection has its own connection to
/// the upstream, as in the proxy, because a pool would cost more.
pub fn run(upstream: &str) -> io::Result<()> {
    let listener = server::listen("bench-proxy pass-through")?;
    listener.set_nonblocking(true)?;
    Builder::new_current_thread().enable_io().build()?.block_on(accept(listener, upstream.into()))
}

async fn accept(listener: std::net::TcpListener, upstream: Arc<str>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (client, _) = listener.accept().await?;
        let upstream = Arc::clone(&upstream);
        tokio::spawn(async move {
            if let Err(error) = serve(client, &upstream).await {
                eprintln!("bench-proxy pass-through: {error}");
            }
        });
    }
}

async fn serve(client: TcpStream, upstream: &str) -> io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (sender, connection) = client_http::handshake(TokioIo::new(server)).await.map_err(io::Error::other)?;
    tokio::spawn(connection);
    // An HTTP/1.1 connection serves one request at a time, so nothing ever waits for this lock.
    let sender: Arc<Mutex<SendRequest<Incoming>>> = Arc::new(Mutex::new(sender));
    let pass = service_fn(move |request: Request<Incoming>| {
        let sender = Arc::clone(&sender);
        async move {
            let mut sender = sender.lock().await;
            sender.ready().await?;
            sender.send_request(request).await
        }
    });
    server_http::Builder::new().serve_connection(TokioIo::new(client), pass).await.map_err(io::Error::other)
}
