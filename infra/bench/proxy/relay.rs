//! The reference for small messages: a plain TCP relay with a thread for each direction, which blocks.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;

use crate::server;

/// The proxy's read size.
const ROOM: usize = 64 * 1024;

/// Relays every connection to `upstream` until it is killed.
pub fn run(upstream: &str) -> io::Result<()> {
    let listener = server::listen("bench-proxy relay")?;
    loop {
        let (client, _) = listener.accept()?;
        let server = TcpStream::connect(upstream)?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (client_out, server_out) = (client.try_clone()?, server.try_clone()?);
        thread::spawn(move || copy(client, server_out));
        thread::spawn(move || copy(server, client_out));
    }
}

/// Copies until the source ends or one side fails.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut room = vec![0; ROOM];
    while let Ok(count @ 1..) = from.read(&mut room) {
        if to.write_all(&room[..count]).is_err() {
            break;
        }
    }
    // The other side may have closed it already.
    let _ = to.shutdown(Shutdown::Write);
}
