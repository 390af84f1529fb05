//! One connection of the function, and the one to its dependency that belongs to it.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

use crate::model::invocation::Breakage;
use crate::proxy::dice::{Dice, between};
use crate::proxy::process::{has_unsent, reset_on_close};

use super::breakages::Breakages;
use super::pace::Pace;
use super::wire::HostSet;

/// Bytes of one read.
const SIZE: usize = 64 * 1024;
/// How often a silent connection checks whether it may continue.
const CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// How often a link that is to be reset checks whether its last bytes have arrived, and for how long if no fault resets it.
const DELIVERY_INTERVAL: Duration = Duration::from_millis(2);
const MAX_DELIVERY: Duration = Duration::from_secs(10);
/// The parts into which a limited connection divides its rate.
const PARTS: u32 = 20;

thread_local! {
    /// Where bytes are while no fault is triggered: between a read and a write that do not wait, so that all connections
    /// can share it.
    static ROOM: RefCell<Box<[u8]>> = RefCell::new(vec![0; SIZE].into_boxed_slice());
}

/// A link's state, which both of its directions share.
struct Link<'b> {
    breakages: &'b Breakages,
    hosts: HostSet,
    faults: u32,
    /// Whether the next bytes of the dependency are the first ones of an answer.
    awaits_answer: AtomicBool,
    /// The bytes that the function has received since the last invocation with a fault began.
    answered: AtomicU64,
    /// The number of that invocation.
    invocation: AtomicU32,
    /// Whether one side takes no more bytes. Those that it has sent before still pass.
    is_lost: AtomicBool,
}

/// How many bytes may pass.
struct Limits {
    /// At once.
    bytes: usize,
    bytes_per_second: Option<u32>,
}

impl Limits {
    const NONE: Self = Self { bytes: SIZE, bytes_per_second: None };
}

/// Who sends the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Function,
    Dependency,
}

/// Why a link ends with a reset on both sides.
enum Broken {
    /// One side has reset its connection.
    Lost,
    /// A fault resets the connections at once.
    Refused,
    /// A fault resets the connections after the function has received what has passed.
    Cut,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Lost
    }
}

/// Passes bytes in both directions until both sides have ended, and breaks them as the triggered faults ask. An error on
/// one side resets the other.
pub(super) async fn link(mut program: TcpStream, mut dependency: TcpStream, hosts: HostSet, breakages: &Breakages) {
    // Bytes leave as they have come: both sides have decided already when to send.
    let _ = (program.set_nodelay(true), dependency.set_nodelay(true));
    let link = Link {
        breakages,
        hosts,
        faults: breakages.faults_of(hosts),
        awaits_answer: AtomicBool::new(true),
        answered: AtomicU64::new(0),
        invocation: AtomicU32::new(breakages.began()),
        is_lost: AtomicBool::new(false),
    };
    let ended = {
        let ((from_program, to_program), (from_dependency, to_dependency)) = (program.split(), dependency.split());
        tokio::try_join!(
            link.pump(from_program, to_dependency, Sender::Function),
            link.pump(from_dependency, to_program, Sender::Dependency),
        )
    };
    let broken = match ended {
        Ok(_) if !link.is_lost.load(Ordering::Relaxed) => return,
        Ok(_) => Broken::Lost,
        Err(broken) => broken,
    };
    link.deliver(&broken, &program, &dependency).await;
    reset_on_close(&program);
    reset_on_close(&dependency);
}

impl Link<'_> {
    /// Passes the bytes of one direction.
    async fn pump(&self, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>, sender: Sender) -> Result<(), Broken> {
        let mut pace = Pace::new(Instant::now());
        loop {
            from.readable().await?;
            let mut limits = Limits::NONE;
            if self.breakages.are_triggered(self.faults) {
                // A fault meets bytes, or the end of them, but `readable` also returns without any.
                from.peek(&mut [0]).await?;
                limits = self.obstruct(sender).await?;
            }
            let Some((count, rest)) = pass(&from, &to, limits.bytes)? else { continue };
            if count == 0 {
                if self.is_lost.load(Ordering::Relaxed) || to.shutdown().await.is_err() {
                    return Err(Broken::Lost);
                }
                return Ok(());
            }
            match sender {
                Sender::Function => self.awaits_answer.store(true, Ordering::Relaxed),
                Sender::Dependency => {
                    self.awaits_answer.store(false, Ordering::Relaxed);
                    self.answered.fetch_add(count as u64, Ordering::Relaxed);
                }
            }
            let written = match rest {
                Ok(rest) if rest.is_empty() => Ok(()),
                Ok(rest) => to.write_all(&rest).await,
                Err(error) => Err(error),
            };
            if written.is_err() {
                // The receiver has reset its connection. The other direction passes on what it has sent before.
                self.is_lost.store(true, Ordering::Relaxed);
                return Ok(());
            }
            if let Some(rate) = limits.bytes_per_second {
                let pause = pace.pause(Instant::now(), count, rate);
                if !pause.is_zero() {
                    tokio::time::sleep(pause.min(self.breakages.remaining())).await;
                }
            }
        }
    }

    /// Does what the triggered faults ask before bytes are read. Returns the limits for the bytes.
    async fn obstruct(&self, sender: Sender) -> Result<Limits, Broken> {
        self.note_invocation();
        let mut limits = Limits::NONE;
        let begins_answer = sender == Sender::Dependency && self.awaits_answer.load(Ordering::Relaxed);
        let triggered: Vec<(usize, Breakage)> = self.breakages.triggered(self.faults).collect();
        for (fault, breakage) in triggered {
            let report = |delay| self.breakages.report(fault, self.hosts, delay);
            match breakage {
                Breakage::Refuse => {
                    report(Duration::ZERO);
                    return Err(Broken::Refused);
                }
                Breakage::Reset(after) => {
                    let left = u64::from(after).saturating_sub(self.answered.load(Ordering::Relaxed));
                    if left == 0 {
                        report(Duration::ZERO);
                        return Err(Broken::Cut);
                    }
                    if sender == Sender::Dependency {
                        limits.bytes = limits.bytes.min(usize::try_from(left).unwrap_or(SIZE));
                    }
                }
                Breakage::Blackhole => {
                    report(Duration::ZERO);
                    while self.breakages.are_triggered(1 << fault) {
                        tokio::time::sleep(CHECK_INTERVAL).await;
                    }
                }
                Breakage::Latency(least, longest) => {
                    if begins_answer {
                        let [roll] = Dice::new(None).roll("", 1);
                        let delay = Duration::from_millis(between(least.get(), longest.get(), roll).into());
                        report(delay);
                        tokio::time::sleep(delay.min(self.breakages.remaining())).await;
                    }
                }
                Breakage::Bandwidth(limit) => {
                    report(Duration::ZERO);
                    limits.bytes = limits.bytes.min((limit / PARTS).max(1) as usize);
                    limits.bytes_per_second = Some(limits.bytes_per_second.map_or(limit, |other| other.min(limit)));
                }
                Breakage::Unresolvable(_) => {}
            }
        }
        Ok(limits)
    }

    /// Waits until the bytes that have passed have arrived: a reset discards those that the kernel still has to send.
    async fn deliver(&self, broken: &Broken, program: &TcpStream, dependency: &TcpStream) {
        let began = Instant::now();
        let is_under_way = || match broken {
            Broken::Refused => false,
            Broken::Cut => self.breakages.are_triggered(self.faults) && has_unsent(program),
            Broken::Lost => began.elapsed() < MAX_DELIVERY && (has_unsent(program) || has_unsent(dependency)),
        };
        while is_under_way() {
            tokio::time::sleep(DELIVERY_INTERVAL).await;
        }
    }

    /// Begins to count the bytes of answers anew if another invocation has triggered a fault.
    fn note_invocation(&self) {
        let began = self.breakages.began();
        if self.invocation.swap(began, Ordering::Relaxed) != began {
            self.answered.store(0, Ordering::Relaxed);
        }
    }
}

/// Reads at most this many bytes, and writes what can be written without waiting. Returns the number that was read, 0 at
/// the end of the stream, and the bytes that are still to be written, or why none can be; `None` if nothing can be read
/// now.
fn pass(from: &ReadHalf<'_>, to: &WriteHalf<'_>, most: usize) -> io::Result<Option<(usize, io::Result<Vec<u8>>)>> {
    ROOM.with_borrow_mut(|room| {
        let room = &mut room[..most.min(SIZE)];
        let count = match from.try_read(room) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let written = match to.try_write(&room[..count]) {
            _ if count == 0 => Ok(0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            written => written,
        };
        Ok(Some((count, written.map(|written| room[written..count].to_vec()))))
    })
}
