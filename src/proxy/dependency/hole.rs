//! A loopback port to which no connection can be completed, and none is refused: a listener whose queue is full.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use crate::proxy::process::limit_queue;

/// How long the one connection that fills the queue may take.
const FILL_TIMEOUT: Duration = Duration::from_millis(100);

/// The holes of both families, each opened at its first use.
#[derive(Debug, Default)]
pub(super) struct Holes {
    ipv4: OnceLock<Option<Hole>>,
    ipv6: OnceLock<Option<Hole>>,
}

#[derive(Debug)]
struct Hole {
    port: u16,
    /// The kernel drops further connections as long as both are open.
    _open: (TcpListener, TcpStream),
}

impl Holes {
    /// Returns the port; `None` if there can be no such port.
    pub(super) fn port(&self, is_ipv6: bool) -> Option<u16> {
        let (hole, address) = match is_ipv6 {
            true => (&self.ipv6, IpAddr::V6(Ipv6Addr::LOCALHOST)),
            false => (&self.ipv4, IpAddr::V4(Ipv4Addr::LOCALHOST)),
        };
        hole.get_or_init(|| Hole::open(address).ok()).as_ref().map(|hole| hole.port)
    }
}

impl Hole {
    fn open(address: IpAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((address, 0))?;
        // A queue for one connection, which is never accepted (listen(2)).
        limit_queue(&listener)?;
        let port = listener.local_addr()?.port();
        let filler = TcpStream::connect_timeout(&SocketAddr::new(address, port), FILL_TIMEOUT)?;
        Ok(Self { port, _open: (listener, filler) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_to_a_hole_never_ends() {
        let holes = Holes::default();
        let port = holes.port(false).unwrap_or_default();
        assert_eq!(holes.port(false), Some(port));
        for _ in 0..3 {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let tried = TcpStream::connect_timeout(&address, 2 * FILL_TIMEOUT);
            assert_eq!(tried.map_err(|error| error.kind()).err(), Some(io::ErrorKind::TimedOut));
        }
    }
}
