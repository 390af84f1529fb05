//! System calls for which the standard library has no safe form.
#![allow(unsafe_code, reason = "fork, and descriptors by their numbers; each use states why it is sound")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The side of a fork that this process is.
pub(crate) enum Fork {
    /// The calling process, with the PID of the new one.
    Parent(libc::pid_t),
    /// The new process.
    Child,
}

/// Forks this process. Must be called while it has a single thread: the new process has only the calling one.
pub(crate) fn fork() -> io::Result<Fork> {
    // SAFETY: no other thread exists, so the new process has no lock that is held by a missing thread.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid)),
    }
}

/// Waits for the end of a child process.
pub(crate) fn wait_for(pid: libc::pid_t) {
    // SAFETY: the call takes a null pointer if the status is not needed.
    while unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) } == -1
        && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
    {}
}

/// Closes all descriptors except the standard streams and `kept`. No code of this process may own one of the others, so
/// this must be called only after a fork, in a process that needs no more than these.
pub(crate) fn close_others(kept: &[RawFd]) -> io::Result<()> {
    let mut open = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        open.extend(entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()));
    }
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2 && !kept.contains(descriptor)) {
        // SAFETY: no code owns these descriptors. The one of the listing is closed already; closing it again fails
        // without harm, because no descriptor was opened since.
        unsafe { libc::close(descriptor) };
    }
    Ok(())
}

/// Ignores the signals by which a terminal or the platform ends a process group. The runtime may still have to send a
/// last request; the proxy ends with the runtime.
pub(crate) fn ignore_signals() {
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        // SAFETY: ignoring a signal installs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Whether this process was started with SIGPIPE ignored. The standard library always ignores it before `main`.
static IGNORED_SIGPIPE: AtomicBool = AtomicBool::new(false);

/// The linker adds this to the functions that the C library calls before `main`, and so before the standard library
/// starts.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = note_sigpipe;

extern "C" fn note_sigpipe() {
    // SAFETY: an all-zero sigaction is a valid value. The call fills it in, and changes nothing because it has no new
    // action.
    let handler = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut action);
        action.sa_sigaction
    };
    IGNORED_SIGPIPE.store(handler == libc::SIG_IGN, Ordering::Relaxed);
}

/// Gives a command that replaces this process the SIGPIPE setting that it would have without the proxy. The standard
/// library would reset it.
pub(crate) fn keep_sigpipe(command: &mut Command) {
    if IGNORED_SIGPIPE.load(Ordering::Relaxed) {
        let ignore = || {
            // SAFETY: ignoring a signal installs no handler.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
            Ok(())
        };
        // SAFETY: the closure makes one system call and does not access memory.
        unsafe { command.pre_exec(ignore) };
    }
}

/// A handle to a process that stays valid even if another process gets its PID (Linux 5.3; Lambda has 5.10 or newer).
#[derive(Debug)]
pub(crate) struct Process {
    descriptor: OwnedFd,
    pid: u32,
}

impl Process {
    /// Opens a handle to this process, which stays valid across fork and exec.
    pub(crate) fn own() -> io::Result<Self> {
        let pid = std::process::id();
        // SAFETY: the call takes two numbers and returns a new descriptor, which only this value owns.
        let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        match RawFd::try_from(descriptor) {
            // SAFETY: as above.
            Ok(descriptor @ 0..) => Ok(Self { descriptor: unsafe { OwnedFd::from_raw_fd(descriptor) }, pid }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Reads the environment that its program was started with (proc_pid_environ(5)).
    pub(crate) fn environment(&self) -> io::Result<Vec<u8>> {
        let environment = std::fs::read(format!("/proc/{}/environ", self.pid))?;
        // If the process still exists, its PID cannot have been reused before.
        self.signal(0).map(|()| environment)
    }

    /// Returns a descriptor that becomes readable when the process ends (pidfd_open(2)).
    pub(crate) fn end(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let descriptor = self.descriptor.try_clone()?;
        // SAFETY: the descriptor is open, and the returned value owns it until it is dropped.
        Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE)? })
    }

    /// Kills the process.
    pub(crate) fn kill(&self) -> io::Result<()> {
        self.signal(libc::SIGKILL)
    }

    fn signal(&self, signal: libc::c_int) -> io::Result<()> {
        let information = std::ptr::null::<libc::siginfo_t>();
        let descriptor = self.descriptor.as_raw_fd();
        // SAFETY: the call reads no memory, because the pointer to signal information is null.
        let done = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, descriptor, signal, information, 0) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl AsRawFd for Process {
    fn as_raw_fd(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }
}

/// Moves up to `length` bytes between a socket and a pipe without copying them (splice(2)). It does not block on the
/// pipe; whether it blocks on the socket depends on the socket.
pub(crate) fn splice(from: &impl AsFd, to: &impl AsFd, length: usize) -> io::Result<usize> {
    let (from, to) = (from.as_fd().as_raw_fd(), to.as_fd().as_raw_fd());
    let no_offset = std::ptr::null_mut();
    // SAFETY: both descriptors are open during the call. The null pointers mean "no offset", as sockets and pipes
    // require, so the call writes to no memory of this process.
    let moved = unsafe { libc::splice(from, no_offset, to, no_offset, length, libc::SPLICE_F_NONBLOCK) };
    usize::try_from(moved).map_err(|_| io::Error::last_os_error())
}

/// Sets the capacity of a pipe in bytes (`F_SETPIPE_SZ`, fcntl(2)). A pipe that stays smaller works as well.
pub(crate) fn enlarge_pipe(pipe: &impl AsFd, bytes: libc::c_int) {
    // SAFETY: the descriptor is open during the call, which takes a number and no pointer.
    unsafe { libc::fcntl(pipe.as_fd().as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
}

/// Limits the bytes that a socket has sent and its peer has not read yet (`SO_SNDBUF`, socket(7)). The kernel doubles
/// the number.
pub(crate) fn limit_send_buffer(socket: &impl AsFd, bytes: libc::c_int) {
    let size = libc::socklen_t::try_from(size_of_val(&bytes)).unwrap_or_default();
    let option = (&raw const bytes).cast();
    // SAFETY: the descriptor is open during the call, which reads `size` bytes at `option`.
    unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), libc::SOL_SOCKET, libc::SO_SNDBUF, option, size);
    }
}

/// Lets a socket send a reset when it is closed, instead of what it still has to send and an end (`SO_LINGER`, socket(7)).
pub(crate) fn reset_on_close(socket: &impl AsFd) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = libc::socklen_t::try_from(size_of_val(&linger)).unwrap_or_default();
    let option = (&raw const linger).cast();
    // SAFETY: the descriptor is open during the call, which reads `size` bytes at `option`.
    unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, option, size) };
}

/// Whether the peer of an open connection has not yet received all bytes (`SIOCOUTQ`, tcp(7)).
pub(crate) fn has_unsent(connection: &impl AsFd) -> bool {
    let descriptor = connection.as_fd().as_raw_fd();
    let mut unsent: libc::c_int = 0;
    // SAFETY: the descriptor is open during the call, which writes one number.
    if unsafe { libc::ioctl(descriptor, libc::TIOCOUTQ, &raw mut unsent) } != 0 || unsent == 0 {
        return false;
    }
    let mut poll = libc::pollfd { fd: descriptor, events: 0, revents: 0 };
    // SAFETY: the call does not wait, and writes one entry. The kernel keeps the number after a reset.
    unsafe { libc::poll(&raw mut poll, 1, 0) == 0 }
}

/// Returns the number of descriptors that this process may have (`RLIMIT_NOFILE`, getrlimit(2)).
pub(crate) fn max_descriptors() -> usize {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the call writes one value.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX)
}

/// Limits a listener's queue to one connection that was not accepted (listen(2)).
pub(crate) fn limit_queue(listener: &impl AsFd) -> io::Result<()> {
    // SAFETY: the descriptor is open during the call, which takes numbers only.
    match unsafe { libc::listen(listener.as_fd().as_raw_fd(), 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Allocates disk space to a file.
pub(crate) fn allocate(file: &File, offset: u64, length: u64) -> io::Result<()> {
    let number = |bytes: u64| libc::off_t::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge));
    let (offset, length) = (number(offset)?, number(length)?);
    // SAFETY: the descriptor belongs to the file, and stays open during the call.
    match unsafe { libc::fallocate(file.as_fd().as_raw_fd(), 0, offset, length) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
