//! The loopback ports through which connections to named hosts go: one for each destination.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::timeout;

use crate::proxy::log::log_line;
use crate::proxy::process::{max_descriptors, reset_on_close};

use super::breakages::Breakages;
use super::budget::{Budget, Place};
use super::link::link;
use super::wire::{Answer, HostSet};

/// The most destinations with a port. Beyond that, the one that was used longest ago is closed if it has no connection.
const MAX_DESTINATIONS: usize = 128;
/// How long a question waits for the real connection, so that its failure is the program's own. A blocking program would
/// wait anyway. One that does not block has other work, so it waits longer only until the destination has answered once.
const MAX_WAIT: Duration = Duration::from_millis(500);
const MAX_FIRST_WAIT: Duration = Duration::from_millis(100);
const MAX_NONBLOCKING_WAIT: Duration = Duration::from_millis(25);
/// How long a connection is kept for a program that has not come for it.
const MAX_UNCLAIMED: Duration = Duration::from_secs(10);
/// The most connections of a destination that are kept so. Beyond that, the oldest one is closed.
const MAX_READY: usize = 128;
/// How often a listener closes connections that are kept too long.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How often a silent destination is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(5);
/// Errors that only this process has. The program's own connection may succeed.
const OWN_ERRORS: [i32; 5] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EADDRNOTAVAIL];
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
    budget: Arc<Budget>,
}

/// How a destination has answered so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speed {
    Unknown,
    Fast,
    /// Slower than a program that does not block may wait for.
    Slow,
    /// The last attempt, at this time, had no answer within [`MAX_WAIT`].
    Silent(Instant),
}

/// A real connection, which its program will come for.
#[derive(Debug)]
enum Attempt {
    Pending(JoinHandle<io::Result<Connection>>),
    Open(Connection),
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    _place: Place,
}

/// A loopback port for one target.
#[derive(Debug)]
struct Destination {
    target: Target,
    port: u16,
    /// Connections for which their programs have not come yet, the oldest first.
    unclaimed: Mutex<VecDeque<(Attempt, Instant)>>,
    speed: Mutex<Speed>,
    budget: Arc<Budget>,
    used: Mutex<Instant>,
    links: AtomicUsize,
}

impl Destinations {
    pub(super) fn new(breakages: Arc<Breakages>) -> Arc<Self> {
        let budget = Budget::new(max_descriptors());
        Arc::new(Self { breakages, open: Mutex::default(), logged_full: AtomicBool::new(false), budget })
    }

    /// Opens the real connection, and returns the port at which the program gets it.
    ///
    /// If the connection fails soon, the program gets its error. A destination that does not answer passes, so that the
    /// program's own timeouts work, unless a fault on it is triggered now. If one that has answered before takes longer
    /// than a non-blocking program may wait, the program is connected before it answers; a later failure resets that.
    pub(super) async fn open(self: &Arc<Self>, target: Target, is_nonblocking: bool) -> Answer {
        let Some(destination) = self.destination(target).await else { return Answer::Pass };
        let through = Answer::Through(destination.port);
        let is_triggered = || self.breakages.are_triggered(self.breakages.faults_of(target.hosts));
        let speed = *lock(&destination.speed);
        match speed {
            Speed::Slow if is_nonblocking => return self.budget.take().map_or(Answer::Pass, |_| through),
            Speed::Silent(since) if !is_triggered() && since.elapsed() < RETRY_INTERVAL => return Answer::Pass,
            _ => {}
        }
        let Some(place) = self.budget.take() else { return Answer::Pass };
        let mut attempt = tokio::spawn(Arc::clone(&destination).connect(place));
        let wait = match speed {
            _ if !is_nonblocking => MAX_WAIT,
            Speed::Unknown => MAX_FIRST_WAIT,
            _ => MAX_NONBLOCKING_WAIT,
        };
        let answer = match timeout(wait, &mut attempt).await {
            Ok(Ok(Ok(connection))) => {
                destination.keep(Attempt::Open(connection));
                return through;
            }
            Ok(Ok(Err(error))) => return fail(&error),
            Ok(Err(_)) => return Answer::Pass,
            Err(_) if is_triggered() || is_nonblocking && speed == Speed::Fast => through,
            Err(_) => Answer::Pass,
        };
        destination.keep(Attempt::Pending(attempt));
        answer
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
            unclaimed: Mutex::default(),
            speed: Mutex::new(Speed::Unknown),
            budget: Arc::clone(&self.budget),
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
            match timeout(SWEEP_INTERVAL, listener.accept()).await {
                Ok(Ok((program, _))) => drop(tokio::spawn(Arc::clone(&self).serve(program, Arc::clone(&breakages)))),
                Ok(Err(_)) => tokio::time::sleep(RETRY_DELAY).await,
                Err(_) => {}
            }
            self.sweep();
        }
    }

    async fn serve(self: Arc<Self>, program: TcpStream, breakages: Arc<Breakages>) {
        self.links.fetch_add(1, Ordering::Relaxed);
        match self.claim().await {
            Ok(Connection { stream, _place }) => link(program, stream, self.target.hosts, &breakages).await,
            Err(_) => reset_on_close(&program),
        }
        self.links.fetch_sub(1, Ordering::Relaxed);
    }

    /// Takes the newest connection, or opens one.
    async fn claim(self: &Arc<Self>) -> io::Result<Connection> {
        self.sweep();
        let newest = lock(&self.unclaimed).pop_back();
        match newest {
            Some((Attempt::Open(connection), _)) => Ok(connection),
            Some((Attempt::Pending(attempt), _)) => attempt.await?,
            None => {
                let place = self.budget.take().ok_or(io::ErrorKind::QuotaExceeded)?;
                Arc::clone(self).connect(place).await
            }
        }
    }

    /// Opens the real connection, and notes how the destination answers.
    async fn connect(self: Arc<Self>, place: Place) -> io::Result<Connection> {
        let began = Instant::now();
        let mut attempt = pin!(TcpStream::connect(self.target.address()));
        let connected = match timeout(MAX_WAIT, &mut attempt).await {
            Ok(connected) => connected,
            Err(_) => {
                *lock(&self.speed) = Speed::Silent(began);
                attempt.await
            }
        };
        let is_refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        if connected.as_ref().err().is_none_or(is_refused) {
            let is_fast = began.elapsed() <= MAX_NONBLOCKING_WAIT;
            *lock(&self.speed) = if is_fast { Speed::Fast } else { Speed::Slow };
        }
        Ok(Connection { stream: connected?, _place: place })
    }

    fn keep(&self, attempt: Attempt) {
        lock(&self.unclaimed).push_back((attempt, Instant::now()));
        self.sweep();
    }

    /// Closes connections for which no program has come.
    fn sweep(&self) {
        let mut unclaimed = lock(&self.unclaimed);
        let is_over = |(_, since): &(Attempt, Instant)| since.elapsed() > MAX_UNCLAIMED;
        while unclaimed.len() > MAX_READY || unclaimed.front().is_some_and(is_over) {
            if let Some((Attempt::Pending(attempt), _)) = unclaimed.pop_front() {
                attempt.abort();
            }
        }
    }
}

/// Returns the answer for a connection that has failed.
fn fail(error: &io::Error) -> Answer {
    error.raw_os_error().filter(|code| !OWN_ERRORS.contains(code)).map_or(Answer::Pass, Answer::Fail)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_without_a_program_is_closed() -> io::Result<()> {
        let listener = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0))?;
        let budget = Budget::new(8);
        let address = Ipv6Addr::LOCALHOST.octets();
        let target =
            Target { address, port: listener.local_addr()?.port(), hosts: HostSet::default(), is_only_ipv6: false };
        let destination = Arc::new(Destination {
            target,
            port: 0,
            unclaimed: Mutex::default(),
            speed: Mutex::new(Speed::Unknown),
            budget: Arc::clone(&budget),
            used: Mutex::new(Instant::now()),
            links: AtomicUsize::new(0),
        });
        destination.keep(Attempt::Open(destination.claim().await?));
        assert_eq!((lock(&destination.unclaimed).len(), *lock(&destination.speed)), (1, Speed::Fast));
        let long_ago = Instant::now().checked_sub(2 * MAX_UNCLAIMED).unwrap_or_else(|| unreachable!("a short uptime"));
        lock(&destination.unclaimed).iter_mut().for_each(|(_, since)| *since = long_ago);
        destination.sweep();
        let free: Vec<Place> = std::iter::from_fn(|| budget.take()).collect();
        assert_eq!(free.len(), 3, "all places are free again");
        Ok(())
    }

    #[test]
    fn the_program_does_not_get_errors_of_the_proxy_alone() {
        let answers = [libc::EMFILE, libc::ECONNREFUSED].map(|code| fail(&io::Error::from_raw_os_error(code)));
        assert_eq!(answers, [Answer::Pass, Answer::Fail(libc::ECONNREFUSED)]);
    }
}
