//! Listens on a free port and reports it like `snapback-proxy`, so that the driver reads all addresses in the same way.

use std::io;
use std::net::TcpListener;

/// The text before the address.
pub const LISTENING: &str = "listening on ";

/// Listens on a free port and prints it on stderr.
pub fn listen(name: &str) -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    eprintln!("{name}: {LISTENING}{}", listener.local_addr()?);
    Ok(listener)
}
