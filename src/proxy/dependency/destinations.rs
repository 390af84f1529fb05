//! The loopback ports through which connections to named hosts go: one for each destination.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::proxy::log::log_line;

use super::breakages::Breakages;
use super::link::link;
use super::wire::{Answer, HostSet};

/// The most destinations with a port. Beyond that, the one that was used longest ago is closed if it has no connection.
const MAX_DESTINATIONS: usize = 128;
/// How long a question waits for the real connection, so that its failure is the program's own. A blocking program would
/// wait anyway; one that does not block has other work.
const MAX_WAIT: Duration = Duration::from_millis(500);
const MAX_NONBLOCKING_WAIT: Duration = Duration::from_millis(25);
/// How long a connection is kept for a program that has not come for it.
const MAX_UNCLAIMED: Duration = Duration::from_secs(10);
/// How long the listener waits after it could not accept a connection.
const RETRY_DELAY: Duration = Duration::from_millis(10);

/// Where a program wants to connect to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Target {
    /// IPv4 addresses are in their IPv4-mapped form.
    pub(super) address: [u8; 16],
    pub(super) port: u16,
    /// The hosts that name it.
    pub(super) hosts: HostSet,
    /// Whether the program's socket cannot connect to an IPv4 address.
    pub(super) is_only_ipv6: bool,
}

impl Target {
    fn address(&self) -> SocketAddr {
        let address = Ipv6Addr::from(self.address);
        SocketAddr::new(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4), self.port)
    }
}

/// All destinations.
#[derive(Debug)]
pub(super) struct Destinations {
    breakages: Arc<Breakages>,
    /// Each one with the task that accepts its connections.
    open: Mutex<HashMap<Target, (Arc<Destination>, AbortHandle)>>,
    logged_full: AtomicBool,
}

/// A loopback port for one target.
#[derive(Debug)]
struct Destination {
    target: Target,
    port: u16,
    /// Connections that were opened before their programs have come for them.
    ready: Mutex<VecDeque<(TcpStream, Instant)>>,
    /// Whether the last connection took longer than a program that does not block may wait for.
    is_slow: AtomicBool,
    used: Mutex<Instant>,
    links: AtomicUsize,
}

impl Destinations {
    pub(super) fn new(breakages: Arc<Breakages>) -> Arc<Self> {
        Arc::new(Self { breakages, open: Mutex::default(), logged_full: AtomicBool::new(false) })
    }

    /// Opens the real connection, and returns the port at which the program gets it.
    ///
    /// If the connection fails soon, the program gets its error. If it takes longer, the program is connected to the port
    /// before the destination has answered; a later failure resets its connection.
    pub(super) async fn open(self: &Arc<Self>, target: Target, is_nonblocking: bool) -> Answer {
        let Some(destination) = self.destination(target).await else { return Answer::Pass };
        if is_nonblocking && destination.is_slow.load(Ordering::Relaxed) {
            return Answer::Through(destination.port);
        }
        let wait = if is_nonblocking { MAX_NONBLOCKING_WAIT } else { MAX_WAIT };
        match timeout(wait, TcpStream::connect(target.address())).await {
            Ok(Ok(stream)) => {
                destination.is_slow.store(false, Ordering::Relaxed);
                lock(&destination.ready).push_back((stream, Instant::now()));
            }
            Ok(Err(error)) => return error.raw_os_error().map_or(Answer::Pass, Answer::Fail),
            Err(_) => destination.is_slow.store(true, Ordering::Relaxed),
        }
        Answer::Through(destination.port)
    }

    async fn destination(self: &Arc<Self>, target: Target) -> Option<Arc<Destination>> {
        let known = lock(&self.open).get(&target).map(|(known, _)| Arc::clone(known));
        if let Some(known) = known {
            *lock(&known.used) = Instant::now();
            return Some(known);
        }
        if !self.make_room() {
            if !self.logged_full.swap(true, Ordering::Relaxed) {
                log_line("too many destinations are in use; connections to further ones have no faults");
            }
            return None;
        }
        match self.listen(target).await {
            Ok(destination) => Some(destination),
            Err(error) => {
                log_line(&format!("cannot open a port for a dependency: {error}; the connection has no faults"));
                None
            }
        }
    }

    async fn listen(self: &Arc<Self>, target: Target) -> io::Result<Arc<Destination>> {
        let loopback =
            if target.is_only_ipv6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        let listener = TcpListener::bind((loopback, 0)).await?;
        let destination = Arc::new(Destination {
            target,
            port: listener.local_addr()?.port(),
            ready: Mutex::default(),
            is_slow: AtomicBool::new(false),
            used: Mutex::new(Instant::now()),
            links: AtomicUsize::new(0),
        });
        let accepts = tokio::spawn(Arc::clone(&destination).accept(listener, Arc::clone(&self.breakages)));
        lock(&self.open).insert(target, (Arc::clone(&destination), accepts.abort_handle()));
        Ok(destination)
    }

    /// Closes the destination that was used longest ago if there are too many. Returns false if all are in use.
    fn make_room(&self) -> bool {
        let mut open = lock(&self.open);
        if open.len() < MAX_DESTINATIONS {
            return true;
        }
        let is_idle = |destination: &Destination| {
            destination.links.load(Ordering::Relaxed) == 0 && lock(&destination.used).elapsed() > MAX_UNCLAIMED
        };
        let idle = open.values().filter(|(destination, _)| is_idle(destination));
        let oldest = idle.min_by_key(|(destination, _)| *lock(&destination.used));
        let Some(target) = oldest.map(|(destination, _)| destination.target) else { return false };
        open.remove(&target).iter().for_each(|(_, accepts)| accepts.abort());
        true
    }
}

impl Destination {
    /// Links each connection of a program with one to the target.
    async fn accept(self: Arc<Self>, listener: TcpListener, breakages: Arc<Breakages>) {
        loop {
            match listener.accept().await {
                Ok((program, _)) => drop(tokio::spawn(Arc::clone(&self).serve(program, Arc::clone(&breakages)))),
                Err(_) => tokio::time::sleep(RETRY_DELAY).await,
            }
        }
    }

    async fn serve(self: Arc<Self>, program: TcpStream, breakages: Arc<Breakages>) {
        self.links.fetch_add(1, Ordering::Relaxed);
        link(program, self.claim(), self.target.hosts, &breakages).await;
        self.links.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes a connection that is ready, or opens one.
    async fn claim(&self) -> io::Result<TcpStream> {
        loop {
            let ready = lock(&self.ready).pop_front();
            match ready {
                Some((stream, since)) if since.elapsed() < MAX_UNCLAIMED => return Ok(stream),
                Some(_) => {}
                None => return TcpStream::connect(self.target.address()).await,
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
