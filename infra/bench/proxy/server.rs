//! How what serves here says where it does: as `snapback-proxy` says it, so that the driver reads them all alike.

use std::io;
use std::net::TcpListener;

/// What stands before the address.
pub const LISTENING: &str = "listening on ";

/// Listens on a free port and says so on stderr.
pub fn listen(name: &str) -> io::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    eprintln!("{name}: {LISTENING}{}", listener.local_addr()?);
    Ok(listener)
}
